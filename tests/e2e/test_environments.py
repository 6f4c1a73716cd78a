# SPDX-License-Identifier: MIT
"""Isolation is the same everywhere: with namespaces refused, in a container of Docker's, with an older Landlock, and as nobody.

All of the tests of OS mode can be run like that by hand, `WASMRUN_UNDER="build/tests/e2e/e2e-under docker" script/test test_os_run.py`; what
is here notices when one of these environments is forgotten."""

import json
import os
import pwd
import shutil
import subprocess

import pytest

from harness.apps import free_port
from harness.components import find_wasmtime, make
from harness.guests import needs_wall
from harness.lab import OURS
from harness.wait import DEADLINE
from harness.wasmrun import GUEST, WASMRUN, fetch, need_wasmrun, run_os
from test_wall import ask, asked_of, fill

pytestmark = pytest.mark.usefixtures("isolated")
TOOLS = OURS.parent / "tests" / "e2e"
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")


def under(name):
    return TOOLS / "e2e-under", name


# name: (program, what it is started by, layers that doctor has to name)
ENVIRONMENTS = {
    "namespaces": (WASMRUN, under("namespaces"), {"namespaces": False}),
    "docker": (WASMRUN, under("docker"), {"namespaces": False}),
    "docker as nobody": (WASMRUN, (*AS_NOBODY, *under("docker")), {"namespaces": False}),
    "nobody": (WASMRUN, AS_NOBODY, {}),
    "Landlock 1": (TOOLS / "e2e-wasmrun-landlock1", (), {"landlock_abi": 1}),
    "Landlock 2": (TOOLS / "e2e-wasmrun-landlock2", (), {"landlock_abi": 2}),
    "Landlock 2 in docker": (TOOLS / "e2e-wasmrun-landlock2", under("docker"), {"landlock_abi": 2, "namespaces": False}),
}


@pytest.fixture(params=ENVIRONMENTS)
def environment(request):
    need_wasmrun()
    if "nobody" in request.param and os.geteuid():
        pytest.skip("needs root to be nobody")
    return request.param


@pytest.fixture
def folder(lab, environment):
    """One that the user can reach."""
    return lab.public_folder()


def own(environment, folder):
    if "nobody" in environment:
        nobody = pwd.getpwnam("nobody")
        for one in (folder, *folder.rglob("*")):
            os.chown(one, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)


def test_native_program(lab, folder, environment):
    """In the engine's place it has what the wall gives, and without the wall, the control, it has all."""
    program, wrap, layers = ENVIRONMENTS[environment]
    place, port = fill(folder, program), free_port()
    own(environment, folder)
    refused, allowed = asked_of(place, port)
    if "landlock_abi" in layers:
        # Below 3 it can't tell who may use truncate(2), so that nobody may.
        emptied = f"empty={place}/data/data"
        allowed.remove(emptied)
        refused.append(emptied)
    options = ("-P", port, "--dir", f"{place}/data::/data")
    said, process = ask(lab, place, allowed + refused, *options, wrap=wrap)
    assert said == {**dict.fromkeys(refused, "EACCES"), **dict.fromkeys(allowed, "0")}, process.text()
    assert (place / "a project" / "package.json").read_text() == "{}" and not (place / "a project" / "wasmrun.toml").exists()
    said, process = ask(lab, place, allowed + refused, *options, "--no-isolation", wrap=wrap)
    assert said == dict.fromkeys(refused + allowed, "0"), process.text()


def serve(lab, folder, environment, module, *args):
    program, wrap, _ = ENVIRONMENTS[environment]
    bin, project = folder / "bin", folder / "project"
    for one in (bin, project, folder / "cache", folder / "run"):
        one.mkdir()
    shutil.copy(program, bin / "wasmrun")
    for one in (GUEST, GUEST.parent / "libwasmtime.so", GUEST.parent / "libwasmrun-preload.so", find_wasmtime()):
        shutil.copy(one, bin)
    shutil.copy(module, project / "app.wasm")
    own(environment, folder)
    return run_os(
        lab, project, *args, program=bin / "wasmrun", wrap=wrap,
        env={"PATH": f"{bin}:/usr/bin:/bin", "XDG_CACHE_HOME": str(folder / "cache"), "XDG_RUNTIME_DIR": str(folder / "run"), "HOME": str(folder)})


@needs_wall
def test_module(lab, folder, environment, hello):
    assert fetch(serve(lab, folder, environment, hello).app()["url"])[0] == 200


@pytest.mark.parametrize("name", ["http_component", "listen_component"])
def test_component(lab, folder, environment, name, tmp_path):
    instance = serve(lab, folder, environment, make(tmp_path, name))
    assert fetch(instance.app()["url"])[0] == 200


def test_doctor(environment):
    program, wrap, layers = ENVIRONMENTS[environment]
    told = subprocess.run([*wrap, program, "doctor", "--json"], capture_output=True, text=True, timeout=DEADLINE)
    said = json.loads(told.stdout)
    assert told.returncode == 0 and said["isolated"]
    assert {key: said[key] for key in layers} == layers


# --- where what must be there is refused ---

MISSING = {
    "old-docker": "a filter of system calls refuses it: in a container, take a newer version",
    "old-kernel": "it needs Linux 5.13 or newer, built with it, and in a container a filter of system calls that knows it",
    "boot": "it is switched off: 'landlock' has to be in the boot parameter lsm=",
    "no-seccomp": "It needs a kernel with CONFIG_SECCOMP_FILTER, and in a container a profile that allows seccomp",
}


@pytest.mark.parametrize("name", MISSING)
def test_nothing_starts(lab, tmp_path, name):
    """That is said, with what to do; and --no-isolation, the control, starts it there."""
    need_wasmrun()
    place = fill(tmp_path)
    env = {"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place)}
    argv = [*under(name), place / "bin" / "wasmrun", "os", "-P", 0, "--kind", "preview1", place / "a project"]
    process = lab.process(argv, "wasmrun", env=env)
    assert process.wait_exit() == 12
    assert MISSING[name] in process.text() and "; --no-isolation runs it without" in process.text()
    told = subprocess.run([*under(name), WASMRUN, "doctor"], capture_output=True, text=True, timeout=DEADLINE)
    assert told.returncode == 1 and MISSING[name] in told.stdout
    assert told.stdout.endswith("Applications are NOT isolated, and start with --no-isolation alone.\n")
    run = [*under(name), place / "bin" / "wasmrun", "run", place / "a project" / "app.wasm"]
    ran = subprocess.run(run, capture_output=True, text=True, timeout=DEADLINE, env={**os.environ, **env})
    assert ran.returncode == 1 and MISSING[name] in ran.stderr
    said, _ = ask(lab, place, ["read=/etc/passwd"], "-P", 0, "--no-isolation", wrap=under(name))
    assert said == {"read=/etc/passwd": "0"}


@needs_wall
@pytest.mark.parametrize("environment", ["nobody"], indirect=True)
def test_files_of_others(lab, folder, environment, hello):
    """Who may not write to a file doesn't replace it by the API either, though the folder is his."""
    instance = serve(lab, folder, environment, hello, "--writable")
    project, nobody = folder / "project", pwd.getpwnam("nobody")
    for name, mode, owner in (("mine", 0o644, nobody.pw_uid), ("read-only", 0o444, nobody.pw_uid), ("root's", 0o666, 0)):
        (project / name).write_text("old")
        os.chown(project / name, owner, nobody.pw_gid)
        (project / name).chmod(mode)
    for name in ("read-only", "root's"):
        answer = instance.ask("PUT", f"/api/fs/write?path={name}", b"new")
        assert answer.status == 403 and "is not allowed to be changed" in answer.body["error"]
        assert (project / name).read_text() == "old"
    assert instance.ask("PUT", "/api/fs/write?path=mine", b"new").status == 200
    assert (project / "mine").read_text() == "new" and not list(project.glob(".wasmrun-*"))

# SPDX-License-Identifier: MIT
"""The run of the engine that compiles, and the folder of what it makes, in `wasmrun os` and `wasmrun run`."""

import os
import pathlib
import shutil
import subprocess

import pytest

from harness.components import find_wasmtime, make
from harness.guests import INVALID
from harness.lab import ROOT
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os

MODULE, COMPONENT = "module", "component"


@pytest.fixture(params=[MODULE, COMPONENT])
def project(request, lab, guests):
    """A folder with an application of either engine, and how to change that a little."""
    need_wasmrun()
    folder = lab.folder / "project"
    folder.mkdir()
    target = folder / "app.wasm"
    if request.param == MODULE:
        shutil.copy(guests.c(ROOT / "examples" / "hello-c" / "hello.c"), target)
    else:
        engine = lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin"
        engine.mkdir(parents=True)
        (engine / "wasmtime").symlink_to(find_wasmtime())
        make(folder, "http_component").rename(target)
    return target


def start(lab, project, *args):
    return run_os(lab, project.parent, *args, env={"PATH": "/usr/bin:/bin"})


def codes(lab):
    """The folders of compiled code, and when what is in them was written."""
    found = (lab.folder / "cache" / "wasmrun" / "modules").glob("*/*")
    return {path.name: max(file.stat().st_mtime_ns for file in path.rglob("*") if is_code(file)) for path in found}


def is_code(path):
    """Not wasmtime's own notes about it."""
    return path.is_file() and path.suffix in ("", ".cwasm") and path.parent.name != "wasmtime"


def change(path):
    """Another module that does the same: a custom section more."""
    partial = path.with_suffix(".new")
    partial.write_bytes(path.read_bytes() + b"\x00\x03\x01xy")
    partial.rename(path)


def test_compiled_once(lab, project):
    """A second start, and one after a crash, take what the first one has left."""
    instance = start(lab, project)
    assert fetch(instance.app()["url"])[0] == 200
    first = codes(lab)
    assert len(first) == 1
    os.kill(instance.app()["pid"], 9)
    assert fetch(instance.app()["url"])[0] == 200
    instance.process.stop()
    instance = start(lab, project)
    assert fetch(instance.app()["url"])[0] == 200
    assert codes(lab) == first
    folder = lab.folder / "cache" / "wasmrun" / "modules"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (folder, *folder.glob("*"), *folder.glob("*/*")))


def test_changed(lab, project):
    """With --watch the new one is compiled before it takes over; both are kept."""
    instance = start(lab, project, "--watch")
    app = instance.app()
    first = codes(lab)
    change(project)
    wait_for(lambda: instance.app()["pid"] != app["pid"], "the new instance")
    assert fetch(app["url"])[0] == 200
    both = codes(lab)
    assert len(both) == 2 and first.items() < both.items()


def test_not_private(lab, project):
    """A folder that others can look into is not used, and holds nothing up."""
    folder = lab.folder / "cache" / "wasmrun" / "modules"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    instance = start(lab, project)
    assert fetch(instance.app()["url"])[0] == 200
    instance.process.wait_line("is not private to this user: the module is compiled each time")
    assert not list(folder.iterdir())


def test_emptied(lab, project):
    """Whoever empties his cache while the application runs loses a little time after a crash, and no more."""
    instance = start(lab, project)
    app = instance.app()
    shutil.rmtree(lab.folder / "cache" / "wasmrun" / "modules")
    os.kill(app["pid"], 9)
    assert fetch(app["url"])[0] == 200


def test_invalid(lab, project):
    """What can't be compiled is not started, and the reason is the compiler's."""
    project.write_bytes(project.read_bytes() + b"\x01\x03\xff\xff\xff")
    instance = start(lab, project, "--watch")
    wait_for(lambda: instance.app()["state"] == "failed", "the failure")
    reason = instance.app()["exit_reason"]
    assert "is not valid: failed to parse" in reason or reason.startswith("it can't be compiled: exit code 1: "), reason
    assert codes(lab) == {}


def run(lab, *words):
    env = {**os.environ, "XDG_CACHE_HOME": str(lab.folder / "cache"), "PATH": "/usr/bin:/bin"}
    return subprocess.run([WASMRUN, "run", *words], env=env, capture_output=True, text=True, timeout=4 * DEADLINE)


def test_run(lab, guests):
    """`wasmrun run` keeps code in the same way."""
    need_wasmrun()
    module = pathlib.Path(shutil.copy(guests.c("ends.c"), lab.folder / "ends.wasm"))
    assert run(lab, module, "7").returncode == 7
    first = codes(lab)
    assert len(first) == 1
    assert run(lab, module, "8").returncode == 8
    assert codes(lab) == first
    module.write_bytes(module.read_bytes()[:8] + b"\x01\x01\x7f")
    said = run(lab, module)
    assert said.returncode == INVALID and said.stderr.count("is not valid") == 1
    assert codes(lab) == first

# SPDX-License-Identifier: MIT
"""The wall round an application: a native program of ours in the engine's place, through the real `wasmrun os`."""

import errno
import json
import os
import pwd
import re
import shutil
import subprocess

import pytest

from harness.apps import free_port
from harness.guests import needs_wall
from harness.lab import OURS
from harness.process import Process
from harness.wait import DEADLINE
from harness.wasmrun import WASMRUN, broker, need_wasmrun

INSIDE = OURS.parent / "tests" / "e2e" / "e2e-inside"
MODULE = b"\0asm\1\0\0\0" b"\1\4\1\x60\0\0\3\2\1\0\7\12\1\6_start\0\0\12\4\1\2\0\13"

pytestmark = pytest.mark.usefixtures("isolated")


def fill(place, program=WASMRUN):
    """wasmrun in a folder of its own, with our program beside it where the engine belongs, and a project."""
    home, project, data = place / "home", place / "a project", place / "data"
    for folder in (place / "bin", home, project, data):
        folder.mkdir()
    shutil.copy(program, place / "bin" / "wasmrun")
    shutil.copy(INSIDE, place / "bin" / "wasmrun-guest")
    (home / "secret").write_text("secret")
    (project / "app.wasm").write_bytes(MODULE)
    (project / "package.json").write_text("{}")
    (data / "data").write_text("data")
    return place


@pytest.fixture
def place(tmp_path):
    need_wasmrun()
    return fill(tmp_path)


def ask(lab, place, asked, *options, wrap=(), ended=False):
    """What our program says of each thing that it has tried."""
    args = [word for one in asked for word in ("--arg", one)]
    env = {"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place), "HOME": str(place / "home")}
    argv = [*wrap, place / "bin" / "wasmrun", "os", "--kind", "preview1", *options, *args, place / "a project"]
    process = lab.process(argv, "wasmrun", env=env)
    process.wait_line(r"^stdout \| done$")
    lines = [line.text.removeprefix("stdout | ") for line in process.lines if line.text.startswith("stdout | ")]
    said = dict(line.rsplit(" ", 1) for line in lines if "=" in line)
    process.stop()
    return {one: errno.errorcode.get(int(code), "0") for one, code in said.items()}, process


def asked_of(place, port):
    project, home = place / "a project", place / "home"
    refused = [
        "read=/etc/passwd", "read=/proc/self/environ", "read=/dev/null", f"read={home}", f"read={home}/secret", f"write={home}/secret",
        f"create={home}/new", f"empty={home}/secret", f"write={project}/package.json", f"create={project}/build.rs",
        f"empty={project}/package.json", f"unlink={project}/package.json", f"create={place}/cache/wasmrun/new",
        f"connect={port}", f"api={port}"]
    allowed = [f"read={project}/app.wasm", f"read={project}/package.json", f"read={place}/data/data", f"write={place}/data/data",
               f"create={place}/data/new", f"empty={place}/data/data", f"unlink={place}/data/new"]
    return refused, allowed


def test_native_program(lab, place):
    """Whatever the engine becomes, it has the project and its folders, and neither the user's files nor the page."""
    port = free_port()
    refused, allowed = asked_of(place, port)
    said, process = ask(lab, place, allowed + refused, "-P", port, "--dir", f"{place}/data::/data")
    assert said == {**dict.fromkeys(refused, "EACCES"), **dict.fromkeys(allowed, "0")}, process.text()
    assert "isolation" not in process.text("stderr")
    assert (place / "a project" / "package.json").read_text() == "{}" and not (place / "a project" / "wasmrun.toml").exists()


def test_native_program_without_the_wall(lab, place):
    """The control: the same program does all of it, and the start says that it can."""
    port = free_port()
    refused, allowed = asked_of(place, port)
    said, process = ask(lab, place, allowed + refused, "-P", port, "--dir", f"{place}/data::/data", "--no-isolation")
    assert said == dict.fromkeys(refused + allowed, "0"), process.text()
    process.wait_line(r" warn app: --no-isolation: nothing but the engine keeps the application from your files")
    assert '"by.api"' in (place / "a project" / "wasmrun.toml").read_text()


def test_only_the_engine_can_be_executed(lab, place):
    """A copy of what may be read is a program that may not be run; without the wall it runs, and says its own `done`."""
    engine, copy = place / "bin" / "wasmrun-guest", place / "data" / "copy"
    shutil.copy(INSIDE, copy)
    said, _ = ask(lab, place, [f"exec={copy}", "exec=/bin/true"], "--dir", f"{place}/data::/data")
    assert said == {f"exec={copy}": "EACCES", "exec=/bin/true": "EACCES"}
    process = lab.process(
        [place / "bin" / "wasmrun", "os", "-P", 0, "--kind", "preview1", "--no-isolation", "--arg", "exec=/bin/echo", place / "a project"],
        "wasmrun", env={"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place)})
    process.wait_line(r"^stdout \| --tell$")
    assert process.wait_exit() == 12 and engine.exists()


@pytest.mark.parametrize("options, answer", [((), "EACCES"), (("--writable",), "0")], ids=["as it is", "writable"])
def test_folder_with_the_project_in_it(lab, place, options, answer):
    """The build runs what stands in the project, outside the wall: it is not written to by accident."""
    file = f"{place}/a project/build.rs"
    said, _ = ask(lab, place, [f"create={file}"], "-P", 0, "--dir", ".::/", *options)
    assert said == {f"create={file}": answer}
    (place / "a project" / "data").mkdir(exist_ok=True)
    said, _ = ask(lab, place, [f"create={place}/a project/data/x"], "-P", 0, "--dir", "data::/data")
    assert set(said.values()) == {"0"}


@pytest.mark.parametrize("options, refused", [((), "EACCES"), (("--no-isolation",), "0")], ids=["walled", "control"])
def test_compiled_code(lab, place, options, refused):
    """Who serves reads the code of its module and changes none; the compiler writes to its own folder, and has no socket."""
    asked = {"readcode=module.cwasm": "0", "writecode=module.cwasm": refused, "writecode=new": refused, "writecode=../new": refused}
    said, process = ask(lab, place, asked, "-P", 0, *options)
    assert said == asked, process.text()
    number = getattr(errno, refused, 0)
    for line in ("own 0", f"outside {number}", f"socket {number}"):
        process.wait_line(rf"^build \| compiler {line}$")


def test_file_that_is_named_alone(lab, place):
    """What lies beside it is none of its business."""
    module, beside = place / "home" / "app.wasm", place / "home" / "secret"
    module.write_bytes(MODULE)
    env = {"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place)}
    process = lab.process(
        [place / "bin" / "wasmrun", "os", "-P", 0, "--kind", "preview1", "--arg", f"read={module}", "--arg", f"read={beside}", module],
        "wasmrun", env=env)
    process.wait_line(r"^stdout \| done$")
    process.wait_line(rf"^stdout \| read={module} 0$")
    process.wait_line(rf"^stdout \| read={beside} {errno.EACCES}$")


def test_run(place):
    """`wasmrun run` has the same wall, and its folders as they are named; of the user's descriptors it has the three streams."""
    left_open = os.open("/etc/passwd", os.O_RDONLY)
    asked = ["read=/etc/passwd", f"read={place}/a project/package.json", f"read={place}/a project/app.wasm", f"create={place}/data/run",
             f"descriptor={left_open}", "descriptor=2"]
    refused = ["EACCES", "EACCES", "0", "0", "EBADF", "0"]
    for options, answers in ((), refused), (["--no-isolation"], ["0"] * len(asked)):
        argv = [place / "bin" / "wasmrun", "run", "--dir", f"{place}/data::/data", *options, place / "a project" / "app.wasm", *asked]
        process = Process(argv, place, "run", env={"XDG_CACHE_HOME": str(place / "cache")}, pass_fds=(left_open,))
        process.wait_line(r"^done$")
        process.wait_exit()
        said = [errno.errorcode.get(int(line.text.rsplit(" ", 1)[1]), "0") for line in process.lines if "=" in line.text and line.text.startswith(("read", "create", "descriptor"))]
        assert said == answers, process.text()
        assert ("warn run: --no-isolation" in process.text()) == bool(options)
    os.close(left_open)


WALLS = pytest.mark.parametrize("options, answer", [((), "EACCES"), (("--no-isolation",), "0")], ids=["walled", "control"])


def run_in(place, *words, options=()):
    argv = [place / "bin" / "wasmrun", "run", "--dir", f"{place}/data::/data", *options, place / "a project" / "app.wasm", *words]
    return Process(argv, place, "run", env={"XDG_CACHE_HOME": str(place / "cache")})


def answer_of(process, asked):
    return errno.errorcode.get(int(process.wait_line(rf"^{re.escape(asked)} (\d+)$")[1][1]), "0")


@WALLS
def test_folder_that_becomes_a_link(place, options, answer):
    """A thread of the module's swaps a folder of --dir with a link that leads out, while another opens paths in it."""
    (place / "data" / "real").mkdir()
    (place / "data" / "real" / "passwd").write_text("honest")
    (place / "data" / "link").symlink_to("/etc")
    process = run_in(place, asked := f"race={place}/data", options=options)
    assert answer_of(process, asked) == answer
    process.wait_exit()


@WALLS
@pytest.mark.parametrize("becomes", ["link", "folder"])
def test_folder_that_is_replaced(place, becomes, options, answer):
    """The rule is for the folder that was there at the start, whatever its name leads to later."""
    data, go = place / "data", place / "go"
    read, again = f"read={data}/data", f"read={data}/secret"
    process = run_in(place, read, f"await={go}", again, options=options)
    assert answer_of(process, read) == "0"
    data.rename(place / "old")
    if becomes == "link":
        data.symlink_to(place / "home")
    else:
        (place / "home").rename(data)
    go.touch()
    assert answer_of(process, again) == answer
    process.wait_exit()


def test_broker_is_out_of_reach(place):
    """The process that connects for a module takes no signal from it; the control is another of the user's, without the wall."""
    for options, answer, whom in (("--allow-net", "*"), "EACCES", broker), (("--no-isolation",), "0", lambda process: os.getpid()):
        process = run_in(place, f"await={place}/go", asked := f"signal={place}/data/data", options=options)
        (place / "data" / "data").write_text(str(whom(process)))
        (place / "go").touch()
        assert answer_of(process, asked) == answer
        process.wait_exit()
        (place / "go").unlink()


@pytest.mark.parametrize("options", [(), ("--no-isolation",)], ids=["walled", "engine"])
@needs_wall
def test_folder_that_becomes_a_link_for_a_module(place, guests, options):
    """The same with the real engine, whose WASI keeps paths in the folder by itself as well: beside the wall, not in place of it."""
    real, link, spare = (place / "data" / name for name in ("real", "link", "spare"))
    real.mkdir()
    (real / "passwd").write_text("honest")
    link.symlink_to("/etc")
    argv = [WASMRUN, "run", "--dir", f"{place}/data::/data", *options, guests.c("race.c"), "/data/real/passwd"]
    process = Process(argv, place, "race", env={"XDG_CACHE_HOME": str(place / "cache")})
    while process.alive():
        for one, other in ((real, spare), (link, real), (real, link), (spare, real)):
            one.rename(other)
    assert process.wait_exit() == 0 and process.text("stdout") == "only what is in the folder", process.text()


def test_script_in_place_of_the_engine(lab, place):
    (place / "bin" / "wasmrun-guest").write_text("#!/bin/sh\n")
    argv = [place / "bin" / "wasmrun", "os", "-P", 0, "--kind", "preview1", place / "a project"]
    process = lab.process(argv, "wasmrun", env={"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place)})
    assert process.wait_exit() == 12
    assert "wasmrun-guest' is a script, or of another machine: behind the wall of isolation only the program itself can run" in process.text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which has privileges to lose")
def test_what_only_a_privilege_opens(lab, place):
    """Root's application is without root's privileges; that is said before it starts, with what to do."""
    project = place / "a project"
    nobody = pwd.getpwnam("nobody")
    os.chown(project, nobody.pw_uid, nobody.pw_gid)
    project.chmod(0o700)
    argv = [place / "bin" / "wasmrun", "os", "-P", 0, "--kind", "preview1", project]
    process = lab.process(argv, "wasmrun", env={"XDG_CACHE_HOME": str(place / "cache"), "XDG_RUNTIME_DIR": str(place)})
    assert process.wait_exit() == 12
    assert f"{project}/app.wasm' is open to you by root's privileges alone" in process.text() and "run wasmrun as the user who owns it" in process.text()
    said, _ = ask(lab, place, [f"read={project}"], "-P", 0, "--no-isolation")
    assert said == {f"read={project}": "0"}


def test_doctor(tmp_path):
    """What it says is what is there: the kernel is asked here once more, by other means."""
    need_wasmrun()
    told = subprocess.run([WASMRUN, "doctor", "--json"], capture_output=True, text=True, timeout=DEADLINE)
    layers = json.loads(told.stdout)
    assert told.returncode == 0 and layers["isolated"] and layers["filter"] and layers["landlock_abi"] >= 1
    unshare = subprocess.run(["unshare", "--user", "--net", "--ipc", "--uts", "true"], capture_output=True)
    assert layers["namespaces"] == (unshare.returncode == 0)
    words = subprocess.run([WASMRUN, "doctor"], capture_output=True, text=True, timeout=DEADLINE)
    assert words.returncode == 0 and f"Landlock, ABI {layers['landlock_abi']}" in words.stdout
    assert words.stdout.endswith("Applications are isolated.\n")

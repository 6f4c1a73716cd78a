# SPDX-License-Identifier: MIT
"""Preview 1 as `wasmrun run` gives it to a module: programs of our own, which check for themselves and say which line failed,
and WebAssembly/wasi-testsuite where WASI_TESTSUITE names a folder with its prebuilt branch."""

import json
import os
import pathlib
import shutil
import subprocess

import pytest

from harness.guests import TRAP, needs_wall
from harness.process import Process
from harness.wasmrun import WASMRUN, need_wasmrun

SUITE = os.environ.get("WASI_TESTSUITE")


@pytest.fixture
def run(tmp_path):
    """Runs to the end: exit code, standard output and standard error. The module sees a folder of its own, a copy of root, if any."""
    need_wasmrun()
    folder = tmp_path / "folder"

    def start(module, *args, env=None, stdin=b"", root=None, options=()):
        options = [*options, *(word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}"))]
        if root:
            shutil.copytree(root, folder)
            options += ["--dir", f"{folder}::/"]
        command = [WASMRUN, "run", *options, module, *args]
        process = Process(command, tmp_path, "module", env={"XDG_CACHE_HOME": str(tmp_path)}, stdin=subprocess.PIPE)
        process.child.stdin.write(stdin)
        process.child.stdin.close()
        code = process.wait_exit()
        assert not process.stop()
        return code, process.text("stdout"), process.text("stderr")

    return start


@pytest.fixture
def build(guests):
    return lambda name: guests.c(f"conform/{name}.c")


@pytest.mark.parametrize("name", ["files", "paths", "readdir"])
def test_files(run, build, name, tmp_path):
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "empty").mkdir()
    # Times alone are refused behind the wall, see below.
    options = () if name == "readdir" else ("--no-isolation",)
    code, said, errors = run(build(name), root=tmp_path / "empty", options=options)
    assert (code, said) == (0, "passed") and all("--no-isolation: " in line for line in errors.splitlines())
    assert sorted(os.listdir(tmp_path / "folder")) == []
    assert (tmp_path / "outside").read_text() == "secret" and not (tmp_path / "made").exists()


@needs_wall
@pytest.mark.parametrize("name", ["files", "paths"])
def test_times_behind_the_wall(run, build, name, tmp_path):
    """By name they would reach all that is the user's, and the engine has no other way: ACCES (2), and all else is as it was."""
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "empty").mkdir()
    code, said, _ = run(build(name), root=tmp_path / "empty")
    *lines, last = said.splitlines()
    assert code == 1 and last == "FAILED" and any("_filestat_set_times" in line and "is 2, not SUCCESS" in line for line in lines)
    assert all("_filestat_set_times" in line or "stat.mtim" in line for line in lines), said


def test_process(run, build):
    env = {"A": "text", "B": 'escap " ing', "C": "new\nline"}
    assert run(build("process"), "first", "", 'the "third", ü', env=env, stdin=b"input") == (0, "passed", "error")


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255])
def test_exit_code(run, guests, code):
    assert run(guests.c("ends.c"), str(code)) == (code, "", "")


def test_trap(run, guests):
    assert run(guests.c("ends.c"), "trap")[0] == TRAP


def suite_modules():
    """One parameter for each module; one in their place that says why there is none."""
    if not SUITE:
        why = "WASI_TESTSUITE names no folder with WebAssembly/wasi-testsuite, branch prod/testsuite-base"
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=why))]
    modules = sorted(pathlib.Path(SUITE).glob("tests/*/testsuite/wasm32-wasip1/*.wasm"))
    assert modules, f"no prebuilt modules under '{SUITE}'"
    return [pytest.param(module, id=f"{module.parts[-4]}-{module.stem}") for module in modules]


@pytest.mark.parametrize("module", suite_modules())
def test_suite(run, module):
    """A module's .json says what it gets and what it has to answer."""
    about = module.with_suffix(".json")
    about = json.loads(about.read_text()) if about.exists() else {}
    root = module.parent / about["root"] if "root" in about else None
    code, out, errors = run(module, *about.get("args", []), env=about.get("env"), root=root)
    assert code == about.get("exit_code", 0), f"{out}\n{errors}"
    assert out == about.get("stdout", out).rstrip("\n")

# SPDX-License-Identifier: MIT
"""What GET /api/app tells of the last build and of the last end: enough to mend it."""

import os
import shutil
import signal

import pytest

from harness.wait import wait_for
from harness.wasmrun import fetch, need_wasmrun, run_os


def toml(folder, *lines):
    (folder / "wasmrun.toml").write_text("\n".join(["[app]", *lines, ""]))


def script(folder, *lines):
    (folder / "build.sh").write_text("\n".join([*lines, ""]))


def settled(instance):
    return wait_for(lambda: (app := instance.app())["build"] and app["build"]["duration_ms"] is not None and app, "the build is over")


RUST = ["error[E0425]: cannot find value `x`", " --> src/main.rs:4:5", "  |"]


@pytest.mark.parametrize(
    "said,error",
    [
        (["warning: unused", "main.c:3:5: error: expected ';'", "    3 | x", "", "main.c:9:1: error: more"], ["main.c:3:5: error: expected ';'", "    3 | x"]),
        (["   Compiling a", *RUST, "", "error: aborting"], RUST),
        (["a.ts(3,5): error TS2304: Cannot find name"], ["a.ts(3,5): error TS2304: Cannot find name"]),
        (["  File 'a.py'", "SyntaxError: invalid syntax"], ["SyntaxError: invalid syntax"]),
        (["cc1: -Werror: on", "0 errors", "gave up"], ["gave up"]),
        ([f"error: {i}" for i in range(20)], [f"error: {i}" for i in range(8)]),
        (["error: " + "x" * 1000], ["error: " + "x" * 505]),
        ([], []),
    ],
)
def test_a_failed_build(lab, project, said, error):
    toml(project, 'build = "sh build.sh"', 'wasm = "hello.wasm"')
    script(project, *[f"echo {line!r}" if "'" not in line else f'echo "{line}"' for line in said], "exit 1")
    instance = run_os(lab, project, "--watch")
    app = settled(instance)
    assert app["state"] == "failed" and app["exit_reason"].startswith("the build with")
    assert (app["build"]["ok"], app["build"]["error"]) == (False, error)
    assert app["build"]["time"] > 0 and app["build"]["duration_ms"] >= 0 and app["exit_output"] == []


def test_a_build_that_goes_well(lab, project):
    """While it is under way nothing is decided; and what was wrong before is forgotten."""
    toml(project, 'build = "sh build.sh"', 'wasm = "hello.wasm"')
    script(project, "echo 'error: first'", "until [ -e go ]; do sleep 0.1; done", "[ ! -e bad ]")
    (project / "bad").touch()
    (project / "go").touch()
    instance = run_os(lab, project, "--watch")
    assert settled(instance)["build"]["ok"] is False
    (project / "bad").unlink()
    (project / "go").unlink()
    instance.ask("POST", "/api/app/start")
    now = wait_for(lambda: (app := instance.app())["state"] == "building" and app["build"]["duration_ms"] is None and app, "it builds")
    assert (now["build"]["ok"], now["build"]["error"]) == (None, [])
    (project / "go").touch()
    # What has changed meanwhile may be built once more, beside the one that runs.
    app = wait_for(lambda: (app := settled(instance))["state"] == "running" and not app["next"] and app, "it runs")
    assert (app["build"]["ok"], app["build"]["error"], app["exit_reason"]) == (True, [], None)


def test_no_build(instance):
    app = instance.wait_app("running")
    assert (app["build"], app["exit_output"]) == (None, [])


def test_a_trap_has_its_backtrace(lab, guests, tmp_path):
    need_wasmrun()
    shutil.copy(guests.c("ends.c"), tmp_path / "ends.wasm")
    toml(tmp_path, 'wasm = "ends.wasm"', 'kind = "preview1"', 'args = ["trap"]')
    instance = run_os(lab, tmp_path, "--watch")
    app = instance.wait_app("failed")
    said = "\n".join(app["exit_output"])
    assert "unreachable" in said and "main" in said, said
    # It was run as a server: the user has said so.
    assert "no call to take connections with; " in app["exit_reason"] and "(CGI)" not in app["exit_reason"]
    # A stop takes neither the reason nor that away.
    assert instance.ask("POST", "/api/app/stop").body["state"] == "stopped"
    after = instance.app()
    assert (after["exit_reason"], after["exit_output"]) == (app["exit_reason"], app["exit_output"])


def test_an_end_by_a_signal(lab, instance):
    """It has said nothing, and runs again: the reason stays, until it is stopped."""
    os.kill(instance.app()["pid"], signal.SIGKILL)
    app = wait_for(lambda: (app := instance.app())["restarts"] == 1 and app["state"] == "running" and app, "it runs again")
    assert "signal 9" in app["exit_reason"] and app["exit_output"] == []
    assert fetch(app["url"])[0] == 200
    instance.ask("POST", "/api/app/stop")
    assert instance.wait_app("stopped")["exit_reason"] == "stopped on request"

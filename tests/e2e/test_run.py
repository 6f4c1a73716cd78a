# SPDX-License-Identifier: MIT
"""The command `wasmrun run`: one module in the foreground, with its own streams and exit code."""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness.guests import COMPONENT, NOT_WASM, READ, TRAP, TRUNCATED
from harness.lab import ROOT
from harness.process import Process
from harness.wasmrun import WASMRUN, fetch, need_wasmrun

MODULE_HEAD, COMPONENT_HEAD = b"\0asm\1\0\0\0", b"\0asm\x0d\0\1\0"


@pytest.fixture
def run(tmp_path):
    need_wasmrun()
    started = []

    def start(*args, env=None, **kwargs):
        env = {"XDG_CACHE_HOME": str(tmp_path), **(env or {})}
        started.append(Process([WASMRUN, "run", *args], tmp_path, f"run{len(started)}", env=env, **kwargs))
        return started[-1]

    yield start
    reports = [report for process in started for report in process.stop() or ()]
    assert not reports, "\n".join(reports)


@pytest.fixture
def ends(guests):
    return guests.c("ends.c")


def end(run, *args, **kwargs):
    """Runs to the end: exit code, standard output and standard error."""
    process = run(*args, **kwargs)
    code = process.wait_exit()
    return code, process.text("stdout"), process.text("stderr")


@pytest.mark.parametrize("code", [0, 1, 42, 125, 126, 134, 192, 203, 255])
def test_exit_code(run, ends, code):
    assert end(run, ends, code) == (code, "", "")


def test_exit_code_beyond_a_byte(run, ends):
    """As of any program, the lower eight bits."""
    assert end(run, ends, -1) == (255, "", "") and end(run, ends, 0x103) == (3, "", "")


def test_trap(run, ends):
    code, out, errors = end(run, ends, "trap")
    assert (code, out) == (TRAP, "")
    assert errors.splitlines()[-1] == "wasmrun-guest: it trapped: wasm `unreachable` instruction executed"
    assert "unreachable" in errors and re.search(r"ends\.c:\d+", errors)


def test_trap_of_a_module_whose_memory_is_none(run, tmp_path):
    """Its trap was followed by a panic of the engine, which was asked how large a function is."""
    function = bytes([1, 4, 1, 0x60, 0, 0]) + bytes([3, 2, 1, 0])
    exports = bytes([7, 19, 2, 6]) + b"_start" + bytes([0, 0, 6]) + b"memory" + bytes([0, 0])
    module = tmp_path / "none.wasm"
    module.write_bytes(MODULE_HEAD + function + exports + bytes([10, 5, 1, 3, 0, 0, 0x0B]))
    code, out, errors = end(run, module)
    assert (code, out) == (TRAP, "") and "panicked" not in errors
    assert errors.splitlines()[-1] == "wasmrun-guest: it trapped: wasm `unreachable` instruction executed"


def test_arguments_are_the_modules_own(run, ends):
    """Even those that look like options of ours, and more of them than any list of ours can take."""
    for last in ("--help", "--env", "--", "", "-x"):
        assert end(run, ends, "environment", last)[:2] == (0, f"ends.wasm (null) (null) {last}".strip() + " " * (not last))
    assert end(run, "--", ends, "7", *["x"] * 1000)[0] == 7


def test_environment(run, ends):
    options = ["--env", "FRUIT=a", "--env=FRUIT=b=c"]
    assert end(run, *options, ends, "environment", "x", env={"LISTEN_FDS": "9"})[1] == "ends.wasm b=c (null) x"
    assert end(run, ends, "environment", "x", env={"FRUIT": "ours"})[1] == "ends.wasm (null) (null) x"
    many = [f"--env=N{number}=" for number in range(4095)]
    assert end(run, *many, "--env=FRUIT=last", ends, "environment", "x")[1] == "ends.wasm last (null) x"
    code, _, errors = end(run, *many, "--env=FRUIT=last", "--env=N=", ends)
    assert code == 2 and "invalid value 'N=' for '--env <NAME=VALUE>': there are more than 4096 of them" in errors


def test_dirs(run, ends, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    options = ["--dir", f"{tmp_path / 'a'}::/first", "--dir", f"{tmp_path / 'b'}::/second"]
    assert end(run, *options, ends, "read", "/first/file")[:2] == (0, "a")
    assert end(run, *options, ends, "read", "/second/file")[:2] == (0, "b")
    for path in ("/second/../a/file", tmp_path / "a" / "file", "/first/none"):
        assert end(run, *options, ends, "read", path)[:2] == (4, "")
    assert end(run, ends, "read", "/first/file")[0] == 4


def test_streams(run, ends):
    process = run(ends, "copy", stdin=subprocess.PIPE)
    process.child.stdin.write(b"one\n\ntwo\n")
    process.child.stdin.close()
    assert process.wait_exit() == 0
    assert process.text("stdout") == "one\n\ntwo" and process.text("stderr") == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal(run, ends, number):
    """It is the very process that was started, and ends as any program does."""
    process = run(ends, "copy", stdin=subprocess.PIPE)
    process.child.stdin.write(b"x\n" * 65536)
    process.child.stdin.flush()
    process.wait_line("^x$")
    process.signal(number)
    assert process.wait_exit() == -number


def test_listens_by_itself(run, guests):
    """It is told what to write instead; one that never was a server isn't."""
    module = guests.c("misbehaves.c")
    code, _, errors = end(run, "--listen", "127.0.0.1:0", module, "exit")
    assert code == 42 and errors.splitlines()[-1].startswith(
        "wasmrun-guest: it ended before it took a connection: exit code 42; a server doesn't listen by itself, but takes its "
        "connections from descriptor 3, in C by accept(3, NULL, NULL); ")
    assert "a server" not in end(run, module, "exit")[2]


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_listen(run, guests, address):
    process = run("--listen", f"{address}:0", guests.c(ROOT / "examples" / "hello-c" / "hello.c"))
    where = process.wait_line(r"listening at (\S+)$")[1][1]
    assert where.startswith(f"{address}:") and not where.endswith(":0")
    for visit in (1, 2):
        assert f"visit {visit}" in fetch(f"http://{where}")[1]


def test_port_in_use(run, ends):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, errors = end(run, "--listen", where, ends)
    assert code == 10 and where in errors and "--listen" in errors


@pytest.mark.parametrize(
    "content, code, said",
    [
        (None, READ, "No such file or directory"),
        (b"", NOT_WASM, "is not a WebAssembly file"),
        (b"#!/bin/sh\n", NOT_WASM, "is not a WebAssembly file"),
        (MODULE_HEAD + b"\1\x7fshort", TRUNCATED, "is cut off"),
        (COMPONENT_HEAD, COMPONENT, "is a component; those that export wasi:cli/run"),
    ],
)
def test_bad_file(run, tmp_path, content, code, said):
    path = tmp_path / "bad.wasm"
    if content is not None:
        path.write_bytes(content)
    got, out, errors = end(run, path)
    assert (got, out) == (code, "") and said in errors and str(path) in errors and "\n" not in errors


def test_file_like_an_option(run, ends, tmp_path):
    os.symlink(ends, tmp_path / "--help")
    process = Process([WASMRUN, "run", "--", "--help", "5"], tmp_path, "option", wrap=["env", "-C", tmp_path])
    assert process.wait_exit() == 5


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "the following required arguments were not provided: '<FILE>'"),
        (["--env", "FRUIT", "x.wasm"], "invalid value 'FRUIT' for '--env <NAME=VALUE>': it is no NAME=VALUE"),
        (["--env", "=a", "x.wasm"], "it is no NAME=VALUE"),
        (["--dir", "/tmp", "x.wasm"], "invalid value '/tmp' for '--dir <HOST::GUEST>': it is no HOST::GUEST"),
        (["--dir", "::/x", "x.wasm"], "it is no HOST::GUEST"),
        (["--dir", "/tmp::", "x.wasm"], "it is no HOST::GUEST"),
        (["--listen", "localhost:1", "x.wasm"], "it is no IP address: write 127.0.0.1:9100"),
        (["--listen", "127.0.0.1:65536", "x.wasm"], "'65536' is no port from 0 to 65535"),
        (["--listen", "127.0.0.1", "x.wasm"], "it has no port: write 127.0.0.1:9100"),
        (["--listen", "::1:80", "x.wasm"], "it has no port: write 127.0.0.1:9100"),
        (["--unknown", "x.wasm"], "unexpected argument '--unknown' found"),
    ],
)
def test_bad_options(run, words, said):
    code, out, errors = end(run, *words)
    assert (code, out) == (2, "") and said in errors and "\n" not in errors


def test_help(run):
    code, out, _ = end(run, "--help")
    assert code == 0 and "Usage: wasmrun run [OPTIONS] <FILE> [ARGS]..." in out


def test_no_guest_program(tmp_path):
    need_wasmrun()
    alone = shutil.copy(WASMRUN, tmp_path)
    process = Process([alone, "run", "x.wasm"], tmp_path, "alone")
    assert process.wait_exit() == 1 and "can't find wasmrun-guest: No such file or directory; it is built by script/setup-engine" in process.text()


def test_no_place_for_a_cache(run, ends):
    code, out, errors = end(run, ends, "3", env={"XDG_CACHE_HOME": "", "HOME": ""})
    assert (code, out) == (3, "") and "set HOME or XDG_CACHE_HOME" in errors

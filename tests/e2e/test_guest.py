# SPDX-License-Identifier: MIT
"""wasmrun-guest: preview 1 modules with sockets, standard streams, limits, and files that are no such module."""

import http.client
import os
import re
import socket
import stat
import subprocess

import pytest

from harness.guests import (
    COMPILE_DEADLINE, COMPONENT, DEADLINE_OVER, FOREIGN, GUEST, IMPORT, INVALID, MEMORY, NO_PROGRAM, NOT_WASM, READ, SETUP,
    TRAP, TRUNCATED, USAGE, compiled)
from harness.lab import ROOT
from harness.streams import recv_exact
from harness.wait import DEADLINE

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")

MODULE_HEAD, COMPONENT_HEAD = b"\0asm\1\0\0\0", b"\0asm\x0d\0\1\0"


def end(run, module, *args, **kwargs):
    """Runs to the end without a listener: exit code, standard output and standard error."""
    process = run(module, *args, listen=False, **kwargs).process
    code = process.wait_exit()
    return code, process.text("stdout"), process.text("stderr")


def get(run, path, connection=None, deadline=DEADLINE):
    connection = connection or http.client.HTTPConnection(*run.address, timeout=deadline)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read().decode(), connection


def test_hello_c_serves(guests, run):
    server = run(guests.c(ROOT / "examples" / "hello-c" / "hello.c"))
    silent = server.connect(DEADLINE)  # a browser's spare connection holds up nobody
    status, body, connection = get(server, "/a?<b>")
    assert status == 200 and "GET /a?&#60;b&#62;" in body and "visit 1" in body
    assert "visit 2" in get(server, "/", connection)[1]
    server.process.wait_line(r"^GET /a\?<b>$")
    silent.close()


def test_hello_c_pipelining_and_limits(guests, run):
    server = run(guests.c(ROOT / "examples" / "hello-c" / "hello.c"))
    with server.connect(DEADLINE) as visitor, visitor.makefile("rb") as replies:
        visitor.sendall(b"POST /1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcdeHEAD /2 HTTP/1.1\r\nConnection: close\r\n\r\n")
        both = replies.read().decode()
        assert both.count("HTTP/1.1 200 OK") == 2 and "POST /1" in both and "HEAD /2" not in both
    for request, status in ((b"x" * 10000, b"431"), (b"nonsense\r\n\r\n", b"400")):
        with server.connect(DEADLINE) as visitor:
            visitor.sendall(request)
            assert visitor.recv(100).startswith(b"HTTP/1.1 " + status)



@pytest.mark.parametrize("letter, whole", [("c", True), ("s", True), ("e", True), ("t", False), ("k", False)])
def test_cut_answer_is_no_end(guests, run, letter, whole):
    """A trap and SIGKILL gave the visitor an ordinary end: half an answer that looked whole."""
    server = run(guests.c("cut.c"))
    with server.connect(DEADLINE) as visitor:
        visitor.sendall(letter.encode())
        assert recv_exact(visitor, 15) == b"half of the ans"
        if letter == "k":
            server.process.kill()
        if whole:
            assert visitor.recv(1) == b""
        else:
            with pytest.raises(ConnectionResetError):
                visitor.recv(1)


TAIL_CALL = """
#include <stdio.h>
static volatile int left = 1000;
__attribute__((noinline)) static int down(int n)
{
	if (n == 0)
		return printf("down\\n");
	__attribute__((musttail)) return down(n - left / 1000);
}
int main(void) { return down(left) != 5; }
"""


def test_quick(guests, run, tmp_path):
    """What the quick compiler takes runs the same, and what it refuses is compiled by the other one, without a word."""
    (tmp_path / "tail.c").write_text(TAIL_CALL)
    tail = guests.c(tmp_path / "tail.c", "tail", "-mtail-call")
    hello = guests.c(ROOT / "examples" / "hello-c" / "hello.c")
    for options in ((), ("--quick",)):
        for code in ((), compiled(tail, *options)):
            assert end(run, tail, options=[*code, *options]) == (0, "down", "")
        for code in ((), compiled(hello, *options)):
            server = run(hello, options=[*code, *options])
            assert get(server, "/")[0] == 200


@pytest.mark.toolchain
def test_go_serves(guests, run):
    """Go takes the listener only when its status says that it is non-blocking."""
    server = run(guests.go("http_go"))
    connections = [get(server, f"/{i}", deadline=COMPILE_DEADLINE) for i in range(8)]
    for i, (status, body, connection) in enumerate(connections):
        assert (status, body) == (200, f"go GET /{i}\n")
        assert get(server, "/again", connection)[:2] == (200, "go GET /again\n")


def test_rust_accepts(guests, run):
    server = run(guests.rust("echo_rust"))
    for text in (b"one", b"two"):
        with server.connect(COMPILE_DEADLINE) as visitor, visitor.makefile("rb") as reply:
            visitor.sendall(text)
            visitor.shutdown(socket.SHUT_WR)
            assert reply.read() == b"rust " + text


def test_calls_on_sockets(guests, run):
    server = run(guests.c("accepts.c"))
    with server.connect(DEADLINE) as visitor:
        visitor.sendall(b"abc")
        visitor.sendall(b"defghij")
        assert visitor.recv(10) == b"next"
        visitor.sendall(b"last")
        visitor.shutdown(socket.SHUT_WR)
        assert visitor.recv(10) == b""
    server.process.wait_line("^passed$")
    assert server.process.wait_exit() == 0


def test_poll_waits_for_everything(guests, run, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "file").write_text("x")
    server = run(guests.c("polls.c"), options=["--dir", f"{tmp_path / 'dir'}::/dir"], stdin=subprocess.PIPE)
    process = server.process
    line, match = process.wait_line(r"^file (\d): (\d+) (\d+) (\d+)$")
    assert match[1] == "2" and match[2] != "0" and match[3] == "0" and match[4] != "0", line
    assert process.wait_line("clock|early")[0].text == "clock"
    stdin = process.child.stdin
    for number in range(2):
        mark = process.mark()
        with server.connect(DEADLINE) as visitor:
            process.wait_line("^accepted$", after=mark)
            stdin.write(b"hello%d" % number)
            stdin.flush()
            process.wait_line(f"^input hello{number}$")
            visitor.sendall(b"data%d" % number)
            process.wait_line(f"^connection data{number}$")
            mark = process.mark()
        process.wait_line("^connection end$", after=mark)
    stdin.close()
    process.wait_line("^input end$")
    assert process.wait_exit() == 0


@pytest.mark.parametrize("code", [0, 1, 42, 125, 126, 134, 192, 203, 255])
def test_exit_code(guests, run, code):
    assert end(run, guests.c("ends.c"), str(code)) == (code, "", "")


def test_trap_has_a_backtrace(guests, run):
    code, _, errors = end(run, guests.c("ends.c"), "trap")
    assert code == TRAP
    assert "unreachable" in errors and re.search(r"ends\.c:\d+", errors)


def test_streams_arguments_environment(guests, run):
    module = guests.c("ends.c")
    code, out, errors = end(run, module, "environment", "last", options=["--env", "FRUIT=a", "--env", "FRUIT=b=c"])
    assert (code, out, errors) == (0, "ends.wasm b=c (null) last", "")
    copy = run(module, "copy", listen=False, stdin=subprocess.PIPE).process
    copy.child.stdin.write(b"one\ntwo\n")
    copy.child.stdin.close()
    assert copy.wait_exit() == 0 and copy.text() == "one\ntwo"
    assert end(run, module, "environment", "x", options=["--env", "FRUIT=a"])[1] == "ends.wasm a (null) x"
    listening = run(module, "environment", "x").process
    assert listening.wait_exit() == 0 and listening.text("stdout") == "ends.wasm (null) 1 x"


def test_a_value_from_our_own_environment(guests, run, monkeypatch):
    """It stands in no command line, and nothing else of the environment reaches the guest."""
    monkeypatch.setenv("FRUIT", "a=b")
    module = guests.c("ends.c")
    assert end(run, module, "environment", "x", options=["--env", "FRUIT"])[1] == "ends.wasm a=b (null) x"
    assert end(run, module, "environment", "x", options=["--env", "FRUIT", "--env", "FRUIT=c"])[1] == "ends.wasm c (null) x"
    assert end(run, module, "environment", "x")[1] == "ends.wasm (null) (null) x"


def test_memory_limit(guests, run):
    module = guests.c("ends.c")
    limit = ["--memory-max", str(32 << 20)]
    assert end(run, module, "memory", options=limit)[:2] == (3, "out of memory")
    code, _, errors = end(run, module, options=["--memory-max", "65536"])
    assert code == MEMORY and "needs 128 KiB of memory to start, and may have 64" in errors


@pytest.mark.parametrize("how", ["spin", "copy"])
def test_time_limit(guests, run, how):
    """Ends a program that computes as well as one that waits."""
    stdin = subprocess.PIPE if how == "copy" else subprocess.DEVNULL
    code, _, errors = end(run, guests.c("ends.c"), how, options=["--timeout", "200ms"], stdin=stdin)
    assert code == DEADLINE_OVER and "was ended after 200 ms" in errors


def test_compile(guests, run, tmp_path):
    """A run that compiles leaves the code behind, one that runs the module reads it and never writes."""
    module, folder = guests.c("ends.c"), tmp_path / "code"
    folder.mkdir()
    options = ["--verbose", "--cache", folder]
    assert "cache: miss" in end(run, module, options=options)[2]
    assert not list(folder.iterdir())
    code, out, errors = end(run, module, "7", options=["--compile", *options])
    assert (code, out) == (0, ""), f"it doesn't run: {errors}"
    (entry,) = folder.iterdir()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    made = entry.read_bytes()
    code, _, errors = end(run, module, "7", options=options)
    assert code == 7 and "cache: hit" in errors
    entry.write_bytes(b"not what the engine made")
    code, _, errors = end(run, module, "7", options=options)
    assert code == 7 and "cache: miss" in errors, "spoilt code is none"
    assert entry.read_bytes() == b"not what the engine made"
    end(run, module, options=["--compile", *options])
    assert entry.read_bytes() == made


def test_compile_without_room(guests, run, tmp_path):
    """The module is sound all the same, so that isn't a failure."""
    module = guests.c("ends.c")
    code, _, errors = end(run, module, options=["--compile", "--cache", "/dev/full"])
    assert code == 0 and "can't keep the compiled module: Not a directory" in errors
    (tmp_path / "module.cwasm").symlink_to("/dev/full")
    code, _, errors = end(run, module, options=["--compile", "--cache", tmp_path])
    assert code == 0 and "can't keep the compiled module" in errors


@pytest.mark.parametrize(
    "content, code, said",
    [
        (b"", NOT_WASM, "is not a WebAssembly file"),
        (b"#!/bin/sh\n", NOT_WASM, "is not a WebAssembly file"),
        (MODULE_HEAD[:6], TRUNCATED, "is cut off"),
        (MODULE_HEAD + b"\1\x7fshort", TRUNCATED, "is cut off"),
        (b"\0asm\7\0\0\0", INVALID, "version of WebAssembly"),
        (MODULE_HEAD + b"\1\2\1\7", INVALID, "is not valid: failed to parse WebAssembly module Caused by: "),
        (COMPONENT_HEAD, COMPONENT, "is a component; those that export wasi:cli/run"),
        (MODULE_HEAD, NO_PROGRAM, "exports no _start"),
    ],
)
def test_bad_file(run, tmp_path, content, code, said):
    path = tmp_path / "bad.wasm"
    path.write_bytes(content)
    got, _, errors = end(run, path)
    assert got == code and said in errors and "'" in errors and errors.count("\n") == 0


def test_truncated_module(guests, run, tmp_path):
    path = tmp_path / "bad.wasm"
    path.write_bytes(guests.c("ends.c").read_bytes()[:-100])
    assert end(run, path)[0] == TRUNCATED


@pytest.mark.parametrize(
    "module, name, code, said",
    [
        ("env", "strange\\ncall", IMPORT, r"imports 'strange\x0acall' of 'env', which is not there"),
        ("wasi_snapshot_preview1", "sock_open", IMPORT, "imports 'sock_open' of 'wasi_snapshot_preview1'"),
        ("wasix_32v1", "thread_spawn", FOREIGN, "was made for WASIX"),
        ("wasi_unstable", "fd_write", FOREIGN, "WASI of 2019"),
        ("wasi-outbound-http", "request", FOREIGN, "Spin 1"),
        ("gojs", "runtime.wasmExit", FOREIGN, "GOOS=wasip1"),
        ("wbg", "alert", FOREIGN, "wasm-bindgen"),
    ],
)
def test_missing_import(guests, run, module, name, code, said):
    flags = [f'-DMODULE="{module}"', f'-DNAME="{name}"']
    got, _, errors = end(run, guests.c("imports.c", f"imports-{module}-{len(name)}", *flags))
    assert got == code and said in errors and errors.count("\n") == 0


def test_no_memory(guests, run):
    """WASI moves everything through the memory, so a program that has none can't use it."""
    # (module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (func (export "_start")))
    name, field = b"wasi_snapshot_preview1", b"sched_yield"
    imported = b"\1" + bytes([len(name)]) + name + bytes([len(field)]) + field + b"\0\0"
    body = b"\1\x08\2\x60\0\1\x7f\x60\0\0" + b"\2" + bytes([len(imported)]) + imported
    body += b"\3\2\1\1" + b"\7\x0a\1\6_start\0\1" + b"\x0a\4\1\2\0\x0b"
    path = guests.folder / "no-memory.wasm"
    path.write_bytes(MODULE_HEAD + body)
    code, _, errors = end(run, path)
    assert code == NO_PROGRAM and "exports no memory" in errors


@pytest.mark.parametrize(
    "options, code, said",
    [
        (["--memory-max", "x"], USAGE, "--memory-max 'x'"),
        (["--env", "FRUIT"], USAGE, "--env 'FRUIT': it has no value here"),
        (["--env", "=a"], USAGE, "--env '=a'"),
        (["--unknown"], USAGE, "usage:"),
        (["--dir", "/nowhere::/x"], SETUP, "can't open the directory '/nowhere'"),
        (["--listen-fd", "0"], USAGE, "usage:"),
        (["--listen-fd", "0", "--empty", "/"], SETUP, "descriptor 0 is no listening socket"),
    ],
)
def test_bad_option(guests, run, options, code, said):
    got, _, errors = end(run, guests.c("ends.c"), options=options)
    assert got == code and said in errors


@pytest.mark.parametrize("empty, code, said", [("/", 0, ""), ("/nowhere", SETUP, "can't open the directory '/nowhere'")])
def test_stand_in_of_the_listener(guests, run, empty, code, said):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = ["--listen-fd", str(listener.fileno()), "--empty", empty]
        got, _, errors = end(run, guests.c("ends.c"), "environment", options=options, pass_fds=[listener.fileno()])
    assert got == code and said in errors


def test_file_that_is_not_there(run, tmp_path):
    code, _, errors = end(run, tmp_path / "nowhere.wasm")
    assert code == READ and "No such file" in errors
    assert end(run, tmp_path)[0] == READ

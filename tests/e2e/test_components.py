# SPDX-License-Identifier: MIT
"""Components, which run in the stock wasmtime command: behind `wasmrun os`, and with `wasmrun run`."""

import concurrent.futures
import os
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.parse

import pytest

from harness.components import find_wasmtime, make
from harness.process import Process
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, gone, need_answers_behind_junk, need_nothing_left, need_wasmrun, run_os

HTTP, COMMAND = "http_component", "listen_component"
HELLO = {HTTP: "hello from a component\n", COMMAND: "hello from a command\n"}
KIND = {HTTP: "component-http", COMMAND: "component"}
BOTH = pytest.mark.parametrize("name", [HTTP, COMMAND])


@pytest.fixture(scope="module")
def wasmtime():
    need_wasmrun()
    return find_wasmtime()


@pytest.fixture
def start(lab, tmp_path, wasmtime):
    """`wasmrun os` on a component, with an engine where script/setup --components puts it."""
    (lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin").mkdir(parents=True)
    (lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin" / "wasmtime").symlink_to(wasmtime)

    def run(name, *args):
        return run_os(lab, make(tmp_path, name), *args, env={"PATH": "/usr/bin:/bin"})

    return run


@BOTH
def test_served(lab, start, name):
    instance, relay = start(name, "--env", "PASSWORD=hush"), lab.relay()
    app = instance.app()
    assert app["kind"] == KIND[name]
    assert fetch(app["url"]) == (200, HELLO[name])
    public = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    assert fetch(public) == (200, HELLO[name])
    # What anybody on the machine can read.
    assert b"hush" not in pathlib.Path(f"/proc/{app['pid']}/cmdline").read_bytes()


@BOTH
def test_port_outlives_a_crash(lab, start, name):
    """A visitor who comes while there is no instance waits for the next one, at the same port."""
    instance = start(name)
    app = instance.app()
    for _ in range(3):
        os.kill(instance.app()["pid"], signal.SIGKILL)
        assert fetch(app["url"]) == (200, HELLO[name])
        wait_for(lambda: instance.app()["state"] == "running", "it runs again")
    now = instance.app()
    assert now["url"] == app["url"] and now["restarts"] == 3
    instance.process.signal(signal.SIGINT)
    assert instance.process.wait_exit() == 0
    need_nothing_left(lab)


def test_own_port_is_ours(start):
    """Whatever address it binds, the socket that it gets is the one that visitors come to."""
    instance = start(COMMAND)
    pid, port = instance.app()["pid"], instance.app()["port"]
    inodes = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    tcp = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    own = {line[1] for line in tcp if f"socket:[{line[9]}]" in inodes and line[3] == "0A"}
    assert own == {f"0100007F:{port:04X}"}


def test_trap(start):
    instance = start(COMMAND)
    url = urllib.parse.urlsplit(instance.app()["url"])
    with socket.create_connection((url.hostname, url.port), DEADLINE) as visitor:
        visitor.sendall(b"X")
        assert visitor.recv(1) == b""
    wait_for(lambda: instance.app()["restarts"] == 1, "it is started again")
    told = "exit code 134: failed to invoke `run` function: wasm trap: wasm `unreachable` instruction executed"
    assert instance.app()["exit_reason"] == told
    instance.process.wait_line(r"wasm trap: wasm `unreachable` instruction executed")
    assert fetch(instance.app()["url"]) == (200, HELLO[COMMAND])


def test_visitors_behind_a_scanner(start):
    need_answers_behind_junk(start(COMMAND), KIND[COMMAND], (200, HELLO[COMMAND]))


def keep_busy(app):
    """Three requests that compute for ever, whose visitors have gone."""
    url = urllib.parse.urlsplit(app["url"])
    visitors = [socket.create_connection((url.hostname, url.port), DEADLINE) for _ in range(3)]
    for visitor in visitors:
        visitor.sendall(b"GET /compute HTTP/1.1\r\nHost: a\r\n\r\n")
    wait_for(lambda: cpu_seconds(app["pid"]) > 0.1, "they compute")
    for visitor in visitors:
        visitor.close()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_requests_that_compute_for_ever(start):
    """Three of them, from visitors who had gone, silenced the application for good, at all the processor that there was."""
    instance = start(HTTP, "--request-timeout", "5s")
    app = instance.app()
    keep_busy(app)
    # Others are served meanwhile, also those who wait for a while.
    assert fetch(app["url"]) == (200, HELLO[HTTP])
    assert fetch(app["url"], "/late") == (200, HELLO[HTTP])
    wait_for(lambda: instance.app()["restarts"] == 1, "they are ended")
    assert instance.app()["exit_reason"] == "ended because a request computes without end (--request-timeout 5 s)"
    assert fetch(app["url"]) == (200, HELLO[HTTP])
    pid = instance.wait_app("running")["pid"]
    assert pid != app["pid"] and cpu_seconds(pid) < 5


@pytest.mark.parametrize("how", ["stop", "restart", "end"])
def test_computing_holds_up_nothing(start, how):
    instance = start(HTTP, "--request-timeout", "none")
    app = instance.app()
    keep_busy(app)
    if how == "end":
        instance.process.signal(signal.SIGTERM)
        assert instance.process.wait_exit() == 0
    else:
        assert instance.ask("POST", f"/api/app/{how}").status == 200
    wait_for(lambda: gone(app["pid"]), "it has ended")
    if how == "restart":
        assert fetch(app["url"]) == (200, HELLO[HTTP])


def served_in_time(app, path="/", page=HELLO[HTTP]):
    """With a limit of a second: a machine may stand still for that, but not each time."""
    wait_for(lambda: fetch(app["url"], path) == (200, page), "it is answered before its time is over")


def test_visitor_who_waits_for_ever(start):
    """He and the log are told when the time is up, and his connection ends; others don't notice."""
    instance = start(HTTP, "--request-timeout", "1s")
    app = instance.app()
    assert fetch(app["url"], "/wait") == (504, "")
    instance.process.wait_line(r"wasmrun: no answer to 1 request in 1 s \(--request-timeout\): told so with 504$")
    served_in_time(app)
    assert instance.app()["pid"] == app["pid"]


def test_half_a_request(start):
    """One that never comes whole kept its connection, of which there are 1000, for good."""
    url = urllib.parse.urlsplit(start(HTTP, "--request-timeout", "1s").app()["url"])
    with socket.create_connection((url.hostname, url.port), DEADLINE) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost")
        assert b"".join(iter(lambda: visitor.recv(1000), b"")).startswith(b"HTTP/1.1 408 ")


def test_stream_has_no_limit(start):
    """An answer that has begun may take its time: two seconds of it, with a limit of one."""
    instance = start(HTTP, "--request-timeout", "1s")
    served_in_time(instance.app(), "/stream", 5 * HELLO[HTTP])


def test_too_many_requests_wait_for_ever(start):
    """The component keeps what it waits with, and would have no room for others in the end."""
    instance = start(HTTP, "--request-timeout", "1s")
    app = instance.app()
    with concurrent.futures.ThreadPoolExecutor(100) as visitors:
        assert {status for status, _ in visitors.map(lambda _: fetch(app["url"], "/wait"), range(100))} == {504}
    wait_for(lambda: instance.app()["restarts"] == 1, "it is started again")
    assert "too many requests wait" in instance.app()["exit_reason"]
    served_in_time(app)


def test_drain(start):
    """After SIGUSR1 an instance takes nobody any more: who comes then is served by the next one."""
    instance = start(COMMAND)
    first = instance.app()
    assert fetch(first["url"])[0] == 200
    os.kill(first["pid"], signal.SIGUSR1)
    served = []
    visitor = threading.Thread(target=lambda: served.append((fetch(first["url"]), instance.app()["pid"])))
    visitor.start()
    fds = pathlib.Path(f"/proc/{first['pid']}/fd")
    wait_for(lambda: len([1 for fd in fds.iterdir() if os.readlink(fd) == os.readlink(fds / "3")]) == 1, "it lets go")
    os.kill(first["pid"], signal.SIGKILL)
    visitor.join(2 * DEADLINE)
    assert served[0][0] == (200, HELLO[COMMAND]) and served[0][1] != first["pid"]


def refused(lab, module, path="/usr/bin:/bin"):
    """The line of a `wasmrun os` that ends without having run anything."""
    argv = ["env", f"PATH={path}", WASMRUN, "os", "-P", "0", module]
    process = lab.process(argv, "wasmrun", env={"XDG_CACHE_HOME": str(lab.folder / "cache")})
    assert process.wait_exit() == 12
    lines = [line for line in process.text().splitlines() if " error " in line]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data[:-1], "is truncated"),
        (lambda data: data.replace(b"wasi:http/incoming-handler@0.2.0", b"test:http/incoming-handler@0.2.0"),
         "is a component that is no application: it exports neither"),
        (lambda data: data[:8], "is a component that is no application"),
    ],
)
def test_bad_component(lab, tmp_path, change, says):
    need_wasmrun()
    module = make(tmp_path, HTTP)
    module.write_bytes(change(module.read_bytes()))
    assert says in refused(lab, module)


def test_missing_import(lab, tmp_path, wasmtime):
    """The engine's own words are in the log, and the first and the last cause in the reason."""
    module = make(tmp_path, COMMAND, lambda text: text.replace("wasi:sockets/tcp-create-socket@0.2.0", "a:b/c@0.1.0"))
    line = refused(lab, module, wasmtime.parent)
    assert "connection: exit code 1: component imports instance `a:b/c@0.1.0`, but a matching" in line
    assert line.endswith(": function implementation is missing")
    assert "component imports instance `a:b/c@0.1.0`" in lab.processes[-1].text()


def test_no_wasmtime(lab, tmp_path):
    need_wasmrun()
    line = refused(lab, make(tmp_path, HTTP), tmp_path)
    assert "'wasmtime' is not on PATH: the installer of wasmtime.dev brings it in a minute, or script/setup --components builds it" in line


def test_old_wasmtime(lab, tmp_path):
    need_wasmrun()
    old = tmp_path / "wasmtime"
    old.write_text("#!/bin/sh\necho wasmtime 48.0.0\n")
    old.chmod(0o700)
    line = refused(lab, make(tmp_path, HTTP), tmp_path)
    assert f"error app: a component needs the command wasmtime, version 48.0.1 or newer, and '{old}' is older: the installer of " in line


def test_static_wasmtime(tmp_path):
    """Nothing can be loaded into it, so nothing would seal it: `wasmrun run` has none of that either."""
    static = tmp_path / "wasmtime"
    static.write_bytes(b"\x7fELF\2\1".ljust(54, b"\0") + b"\x38".ljust(10, b"\0"))
    static.chmod(0o700)
    env = {**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([WASMRUN, "run", make(tmp_path, COMMAND)], capture_output=True, text=True, timeout=DEADLINE, env=env)
    assert done.returncode == 1 and f"'{static}' is statically linked, and can't be sealed" in done.stderr, done.stderr


@pytest.fixture
def run(tmp_path, wasmtime):
    started = []

    def begin(*args):
        env = {"XDG_CACHE_HOME": str(tmp_path), "PATH": f"{wasmtime.parent}:/usr/bin:/bin"}
        started.append(Process([WASMRUN, "run", *args], tmp_path, f"run{len(started)}", env=env))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


@BOTH
def test_run_listens(run, tmp_path, name):
    process = run("--listen", "127.0.0.1:0", make(tmp_path, name))
    port = process.wait_line(r"listening at 127\.0\.0\.1:(\d+)")[1][1]
    assert fetch(f"http://127.0.0.1:{port}") == (200, HELLO[name])


def test_run_trap(run, tmp_path):
    process = run("--listen", "127.0.0.1:0", make(tmp_path, COMMAND))
    port = int(process.wait_line(r"listening at 127\.0\.0\.1:(\d+)")[1][1])
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as visitor:
        visitor.sendall(b"X")
        assert process.wait_exit() == 134


def test_run_http_needs_an_address(tmp_path):
    need_wasmrun()
    done = subprocess.run([WASMRUN, "run", make(tmp_path, HTTP)], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2 and "it serves HTTP, and --listen says where" in done.stderr

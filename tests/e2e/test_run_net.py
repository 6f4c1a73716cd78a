# SPDX-License-Identifier: MIT
"""`wasmrun run --allow-net`: what a module reaches, and the process beside it that does it, which comes and goes with the module."""

import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import threading

import pytest

from harness.components import find_wasmtime
from harness.guests import needs_wall
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import broker, brokers, gone, need_wasmrun
from harness.world import API, CLOSED, OTHER, SECOND, WORDS, World

SENT = 3_000_000  # more than the buffers of a connection that is just open


@pytest.fixture(params=[pytest.param("wasmedge", marks=needs_wall), "component"])
def world(request, lab, net, guests, isolated):
    need_wasmrun()
    if request.param == "component":
        find_wasmtime()
    world = World(lab, net)
    world.words = WORDS[request.param]
    world.exit_code = 1 if request.param == "component" else 42  # WASI 0.2 knows no other one than that it failed
    world.module = guests.rust_component("outward_rust") if request.param == "component" else guests.c("outward.c")
    return world


def said(process, code=0):
    assert process.wait_exit() == code, process.text()
    return process.text("stdout").splitlines()


def test_nothing_by_default(world):
    """No rule, no process beside it, no line: nothing is reached."""
    process = world.run(world.module, f"/connect/{API}/{world.port}", "/udp", f"/hold/{API}/{world.port}")
    assert said(process) == [world.words.denied, world.words.udp, world.words.denied]
    assert not brokers(process) and "may not" not in process.text("stderr")


def test_everything_without_the_wall(world):
    """The control, and no broker is there either, whatever the rules."""
    process = world.run(world.module, f"/connect/{API}/{world.port}", "/udp", options=["--no-isolation", "--allow-net", OTHER])
    assert said(process) == ["greetings", world.words.opened] and not brokers(process)
    assert "--no-isolation" in process.text("stderr")


def test_rules(world):
    """What is allowed, by name, address and network; the rest gets its error, and a line with the rule that would allow it."""
    wishes = [
        f"/connect/api.example.test/{world.port}", f"/connect/93.184.216.10/{world.port}", f"/connect/api.example.test/{CLOSED}",
        f"/connect/other.example.test/{world.port}", f"/connect/{OTHER}/{world.port}", f"/connect/inward.example.test/{world.port}", "/exit/42"]
    rules = ["--allow-net", "api.example.test", "--allow-net", "93.184.216.0/24", "--allow-net", "inward.example.test"]
    process = world.run(world.module, *wishes, options=rules)
    words = world.words
    assert said(process, world.exit_code) == ["greetings", "greetings", words.closed, words.unknown, words.denied, words.denied]
    for asked, remedy in (
        ("other.example.test", "other.example.test"), (f"{OTHER}:{world.port}", f"{OTHER}:{world.port}"),
        (f"inward.example.test:{world.port}", f"10.1.2.3:{world.port}")):
        process.wait_line(rf"warn network: the application may not connect to '{re.escape(asked)}': .*allow '{re.escape(remedy)}'")
    wait_for(lambda: not brokers(process), "the broker is gone")


def test_denied(world):
    process = world.run(world.module, f"/connect/{API}/{world.port}", options=["--allow-net", "*", "--deny-net", API])
    assert said(process) == [world.words.denied]
    process.wait_line(rf"'{API}:{world.port}': '{API}' \(--deny-net\) denies it")


def test_hosts_loopback_and_ports_of_its_own(world):
    port = world.listen(world.space, "127.0.0.1")
    options = ["--allow-net", f"localhost:{port}", "--bind-port", SECOND]
    wishes = [f"/connect/localhost/{port}", f"/connect/127.0.0.1/{port + 1}", f"/bind/{SECOND}", f"/bind/{SECOND + 1}"]
    process = world.run(world.module, *wishes, options=options)
    assert said(process) == ["greetings", world.words.closed, "its own", world.words.bind]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_listener(world, host):
    """Its visitors come by --listen; it reaches itself by what it calls that, where that is at 127.0.0.1, and never what else is there."""
    process = world.run(world.module, options=["--listen", f"{host}:0", "--allow-net", API, "--bind-port", SECOND])
    port = int(process.wait_line(r"listening at \S+:(\d+)$")[1][1])
    world.url = f"http://127.0.0.1:{port}"
    assert world.ask(f"/connect/{API}/{world.port}") == "greetings"
    assert world.ask(f"/bind/{SECOND}") == "its own"
    assert world.ask(f"/connect/127.0.0.1/{port}") == world.words.closed  # the host's number is none of its ports
    pid = broker(process)
    process.signal(signal.SIGTERM)
    process.wait_exit()
    wait_for(lambda: gone(pid), "the broker is gone")
    with world.space.entered(), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), DEADLINE)


def test_what_it_has_written_arrives(world):
    """The module ends as soon as it has written; who reads slowly has all of it, and then the end."""
    go, got = threading.Event(), []

    def slow(sock):
        assert go.wait(DEADLINE)
        while data := sock.recv(65536):
            got.append(len(data))
        got.append(0)

    port = world.listen(world.outside, "0.0.0.0", slow)
    process = world.run(world.module, f"/send/{API}/{port}/{SENT}", options=["--allow-net", API])
    threading.Timer(0, lambda: (process.child.wait(DEADLINE), go.set())).start()
    go.wait(5)  # it may need a reader to come to its end
    go.set()
    assert process.wait_exit() == 0
    wait_for(lambda: got and not got[-1], "the end has come")
    assert sum(got) == SENT
    wait_for(lambda: not brokers(process), "the broker is gone")


def held(world, *options, **how):
    """A module that has a connection and waits; its broker; the end of the connection as seen outside."""
    ended = threading.Event()

    def keep(sock):
        try:
            while sock.recv(100):
                pass
        except OSError:
            pass
        ended.set()

    port = world.listen(world.outside, "0.0.0.0", keep)
    process = world.run(world.module, f"/hold/{API}/{port}", options=["--allow-net", API, *options], **how)
    process.wait_line("^held$")
    return process, broker(process), ended


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_signal(world, number):
    process, pid, ended = held(world, stdin=subprocess.PIPE)
    process.signal(number)
    assert process.wait_exit() == -number
    wait_for(lambda: gone(pid), "the broker is gone")
    assert ended.wait(DEADLINE)


def test_broker_that_is_killed(world):
    """Its end is no end of the module, which has no connections from then on."""
    process, pid, ended = held(world, stdin=subprocess.PIPE)
    os.kill(pid, signal.SIGKILL)
    assert ended.wait(DEADLINE) and process.alive()
    process.child.stdin.close()
    assert said(process) == ["held", "let go 0" if world.words is WORDS["wasmedge"] else "let go"]


def test_nobody_is_left_to_reap(world):
    """The broker is a child of nobody's here, has a session of its own, and of the user's descriptors standard error alone."""
    process, pid, _ = held(world, stdin=subprocess.PIPE)
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    parent, session = int(fields[1]), int(fields[3])
    assert parent not in (process.pid, os.getpid()) and session != os.getsid(process.pid)
    engine, fds = pathlib.Path(f"/proc/{process.pid}/fd"), pathlib.Path(f"/proc/{pid}/fd")
    assert [os.readlink(fds / one) for one in "01"] == ["/dev/null"] * 2
    assert os.readlink(fds / "2") == os.readlink(engine / "2")
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    assert not children
    process.child.stdin.close()
    process.wait_exit()


def test_pipe_closes(world):
    """`wasmrun run … 2>&1 | cat` ends with the module, though a connection's other side goes on."""
    release = threading.Event()
    port = world.listen(world.outside, "0.0.0.0", lambda sock: (sock.recv(100), release.wait(10 * DEADLINE)))
    process = world.run(world.module, f"/send/{API}/{port}/1", options=["--allow-net", API])
    wait_for(lambda: not process.streams_open, "both pipes are closed")
    assert process.wait_exit() == 0
    release.set()
    wait_for(lambda: not brokers(process), "the broker is gone")


def test_terminal(world):
    """Ctrl-C at the terminal is the module's; both end."""
    ended = threading.Event()
    port = world.listen(world.outside, "0.0.0.0", lambda sock: (sock.recv(100), ended.set()))
    master, slave = pty.openpty()
    process = world.run(world.module, f"/hold/{API}/{port}", options=["--allow-net", API], wrap=["setsid", "--ctty", "--wait"], stdin=slave)
    os.close(slave)
    process.wait_line("^held$")
    pid = broker(process)
    os.write(master, b"\x03")
    wait_for(lambda: gone(pid), "the broker is gone")
    assert ended.wait(DEADLINE) and process.wait_exit() == signal.SIGINT  # as setsid(1) tells it
    os.close(master)

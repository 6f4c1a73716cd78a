# SPDX-License-Identifier: MIT
"""wasmrun-guest on SIGUSR1: no new visitor, those who are there are served to their end, then it exits with 0."""

import os
import signal
import socket
import time

import pytest

from harness.guests import GUEST, Run, compiled
from harness.lab import ROOT
from harness.wait import DEADLINE

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")

IDLE_S = 1  # DRAIN_IDLE_MS
REQUEST = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class Server:
    """A server in a guest, and a listening socket of the test's own on the same queue, as its successor has."""

    def __init__(self, module, folder):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE)
        number = self.listener.fileno()
        os.set_inheritable(number, True)
        (folder / "empty").mkdir()
        options = [*compiled(module), "--listen-fd", number, "--empty", folder / "empty"]
        self.run = Run(module, folder=folder, listen=False, options=options, pass_fds=(number,))
        self.process = self.run.process

    def connect(self):
        return socket.create_connection(self.listener.getsockname(), DEADLINE)

    def drain(self):
        self.process.signal(signal.SIGUSR1)

    def successor_accepts(self):
        """Makes a connection, which the guest must leave to who comes next."""
        with self.connect() as visitor:
            accepted, address = self.listener.accept()
            accepted.close()
            assert address == visitor.getsockname()


GO = pytest.param("go", marks=pytest.mark.toolchain)


@pytest.fixture(params=["c", GO])
def module(request, guests):
    return guests.c(ROOT / "examples" / "hello-c" / "hello.c") if request.param == "c" else guests.go("http_go")


@pytest.fixture
def server(module, tmp_path):
    server = Server(module, tmp_path)
    yield server
    server.listener.close()
    assert not server.process.stop()


def ask(visitor, number):
    """A request and its whole answer."""
    visitor.sendall(REQUEST % number)
    return answer(visitor)


def more(visitor):
    part = visitor.recv(4096)
    if not part:
        raise EOFError("the connection ended")
    return part


def answer(visitor):
    got = b""
    while b"\r\n\r\n" not in got:
        got += more(visitor)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    while len(body) < length:
        body += more(visitor)
    return head.split(b"\r\n")[0], body


def test_idle_connections_end_and_the_process_too(server):
    spare = server.connect()
    with server.connect() as visitor:
        assert ask(visitor, 1)[0] == b"HTTP/1.1 200 OK"
        server.drain()
        assert visitor.recv(1) == b"" and spare.recv(1) == b""
        server.successor_accepts()
    spare.close()
    assert server.process.wait_exit() == 0


def test_visitors_who_ask_on_are_served(server):
    """For longer than an idle connection would last; the signal comes twice."""
    with server.connect() as visitor:
        ask(visitor, 0)
        server.drain()
        asked = [time.monotonic()]
        while asked[-1] < asked[0] + 2:
            asked.append(time.monotonic())
            n = len(asked)
            try:
                assert b"/%d" % n in ask(visitor, n)[1]
            except (EOFError, OSError):
                if time.monotonic() - asked[-2] < IDLE_S:
                    raise
                break  # this machine stood still, and his connection was an idle one
            if n == 3:
                server.drain()
        else:
            server.successor_accepts()
            assert visitor.recv(1) == b""
    assert server.process.wait_exit() == 0


def test_half_a_request_is_waited_for(server):
    with server.connect() as visitor:
        ask(visitor, 0)
        request = REQUEST % 7
        visitor.sendall(request[:10])
        server.drain()
        server.successor_accepts()
        visitor.settimeout(1.5)
        with pytest.raises(TimeoutError):
            visitor.recv(1)
        visitor.settimeout(DEADLINE)
        visitor.sendall(request[10:])
        assert answer(visitor)[0] == b"HTTP/1.1 200 OK"
        assert visitor.recv(1) == b""
    assert server.process.wait_exit() == 0


@pytest.mark.parametrize("module", [GO], indirect=True)
def test_a_pause_in_an_answer_is_no_idleness(server):
    """A server that answers slowly reads on, to see whether the visitor is still there: it must not be told the end."""
    with server.connect() as visitor:
        visitor.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        first = visitor.recv(4096)
        while not first.endswith(b"first"):
            first += visitor.recv(4096)
        server.drain()
        assert visitor.recv(100) == b"-last"
        assert visitor.recv(100) == b""
    assert server.process.wait_exit() == 0


def test_without_visitors_it_ends_at_once(server):
    with server.connect() as visitor:
        ask(visitor, 1)
    server.drain()
    assert server.process.wait_exit() == 0
    server.successor_accepts()


def test_sigterm_ends_a_drain(server):
    with server.connect() as visitor:
        visitor.sendall(REQUEST % 1)
        answer(visitor)
        visitor.sendall(b"GET")
        server.drain()
        server.successor_accepts()
        server.process.signal(signal.SIGTERM)
        assert server.process.wait_exit() == -signal.SIGTERM


def test_blocking_accept(guests, tmp_path):
    """A Rust server waits in accept(2) itself: there is nothing that it could still do."""
    server = Server(guests.rust("echo_rust"), tmp_path)
    with server.connect() as visitor, visitor.makefile("rb") as reply:
        visitor.sendall(b"one")
        visitor.shutdown(socket.SHUT_WR)
        assert reply.read() == b"rust one"
    server.drain()
    assert server.process.wait_exit() == 0
    server.successor_accepts()
    server.listener.close()

# SPDX-License-Identifier: MIT
"""wasmrun-guest: programs that make their sockets themselves, by the calls that WasmEdge gave preview 1."""

import contextlib
import os
import signal
import socket
import threading

import pytest

from harness.apps import free_port
from harness.guests import GUEST
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import fetch

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")


@pytest.fixture(params=[1, 2], ids=["first", "second"])
def build(request, guests):
    """Builds for one of the two generations of the calls."""
    flags = ["-DV2"] if request.param == 2 else []
    return lambda source: guests.c(source, f"{source[:-2]}_{request.param}", *flags)


def test_its_port_is_the_listener_it_was_given(build, run):
    reader, writer = os.pipe()
    server = run(build("wasmedge_http.c"), options=["--status-fd", str(writer), "--env", "PORT=1"], pass_fds=(writer,))
    os.close(writer)
    with os.fdopen(reader, "rb") as status:
        assert status.readline() == b"\n"
    url = "http://{}:{}".format(*server.address)
    assert [fetch(url, f"/{i}") for i in range(3)] == [(200, f"wasmedge GET /{i} HTTP/1.1\n") for i in range(3)]
    with server.connect(DEADLINE) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert visitor.recv(100).startswith(b"HTTP/1.1 200 OK")
        server.process.signal(signal.SIGUSR1)
        assert visitor.recv(100) == b""
    assert server.process.wait_exit() == 0


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_without_a_listener_it_binds_for_real(build, run):
    port = free_port()
    taken = socket.create_server(("127.0.0.1", 0))
    module = build("wasmedge_http.c")
    run(module, listen=False, options=["--env", f"PORT={port}"])
    wait_for(lambda: listens(port), "the server listens")
    assert fetch(f"http://127.0.0.1:{port}/")[1] == "wasmedge GET / HTTP/1.1\n"
    with taken:
        assert run(module, listen=False, options=["--env", f"PORT={taken.getsockname()[1]}"]).process.wait_exit() == 1


def test_each_call(build, run):
    def greet():
        for _ in range(2):
            # The second time the guest closes without having read.
            with service.accept()[0] as connection, contextlib.suppress(ConnectionResetError):
                connection.sendall(b"hello")
                while connection.recv(100):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as service:
        service.settimeout(DEADLINE)
        greeter = threading.Thread(target=greet, daemon=True)
        greeter.start()
        server = run(build("wasmedge_calls.c"), str(service.getsockname()[1]))
        server.process.wait_line("^listening$")
        with server.connect(DEADLINE) as visitor:
            assert visitor.recv(100) == b"visit"
        assert server.process.wait_exit() == 0, server.process.tail()
        assert server.process.text("stdout") == "listening\npassed"

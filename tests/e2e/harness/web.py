# SPDX-License-Identifier: MIT
"""wasmrun-guest as a web server, and visitors of it who needn't be polite."""

import collections
import http.client
import os
import signal
import socket

from .guests import Run
from .wait import DEADLINE

Answer = collections.namedtuple("Answer", "status headers body")


class Web:
    """One server. The test keeps the listening socket, as whoever comes next would."""

    def __init__(self, folder, mode, path, *args, options=()):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        number = self.listener.fileno()
        os.set_inheritable(number, True)
        self.reading, writing = os.pipe()
        options = [mode, "--listen-fd", number, "--status-fd", writing, *options]
        self.process = Run(
            path, *args, folder=folder, listen=False, options=options, pass_fds=(number, writing)).process
        os.close(writing)

    def wait(self):
        """Until it takes connections."""
        assert os.read(self.reading, 2) == b"\n", self.process.tail()
        return self

    def connect(self):
        return socket.create_connection(self.address, DEADLINE)

    def ask(self, path, method="GET", body=None, headers=None, connection=None):
        connection = connection or http.client.HTTPConnection(*self.address, timeout=DEADLINE)
        connection.putrequest(method, path)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        try:
            connection.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have been refused before it was read
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())

    def raw(self, data):
        """All that comes back, up to the end."""
        with self.connect() as visitor, visitor.makefile("rb") as replies:
            visitor.sendall(data)
            return replies.read()

    def drain(self):
        self.process.signal(signal.SIGUSR1)
        self.process.wait_line("taking no more connections")

    def close(self):
        os.close(self.reading)
        self.listener.close()
        return self.process.stop()

# SPDX-License-Identifier: MIT
"""The applications behind the tunnels: a listening socket and a thread for each connection."""

import socket
import threading

from .streams import CHUNK, Threads
from .wait import DEADLINE


class App:
    """`handler(sock)` runs for each connection; what it raises is kept in `failures`."""

    def __init__(self, handler, host="127.0.0.1", backlog=4096):
        self.handler, self.threads = handler, Threads()
        self.listener = socket.create_server((host, 0), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.accepted, self.changed = 0, threading.Condition()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(10 * DEADLINE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                self.accepted += 1
                self.changed.notify_all()
            self.threads.start(self._run, sock)

    def _run(self, sock):
        with sock:
            self.handler(sock)

    def wait_accepted(self, count, deadline=DEADLINE):
        with self.changed:
            assert self.changed.wait_for(lambda: self.accepted >= count, deadline), (
                f"{self.accepted} of {count} connections reached the application"
            )

    def close(self):
        # Without it the thread in accept() keeps the port listening.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


def echo(sock):
    """Sends everything back; passes the end on."""
    try:
        while data := sock.recv(CHUNK):
            sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the visitor is the one who complains


def sink(sock):
    """Reads and says nothing."""
    try:
        while sock.recv(CHUNK):
            pass
    except OSError:
        pass


def hold(sock):
    """Keeps the connection until the other side ends it."""
    sink(sock)


def free_port(host="127.0.0.1"):
    """A port that nobody listens on, the kernel's choice."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]

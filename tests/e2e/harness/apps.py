# SPDX-License-Identifier: MIT
"""The applications behind the tunnels: a listening socket and a thread for each connection."""

import errno
import random
import socket
import threading

from .streams import CHUNK, Threads
from .wait import DEADLINE


def listen(host, port=0, backlog=4096):
    """A listening socket. Port 0 is the kernel's choice or, when load has left all of those in TIME_WAIT, one below them."""
    return _listen(host, [0, *_below()] if port == 0 else [port], backlog)


def _below():
    """Ports that the kernel gives to nobody by itself."""
    return random.sample(range(10_000, 32_000), 20)


def _listen(host, choices, backlog=4096):
    for choice in choices:
        try:
            return socket.create_server((host, choice), backlog=backlog)
        except OSError as failure:
            if failure.errno != errno.EADDRINUSE:
                raise
            taken = failure
    raise taken


class App:
    """`handler(sock)` runs for each connection; what it raises is kept in `failures`."""

    def __init__(self, handler, host="127.0.0.1", backlog=4096):
        self.handler, self.threads = handler, Threads()
        self.listener = listen(host, backlog=backlog)
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


def told(tell, answers=False):
    """Reads; sends it back if it `answers`; and tells ("end" or "reset", all that was said) of each connection."""

    def application(sock):
        said = b""
        try:
            while data := sock.recv(CHUNK):
                said += data
                if answers:
                    sock.sendall(data)
        except OSError:
            tell(("reset", said))
        else:
            tell(("end", said))

    return application


def hold(sock):
    """Keeps the connection until the other side ends it."""
    sink(sock)


def free_port(host="127.0.0.1"):
    """A port that nobody listens on, and that nobody who connects is given before it is used."""
    with _listen(host, _below()) as sock:
        return sock.getsockname()[1]

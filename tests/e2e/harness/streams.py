# SPDX-License-Identifier: MIT
"""Bytes through sockets: generated, sent, received, compared. Every socket has a deadline."""

import contextlib
import random
import socket
import struct
import threading

from .wait import DEADLINE

CHUNK = 1 << 18


def pattern(seed, size):
    """Random bytes that are the same for the same seed."""
    return random.Random(seed).randbytes(size)


def connect(address, deadline=DEADLINE, rcvbuf=None):
    """`rcvbuf` is set before the connection is made, which is what bounds the window."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(deadline)
        # Made, and over: its FIN and its reset were both there before the answer was asked for (tcp_reset()). It reads as ended.
        with contextlib.suppress(BrokenPipeError):
            sock.connect(address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def recv_exact(sock, size):
    data = bytearray(size)
    view, have = memoryview(data), 0
    while have < size:
        got = sock.recv_into(view[have:], min(CHUNK, size - have))
        if not got:
            raise AssertionError(f"the stream ended after {have} of {size} bytes")
        have += got
    return bytes(data)


def recv_all(sock):
    """Everything up to the end of the stream."""
    parts = []
    while part := sock.recv(CHUNK):
        parts.append(part)
    return b"".join(parts)


def ended(sock):
    """Waits for the end of the stream, by FIN or reset; data in between is a failure."""
    try:
        data = sock.recv(1)
    except (ConnectionResetError, BrokenPipeError):
        return True
    assert data == b"", f"bytes where the end was expected: {data!r}"
    return True


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Threads:
    """Threads whose failures are the test's: join() raises the first."""

    def __init__(self):
        self.threads, self.failures = [], []

    def start(self, target, *args):
        def run():
            try:
                target(*args)
            except BaseException as failure:  # handed to the test
                self.failures.append(failure)

        thread = threading.Thread(target=run, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def join(self, deadline=DEADLINE):
        for thread in self.threads:
            thread.join(deadline)
        if self.failures:
            raise self.failures[0]
        assert not any(thread.is_alive() for thread in self.threads), f"still busy after {deadline:g} s"


@contextlib.contextmanager
def threads(deadline=DEADLINE):
    group = Threads()
    yield group
    group.join(deadline)


def duplex(sock, out, size_in, finish=True):
    """Sends `out` and receives at once. With `finish`, sends the end as well and expects `size_in` bytes and the end."""
    with threads(10 * DEADLINE) as group:
        def send():
            sock.sendall(out)
            if finish:
                sock.shutdown(socket.SHUT_WR)

        group.start(send)
        data = recv_exact(sock, size_in)
        if finish:
            assert sock.recv(1) == b"", "more bytes than were sent"
    return data


def ping(address, data=b"ping", deadline=DEADLINE):
    """One short connection to an echo application."""
    with connect(address, deadline) as sock:
        sock.sendall(data)
        assert recv_exact(sock, len(data)) == data
        sock.shutdown(socket.SHUT_WR)
        assert recv_all(sock) == b""

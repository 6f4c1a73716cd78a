# SPDX-License-Identifier: MIT
"""Warm connections by hand, after docs/protocol.md: the client's end and the relay's."""

import socket
import struct
import uuid

from .streams import reset
from .wait import wait_for
from .wire import FakeRelay, RawClient, frame

DATA, END, RAW, TAKEN = 1, 2, 3, 4


def block(kind, data=b"", length=None):
    """`length`: another one than there are bytes."""
    return struct.pack(">I", kind << 24 | (len(data) if length is None else length)) + data


def read_block(conn):
    """(kind, bytes); None at the end of the stream."""
    if not conn.data and not conn.fill():
        return None
    head = struct.unpack(">I", conn.stream(4))[0]
    return head >> 24, conn.stream(head & 0xFFFFFF)


def read_data(conn, size):
    """So many bytes of the stream, in as many blocks as they come."""
    got = b""
    while len(got) < size:
        kind, data = read_block(conn)
        assert kind == DATA, (kind, got)
        got += data
    assert len(got) == size, got
    return got


def read_visitor(conn):
    """The frame that gives a visitor; None at the end of the stream."""
    message = conn.recv()
    return message and message["Visitor"]["id"]


class WarmClient(RawClient):
    """A client that parks as many connections as it is told, and does on them what a test wants."""

    def __init__(self, relay, secret=None, ready=64, port=0, **options):
        super().__init__(relay, secret)
        self.granted = self.hello(port, {"visitor": True, "ready": ready, **options})
        self.key = self.granted.get("key")

    def park_all(self, count):
        """So many more that the relay holds, when this returns."""
        before = self.relay.metrics()["bore_ready_parked"]
        conns = [self.dial() for _ in range(count)]
        wait_for(lambda: self.relay.metrics()["bore_ready_parked"] >= before + count, "they are parked")
        return conns

    def park(self):
        return self.park_all(1)[0]

    def dial(self, key=None, behind=b""):
        """One that says Ready, whatever becomes of it; `behind` goes out in the same write."""
        conn = RawClient(self.relay, self.secret)
        conn.authenticate()
        conn.send_raw(frame({"Ready": key or self.key}) + behind)
        return conn

    def announced(self):
        """The id of the next visitor who is announced on the control connection."""
        return self.recv_but()["Visitor"]["id"]


class WarmRelay(FakeRelay):
    """A relay for one client, that grants it warm connections."""

    def __init__(self, ready=64):
        super().__init__()
        self.key, self.ready = str(uuid.uuid4()), ready

    def welcome(self):
        """The control connection, with its handshake done."""
        conn = self.accept()
        assert "Hello" in conn.recv()
        offered = conn.recv()["Options"]
        conn.send({"Hello": 9000}, {"Options": {"visitor": True, "ready": min(self.ready, offered["ready"]), "key": self.key}})
        conn.beat()
        return conn

    def parked(self):
        """The next one that is parked."""
        conn = self.accept()
        assert conn.recv() == {"Ready": self.key}
        return conn


def give(conn, *blocks, number=0):
    """Gives the connection a visitor, with what he has said."""
    visitor = str(uuid.UUID(int=1 << 120 | number))
    conn.send_raw(frame({"Visitor": {"id": visitor, "from": "192.0.2.1:50000"}}) + b"".join(blocks))
    return visitor


def fin(conn):
    """An ordinary end, of both directions."""
    conn.sock.shutdown(socket.SHUT_RDWR)
    conn.close()


def rst(conn):
    reset(conn.sock)



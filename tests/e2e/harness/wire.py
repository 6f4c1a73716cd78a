# SPDX-License-Identifier: MIT
"""The bore wire as raw bytes, written from stock bore's source and on purpose without any code of ours: both dialects, both ends."""

import contextlib
import hashlib
import hmac
import json
import re
import threading
import time
import uuid

from .apps import listen
from .streams import connect
from .wait import DEADLINE, TimeLimit

STOCK_PORT = 7835  # of the control port, which its client can't be told

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
HEARTBEAT = b'"Heartbeat"'


def encode(message):
    """The frame's own bytes, without its NUL."""
    return json.dumps(message, separators=(",", ":")).encode()


def frame(*messages):
    return b"".join(encode(message) + b"\0" for message in messages)


def tag(secret, challenge):
    """The answer to a challenge: hex of HMAC-SHA256(SHA-256(secret), the UUID's raw bytes)."""
    key = hashlib.sha256(secret.encode()).digest()
    return hmac.new(key, uuid.UUID(challenge).bytes, hashlib.sha256).hexdigest()


class Conn:
    """One connection of either end, read frame by frame or line by line."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""
        self.sock.settimeout(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, *messages):
        self.sock.sendall(frame(*messages))

    def beat(self):
        """From now on there is a word from us now and then, however long the test takes: a client gives up a relay that is silent."""

        def run():
            with contextlib.suppress(OSError):
                while True:
                    self.send("Heartbeat")
                    time.sleep(1)

        threading.Thread(target=run, daemon=True).start()

    def send_raw(self, data):
        self.sock.sendall(data)

    def fill(self):
        """Reads once. False at the end of the stream, be it a reset."""
        try:
            part = self.sock.recv(65536)
        except ConnectionResetError:
            part = b""
        self.data += part
        return bool(part)

    def raw(self, end=b"\0"):
        """The next frame's bytes without their end mark; None at the end of the stream."""
        while end not in self.data:
            if not self.fill():
                assert not self.data, f"the stream ended in the middle: {self.data!r}"
                return None
        first, self.data = self.data.split(end, 1)
        return first

    def recv(self):
        """The next message; None at the end."""
        data = self.raw()
        return None if data is None else json.loads(data)

    def recv_but(self, *skip):
        """The next message that is not one of `skip` (Heartbeat by default)."""
        skip = skip or ("Heartbeat",)
        while True:
            message = self.recv()
            if message not in skip:
                return message

    def line(self):
        return self.raw(b"\n")

    def line_but_ping(self):
        while (line := self.line()) == b"PING":
            pass
        return line

    def stream(self, size):
        """The next `size` raw bytes."""
        while len(self.data) < size:
            assert self.fill(), f"the stream ended after {self.data!r}"
        data, self.data = self.data[:size], self.data[size:]
        return data

    def at_end(self):
        """Reads on to the end of the stream; true if nothing came."""
        while self.fill():
            pass
        return self.data == b""

    def drain(self):
        """Everything up to the end of the stream."""
        while self.fill():
            pass
        data, self.data = self.data, b""
        return data


class RawClient(Conn):
    """A client of the JSON dialect, step by step."""

    def __init__(self, relay, secret=None):
        super().__init__(connect(relay.control))
        self.relay, self.secret, self.port = relay, secret, None

    def authenticate(self):
        if self.secret is not None:
            challenge = self.recv()
            self.send({"Authenticate": tag(self.secret, challenge["Challenge"])})

    def hello(self, port=0, options=None):
        """Opens the tunnel; returns the server's Options, or None when `options` is None."""
        self.authenticate()
        self.send({"Hello": port}, *([] if options is None else [{"Options": options}]))
        answer = self.recv()
        assert "Hello" in answer, answer
        self.port = answer["Hello"]
        if options is None:
            return None
        return self.recv_but()["Options"]

    @property
    def public(self):
        return self.relay.host, self.port

    def visitor(self):
        """The next announced visitor."""
        message = self.recv_but()
        assert re.fullmatch(UUID, message["Connection"]), message
        return message["Connection"]

    def accept(self, visitor, extra=b""):
        """Claims the visitor on a new connection; `extra` goes out in the same write."""
        conn = RawClient(self.relay, self.secret)
        conn.authenticate()
        conn.send_raw(frame({"Accept": visitor}) + extra)
        return conn


class FakeRelay:
    """A listening socket that plays the relay by hand."""

    def __init__(self, host="127.0.0.1", port=0):
        self.listener = listen(host, port)
        self.host, self.control_port = self.listener.getsockname()[:2]

    @property
    def to(self):
        """Stock bore's client takes no port here, and knows but its own."""
        return self.host if self.control_port == STOCK_PORT else f"{self.host}:{self.control_port}"

    def accept(self, deadline=DEADLINE):
        self.listener.settimeout(deadline)
        sock, _ = self.listener.accept()
        return Conn(sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.listener.close()


def collect(fake, proc, reply, deadline=4 * DEADLINE):
    """Serves `reply` to every connection until the client process ends; returns what each connection said."""
    heard, limit = [], TimeLimit(deadline)
    while proc.alive() and not limit.over():
        try:
            conn = fake.accept(0.2)
        except TimeoutError:
            continue
        with conn:
            try:
                conn.send_raw(reply)
                heard.append(conn.drain())
            except OSError:  # reset by the client, or it waits for more than we have to say
                heard.append(conn.data)
    assert not proc.alive(), "the client did not give up"
    return heard

# SPDX-License-Identifier: MIT
"""Peers who mean harm, and a tunnel beside them that must not notice."""

import contextlib
import re
import signal
import socket
import threading
import time

import pytest

from harness.lab import WAYS
from harness.streams import connect, pattern, ping, recv_exact, reset
from harness.wait import DEADLINE, SANITIZER, SCALE, wait_for
from harness.wire import RawClient, frame

MIB = 1 << 20


class Witness:
    """A visitor of a tunnel who talks all the time and remembers the longest pauses."""

    def __init__(self, address):
        self.sock = connect(address, 4 * DEADLINE)
        self.pauses, self.rounds, self.failure, self.stopped = [], 0, None, threading.Event()
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()
        wait_for(lambda: self.rounds or self.failure, "the witness talks")

    def _talk(self):
        try:
            while not self.stopped.wait(0.005):
                data = pattern(self.rounds, 200)
                begin = time.monotonic()
                self.sock.sendall(data)
                assert recv_exact(self.sock, len(data)) == data
                if time.monotonic() - begin >= 3 * SCALE:
                    self.pauses.append(time.monotonic() - begin)
                self.rounds += 1
        except BaseException as failure:
            self.failure = failure

    def stop(self):
        self.stopped.set()
        self.thread.join(4 * DEADLINE)
        self.sock.close()
        if self.failure:
            raise self.failure
        assert self.rounds > 0
        # A round trip takes well under a millisecond. A machine may stand still now and then; a relay that waits for one of
        # these peers, which have three seconds each, does so for all of them, or until they give up: closed_in_time().
        assert len(self.pauses) < 3 and max(self.pauses, default=0) < 20 * SCALE, f"round trips took {self.pauses} s"


@pytest.fixture(params=[None, "s3cret"], ids=["open", "secret"])
def place(lab, request):
    """A relay with a tunnel in use; afterwards both are as before."""
    relay = lab.relay(secret=request.param, metrics=True)
    relay.secret = request.param
    client = lab.client(relay, lab.app(), secret=request.param)
    ping(client.public)
    before = relay.fds_in_use(relay.process)
    witness = Witness(client.public)
    yield relay, client
    witness.stop()
    ping(client.public)
    assert relay.process.alive() and client.process.alive()
    assert not client.process.find("Reconnecting")
    wait_for(lambda: relay.fds_in_use(relay.process) <= before + 2, "the relay's descriptors are back", 2 * DEADLINE)


def serves(address):
    try:
        ping(address)
    except (OSError, AssertionError):
        return False
    return True


def try_send(sock, data):
    """As much as the peer takes."""
    with contextlib.suppress(OSError):
        sock.sendall(data)


def closed_in_time(sock):
    """The peer ends it, and says at most an error."""
    sock.settimeout(40 * SCALE)
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            said += part
    return said


def test_slow_loris(place):
    """Hundreds of connections that send a byte now and then: each is ended by its deadline, and others get in."""
    relay, client = place
    crowd = []
    for _ in range(400):
        with contextlib.suppress(OSError):
            crowd.append(connect(relay.control))
    message = frame({"Hello": 0})
    begin = time.monotonic()
    for byte in message[:6]:
        for sock in crowd:
            with contextlib.suppress(OSError):
                sock.send(bytes([byte]))
        ping(client.public, deadline=4 * DEADLINE)
    for sock in crowd:
        closed_in_time(sock)
        sock.close()
    assert time.monotonic() - begin < 4 * DEADLINE, "one after the other it would be 20 minutes"


HELLO_TLS = bytes.fromhex(
    "16030100c8010000c40303" + "5a" * 32 + "20" + "a5" * 32 + "0006130113021303010000750000000e000c0000096c6f63616c686f7374"
)

HOSTILE = {
    "garbage": bytes(range(1, 256)) * 40,
    "tls": HELLO_TLS,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/8\r\nAccept: */*\r\n\r\n",
    "http-post": b"POST /api HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000,
    "zeros": bytes(100000),
    "frames": frame("Heartbeat") * 5000,
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nested": b"[" * 100000,
    "line-feed": b"\n" * 100000,
    "hello-again": b"HELLO 1\n" * 5000,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_not_our_protocol(place, data):
    relay, _ = place
    for _ in range(20):
        with connect(relay.control) as sock:
            try_send(sock, data)
            said = closed_in_time(sock)
            assert b"Hello" not in said and b"OK " not in said


def test_10_mb_without_an_end(place):
    relay, _ = place
    before = relay.process.private_kb()
    for start in (b"{", b"H", b"\x00", b"x"):
        with connect(relay.control) as sock:
            try_send(sock, start + b"x" * 10_000_000)
            closed_in_time(sock)
    if not SANITIZER:
        assert relay.process.private_kb() < before + 4000


def test_connect_and_close_storms(place):
    """On the control port and on the public one, by FIN and by reset."""
    relay, client = place
    for number in range(500 if SANITIZER else 2000):
        for address in (relay.control, client.public):
            sock = connect(address)
            reset(sock) if number % 2 else sock.close()
    # The last of the storm may still fill --max-pending.
    wait_for(lambda: serves(client.public), "new visitors are served again")


def test_hello_and_go(place):
    """Tunnels that come and go without a pause: every port is given back."""
    relay, _ = place
    for number in range(200):
        conn = RawClient(relay, relay.secret)
        conn.hello()
        reset(conn.sock) if number % 2 else conn.close()


def test_client_that_does_not_read(place):
    """Its own heartbeats and announcements pile up: it is dropped, or bounded, and nobody else waits."""
    relay, client = place
    with RawClient(relay, relay.secret) as conn:
        conn.hello()
        visitors = []
        for _ in range(300):
            with contextlib.suppress(OSError):
                visitors.append(connect(conn.public))
        ping(client.public)
        for sock in visitors:
            sock.close()


def test_garbage_to_the_client_through_the_public_port(place):
    """Visitors' bytes are data, whatever they look like."""
    _, client = place
    for data in HOSTILE.values():
        ping(client.public, data[:60000])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["copy", "splice"])
def test_fairness_on_one_worker(lab, flood, path, way):
    """A conversation beside four bulk streams, which have no end, gets its turns, and they aren't stopped for it."""
    app = lab.process([flood, "serve"], "app")
    port = int(app.wait_line(r"listening at \S+:(\d+)")[1][1])
    relay = lab.relay(path=path, args=("--workers", 1), way=way)
    client = lab.client(relay, port, path=path, args=("--workers", 1))
    bulk = lab.process([flood, "bulk", client.host, client.port, 4, 100 * MIB], "bulk")
    bulk.wait_line("started")
    if way == "warm":
        relay.wait_parked()
    given = relay.metrics()["bore_ready_given_total"]
    # Expected are a few milliseconds each: a turn of seconds would not let it come to its end on any machine.
    assert lab.process([flood, "ping", client.host, client.port, 250], "ping").wait_exit(4 * DEADLINE) == 0
    assert relay.metrics()["bore_ready_given_total"] == given + (way == "warm")
    bulk.signal(signal.SIGTERM)
    bulk.wait_line("moved=", 4 * DEADLINE)


def test_log_is_not_theirs(lab):
    """What a peer says is escaped where it is logged, and a storm does not fill the disk."""
    relay = lab.relay(args=("-v",))
    for _ in range(20):
        with connect(relay.control) as sock:
            try_send(sock, b'{"\x1b[2J\nerror relay: fake":1}\0')
            closed_in_time(sock)
    with RawClient(relay) as conn:
        conn.hello(options={"refuse": True})
        with connect(conn.public):
            conn.send({"Refuse": {"id": conn.visitor(), "why": "\x1b[2J\nerror relay: fake"}})
            with connect(conn.public):
                conn.visitor()
    text = relay.process.text()
    assert "\x1b" not in text
    assert not re.search(r"^error relay: fake", text, re.M)


def test_half_open_data_connections(place):
    """Accept for a visitor, then nothing: both ends idle, nothing spins."""
    relay, _ = place
    with RawClient(relay, relay.secret) as conn:
        conn.hello()
        with connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream:
            cpu, begin = relay.process.cpu(), time.monotonic()
            stream.sock.shutdown(socket.SHUT_WR)
            assert visitor.recv(1) == b""
            visitor.settimeout(1)
            with contextlib.suppress(TimeoutError):
                stream.sock.settimeout(1)
                stream.sock.recv(1)
            # The witness talks all the while; a spin would be a whole core.
            assert relay.process.cpu() - cpu < 0.7 * SCALE * (time.monotonic() - begin)

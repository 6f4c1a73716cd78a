# SPDX-License-Identifier: MIT
"""Warm connections at the client, against a relay by hand: how many it opens, whom it serves on them, and what it bears."""

import contextlib
import queue
import re
import signal
import socket
import threading
import time

import pytest

from harness.apps import free_port, told
from harness.lab import read_metrics
from harness.streams import pattern, reset
from harness.wait import DEADLINE, SANITIZER, TimeLimit, wait_for
from harness.warm import DATA, END, RAW, TAKEN, block, read_block
from harness.wire import Conn, FakeRelay, frame, tag

SECRET = "s3cret"
CHALLENGE = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
KEYS = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "bbbbbbbb-bbbb-4ccc-8ddd-eeeeeeeeeeee"
VISITOR = "0f7d1a52-3c1e-4c8e-9d1f-5b1c2f3a4b5c"
FROM = "192.0.2.1:50000"
PORT = 54321
# Of src/tunnel/dial_budget.h.
BUDGET, DIALS_PER_S = 128, 64
GIVEN = {"Visitor": {"id": VISITOR, "from": FROM}}


class Warm(Conn):
    """A connection that the client has made ready."""

    def give(self, *blocks):
        self.send_raw(frame(GIVEN) + b"".join(blocks))

    def serve(self, text=b"hello"):
        """A whole visitor of an application that echoes."""
        self.give(block(DATA, text), block(END))
        assert read_block(self) == (TAKEN, b"")
        assert self.read() == text

    def read(self):
        """What comes up to the END."""
        got = b""
        while (said := read_block(self)) != (END, b""):
            assert said[0] == DATA
            got += said[1]
        return got


class Fake(FakeRelay):
    """The relay. A data connection is an Accept or a Ready, and comes when the client likes."""

    def __init__(self, secret=None):
        super().__init__()
        self.secret, self.control = secret, None

    def challenge(self, conn):
        if self.secret:
            conn.send({"Challenge": CHALLENGE})
            assert conn.recv() == {"Authenticate": tag(self.secret, CHALLENGE)}

    def greet(self, key=KEYS[0], ready=64, **options):
        """A session; returns what the client offered for it."""
        while True:
            self.control = self.accept()
            self.challenge(self.control)
            said = self.control.recv()
            if "Hello" in said:
                break
            # One that was under way as the last session ended.
            assert "Ready" in said
        offered = self.control.recv()["Options"]
        self.control.send({"Hello": PORT}, {"Options": {"visitor": True, "refuse": True, "ready": ready, "key": key, **options}})
        self.control.beat()
        return offered

    def data(self, deadline=DEADLINE):
        """The next data connection, and what it says."""
        conn = Warm(self.accept(deadline).sock)
        self.challenge(conn)
        return conn, conn.recv()

    def warm(self, key=KEYS[0]):
        conn, said = self.data()
        assert said == {"Ready": key}
        return conn


@pytest.fixture
def fake():
    with Fake() as fake:
        yield fake


def start(lab, fake, app=None, **how):
    return lab.start_client(fake, app or lab.app(), secret=fake.secret, **how)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["open", "secret"])
def test_one_serves_many(lab, secret):
    app = lab.app()
    with Fake(secret) as fake:
        start(lab, fake, app)
        assert fake.greet()["ready"] == 64
        with fake.warm(), fake.warm() as conn:
            for n in range(1, 6):
                conn.serve(pattern(n, n * 1000))
                app.wait_accepted(n)


def test_descriptors_are_left_for_visitors(lab, fake):
    """After a crowd those that waited had all of them, and the next visitors were turned away."""
    start(lab, fake, wrap=("prlimit", "--nofile=64:64"))
    assert fake.greet()["ready"] == 16
    # And of a relay that grants more than it was asked for.
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(fake.warm()) for _ in range(2)]
        for _ in range(20):
            conns[1].serve()
        conns += [stack.enter_context(fake.warm()) for _ in range(14)]
        with pytest.raises(TimeoutError):
            fake.accept(0.5)


def test_none_where_the_relay_grants_none(lab, fake):
    start(lab, fake)
    fake.greet(ready=0)
    fake.control.send({"Connection": VISITOR})
    conn, said = fake.data()
    with conn:
        assert said == {"Accept": VISITOR}


def test_taken_is_said_before_the_application_is_dialled(lab, fake):
    """Nobody listens there: he is taken, gets his end, and nothing is refused."""
    start(lab, fake, free_port())
    fake.greet()
    with fake.warm() as conn:
        conn.give(block(DATA, b"hello"))
        assert read_block(conn) == (TAKEN, b"")
        assert conn.read() == b""
        assert conn.at_end()
    with fake.warm() as conn:
        conn.give()
        assert read_block(conn) == (TAKEN, b"")
        assert conn.read() == b""


def test_visitor_right_behind_the_one_before(lab, fake):
    app = lab.app()
    start(lab, fake, app)
    fake.greet()
    with fake.warm() as conn:
        visit = frame(GIVEN) + block(DATA, b"hello") + block(END)
        conn.send_raw(3 * visit)
        for _ in range(3):
            assert read_block(conn) == (TAKEN, b"")
            assert conn.read() == b"hello"
    app.wait_accepted(3)


def test_as_many_as_visitors_came(lab, fake):
    """Two at first; while three have visitors, three wait; and never more than the relay takes."""
    start(lab, fake, lab.app())
    fake.greet(ready=5)
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(fake.warm()) for _ in range(2)]
        for n in range(3):
            conns[n].give()
            assert read_block(conns[n]) == (TAKEN, b"")
            # One to take its place, and one for the further visitor, from the third one on.
            conns.append(stack.enter_context(fake.warm()))
        # 3 serve and 2 wait; the others come back: there is no room for a sixth.
        conns[3].serve()
        conns[4].serve()
        with pytest.raises(TimeoutError):
            fake.accept(0.5)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"garbage that isn't JSON", id="garbage"),
        pytest.param(b"\0", id="nothing"),
        pytest.param(b"{" * 300, id="too long"),
        pytest.param(frame({"Visitor": {"from": FROM}}), id="no id"),
        pytest.param(frame("Heartbeat"), id="another message"),
        pytest.param(frame({"Error": "\x1b[2Jgo away"}), id="Error"),
        pytest.param(block(DATA, b"hello"), id="blocks"),
    ],
)
def test_what_names_no_visitor(lab, fake, said):
    """The connection is closed, nobody gets to the application, and another is made."""
    app = lab.app()
    start(lab, fake, app)
    fake.greet()
    with fake.warm() as bad, fake.warm() as good:
        bad.send_raw(said)
        assert bad.drain() == b""
        # What has served shows that it isn't the relay.
        good.serve()
        with fake.warm() as other:
            other.serve()
    app.wait_accepted(2)
    assert app.accepted == 2


def test_visitor_without_an_address_is_served(lab, fake):
    start(lab, fake)
    fake.greet()
    with fake.warm() as conn:
        conn.send_raw(frame({"Visitor": {"id": VISITOR, "from": "nowhere"}}) + block(END))
        assert read_block(conn) == (TAKEN, b"")
        assert conn.read() == b""


def test_frame_that_trickles_in(lab, fake):
    """Byte by byte is fine; one that doesn't come to its end in 3 s isn't waited for."""
    start(lab, fake)
    fake.greet()
    with fake.warm() as slow, fake.warm() as stuck:
        stuck.send_raw(frame(GIVEN)[:-1])
        slow.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in frame(GIVEN):
            slow.send_raw(bytes([byte]))
        slow.send_raw(block(END))
        assert read_block(slow) == (TAKEN, b"")
        assert slow.read() == b""
        assert stuck.at_end()
        slow.serve()


def test_relay_that_closes_each_at_once(lab, fake):
    """A backoff, no loop; one line in the log; and those who are announced are served. When it keeps them, two wait again."""
    process = start(lab, fake)
    fake.greet()
    dials, limit, deadline = 0, TimeLimit(3), TimeLimit()
    while not limit.over() or (dials < 3 and not deadline.over()):
        with contextlib.suppress(TimeoutError):
            conn, said = fake.data(0.5)
            assert said == {"Ready": KEYS[0]}
            conn.close()
            dials += 1
    assert 3 <= dials <= 25
    process.wait_line(r"warn.* no connection can be kept ready at the relay: the relay has closed it; .*--max-ready-total")
    fake.control.send({"Visitor": {"id": VISITOR, "from": FROM}})
    accepted = None
    while not accepted:
        conn, said = fake.data()
        if "Accept" in said:
            accepted = conn
        else:
            conn.close()
    with accepted:
        accepted.send_raw(b"hello")
        assert accepted.stream(5) == b"hello"
    # One is tried; what it serves shows that all is well.
    with fake.warm() as first:
        first.serve()
        with fake.warm() as second:
            second.serve()
    assert len(re.findall("can be kept ready", process.text())) == 1


def test_relay_that_gives_and_cuts(lab, fake):
    """Each connection that waits is given a visitor, and reset when he is taken: the client dialled as fast as that was done. Now those who are lost
    have a budget, and whoever is announced meanwhile is served. A relay that serves its visitors to their end never meets it."""
    app = lab.app()
    start(lab, fake, app)
    fake.greet()
    began, dials, limit = time.monotonic(), 0, None
    # At first the client dials what it is asked for: all of its budget, however slow this machine is.
    while limit is None or not limit.over():
        try:
            conn = fake.warm()
        except TimeoutError:
            continue
        dials += 1
        conn.give()
        assert read_block(conn) == (TAKEN, b"")
        reset(conn.sock)
        if dials == BUDGET and limit is None:
            limit = TimeLimit(2)
    assert dials <= BUDGET + (time.monotonic() - began + 1) * DIALS_PER_S
    fake.control.send({"Visitor": {"id": KEYS[1], "from": FROM}})
    while "Ready" in (said := fake.data())[1]:
        said[0].close()
    conn, accept = said
    with conn:
        assert accept == {"Accept": KEYS[1]}
        conn.send_raw(b"hello")
        assert conn.stream(5) == b"hello"


def test_parked_that_end_in_order_are_made_anew(lab, fake):
    """As the relay does with those that have served and are old."""
    start(lab, fake)
    fake.greet()
    with fake.warm() as conn, fake.warm() as other:
        conn.serve()
        other.serve()
    for _ in range(2):
        with fake.warm() as conn:
            conn.serve()


def test_session_that_ends(lab, fake):
    """What waits is closed, what serves goes on, and is closed then; the new session's have its key."""
    start(lab, fake)
    fake.greet()
    with fake.warm() as waits, fake.warm() as serves:
        serves.give(block(DATA, b"hello"))
        assert read_block(serves) == (TAKEN, b"")
        assert read_block(serves) == (DATA, b"hello")
        fake.control.close()
        assert waits.at_end()
        fake.greet(KEYS[1])
        with fake.warm(KEYS[1]) as new:
            new.serve()
        serves.send_raw(block(DATA, b"again") + block(END))
        assert serves.read() == b"again"
        assert serves.at_end()


def test_session_that_moves(lab, fake):
    """A relay that hands over may have given a visitor, whose frame comes later: the client closed what waited, and he was reset.
    The relay closes what is parked."""
    process = start(lab, fake)
    fake.greet(move=True)
    with fake.warm() as late, fake.warm() as other:
        fake.control.send("Move")
        assert fake.control.at_end()
        fake.greet(KEYS[1])
        with fake.warm(KEYS[1]) as new, fake.warm(KEYS[1]):
            late.serve(b"late")
            assert late.at_end(), "it isn't used again"
            other.sock.shutdown(socket.SHUT_WR)
            assert other.at_end()
            new.serve(b"new")
    assert process.alive()


def test_key_that_changes_within_a_session(lab, fake):
    start(lab, fake)
    fake.greet()
    with fake.warm() as first, fake.warm() as second:
        fake.control.send({"Options": {"visitor": True, "ready": 64, "key": KEYS[1]}})
        assert first.at_end()
        assert second.at_end()
        with fake.warm(KEYS[1]) as new:
            new.serve()


def test_stopped_client(lab, fake):
    """While it was stopped the relay has closed one that waited, and taken a visitor back from the other. Neither reaches the
    application: he was announced elsewhere by then."""
    app = lab.app()
    process = start(lab, fake, app)
    fake.greet()
    with fake.warm() as idle, fake.warm() as given:
        process.halt()
        given.give()
        given.sock.shutdown(socket.SHUT_WR)
        idle.sock.shutdown(socket.SHUT_WR)
        process.signal(signal.SIGCONT)
        assert given.drain() == b""
        assert idle.drain() == b""
        with fake.warm() as conn:
            conn.serve()
    assert app.accepted == 1


def test_visitor_who_says_something_and_is_cut(lab, fake):
    """His bytes went into this connection, so he is served nowhere else: they are delivered, and the cut is a reset."""
    heard = []

    process = start(lab, fake, lab.app(told(heard.append)))
    fake.greet()
    with fake.warm() as given:
        process.halt()
        given.give(block(DATA, b"hello"))
        given.sock.shutdown(socket.SHUT_WR)
        process.signal(signal.SIGCONT)
        wait_for(lambda: heard == [("reset", b"hello")], "the application has both")


def test_client_that_ends(lab, fake):
    process = start(lab, fake)
    fake.greet()
    with fake.warm() as first, fake.warm() as second:
        first.serve()
        process.signal(signal.SIGTERM)
        assert first.at_end()
        assert second.at_end()
    assert process.wait_exit() == 0


@pytest.mark.parametrize("ready", [1 << 31, (1 << 63) - 1], ids=["2^31", "2^63-1"])
def test_relay_that_grants_without_measure(lab, fake, ready):
    """Two are opened, as ever, and 64 at most."""
    start(lab, fake)
    fake.greet(ready=ready)
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(fake.warm()) for _ in range(2)]
        for _ in range(80):
            conns[1].serve()
        for _ in range(62):
            stack.enter_context(fake.warm())
        with pytest.raises(TimeoutError):
            fake.accept(0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"ready": 64, "key": KEYS[0][:-1]},
        {"ready": 64, "key": KEYS[0] + "a"},
        {"ready": 64, "key": ""},
        {"ready": 64, "key": "x" * 36},
        {"ready": 64, "key": 1},
        {"ready": "64", "key": KEYS[0]},
    ],
    ids=["key short", "key long", "no key", "key of no hex", "key no text", "ready no number"],
)
def test_grant_that_is_none(lab, fake, options):
    """No message of bore: the session is lost, no connection names such a key, and the next session is as it should be."""
    process = start(lab, fake)
    control = fake.accept()
    assert "Hello" in control.recv() and "Options" in control.recv()
    control.send({"Hello": PORT}, {"Options": options})
    process.wait_line("what is no message of bore")
    assert fake.greet()["ready"] == 64
    with fake.warm() as conn:
        conn.serve()


@pytest.mark.parametrize("options", [{"ready": 64}, {"ready": -1, "key": KEYS[0]}], ids=["no key", "below 0"])
def test_grant_of_none(lab, fake, options):
    start(lab, fake)
    control = fake.accept()
    assert "Hello" in control.recv() and "Options" in control.recv()
    control.send({"Hello": PORT}, {"Options": options}, {"Connection": VISITOR})
    assert fake.data()[1] == {"Accept": VISITOR}


def test_visitors_without_end(lab, fake):
    """A thousand in a row on one connection, said at once, and on another a frame that is never whole: each of the thousand is
    served, in his turn, on the memory of one."""
    app = lab.app()
    process = start(lab, fake, app)
    fake.greet()
    with fake.warm() as endless, fake.warm() as conn:
        endless.send_raw(frame(GIVEN)[:-2])
        conn.serve()
        before = process.private_kb()
        sender = threading.Thread(target=conn.send_raw, args=(1000 * (frame(GIVEN) + block(DATA, b"hello") + block(END)),))
        sender.start()
        for _ in range(1000):
            assert read_block(conn) == (TAKEN, b"")
            assert conn.read() == b"hello"
        sender.join()
        # A sanitizer keeps for a while what was freed.
        assert SANITIZER or process.private_kb() - before < 8192
    app.wait_accepted(1001)


def test_what_is_given_is_cut_at_each_byte(lab, fake):
    """The application hears of him once his frame is whole and something behind it is there; and the end of his stream is an
    ordinary one only behind his END."""
    ends = queue.SimpleQueue()

    start(lab, fake, lab.app(told(ends.put)))
    fake.greet()
    head, data = len(frame(GIVEN)), block(DATA, b"hello")
    whole = frame(GIVEN) + data + block(END)
    for cut in range(1, len(whole) + 1):
        with fake.warm() as conn:
            # One that has served is no trouble when it ends.
            conn.give(block(END))
            assert read_block(conn) == (TAKEN, b"") and conn.read() == b""
            assert ends.get(timeout=DEADLINE) == ("end", b"")
            conn.send_raw(whole[:cut])
            conn.sock.shutdown(socket.SHUT_WR)
            if cut <= head:
                # He may be served before the end of the connection is seen.
                said = conn.drain()
                assert said == b"" or (cut == head and said == block(TAKEN))
                if said:
                    assert ends.get(timeout=DEADLINE) == ("reset", b"")
                continue
            heard = ends.get(timeout=DEADLINE)
            assert heard == ("end" if cut == len(whole) else "reset", b"hello"[: max(0, cut - head - 4)]), cut
    assert ends.empty()


def test_bulk_is_raw_and_not_used_again(lab, fake):
    """What a direction says in RAW ends with TCP's own end."""
    start(lab, fake, lab.app(lambda sock: sock.sendall(pattern(1, 4 << 20))))
    fake.greet()
    with fake.warm() as conn:
        conn.give(block(END))
        assert read_block(conn) == (TAKEN, b"")
        got = b""
        while (said := read_block(conn))[0] == DATA:
            got += said[1]
        assert said == (RAW, b"")
        assert got + conn.drain() == pattern(1, 4 << 20)


def test_cut_is_a_reset_for_the_application(lab, fake):
    """TCP's ordinary end without END isn't the end of the stream."""
    ends = []

    start(lab, fake, lab.app(told(ends.append)))
    fake.greet()
    with fake.warm() as cut, fake.warm() as whole:
        cut.give(block(DATA, b"hello"))
        assert read_block(cut) == (TAKEN, b"")
        cut.close()
        wait_for(lambda: ends == [("reset", b"hello")], "the application sees a reset")
        whole.give(block(DATA, b"hello"), block(END))
        assert read_block(whole) == (TAKEN, b"")
        assert whole.read() == b""
        assert ends == [("reset", b"hello"), ("end", b"hello")]


def test_counted_as_all_visitors(lab, fake):
    port = free_port()
    start(lab, fake, args=("--metrics", f"127.0.0.1:{port}", "--verbose"))
    fake.greet()
    with fake.warm() as conn:
        conn.serve()
        conn.serve()
    wait_for(lambda: read_metrics(port)["bore_connections_total"] == 2, "both are counted")

# SPDX-License-Identifier: MIT
"""Warm connections where something goes wrong: no visitor's bytes come twice or to another, and what was cut doesn't look whole."""

import collections
import contextlib
import pathlib
import select
import signal
import socket
import threading
import time
import uuid

import pytest

from harness.apps import echo, told
from harness.netns import unusable
from harness.streams import connect, ended, pattern, ping, recv_all, recv_exact, reset, threads
from harness.wait import DEADLINE, SANITIZER, TimeLimit, wait_for
from harness.warm import DATA, END, RAW, TAKEN, WarmClient, WarmRelay, block, fin, give, read_block, read_data, read_visitor, rst
from harness.wire import RawClient, frame

needs_net = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
DEATHS = pytest.mark.parametrize("die", [fin, rst], ids=["fin", "rst"])
CLOSE_WAIT = "08"  # in /proc/net/tcp


def was_reset(sock, before=b""):
    """Whether the stream ends with a reset, behind these bytes; an ordinary end is a lie."""
    got = b""
    try:
        while data := sock.recv(65536):
            got += data
    except (ConnectionResetError, BrokenPipeError):
        assert got == before
        return True
    raise AssertionError(f"an ordinary end behind {got!r}")


@pytest.fixture
def relay(lab):
    return lab.relay(metrics=True)


def serve_old_way(client, visitor_id, visitor):
    """An announced visitor is served over a connection of his own."""
    with client.accept(visitor_id) as conn:
        visitor.sendall(b"old way")
        assert conn.stream(7) == b"old way"
        conn.send_raw(b"well")
        assert recv_exact(visitor, 4) == b"well"


# A client that fails, and our relay.


def test_by_hand(relay):
    """The positive control: two visitors, one behind the other, on one connection, byte for byte."""
    with WarmClient(relay) as client, client.park() as warm:
        for number in range(2):
            with connect((relay.host, client.port)) as visitor:
                visitor.sendall(b"hello")
                assert read_visitor(warm)
                warm.send_raw(block(TAKEN))
                assert read_data(warm, 5) == b"hello"
                warm.send_raw(block(DATA, b"h") + block(DATA, b"i") + block(END))
                assert recv_all(visitor) == b"hi"
                visitor.shutdown(socket.SHUT_WR)
                assert read_block(warm) == (END, b"")
            wait_for(lambda: relay.metrics()["bore_ready_parked"] == 1, "it is parked again")
        assert relay.metrics()["bore_ready_given_total"] == 2


@DEATHS
def test_dies_parked(relay, die):
    with WarmClient(relay) as client:
        die(client.park())
        with connect((relay.host, client.port)) as visitor:
            serve_old_way(client, client.announced(), visitor)
        assert relay.metrics()["bore_ready_missed_total"] == 1


def test_speaks_while_parked(relay):
    """What a client says unasked would be the next visitor's."""
    with WarmClient(relay) as client, client.park() as warm:
        warm.send_raw(block(TAKEN) + block(DATA, b"not yours") + block(END))
        with connect((relay.host, client.port)) as visitor:
            serve_old_way(client, client.announced(), visitor)
        assert warm.at_end()


@DEATHS
def test_dies_given(relay, die):
    """He hasn't said a word: he is announced, and nothing was lost."""
    with WarmClient(relay) as client:
        warm = client.park()
        with connect((relay.host, client.port)) as visitor:
            given = read_visitor(warm)
            die(warm)
            assert client.announced() == given
            serve_old_way(client, given, visitor)


@DEATHS
def test_dies_given_with_a_request(relay, die):
    """He has spoken, and the client may have heard it: a request isn't delivered twice."""
    with WarmClient(relay) as client:
        warm = client.park()
        with connect((relay.host, client.port)) as visitor:
            visitor.sendall(b"POST /pay")
            read_visitor(warm)
            assert read_data(warm, 9) == b"POST /pay"
            die(warm)
            assert was_reset(visitor)
        with connect((relay.host, client.port)) as next_one:
            serve_old_way(client, client.announced(), next_one)


@pytest.mark.parametrize("said", [b"", b"POST /pay"], ids=["silent", "request"])
def test_never_takes(relay, said):
    """The time for it ends; what comes then is as if it had died."""
    with WarmClient(relay) as client, client.park() as warm, connect((relay.host, client.port)) as visitor:
        visitor.sendall(said)
        given = read_visitor(warm)
        assert not said or read_data(warm, len(said)) == said
        if said:
            assert was_reset(visitor)
        else:
            assert client.announced() == given
            serve_old_way(client, given, visitor)
        assert warm.at_end()
        wait_for(lambda: relay.metrics()["bore_ready_untaken_total"] == 1, "it is counted")


@DEATHS
@pytest.mark.parametrize("said", [b"", b"half an ans"], ids=["taken", "data"])
def test_dies_before_the_end(relay, die, said):
    with WarmClient(relay) as client:
        warm = client.park()
        with connect((relay.host, client.port)) as visitor:
            visitor.sendall(b"?")
            read_visitor(warm)
            assert read_data(warm, 1) == b"?"
            warm.send_raw(block(TAKEN) + (block(DATA, said) if said else b""))
            assert recv_exact(visitor, len(said)) == said
            die(warm)
            assert was_reset(visitor)


@DEATHS
def test_dies_in_a_block(relay, die):
    """Within the bytes of a block, and within its head."""
    for piece in (block(DATA, b"abc", length=10), block(DATA, b"abc") + b"\1\0"):
        with WarmClient(relay) as client:
            warm = client.park()
            with connect((relay.host, client.port)) as visitor:
                read_visitor(warm)
                warm.send_raw(block(TAKEN) + piece)
                assert recv_exact(visitor, 3) == b"abc"
                die(warm)
                assert was_reset(visitor)


def test_reset_behind_its_end(relay):
    """The answer is whole, and the visitor still sends: his bytes have nobody."""
    with WarmClient(relay) as client:
        warm = client.park()
        with connect((relay.host, client.port)) as visitor:
            read_visitor(warm)
            warm.send_raw(block(TAKEN) + block(DATA, b"whole") + block(END))
            assert recv_all(visitor) == b"whole"
            rst(warm)

            def noticed():
                try:
                    visitor.sendall(b"x")
                except (ConnectionResetError, BrokenPipeError):
                    return True

            wait_for(noticed, "the visitor is reset")


@DEATHS
def test_dies_between_two_visitors(relay, die):
    with WarmClient(relay) as client:
        warm = client.park()
        with connect((relay.host, client.port)) as visitor:
            read_visitor(warm)
            warm.send_raw(block(TAKEN) + block(END))
            visitor.shutdown(socket.SHUT_WR)
            assert recv_all(visitor) == b""
            assert read_block(warm) == (END, b"")
        die(warm)
        with connect((relay.host, client.port)) as visitor:
            serve_old_way(client, client.announced(), visitor)


@pytest.mark.parametrize("early", [True, False], ids=["with-the-end", "behind-the-end"])
def test_words_behind_the_end(relay, early):
    """They are nobody's: the connection isn't given to the next visitor."""
    more = block(TAKEN) + block(DATA, b"of another")
    with WarmClient(relay) as client, client.park() as warm:
        with connect((relay.host, client.port)) as visitor:
            read_visitor(warm)
            warm.send_raw(block(TAKEN) + block(DATA, b"a") + block(END) + (more if early else b""))
            assert recv_all(visitor) == b"a"
            visitor.shutdown(socket.SHUT_WR)
            if not early:
                assert read_block(warm) == (END, b"")
                warm.send_raw(more)
        with connect((relay.host, client.port)) as visitor:
            serve_old_way(client, client.announced(), visitor)


def test_raw_ends_as_tcp_does(relay):
    with WarmClient(relay) as client:
        for die, end in ((fin, lambda visitor: recv_all(visitor) == b""), (rst, was_reset)):
            warm = client.park()
            with connect((relay.host, client.port)) as visitor:
                read_visitor(warm)
                warm.send_raw(block(TAKEN) + block(DATA, b"a") + block(RAW) + b"\1\0\0\1")
                assert recv_exact(visitor, 5) == b"a\1\0\0\1"
                if die is fin:
                    warm.sock.shutdown(socket.SHUT_WR)
                else:
                    die(warm)
                assert end(visitor)
            warm.close()
        assert relay.metrics()["bore_ready_parked"] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        block(DATA, b"early"),
        block(END),
        block(TAKEN) + block(TAKEN),
        block(TAKEN) + block(DATA),
        block(TAKEN) + block(END, length=1) + b"x",
        block(TAKEN) + block(RAW, length=1) + b"x",
        block(TAKEN) + block(0, b"x"),
        block(TAKEN) + block(5, b"x"),
        block(TAKEN) + block(255, length=0xFFFFFF),
        block(TAKEN, length=1) + b"x",
        b'{"Visitor":{}}\0',
    ],
    ids=["data-first", "end-first", "taken-twice", "no-data", "long-end", "long-raw", "type-0", "type-5", "type-255", "long-taken", "json"],
)
def test_wrong_blocks(relay, wrong):
    """A reset for this visitor, and for nobody else."""
    with WarmClient(relay) as client:
        bad, good = client.park_all(2)
        with connect((relay.host, client.port)) as other:
            read_visitor(good)
            good.send_raw(block(TAKEN))
            with connect((relay.host, client.port)) as visitor:
                visitor.sendall(b"?")
                read_visitor(bad)
                bad.send_raw(wrong)
                assert was_reset(visitor)
                assert bad.drain() in (b"", block(DATA, b"?"))
            other.sendall(b"ping")
            assert read_data(good, 4) == b"ping"


def test_half_a_request_is_reset(relay):
    """A visitor who is gone before his end: the client must not take it for one."""
    with WarmClient(relay) as client, client.park() as warm:
        visitor = connect((relay.host, client.port))
        visitor.sendall(b"half")
        read_visitor(warm)
        warm.send_raw(block(TAKEN))
        assert read_data(warm, 4) == b"half"
        reset(visitor)
        assert read_block(warm) is None


# Who parks too much, and what of whom.


def test_parks_too_many(lab, relay):
    """Those over the limit are closed, and the relay is no larger for them."""
    total = 2000
    ping(lab.client(relay, lab.app()).public)
    with WarmClient(relay, ready=4096) as client:
        assert client.granted["ready"] == 64
        parked = client.park_all(64)
        before = relay.process.private_kb()
        for _ in range(total // 100):
            crowd = [client.dial() for _ in range(100)]
            assert all(ended(conn.sock) for conn in crowd)
            for conn in crowd:
                conn.close()
        assert relay.metrics()["bore_ready_refused_total"] == total
        if not SANITIZER:
            assert relay.process.private_kb() - before < 2000
        with connect((relay.host, client.port)):
            assert read_visitor(parked[-1])


def test_keys(lab):
    """A key is good for one session, while it lasts, and only behind the secret."""
    relay = lab.relay(secret="s3cret", metrics=True)
    with WarmClient(relay, "s3cret") as first, WarmClient(relay, "s3cret") as second:
        keys_hold(relay, first, second)


def keys_hold(relay, first, second):
    for name, key in (("unknown", str(uuid.uuid4())), ("none", str(uuid.UUID(int=0)))):
        assert ended(first.dial(key).sock), name
    stranger = RawClient(relay)
    stranger.recv()
    stranger.send({"Ready": first.key})
    assert "Error" in (stranger.recv() or {"Error": ""})
    mine, his = first.park(), second.park()
    with connect((relay.host, first.port)) as visitor:
        visitor.sendall(b"for the first")
        assert read_visitor(mine)
        assert read_data(mine, 13) == b"for the first"
        with connect((relay.host, first.port)) as another:
            # What the second has parked isn't for him.
            mine.send_raw(block(TAKEN))
            serve_old_way(first, first.announced(), another)
    key = first.key
    first.close()
    wait_for(lambda: relay.metrics()["bore_tunnels"] == 1, "the first is gone")
    assert ended(second.dial(key).sock)
    with connect((relay.host, second.port)) as visitor:
        visitor.sendall(b"for the second")
        assert read_visitor(his)
        assert read_data(his, 14) == b"for the second"


# A relay that fails, and our client.


@pytest.fixture
def warm_relay(lab):
    """(the relay, its control connection, two that are parked, the application's connections, the client)"""
    heard = collections.deque()

    app = lab.app(told(heard.append, answers=True))
    with WarmRelay() as fake:
        process = lab.start_client(fake, app)
        control = fake.welcome()
        warm = [fake.parked() for _ in range(2)]
        yield fake, control, warm, heard, process


def whole_visit(conn, data, number=0):
    """A visitor who says this, ends, and hears it again; the connection then waits for another."""
    give(conn, block(DATA, data), block(END), number=number)
    assert read_block(conn) == (TAKEN, b"")
    assert read_data(conn, len(data)) == data
    assert read_block(conn) == (END, b"")


def test_relay_by_hand(warm_relay):
    """The positive control: visitors one behind the other, each with a connection to the application."""
    _, _, (warm, _), heard, _ = warm_relay
    for number in range(5):
        whole_visit(warm, b"visitor %d" % number, number)
    wait_for(lambda: len(heard) == 5, "the application has heard all")
    assert [(how, said) for how, said in heard] == [("end", b"visitor %d" % number) for number in range(5)]


@pytest.mark.parametrize("die", [fin, rst, lambda conn: conn.sock.shutdown(socket.SHUT_WR)], ids=["fin", "rst", "half-close"])
@pytest.mark.parametrize("cut", [block(DATA, b"half a request"), block(DATA, b"half a request", length=90), block(DATA, b"half a request") + b"\1\0"], ids=["between", "in-data", "in-head"])
def test_relay_dies_in_a_request(warm_relay, die, cut):
    """The application must not take it for a whole one."""
    fake, _, (warm, other), heard, _ = warm_relay
    give(warm, cut)
    assert read_block(warm) == (TAKEN, b"")
    assert read_data(warm, 14) == b"half a request"
    die(warm)
    wait_for(lambda: heard, "the application has heard the end")
    assert heard[0] == ("reset", b"half a request")
    whole_visit(other, b"still there")


def test_next_visitor_in_the_same_segment(warm_relay):
    """His frame comes with the END of the one before."""
    _, _, (warm, _), heard, _ = warm_relay
    give(warm, block(DATA, b"first"))
    assert read_block(warm) == (TAKEN, b"")
    assert read_data(warm, 5) == b"first"
    # A relay says so only when it has heard the client's END: the application's half is still open here.
    warm.send_raw(block(END))
    assert read_block(warm) == (END, b"")
    whole_visit(warm, b"second", 2)
    wait_for(lambda: len(heard) == 2, "both were heard")
    assert [said for _, said in heard] == [b"first", b"second"]


@pytest.mark.parametrize("waits", [False, True], ids=["serves", "waits"])
def test_session_ends_before_the_answer_is_there(lab, waits):
    """The client closes what it doesn't use any more, with an answer in its send queue that the relay hasn't read: all of it arrives, its END too."""
    answer, go, heard = pattern("answer", 400_000), threading.Event(), []

    def application(sock):
        go.wait(4 * DEADLINE)
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        heard.append(recv_all(sock))

    with WarmRelay() as fake:
        lab.start_client(fake, lab.app(application))
        control = fake.welcome()
        other, warm = fake.parked(), fake.parked()
        give(warm, block(DATA, b"?"), block(END))
        assert read_block(warm) == (TAKEN, b"")
        if waits:
            go.set()
            wait_for(lambda: heard, "the application has said all")
        control.close()
        assert other.drain() == b""
        if not waits:
            go.set()
            wait_for(lambda: heard, "the application has said all")
        assert read_data(warm, len(answer)) == answer
        assert read_block(warm) == (END, b"")
        assert read_block(warm) is None


def test_next_visitor_was_taken_back(lab):
    """His frame stands behind the END of the one before, and the relay's end behind that: somebody else serves him by now."""

    def application(sock):
        sock.shutdown(socket.SHUT_WR)
        recv_all(sock)

    app = lab.app(application)
    with WarmRelay() as fake:
        process = lab.start_client(fake, app)
        conns = fake.welcome(), fake.parked(), fake.parked()
        warm = conns[1]
        give(warm, block(DATA, b"first"))
        assert read_block(warm) == (TAKEN, b"")
        assert read_block(warm) == (END, b"")
        process.halt()
        warm.send_raw(block(END))
        give(warm, number=2)
        warm.sock.shutdown(socket.SHUT_WR)
        process.signal(signal.SIGCONT)
        assert read_block(warm) is None
        assert app.accepted == 1


@pytest.mark.parametrize(
    "wrong",
    [block(TAKEN), block(DATA), block(9, b"x"), block(END, length=1) + b"x", block(END) + block(DATA, b"x"), block(DATA, length=0xFFFFFF) + b"y" * 70000],
    ids=["taken", "no-data", "type-9", "long-end", "behind-the-end", "never-whole"],
)
def test_wrong_blocks_of_a_relay(warm_relay, wrong):
    fake, _, (warm, other), heard, process = warm_relay
    give(warm, block(DATA, b"a"))
    assert read_block(warm) == (TAKEN, b"")
    warm.send_raw(wrong)
    if wrong.endswith(b"y"):
        warm.sock.shutdown(socket.SHUT_WR)
    wait_for(lambda: heard, "the application has heard the end")
    assert heard[0][0] == "reset" or b"x" not in heard[0][1]
    warm.drain()
    whole_visit(other, b"still there")
    assert process.alive()


def test_closes_at_once(lab):
    """A relay that grants them and closes each: the client tries again, and doesn't run."""
    app = lab.app()
    with WarmRelay() as fake:
        process = lab.start_client(fake, app)
        fake.welcome()
        count, limit, deadline = 0, TimeLimit(3), TimeLimit()
        while not limit.over() or (count < 2 and not deadline.over()):
            with contextlib.suppress(TimeoutError):
                fake.accept(0.5).close()
                count += 1
        assert 2 <= count <= 30, count
        assert process.alive()


def test_silent_while_parked(warm_relay):
    """A client that waits costs nothing: it asks for nothing and says nothing."""
    _, _, (warm, other), _, process = warm_relay
    before = process.cpu()
    warm.sock.settimeout(1)
    with pytest.raises(TimeoutError):
        warm.sock.recv(1)
    assert process.cpu() - before < 0.2


# Both are ours.


def both(lab, handler=echo, secret=None, **how):
    """(the relay, the client, the application), with two that are parked."""
    app, relay = lab.app(handler), lab.relay(metrics=True, secret=secret, **how)
    client = lab.client(relay, app, secret=secret)
    relay.wait_parked()
    return relay, client, app


class Counting:
    """An application that answers each with what he has said, and counts how often it has heard that."""

    def __init__(self):
        self.said, self.lock = collections.Counter(), threading.Lock()

    def __call__(self, sock):
        data = recv_all(sock)
        with self.lock:
            self.said[data] += 1
        sock.sendall(data)


def test_200_at_once_with_two_parked(lab):
    relay, client, app = both(lab)
    everyone = threading.Barrier(200)

    def visit(number):
        data = pattern(number, 3000)
        everyone.wait(4 * DEADLINE)
        with connect(client.public, 4 * DEADLINE) as visitor:
            visitor.sendall(data)
            assert recv_exact(visitor, len(data)) == data
            visitor.shutdown(socket.SHUT_WR)
            assert recv_all(visitor) == b""

    with threads(10 * DEADLINE) as group:
        for number in range(200):
            group.start(visit, number)
    assert app.accepted == 200
    values = relay.metrics()
    assert values["bore_ready_given_total"] >= 2
    assert values["bore_ready_given_total"] + values["bore_ready_missed_total"] == 200
    wait_for(lambda: 2 <= relay.metrics()["bore_ready_parked"] <= 64, "no more are parked than may be")


def test_burst(lab):
    """As many visitors as the machine allows, for two seconds or more: each is answered, with his own word, which was said once."""
    counting = Counting()
    relay, client, _ = both(lab, counting)
    limit = TimeLimit(2)

    def visitors(number):
        count = 0
        # On a slow machine so many that most of them come when the client holds as many as it is to.
        while not limit.over() or count < 20:
            data = b"%d-%d" % (number, count)
            with connect(client.public) as visitor:
                visitor.sendall(data)
                visitor.shutdown(socket.SHUT_WR)
                assert recv_all(visitor) == data
            count += 1
        total.append(count)

    total = []
    with threads(4 * DEADLINE) as group:
        for number in range(32):
            group.start(visitors, number)
    assert set(counting.said.values()) == {1} and len(counting.said) == sum(total)
    values = relay.metrics()
    assert values["bore_ready_given_total"] + values["bore_ready_missed_total"] == sum(total)
    assert values["bore_ready_given_total"] > sum(total) / 2
    assert values["bore_ready_untaken_total"] == 0


@pytest.mark.parametrize("spoken", [False, True], ids=["parked", "in-a-stream"])
def test_relay_is_killed(lab, spoken):
    """Its kernel closes all of its connections in order. The application still hears a reset."""
    heard = []
    relay, client, app = both(lab, told(heard.append))
    if not spoken:
        relay.process.kill()
        client.wait_state("Reconnecting")
        assert client.process.alive() and app.accepted == 0
        return
    with connect(client.public) as visitor:
        visitor.sendall(b"half")
        app.wait_accepted(1)
        assert relay.metrics()["bore_ready_given_total"] == 1
        relay.process.kill()
        wait_for(lambda: heard, "the application has heard the end")
    assert [how for how, _ in heard] == ["reset"]


def test_client_is_killed(lab):
    """Its kernel closes in order, too. The visitor still sees a reset."""

    def application(sock):
        sock.sendall(b"half an answer")
        recv_all(sock)

    relay, client, _ = both(lab, application)
    with connect(client.public) as visitor:
        assert recv_exact(visitor, 14) == b"half an answer"
        assert relay.metrics()["bore_ready_given_total"] == 1
        client.process.kill()
        assert was_reset(visitor)
    wait_for(lambda: relay.metrics()["bore_ready_parked"] == 0, "nothing of it is parked")


@pytest.mark.parametrize("who", ["application", "client"])
def test_cut_in_raw(lab, who):
    """A large answer is raw after the first MiB: where it is cut, by the application or with the client, it isn't an ordinary end."""
    cut, size = threading.Event(), 3 * 1024 * 1024

    def application(sock):
        sock.sendall(pattern("large", size))
        cut.wait(4 * DEADLINE)
        if who == "application":
            reset(sock)

    relay, client, _ = both(lab, application)
    with connect(client.public, 4 * DEADLINE) as visitor:
        recv_exact(visitor, size)
        assert relay.metrics()["bore_ready_given_total"] == 1
        if who == "client":
            client.process.kill()
        cut.set()
        assert was_reset(visitor)


def test_application_resets_behind_its_end(lab):
    """The answer was whole, and the visitor says nothing more: he hears of it all the same."""
    go = threading.Event()

    def application(sock):
        sock.sendall(b"whole")
        sock.shutdown(socket.SHUT_WR)
        go.wait(4 * DEADLINE)
        reset(sock)

    relay, client, _ = both(lab, application)
    with connect(client.public) as visitor:
        assert recv_all(visitor) == b"whole"
        assert relay.metrics()["bore_ready_given_total"] == 1
        go.set()
        poll = select.poll()
        poll.register(visitor, 0)
        assert poll.poll(1000 * DEADLINE)


def test_client_is_stopped(lab):
    """It is given visitors while it can't move. Whatever becomes of them, the application hears nobody twice."""
    counting = Counting()
    relay, client, _ = both(lab, counting)
    client.process.halt()
    silent, spoken = connect(client.public, 4 * DEADLINE), connect(client.public, 4 * DEADLINE)
    with silent, spoken:
        spoken.sendall(b"spoken")
        wait_for(lambda: relay.metrics()["bore_ready_untaken_total"] == 2, "the time for both is over")
        assert was_reset(spoken)
        client.process.signal(signal.SIGCONT)
        silent.sendall(b"silent")
        silent.shutdown(socket.SHUT_WR)
        assert recv_all(silent) == b"silent"
    ping_data = b"afterwards"
    with connect(client.public) as visitor:
        visitor.sendall(ping_data)
        visitor.shutdown(socket.SHUT_WR)
        assert recv_all(visitor) == ping_data
    said = counting.said
    assert said[b"silent"] == 1 and said[b"afterwards"] == 1 and said[b"spoken"] <= 1


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_relay_that_takes_few(lab, kept):
    """The client has as many, which serve all, and dials no others; where there are none, a data connection for each visitor."""
    relay = lab.relay(args=("--max-ready", kept), metrics=True)
    client = lab.client(relay, lab.app())
    wait_for(lambda: relay.metrics()["bore_ready_parked"] == kept, "they are parked")
    for _ in range(20):
        ping(client.public)
        wait_for(lambda: relay.metrics()["bore_visitors_open"] == 0, "he is gone")
    figures = relay.metrics()
    assert figures["bore_ready_given_total"] == (20 if kept else 0)
    assert figures["bore_ready_missed_total"] == figures["bore_ready_refused_total"] == 0
    assert figures["bore_handshakes_total"] == 1 + (kept or 20)


def test_relay_that_is_full(lab):
    """It takes one of the two that the client would keep, and resets the other. That the one waits, and is old, doesn't make the
    next worth a try: the client dialled as fast as it could, once that one had waited for 5 s."""
    relay = lab.relay(args=("--max-ready-total", 1), metrics=True)
    lab.client(relay, lab.app())
    wait_for(lambda: relay.metrics()["bore_ready_parked"] == 1, "one is parked")
    limit = TimeLimit(6.5)
    wait_for(limit.over, "it is old")
    assert 1 <= relay.metrics()["bore_ready_refused_total"] <= 20


@needs_net
@pytest.mark.root
def test_client_is_out_of_reach(lab, net):
    """Its network is away for a while. Who comes then and speaks is announced, waits, and is served once: he was given to a
    connection that led nowhere, and reset after 3 s."""
    home, away = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, metrics=True)
    app = lab.app(where=home)
    client = lab.client(relay, app, where=home)
    wait_for(lambda: relay.metrics()["bore_ready_parked"] >= 2, "two are parked")
    home.silence()
    since = time.monotonic()
    wait_for(lambda: time.monotonic() - since > 1.5, "the relay has noticed")
    with away.entered(), connect((away.middle, client.port), 4 * DEADLINE) as visitor:
        visitor.sendall(b"hello")
        wait_for(lambda: relay.metrics()["bore_ready_missed_total"] == 1, "he is announced")
        home.unsilence()
        assert recv_exact(visitor, 5) == b"hello"
    assert relay.metrics()["bore_ready_given_total"] == 0 and app.accepted == 1
    wait_for(lambda: relay.metrics()["bore_ready_parked"] >= 2, "two are parked")
    with away.entered():
        ping((away.middle, client.port))
    assert relay.metrics()["bore_ready_given_total"] == 1


def waits_unread(port):
    """What has come for the connections to this port, and wasn't read: the most that one has, and whether one has its FIN."""
    most, ended = 0, False
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rsplit(":", 1)[1], 16) == port:
            most = max(most, int(fields[4].split(":")[1], 16))
            ended |= fields[3] == CLOSE_WAIT
    return most, ended


@pytest.mark.parametrize("path", ["copy", "splice"])
@pytest.mark.parametrize("size", [1, 3000])
def test_client_is_late(lab, path, size):
    """It is stopped for a moment, and finds the visitor, all that he has said, and his end at once."""
    relay, client, _ = both(lab, lambda sock: sock.sendall(recv_all(sock)), path=path)
    client.process.halt()
    data = pattern("late", size)
    with connect(client.public) as visitor:
        said = frame({"Visitor": {"id": str(uuid.UUID(int=0)), "from": "%s:%d" % visitor.getsockname()}}) + block(DATA, data)
        visitor.sendall(data)
        visitor.shutdown(socket.SHUT_WR)

        def all_has_come():
            waiting, has_ended = waits_unread(relay.control_port)
            return waiting > len(said) or has_ended

        wait_for(all_has_come, "his end has come")
        client.process.signal(signal.SIGCONT)
        assert recv_all(visitor) == data


class Cutter:
    """Between client and relay: hands on bytes, and cuts what is asked for."""

    def __init__(self, lab, relay):
        self.conns, self.relay = [], relay
        self.app = lab.app(self.carry)
        self.host, self.control_port = "127.0.0.1", self.app.port

    @property
    def to(self):
        return f"{self.host}:{self.control_port}"

    def carry(self, sock):
        with connect(self.relay.control, 10 * DEADLINE) as other:
            sock.settimeout(10 * DEADLINE)
            self.conns.append((sock, other))
            with threads(40 * DEADLINE) as group:
                group.start(self.one_way, sock, other)
                group.start(self.one_way, other, sock)

    @staticmethod
    def one_way(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self, number):
        for sock in self.conns[number]:
            # The second one may have ended by the first one's cut already.
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def test_resume(lab):
    """The control connection is lost. Streams go on over the old session's warm connections, which are then done with."""
    app, relay = lab.app(), lab.relay(metrics=True)
    cutter = Cutter(lab, relay)
    process = lab.start_client(cutter, app)
    port = int(process.wait_line(r"\blistening at \S+:(\d+)$")[1][1])
    relay.wait_parked()
    with connect((relay.host, port)) as visitor:
        visitor.sendall(b"before")
        assert recv_exact(visitor, 6) == b"before"
        assert relay.metrics()["bore_ready_given_total"] == 1
        mark = process.mark()
        cutter.cut(0)
        process.wait_line(r"\blistening at \S+:%d$|-> Connected" % port, after=mark)
        visitor.sendall(b"behind")
        assert recv_exact(visitor, 6) == b"behind"
        visitor.shutdown(socket.SHUT_WR)
        assert recv_all(visitor) == b""
    relay.wait_parked()
    assert relay.metrics()["bore_ready_parked"] <= 4
    ping((relay.host, port))


def test_tunnels_apart(lab):
    """Two tunnels with the same relay and many visitors: each reaches his own application."""
    relay = lab.relay(metrics=True)
    clients = []
    for name in (b"A", b"B"):

        def application(sock, name=name):
            sock.sendall(name)
            echo(sock)

        clients.append((name, lab.client(relay, lab.app(application))))
    wait_for(lambda: relay.metrics()["bore_ready_parked"] >= 4, "two are parked by each")

    def visitors(name, client, number):
        for count in range(25):
            data = b"%d-%d" % (number, count)
            with connect(client.public) as visitor:
                visitor.sendall(data)
                visitor.shutdown(socket.SHUT_WR)
                assert recv_all(visitor) == name + data

    with threads(4 * DEADLINE) as group:
        for number in range(8):
            for name, client in clients:
                group.start(visitors, name, client, number)
    assert relay.metrics()["bore_ready_given_total"] > 100

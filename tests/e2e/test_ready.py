# SPDX-License-Identifier: MIT
"""Warm connections at the relay, by hand: what is parked, given, taken, parked again, and what becomes of those who do it wrong."""

import contextlib
import re
import select
import signal
import socket
import time

import pytest

from harness.apps import free_port
from harness.lab import Relay, new_host
from harness.netns import unusable
from harness.streams import connect, ended, pattern, recv_all, recv_exact
from harness.wait import DEADLINE, SCALE, wait_for
from harness.warm import DATA, END, RAW, TAKEN, WarmClient, block, read_block
from harness.wire import UUID, RawClient

needs_net = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
UNKNOWN = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"


def session_of(relay, ready=64, **options):
    """A client whose visitors are announced as of old: with their id alone."""
    return WarmClient(relay, getattr(relay, "secret", None), ready, visitor=False, **options)


def hear_visitor(conn):
    """The visitor that it is given to."""
    told = conn.recv()["Visitor"]
    assert re.fullmatch(UUID, told["id"])
    return told


def take(conn):
    told = hear_visitor(conn)
    conn.send_raw(block(TAKEN))
    return told


def was_reset(conn):
    """Whether it ends, and not in order."""
    try:
        while conn.sock.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return False


def is_alive(conn):
    conn.sock.setblocking(False)
    try:
        conn.sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except ConnectionResetError:
        pass
    finally:
        conn.sock.setblocking(True)
    return False


def metric(relay, name):
    return relay.metrics()[f"bore_ready_{name}"]


def parked(relay):
    return metric(relay, "parked")


@pytest.fixture(params=[None, "s3cret"], ids=["open", "secret"])
def relay(lab, request):
    relay = lab.relay(secret=request.param, metrics=True)
    relay.secret = request.param
    return relay


@pytest.fixture
def open_relay(lab):
    return lab.relay(metrics=True)


def serve(conn, visitor, text=b"hello"):
    """A whole stream on a parked connection, which is parked again."""
    visitor.sendall(text)
    told = take(conn)
    assert read_block(conn) == (DATA, text)
    conn.send_raw(block(DATA, text.upper()) + block(END))
    assert recv_all(visitor) == text.upper()
    visitor.shutdown(socket.SHUT_WR)
    assert read_block(conn) == (END, b"")
    return told


def test_granted_as_many_as_both_want(lab):
    relay = lab.relay(args=("--max-ready", 3), metrics=True)
    for wanted, granted in (2, 2), (3, 3), (64, 3), (1 << 40, 3):
        with session_of(relay, wanted) as session:
            assert session.granted == {"ready": granted, "key": session.key} and re.fullmatch(UUID, session.key)
    with session_of(relay, 0) as session:
        assert session.granted == {}


def test_none_where_the_operator_wants_none(lab):
    relay = lab.relay(args=("--max-ready", 0), metrics=True)
    with session_of(relay) as session:
        assert session.granted == {}
        with session.dial(UNKNOWN) as conn:
            assert was_reset(conn) and metric(relay, "refused_total") == 1


def test_visitors_one_after_the_other_on_one_connection(relay):
    with session_of(relay) as session, session.park() as conn:
        for n in range(3):
            with connect(session.public) as visitor:
                told = serve(conn, visitor, b"visitor %d" % n)
                assert told["from"] == "{}:{}".format(*visitor.getsockname())
            wait_for(lambda: parked(relay) == 1, "it is parked again")
        assert metric(relay, "given_total") == 3 and metric(relay, "missed_total") == 0
        assert relay.metrics()["bore_visitors_total"] == 3


def test_last_parked_is_given_first(open_relay):
    with session_of(open_relay) as session, session.park() as first, session.park() as second:
        with connect(session.public) as one:
            serve(second, one)
        wait_for(lambda: parked(open_relay) == 2, "it is parked again")
        with connect(session.public) as one, connect(session.public) as other:
            hear_visitor(second)
            hear_visitor(first)
            assert one and other


def test_none_parked_is_announced_as_ever(relay):
    """And his data connection isn't one of the parked afterwards."""
    with session_of(relay) as session:
        with connect(session.public) as visitor, session.accept(session.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"
        assert metric(relay, "missed_total") == 1 and metric(relay, "given_total") == 0
        wait_for(lambda: relay.metrics()["bore_visitors_open"] == 0, "he is gone")
        assert parked(relay) == 0
        with session.park() as conn, connect(session.public) as visitor:
            serve(conn, visitor)


def test_half_closes_and_much_data(open_relay):
    data = pattern(1, 300000)
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        visitor.sendall(data)
        visitor.shutdown(socket.SHUT_WR)
        take(conn)
        got = b""
        while True:
            kind, part = read_block(conn)
            if kind != DATA:
                break
            got += part
        if kind == RAW:
            got += conn.data
            while len(got) < len(data):
                got += conn.sock.recv(65536)
        assert got == data
        conn.send_raw(block(DATA, data[:1000]) + block(END))
        assert recv_all(visitor) == data[:1000]
        if kind == RAW:
            wait_for(lambda: open_relay.metrics()["bore_visitors_open"] == 0, "the stream is over")
            assert parked(open_relay) == 0


@pytest.mark.parametrize("how", ["fin", "reset", "bytes"])
def test_unasked_on_a_parked_connection(open_relay, how):
    """It isn't given to anybody; the one below it is."""
    with session_of(open_relay) as session, session.park() as good, session.park() as bad:
        if how == "fin":
            bad.sock.shutdown(socket.SHUT_WR)
        elif how == "reset":
            bad.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            bad.sock.close()
        else:
            bad.send_raw(b"x")
        with connect(session.public) as visitor:
            serve(good, visitor)
        assert metric(open_relay, "given_total") == 1 and metric(open_relay, "untaken_total") == 0


def test_dead_ones_are_swept(open_relay):
    """Nobody watches them one by one."""
    with session_of(open_relay) as session, session.park() as good:
        session.park().close()
        wait_for(lambda: parked(open_relay) == 1, "it is found dead")
        assert is_alive(good)


def test_bytes_behind_ready(open_relay):
    with session_of(open_relay) as session, session.dial(behind=block(TAKEN)) as conn:
        assert was_reset(conn) and metric(open_relay, "refused_total") == 1


def test_wrong_key(relay):
    """Closed without a word, and counted as a wrong secret is, but for one that a session had."""
    with session_of(relay) as session:
        old = session.key
        with session.park() as conn:
            session.close()
            assert conn.at_end()
    first = relay.metrics()["bore_bad_secrets_total"]
    for key, counts in (old, 0), (UNKNOWN, 1):
        conn = RawClient(relay, relay.secret)
        conn.authenticate()
        conn.send({"Ready": key})
        assert conn.at_end()
        assert relay.metrics()["bore_bad_secrets_total"] == first + counts


def test_without_the_secret(lab):
    relay = lab.relay(secret="s3cret", metrics=True)
    relay.secret = "s3cret"
    with session_of(relay) as session, RawClient(relay) as conn:
        assert "Challenge" in conn.recv()
        conn.send({"Ready": session.key})
        assert was_reset(conn) and conn.data == b"" and parked(relay) == 0
        with session.park() as good, connect(session.public) as visitor:
            serve(good, visitor)


def test_limits(lab):
    """Further ones are closed; those that are there stay; another tunnel has its own."""
    relay = lab.relay(args=("--max-ready", 3, "--max-ready-total", 4), metrics=True)
    with session_of(relay) as one, session_of(relay) as other:
        mine = [one.park() for _ in range(3)]
        with one.dial() as fourth:
            assert was_reset(fourth)
        its = other.park()
        assert parked(relay) == 4 and all(is_alive(conn) for conn in [*mine, its])
        # Two are its own whatever the others have, but no more.
        with other.dial() as second, other.dial() as third:
            assert was_reset(third)
            assert metric(relay, "refused_total") == 2 and parked(relay) == 4
            assert [is_alive(conn) for conn in mine] == [False, True, True] and mine[0].at_end() and is_alive(second)
            with connect(other.public) as visitor:
                serve(second, visitor)
        with connect(other.public) as visitor:
            serve(its, visitor)


def test_one_that_parks_and_parks(lab):
    """A thousand on its own: it has its 64, and nobody else notices."""
    relay = lab.relay(metrics=True)
    with session_of(relay) as hoarder, session_of(relay) as other, other.park() as its:
        conns = [hoarder.dial() for _ in range(1000)]
        wait_for(lambda: parked(relay) == 65, "64 of them are parked")
        wait_for(lambda: metric(relay, "refused_total") == 1000 - 64, "the rest is closed")
        with connect(other.public) as visitor:
            serve(its, visitor)
        hoarder.close()
        wait_for(lambda: parked(relay) == 1, "they go with their session")
        for conn in conns:
            conn.close()


def test_several_that_park_and_park(lab):
    """Together they have the limit of all, at what that costs; it answers meanwhile, others are served and have a share of their own,
    and all of it comes back."""
    relay = lab.relay(metrics=True, args=("--max-ready-total", 150))
    with session_of(relay) as other, contextlib.ExitStack() as stack:
        fds, memory = relay.process.fds(), relay.process.private_kb()
        hoarders = [stack.enter_context(session_of(relay)) for _ in range(4)]
        conns = [stack.enter_context(hoarders[n % 4].dial()) for n in range(400)]
        wait_for(lambda: metric(relay, "refused_total") == 400 - 150, "the rest is closed")
        assert parked(relay) == 150
        assert relay.process.fds() <= fds + 4 + 150 + 4 and relay.process.private_kb() < memory + 4096
        with connect(other.public) as visitor, other.accept(other.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"
        its = [stack.enter_context(other.dial()) for _ in range(40)]
        wait_for(lambda: metric(relay, "refused_total") == 400 - 150 + 40 - 150 // 5, "a fifth is its own")
        assert sum(is_alive(conn) for conn in its) == 150 // 5 and parked(relay) == 150
        for session in (*hoarders, other):
            session.close()
        wait_for(lambda: parked(relay) == 0, "they go with their sessions")
        assert all(not is_alive(conn) for conn in conns)
        wait_for(lambda: relay.process.fds() <= fds + 2, "their descriptors are free")


@pytest.mark.parametrize("how", ["silent", "dead"])
def test_untaken_is_announced_the_old_way(open_relay, how):
    """By the same id, and none of his bytes is lost."""
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        told = hear_visitor(conn)
        if how == "dead":
            conn.close()
        assert session.visitor() == told["id"]
        with session.accept(told["id"]) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"
        assert metric(open_relay, "untaken_total") == 1 and open_relay.metrics()["bore_visitors_total"] == 1


def test_untaken_behind_his_first_bytes_is_reset(open_relay):
    """A request is never delivered twice."""
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        visitor.sendall(b"POST / HTTP/1.1\r\n\r\n")
        hear_visitor(conn)
        assert read_block(conn)[0] == DATA
        conn.close()
        with pytest.raises(ConnectionResetError):
            recv_all(visitor)
        with connect(session.public):
            session.visitor()
        assert metric(open_relay, "missed_total") == 1 and metric(open_relay, "untaken_total") == 1


@pytest.mark.parametrize("speaks", [False, True], ids=["silent", "speaks-first"])
def test_who_never_takes_is_given_no_more(open_relay, speaks):
    """Whether his visitors can still be announced, or are reset."""
    with session_of(open_relay) as session:
        conns = [session.park() for _ in range(5)]
        for _ in range(3):
            with connect(session.public) as visitor:
                given = conns.pop()
                hear_visitor(given)
                if speaks:
                    visitor.sendall(b"x")
                    assert read_block(given) == (DATA, b"x")
                given.close()
                assert ended(visitor) if speaks else session.visitor()
        wait_for(lambda: parked(open_relay) == 0, "the others are closed")
        assert all(conn.at_end() for conn in conns)
        with session.dial() as conn:
            assert was_reset(conn)
        with connect(session.public) as visitor, session.accept(session.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"


def test_impatient_visitors_prove_nothing(open_relay):
    """Who leaves before TAKEN has seen none: three of the others in a row still count, and a TAKEN still ends the row."""

    def visit(how):
        with session.park() as conn, connect(session.public) as visitor:
            hear_visitor(conn)
            if how == "impatient":
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                visitor.close()
                assert was_reset(conn)
            elif how == "taken":
                conn.send_raw(block(TAKEN) + block(END))
                assert recv_all(visitor) == b""
                visitor.close()
                assert read_block(conn) == (END, b"")
                wait_for(lambda: parked(open_relay) == 2, "it is parked again")
        if how == "untaken":
            session.visitor()

    with session_of(open_relay) as session, session.park() as below:
        for how in ("untaken", "untaken", "taken"):
            visit(how)
        wait_for(lambda: parked(open_relay) == 2, "the row was ended")
        # The one that was parked again has been closed by us: nobody is given it.
        for how in ("untaken", "impatient", "untaken", "impatient"):
            visit(how)
        assert is_alive(below)
        visit("untaken")
        assert below.at_end() and parked(open_relay) == 0


def test_untaken_are_held_to_max_pending(lab):
    """Who was let in for a warm connection waits for another one only where one more may."""
    relay = lab.relay(args=("--max-pending", 2), metrics=True)
    with session_of(relay) as session, contextlib.ExitStack() as stack:
        conns = [session.park() for _ in range(4)]
        visitors = [stack.enter_context(connect(session.public)) for _ in conns]
        ids = [hear_visitor(conn)["id"] for conn in reversed(conns)][:2]
        assert [session.visitor() for _ in ids] == ids
        # All of them are given away, and two of them wait by now: there is no place for the others.
        for conn in conns[:2]:
            conn.close()
        assert [ended(visitor) for visitor in visitors[2:]] == [True, True]
        metrics = relay.metrics()
        assert metrics["bore_visitors_unclaimed_total"] == 2 and metrics["bore_visitors_pending"] == 2
        for id in ids:
            stack.enter_context(session.accept(id)).send_raw(b"x")
        assert [recv_exact(visitor, 1) for visitor in visitors[:2]] == [b"x"] * 2


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_closed_behind_its_end_is_a_reset(open_relay, how):
    """The visitor has his answer and its end, and needs to say nothing to hear that nobody is there any more."""
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        take(conn)
        conn.send_raw(block(DATA, b"all") + block(END))
        assert recv_all(visitor) == b"all"
        if how == "reset":
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        conn.close()
        wait_for(lambda: open_relay.metrics()["bore_visitors_open"] == 0, "the stream is over")
        with pytest.raises(BrokenPipeError):
            visitor.sendall(b"x")


def test_cut_is_a_reset(open_relay):
    """However it looks at TCP: an ordinary end before END is none."""
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        take(conn)
        conn.send_raw(block(DATA, b"half"))
        conn.close()
        assert recv_exact(visitor, 4) == b"half"
        with pytest.raises(ConnectionResetError):
            recv_all(visitor)


def test_raw_ends_with_tcps_end(open_relay):
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        take(conn)
        conn.send_raw(block(RAW) + b"as it is")
        conn.sock.shutdown(socket.SHUT_WR)
        assert recv_all(visitor) == b"as it is"
        visitor.shutdown(socket.SHUT_WR)
        assert read_block(conn) == (END, b"")
        assert conn.at_end() and parked(open_relay) == 0


def test_unasked_behind_the_end(open_relay):
    """What comes behind END is nobody's: the connection is closed, the visitor has had his answer."""
    with session_of(open_relay) as session, session.park() as conn, connect(session.public) as visitor:
        take(conn)
        conn.send_raw(block(DATA, b"all") + block(END) + b"more")
        assert recv_all(visitor) == b"all"
        visitor.shutdown(socket.SHUT_WR)
        wait_for(lambda: open_relay.metrics()["bore_visitors_open"] == 0, "the stream is over")
        assert parked(open_relay) == 0
        with connect(session.public):
            session.visitor()


def test_resume_closes_the_parked_and_streams_go_on(relay):
    """The stream's connection isn't parked with the next session, whose key is another one."""
    with session_of(relay, resume=True) as session, session.park() as idle, session.park() as conn, connect(session.public) as visitor:
        take(conn)
        again = RawClient(relay, relay.secret)
        again.authenticate()
        again.send({"Hello": session.port}, {"Options": {"resume": True, "ready": 64, "token": session.granted["token"]}})
        assert again.recv_but() == {"Hello": session.port}
        granted = again.recv_but()["Options"]
        assert granted["key"] != session.key and granted["ready"] == 64
        assert idle.at_end()
        visitor.sendall(b"on")
        assert read_block(conn) == (DATA, b"on")
        conn.send_raw(block(DATA, b"and on") + block(END))
        assert recv_all(visitor) == b"and on"
        visitor.shutdown(socket.SHUT_WR)
        assert read_block(conn) == (END, b"")
        assert conn.at_end() and parked(relay) == 0
        again.close()


def test_tunnel_age_closes_the_parked(lab):
    relay = lab.relay(args=("--max-tunnel-age", "3s"), metrics=True)
    with session_of(relay) as session, session.park() as conn:
        assert session.recv_but() == {"Error": "tunnel has reached its maximum age"}
        assert conn.at_end() and parked(relay) == 0


def test_drain(lab):
    """The parked go at once, a stream on a warm connection is waited for."""
    relay = lab.relay(metrics=True)
    with session_of(relay) as session:
        idle, conn = session.park(), session.park()
        with connect(session.public) as visitor:
            visitor.sendall(b"x")
            busy, other = (conn, idle) if readable(conn, idle) is conn else (idle, conn)
            take(busy)
            relay.process.signal(signal.SIGTERM)
            assert other.at_end()
            read_block(busy)
            busy.send_raw(block(DATA, b"whole") + block(END))
            assert recv_all(visitor) == b"whole"
        assert relay.process.wait_exit() == 0


def test_handover(lab):
    """The client is sent on, its parked ones are closed; the stream on a warm connection ends where it is."""
    how = {"host": new_host(), "control_port": free_port(), "args": ("--handover", lab.folder / "next.sock"), "metrics": True}
    first = lab.relay(**how)
    session = session_of(first, resume=True, move=True)
    idle, conn = session.park(), session.park()
    with session, connect(session.public) as visitor:
        visitor.sendall(b"x")
        busy, other = (conn, idle) if readable(conn, idle) is conn else (idle, conn)
        take(busy)
        second = lab.relay(**how)
        assert session.recv_but() == "Move" and session.at_end()
        assert other.at_end()
        with session_of(second, port=session.port, resume=True, token=session.granted["token"]) as back:
            assert back.port == session.port and back.key != session.key
            with back.park() as fresh:
                # What was on its way to the relay before is no offence.
                with RawClient(second) as late:
                    late.send({"Ready": session.key})
                    assert was_reset(late)
                with connect(back.public) as another:
                    serve(fresh, another)
        read_block(busy)
        busy.send_raw(block(DATA, b"whole") + block(END))
        assert recv_all(visitor) == b"whole"
    assert first.process.wait_exit() == 0


def test_stopped_for_a_while(open_relay):
    """Of a client that doesn't answer, all who were given away are announced after 3 s, and none is lost."""
    with session_of(open_relay) as session, contextlib.ExitStack() as stack:
        conns = [session.park() for _ in range(4)]
        visitors = [stack.enter_context(connect(session.public)) for _ in range(4)]
        ids = {hear_visitor(conn)["id"] for conn in conns}
        assert {session.visitor() for _ in range(4)} == ids
        assert all(was_reset(conn) for conn in conns), "what it would say now reaches nobody"
        streams = [stack.enter_context(session.accept(id)) for id in ids]
        for stream in streams:
            stream.send_raw(b"x")
        assert [recv_exact(visitor, 1) for visitor in visitors] == [b"x"] * 4
        assert metric(open_relay, "untaken_total") == 4


@needs_net
@pytest.mark.root
def test_wrong_key_is_penalised(lab, net):
    """As a wrong secret is, but not where the address has a tunnel: its session may just have ended."""
    home, other = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, metrics=True)
    elsewhere = Relay(None, other.middle, relay.control_port)

    def say(to, key):
        conn = RawClient(to)
        conn.send({"Ready": key})
        assert conn.at_end()

    def served(to):
        with RawClient(to) as conn:
            conn.send({"Hello": 0})
            return conn.recv()

    with home.entered(), session_of(relay):
        say(relay, UNKNOWN)
        assert served(relay), "its address has a tunnel"
    with other.entered():
        begin = time.monotonic()
        say(elsewhere, UNKNOWN)
        wait_for(lambda: served(elsewhere), "the penalty ends", 60 * SCALE)
        assert time.monotonic() - begin > 0.99, "penalised for a second, by a clock of milliseconds"
    with home.entered():
        assert served(relay)


def readable(*conns):
    ready, _, _ = select.select([conn.sock for conn in conns], [], [], DEADLINE)
    return next(conn for conn in conns if conn.sock in ready)


def test_visitors_go_first_when_descriptors_are_short(lab):
    """As many as there would be descriptors for without the parked ones: these are closed, and no visitor is."""
    relay = lab.relay(metrics=True, wrap=("prlimit", "--nofile=160:160"))
    with session_of(relay) as keeper, session_of(relay, 0) as busy, contextlib.ExitStack() as stack:
        room = (160 - relay.process.fds() - 16) // 2
        conns = [keeper.park() for _ in range(40)]
        with keeper.dial() as more:
            assert was_reset(more), "a fourth of the descriptors is theirs"
        assert relay.metrics()['bore_limit{name="max_ready_total"}'] == 40
        for _ in range(room):
            visitor = stack.enter_context(connect(busy.public))
            stream = stack.enter_context(busy.accept(busy.visitor()))
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"
        assert relay.metrics()["bore_connections_shed_total"] == 0 and parked(relay) < 40
        wait_for(lambda: sum(not is_alive(conn) for conn in conns) == 40 - parked(relay), "those are closed")


def test_connection_log_is_as_ever(lab):
    log = lab.folder / "connections.jsonl"
    relay = lab.relay(metrics=True, args=("--connection-log", log))
    with session_of(relay) as session, session.park() as conn, connect(session.public) as visitor:
        told = serve(conn, visitor)
        wait_for(lambda: "visitor_closed" in log.read_text(), "his end is in the log")
    opened, closed = (re.search(rf"visitor_{what} .*", log.read_text())[0] for what in ("opened", "closed"))
    assert f"id={told['id']}" in opened and f"id={told['id']}" in closed
    assert "in=5 out=5" in closed and closed.endswith("why='closed'"), closed

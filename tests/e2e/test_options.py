# SPDX-License-Identifier: MIT
"""Our extension of the wire, from the client's side by hand: resume, beat, refuse, visitor."""

import re
import time

import pytest

from harness.lab import refused
from harness.streams import connect, ended, recv_exact
from harness.wait import SCALE, wait_for
from harness.wire import RawClient, frame

ALL = {"resume": True, "beat": 5000, "refuse": True}


@pytest.fixture(params=[None, "s3cret"], ids=["open", "secret"])
def relay(lab, request):
    relay = lab.relay(secret=request.param)
    relay.secret = request.param
    return relay


def open_tunnel(relay, options=ALL):
    conn = RawClient(relay, relay.secret)
    granted = conn.hello(options=options)
    return conn, granted


def resume(relay, port, token, pause=0.0):
    """A second control connection for the port. `pause` lies between Hello and Options."""
    while True:
        conn = RawClient(relay, relay.secret)
        conn.authenticate()
        options = frame({"Options": {**ALL, "token": token}})
        if not pause:
            conn.send_raw(frame({"Hello": port}) + options)
            return conn
        begin = time.monotonic()
        conn.send({"Hello": port})
        time.sleep(pause)  # the delay itself is what is tried
        if time.monotonic() - begin < 0.3:  # or the half a second, for which it is waited, may be over on a slow machine
            conn.send_raw(options)
            return conn
        conn.close()


def test_answered_in_kind(relay):
    conn, granted = open_tunnel(relay)
    with conn:
        assert granted["resume"] is True and granted["refuse"] is True and granted["beat"] > 0
        assert re.fullmatch(r"[0-9a-f]{32}", granted["token"])


def test_only_what_was_offered_is_granted(relay):
    conn, granted = open_tunnel(relay, {"beat": 5000})
    with conn:
        assert not granted.get("resume") and not granted.get("refuse") and "token" not in granted


@pytest.mark.parametrize("options", [{}, {"colour": "blue"}, {"visitor": False, "ready": 4}, {"resume": False}])
def test_unknown_abilities_are_ignored(relay, options):
    conn, granted = open_tunnel(relay, options)
    with conn:
        assert "token" not in granted
        with connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"


@pytest.mark.parametrize("pause", [0, 0.1], ids=["together", "100ms-apart"])
def test_resume(relay, pause):
    """The new connection has the port and the open streams; an unclaimed visitor is announced again; the old one is closed."""
    conn, granted = open_tunnel(relay)
    with conn, connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream, connect(conn.public) as waiting:
        visitor.sendall(b"before")
        assert stream.stream(6) == b"before"
        unclaimed = conn.visitor()
        with resume(relay, conn.port, granted["token"], pause) as second:
            assert second.recv_but() == {"Hello": conn.port}
            again = second.recv_but()["Options"]
            assert again["token"] != granted["token"]
            assert second.visitor() == unclaimed
            conn.drain()  # to its end
            stream.send_raw(b"after")
            assert recv_exact(visitor, 5) == b"after"
            with second.accept(unclaimed) as late:
                waiting.sendall(b"w")
                assert late.stream(1) == b"w"
            second.port = conn.port
            with connect(second.public) as third, second.accept(second.visitor()) as newest:
                third.sendall(b"new")
                assert newest.stream(3) == b"new"


def test_resume_again_and_again(relay):
    conn, granted = open_tunnel(relay)
    port = conn.port
    for _ in range(20):
        second = resume(relay, port, granted["token"])
        assert second.recv_but() == {"Hello": port}
        granted = second.recv_but()["Options"]
        conn.close()
        conn = second
    conn.close()
    wait_for(lambda: refused((relay.host, port)), "the port is free when the last one has gone")


@pytest.mark.parametrize("kind", ["wrong", "used", "none", "malformed"])
def test_no_resume_without_the_token(relay, kind):
    """And the one who has the port keeps it."""
    conn, granted = open_tunnel(relay)
    token = {"wrong": "00" * 16, "used": granted["token"], "none": None, "malformed": "xyz"}[kind]
    if kind == "used":
        second = resume(relay, conn.port, token)
        assert "Hello" in second.recv_but()
        second.recv_but()
        second.port = conn.port
        conn.close()
        conn = second
    thief = RawClient(relay, relay.secret)
    thief.authenticate()
    thief.send({"Hello": conn.port}, {"Options": {**ALL, **({"token": token} if token else {})}})
    assert thief.recv_but() in ({"Error": "port already in use"}, None)
    thief.close()
    with conn, connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream:
        visitor.sendall(b"x")
        assert stream.stream(1) == b"x"


@pytest.mark.parametrize("resume_too", [True, False], ids=["with-resume", "without"])
@pytest.mark.parametrize("others", [{}, {"beat": 5000, "refuse": True, "visitor": True}], ids=["alone", "with-others"])
def test_token_is_good_for_one_use(relay, resume_too, others):
    """Presented without `resume`, whose answer brings the next one, a token stayed valid: whoever had seen it could take the tunnel again."""
    conn, granted = open_tunnel(relay)
    options = frame({"Options": {**others, **({"resume": True} if resume_too else {}), "token": granted["token"]}})
    with conn, RawClient(relay, relay.secret) as second, RawClient(relay, relay.secret) as third:
        for claimant in (second, third):
            claimant.authenticate()
            claimant.send_raw(frame({"Hello": conn.port}) + options)
            if claimant is second:
                assert claimant.recv_but() == {"Hello": conn.port}
                assert ("token" in claimant.recv_but()["Options"]) == resume_too
        assert third.recv_but() == {"Error": "port already in use"}
        second.port = conn.port
        with connect(second.public) as visitor:
            announced = second.recv_but()
            id = announced["Visitor"]["id"] if "visitor" in others else announced["Connection"]
            with second.accept(id) as stream:
                visitor.sendall(b"x")
                assert stream.stream(1) == b"x"


def test_stock_client_waits_half_a_second_at_most_for_its_refusal(relay):
    conn, _ = open_tunnel(relay)
    with conn, RawClient(relay, relay.secret) as second:
        second.authenticate()
        second.send({"Hello": conn.port})
        assert second.recv() == {"Error": "port already in use"}


def test_token_is_good_after_the_old_connection_is_gone(relay):
    """The port has become free; who presents an old token simply gets it as any other."""
    conn, granted = open_tunnel(relay)
    conn.close()
    wait_for(lambda: refused((relay.host, conn.port)), "the port is free")
    with resume(relay, conn.port, granted["token"]) as second:
        assert second.recv_but() == {"Hello": conn.port}


def test_refuse(relay):
    """The visitor is closed now, not after ten seconds."""
    conn, _ = open_tunnel(relay)
    with conn, connect(conn.public, 8) as visitor:
        conn.send({"Refuse": {"id": conn.visitor(), "why": "the application is stopped"}})
        assert ended(visitor)
        with connect(conn.public) as second, conn.accept(conn.visitor()) as stream:
            second.sendall(b"x")
            assert stream.stream(1) == b"x"


def test_refuse_of_an_unknown_visitor(relay):
    conn, _ = open_tunnel(relay)
    with conn:
        conn.send({"Refuse": {"id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8", "why": ""}})
        with connect(conn.public) as visitor, conn.accept(conn.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"


@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_visitor_says_from_where(lab, secret):
    """As the visitor itself knows its address: IPv6 in brackets, IPv4 as such also on a socket of both."""
    relay = lab.relay(host="::", secret=secret)
    relay.secret = secret
    conn, granted = open_tunnel(relay, {"visitor": True})
    with conn:
        assert granted == {"visitor": True}
        for host, form in ("127.0.0.1", "{}:{}"), ("::1", "[{}]:{}"):
            with connect((host, conn.port)) as visitor:
                told = conn.recv_but()["Visitor"]
                assert set(told) == {"id", "from"} and told["from"] == form.format(*visitor.getsockname())
                with conn.accept(told["id"]) as stream:
                    visitor.sendall(b"x")
                    assert stream.stream(1) == b"x"


def test_refuse_of_another_tunnels_visitor(relay):
    """It names an id that it can't know; the visitor stays."""
    one, _ = open_tunnel(relay)
    other, _ = open_tunnel(relay)
    with one, other, connect(one.public) as visitor:
        id = one.visitor()
        other.send({"Refuse": {"id": id, "why": "malice"}})
        other.send("Heartbeat")
        with connect(other.public):
            other.visitor()  # so the Refuse has been read
        with one.accept(id) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"


def test_beat_that_stops(relay):
    """A client that promised to beat and falls silent loses its port; one that goes on beating keeps it."""
    silent, granted = open_tunnel(relay, {"beat": 1000})
    beating, _ = open_tunnel(relay, {"beat": 1000})
    with silent, beating:
        limit = time.monotonic() + 10 * 3 * SCALE
        while not refused((relay.host, silent.port)):
            assert time.monotonic() < limit, "the silent client still has its port"
            beating.send("Heartbeat")
            silent.sock.settimeout(0.1)
            try:
                silent.fill()
            except TimeoutError:
                pass
        assert granted["beat"] > 0
        with connect(beating.public):
            assert beating.visitor()


def test_no_beat_promised_none_expected(relay):
    quiet, _ = open_tunnel(relay, {"resume": True})
    beating, _ = open_tunnel(relay, {"beat": 1000})
    with quiet, beating:
        beating.sock.settimeout(30 * SCALE)
        beating.drain()  # until the relay has given it up
        wait_for(lambda: refused((relay.host, beating.port)), "the silent one's port is free")
        with connect(quiet.public):
            assert quiet.visitor()


@pytest.mark.parametrize(
    "data",
    [b"nonsense\0", b'{"Hello":0}\0', b'{"Accept":"6ba7b810-9dad-41d1-80b4-00c04fd430c8"}\0', b"{" * 1000],
    ids=["nonsense", "hello", "accept", "long"],
)
def test_garbage_on_a_control_connection(relay, data):
    """Only a client of ours is listened to that closely; whatever it says harms nobody else."""
    other, _ = open_tunnel(relay)
    conn, _ = open_tunnel(relay)
    with other, conn:
        conn.send_raw(data)
        with connect(other.public) as visitor, other.accept(other.visitor()) as stream:
            visitor.sendall(b"x")
            assert stream.stream(1) == b"x"

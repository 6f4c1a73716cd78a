# SPDX-License-Identifier: MIT
"""What else looks at visitors, where they come over warm connections: lists, logs, events, the recorder, the end. Each with our own
relay, whose figures say that the visitor came that way."""

import contextlib
import json
import signal
import socket
import threading
import uuid

import pytest

from harness.streams import connect, pattern, recv_all, recv_exact
from harness.wait import wait_for
from harness.warm import TAKEN, WarmRelay, read_block
from harness.wasmrun import run_os
from test_requests import OK, body_of, over, record, replayed, saying, whole

SECRET = "s3cret"
FROM_HERE = "{}:{}".format


class Way:
    """A relay with the connections that wait there."""

    def __init__(self, lab, *args):
        self.relay, self.given = lab.relay(secret=SECRET, metrics=True, args=args), 0

    def metric(self, name):
        return self.relay.metrics()[f"bore_ready_{name}"]

    def wait_parked(self, count=2):
        wait_for(lambda: self.metric("parked") >= count, "enough are parked")

    @contextlib.contextmanager
    def visitor(self, address, count=2):
        """A visitor who is given one of those that wait; `count` of them wait before."""
        self.wait_parked(count)
        with connect(address) as sock:
            yield sock
        self.given += 1
        assert (self.metric("given_total"), self.metric("missed_total"), self.metric("untaken_total")) == (self.given, 0, 0)


@pytest.fixture
def way(lab):
    return Way(lab)


class Says:
    """`wasmrun os` with an application that answers what it is told, and a tunnel."""

    def __init__(self, lab, guests, way, *args):
        self.instance = run_os(lab, guests.c("says.c"), *args)
        self.instance.wait_app("running")
        relay = way.relay
        url = self.instance.start(server=f"{relay.host}:{relay.control_port}", secret=SECRET).body["public_url"]
        self.address = relay.host, int(url.rsplit(":", 1)[1])

    def conns(self):
        return self.instance.get("/api/connections")["connections"]


@pytest.fixture
def says(lab, guests, way):
    return Says(lab, guests, way, "--connection-log", lab.folder / "connections")


def test_list_of_connections(way, says):
    """Peer and bytes of an open one, as the visitor counts them: a block's head is none of his."""
    for _ in range(2):
        with way.visitor(says.address) as sock:
            sock.sendall(saying(OK))
            assert recv_exact(sock, len(OK)) == OK
            live = wait_for(lambda: (one := says.conns()[0])["bytes"]["out"] == len(OK) and one, "its bytes are counted")
            assert live["open"] and live["kind"] == "tunnel" and live["end"] is None
            assert live["from"] == FROM_HERE(*sock.getsockname()) and live["bytes"]["in"] == len(saying(OK))
            sock.shutdown(socket.SHUT_WR)
            assert recv_all(sock) == b""
        closed = wait_for(lambda: not (one := says.conns()[0])["open"] and one, "it is listed as closed")
        assert (closed["id"], closed["end"], closed["bytes"]) == (live["id"], "closed", live["bytes"])


def test_ended_by_the_user(way, says):
    """The visitor is reset, the connection isn't used again, and the next visitor gets another."""
    with way.visitor(says.address) as sock:
        sock.sendall(saying(OK))
        assert recv_exact(sock, len(OK)) == OK
        one = f"/api/connections/{says.conns()[0]['id']}"
        assert says.instance.ask("DELETE", one).status == 200
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        closed = wait_for(lambda: not (found := says.conns()[0])["open"] and found, "it is listed as closed")
        assert closed["end"] == "ended by the user", closed
        assert says.instance.ask("DELETE", one).status == 409
    with way.visitor(says.address) as sock:
        sock.sendall(saying(OK))
        assert recv_exact(sock, len(OK)) == OK


def test_connection_log(lab, way, says):
    """Peer, bytes, duration and end: one in order, one that the visitor resets."""
    peers = []
    for reset in False, True:
        with way.visitor(says.address) as sock:
            sock.sendall(saying(OK))
            assert recv_exact(sock, len(OK)) == OK
            peers.append(FROM_HERE(*sock.getsockname()))
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                sock.shutdown(socket.SHUT_WR)
                recv_all(sock)
    log = lab.folder / "connections"
    lines = wait_for(lambda: len(found := [json.loads(line) for line in log.read_text().splitlines()]) == 2 and found, "both are written")
    assert [line["from"] for line in lines] == peers
    assert all(line["bytes"] == {"in": len(saying(OK)), "out": len(OK)} and not line["open"] for line in lines)
    assert lines[0]["end"] == "closed" and "reset" in lines[1]["end"], lines
    assert lines == list(reversed(says.conns()))


def test_recorded_and_replayed(way, says):
    """With a body in several blocks: the requests as they were, without the blocks."""
    record(says.instance, True)
    body = pattern("body", 30000)
    request = b"POST /it HTTP/1.1\r\nHost: example.org\r\nContent-Length: %d\r\n\r\n" % len(body)
    for number in range(2):
        with way.visitor(says.address) as sock:
            sock.sendall(request + body[:7])
            sock.sendall(body[7:])
            sock.shutdown(socket.SHUT_WR)
            assert recv_all(sock).endswith(body)
        one = over(says.instance, number + 1)[-1]
        assert (one["target"], one["status"]) == ("/it", 200)
        recorded = whole(says.instance, one)
        assert body_of(recorded["request"]) == body_of(recorded["response"]) == body
        assert [(h["name"], h["value"]) for h in recorded["request"]["headers"]] == [("Host", "example.org"), ("Content-Length", "30000")]
    again = replayed(says.instance, one["id"])
    assert body_of(again["response"]) == body
    # That went to the application, past the relay.
    assert way.metric("given_total") == 2


def test_json_events(lab, way):
    client = lab.start_client(way.relay, lab.app(), secret=SECRET, args=("--json",))
    port = json.loads(client.wait_line('"listening"')[0].text)["port"]
    for number in range(2):
        with way.visitor((way.relay.host, port)) as sock:
            sock.sendall(b"x" * 100)
            assert recv_exact(sock, 100) == b"x" * 100
            peer = FROM_HERE(*sock.getsockname())
            sock.shutdown(socket.SHUT_WR)
            assert recv_all(sock) == b""
        wait_for(lambda: len(client.find('"visitor_closed"')) == number + 1, "his end is told")  # noqa: B023
        told = [json.loads(line.text) for line, _ in client.find('"visitor_')][-2:]
        assert [event["event"] for event in told] == ["visitor_opened", "visitor_closed"]
        assert {event["from"] for event in told} == {peer} and len({event["id"] for event in told}) == 1
        assert (told[1]["bytes_in"], told[1]["bytes_out"], told[1]["why"]) == (100, 100, "closed")


def test_client_that_was_stopped_for_a_moment(lab, way):
    """Who came meanwhile is served when it goes on, on the warm connection that he was given."""
    app = lab.app()
    client = lab.client(way.relay, app, secret=SECRET)
    way.wait_parked()
    client.process.halt()
    with way.visitor(client.public) as sock:
        sock.sendall(b"hello")
        client.process.signal(signal.SIGCONT)
        assert recv_exact(sock, 5) == b"hello"
    app.wait_accepted(1)
    assert app.accepted == 1


@pytest.mark.parametrize("kept", [2, 0], ids=["warm", "announced"])
@pytest.mark.parametrize("how", ["stop", "signal"])
def test_end_of_the_tunnel(lab, guests, kept, how):
    """The user stops it, or `wasmrun os`: the visitor is reset, and the log has the reason, whichever way he came."""
    way, log = Way(lab, "--max-ready", kept), lab.folder / "connections"
    says = Says(lab, guests, way, "--connection-log", log)
    way.wait_parked(kept)
    with connect(says.address) as sock:
        sock.sendall(saying(OK))
        assert recv_exact(sock, len(OK)) == OK
        assert way.metric("given_total") == (kept > 0)
        if how == "stop":
            assert says.instance.stop().status == 200
        else:
            says.instance.process.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    if how == "signal":
        assert says.instance.process.wait_exit() == 0
    (line,) = wait_for(lambda: log.read_text().splitlines(), "his end is written")
    assert json.loads(line)["end"] == "the tunnel was stopped"


@pytest.mark.parametrize("second", ["warm", "announced"])
@pytest.mark.parametrize("first", ["warm", "announced"])
def test_relay_that_names_two_the_same(instance, first, second):
    """Both are served and listed, each by an id of his own: a DELETE ends the one that was meant, where it once ended the other."""
    visitor = str(uuid.uuid4())

    def named(address):
        return {"Visitor": {"id": visitor, "from": address}}

    def open_ones():
        return {conn["from"]: conn["id"] for conn in instance.get("/api/connections")["connections"] if conn["open"]}

    def begin(way, address):
        if way == "warm":
            conn = waiting.pop()
            conn.send(named(address))
            assert read_block(conn) == (TAKEN, b"")
            return conn
        control.send(named(address))
        while "Accept" not in (said := (conn := relay.accept()).recv()):
            assert said == {"Ready": relay.key}
            waiting.append(conn)
        # The relay hears the id that it has said.
        assert said == {"Accept": visitor}
        return conn

    with WarmRelay() as relay, contextlib.ExitStack() as stack:
        answers = []
        starter = threading.Thread(target=lambda: answers.append(instance.start(server=f"{relay.host}:{relay.control_port}")))
        starter.start()
        control = stack.enter_context(relay.welcome())
        starter.join()
        assert answers[0].status == 200
        waiting = [relay.parked(), relay.parked()]
        conns = {address: begin(way, address) for way, address in ((first, "192.0.2.1:1"), (second, "192.0.2.2:2"))}
        ids = wait_for(lambda: len(found := open_ones()) == 2 and found, "both are listed")
        assert ids["192.0.2.1:1"] == visitor != ids["192.0.2.2:2"]
        for address, conn in conns.items():
            assert instance.ask("DELETE", f"/api/connections/{ids.pop(address)}").status == 200
            with contextlib.suppress(ConnectionResetError):
                assert conn.at_end()
            wait_for(lambda: address not in open_ones(), "he isn't listed as open")
            assert open_ones() == ids

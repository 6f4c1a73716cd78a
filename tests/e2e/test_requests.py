# SPDX-License-Identifier: MIT
"""Recorded requests: what visitors have sent and were sent, byte by byte, whatever it was; and what is sent again."""

import base64
import gzip
import json
import re
import signal
import socket

import pytest

from harness.streams import connect, pattern, recv_all, recv_exact, reset, threads
from harness.wait import DEADLINE, SANITIZER, wait_for
from harness.wasmrun import WASMRUN, run_os
from test_os_commands import wasmrun

KEPT = 65536
LOOPBACK = "127.0.0.1"


@pytest.fixture
def says(lab, guests):
    """An application that answers what it is told, with a forward and the recorder on."""
    instance = run_os(lab, guests.c("says.c"), "--forward", "0")
    instance.wait_app("running")
    record(instance, True)
    instance.address = (LOOPBACK, instance.get("/api/forwards")["forwards"][0]["host_port"])
    return instance


def record(instance, on):
    assert instance.ask("POST", "/api/requests/record", {"recording": on}).body == {"success": True, "recording": on}


def listed(instance):
    return instance.get("/api/requests")["requests"]


def over(instance, count=1, states=("done",)):
    """The last `count` recorded requests, once each is over."""

    def last():
        all_ = listed(instance)
        return len(all_) >= count and all(one["state"] in states for one in all_[-count:]) and all_[-count:]

    return wait_for(last, f"{count} requests are {states}")


def whole(instance, one):
    return instance.get(f"/api/requests/{one['id']}")


def body_of(message):
    return message["text"].encode() if message["base64"] is None else base64.b64decode(message["base64"])


def saying(answer, then="", start="GET /x HTTP/1.1", more=""):
    """A request that has the application answer those bytes."""
    return f"{start}\r\nHost: h\r\nSay: {answer.hex()}\r\n{f'Then: {then}' + chr(13) + chr(10) if then else ''}{more}\r\n".encode()


def ask(instance, request, size=None):
    """What comes for these bytes: `size` bytes, or all until the end."""
    with connect(instance.address) as sock:
        sock.sendall(request)
        if size is None:
            return recv_all(sock)
        answer = recv_exact(sock, size)
        # Who leaves while the rest is on its way cuts it.
        sock.shutdown(socket.SHUT_WR)
        recv_all(sock)
        return answer


def replay(instance, id_, **edit):
    return instance.ask("POST", f"/api/requests/{id_}/replay", edit or None)


def replayed(instance, id_, **edit):
    answer = replay(instance, id_, **edit)
    assert answer.status == 200, answer
    return wait_for(
        lambda: (one := whole(instance, answer.body))["summary"]["state"] in ("done", "cut") and one, "the replay is over"
    )


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWERS = {
    "plain": (saying(OK), OK, 200, b"ok"),
    "HEAD": (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", start="HEAD / HTTP/1.1"), b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", 200, b""),
    "304": (saying(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"), b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, b""),
    "100": (saying(b"HTTP/1.1 100 Continue\r\n\r\n" + OK, more="Expect: 100-continue\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
    "until the end": (saying(b"HTTP/1.0 200 OK\r\n\r\nall", "close"), b"HTTP/1.0 200 OK\r\n\r\nall", 200, b"all"),
}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\n\xff\x00\r\n0\r\nTrailer: t\r\n\r\n"
ANSWERS["chunked with a trailer"] = (saying(CHUNKED), CHUNKED, 200, b"abc\xff\x00")
PACKED = gzip.compress(b"text " * 100)
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED
ANSWERS["gzip"] = (saying(GZIP), GZIP, 200, PACKED)
ODD = b"HTTP/1.1 200 \x1b[31m<b>\r\nX-\xff: \x07<script>\r\nContent-Length: 4\r\n\r\n\x1b\xc3\x28\x00"
ANSWERS["control characters and no UTF-8"] = (saying(ODD), ODD, 200, b"\x1b\xc3\x28\x00")


@pytest.mark.parametrize("case", ANSWERS)
def test_answers(says, case):
    request, answer, status, body = ANSWERS[case]
    assert ask(says, request, len(answer)) == answer
    (one,) = over(says)
    exchange = whole(says, one)
    assert (one["status"], one["kind"], one["replay_of"], one["why"]) == (status, "forward", None, None)
    assert body_of(exchange["response"]) == body and exchange["response"]["size"] == len(body)
    assert exchange["request"]["line"] == request.split(b"\r\n")[0].decode()
    assert exchange["request"]["whole"] and exchange["response"]["whole"]
    assert 0 < one["first_byte_ms"] <= one["duration_ms"]


def test_requests(says):
    """Pipelined, one of them in chunks."""
    chunked = b"POST /3 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"
    requests = [b"POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\none", b"GET /2 HTTP/1.1\r\n\r\n", chunked]
    with connect(says.address) as sock:
        sock.sendall(b"".join(requests))
        first, second, third = over(says, 3)
    assert [one["target"] for one in (first, second, third)] == ["/1", "/2", "/3"]
    assert body_of(whole(says, first)["request"]) == body_of(whole(says, first)["response"]) == b"one"
    assert body_of(whole(says, third)["request"]) == b"hello" and whole(says, third)["request"]["chunked"]


CHUNKS = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
def test_folded_headers(lab, says):
    """A line that begins with a blank belongs to the one before (RFC 9112, 5.2): what went on behind Cookie was shown."""
    ask(says, b"GET / HTTP/1.1\r\nCookie: a=1;\r\n\tb=s3cr3t\r\n  c\r\nX: 1\r\nHost: h\r\n\r\n", 38)
    [one] = over(says)
    assert whole(says, one)["request"]["headers"] == [
        {"name": "Cookie", "value": "a=1; \tb=s3cr3t   c"},
        {"name": "X", "value": "1"},
        {"name": "Host", "value": "h"},
    ]
    code, out = wasmrun(lab, "requests", str(one["id"]))[:2]
    assert code == 0 and "s3cr3t" not in out and "> X: 1" in out
    assert "s3cr3t" in wasmrun(lab, "requests", str(one["id"]), "--secrets")[1]
    assert "s3cr3t" not in json.dumps(says.get("/api/requests/har")) and "s3cr3t" in json.dumps(says.get("/api/requests/har?secrets=1"))


LIES = {
    "a request's length": (b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", "half", "cut"),
    "two lengths": (b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhalf", None, "cut"),
    "a length below zero": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\nhalf", None, "cut"),
    "a length beyond all": (b"POST / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\nhalf", None, "cut"),
    "half a chunk": (CHUNKS + b"a\r\nhalf", "half", "cut"),
    "a chunk of more than it says": (CHUNKS + b"4\r\nhalf and more\r\n0\r\n\r\n", "half", "cut"),
    "a chunk without a size": (CHUNKS + b"4\r\nhalf\r\nzz\r\n", "half", "cut"),
    "a chunk beyond all": (CHUNKS + b"4\r\nhalf\r\n10000000000000001\r\nmore\r\n", "half", "cut"),
    "chunks without an end": (CHUNKS + b"4\r\nhalf\r\n", "half", "cut"),
    "half a head": (b"GET / HTTP/1.1\r\nHost", None, "foreign"),
    "a longer head than is read": (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: v\r\n" % i for i in range(10_000)) + b"\r\n", None, "foreign"),
    "no HTTP": (b"\x16\x03\x01\x00\xa5\x01\x00", None, "foreign"),
}


@pytest.mark.parametrize("case", LIES)
def test_lies(says, case):
    """What can't be followed stands there, with its reason, and gets through all the same."""
    request, body, state = LIES[case]
    with connect(says.address) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        recv_all(sock)
    (one,) = wait_for(lambda: (all_ := listed(says)) and all_[0]["duration_ms"] is not None and all_, "it is over")
    assert one["state"] == state and one["why"]
    if state == "foreign":
        assert one["bytes_in"] == len(request)
    if body is not None:
        assert body_of(whole(says, one)["request"]) == body.encode() and not whole(says, one)["request"]["whole"]
    assert replay(says, one["id"]).status == 409
    # The next one is recorded as ever.
    assert ask(says, saying(OK), len(OK)) == OK
    assert over(says)[0]["status"] == 200


def test_many_headers(says):
    """As many as fit the head that is kept."""
    lines = b"".join(b"A: \r\n" for _ in range(10_000))
    assert ask(says, b"GET /many HTTP/1.1\r\n" + lines + b"\r\n", 38)
    headers = whole(says, over(says)[0])["request"]["headers"]
    assert len(headers) == 10_000 and all(one == {"name": "A", "value": ""} for one in headers)


ANSWER_LIES = {
    "fewer bytes than its length": (b"Content-Length: 10\r\n\r\nhalf", "ended before"),
    "no length": (b"Content-Length: x\r\n\r\nhalf", "Content-Length is none"),
    "half a chunk": (b"Transfer-Encoding: chunked\r\n\r\na\r\nhalf", "ended before"),
    "chunks without an end": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "ended before"),
    "a chunk without a size": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n\xff\r\n", "chunks are none"),
    "a chunk of more than it says": (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf and more\r\n0\r\n\r\n", "chunks are none"),
}


@pytest.mark.parametrize("case", ANSWER_LIES)
def test_answer_lies(says, case):
    """It comes as it is, and is told to be cut."""
    answer, why = ANSWER_LIES[case]
    lie = b"HTTP/1.1 200 OK\r\n" + answer
    assert ask(says, saying(lie, "close")) == lie
    (one,) = over(says, states=("cut",))
    assert one["status"] == 200 and why in one["why"]
    response = whole(says, one)["response"]
    assert body_of(response) == (b"" if case == "no length" else b"half") and not response["whole"]


def test_more_than_was_asked_for(says):
    """More bytes than its length: the answer is whole, and the rest is nobody's."""
    lie = OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain"
    assert ask(says, saying(lie, "close")) == lie
    one, rest = wait_for(lambda: len(all_ := listed(says)) == 2 and all_[1]["duration_ms"] is not None and all_, "the rest is there")
    assert (one["state"], one["status"], rest["state"], rest["why"]) == ("done", 200, "foreign", "an answer came that nobody had asked for")
    assert body_of(whole(says, one)["response"]) == b"ok"


def test_websocket(says):
    """The upgrade, and behind it bytes that nobody reads but counts."""
    upgrade = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
    with connect(says.address) as sock:
        sock.sendall(saying(upgrade, "echo", more="Upgrade: websocket\r\nConnection: Upgrade\r\n"))
        assert recv_exact(sock, len(upgrade)) == upgrade
        (one,) = over(says, states=("upgraded",))
        assert (one["status"], one["duration_ms"]) == (101, None)
        for _ in range(3):
            sock.sendall(b"\x81\x05hello")
            assert recv_exact(sock, 7) == b"\x81\x05hello"
        sock.shutdown(socket.SHUT_WR)
        assert recv_all(sock) == b""
    one = wait_for(lambda: (now := listed(says)[0])["duration_ms"] is not None and now, "the connection has ended")
    assert (one["state"], one["bytes_in"], one["bytes_out"]) == ("upgraded", 21, 21)
    answer = replay(says, one["id"])
    assert answer.status == 409 and "something else" in answer.body["error"]


def test_killed_in_the_middle(says):
    """The visitor is gone: what has come stands, and it is told what is missing."""
    sock = connect(says.address)
    sock.sendall(b"POST /half HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
    wait_for(lambda: listed(says) and listed(says)[0]["bytes_in"] == 500, "the half has come")
    assert replay(says, 1).status == 409 and "under way" in replay(says, 1).body["error"]
    reset(sock)
    (one,) = over(says, states=("cut",))
    assert one["bytes_in"] == 500 and one["status"] is None
    assert "end was not recorded" in replay(says, one["id"]).body["error"]
    assert replayed(says, one["id"], text="other")["response"]["text"] == "other"


def test_under_load(lab, says):
    """200 requests of visitors of the tunnel and of the forward: each as it was sent, each answer likewise."""
    relay = lab.relay()
    says.start(server=f"{relay.host}:{relay.control_port}")
    public = (relay.host, says.wait_status("Connected")["public_port"])
    sent = {}

    def visit(number):
        with connect(public if number % 2 else says.address, 10 * DEADLINE) as sock:
            for i in range(20):
                name = f"/{number}/{i}"
                body = pattern(name, [0, 1, 100, 5000, 30_000][i % 5] + number)
                sent[name] = body
                sock.sendall(b"POST %b HTTP/1.1\r\nX-Sum: %d\r\nContent-Length: %d\r\n\r\n" % (name.encode(), sum(body), len(body)) + body)
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                assert recv_exact(sock, len(answer)) == answer

    with threads(20 * DEADLINE) as visitors:
        for number in range(10):
            visitors.start(visit, number)
    over(says, 200)
    assert says.get("/api/requests")["lost"] == 0
    assert sorted(one["target"] for one in listed(says)) == sorted(sent)
    for one in listed(says):
        exchange = whole(says, one)
        assert body_of(exchange["request"]) == body_of(exchange["response"]) == sent[one["target"]]
        name, body = one["target"], sent[one["target"]]
        said = {"X-Sum": str(sum(body)), "Content-Length": str(len(body))}
        assert exchange["request"]["line"] == f"POST {name} HTTP/1.1" and exchange["response"]["line"] == "HTTP/1.1 200 OK"
        assert [tuple(header.values()) for header in exchange["request"]["headers"]] == list(said.items())
        assert exchange["response"]["headers"] == [{"name": "Content-Length", "value": str(len(body))}]
        assert one["kind"] == ("tunnel" if int(one["target"].split("/")[1]) % 2 else "forward")


def rss(pid, name="RSS"):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(rf"Vm{name}:\s+(\d+)", status.read())[1]) << 10


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer keeps what was freed")
def test_memory_is_bounded(says):
    """More requests of 192 KiB than are kept, and heads that never end."""
    body = pattern("body", 3 * KEPT)
    request = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def visit():
        with connect(says.address, 10 * DEADLINE) as sock:
            for _ in range(60):
                sock.sendall(request)
                recv_exact(sock, len(body) + len(b"HTTP/1.1 200 OK\r\nContent-Length: 196608\r\n\r\n"))

    before = rss(says.process.pid)
    with threads(20 * DEADLINE) as visitors:
        for _ in range(4):
            visitors.start(visit)
    # What came too fast is cut, and the rest of its connection isn't there.
    over(says, 1, ("done", "cut"))
    done = [one for one in listed(says) if one["state"] == "done"]
    assert rss(says.process.pid) - before < 48 << 20
    one = whole(says, done[-1])
    assert one["request"]["size"] == len(body) and one["request"]["kept"] == KEPT and body_of(one["request"]) == body[:KEPT]
    assert "64 KiB" in replay(says, one["summary"]["id"]).body["error"]
    heads = [connect(says.address) for _ in range(400)]
    for sock in heads:
        sock.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000)
    wait_for(lambda: sum(one["why"] == "too many heads are under way" for one in listed(says)) > 50, "some are not read any more")
    assert rss(says.process.pid) - before < 96 << 20
    for sock in heads:
        reset(sock)


# --- sent again ---


def test_replay(says):
    """A POST with a binary body, recorded or not: the same bytes, on a connection of its own."""
    body = pattern("binary", 5000)
    request = b"POST /it?a=%%20b HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nCookie: c\r\nContent-Length: %d\r\n\r\n" % len(body)
    ask(says, request + body, 10)
    (one,) = over(says)
    record(says, False)
    again = replayed(says, one["id"])
    summary = again["summary"]
    assert (summary["kind"], summary["replay_of"], summary["connection"]) == ("replay", one["id"], None)
    assert (summary["state"], summary["status"], summary["target"]) == ("done", 200, "/it?a=%20b")
    assert body_of(again["request"]) == body_of(again["response"]) == body
    assert [(h["name"], h["value"]) for h in again["request"]["headers"]] == [
        ("Host", "example.org"),
        ("Cookie", "c"),
        ("Content-Length", "5000"),
        ("Connection", "close"),
        ("X-Wasmrun-Replay", "1"),
    ]
    # That one can be sent again as well, and says so once.
    assert [h["name"] for h in replayed(says, summary["id"])["request"]["headers"]].count("X-Wasmrun-Replay") == 1
    # No visitor came for it.
    assert len(says.get("/api/connections")["connections"]) == 1


def test_edit_and_replay(says):
    ask(says, b"GET /old HTTP/1.1\r\nHost: h\r\nCookie: c\r\n\r\n", 10)
    (one,) = over(says)
    headers = [{"name": "Host", "value": "other"}, {"name": "Content-Length", "value": "99"}]
    again = replayed(says, one["id"], method="PUT", target="/new", headers=headers, base64="AP8=")
    assert again["request"]["line"] == "PUT /new HTTP/1.1" and body_of(again["response"]) == b"\x00\xff"
    assert [h["name"] for h in again["request"]["headers"]] == ["Host", "Content-Length", "Connection", "X-Wasmrun-Replay"]
    assert replayed(says, one["id"], text="")["request"]["line"] == "GET /old HTTP/1.1"


EDITS = {
    "a target of two lines": (dict(target="/a HTTP/1.1\r\nX: y"), 400, "target"),
    "a method of two words": (dict(method="GET /"), 400, "method"),
    "a value of two lines": (dict(headers=[{"name": "A", "value": "b\r\nC: d"}]), 400, "value"),
    "a name with a newline": (dict(headers=[{"name": "A\nB", "value": "c"}]), 400, "name"),
    "a zero byte": (dict(target="/\0"), 400, ""),
    "a header of numbers": (dict(headers=[{"name": "A", "value": 1}]), 400, "headers"),
    "no array": (dict(headers={}), 400, "headers"),
    "10,000 headers": (dict(headers=[{"name": f"X-{i}", "value": "v"} for i in range(10_000)]), 400, "64 KiB"),
    "a long body": (dict(text="x" * (KEPT + 1)), 400, "64 KiB"),
    "two bodies": (dict(text="x", base64="eA=="), 400, "either"),
    "no base64": (dict(base64="x"), 400, "base64"),
    "an unknown member": (dict(body="x"), 400, "text"),
    "too long a document": (dict(text="x" * (2 << 20)), 413, ""),
}


@pytest.mark.parametrize("case", EDITS)
def test_bad_edits(says, case):
    edit, status, part = EDITS[case]
    ask(says, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 10)
    (one,) = over(says)
    answer = replay(says, one["id"], **edit)
    assert answer.status == status and part in answer.body["error"], answer
    assert len(listed(says)) == 1
    # It is the edit that was wrong.
    assert replayed(says, one["id"], target="/good")["summary"]["status"] == 200


def test_one_replay_at_a_time(says):
    """The second one is refused while the application owes the first one its answer."""
    ask(says, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 10)
    (one,) = over(says)
    with connect(says.address) as sock:
        sock.sendall(b"GET /holds the only place")
        wait_for(lambda: len(says.get("/api/connections")["connections"]) > 1, "it is connected")
        first = replay(says, one["id"])
        second = replay(says, one["id"])
        assert first.status == 200
        assert second.status == 409 and "another replay" in second.body["error"]
        assert replay(says, 999).status == 404
        assert replay(says, first.body["id"]).status == 409
    wait_for(lambda: whole(says, first.body)["summary"]["state"] == "done", "the first one has its answer")
    assert replayed(says, one["id"])["summary"]["status"] == 200


def test_replay_without_an_application(says):
    """The gate answers it, like any visitor."""
    ask(says, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 10)
    (one,) = over(says)
    says.ask("POST", "/api/app/stop")
    says.wait_app("stopped")
    assert replayed(says, one["id"])["summary"]["status"] == 503


def test_end_during_a_replay(lab, says):
    ask(says, b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 10)
    (one,) = over(says)
    with connect(says.address) as sock:
        sock.sendall(b"GET /holds the only place")
        wait_for(lambda: len(says.get("/api/connections")["connections"]) > 1, "it is connected")
        assert replay(says, one["id"]).status == 200
        says.process.signal(signal.SIGTERM)
        assert says.process.wait_exit() == 0


# --- as an archive, and on the command line ---


def test_har(says):
    body = b"\x00\x01\x02"
    ask(says, b"POST /p?a=1&b&=c&d=%26 HTTP/1.1\r\nHost: h\xff\r\nAuthorization: Basic x\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n" + body, 10)
    ask(says, saying(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nSet-Cookie: s\r\nContent-Length: 2\r\n\r\nok"), 10)
    with connect(says.address) as sock:
        sock.sendall(b"no HTTP\n")
    posted, moved, _ = over(says, 3, ("done", "foreign"))
    log = says.get("/api/requests/har")["log"]
    first, second = log["entries"]
    assert log["version"] == "1.2" and log["creator"]["name"] == "wasmrun"
    assert first["request"]["postData"] == {"mimeType": "a/b", "encoding": "base64", "text": base64.b64encode(body).decode()}
    assert [(q["name"], q["value"]) for q in first["request"]["queryString"]] == [("a", "1"), ("b", ""), ("", "c"), ("d", "%26")]
    assert first["request"]["url"] == "http://h\ufffd/p?a=1&b&=c&d=%26" and first["request"]["method"] == "POST"
    assert {"name": "Authorization", "value": "(hidden)"} in first["request"]["headers"]
    assert (second["response"]["status"], second["response"]["redirectURL"]) == (302, "/there")
    assert second["response"]["content"] == {"size": 2, "mimeType": "", "text": "ok"}
    assert "(hidden)" in [h["value"] for h in second["response"]["headers"] if h["name"] == "Set-Cookie"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["startedDateTime"])
    for entry in log["entries"]:
        assert entry["time"] == pytest.approx(sum(entry["timings"].values()))
    open_ = says.get("/api/requests/har?secrets=1")["log"]["entries"]
    assert {"name": "Authorization", "value": "Basic x"} in open_[0]["request"]["headers"]
    only = says.get(f"/api/requests/har?ids={moved['id']},999")["log"]["entries"]
    assert [entry["response"]["status"] for entry in only] == [302]
    assert says.ask("GET", "/api/requests/har?ids=1;2").status == 400


@pytest.mark.skipif(bool(SANITIZER), reason="a sanitizer takes memory of its own")
def test_har_in_pieces(says):
    """Heads of 20,000 fields, as JSON a hundred times as long: the archive was made in one go, of gigabytes."""
    request = b"GET /%d HTTP/1.1\r\n" + b"a:\n" * 20_000 + b"b:\r\n\r\n"
    with connect(says.address, 10 * DEADLINE) as sock:
        for number in range(20):
            sock.sendall(request % number)
            recv_exact(sock, 38)
    over(says, 20)
    before = rss(says.process.pid)
    entries = says.ask("GET", "/api/requests/har", deadline=20 * DEADLINE).body["log"]["entries"]
    assert [entry["request"]["url"] for entry in entries] == [f"http://localhost/{number}" for number in range(20)]
    assert all(len(entry["request"]["headers"]) == 20_001 for entry in entries)
    assert rss(says.process.pid, "HWM") - before < 48 << 20


def test_command(lab, says):
    record(says, False)
    code, out, err = wasmrun(lab, "requests")
    assert code == 0 and len(out.splitlines()) == 1 and "--record on" in err
    assert wasmrun(lab, "requests", "--record", "on")[:2] == (0, "Requests of new connections are recorded\n")
    ask(says, b"POST /\x1b[31m HTTP/1.1\r\nHost: h\r\nCookie: secret\r\nContent-Length: 6\r\n\r\nhi\nyou", 10)
    (one,) = over(says)
    code, out, err = wasmrun(lab, "requests")
    assert (code, err) == (0, "") and re.search(rf"^{one['id']} .* 200 .* POST /\\x1b\[31m$", out, re.M)
    code, out, _ = wasmrun(lab, "requests", str(one["id"]))
    assert code == 0 and "> Cookie: (hidden, --secrets shows it)" in out and "\nhi\nyou\n< HTTP/1.1 200 OK\n" in out
    assert "> Cookie: secret" in wasmrun(lab, "requests", str(one["id"]), "--secrets")[1]
    assert json.loads(wasmrun(lab, "requests", "--json")[1]) == one
    assert json.loads(wasmrun(lab, "requests", str(one["id"]), "--json")[1]) == whole(says, one)
    assert json.loads(wasmrun(lab, "requests", "--har")[1]) == says.get("/api/requests/har")
    code, _, err = wasmrun(lab, "requests", "999")
    assert code == 1 and "there is no request 999" in err
    code, out, _ = wasmrun(lab, "replay", str(one["id"]))
    assert code == 0 and f"by replay of {one['id']}: 200" in out and "> X-Wasmrun-Replay: 1" in out
    again = json.loads(wasmrun(lab, "replay", str(one["id"]), "--json")[1])
    assert again["summary"]["replay_of"] == one["id"] and again["response"]["text"] == "hi\nyou"
    code, _, err = wasmrun(lab, "replay", "999")
    assert code == 1 and "there is no request 999" in err
    code, _, err = wasmrun(lab, "requests", "1", "--har")
    assert code == 2 and "only one of" in err
    assert wasmrun(lab, "requests", "--record", "off")[0] == 0 and not says.get("/api/requests")["recording"]


def test_command_follows(lab, says):
    """What is recorded already, and what comes, each once, until the instance ends."""
    ask(says, saying(OK, start="GET /0 HTTP/1.1"), len(OK))
    follower = lab.process([WASMRUN, "requests", "-f"], "requests", env={"XDG_RUNTIME_DIR": str(lab.folder)})
    for number in range(10):
        follower.wait_line(rf" 200 .* GET /{number}$")
        ask(says, saying(OK, start=f"GET /{number + 1} HTTP/1.1"), len(OK))
    follower.wait_line(" 200 .* GET /10$")
    says.process.signal(signal.SIGTERM)
    assert follower.wait_exit() == 0
    assert [match[1] for _, match in follower.find(r" GET /(\d+)$")] == [str(number) for number in range(11)]

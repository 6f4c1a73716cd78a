# SPDX-License-Identifier: MIT
"""Both HTTP servers, the page's and the one of folders and CGI programs, and peers that are rude, slow, gone, or make no sense."""

import http.client
import os
import random
import socket
import threading

import pytest

from harness.guests import GUEST
from harness.wait import DEADLINE, SCALE, wait_for
from harness.wasmrun import run_os
from harness.web import Web

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")

LONG = 140_000  # more than either server has memory for a line
CROWD = 600  # more connections than either takes at once


class Server:
    """What the tests here want of one: where it listens, its process, and whether it still does all of its work."""

    def __init__(self, address, process, works):
        self.address, self.process, self.works = address, process, works

    def connect(self):
        return socket.create_connection(self.address, DEADLINE)

    def raw(self, *pieces):
        """All that comes back to a peer that sends, ends its side, and reads."""
        with self.connect() as sock:
            for piece in pieces:
                sock.sendall(piece)
            sock.shutdown(socket.SHUT_WR)
            return read_all(sock)


def read_all(sock):
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


@pytest.fixture
def page(instance):
    # A folder is read on another thread and told by the loop: a loop that only ever serves HTTP would not answer.
    yield Server(("127.0.0.1", instance.port), instance.process, lambda: instance.get("/api/fs/list")["success"])


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("home")
    web = Web(tmp_path, "--files", folder).wait()
    yield Server(web.address, web.process, lambda: web.ask("/").body == b"home")
    assert not web.close()


@pytest.fixture(params=["page", "site"])
def server(request):
    return request.getfixturevalue(request.param)


HEAD = b"%s HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("target", [b"GET /", b"GET /api/app", b"POST /api/tunnel/start", b"PUT /api/fs/write?path=x", b"POST /none"])
@pytest.mark.parametrize("line", [b"0" * LONG, b"5;" + b"x" * LONG, b"3\r\nabc\r\n" + b"0" * LONG, b"0\r\nA: " + b"x" * LONG], ids=["size", "extension", "second", "trailer"])
def test_a_line_of_a_chunk_has_no_end(server, target, line):
    """One such request kept the server busy for good: libmicrohttpd had no memory to read on, and didn't give up."""
    with server.connect() as sock:
        sock.sendall(HEAD % target + CHUNKED + line)
        # Without an end from here: the server's own decision is waited for.
        answer = read_all(sock)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4") or answer.startswith(b"HTTP/1.1 500"), answer[:100]
    assert server.works()
    before = server.process.cpu()
    wait_for(lambda: server.works(), "it does")
    assert server.process.cpu() - before < 0.3 * SCALE


def read_answer(sock, end):
    data = b""
    while not data.endswith(end):
        data += (more := sock.recv(65536))
        assert more, data
    return data


def test_others_stay_where_one_is_given_up(page):
    """The turns that one took were counted for all who were waited for: idle ones, and those in the middle of a head, were shut out with it."""
    with page.connect() as idle, page.connect() as slow:
        idle.sendall(HEAD % b"GET /healthz" + b"\r\n")
        read_answer(idle, b"ok\n")
        slow.sendall(b"GET /hea")
        with page.connect() as sock:
            sock.sendall(HEAD % b"POST /api/tunnel/start" + CHUNKED + b"0" * LONG)
            read_all(sock)
        idle.sendall(HEAD % b"GET /healthz" + b"\r\n")
        slow.sendall(b"lthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_answer(idle, b"ok\n").startswith(b"HTTP/1.1 200 ") and read_answer(slow, b"ok\n").startswith(b"HTTP/1.1 200 ")


def test_the_log_tells_once_of_those_given_up(page):
    """Each such request was a line in the log, as many as a peer wanted."""
    socks = [page.connect() for _ in range(3)]  # at the same time: it takes seconds with a sanitizer
    for sock in socks:
        sock.sendall(HEAD % b"POST /api/tunnel/start" + CHUNKED + b"0" * LONG)
    for sock in socks:
        with sock:
            read_all(sock)
    wait_for(lambda: "no more requests that can't be read to their end count=3" in page.process.text("stderr"), "their number is told")
    assert page.process.text("stderr").count("given up") == 1


def test_a_body_in_chunks(lab, project):
    """The positive control: chunks, extensions and trailers are read where a body is wanted, and said not to be where none is."""
    instance = run_os(lab, project, "--writable")
    body = HEAD % b"PUT /api/fs/write?path=new" + CHUNKED + b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
    server = Server(("127.0.0.1", instance.port), instance.process, None)
    assert server.raw(body).startswith(b"HTTP/1.1 200 ")
    assert (project / "new").read_bytes() == b"abcde"
    assert server.raw(HEAD % b"GET /healthz" + CHUNKED + b"0\r\n\r\n").startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize(("framing", "status"), [
    (b"Transfer-Encoding: gzip\r\n", b"501"),
    (b"Transfer-Encoding: gzip, chunked\r\n", b"501"),
    (b"Content-Length: 3\r\nContent-Length: 3\r\n", b"400"),
    (b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"400"),
])
def test_unknown_framing(server, framing, status):
    """Where nobody knows the end of a body there is no next request; a length that is given twice hides one."""
    answers = server.raw(HEAD % b"GET /" + framing + b"\r\n0\r\n\r\n" + HEAD % b"GET /hidden" + b"\r\n")
    assert answers.startswith(b"HTTP/1.1 " + status) and answers.count(b"HTTP/1.1 ") == 1
    assert server.works()


@pytest.mark.parametrize("count", [1, 20, 3000, 7000])
def test_a_query_of_many_parameters(page, site, count):
    """Each took memory of the connection, and without more of it there was no answer, nor an end."""
    query = HEAD % (b"GET /?" + b"&".join([b"a=b"] * count)) + b"\r\n"
    assert page.raw(query).startswith(b"HTTP/1.1 " + (b"200 " if count < 32 else b"414 "))
    assert site.raw(query).startswith(b"HTTP/1.1 200 ")


def test_peers_that_go_behind_half_a_request(server):
    """Their connections were kept up to the deadline, half a minute, and nobody else was served meanwhile."""
    for _ in range(CROWD):
        with server.connect() as sock:
            sock.sendall(b"GET / HT")
    assert server.works()
    before = server.process.fds()
    wait_for(lambda: server.process.fds() <= max(before - 100, 60), "they are let go")


def test_a_half_closed_request_is_answered(server):
    """The end of a peer that only has nothing more to say (nc -N) is not the end of its answer."""
    for _ in range(20):
        with server.connect() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\n")
            sock.sendall(b"Host: localhost\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("request_line", [b"PUT /api/fs/write?path=x", b"POST /none", b"POST /api/app"])
def test_an_answer_before_the_body_has_come(server, request_line):
    """The peer sends all of it before it reads, as most do: the answer was lost to a reset."""
    with server.connect() as sock:
        sock.sendall(HEAD % request_line + b"Content-Length: 50000000\r\n\r\n")
        for _ in range(50):
            sock.sendall(bytes(1_000_000))
        assert sock.recv(12).startswith(b"HTTP/1.1 4")
    assert server.works()


@pytest.mark.slow
def test_kept_alive_for_longer_than_by_a_front(page, site):
    """A front keeps a connection for 60 s, and sent a request to one that was just being closed at 30 s."""
    kept = [http.client.HTTPConnection(*server.address, timeout=DEADLINE) for server in (page, site)]
    for pause in (0, 65):
        threading.Event().wait(pause)  # the time itself is what is tested
        for connection in kept:
            connection.request("GET", "/", headers={"Host": "localhost"})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read() and connection.sock


# --- requests that no one would write ---

METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"get", b"", b"G\0T", b"M" * 300, b"PRI * HTTP/2.0\r\n"]
TARGETS = [
    b"/", b"/api/app", b"/api/fs/write?path=x", b"/api/fs/read?path=%2e%2e/x", b"/api/logs?since=1&limit=%31", b"/none", b"/healthz", b"/api/tunnel/status",
    b"*", b"", b"//", b"/%", b"/%0", b"/%00", b"/%zz?%", b"/?" + b"&" * 500, b"/?a=b" + b"&a=b" * 3000, b"/a b", b"http://localhost/", b"/\xff\xfe", b"/\0x", b"/" + b"%41" * 9000,
]  # fmt: skip
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.", b"http/1.1", b"", b"HTTP/1.1 "]
HEADERS = [
    b"Host: localhost", b"Host: localhost", b"Host: 127.0.0.1", b"Host: evil.example", b"Host:", b"Host: localhost\0", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue",
    b"Expect: 200-ok", b"Origin: http://localhost", b"Upgrade: h2c", b"Cookie: a=b; c=\"d\"", b"X: y\r\n folded", b"X: y\r\n\t", b" X: y", b"X : y", b"X", b":", b"X: \0\x01\xff", b"Range: bytes=0-1",
    b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 70000", b"Content-Length: -1", b"Content-Length: 5, 5", b"Content-Length: 99999999999999999999", b"Content-Length: 0x5", b"Content-Length:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding:",
]  # fmt: skip
BODIES = [
    b"", b"hello", b"{}", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0\r\nT: r\r\n\r\n", b"5\nhello\n0\n\n", b"5\r\nhelloX", b"ffffffffffffffff\r\n", b"fffffffffffffffff\r\n", b"-1\r\n", b"\r\n", b"x", b"0x5\r\n",
    b"0\r\n x\r\n\r\n", b"0\r\nT\r\n\r\n", b"5 \r\nhello\r\n", b"\0", b"0\r\n" + b"A: b\r\n" * 9000, b"1\r\nx\r\n" * 5000,
]  # fmt: skip
ENDS = [b"\r\n"] * 8 + [b"\n", b"\r", b"\r\r\n", b""]


def strange_request(rng):
    lines = [b" ".join((rng.choice(METHODS[: rng.choice((4, 11))]), rng.choice(TARGETS), rng.choice(VERSIONS)))]
    lines += rng.sample(HEADERS, rng.randrange(1, 6)) if rng.random() < 0.9 else []
    if rng.random() < 0.7:
        lines.append(b"Host: localhost")
    if rng.random() < 0.03:
        lines += [b"A: b"] * 9000
    data = b"".join(line + rng.choice(ENDS[: rng.choice((8, 12))]) for line in lines) + b"\r\n" + rng.choice(BODIES)
    if rng.random() < 0.2:  # something is very long
        at = rng.randrange(len(data) + 1)
        data = data[:at] + bytes([rng.choice(b"0a \t\r\n;:%\0/&")]) * rng.choice((100, 8000, 33_000, 60_000, LONG)) + data[at:]
    for _ in range(rng.choice((0, 0, 1, 3))):  # or something is another byte, or the end
        at = rng.randrange(len(data)) if data else 0
        data = data[:at] + rng.choice((b"", bytes([rng.randrange(256)]), data[at : at + 9] * 2)) + data[at + 1 :]
    return data[: rng.randrange(len(data) + 1)] if rng.random() < 0.15 else data


@pytest.mark.parametrize("seed", range(2))
def test_strange_requests(server, seed):
    """Some 2,000 requests made from pieces of good and bad ones: each comes to an end, nothing spins, and the next visitor is served."""
    rng = random.Random(seed)
    for _ in range(4):
        cases = [b"".join(strange_request(rng) for _ in range(rng.choice((1, 1, 2, 5)))) for _ in range(120)]
        socks = [server.connect() for _ in cases]
        for sock, data in zip(socks, cases):
            try:
                cut = rng.randrange(len(data) + 1)
                sock.sendall(data[:cut])
                sock.sendall(data[cut:])
                sock.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError, OSError):
                pass
        for sock, data in zip(socks, cases):
            with sock:
                try:
                    answer = read_all(sock)
                except TimeoutError:
                    pytest.fail(f"no end of {data[:300]!r}... ({len(data)} bytes)")
            assert answer == b"" or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), (data[:300], answer[:100])
        assert server.works()
    before = server.process.cpu()
    wait_for(lambda: server.works(), "it does")
    assert server.process.cpu() - before < 0.3 * SCALE

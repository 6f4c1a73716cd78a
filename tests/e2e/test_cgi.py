# SPDX-License-Identifier: MIT
"""Modules without sockets, an instance for each request: `wasmrun os` on the example, and wasmrun-guest --cgi."""

import concurrent.futures
import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import threading
import urllib.parse

import pytest

from harness.examples import copy_example
from harness.guests import GUEST, compiled
from harness.wait import DEADLINE, in_time, wait_for
from harness.wasmrun import fetch, need_wasmrun, run_os
from harness.web import Web

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")


@pytest.fixture
def serve(guests, tmp_path):
    started = []

    def start(*args, options=()):
        module = guests.c("cgi.c")
        started.append(Web(tmp_path, "--cgi", module, *args, options=[*compiled(module), *options]).wait())
        return started[-1]

    yield start
    reports = [report for web in started for report in web.close() or ()]
    assert not reports, "\n".join(reports)


def test_example(lab):
    """Fifty visitors at a time through the public address: every visit is counted once."""
    need_wasmrun()
    project = copy_example("counter-cgi", lab.folder / "counter")
    relay = lab.relay()
    instance = run_os(lab, project)
    assert instance.app()["kind"] == "cgi"
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    with concurrent.futures.ThreadPoolExecutor(50) as visitors:
        answers = list(visitors.map(lambda i: fetch(url, f"/{i}"), range(200)))
    assert {status for status, _ in answers} == {200}
    assert all(f"<code>/{i}</code>" in page for i, (_, page) in enumerate(answers))
    assert "Visit 201" in fetch(url, "/%3Cb%3E")[1]
    assert (project / "data" / "visits").stat().st_size == 201
    instance.process.wait_line(r"^stdout \| GET /%3Cb%3E 200 \d+$")


def test_replaced_under_load(lab):
    """Visitors who keep their connections see three versions come and go, and lose nothing."""
    need_wasmrun()
    project = copy_example("counter-cgi", lab.folder / "counter")
    instance = run_os(lab, project)
    port = urllib.parse.urlsplit(instance.app()["url"]).port
    stop = threading.Event()

    def visit(number):
        connection, count = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE), 0
        while not stop.is_set():
            connection.request("GET", f"/{number}")
            answer = connection.getresponse()
            assert answer.status == 200 and f"/{number}<" in answer.read().decode()
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(8) as visitors:
        loads = [visitors.submit(visit, number) for number in range(8)]
        try:
            for _ in range(3):
                old = instance.app()["pid"]
                assert instance.ask("POST", "/api/app/restart").status in (200, 202)
                wait_for(lambda: (now := instance.app())["pid"] not in (0, None, old) and now["state"] == "running", "the next one runs")
        finally:
            stop.set()
        total = sum(load.result() for load in loads)
    assert (project / "data" / "visits").stat().st_size == total


def env_of(web, *args, **kwargs):
    answer = web.ask(*args, **kwargs)
    assert answer.status == 200
    return dict(line.split("=", 1) for line in answer.body.decode().splitlines())


def test_environment(serve):
    web = serve(options=["--env", "MINE=1", "--env", "HTTP_PROXY=mine", "--env", "REQUEST_METHOD=mine"])
    env = env_of(web, "/env?a=b%20c&d", "POST", b"body", headers={
        "Content-Type": "text/x", "X-Some-Header": "yes", "Proxy": "http://evil/", "X_Under": "no", "Cookie": "a=1"})
    expected = {
        "CONTENT_LENGTH": "4",
        "CONTENT_TYPE": "text/x",
        "GATEWAY_INTERFACE": "CGI/1.1",
        "HTTP_COOKIE": "a=1",
        "HTTP_PROXY": "mine",
        "HTTP_X_SOME_HEADER": "yes",
        "MINE": "1",
        "PATH_INFO": "/env",
        "QUERY_STRING": "a=b%20c&d",
        "REMOTE_ADDR": "127.0.0.1",
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/env?a=b%20c&d",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(web.address[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "X_FULL_URL": f"http://127.0.0.1:{web.address[1]}/env?a=b%20c&d",
    }
    assert {name: env.get(name) for name in expected} == expected
    assert "HTTP_X_UNDER" not in env and "LISTEN_FDS" not in env and "PATH" not in env
    assert "CONTENT_LENGTH" not in env_of(web, "/env")


def test_arguments_are_not_the_visitors(serve):
    """php-cgi's visitors could once pass options in the query."""
    web = serve("own")
    assert web.ask("/args?-s").body == web.ask("/args").body == b"2 own\n"


@pytest.mark.parametrize("size", [0, 1, 4096, 1_000_000, 10 << 20])
def test_bodies(serve, size):
    web, body = serve(), os.urandom(size)
    connection = http.client.HTTPConnection(*web.address, timeout=DEADLINE)
    answer = web.ask("/echo", "POST", body, connection=connection)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, body, str(size))
    # The program's own Connection and Content-Length say nothing about the connection.
    assert web.ask("/", connection=connection).body == b"hello\n"


def test_chunked_body(serve):
    web = serve()
    connection = http.client.HTTPConnection(*web.address, timeout=DEADLINE)
    connection.request("POST", "/echo", iter([b"abc", b"def"]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert connection.getresponse().read() == b"abcdef"


def test_huge_bodies(serve):
    web = serve()
    assert web.ask("/echo", "POST", bytes((10 << 20) + 1)).status == 413
    with web.connect() as visitor, visitor.makefile("rb") as reply:
        visitor.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
        for _ in range(11):
            visitor.sendall(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
        visitor.sendall(b"0\r\n\r\n")
        assert reply.readline().split()[1] == b"413"
    assert web.ask("/").status == 200


def quoted(text):
    return "".join(chr(c) if c < 128 and chr(c).isalnum() else f"~{c:02x}" for c in text.encode())


def write(web, text, **kwargs):
    """The reply to a program that writes this text."""
    return web.ask(f"/write?{quoted(text)}", **kwargs)


def test_responses(serve):
    web = serve()
    answer = write(web, "Status: 404 Gone Fishing\nContent-Type: a/b\nSet-Cookie: a=1\nSet-Cookie: b=2\n\nno")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (404, "a/b", b"no")
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    answer = write(web, "Location: http://example.com/\r\n\r\n")
    assert (answer.status, answer.headers["Location"]) == (302, "http://example.com/")
    answer = write(web, "Location: /other?a=b\n\n")
    assert (answer.status, answer.headers["Location"]) == (302, "/other?a=b")
    answer = write(web, "Status: 204\n\nnot to be seen")
    assert (answer.status, answer.body) == (204, b"")
    answer = write(web, "Content-Type: text/plain\n\n12345", method="HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "5", b"")


def test_document_shorter_than_its_length(serve):
    """It was sent with the length that it had, so that a document which is missing its end looked whole."""
    web = serve()
    head = "Content-Type: text/plain\nContent-Length: %d\n\n12345"
    assert write(web, head % 6).status == 502
    web.process.wait_line(r"502 for .*: it has written 5 of the 6 bytes that its Content-Length says")
    for length in (5, 4):
        answer = write(web, head % length)
        assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "5", b"12345")
    assert write(web, head % 6, method="HEAD").status == 200


def test_what_is_legal_is_passed_on(serve):
    """A teapot became "Non-Standard Status", and an empty value no header at all."""
    web = serve()
    for status, line in (
        ("418 I'm a teapot", "418 I'm a teapot"), ("404 Gone  Fishing", "404 Gone  Fishing"), ("299 \xe4", "299 \xe4"), ("404", "404 Not Found"), ("418", "418 I'm a teapot"),
    ):  # fmt: skip
        text = quoted(f"Status: {status}\nX-Empty:\nX-A: b\n\n")
        answer = web.raw(f"GET /write?{text} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(f"HTTP/1.1 {line}\r\n".encode()), answer
        assert b"\r\nX-Empty:" in answer and b"\r\nX-A: b\r\n" in answer
    # The next one's words are its own, on the same connection.
    connection = http.client.HTTPConnection(*web.address, timeout=DEADLINE)
    for status, reason in (("200 Fine", "Fine"), ("200", "OK"), ("503 Busy", "Busy"), ("404", "Not Found")):
        connection.request("GET", f"/write?{quoted(f'Status: {status}' + chr(10) * 2)}")
        answer = connection.getresponse()
        assert answer.read() == b"" and answer.reason == reason


@pytest.mark.parametrize("text", [
    "",
    "hello",
    "<html>\n\n",
    "Content-Type: text/plain",
    "X-Header: a\n\n",
    "Content-Type: a/b\rSet-Cookie: evil=1\n\n",
    "Content-Type: a/b\0\n\n",
    "Location: /\x1b[2J\n\n",
    "Status: 100\n\n",
    "Status: 200\nStatus: 404\n\n",
    "HTTP/1.1 200 OK\nContent-Type: a/b\n\n",
])
def test_malformed_responses(serve, text):
    web = serve()
    answer = write(web, text)
    assert answer.status == 502 and "evil" not in str(answer.headers)
    web.process.wait_line(r"cgi: 502 for '/write': ")
    if ":" not in text:
        web.process.wait_line(r"its output must begin with a head, such as 'Content-Type: text/html', and an empty line")
    assert "\x1b" not in web.process.text()


def test_lengths(serve):
    web = serve()
    for size in (32768, 100_000, (32 << 20) - 1000):
        assert len(web.ask(f"/long?{size}").body) == size
    assert web.ask(f"/long?{40 << 20}").status == 502
    web.process.wait_line("its response is longer than 32 MiB")
    assert web.ask("/head").status == 502


@pytest.mark.parametrize("code", [3, 126, 134, 192, 202, 203, 255, 256, 4294967295])
def test_exit_code(serve, code):
    """The response counts; the code is told, and means nothing. Those of 126 and more were taken for traps, and answered with 502."""
    web = serve()
    answer = web.ask(f"/exit?{code}")
    assert (answer.status, answer.body) == (200, b"bye\n")
    web.process.wait_line(f"ended with code {code}$")


def test_renumbered_output(serve):
    """An fd_renumber() that failed lost what the program printed from then on, and so did one that moved its output."""
    web = serve()
    assert web.ask("/renumber").body == b"8 moved"


def test_traps_hurt_nobody(serve):
    web = serve(options=["--memory-max", str(32 << 20)])
    with concurrent.futures.ThreadPoolExecutor(20) as visitors:
        paths = ["/", "/trap", "/fill", "/"] * 10
        answers = list(visitors.map(web.ask, paths))
    for path, answer in zip(paths, answers):
        assert answer.status == (200 if path == "/" else 502), path
        assert b"half a page" not in answer.body
    web.process.wait_line("502 for '/trap': it trapped: wasm `unreachable` instruction executed$")
    web.process.wait_line("do_trap")  # the backtrace
    web.process.wait_line(r"502 for '/fill': it trapped: .*, with \d+ of 32 MiB of memory in use$")


@pytest.mark.parametrize("path", ["/spin", "/sleep"])
def test_time(serve, path):
    """Eight that never end leave the others their turns, and end when their time is over."""
    web = serve(options=["--timeout", "2s"])

    def others_get_their_turns():
        with concurrent.futures.ThreadPoolExecutor(8) as visitors:
            stuck = [visitors.submit(web.ask, path) for _ in range(8)]
            answers = [web.ask("/").status for _ in range(20)]
            assert {one.result().status for one in stuck} == {504}
        assert set(answers) == {200}

    in_time(2, others_get_their_turns)
    web.process.wait_line("was ended after 2000 ms")


@pytest.fixture(scope="module")
def slow_log(guests):
    """A server whose standard error is read at 200 kB a second: its address."""
    module, stop = guests.c("cgi.c"), threading.Event()
    reading, writing = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fds = listener.fileno(), writing
        argv = [GUEST, "--cgi", "--timeout", "1s", *compiled(module), "--listen-fd", fds[0], "--status-fd", fds[1], module]
        process = subprocess.Popen(list(map(str, argv)), pass_fds=fds, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        address = listener.getsockname()
        os.close(writing)

        def read():
            while os.read(process.stderr.fileno(), 4096):
                stop.wait(0.02)

        reader = threading.Thread(target=read)
        reader.start()
        assert os.read(reading, 1) == b"\n"
    yield address
    process.kill()
    stop.set()
    reader.join(DEADLINE)
    assert process.wait() == -9
    process.stderr.close()
    os.close(reading)


@pytest.mark.parametrize("path", [
    "/flood?2,50000000", "/flood?2,1", "/gather", "/moved", "/flood?1,1000", "/read", "/clocks", "/yield", "/random"])
def test_time_whatever_it_does(slow_log, path):
    """A write to standard error waited for whoever reads that, and the 30 s of a request had no end."""
    connection = http.client.HTTPConnection(*slow_log, timeout=DEADLINE)
    connection.request("GET", path)
    assert connection.getresponse().status == 504


def test_queue(serve):
    """Who waits for a worker is told after 10 s, also when all of them are busy for longer."""
    web = serve(options=["--timeout", "1h"])
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            stack.enter_context(web.connect()).sendall(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n")
        answers = iter(lambda: web.ask("/").status, 503)
        assert set(answers) <= {200}  # those that were faster than the sixteen


def test_parallel(serve):
    web = serve()
    with concurrent.futures.ThreadPoolExecutor(50) as visitors:
        answers = list(visitors.map(lambda i: web.ask("/echo", "POST", b"%d" % i), range(200)))
    assert [answer.body for answer in answers] == [b"%d" % i for i in range(200)]


def served_in_time(status):
    """A request with a limit of a second or so: a machine may stand still for that, but not each time."""
    wait_for(lambda: status() == 200, "it is answered before its time is over")


def test_request_timeout(lab, guests, tmp_path):
    """The limit of a request has one name in all kinds, and its visitor and the log are told of it."""
    need_wasmrun()
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(guests.c("cgi.c"), project)
    instance = run_os(lab, project, "--request-timeout", "1s")
    served_in_time(lambda: fetch(instance.app()["url"])[0])
    assert fetch(instance.app()["url"], "/spin")[0] == 504
    instance.process.wait_line("was ended after 1000 ms")


def test_visitor_goes_away(serve):
    """Who leaves before the answer leaves nothing behind."""
    web = serve(options=["--timeout", "1s"])
    served_in_time(lambda: web.ask("/").status)  # the engine's own descriptors come with the first run
    before = web.process.fds()
    for _ in range(10):
        with web.connect() as visitor:
            visitor.sendall(b"POST /spin HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000))
    served_in_time(lambda: web.ask("/").status)
    wait_for(lambda: web.process.fds() <= before + 2, "all descriptors are given back")


@pytest.mark.parametrize(("path", "headers", "status"), [
    ("/%ff", {}, 400),
    ("/%00", {}, 400),
    ("/a", {"Host": "a/b"}, 400),
    ("/a?x=\xff", {}, 200),
    ("/a", {"X-Latin": "\xe4"}, 200),
    ("/a", {"X-" + "a" * 200: "b"}, 200),
    ("/a", {f"X-{i}": "b" for i in range(300)}, 200),
    ("/a", {"X": "b" * 40000}, 431),
])
def test_hostile_requests(serve, path, headers, status):
    web = serve()
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "Connection: close"]
    if "Host" not in headers:
        lines.append("Host: a")
    answer = web.raw("\r\n".join([*lines, "", ""]).encode("latin-1"))
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:100]


def test_folder(serve, tmp_path):
    """What a program can't be given is told once, at the start."""
    (tmp_path / "guest.wasm").write_bytes(b"\0asm\1\0\0\0")
    web = Web(tmp_path, "--cgi", tmp_path / "guest.wasm")
    assert web.process.wait_exit() == 199
    assert os.read(web.reading, 1000) == b"'%s' is a library, not a program: it exports no _start function\n" % (
        bytes(tmp_path / "guest.wasm"))
    web.close()


def test_drain(serve):
    """Requests that run are answered, those who are kept alive are told, and then it is over."""
    web = serve(options=["--timeout", "3s"])
    idle = http.client.HTTPConnection(*web.address, timeout=DEADLINE)
    served_in_time(lambda: web.ask("/", connection=idle).status)
    with concurrent.futures.ThreadPoolExecutor(1) as visitors:
        running = visitors.submit(web.ask, "/sleep")
        web.process.wait_line("asleep$")
        web.drain()
        assert idle.sock.recv(1) == b""
        assert running.result().status == 504
    assert web.process.wait_exit() == 0


def test_start_is_compiled_once(serve):
    """A request costs an instance, not a compilation: a hundred are done in the time of a few."""
    web = serve()
    connection = http.client.HTTPConnection(*web.address, timeout=DEADLINE)
    web.ask("/", connection=connection)
    cpu = web.process.cpu()
    for _ in range(100):
        assert web.ask("/", connection=connection).status == 200
    assert web.process.cpu() - cpu < 2

# SPDX-License-Identifier: MIT
"""The API of `wasmrun os` beside the tunnel: who may ask, what it refuses, files, logs, events, the process."""

import contextlib
import gzip
import hashlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import threading
import urllib.parse

import pytest

from harness.lab import ROOT, refused
from harness.schema import mistakes
from harness.streams import connect, recv_all
from harness.wait import DEADLINE, SCALE, wait_for
from harness.wasmrun import WASMRUN, fetch, run_os

BODY_MAX = 65536
FILE_MAX = 4 << 20
LIST_MAX = 10_000
CONNS_MAX = 128
CONNECTIONS_MAX = 2000


def says_why(answer, status):
    assert answer.status == status, answer
    assert answer.body["success"] is False and answer.body["error"], answer.body
    return answer.body["error"]


@pytest.mark.parametrize(
    "body",
    [
        "{", "[]", "null", "1", '"x"', "server=x", "{}x", '{"port":1,"port":2}', b"\xff", b"{\"server\":\"\xff\"}",
        b"\0", '{"port":-1}', '{"port":65536}', '{"port":"1"}', '{"port":1.5}', '{"port":true}', '{"server":1}',
        '{"server":""}', '{"server":"a:b:c"}', '{"server":"x:0"}', '{"server":"x:65536"}',
        '{"server":"ftp://x"}', '{"server":"x\\u0000y"}', '{"secret":1}', '{"protocol":"JSON"}', '{"protocol":1}',
        '{"unknown":1}', "[" * 10000,
        pytest.param(json.dumps({"secret": "x" * 5000}), id="long secret"),
        pytest.param(json.dumps({"server": "x" * 5000}), id="long server"),
    ],
)  # fmt: skip
def test_wrong_json(instance, body):
    says_why(instance.ask("POST", "/api/tunnel/start", body), 400)
    assert instance.tunnel()["status"] == "Not started"


@pytest.mark.parametrize(
    "server,part",
    [
        ("ftp://x", "'ftp://' is no part of it: write 'x'"),
        ("x/", "'/' is no part of it: write 'x'"),
        ("x y", "a blank"),
        ("\x1b[2Jx", "'\\x1b' is a control character"),
        ("x\u009b2J", "punycode"),
        ("x\u202e", "punycode"),
    ],
)
def test_server_that_is_no_host(instance, server, part):
    """A control character in a server's name reached the terminal and forged lines of the log; now the part that is
    wrong is named, and a host is a host."""
    assert part in says_why(instance.start(server=server), 400)
    assert instance.tunnel()["status"] == "Not started"


@pytest.mark.parametrize("body", [None, "", "{}", '{"server":null,"secret":null,"port":null,"protocol":null}'])
def test_empty_wishes(instance, body):
    """The configured server, which refuses."""
    assert instance.ask("POST", "/api/tunnel/start", body).body["status"] == "Failed"


def test_post_of_curl(instance):
    """No body, no type, no origin."""
    with connect(("127.0.0.1", instance.port)) as sock:
        sock.sendall(b"POST /api/tunnel/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert recv_all(sock).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [BODY_MAX + 1, 1 << 20])
def test_huge_body(instance, size):
    says_why(instance.ask("POST", "/api/tunnel/start", "x" * size), 413)
    says_why(instance.ask("POST", "/api/tunnel/stop", "x" * size), 413)


def test_endless_body(instance):
    """It is cut off, and the next one is served."""
    with connect(("127.0.0.1", instance.port)) as sock:
        sock.sendall(b"POST /api/tunnel/start HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1000):
                sock.sendall(chunk)
    assert instance.tunnel()["success"]


@pytest.mark.parametrize("path", ["/x", "/api", "/api/", "/api/tunnel", "/api/tunnel/start/", "/api%2fapp", "//", "/api/fs/../app"])
def test_unknown_path(instance, path):
    says_why(instance.ask("GET", path), 404)


@pytest.mark.parametrize(
    "method, path, allow",
    [
        ("GET", "/api/tunnel/start", "POST"),
        ("POST", "/api/tunnel/status", "GET, HEAD"),
        ("DELETE", "/api/app", "GET, HEAD"),
        ("POST", "/api/fs/write", "PUT"),
        ("OPTIONS", "/api/tunnel/stop", "POST"),
        ("BREW", "/", "GET, HEAD"),
        ("PUT", "/api/connections/x", "GET, HEAD, DELETE"),
    ],
)
def test_wrong_method(instance, method, path, allow):
    answer = instance.ask(method, path)
    says_why(answer, 405)
    assert answer.headers["Allow"] == allow


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:1", "https://{host}", "null", "http://{host}.evil.example"])
def test_foreign_origin(instance, origin):
    origin = origin.format(host=f"127.0.0.1:{instance.port}")
    for method, path in (("POST", "/api/tunnel/stop"), ("GET", "/api/app"), ("GET", "/"), ("GET", "/nothing")):
        says_why(instance.ask(method, path, headers={"Origin": origin}), 403)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "localhost.evil.example", "0.0.0.0:{port}", ""])
def test_foreign_host(instance, host):
    host = host.format(port=instance.port)
    for method, path in (("POST", "/api/tunnel/stop"), ("GET", "/api/app"), ("GET", "/")):
        says_why(instance.ask(method, path, headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:{port}", "[::1]:{port}"])
def test_own_host_and_origin(instance, host):
    host = host.format(port=instance.port)
    assert instance.ask("POST", "/api/tunnel/stop", headers={"Host": host, "Origin": f"http://{host}"}).status == 200


def test_token_where_the_network_reaches_it(lab, project):
    instance = run_os(lab, project, "--listen", "0.0.0.0")
    token, instance.token = instance.token, None
    for path in ("/api/app", "/metrics", "/healthz", "/nothing"):
        answer = instance.ask("GET", path)
        says_why(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    says_why(instance.ask("GET", "/api/app", headers={"Authorization": f"Bearer {token[:-1]}x"}), 401)
    assert instance.ask("GET", "/").status == 200
    instance.token = token
    assert instance.ask("GET", "/api/app", headers={"Host": "box.example"}).status == 200
    says_why(instance.ask("GET", "/api/app", headers={"Origin": "http://evil.example"}), 403)


def test_token_at_another_loopback_address(lab, project):
    """Its name is none of those that need no token."""
    instance = run_os(lab, project, "--listen", "127.0.0.2")
    conn = http.client.HTTPConnection("127.0.0.2", instance.port, timeout=DEADLINE)
    conn.request("GET", "/api/app", headers={"Authorization": f"Bearer {instance.token}"})
    assert instance.token and conn.getresponse().status == 200
    conn.close()


def page_files(instance):
    """The page, and what it names: paths from it, by their ending."""
    page = instance.ask("GET", "/")
    return page, {found[1]: found[0] for found in re.findall(r'(?:src|href)="([\w-]+\.(js|css))"', page.body.decode())}


def test_page(instance):
    page, files = page_files(instance)
    assert page.status == 200 and "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert b"<script>" not in page.body and b"style=" not in page.body and b"onclick" not in page.body
    for ending, kind in (("js", "text/javascript"), ("css", "text/css")):
        assert instance.ask("GET", f"/{files[ending]}").headers["Content-Type"].startswith(kind)
    for path in ("/index.html", "/page.html", "/page", f"/{files['js']}/", "/x.js"):
        says_why(instance.ask("GET", path), 404)


def test_page_is_small(instance):
    page, files = page_files(instance)
    whole = [page.body, *(instance.ask("GET", f"/{file}").body for file in files.values())]
    assert sum(len(gzip.compress(one)) for one in whole) < 80_000


def test_page_is_asked_for_again_by_its_tags(instance):
    """What has a hash of its contents in its name is kept, all else asked for again."""
    _, files = page_files(instance)
    for path in ("/", *(f"/{file}" for file in files.values())):
        first = instance.ask("GET", path)
        hashed = re.search(r"-[A-Z0-9]{8}\.", path)
        assert first.headers["Cache-Control"] == ("max-age=31536000, immutable" if hashed else "no-cache")
        again = instance.ask("GET", path, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert instance.ask("GET", path, headers={"If-None-Match": '"other"'}).status == 200


def test_app_calls(instance):
    app = instance.app()
    assert (app["state"], app["restarts"], app["exit_reason"]) == ("running", 0, None)
    assert "Hello from C" in fetch(app["url"])[1]
    assert instance.ask("POST", "/api/app/restart").status == 200
    again = wait_for(lambda: (a := instance.app())["state"] == "running" and a["pid"] != app["pid"] and a, "it restarts")
    assert again["url"] == app["url"]
    assert instance.ask("POST", "/api/app/stop").status == 200
    stopped = instance.wait_app("stopped")
    assert stopped["pid"] is None and stopped["memory_bytes"] == 0
    assert instance.ask("POST", "/api/app/start").status == 200
    instance.wait_app("running")
    os.kill(instance.app()["pid"], signal.SIGKILL)
    crashed = wait_for(lambda: (a := instance.app())["restarts"] == 1 and a, "the crash is seen")
    assert crashed["exit_reason"]


def test_logs(instance):
    fetch(instance.app()["url"], "/first")
    fetch(instance.app()["url"], "/second")

    def lines(query=""):
        return instance.get(f"/api/logs?{query}")["lines"]

    wait_for(lambda: any("/second" in line["text"] for line in lines()), "the application's line is there")
    everything = lines()
    assert [line["seq"] for line in everything] == list(range(1, len(everything) + 1))
    assert {line["stream"] for line in everything} >= {"stdout", "supervisor"}
    assert [line for line in everything if line["stream"] == "stdout"] == lines("stream=stdout")
    first = next(line for line in everything if "/first" in line["text"])
    assert lines(f"since={first['seq']}") == everything[first["seq"] :]
    page = instance.get("/api/logs?limit=2")
    assert (len(page["lines"]), page["last"], page["more"], page["lost"]) == (2, 2, True, False)
    assert lines("since=9223372036854775807") == []


@pytest.mark.parametrize("query", ["since=x", "since=-1", "since=", "since=99999999999999999999", "limit=0", "limit=1001", "stream=x", "stream=", "stream=%00", "since=1%002"])
def test_logs_of_wrong_queries(instance, query):
    says_why(instance.ask("GET", f"/api/logs?{query}"), 400)


def test_events(lab, instance):
    relay = lab.relay()
    with instance.events() as events:
        assert events.status == 200 and b"text/event-stream" in events.head
        assert events.next()[0] == "app"
        assert events.next() == ("tunnel", instance.tunnel())
        assert events.next() == ("forwards", {"success": True, "forwards": []})
        url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
        assert events.wait("tunnel", lambda t: t["status"] == "Connected")["public_url"] == url
        fetch(url, "/seen")
        events.wait("log", lambda line: "/seen" in line["text"])
        closed = events.wait("connection", lambda c: not c["open"])
        assert closed["bytes"]["in"] and closed["bytes"]["out"]
        assert instance.get(f"/api/connections/{closed['id']}") == {"success": True, "connection": closed}
        parts = urllib.parse.urlsplit(url)
        with connect((parts.hostname, parts.port)):
            open_ = events.wait("connection", lambda c: c["open"])
            now = instance.get(f"/api/connections/{open_['id']}")["connection"]
            assert (now["id"], now["open"], now["end"]) == (open_["id"], True, None)
    with instance.events() as events:
        instance.stop()
        events.wait("tunnel", lambda t: t["status"] == "Disconnected")
        fetch(instance.app()["url"])
        instance.process.signal(signal.SIGTERM)
        while events.next():
            pass
    assert instance.process.wait_exit() == 0


def test_idle_readers_cost_nothing(instance):
    readers = [instance.events() for _ in range(10)]
    for reader in readers:
        reader.wait("tunnel")
    wait_for(lambda: b"wasmrun_event_readers 10\n" in instance.ask("GET", "/metrics").body, "all are counted")
    before = instance.process.cpu()
    threading.Event().wait(3)
    assert instance.process.cpu() - before < 0.03 * SCALE
    for reader in readers:
        reader.__exit__()

    def seen_to_be_gone():
        fetch(instance.app()["url"])  # a line of the log for each of them, which finds that out
        return b"wasmrun_event_readers 0\n" in instance.ask("GET", "/metrics").body

    wait_for(seen_to_be_gone, "they are seen to be gone")


@pytest.mark.parametrize(
    "path, status",
    [
        ("none", 404), (64 * "x", 404), (65 * "x", 404), ("", 404), ("none/", 404), ("none%2f", 404), ("a%2Fb", 404), ("../app", 404), ("%2e%2e/app", 404),
        ("..", 400), ("%2E", 400), ("a b", 400), ("%", 400), ("%00", 400), ("a%252fb", 400), ("%C3%A9", 400), ("%ff", 400), ("{id}", 400), ("?id=x", 404),
    ],
)  # fmt: skip
def test_connections_that_are_none(instance, path, status):
    says_why(instance.ask("GET", f"/api/connections/{path.replace(' ', '%20')}"), status)


def test_connections_in_part(instance):
    """The latest first, and no more than were asked for."""
    port = instance.ask("POST", "/api/forwards", {"host_port": 0}).body["forward"]["host_port"]
    with instance.events() as events, contextlib.ExitStack() as stack:
        ids = []
        for _ in range(3):
            stack.enter_context(connect(("127.0.0.1", port)))
            ids.append(events.wait("connection", lambda c: c["open"])["id"])
        some = instance.get("/api/connections?limit=2")
        assert [one["id"] for one in some["connections"]] == [ids[2], ids[1]] and some["more"] is True
        every = instance.get("/api/connections?limit=3")
        assert len(every["connections"]) == 3 and every["more"] is False
        assert len(instance.get("/api/connections")["connections"]) == 3
    for limit in (0, CONNECTIONS_MAX + 1):
        says_why(instance.ask("GET", f"/api/connections?limit={limit}"), 400)


def test_too_many_readers(instance):
    readers = [instance.events() for _ in range(32)]
    says_why(instance.ask("GET", "/api/events"), 503)
    for reader in readers:
        assert reader.status == 200
        reader.__exit__()


def test_readers_of_other_sites(instance):
    """Thirty-two images of a page of another site, which come without an Origin, took all places there are."""
    conns = [http.client.HTTPConnection("127.0.0.1", instance.port, timeout=DEADLINE) for _ in range(32)]
    for conn in conns:
        conn.request("GET", "/api/events", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})
        assert conn.getresponse().status == 403
    with instance.events() as reader:
        assert reader.status == 200
    for site in ("same-origin", "none"):
        assert instance.ask("GET", "/api/app", headers={"Sec-Fetch-Site": site}).status == 200
    assert instance.ask("GET", "/", headers={"Sec-Fetch-Site": "cross-site"}).status == 200  # a link in a chat


def test_foreign_host_in_a_browser(instance):
    """It shows what is said, so that is a page, and says what to do."""
    answer = instance.ask("GET", "/", headers={"Host": "box.example", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status == 403 and answer.headers["Content-Type"].startswith("text/html")
    assert f'href="http://127.0.0.1:{instance.port}/"'.encode() in answer.body and b"--listen" in answer.body
    says_why(instance.ask("GET", "/", headers={"Host": "box.example", "Accept": "*/*"}), 403)


def test_front_with_tls(lab, project):
    """The page's requests have an Origin of https there; with the token they are the page's own."""
    instance = run_os(lab, project, "--listen", "0.0.0.0")
    headers = {"Host": "box.example", "Origin": "https://box.example"}
    assert instance.ask("POST", "/api/tunnel/stop", headers=headers).status == 200
    says_why(instance.ask("POST", "/api/tunnel/stop", headers={**headers, "Origin": "https://evil.example"}), 403)
    instance.token = None
    says_why(instance.ask("POST", "/api/tunnel/stop", headers=headers), 401)


@pytest.fixture
def writable(lab, project):
    return run_os(lab, project, "--writable")


def write(instance, path, body, **headers):
    return instance.ask("PUT", f"/api/fs/write?path={path}", body, headers)


def test_files_are_read_only(instance, writable, project):
    """Who reaches the API changed what the next build runs, though the application itself might not."""
    (project / "notes.txt").write_text("old")
    why = says_why(write(instance, "notes.txt", b"new"), 403)
    assert "'notes.txt'" in why and "--writable" in why
    assert "--writable" in says_why(write(instance, "new", b"x"), 403)
    assert (project / "notes.txt").read_text() == "old" and not (project / "new").exists()
    assert instance.get("/api/fs/list")["writable"] is False
    # The same of one that may.
    assert write(writable, "notes.txt", b"new").status == 200 and (project / "notes.txt").read_text() == "new"
    assert writable.get("/api/fs/list")["writable"] is True


def test_a_file_that_changes_meanwhile(writable, project):
    """What somebody else has saved was undone by who had read the file before."""
    file = project / "notes.txt"
    file.write_text("one")
    read = writable.ask("GET", "/api/fs/read?path=notes.txt").headers["ETag"]
    written = write(writable, "notes.txt", b"two", **{"If-Match": read})
    assert (written.status, file.read_text()) == (200, "two")
    assert "has changed since" in says_why(write(writable, "notes.txt", b"three", **{"If-Match": read}), 412)
    assert file.read_text() == "two"
    # As many bytes, at the same time to the nanosecond: the contents count.
    was = file.stat()
    file.write_text("TWO")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))
    says_why(write(writable, "notes.txt", b"three", **{"If-Match": written.headers["ETag"]}), 412)
    now = writable.ask("GET", "/api/fs/read?path=notes.txt").headers["ETag"]
    says_why(write(writable, "notes.txt", b"three", **{"If-Match": f"W/{now}"}), 412)
    assert write(writable, "notes.txt", b"three", **{"If-Match": f'"other", {now}'}).status == 200
    # Too long to be read: it is none that was seen, but it is there.
    os.truncate(file, (4 << 20) + 1)
    says_why(write(writable, "notes.txt", b"four", **{"If-Match": now}), 412)
    assert write(writable, "notes.txt", b"four", **{"If-Match": "*"}).status == 200 and file.read_text() == "four"
    file.unlink()
    for condition in (now, "*"):
        says_why(write(writable, "notes.txt", b"four", **{"If-Match": condition}), 412)
    assert not file.exists()
    # Without a condition it is written, as ever.
    assert write(writable, "notes.txt", b"four").status == 200 and file.read_text() == "four"
    assert write(writable, "notes.txt", b"five", **{"If-Match": "*"}).status == 200 and file.read_text() == "five"
    assert sorted(os.listdir(project)) == ["hello.wasm", "notes.txt"]  # nothing temporary is left


def test_only_files_are_written(writable, project):
    """A pipe held the call up for ever, or what was written went elsewhere."""
    os.mkfifo(project / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(project / "socket"))
        (project / "link").symlink_to("hello.wasm")
        (project / "nowhere").symlink_to("none")
        (project / "folder").mkdir()
        special = ["pipe", "socket", "link", "nowhere", "folder"]
        if os.geteuid() == 0:
            os.mknod(project / "device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
            special.append("device")
        kinds = {name: os.lstat(project / name).st_mode for name in special}
        for name in special:
            says_why(write(writable, name, b"x"), 409)
            says_why(write(writable, name, b"x", **{"If-Match": "*"}), 409)
        for path in ("folder/.", "folder/..", "folder/", "."):
            says_why(write(writable, path, b"x"), 409)
        assert {name: os.lstat(project / name).st_mode for name in special} == kinds and not (project / "none").exists()
    assert write(writable, "folder/new", b"x").status == 200


def test_files(writable, project):
    text = b"any bytes \xff\0\n" * 1000
    (project / "sub").mkdir()
    answer = writable.ask("PUT", "/api/fs/write?path=sub/new.bin", text)
    assert (answer.status, answer.body) == (200, {"success": True, "size": len(text)})
    assert (project / "sub" / "new.bin").read_bytes() == text
    assert writable.get("/api/fs/read?path=sub/new.bin") == text
    names = {entry["name"]: entry for entry in writable.get("/api/fs/list")["entries"]}
    assert names["sub"]["type"] == "folder" and names["hello.wasm"]["type"] == "file"
    assert names["hello.wasm"]["size"] == (project / "hello.wasm").stat().st_size
    assert [entry["name"] for entry in writable.get("/api/fs/list?path=sub")["entries"]] == ["new.bin"]
    # Replaced as a whole, with its permissions.
    (project / "sub" / "new.bin").chmod(0o777)
    assert writable.ask("PUT", "/api/fs/write?path=sub/new.bin", b"").status == 200
    assert (project / "sub" / "new.bin").stat().st_mode & 0o777 == 0o777
    assert writable.get("/api/fs/read?path=sub/new.bin") == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files away")
def test_files_keep_their_owner(instance, writable, project):
    """`wasmrun os` may be root's, in a container, and the project somebody's."""
    for name in ("theirs", "wasmrun.toml"):
        (project / name).touch(0o640)
        os.chown(project / name, 1234, 2345)
    assert write(writable, "theirs", b"new").status == 200
    version = instance.get("/api/network/allow?rule=example.com:443")["version"]
    assert instance.ask("POST", "/api/network/allow", {"rule": "example.com:443", "version": version}).body["written"]
    for name, part in (("theirs", "new"), ("wasmrun.toml", "example.com:443")):
        made = (project / name).stat()
        assert part in (project / name).read_text()
        assert (made.st_uid, made.st_gid, made.st_mode & 0o7777) == (1234, 2345, 0o640)


def test_files_outside(writable, project):
    """Neither by the path nor by a link."""
    outside = project.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (project / "link").symlink_to(outside)
    (project / "file").symlink_to(outside / "secret")
    (project / "inside").symlink_to("hello.wasm")
    for path in ("../outside/secret", "/etc/passwd", "link/secret", "file", "./link/../../outside/secret", "/proc/self/environ"):
        for call in ("read", "list"):
            says_why(writable.ask("GET", f"/api/fs/{call}?path={path}"), 403)
    for path in ("../new", "link/new", "/tmp/new", "link/secret"):
        says_why(writable.ask("PUT", f"/api/fs/write?path={path}", b"x"), 403)
    says_why(writable.ask("PUT", "/api/fs/write?path=file", b"x"), 409)
    assert sorted(os.listdir(outside)) == ["secret"] and (outside / "secret").read_text() == "secret"
    assert writable.get("/api/fs/read?path=inside")[:4] == b"\0asm"


def test_long_folder(instance, project):
    (project / "many").mkdir()
    for number in range(LIST_MAX + 1):
        (project / "many" / str(number)).touch()
    answer = instance.get("/api/fs/list?path=many")
    assert len(answer["entries"]) == LIST_MAX and answer["more"] is True
    (project / "many" / "0").unlink()
    answer = instance.get("/api/fs/list?path=many")
    assert len(answer["entries"]) == LIST_MAX and answer["more"] is False


def test_files_of_wrong_kinds(writable, project):
    (project / "folder").mkdir()
    os.mkfifo(project / "pipe")
    with open(project / "large", "wb") as file:
        file.truncate(FILE_MAX + 1)
    for status, method, path, body in (
        (400, "GET", "read", None),
        (400, "GET", "read?path=", None),
        (404, "GET", "read?path=none", None),
        (404, "GET", "read?path=none/x", None),
        (404, "GET", "read?path=%ff", None),
        (400, "GET", "read?path=a%00b", None),
        (400, "GET", "list?path=%00", None),
        (400, "GET", "list?path=folder%00x", None),
        (400, "GET", "list%00", None),
        (400, "GET", "read?path=" + 300 * "a", None),
        (409, "GET", "read?path=folder", None),
        (409, "GET", "read?path=pipe", None),
        (409, "GET", "read?path=hello.wasm/x", None),
        (413, "GET", "read?path=large", None),
        (409, "GET", "list?path=hello.wasm", None),
        (404, "GET", "list?path=none", None),
        (400, "PUT", "write", b"x"),
        (404, "PUT", "write?path=none/x", b"x"),
        (409, "PUT", "write?path=folder", b"x"),
        (409, "PUT", "write?path=folder/", b"x"),
        (409, "PUT", "write?path=pipe", b"x"),
        (413, "PUT", "write?path=more", bytes(FILE_MAX + 1)),
    ):
        says_why(writable.ask(method, f"/api/fs/{path}", body), status)
    assert sorted(os.listdir(project)) == ["folder", "hello.wasm", "large", "pipe"]
    assert os.listdir(project / "folder") == []


def test_metrics_and_health(instance):
    assert instance.get("/healthz") == b"ok\n"
    text = instance.get("/metrics").decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert (values["wasmrun_app_up"], values["wasmrun_tunnel_up"]) == ("1", "0")
    assert all(f"# TYPE {name.split('{')[0]} " in text for name in values)
    assert values["wasmrun_spliced_bytes_total"] == "0"
    version = instance.get("/api/openapi.json")["info"]["version"]
    assert values[f'wasmrun_build_info{{version="{version}"}}'] == "1"


def test_description_is_complete(instance):
    """Every reference leads somewhere, every path answers as described."""
    description = instance.get("/api/openapi.json")
    assert description["openapi"].startswith("3.1")
    text = json.dumps(description)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in description["components"]["schemas"], name
    operations = [(method, path) for path, item in description["paths"].items() for method in item]
    assert ("post", "/api/tunnel/start") in operations and ("put", "/api/fs/write") in operations
    for method, path in operations:
        if (method, path) == ("get", "/api/events"):
            continue
        answer = instance.ask(method.upper(), path)
        assert str(answer.status) in description["paths"][path][method]["responses"], (method, path, answer)


class Description:
    """/api/openapi.json, to hold against it what is said."""

    def __init__(self, instance):
        self.document = instance.get("/api/openapi.json")
        self.events = self.document["x-events"]

    def need(self, schema, value):
        assert not list(mistakes(value, schema, self.document["components"]["schemas"])), (schema, value)

    def answer(self, instance, method, path, body=None, form=None):
        answer = instance.ask(method, path, body)
        described = self.document["paths"][form or path.partition("?")[0]][method.lower()]["responses"][str(answer.status)]
        self.need(described["content"]["application/json"]["schema"], answer.body)
        return answer


def test_answers_are_as_described(lab, project, instance):
    """Each member is in its schema, and none is there that isn't."""
    relay, description = lab.relay(), Description(instance)
    start = {"server": f"{relay.host}:{relay.control_port}"}
    for body, status in ((None, 502), ({"port": -1}, 400), (start, 200), ({"server": "127.0.0.1:2"}, 409)):
        assert description.answer(instance, "POST", "/api/tunnel/start", body).status == status
    public = urllib.parse.urlsplit(instance.tunnel()["public_url"])
    with connect((public.hostname, public.port)):
        one = wait_for(lambda: instance.get("/api/connections")["connections"], "the visitor is there")[0]
        description.answer(instance, "GET", f"/api/connections/{one['id']}", form="/api/connections/{id}")
        description.answer(instance, "GET", "/api/connections")
        assert description.answer(instance, "DELETE", f"/api/connections/{one['id']}", form="/api/connections/{id}").status == 200
    wait_for(lambda: not instance.get("/api/connections")["connections"][0]["open"], "the visitor is gone")
    for name, status in ((one["id"], 409), ("x", 404)):
        assert description.answer(instance, "DELETE", f"/api/connections/{name}", form="/api/connections/{id}").status == status
    for to, status in (("a.example:1", 200), ("a.example", 400)):
        assert description.answer(instance, "GET", f"/api/network/explain?to={to}").status == status
    assert description.answer(instance, "GET", f"/api/connections/{one['id']}", form="/api/connections/{id}").body["connection"]["end"]
    assert description.answer(instance, "GET", "/api/connections/x", form="/api/connections/{id}").status == 404
    for path in ("/api/app", "/api/connections", "/api/fs/list", "/api/fs/list?path=none", "/api/logs", "/api/logs?limit=0", "/api/tunnel/status"):
        description.answer(instance, "GET", path)
    assert description.answer(instance, "PUT", "/api/fs/write?path=new", b"x").status == 403
    own = run_os(lab, project, "--writable")
    assert description.answer(own, "PUT", "/api/fs/write?path=new", b"x").status == 200
    forwards, one = "/api/forwards", "/api/forwards/{port}"
    for app_port in (None, 80):
        port = description.answer(instance, "POST", forwards, {"host_port": 0, "app_port": app_port}).body["forward"]["host_port"]
        assert description.answer(instance, "POST", forwards, {"host_port": port}).status == 409
    assert description.answer(instance, "POST", forwards, {}).status == 400
    assert len(description.answer(instance, "GET", forwards).body["forwards"]) == 2
    for path, status in ((port, 200), (port, 404), (0, 400)):
        assert description.answer(instance, "DELETE", f"{forwards}/{path}", form=one).status == status
    description.answer(instance, "PUT", "/api/network/policy", {"allow": ["*"], "bind_ports": [81]})
    description.answer(instance, "PUT", "/api/network/policy", {"allow": ["http://x"]})
    seen = description.answer(instance, "GET", "/api/network/allow?rule=a.example").body
    for version, status in (("0", 409), (seen["version"], 200), (0, 400)):
        assert description.answer(instance, "POST", "/api/network/allow", {"rule": "a.example", "version": version}).status == status
    assert description.answer(instance, "GET", "/api/network/allow?rule=/").status == 400
    assert description.answer(instance, "POST", "/api/tunnel/check").status == 200
    description.answer(instance, "GET", "/api/tunnel/status")
    assert description.answer(instance, "POST", "/api/requests/record", {}).status == 400
    assert description.answer(instance, "POST", "/api/requests/record", {"recording": True}).status == 200
    fetch(instance.tunnel()["public_url"], "/recorded")
    wait_for(lambda: [one["state"] for one in instance.get("/api/requests")["requests"]] == ["done"], "it is recorded")
    for path in ("/api/requests", "/api/requests?search=recorded", "/api/requests/har"):
        assert description.answer(instance, "GET", path).status == 200
    one, again = "/api/requests/{id}", "/api/requests/{id}/replay"
    for name, status in ((1, 200), (999, 404)):
        assert description.answer(instance, "GET", f"/api/requests/{name}", form=one).status == status
        assert description.answer(instance, "POST", f"/api/requests/{name}/replay", form=again).status == status
    assert description.answer(instance, "POST", "/api/requests/1/replay", {"method": " "}, form=again).status in (400, 409)
    assert description.answer(instance, "DELETE", "/api/requests").status == 200
    for path in ("/api/network/policy", "/api/network/decisions", "/api/network/decisions?since=-1"):
        description.answer(instance, "GET", path)
    for path in ("/api/app/restart", "/api/app/stop", "/api/tunnel/stop", "/api/app/start"):
        assert description.answer(instance, "POST", path).status == 200
    description.answer(instance, "GET", "/api/app")
    assert description.answer(instance, "POST", "/api/tunnel/check").status == 409


def test_events_are_as_described(lab, instance):
    """All kinds of them but `lost`, which the unit tests of http/sse.c have, and `decision`: test_os_network.py."""
    relay, description = lab.relay(), Description(instance)
    kinds = ["app", "tunnel", "log", "connection", "forwards", "decision", "recording", "request", "traffic", "lost"]
    assert list(description.events) == kinds
    missing = {*kinds, "connection opened", "connection closed", "request done"} - {"decision", "lost"}
    assert instance.ask("POST", "/api/requests/record", {"recording": True}).status == 200
    with instance.events() as events:
        fetch(instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"], "/seen")
        while missing:
            name, data = events.next()
            description.need(description.events[name], data)
            missing -= {name, f"{name} {'opened' if data.get('open') else 'closed'}", f"{name} {data.get('state')}"}


def test_a_wrong_answer_is_noticed(instance):
    """The tests above can fail."""
    description, app = Description(instance), instance.app()
    schemas = description.document["components"]["schemas"]
    assert list(mistakes(app, schemas["App"], schemas)) == []
    for change, says in (
        ({"more": 1}, "it.more is not described"),
        ({"state": "asleep"}, "it.state is 'asleep', none of"),
        ({"pid": "1"}, "it.pid is '1', which is no integer or null"),
        ({"success": 1}, "it.success is 1, not True"),
    ):
        assert says in " ".join(mistakes({**app, **change}, schemas["App"], schemas))
    del app["next"]
    assert list(mistakes(app, schemas["App"], schemas)) == ["it has no 'next'"]


def test_types_for_typescript(lab, instance):
    """They have every schema, event and call, and those of the build are the ones of what answers."""
    description = Description(instance).document
    file = lab.folder / "openapi.json"
    file.write_text(json.dumps(description))
    types = subprocess.run([ROOT / "tools" / "api-types", file], capture_output=True, text=True, check=True).stdout
    for name in description["components"]["schemas"]:
        assert f"export type {name} = " in types
    for name, event in description["x-events"].items():
        assert f"  {name}: {event['$ref'].rpartition('/')[2]};" in types
    for path, operations in description["paths"].items():
        for method in operations:
            assert (f'  "{method.upper()} {path}": {{' in types) == path.startswith("/api/")
    made = WASMRUN.parent / "src" / "os" / "api.d.ts"
    assert not made.exists() or made.read_text() == types


def find_schemathesis():
    """The Python of the environment that script/setup --tests makes."""
    lock = (ROOT / "tests" / "e2e" / "requirements.txt").read_bytes()
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    python = pathlib.Path(cache, "wasmrun", f"schemathesis-{hashlib.sha256(lock).hexdigest()[:16]}", "bin", "python")
    if not python.exists():
        pytest.skip("schemathesis is not installed (script/setup --tests)")
    return python


def test_schemathesis(instance):
    """Requests made from the description, good and bad ones; each answer must be as it says. Events have no end."""
    argv = [find_schemathesis(), "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{instance.port}/api/openapi.json"]
    # A text may be a wrong HOST:PORT or path: no schema says all of that.
    argv += ["--exclude-path", "/api/events", "--exclude-checks", "positive_data_acceptance", "--max-examples", "50"]
    argv += ["--seed", "1", "--no-color"]
    folder = pathlib.Path(instance.process.log.name).parent
    # A parameter that comes forty times is refused as well, with a status that it doesn't know for that.
    statuses = ["400", "401", "403", "404", "405", "409", "411", "412", "413", "414", "5xx"]
    (folder / "schemathesis.toml").write_text(f"[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(statuses)}\n")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=80 * DEADLINE, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert instance.process.alive()


def test_connection_limit(instance):
    """More than are taken at once: when they go, the others are served."""
    silent = [socket.create_connection(("127.0.0.1", instance.port)) for _ in range(200)]
    wait_for(lambda: instance.process.fds() > CONNS_MAX, "as many as may are accepted")
    for sock in silent:
        sock.close()
    assert instance.tunnel()["success"]


def test_api_ends_with_the_instance(instance):
    instance.process.signal(signal.SIGTERM)
    assert instance.process.wait_exit() == 0
    assert refused(("127.0.0.1", instance.port))

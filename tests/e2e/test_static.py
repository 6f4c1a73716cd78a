# SPDX-License-Identifier: MIT
"""Folders of files: `wasmrun os` on the example, and wasmrun-guest --files with visitors of all sorts."""

import http.client
import os
import shutil
import socket
import time

import pytest

from harness.examples import copy_example
from harness.guests import GUEST
from harness.wait import DEADLINE, SANITIZER, SCALE, wait_for
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os
from harness.web import Web

pytestmark = pytest.mark.skipif(not os.access(GUEST, os.X_OK), reason="wasmrun-guest is not built (script/setup-engine)")

FILES = {
    "index.html": b"<h1>home</h1>",
    "app.js": b"1",
    "app.mjs": b"1",
    "app.wasm": b"\0asm\1\0\0\0",
    "empty.txt": b"",
    "image.svg": b"<svg/>",
    "LICENSE": b"MIT",
    "style.CSS": b"a{}",
    "sub/index.html": b"sub",
    "sub/with space.txt": b"space",
    "bare/file.txt": b"bare",
    ".env": b"SECRET=1",
    ".git/config": b"[core]",
    "sub/.hidden": b"hidden",
    "wasmrun.toml": b"[os]\ntunnel_secret = 's'",
    "film.mp4": bytes(i * 7 % 251 for i in range(300_000)),
}


@pytest.fixture
def serve(tmp_path):
    """Serves a folder that it makes."""
    started = []

    def start(files, *options):
        folder = tmp_path / "site"
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        started.append(Web(tmp_path, "--files", folder, options=options).wait())
        started[-1].folder = folder
        return started[-1]

    yield start
    reports = [report for web in started for report in web.close() or ()]
    assert not reports, "\n".join(reports)


@pytest.fixture
def site(serve):
    return serve(FILES)


def test_example(lab):
    need_wasmrun()
    project = copy_example("static-site", lab.folder / "site")
    relay = lab.relay()
    instance = run_os(lab, project)
    assert instance.app()["kind"] == "static"
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    status, page = fetch(url)
    assert status == 200 and "A folder on the web" in page
    assert "WebAssembly.instantiate" in fetch(url, "/app.js")[1]
    assert fetch(url, "/wasmrun.toml")[0] == fetch(url, "/..%2f..%2fetc/passwd")[0] == 404
    instance.process.wait_line(r"^stdout \| GET /app.js 200 \d+$")


@pytest.mark.parametrize(("path", "file", "kind"), [
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/index.html", "index.html", "text/html; charset=utf-8"),
    ("/app.js", "app.js", "text/javascript; charset=utf-8"),
    ("/app.mjs?v=2", "app.mjs", "text/javascript; charset=utf-8"),
    ("/app.wasm", "app.wasm", "application/wasm"),
    ("/empty.txt", "empty.txt", "text/plain; charset=utf-8"),
    ("/image.svg", "image.svg", "image/svg+xml"),
    ("/LICENSE", "LICENSE", "application/octet-stream"),
    ("/style.CSS", "style.CSS", "text/css; charset=utf-8"),
    ("/sub/", "sub/index.html", "text/html; charset=utf-8"),
    ("/sub/with%20space.txt", "sub/with space.txt", "text/plain; charset=utf-8"),
    ("http://any.host/app.js", "app.js", "text/javascript; charset=utf-8"),
])
def test_found(site, path, file, kind):
    answer = site.ask(path)
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, FILES[file], kind)
    assert answer.headers["Cache-Control"] == "no-cache" and answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(("path", "status"), [
    ("/nothing", 404),
    ("/bare/", 404),  # no index, no listing
    ("/LICENSE/", 404),
    ("/.env", 404),
    ("/.git/config", 404),
    ("/%2egit/config", 404),
    ("/sub/.hidden", 404),
    ("/wasmrun.toml", 404),
    ("/WASMRUN.TOML", 404),
    ("/sub/../wasmrun.toml", 404),
    ("/../site/index.html", 404),
    ("/..", 404),
    ("/..%2f..%2f..%2f..%2f..%2fetc/passwd", 404),
    ("/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404),
    ("/..%5c..%5csecret", 404),
    ("/..%c0%af..%c0%afetc/passwd", 404),
    ("//etc/passwd", 404),
    ("/index.html%00.txt", 400),
    ("/%", 400),
    ("/%zz", 400),
    ("/" + "a" * 5000, 414),
    ("/" + "a" * 300, 404),  # longer than a name may be
    ("*", 400),
    ("index.html", 400),
    ("https://host/index.html", 400),
])
def test_refused(site, path, status):
    answer = site.ask(path)
    assert answer.status == status
    assert b"SECRET" not in answer.body and b"root:" not in answer.body


def test_well_known(serve):
    """What others look for at a fixed place (RFC 8615) was hidden with all else that begins with a dot."""
    site = serve({
        "index.html": b"home", ".well-known/security.txt": b"mail us", ".well-known/acme-challenge/token": b"key",
        ".well-known/.hidden": b"SECRET", ".well-knownx/a": b"SECRET", "sub/.well-known/x": b"SECRET", ".env": b"SECRET"})
    assert site.ask("/.well-known/security.txt").body == b"mail us"
    assert site.ask("/%2ewell-known/acme-challenge/token").body == b"key"
    assert site.ask("/.well-known").headers["Location"] == "/.well-known/"
    for path in ("/.well-known/", "/.well-known/.hidden", "/.well-knownx/a", "/sub/.well-known/x", "/.well-known/../.env",
                 "/.well-known//security.txt", "/.well-known/..%2f.env", "/.Well-Known/security.txt"):
        answer = site.ask(path)
        assert answer.status == 404 and b"SECRET" not in answer.body, path


def test_pages(serve):
    """A page has an address without ".html", also beside a folder of its name."""
    site = serve({
        "index.html": b"home", "about.html": b"about", "docs.html": b"docs", "docs/a.html": b"a", "blog/index.html": b"blog",
        "both": b"file", "both.html": b"page", "up.html": b"up", "up/index.html": b"below"})
    for path, body in (("/about", b"about"), ("/about.html", b"about"), ("/about?x=1", b"about"), ("/docs", b"docs"),
                       ("/docs/a", b"a"), ("/blog/", b"blog"), ("/both", b"file"), ("/up", b"up"), ("/up/", b"below"), ("/index", b"home")):
        answer = site.ask(path)
        assert (answer.status, answer.body) == (200, body), path
    assert site.ask("/about").headers["Content-Type"] == "text/html; charset=utf-8"
    assert site.ask("/blog").headers["Location"] == "/blog/"
    assert site.ask("/about/").status == site.ask("/abou").status == site.ask("/docs/").status == 404
    assert site.ask("/" + "a" * 250).status == 404  # its page's name is longer than a name may be


def test_own_404(serve):
    """The user's words for what isn't there, but still a 404 that no cache takes for the file."""
    site = serve({"index.html": b"home", "404.html": b"<h1>lost</h1>", ".env": b"SECRET"})
    for path in ("/nothing", "/sub/nothing", "/.env", "/nothing.js"):
        answer = site.ask(path, headers={"If-None-Match": "*", "Range": "bytes=0-1"})
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (404, b"<h1>lost</h1>", "text/html; charset=utf-8"), path
        assert not answer.headers["ETag"]
    head = site.ask("/nothing", "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (404, b"", "13")
    assert site.ask("/404.html").status == 200
    (site.folder / "404.html").unlink()
    assert site.ask("/nothing").body == b"404 Not Found\n"


PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def test_fallback(serve):
    """A page that makes its own addresses is there for all who open one, but not in place of an asset."""
    site = serve({"index.html": b"home", "app/shell.html": b"<div id=app>", "app.js": b"1", "404.html": b"lost", ".env": b"SECRET"},
                 "--fallback", "app/shell.html")
    for path in ("/users/7", "/users/", "/users/john.doe", "/app/nothing"):
        answer = site.ask(path, headers=PAGE)
        assert (answer.status, answer.body) == (200, b"<div id=app>"), path
        assert answer.headers["Vary"] == "Accept, Sec-Fetch-Mode"
    assert site.ask("/users/7", headers={"Sec-Fetch-Mode": "navigate"}).status == site.ask("/users/7").status == 200
    etag = site.ask("/users/7", headers=PAGE).headers["ETag"]
    assert site.ask("/users/8", headers={**PAGE, "If-None-Match": etag}).status == 304
    assert site.ask("/users/7", "HEAD", headers=PAGE).headers["Content-Length"] == "12"
    for path, headers in (("/assets/old.js", PAGE), ("/photo.png", {}), ("/users/7", {"Sec-Fetch-Mode": "cors", "Accept": "*/*"}),
                          ("/api/users", {"Accept": "application/json"}), ("/.env", PAGE), ("/.git/", PAGE)):
        answer = site.ask(path, headers=headers)
        assert (answer.status, answer.body) == (404, b"lost"), path
    assert site.ask("/", headers=PAGE).body == b"home" and site.ask("/app.js", headers=PAGE).body == b"1"
    assert site.ask("/users/7", "POST", b"x", headers=PAGE).status == 405
    assert site.ask("/%zz", headers=PAGE).status == 400
    (site.folder / "app" / "shell.html").unlink()
    assert site.ask("/users/7", headers=PAGE).status == 404


def test_fallback_that_becomes_a_folder(serve):
    """Each visitor who asked for it left a descriptor open, until there was none for anybody."""
    site = serve({"index.html": b"home", "shell": b"<div id=app>", "404.html": b"lost"}, "--fallback", "shell")
    assert site.ask("/users/7", headers=PAGE).body == b"<div id=app>"
    (site.folder / "shell").unlink()
    (site.folder / "shell").mkdir()
    assert site.ask("/users/7", headers=PAGE).body == b"lost"
    folder = f"{site.folder}/shell"
    links = [os.readlink(link.path) for link in os.scandir(f"/proc/{site.process.pid}/fd") if os.path.lexists(link.path)]
    assert folder not in links, links


def test_own_headers(serve):
    """Threads in WebAssembly need two headers, on every answer."""
    own = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp", "Cache-Control": "max-age=60"}
    site = serve({"index.html": b"home", "sub/index.html": b"sub"}, *(word for item in own.items() for word in ("--header", ": ".join(item))))
    etag = site.ask("/").headers["ETag"]
    for path, headers, status in (("/", {}, 200), ("/", {"If-None-Match": etag}, 304), ("/", {"Range": "bytes=0-0"}, 206),
                                  ("/", {"Range": "bytes=9-"}, 416), ("/sub", {}, 301), ("/nothing", {}, 404)):
        answer = site.ask(path, headers=headers)
        assert answer.status == status
        assert {name: answer.headers.get_all(name) for name in own} == {name: [value] for name, value in own.items()}


def test_settings(lab):
    """The settings of a folder reach it from wasmrun.toml, and no other kind takes them."""
    need_wasmrun()
    folder = lab.folder / "site"
    folder.mkdir()
    (folder / "index.html").write_text("home")
    (folder / "wasmrun.toml").write_text('[static]\nfallback = "index.html"\nheaders = ["Cross-Origin-Opener-Policy: same-origin"]\n')
    instance = run_os(lab, folder)
    connection = http.client.HTTPConnection("127.0.0.1", instance.app()["port"], timeout=DEADLINE)
    connection.request("GET", "/users/7", headers=PAGE)
    answer = connection.getresponse()
    assert (answer.read(), answer.headers["Cross-Origin-Opener-Policy"]) == (b"home", "same-origin")
    rows = [(["--fallback", "none.html"], "can't open the fallback 'none.html': No such file"),
            (["--fallback", "../x"], "can't open the fallback"), (["--fallback", ".env"], "can't open the fallback")]
    # What compiles a module has threads of Wasmtime's, which ThreadSanitizer knows nothing of.
    if SANITIZER != "tsan":
        rows += [(["--kind", "cgi", "--wasm", "x.wasm"], "--fallback and --header are for a folder of files (static), not for 'cgi'")]
    (folder / "x.wasm").write_bytes(b"\0asm\1\0\0\0")
    for options, why in rows:
        process = lab.process([WASMRUN, "os", "-P", 0, *options, folder], f"bad{len(why)}", env={"XDG_CACHE_HOME": str(lab.folder)})
        assert process.wait_exit() == 12
        assert why in process.text("stderr"), process.text()


def test_links(site, tmp_path):
    """A link inside the folder is a file like others; none leads out of it."""
    (tmp_path / "secret.txt").write_text("outside")
    for name, target in {
        "in": "sub/index.html", "out": "../secret.txt", "abs": tmp_path / "secret.txt", "up": "..",
        "proc": "/proc/self/root/etc/passwd", "loop": "loop",
    }.items():
        (site.folder / name).symlink_to(target)
    assert site.ask("/in").body == b"sub"
    for path in ("/out", "/abs", "/up/secret.txt", "/proc", "/loop"):
        assert site.ask(path).status == 404, path


def test_not_files(site):
    """Nobody waits for the other end of a pipe, and a file that may not be read says so."""
    os.mkfifo(site.folder / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(site.folder / "socket"))
    assert site.ask("/pipe").status == site.ask("/socket").status == 404
    if os.geteuid() != 0:
        (site.folder / "closed").touch(0)
        assert site.ask("/closed").status == 403


def test_redirects(site):
    assert site.ask("/sub").headers["Location"] == "/sub/"
    answer = site.ask("/sub?a=b")
    assert (answer.status, answer.headers["Location"]) == (301, "/sub/?a=b")
    # A path that a browser would take for another host.
    assert site.ask("//sub").status == site.ask("/%5csub").status == site.ask("/\\sub").status == 404


def test_steps(site):
    """The supervisor is told of the first answer, and of no other: restarts depend on that."""
    for _ in range(3):
        assert site.ask("/").status == 200
        site.process.wait_line(r"^GET / 200 ")
    assert os.read(site.reading, 10) == b"\n\n"


def test_methods(site):
    head = site.ask("/film.mp4", "HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "300000")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"):
        answer = site.ask("/", method, b"body")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    site.process.wait_line(r"^HEAD /film.mp4 200 0$")


def test_conditions(site):
    connection = http.client.HTTPConnection(*site.address, timeout=DEADLINE)
    first = site.ask("/film.mp4", connection=connection)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for headers in ({"If-None-Match": etag}, {"If-None-Match": f'"x", W/{etag}'}, {"If-None-Match": "*"},
                    {"If-Modified-Since": modified}):
        answer = site.ask("/film.mp4", headers=headers, connection=connection)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
        assert answer.headers["Content-Length"] == first.headers["Content-Length"]  # a cache may believe it
    assert site.ask("/film.mp4", headers={"If-None-Match": '"x"', "If-Modified-Since": modified}).status == 200
    os.utime(site.folder / "film.mp4", (1, 1))
    answer = site.ask("/film.mp4", headers={"If-None-Match": etag})
    assert (answer.status, answer.headers["Last-Modified"]) == (200, "Thu, 01 Jan 1970 00:00:01 GMT")


@pytest.mark.parametrize(("header", "first", "length"), [
    ("bytes=0-0", 0, 1),
    ("bytes=1000-1999", 1000, 1000),
    ("bytes=299990-", 299990, 10),
    ("bytes=-5", 299995, 5),
    ("bytes=100-9999999", 100, 299900),
])
def test_ranges(site, header, first, length):
    answer = site.ask("/film.mp4", headers={"Range": header})
    assert answer.status == 206 and answer.body == FILES["film.mp4"][first:first + length]
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + length - 1}/300000"
    etag = answer.headers["ETag"]
    assert site.ask("/film.mp4", headers={"Range": header, "If-Range": etag}).status == 206
    assert site.ask("/film.mp4", headers={"Range": header, "If-Range": '"x"'}).status == 200
    assert site.ask("/film.mp4", "HEAD", headers={"Range": header}).status == 200


def test_other_ranges(site):
    answer = site.ask("/film.mp4", headers={"Range": "bytes=300000-"})
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */300000")
    for header in ("bytes=2-1", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"):
        assert site.ask("/film.mp4", headers={"Range": header}).body == FILES["film.mp4"]


def test_keep_alive(site):
    connection = http.client.HTTPConnection(*site.address, timeout=DEADLINE)
    for path in ("/", "/nothing", "/film.mp4", "/sub", "/"):
        site.ask(path, connection=connection)
        assert connection.sock
    request = b"GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
    both = site.raw(request % (b"LICENSE", b"") + request % (b"empty.txt", b"Connection: close\r\n"))
    assert both.count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(("data", "status"), [
    (b"nonsense\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 40000 + b"\r\n\r\n", b"431"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 400000 + b"\r\n\r\n", b"431"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a=b; " * 3000 + b"\r\n\r\n", b"431"),  # no memory for so many
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", b"413"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"4"),
    (b"GET /\x1b[2J HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"400"),
])
def test_hostile_heads(site, data, status):
    try:
        answer = site.raw(data)
    except ConnectionResetError:
        answer = b""  # it was refused while it was still being sent
    assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status), answer[:100]
    assert site.ask("/").status == 200
    assert "\x1b" not in site.process.text()


@pytest.mark.parametrize("framing", [
    b"Content-Length: 3\r\nContent-Length: 40\r\n",
    b"content-length: 3\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
])
def test_two_lengths(site, framing):
    """A proxy in front could take another one for the end of the body than we: nothing behind it is a request."""
    hidden = b"GET /LICENSE HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answers = site.raw(b"GET / HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n0\r\n\r\n" + hidden)
    assert answers.startswith(b"HTTP/1.1 400 ") and answers.count(b"HTTP/1.1 ") == 1


def test_slow_reader(site):
    """A visitor who doesn't read holds up nobody, and gets all of it in the end."""
    (site.folder / "big.bin").write_bytes(bytes(20_000_000))
    with site.connect() as slow:
        slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for _ in range(50):
            assert site.ask("/").status == 200
        with slow.makefile("rb") as reply:
            assert len(reply.read().split(b"\r\n\r\n", 1)[1]) == 20_000_000


def test_made_anew(site):
    """A folder that was deleted and made again, as by a build, is the one that is served."""
    shutil.rmtree(site.folder)
    assert site.ask("/").status == 404
    site.folder.mkdir()
    (site.folder / "index.html").write_bytes(b"new")
    assert site.ask("/").body == b"new"


def test_shrinking_file(site):
    """A file that is cut while it is sent ends the connection: the visitor learns that it isn't whole."""
    (site.folder / "big.bin").write_bytes(bytes(50_000_000))
    with site.connect() as slow, slow.makefile("rb") as reply:
        slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reply.readline().startswith(b"HTTP/1.1 200")
        os.truncate(site.folder / "big.bin", 0)
        try:
            assert len(reply.read()) < 50_000_000
        except ConnectionResetError:
            pass
    assert site.ask("/").status == 200


def test_drain(site):
    """On SIGUSR1 open requests are finished, idle connections are ended without a reset, and the socket stays open."""
    (site.folder / "big.bin").write_bytes(bytes(20_000_000))
    idle, used = (http.client.HTTPConnection(*site.address, timeout=DEADLINE) for _ in range(2))
    assert site.ask("/", connection=idle).status == site.ask("/", connection=used).status == 200
    with site.connect() as slow, slow.makefile("rb") as reply:
        slow.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert reply.readline().startswith(b"HTTP/1.1 200")
        site.drain()
        # Who asks again now is answered, and told that it was the last time.
        assert site.ask("/", connection=used).headers["Connection"] == "close"
        assert idle.sock.recv(1) == b""
        with site.connect() as next_visitor:
            accepted, address = site.listener.accept()
            accepted.close()
            assert address == next_visitor.getsockname()
        assert site.process.alive()
        body = reply.read()
        assert len(body.split(b"\r\n\r\n", 1)[1]) == 20_000_000
    assert site.process.wait_exit() == 0


def test_term(site):
    with site.connect() as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\n")
        site.process.child.terminate()
        assert site.process.wait_exit(20 * SCALE) == -15, "it waits for no visitor: they have 30 s for a head"


def test_many_idle_visitors(site):
    """At the limit of connections the next one waits in the socket's queue, and is served when there is room."""
    idle = [site.connect() for _ in range(512)]
    wait_for(lambda: site.process.fds() >= 512, "all are taken")
    with site.connect() as late, late.makefile("rb") as reply:
        late.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for visitor in idle:
            visitor.close()
        assert reply.readline().startswith(b"HTTP/1.1 200")
    cpu = site.process.cpu()
    time.sleep(0.5)  # measured, not waited for
    assert site.process.cpu() - cpu < 0.25


@pytest.mark.parametrize(("args", "code", "said"), [
    (("--files", "--listen-fd", "9", "/nothing/here"), 193, "can't open the folder '/nothing/here': No such file"),
    (("--files", "--listen-fd", "0", "/"), 203, "can't serve:"),
    (("--files", "/"), 192, "usage:"),
    (("--cgi", "/"), 192, "usage:"),
])
def test_bad_starts(lab, args, code, said):
    process = lab.process([GUEST, *args], "guest")
    assert process.wait_exit() == code
    assert said in process.text("stderr")

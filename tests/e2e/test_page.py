# SPDX-License-Identifier: MIT
"""The page in a browser: every panel, the log under load, hostile text, keys, small windows, many tabs, other addresses."""

import base64
import contextlib
import gzip
import http.client
import http.server
import json
import shutil
import socket
import threading

import pytest

import test_requests
from harness.apps import free_port
from harness.browser import FOREIGN_HOST, Windows, browser, mistakes_of, tab_to
from harness.guests import needs_wall
from harness.streams import connect, pattern, recv_all, recv_exact
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import fetch, need_wasmrun, run_os

says = test_requests.says  # a fixture
pytestmark = [pytest.mark.together, pytest.mark.outside]
PANELS = ["requests", "log", "network", "files"]


@pytest.fixture(scope="module")
def chromium():
    with browser() as chromium:
        yield chromium


@pytest.fixture
def windows(chromium):
    """Nothing is ever said in the console."""
    windows = Windows(chromium)
    yield windows
    windows.close()
    assert not windows.said


@pytest.fixture
def talker(lab, guests, tmp_path):
    """`wasmrun os` with the application that prints what it is asked for."""
    need_wasmrun()
    project = tmp_path / "talker"
    project.mkdir()
    shutil.copy(guests.c("talks.c"), project)
    return run_os(lab, project)


def at(instance):
    return f"http://127.0.0.1:{instance.port}/"


def ask(instance, path):
    return fetch(instance.app()["url"], path)


def lines(page):
    return page.locator(".log .line.stdout").all_inner_texts()


def wait_line(page, text):
    page.locator(".log .line", has_text=text).last.wait_for(state="attached")


def show(page, panel):
    """On a wide screen the log stands beside the others."""
    tab = page.locator(f"#tab-{panel}")
    if tab.count():
        tab.click()


def recording(instance):
    assert instance.ask("POST", "/api/requests/record", {"recording": True}).status == 200


def forwarded(instance):
    """The port of a forward to what the tunnel would show."""
    port = free_port()
    assert instance.ask("POST", "/api/forwards", {"host_port": port}).status == 200
    return port


@needs_wall
@pytest.mark.parametrize("scheme, width", [("light", 1600), ("dark", 800), ("dark", 360)])
def test_panels(talker, windows, scheme, width):
    """Each has what it is for, fits the window, and keeps nobody out."""
    recording(talker)
    port = forwarded(talker)
    page = windows.open(at(talker), width, 900, scheme)
    page.locator(".word", has_text="running").wait_for()
    fetch(f"http://127.0.0.1:{port}", "/print/3")
    ask(talker, "/reach")
    seen = {
        "requests": ("tr", "/print/3"), "log": (".line", "line 3 of those"), "network": ("tr", "203.0.113.1:80"), "files": ("tr", "talks.wasm")}
    for panel in PANELS:
        show(page, panel)
        page.locator(seen[panel][0], has_text=seen[panel][1]).first.wait_for(state="attached")
        if panel == "requests":
            page.get_by_role("button", name="/print/3").click()
            page.get_by_role("heading", name="Response").wait_for()
        assert mistakes_of(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), panel
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (back == "rgb(21, 22, 26)") == (scheme == "dark")


def test_ten_thousand_lines_at_once(talker, windows):
    """A reader's queue holds a fifth of them; the rest is asked for."""
    page = windows.open(at(talker))
    wait_line(page, "it begins")
    ask(talker, "/print/10000")
    wait_line(page, "line 10000 of")
    numbers = page.evaluate("[...document.querySelectorAll('.line.stdout')].map(l => +/ line (\\d+) of/.exec(l.textContent)?.[1])")
    assert numbers[1:] == list(range(1, 10001))
    assert page.get_by_text("came too fast").count() == 0
    # The end is what is seen of it.
    end = "(log => log.scrollTop + log.clientHeight >= log.scrollHeight - 8)(document.querySelector('.log'))"
    wait_for(lambda: page.evaluate(end), "the end is seen")
    page.locator(".log").evaluate("log => log.scrollBy(0, -300)")
    page.get_by_role("button", name="To the last line").click()
    wait_for(lambda: page.evaluate(end), "the end is seen again")


def test_log_tools(talker, windows, tmp_path):
    page = windows.open(at(talker))
    wait_line(page, "it begins")
    ask(talker, "/print/12")
    wait_line(page, "line 12 of")
    search = page.get_by_label("Search the log")
    search.fill("line 1")
    page.get_by_text("4 found", exact=True).wait_for()
    for key, said in (("Enter", "1 of 4"), ("Enter", "2 of 4"), ("Shift+Enter", "1 of 4"), ("Shift+Enter", "4 of 4")):
        search.press(key)
        page.get_by_text(said, exact=True).wait_for()
    assert "line 12 of" in page.locator(".line.current").inner_text()
    search.fill("LINE 1 OF")
    page.get_by_text("1 found", exact=True).wait_for()
    search.fill("")
    page.get_by_label("Only lines with").fill("line 7")
    wait_for(lambda: len(lines(page)) == 1, "one line is left")
    page.get_by_label("Only lines with").fill("")
    wait_for(lambda: len(lines(page)) == 13, "all are there again")
    assert page.locator(".line.supervisor").count() > 0
    page.get_by_label("wasmrun", exact=True).uncheck()
    wait_for(lambda: page.locator(".line.supervisor").count() == 0, "its lines are hidden")
    page.get_by_role("button", name="Pause").click()
    ask(talker, "/print/1")
    wait_for(lambda: talker.get("/api/logs?since=14")["lines"], "it is printed")
    page.get_by_role("button", name="Pause").click()
    wait_for(lambda: len(lines(page)) == 14, "what came meanwhile is there")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "log")
    assert " stdout line 12 of those" in (tmp_path / "log").read_text()
    page.locator(".log-panel").get_by_role("button", name="Clear").click()
    wait_for(lambda: not lines(page), "they are gone")
    ask(talker, "/print/2")
    wait_for(lambda: len(lines(page)) == 2, "what comes now is there")


def test_hostile_output(talker, windows):
    """Text stays text."""
    page = windows.open(at(talker))
    ask(talker, "/odd")
    wait_line(page, "end of the long line")
    wait_line(page, "this is standard error")
    shown = page.locator(".log").inner_text()
    assert "<img src=x onerror=" in shown and "right \u202eto left" in shown
    assert page.locator(".log :is(img, script)").count() == 0 and page.title() == "talker – wasmrun"
    red = page.locator(".line span", has_text="red").last
    assert red.evaluate("e => getComputedStyle(e).color") == "rgb(179, 38, 30)"
    assert page.locator(".ansi-bold", has_text="bold").count() == 1
    wait_line(page, "end of the bytes")
    assert "error" in page.locator(".line.stderr").get_attribute("class").split()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_requests(talker, windows):
    recording(talker)
    with socket.create_connection(("127.0.0.1", forwarded(talker)), DEADLINE) as sock:
        sock.sendall(b"GET /<img/src=x/onerror=document.title='owned'> HTTP/1.1\r\nHost: x\r\nX-<b>: <script>document.title='owned'</script>"
                     b"\r\nX-Bytes: \xff\xfe\xc3( \xe2\x80\xae\x1b[31m\r\nX-Long: " + 3000 * b"x" + b"\r\n\r\n")
        recv_all(sock)
    page = windows.open(at(talker), 360, 800)
    show(page, "requests")
    page.locator(".target button").first.click()
    page.get_by_role("heading", name="Request", exact=True).wait_for()
    assert "/<img/src=x/onerror=" in page.locator(".start-line").first.inner_text()
    assert page.locator("#panel :is(img, script, b)").count() == 0 and page.title() == "talker – wasmrun"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_replay(talker, windows, tmp_path):
    """As it was, and changed; the application's answer tells which request has come."""
    recording(talker)
    fetch(f"http://127.0.0.1:{forwarded(talker)}", "/first")
    page = windows.open(at(talker))
    page.get_by_role("button", name="/first").click()
    page.get_by_role("button", name="Replay", exact=True).click()
    page.get_by_text("Replayed from here").wait_for()
    assert "the relay doesn't tell" not in page.locator(".exchange").inner_text()
    wait_for(lambda: page.get_by_role("button", name="/first").count() == 2, "the list has it")
    page.get_by_role("button", name="Edit and replay").click()
    draft = page.get_by_label("The request to send")
    draft.fill("PATCH /changed?x=1\nNo header\n\n")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").filter(has_text="'No header' is no header").wait_for()
    draft.fill("PATCH /changed?x=1\nHost: there\nX-Mine: <b>\n\na body\n\nof two parts")
    page.get_by_role("button", name="Send").click()
    page.locator("pre", has_text="PATCH /changed?x=1 HTTP/1.1").wait_for()  # its answer
    page.locator("pre", has_text="of two parts").wait_for()
    [sent] = [one for one in talker.get("/api/requests")["requests"] if one["target"] == "/changed?x=1"]
    request = talker.get(f"/api/requests/{sent['id']}")["request"]
    assert request["text"] == "a body\n\nof two parts" and {"name": "X-Mine", "value": "<b>"} in request["headers"]
    # What the list shows is exported, and it is drawn now and then.
    wait_for(lambda: page.locator(".list tbody tr").count() == 3, "all three are shown")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export HAR").click()
    download.value.save_as(tmp_path / "har")
    assert len(json.loads((tmp_path / "har").read_text())["log"]["entries"]) == 3
    assert mistakes_of(page) == []


def post(instance, path, body, *headers):
    lines = [f"POST {path} HTTP/1.1".encode(), b"Host: h", b"Content-Length: %d" % len(body), *headers]
    with connect(instance.address) as sock:
        sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        assert recv_exact(sock, len(answer)) == answer


def test_replay_of_a_binary_body(says, windows):
    """As it was, and with another target: the application gets each byte, and so says each."""
    body = bytes(range(256)) + pattern("binary", 5000)
    post(says, "/first", body)
    page = windows.open(at(says))
    page.get_by_role("button", name="/first").click()
    page.get_by_role("button", name="Replay", exact=True).click()
    page.get_by_text("Replayed from here").wait_for()
    page.locator("pre", has_text="000000  00 01 02 03").first.wait_for()
    page.get_by_role("button", name="Edit and replay").click()
    page.get_by_text("Its body is no text, and is sent as it was").wait_for()
    page.get_by_label("The request to send").fill("PUT /second\nHost: h\n\n")
    page.get_by_role("button", name="Send").click()
    page.locator(".start-line", has_text="PUT /second").wait_for()
    for target in ("/first", "/second"):
        [one] = [one for one in says.get("/api/requests")["requests"] if one["kind"] == "replay" and one["target"] == target]
        exchange = says.get(f"/api/requests/{one['id']}")
        for message in (exchange["request"], exchange["response"]):
            assert message["whole"] and base64.b64decode(message["base64"]) == body


DEEP = 15000
HOSTILE = {
    "markup": (b"<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>", (b"Content-Type: text/html",)),
    "control": (b"\x1b[31m\x07\x08\r \xe2\x80\xae reversed \x7f", ()),
    "invalid": (b"\xff\xfe\xc3( <script>document.title='owned'</script>", (b"Content-Type: text/plain; charset=utf-8",)),
    "long-line": (60_000 * b"x", ()),
    "bomb": (gzip.compress(bytes(40 << 20)), (b"Content-Encoding: gzip",)),
    "text-bomb": (gzip.compress((40 << 20) * b"x"), (b"Content-Encoding: gzip",)),
    "no-gzip": (b"<b>not at all</b>", (b"Content-Encoding: gzip",)),
    "half-gzip": (gzip.compress(pattern("half", 3000).hex().encode())[:1000], (b"Content-Encoding: gzip",)),
    "deep": (DEEP * b"[" + DEEP * b"]", (b"Content-Type: application/json",)),
    "many-fields": (b"&".join(b"<b>=%d" % i for i in range(6000)), (b"Content-Type: application/x-www-form-urlencoded",)),
    "many-headers": (b"", 10_000 * (b"A:",)),
}


def test_hostile_bodies(says, windows):
    """Text stays text, and little doesn't become much."""
    for name, (body, headers) in HOSTILE.items():
        post(says, f"/{name}", body, *headers)
    page = windows.open(at(says), 360, 800)
    for name, (body, headers) in HOSTILE.items():
        page.get_by_role("button", name=f"/{name}", exact=True).click()
        page.locator(".start-line", has_text=f"POST /{name} ").wait_for()
        if body:
            page.locator(".exchange section :is(pre, table + table, .hint ~ table)").last.wait_for()
        assert page.locator("#panel :is(img, script, b)").count() == 0 and "owned" not in page.title()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        shown = page.evaluate("document.querySelector('.exchange').textContent.length")
        assert shown < 4_000_000, (name, shown)
        if name.endswith("bomb"):
            page.get_by_text("the first 1 MiB of what it holds are shown").first.wait_for()
        page.get_by_role("button", name="Close", exact=True).click()  # on a phone it stands in the list's place


def test_files(talker, windows, tmp_path):
    folder = tmp_path / "talker"
    (folder / "sub").mkdir()
    (folder / "sub" / "<b>note.txt").write_text("<script>document.title='owned'</script>\n")
    (folder / "out").symlink_to("/etc")
    page = windows.open(at(talker))
    show(page, "files")
    assert page.get_by_role("button", name="out").count() == 0
    page.get_by_role("button", name="sub/").click()
    page.get_by_role("button", name="<b>note.txt").click()
    page.locator("pre", has_text="document.title").wait_for()
    assert page.title() == "talker – wasmrun"


def test_keys_alone(talker, windows):
    page = windows.open(at(talker), 800, 900)
    page.locator(".word", has_text="running").wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    for key, panel in (("ArrowRight", "log"), ("End", "files"), ("ArrowRight", "requests"), ("ArrowLeft", "files"), ("Home", "requests")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"tab-{panel}"
        assert page.locator("[role=tabpanel]").get_attribute("aria-labelledby") == f"tab-{panel}"
    tab_to(page, page.get_by_role("button", name="Stop", exact=True), "Shift+Tab")
    page.keyboard.press("Enter")
    page.locator(".word", has_text="stopped").wait_for()


# A page can't be hidden here; it is told that it is.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_title_and_icon(talker, windows):
    """Of a hidden tab as well, which has no events: it asks now and then."""
    page = windows.open("about:blank")
    page.clock.install()
    page.goto(at(talker))
    page.locator(".word", has_text="running").wait_for()
    icon = "document.querySelector('link[rel=icon]').href"
    plain = page.evaluate(icon)
    assert page.title() == "talker – wasmrun"
    page.evaluate(HIDE, True)
    page.clock.run_for(4000)
    assert talker.ask("POST", "/api/app/stop").status == 200
    talker.wait_app("stopped")
    page.clock.run_for(11000)
    wait_for(lambda: page.title() == "stopped: talker – wasmrun", "the title tells it")
    assert page.evaluate(icon) != plain
    assert talker.ask("POST", "/api/app/start").status == 200
    talker.wait_app("running")
    page.evaluate(HIDE, False)
    wait_for(lambda: page.title() == "talker – wasmrun", "the title tells it again")
    assert page.evaluate(icon) == plain


def test_multipart(talker, windows):
    """Its parts stand apart, each by its own type; a picture among them doesn't turn the text to hex."""
    recording(talker)
    body = (b'--b1\r\nContent-Disposition: form-data; name="note"\r\n\r\n--b1 is no end\r\n'
            b'--b1\r\nContent-Type: application/json\r\n\r\n{"a":1}\r\n--b1\r\n\r\n\x89PNG\0\r\n--b1--\r\nbehind')
    with connect(("127.0.0.1", forwarded(talker))) as visitor:
        visitor.sendall(b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; charset=x; boundary=\"b1\"\r\n"
                        b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        recv_all(visitor)
    page = windows.open(at(talker))
    page.get_by_role("button", name="/up").click()
    parts = page.locator(".part")
    parts.nth(2).wait_for()
    assert [one.locator("pre").inner_text().strip() for one in parts.all()] == ["--b1 is no end", '{\n  "a": 1\n}', "000000  89 50 4e 47 00" + 35 * " " + "·PNG·"]
    assert "form-data; name=\"note\"" in parts.first.inner_text() and "behind" not in parts.last.inner_text()
    assert mistakes_of(page) == []


def test_a_walk_by_keys(lab, talker, windows):
    """To share, to look for a request, to send it again and to stop: no step needs a pointer."""
    relay = lab.relay()
    page = windows.open(at(talker), 800, 900)
    page.locator(".word", has_text="running").wait_for()

    def press(name, key="Tab", using="Enter"):
        tab_to(page, page.get_by_role("button", name=name, exact=True), key)
        page.keyboard.press(using)

    tab_to(page, page.get_by_text("Relay settings"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Relay", exact=True))
    page.keyboard.type(f"{relay.host}:{relay.control_port}")
    press("Share", "Shift+Tab", "Space")
    page.locator(".word", has_text="Connected").wait_for()
    press("Record")
    page.get_by_role("button", name="Stop recording").wait_for()
    url = talker.tunnel()["public_url"]
    for path in ("/one", "/two", "/other"):
        fetch(url, path)
    page.get_by_role("button", name="/other").wait_for()
    tab_to(page, page.get_by_label("Text in head or body"))
    page.keyboard.type("GET /two")
    rows = page.locator(".requests tbody tr .target button")
    wait_for(lambda: rows.all_inner_texts() == ["/two"], "the others are left out")
    press("/two")
    page.get_by_role("heading", name="Response").wait_for()
    press("Replay")
    page.get_by_text("Replayed from here").wait_for()
    [sent] = [one for one in talker.get("/api/requests")["requests"] if one["kind"] == "replay"]
    assert sent["target"] == "/two"
    press("Stop sharing", "Shift+Tab")
    page.locator(".word", has_text="Disconnected").wait_for()
    press("Stop")
    page.locator(".word", has_text="stopped").wait_for()


def test_seven_tabs(talker, windows):
    """A browser opens six connections to a server, for all tabs. Hidden ones let theirs go."""
    tabs = [windows.open(at(talker))]
    for _ in range(6):
        wait_line(tabs[-1], "it begins")
        tabs[-1].evaluate(HIDE, True)
        tabs.append(windows.open(at(talker), context=tabs[0].context))
    ask(talker, "/print/1")
    wait_line(tabs[6], "line 1 of")
    assert len(lines(tabs[0])) == 1  # it has let go
    tabs[0].evaluate(HIDE, False)
    wait_line(tabs[0], "line 1 of")


def test_reload_and_loss(lab, guests, windows, tmp_path):
    need_wasmrun()
    shutil.copy(guests.c("talks.c"), tmp_path)
    port = free_port()
    instance = run_os(lab, tmp_path, api_port=port)
    page = windows.open(at(instance))
    wait_line(page, "it begins")
    page.reload()
    wait_line(page, "it begins")
    assert len(lines(page)) == 1
    instance.process.stop()
    page.get_by_role("alert").filter(has_text="Connection lost").wait_for()
    run_os(lab, tmp_path, api_port=port)
    page.locator(".lost").wait_for(state="detached")
    page.locator(".word", has_text="running").wait_for()
    wait_for(lambda: len(lines(page)) >= 1 and page.locator(".line.supervisor", has_text="running").count(), "the new log is there")
    assert all("ERR_" in one for one in windows.said)  # the browser's own words about the loss
    windows.said.clear()


class Front(http.server.BaseHTTPRequestHandler):
    """As code-server's /proxy/PORT/: takes the path off, and passes the rest on, Host as well."""

    def pass_on(self):
        assert self.path.startswith("/proxy/8420/")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        conn = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10 * DEADLINE)
        with contextlib.suppress(OSError):
            conn.request(self.command, self.path.removeprefix("/proxy/8420"), body, dict(self.headers))
            answer = conn.getresponse()
            self.send_response(answer.status)
            for name in ("Content-Type", "Content-Security-Policy"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            while data := answer.read1(4096):
                self.wfile.write(data)
        conn.close()

    do_GET = do_POST = pass_on

    def log_message(self, *_):
        pass


def test_behind_a_path(talker, windows):
    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    front.daemon_threads, front.port = True, talker.port
    threading.Thread(target=front.serve_forever, daemon=True).start()
    page = windows.open(f"http://127.0.0.1:{front.server_port}/proxy/8420/")
    wait_line(page, "it begins")
    page.get_by_role("button", name="Stop", exact=True).click()
    page.locator(".word", has_text="stopped").wait_for()
    talker.wait_app("stopped")
    windows.close()
    front.shutdown()
    front.server_close()


def test_token(lab, project, windows):
    """It stands in the fragment, which goes to no server; without it the page says what is missing."""
    instance = run_os(lab, project, "--listen", "0.0.0.0")
    page = windows.open(f"{at(instance)}#token={instance.token}")
    page.locator(".word", has_text="running").wait_for()
    stranger = windows.open(at(instance))
    stranger.get_by_text("send the token of the address that was printed at the start").wait_for()
    stranger.close()  # it tries again and again
    assert all("401" in one for one in windows.said) and windows.said
    windows.said.clear()


def test_refused_host(talker, windows):
    """It says where to go, and one can."""
    page = windows.open(f"http://{FOREIGN_HOST}:{talker.port}/")
    assert "--listen" in page.locator("body").inner_text() and mistakes_of(page) == []
    assert len(windows.said) == 1 and "403" in windows.said[0]  # the browser's own words
    windows.said.clear()
    page.get_by_role("link").first.click()
    page.locator(".word", has_text="running").wait_for()
    assert page.url == at(talker)

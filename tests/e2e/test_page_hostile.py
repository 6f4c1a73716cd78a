# SPDX-License-Identifier: MIT
"""Recorded requests that were made for the page: to harm who copies them, looks at them or waits for them."""

import gzip
import shutil
import subprocess
import threading

import pytest

import test_page
import test_requests
from harness.browser import Windows, browser
from harness.streams import connect, recv_exact, threads
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import fetch
from test_page import at, show, wait_line
from test_requests import ask, over

says, talker = test_requests.says, test_page.talker  # fixtures
pytestmark = pytest.mark.together


@pytest.fixture(scope="module")
def chromium():
    with browser() as chromium:
        yield chromium


@pytest.fixture
def windows(chromium):
    windows = Windows(chromium)
    yield windows
    windows.close()
    assert windows.said == []


def opened(windows, instance):
    page = windows.open(at(instance), permissions=["clipboard-read", "clipboard-write"])
    show(page, "requests")
    return page


def look_at(page, number):
    """The request with that id: the list has the last one first. The one before stands there until this one has come."""
    heading = page.get_by_role("heading", name="Request", exact=True)
    if heading.count():
        page.get_by_role("button", name="Close", exact=True).click()
        heading.wait_for(state="detached")
    page.locator(".list tbody tr").nth(-number).locator("button").click()
    heading.wait_for()


# A visitor's requests, and whether curl has to send the same.
SECRET = b"@SECRET"
COPIED = {
    "plain": b"GET /a?b=%20c HTTP/1.1\r\nHost: h\r\nX-One: it's\r\nX-Empty:\r\n\r\n",
    "HEAD": b"HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n",
    "a body without a type": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\na&'b",
    "a GET with a body": b"GET / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nhi",
    "bytes": b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n\0\xff'",
    "a file's name as the body": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: a/b\r\nContent-Length: 7\r\n\r\n" + SECRET,
    "a file's name as a field": b"GET / HTTP/1.1\r\nHost: h\r\n" + SECRET + b"\r\n\r\n",
    "a command": b"GET /$(touch${IFS}owned)`touch\tq` HTTP/1.1\r\nX: $(touch owned)`touch owned`';touch owned;'\r\n\r\n",
    "keys": b"GET / HTTP/1.1\r\nX: \x03\rtouch owned\r\x1b[201~\x04\t\\\xc2\x9b'!\r\n\r\n",
    "lines": b"POST / HTTP/1.1\r\nContent-Type: a/b\r\nContent-Length: 24\r\n\r\n'\ntouch owned\n\r\t\\n$(id)'",
    "another host": b"GET //127.0.0.1:1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "no address": b"GET //[ HTTP/1.1\r\nHost: h\r\n\r\n",
    "a whole address": b"GET http://127.0.0.1:1/x HTTP/1.1\r\nHost: h\r\n\r\n",
    "dots and globs": b"GET /a/../b/[1-3]{x,y}#z HTTP/1.1\r\nHost: h\r\n\r\n",
    "an option": b"OPTIONS --output HTTP/1.1\r\nHost: h\r\n\r\n",
}
NOT_SENT = {"@SECRET", "Host", "Content-Length"}  # curl's own, and what is no field


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_copy_as_curl(says, windows, tmp_path):
    """Pasted into bash, it asks the application the same, reads no file, runs nothing, and names nobody else."""
    page = opened(windows, says)
    for name in ("SECRET", "SECRET: "):
        (tmp_path / name).write_text("X-Secret: 1")
    before = sorted(one.name for one in tmp_path.iterdir())
    here, forward = says.app()["url"].rstrip("/"), "http://{}:{}".format(*says.address)
    for case, request in COPIED.items():
        ask(says, request, 38)
        first = over(says)[-1]
        look_at(page, first["id"])
        page.get_by_role("button", name="Copy as curl").click()
        page.get_by_role("button", name="Copied").wait_for()
        command = page.evaluate("navigator.clipboard.readText()")
        assert command.isprintable() and here in command, command
        done = subprocess.run(["bash", "-c", command.replace(here, forward)], cwd=tmp_path, capture_output=True, timeout=DEADLINE)
        assert done.returncode == 0, (command, done.stderr)
        assert sorted(one.name for one in tmp_path.iterdir()) == before, command
        again = over(says, first["id"] + 1)[-1]
        assert (again["method"], again["target"]) == (first["method"], first["target"]), command
        one, other = (says.get(f"/api/requests/{each['id']}")["request"] for each in (first, again))
        assert (one["text"], one["base64"]) == (other["text"], other["base64"]), command
        sent = {field["name"]: field["value"] for field in other["headers"]}
        wanted = {field["name"]: field["value"] for field in one["headers"] if field["name"] not in NOT_SENT}
        assert {name: sent.get(name) for name in wanted} == wanted, command
        assert "X-Secret" not in sent and ("Content-Type" in sent) == ("Content-Type" in wanted), command


def test_no_command_for_a_part(says, windows):
    """The command for a body that was cut sent another one, and said nothing of it."""
    page = opened(windows, says)
    for number, size in enumerate((65536, 65537)):
        body = b"x" * size
        ask(says, b"POST / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % size + body, 38)
        over(says)
        look_at(page, number + 1)
        page.get_by_text("No command for curl: of the body only the first 64 KiB").wait_for(state="visible" if number else "detached")
        assert page.get_by_role("button", name="Copy as curl").count() == 1 - number


def test_bodies(says, windows):
    """A gzip of 64 MiB, numbers that no JavaScript has, brackets 60,000 deep, and 30,000 fields of a form."""
    bodies = {
        "application/octet-stream": gzip.compress(bytes(64 << 20)),
        "text/plain": gzip.compress(b"text " * (10 << 20)),
        "application/json": b'{"id": 12345678901234567890, "id": [1.0, {}], "s": "a\\"b, {c"}',
        "application/x+json": b"[" * 30_000 + b"]" * 30_000,
        "application/x-www-form-urlencoded": b"&".join(b"a" for _ in range(30_000)),
    }
    page = opened(windows, says)
    for number, (kind, body) in enumerate(bodies.items()):
        coding = b"Content-Encoding: gzip\r\n" if body[:2] == b"\x1f\x8b" else b""
        ask(says, b"POST / HTTP/1.1\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n" % (kind.encode(), coding, len(body)) + body, 38)
        over(says)
        look_at(page, number + 1)
        shown = page.get_by_role("region", name="Request").locator("pre, table.headers").last
        if coding:
            page.get_by_text("the first 1 MiB of what it holds are shown").wait_for()
            assert len(shown.text_content()) <= 2 << 20
        elif kind == "application/json":
            page.locator("pre", has_text='"s": "a\\"b, {c"').first.wait_for()
            assert shown.inner_text() == '{\n  "id": 12345678901234567890,\n  "id": [\n    1.0,\n    {}\n  ],\n  "s": "a\\"b, {c"\n}'
        elif kind == "application/x+json":
            wait_for(lambda: shown.text_content().startswith("["), "it is laid out")
        else:
            page.get_by_text("The first 1000 of 30000 fields").wait_for()


def test_line_separators(says, windows):
    """U+2028 ends no line in JSON, nor in an event."""
    page = opened(windows, says)
    target = "/a\u2028b"
    ask(says, f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode(), 38)
    page.get_by_role("button", name=target).wait_for()


def test_late_answer_of_a_search(says, windows):
    """It came when the text was gone, and left only what it had found in the list, for good."""
    page = opened(windows, says)
    held = []
    page.route("**/api/requests?search=*", lambda route: held.append(route))
    for target in (b"/one", b"/other"):
        ask(says, b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target, 38)
    rows = page.locator(".list tbody tr")
    wait_for(lambda: rows.count() == 2, "both stand there")
    page.get_by_label("Text in head or body").fill("/one")
    wait_for(lambda: page.wait_for_timeout(1) or held, "the server is asked")
    page.get_by_label("Text in head or body").fill("")
    with page.expect_response("**/api/requests?search=*"):
        held.pop().continue_()
    ask(says, b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n", 38)
    wait_for(lambda: rows.count() == 3, "all three stand there")


BATCH = 32  # what is pipelined further is not recorded


def test_flood(says, windows):
    """Thousands of requests a second, each drawn as it was told, held the page up for minutes; and nothing piles up in it."""
    page = opened(windows, says)
    page.locator(".word", has_text="running").first.wait_for()
    request, over_ = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", threading.Event()

    def flood():
        """Of a connection whose bytes come faster than they can be looked at nothing more is recorded: the next one is soon there."""
        while not over_.is_set():
            with connect(says.address) as sock:
                for _ in range(10):
                    sock.sendall(BATCH * request)
                    recv_exact(sock, BATCH * 38)

    def all_shown():
        return page.locator(".list tbody tr").count() == 200

    with threads(16 * DEADLINE) as group:
        group.start(flood)
        try:
            wait_for(all_shown, "the list is full", 4 * DEADLINE)
            for number in range(3):
                first = says.get("/api/requests")["requests"][-1]["id"]
                wait_for(lambda: says.get("/api/requests")["requests"][-1]["id"] > first + 1000, "a thousand more have come", 4 * DEADLINE)
                for text in (str(number), ""):
                    page.get_by_label("Text in head or body").fill(text, timeout=4000 * DEADLINE)
        finally:
            over_.set()
    wait_for(all_shown, "the last ones are shown", 4 * DEADLINE)
    browser_ = page.context.new_cdp_session(page)
    browser_.send("HeapProfiler.collectGarbage")
    # 4,000 on an idle machine; what piles up would be a few thousand for each time that the list was drawn.
    assert browser_.send("Memory.getDOMCounters")["nodes"] < 40_000
    ask(says, b"GET /last HTTP/1.1\r\nHost: h\r\n\r\n", 38)
    wait_for(lambda: page.locator(".list tbody tr").first.inner_text().split()[1:3] == ["/last", "200"], "the last one is over")


def test_lost_events(says, windows):
    """An event that is longer than a reader's queue is lost: what it would have told is asked for."""
    page = opened(windows, says)
    page.locator(".word", has_text="running").first.wait_for()
    ask(says, b"GET /" + b"\x01" * 50_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 38)
    ask(says, b"GET /behind HTTP/1.1\r\nHost: h\r\n\r\n", 38)
    over(says, 2)
    rows = page.locator(".list tbody tr")
    wait_for(lambda: rows.count() == 2 and "…" not in rows.nth(1).locator("td").nth(3).inner_text(), "both stand there, and are over")


def test_downloaded_log(talker, windows, tmp_path):
    """The file is looked at on a terminal, which it must not steer."""
    page = windows.open(at(talker))
    fetch(talker.app()["url"], "/odd")
    wait_line(page, "end of the long line")
    wait_line(page, "this is standard error")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    download.value.save_as(tmp_path / "log")
    text = (tmp_path / "log").read_text()
    assert "red bold" in text and "end of the colours" in text and "end of the long line" in text
    assert all(line.isprintable() or "\u202e" in line for line in text.replace("\ufffd", "").splitlines())

# SPDX-License-Identifier: MIT
"""POST /api/tunnel/check: the public URL is asked from here, and what was seen is said."""

import contextlib
import os
import signal
import socket

import pytest

from harness.apps import App, free_port, listen
from harness.process import halt
from harness.wait import DEADLINE, wait_for
from harness.wire import FakeRelay
from test_os_tunnel import at, in_background


def check(instance):
    return instance.ask("POST", "/api/tunnel/check")


@contextlib.contextmanager
def public_port(instance, port):
    """The tunnel is Connected with a relay that says that `port` is its own."""
    with FakeRelay() as fake:
        start, answers = in_background(instance.start, server=fake.to)
        with fake.accept() as conn:
            conn.recv()
            conn.send({"Hello": port})
            conn.beat()
            start.join()
            assert answers[0].status == 200
            yield
            instance.stop()


@pytest.mark.parametrize("kind", ["ours", "stock"])
@pytest.mark.parametrize("recorded", [False, True])
def test_works(lab, instance, kind, recorded):
    """With stock there is no address to know it by. It is the same when somebody else looks on."""
    instance.ask("POST", "/api/requests/record", {"recording": recorded})
    relay = lab.relay(kind)
    instance.start(server=at(relay))
    assert instance.tunnel()["check"] is None
    with instance.events() as events:
        answer = check(instance)
        seen = answer.body["check"]
        assert (answer.status, seen["outcome"], seen["status"], seen["arrived"]) == (200, "works", 200, True)
        assert "with status 200" in seen["text"] and 0 <= seen["duration_ms"] < 5000
        assert instance.tunnel()["check"] == seen
        assert events.wait("tunnel", lambda tunnel: tunnel["check"])["check"] == seen
    instance.stop()
    assert instance.tunnel()["check"] is None, "it was of a tunnel that isn't any more"


def test_not_connected(instance):
    for word in ("Not started", "Failed"):
        answer = check(instance)
        assert (answer.status, answer.body["success"]) == (409, False) and f"'{word}'" in answer.body["error"]
        assert instance.start(server=f"127.0.0.1:{free_port()}").status == 502


def test_refused(instance):
    port = free_port()
    with public_port(instance, port):
        seen = check(instance).body["check"]
    assert (seen["outcome"], seen["arrived"], seen["status"]) == ("refused", False, None)
    assert f"127.0.0.1:{port}" in seen["text"] and "--bind-tunnels" in seen["text"]


@pytest.mark.parametrize("answer,status", [(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404), (b"SSH-2.0-x\r\n", None), (b"HTTP/1.1 2x4 \n", None), (b"x" * 5000, None)])
def test_another_application_answers(instance, answer, status):
    def handler(sock):
        sock.recv(1)
        sock.sendall(answer)

    with contextlib.closing(App(handler)) as app, public_port(instance, app.port):
        seen = check(instance).body["check"]
    assert (seen["outcome"], seen["arrived"], seen["status"]) == ("other", False, status)
    assert "something else has answered" in seen["text"]


def test_closed_without_an_answer(instance):
    def handler(sock):
        while not sock.recv(65536).endswith(b"\r\n\r\n"):
            pass

    with contextlib.closing(App(handler)) as app, public_port(instance, app.port):
        seen = check(instance).body["check"]
    assert (seen["outcome"], seen["arrived"]) == ("unanswered", False) and "closes it without an answer" in seen["text"]


def test_the_application_is_silent(lab, instance):
    """The request arrives, and nothing comes back: 5 s, in which all else goes on."""
    instance.start(server=at(lab.relay()))
    pid = instance.app()["pid"]
    halt(pid)
    try:
        first, answers = in_background(lambda: check(instance))
        second, others = in_background(lambda: check(instance))
        assert instance.get("/healthz") == b"ok\n"
        first.join()
        second.join()
    finally:
        os.kill(pid, signal.SIGCONT)
    seen = answers[0].body["check"]
    assert (seen["outcome"], seen["arrived"]) == ("unanswered", True) and seen["duration_ms"] >= 4900
    assert "has come to the application" in seen["text"]
    assert others[0].body["check"]["time"] == seen["time"], "there was but one question"
    assert check(instance).body["check"]["outcome"] == "works"


def test_silence(instance):
    """As behind a firewall: nobody says a word, not even no. A stop meanwhile ends it."""
    with listen("127.0.0.1", backlog=0) as full:
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        with public_port(instance, address[1]):
            seen = check(instance).body["check"]
            assert (seen["outcome"], seen["arrived"]) == ("silent", False) and "firewall" in seen["text"]
            thread, answers = in_background(lambda: check(instance))
            wait_for(lambda: instance.stop().status == 200 and not thread.is_alive(), "the check has ended", DEADLINE)
            assert answers[0].status == 409 or answers[0].body == {"success": True, "check": None}
        for one in crowd:
            one.close()

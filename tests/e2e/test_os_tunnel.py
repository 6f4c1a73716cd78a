# SPDX-License-Identifier: MIT
"""The three tunnel calls of `wasmrun os`: every status word, every answer, and what the public URL reaches."""

import http.client
import os
import signal
import socket
import threading
import time

import pytest

from harness.apps import free_port
from harness.lab import refused
from harness.streams import connect, recv_all
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import fetch, need_pages, run_os
from harness.wire import FakeRelay


@pytest.fixture
def fake():
    with FakeRelay() as fake:
        yield fake


def at(relay):
    return f"{relay.host}:{relay.control_port}"


def in_background(call, **settings):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(call(**settings)))
    thread.start()
    return thread, answers


def test_before_any_start(instance):
    status = instance.tunnel()
    assert (status["success"], status["status"]) == (True, "Not started")
    assert status["public_url"] is None and status["public_port"] is None and status["error"] is None
    assert status["local_port"] == instance.app()["port"]
    assert (status["next_attempt"], status["expires"], status["protocol"], status["has_secret"]) == (None, None, "auto", False)


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_start_status_stop(lab, instance, kind):
    relay = lab.relay(kind)
    answer = instance.start(server=at(relay))
    status = instance.tunnel()
    url = f"http://{relay.host}:{status['public_port']}"
    assert (answer.status, answer.body) == (200, {"success": True, "public_url": url, "status": "Connected"})
    assert (status["status"], status["public_url"], status["server"]) == ("Connected", url, at(relay))
    assert "Hello from C" in fetch(url)[1]
    assert instance.start().body == answer.body
    stopped = instance.stop()
    assert (stopped.status, stopped.body) == (200, {"success": True, "message": "Tunnel stopped"})
    status = instance.tunnel()
    assert (status["status"], status["public_url"], status["public_port"]) == ("Disconnected", None, None)
    wait_for(lambda: refused((relay.host, int(url.rsplit(":", 1)[1]))), "the public port is closed")


def test_stop_in_any_state(instance):
    for _ in range(2):
        assert instance.stop().status == 200
    assert instance.start().status == 502
    assert instance.stop().status == 200


def test_failed(instance):
    port = free_port()
    answer = instance.start(server=f"127.0.0.1:{port}")
    assert (answer.status, answer.body["success"], answer.body["status"]) == (502, False, "Failed")
    assert f"127.0.0.1:{port}" in answer.body["error"]
    status = instance.tunnel()
    assert (status["status"], status["error"]) == ("Failed", answer.body["error"])


def test_wrong_secret(lab, instance):
    relay = lab.relay(secret="right")
    answer = instance.start(server=at(relay), secret="wrong")
    assert (answer.status, answer.body["status"]) == (502, "Failed")
    assert instance.tunnel()["has_secret"]
    assert "secret" in answer.body["error"] and "wrong secret value" not in answer.body["error"]
    assert instance.start(server=at(relay), secret="right").status == 200


def test_wanted_port(lab, instance):
    relay, port = lab.relay(), free_port()
    assert instance.start(server=at(relay), port=port).body["public_url"] == f"http://{relay.host}:{port}"


def test_settings_from_the_environment(lab, project):
    relay = lab.relay(secret="s3cret")
    env = {"WASMRUN_EXPOSE": "1", "WASMRUN_TUNNEL_SECRET": "s3cret"}
    instance = run_os(lab, project, "--tunnel-server", at(relay), env=env)
    assert instance.wait_status("Connected")["server"] == at(relay)
    assert b"s3cret" not in instance.process.cmdline()


def test_line_dialect(lab, instance):
    answer = instance.start(server=at(lab.relay()), protocol="line")
    assert answer.status == 200
    assert (instance.tunnel()["protocol"], instance.tunnel()["has_secret"]) == ("line", False)
    assert "Hello from C" in fetch(answer.body["public_url"])[1]


def test_join_while_connecting(instance, fake):
    """Two that start, and one that joins without a wish: all hear of the one connection."""
    first = in_background(instance.start, server=fake.to)
    with fake.accept() as conn:
        conn.recv()
        assert instance.tunnel()["status"] == "Connecting"
        others = [in_background(instance.start, server=fake.to), in_background(instance.start)]
        # The API answers meanwhile.
        assert instance.start(server="127.0.0.1:9").status == 409
        conn.send({"Hello": 4444})
        for thread, answers in (first, *others):
            thread.join()
            assert (answers[0].status, answers[0].body["public_url"]) == (200, "http://127.0.0.1:4444")


def test_stop_while_connecting(instance, fake):
    thread, answers = in_background(instance.start, server=fake.to)
    with fake.accept() as conn:
        conn.recv()
        assert instance.stop().status == 200
        thread.join()
    assert (answers[0].status, answers[0].body["status"]) == (409, "Disconnected")


def test_other_settings(lab, instance):
    relay = lab.relay()
    assert instance.start(server=at(relay)).status == 200
    port = instance.tunnel()["public_port"]
    for settings in ({"server": "127.0.0.1:9"}, {"secret": "x"}, {"protocol": "line"}, {"port": port ^ 1}):
        answer = instance.start(**settings)
        assert (answer.status, answer.body["success"]) == (409, False), settings
    assert instance.start(server=at(relay), port=port).status == 200
    assert instance.tunnel()["status"] == "Connected"


def test_reconnecting(lab, instance):
    """The last URL stays; a start joins the wait and is answered undecided, or when it is decided."""
    relay = lab.relay()
    url = instance.start(server=at(relay)).body["public_url"]
    assert (instance.tunnel()["protocol"], instance.tunnel()["next_attempt"]) == ("bore", None)
    relay.process.kill()
    status = instance.wait_status("Reconnecting")
    due = wait_for(lambda: instance.tunnel()["next_attempt"], "an attempt waits")
    assert abs(due - 1000 * time.time()) < 60_000
    assert (status["public_url"], status["error"] is None) == (url, False)
    answer = instance.start()
    assert (answer.status, answer.body) == (202, {"success": True, "public_url": url, "status": "Reconnecting"})
    thread, answers = in_background(instance.start)
    lab.relay(host=relay.host, control_port=relay.control_port)
    instance.process.signal(signal.SIGHUP)
    thread.join()
    assert answers[0].status in (200, 202)
    assert instance.wait_status("Connected")["reconnects"] == 1
    assert "Hello from C" in fetch(instance.tunnel()["public_url"])[1]


@pytest.mark.parametrize("secret", ["14bytes-secret", "a-secret-of-many-more-bytes-than-a-short-one"], ids=["short", "long"])
def test_secret_is_not_in_a_core(lab, project, secret):
    """The configuration's stayed in ordinary memory for good, and that of a request was freed unwiped."""
    if os.environ.get("WASMRUN_SANITIZER"):
        pytest.skip("a sanitizer keeps freed memory")
    relay = lab.relay(secret=secret)
    (project / "wasmrun.toml").write_text(f'[os]\ntunnel_secret = "{secret}"\n')
    (project / "wasmrun.toml").chmod(0o600)
    instance = run_os(lab, project, env={"WASMRUN_TUNNEL_SERVER": at(relay)})
    memory = instance.process
    assert instance.start().status == 200
    assert memory.core_contains(at(relay).encode()), "the search itself finds what is there"
    assert not memory.core_contains(secret.encode()), "from the configuration"
    for body in (f'{{"server":"{at(relay)}","secret":"{secret}"}}', f'{{"secret":["{secret}"]}}', f'{{"secret":"{secret}'):
        instance.stop()
        instance.ask("POST", "/api/tunnel/start", body)
        chunks = iter([body[:30].encode(), body[30:].encode()])
        connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=DEADLINE)
        connection.request("POST", "/api/tunnel/start", chunks, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        assert connection.getresponse().read()
        # The reply is with us before the request's memory is wiped.
        wait_for(lambda: not memory.core_contains(secret.encode()), f"no trace is left of {body}")
        connection.close()
    assert b"tunnel_secret" in instance.get("/api/fs/read?path=wasmrun.toml")
    wait_for(lambda: not memory.core_contains(secret.encode()), "no trace is left of the file")


def test_configured_secret_is_for_the_configured_server(lab, project):
    own, other = lab.relay(secret="s3cret"), lab.relay(secret="s3cret")
    env = {"WASMRUN_TUNNEL_SERVER": at(own), "WASMRUN_TUNNEL_SECRET": "s3cret"}
    instance = run_os(lab, project, env=env)
    assert instance.start(server=at(other)).status == 502
    assert instance.start(server=at(other), secret="s3cret").status == 200
    assert instance.stop().status == 200
    assert instance.start(server=at(own)).status == 200


def test_start_while_the_application_starts_again(lab, instance):
    relay = lab.relay()
    for _ in range(20):
        assert instance.ask("POST", "/api/app/stop").body["state"] == "stopping"
        assert instance.ask("POST", "/api/app/start").status == 200
        assert instance.start(server=at(relay)).status == 200
        instance.stop()
        instance.wait_app("running")


def test_no_application(lab, instance):
    relay = lab.relay()
    assert instance.ask("POST", "/api/app/stop").status == 200
    instance.wait_app("stopped")
    answer = instance.start(server=at(relay))
    assert (answer.status, answer.body["success"]) == (409, False)
    assert instance.ask("POST", "/api/app/start").status == 200
    instance.wait_app("running")
    assert instance.start(server=at(relay)).status == 200


def test_start_while_building(lab, project):
    """Visitors that come meanwhile wait."""
    relay = lab.relay()
    (project / "hello.wasm").rename(project / "hello.bin")
    gate = project / "go"
    build = "while ! [ -e go ]; do sleep 0.05; done; cp hello.bin hello.wasm"
    begun = time.monotonic()
    instance = run_os(lab, project, "--build", build, "--wasm", "hello.wasm", api_port=free_port(), wait=False)
    assert instance.app()["state"] == "building"
    answer = instance.start(server=at(relay))
    assert answer.status == 200
    pages = []
    visitor = threading.Thread(target=lambda: pages.append(fetch(answer.body["public_url"])))
    visitor.start()
    wait_for(lambda: instance.tunnel()["connections"]["open"] == 1, "the visitor waits")
    gate.touch()
    visitor.join()
    need_pages(pages, begun)


def test_application_crash_is_not_the_tunnels(lab, instance):
    url = instance.start(server=at(lab.relay())).body["public_url"]
    os.kill(instance.app()["pid"], signal.SIGKILL)
    assert "Hello from C" in fetch(url)[1]
    assert instance.app()["restarts"] == 1
    status = instance.tunnel()
    assert (status["status"], status["public_url"], status["reconnects"]) == ("Connected", url, 0)


def test_qr(lab, instance):
    assert instance.ask("GET", "/api/tunnel/qr.svg").status == 409
    assert instance.start(server=at(lab.relay())).status == 200
    answer = instance.ask("GET", "/api/tunnel/qr.svg")
    assert answer.status == 200 and answer.headers["Content-Type"] == "image/svg+xml"
    assert answer.body.startswith(b"<svg ")


def test_connections(lab, instance):
    url = instance.start(server=at(lab.relay())).body["public_url"]
    with connect((url.split("/")[2].split(":")[0], int(url.rsplit(":", 1)[1]))) as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(1)

        def open_one():
            found = instance.get("/api/connections")["connections"]
            return found[0] if len(found) == 1 and found[0]["bytes"]["out"] else None

        live = wait_for(open_one, "the open connection is listed with its bytes")
        assert live["open"] and live["end"] is None and live["bytes"]["in"] == 28
        assert live["from"] == "{}:{}".format(*sock.getsockname())
    closed = wait_for(
        lambda: (found := instance.get("/api/connections")["connections"][0]) and not found["open"] and found,
        "it is listed as closed",
    )
    assert closed["id"] == live["id"] and closed["end"] and closed["from"] == live["from"]
    assert instance.tunnel()["connections"] == {"open": 0, "total": 1}


class Crowd:
    """Visitors who load the public URL again and again. `failures` holds what was not the page: (visitor, error)."""

    def __init__(self, url, count=50):
        self.url, self.over, self.served, self.failures = url, threading.Event(), 0, []
        self.threads = [threading.Thread(target=self._visit) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _visit(self):
        while not self.over.is_set():
            try:
                status, text = fetch(self.url)
                assert status == 200 and "Hello from C" in text, (status, text)
                self.served += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.failures.append((threading.get_ident(), error))
                self.over.wait(0.05)

    def wait_served(self, more=200):
        wanted = self.served + more
        wait_for(lambda: self.served >= wanted, "the visitors are served", 2 * DEADLINE)

    def leave(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_calls_under_load(lab, instance, kind):
    """Fifty visitors see nothing but the page while status and start are asked for, and nothing at all after a stop."""
    relay, port = lab.relay(kind), free_port()
    url = instance.start(server=at(relay), port=port).body["public_url"]
    crowd = Crowd(url)
    try:
        crowd.wait_served()
        for _ in range(20):
            assert instance.start().status == 200
            assert instance.tunnel()["status"] == "Connected"
            instance.get("/api/connections")
        crowd.wait_served()
        assert crowd.failures == []
        assert instance.stop().status == 200
        wait_for(lambda: len(crowd.failures) > 50, "nobody is served")
        assert instance.tunnel()["connections"]["open"] == 0
        # The relay has to notice that the port is free.
        wait_for(lambda: instance.start(server=at(relay), port=port).status == 200, "it starts again")
        crowd.wait_served()
    finally:
        crowd.leave()


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_relay_killed_under_load(lab, instance, kind):
    """The application hears nothing of it; the same URL works again when the relay is back."""
    relay, port = lab.relay(kind), free_port()
    url = instance.start(server=at(relay), port=port).body["public_url"]
    pid = instance.app()["pid"]
    crowd = Crowd(url)
    try:
        crowd.wait_served()
        relay.process.kill()
        assert instance.wait_status("Reconnecting")["public_url"] == url
        lab.relay(kind, host=relay.host, control_port=relay.control_port)
        status = wait_for(lambda: (s := instance.tunnel())["status"] == "Connected" and s, "it is back", 4 * DEADLINE)
        assert (status["public_url"], status["reconnects"]) == (url, 1)
        crowd.wait_served()
    finally:
        crowd.leave()
    assert (instance.app()["pid"], instance.app()["restarts"]) == (pid, 0)


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_application_killed_under_load(lab, instance, kind):
    """Only whoever waits for an answer sees it, once; who comes meanwhile waits, and the tunnel hears nothing of it."""
    relay = lab.relay(kind)
    url = instance.start(server=at(relay)).body["public_url"]
    crowd = Crowd(url)
    try:
        crowd.wait_served()
        assert crowd.failures == []
        os.kill(instance.app()["pid"], signal.SIGKILL)
        wait_for(lambda: (a := instance.app())["state"] == "running" and a["restarts"] == 1, "it runs again")
        crowd.wait_served()
    finally:
        crowd.leave()
    visitors = [visitor for visitor, _ in crowd.failures]
    assert len(visitors) == len(set(visitors))
    status = instance.tunnel()
    assert (status["status"], status["public_url"], status["reconnects"]) == ("Connected", url, 0)


def raw(url, data):
    """The whole answer to bytes that no library would send."""
    host, port = url.split("/")[2].split(":")
    with connect((host, int(port))) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return recv_all(sock).decode(errors="replace")


def test_public_url_reaches_the_application_only(lab, instance):
    url = instance.start(server=at(lab.relay())).body["public_url"]
    api = f"127.0.0.1:{instance.port}"
    targets = [
        "/api/tunnel/status", "/api/app", "/api/events", "/metrics", "/healthz", "/page.js", "//api/app",
        "/../api/app", "/%2e%2e/api/app", f"http://{api}/api/app", f"//{api}/api/app", f"/{api}/api/app", "*",
    ]  # fmt: skip
    for target in targets:
        for host in (url.split("/")[2], api, f"localhost:{instance.port}", "localhost"):
            text = raw(url, f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert '"success"' not in text and "wasmrun" not in text, (target, host, text)
    for line in (f"CONNECT {api} HTTP/1.1", f"POST http://{api}/api/tunnel/stop HTTP/1.1"):
        assert '"success"' not in raw(url, f"{line}\r\nHost: {api}\r\nConnection: close\r\n\r\n".encode())
    assert instance.tunnel()["status"] == "Connected"


def test_start_names_no_local_port(lab, instance):
    """Whatever the request says, the tunnel's other end is the application."""
    relay = lab.relay()
    for name in ("local_port", "local_host", "to", "host"):
        answer = instance.start(server=at(relay), **{name: 22})
        assert answer.status == 400 and name in answer.body["error"]
    assert instance.tunnel()["status"] == "Not started"


def test_end_with_a_waiting_start(instance, fake):
    """It ends in order though a request waits for the outcome; that one is told."""
    thread, answers = in_background(instance.start, server=fake.to)
    with fake.accept() as conn:
        conn.recv()
        instance.process.signal(signal.SIGTERM)
        thread.join()
        assert instance.process.wait_exit() == 0
    assert answers[0].status in (202, 409)

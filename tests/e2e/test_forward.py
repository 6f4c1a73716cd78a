# SPDX-License-Identifier: MIT
"""Forwards of `wasmrun os`, and the connection log: every call, what can't be, and what visitors see."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import threading

import pytest

from harness.apps import free_port
from harness.guests import needs_wall
from harness.lab import refused
from harness.streams import connect, duplex, ended, pattern, recv_all, recv_exact, reset, threads
from harness.wait import wait_for
from harness.wasmrun import fetch, run_os
from test_os_commands import wasmrun

MIB = 1 << 20
LOOPBACK = "127.0.0.1"


@pytest.fixture
def echo(lab, guests):
    """An application that says everything again."""
    return run_os(lab, guests.c("echo.c"), "--forward", "0")


def forwards(instance):
    return instance.get("/api/forwards")["forwards"]


def add(instance, **body):
    return instance.ask("POST", "/api/forwards", body)


def remove(instance, port):
    return instance.ask("DELETE", f"/api/forwards/{port}")


def port_of(instance):
    return forwards(instance)[0]["host_port"]


def connections(instance, kind="forward"):
    return [one for one in instance.get("/api/connections")["connections"] if one["kind"] == kind]


def last_end(instance):
    """How the newest connection of a forward has ended."""
    return wait_for(lambda: (all_ := connections(instance)) and not any(c["open"] for c in all_) and all_[0], "it has ended")


def test_each_call(instance):
    assert forwards(instance) == []
    answer = add(instance, host_port=0)
    one = answer.body["forward"]
    assert (answer.status, answer.body["success"]) == (200, True)
    assert (one["address"], one["app_port"], one["connections"]) == (LOOPBACK, None, {"open": 0, "total": 0})
    assert "Hello from C" in fetch(f"http://{LOOPBACK}:{one['host_port']}")[1]
    wait_for(lambda: forwards(instance)[0]["connections"] == {"open": 0, "total": 1}, "it is counted")
    assert forwards(instance)[0]["bytes"]["in"] and forwards(instance)[0]["bytes"]["out"]
    metrics = instance.ask("GET", "/metrics").body.decode()
    assert "wasmrun_forward_connections 0\n" in metrics and "wasmrun_forward_connections_total 1\n" in metrics
    two = add(instance, address="::1", host_port=0, app_port=None).body["forward"]
    assert [f["address"] for f in forwards(instance)] == [LOOPBACK, "::1"]
    assert fetch(f"http://[::1]:{two['host_port']}")[0] == 200
    assert refused((LOOPBACK, two["host_port"]))
    removed = remove(instance, one["host_port"])
    assert (removed.status, removed.body) == (200, {"success": True, "message": "Forward removed"})
    assert refused((LOOPBACK, one["host_port"]))
    assert [f["address"] for f in forwards(instance)] == ["::1"]
    # The port is free, for whoever wants it.
    assert add(instance, host_port=one["host_port"]).status == 200


def test_one_connection_is_ended(instance):
    """It is reset, and the one beside it goes on."""
    begin = b"GET / HTTP/1.1\r\n"
    to = (LOOPBACK, add(instance, host_port=0).body["forward"]["host_port"])
    with connect(to) as one, connect(to) as other:
        for visitor in (one, other):
            visitor.sendall(begin)
        name = "%s:%s" % one.getsockname()[:2]
        here = lambda: [c for c in connections(instance) if c["from"] == name and c["bytes"]["in"] == len(begin)]
        [found] = wait_for(here, "it has begun")
        answer = instance.ask("DELETE", f"/api/connections/{found['id']}")
        assert (answer.status, answer.body) == (200, {"success": True, "message": "Connection ended"})
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        other.sendall(b"Host: a\r\nConnection: close\r\n\r\n")
        assert b"Hello from C" in recv_all(other)
    now = wait_for(lambda: (c := instance.get(f"/api/connections/{found['id']}")["connection"]) and not c["open"] and c, "it has ended")
    assert now["end"] == "ended by the user" and now["bytes"] == {"in": len(begin), "out": 0}
    again = instance.ask("DELETE", f"/api/connections/{found['id']}")
    assert (again.status, again.body["success"]) == (409, False) and "ended already" in again.body["error"]
    assert instance.ask("DELETE", "/api/connections/none").status == 404


def test_the_port_of_the_application(instance):
    """It may be named, and another one isn't there."""
    app = instance.app()["port"]
    there = add(instance, host_port=0, app_port=app).body["forward"]["host_port"]
    nowhere = add(instance, host_port=0, app_port=app % 65535 + 1).body["forward"]
    assert fetch(f"http://{LOOPBACK}:{there}")[0] == 200
    for _ in range(2):
        with connect((LOOPBACK, nowhere["host_port"])) as visitor:
            assert ended(visitor)
    assert last_end(instance)["end"] == f"the application has not opened port {nowhere['app_port']}"
    assert last_end(instance)["bytes"] == {"in": 0, "out": 0}
    told = f"are turned away: the application has not opened port {nowhere['app_port']}"
    instance.process.wait_line(told)
    assert instance.process.text("stderr").count(told) == 1


@needs_wall
def test_a_further_port_of_the_application(lab, guests):
    """It is there from when the application opens it, and has the number that the application knows."""
    instance = run_os(lab, guests.c("second.c"), "--forward", "0:8081", "--forward", "0:8080", "--forward", "0:8082", "--bind-port", "8081")
    second, first, none = (f["host_port"] for f in forwards(instance))

    def said(port):
        with connect((LOOPBACK, port)) as visitor:
            return recv_all(visitor)

    assert said(second) == b""
    assert last_end(instance)["end"] == "the application has not opened port 8081"
    assert said(first) == b"first"
    assert (said(second), said(none)) == (b"second", b"")
    instance.process.wait_line(f"info forward: {LOOPBACK}:{second} leads to the application again")
    # A policy that no longer names it ends it here and there: the program's sock_accept() fails.
    assert instance.ask("PUT", "/api/network/policy", {"bind_ports": []}).status == 200
    instance.process.wait_line(r"info network: port 8081 of the application is closed: it is no longer in bind_ports")
    assert said(second) == b""
    assert last_end(instance)["end"] == "the application has not opened port 8081"
    instance.process.wait_line(r"exit code 2")


@pytest.mark.parametrize(
    "body, says",
    [
        (None, "'host_port' is missing"),
        ({}, "'host_port' is missing"),
        ({"host_port": None}, "'host_port' is missing"),
        ({"host_port": -1}, "'host_port' is no number from 0 to 65535"),
        ({"host_port": 65536}, "'host_port' is no number"),
        ({"host_port": "5000"}, "'host_port' is no number"),
        ({"host_port": 1.5}, "'host_port' is no number"),
        ({"host_port": 0, "app_port": 0}, "'app_port' is no number from 1 to 65535"),
        ({"host_port": 0, "app_port": True}, "'app_port' is no number"),
        ({"host_port": 0, "address": 1}, "'address' is no text"),
        ({"host_port": 0, "address": ""}, "'address' is no IP address"),
        ({"host_port": 0, "address": "localhost"}, "write 127.0.0.1"),
        ({"host_port": 0, "address": "example.com"}, "'address' is no IP address"),
        ({"host_port": 0, "address": "192.0.2.1"}, "192.0.2.1:0 is at no address of this machine"),
        ({"host_port": 0, "port": 1}, "'port' is unknown: there are address, host_port and app_port"),
        ([], None),
        ("{", None),
    ],
)
def test_bad_bodies(instance, body, says):
    answer = instance.ask("POST", "/api/forwards", body)
    assert (answer.status, answer.body["success"]) == (400, False)
    assert says is None or says in answer.body["error"], answer.body
    assert forwards(instance) == []


@pytest.mark.parametrize("port, status", [("0", 400), ("65536", 400), ("x", 400), ("-1", 400), ("1", 404), ("5000", 404), ("", 404)])
def test_bad_removals(instance, port, status):
    answer = remove(instance, port)
    assert (answer.status, answer.body["success"]) == (status, False)


def test_conflicts(instance):
    with socket.create_server((LOOPBACK, 0)) as taken:
        answer = add(instance, host_port=taken.getsockname()[1])
        assert answer.status == 409 and "taken by another program" in answer.body["error"]
    for address in (LOOPBACK, "::1", "0.0.0.0", "::"):
        answer = add(instance, host_port=instance.port, address=address)
        assert answer.status == 409 and f"port {instance.port} is the page's: choose another one" in answer.body["error"]
    assert add(instance, host_port=0, address="::1").status == 200
    assert add(instance, host_port=instance.app()["port"]).status == 409
    port = add(instance, host_port=0).body["forward"]["host_port"]
    for address in (LOOPBACK, "127.0.0.2"):
        answer = add(instance, address=address, host_port=port)
        assert answer.status == 409 and f"port {port} is forwarded already" in answer.body["error"]
    assert [one["address"] for one in forwards(instance)] == ["::1", LOOPBACK]


def test_too_many(instance):
    for _ in range(64):
        assert add(instance, host_port=0).status == 200
    answer = add(instance, host_port=0)
    assert answer.status == 409 and "64 forwards" in answer.body["error"]
    assert remove(instance, port_of(instance)).status == 200
    assert add(instance, host_port=0).status == 200


def test_another_address_is_said_loudly(lab, instance):
    assert add(instance, host_port=0).status == 200
    assert "anyone who can reach this machine" not in instance.process.text("stderr")
    port = add(instance, address="0.0.0.0", host_port=0).body["forward"]["host_port"]
    instance.process.wait_line(rf"warn forward: 0\.0\.0\.0:{port} leads to the application: anyone who can reach this machine .* no TLS")
    assert fetch(f"http://127.0.0.3:{port}")[0] == 200


@pytest.mark.parametrize(
    "args, code, says",
    [
        (["--forward", "x"], 2, "it is no [ADDR:]HOST_PORT[:APP_PORT]"),
        (["--forward", "localhost:5000"], 2, "write 127.0.0.1"),
        (["--forward", "5000", "--forward", "127.0.0.2:5000:80"], 2, "its HOST_PORT is forwarded already"),
        (["-P", "5000", "--forward", "[::1]:5000:80"], 2, "its HOST_PORT is the page's (--http-port)"),
        (65 * ["--forward", "0"], 2, "there are more than 64 of them"),
        (["--forward", "192.0.2.1:5000"], 10, "this machine has no such address"),
    ],
)
def test_options_that_are_none(lab, args, code, says):
    (lab.folder / "site").mkdir()
    (lab.folder / "site" / "index.html").write_text("hello")
    done = wasmrun(lab, "os", lab.folder / "site", *([] if "-P" in args else ["-P", "0"]), *args)
    assert done[0] == code and says in done[2], done


def test_option_variable_and_file(lab, hello):
    project = lab.folder / "project"
    project.mkdir()
    shutil.copy(hello, project / "hello.wasm")
    (project / "wasmrun.toml").write_text('[os]\nforwards = ["0", "[::1]:0"]\n[app]\nwasm = "hello.wasm"\n')
    instance = run_os(lab, project)
    assert [f["address"] for f in forwards(instance)] == [LOOPBACK, "::1"]
    for _, found in (instance.process.wait_line(r"^forward: +(http://127\S+)$"), instance.process.wait_line(r"^forward: +(http://\[::1\]\S+)$")):
        assert fetch(found[1])[0] == 200
    instance.process.stop()
    port = free_port()
    instance = run_os(lab, project, env={"WASMRUN_FORWARD": f"{port}"})
    assert [f["host_port"] for f in forwards(instance)] == [port]
    (project / "wasmrun.toml").write_text('[os]\nforwards = ["0", "here"]\n[app]\nwasm = "hello.wasm"\n')
    code, _, err = wasmrun(lab, "os", project)
    assert code == 2 and "wasmrun.toml" in err and "'here'" in err


def test_taken_at_the_start(lab, hello):
    with socket.create_server((LOOPBACK, 0)) as taken:
        code, _, err = wasmrun(lab, "os", hello, "-P", "0", "--forward", taken.getsockname()[1])
        assert code == 10 and "another program listens there" in err and "--forward" in err


def test_commands(lab, instance):
    code, out, err = wasmrun(lab, "forward", "add", "0")
    assert code == 0 and err == "" and fetch(f"http://{out.strip()}")[0] == 200
    port = out.strip().rsplit(":", 1)[1]
    code, out, err = wasmrun(lab, "forward", "add", f"[::]:0:{instance.app()['port']}")
    assert code == 0 and "anyone who can reach this machine there can reach the application" in err
    wait_for(lambda: forwards(instance)[0]["connections"]["open"] == 0, "the visitor is gone")
    code, text, _ = wasmrun(lab, "forward", "list")
    lines = [re.split(r"  +", line) for line in text.splitlines()]
    assert lines[0] == ["FROM", "TO PORT", "CONNECTIONS"]
    assert lines[1] == [f"127.0.0.1:{port}", "as the tunnel", "0 open, 1 total"]
    assert lines[2][:2] == [out.strip(), str(instance.app()["port"])]
    assert json.loads(wasmrun(lab, "forward", "list", "--json")[1]) == instance.get("/api/forwards")
    runs = json.loads(wasmrun(lab, "ps", "--json")[1])
    assert runs[0]["forwards"] == [f"127.0.0.1:{port}", out.strip()]
    assert wasmrun(lab, "forward", "remove", port)[:2] == (0, "Forward removed\n")
    code, _, err = wasmrun(lab, "forward", "remove", port)
    assert code == 1 and "is not forwarded" in err


@pytest.mark.parametrize(
    "args, says",
    [
        (["add"], "'add' needs the <FORWARD>"),
        (["remove"], "'remove' needs the <FORWARD>"),
        (["add", "x"], "it is no [ADDR:]HOST_PORT[:APP_PORT]"),
        (["remove", "127.0.0.1:5000"], "it is no HOST_PORT"),
        (["remove", "0"], "it is no HOST_PORT from 1 to 65535"),
        (["list", "5000"], "FORWARD"),
        (["drop"], "add, list, remove"),
    ],
)
def test_commands_that_are_none(lab, args, says):
    code, _, err = wasmrun(lab, "forward", *args)
    assert code == 2 and says in err, err


# --- visitors ---


def test_half_close(echo):
    data = pattern("half", MIB)
    with connect((LOOPBACK, port_of(echo))) as visitor:
        assert duplex(visitor, data, len(data)) == data
    end = last_end(echo)
    assert (end["end"], end["bytes"]) == ("closed", {"in": MIB, "out": MIB})


def test_slow_reader(echo):
    """He waits, and loses nothing; the application is held back by him as by one of its own."""
    data = 8 * pattern("slow", 8 * MIB)  # more than all buffers on the way
    with connect((LOOPBACK, port_of(echo)), rcvbuf=65536) as visitor, threads() as group:
        sent = []
        group.start(lambda: (visitor.sendall(data), visitor.shutdown(socket.SHUT_WR), sent.append(1)))
        wait_for(lambda: (now := forwards(echo)[0]["bytes"])["out"] and now == forwards(echo)[0]["bytes"], "nothing moves any more")
        assert not sent
        assert recv_all(visitor) == data
    assert last_end(echo)["bytes"] == {"in": len(data), "out": len(data)}


def test_resets_are_passed_on(echo):
    port = port_of(echo)
    with connect((LOOPBACK, port)) as visitor:
        visitor.sendall(b"reset me")
        with pytest.raises(ConnectionResetError):
            while visitor.recv(100):
                pass
            raise AssertionError("it was an ordinary end")
    assert last_end(echo)["end"] == "reset by the application"
    visitor = connect((LOOPBACK, port))
    visitor.sendall(b"x")
    assert recv_exact(visitor, 1) == b"x"
    reset(visitor)
    assert wait_for(lambda: (last := last_end(echo))["bytes"]["out"] and last, "it has ended")["end"] == "reset by the visitor"


def test_removal_resets_its_visitors_alone(echo):
    other = add(echo, host_port=0).body["forward"]["host_port"]
    with connect((LOOPBACK, port_of(echo))) as mine:
        mine.sendall(b"x")
        assert recv_exact(mine, 1) == b"x"
        with connect((LOOPBACK, other)) as waits:
            waits.sendall(b"y")
            wait_for(lambda: [f["connections"]["open"] for f in forwards(echo)] == [1, 1], "both are there")
            assert remove(echo, port_of(echo)).status == 200
            with pytest.raises(ConnectionResetError):
                mine.recv(1)
            assert recv_exact(waits, 1) == b"y"
    assert {c["end"] for c in connections(echo) if not c["open"]} >= {"the forward was removed"}


def test_replaced_under_load(lab, hello):
    """Visitors of a forward don't see that the application is replaced."""
    instance = run_os(lab, hello, "--forward", "0")
    port, stop, served = port_of(instance), threading.Event(), []

    def visit():
        while not stop.is_set():
            assert "Hello from C" in fetch(f"http://{LOOPBACK}:{port}")[1]
            served.append(1)

    with threads() as group:
        for _ in range(3):
            group.start(visit)
        for _ in range(2):
            old = instance.app()["pid"]
            instance.ask("POST", "/api/app/restart")
            wait_for(lambda: (app := instance.app())["pid"] not in (old, None) and not app["next"], "it is replaced")
            seen = len(served)
            wait_for(lambda: len(served) > seen + 10, "the new one serves")
        stop.set()
    assert port_of(instance) == port


def test_visitors_wait_while_it_starts_again(lab, echo):
    """As those of the tunnel do: in the queue of the gate."""
    os.kill(echo.app()["pid"], signal.SIGKILL)
    with connect((LOOPBACK, port_of(echo))) as visitor:
        visitor.sendall(b"still there?")
        assert recv_exact(visitor, 12) == b"still there?"
    assert echo.app()["restarts"] == 1


def test_forward_of_a_stopped_application(instance):
    port = add(instance, host_port=0).body["forward"]["host_port"]
    instance.ask("POST", "/api/app/stop")
    instance.wait_app("stopped")
    assert fetch(f"http://{LOOPBACK}:{port}")[0] == 503
    instance.ask("POST", "/api/app/start")
    instance.wait_app("running")
    assert fetch(f"http://{LOOPBACK}:{port}")[0] == 200


# --- the connection log ---


def lines_of(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_connection_log(lab, hello):
    """A line for each visitor of both kinds, as the API tells it; opened anew at SIGHUP."""
    log, relay = lab.folder / "connections", lab.relay()
    log.write_text('{"kept":true}\n')
    log.chmod(0o600)
    instance = run_os(lab, hello, "--forward", "0", "--connection-log", log)
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    port = port_of(instance)
    with instance.events() as events:
        for where, kind in ((f"http://{LOOPBACK}:{port}", "forward"), (url, "tunnel")):
            fetch(where)
            events.wait("connection", lambda c: not c["open"] and c["kind"] == kind)
    lines = wait_for(lambda: len(found := lines_of(log)) == 3 and found, "all are written")
    assert lines[0] == {"kept": True}
    assert [one["kind"] for one in lines[1:]] == ["forward", "tunnel"]
    assert lines[1:] == list(reversed(instance.get("/api/connections")["connections"]))
    assert lines[1]["to"] == f"{LOOPBACK}:{port}" and lines[1]["from"].startswith(f"{LOOPBACK}:")
    assert (lines[2]["to"], lines[1]["end"], lines[1]["rule"]) == (None, "closed", None)
    log.rename(lab.folder / "connections.1")
    instance.process.signal(signal.SIGHUP)
    wait_for(log.exists, "it is opened anew")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    with connect((LOOPBACK, port)):  # ended by our end
        wait_for(lambda: forwards(instance)[0]["connections"]["open"], "it is there")
        instance.process.signal(signal.SIGTERM)
        assert instance.process.wait_exit() == 0
    assert [(one["kind"], one["end"]) for one in lines_of(log)] == [("forward", "wasmrun has ended")]
    assert len(lines_of(lab.folder / "connections.1")) == 3


def test_connection_log_that_cant_be(lab, hello):
    code, _, err = wasmrun(lab, "os", hello, "-P", "0", "--connection-log", lab.folder)
    assert code == 11 and "can't write the connection log" in err and "name a file that can be created" in err
    instance = run_os(lab, hello, "--forward", "0", "--connection-log", "/dev/full")
    for _ in range(3):
        fetch(f"http://{LOOPBACK}:{port_of(instance)}")
    instance.process.wait_line("the connection log can't be written, lines are lost error='No space left on device'")
    fetch(f"http://{LOOPBACK}:{port_of(instance)}")
    instance.process.stop()
    assert instance.process.text("stderr").count("the connection log can't be written") == 1

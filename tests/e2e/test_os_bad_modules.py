# SPDX-License-Identifier: MIT
"""Applications that misbehave under `wasmrun os`: nothing else is harmed, and nothing is left running."""

import http.client
import json
import os
import shutil
import signal
import subprocess

import pytest

from harness.apps import free_port
from harness.guests import COMPILE_DEADLINE, need_go
from harness.lab import refused
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, gone, need_nothing_left, need_wasmrun, run_os


@pytest.fixture
def bad(guests, tmp_path):
    """Makes a project whose application goes wrong as the words say."""
    need_wasmrun()
    module = guests.c("misbehaves.c")

    def make(*words):
        folder = tmp_path / "bad"
        folder.mkdir()
        shutil.copy(module, folder / "bad.wasm")
        (folder / "wasmrun.toml").write_text(f"[app]\nargs = {json.dumps(words)}\n")
        return folder

    return make


@pytest.mark.parametrize("how, said", [("trap", "it trapped: wasm `unreachable` instruction executed"), ("memory", "exit code 3"), ("exit", "exit code 42")])
def test_ends_at_the_start(lab, bad, how, said):
    env = {"XDG_CACHE_HOME": str(lab.folder), "XDG_RUNTIME_DIR": str(lab.folder)}
    process = lab.process([WASMRUN, "os", "-P", "0", bad(how)], "wasmrun", env=env)
    assert process.wait_exit() == 12
    ((line, _),) = process.find(r" error app: ")
    assert f"it ended before it took a connection: {said}; " in line.text and "in C by accept(3, NULL, NULL); " in line.text
    assert process.text("stdout") == "" and process.find("it has begun")
    assert bool(process.find(r"wasm trap|wasm backtrace")) == (how == "trap")
    need_nothing_left(lab)


LISTENS = {
    "c": ({"main.c": """
#include <sys/socket.h>
int socket(int family, int type, int protocol);
int main(void) { return socket(AF_INET, SOCK_STREAM, 0); }
"""}, r"error app: the build with 'clang' has failed: exit code 1; a server .* from descriptor 3, in C by accept\(3, NULL, NULL\)$"),
    "go": ({"go.mod": "module x\n\ngo 1.21\n", "main.go": """
package main

import ("log"; "net")

func main() {
	l, err := net.Listen("tcp", ":8080")
	if err != nil { log.Fatal(err) }
	log.Println(l.Accept())
}
"""}, r"error app: it ended before it took a connection: exit code 2; .*, in Go by net\.FileListener\(os\.NewFile\(3, \"\"\)\); .*--kind cgi$"),
}


@pytest.mark.toolchain
@pytest.mark.parametrize("language", LISTENS)
def test_listens_by_itself(lab, guests, language, monkeypatch):
    """It was told an exit code, behind twenty lines of its runtime."""
    need_wasmrun()
    files, said = LISTENS[language]
    guests.c("ends.c") if language == "c" else need_go()
    if language == "go":
        monkeypatch.setenv("GOCACHE", subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip())
    folder = lab.folder / "listens"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    env = {"XDG_CACHE_HOME": str(lab.folder), "XDG_RUNTIME_DIR": str(lab.folder)}
    process = lab.process([WASMRUN, "os", "-P", "0", folder], "wasmrun", env=env)
    process.wait_line(said, deadline=COMPILE_DEADLINE)
    assert process.wait_exit() == 12


@pytest.mark.parametrize("how", ["sleep", "spin"])
@pytest.mark.parametrize("end", ["stop", "signal"])
def test_never_listens(lab, bad, how, end):
    """It has two minutes (a unit test waits for less); the API answers meanwhile, and a stop is one."""
    instance = run_os(lab, bad(how), api_port=free_port(), wait=False)
    instance.process.wait_line("it has begun")
    app = instance.app()
    assert app["state"] == "starting"
    if end == "stop":
        assert instance.ask("POST", "/api/app/stop").body["state"] == "stopping"
        instance.wait_app("stopped")
        assert gone(app["pid"])
    instance.process.signal(signal.SIGTERM)
    assert instance.process.wait_exit() == 0
    need_nothing_left(lab)


def visit(url):
    """None where the connection ends without an answer."""
    try:
        return fetch(url)[1]
    except (http.client.HTTPException, OSError):
        return None


@pytest.mark.parametrize("how, said", [("trap", "it trapped: wasm `unreachable` instruction executed"), ("memory", "exit code 3"), ("exit", "exit code 42")])
def test_ends_later(lab, bad, how, said):
    """The one who asked for it sees the connection end; the tunnel stays, and the next visitor is served."""
    relay = lab.relay()
    instance = run_os(lab, bad(how, "later"))
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    assert fetch(url, "/well") == (200, "fine\n")
    assert visit(url) is None
    assert fetch(url, "/well") == (200, "fine\n")
    app, tunnel = instance.app(), instance.tunnel()
    assert app["restarts"] == 1 and said in app["exit_reason"]
    assert (tunnel["status"], tunnel["public_url"], tunnel["reconnects"]) == ("Connected", url, 0)
    instance.process.signal(signal.SIGTERM)
    assert instance.process.wait_exit() == 0
    assert bool(instance.process.find(r"wasm trap|wasm backtrace")) == (how == "trap")
    need_nothing_left(lab)


def test_spins_later(lab, bad):
    """Its processor time is seen, and a restart helps: the time to finish is given, and runs out."""
    instance = run_os(lab, bad("spin", "later"))
    app = instance.app()
    conn = http.client.HTTPConnection("127.0.0.1", app["port"])
    conn.request("GET", "/")
    wait_for(lambda: instance.app()["cpu_ms"] > app["cpu_ms"] + 500, "it spins")
    assert instance.ask("POST", "/api/app/restart").status == 200
    wait_for(lambda: (a := instance.app())["state"] == "running" and a["pid"] != app["pid"], "it has restarted")
    assert fetch(app["url"], "/well") == (200, "fine\n")
    wait_for(lambda: gone(app["pid"]), "the old one is ended", 3 * DEADLINE)
    conn.close()


@pytest.mark.parametrize("content", [b"hello", b"", None], ids=["no module", "empty", "truncated"])
def test_becomes_bad(lab, instance, project, content):
    """A restart leaves the old one running, a start fails; the tunnel and the API stay, and the repair is all it takes."""
    relay = lab.relay()
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    good = (project / "hello.wasm").read_bytes()
    (project / "hello.wasm").write_bytes(good[:-10] if content is None else content)
    instance.ask("POST", "/api/app/restart")
    app = wait_for(lambda: (a := instance.app())["exit_reason"] and not a["next"] and a, "the restart has failed")
    assert "hello.wasm" in app["exit_reason"] and app["state"] == "running"
    assert "Hello from C" in fetch(url)[1]
    instance.ask("POST", "/api/app/stop")
    instance.wait_app("stopped")
    instance.ask("POST", "/api/app/start")
    app = instance.wait_app("failed")
    assert "hello.wasm" in app["exit_reason"] and app["pid"] is None
    assert fetch(url)[0] == 503
    assert instance.process.alive() and instance.tunnel()["status"] == "Connected"
    (project / "hello.wasm").write_bytes(good)
    instance.ask("POST", "/api/app/start")
    instance.wait_app("running")
    assert "Hello from C" in fetch(url)[1]
    assert os.listdir(project) == ["hello.wasm"]


def test_killed_while_it_spins(lab, bad):
    """Even a supervisor that can't clean up takes it along."""
    instance = run_os(lab, bad("spin", "later"))
    port = instance.app()["port"]
    conn = http.client.HTTPConnection("127.0.0.1", port)
    conn.request("GET", "/")
    instance.process.kill()
    wait_for(lambda: refused(("127.0.0.1", port)), "its port is closed")
    conn.close()
    need_nothing_left(lab, run_files=False)

# SPDX-License-Identifier: MIT
"""Running instances of `wasmrun os`, and what their API says."""

import collections
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time
import urllib.parse

import pytest

from .lab import OURS, ROOT
from .wait import DEADLINE, wait_for

WASMRUN = OURS.parent / "wasmrun"
GUEST = OURS.parent / "wasmrun-guest"

Answer = collections.namedtuple("Answer", "status headers body")


class Instance:
    """`wasmrun os` with an API that answers."""

    def __init__(self, process, port):
        self.process, self.port, self.token = process, port, None

    def ask(self, method, path, body=None, headers=None, deadline=2 * DEADLINE):
        """The answer to one request, its body decoded where it is JSON."""
        headers = {**({"Authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=deadline)
        try:
            try:
                conn.request(method, path, body, headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it may have been refused before it was read
            answer = conn.getresponse()
            data = answer.read()
        finally:
            conn.close()
        if answer.getheader("Content-Type") == "application/json" and data:
            data = json.loads(data)
        return Answer(answer.status, answer.headers, data)

    def get(self, path):
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body

    def start(self, **settings):
        return self.ask("POST", "/api/tunnel/start", settings or None)

    def stop(self):
        return self.ask("POST", "/api/tunnel/stop")

    def tunnel(self):
        return self.get("/api/tunnel/status")

    def app(self):
        return self.get("/api/app")

    def wait_status(self, word):
        return wait_for(lambda: (now := self.tunnel())["status"] == word and now, f"the tunnel is {word}")

    def wait_app(self, state):
        return wait_for(lambda: (now := self.app())["state"] == state and now, f"the application is {state}")

    def events(self):
        return Events(self)


class Events:
    """A reader of /api/events."""

    def __init__(self, instance):
        self.sock = socket.create_connection(("127.0.0.1", instance.port), timeout=DEADLINE)
        self.sock.sendall(b"GET /api/events HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self.file = self.sock.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.head = b"".join(iter(self.file.readline, b"\r\n"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.file.close()

    def next(self):
        """The next event, as (name, data); None at the end."""
        name = None
        for line in self.file:
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                return name, json.loads(value)
        return None

    def wait(self, name, condition=lambda data: True):
        while event := self.next():
            if event[0] == name and condition(event[1]):
                return event[1]
        raise AssertionError(f"the events ended without '{name}'")


def fetch(url, path="/", headers=None):
    """What a visitor gets: (status, text). Not kept alive: hello-c makes room at 64 connections."""
    parts = urllib.parse.urlsplit(url)
    conn = http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)
    try:
        conn.request("GET", path, headers={"Connection": "close", **(headers or {})})
        answer = conn.getresponse()
        return answer.status, answer.read().decode()
    finally:
        conn.close()


def need_pages(answers, begun):
    """Whoever comes while the next instance is on its way waits for it, and is served; for 3 s, or on a slow machine he is told."""
    late = time.monotonic() - begun > 3
    assert answers
    for status, said in answers:
        assert (status == 200 and "Hello from C" in said) or (status == 503 and late), (status, said)


def need_wasmrun():
    for path in (WASMRUN, GUEST):
        if not os.access(path, os.X_OK):
            pytest.skip(f"'{path.name}' is not built")


def build_hello(folder):
    """The module of examples/hello-c, built once."""
    need_wasmrun()
    module = pathlib.Path(folder, "hello.wasm")
    argv = ["clang", "--target=wasm32-wasi", "-O2", "-o", module, ROOT / "examples" / "hello-c" / "hello.c"]
    built = subprocess.run(argv, capture_output=True, text=True) if shutil.which("clang") else None
    if not built or built.returncode:
        pytest.skip("clang can't build for wasm32-wasi: script/setup-engine --guests installs what it needs")
    return module


def gone(pid):
    """Ended, or a zombie that is not ours to bury."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] == "Z"
    except OSError:
        return True


def brokers(process):
    """The pids of the brokers of this `wasmrun run`, whose words they have: one at most."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text, words = stat.read_text(), (stat.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if "(wasmrun-broker)" in text and os.fsencode(str(process.argv[-1])) in words and os.fsencode(process.argv[0]) in words:
            found.append(int(stat.parent.name))
    return found


def broker(process):
    wait_for(lambda: brokers(process), "the broker is there")
    [pid] = brokers(process)
    return pid


def running_in(folder):
    """The pids of all that works in the folder, or was told of it."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            told = pathlib.Path("/proc", entry, "cmdline").read_bytes()
            there = os.readlink(f"/proc/{entry}/cwd")
        except OSError:
            continue
        if os.fsencode(f"{folder}/") in told or pathlib.Path(there).is_relative_to(folder):
            found.append(int(entry))
    return found


def need_nothing_left(lab, run_files=True):
    """After the end of `wasmrun os`: neither a process nor, unless it was killed, its run file."""
    wait_for(lambda: not running_in(lab.folder), "nothing is left running")
    folder = lab.folder / "wasmrun"
    assert not run_files or not folder.exists() or not list(folder.glob("*.json"))


def need_answers_behind_junk(instance, kind, expected):
    """Whoever waits behind those that end an instance each is served; the log tells of them once, and their number."""
    app = instance.app()
    assert app["kind"] == kind
    assert fetch(app["url"]) == expected  # it has answered somebody
    for junk in (1, 3, 10, 0, 5):
        crowd = [socket.create_connection(("127.0.0.1", app["port"]), DEADLINE) for _ in range(junk)]
        for one in crowd:
            one.sendall(b"XXXX")
        assert fetch(app["url"]) == expected
        for one in crowd:
            one.close()
    assert instance.app()["restarts"] == 19
    instance.process.stop()
    said = instance.process.text("stderr")
    assert said.count("crashed, starting it again: ") == 1 and said.count("crashed 19 times in ") == 1, said


def run_os(lab, project, *args, env=None, api_port=None, wait=True, deadline=DEADLINE, program=WASMRUN, **how):
    """`wasmrun os` on the project. Without `wait`, `api_port` is given, and the application may not run yet.
    `how` is of Lab.process()."""
    quiet = {
        "WASMRUN_TUNNEL_SERVER": "127.0.0.1:1",  # never the one of the internet
        "XDG_CACHE_HOME": str(lab.folder / "cache"),
        "XDG_RUNTIME_DIR": str(lab.folder),
    }
    process = lab.process(
        [program, "os", "-p", project, "-P", api_port or 0, *args],
        "wasmrun",
        env={**quiet, **(env or {})},
        **how,
    )
    if not wait:
        instance = Instance(process, api_port)
        wait_for(lambda: answers(instance), "the API answers")
        return instance
    page = process.wait_line(r"^page: +(\S+)$", deadline=deadline)[1][1]
    instance = Instance(process, urllib.parse.urlsplit(page).port)
    found = re.search(r"#token=(\S+)$", page)
    instance.token = found and found[1]
    return instance


def answers(instance):
    """Whether the API answers. That it listens is too early: whoever connects before it may be found is closed."""
    try:
        return instance.ask("GET", "/api/app").status
    except (OSError, http.client.HTTPException):
        return None

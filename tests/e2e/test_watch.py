# SPDX-License-Identifier: MIT
"""`wasmrun os --watch` and the restart: an application that is replaced under load, seen through the public URL."""

import collections
import http.client
import os
import shutil
import signal
import subprocess
import threading
import urllib.parse

import pytest

from harness import toolchains
from harness.components import find_wasmtime, make
from harness.examples import copy_example
from harness.guests import COMPILE_DEADLINE
from harness.lab import ROOT
from harness.streams import connect, recv_all, threads
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os

HELLO_C, HELLO_GO = ROOT / "examples" / "hello-c" / "hello.c", ROOT / "examples" / "hello-go"
VISITORS = 20
REQUESTS = 20  # on one connection
QUIET = 1  # seconds: some times WATCH_QUIET_MS
PERHAPS = "volatile int now = 1; if (now)"  # or the compiler leaves out the rest, with the sockets


def replace_file(path, text):
    """As editors do it: nobody sees half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    os.replace(new, path)


class Sources:
    """A project that says which version of it serves."""

    def __init__(self, folder, language):
        self.folder, self.language, self.extra = folder, language, ""
        folder.mkdir()
        if language == "go":
            for name in ("go.mod", "main.go"):
                shutil.copy(HELLO_GO / name, folder)

    def write(self, version, start="", page=""):
        """`start` runs before it listens, `page` before each answer."""
        if self.language == "go":
            text = (HELLO_GO / "main.go").read_text().replace("Hello from Go in", f"Version {version} in")
            replace_file(self.folder / "main.go", text)
            return
        text = HELLO_C.read_text().replace("Hello from C in", f"Version {version} in")
        text = text.replace("static unsigned visits;\n", f"static unsigned visits;\n{page}\n", 1)
        head, main = text.split("int main(")
        at = main.index("{") + 1
        replace_file(self.folder / "hello.c", f"{head}int main({main[:at]}{start}{main[at:]}")


class Crowd:
    """Visitors who come again and again, every other one with one connection for many requests. Each sees a page
    each time, and no version that is older than the last one."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).port
        self.over, self.failures, self.served = threading.Event(), [], 0
        self.seen = [0] * VISITORS
        self.threads = [threading.Thread(target=self._visit, args=(i,)) for i in range(VISITORS)]
        for thread in self.threads:
            thread.start()

    def _ask(self, conn, number, keep):
        conn.request("GET", "/", headers={} if keep else {"Connection": "close"})
        answer = conn.getresponse()
        text = answer.read().decode()
        assert answer.status == 200 and "Version " in text, (answer.status, text)
        self.seen[number] = int(text.split("Version ")[1].split()[0])
        self.served += 1

    def _connection(self, number):
        keep = number % 2 == 0
        conn = http.client.HTTPConnection(*self.address, timeout=2 * DEADLINE)
        try:
            for _ in range(REQUESTS if keep else 1):
                if not self.over.is_set():
                    self._ask(conn, number, keep)
        finally:
            conn.close()

    def _visit(self, number):
        while not self.over.is_set():
            try:
                self._connection(number)
            except (OSError, http.client.HTTPException, AssertionError) as failure:
                self.failures.append(repr(failure))
                return
            self.over.wait(0.02)

    def wait_version(self, version, deadline=2 * DEADLINE):
        wait_for(
            lambda: self.failures or all(seen == version for seen in self.seen), f"all see version {version}", deadline
        )
        assert not self.failures, self.failures

    def wait_served(self, more=200):
        wanted = self.served + more
        wait_for(lambda: self.failures or self.served >= wanted, "the visitors are served", 2 * DEADLINE)
        assert not self.failures, self.failures

    def leave(self):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.leave()


@pytest.fixture
def sources(tmp_path):
    toolchains.c()
    sources = Sources(tmp_path / "project", "c")
    sources.write(1)
    return sources


def serve(lab, sources, *args, kind="ours", **how):
    """The instance and its public URL."""
    relay = lab.relay(kind)
    instance = run_os(lab, sources.folder, *args, **how)
    return instance, instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]


def version_at(url, path="/"):
    return int(fetch(url, path)[1].split("Version ")[1].split()[0])


@pytest.mark.slow
@pytest.mark.parametrize("language,kind", [("c", "ours"), ("c", "stock"), ("go", "ours")])
def test_replaced_under_load(lab, tmp_path, language, kind):
    """Nobody gets an error or a reset, and everybody gets the new one."""
    env = toolchains.go() if language == "go" else toolchains.c()
    sources = Sources(tmp_path / "project", language)
    sources.write(1)
    deadline = COMPILE_DEADLINE if language == "go" else 4 * DEADLINE
    instance, url = serve(lab, sources, "--watch", kind=kind, deadline=deadline, env=env)
    with Crowd(url) as crowd:
        crowd.wait_version(1)
        for version in range(2, 3 if language == "go" else 6):
            sources.write(version)
            crowd.wait_version(version, deadline)
            crowd.wait_served()
    assert not crowd.failures, crowd.failures
    app = instance.app()
    assert (app["state"], app["next"], app["restarts"], app["exit_reason"]) == ("running", None, 0, None)


@pytest.mark.slow
def test_restart_under_load(lab, sources):
    """The call replaces it in the same way."""
    instance, url = serve(lab, sources)
    with Crowd(url) as crowd:
        crowd.wait_version(1)
        for version in (2, 3, 4):
            sources.write(version)
            pid = instance.app()["pid"]
            answer = instance.ask("POST", "/api/app/restart").body
            assert (answer["state"], answer["next"], answer["pid"]) == ("running", "building", pid)
            crowd.wait_version(version)
    assert not crowd.failures, crowd.failures
    assert instance.app()["restarts"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["component-http", "component", "static"])
def test_restart_of_other_kinds(lab, tmp_path, kind):
    """Each engine hands over the socket without losing a visitor."""
    need_wasmrun()
    if kind == "static":
        project = copy_example("static-site", tmp_path / "site")
    else:
        engine = lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin"
        engine.mkdir(parents=True)
        (engine / "wasmtime").symlink_to(find_wasmtime())
        project = make(tmp_path, "http_component" if kind == "component-http" else "listen_component")
    relay, over, failures, served = lab.relay(), threading.Event(), [], collections.Counter()
    instance = run_os(lab, project)
    assert instance.app()["kind"] == kind
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]

    def visit(number):
        while not over.is_set():
            try:
                assert fetch(url)[0] == 200
                served[number] += 1
            except (OSError, http.client.HTTPException, AssertionError) as failure:
                failures.append(repr(failure))
                return

    with threads(4 * DEADLINE) as group:
        for number in range(VISITORS):
            group.start(visit, number)
        for _ in range(4):
            pid, before = instance.app()["pid"], sum(served.values())
            assert instance.ask("POST", "/api/app/restart").status == 200
            wait_for(lambda pid=pid: (now := instance.app())["pid"] != pid and not now["next"], "it is replaced")
            wait_for(lambda before=before: failures or sum(served.values()) > before + 100, "the visitors are served")
        over.set()
    assert not failures, failures


class Keeper(threading.Thread):
    """A visitor who asks again on the same connection, at once, for as long as no answer says that it is the last."""

    def __init__(self, url, over):
        super().__init__()
        self.address = urllib.parse.urlsplit(url).hostname, urllib.parse.urlsplit(url).port
        self.over, self.failure, self.served, self.connections = over, None, 0, 0

    def _connection(self):
        conn, goes_on = http.client.HTTPConnection(*self.address, timeout=2 * DEADLINE), True
        self.connections += 1
        try:
            while goes_on and not self.over.is_set():
                conn.request("GET", "/")
                answer = conn.getresponse()
                assert answer.status == 200 and answer.read() == b"hello from a component\n"
                self.served += 1
                goes_on = not answer.will_close
        finally:
            conn.close()

    def run(self):
        try:
            while not self.over.is_set():
                self._connection()
        except (OSError, http.client.HTTPException, AssertionError) as failure:
            self.failure = repr(failure)


@pytest.mark.slow
def test_component_of_busy_connections(lab, tmp_path):
    """Each connection to the old instance ends after an answer, or when nobody uses it; then the instance does."""
    need_wasmrun()
    engine = lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin"
    engine.mkdir(parents=True)
    (engine / "wasmtime").symlink_to(find_wasmtime())
    relay, over = lab.relay(), threading.Event()
    instance = run_os(lab, make(tmp_path, "http_component"))
    url = instance.app()["url"]
    public = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    keepers = [Keeper(public if number % 2 else url, over) for number in range(VISITORS)]
    for keeper in keepers:
        keeper.start()
    try:
        for count in range(1, 5):
            pid = instance.app()["pid"]
            wait_for(
                lambda count=count: all(k.failure or k.connections >= count for k in keepers), "all use it", 2 * DEADLINE
            )
            with connect(keepers[0].address, 2 * DEADLINE) as idle:
                idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert idle.recv(1) == b"H"
                assert instance.ask("POST", "/api/app/restart").status == 200
                assert b"Connection: close" not in recv_all(idle)
            wait_for(lambda pid=pid: not os.path.exists(f"/proc/{pid}"), "the old instance is gone", 2 * DEADLINE)
    finally:
        over.set()
        for keeper in keepers:
            keeper.join()
    assert not [keeper.failure for keeper in keepers if keeper.failure]
    app = instance.app()
    assert (app["state"], app["restarts"], app["exit_reason"]) == ("running", 0, None)


def wait_kept(instance, reason):
    """It says what is wrong with the new one, and the old one goes on."""
    pid = instance.app()["pid"]
    app = wait_for(
        lambda: (now := instance.app())["exit_reason"] and reason in now["exit_reason"] and now, f"it says '{reason}'"
    )
    assert (app["state"], app["next"], app["pid"]) == ("running", None, pid)


def test_kept(lab, sources):
    """A change that doesn't build, one that traps at once, and one that never listens: the old version serves, and
    is what comes back after a crash."""
    instance, url = serve(lab, sources, "--watch")
    with instance.events() as events:
        sources.write(2, start="nonsense;")
        event = events.wait("app", lambda data: data["next"] is None and data.get("cause"))
        assert event["state"] == "running" and "has failed: exit code 1" in event["cause"]
    wait_kept(instance, "has failed: exit code 1")
    instance.process.wait_line(r"error app: not replaced, the old one goes on: the build with 'clang' has failed")
    assert version_at(url) == 1
    sources.write(3, start=f"{PERHAPS} __builtin_trap();")
    wait_kept(instance, "it trapped: wasm `unreachable` instruction executed")
    assert version_at(url) == 1
    sources.write(4, start=f"{PERHAPS} return 0;")
    wait_kept(instance, "it ended before it took a connection: exit code 0")
    assert version_at(url) == 1
    os.kill(instance.app()["pid"], signal.SIGKILL)
    wait_for(lambda: instance.app()["restarts"] == 1 and instance.app()["state"] == "running", "it is back")
    assert version_at(url) == 1
    sources.write(5)
    wait_for(lambda: version_at(url) == 5, "the new version serves")
    assert instance.app()["exit_reason"] is None


def test_change_during_a_build(lab, tmp_path):
    """What is changed while a build runs is in the next one."""
    toolchains.c()
    folder = tmp_path / "project"
    sources = Sources(folder, "c")
    sources.write(1)
    (folder / "wasmrun.toml").write_text(
        '[os]\nwatch = true\n[app]\nwasm = "app.wasm"\nbuild = """\n'
        "clang --target=wasm32-wasi -O1 -o app.wasm hello.c || exit 1\n"
        'while [ -e .hold ]; do sleep 0.05; done; echo built"""\n'
    )
    instance, url = serve(lab, sources)
    (folder / ".hold").touch()
    sources.write(2)
    wait_for(lambda: instance.app()["next"] == "building", "it builds")
    wait_for(lambda: b"Version 2" in (folder / "app.wasm").read_bytes(), "the compiler has read version 2")
    sources.write(3)
    assert version_at(url) == 1
    (folder / ".hold").unlink()
    wait_for(lambda: version_at(url) == 3, "version 3 serves")
    # The build writes its module into the project, which is no change.
    wait_for(lambda: instance.app()["next"] is None, "it has come to rest")
    lines = [line["text"] for line in instance.get("/api/logs?stream=build")["lines"]]
    assert lines.count("built") == 3, lines


def test_module_that_is_replaced(lab, guests, tmp_path):
    """A module without sources, exchanged at once and written in place; half of it is not taken."""
    folder = tmp_path / "project"
    sources = Sources(tmp_path / "sources", "c")
    modules = []
    for version in (1, 2, 3):
        sources.write(version)
        modules.append(guests.c(sources.folder / "hello.c", f"hello-version-{version}").read_bytes())
    folder.mkdir()
    module = folder / "app.wasm"
    module.write_bytes(modules[0])
    sources.folder = folder
    instance, url = serve(lab, sources, "--watch")
    assert version_at(url) == 1
    (tmp_path / "new").write_bytes(modules[1])
    os.replace(tmp_path / "new", module)
    wait_for(lambda: version_at(url) == 2, "version 2 serves")
    module.write_bytes(modules[2][: len(modules[2]) // 2])
    wait_kept(instance, "is truncated")
    assert version_at(url) == 2
    module.write_bytes(modules[2])
    wait_for(lambda: version_at(url) == 3, "version 3 serves")


def ask_slow(url, path, marks):
    """One request without a deadline of the client's: the bytes, and whether their end was a reset."""
    parts = urllib.parse.urlsplit(url)
    with connect((parts.hostname, parts.port), 4 * DEADLINE) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        marks.append("sent")
        data, was_reset = b"", False
        try:
            while part := sock.recv(4096):
                data += part
        except ConnectionResetError:
            was_reset = True
        return data.decode(), was_reset


def test_slow_requests(lab, sources):
    """One that has begun is finished by the old version; one that takes longer than 10 s is cut, which it shows by a reset."""
    page = (
        'if (strncmp(request->path, "/slow", 5) == 0) { puts("slow"); fflush(stdout); sleep(4); }\n'
        'if (strncmp(request->path, "/never", 6) == 0) {\n'
        '\tputs("never"); fflush(stdout); write_all(fd, "HTTP/1.1 200 OK\\r\\n\\r\\nbegun\\n", 25); sleep(600); }\n'
    )
    sources.write(1, page=page)
    instance, url = serve(lab, sources, "--watch")
    answers, marks = {}, []
    for version, path in ((2, "/slow"), (3, "/never")):
        with threads(4 * DEADLINE) as group:
            group.start(lambda path=path: answers.__setitem__(path, ask_slow(url, path, marks)))
            instance.process.wait_line(rf"^stdout \| {path[1:]}$")
            sources.write(version, page=page)
            wait_for(lambda version=version: version_at(url) == version, f"version {version} serves")
    assert "Version 1 " in answers["/slow"][0] and not answers["/slow"][1]
    assert answers["/never"][0].endswith("begun\n") and answers["/never"][1]


def test_toml_and_unrelated_files(lab, sources):
    """What is no source starts no build; the configuration is for the next start, and that is said."""
    instance, url = serve(lab, sources, "--watch")
    before = instance.app()["pid"]
    (sources.folder / "node_modules").mkdir()
    for name in (".hidden", "hello.c~", "node_modules/a.c"):
        (sources.folder / name).write_text("int x;\n")
    (sources.folder / "wasmrun.toml").write_text("[os]\n")
    instance.process.wait_line(r"info watch: 'wasmrun.toml' has changed")
    # What started a build would have started it by the time that the file's next change is told.
    seen = len(instance.process.lines)
    (sources.folder / "wasmrun.toml").write_text("[os]\n[os.network]\n")
    instance.process.wait_line(r"info watch: 'wasmrun.toml' has changed", after=seen)
    lines = [line["text"] for line in instance.get("/api/logs?stream=supervisor")["lines"]]
    assert not any(line.startswith("next: ") for line in lines), lines
    sources.write(2)
    wait_for(lambda: version_at(url) == 2, "version 2 serves")
    lines = [line["text"] for line in instance.get("/api/logs?stream=supervisor")["lines"]]
    assert sum(line.startswith("next: building") for line in lines) == 1, lines
    assert instance.app()["pid"] != before


def test_failed_start_waits_for_a_change(lab, sources):
    """Without --watch it would end; with it the next change may be the remedy. It says that it waits, and where its
    page is."""
    sources.write(1, start="nonsense;")
    instance = run_os(lab, sources.folder, "--watch")
    instance.wait_app("failed")
    instance.process.wait_line(r"info app: waiting for a change \(--watch\)")
    assert not instance.process.find(r"^application:")
    sources.write(2)
    app = instance.wait_app("running")
    assert version_at(app["url"]) == 2
    instance.process.wait_line(r"^application: ")


def builds_of(instance):
    return [line["text"] for line in instance.get("/api/logs?stream=build")["lines"]].count("BUILD")


NAMES = {
    "made": "rm -f static/app-*; date > static/app-$(date +%N).js",
    "moved": "date > .new; mv .new static/app-$(date +%N).js",
    "written": "date +%N > static/stamp",
}


@pytest.mark.parametrize("how", NAMES)
def test_build_that_changes_the_project(lab, tmp_path, how):
    """A build that made a file of a new name each time was begun again for ever."""
    toolchains.c()
    folder = tmp_path / "project"
    sources = Sources(folder, "c")
    sources.write(1)
    make = f"echo BUILD; mkdir -p static; {NAMES[how]}; clang --target=wasm32-wasi -O1 -o app.wasm hello.c; touch .built"
    instance, url = serve(lab, sources, "--watch", "--wasm", "app.wasm", "--build", make)

    def rests():
        """No build runs, and none begins: what the last one has changed would have been told by then."""
        wait_for(lambda: not instance.app()["next"], "no build runs", 2 * DEADLINE)
        with instance.events() as events:
            if instance.app()["next"]:
                return False
            events.sock.settimeout(QUIET)
            try:
                return not events.wait("app", lambda app: app["next"] == "building")
            except TimeoutError:
                return True

    wait_for(rests, "it builds no more", 4 * DEADLINE)
    first = builds_of(instance)
    assert first <= 13
    sources.write(2)
    wait_for(lambda: version_at(url) == 2, "version 2 serves")
    wait_for(rests, "it builds no more", 4 * DEADLINE)
    assert 1 <= builds_of(instance) - first <= 4


def test_sources_around_the_project(lab, tmp_path):
    """What the build reads from the module above the named folder is watched, too."""
    env = toolchains.go()
    folder = tmp_path / "project"
    (folder / "cmd" / "server").mkdir(parents=True)
    (folder / "page").mkdir()
    (folder / "go.mod").write_text("module example.com/x\n\ngo 1.21\n")
    (folder / "cmd" / "server" / "main.go").write_text(
        'package main\n\nimport (\n\t"fmt"\n\n\t"example.com/x/page"\n)\n\n'
        'func main() { fmt.Printf("Content-Type: text/plain\\r\\n\\r\\nVersion %d \\n", page.Number) }\n'
    )
    replace_file(folder / "page" / "page.go", "package page\n\nconst Number = 1\n")
    instance = run_os(lab, folder / "cmd" / "server", "--watch", env=env, deadline=COMPILE_DEADLINE)
    url = instance.app()["url"]
    assert version_at(url) == 1
    replace_file(folder / "page" / "page.go", "package page\n\nconst Number = 2\n")
    wait_for(lambda: version_at(url) == 2, "version 2 serves", COMPILE_DEADLINE)


def test_changes_that_the_kernel_tells_of_to_nobody(lab, tmp_path, sources):
    """Below an overlay, as on NFS or in Docker Desktop, a file changes without an event: the files are looked at."""
    need_wasmrun()
    layers = {name: tmp_path / name for name in ("upper", "work", "seen")}
    for folder in layers.values():
        folder.mkdir()
    mount = (
        f"mount -t overlay overlay -o lowerdir={sources.folder},upperdir={layers['upper']},workdir={layers['work']} "
        f"{layers['seen']}"
    )
    wrap = ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    if subprocess.run([*wrap, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount an overlay")
    env = {"XDG_CACHE_HOME": str(lab.folder / "cache"), "XDG_RUNTIME_DIR": str(lab.folder)}
    process = lab.process([WASMRUN, "os", "-P", "0", "--watch", layers["seen"]], "wasmrun", env=env, wrap=wrap)
    url = process.wait_line(r"^application: (\S+)", deadline=4 * DEADLINE)[1][1]
    process.wait_line(r"warn watch: what others change on this file system, overlay, isn't told: the files of .* every 1 s")
    text = (sources.folder / "hello.c").read_text()
    for version in (2, 3):
        # In place: the overlay keeps to the file that it knows, and another one of its name isn't seen.
        (sources.folder / "hello.c").write_text(text.replace("Version 1 ", f"Version {version} "))
        wait_for(lambda version=version: version_at(url) == version, f"version {version} serves", 4 * DEADLINE)

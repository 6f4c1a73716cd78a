# SPDX-License-Identifier: MIT
"""OS mode: engines side by side, the public URL beside the local one, and how long a start takes."""

import contextlib
import dataclasses
import http.client
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from measures import FIGURES, measure_rounds
from processes import Failed, Process, private_kb
from tools import Bore, Tool, cache_folder, first_line, free_port

ROOT = pathlib.Path(__file__).resolve().parent.parent
WAZERO_VERSION = "1.12.0"  # what script/bench installs
CLANG = ["clang", "--target=wasm32-wasi", "-O2"]
STARTS = 11
BUILD_S = 600  # a project's first build fetches and compiles everything
ANSWER_S = 120  # a module's first start compiles it

# Each application's answer ends with this, whoever runs it.
GO_END = "go GET /\n"
HELLO_END = "</p>\n"


@dataclasses.dataclass(frozen=True)
class Group:
    """A table: what its columns did in the same rounds, and what the one named 'ours' must reach,
    compared with 'base'.
    """

    title: str
    figures: list
    tools: list
    rounds: list
    ours: str
    base: str


def compared(least):
    """What engines are compared by, and the share of the base's that ours must reach."""
    return [dataclasses.replace(f, goal=(">=", least, "x")) for f in FIGURES if f.key in ("kept", "each")]


def find_program(name, *places):
    for path in filter(None, (shutil.which(name), *places)):
        if os.access(path, os.X_OK):
            return str(path)
    return None


class Server(Tool):
    """Something that serves an application over HTTP at 'host' and 'port'. The first argument of
    'command' is the program, None where it is not there.
    """

    def __init__(self, name, title, number, end, absent=None):
        super().__init__(name, title, number)
        self.end, self.absent = end, absent

    def missing(self):
        return self.absent

    def wait_for_answer(self, process):
        process.wait_for(lambda: answers(self.host, self.port), "answer", ANSWER_S)


class Command(Server):
    """A foreground program that listens where it is told; {at} is HOST:PORT."""

    def __init__(self, name, title, number, end, command, absent, env=None):
        super().__init__(name, title, number, end, None if command[0] else absent)
        self.command, self.env = command, env

    def version(self):
        return f"{os.path.basename(self.command[0])} {self.said}" if self.absent is None else ""

    @property
    def said(self):
        flag = "version" if self.name == "wazero" else "--version"
        return first_line([self.command[0], flag]).split()[-1]

    def launch(self, origin_port):
        at = f"{self.host}:{self.port}"
        command = [str(word).replace("{at}", at) for word in self.command]
        self.wait_for_answer(self.add(command, env=self.env))


class WasmrunOs(Server):
    """`wasmrun os` on a project; its application's port on 127.0.0.1."""

    def __init__(self, name, title, number, end, wasmrun, project, env, relay=None, options=()):
        super().__init__(name, title, number, end)
        self.wasmrun, self.project, self.env, self.relay = wasmrun, project, env, relay
        self.options = options
        self.page = self.public_port = None

    def spawn(self):
        self.host = "127.0.0.1"
        argv = [self.wasmrun, "os", "-p", str(self.project), "-P", "0", "--app-port", str(self.port)]
        argv += self.options
        if self.relay:
            argv += ["--expose", "--tunnel-server", self.relay]
        return self.add(argv, env=self.env)

    def launch(self, origin_port):
        process = self.spawn()
        process.wait_for(lambda: self.told(process, "page"), "page", BUILD_S)
        self.page = self.told(process, "page")
        if self.relay:
            process.wait_for(lambda: self.told(process, "public"), "public URL")
            self.public_port = int(self.told(process, "public").rsplit(":", 1)[1])
        self.wait_for_answer(process)

    @staticmethod
    def told(process, name):
        found = re.search(rf"^{name}: +(http\S+?)/?$", process.text(), re.M)
        return found and found[1]


class Elsewhere(Server):
    """Another address of what runs already."""

    def __init__(self, name, title, end, host, port):
        super().__init__(name, title, 0, end)
        self.host, self.port = host, port


def ask(host, port, path="/", deadline=10):
    conn = http.client.HTTPConnection(host, port, timeout=deadline)
    try:
        conn.request("GET", path, headers={"Connection": "close"})
        answer = conn.getresponse()
        return answer.status, answer.read()
    finally:
        conn.close()


def answers(host, port):
    try:
        return ask(host, port)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


class OsBench:
    """The measurements of OS mode, in a temporary folder with modules and caches of its own."""

    def __init__(self, build, folder, bench, rounds, say, notes):
        self.wasmrun, self.bore = build / "wasmrun", str(build / "bore")
        self.programs = build / "bench"
        self.folder, self.bench, self.rounds = pathlib.Path(folder), bench, rounds
        self.say, self.notes = say, notes
        self.env = {"XDG_CACHE_HOME": str(cache_folder().parent), "XDG_RUNTIME_DIR": str(self.folder)}

    def note(self, text):
        self.notes.append(text)
        self.say(f"skipped: {text}")

    def make(self, name, argv, cwd=None, env=None):
        """The module in a project folder of its own, or None with a note."""
        project = self.folder / name
        project.mkdir()
        try:
            done = subprocess.run(
                [*map(str, argv), "-o", str(project / f"{name}.wasm")],
                cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
            )  # fmt: skip
            why = (done.stderr.strip().splitlines() or ["it failed"])[0] if done.returncode else None
        except OSError as e:
            why = e.strerror
        if why:
            self.note(f"{name}: can't be built with {argv[0]}: {why}")
            return None
        return project

    def run_group(self, title, tools, ours, base, figures):
        """All of them up at once and measured in turn, or None where there is nothing to compare."""
        with contextlib.ExitStack() as stack:
            running = []
            for tool in tools:
                try:
                    if tool.missing():
                        raise Failed(tool.missing())
                    stack.callback(tool.stop)
                    if not isinstance(tool, Elsewhere):
                        tool.start(0)
                    running.append(tool)
                except Failed as e:
                    self.note(f"{title}: {tool.title}: {e}")
            return self.measure(title, running, ours, base, figures)

    def measure(self, title, tools, ours, base, figures):
        if not {ours, base} <= {t.name for t in tools}:
            return None
        rows = []
        for name in dict.fromkeys(f.measure for f in figures):
            results, failed = measure_rounds(self.bench, name, tools, self.rounds, self.say)
            rows += results
            self.notes += [f"{title}: {f}" for f in failed]
        return Group(title, figures, tools, rows, ours, base)

    def go_engines(self, project):
        module = project / "http_go.wasm"
        wazero = find_program("wazero", cache_folder() / f"wazero-{WAZERO_VERSION}" / "wazero")
        tools = [
            Command(
                "wazero", "wazero", 21, GO_END,
                [wazero, "run", "-cachedir", self.folder / "wazero", "-listen={at}", module],
                "not installed, and no Go that could build it",
            ),
            Command("guest", "wasmrun-guest", 22, GO_END, [str(self.wasmrun), "run", "--listen", "{at}", module],
                    None, self.env),
        ]  # fmt: skip
        self.note(
            "WasmEdge: it hands no listening socket to a module, which Go's net/http needs"
            if shutil.which("wasmedge") else "WasmEdge: not installed"
        )  # fmt: skip
        return self.run_group("Go's net/http (preview 1)", tools, "guest", "wazero", compared(1.0))

    def component(self):
        """Built and served by `wasmrun os`; `wasmtime serve` alone gets the very same file."""
        title = "A component of wasi:http"
        wasmtime = find_program("wasmtime", *sorted(cache_folder().glob("wasmtime-cli-*/bin/wasmtime")))
        if not wasmtime:
            self.note(f"{title}: the wasmtime command is not there (script/setup --components)")
            return None
        for example in ("hello-rust", "hello-js"):
            project = shutil.copytree(ROOT / "examples" / example, self.folder / example)
            ours = WasmrunOs("ours", "wasmrun os", 23, HELLO_END, str(self.wasmrun), project, self.env)
            self.say(f"building {example}")
            try:
                ours.start(0)
                module = served_module(ours.processes[0].pid)
            except Failed as e:
                self.note(f"{title}: {example}: {e}")
                continue
            finally:
                ours.stop()
            serve = [wasmtime, "serve", "-Scli", "--addr", "{at}", module]
            alone = Command("alone", "wasmtime serve", 24, HELLO_END, serve, None)
            return self.run_group(f"{title}, {example}", [alone, ours], "ours", "alone", compared(0.9))
        return None

    def public_url(self, project):
        """What the tunnel within `wasmrun os` costs, beside `bore local` for the same application."""
        title = "The public URL of hello-c"
        relay_host = "127.0.1.25"
        relay = Process([self.bore, "server", "--bind-addr", relay_host])
        ours = WasmrunOs("local", "local URL", 0, HELLO_END, str(self.wasmrun), project, self.env, relay_host)
        plain = Bore("bore", "through bore local", 26, self.bore, None)
        plain.end = HELLO_END
        try:
            relay.wait_for_text("listening at")
            ours.start(0)
            plain.start(ours.port)
            public = Elsewhere("public", "public URL", HELLO_END, relay_host, ours.public_port)
            return self.measure(title, [ours, plain, public], "public", "bore", compared(0.9))
        except Failed as e:
            self.note(f"{title}: {e}")
            return None
        finally:
            for each in (plain, ours, relay):
                each.stop()

    def starts_ms(self, project):
        """From the start of `wasmrun os` with the module in the cache to the first answer. The port
        takes connections early, so that the answer to one is as early as it can be.
        """
        took = []
        for number in range(STARTS + 1):
            tool = WasmrunOs("start", "", 0, None, str(self.wasmrun), project, self.env)
            tool.port = free_port("127.0.0.1")
            self.say(f"start of {project.name}: {number} of {STARTS}")
            begin = time.monotonic()
            try:
                tool.spawn()
                while not answers(tool.host, tool.port):
                    if time.monotonic() > begin + ANSWER_S:
                        raise Failed(f"{project.name}: no answer after the start")
                    time.sleep(0.001)
                took.append(1000 * (time.monotonic() - begin))
            finally:
                tool.stop()
        return took[1:]  # the first one may have compiled it

    def memory_mb(self, project):
        """Private memory of `wasmrun os` with a page that watches it, and of its guest."""
        tool = WasmrunOs("memory", "", 0, HELLO_END, str(self.wasmrun), project, self.env)
        try:
            tool.start(0)
            page = http.client.HTTPConnection(tool.page.removeprefix("http://"))
            page.request("GET", "/api/events")
            page.getresponse()
            pid = tool.processes[0].pid
            found = [private_kb(Pid(p)) / 1024 for p in (pid, child_of(pid))]
            page.close()
            return found
        finally:
            tool.stop()


@dataclasses.dataclass(frozen=True)
class Pid:
    pid: int


def child_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def served_module(pid):
    """The component that the child of `wasmrun os` was started with. Since then PROJECT.BUILD.wasm has become
    PROJECT.wasm."""
    words = pathlib.Path(f"/proc/{child_of(pid)}/cmdline").read_bytes().decode().split("\0")
    module = pathlib.Path(next(word for word in words if word.endswith(".wasm")))
    return module.with_name(f"{module.name.split('.')[0]}.wasm")


@dataclasses.dataclass
class Result:
    groups: list
    starts: dict  # {module: [ms]}
    memory: list  # MB of wasmrun os and of its guest, or nothing


def measure_all(build, bench, rounds, say, notes):
    with tempfile.TemporaryDirectory(prefix="wasmrun-bench-") as folder:
        os_bench = OsBench(build, folder, bench, rounds, say, notes)
        go_env = {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local"}
        go = os_bench.make("http_go", ["go", "build"], ROOT / "bench" / "http_go", go_env)
        hello = os_bench.make("hello_c", [*CLANG, ROOT / "examples" / "hello-c" / "hello.c"])
        groups, starts, memory = [], {}, []
        if go:
            groups.append(os_bench.go_engines(go))
            starts["Go's net/http"] = os_bench.starts_ms(go)
        groups.append(os_bench.component())
        if hello:
            groups.append(os_bench.public_url(hello))
            starts["hello-c"] = os_bench.starts_ms(hello)
            memory = os_bench.memory_mb(hello)
        return Result([g for g in groups if g], starts, memory)


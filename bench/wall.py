# SPDX-License-Identifier: MIT
"""What the wall round an application costs: each figure beside the same with --no-isolation."""

import contextlib
import dataclasses
import http.client
import json
import resource
import socket
import tempfile
import time

from measures import FIGURES, Bench, Figure
from os_mode import (
    CLANG, HELLO_END, ROOT, STARTS, Elsewhere, OsBench, Pid, WasmrunOs, answers, ask, child_of,
)  # fmt: skip
from processes import Failed, Process
from tools import free_port

NONE = "--no-isolation"
START_MORE_MS = 15
TUNNEL_LESS = 0.03
LIMIT_MBPS = 200
REQUEST = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n"


def tunnel_figures(*measures):
    """What is had of them, and what each costs: load of others changes that less."""
    goals = {">=": (">=", 1 - TUNNEL_LESS, "x"), "<=": ("<=", 1 + TUNNEL_LESS, "x")}
    return [dataclasses.replace(f, goal=goals[f.goal[0]]) for f in FIGURES if f.measure in measures]


# A rate suffers from what others do on the machine. The quickest tenth of the requests of a moment does less, and many
# moments of both in turn tell the rest.
QUIET_ROUNDS, QUIET_S = 60, 0.05
QUIET = [
    Figure("quiet_kept", "quiet", "over a kept connection, 10th percentile, µs", 1, ("<=", 1 + TUNNEL_LESS, "x")),
    Figure("quiet_each", "quiet", "with a connection of its own, 10th percentile, µs", 1, ("<=", 1 + TUNNEL_LESS, "x")),
]

STARTS_MORE = [
    Figure("start", "start", "start from the cache to the first answer, ms", 1, ("<=", START_MORE_MS, "ms more")),
    Figure("start_cpu", "start", "CPU ms of a start and its end", 1, ("<=", START_MORE_MS, "ms more")),
]
# Without a goal: another hop is the price, which is here to be seen.
OUTWARD = [
    Figure("out_connect", "outward", "time to connect, p50 ms", 3, None),
    Figure("out_first", "outward", "time to first byte of a new connection, p50 ms", 3, None),
    Figure("out_up", "outward", "bulk up, Gbit/s", 2, None),
    Figure("out_down", "outward", "bulk down, Gbit/s", 2, None),
]
LIMIT = [
    Figure("limit_up", "limit", f"bulk up, share of its {LIMIT_MBPS} Mbit/s", 2, ("<=", 1.1, "")),
    Figure("limit_down", "limit", f"bulk down, share of its {LIMIT_MBPS} Mbit/s", 2, ("<=", 1.1, "")),
]


def cpu_ms_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


class Reach(Bench):
    """Measures of an application: it is started, or asked to reach out to the origin."""

    def once(self, measure, tool):
        try:
            return super().once(measure, tool)
        except (OSError, http.client.HTTPException) as e:
            raise Failed(str(e)) from None

    def start(self, tool):
        tool.port = free_port("127.0.0.1")
        used, begin = cpu_ms_of_children(), time.monotonic()
        try:
            process = tool.spawn()
            while not answers(tool.host, tool.port):
                if process.child.poll() is not None:
                    raise Failed(f"no start: {process.text().strip()}")
                time.sleep(0.001)
            took = 1000 * (time.monotonic() - begin)
        finally:
            tool.stop()
        return {"start": took, "start_cpu": cpu_ms_of_children() - used}

    def quickest_us(self, once):
        """The 10th percentile of calls."""
        took, end = [], time.monotonic() + self.seconds
        while time.monotonic() < end:
            begin = time.perf_counter_ns()
            once()
            took.append(time.perf_counter_ns() - begin)
        return sorted(took)[len(took) // 10] / 1000

    def quiet(self, tool):
        end = tool.end.encode()

        def request(conn):
            conn.sendall(REQUEST)
            answer = b""
            while not answer.endswith(end):
                piece = conn.recv(4096)
                if not piece:
                    raise Failed(f"a cut answer: {answer}")
                answer += piece

        def connect_and_request():
            with socket.create_connection((tool.host, tool.port)) as conn:
                request(conn)

        with socket.create_connection((tool.host, tool.port)) as kept:
            return {
                "quiet_kept": self.quickest_us(lambda: request(kept)),
                "quiet_each": self.quickest_us(connect_and_request),
            }

    def reach(self, tool, verb):
        status, said = ask(tool.host, tool.port, f"/{verb}/{self.origin_port}/{int(1000 * self.seconds)}", 60)
        if status != 200:
            raise Failed(said.decode())
        return json.loads(said)

    def gbits(self, tool, verb):
        got = self.reach(tool, verb)
        return got["bytes"] * 8e-9 / got["seconds"]

    def outward(self, tool):
        first = self.reach(tool, "first")
        return {
            "out_connect": first["connect_ms"],
            "out_first": first["first_ms"],
            "out_up": self.gbits(tool, "up"),
            "out_down": self.gbits(tool, "down"),
        }

    def limit(self, tool):
        share = 1000 / LIMIT_MBPS
        return {"limit_up": share * self.gbits(tool, "up"), "limit_down": share * self.gbits(tool, "down")}


class Starts(WasmrunOs):
    """Something that isn't up: it is measured by being started."""

    def start(self, origin_port):
        pass


class WallBench(OsBench):
    """The measurements: the same application twice, in the same rounds."""

    def pair(self, kind, project, end, relay=None, options=()):
        common = (end, str(self.wasmrun), project, self.env, relay)
        return kind("none", NONE, 0, *common, [NONE]), kind("wall", "behind the wall", 0, *common, options)

    def starts(self, hello):
        pair = self.pair(Starts, hello, None)
        for tool in pair:
            self.bench.start(tool)  # the first one compiles it
        return self.run_group("A start of hello-c", pair, "wall", "none", STARTS_MORE)

    def public_urls(self, title, project, end, figures):
        """All that a visitor's bytes pass, and the application's calls go through the filter."""
        relay_host = "127.0.1.27"
        with contextlib.ExitStack() as stack:
            relay = Process([self.bore, "server", "--bind-addr", relay_host])
            stack.callback(relay.stop)
            relay.wait_for_text("listening at")
            public = []
            for tool in self.pair(WasmrunOs, project, end, relay_host):
                stack.callback(tool.stop)
                tool.start(0)
                url = Elsewhere(tool.name, tool.title, end, relay_host, tool.public_port)
                url.processes = [*tool.processes, Pid(child_of(tool.processes[0].pid))]
                public.append(url)
            return self.measure(title, public, "wall", "none", figures)

    def outward(self, reach, allowed):
        pair = self.pair(WasmrunOs, reach, None, options=allowed)
        return self.run_group("Connections outward", pair, "wall", "none", OUTWARD)

    def limit(self, reach, allowed):
        options = [*allowed, "--max-bandwidth-mbps", str(LIMIT_MBPS)]
        limited = WasmrunOs("limited", "limited", 0, None, str(self.wasmrun), reach, self.env, None, options)
        return self.run_group("max_bandwidth_mbps", [limited], "limited", "limited", LIMIT)


def measure_all(build, bench, rounds, say, notes):
    """Groups of os_mode's."""
    with tempfile.TemporaryDirectory(prefix="wasmrun-bench-") as folder, contextlib.ExitStack() as stack:
        origin = Process([str(build / "bench" / "bench-origin")])
        stack.callback(origin.stop)
        origin.wait_for_text("\n")
        port = int(origin.text())
        allowed = ["--allow-net", f"localhost:{port}"]
        walls = WallBench(build, folder, Reach(build / "bench", port, bench.seconds), rounds, say, notes)
        starts = WallBench(build, folder, walls.bench, max(rounds, STARTS), say, notes)
        quiet = WallBench(build, folder, Reach(build / "bench", port, QUIET_S), QUIET_ROUNDS, say, notes)
        hello = walls.make("hello_c", [*CLANG, ROOT / "examples" / "hello-c" / "hello.c"])
        reach = walls.make("reach", [*CLANG, f"-I{ROOT / 'tests' / 'guests'}", ROOT / "bench" / "reach.c"])
        requests, bulk = tunnel_figures("kept", "each"), tunnel_figures("bulk")
        plans = [
            (hello, lambda: starts.starts(hello)),
            (hello, lambda: quiet.public_urls("A request to hello-c by its public URL", hello, HELLO_END, QUIET)),
            (hello, lambda: walls.public_urls("Requests to hello-c by its public URL", hello, HELLO_END, requests)),
            (reach, lambda: walls.public_urls("Bulk by the public URL", reach, None, bulk)),
            (reach, lambda: walls.outward(reach, allowed)),
            (reach, lambda: walls.limit(reach, allowed)),
        ]
        groups = []
        for project, plan in plans:
            try:
                groups.append(plan() if project else None)
            except Failed as e:
                walls.note(f"the wall: {e}")
        return [g for g in groups if g]

# SPDX-License-Identifier: MIT
"""What is measured: runs of the load generator against a tool, and the figures each yields."""

import dataclasses
import json
import subprocess
import time

from processes import Failed, Process, cpu_seconds, private_kb, run

CONNS_KEPT = 32
CONNS_EACH = 16
CONNS_HELD = 1000
SETTLE_S = 0.3  # a tool may still be closing what the last run left behind


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row of the tables. 'goal' is what ours must reach: ('>=' or '<=', number, 'x' times stock
    bore or '' absolute).
    """

    key: str
    measure: str
    title: str
    digits: int
    goal: tuple


FIGURES = [
    Figure("up", "bulk", "bulk up, Gbit/s", 1, (">=", 2.1, "x")),
    Figure("down", "bulk", "bulk down, Gbit/s", 1, (">=", 2.1, "x")),
    Figure("cpu_gb", "bulk", "CPU-seconds per GB", 2, ("<=", 0.32, "x")),
    Figure("kept", "kept", f"HTTP requests/s, {CONNS_KEPT} kept connections", 0, (">=", 1.2, "x")),
    Figure("cpu_request", "kept", "CPU µs per request", 1, ("<=", 0.75, "x")),
    Figure(
        "each", "each", f"requests/s, a connection each, {CONNS_EACH} at once", 0, (">=", 1.6, "x")
    ),
    Figure("cpu_connection", "each", "CPU µs per connection", 0, ("<=", 0.55, "x")),
    Figure(
        "first", "first", "time to first byte of a new connection, p50 ms", 3, ("<=", 0.6, "x")
    ),
    Figure(
        "kb_connection", "memory", "private KB per open connection, both ends", 2, ("<=", 0.08, "x")
    ),
    Figure("mb_process", "memory", "private MB per idle process", 2, ("<=", 1.0, "")),
]
MEASURES = list(dict.fromkeys(f.measure for f in FIGURES))


def per(cpu, work):
    """CPU seconds per unit of work; nothing for 'direct', which has no process between."""
    return cpu / work if cpu else None


class Bench:
    """Measures tools against one origin; 'seconds' is the length of a run."""

    def __init__(self, programs, origin_port, seconds):
        self.load, self.origin_port, self.seconds = (
            str(programs / "bench-load"),
            origin_port,
            seconds,
        )

    def once(self, measure, tool):
        """One run of a measure: {figure: value}."""
        return getattr(self, measure)(tool)

    def generate(self, verb, tool, *args, share=1.0):
        """One run of the generator: its report, with the CPU seconds of the tool in 'cpu'."""
        before = cpu_seconds(tool.processes)
        end = [tool.end] if tool.end else []
        text = run(
            [
                self.load,
                verb,
                tool.host,
                str(tool.port),
                str(int(self.seconds * share * 1000)),
                *map(str, args),
                *end,
            ]
        )
        return {**json.loads(text), "cpu": cpu_seconds(tool.processes) - before}

    def bulk(self, tool):
        up, down = self.generate("up", tool), self.generate("down", tool)
        return {
            "up": up["bytes"] * 8e-9 / up["seconds"],
            "down": down["bytes"] * 8e-9 / down["seconds"],
            "cpu_gb": per(up["cpu"] + down["cpu"], (up["bytes"] + down["bytes"]) / 1e9),
        }

    def kept(self, tool):
        got = self.generate("kept", tool, CONNS_KEPT)
        return {
            "kept": got["requests"] / got["seconds"],
            "cpu_request": per(got["cpu"], got["requests"] / 1e6),
        }

    def each(self, tool):
        got = self.generate("each", tool, CONNS_EACH)
        return {
            "each": got["requests"] / got["seconds"],
            "cpu_connection": per(got["cpu"], got["requests"] / 1e6),
        }

    def first(self, tool):
        return {"first": self.generate("first", tool, share=0.5)["first_ms"]}

    def memory(self, tool):
        """On processes of its own, fresh: an allocator that was under load keeps what it had."""
        if not tool.processes:
            return {}
        tool.stop()
        tool.start(self.origin_port)
        time.sleep(SETTLE_S)
        idle = [private_kb(p) for p in tool.processes]
        holder = Process(
            [self.load, "hold", tool.host, str(tool.port), str(CONNS_HELD)], stdin=subprocess.PIPE
        )
        try:
            holder.wait_for_text("held")
            time.sleep(SETTLE_S)
            held = [private_kb(p) for p in tool.processes]
        finally:
            holder.child.stdin.close()
            holder.stop()
        return {
            "kb_connection": (sum(held) - sum(idle)) / CONNS_HELD,
            "mb_process": max(idle) / 1024,
        }


def measure_rounds(bench, measure, tools, rounds, say):
    """All tools in turn, round by round, a different one first each time: the results as
    [{tool name: {figure: value}}], and what failed. The speed of a shared machine drifts, so only
    what was measured within a round is compared.
    """
    results, failed = [], {}
    for number in range(rounds):
        row = {}
        for i in range(len(tools)):
            tool = tools[(i + number) % len(tools)]
            if tool.name in failed:
                continue
            say(f"{measure}: round {number + 1} of {rounds}: {tool.title}")
            try:
                row[tool.name] = bench.once(measure, tool)
            except Failed as e:
                failed[tool.name] = f"{tool.title}: {measure}: {e}"
        results.append(row)
    return results, list(failed.values())

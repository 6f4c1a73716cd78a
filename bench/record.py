# SPDX-License-Identifier: MIT
"""What recording costs: a client that records all of its visitors, beside one that copies, and one that is left alone."""

import dataclasses
import os

from measures import FIGURES, Bench, measure_rounds
from os_mode import Group
from processes import Failed, Process
from tools import Bore

# Recorded connections are to do what the copy path does; reading what passes costs some CPU of its own.
GOALS = {
    "kept": (">=", 0.95, "x"),
    "each": (">=", 0.95, "x"),
    "cpu_request": ("<=", 1.2, "x"),
    "cpu_connection": ("<=", 1.2, "x"),
}


class Client(Bore):
    """Ours, whose client is another program, or has options."""

    def __init__(self, name, title, number, binary, client=None, options=()):
        super().__init__(name, title, number, binary, f"{os.path.basename(binary)} is not built")
        self.client, self.options = client or binary, options

    def missing(self):
        absent = [path for path in (self.binary, self.client) if not os.access(path, os.X_OK)]
        return f"'{os.path.basename(absent[0])}' is not built" if absent else None


def figures():
    return [
        dataclasses.replace(f, goal=GOALS.get(f.key)) for f in FIGURES if f.measure in ("bulk", "kept", "each")
    ]


def measure_all(build, bench, rounds, say, notes):
    """Groups of os_mode's."""
    bore, recorded = str(build / "bore"), str(build / "tests" / "e2e" / "e2e-bore-recorded")
    tools = [
        Client("free", "not recorded", 31, bore),
        Client("copy", "not recorded, copy path", 32, bore, options=["--data-path", "copy"]),
        Client("recorded", "recorded", 33, bore, recorded),
    ]
    origin = Process([str(build / "bench" / "bench-origin")])
    rows = []
    try:
        origin.wait_for_text("\n")
        port = int(origin.text())
        for tool in tools:
            if tool.missing():
                raise Failed(tool.missing())
            tool.start(port)
        for name in dict.fromkeys(f.measure for f in figures()):
            results, failed = measure_rounds(Bench(build / "bench", port, bench.seconds), name, tools, rounds, say)
            rows += results
            notes += failed
    except Failed as e:
        notes.append(f"recording: {e}")
        return []
    finally:
        for tool in tools:
            tool.stop()
        origin.stop()
    return [Group("Visitors of a tunnel", figures(), tools, rows, "recorded", "copy")]

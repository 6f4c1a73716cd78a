# SPDX-License-Identifier: MIT
"""How many visitors find a parked connection when so many come a second, and how long they wait for the first byte. As
the relay counts them; each rate on processes of its own, so that nothing is warm at its start.
"""

import contextlib
import json
import re

import delay
from processes import Failed, Process, run
from tools import Bore

RATES = (10, 100, 1000)
SECONDS = 5
NAMES = ("bore_ready_given_total", "bore_ready_missed_total")


class Counted(Bore):
    """Ours, whose relay tells its metrics."""

    relay_options = ("--metrics", "127.0.0.1:0")

    def counted(self):
        """How many visitors have been given a parked connection, and how many found none."""
        found = re.search(r"http://\S+/metrics", self.relay.text())
        if not found:
            raise Failed("the relay has told no address of its metrics")
        text = run(["curl", "-sSf", found[0]], net=self.place.relay_net)
        values = dict(re.findall(r"^(\w+) (\S+)$", text, re.M))
        if any(name not in values for name in NAMES):
            raise Failed(f"the relay has no {' and '.join(NAMES)}")
        return [float(values[name]) for name in NAMES]


def share(tool, visit):
    given, missed = tool.counted()
    got = visit()
    now_given, now_missed = tool.counted()
    given, missed = now_given - given, now_missed - missed
    if given + missed < got["requests"]:
        raise Failed(f"{got['requests']} visitors, but {given + missed:.0f} counted")
    return given / (given + missed), got["first_ms"], got["slow_ms"]


def on_loopback(build, origin_port, rate):
    tool = Counted("ready", "ours", 34, str(build / "bore"), None)
    try:
        tool.start(origin_port)
        command = [str(build / "bench" / "bench-load"), "rate", tool.host, str(tool.port), str(1000 * SECONDS), str(rate)]
        return share(tool, lambda: json.loads(run(command)))
    finally:
        tool.stop()


def over_links(build, network, origin_port, rate):
    tool = Counted("ready", "ours", 35, str(build / "bore"), None)
    try:
        delay.launch(network, tool, origin_port)
        return share(tool, lambda: delay.load(network, build / "bench", tool, "rate", 1000 * SECONDS, rate))
    finally:
        tool.stop()


def measure_all(build, say, notes):
    """{where: {rate: (share, median ms, 99th percentile ms)}}"""
    programs, shares = build / "bench", {}

    def all_rates(where, once):
        say(f"ready: {where}")
        try:
            shares[where] = {rate: once(rate) for rate in RATES}
        except Failed as e:
            notes.append(f"visitors who found a parked connection {where}: {e}")

    with contextlib.closing(Origin(programs)) as origin:
        all_rates("on loopback", lambda rate: on_loopback(build, origin.port, rate))
    reason = delay.missing()
    if reason:
        notes.append(f"visitors who found a parked connection over links with delay: {reason}")
        return shares
    with delay.network_with_origin(programs) as (network, port):
        all_rates("over the links", lambda rate: over_links(build, network, port, rate))
    return shares


class Origin:
    def __init__(self, programs):
        self.process = Process([str(programs / "bench-origin")])
        self.process.wait_for_text("\n")
        self.port = int(self.process.text())

    def close(self):
        self.process.stop()

# SPDX-License-Identifier: MIT
"""Time to first byte over a link with delay, in round trips: visitor, relay and client in three
network namespaces.
"""

import contextlib
import json
import os
import pathlib
import statistics
import sys

from processes import Failed, Process, run
from tools import Bore

ONE_WAY_MS = 25
ROUND_TRIP_MS = 2 * ONE_WAY_MS
SAMPLES = 20
SAMPLE_MS = 450  # more than a new connection takes through any of them
GOALS = {"ours": 5.2, "ours-secret": 6.2}

# Each link is a /30: (interface, address) at either end.
VISITOR_LINK = (("bench0", "10.91.1.1"), ("bench0", "10.91.1.2"))
CLIENT_LINK = (("bench1", "10.91.2.1"), ("bench0", "10.91.2.2"))


def missing():
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.access("/dev/net/tun", os.W_OK):
        return "no /dev/net/tun"
    return None


class Network:
    """Three namespaces and two links. A namespace lives as long as the process that holds it, so
    nothing is left to remove.
    """

    def __init__(self, stack):
        self.stack = stack
        self.visitor, self.relay, self.client = (self.namespace() for _ in range(3))
        self.link(self.visitor, self.relay, VISITOR_LINK)
        self.link(self.relay, self.client, CLIENT_LINK)

    def start(self, argv, **kwargs):
        process = Process(argv, **kwargs)
        self.stack.callback(process.stop)
        return process

    def namespace(self):
        holder = self.start(
            [
                "unshare",
                "--net",
                "sh",
                "-c",
                "ip link set lo up && echo ready && exec sleep infinity",
            ]
        )
        holder.wait_for_text("ready")
        return holder.pid

    def link(self, ns1, ns2, ends):
        (if1, addr1), (if2, addr2) = ends
        script = pathlib.Path(__file__).with_name("delay_link.py")
        carrier = self.start(
            [sys.executable, str(script), str(ONE_WAY_MS), str(ns1), if1, str(ns2), if2]
        )
        carrier.wait_for_text("ready")
        for ns, interface, address in ((ns1, if1, addr1), (ns2, if2, addr2)):
            run(["ip", "addr", "add", f"{address}/30", "dev", interface], net=ns)
            run(["ip", "link", "set", interface, "up"], net=ns)


def measure(network, tool, programs, origin_port, samples):
    """Round trips of one link until the first byte is there: the median of the samples, and what
    the link itself took.
    """
    (_, _), (_, relay_public) = VISITOR_LINK
    (_, relay_control), (_, _) = CLIENT_LINK
    tool.port = 20000
    try:
        tool.launch(
            origin_port, relay_net=network.relay, client_net=network.client, to=relay_control
        )
        load = [
            str(programs / "bench-load"),
            "first",
            relay_public,
            str(tool.port),
            str(samples * SAMPLE_MS),
        ]
        got = json.loads(run(load, net=network.visitor))
    finally:
        tool.stop()
    return got["first_ms"] / ROUND_TRIP_MS, got["connect_ms"]


def measure_all(tools, programs, samples, say):
    """{tool name: round trips}, the connect times seen, and what failed."""
    trips, links, failed = {}, [], []
    with contextlib.ExitStack() as stack:
        network = Network(stack)
        origin = network.start([str(programs / "bench-origin")], net=network.client)
        origin.wait_for_text("\n")
        for tool in (t for t in tools if isinstance(t, Bore)):
            say(f"delay: {tool.title}")
            try:
                trips[tool.name], connect_ms = measure(
                    network, tool, programs, int(origin.text()), samples
                )
                links.append(connect_ms)
            except Failed as e:
                failed.append(f"{tool.title}: delay: {e}")
    return trips, statistics.median(links) if links else 0.0, failed

# SPDX-License-Identifier: MIT
"""Time to the first byte, and to the first 256 KiB, over links with delay, in round trips: visitor, relay and client in
three network namespaces.
"""

import contextlib
import json
import os
import pathlib
import statistics
import sys

from processes import Failed, Process, run
from tools import Direct, Place, Tool

ONE_WAY_MS = 25
ROUND_TRIP_MS = 2 * ONE_WAY_MS
SAMPLES = 20
SAMPLE_MS = {"first": 450, "fetch": 900}  # more than a new connection takes through any of them
TITLES = {
    "first": "time to the first byte of a new connection",
    "fetch": "time to its first 256 KiB",
}
FIRST_MAX = 3.1  # the goal, with a secret as well: the visitor's own two round trips, and one to the client
FETCH_MAX = 1.03  # times the least possible: the carrier's own noise
PORT = 20000

# Each link is a /30: (interface, address) at either end.
VISITOR_LINK = (("bench0", "10.91.1.1"), ("bench0", "10.91.1.2"))
CLIENT_LINK = (("bench1", "10.91.2.1"), ("bench0", "10.91.2.2"))

LEAST = "least"  # among the tools' figures: what none of them can do without


class AtRelay(Tool):
    """An origin in the relay's place. A tunnel adds the round trip to its client, and at best no other."""

    def __init__(self, programs):
        super().__init__(LEAST, "an origin in the relay's place, and a round trip", 0)
        self.program = str(programs / "bench-origin")

    def launch(self, origin_port):
        origin = self.add([self.program, self.place.bind], net=self.place.relay_net)
        origin.wait_for_text("\n")
        self.port = int(origin.text())


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
        (_, _), (_, self.public) = VISITOR_LINK
        (_, relay), (_, client) = CLIENT_LINK
        self.place = Place("0.0.0.0", relay, client, self.relay, self.client)

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


def load(network, programs, tool, verb, *args):
    """The load generator as a visitor."""
    return json.loads(
        run([str(programs / "bench-load"), verb, network.public, str(tool.port), *map(str, args)], net=network.visitor)
    )


def launch(network, tool, origin_port):
    tool.place, tool.port = network.place, PORT
    tool.launch(origin_port)


def measure(network, tool, programs, origin_port, samples):
    """Round trips of one link, {"first": …, "fetch": …}: the medians of the samples, and what the link itself took."""
    trips = {}
    try:
        launch(network, tool, origin_port)
        for verb, sample_ms in SAMPLE_MS.items():
            got = load(network, programs, tool, verb, samples * sample_ms)
            trips[verb] = got["first_ms"] / ROUND_TRIP_MS
    finally:
        tool.stop()
    return trips, got["connect_ms"]


@contextlib.contextmanager
def network_with_origin(programs):
    """The namespaces, and the origin's port in the client's."""
    with contextlib.ExitStack() as stack:
        network = Network(stack)
        origin = network.start([str(programs / "bench-origin")], net=network.client)
        origin.wait_for_text("\n")
        yield network, int(origin.text())


def measure_all(tools, programs, samples, say):
    """{tool name: round trips}, the connect times seen, and what failed."""
    trips, links, failed = {}, [], []
    with network_with_origin(programs) as (network, origin_port):
        for tool in (AtRelay(programs), *(t for t in tools if not isinstance(t, Direct))):
            say(f"delay: {tool.title}")
            try:
                trips[tool.name], connect_ms = measure(network, tool, programs, origin_port, samples)
                links.append(connect_ms)
            except Failed as e:
                failed.append(f"{tool.title}: delay: {e}")
    if LEAST in trips:
        trips[LEAST] = {verb: 1 + value for verb, value in trips[LEAST].items()}
    return trips, statistics.median(links) if links else 0.0, failed

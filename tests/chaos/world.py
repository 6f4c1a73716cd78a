# SPDX-License-Identifier: MIT
"""
What chaos is made in: two relays (ours and stock's), five tunnels whose clients live in three namespaces, and visitors in a
fourth. What ends is started again here, and what ends though nobody ended it is a failure.
"""

import dataclasses
import heapq
import json
import pathlib
import re
import socket
import sys
import time

from harness.lab import STOCK, STOCK_PORT, Relay, listening, read_metrics
from harness.netns import Namespace
from harness.process import Process
from harness.streams import recv_all
from harness.wait import DEADLINE, wait_for
from traffic import ANSWER, DUPLEX, MAGIC, REQUEST

SECRET = "chaos"
TRAFFIC = pathlib.Path(__file__).parent / "traffic.py"


@dataclasses.dataclass
class Tunnel:
    """One application, its client and its public port, which stays the same."""

    index: int
    kind: str  # of the client
    relay: str
    home: Namespace
    path: str = "splice"
    args: tuple = ()
    app: Process = None
    client: Process = None
    expected: bool = True  # to run; not while a fault has it

    @property
    def public_port(self):
        return 20_000 + self.index

    @property
    def app_port(self):
        return 9_000 + self.index

    @property
    def only_ours(self):
        """Stock bore passes a reset on as an ordinary end."""
        return self.kind == self.relay == "ours"


class World:
    def __init__(self, lab, net, seed):
        self.lab, self.net, self.seed = lab, net, seed
        self.away = net.spoke()
        self.homes = [net.spoke() for _ in range(3)]
        first, second, third = self.homes
        self.hosts = {"ours": self.away.middle, "stock": third.middle}
        self.tunnels = [
            Tunnel(0, "ours", "ours", first, "copy"),
            Tunnel(1, "ours", "ours", second),
            Tunnel(2, "ours", "ours", second, args=("--protocol", "line")),
        ]
        if STOCK:
            self.tunnels += [Tunnel(3, "stock", "ours", first), Tunnel(4, "ours", "stock", third)]
        self.timers, self.failures, self.relays = [], [], {}
        self.logs, self.drained_logs = [], []  # of our relay, and of those that ended in order
        self.disturbed = set()  # namespaces whose link a fault has
        self.start_relay("ours")
        if STOCK:
            self.start_relay("stock")
        for tunnel in self.tunnels:
            self.start_app(tunnel)
            self.start_client(tunnel)
        for tunnel in self.tunnels:
            wait_for(lambda: self.answers(tunnel), f"tunnel {tunnel.index} is up", 2 * DEADLINE)

    # Starting, again and again

    def start_relay(self, kind):
        """Each has an address of its own: a client of stock's knows but one control port."""
        host, where, metrics = self.hosts[kind], self.net.middle, None
        argv = ["server", "--bind-addr", host, "--min-port", 20_000]
        if kind == "stock":
            process = self.lab.stock(*argv, name="stock-relay", where=where)
        else:
            self.logs.append(self.lab.folder / f"connections{len(self.logs)}.log")
            argv += ["--secret", SECRET, "--connection-log", self.logs[-1], "--grace", 2, "--metrics", "127.0.0.1:0"]
            process = self.lab.ours(*argv, name="relay", where=where)
            metrics = int(process.wait_line(r"http://\S+:(\d+)/metrics")[1][1])
        wait_for(lambda: listening(process, STOCK_PORT), f"the {kind} relay listens")
        self.relays[kind] = Relay(process, host, STOCK_PORT, metrics, where)

    def start_app(self, tunnel):
        argv = [sys.executable, TRAFFIC, "answer", tunnel.index, tunnel.app_port]
        tunnel.app = self.lab.process(argv, f"app-{tunnel.index}-", where=tunnel.home)
        tunnel.app.wait_line("ready")

    def start_client(self, tunnel):
        argv = ["local", tunnel.app_port, "--local-host", "127.0.0.1", "--port", tunnel.public_port]
        argv += ["--to", self.hosts[tunnel.relay]]
        argv += ["--secret", SECRET] if tunnel.relay == "ours" else []
        if tunnel.kind == "ours":
            argv += ["--data-path", tunnel.path, "--retry", "--json", "--metrics", "127.0.0.1:0", *tunnel.args]
        start = getattr(self.lab, tunnel.kind)
        tunnel.client = start(*argv, name=f"client-{tunnel.index}-", where=tunnel.home)
        tunnel.expected = True

    def start_visitors(self, rate, most):
        tunnels = [f"{tunnel.index}:{self.hosts[tunnel.relay]}:{tunnel.public_port}" for tunnel in self.tunnels]
        argv = [sys.executable, TRAFFIC, "visit", self.seed, rate, most, *tunnels]
        return self.lab.process(argv, "visitors", where=self.away)

    # Time

    def later(self, seconds, action):
        heapq.heappush(self.timers, (time.monotonic() + seconds, len(self.timers), action))

    def run(self, until):
        """Does what is due and starts again what stock bore lets die, until then."""
        while (now := time.monotonic()) < until:
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()
            self.tend()
            time.sleep(0.05)  # the schedule is time itself

    def settle(self):
        """All that is still to come, comes now."""
        while self.timers:
            heapq.heappop(self.timers)[2]()

    def tend(self):
        for tunnel in self.tunnels:
            if not tunnel.expected or tunnel.client.alive():
                continue
            if tunnel.kind == "ours":
                self.failures.append(f"{tunnel.client.name} ended by itself:\n{tunnel.client.tail()}")
            self.start_client(tunnel)
        for kind, relay in self.relays.items():
            if relay and not relay.process.alive():
                self.failures.append(f"the {kind} relay ended by itself:\n{relay.process.tail()}")
                self.start_relay(kind)

    # Looking

    def answers(self, tunnel):
        """Whether the tunnel's own application answers at its public port."""
        self.tend()
        try:
            with self.away.entered():
                sock = socket.socket()
            with sock:
                sock.settimeout(3)
                sock.connect((self.hosts[tunnel.relay], tunnel.public_port))
                sock.sendall(REQUEST.pack(MAGIC, 0, DUPLEX, 0, 0, 0, 0))
                sock.shutdown(socket.SHUT_WR)
                return recv_all(sock) == ANSWER.pack(MAGIC, tunnel.index, 0)
        except OSError:
            return False

    def vulnerable_homes(self):
        """Where no stock bore runs, nor leads to."""
        stock = [tunnel.home for tunnel in self.tunnels if "stock" in (tunnel.kind, tunnel.relay)]
        return [home for home in self.homes if home not in stock and home in [tunnel.home for tunnel in self.tunnels]]

    def ours(self):
        """The processes of ours that run, by a name that a new one inherits."""
        found = {f"client {tunnel.index}": tunnel.client for tunnel in self.tunnels if tunnel.kind == "ours"}
        relay = self.relays["ours"]
        return {**found, **({"relay": relay.process} if relay else {})}


def closed_visitors(log):
    """(ids opened, ids closed, bytes in, bytes out) of a connection log."""
    text = log.read_text()
    opened = re.findall(r" visitor_opened .*\bid=(\S+)", text)
    closed = re.findall(r" visitor_closed .*\bid=(\S+)", text)
    sums = [sum(map(int, re.findall(rf" visitor_closed .*\b{way}=(\d+)", text))) for way in ("in", "out")]
    return opened, closed, *sums


def client_figures(tunnel):
    """
    (events opened, events closed, bytes in, bytes out, the metrics' bytes in and out) of a client of ours. One that was
    turned away is told as closed alone, and has moved nothing; a relay may announce him again.
    """
    events = [json.loads(line.text) for line, _ in tunnel.client.find(r"^\{")]
    opened = [event["id"] for event in events if event["event"] == "visitor_opened"]
    closed = [event for event in events if event["event"] == "visitor_closed"]
    closed = [event for event in closed if not event.get("turned_away") or event["bytes_in"] or event["bytes_out"]]
    at = next(event["address"] for event in events if event["event"] == "metrics")
    with tunnel.home.entered():
        values = read_metrics(int(at.rsplit(":", 1)[1]))
    sums = [sum(event[f"bytes_{way}"] for event in closed) for way in ("in", "out")]
    told = [values[f'bore_bytes_total{{direction="{way}"}}'] for way in ("in", "out")]
    return opened, [event["id"] for event in closed], sums, told

# SPDX-License-Identifier: MIT
"""The tools that are compared: how each is found, started and stopped.

Each tool has a loopback address to itself, because the control port of stock bore can't be chosen.
All of them forward a public port on that address to the same origin on 127.0.0.1.
"""

import contextlib
import dataclasses
import os
import pathlib
import random
import shutil
import socket
import subprocess
import tempfile

from processes import Failed, Process

CONTROL_PORT = 7835
SECRET = "bench"
STOCK_VERSION = "0.6.0"
RATHOLE_VERSION = "0.5.0"  # what script/bench installs
FREE_PORT_TRIES = 100


def free_port(host):
    """One that the kernel gives to nobody who connects: any of those may be taken before it is used."""
    above = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(FREE_PORT_TRIES):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind((host, random.randrange(max(1024, above // 2), above)))
            return s.getsockname()[1]
    raise Failed(f"no free port below {above}")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the two ends of a tool run: where the relay listens, its address as the client sees it, the client's as the
    relay sees it, and a process in the network namespace of each; None: this one's.
    """

    bind: str
    relay: str
    client: str
    relay_net: int = None
    client_net: int = None


class Tool:
    """One column of the tables. 'processes' are those whose CPU time and memory count; 'end' is how
    its answers end, where that is not as the origin's.
    """

    end = None

    def __init__(self, name, title, number):
        self.name, self.title, self.host = name, title, f"127.0.1.{number}"
        self.port, self.processes = 0, []
        self.place = Place(self.host, self.host, self.host)

    def missing(self):
        """Why this tool can't be measured here, or None."""
        return None

    def version(self):
        return ""

    def start(self, origin_port):
        self.port = free_port(self.host)
        try:
            self.launch(origin_port)
        except (Failed, OSError):
            self.stop()
            raise

    def launch(self, origin_port):
        raise NotImplementedError

    def add(self, *args, **kwargs):
        process = Process(*args, **kwargs)
        self.processes.append(process)
        return process

    def stop(self):
        for process in reversed(self.processes):
            process.stop()
        self.processes = []


class Direct(Tool):
    """The origin itself: what the machine and the load generator can do."""

    def launch(self, origin_port):
        self.host, self.port = "127.0.0.1", origin_port


class Bore(Tool):
    """Stock bore or ours, as users run them: the same command line does for both, the local host is
    'localhost' by default, and what they log goes to a file.
    """

    # another program for the client, and what each end is told beside
    client, options, relay_options = None, (), ()

    def __init__(self, name, title, number, binary, absent, secret=False):
        super().__init__(name, title, number)
        self.binary, self.absent = binary, absent
        self.env = {"BORE_SECRET": SECRET} if secret else {}

    def missing(self):
        return None if self.binary else self.absent

    def version(self):
        return first_line([self.binary, "--version"])

    def launch(self, origin_port):
        place = self.place
        server = [self.binary, "server", "--bind-addr", place.bind, *self.relay_options]
        self.relay = self.add(server, net=place.relay_net, env=self.env)
        self.relay.wait_for_listener(CONTROL_PORT)
        command = [self.client or self.binary, "local", str(origin_port), "--to", place.relay, *self.options]
        client = self.add([*command, "-p", str(self.port)], net=place.client_net, env=self.env)
        client.wait_for_text("listening at")
        self.relay.wait_for_listener(self.port)


class ConfiguredPair(Tool):
    """A tool of two processes that read a configuration file each."""

    program = ""

    def missing(self):
        return None if shutil.which(self.program) else f"{self.program} is not installed"

    def configured(self, text, options, port, net):
        with tempfile.NamedTemporaryFile("w", suffix=self.suffix) as file:
            file.write(text)
            file.flush()
            process = self.add([self.program, *options, file.name], net=net)
            if port:
                process.wait_for_listener(port)
            else:
                self.processes[0].wait_for_listener(self.port)


class HAProxy(ConfiguredPair):
    """Two plain hops in a row, the best that is known for them. It connects ahead of nothing and
    multiplexes nothing.
    """

    program, suffix = "haproxy", ".cfg"

    def __init__(self, name, title, number, splice):
        super().__init__(name, title, number)
        self.options = "option splice-request\n option splice-response\n" if splice else ""

    def version(self):
        return " ".join(first_line(["haproxy", "-v"]).split()[:3])

    def launch(self, origin_port):
        place, middle = self.place, free_port(self.host)
        self.hop(place.client, middle, f"127.0.0.1:{origin_port}", place.client_net)
        self.hop(place.bind, self.port, f"{place.client}:{middle}", place.relay_net)

    def hop(self, host, port, to, net):
        self.configured(
            "global\n nbthread 2\n maxconn 3000\n"
            "defaults\n mode tcp\n"
            " timeout connect 3s\n timeout client 60s\n timeout server 60s\n"
            f" {self.options}listen hop\n bind {host}:{port}\n server next {to}\n",
            ["-db", "-f"],
            port,
            net,
        )


class Copies(Tool):
    """Two bare hops in a row, of our own: what a tunnel would be that did nothing but copy."""

    def __init__(self, name, title, number, programs):
        super().__init__(name, title, number)
        self.program = str(programs / "bench-copy")

    def launch(self, origin_port):
        place, middle = self.place, free_port(self.host)
        self.hop(place.client, middle, "127.0.0.1", origin_port, place.client_net)
        self.hop(place.bind, self.port, place.client, middle, place.relay_net)

    def hop(self, host, port, to_host, to_port, net):
        process = self.add([self.program, host, str(port), to_host, str(to_port)], net=net)
        process.wait_for_listener(port)


class Rathole(ConfiguredPair):
    """A tunnel that keeps connections open ahead, eight for a service over TCP."""

    suffix = ".toml"

    def __init__(self, name, title, number):
        super().__init__(name, title, number)
        built = pathlib.Path(cache_folder(), f"rathole-{RATHOLE_VERSION}", "bin", "rathole")
        self.program = str(built if built.exists() else "rathole")

    def version(self):
        lines = subprocess.run(
            [self.program, "--version"], capture_output=True, text=True
        ).stdout.splitlines()
        return next((f"rathole {l.split()[-1]}" for l in lines if "Version" in l), "rathole")

    def launch(self, origin_port):
        place, control, token = self.place, free_port(self.host), f'default_token = "{SECRET}"'
        self.configured(
            f'[server]\nbind_addr = "{place.bind}:{control}"\n{token}\n'
            f'[server.services.bench]\nbind_addr = "{place.bind}:{self.port}"\n',
            ["--server"],
            control,
            place.relay_net,
        )
        self.configured(
            f'[client]\nremote_addr = "{place.relay}:{control}"\n{token}\n'
            f'[client.services.bench]\nlocal_addr = "127.0.0.1:{origin_port}"\n',
            ["--client"],
            None,
            place.client_net,
        )


def cache_folder():
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "wasmrun")


def first_line(argv):
    return (subprocess.run(argv, capture_output=True, text=True).stdout.splitlines() or ["?"])[
        0
    ].strip()


def find_stock():
    """Stock bore as this project's tests find it: named, on the usual path of cargo, or in the
    cache.
    """
    cargo = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    candidates = [
        os.environ.get("STOCK_BORE"),
        pathlib.Path(cargo, "bin", "bore"),
        cache_folder() / f"bore-cli-{STOCK_VERSION}" / "bin" / "bore",
    ]
    for path in filter(None, candidates):
        if (
            os.access(path, os.X_OK)
            and first_line([str(path), "--version"]) == f"bore-cli {STOCK_VERSION}"
        ):
            return str(path)
    return None


def all_tools(build):
    """The columns in their order; 'build' is the folder where ours is built, if it is."""
    ours = str(build / "bore")
    stock, no_stock = find_stock(), f"no bore-cli {STOCK_VERSION} found (STOCK_BORE names one)"
    ours, no_ours = (
        (ours, None)
        if os.access(ours, os.X_OK)
        else (None, f"'{os.path.basename(ours)}' is not built")
    )
    return [
        Direct("direct", "direct", 1),
        Bore("stock", "stock bore", 2, stock, no_stock),
        Bore("stock-secret", "stock bore, secret", 3, stock, no_stock, secret=True),
        HAProxy("haproxy", "2 HAProxies, splice", 4, splice=True),
        HAProxy("haproxy-copy", "2 HAProxies, copy", 5, splice=False),
        Copies("copies", "2 bare copies", 9, build / "bench"),
        Rathole("rathole", "rathole", 6),
        Bore("ours", "ours", 7, ours, no_ours),
        Bore("ours-secret", "ours, secret", 8, ours, no_ours, secret=True),
    ]

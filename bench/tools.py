# SPDX-License-Identifier: MIT
"""The tools that are compared: how each is found, started and stopped.

Each tool has a loopback address to itself, because the control port of stock bore can't be chosen.
All of them forward a public port on that address to the same origin on 127.0.0.1.
"""

import contextlib
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
FREE_PORT_TRIES = 100


def free_port(host):
    """One that the kernel gives to nobody who connects: any of those may be taken before it is used."""
    above = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(FREE_PORT_TRIES):
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind((host, random.randrange(max(1024, above // 2), above)))
            return s.getsockname()[1]
    raise Failed(f"no free port below {above}")


class Tool:
    """One column of the tables. 'processes' are those whose CPU time and memory count; 'end' is how
    its answers end, where that is not as the origin's.
    """

    end = None

    def __init__(self, name, title, number):
        self.name, self.title, self.host = name, title, f"127.0.1.{number}"
        self.port, self.processes = 0, []

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

    client, options = None, ()  # another program for the client, and what it is told beside

    def __init__(self, name, title, number, binary, absent, secret=False):
        super().__init__(name, title, number)
        self.binary, self.absent = binary, absent
        self.env = {"BORE_SECRET": SECRET} if secret else {}

    def missing(self):
        return None if self.binary else self.absent

    def version(self):
        return first_line([self.binary, "--version"])

    def launch(self, origin_port, relay_net=None, client_net=None, to=None):
        """With namespaces, the relay listens on all addresses of its own and the client reaches it
        at 'to'.
        """
        bind = "0.0.0.0" if relay_net else self.host
        relay = self.add([self.binary, "server", "--bind-addr", bind], net=relay_net, env=self.env)
        relay.wait_for_listener(CONTROL_PORT)
        command = [self.client or self.binary, "local", str(origin_port), "--to", to or self.host, *self.options]
        client = self.add([*command, "-p", str(self.port)], net=client_net, env=self.env)
        client.wait_for_text("listening at")
        relay.wait_for_listener(self.port)


class ConfiguredPair(Tool):
    """A tool of two processes that read a configuration file each."""

    program = ""

    def missing(self):
        return None if shutil.which(self.program) else f"{self.program} is not installed"

    def configured(self, text, before, after, port):
        with tempfile.NamedTemporaryFile("w", suffix=self.suffix) as file:
            file.write(text)
            file.flush()
            process = self.add([self.program, *before, file.name, *after])
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
        middle = free_port(self.host)
        self.hop(middle, f"127.0.0.1:{origin_port}")
        self.hop(self.port, f"{self.host}:{middle}")

    def hop(self, port, to):
        self.configured(
            "global\n nbthread 2\n maxconn 3000\n"
            "defaults\n mode tcp\n"
            " timeout connect 3s\n timeout client 60s\n timeout server 60s\n"
            f" {self.options}listen hop\n bind {self.host}:{port}\n server next {to}\n",
            ["-db", "-f"],
            [],
            port,
        )


class Rathole(ConfiguredPair):
    program, suffix = "rathole", ".toml"

    def version(self):
        lines = subprocess.run(
            ["rathole", "--version"], capture_output=True, text=True
        ).stdout.splitlines()
        return next((f"rathole {l.split()[-1]}" for l in lines if "Version" in l), "rathole")

    def launch(self, origin_port):
        control, token = free_port(self.host), f'default_token = "{SECRET}"'
        self.configured(
            f'[server]\nbind_addr = "{self.host}:{control}"\n{token}\n'
            f'[server.services.bench]\nbind_addr = "{self.host}:{self.port}"\n',
            ["--server"],
            [],
            control,
        )
        self.configured(
            f'[client]\nremote_addr = "{self.host}:{control}"\n{token}\n'
            f'[client.services.bench]\nlocal_addr = "127.0.0.1:{origin_port}"\n',
            ["--client"],
            [],
            None,
        )


def first_line(argv):
    return (subprocess.run(argv, capture_output=True, text=True).stdout.splitlines() or ["?"])[
        0
    ].strip()


def find_stock():
    """Stock bore as this project's tests find it: named, on the usual path of cargo, or in the
    cache.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    cargo = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    candidates = [
        os.environ.get("STOCK_BORE"),
        pathlib.Path(cargo, "bin", "bore"),
        pathlib.Path(cache, "wasmrun", f"bore-cli-{STOCK_VERSION}", "bin", "bore"),
    ]
    for path in filter(None, candidates):
        if (
            os.access(path, os.X_OK)
            and first_line([str(path), "--version"]) == f"bore-cli {STOCK_VERSION}"
        ):
            return str(path)
    return None


def all_tools(ours):
    """The columns in their order; 'ours' is the path of our binary, which need not exist."""
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
        Rathole("rathole", "rathole", 6),
        Bore("ours", "ours", 7, ours, no_ours),
        Bore("ours-secret", "ours, secret", 8, ours, no_ours, secret=True),
    ]

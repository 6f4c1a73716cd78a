# SPDX-License-Identifier: MIT
"""A test's own relays, clients and applications, each with a loopback address and a log in the test's folder."""

import collections
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request

import pytest

from .apps import App, echo
from .process import Process
from .wait import DEADLINE, wait_for
from .wire import STOCK_PORT

STOCK_VERSION = "bore-cli 0.6.0"
ROOT = pathlib.Path(__file__).parents[3]

# `way`: that visitors take between our two ends, over connections that wait for them ("warm") or that are made for
# each ("cold"). None: there is but one.
Pair = collections.namedtuple("Pair", "client server path way")
WAYS = "cold", "warm"


def pairs(*which, paths=("copy", "splice"), ways=WAYS):
    """Parameters 'client/server' × data path × way; only our own programs have a choice of these."""
    which = which or ("ours/ours", "stock/ours", "ours/stock")
    made = [
        Pair(*pair.split("/"), path, way) for pair in which for path in paths for way in (ways if pair == "ours/ours" else [None])
    ]
    return [pytest.param(pair, id="-".join(filter(None, pair))) for pair in made]


def find_ours():
    return pathlib.Path(os.environ.get("BORE_BIN") or ROOT / "build" / "bore").resolve()


def find_stock():
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    cargo = os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo"
    for path in (
        os.environ.get("STOCK_BORE"),
        pathlib.Path(cache, "wasmrun", "bore-cli-0.6.0", "bin", "bore"),
        pathlib.Path(cargo, "bin", "bore"),
    ):
        if path and os.access(path, os.X_OK):
            said = subprocess.run([str(path), "--version"], capture_output=True, text=True).stdout
            if said.strip() == STOCK_VERSION:
                return str(path)
    return None


OURS, STOCK = find_ours(), find_stock()
_hosts = itertools.count(1)


def new_host():
    """A loopback address of its own: stock bore's control port can't be chosen."""
    number, pid = next(_hosts), os.getpid()
    return f"127.{64 + pid % 128}.{pid // 128 % 250}.{number % 250 + 1}"


class Relay:
    def __init__(self, process, host, control_port, metrics=None, where=None, way=None):
        self.process, self.host, self.control_port = process, host, control_port
        self.metrics_at, self.where, self.way = metrics, where, way

    @property
    def control(self):
        return self.host, self.control_port

    @property
    def to(self):
        return self.host if self.control_port == STOCK_PORT else f"{self.host}:{self.control_port}"

    def metrics(self):
        """{name: value}, or {name{labels}: value}."""
        with self.where.entered() if self.where else contextlib.nullcontext():
            return read_metrics(self.metrics_at)

    def wait_parked(self, count=2):
        """The next two visitors find a warm connection then."""
        wait_for(lambda: self.metrics()["bore_ready_parked"] >= count, f"{count} connections are parked")

    def check_way(self):
        """
        That visitors have taken the way that they were to take; those behind the first two may find none parked. Asked at the
        end of the test, or before it ends the relay.
        """
        if not self.way:
            return
        assert self.process.alive(), "the relay ended before anybody asked which way its visitors have taken"
        seen = self.metrics()
        visitors, given = seen["bore_visitors_total"], seen["bore_ready_given_total"]
        assert visitors, f"nobody took the {self.way} way"
        assert given >= min(2, visitors) if self.way == "warm" else given == 0, f"{given:g} of {visitors:g} visitors were given a warm one"
        self.way = None

    def fds_in_use(self, process):
        """Descriptors of either end of its only tunnel, without those of warm connections that wait. One that is just made counts:
        it is no less than what is used."""
        while True:
            before, fds, after = self.metrics(), process.fds(), self.metrics()
            if before["bore_ready_parked"] == after["bore_ready_parked"]:
                return fds - int(after["bore_ready_parked"])


class Client:
    def __init__(self, process, host, port):
        self.process, self.host, self.port = process, host, port

    @property
    def public(self):
        return self.host, self.port

    def wait_state(self, state, deadline=DEADLINE, after=0):
        """Waits for the change to `state`; returns when it was and its cause."""
        line, match = self.process.wait_line(rf"'[^']*': [A-Z][a-z ]+ -> {state} \((.*)\)$", deadline, after)
        return line.time, match[1]


def read_metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=DEADLINE) as answer:
        text = answer.read().decode()
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    return values


class Lab:
    """Started in a test, ended at its end. `where` is a namespace to run in."""

    def __init__(self, folder):
        self.folder, self.processes, self.apps, self.relays, self.counts = folder, [], [], [], collections.Counter()
        self.public_folders = []

    def public_folder(self):
        """One that every user can reach, for as long as there are processes that use it."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="wasmrun-e2e-"))
        folder.chmod(0o755)
        self.public_folders.append(folder)
        return folder

    def process(self, argv, name, env=None, wrap=(), where=None):
        self.counts[name] += 1
        wrap = [*(where.wrap if where else ()), *wrap]
        process = Process(argv, self.folder, f"{name}{self.counts[name]}", env=env, wrap=wrap)
        self.processes.append(process)
        return process

    def app(self, handler=echo, where=None):
        if where:
            with where.entered():
                app = App(handler)
        else:
            app = App(handler)
        self.apps.append(app)
        return app

    def ours(self, *args, name="bore", program=OURS, **how):
        if not os.access(OURS, os.X_OK):
            pytest.skip(f"'{OURS.name}' is not built (BORE_BIN names one)")
        return self.process([program, *args], name, **how)

    def stock(self, *args, name="stock", **how):
        if not STOCK:
            pytest.skip(f"no {STOCK_VERSION} found (STOCK_BORE names one)")
        return self.process([STOCK, *args], name, **how)

    def relay(
        self, kind="ours", host=None, secret=None, args=(), path=None, metrics=False, control_port=None, where=None, way=None, **how
    ):
        """
        A relay that listens. With a namespace, `host` is the address that its clients reach. With a `way`, its visitors have to
        take that: lab.client() waits for warm connections, and at the end the relay is asked.
        """
        host = host or new_host()
        bind = "0.0.0.0" if where else host
        argv = ["server", "--bind-addr", bind, *secret_args(secret), *args]
        if kind == "stock":
            process = self.stock(*argv, name="stock-relay", where=where, **how)
            wait_for(lambda: listening(process, STOCK_PORT), "the stock relay listens")
            return Relay(process, host, STOCK_PORT)
        argv += ["--control-port", control_port or 0]
        argv += ["--data-path", path] if path else []
        argv += ["--max-ready", 0] if way == "cold" else []
        metrics = metrics or way
        argv += ["--metrics", "127.0.0.1:0"] if metrics else []
        process = self.ours(*argv, name="relay", where=where, **how)
        _, found = process.wait_line(r"server listening at \S*:(\d+)$")
        at = int(process.wait_line(r"http://\S+:(\d+)/metrics")[1][1]) if metrics else None
        relay = Relay(process, host, int(found[1]), at, where, way)
        self.relays.append(relay)
        return relay

    def start_client(self, relay, app, kind="ours", secret=None, port=None, args=(), path=None, where=None, **how):
        """`bore local` that may or may not come to listen. `relay` may be fake, `app` a port."""
        argv = ["local", getattr(app, "port", app), "--to", relay.to, "--local-host", "127.0.0.1", *secret_args(secret)]
        argv += ["--port", port] if port else []
        argv += args
        if kind == "stock":
            return self.stock(*argv, name="stock-client", where=where, **how)
        argv += ["--data-path", path] if path else []
        return self.ours(*argv, name="client", where=where, **how)

    def client(self, relay, app, **how):
        """A client that listens."""
        process = self.start_client(relay, app, **how)
        client = Client(process, relay.host, listening_at(process))
        if getattr(relay, "way", None) == "warm":
            relay.wait_parked()
        return client

    def tunnel(self, pair, handler=echo, secret=None, relay_args=(), client_args=()):
        """An application, a relay and a client of the pair's kinds: (app, relay, client)."""
        app = self.app(handler)
        control_port = STOCK_PORT if pair.client == "stock" else None
        relay = self.relay(pair.server, secret=secret, args=relay_args, path=pair.path, way=pair.way, control_port=control_port)
        client = self.client(relay, app, kind=pair.client, secret=secret, args=client_args, path=pair.path)
        return app, relay, client

    def check_ways(self):
        for relay in self.relays:
            relay.check_way()

    def close(self):
        """Ends everything; returns what sanitizers reported."""
        for app in self.apps:
            app.close()
        reports = [report for process in reversed(self.processes) for report in process.stop()]
        for folder in self.public_folders:
            shutil.rmtree(folder)
        return reports


def secret_args(secret):
    return [] if secret is None else ["--secret", secret]


def listening_at(process, after=0, deadline=DEADLINE):
    """The public port from the line that scripts wait for."""
    return int(process.wait_line(r"\blistening at \S+:(\d+)$", after=after, deadline=deadline)[1][1])


def listening(process, port):
    """Whether the process itself listens on the port, in whatever namespace it is."""
    if not process.alive():
        raise AssertionError(f"{process.name} ended:\n{process.tail()}")
    try:
        inodes = {os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{process.pid}/fd")}
    except OSError:
        return False
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listens = fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port
            if listens and f"socket:[{fields[9]}]" in inodes:
                return True
    return False


def refused(address):
    """Whether nobody listens there."""
    with socket.socket() as sock:
        sock.settimeout(DEADLINE)
        try:
            sock.connect(address)
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            pass  # it was taken, and the listener went away that very moment
        return False


def count_of(pattern, text):
    return len(re.findall(pattern, text))

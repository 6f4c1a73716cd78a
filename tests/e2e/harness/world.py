# SPDX-License-Identifier: MIT
"""A network to reach out into: `wasmrun` is in one of its own, and in the network next to it there are hosts with public addresses. The
names are in an /etc/hosts of its own, and further ones are answered by a name server of the test's."""

import collections
import contextlib
import ipaddress
import json
import shutil
import socket
import threading
import time

import pytest

from .apps import App
from .components import find_wasmtime
from .guests import COMPILE_DEADLINE
from .process import Process
from .wait import DEADLINE
from .wasmrun import WASMRUN, fetch, run_os

API, OTHER, REBOUND, CLOSED = "93.184.216.10", "93.184.217.10", "10.1.2.3", 7
NAMES = {"api.example.test": API, "sub.api.example.test": API, "other.example.test": OTHER, "inward.example.test": REBOUND}
SECOND = 9001
# Until something has failed that takes its time: the dial, of connection_timeout_secs, and what the machine is slow with. A
# silent name server would be waited for for 30 s.
BOUND_S = 25

Words = collections.namedtuple("Words", "unknown denied closed bind udp opened")
WORDS = {
    # WASI's codes: 84 is WasmEdge's for a name that there isn't.
    "wasmedge": Words("lookup 84", "connect 2", "connect 14", "bind 2", "open 2", "open 0"),
    "component": Words(
        "lookup Uncategorized", "connect PermissionDenied", "connect ConnectionRefused", "bind PermissionDenied",
        "open PermissionDenied", "opened"),
}


def greet(sock):
    """Answers a line, a request, and whoever begins TLS with nothing."""
    said = sock.recv(1000)
    Peer.heard.append(said)
    if said.startswith(b"GET "):
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    elif said.startswith(b"hello"):
        sock.sendall(b"greetings")


class Peer:
    heard = []


class World:
    """`wasmrun` on a module, and what is around it."""

    def __init__(self, lab, net):
        self.lab, self.space, self.outside = lab, net.spoke(), net.middle
        for address in (API, OTHER, REBOUND):
            self.outside.ip("addr", "add", f"{address}/32", "dev", "lo")
        self.port = self.listen(self.outside, "0.0.0.0")
        (lab.folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in NAMES.items()))
        # Patient, so that who waits for an answer does so until the test is over.
        (lab.folder / "resolv.conf").write_text(f"nameserver {self.space.middle}\noptions timeout:30 attempts:1\n")
        cache = lab.folder / "cache" / "wasmrun" / "wasmtime-cli-48.0.8" / "bin"
        cache.mkdir(parents=True)
        with contextlib.suppress(pytest.skip.Exception):
            (cache / "wasmtime").symlink_to(find_wasmtime())

    def listen(self, where, host, handler=greet):
        with where.entered():
            app = App(handler, host=host)
        self.lab.apps.append(app)
        return app.port

    def name_server(self):
        """A socket that hears what is asked, and says nothing by itself."""
        with self.outside.entered():
            server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((self.space.middle, 53))
        server.settimeout(DEADLINE)
        return server

    def wrap(self):
        """What a command is started by, so that it looks names up here."""
        mounts = "".join(f'mount --bind "{self.lab.folder}/{name}" /etc/{name} && ' for name in ("hosts", "resolv.conf"))
        return ["unshare", "-m", "sh", "-c", f'{mounts}exec "$@"', "sh"]

    def start(self, module, *args, **network):
        folder = self.lab.folder / "project"
        folder.mkdir()
        shutil.copy(module, folder / "app.wasm")
        self.settings(**network)
        with self.space.entered():
            self.instance = run_os(
                self.lab, folder, *args, env={"PATH": "/usr/bin:/bin"}, where=self.space, wrap=self.wrap(), deadline=COMPILE_DEADLINE)
            self.url = self.instance.wait_app("running")["url"]
        return self

    def settings(self, **network):
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in {"connection_timeout_secs": 5, **network}.items()]
        (self.lab.folder / "project" / "wasmrun.toml").write_text("[os.network]\n" + "".join(lines))

    def start_another(self):
        folder = self.lab.folder / "another"
        folder.mkdir()
        (folder / "index.html").write_text("hello")
        with self.space.entered():
            return run_os(self.lab, folder, where=self.space)

    def run(self, module, *wishes, options=(), wrap=(), **how):
        """`wasmrun run` on it. `how` is of Process()."""
        env = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(self.lab.folder / "cache")}
        wrap = [*self.space.wrap, *self.wrap(), *wrap]
        process = Process([WASMRUN, "run", *options, module, *wishes], self.lab.folder, f"run{len(self.lab.processes)}", env, wrap, **how)
        self.lab.processes.append(process)
        return process

    def ask(self, wish):
        """What the application says, soon enough."""
        begun = time.monotonic()
        with self.space.entered():
            status, text = fetch(self.url, wish)
        assert status == 200 and time.monotonic() - begun < BOUND_S
        return text

    def restart(self):
        with self.space.entered():
            assert self.instance.ask("POST", "/api/app/restart").status == 200


class Resolver:
    """A name server in the world's network. `answers`: for each name the addresses at its first look-up, at the second, ...; the last
    stay."""

    def __init__(self, world, answers):
        self.answers, self.asked = answers, collections.Counter()
        self.socket = world.name_server()
        self.socket.settimeout(None)
        world.lab.apps.append(self)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.socket.recvfrom(512)
                self.socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        """RFC 1035, 4.1: the question comes back, and behind it the addresses of its type."""
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), query[at + 1 : at + 3]
        lists = self.answers.get(name, [[]])
        addresses = [ipaddress.ip_address(one) for one in lists[min(self.asked[name, kind], len(lists) - 1)]]
        self.asked[name, kind] += 1
        packed = [one.packed for one in addresses if kind == (b"\0\1" if one.version == 4 else b"\0\x1c")]
        records = b"".join(b"\xc0\x0c" + kind + b"\0\1" + bytes(4) + len(one).to_bytes(2) + one for one in packed)
        head = query[:2] + b"\x81\x80" + b"\0\1" + len(packed).to_bytes(2) + bytes(4)
        return head + query[12 : at + 5] + records

    def close(self):
        self.socket.close()

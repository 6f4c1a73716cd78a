# SPDX-License-Identifier: MIT
"""docs/troubleshooting.md: each symptom is provoked, and the commands of its section, run as they stand, print what stands there.

"…" is as in harness/documents.py. What is printed is standard output first; lines of the log of the level "info" count where
the page shows one. A command that ends with "&" goes on, and so does one that says "listening at", until it has said all.
"""

import contextlib
import http.server
import os
import re
import socketserver
import ssl
import threading

import pytest

from harness import fronts
from harness.documents import commands, document, pattern
from harness.lab import OURS
from harness.wait import DEADLINE, TimeLimit

RANGE = ("--min-port", 20000, "--max-port", 20099)
ANY_LINES = r"(?:.*\n)*"


def sections():
    """{heading: [(command, what it prints)]}, of those that show one."""
    found = {}
    for heading, body in re.findall(r"^#+ (.*)\n((?:(?!^#).*\n)*)", document("troubleshooting.md"), re.M):
        for block in re.findall(r"^```console\n(.*?)^```", body, re.M | re.S):
            found.setdefault(heading, []).extend(commands(block))
    return found


class Page(http.server.BaseHTTPRequestHandler):
    """To all others than `names`, if there are any, it answers with 403."""

    names = ()

    def do_GET(self):
        self.send_response(403 if self.names and self.headers["Host"].rpartition(":")[0] not in self.names else 200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"hello\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # the one in between looks for its name

    def handle_error(self, *_):
        pass  # a client that hangs up in the middle of TLS


class Place:
    """The user's machine, and next to it the relay's, which is relay.example.com."""

    def __init__(self, lab, net):
        self.lab, self.space, self.middle = lab, net.spoke(), net.middle
        self.host, self.closing = self.space.middle, contextlib.ExitStack()
        hosts, resolver = lab.folder / "hosts", lab.folder / "resolv.conf"
        hosts.write_text(f"127.0.0.1 localhost\n{self.host} relay.example.com\n")
        resolver.write_text("nameserver 127.0.0.1\n")  # nobody listens there, and says so at once
        script = f'mount --bind "{hosts}" /etc/hosts && mount --bind "{resolver}" /etc/resolv.conf && exec "$@"'
        self.wrap = ["unshare", "-m", "sh", "-c", script, "sh"]

    def page(self, port=8000, host="127.0.0.1", where=None, certificate=None, names=()):
        with (where or self.space).entered():
            server = Server((host, port), type("Handler", (Page,), {"names": names}))
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        self.closing.callback(thread.join)
        self.closing.callback(server.server_close)
        self.closing.callback(server.shutdown)

    def relay(self, *args, **how):
        return self.lab.relay(host=self.host, control_port=7835, where=self.middle, args=[*RANGE, *args], **how)

    def drop(self, ports):
        self.middle.nft("add table inet wall")
        self.middle.nft("add chain inet wall input { type filter hook input priority 0; }")
        self.middle.nft(f"add rule inet wall input tcp dport {ports} drop")

    def start(self, command):
        argv = ["sh", "-c", f"cd {self.lab.folder} && exec {command.removesuffix(' &')}"]
        env = {"PATH": f"{OURS.parent}:{os.environ['PATH']}"}
        return self.lab.process(argv, "shown", env=env, where=self.space, wrap=self.wrap)

    def client(self, *args):
        self.start(f"bore local 8000 --to relay.example.com {' '.join(args)}").wait_line("^listening at")


def printed(process, said):
    lines = [line for stream in ("stdout", "stderr") for line in process.text(stream).splitlines()]
    return "".join(line + "\n" for line in lines if " info " in said or not re.match(r"\S+Z info ", line))


def finish(process, said):
    """Until it has said its last line, or has ended."""
    last = [line for line in said.splitlines() if line != "…"][-1]
    if not said.startswith("listening at"):
        process.wait_exit(deadline=2 * DEADLINE)
        return
    with contextlib.suppress(AssertionError):
        process.wait_line(f"^{pattern(last)[:-2]}$", deadline=2 * DEADLINE)


# --- the symptoms ---


def works(place):
    place.page()
    place.relay()


def nothing(place):
    pass


def timed_out(place):
    place.page()
    place.drop("7835")


def web_server(place):
    statuses = "".join(f"location /{status} {{ return {status}; }} " for status in (200, 404, 426, 502))
    fronts.nginx(place.lab, place.middle, f"server {{ listen 80; {statuses} }}", (80,))


def expired(place):
    certificates = fronts.Certificates(place.lab.folder)
    place.page(443, host="", where=place.middle, certificate=certificates.sign("mine", ("relay.example.com",), days=-1))


def secret(place):
    place.relay(secret="hunter2")


def no_secret(place):
    place.relay()


def taken(place):
    place.relay()
    place.client("--port 20000")


def too_many(place):
    place.relay("--max-tunnels-per-addr", 1)
    place.client()


def dies(place):
    return place.relay().process.kill


def silent(place):
    place.relay()
    return place.space.silence


def old(place):
    place.relay("--max-tunnel-age", "1s")


def closed_range(place):
    works(place)
    place.drop("20000-20099")


def bound_elsewhere(place):
    place.page()
    place.relay("--bind-tunnels", "127.0.0.1")


def elsewhere(place):
    place.page(8002, host=place.space.host)


def strict(place):
    place.relay()
    place.page(8003, names=("localhost",))


def no_tunnel(place):
    works(place)
    fronts.nginx(place.lab, place.middle, "server { listen 80; location / { proxy_pass http://127.0.0.1:20000; } }", (80,))


def none_ready(place):
    """Another client has the only place."""
    place.page()
    relay = place.relay("--max-ready-total", 1, metrics=True)
    place.client()
    relay.wait_parked(1)


SYMPTOMS = {
    "When it doesn't work": works,
    "The relay's name isn't found": nothing,
    "Connection refused": nothing,
    "Nothing answers: timed out": timed_out,
    "Something else answers": web_server,
    "The HTTP front doesn't let it through": web_server,
    "The certificate isn't taken": expired,
    "The secret is wrong, missing, or not asked for": secret,
    "A secret that the relay has no use for": no_secret,
    "The port is taken": taken,
    "The port isn't allowed": no_secret,
    "Too many tunnels": too_many,
    "The relay goes away": dies,
    "No word from it": silent,
    "A tunnel has its age": old,
    "Nothing answers there": closed_range,
    "It is refused": bound_elsewhere,
    "The application isn't there": no_secret,
    "The application listens at another address": elsewhere,
    "The application refuses the public name": strict,
    "The front shows 502 Bad Gateway": no_tunnel,
    "https:// doesn't work": works,
    "No connection can be kept ready": none_ready,
}


@pytest.fixture
def place(lab, net):
    made = Place(lab, net)
    yield made
    made.closing.close()


@pytest.mark.parametrize("heading", SYMPTOMS)
def test_symptom(place, heading):
    act, going_on = SYMPTOMS[heading](place), []
    for command, said in sections()[heading]:
        if command.endswith(" &"):
            going_on.append((place.start(command), said))
            going_on[-1][0].wait_line("^listening at")
            continue
        # Again until it says it: what was told before may have to take effect.
        limit = TimeLimit(DEADLINE)
        while True:
            process = place.start(command)
            if act:
                process.wait_line("^listening at")
                act()
            finish(process, said)
            process.stop()
            if act or limit.over() or re.fullmatch(pattern(said), printed(process, said)):
                break
        assert re.fullmatch(pattern(said), printed(process, said)), f"$ {command}\n{printed(process, said)}instead of\n{said}"
    for process, said in going_on:
        finish(process, said)
        assert re.fullmatch(pattern(said) + ANY_LINES, printed(process, said)), f"{printed(process, said)}instead of\n{said}"


def test_each_is_provoked():
    assert set(sections()) == set(SYMPTOMS)

# SPDX-License-Identifier: MIT
"""Clients behind HTTP fronts, and fronts before applications: Debian's programs with the configurations of docs/self-hosting.md."""

import http.client
import re
import select
import socket
import ssl
import threading

import pytest

from harness import fronts
from harness.guests import needs_wall
from harness.lab import Client, Relay, listening_at
from harness.streams import recv_all, recv_exact, reset
from harness.wait import DEADLINE, in_time, wait_for
from harness.wasmrun import build_hello, run_os

SECRET = "open sesame"
TUNNEL, APPLICATION = fronts.NAMES
TRUST = ("--trusted-proxy", "127.0.0.0/8", "--trusted-proxy", "::1")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return fronts.Certificates(tmp_path_factory.mktemp("certificates"))


class Place:
    """A machine with relay and front, and another one with client, application and visitor, which knows the first by name."""

    def __init__(self, lab, net, certificates):
        self.lab, self.middle, self.far, self.certificates = lab, net.middle, net.spoke(), certificates
        self.host, self.relays = self.far.middle, 0
        hosts = lab.folder / "hosts"
        hosts.write_text(f"127.0.0.1 localhost\n::1 localhost\n{self.host} {TUNNEL} {APPLICATION}\n")
        self.hosts = ["unshare", "-m", "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && exec "$@"', "sh"]
        self.app = lab.app(where=self.far)

    def relay(self, *args, secret=SECRET, **how):
        return self.lab.relay(host=self.host, control_port=7835, secret=secret, args=args, where=self.middle, **how)

    def start_client(self, to, *args, secret=SECRET, port=None, ca=None):
        relay = Relay(None, to, 7835)
        args = ("--tls-ca", ca or self.certificates.ca, *args)
        return self.lab.start_client(relay, self.app, secret=secret, port=port, args=args, where=self.far, wrap=self.hosts)

    def client(self, to, *args, **how):
        process = self.start_client(to, *args, **how)
        return Client(process, self.host, listening_at(process))

    def failure(self, to, *args, **how):
        """The one line of a client that doesn't get through, and its exit code."""
        process = self.start_client(to, *args, **how)
        code = process.wait_exit()
        return code, process.find(r" error local: (.*)$")[0][1][1]

    def visit(self, port):
        with self.far.entered():
            return socket.create_connection((self.host, port), timeout=DEADLINE)

    def echoes(self, port, size=300_000):
        """What a visitor says comes back, more than every buffer on its way holds at once."""
        data = bytes(range(251)) * (size // 251)
        with self.visit(port) as visitor:
            sender = threading.Thread(target=visitor.sendall, args=(data,))
            sender.start()
            got = bytearray()
            while len(got) < len(data):
                piece = visitor.recv(65536)
                assert piece, f"the connection ended behind {len(got)} bytes"
                got += piece
            sender.join()
        assert got == data

    def front(self, name, **how):
        return fronts.start(name, self.lab, self.middle, self.certificates, **how)


@pytest.fixture
def place(lab, net, certificates):
    return Place(lab, net, certificates)


# --- through a front ---


@pytest.mark.parametrize("name", fronts.FRONTS)
def test_documented_front(place, name):
    """Control and data connections pass, with and without TLS; the relay knows the client; a front that was away is waited for.
    So do warm connections, and are used again."""
    front, relay = place.front(name), place.relay(*TRUST, metrics=True)

    def metric(what):
        return relay.metrics()[f"bore_ready_{what}"]

    for scheme in ("http", "https"):
        client = place.client(f"{scheme}://{TUNNEL}")
        wait_for(lambda: metric("parked") == 2, "two are parked")
        before = metric("given_total")
        for _ in range(2):
            place.echoes(client.port)
            wait_for(lambda: relay.metrics()["bore_visitors_open"] == 0, "he is gone")
        assert metric("given_total") == before + 2
        _, found = relay.process.wait_line(rf"tunnel_opened port={client.port} addr=(\S+):\d+$")
        assert found[1] == place.far.host
        mark = client.process.mark()
        front.stop()
        client.wait_state("Reconnecting", after=mark)
        front.start()
        client.wait_state("Connected", after=mark)
        place.echoes(client.port)
        client.process.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", fronts.FRONTS)
def test_ends_on_warm_connections(lab, place, name, scheme):
    """A front of HTTP closes both directions when one has ended, but the ends of a warm connection's stream are blocks to it: who has
    said all still gets his answer, and who is cut is reset."""

    def answers_late(sock):
        said = b""
        while piece := sock.recv(4096):
            said += piece
        sock.sendall(said[::-1])
        if said == b"cut":
            reset(sock)

    place.app = lab.app(answers_late, where=place.far)
    place.front(name)
    relay = place.relay(*TRUST, way="warm")
    client = place.client(f"{scheme}://{TUNNEL}")
    relay.wait_parked()
    for said in b"hello", b"cut":
        with place.visit(client.port) as visitor:
            visitor.sendall(said)
            visitor.shutdown(socket.SHUT_WR)
            if said == b"cut":
                with pytest.raises(ConnectionResetError):
                    recv_all(visitor)
            else:
                assert recv_all(visitor) == said[::-1]
    # The namespace is gone when the lab would ask.
    relay.check_way()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_next_relay_takes_over(place, scheme):
    """Behind the front, too: the client comes back to its port by itself, and who was served goes on in the first relay."""
    place.front("nginx")
    handover = ("--handover", place.lab.folder / "next.sock")
    first = place.relay(*TRUST, *handover)
    client = place.client(f"{scheme}://{TUNNEL}")
    with place.visit(client.port) as visitor:
        visitor.sendall(b"one")
        assert recv_exact(visitor, 3) == b"one"
        second = place.relay(*TRUST, *handover)
        first.process.wait_line("the next relay has taken over")
        _, found = second.process.wait_line(rf"tunnel_\w+ port={client.port} addr=(\S+):\d+")
        assert found[1] == place.far.host
        place.echoes(client.port)
        visitor.sendall(b"two")
        assert recv_exact(visitor, 3) == b"two"
    assert first.process.wait_exit() == 0
    place.echoes(client.port)


def test_trusted_front_that_takes_its_time(lab):
    """A relay that knew the front sent the challenge after 100 ms, before the request had come, and the front answered with 502."""
    relay = lab.relay(host="127.0.0.1", secret=SECRET, args=TRUST)
    request = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: bore\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
    for pause in (0, 0.5):
        with socket.create_connection(relay.control, timeout=DEADLINE) as front:
            if pause:
                assert not select.select([front], [], [], pause)[0], "a word before the request"
            front.sendall(request)
            assert front.recv(4096).startswith(b"HTTP/1.1 101 ")


def test_configuration_that_people_have(place):
    """The issue's own words, without --trusted-proxy, for a relay that was never told of a front. It challenges the front like any
    other newcomer when no byte has come for 100 ms, and a front that was held up for so long takes that for a bad answer: 502."""
    text = """server { listen 80; server_name tunnel.mydomain.com; location / { proxy_pass http://localhost:7835; proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr; } }"""
    assert text.split() == fronts.documented("/etc/nginx/conf.d/tunnel.conf").split("\n", 1)[1].split()
    fronts.nginx(place.lab, place.middle, text, (80,))
    relay = place.relay()
    client = in_time(0.1, lambda: place.client(f"http://{TUNNEL}"))
    in_time(0.1, lambda: place.echoes(client.port))
    relay.process.wait_line(r" warn relay: an HTTP front at \S+ names its clients, but is not trusted: the limits count them not at all")
    # A client that needs no front is served beside it.
    direct = place.client(place.host)
    place.echoes(direct.port)


def test_path_of_a_front(place):
    place.relay(*TRUST)
    text = fronts.documented("/etc/nginx/conf.d/tunnel.conf").replace("location /", "location /bore")
    fronts.nginx(place.lab, place.middle, text, (80,))
    place.echoes(place.client(f"http://{TUNNEL}/bore").port)
    code, said = place.failure(f"http://{TUNNEL}/elsewhere")
    assert code == 7 and "it has nothing at that path (404)" in said


def test_limits_see_the_real_client(place):
    """And no field that the client makes up."""
    place.front("nginx")
    relay = place.relay(*TRUST, "--max-tunnels-per-addr", 1)
    place.client(f"http://{TUNNEL}")
    assert "too many tunnels" in place.failure(f"http://{TUNNEL}")[1]
    for field in ("X-Forwarded-For: 198.51.100.1", "X-Real-IP: 198.51.100.1"):
        with place.far.entered():
            sock = socket.create_connection((place.host, 80), timeout=DEADLINE)
        with sock:
            request = f"GET / HTTP/1.1\r\nHost: {TUNNEL}\r\nConnection: Upgrade\r\nUpgrade: bore\r\n{field}\r\n\r\n"
            sock.sendall(request.encode())
            answer = sock.recv(4096)
        # The documented configuration for port 80 passes on the one and overwrites the other.
        assert answer.startswith(b"HTTP/1.1 400 " if "Forwarded" in field else b"HTTP/1.1 101 "), answer
    assert "198.51.100.1" not in relay.process.text()


@needs_wall
def test_wasmrun_os(place, tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    build_hello(folder)
    place.front("nginx")
    place.relay(*TRUST)
    instance = run_os(
        place.lab, folder, "--expose", "--tunnel-server", f"https://{TUNNEL}", "--tunnel-tls-ca", place.certificates.ca, "--tunnel-secret", SECRET,
        where=place.far, wrap=place.hosts)
    _, found = instance.process.wait_line(rf"http://{re.escape(TUNNEL)}:(\d+)")
    with place.visit(int(found[1])) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert visitor.recv(4096).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("front, title", [
    pytest.param(fronts.nginx_stream, "/etc/nginx/nginx.conf, beside http { … }", id="nginx, version 1"),
    pytest.param(fronts.haproxy, "/etc/haproxy/haproxy.cfg, for raw TCP", id="HAProxy, version 2"),
])
def test_raw_port_with_proxy_protocol(place, front, title):
    front(place.lab, place.middle, fronts.documented(title), (7836,))
    relay = place.relay(*TRUST)
    client = place.client(f"{TUNNEL}:7836")
    place.echoes(client.port)
    assert relay.process.wait_line(rf"tunnel_opened port={client.port} addr=(\S+):\d+$")[1][1] == place.far.host
    # The same header from a stranger is none of bore; his own words are.
    with place.visit(7835) as stranger:
        stranger.sendall(b"PROXY TCP4 198.51.100.1 198.51.100.2 1 7835\r\n")
        with pytest.raises(ConnectionResetError):
            while said := stranger.recv(1000):
                assert b"Challenge" in said
            raise ConnectionResetError
    place.echoes(place.client(place.host).port)
    assert "198.51.100.1" not in relay.process.text()


def test_trusted_proxy_that_adds_nothing(place):
    """Its clients could write the header themselves."""
    text = fronts.documented("/etc/nginx/nginx.conf, beside http { … }").replace("proxy_protocol on;", "")
    fronts.nginx_stream(place.lab, place.middle, text, (7836,))
    relay = place.relay(*TRUST)
    assert place.failure(f"{TUNNEL}:7836", secret=None)[0] == 7
    relay.process.wait_line("nothing is taken from 127.0.0.1, .* says neither an upgrade nor a PROXY header")


# --- what a front can do wrong ---


def test_idle_time_out_is_found(place):
    """The control connection outlives it, by its heartbeats; of two visitors who were cut after the same silence one is told."""
    text = fronts.documented("/etc/nginx/conf.d/tunnel.conf").replace("proxy_pass ", "proxy_read_timeout 6s; proxy_pass ")
    fronts.nginx(place.lab, place.middle, text, (80,))
    place.relay(*TRUST)
    client = place.client(f"http://{TUNNEL}")
    visitors = [place.visit(client.port) for _ in range(2)]
    for visitor in visitors:
        visitor.sendall(b"?")
        assert visitor.recv(1) == b"?"
    client.process.wait_line(r" warn tunnel: the front seems to close what is quiet for [6-9] s: ")
    for visitor in visitors:
        visitor.close()
    assert not client.process.find("Reconnecting")
    place.echoes(client.port)


ANSWERS = {
    "it answers with a page, and passes no upgrade on (200)": "return 200;",
    "it redirects (301 to 'https://elsewhere.example/')": "return 301 https://elsewhere.example/;",
    "it asks for a login, or refuses (403)": "return 403;",
    "it has nothing at that path (404)": "return 404;",
    "it can't reach the relay (502)": "proxy_pass http://127.0.0.1:9;",
    "it can't reach the relay (503)": "return 503;",
    "it does not pass the upgrade on (426)": "proxy_pass http://127.0.0.1:7835;",
    "it answers with status 418": "return 418;",
}


def test_answers_of_a_front(place):
    """Its status is told, and what to do; and so it is where TLS, name or certificate are wrong."""
    locations = "".join(f"location /{i} {{ {how} }}\n" for i, how in enumerate(ANSWERS.values()))
    fronts.nginx(place.lab, place.middle, f"server {{ listen 80; {locations} }}", (80,))
    place.relay(*TRUST)
    for i, said in enumerate(ANSWERS):
        code, line = place.failure(f"http://{TUNNEL}/{i}")
        assert code == 7 and line.startswith(f"no way through http://{TUNNEL}/{i}: {said}; "), line
    code, line = place.failure(f"https://{TUNNEL}:80")
    assert code == 7 and "it does not speak TLS" in line, line


@pytest.mark.parametrize(
    "which, to, ca, said",
    [
        ("good", f"https://{TUNNEL}", True, None),
        ("good", f"https://{TUNNEL}", False, "signed by a CA that is not trusted here"),
        ("expired", f"https://{TUNNEL}", True, "its certificate has expired"),
        ("other", f"https://{TUNNEL}", True, "its certificate is for another name (other.mydomain.com)"),
        ("good", f"http://{TUNNEL}:443", True, "it refuses the request (400)"),
    ],
    ids=["good", "unknown-ca", "expired", "other-name", "no-tls"],
)
def test_certificates(place, which, to, ca, said):
    place.front("nginx", certificate=getattr(place.certificates, which))
    place.relay(*TRUST)
    if not said:
        # More than fits into all that is on the way, in both directions.
        place.echoes(place.client(to).port, size=20_000_000)
        return
    code, line = place.failure(to, ca=None if ca else place.certificates.other[0])
    assert code == 7 and said in line, line


def test_ca_file_that_is_none(place):
    process = place.start_client(f"https://{TUNNEL}", ca="/dev/null")
    code, line = process.wait_exit(), process.find(r" error tunnel: (.*)$")[0][1][1]
    assert code == 11 and "can't take the CA certificates of '/dev/null'" in line


class Crossing:
    """A front of a few lines, whose end of a connection can be cut, or ended in order."""

    def __init__(self, place):
        self.place, self.connections = place, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*place.certificates.good)
        with place.middle.entered():
            self.listener = socket.create_server(("0.0.0.0", 443))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock, _ = self.listener.accept()
            with self.place.middle.entered():
                relay = socket.create_connection(("127.0.0.1", 7835))
            try:
                outer = self.context.wrap_socket(sock, server_side=True)
            except OSError:
                relay.close()  # the client has given up
                continue
            wake, woken = socket.socketpair()
            self.connections.append((outer, wake))
            threading.Thread(target=self.move, args=(outer, relay, woken), daemon=True).start()

    def move(self, outer, relay, woken):
        """All that TLS does for a connection is done in this thread: OpenSSL's connections are for one at a time."""
        try:
            while True:
                ready = [outer] if outer.pending() else select.select([outer, relay, woken], [], [])[0]
                if woken in ready:
                    # An alert of warning level, close_notify, and then the FIN.
                    outer.unwrap()
                    return
                for source, to in ((outer, relay), (relay, outer)):
                    if source in ready:
                        data = source.recv(65536)
                        if not data:
                            return
                        to.sendall(data)
        except (OSError, ValueError):
            pass

    def end(self, connection, how):
        outer, wake = connection
        if how == "notify":
            wake.sendall(b"!")
        else:
            socket.socket.shutdown(outer, socket.SHUT_WR)


@pytest.mark.parametrize("how, reset", [("notify", False), ("fin", True)])
def test_end_without_close_notify_is_a_reset(place, how, reset):
    """Whoever can drop packets could make a FIN of TCP: what was cut must not look whole to the application."""
    ends = []

    def app(sock):
        try:
            while sock.recv(1000):
                sock.sendall(b"!")
            ends.append("end")
        except ConnectionResetError:
            ends.append("reset")

    place.app = place.lab.app(app, where=place.far)
    place.relay(*TRUST)
    crossing = Crossing(place)
    client = place.client(f"https://{TUNNEL}")
    with place.visit(client.port) as visitor:
        visitor.sendall(b"?")
        assert visitor.recv(1) == b"!"
        crossing.end(crossing.connections[-1], how)
        wait_for(lambda: ends, "the application hears of the end")
    assert ends == ["reset" if reset else "end"]


# --- HTTPS for the application ---


def test_relay_tells_what_it_is(place):
    place.relay(secret=None)  # or whoever takes 100 ms for the request gets a challenge
    with place.far.entered():
        conn = http.client.HTTPConnection(place.host, 7835, timeout=DEADLINE)
        conn.request("GET", "/")
        answer = conn.getresponse()
        said = answer.read().decode()
    assert answer.status == 426 and answer.headers["Upgrade"] == "bore" and "control port of a bore relay" in said


@pytest.mark.parametrize("name, title", [("nginx", "/etc/nginx/conf.d/app.conf"), ("caddy", "/etc/caddy/Caddyfile, for the application")])
def test_https_for_the_application(place, name, title):
    """A sender of webhooks speaks HTTPS to a tunnel's port that stays; without a tunnel a page in words answers."""

    def app(sock):
        request = b""
        while b"\r\n\r\n" not in request:
            request += sock.recv(4096)
        body = re.search(rb"(?i)x-forwarded-for: (\S+)", request)[1]
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    place.app = place.lab.app(app, where=place.far)
    run = fronts.FRONTS[name][0]
    run(place.lab, place.middle, place.certificates.put(fronts.documented(title)), (443,))
    place.relay("--bind-tunnels", "127.0.0.1")
    context = ssl.create_default_context(cafile=place.certificates.ca)

    def get():
        with place.far.entered():
            sock = socket.create_connection((place.host, 443), timeout=DEADLINE)
        with context.wrap_socket(sock, server_hostname=APPLICATION) as visitor:
            visitor.sendall(f"GET / HTTP/1.1\r\nHost: {APPLICATION}\r\nConnection: close\r\n\r\n".encode())
            answer = http.client.HTTPResponse(visitor)
            answer.begin()
            return answer.status, answer.read().decode()

    status, said = get()
    assert status == 502 and "no tunnel has this port" in said
    place.client(place.host, port=9000)
    assert get() == (200, place.far.host)
    with place.far.entered(), socket.socket() as sock:
        assert sock.connect_ex((place.host, 9000)) != 0

# SPDX-License-Identifier: MIT
"""`bore doctor` and `wasmrun doctor`: each check where it is good and where it is wrong, with its exit code."""

import contextlib
import http.server
import json
import signal
import socket
import subprocess
import threading

import pytest

from harness.apps import free_port
from harness.lab import OURS
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, need_wasmrun

CHECKS = ["name", "control_port", "clock", "front", "protocol", "secret", "public_port", "application"]
NOT_ASKED = "not asked: what is before it is wrong"


def doctor(lab, *args, program=OURS, code=0, **how):
    """{check: (result, found, remedy)}."""
    process = lab.process([program, "doctor", "--json", *args], "doctor", **how)
    assert process.wait_exit() == code, process.text()
    return report_of(process, code)


def report_of(process, code):
    report = json.loads(process.text("stdout"))
    assert report["code"] == code
    assert [check["check"] for check in report["checks"]] == CHECKS[-len(report["checks"]):]
    return {check["check"]: (check["result"], check["found"], check["remedy"]) for check in report["checks"]}


def need_wrong(said, check, found, remedy):
    """That one is wrong, what is before it isn't, and what depends on it was not asked."""
    at = CHECKS.index(check)
    assert said[check][0] == "wrong" and found in said[check][1] and remedy in said[check][2], said[check]
    for before in CHECKS[:at]:
        assert said[before][0] in ("good", "skipped") and said[before][1] != NOT_ASKED, (before, said)
    for behind in CHECKS[at + 1:-1]:
        assert said[behind] == ("skipped", NOT_ASKED, None), (behind, said)


class Page(http.server.BaseHTTPRequestHandler):
    """A web server that lets in the names of `names` alone, where there are any."""

    names, status = (), 200

    def do_GET(self):
        let_in = not self.names or self.headers["Host"].rpartition(":")[0] in self.names
        self.send_response(self.status if let_in else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def page(host="127.0.0.1", **how):
    handler = type("Handler", (Page,), how)
    server = type("Server", (http.server.ThreadingHTTPServer,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})(
        (host, 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def greet(data):
    """An application that says something by itself."""
    def handler(sock):
        sock.sendall(data)
        sock.recv(4096)
    return handler


@pytest.mark.parametrize("program", ["bore", "wasmrun"])
def test_all_is_good(lab, program):
    if program == "wasmrun":
        need_wasmrun()
    relay = lab.relay(secret="pw")
    with page() as port:
        said = doctor(lab, port, "--to", relay.to, "--secret", "pw", program=OURS if program == "bore" else WASMRUN)
    assert {result for result, _, _ in said.values()} == {"good", "skipped"}
    assert [check for check in said if said[check][0] == "skipped"] == ["name", "clock", "front"]
    assert said["control_port"][1] == f"{relay.to} takes connections"
    assert "with our extensions" in said["protocol"][1] and said["secret"][1] == "the relay takes it"
    assert said["public_port"][1].startswith(f"{relay.host}:") and "led here" in said["public_port"][1]
    assert said["application"][1] == f"127.0.0.1:{port} answers with status 200"


def test_a_line_for_each(lab):
    relay = lab.relay()
    told = subprocess.run([OURS, "doctor", "--to", relay.to, "--secret", "x"], capture_output=True, text=True, timeout=DEADLINE)
    labels = [line[:14].strip() for line in told.stdout.splitlines()]
    assert told.returncode == 5 and told.stderr == ""
    assert labels == ["name:", "control port:", "clock:", "HTTP front:", "protocol:", "secret:", "", "public port:", "application:"]
    assert told.stdout.splitlines()[5].startswith("secret:       WRONG: ")


def test_nothing_to_look_at():
    told = subprocess.run([OURS, "doctor"], capture_output=True, text=True, timeout=DEADLINE)
    assert told.returncode == 2 and told.stderr == "error: there is nothing to look at: give --to, or a local port; see 'bore doctor --help'\n"


def test_stock_relay(lab):
    relay = lab.relay("stock", secret="pw")
    said = doctor(lab, "--to", relay.to, "--secret", "pw")
    assert "as stock bore speaks it" in said["protocol"][1] and said["public_port"][0] == "good"
    need_wrong(doctor(lab, "--to", relay.to, "--secret", "no", code=5), "secret", "does not accept the secret", "give the one")


def test_name(lab):
    relay = lab.relay(host="127.0.0.1")
    said = doctor(lab, "--to", f"localhost:{relay.control_port}")
    assert said["name"] == ("good", "localhost is ::1, 127.0.0.1", None)
    assert said["control_port"][1] == f"[::1]:{relay.control_port}: connection refused, 127.0.0.1:{relay.control_port} takes connections"
    need_wrong(doctor(lab, "--to", "relay.invalid", code=4), "name", "could not resolve relay.invalid", "check its spelling and this machine's DNS")


def test_control_port_is_refused(lab):
    need_wrong(doctor(lab, "--to", f"127.0.0.1:{free_port()}", code=3), "control_port", "connection refused", "is `bore server` running there")


def test_firewalls(lab, net):
    """One that drops is nothing in 5 s, for the control port and for the public ones."""
    client = net.spoke()
    host = client.middle
    lab.relay(host=host, control_port=7835, where=net.middle, args=["--min-port", 20000, "--max-port", 20100])
    assert doctor(lab, "--to", host, where=client)["public_port"][0] == "good"
    net.middle.nft("add table inet wall")
    net.middle.nft("add chain inet wall input { type filter hook input priority 0; }")
    net.middle.nft("add rule inet wall input tcp dport 20000-20100 drop")
    said = doctor(lab, "--to", host, where=client, code=1)
    need_wrong(said, "public_port", "in 5 s", "A firewall at the relay probably drops it: TCP port 20")
    net.middle.nft("add rule inet wall input tcp dport 7835 drop")
    said = doctor(lab, "--to", host, where=client, code=3)
    need_wrong(said, "control_port", "connection timed out", "does its firewall let this TCP port pass")


def test_public_ports_elsewhere(lab):
    relay = lab.relay(args=["--bind-tunnels", "127.1.2.3"])
    need_wrong(doctor(lab, "--to", relay.to, code=1), "public_port", "refuses connections, though the relay has given out that port", "--bind-tunnels")


def test_public_port_is_not_to_be_had(lab):
    relay = lab.relay(args=["--min-port", 20000, "--max-port", 20100])
    need_wrong(doctor(lab, "--to", relay.to, "--port", 30000, code=6), "public_port", "does not allow the public port 30000", "ask for another")


def test_secrets(lab):
    relay, open_relay = lab.relay(secret="pw"), lab.relay()
    need_wrong(doctor(lab, "--to", relay.to, code=5), "secret", "asks for a secret", "--secret-file")
    need_wrong(doctor(lab, "--to", relay.to, "--secret", "no", code=5), "secret", "does not accept the secret ('invalid secret')", "give the one")
    need_wrong(doctor(lab, "--to", open_relay.to, "--secret", "pw", code=5), "secret", "did not ask for the secret in time", "leave the secret away")


@pytest.mark.parametrize("says, found, remedy", [
    (b"HTTP/1.1 404 Not Found\r\n\r\n", "is a web server ('HTTP/1.1 404 Not Found')", "--to http://"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "is an SSH server ('SSH-2.0-OpenSSH_9.2')", "a relay's is 7835"),
    (b"220 mx ESMTP\r\n", "is a mail or FTP server", "a relay's is 7835"),
    (b"\x15\x03\x01\x00\x02\x02\x46\n", "speaks TLS", "write --to https://"),
    (b"who are you?\n", "is no bore server, or does not answer as one", "check the relay's name and port"),
])
def test_strangers(lab, says, found, remedy):
    app = lab.app(greet(says))
    need_wrong(doctor(lab, "--to", f"127.0.0.1:{app.port}", code=7), "protocol", found, remedy)


def test_penalised(lab, net):
    """After wrong secrets the relay says nothing any more."""
    client = net.spoke()
    relay = lab.relay(host=client.middle, secret="pw", where=net.middle)

    def turned_away():
        """For longer after each further wrong one: where the next try comes too late for this time, another one doesn't."""
        lab.process([OURS, "doctor", "--to", relay.to, "--secret", "no"], "wrong", where=client).wait_exit()
        process = lab.process([OURS, "doctor", "--json", "--to", relay.to, "--secret", "pw"], "doctor", where=client)
        return process.wait_exit() == 7 and process

    said = report_of(wait_for(turned_away, "the relay turns the client away", 4 * DEADLINE), 7)
    need_wrong(said, "protocol", "takes connections, and closes them without a word", "if wrong secrets have come from here, check the secret and wait")


@pytest.mark.parametrize("status, remedy", [(200, "with the headers Upgrade and Connection"), (404, "check the path"),
                                             (426, "let it speak HTTP/1.1"), (502, "is `bore server` running behind it")])
def test_fronts(lab, status, remedy):
    relay = lab.relay()
    assert doctor(lab, "--to", f"http://{relay.host}:{relay.control_port}")["front"][0] == "good"
    with page(status=status) as port:
        said = doctor(lab, "--to", f"http://127.0.0.1:{port}", code=7)
    need_wrong(said, "front", f"({status})", remedy)


def test_clock(lab):
    """It counts where a certificate is judged."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = doctor(lab, "--to", f"https://127.0.0.1:{listener.getsockname()[1]}", code=7)
    assert said["clock"][0] == "good" and "UTC, by which the certificate is judged" in said["clock"][1]


def test_application(lab):
    with page() as port:
        assert doctor(lab, port)["application"] == ("good", f"127.0.0.1:{port} answers with status 200", None)
    said = doctor(lab, port, code=1)["application"]
    assert said[0] == "wrong" and said[1] == f"localhost:{port}: connection refused" and said[2].startswith("start the application")


@pytest.mark.parametrize("host", ["127.9.8.7", "::1"])
def test_application_at_another_address(lab, host):
    with page(host) as port:
        said = doctor(lab, port, "--local-host", "127.0.0.1", code=1)["application"]
        assert said[1] == f"127.0.0.1:{port}: connection refused, but port {port} is listened on at {host}"
        assert said[2].startswith("name that address with --local-host")
        assert doctor(lab, port, "--local-host", host)["application"][0] == "good"


def test_application_that_lets_no_other_name_in(lab):
    relay = lab.relay()
    with page(names=("localhost",)) as port:
        said = doctor(lab, port, "--to", relay.to, code=1)["application"]
    assert said[0] == "wrong" and f"answers with status 200, but with 403 when its visitors' name for it, '{relay.host}:" in said[1]
    assert said[2].startswith("let that name in")
    with page(names=("localhost", relay.host)) as port:
        assert doctor(lab, port, "--to", relay.to)["application"][0] == "good"


@pytest.mark.parametrize("says, found", [
    (b"SSH-2.0-x\r\n", "takes connections, and speaks no HTTP/1: 'SSH-2.0-x'"),
    (b"\x15\x03\x03\x00\x02\x02\x46\n", "speaks TLS: visitors have to write https://"),
    (b"", "takes connections, and closes them when it is asked by HTTP"),
])
def test_application_of_another_protocol(lab, says, found):
    app = lab.app(greet(says))
    said = doctor(lab, app.port)["application"]
    assert said[0] == "good" and found in said[1]


def test_interrupted(lab):
    """While somebody is asked who says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = lab.process([OURS, "doctor", "--to", f"127.0.0.1:{listener.getsockname()[1]}"], "doctor")
        process.wait_line("^control port:")
        process.signal(signal.SIGTERM)
        assert process.wait_exit() == 0

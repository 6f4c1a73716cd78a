# SPDX-License-Identifier: MIT
"""What a hostile program in the engine's place (tools/escape.c) asks the broker for, and does to the supervisor: every refusal is told with its
reason, and the supervisor stays small and answers."""

import errno
import pathlib
import re

import pytest

from harness.apps import hold
from harness.outlaw import GONE
from harness.wait import DEADLINE, SANITIZER, wait_for
from harness.wasmrun import gone

pytestmark = pytest.mark.usefixtures("isolated")

MEMORY_MAX = 64 << 20
DENIED, NO_NAME = f"broker {errno.EACCES}", f"resolve {errno.ENOENT}"
REFUSED = f"broker {errno.ECONNREFUSED}"  # what the application hears of this machine's loopback


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def need_well(outlaw):
    """The supervisor answers, and is small."""
    assert outlaw.instance.ask("GET", "/api/app", deadline=DEADLINE).status == 200
    if not SANITIZER:
        assert resident(outlaw.process) < MEMORY_MAX
    assert outlaw.process.fds() < 128


@pytest.mark.parametrize("kind", ["empty", "short", "long", "alone", "two", "epoll", "memfd", "stream", "pipe", "listener", "broker", "file"])
def test_junk_for_the_broker(outlaw, kind):
    """What no client of ours sends ends the instance; the next one is served as any."""
    one = outlaw()
    pid = one.instance.app()["pid"]
    said = one.try_way(f"junk {kind}")
    assert said in ("ok 0", GONE)
    wait_for(lambda: gone(pid), "the instance is ended")
    one.process.wait_line(r" error network: the application has sent its broker what no client of ours sends \(")
    assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)


def test_broker_allows(lab, outlaw):
    """The control of all refusals: what a rule names is reached, by the same request."""
    app = lab.app(hold)
    one = outlaw("--allow-net", f"localhost:{app.port}", "--allow-net", "*", "--bind-port", "81")
    for count, way in enumerate(("ask 127.0.0.1", "ask ::ffff:127.0.0.1", "ask_name localhost"), 1):
        assert one.try_way(f"{way} {app.port}") == "ok 0"
        app.wait_accepted(count)
    assert one.try_way("ask_listen 80") == one.try_way("ask_listen 81") == "ok 0"
    told = one.instance.get("/api/network/decisions")["decisions"]
    assert told and all(one["allowed"] for one in told)
    need_well(one)


PAGE = "it is the page and the API of wasmrun, which no rule can allow"


def named(address, kind):
    return f"{address} is {kind} and must be named: allow '{address}:{{page}}'"


# way: (what the application is told, what it has asked for, the reason)
THIS_MACHINE = {
    f"{way} {{page}}": (REFUSED, f"{asked}:{{page}}", PAGE)
    for asked, ways in {
        "127.0.0.1": ("ask 127.0.0.1", "ask ::ffff:127.0.0.1", "ask 0.0.0.0", "ask_name localhost", "ask_name LOCALHOST.", "ask_name a.localhost",
                      "ask_name 2130706433", "ask_name 0x7f000001", "ask_name 0177.0.0.1", "ask_name 127.1", "ask_name ::ffff:127.0.0.1"),
        "127.1.2.3": ("ask 127.1.2.3",),
        "[::1]": ("ask ::1", "ask ::", "ask_name ::1"),
    }.items() for way in ways
}
LEADING_HERE = {
    f"ask {address} {{page}}": (DENIED, f"[{address}]:{{page}}", PAGE)
    for address in ("2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2001::1", "::127.0.0.1")
}
NOT_PUBLIC = {
    f"ask {address} {{page}}": (DENIED, f"{shown}:{{page}}", named(shown, kind))
    for address, shown, kind in (
        ("169.254.169.254", "169.254.169.254", "link-local (RFC 3927)"), ("::ffff:169.254.169.254", "169.254.169.254", "link-local (RFC 3927)"),
        ("10.0.0.1", "10.0.0.1", "private (RFC 1918)"), ("168.63.129.16", "168.63.129.16", "the platform of Azure (Azure's documentation)"),
        ("100.64.0.1", "100.64.0.1", "shared behind a carrier's NAT (RFC 6598)"), ("fe80::1", "[fe80::1]", "link-local (RFC 4291, 2.5.6)"),
        ("fd00::1", "[fd00::1]", "private (RFC 4193)"), ("224.0.0.1", "224.0.0.1", "multicast (RFC 5771)"),
    )
}
RESERVED = {
    f"ask {address} {{page}}": (DENIED, f"{address}:{{page}}", named(address, kind))
    for address, kind in (
        ("255.255.255.255", "reserved (RFC 1112, 4)"), ("240.0.0.1", "reserved (RFC 1112, 4)"), ("198.18.0.1", "for benchmarks (RFC 2544)"),
    )
}
NO_NAMES = {
    "ask_name ::1%lo {page}": (NO_NAME, "::1%lo", "an address with a zone (RFC 4007) can't be judged"),
    "ask_name a..example 80": (NO_NAME, "a..example", "it has an empty label: a dot at its start, or two in a row"),
    f"ask_name {'a' * 64}.example 80": (NO_NAME, f"{'a' * 64}.example", "it has more than 63 bytes without a dot, which no name may"),
}
WITHOUT_A_RULE = {
    "ask 192.0.2.1 443": (DENIED, "192.0.2.1:443", "must be named: allow '192.0.2.1:443'"),
    "ask 8.8.8.8 443": (DENIED, "8.8.8.8:443", "no rule allows it: allow '8.8.8.8:443'"),
    "ask 2001:4860::1 443": (DENIED, "[2001:4860::1]:443", "no rule allows it: allow '[2001:4860::1]:443'"),
    "ask_name evil.example 443": (NO_NAME, "evil.example", "no rule allows it: allow 'evil.example'"),
    "ask 127.0.0.1 {other}": (REFUSED, "127.0.0.1:{other}", "127.0.0.1 is loopback (RFC 1122, 3.2.1.3) and must be named: allow 'localhost:{other}'"),
    "ask_datagrams": (DENIED, "UDP", "there are no sockets for datagrams"),
    "ask_listen 81": (DENIED, "port 81", "it isn't its first port, and not in bind_ports: add it there (--bind-port)"),
}
EVERYTHING = ("--allow-net", "*")


@pytest.mark.parametrize("args, ways", [
    (EVERYTHING, THIS_MACHINE), (EVERYTHING, LEADING_HERE), (EVERYTHING, NOT_PUBLIC), (EVERYTHING, RESERVED), (EVERYTHING, NO_NAMES), ((), WITHOUT_A_RULE),
], ids=["this machine", "leading here", "not public", "reserved", "no names", "without a rule"])
def test_refusal_is_told(lab, outlaw, args, ways):
    """Each that the broker saw is in the API and in the log, with its reason. The first eight different ones are logged: a table has no more."""
    other = lab.app(hold)
    one = outlaw(*args)
    assert one.try_way("ask_listen 80") == "ok 0"
    names = {"page": one.instance.port, "other": other.port}
    for way, row in ways.items():
        answer, asked, why = (text.format(**names) for text in row)
        assert one.try_way(way.format(**names)) == answer, way
        told = max(one.instance.get("/api/network/decisions")["decisions"], key=lambda decision: decision["seq"])
        assert not told["allowed"] and told["asked"] == asked and why in told["why"], way
        line = rf"the application may not (connect to|look up|listen on|use) '{re.escape(asked)}': {re.escape(told['why'])}$"
        assert any(re.match(line, one["text"]) for one in one.instance.get("/api/logs")["lines"]), way
        one.process.wait_line(line)
    assert other.accepted == 0
    need_well(one)


@pytest.mark.parametrize("name", [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "LOCALHOST", "localhost.", "a.localhost", "::ffff:127.0.0.1",
    "[::1]", "::1%lo", "fe80::1%1", "metadata.google.internal", "127.0.0.1.nip.io", "-a.example", "a..example", "a b",
])
def test_names_lead_nowhere(outlaw, name):
    """However it is written: with a rule for all the world it leads to nothing of this machine."""
    one = outlaw("--allow-net", "*")
    said = one.try_way(f"ask_name {name} {one.instance.port}")
    assert said.split()[0] in ("resolve", "broker"), said


def test_ten_thousand_requests(outlaw):
    one = outlaw("--allow-net", "*.example")
    before = one.process.fds()
    assert one.try_way("ask_often 10000 example") == f"broker {errno.ENOMEM}"  # more names than there are addresses
    assert one.try_way("ask_deaf 10000 127.0.0.1 1") == "ok 0"
    assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)
    wait_for(lambda: one.process.fds() <= before + 2, "no descriptors are left")


def test_pairs_that_hold_each_other(outlaw):
    one = outlaw()
    before = one.process.fds()
    one.try_way("cycles 500")
    need_well(one)
    wait_for(lambda: one.process.fds() <= before + 2, "no descriptors are left")


@pytest.mark.parametrize("depth", [0, 40])
def test_socket_that_lingers(outlaw, depth):
    """The answer's end holds a socket whose end waits for a visitor: nobody but the instance is to wait for that."""
    one = outlaw()
    with one.connect() as sock, one.connect():
        sock.sendall(f"linger 60 {depth}\n".encode())
        assert sock.makefile().readline() == "ok 0\n"
        need_well(one)


def test_listener_that_blocks(outlaw):
    """O_NONBLOCK belongs to the open file, which the instance and the gate share (open(2))."""
    one = outlaw()
    assert one.try_way("listener_blocks") == "ok 0"
    assert one.instance.ask("POST", "/api/app/stop").status == 200
    one.instance.wait_app("stopped")
    with one.connect() as visitor:
        visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 503 " in visitor.makefile("rb").readline()
        need_well(one)


def test_listener_that_is_shut(outlaw):
    one = outlaw()
    for _ in range(3):
        pid = one.instance.app()["pid"]
        assert one.try_way("shut") in ("ok 0", GONE)
        wait_for(lambda: gone(pid), "the instance is ended")
        assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)

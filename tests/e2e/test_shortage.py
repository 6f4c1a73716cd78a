# SPDX-License-Identifier: MIT
"""Too few descriptors, too few pipes, too few ports."""

import threading
import time

import pytest

from harness.lab import pairs
from harness.netns import unusable
from harness.streams import connect, duplex, ended, pattern, ping, recv_exact, threads
from harness.wait import DEADLINE, SANITIZER, wait_for

MIB = 1 << 20
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
FEW = ("prlimit", "--nofile=64:64")
# Said once an episode: what both programs call the shortage.
SHORTAGE = r"out of (file )?descriptors|too many open files|open files"
# A visitor who is served ends an episode, and under load many are in between. A client has one for the relay and one
# for the application, and of each at most EPISODE_BURST lines at once (src/tunnel/episode.h). A slow storm has more time
# for further ones: RESERVE_QUIET_MS, EPISODE_LINE_MS.
SHORTAGE_LINES = {"relay": 6, "client": 2 * 8}
SHORTAGE_LINES_PER_S = {"relay": 1 / 2, "client": 2 / 10}


def storm(address, count):
    """`count` visitors who are all there at once, most of whom are turned away."""
    everyone, served = threading.Barrier(count), []

    def visit(number):
        try:
            sock = connect(address, 4 * DEADLINE)
        except OSError:
            everyone.wait(4 * DEADLINE)
            return
        with sock:
            everyone.wait(4 * DEADLINE)
            try:
                sock.sendall(b"ping")
                if sock.recv(4) == b"ping":
                    served.append(number)
            except OSError:
                pass  # shed

    with threads(10 * DEADLINE) as group:
        for number in range(count):
            group.start(visit, number)
    return len(served)


def serves(address):
    try:
        ping(address)
    except (OSError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("path", ["copy", "splice"])
@pytest.mark.parametrize("short", ["relay", "client"])
def test_64_descriptors_and_500_visitors(lab, path, short):
    """The one that is short of them sheds, says so in few lines, and serves normally afterwards."""
    limits = {"relay": (), "client": (), short: FEW}
    relay = lab.relay(path=path, wrap=limits["relay"])
    client = lab.client(relay, lab.app(), path=path, wrap=limits["client"])
    process = {"relay": relay, "client": client}[short].process
    with connect(client.public) as early:
        early.sendall(b"early")
        assert recv_exact(early, 5) == b"early"
        began = time.monotonic()
        served = storm(client.public, 500)
        early.sendall(b"still")
        assert recv_exact(early, 5) == b"still", "an open stream is not disturbed"
    assert served > 0
    said = process.find(SHORTAGE)
    most = SHORTAGE_LINES[short] + (time.monotonic() - began) * SHORTAGE_LINES_PER_S[short]
    assert 1 <= len(said) <= most, f"{len(said)} lines about it:\n{process.tail()}"
    wait_for(lambda: serves(client.public), "it serves again", 2 * DEADLINE)
    for _ in range(20):
        ping(client.public)
    assert relay.process.alive() and client.process.alive()
    assert not client.process.find("Reconnecting"), "the control connection has held"


@pytest.mark.root
@pytest.mark.parametrize("pair", pairs("ours/ours", ways=["warm"]))
def test_200_bulk_streams_as_nobody(lab, pair, public_bore):
    """An ordinary user's pipes run out in the middle; every byte arrives all the same."""
    size = MIB // 4 if SANITIZER else MIB
    everyone, full = threading.Barrier(200), threading.Barrier(200)

    def app(sock):
        data = pattern(sock.recv(4).decode(), size)
        assert duplex(sock, data, size) == data

    how = {"path": pair.path, "program": public_bore, "wrap": AS_NOBODY}
    application = lab.app(app)
    relay = lab.relay(way=pair.way, **how)
    client = lab.client(relay, application, **how)

    def visit(number):
        key = f"{number:04d}"
        data = pattern(key, size)
        with connect(client.public, 10 * DEADLINE) as visitor:
            everyone.wait(10 * DEADLINE)
            visitor.sendall(key.encode() + data[: size // 2])
            got = recv_exact(visitor, size // 2)
            full.wait(10 * DEADLINE)  # all are under way, none has ended
            assert got + duplex(visitor, data[size // 2 :], size - len(got)) == data

    with threads(20 * DEADLINE) as group:
        for number in range(200):
            group.start(visit, number)
    application.threads.join(10 * DEADLINE)
    ping_late(client, size)


def ping_late(client, size):
    """The pipes are back: one more stream, byte for byte."""
    data = pattern("late", size)
    with connect(client.public) as visitor:
        visitor.sendall(b"late")
        assert duplex(visitor, data, size) == data


@pytest.mark.root
@pytest.mark.parametrize("pair", pairs("ours/ours", ways=["warm"]))
def test_slow_readers_hold_every_pipe(lab, pair, public_bore):
    """Streams that stand still keep what they hold; others must still come through."""
    data = pattern("held", 4 * MIB)

    def app(sock):
        kind = sock.recv(1)
        if kind == b"g":
            sock.sendall(data)
        else:
            sock.sendall(kind)

    how = {"path": pair.path, "program": public_bore, "wrap": AS_NOBODY}
    relay = lab.relay(way=pair.way, **how)
    client = lab.client(relay, lab.app(app), **how)
    held = [connect(client.public, 10 * DEADLINE, rcvbuf=16384) for _ in range(100)]
    try:
        for sock in held:
            sock.sendall(b"g")
        for sock in held:
            assert recv_exact(sock, 1000) == data[:1000]
        for _ in range(10):
            with connect(client.public) as visitor:
                visitor.sendall(b"x")
                assert recv_exact(visitor, 1) == b"x"
                assert ended(visitor)
        with threads(20 * DEADLINE) as group:
            for sock in held[:20]:
                group.start(finish, sock, data)
    finally:
        for sock in held:
            sock.close()


def finish(sock, data):
    assert recv_exact(sock, len(data) - 1000) == data[1000:]
    assert ended(sock)


@pytest.mark.slow
@pytest.mark.root
@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
@pytest.mark.skipif(bool(SANITIZER), reason="so many connections are too many under a sanitizer; 2,000 are tried in test_leaks.py")
def test_short_connections_do_not_use_up_the_ports(lab, net, flood):
    """2,000 a second over a veth pair: 16,000 connections, four times the ports there are, before one of those could be had again."""
    home, away = net.spoke(), net.spoke()
    home.sysctl("net.ipv4.ip_local_port_range", "40000 43999")
    # The visitors' own ports are not what is tried.
    away.sysctl("net.ipv4.tcp_tw_reuse", 1)
    away.sysctl("net.ipv4.ip_local_port_range", "1024 65535")
    app = lab.process([flood, "serve"], "app", where=home)
    port = int(app.wait_line(r"listening at \S+:(\d+)")[1][1])
    relay = lab.relay(host=home.middle, where=net.middle, args=("-q",))
    client = lab.client(relay, port, where=home, args=("-q",))
    count = 16_000
    run = lab.process([flood, "run", away.middle, client.port, count, 2000, 100], "flood", where=away)
    run.wait_exit(600)
    line, match = run.wait_line(r"done=(\d+) failed=(\d+)")
    assert (match[1], match[2]) == (str(count), "0"), run.text()
    assert run.wait_exit() == 0
    assert not client.process.find("Reconnecting")
    # A tenth of a millisecond each is expected; where the kernel has to search for ports, it is many.
    assert client.process.cpu() < 8, f"{client.process.cpu():.1f} s of CPU for {count} connections"

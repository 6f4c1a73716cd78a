# SPDX-License-Identifier: MIT
"""The relay goes and comes back; the right state, the right reason, the same port, and no busy loop."""

import contextlib
import signal
import time

import pytest

from harness.apps import free_port
from harness.lab import STOCK_PORT, Client, Relay, listening_at, new_host
from harness.netns import unusable
from harness.streams import connect, ping, recv_exact
from harness.wait import DEADLINE, SANITIZER, SCALE, wait_for
from harness.wire import FakeRelay, RawClient, tag

# Of one core; an idle or waiting client uses next to none.
BUSY = 0.1 * SCALE
# Silence is noticed after 8 s.
SILENCE = 80 * SCALE
BACKOFF_FIRST, BACKOFF_MAX = 0.25, 30


class Idle:
    """Asserts that the process has not been busy meanwhile."""

    def __init__(self, process):
        self.process = process

    def __enter__(self):
        self.cpu, self.time = self.process.cpu(), time.monotonic()

    def __exit__(self, failure, *_):
        if failure is None and self.process.alive():
            used, passed = self.process.cpu() - self.cpu, time.monotonic() - self.time
            assert used < 0.3 * SCALE + BUSY * passed, f"{used:.2f} s of CPU in {passed:.1f} s of waiting"


def fixed(lab, kind="ours", **how):
    """A function that starts a relay on the same address and port each time."""
    host = new_host()
    port = STOCK_PORT if kind == "stock" else free_port(host)
    return lambda **more: lab.relay(kind, host=host, control_port=port, **{**how, **more})


def came_back(client, mark):
    """Connected again, on the same port, and it works."""
    client.wait_state("Connected", 4 * SILENCE, after=mark)
    wait_for(lambda: answers(client.public), "the public port serves again", 2 * DEADLINE)


def answers(address):
    try:
        ping(address)
    except (OSError, AssertionError):
        return False
    return True


@pytest.mark.parametrize("kind", ["ours", "stock"])
@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_relay_is_killed_and_comes_back(lab, kind, secret):
    start = fixed(lab, kind, secret=secret)
    relay = start()
    client = lab.client(relay, lab.app(), secret=secret)
    ping(client.public)
    for _ in range(2):
        mark = client.process.mark()
        relay.process.kill()
        _, cause = client.wait_state("Reconnecting", after=mark)
        assert cause
        with Idle(client.process):
            client.process.wait_line(r"still Reconnecting .*(refused|could not connect)", after=mark)
            relay = start()
            came_back(client, mark)


def test_backoff(lab):
    """Each pause is within its bound, and the pauses grow: a relay that hangs up at once is not hammered."""
    with FakeRelay() as fake:
        process = lab.start_client(fake, lab.app(), args=("-v",))
        with fake.accept() as conn:
            conn.recv()
            conn.send({"Hello": 54321}, "Heartbeat")
            listening_at(process)
        ends = []
        with Idle(process):
            # Several connections may be one attempt, with one dialect after the other.
            while len(process.find("next attempt in")) < 4:
                conn = fake.accept(10 * BACKOFF_MAX)
                begin = time.monotonic()
                conn.close()
                ends.append((begin, time.monotonic()))
        gaps = [after[0] - before[1] for before, after in zip(ends, ends[1:])]
        announced = [float(m[1]) for _, m in process.find(r"next attempt in ([0-9.]+) s")]
    # The first pause follows the loss and is not announced: at most BACKOFF_FIRST.
    for number, announced_s in enumerate(announced, 1):
        assert announced_s <= min(BACKOFF_MAX, BACKOFF_FIRST * 2**number) + 0.1, announced
    # Full jitter: a single pause may be near 0, four of them in a row are not.
    assert sum(gaps) > 0.2, gaps


def hurried(process, fake):
    """The next connection, without the wait before it."""
    while True:
        process.signal(signal.SIGHUP)
        with contextlib.suppress(TimeoutError):
            return fake.accept(0.2)


def test_a_line_for_each_new_reason(lab):
    """A relay that was away for a night filled the log with a line per attempt."""
    with FakeRelay() as fake:
        process = lab.start_client(fake, lab.app())
        with fake.accept() as conn:
            conn.recv()
            conn.send({"Hello": 54321}, "Heartbeat")
            listening_at(process)
        for _ in range(12):  # two connections make an attempt: with our Options, and without
            hurried(process, fake).close()
        with hurried(process, fake) as conn:
            conn.send({"Error": "closed for repairs"})
            process.wait_line("closed for repairs")
    wait_for(lambda: process.signal(signal.SIGHUP) or process.find("still Reconnecting .*refused"), "the next reason is told")
    told = [line.text for line, _ in process.find("still Reconnecting")]
    assert len(told) == 3, told


def test_waiting_long_is_no_work(lab):
    """The relay stays away for a while: few attempts, hardly any CPU."""
    start = fixed(lab)
    relay = start()
    client = lab.client(relay, lab.app(), args=("-v",))
    relay.process.kill()
    client.wait_state("Reconnecting")
    mark = client.process.mark()
    with Idle(client.process):
        client.process.wait_line(r"next attempt in ([4-9]|[1-3][0-9])\.", 10 * 60 * SCALE, after=mark)
    assert len(client.process.find("next attempt in", after=mark)) < 40


def test_hup_skips_the_wait(lab):
    start = fixed(lab)
    relay = start()
    client = lab.client(relay, lab.app(), args=("-v",))
    mark = client.process.mark()
    relay.process.kill()
    client.process.wait_line(r"next attempt in ([2-9]|[1-3][0-9])\.", 10 * 60 * SCALE, after=mark)
    relay = start()
    client.process.signal(signal.SIGHUP)
    came_back(client, mark)


def test_no_reconnect(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app(), args=("--no-reconnect",))
    relay.process.kill()
    assert client.process.wait_exit() == 9
    assert client.process.find(" -> Failed")


def test_reconnect_timeout(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app(), args=("--reconnect-timeout", "2s"))
    relay.process.kill()
    client.wait_state("Reconnecting")
    assert client.process.wait_exit(20 * SCALE) == 9
    assert client.process.find("Reconnecting -> Failed")


def test_retry(lab):
    """The first attempt fails; with --retry the client goes on, and connects when the relay is there."""
    start = fixed(lab)
    relay = start()
    relay.process.kill()
    process = lab.start_client(relay, lab.app(), args=("--retry",))
    process.wait_line("next attempt in")
    start()
    client = Client(process, relay.host, listening_at(process, deadline=4 * DEADLINE))
    ping(client.public)


def test_first_attempt_fails_without_retry(lab):
    dead = Relay(None, new_host(), 0)
    dead.control_port = free_port(dead.host)
    assert lab.start_client(dead, lab.app()).wait_exit() == 3


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_relay_stops_without_closing(lab, kind):
    """SIGSTOP: the kernel goes on acknowledging, nobody speaks. Afterwards all is as before."""
    relay = lab.relay(kind)
    client = lab.client(relay, lab.app())
    ping(client.public)
    mark = client.process.mark()
    connected = time.monotonic()
    relay.process.halt()
    with Idle(client.process):
        lost, cause = client.wait_state("Reconnecting", SILENCE, after=mark)
        assert lost - connected > 6, "silence is no reason before that"
        assert "no word from it" in cause, cause
        client.process.wait_line("next attempt in", 2 * SILENCE, after=mark)
        relay.process.signal(signal.SIGCONT)
        came_back(client, mark)


def test_relay_returns_with_another_secret(lab):
    start = fixed(lab)
    relay = start(secret="before")
    client = lab.client(relay, lab.app(), secret="before")
    relay.process.kill()
    client.wait_state("Reconnecting")
    start(secret="after")
    assert client.process.wait_exit(4 * DEADLINE) == 5
    assert client.process.find("Reconnecting -> Failed")
    assert client.process.find("does not accept the secret")


def test_relay_returns_with_another_range(lab):
    start = fixed(lab)
    relay = start(args=("--min-port", 20021, "--max-port", 20029))
    client = lab.client(relay, lab.app())
    relay.process.kill()
    client.wait_state("Reconnecting")
    start(args=("--min-port", 20031, "--max-port", 20039))
    assert client.process.wait_exit(4 * DEADLINE) == 6
    assert client.process.find("Reconnecting -> Failed")


def test_open_streams_survive_the_control_connection(lab):
    """The client's control connection is cut, not its data: it resumes, and the stream goes on."""
    relay = lab.relay(args=("-v",))
    client = lab.client(relay, lab.app(), args=("-v",))
    with connect(client.public) as visitor:
        visitor.sendall(b"before")
        assert recv_exact(visitor, 6) == b"before"
        mark = client.process.mark()
        relay.process.halt()
        client.wait_state("Reconnecting", SILENCE, after=mark)
        relay.process.signal(signal.SIGCONT)
        came_back(client, mark)
        visitor.sendall(b"after")
        assert recv_exact(visitor, 5) == b"after"


def test_port_that_stays_taken(lab):
    """For 30 s the same port is asked for; then another is accepted, loudly."""
    start = fixed(lab)
    relay = start()
    client = lab.client(relay, lab.app())
    mark = client.process.mark()
    relay.process.kill()
    client.wait_state("Reconnecting", after=mark)
    with FakeRelay(relay.host, client.port):  # somebody else has the port
        start()
        port = listening_at(client.process, after=mark, deadline=600 * SCALE)
        assert port != client.port
        client.process.wait_line(f"the public port is now {port}")  # on the other stream
        ping((relay.host, port))


def test_many_tunnels_come_back(lab):
    """Every one to its own port."""
    start, app = fixed(lab), lab.app()
    relay = start()
    clients = [lab.client(relay, app) for _ in range(10)]
    marks = [client.process.mark() for client in clients]
    relay.process.kill()
    for client, mark in zip(clients, marks):
        client.wait_state("Reconnecting", after=mark)
    start()
    for client, mark in zip(clients, marks):
        came_back(client, mark)


# In namespaces: packets vanish.

needs_net = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


def reach(space, address):
    """One echo from inside a namespace."""
    with space.entered():
        sock = connect(address, 4 * DEADLINE)
    with sock:
        sock.sendall(b"ping")
        return recv_exact(sock, 4) == b"ping"


def spread(lab, net, **how):
    """Relay in the middle, client and application on one spoke, visitors on another."""
    home, away = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, **how)
    client = lab.client(relay, lab.app(where=home), where=home)
    client.wait_state("Connected")  # a line behind the one that says where; else it is taken for the next one
    return home, away, relay, client


@needs_net
@pytest.mark.root
@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_packets_are_dropped(lab, net, kind):
    """The link goes silent and comes back. The client notices and returns to its port."""
    home, away, relay, client = spread(lab, net, kind=kind)
    public = away.middle, client.port
    assert reach(away, public)
    mark = client.process.mark()
    home.silence()
    with Idle(client.process):
        client.wait_state("Reconnecting", SILENCE, after=mark)
        client.process.wait_line("next attempt in", 2 * SILENCE, after=mark)
    home.unsilence()
    client.wait_state("Connected", 10 * BACKOFF_MAX, after=mark)
    assert reach(away, (away.middle, listening_port(client, mark)))


def listening_port(client, mark):
    found = client.process.find(r"listening at \S+:(\d+)$", after=mark)
    return int(found[-1][1][1]) if found else client.port


@needs_net
@pytest.mark.root
def test_same_port_after_dropped_packets(lab, net):
    """Ours to ours the token makes it the same port at once, though the relay still holds the old connection."""
    home, away, relay, client = spread(lab, net)
    mark = client.process.mark()
    home.silence()
    client.wait_state("Reconnecting", SILENCE, after=mark)
    # The first "-> Connected" is logged behind the address, and so perhaps behind the first mark.
    mark = client.process.mark()
    home.unsilence()
    client.wait_state("Connected", 10 * BACKOFF_MAX, after=mark)
    assert listening_port(client, mark) == client.port
    assert reach(away, (away.middle, client.port))


@needs_net
@pytest.mark.root
def test_address_of_the_client_changes(lab, net):
    """The old connection is dead without a word, and the relay still holds the port for it: the token gets it back."""
    home, away, relay, client = spread(lab, net)
    mark = client.process.mark()
    changed = time.monotonic()
    home.ip("addr", "add", f"10.77.{home.number}.3/24", "dev", "up0")
    home.ip("addr", "del", f"{home.host}/24", "dev", "up0")
    home.ip("addr", "add", f"10.77.{home.number}.4/24", "dev", "up0")
    home.ip("route", "replace", "default", "via", home.middle)
    client.wait_state("Reconnecting", SILENCE, after=mark)
    connected, _ = client.wait_state("Connected", 10 * BACKOFF_MAX, after=mark)
    assert connected > changed
    assert listening_port(client, mark) == client.port
    assert reach(away, (away.middle, client.port))


# The other way round: the client goes.


@pytest.mark.parametrize("kind", ["ours", "stock"])
def test_client_is_killed_and_its_port_is_free_at_once(lab, kind):
    relay = lab.relay(control_port=STOCK_PORT)
    app = lab.app()
    client = lab.client(relay, app, kind=kind)
    for _ in range(5):
        client.process.kill()
        client = lab.client(relay, app, kind=kind, port=client.port)
    ping(client.public)


def test_end_behind_the_wish_for_its_port(lab):
    """A relay that is told both in one turn took the port for taken, when the wish for it came up before the end."""
    relay = lab.relay(secret="s3cret")
    with RawClient(relay, "s3cret") as old, RawClient(relay, "s3cret") as new:
        old.hello()
        challenge = new.recv()["Challenge"]
        relay.process.halt()
        new.send({"Authenticate": tag("s3cret", challenge)}, {"Hello": old.port})
        old.close()
        relay.process.signal(signal.SIGCONT)
        assert new.recv() == {"Hello": old.port}


def test_silent_client_that_beats(lab):
    """Stopped, not dead: its kernel acknowledges everything. Three beats missing, and its port is free."""
    relay = lab.relay()
    client = lab.client(relay, lab.app())
    client.process.halt()
    stopped = time.monotonic()
    with RawClient(relay) as probe:
        wait_for(lambda: takes(relay, client.port), "the port is free", 150 * SCALE)
        assert time.monotonic() - stopped > 5
        probe.close()
    mark = client.process.mark()
    client.process.signal(signal.SIGCONT)
    came_back(client, mark)


def takes(relay, port):
    """Whether the port can be had; it is given back at once."""
    with RawClient(relay) as conn:
        conn.send({"Hello": port})
        return conn.recv() == {"Hello": port}


@needs_net
@pytest.mark.root
def test_silent_client_that_does_not_beat(lab, net):
    """A stock client whose packets vanish: TCP_USER_TIMEOUT notices, because heartbeats stay unacknowledged."""
    home = net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, control_port=STOCK_PORT)
    client = lab.client(relay, lab.app(where=home), kind="stock", where=home)
    home.silence()

    def free():
        with net.middle.entered():
            inside = Relay(relay.process, "127.0.0.1", STOCK_PORT)
            return takes(inside, client.port)

    wait_for(free, "the port is free", 300 * SCALE)


@pytest.mark.skipif(bool(SANITIZER), reason="measures CPU time, which sanitizers multiply")
def test_idle_tunnel_is_no_work(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app())
    with Idle(relay.process), Idle(client.process), RawClient(relay) as conn:
        conn.hello()
        for _ in range(20):  # ten seconds of heartbeats
            assert conn.recv() == "Heartbeat"
    assert wait_for(lambda: answers(client.public), "it serves")

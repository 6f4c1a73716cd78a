# SPDX-License-Identifier: MIT
"""Every limit of the relay's table: it holds, it shows in the metrics, and it gives way again."""

import contextlib
import subprocess
import threading
import time

import pytest

from harness.lab import OURS, Relay, read_metrics
from harness.netns import unusable
from harness.streams import connect, ended, ping, recv_exact, threads
from harness.wait import DEADLINE, SANITIZER, SCALE, in_time, wait_for
from harness.wire import STOCK_PORT, Conn, RawClient, tag

needs_net = pytest.mark.skipif(unusable() is not None, reason=str(unusable()))


def crowd(stack, address, count):
    """`count` connections, each with what became of it."""
    socks = [stack.enter_context(connect(address)) for _ in range(count)]
    return socks


def closed_of(socks, expected):
    """How many of them the relay has ended, once there are `expected`."""
    done = set()

    def look():
        for number, sock in enumerate(socks):
            if number not in done:
                sock.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    if ended(sock):
                        done.add(number)
        return len(done) >= expected

    wait_for(look, f"{expected} of {len(socks)} are closed")
    return len(done)


def test_max_pending(lab):
    """Visitors who wait for a client that does not come: the fourth is left in the kernel's queue until there is room."""
    relay = lab.relay(args=("--max-pending", 3), metrics=True)
    with contextlib.ExitStack() as stack:
        conn = stack.enter_context(RawClient(relay))
        conn.hello()
        waiting = crowd(stack, conn.public, 5)
        ids = [conn.visitor() for _ in range(3)]
        wait_for(lambda: relay.metrics()["bore_tunnels_paused"] == 1, "the tunnel is paused")
        assert relay.metrics()["bore_visitors_pending"] == 3
        for number in range(2):
            with conn.accept(ids[number]) as stream:
                stream.send_raw(b"x")
                assert recv_exact(waiting[number], 1) == b"x"
            ids.append(conn.visitor())  # there is room for one more
        values = relay.metrics()
        assert values["bore_visitors_pending"] == 3 and values["bore_visitors_total"] == 5
        assert values["bore_tunnels_paused_total"] > 0
        assert len(set(ids)) == 5
        # The client refuses nobody, and three are dropped after their 10 s: the port still serves.
        for sock in waiting[2:]:
            sock.settimeout(4 * DEADLINE)
            assert ended(sock)
        stack.enter_context(connect(conn.public))
        assert conn.visitor() not in ids
    wait_for(lambda: relay.metrics()["bore_tunnels_paused"] == 0, "nobody is paused")


def test_paused_tunnel_ends(lab):
    """Who is still in the kernel's queue when the tunnel closes is not left there."""
    relay = lab.relay(args=("--max-pending", 3), metrics=True)
    with contextlib.ExitStack() as stack:
        with RawClient(relay) as conn:
            conn.hello()
            waiting = crowd(stack, conn.public, 5)
            wait_for(lambda: relay.metrics()["bore_tunnels_paused"] == 1, "the tunnel is paused")
        assert closed_of(waiting, 5) == 5
    values = relay.metrics()
    assert values["bore_tunnels_paused"] == 0 and values["bore_visitors_unclaimed_total"] == 0, "nor until its time is over"


def test_max_pending_total(lab):
    """A tunnel that has filled it doesn't keep another one out: they take turns."""
    relay = lab.relay(metrics=True, args=("--max-pending", 3, "--max-pending-total", 4))
    with contextlib.ExitStack() as stack:
        one, two = (stack.enter_context(RawClient(relay)) for _ in range(2))
        one.hello(), two.hello()
        first = crowd(stack, one.public, 3)
        ids = [one.visitor() for _ in first]
        crowd(stack, two.public, 3)
        two.visitor()
        wait_for(lambda: relay.metrics()["bore_tunnels_paused"] == 1, "the tunnel is paused")
        assert relay.metrics()["bore_visitors_pending"] == 4
        for number in range(2):
            with one.accept(ids[number]) as stream:
                stream.send_raw(b"x")
                assert recv_exact(first[number], 1) == b"x"
            two.visitor()
        assert relay.metrics()["bore_visitors_total"] == 6


def test_bursts_beyond_max_pending(lab):
    """1,000 short connections, 200 at once, with a secret: at the limit 30 of 100 were closed. Each is served now."""
    relay = lab.relay(secret="s3cret", metrics=True, args=("--max-pending", 16))
    client = lab.client(relay, lab.app(), secret="s3cret")
    count = 200 if SANITIZER else 1000
    everyone = threading.Barrier(200)

    def visit(number):
        everyone.wait(DEADLINE)
        for _ in range(count // 200):
            ping(client.public, deadline=4 * DEADLINE)

    with threads(10 * DEADLINE) as group:
        for number in range(200):
            group.start(visit, number)
    values = relay.metrics()
    assert values["bore_visitors_total"] == count
    assert values["bore_tunnels_paused_total"] > 0 and values["bore_tunnels_paused"] == 0


def test_max_conns(lab):
    """Open streams of one tunnel; another tunnel has its own share."""
    relay = lab.relay(metrics=True, args=("--max-conns", 3))
    app = lab.app()
    client, other = lab.client(relay, app), lab.client(relay, app)
    with contextlib.ExitStack() as stack:
        for sock in crowd(stack, client.public, 3):
            sock.sendall(b"x")
            assert recv_exact(sock, 1) == b"x"
        assert closed_of(crowd(stack, client.public, 2), 2) == 2
        assert relay.metrics()["bore_visitors_over_conns_total"] == 2
        ping(other.public)
    wait_for(lambda: serves(client.public), "there is room again")


def serves(address):
    try:
        ping(address)
    except (OSError, AssertionError):
        return False
    return True


def test_max_conns_total(lab):
    relay = lab.relay(metrics=True, args=("--max-conns", 3, "--max-conns-total", 4))
    app = lab.app()
    one, two = lab.client(relay, app), lab.client(relay, app)
    with contextlib.ExitStack() as stack:
        for address in (one.public, one.public, one.public, two.public):
            (sock,) = crowd(stack, address, 1)
            sock.sendall(b"x")
            assert recv_exact(sock, 1) == b"x"
        assert closed_of(crowd(stack, two.public, 2), 2) == 2
        assert relay.metrics()["bore_visitors_over_conns_total"] == 2
    wait_for(lambda: serves(two.public), "there is room again")


@needs_net
@pytest.mark.root
def test_max_handshakes(lab, net):
    """Above the limit, newcomers are closed before a word; those of an address with a tunnel still get in."""
    home, crowd_space = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, secret="s3cret", metrics=True, args=("--max-handshakes", 20))
    client = lab.client(relay, lab.app(where=home), secret="s3cret", where=home)
    with contextlib.ExitStack() as stack:
        with crowd_space.entered():
            silent = [stack.enter_context(connect((crowd_space.middle, relay.control_port))) for _ in range(60)]
        # At least what is above the limit goes at once, long before the deadline of a handshake.
        begin = time.monotonic()
        closed = closed_of_mixed(silent, 40)
        assert closed >= 40
        assert relay.metrics()["bore_handshakes_dropped_total"] >= 40
        with home.entered():
            sock = stack.enter_context(connect((home.middle, client.port), 2 * DEADLINE))
        sock.sendall(b"ping")
        assert recv_exact(sock, 4) == b"ping"
        assert time.monotonic() - begin < 100 * SCALE
    assert not client.process.find("Reconnecting")


def closed_of_mixed(socks, expected):
    """As closed_of(), where those that stay are sent a challenge."""
    done = set()

    def look():
        for number, sock in enumerate(socks):
            if number not in done:
                sock.setblocking(False)
                try:
                    if sock.recv(4096) == b"":
                        done.add(number)
                except BlockingIOError:
                    pass
                except ConnectionResetError:
                    done.add(number)
        return len(done) >= expected

    wait_for(look, f"{expected} of {len(socks)} are closed")
    return len(done)


def test_handshakes_from_loopback_are_limited_too(lab):
    """The limit is in all, not per address."""
    relay = lab.relay(metrics=True, args=("--max-handshakes", 10))
    with contextlib.ExitStack() as stack:
        socks = crowd(stack, relay.control, 40)
        assert closed_of(socks, 30) >= 30
    assert relay.metrics()["bore_handshakes_dropped_total"] >= 30


@needs_net
@pytest.mark.root
def test_max_tunnels_per_addr(lab, net):
    home, other = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, metrics=True, args=("--max-tunnels-per-addr", 2))
    with contextlib.ExitStack() as stack:
        mine = []
        for _ in range(2):
            with home.entered():
                mine.append(stack.enter_context(RawClient(relay)))
            mine[-1].hello()
        with home.entered():
            third = stack.enter_context(RawClient(relay))
        third.send({"Hello": 0})
        assert third.raw() == b'{"Error":"too many tunnels"}'
        assert third.at_end()
        assert relay.metrics()["bore_tunnels_over_limit_total"] == 1
        with other.entered():
            theirs = stack.enter_context(RawClient(Relay(None, other.middle, relay.control_port)))
        theirs.hello()
        mine[0].close()

        def again():
            with home.entered():
                conn = RawClient(relay)
            with conn:
                conn.send({"Hello": 0})
                return "Hello" in conn.recv()

        wait_for(again, "a tunnel that has gone makes room")


@pytest.mark.parametrize("dialect", ["bore", "line"])
def test_max_tunnel_age(lab, dialect):
    """The client is told why, opens another one, and a connection that is open goes on. Without the limit nothing of this happens."""
    old = lab.client(lab.relay(), lab.app(), args=("--protocol", dialect))
    relay = lab.relay(metrics=True, args=("--max-tunnel-age", "3s"))
    client = lab.client(relay, lab.app(), args=("--protocol", dialect))
    with connect(client.public) as visitor:
        visitor.sendall(b"a")
        assert recv_exact(visitor, 1) == b"a"
        mark = client.process.mark()
        client.process.wait_line("the relay says: 'tunnel has reached its maximum age'")
        client.wait_state("Reconnecting")
        client.wait_state("Connected", after=mark)
        visitor.sendall(b"b")
        assert recv_exact(visitor, 1) == b"b"
    wait_for(lambda: serves(client.public), "the other tunnel serves, or the one behind it")
    assert relay.metrics()["bore_tunnels_aged_total"] >= 1
    assert not old.process.find("maximum age") and old.process.alive()
    ping(old.public)


def test_max_tunnel_age_of_stock(lab):
    """It ends, as with any end of its tunnel. A tunnel that is resumed stays as old as it is."""
    relay = lab.relay(control_port=STOCK_PORT, args=("--max-tunnel-age", "3s"))
    client = lab.start_client(relay, lab.app(), kind="stock")
    client.wait_line("tunnel has reached its maximum age")
    assert client.wait_exit() == 0
    with RawClient(relay) as conn:
        began = time.monotonic()
        token = conn.hello(options={"resume": True})["token"]
        with RawClient(relay) as again:
            again.hello(conn.port, {"resume": True, "token": token})
            assert again.recv_but() == {"Error": "tunnel has reached its maximum age"}
            assert again.at_end() and time.monotonic() - began >= 3


def test_loopback_is_exempt_from_limits_per_address(lab):
    relay = lab.relay(args=("--max-tunnels-per-addr", 2))
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(RawClient(relay)).hello()
    secret = lab.relay(secret="s3cret")
    for _ in range(5):
        with Conn(connect(secret.control)) as conn:
            conn.recv()
            conn.send({"Authenticate": "00" * 32})
            assert conn.recv() == {"Error": "invalid secret"}


@needs_net
@pytest.mark.root
def test_bad_secrets_are_penalised(lab, net):
    """After a wrong secret the address is closed before a word, for a second, then two, ...; another address isn't."""
    home, other = net.spoke(), net.spoke()
    relay = lab.relay(host=home.middle, where=net.middle, secret="s3cret", metrics=True)
    elsewhere = Relay(None, other.middle, relay.control_port)

    def connected(space, to):
        with space.entered():
            return Conn(connect(to.control))

    def is_served(space, to):
        """None when closed before a word."""
        conn = connected(space, to)
        message = conn.recv()
        if message is None:
            conn.close()
            return None
        return conn

    turned_away = []
    for penalty in (1, 2):  # seconds
        guess = is_served(home, relay)
        begin = time.monotonic()
        guess.send({"Authenticate": "00" * 32})
        assert guess.recv() == {"Error": "invalid secret"}
        guess.close()
        friend = is_served(other, elsewhere)
        assert friend, "another address is not"
        friend.close()
        wait_for(lambda: is_served(home, relay) or turned_away.append(penalty), "the penalty ends", 60 * SCALE).close()
        assert time.monotonic() - begin > penalty - 0.01, "the relay's clock is one of milliseconds"
    values = relay.metrics()
    assert values["bore_bad_secrets_total"] == 2 and values["bore_penalised_total"] == len(turned_away)


@needs_net
@pytest.mark.root
def test_guesses_begun_at_once_are_one(lab, net):
    """Handshakes that were open before the penalty began get no answer any more, not even to the right secret."""
    home = net.spoke()

    def guess_five_times():
        relay = lab.relay(host=home.middle, where=net.middle, secret="s3cret", metrics=True)
        with home.entered():
            guesses = [Conn(connect(relay.control)) for _ in range(5)]
        challenges = [guess.recv()["Challenge"] for guess in guesses]
        guesses[0].send({"Authenticate": "00" * 32})
        assert guesses[0].recv() == {"Error": "invalid secret"}
        for guess, challenge in zip(guesses[1:], challenges[1:]):
            guess.send({"Authenticate": tag("s3cret", challenge)}, {"Hello": 0})
        assert [guess.recv() for guess in guesses[1:]] == [None] * 4
        assert relay.metrics()["bore_bad_secrets_total"] == 1

    in_time(1, guess_five_times)  # the penalty


def test_metrics_name_every_limit(lab):
    """By its option: bore_limit{name="max_pending"} was the value of --max-pending-total."""
    relay = lab.relay(
        metrics=True,
        args=(
            "--max-tunnels-per-addr", 11, "--max-pending", 12, "--max-pending-total", 13, "--max-conns", 14,
            "--max-conns-total", 15, "--max-handshakes", 16, "--max-tunnel-age", "17ms",
            "--max-ready", 18, "--max-ready-total", 19,
        ),
    )  # fmt: skip
    values = relay.metrics()
    options = ("max_tunnels_per_addr", "max_pending", "max_pending_total", "max_conns", "max_conns_total", "max_handshakes", "max_tunnel_age_ms")
    options += ("max_ready", "max_ready_total")
    limits = {name: value for name, value in values.items() if "max_" in name}
    assert limits == {f'bore_limit{{name="{option}"}}': 11 + at for at, option in enumerate(options)}


def test_metrics_tell_the_version(lab):
    version = subprocess.run([OURS, "--version"], capture_output=True, text=True).stdout.split()[1]
    relay = lab.relay(metrics=True)
    client = lab.client(relay, lab.app(), args=("--metrics", "127.0.0.1:0"))
    port = int(client.process.wait_line(r"http://\S+:(\d+)/metrics")[1][1])
    for values in (relay.metrics(), read_metrics(port)):
        assert values[f'bore_build_info{{version="{version}"}}'] == 1


def test_metrics_count(lab):
    """Tunnels, connections, bytes, pipes: up and down again."""
    relay = lab.relay(metrics=True)
    client = lab.client(relay, lab.app())
    before = wait_for(lambda: (now := relay.metrics())["bore_handshakes_open"] == 0 and now, "no warm connection is just made")
    with connect(client.public) as sock:
        sock.sendall(b"x" * 1000)
        assert recv_exact(sock, 1000) == b"x" * 1000
        during = relay.metrics()
    assert during["bore_visitors_open"] == 1 and during["bore_tunnels"] == 1
    assert during["bore_visitors_total"] == before["bore_visitors_total"] + 1
    wait_for(lambda: all(v == before[n] for n, v in gauges(relay.metrics())), "the gauges are back")
    after = relay.metrics()
    grown = [after[name] - before[name] for name in after if "bytes" in name]
    assert 1000 in grown, after
    assert any("pipe" in name for name in after)


def gauges(values):
    """What must return to where it was: all but totals, the process' own, and what the client keeps ready for a minute."""
    return [(name, value) for name, value in values.items() if "total" not in name and not name.startswith(("process", "bore_ready"))]


def test_metrics_count_what_was_turned_away(lab):
    relay = lab.relay(metrics=True, args=("--max-conns", 1))
    client = lab.client(relay, lab.app())
    with connect(client.public) as sock:
        sock.sendall(b"x")
        assert recv_exact(sock, 1) == b"x"
        with connect(client.public) as late:
            assert ended(late)
    assert relay.metrics()["bore_visitors_over_conns_total"] == 1


def test_metrics_of_the_client(lab):
    relay = lab.relay()
    client = lab.client(relay, lab.app(), args=("--metrics", "127.0.0.1:0"))
    port = int(client.process.wait_line(r"http://\S+:(\d+)/metrics")[1][1])
    ping(client.public)
    assert read_metrics(port)["bore_tunnel_up"] == 1
    wait_for(lambda: read_metrics(port)["bore_connections"] == 0, "the connection is over")
    values = read_metrics(port)
    assert values["bore_connections_total"] == 1
    assert (values["bore_held_bytes"], values['bore_pipes{size="large"}']) == (0, 0)
    assert values['bore_bytes_total{direction="in"}'] == 4 and values['bore_bytes_total{direction="out"}'] == 4

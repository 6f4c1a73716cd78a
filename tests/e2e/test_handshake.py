# SPDX-License-Identifier: MIT
"""Stock client and our server, our client and stock server, ours and ours: secrets and ports."""

import pytest

from harness.apps import free_port
from harness.lab import STOCK_PORT, new_host, pairs, refused
from harness.streams import ping
from harness.wire import FakeRelay, RawClient, collect, encode, tag
from harness.wait import DEADLINE, wait_for

KINDS = [("ours", "ours"), ("stock", "ours"), ("ours", "stock")]
EVERY_KIND = pytest.mark.parametrize("client_kind,relay_kind", KINDS, ids=["-".join(kind) for kind in KINDS])

LINE = ("--protocol", "line")


def start_relay(lab, client_kind, relay_kind, **how):
    return lab.relay(relay_kind, control_port=STOCK_PORT if client_kind == "stock" else None, **how)


@pytest.mark.parametrize("pair", pairs())
@pytest.mark.parametrize("secret", [None, "", "s3cret with spaces"], ids=["none", "empty", "given"])
def test_secret(lab, pair, secret):
    _, _, client = lab.tunnel(pair, secret=secret)
    for _ in range(3):
        ping(client.public)


@EVERY_KIND
@pytest.mark.parametrize(
    "relay_secret,client_secret,reason",
    [
        ("right", "wrong", "invalid secret|does not accept the secret"),
        ("right", None, "requires? (authentication|a secret)|secret"),
        (None, "unasked", "secret|timed out"),
        ("", "given", "secret"),
        ("given", "", "secret"),
    ],
    ids=["wrong", "missing", "unasked", "empty-given", "given-empty"],
)
def test_wrong_secret(lab, client_kind, relay_kind, relay_secret, client_secret, reason):
    relay = start_relay(lab, client_kind, relay_kind, secret=relay_secret)
    process = lab.start_client(relay, lab.app(), kind=client_kind, secret=client_secret)
    assert process.wait_exit() > 0
    assert not process.find("listening at")
    assert process.find(reason), process.tail()


@EVERY_KIND
def test_given_port(lab, client_kind, relay_kind):
    relay = start_relay(lab, client_kind, relay_kind)
    port = free_port(relay.host)
    client = lab.client(relay, lab.app(), kind=client_kind, port=port)
    assert client.port == port
    ping(client.public)


@EVERY_KIND
def test_taken_port(lab, client_kind, relay_kind):
    """Taken by another tunnel, and by a program that is no tunnel."""
    relay = start_relay(lab, client_kind, relay_kind)
    app = lab.app()
    first = lab.client(relay, app, kind=client_kind)
    second = lab.start_client(relay, app, kind=client_kind, port=first.port)
    assert second.wait_exit() > 0
    assert second.find("already (in use|uses)"), second.tail()
    with FakeRelay(relay.host) as other:
        third = lab.start_client(relay, app, kind=client_kind, port=other.control_port)
        assert third.wait_exit() > 0
        assert third.find("already (in use|uses)"), third.tail()
    ping(first.public)


@EVERY_KIND
def test_port_out_of_range(lab, client_kind, relay_kind):
    relay = start_relay(lab, client_kind, relay_kind, args=("--min-port", 20000, "--max-port", 20100))
    app = lab.app()
    process = lab.start_client(relay, app, kind=client_kind, port=20101)
    assert process.wait_exit() > 0
    assert process.find("not in allowed range|does not allow"), process.tail()
    assert 20000 <= lab.client(relay, app, kind=client_kind).port <= 20100


def test_range_is_used_up(lab):
    """Three ports, four clients: the fourth is told so, and the first that goes makes room."""
    relay = lab.relay(args=("--min-port", 20001, "--max-port", 20003))
    app = lab.app()
    clients = [lab.client(relay, app, port=port) for port in (20001, 20002, 20003)]
    late = lab.start_client(relay, app)
    assert late.wait_exit() > 0
    assert late.find("available port"), late.tail()
    clients[1].process.kill()
    wait_for(lambda: refused((relay.host, 20002)), "the dead client's port is free")
    assert lab.client(relay, app).port == 20002


@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["none", "secret"])
def test_line_dialect(lab, secret):
    relay = lab.relay(secret=secret)
    client = lab.client(relay, lab.app(), secret=secret, args=LINE)
    for _ in range(3):
        ping(client.public)


def test_line_dialect_wrong_secret(lab):
    relay = lab.relay(secret="right")
    process = lab.start_client(relay, lab.app(), secret="wrong", args=LINE)
    assert process.wait_exit() > 0
    assert process.find("secret"), process.tail()


@pytest.mark.parametrize("secret", ["two\nlines", "x" * 300], ids=["newline", "long"])
def test_line_dialect_secret_that_does_not_fit(lab, secret):
    """It can't be sent in one line, so nothing is sent at all."""
    with FakeRelay() as fake:
        process = lab.start_client(fake, lab.app(), secret=secret, args=LINE)
        assert not any(b"AUTH" in heard for heard in collect(fake, process, b""))
    assert process.wait_exit() > 0
    assert process.find("secret"), process.tail()


def test_both_dialects_in_turn(lab):
    """The relay remembers addresses that speak JSON; that must not lock out a line client behind the same one."""
    relay, app = lab.relay(secret="s3cret"), lab.app()
    for turn in range(100):
        client = lab.client(relay, app, secret="s3cret", args=LINE if turn % 2 else ("--protocol", "bore"))
        ping(client.public)
        client.process.stop()


def test_both_dialects_in_turn_by_hand(lab):
    """The same with every byte in view, streams included: a line client may see one challenge before its answer."""
    relay = lab.relay(secret="s3cret")
    for _ in range(100):
        with RawClient(relay, "s3cret") as conn:
            conn.hello()
        with RawClient(relay) as conn:
            conn.send_raw(b"HELLO 1\nAUTH s3cret\n80\n")
            answer = conn.line()
            if b"\0" in answer:  # known for JSON, so the challenge came at once
                challenge, answer = answer.split(b"\0", 1)
                assert challenge.startswith(b'{"Challenge":')
            assert answer.startswith(b"OK "), answer


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 8,
        b"nonsense\n",
        b"nonsense\0",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",  # a TLS alert
        b"OK 4000\n",
        b'{"Challenge":"not a uuid"}\0',
        b'{"Challenge":7}\0',
        b'{"Hello":99999}\0',
        b'"Heartbeat"\0' * 3,
        b"x" * 5000,
        b"",
    ],
    ids=["nul", "line", "frame", "http", "tls", "line-ok", "challenge-text", "challenge-number", "hello", "beats", "long", "silence"],
)
@pytest.mark.parametrize("protocol", ["auto", "bore"])
def test_secret_never_goes_to_a_fake_relay(lab, garbage, protocol):
    secret = "a-secret-worth-keeping"
    with FakeRelay() as fake:
        process = lab.start_client(fake, lab.app(), secret=secret, args=("--protocol", protocol))
        heard = collect(fake, process, garbage)
    assert process.wait_exit() > 0
    assert heard
    for said in heard:
        assert secret.encode() not in said
        assert b"AUTH" not in said and b"HELLO 1" not in said
    assert secret not in process.text()


def test_secret_in_line_is_asked_for_and_said(lab):
    relay = lab.relay(secret="s3cret")
    client = lab.client(relay, lab.app(), secret="s3cret", args=LINE)
    client.process.wait_line("clear")
    assert "s3cret" not in client.process.text()


def test_stock_signature(lab):
    """The answer to a challenge is stock's, byte for byte."""
    with FakeRelay() as fake:
        lab.start_client(fake, lab.app(), secret="s3cret")
        with fake.accept() as conn:
            challenge = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
            conn.send({"Challenge": challenge})
            assert conn.raw() == encode({"Authenticate": tag("s3cret", challenge)})
            assert conn.raw() == b'{"Hello":0}'


def test_ipv6(lab):
    """Both stacks by default; literals with and without brackets."""
    process = lab.ours("server", "--control-port", 0, name="relay")
    _, found = process.wait_line(r"server listening at (\S*):(\d+)$")
    if not found[1].startswith("["):
        pytest.skip("this machine has no IPv6")
    app = lab.app()
    for to in (f"[::1]:{found[2]}", f"127.0.0.1:{found[2]}", f"localhost:{found[2]}"):
        client = lab.ours("local", app.port, "--to", to, name="client")
        port = int(client.wait_line(r"listening at \S+:(\d+)$")[1][1])
        for host in ("127.0.0.1", "::1"):
            ping((host, port))
    bare = lab.ours("local", app.port, "--to", "::1", "--control-port", found[2], name="client")
    bare.wait_line(r"listening at \S+:(\d+)$", deadline=DEADLINE)


def test_explicit_ipv4_bind_is_ipv4_only(lab):
    process = lab.ours("server", "--control-port", 0, "--bind-addr", "0.0.0.0", name="relay")
    _, found = process.wait_line(r"server listening at (\S*):(\d+)$")
    assert found[1] == "0.0.0.0"
    assert refused(("127.0.0.1", 1)), "the probe itself works"
    client = lab.ours("local", lab.app().port, "--to", f"127.0.0.1:{found[2]}", name="client")
    port = int(client.wait_line(r"listening at \S+:(\d+)$")[1][1])
    ping(("127.0.0.1", port))
    with pytest.raises(OSError):
        ping(("::1", port))


def test_tunnels_on_another_address(lab):
    host = new_host()
    relay = lab.relay(args=("--bind-tunnels", host))
    client = lab.client(relay, lab.app())
    ping((host, client.port))
    assert refused((relay.host, client.port))

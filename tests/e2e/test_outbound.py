# SPDX-License-Identifier: MIT
"""What an application reaches from behind the wall, and what it is told of all else."""

import ipaddress
import os
import re
import shutil
import subprocess
import time

import pytest

from harness import toolchains
from harness.apps import echo
from harness.components import find_wasmtime
from harness.guests import SOURCES, needs_wall
from harness.lab import ROOT
from harness.wait import wait_for
from harness.wasmrun import need_wasmrun
from harness.world import API, CLOSED, OTHER, REBOUND, SECOND, WORDS, Peer, Resolver, World


@pytest.fixture
def world(lab, net, isolated):
    need_wasmrun()
    return World(lab, net)


@pytest.fixture(params=[pytest.param("wasmedge", marks=needs_wall), "component"])
def app(request, guests, world):
    """Starts a program with the network that it may have; `words` are what it says of errors."""
    if request.param == "component":
        find_wasmtime()
        module = guests.rust_component("outward_rust")
    else:
        module = guests.c("outward.c")
    world.words = WORDS[request.param]
    world.kind = request.param
    return lambda *args, **network: world.start(module, *args, **network)


def test_nothing_by_default(app):
    world = app()
    assert world.ask(f"/connect/api.example.test/{world.port}") == world.words.unknown
    assert world.ask(f"/connect/{API}/{world.port}") == world.words.denied
    assert world.ask(f"/bind/{SECOND}") == world.words.bind
    for asked in ("api.example.test", f"{API}:{world.port}"):
        world.instance.process.wait_line(rf"the application may not .*'{re.escape(asked)}'")
    assert world.ask("/udp") == world.words.udp
    if world.kind == "wasmedge":
        world.instance.process.wait_line(r"warn network: the application may not use 'UDP': there are no sockets for datagrams")


def test_everything_without_the_wall(app):
    """The control: the hosts are there, and it is the wall that keeps them away."""
    world = app("--no-isolation")
    assert world.ask(f"/connect/api.example.test/{world.port}") == "greetings"
    assert world.ask(f"/connect/{world.space.middle}/{world.port}") == "greetings"
    assert world.ask(f"/bind/{SECOND}") == "its own"
    assert world.ask("/udp") == world.words.opened


def test_a_name(app):
    """A rule for a name is one for that name, whatever other names and the address itself lead to."""
    world = app(allow=["api.example.test", "inward.example.test"])
    assert world.ask(f"/connect/api.example.test/{world.port}") == "greetings"
    assert world.ask(f"/connect/API.Example.TEST./{world.port}") == "greetings"
    assert world.ask(f"/connect/api.example.test/{CLOSED}") == world.words.closed
    assert world.ask(f"/connect/sub.api.example.test/{world.port}") == world.words.unknown
    assert world.ask(f"/connect/other.example.test/{world.port}") == world.words.unknown
    assert world.ask(f"/connect/{API}/{world.port}") == world.words.denied
    # A public name with a private address: the name alone doesn't open that.
    assert world.ask(f"/connect/inward.example.test/{world.port}") == world.words.denied


def test_a_port_of_a_name(app):
    world = app(allow=[f"api.example.test:{CLOSED}"])
    assert world.ask(f"/connect/api.example.test/{CLOSED}") == world.words.closed
    assert world.ask(f"/connect/api.example.test/{world.port}") == world.words.denied


INWARD = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"]


def test_a_name_that_turns_inward(app):
    """Public when it is looked up first, and not so any more when it is connected again: each address is judged, each time."""
    names = {f"turn{i}.example.test": address for i, address in enumerate(INWARD)}
    world = app(allow=[*names, "named.example.test", REBOUND])
    Resolver(world, {name: [[API], [address]] for name, address in [*names.items(), ("named.example.test", REBOUND)]})
    for name, address in names.items():
        assert world.ask(f"/connect/{name}/{world.port}") == "greetings"
        assert world.ask(f"/connect/{name}/{world.port}") == world.words.denied
        line = world.instance.process.wait_line(rf"may not connect to '{name}:{world.port}': .*must be named")[0].text
        assert str(getattr(ipaddress.ip_address(address), "ipv4_mapped", None) or address) in line, line
    # The control: with a rule for the address beside its own it may.
    for _ in range(2):
        assert world.ask(f"/connect/named.example.test/{world.port}") == "greetings"


def test_a_network(app):
    world = app(allow=["93.184.216.0/24"])
    assert world.ask(f"/connect/{API}/{world.port}") == "greetings"
    assert world.ask(f"/connect/{OTHER}/{world.port}") == world.words.denied
    assert world.ask(f"/connect/{world.space.middle}/{world.port}") == world.words.denied


def test_the_hosts_loopback(app):
    """One port of it, by name and by address; never those of ours."""
    world = app(allow=["localhost"])
    port = world.listen(world.space, "127.0.0.1")
    assert world.ask(f"/connect/localhost/{port}") == "greetings"
    assert world.ask(f"/connect/127.0.0.1/{port}") == "greetings"
    assert world.ask(f"/connect/localhost/{world.instance.port}") == world.words.closed
    world.instance.process.wait_line("the page and the API of wasmrun, which no rule can allow")


def test_the_page_of_another_run(app):
    """It would write to that one's project, which is built with the user's rights."""
    world = app(allow=["localhost"])
    other = world.start_another()
    assert world.ask(f"/connect/127.0.0.1/{world.listen(world.space, '127.0.0.1')}") == "greetings"
    assert world.ask(f"/connect/127.0.0.1/{other.port}") == world.words.closed
    assert world.ask(f"/connect/localhost/{other.port}") == world.words.closed
    world.instance.process.wait_line("the page of another 'wasmrun os', which no rule can allow")


def test_loopback_without_a_rule(app):
    world = app(allow=["*"])
    port = world.listen(world.space, "127.0.0.1")
    assert world.ask(f"/connect/{API}/{world.port}") == "greetings"
    assert world.ask(f"/connect/127.0.0.1/{port}") == world.words.closed


def test_its_own_second_port(app):
    world = app(bind_ports=[SECOND])
    assert world.ask(f"/bind/{SECOND}") == "its own"
    assert world.ask(f"/bind/{SECOND}") == "its own"
    assert world.ask(f"/bind/{SECOND + 1}") == world.words.bind


@pytest.mark.slow
def test_names_that_take_their_time(app, world):
    """They keep a part of the threads that ask for names: the tunnel's server is found meanwhile, and refuses."""
    app(allow=["*"], connection_timeout_secs=60)
    with world.name_server() as server:
        for i in range(4):
            world.ask(f"/connect/n{i}.slow.example.test/80")
        server.recv(1000)
        with world.space.entered():
            answer = world.instance.ask("POST", "/api/tunnel/start", {"server": f"api.example.test:{CLOSED}"})
    assert answer.status == 502 and "connection refused" in answer.body["error"], answer.body


def test_silence(app):
    """A host that says nothing: the dial is waited for for a moment, and what comes of it is a reset."""
    world = app(allow=[API])
    world.outside.nft("add table inet mute")
    world.outside.nft("add chain inet mute input { type filter hook input priority 0; }")
    world.outside.nft("add rule inet mute input tcp dport 7777 drop")
    begun = time.monotonic()
    assert world.ask(f"/connect/{API}/7777").startswith("recv")
    assert time.monotonic() - begun > 1
    assert world.ask(f"/connect/{API}/{world.port}") == "greetings"


@pytest.mark.parametrize("options", [pytest.param((), id="wall", marks=needs_wall), pytest.param(("--no-isolation",), id="none")])
def test_a_name_server_that_says_nothing(world, guests, options):
    """A guest that waits for it, or behind the wall for what comes of it, lets go when it is replaced."""
    names = ["silent.example.test", "api.example.test"]
    world.start(guests.c("outward.c"), "-v", *options, allow=names, connection_timeout_secs=60)
    with world.name_server() as server:
        assert world.ask("/after/silent.example.test/80") == "afterwards"
        assert b"\x06silent\x07example" in server.recv(512)
        world.restart()
        world.instance.process.wait_line(r"draining -> ended \(exit code 0\)")
        assert world.ask(f"/connect/api.example.test/{world.port}") == "greetings"


@pytest.mark.slow
def test_go_has_no_way_out(world, guests):
    """Its wasip1 connects within the program only, whatever the policy allows; it says so at once."""
    world.start(guests.go("outward_go"), allow=["api.example.test", f"{API}/32", f"localhost:{world.port}"])
    Peer.heard.clear()
    for place in (API, "127.0.0.1"):
        assert world.ask(f"/connect/{place}/{world.port}").endswith("connect: Connection refused")
    for place in ("api.example.test", "localhost"):
        assert world.ask(f"/connect/{place}/{world.port}").startswith("lookup")
    assert not Peer.heard


def change_by_put(world, allow):
    with world.space.entered():
        assert world.instance.ask("PUT", "/api/network/policy", {"allow": allow}).status == 200


def change_by_file(world, allow):
    world.settings(allow=allow)


@needs_wall
@pytest.mark.parametrize("change, args", [(change_by_put, []), (change_by_file, ["--watch"])], ids=["put", "watch"])
def test_a_stricter_policy(world, guests, change, args):
    """It closes a connection that it no longer allows, and leaves the others."""
    ended = []

    def keep(sock):
        echo(sock)
        ended.append(sock.getsockname()[1])

    ports = [world.listen(world.outside, "0.0.0.0", keep) for _ in range(2)]
    rules = [f"{API}:{port}" for port in ports]
    world.start(guests.c("outward.c"), *args, allow=rules)
    for port in ports:
        assert world.ask(f"/leave/{API}/{port}") == "left 0"
    change(world, rules[1:])
    wait_for(lambda: ended, "the connection that isn't allowed any more is closed")
    assert world.ask("/more") == "hello from inside\n" and ended == ports[:1]
    with world.space.entered():
        ways = {one["to"]: one for one in world.instance.get("/api/connections")["connections"] if one["kind"] == "outward"}
    assert [(ways[rule]["open"], ways[rule]["end"]) for rule in rules] == [(False, "the policy no longer allows it"), (True, None)]


def build_fetch_rust(folder):
    env = toolchains.rust()
    shutil.copytree(ROOT / "examples" / "hello-rust", folder, ignore=shutil.ignore_patterns("target"))
    shutil.copy(SOURCES / "fetch_rust" / "lib.rs", folder / "src" / "lib.rs")
    subprocess.run(
        ["cargo", "build", "--release", "--offline", "--locked", "--target", "wasm32-wasip2"],
        cwd=folder, env={**env, "PATH": f"{env['PATH']}"}, check=True, capture_output=True,
    )
    return folder / "target" / "wasm32-wasip2" / "release" / "hello_rust.wasm"


def build_fetch_js(folder):
    env = toolchains.js()
    shutil.copytree(ROOT / "examples" / "hello-js", folder, ignore=shutil.ignore_patterns("node_modules", "dist"))
    shutil.copy(SOURCES / "fetch_js" / "hello.js", folder / "hello.js")
    for command in (["npm", "ci"], ["npm", "run", "build"]):
        subprocess.run(command, cwd=folder, env={**os.environ, **env}, check=True, capture_output=True)
    return folder / "dist" / "hello.wasm"


# What wasmtime makes of a connection that isn't allowed is one that was refused; fetch() has one word for all.
REFUSED = "failed: ErrorCode::ConnectionRefused"
FAILED = "failed: NetworkError when attempting to fetch resource"


@pytest.mark.toolchain
@pytest.mark.parametrize("build, unknown, refused", [
    pytest.param(build_fetch_rust, "failed: ErrorCode::DnsError", REFUSED, id="rust"),
    pytest.param(build_fetch_js, FAILED, FAILED, marks=pytest.mark.slow, id="js"),
])
def test_fetch(world, tmp_path, build, unknown, refused):
    """wasi:http, which connects by itself: HTTP, and HTTPS, whose certificate is of the name."""
    inside, other = (world.listen(world.space, "127.0.0.1") for _ in range(2))
    world.start(build(tmp_path / "build"), allow=["api.example.test", "93.184.217.0/24", f"localhost:{inside}"])
    for place in (f"api.example.test:{world.port}", f"{OTHER}:{world.port}", f"localhost:{inside}", f"127.0.0.1:{inside}"):
        assert world.ask(f"/http/{place}") == "200 hello"
    assert world.ask(f"/http/other.example.test:{world.port}").startswith(unknown)
    for place in (f"api.example.test:{CLOSED}", f"{API}:{world.port}", f"localhost:{other}", f"127.0.0.1:{world.instance.port}"):
        assert world.ask(f"/http/{place}").startswith(refused)
    Peer.heard.clear()
    # The host speaks no TLS; what it hears is a client that says whom it means (RFC 6066, 3).
    assert world.ask(f"/https/api.example.test:{world.port}").startswith("failed")
    wait_for(lambda: Peer.heard, "the host is asked")
    assert Peer.heard[0].startswith(b"\x16\x03\x01") and b"api.example.test" in Peer.heard[0]
    with world.space.entered():
        decisions = world.instance.get("/api/network/decisions")["decisions"]
    remedies = {decision["asked"]: decision["remedy"] for decision in decisions if not decision["allowed"]}
    named = f"{API}:{world.port}"
    wanted = {"other.example.test": "other.example.test", named: named, f"127.0.0.1:{other}": f"localhost:{other}"}
    assert wanted.items() <= remedies.items()

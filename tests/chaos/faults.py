# SPDX-License-Identifier: MIT
"""
What is done to a World, each fault with its end. One that needs what another has at the moment is left out that time. Stock's
relay and client are spared what stock bore can't get over: a peer that vanished holds its port for a quarter of an hour.
"""

import signal



def _tunnel(world, rng, kind="ours"):
    return rng.choice([tunnel for tunnel in world.tunnels if tunnel.kind == kind and tunnel.expected] or [None])


def kill_relay(world, rng):
    kind = rng.choice([kind for kind, relay in world.relays.items() if relay] or [None])
    if not kind:
        return False
    world.relays[kind].process.kill()
    world.relays[kind] = None
    world.later(rng.uniform(0.1, 4), lambda: world.start_relay(kind))
    return True


def drain_relay(world, rng):
    relay = world.relays["ours"]
    if not relay:
        return False
    world.relays["ours"] = None
    relay.process.signal(signal.SIGCONT)
    relay.process.signal(signal.SIGTERM)

    def begin():
        if relay.process.wait_exit() != 0:
            world.failures.append(f"a draining relay failed:\n{relay.process.tail()}")
        world.drained_logs.append(world.logs[-1])
        world.start_relay("ours")

    world.later(rng.uniform(3, 5), begin)
    return True


def _end_client(world, tunnel, end, rng):
    if not tunnel:
        return False
    tunnel.expected = False
    end(tunnel.client)
    world.later(rng.uniform(0.1, 3), lambda: world.start_client(tunnel))
    return True


def kill_client(world, rng):
    return _end_client(world, _tunnel(world, rng), lambda client: client.kill(), rng)


def kill_stock_client(world, rng):
    return _end_client(world, _tunnel(world, rng, "stock"), lambda client: client.kill(), rng)


def drain_client(world, rng):
    def end(client):
        client.signal(signal.SIGCONT)
        client.signal(signal.SIGTERM)
        if client.wait_exit(30) != 0:
            world.failures.append(f"a draining client failed:\n{client.tail()}")

    return _end_client(world, _tunnel(world, rng), end, rng)


def kill_app(world, rng):
    tunnel = _tunnel(world, rng)
    if not tunnel:
        return False
    tunnel.app.kill()
    world.start_app(tunnel)
    return True


def stop_process(world, rng):
    """Long enough at times for the other side to give it up."""
    process = rng.choice([p for p in world.ours().values() if p.alive()])
    process.signal(signal.SIGSTOP)
    world.later(rng.choice([0.3, 2, 15]), lambda: process.alive() and process.signal(signal.SIGCONT))
    return True


def hang_up(world, rng):
    process = rng.choice([p for p in world.ours().values() if p.alive()])
    process.signal(signal.SIGHUP)
    return True


def _on_link(world, rng, spaces, seconds, begin, end):
    space = rng.choice([space for space in spaces if space not in world.disturbed] or [None])
    if not space:
        return False
    world.disturbed.add(space)
    begin(space)

    def heal():
        end(space)
        world.disturbed.discard(space)

    world.later(seconds, heal)
    return True


def lose_packets(world, rng):
    percent = rng.choice([2, 10, 30])

    def begin(space):
        space.nft("add table inet loss")
        for hook, side in (("input", "iif"), ("output", "oif")):
            space.nft(f"add chain inet loss {hook} {{ type filter hook {hook} priority 0; }}")
            space.nft(f"add rule inet loss {hook} {side} != lo numgen random mod 100 < {percent} drop")

    spaces = [world.away, *world.homes]
    return _on_link(world, rng, spaces, rng.uniform(2, 6), begin, lambda space: space.nft("delete table inet loss"))


def part_network(world, rng):
    seconds = rng.choice([1, 5, 15])
    spaces = [world.away, *world.vulnerable_homes()]
    return _on_link(world, rng, spaces, seconds, lambda space: space.silence(), lambda space: space.unsilence())


def change_address(world, rng):
    """As a laptop does that changes its network: the old address is gone, and what was connected from it."""
    space = rng.choice([space for space in world.vulnerable_homes() if space not in world.disturbed] or [None])
    if not space:
        return False
    prefix, last = space.host.rsplit(".", 1)
    new = f"{prefix}.{int(last) % 250 + 2}"
    space.ip("addr", "del", f"{space.host}/24", "dev", "up0")
    space.ip("addr", "add", f"{new}/24", "dev", "up0")
    space.ip("route", "replace", "default", "via", space.middle)
    space.host = new
    return True


FAULTS = [
    kill_relay,
    drain_relay,
    kill_client,
    kill_stock_client,
    drain_client,
    kill_app,
    stop_process,
    hang_up,
    lose_packets,
    part_network,
    change_address,
]


def deal(rng):
    """All of them in a random order, again and again."""
    while True:
        yield from rng.sample(FAULTS, len(FAULTS))



# SPDX-License-Identifier: MIT
"""
Checksummed streams while everything around them fails. CHAOS_SECONDS of faults (script/soak), the same ones for the same
CHAOS_SEED, then what must hold whatever happened: no wrong byte; nothing that was cut looks whole; nothing stays open, no
descriptor, no memory; every tunnel comes back to its port; logs and metrics agree.
"""

import collections
import json
import os
import random
import signal
import time

import pytest

from faults import FAULTS, deal
from harness.netns import unusable
from harness.wait import SANITIZER, SCALE, wait_for
from traffic import PATIENCE_S
from world import World, client_figures, closed_visitors

SECONDS = float(os.environ.get("CHAOS_SECONDS", "30"))
SEED = int(os.environ.get("CHAOS_SEED", "1"))
RATE, MOST = 20, 150  # streams begun in a second, and open at once
BACK_S = 35.0  # see docs/states.md: what the longest delay and one attempt take
GONE_S = 150.0  # an idle connection whose peer has vanished: the kernel's keepalive, see net/sockopt.h
GROWTH_KB = 16_000  # what a heap may keep


def streams_of(process):
    return [json.loads(line.text) for line, _ in process.find(r"^\{")]


@pytest.mark.root
@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_chaos(lab, net):
    rng, world = random.Random(SEED), World(lab, net, SEED)
    fds = {name: process.fds() for name, process in world.ours().items()}
    memory = {name: process.private_kb() for name, process in world.ours().items()}
    visitors, apps = world.start_visitors(RATE, MOST), [tunnel.app for tunnel in world.tunnels]
    done = collections.Counter()
    end = time.monotonic() + SECONDS
    for fault in deal(rng):
        if time.monotonic() >= end:
            break
        done[fault.__name__] += fault(world, rng)
        apps += [tunnel.app for tunnel in world.tunnels if tunnel.app not in apps]
        world.run(time.monotonic() + rng.uniform(0.2, 3))
    world.settle()

    slow = [tunnel.index for tunnel in world.tunnels if not back(world, tunnel)]
    for process in (visitors, *(app for app in apps if app.alive())):
        process.signal(signal.SIGTERM)
        process.wait_exit(PATIENCE_S + 60)
    seen, answered = streams_of(visitors), [stream for app in apps for stream in streams_of(app)]
    print(f"faults: {dict(done)}")
    for who, streams in (("visitors", seen), ("applications", answered)):
        print(f"{who}: {dict(collections.Counter(stream['end'] for stream in streams))}")

    assert not slow, f"tunnels that weren't back on their port within {BACK_S:g} s: {slow}"
    assert not world.failures, "\n".join(world.failures)
    assert not (bad := [stream for stream in seen + answered if stream["end"] in ("wrong", "open")]), bad[:10]
    ours = {tunnel.index for tunnel in world.tunnels if tunnel.only_ours}
    assert not (cut := [stream for stream in seen + answered if stream["end"] == "short" and stream["index"] in ours]), cut[:10]
    # What a test of survival is worth: most survive, and there was something to survive.
    assert sum(stream["end"] == "whole" for stream in seen) > len(seen) / 3 > SECONDS * RATE / 20
    assert SECONDS < 60 or all(done[fault.__name__] for fault in FAULTS if fault.__name__ != "kill_stock_client"), done
    check_books(world)
    for name, process in world.ours().items():
        wait_for(lambda: process.fds() <= fds[name], f"{name}: the descriptors are as before", GONE_S)
        assert SANITIZER or process.private_kb() <= memory[name] + GROWTH_KB, f"{name} has grown"


def back(world, tunnel):
    try:
        return wait_for(lambda: world.answers(tunnel), f"tunnel {tunnel.index} is back", BACK_S * SCALE)
    except AssertionError:
        return False


def check_books(world):
    """What was opened is closed, and the bytes of the log are those of the metrics."""
    for log in world.drained_logs:
        opened, closed, *_ = closed_visitors(log)
        assert sorted(opened) == sorted(closed), f"{log}: {len(opened)} opened, {len(closed)} closed"

    def told():
        values = world.relays["ours"].metrics()
        return [values[f'bore_bytes_total{{from="{side}"}}'] for side in ("visitor", "client")]

    def written():
        """Lines are collected before they are written."""
        opened, closed, *sums = closed_visitors(world.logs[-1])
        return opened and sorted(opened) == sorted(closed) and sums == told()

    wait_for(written, f"{world.logs[-1]} agrees with the metrics", GONE_S)

    def counted(tunnel):
        opened, closed, sums, metrics = client_figures(tunnel)
        return sorted(opened) == sorted(closed) and sums == metrics

    for tunnel in world.tunnels:
        if tunnel.kind == "ours":
            wait_for(lambda: counted(tunnel), f"client {tunnel.index}: its events agree with its metrics", GONE_S)

# SPDX-License-Identifier: MIT
"""Nothing is left behind: descriptors, memory, counters."""

import signal

import pytest

from harness.netns import unusable
from harness.streams import ping
from harness.wait import SANITIZER, wait_for

COUNT = 2000 if SANITIZER else 20_000
# Growth that a heap may keep after a burst, and per connection nothing.
KEPT_KB = 4000


def gauges(values):
    """Those that are as before when all visitors have gone; warm connections wait for others."""
    own = "process", "bore_ready_parked"
    return {name: value for name, value in values.items() if "total" not in name and not name.startswith(own)}


@pytest.mark.parametrize("path", ["copy", "splice"])
@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_short_connections(lab, flood, path, secret):
    """A burst to warm up, then the count that is compared; under a sanitizer LeakSanitizer looks at the end."""
    app = lab.process([flood, "serve"], "app")
    port = int(app.wait_line(r"listening at \S+:(\d+)")[1][1])
    relay = lab.relay(path=path, secret=secret, metrics=True)
    client = lab.client(relay, port, path=path, secret=secret)
    ends = relay.process, client.process

    def run(count):
        process = lab.process([flood, "run", client.host, client.port, count, 0, 64], "flood")
        process.wait_exit(600)
        _, match = process.wait_line(r"done=(\d+) failed=(\d+)")
        assert (int(match[1]), match[2]) == (count, "0"), process.text()

    run(COUNT // 10)
    settled(relay)
    before = [(relay.fds_in_use(end), end.private_kb()) for end in ends]
    gauges_before = gauges(relay.metrics())
    run(COUNT)
    settled(relay)
    for end, (fds, kb) in zip(ends, before):
        wait_for(lambda: relay.fds_in_use(end) <= fds, f"{end.name}: all descriptors are back")
        if not SANITIZER:
            assert end.private_kb() <= kb + KEPT_KB, f"{end.name} has grown"
    wait_for(lambda: gauges(relay.metrics()) == gauges_before, "all gauges are as before")
    for end in ends:
        end.signal(signal.SIGTERM)
        assert end.wait_exit() == 0, "also what a sanitizer would say"


def settled(relay):
    def quiet():
        values = relay.metrics()
        return not values["bore_visitors_open"] and not values["bore_handshakes_open"]

    wait_for(quiet, "all visitors have gone, and no warm connection comes")


@pytest.mark.parametrize("secret", [None, "s3cret"], ids=["open", "secret"])
def test_reconnections(lab, secret):
    """A client that loses its relay again and again keeps nothing of the lost connections."""
    relay = lab.relay(secret=secret, metrics=True)
    client = lab.client(relay, lab.app(), secret=secret)
    client.wait_state("Connected")  # not the one of the first reconnection
    ping(client.public)
    settled(relay)
    before = relay.fds_in_use(client.process)
    for _ in range(5):
        mark = client.process.mark()
        relay.process.kill()
        client.wait_state("Reconnecting", after=mark)
        relay = lab.relay(secret=secret, host=relay.host, control_port=relay.control_port, metrics=True)
        client.process.signal(signal.SIGHUP)
        client.wait_state("Connected", after=mark)
        wait_for(lambda: relay.fds_in_use(client.process) <= before, "the old connection's descriptors are gone")


@pytest.mark.root
@pytest.mark.skipif(unusable() is not None, reason=str(unusable()))
def test_time_wait_is_spared(lab, net, flood):
    """
    Data connections that the visitor ends first do not linger in TIME_WAIT at the client, whose ports that would use up.
    Every other connection here is ended by the application: its FIN is passed on, and TIME_WAIT belongs to it.
    """
    home, away = net.spoke(), net.spoke()
    app = lab.process([flood, "serve"], "app", where=home)
    port = int(app.wait_line(r"listening at \S+:(\d+)")[1][1])
    relay = lab.relay(host=home.middle, where=net.middle, args=("-q",))
    client = lab.client(relay, port, where=home, args=("-q",))
    run = lab.process([flood, "run", away.middle, client.port, 1000, 0, 64], "flood", where=away)
    run.wait_exit(200)
    assert run.find("done=1000 failed=0"), run.text()
    with open(f"/proc/{client.process.pid}/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    there = f":{relay.control_port:04X}"
    lingering = [row for row in rows if row[3] == "06" and row[2].endswith(there)]
    assert len(lingering) <= 550, f"{len(lingering)} of 1000 connections to the relay linger"

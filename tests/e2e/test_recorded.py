# SPDX-License-Identifier: MIT
"""The tunnel's own tests, while all visitors are recorded: not a byte, an end or a pause is another one for it."""

import os
import types

import pytest

import test_data
from harness.lab import OURS, pairs
from harness.streams import connect, recv_exact

RECORDED = OURS.parent / "tests" / "e2e" / "e2e-bore-recorded"
# The client is what records, whatever its relay is; and it copies, whatever its path is.
PAIRS = "ours-ours-copy-warm", "ours-ours-splice-cold"
NOT_HERE = {
    "test_localhost_is_where_the_application_is": "which address is dialled",
    "test_death_of_the_relay_resets_a_visitor_who_waits": "no client takes part",
    "test_idle_timeout": "the relay alone measures it",
    "test_idle_timeout_ends_a_reader_who_never_reads": "the relay alone measures it",
}


@pytest.fixture
def lab(lab, monkeypatch):
    if not os.access(RECORDED, os.X_OK):
        pytest.skip("e2e-bore-recorded is not built: it belongs to the Meson build (tests/e2e)")
    ours = lab.ours

    def client_records(*args, program=OURS, **how):
        return ours(*args, program=RECORDED if args[0] == "local" else program, **how)

    monkeypatch.setattr(lab, "ours", client_records)
    return lab


def recording(mark):
    """The same mark, with the pairs that record."""
    if mark.name != "parametrize" or mark.args[0] != "pair":
        return mark
    return pytest.mark.parametrize("pair", [pair for pair in mark.args[1] if pair.id in PAIRS]).mark


def recorded(test):
    copy = types.FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.pytestmark = [recording(mark) for mark in test.pytestmark]
    copy.__doc__ = test.__doc__
    return copy


for _name, _test in list(vars(test_data).items()):
    if _name.startswith("test_") and _name not in NOT_HERE:
        globals()[_name] = recorded(_test)


@pytest.mark.parametrize("pair", [pair for pair in pairs() if pair.id in PAIRS])
def test_they_are_recorded(lab, pair):
    """What the other tests rely on: without this they would show nothing."""
    _, _, client = lab.tunnel(pair)
    request = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    with connect(client.public) as visitor:
        visitor.sendall(request)
        assert recv_exact(visitor, len(request)) == request
    client.process.stop()
    # An echo is no answer.
    client.process.wait_line("^recorded: 1 cut$")

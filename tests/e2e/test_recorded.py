# SPDX-License-Identifier: MIT
"""The tunnel's own tests, while all visitors are recorded: not a byte, an end or a pause is another one for it."""

import os

import pytest

from harness.lab import OURS, pairs
from harness.streams import connect, recv_exact
from test_data import (  # noqa: F401
    test_application_closes_with_unread_input,
    test_bulk_with_secret,
    test_half_close_timeout_spares_a_reader_who_pauses,
    test_idle_connection_stays,
    test_ordinary_ends_stay_ordinary,
    test_reset_before_the_first_byte,
    test_reset_is_passed_on_to_the_application,
    test_reset_is_passed_on_to_the_visitor,
    test_slow_reader_holds_back_its_own_sender_only,
    test_small_messages_cross_the_change_of_path,
    test_urgent_data_stays_in_the_stream,
)

RECORDED = OURS.parent / "tests" / "e2e" / "e2e-bore-recorded"


@pytest.fixture
def lab(lab, monkeypatch):
    if not os.access(RECORDED, os.X_OK):
        pytest.skip("e2e-bore-recorded is not built: it belongs to the Meson build (tests/e2e)")
    ours = lab.ours

    def client_records(*args, program=OURS, **how):
        return ours(*args, program=RECORDED if args[0] == "local" else program, **how)

    monkeypatch.setattr(lab, "ours", client_records)
    return lab


@pytest.mark.parametrize("pair", pairs("ours/ours"))
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

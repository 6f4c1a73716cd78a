# SPDX-License-Identifier: MIT
"""A data connection whose answer to the challenge comes too late: the relay's words about it are nobody's bytes."""

import queue

import pytest

from harness.lab import STOCK_PORT
from harness.netns import unusable
from harness.streams import connect
from harness.wait import DEADLINE

pytestmark = [
    pytest.mark.skipif(unusable() is not None, reason=str(unusable())),
    pytest.mark.root,
]

SECRET = "s3cret"


@pytest.mark.parametrize("client_kind,relay_kind", [("ours", "ours"), ("ours", "stock"), ("stock", "ours")])
def test_late_answer_injects_nothing(lab, net, client_kind, relay_kind):
    """The relay gave up and said "timed out" after 3 s; the application received that as its visitor's bytes. From a stock relay as well:
    our client sees that its answer wasn't acknowledged when the words came."""
    heard = queue.Queue()

    def listen(sock):
        try:
            while data := sock.recv(4096):
                heard.put(data)
            heard.put("end")
        except ConnectionResetError:
            heard.put("reset")

    home, away = net.spoke(), net.spoke()
    # A warm connection has given its answer long before.
    cold = () if relay_kind == "stock" else ("--max-ready", 0)
    relay = lab.relay(relay_kind, host=home.middle, where=net.middle, secret=SECRET, args=cold, control_port=STOCK_PORT if client_kind == "stock" else None)
    client = lab.client(relay, lab.app(listen, where=home), kind=client_kind, where=home, secret=SECRET)

    def visit():
        with away.entered():
            visitor = connect((away.middle, client.port), 4 * DEADLINE)
        visitor.sendall(b"hello")
        return visitor

    with visit():
        assert heard.get(timeout=DEADLINE) == b"hello"
    assert heard.get(timeout=DEADLINE) in ("end", "reset")
    # The answer alone is long enough to be lost; heartbeats and acknowledgements pass.
    home.nft("add table inet late")
    home.nft("add chain inet late output { type filter hook output priority 0; }")
    home.nft(f"add rule inet late output tcp dport {relay.control_port} meta length > 120 drop")
    with visit():
        assert heard.get(timeout=4 * DEADLINE) in (("end", "reset") if client_kind == "stock" else ("reset",))

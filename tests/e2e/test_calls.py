# SPDX-License-Identifier: MIT
"""What a short visitor costs at either end, in system calls."""

import re
import shutil
import socket
import subprocess

import pytest

from harness.streams import connect, recv_all
from harness.wait import DEADLINE, wait_for

VISITORS = 100
PARKED = 8  # no more, so that none is dialled while we count
# Of one visitor on a warm connection, with a seventh more for heartbeats and for bytes that come in
# two pieces.
MOST = {"relay": 22, "client": 26}


def may_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0


def answer(sock):
    """As an HTTP/1.0 server: reads, answers, closes; the end in the answer's segment."""
    sock.recv(4096)
    assert sock.send(b"HTTP/1.0 200 OK\r\n\r\nok", socket.MSG_MORE)


def visit(address):
    with connect(address) as visitor:
        visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert recv_all(visitor).endswith(b"ok")


class Trace:
    """The calls on descriptors of a process, from here on."""

    def __init__(self, pid, path):
        self.path = path
        self.strace = subprocess.Popen(
            ["strace", "-f", "-qq", "-e", "trace=%network,%desc", "-e", "signal=none", "-o", path, "-p", str(pid)],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.attached(pid), "strace has attached")

    @staticmethod
    def attached(pid):
        def check():
            with open(f"/proc/{pid}/status") as status:
                return not re.search(r"^TracerPid:\s+0$", status.read(), re.M)

        return check

    def calls(self):
        """How many there were; ends it."""
        self.strace.terminate()
        self.strace.wait(DEADLINE)
        with open(self.path) as trace:
            return len(re.findall(r"^\d+ +\w+\(", trace.read(), re.M))


@pytest.mark.skipif(not may_trace(), reason="no strace here, or it may not trace")
def test_calls_of_a_short_visitor(lab, tmp_path):
    """One call more for each of them is noticed by nobody but who counts."""
    relay = lab.relay(args=("--max-ready", PARKED), metrics=True)
    client = lab.client(relay, lab.app(answer))
    for _ in range(2 * PARKED):
        visit(client.public)
    wait_for(lambda: relay.metrics()["bore_ready_parked"] == PARKED, "as many are parked as may")
    traces = {end: Trace(process.pid, tmp_path / end) for end, process in (("relay", relay.process), ("client", client.process))}
    before = relay.metrics()
    for _ in range(VISITORS):
        visit(client.public)
    after = relay.metrics()
    assert after["bore_ready_given_total"] - before["bore_ready_given_total"] == VISITORS
    calls = {end: trace.calls() / VISITORS for end, trace in traces.items()}
    # What was not traced can't be too much.
    assert all(calls[end] > MOST[end] / 3 for end in calls), calls
    assert all(calls[end] <= MOST[end] for end in calls), calls

# SPDX-License-Identifier: MIT
"""Standard error and output that nobody reads: a stopped terminal (Ctrl-S), a pager. They hold up no visitor."""

import os
import pty
import select
import socket
import subprocess

import pytest

from harness.apps import free_port
from harness.lab import OURS
from harness.streams import ping
from harness.wait import DEADLINE, wait_for

VISITORS = 1200  # whose lines are more than a pipe (64 KiB) or a terminal holds
QUIET = 0.5  # seconds without a byte: what was said before is read


class Unread:
    """A program of ours whose output goes to where nobody reads it before the end."""

    def __init__(self, kind, *args):
        if not os.access(OURS, os.X_OK):
            pytest.skip(f"'{OURS.name}' is not built (BORE_BIN names one)")
        self.reader, writer = os.pipe() if kind == "pipe" else pty.openpty()
        argv = [OURS, *map(str, args)]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
        os.close(writer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.reader)

    def rest(self):
        """What it has said, once somebody reads on; when all of that is read, it is ended with SIGTERM, and says the rest."""
        said, asked = b"", False
        while True:
            if not asked and not select.select([self.reader], [], [], QUIET)[0]:
                self.process.terminate()
                asked = True
            try:
                part = os.read(self.reader, 65536)
            except OSError:  # how a terminal ends
                part = b""
            if not part:
                return said
            said += part


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def serve_unread(lab, kind, relay_args, client_args):
    """Both ends with their output unread, and visitors: what the relay and the client have said."""
    control, public = free_port(), free_port()
    with Unread(kind, "server", "--bind-addr", "127.0.0.1", "--control-port", control, *relay_args) as relay:
        wait_for(lambda: accepts(control), "the relay listens")
        local = ("local", lab.app().port, "--to", f"127.0.0.1:{control}", "--port", public, *client_args)
        with Unread(kind, *local) as client:
            wait_for(lambda: accepts(public), "the tunnel stands")
            for _ in range(VISITORS):
                ping(("127.0.0.1", public), b"x")
            said = [process.rest() for process in (relay, client)]
            assert [process.process.wait(DEADLINE) for process in (relay, client)] == [0, 0]
            return said


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
@pytest.mark.parametrize("json", [(), ("--json",)], ids=["lines", "json"])
def test_output_that_nobody_reads(lab, kind, json):
    """Both ends once stopped with their terminal, as soon as their log had filled it."""
    for said in serve_unread(lab, kind, ("--verbose", *json), ("--verbose", *json)):
        assert b"lines are missing here" in said


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_connection_log_that_nobody_reads(lab, kind):
    said, _ = serve_unread(lab, kind, ("--connection-log", "-"), ())
    assert b" visitor_closed " in said and b" lines_lost count=" in said

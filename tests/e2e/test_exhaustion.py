# SPDX-License-Identifier: MIT
"""A native program in the engine's place (tools/escape_use.c) uses up what it can get. What has a limit has it there, and meanwhile the
supervisor stays small and answers."""

import contextlib
import os
import pathlib
import resource
import select
import socket
import threading

import pytest

from harness.apps import listen
from harness.wait import DEADLINE, SANITIZER, wait_for

pytestmark = pytest.mark.usefixtures("isolated")

MEMORY_MAX = 64 << 20
CGROUPS = pathlib.Path("/sys/fs/cgroup")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def need_well(one):
    """It answers, the API and by it the loop that has all else to do, and is small."""
    assert one.instance.ask("GET", "/api/app", deadline=DEADLINE).status == 200
    status = pathlib.Path(f"/proc/{one.process.pid}/status").read_text()
    if not SANITIZER:
        assert int(status.split("VmHWM:")[1].split()[0]) << 10 < MEMORY_MAX


def use_up(one, way):
    """How many it has got, None if it was killed for it. The supervisor is asked all the time."""
    with one.connect() as sock:
        sock.sendall(f"use_up {way}\n".encode())
        while not select.select([sock], [], [], 0)[0]:
            need_well(one)
        try:
            said = sock.makefile().readline()
        except ConnectionResetError:
            said = ""
    need_well(one)
    return int(said.split()[1]) if said else None


def test_descriptors(outlaw):
    """The hard limit is what the supervisor was given as its soft one; it may raise its own."""
    limited = ("prlimit", "--nofile=200:2000")
    assert 150 < use_up(outlaw(wrap=limited), "descriptors 5000") < 200
    assert 1900 < use_up(outlaw("--no-isolation", wrap=limited), "descriptors 5000") < 2000


@needs_root
def test_threads(outlaw):
    """In a user namespace they are counted, but for root: 40 with what it has had."""
    assert 30 < use_up(outlaw("--max-threads", 40, user="nobody"), "threads 80") < 40
    assert use_up(outlaw("--max-threads", 0, user="nobody"), "threads 80") == 80


def test_memory(outlaw):
    """Without a cgroup it gets what it wants; nothing of it is the supervisor's."""
    assert use_up(outlaw(), "memory 512") == 512


@needs_root
def test_disk(outlaw, public_folder):
    """A disk has no limit but its end, which is the application's trouble, and that of the log beside it."""
    disk = public_folder / "disk"
    disk.mkdir()
    mount = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && mkdir "$0/files" && exec "$@"', disk)
    one = outlaw("--dir", f"{disk}/files::/files", "--connection-log", disk / "log", wrap=mount)
    assert 1 <= use_up(one, f"disk 100 {disk}/files/file") <= 4
    assert use_up(one, f"disk 1 {disk}/files/file") == 0
    assert use_up(one, f"disk 10 {public_folder}/other/file") == 10  # the control


@pytest.mark.parametrize("what", ["output", "output lines", "errors", "errors lines", "steps", "requests"])
def test_floods(outlaw, what):
    """Two threads that never end, into each of what leads to the supervisor."""
    one = outlaw()
    assert one.try_way(f"flood {what}") == "ok 0"
    for _ in range(20):
        need_well(one)
    before = one.process.fds()
    assert one.instance.ask("POST", "/api/app/restart").status in (200, 202)
    wait_for(lambda: one.try_way("ask 127.0.0.1 1").startswith("broker"), "the next one is served")
    need_well(one)
    wait_for(lambda: one.process.fds() <= before + 2, "no descriptors are left")


class Crowd:
    """Takes whoever comes, and holds them."""

    def __init__(self):
        self.listener, self.held = listen("127.0.0.1"), []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        with contextlib.suppress(OSError):
            while True:
                self.held.append(self.listener.accept()[0])

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for sock in self.held:
            sock.close()


@pytest.fixture
def crowd():
    """With descriptors for as many as there are to come."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    made = Crowd()
    yield made
    made.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


def test_ten_thousand_connections(outlaw, crowd):
    """Outward, all open at the same time, or as many as there are descriptors for, two for each; what is beyond the limit is refused."""
    port, most = crowd.listener.getsockname()[1], resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(10000, (most - 500) // 2)
    one = outlaw("--allow-net", f"localhost:{port}", "--max-connections", count, wrap=("prlimit", f"--nofile={count + 500}:{most}"))
    assert use_up(one, f"connections {count + 1} 127.0.0.1 {port}") == count
    wait_for(lambda: len(crowd.held) == count, "all of them are there")
    need_well(one)


@needs_root
def test_cgroup(outlaw):
    """Where one is delegated, memory and threads end there, root's too, and it is told why."""
    own = CGROUPS / f"test-exhaustion-{os.getpid()}"
    if not (CGROUPS / "cgroup.subtree_control").exists():
        pytest.skip("needs a cgroup of version 2")
    try:
        (CGROUPS / "cgroup.subtree_control").write_text("+memory +pids +cpu")
        own.mkdir()
        os.setxattr(own, "trusted.delegate", b"1")  # as systemd does it
    except OSError as failure:
        pytest.skip(f"no cgroup of version 2 can be made: {failure}")
    try:
        join = ("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', own)
        one = outlaw("--max-memory-mib", 64, "--max-threads", 40, wrap=join)
        assert 30 < use_up(one, "threads 200") < 40
        assert use_up(one, "memory 512") is None
        one.process.wait_line("out of memory: it has used up the 64 MiB of --max-memory-mib")
        assert use_up(one, "memory 16") == 16
        assert {path.name for path in own.iterdir() if path.is_dir()} == {"supervisor", "app-1"}
        one.process.stop()
        assert not [path for path in own.iterdir() if path.is_dir()]
    finally:
        wait_for(lambda: not (own / "cgroup.procs").read_text(), "nobody is in it")
        own.rmdir()
    assert use_up(outlaw("--max-memory-mib", 64), "memory 512") == 512  # the control

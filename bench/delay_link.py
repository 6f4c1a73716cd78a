#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A link with delay between two network namespaces, for kernels without netem.

    delay_link.py ONE_WAY_MS PID1 IF1 PID2 IF2

Makes a TUN interface in the network namespace of each process and carries packets between the two,
each ONE_WAY_MS late and in order. Prints "ready" when both exist; they vanish with this process.
For light traffic: one packet at a time, no loss, no limit.
"""

import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
PACKET_MAX = 65536

_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace):
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def tun_in(pid, name):
    """A TUN device belongs to the namespace in which it was made; its descriptor works from
    anywhere.
    """
    home, there = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(
        f"/proc/{pid}/ns/net", os.O_RDONLY
    )
    enter(there)
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
        return fd
    finally:
        enter(home)
        os.close(home)
        os.close(there)


def read_packets(fd):
    while True:
        try:
            yield os.read(fd, PACKET_MAX)
        except BlockingIOError:
            return


def carry(a, b, delay):
    """Both directions share one queue: with one delay for all, packets leave in the order in which
    they came.
    """
    other, queue = {a: b, b: a}, collections.deque()
    while True:
        wait = max(0.0, queue[0][0] - time.monotonic()) if queue else None
        for fd in select.select([a, b], [], [], wait)[0]:
            due = time.monotonic() + delay
            queue.extend((due, other[fd], packet) for packet in read_packets(fd))
        while queue and queue[0][0] <= time.monotonic():
            _, fd, packet = queue.popleft()
            try:
                os.write(fd, packet)
            except OSError:  # the interface is down; a packet may get lost
                pass


def main(one_way_ms, pid1, if1, pid2, if2):
    a, b = tun_in(pid1, if1), tun_in(pid2, if2)
    print("ready", flush=True)
    carry(a, b, float(one_way_ms) / 1000)


if __name__ == "__main__":
    main(*sys.argv[1:])

# SPDX-License-Identifier: MIT
"""Network namespaces: a relay's in the middle, each other one joined to it by a veth pair of its own."""

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


def _run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def unusable():
    """Why namespaces can't be had here, or None."""
    if os.geteuid():
        return "network namespaces need root"
    for tool in ("ip", "nft", "nsenter"):
        if not shutil.which(tool):
            return f"'{tool}' is not installed"
    return None


def _setns(fd):
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Namespace:
    """`host` is its address on the link to the middle, `middle` the middle's address there."""

    def __init__(self, name, number, host=None, middle=None):
        self.name, self.number, self.host, self.middle = name, number, host, middle
        self.wrap = ["nsenter", f"--net=/run/netns/{name}"]

    @contextlib.contextmanager
    def entered(self):
        """Sockets that this thread makes meanwhile belong to the namespace, for good."""
        here, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            _setns(there)
            yield
        finally:
            _setns(here)
            os.close(here)
            os.close(there)

    def ip(self, *args):
        return _run("ip", "-n", self.name, *args)

    def sysctl(self, name, value):
        _run("ip", "netns", "exec", self.name, "sysctl", "-qw", f"{name}={value}")

    def nft(self, rule):
        _run("ip", "netns", "exec", self.name, "nft", rule)

    def silence(self):
        """Drops every packet both ways, but for loopback: nobody is told."""
        self.nft("add table inet silence")
        for hook, side in (("input", "iif"), ("output", "oif")):
            self.nft(f"add chain inet silence {hook} {{ type filter hook {hook} priority 0; policy drop; }}")
            self.nft(f"add rule inet silence {hook} {side} lo accept")

    def unsilence(self):
        self.nft("delete table inet silence")


class Star:
    """The namespaces of one test, all gone at its end."""

    def __init__(self):
        self.spaces = []
        self.middle = self._add()

    def _add(self):
        number = next(_numbers)
        space = Namespace(f"e2e-{os.getpid()}-{number}", number)
        _run("ip", "netns", "add", space.name)
        self.spaces.append(space)
        space.ip("link", "set", "lo", "up")
        return space

    def spoke(self):
        space, middle = self._add(), self.middle
        space.host, space.middle = f"10.77.{space.number}.2", f"10.77.{space.number}.1"
        there = f"veth{space.number}"
        middle.ip("link", "add", there, "type", "veth", "peer", "name", "up0", "netns", space.name)
        for where, name, address in ((middle, there, space.middle), (space, "up0", space.host)):
            where.ip("addr", "add", f"{address}/24", "dev", name)
            where.ip("link", "set", name, "up")
        space.ip("route", "add", "default", "via", space.middle)
        return space

    def close(self):
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space.name], capture_output=True)


@contextlib.contextmanager
def star():
    reason = unusable()
    if reason:
        pytest.skip(reason)
    net = Star()
    try:
        yield net
    finally:
        net.close()

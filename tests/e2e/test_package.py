# SPDX-License-Identifier: MIT
"""From the source to another machine: the README's way, and script/package's packages, in a Debian 12 that has nothing else."""

import re

import pytest

from harness.chroot import SHELL, Chroot
from harness.lab import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.together]


def test_host_a_relay(tmp_path):
    """What the README says, word by word, where only what it installs is there."""
    install, build, server, client = re.search(r"^## Host a relay\n+```\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[1].splitlines()
    chroot = Chroot("build", tmp_path)
    chroot.put_tree("/src")
    said = chroot.run(f"""{SHELL}
        cd /src
        {install}
        {build}
        if dpkg-query -W -f '${{Package}}\n' | grep -E '^(libmicrohttpd|libcurl|libtomlplusplus|libqrencode|libcmocka)'; then exit 1; fi
        echo 127.0.0.1 relay.example >>/etc/hosts
        (umask 077; openssl rand -hex 32 >/etc/bore.secret)
        cp /etc/bore.secret ~/.bore.secret
        serve 8000
        {server} >/server.log 2>&1 &
        await 'server listening at' /server.log
        {client} >/client.log 2>&1 &
        await 'listening at relay.example:' /client.log
        fetch "http://$(grep -o 'relay.example:[0-9]*$' /client.log | tail -n 1)/hello"
        """)
    assert "hello through the tunnel" in said
    assert re.search(r"^ *OS mode \(wasmrun\) *: NO, it lacks -Dwasmrun=auto$", said, re.M), said

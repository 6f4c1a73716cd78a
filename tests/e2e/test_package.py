# SPDX-License-Identifier: MIT
"""From the source to another machine: the README's way, and script/package's packages, in a Debian 12 that has nothing else."""

import re

import pytest

from harness.chroot import Chroot
from harness.lab import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.together]

# As a shell's functions: waits until a file has a line, and fetches through a tunnel what an application serves.
SHELL = r"""
await() { timeout 60 sh -c 'until grep -qE "$1" "$2"; do sleep 0.1; done' sh "$1" "$2" || { cat "$2"; exit 1; }; }
serve() { mkdir -p /www; echo "hello through the tunnel" >/www/hello; (cd /www && exec python3 -m http.server 8000 --bind 127.0.0.1) >/dev/null 2>&1 & }
fetch() { python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=30).read().decode())' "$1"; }
"""


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
        serve
        {server} >/server.log 2>&1 &
        await 'server listening at' /server.log
        {client} >/client.log 2>&1 &
        await 'listening at relay.example:' /client.log
        fetch "http://$(grep -o 'relay.example:[0-9]*$' /client.log | tail -n 1)/hello"
        """)
    assert "hello through the tunnel" in said
    assert re.search(r"^ *OS mode \(wasmrun\) *: NO, it lacks -Dwasmrun=auto$", said, re.M), said

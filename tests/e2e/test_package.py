# SPDX-License-Identifier: MIT
"""From the source to another machine: the README's way, and script/package's packages, in a Debian 12 that has nothing else."""

import filecmp
import hashlib
import os
import re
import shutil
import subprocess
import tarfile

import pytest

from harness.chroot import SHELL, Chroot
from harness.lab import ROOT
from harness.streams import ping
from harness.toolchains import CACHE

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.together]


def test_host_a_relay(tmp_path):
    """What the README says, word by word, where only what it installs is there."""
    install, build, server, client = re.search(r"^## Host a relay\n+<!-- .* -->\n```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[1].splitlines()
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


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs '{program}' (script/setup --tests)")


def package(out, *parts):
    """What script/package makes of these parts; its own sums are right."""
    env = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}  # not the last commit's: one may come meanwhile
    done = subprocess.run([ROOT / "script" / "package", "--out", out, *parts], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1500)
    assert done.returncode == 0, done.stdout[-4000:]
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    made = {path.name for path in out.iterdir()} - {"SHA256SUMS"}
    assert set(sums) == made and len(made) == len(parts)
    for name in made:
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sums[name]
    return out


@pytest.fixture(scope="module")
def debs(tmp_path_factory):
    need("dh", "lintian", "node")
    return package(tmp_path_factory.mktemp("debs"), "bore", "wasmrun")


def test_same_bytes(debs, tmp_path):
    """Built again, in another folder and alone, it is the same."""
    again = package(tmp_path / "again", "bore")
    (deb,) = again.glob("*.deb")
    assert filecmp.cmp(deb, debs / deb.name, shallow=False)


def test_lintian(debs):
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", *debs.glob("*.deb")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout


# All files but those that apt and dpkg keep, and the second copies of the lists of users.
LIST = "find / -xdev -path /var/lib/dpkg -prune -o -path /var/cache -prune -o -path /var/log/apt -prune -o ! -name '*-' -print | sort"


def test_debian_packages(debs, tmp_path):
    """They install, run, are a tunnel for each other, and leave nothing behind."""
    chroot = Chroot("base", tmp_path)
    chroot.put(debs, "/debs")
    chroot.put(ROOT / "examples" / "static-site", "/site")
    said = chroot.run(SHELL + f"""
        apt-get -qq install systemd libuv1 libjansson4 libssl3 libcurl4 libmicrohttpd12 libqrencode4 curl >/dev/null 2>&1
        {LIST} >/run/before
        apt-get -qq install /debs/bore_*.deb /debs/wasmrun_*.deb >/run/apt 2>&1 || {{ cat /run/apt; exit 1; }}
        bore server --help | head -n 1
        ls /usr/share/man/man1/bore-server.1.gz /usr/share/man/man1/wasmrun-os.1.gz /usr/share/bash-completion/completions/bore \
            /usr/share/zsh/vendor-completions/_wasmrun /usr/share/fish/vendor_completions.d/bore.fish /usr/lib/wasmrun/libwasmtime.so
        systemd-analyze verify --man=no /lib/systemd/system/bore-server.service /lib/systemd/system/bore-server@a.service
        systemctl is-enabled bore-server || true
        getent passwd bore
        export XDG_RUNTIME_DIR=/run XDG_CACHE_HOME=/run/cache  # those of who runs it
        cd /run
        bore server --secret s >server.log 2>&1 &
        await 'server listening at' server.log
        wasmrun os -p /site -P 0 --forward 8000 --expose --tunnel-server 127.0.0.1 --tunnel-secret s >os.log 2>&1 &
        await '^public: ' os.log
        bore local 8000 --to 127.0.0.1 --secret s >client.log 2>&1 &
        await 'listening at 127.0.0.1' client.log
        for url in "$(grep -o '^public: *http://[^ ]*' os.log | grep -o 'http.*')" "http://$(grep -o '127.0.0.1:[0-9]*$' client.log | tail -n 1)/"; do
            curl -sS --fail --retry 20 --retry-all-errors --retry-delay 1 --max-time 60 "$url" >page
            cmp page /site/index.html && echo "the same"
        done
        kill $(jobs -p)
        wait || true
        install -D -m 600 /dev/null /etc/bore/secret
        install -D /dev/null /var/log/bore/connections.log
        apt-get -qq purge bore wasmrun >/run/apt 2>&1 || {{ cat /run/apt; exit 1; }}
        {LIST} >/run/after
        diff /run/before /run/after
        if getent passwd bore; then exit 1; fi
        """)
    assert "Runs the remote proxy server" in said
    assert "disabled" in said
    assert said.count("the same") == 2


@pytest.mark.parametrize("arch", ("amd64", "arm64"))
def test_tarball(lab, tmp_path, arch):
    """It runs from where it was unpacked, with nothing but glibc; the one for arm64 in an emulator."""
    run = []
    if arch == "arm64":
        need("aarch64-linux-gnu-gcc")
        run = [str(CACHE / "qemu-aarch64-static"), "-L", "/usr/aarch64-linux-gnu"]
        if not os.access(run[0], os.X_OK) or not (CACHE / "arm64-sysroot").is_dir():
            pytest.skip("needs Debian's libraries for arm64 (script/setup --tests)")
    (archive,) = package(tmp_path / "out", f"tarball-{arch}").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        assert {(member.uid, member.gid) for member in tar} == {(0, 0)}
        tar.extractall(tmp_path)
    (folder,) = tmp_path.glob("bore-*")
    needed = subprocess.run(["readelf", "-d", folder / "bin" / "bore"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"NEEDED.*\[(.*)\]", needed)) <= {"libc.so.6", "ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2"}
    for name in ("LICENSE", "licenses/libuv1", "licenses/libssl3", "share/man/man1/bore-server.1", "lib/systemd/system/bore-server.service", "lib/systemd/system/bore-server@.service"):
        assert (folder / name).stat().st_size > 500, name
    program = tmp_path / "bore"
    program.write_text(f'#!/bin/sh\nexec {" ".join(run)} "{folder}/bin/bore" "$@"\n')
    program.chmod(0o755)
    relay = lab.relay(program=program, secret="s")
    client = lab.client(relay, lab.app(), program=program, secret="s")
    ping(client.public)

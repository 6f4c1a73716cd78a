# SPDX-License-Identifier: MIT
"""A Debian 12 to change into, made of the layers of script/setup-chroot, with a network of its own that leads nowhere.

What a test changes there lies in a folder of its own. The layers themselves stay as they are.
"""

import os
import pathlib
import subprocess

import pytest

from .lab import ROOT

NAMES = ("base", "build", "tools")
MOUNTS = """
ip link set lo up
mount -t tmpfs tmpfs "$1" -o mode=755
mkdir "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$3,workdir=$4" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
shift 4
exec "$@"
"""


def layers(name):
    """The folders of a layer and those below it, the highest first."""
    said = subprocess.run([ROOT / "script" / "setup-chroot", "--print"], capture_output=True, text=True, check=True).stdout.split()
    wanted = said[: NAMES.index(name) + 1]
    if os.geteuid():
        pytest.skip("needs root to change into another system")
    for folder in wanted:
        if not os.path.isdir(folder):
            pytest.skip(f"needs the system '{pathlib.Path(folder).name}' in the cache folder (script/setup --tests, with root and debootstrap)")
    return wanted[::-1]


class Chroot:
    def __init__(self, name, folder):
        self.lower, self.folder = layers(name), pathlib.Path(folder)
        self.upper = self.folder / "upper"
        for part in ("upper", "work", "mount"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)

    def argv(self, command):
        """A shell's command inside; the shell is the first process of a pid namespace, so that nothing outlives it."""
        mounts = [self.folder / "mount", ":".join(self.lower), self.upper, self.folder / "work"]
        return ["unshare", "-mnpuif", "--kill-child", "sh", "-euc", MOUNTS, "sh", *map(str, mounts), "chroot", ".", "/bin/bash", "-euo", "pipefail", "-c", command]

    def run(self, command, check=True, timeout=300):
        """What the command prints."""
        env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
        done = subprocess.run(self.argv(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, timeout=timeout)
        if check:
            assert done.returncode == 0, f"$ {command}\n{done.stdout[-8000:]}"
        return done.stdout

    def write(self, path, text, mode=0o644):
        target = self.upper / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def put(self, source, path):
        """A copy of a file or folder."""
        target = self.upper / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", "--", source, target], check=True)

    def put_tree(self, path):
        """The files that git knows, as they are."""
        target = self.upper / path.lstrip("/")
        target.mkdir(parents=True)
        subprocess.run(f'git ls-files -z | tar --null --files-from=- --create | tar -x -C "{target}"', shell=True, cwd=ROOT, check=True)

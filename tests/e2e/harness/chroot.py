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
mkdir -p .old
pivot_root . .old
umount -l .old
rmdir .old
exec "$@"
"""

# For scripts inside: waits until a file has a line, serves /www (and listens when it returns), and fetches.
SHELL = r"""
await() { timeout 300 sh -c 'until grep -qE "$1" "$2"; do sleep 0.1; done' sh "$1" "$2" || { cat "$2"; exit 1; }; }
serve() {
    mkdir -p /www
    echo "hello through the tunnel" >/www/hello
    (cd /www && exec python3 -m http.server "$1" --bind 127.0.0.1) >/dev/null 2>&1 &
    timeout 300 bash -c 'until (: </dev/tcp/127.0.0.1/"$1") 2>/dev/null; do sleep 0.1; done' bash "$1" || { echo "nothing listens on port $1"; exit 1; }
}
fetch() { python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=300).read().decode())' "$1"; }
"""
# Devices of its own; the settings of the machine's kernel are for reading; and mounts spread, as systemd has it outside of
# containers: credentials need that.
BOOT = """
mount -t tmpfs tmpfs /tmp
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t sysfs -o ro sysfs /sys
umount -l /dev
mount -t tmpfs tmpfs /dev
mknod -m 666 /dev/null c 1 3; mknod -m 666 /dev/zero c 1 5; mknod -m 666 /dev/full c 1 7
mknod -m 666 /dev/random c 1 8; mknod -m 666 /dev/urandom c 1 9; mknod -m 666 /dev/tty c 5 0
mkdir /dev/pts /dev/shm
mount -t devpts devpts /dev/pts -o newinstance,ptmxmode=0666
ln -s pts/ptmx /dev/ptmx
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir /sys/fs/cgroup/NAME
echo 0 >/sys/fs/cgroup/NAME/cgroup.procs
mount --make-rshared /
exec unshare -C sh -euc 'umount /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec env container=e2e /lib/systemd/systemd --unit=e2e.service'
"""
UNIT = """[Unit]
After=basic.target systemd-journald.service
Requires=basic.target
[Service]
Type=oneshot
Environment=LC_ALL=C.UTF-8 HOME=/root
ExecStart=/bin/sh -c 'timeout 600 bash -euo pipefail /e2e.sh >/e2e.out 2>&1; echo $? >/e2e.status'
ExecStopPost=systemctl poweroff --force --force
"""


def layers(name):
    """The folders of a layer and those below it, the highest first."""
    said = subprocess.run([ROOT / "script" / "setup-chroot", "--print"], capture_output=True, text=True, check=True).stdout.split()
    wanted = said[: NAMES.index(name) + 1]
    if os.geteuid() or subprocess.run(["unshare", "-mnpuif", "true"], capture_output=True).returncode:
        pytest.skip("needs root, and namespaces, to change into another system")
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
        return ["unshare", "-mnpuif", "--kill-child", "sh", "-euc", MOUNTS, "sh", *map(str, mounts), "/bin/bash", "-euo", "pipefail", "-c", command]

    def run(self, command, check=True, timeout=1500):
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

    def boot(self, script):
        """What the script prints as a service of a systemd that runs in there as the first process, with a cgroup of its own."""
        self.write("/e2e.sh", SHELL + script)
        self.write("/etc/systemd/system/e2e.service", UNIT)
        name = f"e2e-{os.getpid()}"
        try:
            said = self.run(BOOT.replace("NAME", name), check=False)
        finally:
            self.run(f"mount -t cgroup2 cgroup2 /mnt; if [ -d /mnt/{name} ]; then find /mnt/{name} -depth -type d -exec rmdir {{}} +; fi")
        status = self.upper / "e2e.status"
        output = (self.upper / "e2e.out").read_text() if status.exists() else said
        assert status.exists() and status.read_text() == "0\n", output[-8000:]
        return output

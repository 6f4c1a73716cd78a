# SPDX-License-Identifier: MIT
"""Proof that nothing gets out: a hostile program (tools/escape.c) in the engine's place tries every way, as root and as nobody, since neither the
filter nor the rules know who runs. Beside each refusal stands what it is without the wall (--no-isolation), which is never the same."""

import contextlib
import errno
import os
import shutil
import socket

import pytest

from harness.apps import hold
from harness.outlaw import AS_NOBODY, GONE, OUTLAW, PLACES, interpreter, refused
from harness.wait import wait_for

pytestmark = pytest.mark.usefixtures("isolated")

places = pytest.mark.parametrize("place", PLACES, ids="in place of {}".format)
users = pytest.mark.parametrize("user", ["root", "nobody"], ids="as {}".format)


@pytest.fixture(autouse=True)
def need_the_user(request):
    if getattr(request.node, "callspec", None) and request.node.callspec.params.get("user") == "nobody" and os.geteuid():
        pytest.skip("needs root to be nobody")


OK, ENDED = {"ok 0"}, {GONE}
EPERM, ENOSYS, EXDEV = errno.EPERM, errno.ENOSYS, errno.EXDEV


def by_kernel(call, *numbers):
    """It got past where the wall would be, and may have failed for want of rights, or of what it was about."""
    return {f"{call} {number}" for number in numbers} | OK


# way: (how the wall refuses it, what it is without one)
SOCKETS = {
    "tcp 127.0.0.1 {page}": (refused("connect"), OK),
    "tcp 127.0.0.1 {other}": (refused("connect"), OK),
    "tcp ::ffff:127.0.0.1 {other}": (refused("connect"), OK),
    "tcp 169.254.169.254 80": (refused("connect"), by_kernel("connect", errno.ENETUNREACH)),
    "api 127.0.0.1 {page}": (refused("connect"), OK),
    "fast_open sendto 127.0.0.1 {other}": (refused("sendto"), OK),
    "fast_open sendmsg 127.0.0.1 {other}": (refused("sendmsg"), OK),
    "fast_open sendmmsg 127.0.0.1 {other}": (refused("sendmmsg"), OK),
    "fast_open_option": (refused("setsockopt"), OK),
    "visitor connect 127.0.0.1 {page}": (refused("unconnect"), OK),
    "visitor sendto 127.0.0.1 {page}": (refused("unconnect"), OK),
    "bind": (refused("bind"), OK),
    "listen": (refused("listen"), OK),
    "local {stream}": (refused("socket"), OK),
    "local @{abstract}": (refused("socket"), OK),
    "local_pair 1 {stream}": (refused("sendto"), {refused("sendto", errno.EISCONN)}),
    "local_pair 2 {datagram}": (refused("socketpair"), OK),
    "socket 2 2 0": (refused("socket"), OK),  # UDP
    "socket 10 2 0": (refused("socket"), OK),
    "socket 2 3 1": (refused("socket"), by_kernel("socket", EPERM)),  # raw
    "socket 16 3 0": (refused("socket"), OK),  # netlink
    "socket 17 3 0": (refused("socket"), by_kernel("socket", EPERM, errno.EAFNOSUPPORT)),  # packet
    "socket 40 1 0": (refused("socket"), by_kernel("socket", errno.EAFNOSUPPORT)),  # vsock
    "socket 2 1 132": (refused("socket"), by_kernel("socket", errno.EPROTONOSUPPORT)),  # SCTP
    "socket 2 1 262": (refused("socket"), by_kernel("socket", errno.EPROTONOSUPPORT, errno.ENOPROTOOPT)),  # MPTCP
    "socket 38 5 0": (refused("socket"), by_kernel("socket", errno.EAFNOSUPPORT)),  # AF_ALG
    "option 1 15": (refused("setsockopt"), OK),  # SO_REUSEPORT: another may take its visitors
    "option 6 9": (refused("setsockopt"), OK),  # TCP_DEFER_ACCEPT
    "option 6 23": (refused("setsockopt"), OK),  # TCP_FASTOPEN
    "option 6 19": (refused("setsockopt"), by_kernel("setsockopt", EPERM)),  # TCP_REPAIR
    "option 1 36": (refused("setsockopt"), by_kernel("setsockopt", EPERM)),  # SO_MARK
    "signals_of F_SETOWN": (refused("fcntl"), OK),
    "signals_of FIOSETOWN": (refused("ioctl"), OK),
    "signals_of O_ASYNC": (refused("fcntl"), OK),
    "signals_of FIOASYNC": (refused("ioctl"), OK),
    "peer_pidfd signal": (refused("pidfd_send_signal"), OK),
    "peer_pidfd getfd": (refused("pidfd_getfd"), by_kernel("pidfd_getfd", EPERM)),
    "peer_pidfd setns": (refused("setns"), by_kernel("setns", EPERM)),
}
# Without the wall that is the end of the listener, so each of them has an instance of its own there.
LISTENER = {
    "listener sendto 127.0.0.1 {other}": (refused("sendto"), OK),
    "listener sendmsg 127.0.0.1 {other}": (refused("sendmsg"), OK),
    "listener sendmmsg 127.0.0.1 {other}": (refused("sendmmsg"), OK),
    "listener connect 127.0.0.1 {page}": (refused("connect"), OK),
    "listener connect 127.0.0.1 {other}": (refused("connect"), OK),
}
# Where the filter lets it make no socket of its own, that is the end of these.
OWN_SOCKET = ("tcp", "api", "fast_open", "fast_open_option", "bind", "listen")

CREATE, WRITE = os.O_CREAT | os.O_WRONLY, os.O_WRONLY
FILES = {
    "open {file} 0": (refused("open"), OK),
    f"open {{file}} {WRITE}": (refused("open"), OK),
    f"open {{file}} {os.O_TRUNC}": (refused("open"), OK),
    f"open {{file}} {os.O_ACCMODE | os.O_TRUNC}": (refused("open"), OK),
    "truncate {file}": (refused("truncate"), OK),
    "openat2 {file}": (refused("openat2"), OK),
    "unlink {file}": (refused("unlinkat"), OK),
    f"open {{new}} {CREATE}": (refused("open"), OK),
    f"open {{host}} {os.O_TMPFILE | WRITE}": (refused("open"), by_kernel("open", errno.EOPNOTSUPP)),
    "mkdir {new}": (refused("mkdirat"), OK),
    "mknod {new}": (refused("mknodat"), OK),
    "rename {file} {new}": (refused("renameat"), OK),
    "link {file} {new}": (refused("linkat"), OK),
    "symlink {new} /etc": (refused("symlinkat"), OK),
    "chmod {file}": (refused("fchmodat"), OK),
    "chown {file}": (refused("fchownat"), OK),
    "utimes {file}": (refused("utimensat"), OK),
    "xattr {file}": (refused("setxattr"), by_kernel("setxattr", errno.EOPNOTSUPP)),
    # By a descriptor that is no access yet.
    "by_path reopen {file}": (refused("open"), OK),
    "by_path below {host} {name}": (refused("openat"), OK),
    "by_path truncate {file}": (refused("truncate"), OK),
    "by_path link {file} {new}": (refused("linkat"), by_kernel("linkat", errno.ENOENT)),
    "by_path link_proc {file} {new}": (refused("linkat"), OK),
    # From a folder of its own, and into one.
    "open {data}/../{beside}/{name} 0": (refused("open"), OK),
    "through_link {own}.link {file}": (refused("open"), OK),
    "link {file} {own}.linked": (refused("linkat", EXDEV), OK),
    "by_path link_proc {file} {own}.linked": (refused("linkat", EXDEV), OK),
    "link {module} {own}.module": (refused("linkat", EXDEV), OK),  # which it may read, and could write to there
    "by_path link_proc {module} {own}.module_too": (refused("linkat", EXDEV), OK),
    "rename {own} {new}": (refused("renameat"), OK),
    "rename {file} {own}.taken": (refused("renameat"), OK),
    "exchange {own} {file}": (refused("renameat2"), OK),
    "mknod {own}.fifo": (refused("mknodat"), OK),
    "chmod {own}": (refused("fchmodat"), OK),
    "hold flock {own}": (refused("flock"), OK),
    "hold lease {own}": (refused("lease"), OK),
    "hold lock {own}": (refused("lock"), OK),
    # The project, which the next build runs; the code that the next start runs; a home; and devices.
    f"open {{project}}/package.json {CREATE}": (refused("open"), OK),
    "hold flock {module}": (refused("flock"), OK),
    f"code module.cwasm {WRITE}": (refused("open"), OK),
    f"code new {CREATE}": (refused("open"), OK),
    f"code ../new {CREATE}": (refused("open"), OK),
    f"open {{home}} {os.O_DIRECTORY}": (refused("open"), OK),
    f"open {{home}}/.profile {CREATE}": (refused("open"), OK),
    "open /etc/passwd 0": (refused("open"), OK),
    f"open /dev/null {os.O_RDWR}": (refused("open"), OK),
    f"open /dev/ptmx {os.O_RDWR}": (refused("open"), by_kernel("open", errno.ENOENT)),
    "open /dev/tty 0": (refused("open"), by_kernel("open", errno.ENXIO, errno.ENOENT)),
    f"open /dev/fd {os.O_DIRECTORY}": (refused("open"), OK),
    "proc status 0": (refused("open"), OK),
    "proc environ 0": (refused("open"), OK),
    f"proc mem {os.O_RDWR}": (refused("open"), OK),
    "proc fd 0": (refused("open"), OK),
    "proc root/etc/passwd 0": (refused("open"), OK),
    "proc cwd readlink": (refused("readlink"), OK),
    "proc exe readlink": (refused("readlink"), OK),
    "proc ns/net 0": (refused("open"), OK),
    "open /proc/self/environ 0": (refused("open"), OK),
    f"open /proc/self/mem {os.O_RDWR}": (refused("open"), OK),
    f"open /proc/self/fd {os.O_DIRECTORY}": (refused("open"), OK),
    "open /proc/self/root/etc/passwd 0": (refused("open"), OK),
    f"open /proc/self/cwd/package.json {CREATE}": (refused("open"), OK),
}
PROCESSES = {
    "process_vm_readv": (refused("process_vm_readv"), by_kernel("process_vm_readv", errno.EFAULT, EPERM)),
    "process_vm_writev": (refused("process_vm_writev"), by_kernel("process_vm_writev", errno.EFAULT, EPERM)),
    "pidfd_open": (refused("pidfd_open"), OK),
    "pidfd_getfd": (refused("pidfd_getfd"), {refused("pidfd_getfd", errno.EBADF)}),
    "pidfd_send_signal": (refused("pidfd_send_signal"), {refused("pidfd_send_signal", errno.EBADF)}),
    "kcmp": (refused("kcmp"), by_kernel("kcmp", EPERM, ENOSYS)),
    "kill": (refused("kill"), OK),
    "kill_all": (refused("kill_all"), OK),
    "kill_group": (refused("kill_group"), OK),
    "signal {sibling}": (refused("kill"), OK),
    "tgkill": (refused("tgkill"), OK),
    "tkill": (refused("tkill"), OK),
    "sigqueue": (refused("sigqueue"), by_kernel("sigqueue", EPERM)),
    "prlimit": (refused("prlimit"), OK),
    "setpriority": (refused("setpriority"), OK),
    "sched_setparam": (refused("sched_setparam", ENOSYS), OK),
    "sched_setaffinity": (refused("sched_setaffinity", ENOSYS), by_kernel("sched_setaffinity", errno.EINVAL)),
    "ioprio": (refused("ioprio", ENOSYS), OK),
    "fork fork": (refused("fork"), OK),
    "fork vfork": (refused("fork"), OK),
    "fork clone": (refused("fork"), OK),
    "fork clone3": (refused("fork", ENOSYS), OK),
    "fork clone_vfork": (refused("fork"), OK),
    "fork clone_parent": (refused("fork"), OK),
    "fork clone_ptrace": (refused("fork"), OK),
    "fork clone_untraced": (refused("fork"), OK),
    "fork clone_files": (refused("fork"), OK),
    "fork clone_user": (refused("fork"), by_kernel("fork", EPERM, errno.ENOSPC)),
    "fork clone_thread_user": (refused("fork"), {refused("fork", errno.EINVAL)}),
    "unshare_user": (refused("unshare_user"), by_kernel("unshare_user", EPERM, errno.ENOSPC, errno.EINVAL)),
    "unshare_mount": (refused("unshare_mount"), by_kernel("unshare_mount", EPERM)),
    "setns": (refused("setns"), {refused("setns", errno.EBADF)}),
    # What it is to those who look after it.
    "dumpable": (refused("dumpable"), OK),
    "pdeathsig": (refused("pdeathsig"), OK),
    "subreaper": (refused("subreaper"), OK),
    "ptracer": (refused("ptracer"), by_kernel("ptracer", errno.EINVAL)),
    "setsid": (refused("setsid", ENOSYS), by_kernel("setsid", EPERM)),
    "ptrace": (refused("ptrace"), by_kernel("ptrace", EPERM)),
}
KERNEL = {
    "umount": (refused("umount"), by_kernel("umount", EPERM, errno.ENOENT)),
    "pivot_root": (refused("pivot_root"), by_kernel("pivot_root", EPERM, errno.ENOENT)),
    "chroot": (refused("chroot"), by_kernel("chroot", EPERM, errno.ENOENT)),
    "mount": (refused("mount"), by_kernel("mount", EPERM, errno.ENOENT)),
    "open_by_handle": (refused("open_by_handle"), by_kernel("open_by_handle", EPERM, errno.EBADF, errno.EINVAL)),
    "io_uring_setup": (refused("io_uring_setup"), by_kernel("io_uring_setup", EPERM, ENOSYS, errno.EINVAL)),
    "io_uring_enter": (refused("io_uring_enter"), by_kernel("io_uring_enter", errno.EBADF, ENOSYS)),
    "bpf": (refused("bpf"), by_kernel("bpf", EPERM, ENOSYS)),
    "userfaultfd": (refused("userfaultfd"), by_kernel("userfaultfd", EPERM, ENOSYS)),
    "keyctl": (refused("keyctl"), by_kernel("keyctl", errno.ENOKEY, ENOSYS, EPERM)),
    "add_key": (refused("add_key"), by_kernel("add_key", ENOSYS, EPERM)),
    "request_key": (refused("request_key"), by_kernel("request_key", errno.ENOKEY, ENOSYS, EPERM)),
    "perf": (refused("perf"), {refused("perf", errno.EINVAL), refused("perf", ENOSYS)}),  # its flags are looked at first
    "notify": (refused("notify"), {refused("notify", errno.EFAULT)}),
    "strict": (refused("strict"), {refused("strict", errno.EINVAL)}),
    "tiocsti": (refused("tiocsti"), {refused("tiocsti", errno.ENOTTY)}),
    "pipe_size": (refused("pipe_size"), by_kernel("pipe_size", EPERM, errno.EBUSY)),
    "fanotify": (refused("fanotify"), by_kernel("fanotify", EPERM, ENOSYS)),
    # What nobody has thought of is a kernel's without it.
    "inotify": (refused("inotify", ENOSYS), OK),
    "chdir": (refused("chdir", ENOSYS), OK),
    "statfs": (refused("statfs", ENOSYS), OK),
    "file_handle": (refused("file_handle", ENOSYS), {refused("file_handle", errno.EFAULT)}),
    "tee": (refused("tee", ENOSYS), {refused("tee", errno.EBADF)}),
    "vmsplice": (refused("vmsplice", ENOSYS), {refused("vmsplice", errno.EBADF)}),
    "timer": (refused("timer", ENOSYS), OK),
    "shmget": (refused("shmget", ENOSYS), {refused("shmget", errno.ENOENT)}),
    "semget": (refused("semget", ENOSYS), {refused("semget", errno.ENOENT)}),
    "msgget": (refused("msgget", ENOSYS), {refused("msgget", errno.ENOENT)}),
    "mq_open": (refused("mq_open", ENOSYS), {refused("mq_open", errno.ENOENT)}),
    "personality": (refused("personality", ENOSYS), OK),
    "syslog": (refused("syslog", ENOSYS), by_kernel("syslog", EPERM)),
    "sethostname": (refused("sethostname", ENOSYS), by_kernel("sethostname", EPERM, errno.EINVAL)),
    "reboot": (refused("reboot", ENOSYS), by_kernel("reboot", EPERM, errno.EINVAL)),
    "swapon": (refused("swapon", ENOSYS), by_kernel("swapon", EPERM, errno.EINVAL)),
    "settimeofday": (refused("settimeofday", ENOSYS), by_kernel("settimeofday", EPERM, errno.EFAULT)),
    "i386": (refused("i386", ENOSYS), OK),
}
EXECUTION = {
    "exec /bin/true": (refused("execve"), ENDED),
    "exec {program}": (refused("execve"), ENDED),
    "exec_memfd execveat {program}": (refused("execveat"), ENDED),
}
# The preload seals the wasmtime command without a wall as well: only in the other place there is a control.
SEALED = (*EXECUTION, "notify", "strict", "i386")
TABLES = {"sockets": SOCKETS, "listener": LISTENER, "files": FILES, "processes": PROCESSES, "kernel": KERNEL, "exec": EXECUTION}

# What is its own is not in the way: each would be a refusal of the wall's, were it one.
ALLOWED = (
    "descriptors", f"open {{own}} {os.O_RDWR}", "rename {own} {shared}/renamed", f"open {{data}}/made {CREATE}", "mkdir {data}/folder", "truncate {data}/made",
    "link {data}/made {data}/again", "unlink {data}/again", "map_code {program}", "open {module} 0", "code module.cwasm 0", "open /proc/self/exe 0",
    f"open {{file}} {os.O_PATH}",
)


class Host:
    """What is to be reached: things of the user's outside of the project; and what is the application's own."""

    def __init__(self, lab, folder, outlaw, stack):
        self.outlaw, self.made = outlaw, 0
        self.folder = folder / f"host-{outlaw.process.pid}"
        self.folder.mkdir()
        (self.folder / "home").mkdir()
        self.app = lab.app(hold)
        self.names = {
            "page": outlaw.instance.port, "other": self.app.port, "host": self.folder, "beside": self.folder.name, "home": self.folder / "home",
            "project": outlaw.project, "module": next(outlaw.project.glob("*.wasm")), "data": outlaw.data, "shared": outlaw.other,
            "program": outlaw.data / "program", "stream": self.folder / "stream", "datagram": self.folder / "datagram",
            "abstract": f"escape-{outlaw.process.pid}",
            "sibling": lab.process(["sleep", "600"], "sibling", wrap=AS_NOBODY if outlaw.user == "nobody" else ()).pid,
        }
        shutil.copy("/bin/true", outlaw.data / "program")
        for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM), ("abstract", socket.SOCK_STREAM)):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            sock.bind(f"\0{self.names[name]}" if name == "abstract" else str(self.names[name]))
            if kind == socket.SOCK_STREAM:
                sock.listen(64)

    def fill(self, way):
        """The words, and the files that they are about: one of the host's, one of the application's."""
        self.made += 1
        file, own = self.folder / f"file{self.made}", self.outlaw.data / f"own{self.outlaw.process.pid}-{self.made}"
        for one in (file, own):
            one.write_text("precious")
        for one in (self.folder, self.outlaw.data):
            self.outlaw.own(one)
        return way.format(file=file, name=file.name, own=own, new=self.folder / f"new{self.made}", **self.names), file


def attempt_all(lab, folder, outlaw, ways):
    """Tries all ways; what was precious must be so still, for a wall. Who came to another port of this machine is counted."""
    said = {}
    with contextlib.ExitStack() as stack:
        host = Host(lab, folder, outlaw, stack)
        for way in ways:
            words, file = host.fill(way)
            unseen = way.startswith("listener")
            said[way] = outlaw.try_unseen(words) if unseen else outlaw.try_way(words, visitor=way.startswith("visitor"))
            if outlaw.walled:
                assert file.read_text() == "precious", way
        if outlaw.walled:
            assert host.app.accepted == 0
        else:
            host.app.wait_accepted(sum("{other}" in way for way in ways))
    return said


def refusals(ways, outlaw):
    def refusal(way, answer):
        return refused("socket") if way.split()[0] in OWN_SOCKET and outlaw.place == "wasmrun-guest" else answer

    return {way: refusal(way, answer) for way, (answer, _) in ways.items()}


@pytest.mark.root
@users
@places
@pytest.mark.parametrize("ways", TABLES.values(), ids=TABLES)
def test_ways_out(lab, public_folder, outlaw, place, user, ways):
    walled = outlaw(place=place, user=user)
    expected = refusals(ways, walled)
    assert attempt_all(lab, public_folder, walled, ways) == expected
    assert not (public_folder / "project" / "wasmrun.toml").exists()
    walled.process.stop()
    said = {}
    for some in [[way] for way in ways] if ways is LISTENER else [ways]:
        free = outlaw("--no-isolation", place=place, user=user)
        free.process.wait_line("--no-isolation: ")
        said |= attempt_all(lab, public_folder, free, some)
        free.process.stop()
    same = {way for way, one in said.items() if one == expected[way]}
    assert same == (set(SEALED) & set(ways) if place == "wasmtime" else set()), "where the kernel says the same, the wall proves nothing"
    assert {way: one for way, one in said.items() if way not in same and one not in ways[way][1]} == {}


@pytest.mark.root
@users
@places
def test_what_is_its_own(lab, public_folder, outlaw, place, user):
    """None of these is in the wall's way; and nothing but what it was given is open in it."""
    walled = outlaw(place=place, user=user)
    assert attempt_all(lab, public_folder, walled, ALLOWED) == dict.fromkeys(ALLOWED, "ok 0")


@pytest.mark.root
@users
@places
def test_compiler(public_folder, outlaw, place, user):
    """As the compiler it writes to its own folder, whoever's file it stands in for, and has no socket."""
    for args in (), ("--no-isolation",):
        one = outlaw(*args, place=place, user=user)
        for way, call in (f"code ../outside {CREATE}", "open"), ("socket 2 1 0", "socket"), ("fork clone", "fork"):
            one.process.wait_line(rf"^build \| compiler: {way}: {refused(call) if one.walled else 'ok 0'}$")
        one.process.wait_line(rf"^build \| compiler: code module.cwasm {CREATE}: ok 0$")
        one.process.stop()
        shutil.rmtree(public_folder / "cache" / "wasmrun")  # or there is nothing to compile


@pytest.mark.root
@users
def test_another_program(lab, public_folder, outlaw, user):
    """Until an engine has sealed itself it can become any program that the loader can read, or that it makes: that one is behind the same wall."""
    walled = outlaw(user=user)
    copy, app = walled.data / "copy", lab.app(hold)
    shutil.copy(OUTLAW, copy)
    walled.own(walled.data)
    assert walled.try_way("name") == f"{public_folder}/bin/wasmrun-guest 0"
    assert walled.try_way(f"exec_by_loader {interpreter()} {copy}") == GONE
    assert walled.try_way("name") == f"{copy} 0"
    for way, answer in {
        f"tcp 127.0.0.1 {app.port}": refused("socket"), "open /etc/passwd 0": refused("open"), "fork fork": refused("fork"), "kill": refused("kill"),
        f"exec {copy}": refused("execve"), "unshare_user": refused("unshare_user"), "descriptors": "ok 0", "ask 127.0.0.1 1": "broker 111",
    }.items():
        assert walled.try_way(way) == answer
    assert app.accepted == 0
    assert walled.try_way(f"exec_by_loader {interpreter()} /bin/true") == GONE  # which the loader can't read
    wait_for(lambda: walled.instance.app()["restarts"] == 1, "it is started again")
    assert walled.try_way("name") == f"{public_folder}/bin/wasmrun-guest 0"


@pytest.mark.root
@users
def test_no_other_program_behind_the_seal(outlaw, user):
    """The preload has sealed it before its first instruction: not even the loader is left."""
    walled = outlaw(place="wasmtime", user=user)
    shutil.copy(OUTLAW, walled.data / "copy")
    assert walled.try_way(f"exec_by_loader {interpreter()} {walled.data}/copy") == refused("execve")
    assert walled.try_way(f"exec_memfd path {walled.data}/copy") == refused("execve")

# SPDX-License-Identifier: MIT
"""A hostile program in the engine's place (tools/escape.c): neither the filter nor the rules know who runs. Each way out is
tried behind the wall and, beside it, with --no-isolation, where it leads out or is refused by the kernel for a reason of its own."""

import contextlib
import errno
import os
import pathlib
import pwd
import shutil
import socket
import tempfile

import pytest

from harness.apps import hold
from harness.components import make
from harness.lab import OURS
from harness.wait import DEADLINE, SANITIZER, wait_for
from harness.wasmrun import WASMRUN, gone, need_wasmrun, run_os

OUTLAW = OURS.parent / "tests" / "e2e" / "e2e-escape"
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
# What says that it needs sockets: a preview 1 module that imports WasmEdge's sock_listen.
MODULE = b"\0asm\1\0\0\0" + b"\1\4\1\x60\0\0" + b"\2\x26\1\x16wasi_snapshot_preview1\x0bsock_listen\0\0"
GONE = "gone"
pytestmark = pytest.mark.usefixtures("isolated")
engines = pytest.mark.parametrize("engine", ["wasmrun-guest"])
users = pytest.mark.parametrize("user", ["root", "nobody"])


class Outlaw:
    """`wasmrun os` whose engine is the hostile program."""

    def __init__(self, lab, folder, *args, engine="wasmrun-guest", user="root"):
        self.folder, self.user, self.walled = folder, user, "--no-isolation" not in args
        bin, project = folder / "bin", folder / "project"
        if not bin.exists():
            for one in (bin, project, folder / "cache", folder / "run"):
                one.mkdir()
            for name in ("wasmrun", "libwasmrun-preload.so"):
                shutil.copy(WASMRUN.parent / name, bin)
            shutil.copy(OUTLAW, bin / engine)
            if engine == "wasmtime":
                make(project, "listen_component")
            else:
                (project / "main.wasm").write_bytes(MODULE)
            self.own(folder)
        self.instance = run_os(
            lab, project, *args, program=bin / "wasmrun", wrap=AS_NOBODY if user == "nobody" else (),
            env={"PATH": f"{bin}:/usr/bin:/bin", "XDG_CACHE_HOME": str(folder / "cache"), "XDG_RUNTIME_DIR": str(folder / "run"),
                 "HOME": str(folder)},
        )
        self.process = self.instance.process

    def own(self, folder):
        if self.user == "nobody":
            nobody = pwd.getpwnam("nobody")
            for one in (folder, *folder.rglob("*")):
                os.chown(one, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.instance.app()["port"]), DEADLINE)

    def try_way(self, way, visitor=False):
        """Its answer: the call that was the end of it and the errno. GONE: it is another program now, or ended."""

        def ask():
            try:
                with self.connect() as sock, contextlib.ExitStack() as stack:
                    sock.sendall(f"{way}\n".encode())
                    if visitor:
                        with contextlib.suppress(ConnectionResetError):  # as soon as it is there
                            stack.enter_context(self.connect())
                    return sock.makefile().readline().strip() or GONE
            except (ConnectionResetError, BrokenPipeError):
                return GONE
            except ConnectionRefusedError:
                return None  # the listener is shut, and a new one on its way

        def answered():
            said = ask()
            if said is None:
                return None
            if said == GONE and way.startswith("listener") and self.walled:
                return None  # ended for what it has done to the listener, before it could tell
            return None if said.startswith("HTTP/") else said  # nobody was there to be asked

        return wait_for(answered, f"'{way}' is answered")


@pytest.fixture
def folder():
    """One that every user can reach."""
    need_wasmrun()
    made = pathlib.Path(tempfile.mkdtemp(prefix="wasmrun-escape-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def outlaw(lab, folder):
    return lambda *args, **how: Outlaw(lab, folder, *args, **how)


def refused(call, number=errno.EACCES):
    return f"{call} {number}"


def by_kernel(call, *numbers):
    """It got past where the wall would be, and may have failed for want of rights, or of what it was about."""
    return {f"{call} {number}" for number in numbers} | {"ok 0"}


OK = {"ok 0"}
EPERM, ENOSYS = errno.EPERM, errno.ENOSYS

# way: (how the wall refuses it, what it is without one)
SOCKETS = {
    "tcp 127.0.0.1 {page}": (refused("connect"), OK),
    "tcp 127.0.0.1 {other}": (refused("connect"), OK),
    "tcp ::ffff:127.0.0.1 {other}": (refused("connect"), OK),
    "tcp 169.254.169.254 80": (refused("connect"), by_kernel("connect", errno.ENETUNREACH)),
    "put 127.0.0.1 {page}": (refused("connect"), OK),
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
    "socket 17 3 0": (refused("socket"), by_kernel("socket", EPERM)),  # packet
    "socket 40 1 0": (refused("socket"), by_kernel("socket", errno.EAFNOSUPPORT)),  # vsock
    "socket 2 1 132": (refused("socket"), by_kernel("socket", errno.EPROTONOSUPPORT)),  # SCTP
    "socket 2 1 262": (refused("socket"), by_kernel("socket", errno.EPROTONOSUPPORT, errno.ENOPROTOOPT)),  # MPTCP
    "socket 38 5 0": (refused("socket"), by_kernel("socket", errno.EAFNOSUPPORT)),  # AF_ALG
    # Without a wall the listener is another socket from then on: test_filter.c has the control of these three.
    "listener sendto 127.0.0.1 {page}": (refused("sendto"), None),
    "listener sendmsg 127.0.0.1 {page}": (refused("sendmsg"), None),
    "listener sendmmsg 127.0.0.1 {page}": (refused("sendmmsg"), None),
    # The last one: nobody comes by that listener any more.
    "listener connect 127.0.0.1 {page}": (refused("connect"), OK),
}
CREATE = os.O_CREAT | os.O_WRONLY
FILES = {
    "open {file} 0": (refused("open"), OK),
    f"open {{file}} {os.O_WRONLY}": (refused("open"), OK),
    f"open {{file}} {os.O_TRUNC}": (refused("open"), OK),
    "truncate {file}": (refused("truncate"), OK),
    "openat2 {file}": (refused("openat2"), OK),
    "unlink {file}": (refused("unlinkat"), OK),
    f"open {{new}} {CREATE}": (refused("open"), OK),
    "mkdir {new}": (refused("mkdirat"), OK),
    "mknod {new}": (refused("mknodat"), OK),
    "rename {file} {new}": (refused("renameat"), OK),
    "link {file} {new}": (refused("linkat"), OK),
    "symlink {new} /etc": (refused("symlinkat"), OK),
    "chmod {file}": (refused("fchmodat"), OK),
    "utimes {file}": (refused("utimensat"), OK),
    # The project, which the next build runs; a home; and devices.
    f"open {{project}}/package.json {CREATE}": (refused("open"), OK),
    f"open {{home}} {os.O_DIRECTORY}": (refused("open"), OK),
    f"open {{home}}/.profile {CREATE}": (refused("open"), OK),
    "open /etc/passwd 0": (refused("open"), OK),
    f"open /dev/null {os.O_RDWR}": (refused("open"), OK),
    "proc status 0": (refused("open"), OK),
    "proc environ 0": (refused("open"), OK),
    f"proc mem {os.O_RDWR}": (refused("open"), OK),
    "proc fd 0": (refused("open"), OK),
    "proc cwd/wasmrun.toml readlink": (refused("readlink"), {refused("readlink", errno.ENOENT)}),
    "proc exe readlink": (refused("readlink"), OK),
    "open /proc/self/environ 0": (refused("open"), OK),
}
PROCESSES = {
    "ptrace": (refused("ptrace"), by_kernel("ptrace", EPERM)),
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
    "fork fork": (refused("fork"), OK),
    "fork vfork": (refused("fork"), OK),
    "fork clone": (refused("fork"), OK),
    "fork clone3": (refused("fork", ENOSYS), OK),
    "unshare_user": (refused("unshare_user"), by_kernel("unshare_user", EPERM)),
    "unshare_mount": (refused("unshare_mount"), by_kernel("unshare_mount", EPERM)),
    "setns": (refused("setns"), {refused("setns", errno.EBADF)}),
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
    "perf": (refused("perf"), by_kernel("perf", errno.EACCES, EPERM, ENOSYS, errno.ENOENT)),
    "tiocsti": (refused("tiocsti"), {refused("tiocsti", errno.ENOTTY)}),
    "setown": (refused("setown"), by_kernel("setown")),
    "dumpable": (refused("dumpable"), OK),
    "fanotify": (refused("fanotify"), by_kernel("fanotify", EPERM, ENOSYS)),
    # What nobody has thought of is a kernel's without it.
    "inotify": (refused("inotify", ENOSYS), OK),
    "chdir": (refused("chdir", ENOSYS), OK),
    "setsid": (refused("setsid", ENOSYS), by_kernel("setsid", EPERM)),
    "shmget": (refused("shmget", ENOSYS), {refused("shmget", errno.ENOENT)}),
}
EXECUTION = {
    "exec /bin/true": (refused("execve"), {GONE}),
    "exec_memfd execveat": (refused("execveat"), {GONE}),
}


class Host:
    """What is to be reached: things of the user's outside of the project."""

    def __init__(self, lab, folder, outlaw, stack):
        self.outlaw, self.made = outlaw, 0
        self.folder = folder / f"host-{outlaw.process.pid}"
        self.folder.mkdir()
        (self.folder / "home").mkdir()
        self.names = {
            "page": outlaw.instance.port, "other": lab.app(hold).port, "project": folder / "project", "home": self.folder / "home",
            "stream": self.folder / "stream", "datagram": self.folder / "datagram", "abstract": f"escape-{outlaw.process.pid}",
            "sibling": lab.process(["sleep", "600"], "sibling", wrap=AS_NOBODY if outlaw.user == "nobody" else ()).pid,
        }
        for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM), ("abstract", socket.SOCK_STREAM)):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
            sock.bind(f"\0{self.names[name]}" if name == "abstract" else str(self.names[name]))
            if kind == socket.SOCK_STREAM:
                sock.listen(64)

    def fill(self, way):
        self.made += 1
        file = self.folder / f"file{self.made}"
        file.write_text("precious")
        self.outlaw.own(self.folder)
        return way.format(file=file, new=self.folder / f"new{self.made}", **self.names), file


def refusal_by(engine, way, refusal):
    """wasmrun-guest has no sockets but those that it is given; wasmtime's are made by itself, and connected by nobody."""
    return refused("socket") if engine == "wasmrun-guest" and way.startswith(("tcp", "put")) else refusal


def attempt_all(lab, folder, outlaw, ways):
    """Tries all ways; what was precious must be so still, for a wall."""
    said = {}
    with contextlib.ExitStack() as stack:
        host = Host(lab, folder, outlaw, stack)
        for way in ways:
            words, file = host.fill(way)
            said[way] = outlaw.try_way(words, visitor=way.startswith("visitor"))
            if said[way] != "ok 0" and GONE not in said[way]:
                assert file.read_text() == "precious"
    return said


@pytest.mark.root
@users
@engines
@pytest.mark.parametrize("ways", [SOCKETS, FILES, PROCESSES, KERNEL, EXECUTION], ids=["sockets", "files", "processes", "kernel", "exec"])
def test_ways_out(lab, folder, outlaw, engine, user, ways):
    if user == "nobody" and os.geteuid():
        pytest.skip("needs root to be nobody")
    walled = outlaw(engine=engine, user=user)
    assert attempt_all(lab, folder, walled, ways) == {way: refusal_by(engine, way, refusal) for way, (refusal, _) in ways.items()}
    assert not (folder / "project" / "package.json").exists()
    walled.process.stop()
    free = outlaw("--no-isolation", engine=engine, user=user)
    assert free.process.find("--no-isolation: ")
    said = attempt_all(lab, folder, free, [way for way, (_, control) in ways.items() if control])
    assert {way: one for way, one in said.items() if one not in ways[way][1]} == {}


@pytest.mark.root
def test_sockets_of_wasmtime(lab, folder, outlaw):
    """It makes sockets by itself, before our library sees them: nothing can be done with those."""
    walled = outlaw(engine="wasmtime")
    assert attempt_all(lab, folder, walled, SOCKETS) == {way: refusal for way, (refusal, _) in SOCKETS.items()}


# --- attacks on the supervisor ---

MEMORY_MAX = 64 << 20
REFUSED = f"broker {errno.ECONNREFUSED}"  # what the application hears of this machine's loopback


def resident(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


def need_well(outlaw):
    """The supervisor answers, and is small."""
    assert outlaw.instance.ask("GET", "/api/app", deadline=DEADLINE).status == 200
    if not SANITIZER:
        assert resident(outlaw.process) < MEMORY_MAX
    assert outlaw.process.fds() < 128


@pytest.mark.parametrize("kind", ["empty", "short", "long", "alone", "two", "epoll", "memfd", "stream", "pipe", "listener", "broker"])
def test_junk_for_the_broker(outlaw, kind):
    """What no client of ours sends ends the instance; the next one is served as any."""
    one = outlaw()
    pid = one.instance.app()["pid"]
    said = one.try_way(f"junk {kind}")
    assert said in ("ok 0", GONE)
    wait_for(lambda: gone(pid), "the instance is ended")
    one.process.wait_line(r" error network: the application has sent its broker what no client of ours sends \(")
    assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)


def test_broker_refuses(lab, outlaw):
    """The same destinations by the broker: what no rule names is refused and told, what one names is not."""
    app = lab.app(hold)
    one = outlaw("--allow-net", f"localhost:{app.port}", "--allow-net", "*")
    assert one.try_way(f"ask 127.0.0.1 {app.port}") == "ok 0"
    app.wait_accepted(1)
    assert one.try_way(f"ask ::ffff:127.0.0.1 {app.port}") == "ok 0"
    for host in HIDDEN:
        assert one.try_way(f"ask {host} {one.instance.port}") in (f"broker {errno.EACCES}", REFUSED), host
    page = one.instance.port
    assert one.try_way(f"ask_name localhost {page}") in (f"broker {errno.EACCES}", f"broker {errno.ECONNREFUSED}")
    told = one.instance.get("/api/network/decisions")["decisions"]
    assert all(one["why"] for one in told)
    assert {f"127.1.2.3:{page}", f"[::1]:{page}", f"169.254.169.254:{page}"} <= {one["asked"] for one in told if not one["allowed"]}
    need_well(one)


HIDDEN = [
    "127.0.0.1", "::1", "::ffff:127.0.0.1", "127.1.2.3", "0.0.0.0", "::", "169.254.169.254", "::ffff:169.254.169.254", "10.0.0.1",
    "168.63.129.16", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2001::1", "::127.0.0.1", "fe80::1", "fd00::1",
    "224.0.0.1", "255.255.255.255", "198.18.0.1", "240.0.0.1", "100.64.0.1",
]


@pytest.mark.parametrize("name", [
    "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.0.1.", "LOCALHOST", "localhost.", "a.localhost", "::ffff:127.0.0.1",
    "[::1]", "::1%lo", "fe80::1%1", "metadata.google.internal", "127.0.0.1.nip.io", "-a.example", "a..example", "a b",
])
def test_names_lead_nowhere(outlaw, name):
    """However it is written: with a rule for all the world it leads to nothing of this machine."""
    one = outlaw("--allow-net", "*")
    said = one.try_way(f"ask_name {name} {one.instance.port}")
    assert said.split()[0] in ("resolve", "broker"), said


def test_ten_thousand_requests(outlaw):
    one = outlaw("--allow-net", "*.example")
    before = one.process.fds()
    assert one.try_way("ask_often 10000 example") == f"broker {errno.ENOMEM}"  # more names than there are addresses
    assert one.try_way("ask_deaf 10000 127.0.0.1 1") == "ok 0"
    assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)
    wait_for(lambda: one.process.fds() <= before + 2, "no descriptors are left")


def test_pairs_that_hold_each_other(outlaw):
    one = outlaw()
    before = one.process.fds()
    one.try_way("cycles 500")
    need_well(one)
    wait_for(lambda: one.process.fds() <= before + 2, "no descriptors are left")


@pytest.mark.parametrize("depth", [0, 40])
def test_socket_that_lingers(outlaw, depth):
    """The answer's end holds a socket whose end waits for a visitor: nobody but the instance is to wait for that."""
    one = outlaw()
    with one.connect() as sock, one.connect():
        sock.sendall(f"linger 60 {depth}\n".encode())
        assert sock.makefile().readline() == "ok 0\n"
        need_well(one)


def test_listener_that_blocks(outlaw):
    """O_NONBLOCK belongs to the open file, which the instance and the gate share (open(2))."""
    one = outlaw()
    assert one.try_way("listener_blocks") == "ok 0"
    assert one.instance.ask("POST", "/api/app/stop").status == 200
    one.instance.wait_app("stopped")
    with one.connect() as visitor:
        visitor.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 503 " in visitor.makefile("rb").readline()
        need_well(one)


@pytest.mark.parametrize("what", ["memory 512", "descriptors 100000", "threads 100000", "output 100000", "steps 20000"])
def test_used_up(outlaw, what):
    one = outlaw()
    status = one.process.wait_line(r"status descriptor (\d+)$")[1][1]
    assert one.try_way(f"use_up {what} {status}") in ("ok 0", GONE)
    need_well(one)


def test_listener_that_is_shut(outlaw):
    one = outlaw()
    for _ in range(3):
        pid = one.instance.app()["pid"]
        assert one.try_way("shut") in ("ok 0", GONE)
        wait_for(lambda: gone(pid), "the instance is ended")
        assert one.try_way("ask 127.0.0.1 1") == REFUSED
    need_well(one)

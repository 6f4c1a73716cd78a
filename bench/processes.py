# SPDX-License-Identifier: MIT
"""Child processes of a bench run: started, waited for, measured from outside, and ended.

Every child asks the kernel to be killed when the driver dies, so not even a SIGKILL leaves one
behind. Each has a session of its own, so that Ctrl-C reaches the driver alone, which then ends them
in order.
"""

import ctypes
import os
import pathlib
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
TCP_LISTEN = "0A"
START_S = 10
STOP_S = 3

_libc = ctypes.CDLL(None)


class Failed(Exception):
    """What was measured has failed; the text is for the reader of the table."""


def _die_with_driver():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """One child, its output in a temporary file. 'net' is the pid of a process in whose network
    namespace it runs.
    """

    def __init__(self, argv, net=None, env=None, **popen):
        self.name = os.path.basename(argv[0])
        self.output = tempfile.TemporaryFile()
        if net:
            argv = ["nsenter", f"--net=/proc/{net}/ns/net", *argv]
        try:
            self.child = subprocess.Popen(
                argv,
                stdout=self.output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=_die_with_driver,
                **{"stdin": subprocess.DEVNULL, **popen},
            )
        except OSError as e:
            raise Failed(f"{self.name}: {e.strerror}") from None
        self.pid = self.child.pid

    def text(self):
        self.output.seek(0)
        return self.output.read().decode(errors="replace")

    def wait_for(self, condition, what, seconds=START_S):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.child.poll() is not None or time.monotonic() > deadline:
                last = self.text().strip().splitlines()[-1:] or ["no output"]
                raise Failed(f"{self.name}: no {what}: {last[0]}")
            time.sleep(0.01)

    def wait_for_text(self, wanted):
        self.wait_for(lambda: wanted in self.text(), f"'{wanted}'")

    def wait_for_listener(self, port):
        self.wait_for(lambda: port in listening_ports(self.pid), f"listener on port {port}")

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.output.close()


def listening_ports(pid):
    """The TCP ports on which the process itself listens, in whatever network namespace it is."""
    inodes, ports = set(), set()
    proc = pathlib.Path("/proc", str(pid))
    try:
        for fd in (proc / "fd").iterdir():
            target = os.readlink(fd)
            if target.startswith("socket:["):
                inodes.add(target[len("socket:[") : -1])
        for table in ("tcp", "tcp6"):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == TCP_LISTEN and fields[9] in inodes:
                    ports.add(int(fields[1].rsplit(":", 1)[1], 16))
    except OSError:  # a descriptor or the process went away meanwhile
        pass
    return ports


def cpu_seconds(processes):
    """CPU time used so far, to the nanosecond, ended threads included: the process' clock, see
    clock_getcpuclockid(3).
    """
    cpuclock_sched = 2
    return sum(time.clock_gettime((~p.pid << 3) | cpuclock_sched) for p in processes)


def private_kb(process):
    """RssAnon: the memory that belongs to this process alone."""
    for line in pathlib.Path("/proc", str(process.pid), "status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise Failed("no RssAnon in /proc: Linux 4.5 or newer is needed")


def run(argv, net=None, timeout=60):
    """Runs a command to its end and returns its standard output; a failure becomes Failed with its
    last line.
    """
    if net:
        argv = ["nsenter", f"--net=/proc/{net}/ns/net", *argv]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_driver,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{os.path.basename(argv[0])} did not end within {timeout} s") from None
    except OSError as e:
        raise Failed(f"{os.path.basename(argv[0])}: {e.strerror}") from None
    if done.returncode != 0:
        raise Failed((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout

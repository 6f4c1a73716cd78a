# SPDX-License-Identifier: MIT
"""A child process whose output is read line by line as it comes, and which never outlives its test."""

import collections
import os
import pathlib
import re
import shlex
import signal
import subprocess
import threading
import time

from .wait import DEADLINE, SCALE, TimeLimit, wait_for

Line = collections.namedtuple("Line", "time stream text")

ANSI = re.compile(r"\x1b\[[0-9;]*m")
SANITIZER_REPORT = re.compile(r"(Address|Leak|Thread|UndefinedBehavior)Sanitizer|runtime error:")
CPUCLOCK_SCHED = 2

# To run the tests in another environment (tools/under.c): each wasmrun is started by these words.
UNDER = shlex.split(os.environ.get("WASMRUN_UNDER", ""))


def halt(pid):
    """Comes back when each of its threads has stopped: one that hasn't yet takes a SIGTERM that comes after the SIGSTOP first."""

    def stands():
        states = [stat.read_text().rsplit(")", 1)[1].split()[0] for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")]
        return set(states) == {"T"}

    os.kill(pid, signal.SIGSTOP)
    wait_for(stands, f"process {pid} stands still")


class Process:
    """One child. `wrap` is a command in front of it that ends in exec, so that `pid` is the program's own."""

    def __init__(self, argv, folder, name, env=None, wrap=(), stdin=subprocess.DEVNULL, pass_fds=()):
        self.name, self.argv = name, [str(arg) for arg in argv]
        self.lines, self.changed, self.streams_open = [], threading.Condition(), 2
        self.started = time.monotonic()
        self.log = open(pathlib.Path(folder, f"{name}.log"), "w", buffering=1)
        # setpriv: dies with the test run, whatever happens to it.
        self.child = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *wrap, *(UNDER if pathlib.Path(self.argv[0]).name == "wasmrun" else ()), *self.argv],
            stdin=stdin,
            pass_fds=pass_fds,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
        self.pid = self.child.pid
        for stream in ("stdout", "stderr"):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream):
        with getattr(self.child, stream) as pipe:
            for raw in pipe:
                text = ANSI.sub("", raw.decode(errors="replace").rstrip("\n"))
                if " warn run: --no-isolation: " in text and os.environ.get("WASMRUN_NO_ISOLATION") == "true":
                    continue  # script/test has wanted it, not the test
                line = Line(time.monotonic(), stream, text)
                self.log.write(f"{line.time - self.started:9.3f} {stream[3:]} {text}\n")
                with self.changed:
                    self.lines.append(line)
                    self.changed.notify_all()
        with self.changed:
            self.streams_open -= 1
            self.changed.notify_all()

    def text(self, stream=None):
        with self.changed:
            return "\n".join(line.text for line in self.lines if stream in (None, line.stream))

    def find(self, pattern, after=0):
        """All matching lines from the `after`-th on, as (line, match)."""
        with self.changed:
            found = [(line, re.search(pattern, line.text)) for line in self.lines[after:]]
        return [(line, match) for line, match in found if match]

    def mark(self):
        """For `after`: what has been printed so far does not count."""
        with self.changed:
            return len(self.lines)

    def wait_line(self, pattern, deadline=DEADLINE, after=0):
        """The first line that matches, as (line, match)."""
        limit = TimeLimit(deadline)
        with self.changed:
            while True:
                for line in self.lines[after:]:
                    match = re.search(pattern, line.text)
                    if match:
                        return line, match
                if not self.streams_open:
                    raise AssertionError(f"{self.name} ended without '{pattern}':\n{self.tail()}")
                if not self.changed.wait(limit.left()) and limit.over():
                    raise AssertionError(f"{self.name}: no '{pattern}' in {deadline:g} s:\n{self.tail()}")

    def tail(self):
        with self.changed:
            return "\n".join(line.text for line in self.lines[-20:]) or "(no output)"

    def wait_exit(self, deadline=DEADLINE):
        """The exit code, with all output read; negative for a signal."""
        try:
            code = self.child.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {deadline:g} s:\n{self.tail()}") from None
        with self.changed:
            self.changed.wait_for(lambda: not self.streams_open, DEADLINE)
        return code

    def alive(self):
        return self.child.poll() is None

    def signal(self, number):
        self.child.send_signal(number)

    def halt(self):
        """Until SIGCONT."""
        halt(self.pid)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.child.wait()

    def stop(self):
        """Ends it in order, then by force; what a sanitizer had to say fails the test."""
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(2 * SCALE)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGTERM)  # a drain is cut short by the second one
                try:
                    self.child.wait(5 * SCALE)
                except subprocess.TimeoutExpired:
                    self.kill()
        with self.changed:
            self.changed.wait_for(lambda: not self.streams_open, DEADLINE)
        self.log.close()
        return [line.text for line, _ in self.find(SANITIZER_REPORT)]

    # What /proc knows.

    def cpu(self):
        """CPU seconds used so far, all threads: the process' clock, see clock_getcpuclockid(3)."""
        return time.clock_gettime((~self.pid << 3) | CPUCLOCK_SCHED)

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def private_kb(self):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1])

    def cmdline(self):
        return pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes()

    def core_contains(self, needle):
        """Whether a core dump taken now would contain the bytes: all private memory but what is marked as not to be dumped."""
        smaps = pathlib.Path(f"/proc/{self.pid}/smaps").read_text()
        regions = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw.*?^VmFlags:([^\n]*)", smaps, re.M | re.S)
        with open(f"/proc/{self.pid}/mem", "rb", buffering=0) as memory:
            for start, end, flags in regions:
                if "dd" in flags.split():
                    continue
                memory.seek(int(start, 16))
                try:
                    found = needle in memory.read(int(end, 16) - int(start, 16))
                except OSError:
                    continue  # it is gone meanwhile
                if found:
                    return True
        return False

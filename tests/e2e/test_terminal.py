# SPDX-License-Identifier: MIT
"""What `wasmrun os` prints: to a person at a terminal, to a script, and as JSON."""

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import urllib.parse

import pytest

from harness.guests import needs_wall
from harness.wait import DEADLINE, TimeLimit, wait_for
from harness.wasmrun import WASMRUN, Instance, build_hello, fetch, gone, need_wasmrun, run_os
from harness.wire import FakeRelay

SGR = re.compile(r"\x1b\[[0-9;]*m")
ERASE = "\r\x1b[K"
QR_ROW = re.compile("\x1b\\[97;40m[ \u2580\u2584\u2588]+\x1b\\[0m")
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CLOCK = r"(?m)^(?:.*\r\x1b\[K)?\d\d:\d\d:\d\d "
QR_COLUMNS = 29  # of the address of a relay on loopback
FAILS = """
#include <stdio.h>
#include <sys/socket.h>
int main(int argc, char **argv)
{
	if (argc > 5)
		accept(3, NULL, NULL); /* a server, by its imports */
	puts("no database");
	return 3;
}
"""
SLOW = """
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
	puts("waiting for the database");
	fflush(stdout);
	sleep(100);
	return accept(3, NULL, NULL);
}
"""
SHARED = "anyone with this address can reach the application"
# An empty line. At a ^C a terminal throws away what nobody has read of it yet.
BLOCK_END = r"[^\n]*\n([^\n]+\n)*\n"


class Terminal:
    """`wasmrun os` on a terminal of this size."""

    def __init__(self, lab, project, *args, size=(100, 40), env=None):
        need_wasmrun()
        self.fd, other = pty.openpty()
        self.said, self.decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
        self.resize(*size)
        env = {
            **os.environ,
            "TERM": "xterm",
            "TZ": "XYZ-5:30",
            "WASMRUN_TUNNEL_SERVER": "127.0.0.1:1",
            "XDG_CACHE_HOME": str(lab.folder / "cache"),
            "XDG_RUNTIME_DIR": str(lab.folder),
            **(env or {}),
        }
        env = {name: value for name, value in env.items() if value is not None}
        self.process = subprocess.Popen(
            [WASMRUN, "os", "-p", project, "-P", "0", *map(str, args)],
            stdin=other,
            stdout=other,
            stderr=other,
            env=env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(other)

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self, seconds):
        """False: it has ended."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.said += self.decoder.decode(data).replace("\r\n", "\n")
        return bool(data)

    @property
    def plain(self):
        """Without colours."""
        return SGR.sub("", self.said)

    def wait(self, pattern, after=0):
        """The first match in what was said without colours, from there on."""
        limit, open_ = TimeLimit(), True
        while True:
            found = re.compile(pattern).search(self.plain, after)
            if found:
                return found
            assert open_ and not limit.over(), f"no '{pattern}' in:\n{self.plain[after:]}"
            open_ = self._read(limit.left())

    def instance(self):
        page = self.wait(r"  Page +(http://\S+)\n")[1]
        return Instance(None, urllib.parse.urlsplit(page).port)

    def interrupt(self):
        """Ctrl-C; the exit code, when all was read."""
        os.write(self.fd, b"\x03")
        return self.rest()

    def rest(self):
        limit = TimeLimit()
        while not limit.over() and self._read(limit.left()):
            pass
        return self.process.wait(DEADLINE)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)


@pytest.fixture
def terminal(lab):
    with contextlib.ExitStack() as stack:

        def start(*args, **how):
            it = Terminal(lab, *args, **how)
            stack.callback(it.close)
            return it

        yield start


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "my site"
    folder.mkdir()
    (folder / "index.html").write_text("hello")
    return folder


def server(relay):
    return f"{relay.host}:{relay.control_port}"


@needs_wall  # or it says that there is none
def test_block(terminal, site):
    """One block, then the application's lines, then one about the end; none of it in UTC or with the log's noise."""
    it = terminal(site, "--forward", "0")
    url = it.wait(r"\n  Application +(http://\S+)\n")[1]
    it.wait(r"'wasmrun tunnel start' shares it\n")
    assert fetch(url) == (200, "hello")
    it.wait(r"\| GET / 200")
    assert it.interrupt() == 0
    block = (
        r"\n  my site is running \(static\), ready in \d+\.\d s\n\n"
        r"  Application  http://127\.0\.0\.1:\d+\n"
        r"  Forward      http://127\.0\.0\.1:\d+\n"
        r"  Page         http://127\.0\.0\.1:\d+/\n"
        r"(  Isolation    without namespaces  .*\n)?"
        r"  Public       not shared  'wasmrun tunnel start' shares it\n\n"
        r"\| GET / 200 5\n"
        r"\^C\r\x1b\[K\d\d:\d\d:\d\d os: ending; a second Ctrl-C leaves the application no time\n"
    )
    assert re.fullmatch(r"((  building \(.*\) \.\.\.)?\r\x1b\[K)?" + block, it.plain), it.plain
    assert "\x1b[1mmy site\x1b[0m" in it.said and not UTC.search(it.said)


@pytest.mark.parametrize(
    ("env", "allowed"),
    [({"NO_COLOR": "1"}, ERASE), ({"TERM": "dumb"}, ""), ({"NO_COLOR": "1", "TERM": "dumb"}, "")],
    ids=["no_color", "dumb", "both"],
)
def test_no_colours(lab, terminal, site, env, allowed):
    """Neither has a code to scan, which needs its colours; a dumb terminal has no line that is replaced either."""
    relay = lab.relay()
    args = (site, "--expose", "--tunnel-server", server(relay), "--build", r"printf '\033[31mred\033[m\n'", "--kind", "static")
    it = terminal(*args, env=env)
    it.wait(SHARED)
    assert it.interrupt() == 0
    assert "build | red\n" in it.said and "building (" in it.said
    assert "\x1b" not in (it.said.replace(allowed, "") if allowed else it.said)
    assert not set("\u2580\u2584\u2588") & set(it.said)


@pytest.mark.parametrize(
    ("size", "code"),
    [((QR_COLUMNS, 18), True), ((QR_COLUMNS - 1, 18), False), ((200, 17), False), ((200, 60), True), ((0, 0), True)],
    ids=["fits", "narrow", "low", "wide", "unknown"],
)
def test_code_where_there_is_room(lab, terminal, site, size, code):
    relay = lab.relay()
    it = terminal(site, "--expose", "--tunnel-server", server(relay), size=size)
    url = it.wait(r"  Public +(http://\S+)")[1]
    it.wait(SHARED + BLOCK_END)
    assert it.interrupt() == 0
    assert urllib.parse.urlsplit(url).hostname == relay.host
    rows = QR_ROW.findall(it.said)
    assert len(rows) == (15 if code else 0)
    assert all(len(SGR.sub("", row)) == QR_COLUMNS for row in rows)


def test_block_waits_for_the_public_address(lab, terminal, site):
    """Not for ever: where the relay takes its time, the address comes later. Why there is none stands behind the block."""
    relay = lab.relay()
    it = terminal(site, "--expose", "--tunnel-server", server(relay))
    it.wait(r"  Public +http://\S+\n")
    assert it.interrupt() == 0
    assert it.plain.count("  Public ") == 1 or "connecting to" in it.plain
    with FakeRelay() as silent:
        it = terminal(site, "--expose", "--tunnel-server", server(silent))
        it.wait(rf"  Public       connecting to {re.escape(server(silent))}\n")
        assert it.interrupt() == 0
    it = terminal(site, "--expose", "--tunnel-server", "127.0.0.1:1")
    why = it.wait(CLOCK + r"error tunnel: could not connect to 127\.0\.0\.1:1: ")
    assert "  Public       not shared  the reason stands below\n" in it.plain[: why.start()]
    assert it.interrupt() == 0


def test_shared_later_in_another_window(lab, terminal, site):
    """The window has grown since the start, and the relay goes and comes back."""
    relay = lab.relay()
    it = terminal(site, size=(20, 10))
    instance = it.instance()
    it.resize(80, 30)
    answer = instance.start(server=server(relay))
    it.wait(rf"  Public       {re.escape(answer.body['public_url'])}\n")
    it.wait(SHARED + BLOCK_END)
    assert "-> Connect" not in it.plain
    relay.process.kill()
    lost = it.wait(CLOCK + r"tunnel: '[^']*': Connected -> Reconnecting \(")
    again = lab.relay(host=relay.host, control_port=relay.control_port)
    it.wait(CLOCK + r"tunnel: '[^']*': Reconnecting -> Connected \(", lost.end())
    assert QR_ROW.search(it.said) and again.process.alive()
    at = len(it.plain)
    assert it.interrupt() == 0
    assert re.fullmatch(r"\^C\r\x1b\[K[\d:]+ os: ending; [^\n]*\n", it.plain[at:]), it.plain[at:]


@needs_wall  # as above
def test_what_happens(lab, terminal, site):
    """A build has a line until its result is there; what replaces it, a crash, and what is refused have one."""
    go = site.parent / "go"
    os.mkfifo(go)
    it = terminal(site, "--kind", "static", "--watch", "--build", f"cat <'{go}'")

    def build(text, after=0):
        it.wait(r"  building \(.*\) \.\.\.\Z", after)
        with open(go, "w") as out:
            out.write(text)

    build("")
    instance = it.instance()
    at = len(it.plain)
    (site / "index.html").write_text("changed")
    build("", at)
    assert it.wait(r"building \(.*\) \.\.\.(.*)app: replaced: pid \d+", at)[1].startswith(ERASE)
    pid = instance.app()["pid"]
    os.kill(pid, signal.SIGKILL)
    it.wait(CLOCK + r"warn app: crashed, starting it again: ")
    wait_for(lambda: gone(pid) and instance.app()["state"] == "running", "it runs again")
    at = len(it.plain)
    assert instance.ask("POST", "/api/app/restart").status in (200, 202)
    build("", at)
    assert it.interrupt() == 0


def test_first_lines_wait_for_the_block(terminal, tmp_path):
    """It has said something before it was ready. Where it takes its time it is not kept from the user."""
    module = build_hello(tmp_path)
    it = terminal(module)
    it.wait(r"shares it\n(.*\n)*\| hello-c: serving")
    assert it.interrupt() == 0
    assert "|" not in it.plain[: it.plain.index("is running")]
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.c").write_text(SLOW)
    it = terminal(project)
    assert "is running" not in it.plain[: it.wait(r"\| waiting for the database\n").end()]
    assert it.interrupt() == 0


def test_quiet_and_verbose(terminal, site):
    """Who wants less has the addresses, who wants more has the steps to them."""
    it = terminal(site, "--quiet")
    assert fetch(it.wait(r"\n  Application +(http://\S+)\n")[1]) == (200, "hello")
    it.wait(r"\| GET / 200")
    assert it.interrupt() == 0
    assert "ending" not in it.plain and not re.search(CLOCK, it.plain)
    it = terminal(site, "--verbose")
    it.instance()
    assert it.interrupt() == 0
    assert re.search(CLOCK + "debug app: ", it.plain)


@needs_wall  # or it says that there is none
def test_failure_is_told_with_what_it_said(terminal, tmp_path):
    """Its own lines wait for the block a moment; where there is none they come before the reason."""
    build_hello(tmp_path)  # or skips
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.c").write_text(FAILS)
    it = terminal(project)
    assert it.rest() == 12
    assert re.search(r"\A  building \(C\) \.\.\.\r\x1b\[K\| no database\n[\d:]+ error app: .*exit code 3.*\n\Z", it.plain), it.plain


def test_lines_for_scripts(lab, site, terminal):
    """Addresses as before on standard output; the same words on a terminal where they are asked for."""
    relay = lab.relay()
    args = (site, "--expose", "--tunnel-server", server(relay))
    instance = run_os(lab, *args)
    instance.process.wait_line(r"^public: +http://")
    instance.process.stop()
    out, err = instance.process.text("stdout"), instance.process.text("stderr")
    assert re.fullmatch(r"application: http://\S+ \(static\)\npage:        http://\S+\npublic:      http://\S+", out), out
    assert " info tunnel: " in err and "Connecting -> Connected" in err
    assert all(UTC.match(line) for line in err.splitlines())
    it = terminal(*args, "--log-format", "plain")
    it.wait(r"public: +http://")
    assert it.interrupt() == 0
    assert re.search(r"(?m)^application: http://", it.plain) and "  Page" not in it.plain and UTC.search(it.plain)
    assert not QR_ROW.search(it.said)


def objects(text):
    found = [json.loads(line) for line in text.splitlines()]
    for one in found:
        assert UTC.fullmatch(one["time"]) and one["level"] in ("error", "warn", "info", "debug"), one
        assert one["component"] and isinstance(one["message"], str), one
        assert all(isinstance(value, str) for value in one.values())
    return found


def json_args(site, how):
    """Said on the command line, in the environment, or in the file."""
    if how == "file":
        (site / "wasmrun.toml").write_text('[os]\nlog_format = "json"\ntunnel_secret = "x"\n')
    args = ["--log-format", "json"] if how == "argument" else []
    return args, {"WASMRUN_LOG_FORMAT": "json"} if how == "variable" else {}


@pytest.mark.parametrize("how", ["argument", "variable", "file"])
def test_json(lab, site, how):
    """Each line is an object, whatever is said and wherever from; a line that is too long comes in several."""
    args, env = json_args(site, how)
    relay = lab.relay(secret="x" if how == "file" else None)
    (site / "say").write_bytes(b'"\\ \xff\xc3\xa4\x00\x1b[2J\xed\xa0\x80\xe2\x80\xae\n' + b"\xc3\xa4" * 1900 + b"\n")
    process = lab.process(
        [WASMRUN, "os", "-p", site, "-P", 0, "-v", *args, "--kind", "static", "--build", "cat say", "--forward", "0"]
        + ["--expose", "--tunnel-server", server(relay)],
        "wasmrun",
        env={"XDG_CACHE_HOME": str(lab.folder / "cache"), "XDG_RUNTIME_DIR": str(lab.folder), **env},
    )
    process.wait_line(r'"public":"http://')
    process.stop()
    out, err = process.text("stdout"), process.text("stderr")
    assert out.isascii() and err.isascii()
    addresses = {name: one[name] for one in objects(out) for name in ("application", "kind", "forward", "page", "public") if name in one}
    assert addresses.pop("kind") == "static" and len(addresses) == 4
    assert all(value.startswith("http://") for value in addresses.values())
    build = [one["message"] for one in objects(err) if one.get("stream") == "build"]
    assert build[0] == '"\\ \ufffd\u00e4\x00\x1b[2J\ufffd\ufffd\ufffd\u202e'
    assert len(build) > 2 and "".join(build[1:]) == "\u00e4" * 1900
    said = [one for one in objects(err) if one["component"] == "tunnel" and one["level"] == "info"]
    assert any("Connecting -> Connected" in one["message"] for one in said)
    if how == "file":
        assert any(one["component"] == "secret" and one["level"] == "warn" for one in objects(err))


def test_json_on_a_terminal(terminal, site):
    it = terminal(site, "--log-format", "json")
    it.wait(r'"page":"http://')
    assert it.interrupt() == 0
    assert objects(it.said.replace("^C", "")) and it.said.replace("^C", "").isascii()

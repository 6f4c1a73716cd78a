# SPDX-License-Identifier: MIT
"""The examples of the documents: each command runs as it stands, in its order, and says what stands below it.

In what a command is to say, "…" stands for anything in its line, and a line of it alone for any lines. A command that ends with
"&" goes on, and has said that it serves. What `wasmrun.toml` holds is written into the folder of the application, and a program
in Python into the file that its first line names.
"""

import gzip
import os
import pathlib
import re
import socket
import subprocess

import pytest

from harness import toolchains
from harness.examples import copy_example
from harness.guests import COMPILE_DEADLINE, needs_wall
from harness.lab import ROOT
from harness.wait import DEADLINE, TimeLimit
from harness.wasmrun import WASMRUN, need_wasmrun

# The application of each document.
PAGES = {
    "api.md": "examples/hello-c",
    "network-isolation.md": "examples/probe-c",
    "os.md": "examples/static-site",
    "port-forwarding.md": "examples/hello-c",
    "security.md": "examples/probe-c",
}
# Commands that are shown and not run, with the reason.
NOT_RUN = {"wasmrun os --expose --expire 2h": "it goes to the public relay; test_os_tunnel.py has the option"}

API, DATABASE = "93.184.216.10", "10.1.2.3"
NAMES = {"api.example.com": API, "relay.example.com": API, "db.example.com": DATABASE}


def blocks(page):
    """(language, text) of each block in a document that is set apart."""
    return re.findall(r"^```(\w*)\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)


def commands(block):
    """(command, what it is to say) of a block."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.M)


def pattern(said):
    """A regular expression for what is to be said."""
    lines = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in said.splitlines()]
    return "".join(lines)


class Setting:
    """A machine of its own, with a database on it, and an API and a relay on the internet next to it."""

    def __init__(self, lab, net, folder):
        self.lab, self.space, self.folder = lab, net.spoke(), folder
        for address in (API, DATABASE):
            net.middle.ip("addr", "add", f"{address}/32", "dev", "lo")
        self.sockets = [self.listen(net.middle, API, 443), self.listen(net.middle, DATABASE, 5432)]
        self.sockets += [self.listen(self.space, "127.0.0.1", 5432)]
        lab.relay(host=API, control_port=7835, where=net.middle)
        hosts = lab.folder / "hosts"
        hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in NAMES.items()))
        self.wrap = ["unshare", "-m", "sh", "-c", f'mount --bind "{hosts}" /etc/hosts && exec "$@"', "sh"]
        self.env = {
            "PATH": f"{WASMRUN.parent}:{os.environ['PATH']}",
            "XDG_CACHE_HOME": str(lab.folder / "cache"),
            "XDG_RUNTIME_DIR": str(lab.folder),
        }

    def listen(self, where, host, port):
        with where.entered():
            return socket.create_server((host, port))

    def begin(self, command, said):
        """What is said may still come after the page is there."""
        argv = ["sh", "-c", f"cd {self.folder} && exec {command.removesuffix(' &')}"]
        process = self.lab.process(argv, "example", env=self.env, where=self.space, wrap=self.wrap)
        process.wait_line("^page: |listening at ", deadline=COMPILE_DEADLINE)
        for line in said.splitlines():
            process.wait_line(f"^{pattern(line)[:-2]}$")

    def run(self, command, said):
        """It is run again until it says what it is to say: a change may take a moment."""
        limit, wanted = TimeLimit(DEADLINE), re.compile(pattern(said))
        while True:
            argv = [*self.space.wrap, *self.wrap, "sh", "-c", command]
            done = subprocess.run(
                argv, cwd=self.folder, env={**os.environ, **self.env}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                timeout=2 * DEADLINE)
            output = done.stdout.rstrip("\n") + "\n" if done.stdout else ""
            if wanted.fullmatch(output) or limit.over():
                break
        assert wanted.fullmatch(output), f"$ {command}\n{output}instead of\n{said}"


@pytest.fixture
def setting(lab, net, tmp_path):
    need_wasmrun()
    toolchains.c()
    folder = tmp_path / "clone"
    for example in {pathlib.Path(path).name for path in PAGES.values()}:
        copy_example(example, folder / "examples" / example)
    made = Setting(lab, net, folder)
    yield made
    for one in made.sockets:
        one.close()


@needs_wall
@pytest.mark.parametrize("page", PAGES)
def test_examples(setting, page):
    found = blocks(page)
    assert found
    for language, block in found:
        if language == "toml":
            (setting.folder / PAGES[page] / "wasmrun.toml").write_text(block)
            setting.run(f"wasmrun policy check -p {PAGES[page]} >/dev/null && echo good", "good\n")
        elif language == "python":
            (setting.folder / re.match("# (\\S+)", block)[1]).write_text(block)
        elif language == "console":
            for command, said in commands(block):
                if command not in NOT_RUN:
                    (setting.begin if command.endswith(" &") else setting.run)(command, said)


LOG = {
    "connections.log.2.gz": """\
2026-11-01T10:00:00.000Z listening port=7835 addr=[::]:7835
2026-11-01T10:01:00.000Z tunnel_opened port=9000 addr=192.0.2.1:1000
2026-11-01T10:01:30.000Z tunnel_opened port=9001 addr=192.0.2.9:1000
""",
    "connections.log.1": """\
2026-11-02T10:00:00.000Z tunnel_resumed port=9000 addr=192.0.2.1:1001
2026-11-02T11:00:00.000Z tunnel_closed port=9000 addr=192.0.2.1:1001 ms=1 why='closed by the client'
2026-11-02T12:00:00.000Z tunnel_opened port=9000 addr=192.0.2.2:1000
2026-11-02T12:00:01.000Z visitor_opened port=9000 addr=192.0.2.77:1 id=x
2026-11-03T10:00:00.000Z listening port=7835 addr=[::]:7835
2026-11-03T10:30:00.000Z tunnel_opened port=9000 addr=192.0.2.3:1000
2026-11-03T11:00:00.000Z listening port=7835 addr=[::]:7835
2026-11-03T11:00:00.001Z tunnel_adopted port=9000 addr=192.0.2.3:1000
""",
    "connections.log": """\
2026-11-03T11:00:00.002Z handed_over
2026-11-03T11:00:00.003Z tunnel_handed_over port=9000 addr=192.0.2.3:1000 ms=1 why='the relay has handed over to the next'
2026-11-03T11:00:00.004Z tunnel_resumed port=9000 addr=192.0.2.3:1001
2026-11-03T12:00:00.000Z tunnel_closed port=9000 addr=192.0.2.2:1000 ms=1 why='of the old relay, late'
""",
}
WHO = {
    "2026-11-01T10:00:30": "nobody",
    "2026-11-01T10:01:00.500Z": "2026-11-01T10:01:00.000Z tunnel_opened port=9000 addr=192.0.2.1:1000",
    "2026-11-02T10:30": "2026-11-02T10:00:00.000Z tunnel_resumed port=9000 addr=192.0.2.1:1001",
    "2026-11-02T11:30:00": "nobody",
    "2026-11-02T22:15:00": "2026-11-02T12:00:00.000Z tunnel_opened port=9000 addr=192.0.2.2:1000",
    "2026-11-03T10:15:00": "nobody",
    "2026-11-03T11:00:00.002": "2026-11-03T11:00:00.001Z tunnel_adopted port=9000 addr=192.0.2.3:1000",
    "2026-11-04": "2026-11-03T11:00:00.004Z tunnel_resumed port=9000 addr=192.0.2.3:1001",
}


def test_who_had_a_port(tmp_path):
    """Over rotated and compressed logs, a crash (no ends in the log), a reconnection, and an upgrade."""
    for name, text in LOG.items():
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    (command,) = [block for language, block in blocks("operations.md") if language == "sh" and "connections.log*" in block]
    command = command.replace("/var/log/bore", str(tmp_path))
    for time, who in WHO.items():
        done = subprocess.run(["sh", "-c", command.replace("2026-11-27T22:15:00", time)], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (who + "\n", ""), time


def test_all_examples_are_run():
    """None hides in a block of another kind, or behind a reason for what is gone."""
    shown = {page: [command for language, block in blocks(page) if language == "console" for command, _ in commands(block)] for page in PAGES}
    for page in PAGES:
        for language, block in blocks(page):
            assert language in ("console", "toml") or "$ " not in block, (page, block)
            assert language != "console" or block.startswith("$ "), (page, block)
    assert set(NOT_RUN) <= {command for found in shown.values() for command in found}


def test_all_settings_are_told():
    """Each option of `wasmrun os` stands in its table, with its variable and its key of wasmrun.toml."""
    need_wasmrun()
    said = " ".join(subprocess.run([WASMRUN, "os", "--help"], capture_output=True, text=True, check=True).stdout.split())
    rows = [line for line in (ROOT / "docs" / "os.md").read_text().splitlines() if re.fullmatch(r"\| `--(?:[^|]|\\\|)*(?:\|[^|]*){3}\|", line)]
    entries = re.split(r" (?=(?:-\w, )?--[a-z-]+ (?:<|[A-Z]))", said.partition("Options:")[2])
    options = {re.search(r"--([a-z-]+)", entry)[1]: entry for entry in entries if "--" in entry}
    del options["help"], options["path"], options["quiet"], options["verbose"]
    for name, entry in options.items():
        (row,) = [row for row in rows if re.match(rf"\| `--{name}[` ]", row)]
        for told in re.findall(r"\[(?:env|key): (\S+)\]", entry):
            assert f"`{told}`" in row, (name, told)
    assert len(options) > 30

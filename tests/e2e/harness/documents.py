# SPDX-License-Identifier: MIT
"""The blocks of the documents, and a machine to run their commands on.

A block of commands is `console`, with a "$ " before each command and below it what it says, or `sh`. The comment in the line
above a block says who runs it: `<!-- run by FILE -->`, a test; or `<!-- not run: REASON -->`. The others are run by
test_documents.py. In what a command is to say, "…" stands for anything in its line, and a line of it alone for any lines. A
command that ends with "&" goes on, and has said that it serves. A block whose first line is a comment with the name of a file is written there.
"""

import collections
import os
import re
import socket
import subprocess

from .guests import COMPILE_DEADLINE
from .lab import ROOT
from .wait import DEADLINE, TimeLimit
from .wasmrun import WASMRUN

API, DATABASE = "93.184.216.10", "10.1.2.3"
NAMES = {"api.example.com": API, "relay.example.com": API, "bore.pub": API, "db.example.com": DATABASE}

Block = collections.namedtuple("Block", "mark language text")


def document(page):
    return (ROOT / "docs" / page).resolve().read_text()


def blocks(page):
    """The blocks of a page that are set apart, in their order."""
    return [Block(*found) for found in re.findall(r"(?:^<!-- ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$", document(page), re.M | re.S)]


def commands(text):
    """(command, what it is to say) of a block."""
    return re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M)


def named_file(text):
    """The file that a block says it is, or None."""
    found = re.match(r"(?:#|//|/\*) ([\w-][\w./-]*\.\w+)(?: \*/)?\n", text)
    return found and found[1]


def pattern(said):
    """A regular expression for what is to be said."""
    lines = [r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in said.splitlines()]
    return "".join(lines)


class Setting:
    """A machine of its own, with a database on it, and an API and a relay on the internet next to it."""

    def __init__(self, lab, net, folder, env):
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
            "PATH": os.environ["PATH"],
            "XDG_CACHE_HOME": str(lab.folder / "cache"),
            "XDG_RUNTIME_DIR": str(lab.folder),
            "PYTHONUNBUFFERED": "1",
            **env,
        }
        self.env["PATH"] = f"{WASMRUN.parent}:{self.env['PATH']}"

    def listen(self, where, host, port):
        with where.entered():
            return socket.create_server((host, port))

    def begin(self, command, said=""):
        """What is said may still come after it serves."""
        argv = ["sh", "-c", f"cd {self.folder} && exec {command.removesuffix(' &')}"]
        process = self.lab.process(argv, "example", env=self.env, where=self.space, wrap=self.wrap)
        deadline = COMPILE_DEADLINE if "wasmrun os" in command else DEADLINE
        process.wait_line('^page: |listening at |^Serving |"listening"', deadline=deadline)
        for line in said.splitlines():
            process.wait_line(f"^{pattern(line)[:-2]}$")
        return process

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

    def close(self):
        for one in self.sockets:
            one.close()

# SPDX-License-Identifier: MIT
"""`wasmrun os` with a hostile program (tools/escape.c) in its engine's place: visitors tell that which way out to try."""

import contextlib
import errno
import os
import pwd
import re
import shutil
import signal
import socket

from .components import make
from .lab import OURS
from .wait import DEADLINE, wait_for
from .wasmrun import WASMRUN, run_os

OUTLAW = OURS.parent / "tests" / "e2e" / "e2e-escape"
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")
GONE = "gone"

# A module with nothing but _start.
MODULE = b"\0asm\1\0\0\0" b"\1\4\1\x60\0\0\3\2\1\0\7\12\1\6_start\0\0\12\4\1\2\0\13"

# Whose file it stands in for. The wasmtime command may make TCP sockets, and has the preload, which seals it, in its process.
PLACES = ("wasmrun-guest", "wasmtime")


def interpreter():
    """ld.so(8), as the program itself names it."""
    return re.search(rb"/[\w./-]*/ld-linux[\w.-]*", OUTLAW.read_bytes())[0].decode()


class Outlaw:
    """The instance, started in `folder`; it may write to DATA and OTHER of it (--dir)."""

    def __init__(self, lab, folder, *args, place="wasmrun-guest", user="root", wrap=()):
        self.place, self.user, self.walled = place, user, "--no-isolation" not in args
        bin, self.project, self.data, self.other = (folder / name for name in ("bin", "project", "data", "other"))
        if not bin.exists():
            for one in (bin, self.project, self.data, self.other, folder / "cache", folder / "run"):
                one.mkdir()
            for name in ("wasmrun", "libwasmrun-preload.so"):
                shutil.copy(WASMRUN.parent / name, bin)
            shutil.copy(OUTLAW, bin / place)
            if place == "wasmtime":
                make(self.project, "listen_component")
            else:
                (self.project / "main.wasm").write_bytes(MODULE)
            self.own(folder)
        kind = ("--kind", "preview1") if place == "wasmrun-guest" else ()
        self.instance = run_os(
            lab, self.project, "--dir", f"{self.data}::/data", "--dir", f"{self.other}::/other", *kind, *args, program=bin / "wasmrun",
            wrap=(*wrap, *(AS_NOBODY if user == "nobody" else ())),
            env={"PATH": f"{bin}:/usr/bin:/bin", "XDG_CACHE_HOME": str(folder / "cache"), "XDG_RUNTIME_DIR": str(folder / "run"),
                 "HOME": str(folder)},
        )
        self.process = self.instance.process

    def own(self, folder):
        """All in the folder is the user's."""
        if self.user == "nobody":
            nobody = pwd.getpwnam("nobody")
            for one in (folder, *folder.rglob("*")):
                os.chown(one, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.instance.app()["port"]), DEADLINE)

    def ask(self, way, visitor=False):
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

    def try_way(self, way, visitor=False):
        """Its answer: the call that was the end of it and the errno. GONE: it is another program now, or ended."""

        def answered():
            said = self.ask(way, visitor)
            return None if said is None or said.startswith("HTTP/") else said  # nobody was there to be asked

        return wait_for(answered, f"'{way}' is answered")

    def try_unseen(self, way):
        """While the supervisor stands still: it ends who shuts the listener, maybe before that has told. Comes back when it has."""
        before = self.instance.wait_app("running")
        with self.connect() as sock:
            self.process.halt()
            sock.sendall(f"{way}\n".encode())
            said = sock.makefile().readline().strip()
            self.process.signal(signal.SIGCONT)
        if self.walled:
            wait_for(lambda: self.instance.wait_app("running")["pid"] != before["pid"], "there is another instance")
        return said


def refused(call, number=errno.EACCES):
    return f"{call} {number}"

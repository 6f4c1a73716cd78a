# SPDX-License-Identifier: MIT
"""Preview 1 modules, built once for all tests from tests/guests and examples, and wasmrun-guest to run them."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from .lab import OURS, ROOT
from .process import Process
from .wait import SANITIZER

GUEST = OURS.parent / "wasmrun-guest"
SOURCES = ROOT / "tests" / "guests"
# The exit codes of wasmrun-guest (src/guest/guest_exit.h), which `wasmrun run` passes on. Scripts know them: retyped here, so
# that a change is seen.
TRAP, USAGE, READ, NOT_WASM, TRUNCATED, INVALID, COMPONENT, FOREIGN, NO_PROGRAM, IMPORT, MEMORY, DEADLINE_OVER, SETUP = (
    134, *range(192, 204))
WASI_HEADERS = pathlib.Path("/usr/include/wasm32-wasi")
DEBIAN_RUSTC = pathlib.Path("/usr/bin/rustc")
# Compiling a Go server to machine code, with everything else that the machine does meanwhile.
COMPILE_DEADLINE = 600

needs_wall = pytest.mark.skipif(bool(SANITIZER), reason="wasmrun-guest with a sanitizer can't run behind the wall")


def need_go():
    said = subprocess.run(["go", "version"], capture_output=True, text=True).stdout if shutil.which("go") else ""
    version = re.search(r"go(\d+)\.(\d+)", said)
    if not version or (int(version[1]), int(version[2])) < (1, 21):
        pytest.skip(f"needs Go ≥ 1.21, found {version[0][2:] if version else 'none'}")


class Guests:
    """
    The builder. What a toolchain can't do is skipped with the reason; a failing build is a failure. A name stands for one module:
    with two of one name, which one a test gets would depend on which tests ran before it.
    """

    def __init__(self, folder):
        self.folder, self.built, self.made_by = pathlib.Path(folder), {}, {}

    def _build(self, name, command, cwd=None, env=None):
        assert self.made_by.setdefault(name, command) == command, f"{name}.wasm has been made by another command"
        if name not in self.built:
            target = self.folder / f"{name}.wasm"
            done = subprocess.run(
                [*command, "-o", target],
                cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True,
            )
            assert done.returncode == 0, done.stderr
            self.built[name] = target
        return self.built[name]

    def c(self, source, name=None, *flags):
        if not shutil.which("clang") or not shutil.which("wasm-ld") or not WASI_HEADERS.is_dir():
            pytest.skip("needs clang, lld and wasi-libc (script/setup-engine --guests)")
        name = name or pathlib.Path(source).stem
        return self._build(name, ["clang", "--target=wasm32-wasi", "-O1", "-g", "-Wall", *flags, SOURCES / source])

    def go(self, source):
        need_go()
        env = {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local"}
        return self._build(source, ["go", "build"], SOURCES / source, env)

    def rust(self, source):
        for rustc, target in (("rustc", "wasm32-wasip1"), (DEBIAN_RUSTC, "wasm32-wasi")):
            if not shutil.which(str(rustc)):
                continue
            where = [rustc, "--print", "target-libdir", "--target", target]
            libraries = subprocess.run(where, capture_output=True, text=True).stdout.strip()
            if libraries and pathlib.Path(libraries).is_dir():
                main = SOURCES / source / "main.rs"
                return self._build(source, [rustc, "--edition", "2021", "-O", "--target", target, main])
        pytest.skip("needs a rustc with wasm32-wasip1 (Debian's rustc and libstd-rust-dev-wasm32)")

    def rust_component(self, source):
        where = ["rustc", "--print", "target-libdir", "--target", "wasm32-wasip2"]
        libraries = subprocess.run(where, capture_output=True, text=True).stdout.strip() if shutil.which("rustc") else ""
        if not libraries or not pathlib.Path(libraries).is_dir():
            pytest.skip("needs a rustc with wasm32-wasip2")
        main = SOURCES / source / "main.rs"
        return self._build(source, ["rustc", "--edition", "2021", "-O", "--target", "wasm32-wasip2", main])


def compiled(module, *options):
    """The options with which wasmrun-guest finds the module compiled, as all tests share it: Go's takes long."""
    folder = module.parent / f"compiled-{module.stem}{''.join(options)}"
    if not folder.exists():
        partial = pathlib.Path(tempfile.mkdtemp(dir=module.parent))
        subprocess.run([GUEST, "--compile", "--cache", partial, *options, module], check=True, timeout=COMPILE_DEADLINE)
        partial.rename(folder)
    return ["--cache", folder]


class Run:
    """One run of wasmrun-guest, with a listening socket of its own unless told otherwise."""

    def __init__(self, module, *args, folder, options=(), listen=True, stdin=subprocess.DEVNULL, pass_fds=()):
        options = [*options]
        self.address, fds = None, pass_fds
        if listen:
            listener = socket.create_server(("127.0.0.1", 0))
            self.address, fds = listener.getsockname(), (*fds, listener.fileno())
            (folder / "empty").mkdir(exist_ok=True)
            options += ["--listen-fd", str(listener.fileno()), "--empty", folder / "empty"]
        self.process = Process([GUEST, *options, module, *args], folder, "guest", stdin=stdin, pass_fds=fds)
        if listen:
            listener.close()

    def connect(self, deadline):
        return socket.create_connection(self.address, deadline)

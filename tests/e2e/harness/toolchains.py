# SPDX-License-Identifier: MIT
"""The toolchains that build the examples: each `need` gives what to add to the environment, or skips with the reason."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from .components import find_wasmtime
from .guests import DEBIAN_RUSTC, need_go
from .lab import ROOT

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "wasmrun")


def said(*argv):
    if not shutil.which(argv[0]):
        return ""
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip()


def path_with(*folders):
    return os.pathsep.join([*map(str, folders), os.environ["PATH"]])


def need_version(name, oldest, *argv):
    found = re.search(r"(\d+)\.(\d+)[\d.]*", said(*argv))
    if not found or tuple(map(int, found.groups())) < oldest:
        pytest.skip(f"needs {name} ≥ {'.'.join(map(str, oldest))}, found {found[0] if found else 'none'}")


def nothing():
    return {}


def c():
    if not shutil.which("clang") or not shutil.which("wasm-ld") or not os.path.isdir("/usr/include/wasm32-wasi"):
        pytest.skip("needs clang, lld and wasi-libc (script/setup-engine --guests)")
    return {}


def cxx():
    if not shutil.which("clang++") or not os.path.isdir("/usr/include/wasm32-wasi/c++"):
        pytest.skip("needs C++ for WASI: apt-get install libc++-14-dev-wasm32 libc++abi-14-dev-wasm32")
    return c()


def go():
    need_go()
    # The compiler's cache is the user's own: what is in it needn't be made again.
    return {"GOCACHE": said("go", "env", "GOCACHE"), "GOTOOLCHAIN": "local"}


def wasmtime():
    """The engine of components. wasmrun looks for it in the cache folder, of which a test has one of its own."""
    return find_wasmtime().parent


def js():
    need_version("Node", (20, 0), "node", "--version")
    need_version("npm", (9, 0), "npm", "--version")
    # The tests may run without a network: what its build downloads is in npm's cache, or there is no build.
    packages = json.loads((ROOT / "examples" / "hello-js" / "package-lock.json").read_text())["packages"]
    cached = said("npm", "cache", "ls")
    for place, package in packages.items():
        name = place.rpartition("node_modules/")[2]
        file = f"/{name}/-/{name.rpartition('/')[2]}-{package.get('version')}.tgz"
        if name and not package.get("optional") and file not in cached:
            pytest.skip(f"needs npm's package {name} (script/setup --tests)")
    return {"PATH": path_with(wasmtime()), "NPM_CONFIG_PREFER_OFFLINE": "true"}


def npm():
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    return {}


def python():
    """componentize-py, as script/setup --tests installs it, or the user's own."""
    lock = hashlib.sha256((ROOT / "examples" / "hello-python" / "requirements.txt").read_bytes()).hexdigest()
    path = path_with(CACHE / f"componentize-py-{lock[:16]}" / "bin")
    if not shutil.which("componentize-py", path=path):
        pytest.skip("needs componentize-py (script/setup --tests)")
    return {"PATH": os.pathsep.join([str(wasmtime()), path])}


def rust():
    libraries = said("rustc", "--print", "target-libdir", "--target", "wasm32-wasip2")
    if not shutil.which("cargo") or not libraries or not os.path.isdir(libraries):
        found = re.search(r"\d[\d.]*", said("rustc", "--version"))
        pytest.skip(f"needs Rust ≥ 1.82 with its target wasm32-wasip2, found {found[0] if found else 'none'} without it")
    manifest = ROOT / "examples" / "hello-rust" / "Cargo.toml"
    fetch = ["cargo", "fetch", "--locked", "--offline", "--manifest-path", manifest]
    if subprocess.run(fetch, capture_output=True).returncode:
        pytest.skip("needs the crates of hello-rust (script/setup --tests)")
    return {"PATH": path_with(wasmtime())}


def debian_rust():
    """Debian 12's Rust, which has preview 1 under its old name."""
    libraries = said(str(DEBIAN_RUSTC), "--print", "target-libdir", "--target", "wasm32-wasi")
    if not os.access("/usr/bin/cargo", os.X_OK) or not libraries or not os.path.isdir(libraries):
        pytest.skip("needs Debian's cargo, rustc and libstd-rust-dev-wasm32 (script/setup --tests)")
    return {"PATH": path_with("/usr/bin"), "RUSTC": str(DEBIAN_RUSTC)}

# SPDX-License-Identifier: MIT
"""Components, made from tests/guests/*.wat by the engine's own library, and the wasmtime command for them."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from .guests import SOURCES
from .lab import OURS

LIBRARY = OURS.parent / "libwasmtime.so"
BUILT = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "wasmrun", "wasmtime-cli-48.0.8")
OLDEST = (48, 0, 1)


class Bytes(ctypes.Structure):
    """wasm_byte_vec_t"""

    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.POINTER(ctypes.c_char))]

    def text(self):
        return ctypes.string_at(self.data, self.size)


def make(folder, name, change=lambda text: text):
    """The component of tests/guests/NAME.wat, whose text may be changed first."""
    if not LIBRARY.exists():
        pytest.skip("needs Wasmtime's library (script/setup)")
    text, made, message = change((SOURCES / f"{name}.wat").read_text()).encode(), Bytes(), Bytes()
    library = ctypes.CDLL(LIBRARY)
    library.wasmtime_wat2wasm.restype = ctypes.c_void_p
    error = library.wasmtime_wat2wasm(text, ctypes.c_size_t(len(text)), ctypes.byref(made))
    if error:
        library.wasmtime_error_message(ctypes.c_void_p(error), ctypes.byref(message))
        raise AssertionError(message.text().decode())
    target = pathlib.Path(folder, f"{name}.wasm")
    target.write_bytes(made.text())
    return target


def find_wasmtime():
    """What wasmrun would take: the user's own, else the one that script/setup --components has built."""
    own = shutil.which("wasmtime")
    said = subprocess.run([own, "--version"], capture_output=True, text=True).stdout if own else ""
    version = re.match(r"wasmtime (\d+)\.(\d+)\.(\d+)", said)
    if version and tuple(map(int, version.groups())) >= OLDEST:
        return pathlib.Path(own)
    if (BUILT / "bin" / "wasmtime").exists():
        return BUILT / "bin" / "wasmtime"
    oldest = ".".join(map(str, OLDEST))
    pytest.skip(f"needs wasmtime ≥ {oldest} (script/setup --components), found {version[0] if version else 'none'}")

# SPDX-License-Identifier: MIT
"""What is built where something for it is missing."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from harness.lab import OURS, ROOT
from harness.wait import SANITIZER

DEADLINE = 300


def configure(folder, hidden, *options):
    """`meson setup` where the libraries `hidden` are not there: its end, and the programs that it would build."""
    if not shutil.which("meson"):
        pytest.skip("needs meson (script/setup)")
    places = subprocess.run(["pkg-config", "--variable", "pc_path", "pkg-config"], capture_output=True, text=True)
    (folder / "pkgconfig").mkdir()
    for place in map(pathlib.Path, places.stdout.strip().split(":")):
        for file in place.glob("*.pc"):
            if file.stem not in hidden and not (folder / "pkgconfig" / file.name).exists():
                (folder / "pkgconfig" / file.name).symlink_to(file)
    # Where pkg-config doesn't know a library, CMake is asked.
    (folder / "native").write_text("[binaries]\ncmake = '/nonexistent/cmake'\n")
    argv = ["meson", "setup", "--native-file", folder / "native", *options, folder / "build", ROOT]
    env = {**os.environ, "PKG_CONFIG_LIBDIR": str(folder / "pkgconfig"), "PKG_CONFIG_PATH": ""}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=DEADLINE)
    assert done.returncode == 0, done.stdout
    told = dict(re.findall(r"^ {4}(\w.*\S) *: (.*)$", done.stdout, re.M))
    ninja = (folder / "build" / "build.ninja").read_text()
    return told, {name for name in ("bore", "wasmrun", "wasmrun-guest", "test_base_buf") if re.search(rf"^build (\S*/)?{name}:", ninja, re.M)}


@pytest.mark.parametrize(
    ("hidden", "lacks"),
    [
        ((), None),
        # The relay alone, on a server: cmocka, which is for the tests, used to be wanted there.
        (("cmocka", "libmicrohttpd", "libqrencode", "libcurl", "tomlplusplus"),
         "libcurl4-openssl-dev libmicrohttpd-dev libqrencode-dev libtomlplusplus-dev"),
        # With the engine in the cache folder, this used to be an error of Meson's.
        (("libmicrohttpd",), "libmicrohttpd-dev"),
    ],
)
def test_optional_libraries(tmp_path, hidden, lacks):
    """What a part lacks costs that part alone, and is told by the name of the package that brings it."""
    if not shutil.which("ninja") or SANITIZER:
        pytest.skip("is about the build as it comes, and needs ninja")
    told, programs = configure(tmp_path, hidden)
    guest = told["Preview 1 modules (wasmrun-guest)"]
    assert told["OS mode (wasmrun)"] == (f"NO, it lacks {lacks}" if lacks else "YES")
    assert guest.removesuffix(" script/setup-engine") == (f"NO, it lacks {lacks}" if lacks else "YES") or not lacks
    assert told["Unit tests"] == ("NO, it lacks libcmocka-dev" if "cmocka" in hidden else "YES")
    wanted = {"bore"} | ({"wasmrun"} if not lacks else set()) | ({"test_base_buf"} if "cmocka" not in hidden else set())
    assert programs - {"wasmrun-guest"} == wanted
    assert ("wasmrun-guest" in programs) == (guest == "YES")


def test_scripts_build_the_same():
    """After script/demo, README's next command lacked a library that only script/build had built."""
    calls = [line.split() for line in (ROOT / "script" / "demo").read_text().splitlines() if line.startswith("script/build")]
    assert calls == [["script/build"]]
    for name in ("bore", "wasmrun", "wasmrun-guest", "libwasmrun-preload.so"):
        assert (OURS.parent / name).exists(), f"'{name}' is not built"

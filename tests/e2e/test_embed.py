# SPDX-License-Identifier: MIT
"""tools/embed, which makes a table of the page's files: what the next page may consist of, and what is refused."""

import hashlib
import re
import subprocess

import pytest

from harness.lab import ROOT


def embed(tmp_path, folder):
    out, depfile = tmp_path / "out.c", tmp_path / "out.d"
    done = subprocess.run([ROOT / "tools" / "embed", out, depfile, "page", folder], capture_output=True, text=True)
    return done, out, depfile


def test_a_folder_as_esbuild_makes_it(tmp_path):
    folder = tmp_path / "page"
    (folder / "chunks").mkdir(parents=True)
    files = {"index.html": b"<p>", "app-3QH2WXYZ.js": b"\0\xff", "app-3QH2WXYZ.js.map": b"{}", "chunks/log-ABCDEFG2.css": b"", "icon.svg": b"<svg/>", "not-hashed.js": b"1"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    done, out, depfile = embed(tmp_path, folder)
    assert done.returncode == 0, done.stderr
    entry = re.compile(r'\{ "(\S+)", "(.+?)", "\\"(\w+)\\"", (true|false), data_\d+, (\d+) \}')
    table = {path: rest for path, *rest in entry.findall(out.read_text())}
    kinds = {
        "/": ("index.html", "text/html; charset=utf-8", "false"),
        "/app-3QH2WXYZ.js": ("app-3QH2WXYZ.js", "text/javascript; charset=utf-8", "true"),
        "/app-3QH2WXYZ.js.map": ("app-3QH2WXYZ.js.map", "application/json", "true"),
        "/chunks/log-ABCDEFG2.css": ("chunks/log-ABCDEFG2.css", "text/css; charset=utf-8", "true"),
        "/icon.svg": ("icon.svg", "image/svg+xml", "false"),
        "/not-hashed.js": ("not-hashed.js", "text/javascript; charset=utf-8", "false"),
    }
    assert table == {
        path: [kind, hashlib.sha256(files[name]).hexdigest()[:16], kept, str(len(files[name]))] for path, (name, kind, kept) in kinds.items()
    }
    subprocess.run(["cc", "-Wall", "-Werror", "-fsyntax-only", f"-I{ROOT / 'src'}", out], check=True)
    assert all(str(path) in depfile.read_text() for path in (folder, folder / "chunks", *(folder / name for name in files)))


@pytest.mark.parametrize(("name", "says"), [("x.exe", "'/x.exe' is of no known type"), ('a"b.js', "has characters")])
def test_what_it_refuses(tmp_path, name, says):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / name).touch()
    done, out, _ = embed(tmp_path, folder)
    assert done.returncode == 1 and says in done.stderr and not out.exists()

# SPDX-License-Identifier: MIT
"""Small projects of many sorts: each runs as it is, or is refused with a line that leads on."""

import collections
import os
import re

import pytest

from harness import toolchains
from harness.guests import COMPILE_DEADLINE
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os

CGI = r'"Content-Type: text/plain\r\n\r\n'
MAIN = f'#include <stdio.h>\nint main(void) {{ puts({CGI}%s"); return 0; }}\n'
GO = f'package main\n\nimport "fmt"\n\nfunc main() {{ fmt.Print({CGI}%s") }}\n'
GO_LOG = 'package main\n\nfunc main() { println("x") }\n'
MOD = "module example.com/x\n\ngo 1.21\n"
LIBRARY = "package x\n\nfunc X() {}\n"
WASM = b"\0asm\1\0\0\0"
ADD = WASM + b"\1\4\1\x60\0\0\3\2\1\0\7\7\1\3add\0\0\x0a\4\1\2\0\x0b"


def site(folder):
    return '{"scripts": {"build": "mkdir -p %s && echo built > %s/index.html"}}' % (folder, folder)


# `files`: what is in the folder; `run`: what of it is named; `says`: on the page, with `kind`, or in the refusal.
Project = collections.namedtuple("Project", "need files kind says run args", defaults=("", ()))

RUN = {
    "C with a folder include": Project(
        toolchains.c, {"main.c": '#include "x.h"\n' + MAIN % "c", "x.c": "#include <x.h>\n", "include/x.h": ""}, "cgi", "c"),
    "C in src, a library beside": Project(
        toolchains.c, {"src/main.c": "int x(void);\n" + MAIN % "src", "lib/x.c": "int x(void) { return 1; }\n"}, "cgi", "src"),
    "C with its test": Project(toolchains.c, {"main.c": MAIN % "main", "test_main.c": MAIN % "test"}, "cgi", "main"),
    "one of two programs in C": Project(
        toolchains.c, {"client.c": MAIN % "client", "server.c": MAIN % "server"}, "cgi", "server", "server.c"),
    "C with a Makefile for WebAssembly": Project(
        toolchains.c,
        {"Makefile": "app.wasm: src/main.c\n\tclang --target=wasm32-wasi -DX -o $@ src/main.c\n",
         "src/main.c": "#ifndef X\n#error\n#endif\n" + MAIN % "made"}, "cgi", "made"),
    "C++ and C": Project(
        toolchains.cxx,
        {"main.cpp": "#include <string>\n" + 'extern "C" int f(int);\n' + MAIN % "c++", "f.c": "int f(int class) { return class; }\n"},
        "cgi", "c++"),
    "Go with a program below": Project(toolchains.go, {"go.mod": MOD, "x.go": LIBRARY, "cmd/server/main.go": GO % "below"}, "cgi", "below"),
    "one of two programs in Go": Project(
        toolchains.go, {"go.mod": MOD, "cmd/a/main.go": GO_LOG, "cmd/b/main.go": GO % "b", "cmd/b/main_test.go": "package main\n"},
        "cgi", "b", "cmd/b"),
    "a file of Go without a module": Project(toolchains.go, {"hello.go": GO % "alone"}, "cgi", "alone"),
    "a site in dist": Project(toolchains.npm, {"package.json": site("dist"), "index.html": "the source"}, "static", "built"),
    "a site in build": Project(toolchains.npm, {"package.json": site("build"), "public/index.html": "a template"}, "static", "built"),
    "a site of Angular's": Project(toolchains.npm, {"package.json": site("dist/app/browser")}, "static", "built"),
    "a site that is built": Project(
        toolchains.nothing, {"package.json": site("dist"), "index.html": "the source", "dist/index.html": "there"}, "static", "there",
        args=("--kind", "static")),
    "a site without a build": Project(toolchains.nothing, {"package.json": "{}", "index.html": "plain"}, "static", "plain"),
    "a page of wasm-bindgen": Project(
        toolchains.nothing, {"Cargo.toml": "", "pkg/game.js": "", "index.html": "game"}, "static", "game"),
}  # fmt: skip

REFUSED = {
    "two programs in C": Project(
        toolchains.c, {"a.c": MAIN % "a", "b.c": MAIN % "b"}, None,
        r"several programs, each with a main function \(\./a\.c \./b\.c\): name the one to run, as in .?'wasmrun os \./a\.c"),
    "two programs in Go": Project(
        toolchains.go, {"go.mod": MOD, "cmd/a/main.go": GO_LOG, "cmd/b/main.go": GO_LOG}, None,
        r"there are 2 programs in this Go module \(cmd/a, cmd/b\): name the folder of the one to run, as in .?'wasmrun os cmd/a"),
    "Go without a program": Project(toolchains.go, {"go.mod": MOD, "x.go": LIBRARY}, None, "there is no package main in this Go module"),
    "JavaScript without a build": Project(
        toolchains.nothing, {"package.json": "{}", "server.js": ""}, None, r"'package\.json' is JavaScript without a script 'build': a server"),
    "a build without a site": Project(
        toolchains.npm, {"package.json": '{"scripts": {"build": "true"}}'}, None,
        r"made nothing to run: there is no '.*/dist/index\.html': see to it .*--kind static --wasm FOLDER"),
    "a lock file of another tool's": Project(
        toolchains.npm, {"package.json": '{"scripts": {"build": "true"}}', "pnpm-lock.yaml": ""}, None,
        r"'pnpm.?', which made .?'pnpm-lock\.yaml.?', is needed .*: npm install -g pnpm"),
    "Python without wit": Project(toolchains.nothing, {"app.py": ""}, None, r"'app\.py' is Python without a folder 'wit': it runs as a component"),
    "a library of AssemblyScript's": Project(
        toolchains.nothing, {"add.ts": "", "add.wasm": ADD}, None, r"add\.wasm' is a library, not a program: .* page's folder \(--kind static\)"),
    "a library of wasm-bindgen": Project(
        toolchains.nothing, {"Cargo.toml": "[lib]\ncrate-type = ['cdylib']\n[dependencies]\nwasm-bindgen = '0.2'\n"}, None,
        r"'Cargo\.toml' is a library for a page \(wasm-bindgen\): build it with 'wasm-pack"),
    "a project below": Project(toolchains.nothing, {"api/go.mod": MOD}, None, r"below it, 'api/go\.mod' is Go: .* as in 'wasmrun os api'"),
    "another language": Project(toolchains.nothing, {"build.zig": ""}, None, r"'build\.zig' is Zig: say --build 'zig build"),
    "nothing known": Project(toolchains.nothing, {"notes.txt": ""}, None, r"found 'notes\.txt'; name a file, or say --build COMMAND and --wasm FILE"),
    "a program of the build's is missing": Project(
        toolchains.nothing, {"x": ""}, None, r"needs a program that is not there: .*no-such-program: not found; install it first",
        args=("--build", "no-such-program", "--wasm", "x.wasm")),
}  # fmt: skip


def make_project(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize("name", RUN)
def test_run(lab, tmp_path, name):
    need_wasmrun()
    project = RUN[name]
    env = project.need()
    folder = make_project(tmp_path / "project", project.files)
    instance = run_os(lab, folder / project.run, *project.args, env=env, deadline=COMPILE_DEADLINE)
    assert instance.app()["kind"] == project.kind
    status, page = fetch(instance.app()["url"])
    assert (status, page.strip()) == (200, project.says)


def refuse(lab, path, *args, env=None):
    """The line that says why."""
    env = {"XDG_CACHE_HOME": str(lab.folder / "cache"), "XDG_RUNTIME_DIR": str(lab.folder), **(env or {})}
    process = lab.process([WASMRUN, "os", "-P", "0", path, *args], "wasmrun", env=env)
    assert process.wait_exit(COMPILE_DEADLINE) == 12
    return process.find(r"error app: ")[-1][0].text


@pytest.mark.parametrize("name", REFUSED)
def test_refused(lab, tmp_path, name):
    need_wasmrun()
    project = REFUSED[name]
    env = project.need()
    line = refuse(lab, make_project(tmp_path / "project", project.files), *project.args, env=env)
    assert re.search(project.says, line), line


@pytest.mark.parametrize("name", ["package.json", "Cargo.toml", "go.mod", "main.c", "app.py", "a.wasm"])
def test_strange_files(lab, tmp_path, name):
    """A pipe, a device or a folder by the name of a project's file is none, and is not waited for."""
    need_wasmrun()
    for kind in ("pipe", "device", "folder"):
        folder = make_project(tmp_path / kind, {"index.html": "a page", "wit/x": ""})
        if kind == "pipe":
            os.mkfifo(folder / name)
        elif kind == "device":
            os.symlink("/dev/zero", folder / name)
        else:
            (folder / name).mkdir()
        instance = run_os(lab, folder)
        assert fetch(instance.app()["url"]) == (200, "a page")
        instance.process.stop()


@pytest.mark.parametrize("kind", ["device", "pipe", "large"])
def test_strange_module(lab, tmp_path, kind):
    """What a build leaves under its module's name was copied for ever, on the loop, when it was a link to /dev/zero."""
    need_wasmrun()
    make = {"device": "ln -s /dev/zero", "pipe": "mkfifo", "large": "truncate -s 513M"}[kind]
    says = "is larger than 512 MiB" if kind == "large" else "is no regular file"
    folder = make_project(tmp_path / "project", {"package.json": '{"scripts": {"build": "mkdir -p dist; rm -f dist/a.wasm; %s dist/a.wasm"}}' % make})
    env = toolchains.npm()
    assert says in refuse(lab, folder, env=env)
    assert says in refuse(lab, folder, "--wasm", "dist/a.wasm", env=env)
    (folder / "wasmrun.toml").write_text(f"[app]\nbuild = 'mkdir -p out; rm -f out/a.wasm; {make} out/a.wasm'\nwasm = 'out/a.wasm'\n")
    assert says in refuse(lab, folder, env=env)

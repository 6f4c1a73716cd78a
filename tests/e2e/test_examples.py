# SPDX-License-Identifier: MIT
"""The examples, built from copies of them by their own toolchains and visited; and projects whose build goes wrong."""

import collections
import os
import shlex
import shutil
import socket
import subprocess
import urllib.parse

import pytest

from harness import toolchains
from harness.examples import copy_example
from harness.guests import COMPILE_DEADLINE, SOURCES
from harness.lab import ROOT
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os

# `says` is in the page at /a%3Cb?x, or at / where only that is there; `leaves` is what its build writes into the project.
Example = collections.namedtuple("Example", "need kind says path leaves", defaults=("/a%3Cb?x", ()))

EXAMPLES = {
    "counter-cgi": Example(toolchains.c, "cgi", "<h1>", "/"),
    "hello-c": Example(toolchains.c, "preview1", "<h1>Hello from C in WebAssembly</h1>"),
    "hello-go": Example(toolchains.go, "preview1", "<h1>Hello from Go in WebAssembly</h1>"),
    "hello-js": Example(
        toolchains.js, "component-http", "<h1>Hello from JavaScript in WebAssembly</h1>", leaves=("dist", "node_modules")),
    "hello-python": Example(
        toolchains.python, "component-http", "<h1>Hello from Python in WebAssembly</h1>", leaves=("__pycache__",)),
    "hello-rust": Example(toolchains.rust, "component-http", "<h1>Hello from Rust in WebAssembly</h1>"),
    "probe-c": Example(toolchains.c, "preview1-sockets", "GET /HOST:PORT tries to connect there", "/"),
    "static-site": Example(toolchains.nothing, "static", "<h1>", "/"),
}


# What `wasmrun new` calls them; probe-c is for trying policies, and nothing to begin with.
KINDS = {
    "c": "hello-c", "cgi": "counter-cgi", "go": "hello-go", "js": "hello-js", "python": "hello-python", "rust": "hello-rust",
    "static": "static-site"}


def new(*words, expect=0):
    done = subprocess.run([WASMRUN, "new", *words], capture_output=True, text=True)
    assert done.returncode == expect, done
    return done.stdout or done.stderr


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_new(tmp_path, kind):
    """The example is made as it comes with the project, in a folder that is missing or empty; and what is there stays."""
    need_wasmrun()
    folder = tmp_path / "my 'own' app"
    assert f"wasmrun os -p {shlex.quote(str(folder))}\n".replace("'\"'\"'", "'\\''") in new(kind, folder)
    made = contents(folder)
    assert made == contents(copy_example(KINDS[kind], tmp_path / "example"))
    (folder / "README.md").write_text("mine")
    says = new(kind, folder, expect=11)
    assert says == f"error: '{folder}' isn't empty, and nothing in it is written over: name a folder that isn't there yet\n"
    assert contents(folder) == {**made, "README.md": b"mine"}
    (tmp_path / "empty").mkdir()
    new(kind, tmp_path / "empty")
    assert contents(tmp_path / "empty") == made


def test_new_where_it_cannot_be(tmp_path):
    need_wasmrun()
    (tmp_path / "file").write_text("mine")
    assert "'c'" not in new("perl", tmp_path / "x", expect=2) and not (tmp_path / "x").exists()
    assert "can't be made: " in new("c", tmp_path / "file", expect=11)
    assert (tmp_path / "file").read_text() == "mine"
    assert "can't be made: " in new("c", tmp_path / "missing" / "x", expect=11)


def test_all_examples_are_tested():
    assert {*KINDS.values(), "probe-c"} == set(EXAMPLES)
    assert sorted(os.listdir(ROOT / "examples")) == sorted(EXAMPLES)


@pytest.mark.parametrize("git", [True, False])
def test_copies_have_no_history(tmp_path, git):
    """A counter that had been tried before was copied with its visits, and the count was wrong."""
    folder = tmp_path / "clone" / "examples" / "counter"
    (folder / "data").mkdir(parents=True)
    for file in ("counter.c", "data/.gitignore"):
        (folder / file).write_text("*\n!.gitignore\n")
    if git:
        for words in (["init", "-q"], ["add", "-f", "counter.c", "data/.gitignore"]):
            subprocess.run(["git", "-C", folder, *words], check=True)
    (folder / "data" / "visits").write_text("1234")
    copy = copy_example("counter", tmp_path / "copy", tmp_path / "clone")
    assert {str(file.relative_to(copy)) for file in copy.rglob("*") if file.is_file()} == {"counter.c", "data/.gitignore"}


def marked(name):
    languages = toolchains.go, toolchains.js, toolchains.python, toolchains.rust
    return pytest.param(name, marks=[pytest.mark.toolchain] if EXAMPLES[name].need in languages else [])


@pytest.mark.parametrize("name", [marked(name) for name in EXAMPLES])
def test_example(lab, tmp_path, name):
    need_wasmrun()
    example = EXAMPLES[name]
    env = example.need()
    project = copy_example(name, tmp_path / name)
    files = sorted(os.listdir(project))
    relay = lab.relay()
    instance = run_os(lab, project, env=env, deadline=COMPILE_DEADLINE)
    assert instance.app()["kind"] == example.kind
    public = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    for url in (instance.app()["url"], public):
        status, page = fetch(url, example.path)
        assert (status, example.says in page) == (200, True), page
        if example.path != "/":
            assert "GET /a" in page and "<b" not in page
    assert sorted(os.listdir(project)) == sorted({*files, *example.leaves})


def start_many(lab, tmp_path, project, count, env=None):
    """The addresses of instances of one project that are started together, and the instances."""
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_RUNTIME_DIR": str(tmp_path), **(env or {})}
    processes = [lab.process([WASMRUN, "os", "-P", "0", project], "wasmrun", env=env) for _ in range(count)]
    found = [process.wait_line(r"^application: (\S+) \((\S+)\)", deadline=COMPILE_DEADLINE)[1] for process in processes]
    assert {match[2] for match in found} == {"preview1"}
    return [match[1] for match in found], processes


@pytest.mark.toolchain
def test_rust_of_another_target(lab, tmp_path):
    """Cargo's own settings name the target, and the crate's old name is not found again."""
    need_wasmrun()
    env = toolchains.debian_rust()
    project = tmp_path / "project"
    (project / ".cargo").mkdir(parents=True)
    (project / ".cargo" / "config.toml").write_text('[build]\ntarget = "wasm32-wasi"\n')
    (project / "src").mkdir()
    shutil.copy(SOURCES / "echo_rust" / "main.rs", project / "src")
    for name in ("first", "second"):
        (project / "Cargo.toml").write_text(f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n')
        urls, processes = start_many(lab, tmp_path, project, 2, env)
        for url in map(urllib.parse.urlsplit, urls):
            with socket.create_connection((url.hostname, url.port), DEADLINE) as visitor, visitor.makefile("rb") as reply:
                visitor.sendall(b"hello")
                visitor.shutdown(socket.SHUT_WR)
                assert reply.read() == b"rust hello"
        for process in processes:
            process.stop()


def test_instances_build_at_once(lab, tmp_path):
    """They write into one cache folder, and none sees what another one has half written."""
    need_wasmrun()
    toolchains.c()
    project = copy_example("hello-c", tmp_path / "hello-c")
    for url in start_many(lab, tmp_path, project, 4)[0]:
        assert "Hello from C" in fetch(url)[1]
    names = os.listdir(tmp_path / "cache" / "wasmrun" / "build")
    assert [name.split(".")[-1] for name in names] == ["wasm"]


MISSING = {
    "cargo": ["Cargo.toml"],
    "clang": ["main.c"],
    "componentize-py": ["app.py", "wit/"],
    "go": ["go.mod"],
    "npm": ["package.json"],
}


BUILDS = '{"scripts": {"build": "true"}}'


def make_project(folder, names):
    for name in names:
        if name.endswith("/"):
            (folder / name).mkdir(parents=True)
        else:
            folder.mkdir(exist_ok=True)
            (folder / name).write_text(BUILDS if name == "package.json" else "")
    return folder


def refuse(lab, project, path, *args):
    """What `wasmrun os` says of a project where PATH has nothing but the folder `path`."""
    need_wasmrun()
    argv = ["env", f"PATH={path}", WASMRUN, "os", "-P", "0", project, *args]
    process = lab.process(argv, "wasmrun", env={"XDG_CACHE_HOME": str(lab.folder), "XDG_RUNTIME_DIR": str(lab.folder)})
    assert process.wait_exit() == 12
    assert process.text("stdout") == ""
    return process.text()


@pytest.mark.parametrize("program", MISSING)
def test_missing_toolchain(lab, tmp_path, program):
    project = make_project(tmp_path / "project", MISSING[program])
    said = refuse(lab, project, tmp_path / "nothing")
    assert f"'{program}' is needed to build it and is not there: install it with '" in said


def program(folder, name, *lines):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
    (folder / name).chmod(0o755)


def test_old_go(lab, tmp_path):
    program(tmp_path / "bin", "go")
    (tmp_path / "VERSION").write_text("go1.19\n")
    said = refuse(lab, make_project(tmp_path / "project", ["go.mod"]), tmp_path / "bin")
    assert "needs Go >= 1.21, found 1.19: install it with 'apt-get install " in said


@pytest.mark.parametrize("name", ["rustc", "no rustc"])
def test_old_rust(lab, tmp_path, name):
    """Rust is asked for its target by the build itself, and its last line is the reason."""
    program(tmp_path / "bin", "cargo")
    program(tmp_path / "bin", name, '[ "$1" = --version ] && echo "rustc 1.63.0 (4b91a6ea7 2022-08-08)"', "exit 1")
    for tool in ("sh", "cut", "grep"):
        os.symlink(shutil.which(tool), tmp_path / "bin" / tool)
    said = refuse(lab, make_project(tmp_path / "project", ["Cargo.toml"]), tmp_path / "bin")
    found = "1.63.0" if name == "rustc" else "none"
    assert f"error app: needs Rust >= 1.82 with its target wasm32-wasip2, found {found} without it: do rustup target add" in said


def test_build_that_makes_nothing(lab, tmp_path):
    program(tmp_path / "bin", "npm")
    os.symlink(shutil.which("sh"), tmp_path / "bin" / "sh")
    project = make_project(tmp_path / "project", ["package.json", "dist/"])
    said = refuse(lab, project, tmp_path / "bin")
    assert f"the build with 'npm' made nothing to run: there is no '{project}/dist/index.html'" in said
    for name in ("a.wasm", "b.wasm"):
        (project / "dist" / name).write_bytes(b"\0asm\1\0\0\0")
    assert "made nothing to run: there are 2 modules ('a.wasm', 'b.wasm')" in refuse(lab, project, tmp_path / "bin")


def test_npm_without_a_lock(lab, tmp_path):
    """`npm ci` refuses to install where there is no lock file: what is installed is the user's."""
    program(tmp_path / "bin", "npm", 'echo "npm $*"')
    os.symlink(shutil.which("sh"), tmp_path / "bin" / "sh")
    project = make_project(tmp_path / "project", ["package.json"])
    assert "npm ci" not in refuse(lab, project, tmp_path / "bin")
    (project / "package-lock.json").write_text("{}")
    assert "build | npm ci " in refuse(lab, project, tmp_path / "bin")


def test_build_that_fails(lab, tmp_path):
    """The compiler's output is shown, and the reason names it."""
    toolchains.c()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.c").write_text("int main(void) { return x; }\n")
    said = refuse(lab, tmp_path / "project", os.environ["PATH"])
    assert "build | ./main.c:1:25: error: use of undeclared identifier 'x'" in said
    assert "error app: the build with 'clang' has failed: exit code 1" in said


def test_kind_is_said(lab, tmp_path):
    """What would be built is served as it is."""
    project = make_project(tmp_path / "project", ["main.c"])
    (project / "index.html").write_text("a page")
    instance = run_os(lab, project, "--kind", "static")
    assert instance.app()["kind"] == "static"
    assert fetch(instance.app()["url"]) == (200, "a page")


def test_open(lab, project, tmp_path):
    """The first browser that is there gets the page's address, and lives on when we end."""
    log = tmp_path / "opened"
    program(tmp_path / "bin", "browser", f'echo "$1" > {log}.new && mv {log}.new {log}')
    instance = run_os(lab, project, "--open", env={"BROWSER": f"/no/such:{tmp_path}/bin/browser"})
    wait_for(log.exists, "the browser is started")
    assert log.read_text() == f"http://127.0.0.1:{instance.port}/\n"


def test_open_without_a_display(lab, project):
    instance = run_os(lab, project, "--open", env=dict.fromkeys(("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"), ""))
    instance.process.wait_line(rf"browser: there is no display for one: open http://127\.0\.0\.1:{instance.port}/")


def test_open_without_a_browser(lab, project):
    instance = run_os(lab, project, "--open", env={"BROWSER": "/no/such"})
    instance.process.wait_line(rf"browser: there is none to be found .*: open http://127\.0\.0\.1:{instance.port}/")


def test_open_and_end(lab, tmp_path, monkeypatch):
    """Where there is nothing to run we end while the browser is being started: that is no failure of its own."""
    monkeypatch.setenv("BROWSER", "true")
    assert "browser" not in refuse(lab, make_project(tmp_path, ["project/"]) / "project", os.environ["PATH"], "--open")

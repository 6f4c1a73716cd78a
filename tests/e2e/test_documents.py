# SPDX-License-Identifier: MIT
"""The documents are true: each command in them runs as it stands, in its order, and says what stands below it, or the page says why not.

What a page's `toml` block holds is `wasmrun.toml` of its application.
"""

import collections
import gzip
import json
import os
import pathlib
import re
import subprocess

import pytest

from harness import toolchains
from harness.documents import Setting, blocks, commands, document, named_file
from harness.examples import copy_example
from harness.guests import needs_wall
from harness.lab import OURS, ROOT
from harness.wasmrun import WASMRUN, need_wasmrun

pytestmark = pytest.mark.outside

# The application that a page's settings are for, and what its commands need.
Page = collections.namedtuple("Page", "project needs", defaults=(None, ()))
PAGES = {
    "../README.md": Page(),
    "api.md": Page("examples/hello-c"),
    "cgi.md": Page(),
    "configuration.md": Page("examples/hello-c"),
    "network-isolation.md": Page("examples/probe-c"),
    "os.md": Page("examples/static-site"),
    "port-forwarding.md": Page("examples/hello-c"),
    "quick-start.md": Page("my-app"),
    "security.md": Page("examples/probe-c"),
    "tunnelling.md": Page(),
    "webhooks.md": Page(needs=(toolchains.go,)),
}
DOCUMENTS = ["../README.md", *sorted(path.name for path in (ROOT / "docs").glob("*.md"))]
# In a block that is no block of commands, a line that looks like one.
COMMAND = re.compile(r"^ *(\$ |(sudo |build/|script/)?(bore|wasmrun|curl|apt-get|npm|npx|pip|systemctl|docker|kubectl|meson|ninja|sudo) [\w-]|script/\w+)")

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)


@pytest.fixture
def setting(lab, net, tmp_path, page):
    need_wasmrun()
    env = toolchains.c()
    for need in PAGES[page].needs:
        env |= need()
    folder = tmp_path / "clone"
    for example in ("hello-c", "probe-c", "static-site"):
        copy_example(example, folder / "examples" / example)
    (folder / "build").symlink_to(WASMRUN.parent)
    made = Setting(lab, net, folder, env)
    yield made
    made.close()


@needs_wall
@pytest.mark.parametrize("page", PAGES)
def test_examples(setting, page):
    found = [block for block in blocks(page) if not block.mark]
    assert found
    for _, language, block in found:
        if name := named_file(block):
            path = setting.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
        elif language == "toml":
            (setting.folder / PAGES[page].project / "wasmrun.toml").write_text(block)
            setting.run(f"wasmrun policy check -p {PAGES[page].project} >/dev/null && echo good", "good\n")
        elif language == "console":
            for command, said in commands(block):
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
    (command,) = [block for _, language, block in blocks("operations.md") if language == "sh" and "connections.log*" in block]
    command = command.replace("/var/log/bore", str(tmp_path))
    for time, who in WHO.items():
        done = subprocess.run(["sh", "-c", command.replace("2026-11-27T22:15:00", time)], capture_output=True, text=True, check=True)
        assert (done.stdout, done.stderr) == (who + "\n", ""), time


@pytest.mark.parametrize("page", DOCUMENTS)
def test_each_command_is_run_or_says_why_not(page):
    """None hides in a block of another kind, or behind a mark that names nothing."""
    text = document(page)
    assert text.count("\n```") == 2 * len(blocks(page)), "a block that can't be read"
    assert not any(map(COMMAND.match, re.findall(r"^ {4}.*", FENCED.sub("", text), re.M))), "commands in a block that is only indented"
    for mark, language, block in blocks(page):
        assert language, f"without a language:\n{block}"
        if language not in ("console", "sh"):
            assert not mark and not any(map(COMMAND.match, block.splitlines())), f"commands in a block that isn't one of commands:\n{block}"
        elif not mark:
            assert page in PAGES and language == "console", f"nobody runs it, and nothing says why not:\n{block}"
            assert "".join(f"$ {command}\n{said}" for command, said in commands(block)) == block, block
        elif test := re.fullmatch(r"run by (tests/e2e/test_\w+\.py)", mark):
            assert pathlib.Path(page).name in (ROOT / test[1]).read_text(), f"{mark}, which doesn't know this page"
        else:
            assert re.fullmatch(r"not run: \w.{9,}", mark), mark


def test_all_pages_are_in_the_guide():
    """The first page leads to each other one, and to nothing that isn't there; and so does each link among them."""
    listed = re.findall(r"\]\(([\w-]+\.md)\)", document("README.md"))
    assert sorted({*listed, "README.md"}) == sorted(path.name for path in (ROOT / "docs").glob("*.md"))
    for page in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^\s()#:]*)(?:#([^\s()]*))?\)", document(page)):
            path = (ROOT / "docs" / page).parent.joinpath(target) if target else ROOT / "docs" / page
            assert path.exists(), (page, target)
            if anchor:
                heads = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text()), re.M)
                assert anchor in [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads], (page, target, anchor)


def helped(program, command):
    """What --help says, in one line."""
    return " ".join(subprocess.run([program, command, "--help"], capture_output=True, text=True, check=True).stdout.split())


def test_all_settings_are_told():
    """Each option of `wasmrun os` stands in its table, with its variable and its key of wasmrun.toml; and no other key."""
    need_wasmrun()
    text = document("configuration.md")
    rows = [line for line in text.splitlines() if re.fullmatch(r"\| `--(?:[^|]|\\\|)*(?:\|[^|]*){3}\|", line)]
    entries = re.split(r" (?=(?:-\w, )?--[a-z-]+ (?:<|[A-Z]))", helped(WASMRUN, "os").partition("Options:")[2])
    options = {re.search(r"--([a-z-]+)", entry)[1]: entry for entry in entries if "--" in entry}
    del options["help"], options["path"], options["quiet"], options["verbose"]
    keys, told = set(), set()
    for name, entry in options.items():
        (row,) = [row for row in rows if re.match(rf"\| `--{name}[` ]", row)]
        told |= {row}
        keys |= set(re.findall(r"\[key: (\S+)\]", entry))
        for word in re.findall(r"\[(?:env|key): (\S+)\]", entry):
            assert f"`{word}`" in row, (name, word)
        if default := re.search(r"\[default: (\S+)\]", entry):
            assert default[1] in row or default[1] in ("0", "none"), (name, default[1])
    assert len(options) > 30 and set(rows) == told
    assert set(re.findall(r"`((?:os|app|static)\.[a-z_.]+)`", text)) == keys


def test_all_variables_are_told():
    """Each variable that a program of ours reads is told, and no other one."""
    need_wasmrun()
    read = {"BROWSER"}  # by a name that its caller has given
    for source in (ROOT / "src").rglob("*.c"):
        if not source.name.startswith("test_") and source.parent.name not in ("guest", "preload"):
            read |= set(re.findall(r'getenv\("([A-Z_]+)"\)', source.read_text()))
    for program, names in ((OURS, ("local", "server")), (WASMRUN, ("os", "run", "tunnel"))):
        for name in names:
            read |= set(re.findall(r"\[env: ([A-Z_]+)\]", helped(program, name)))
    read -= {"WASMRUN_BROKER_FD", "WASMRUN_COMPILE", "WASMRUN_LISTEN_FD", "WASMRUN_SANITIZER"}  # between our own processes, and of the tests
    assert set(re.findall(r"^\| `([A-Z_]+)`", document("configuration.md"), re.M)) == read


def test_precedence(tmp_path):
    """The command line, else the variable, else the file, else the default."""
    need_wasmrun()
    (tmp_path / "wasmrun.toml").write_text('[os]\nforwards = ["x-file"]\n')

    def why(*words, **env):
        done = subprocess.run([WASMRUN, "os", "-p", tmp_path, *words], env={**os.environ, **env}, capture_output=True, text=True)
        assert done.returncode == 2, done
        return done.stderr

    assert "x-arg" in why("--forward", "x-arg", WASMRUN_FORWARD="1")
    assert "x-env" in why(WASMRUN_FORWARD="x-env")
    assert "x-file" in why() and "wasmrun.toml:2" in why()


def test_all_calls_are_told():
    """api.md names each call of the API, and the reference, made by the build, each member."""
    api = OURS.parent / "src" / "os" / "openapi.json"
    reference = OURS.parent / "src" / "os" / "api-reference.md"
    if not reference.exists():
        pytest.skip("the reference is not built")
    described, text, prose = json.loads(api.read_text()), reference.read_text(), document("api.md")
    words = set(re.findall(r"[\w./]+|…/\w+", prose))
    for path, operations in described["paths"].items():
        shown = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)
        assert shown in words or f"…/{shown.rpartition('/')[2]}" in words, path
        assert not path.startswith("/api/") or all(f"### {method.upper()} {path}\n" in text for method in operations)
    for name, schema in described["components"]["schemas"].items():
        section = re.search(rf"^### {name}\n(.*?)(?=^### |\Z)", text, re.M | re.S)[1]
        assert all(f"| `{member}`" in section for member in schema.get("properties", ()))


def test_help_leads_to_the_guide(tmp_path):
    """From the build folder, from where it is installed, and by name where the program is alone."""
    assert f"\nGuide: {ROOT}/docs/README.md\n" in subprocess.run([OURS, "--help"], capture_output=True, text=True).stdout
    alone = tmp_path / "bin" / "bore"
    alone.parent.mkdir()
    alone.write_bytes(OURS.read_bytes())
    alone.chmod(0o755)
    assert subprocess.run([alone, "--help"], capture_output=True, text=True).stdout.endswith("\nGuide: man bore\n")
    installed = tmp_path / "share" / "doc" / "bore" / "README.md"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    assert subprocess.run([alone, "--help"], capture_output=True, text=True).stdout.endswith(f"\nGuide: {installed}\n")

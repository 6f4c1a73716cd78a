# SPDX-License-Identifier: MIT
"""Dev servers by a public name: refused in the words of docs/dev-servers.md, and let in with its settings."""

import collections
import hashlib
import os
import re
import subprocess

import pytest

from harness import toolchains
from harness.documents import Setting, document, named_file
from harness.lab import ROOT
from harness.wait import DEADLINE, wait_for

pytestmark = pytest.mark.toolchain

LOCKS = ROOT / "tests" / "e2e" / "dev-servers"
# A compiler's first run on a busy machine.
PATIENCE = 8 * DEADLINE

Server = collections.namedtuple("Server", "port path refused lets files", defaults=({},))
SERVERS = {
    "Vite": Server(5173, "/", 403, 200, {"index.html": "<h1>hello</h1>"}),
    "webpack": Server(8080, "/webpack-dev-server", 403, 200, {"src/index.js": ""}),
    "Django": Server(8000, "/", 400, 200),
}


def installed(name, lock, binaries):
    """The folder of programs that script/setup --tests has made of a lock file."""
    folder = toolchains.CACHE / f"{name}-{hashlib.sha256((LOCKS / lock).read_bytes()).hexdigest()[:16]}"
    if not (folder / binaries).is_dir():
        pytest.skip(f"needs the dev servers of {lock} (script/setup --tests)")
    return folder / binaries


@pytest.fixture
def project(lab, net, tmp_path, name):
    folder = tmp_path / "project"
    folder.mkdir()
    if name == "Django":
        programs = installed("django-admin", "requirements.txt", "bin")
    else:
        toolchains.need_version("Node", (20, 19), "node", "--version")
        programs = installed("dev-servers", "package-lock.json", "node_modules/.bin")
        (folder / "node_modules").symlink_to(programs.parent)
    for path, text in SERVERS[name].files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    if name == "Django":
        subprocess.run([programs / "python", "-m", "django", "startproject", "mysite", folder], check=True)
    home = tmp_path / "home"
    home.mkdir()
    made = Setting(lab, net, folder, {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home)})
    made.begin("bore local %d --to bore.pub --port 20003 &" % SERVERS[name].port)
    yield made
    made.close()


def visit(project, path):
    """(status, body) of what a visitor gets who comes by the public name."""
    argv = ["curl", "-s", "-m", str(PATIENCE), "-H", "Origin: http://bore.pub:20003", "-w", "\\n%{http_code}", f"http://bore.pub:20003{path}"]
    said = subprocess.run([*project.space.wrap, *project.wrap, *argv], stdout=subprocess.PIPE, text=True).stdout
    body, _, status = said.rpartition("\n")
    return int(status), body


def serve(project, command, port):
    argv = ["sh", "-c", f"cd {project.folder} && exec {command.removeprefix('npx ')}"]
    process = project.lab.process(argv, "server", env=project.env, where=project.space, wrap=project.wrap)

    def answers():
        assert process.alive(), process.tail()
        with project.space.entered():
            return subprocess.run(["curl", "-s", "-o", "/dev/null", f"http://127.0.0.1:{port}/"]).returncode == 0

    wait_for(answers, "the dev server answers", PATIENCE)
    return process


@pytest.mark.root
@pytest.mark.parametrize("name", SERVERS)
def test_public_name(project, name):
    server = SERVERS[name]
    section = re.search(rf"^## {re.escape(name)}\n(.*?)(?=^## )", document("dev-servers.md"), re.M | re.S)[1]
    refusal, setting, command = (text.strip() for _, text in re.findall(r"^```(\w+)\n(.*?)^```", section, re.M | re.S))
    process = serve(project, command, server.port)
    status, body = visit(project, server.path)
    assert status == server.refused, body
    wait_for(lambda: refusal in body + process.text("stdout") + process.text("stderr"), refusal)
    process.stop()
    path = project.folder / named_file(setting + "\n")
    path.write_text((path.read_text() if path.exists() else "") + setting + "\n")
    process = serve(project, command, server.port)
    status, body = visit(project, server.path)
    assert status == server.lets, body

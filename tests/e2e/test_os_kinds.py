# SPDX-License-Identifier: MIT
"""The kinds of applications, built from sources by their own toolchains and visited."""

import os
import shutil
import subprocess

from harness.guests import COMPILE_DEADLINE, need_go
from harness.lab import ROOT
from harness.wasmrun import WASMRUN, fetch, need_wasmrun, run_os


def test_go(lab, tmp_path):
    need_wasmrun()
    need_go()
    project = shutil.copytree(ROOT / "examples" / "hello-go", tmp_path / "hello-go")
    # The compiler's cache is the user's own: what is in it needn't be made again.
    cache = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    env = {"GOCACHE": cache, "GOTOOLCHAIN": "local"}
    relay = lab.relay()
    instance = run_os(lab, project, env=env, deadline=COMPILE_DEADLINE)
    assert instance.app()["kind"] == "preview1"
    instance.process.wait_line(r"^build \| hello-go$")  # the packages, as they are compiled
    url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
    assert "GET /a&lt;b" in fetch(url, "/a%3Cb")[1]
    assert "as visit 2." in fetch(instance.app()["url"])[1]
    assert sorted(os.listdir(project)) == ["README.md", "go.mod", "main.go"]


def start_with(lab, tmp_path, go):
    """The output of `wasmrun os` on a Go project where PATH has nothing but `go`."""
    need_wasmrun()
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "go.mod").write_text("module a\n\ngo 1.21\n")
    argv = ["env", f"PATH={go}", WASMRUN, "os", "-P", "0", tmp_path / "project"]
    process = lab.process(argv, "wasmrun", env={"XDG_CACHE_HOME": str(lab.folder)})
    assert process.wait_exit() == 12
    return process.text()


def test_no_go(lab, tmp_path):
    said = start_with(lab, tmp_path, tmp_path)
    assert "'go' is needed to build it and is not there: install it with 'apt-get install " in said


def test_old_go(lab, tmp_path):
    go = tmp_path / "go" / "bin" / "go"
    go.parent.mkdir(parents=True)
    go.touch(0o755)
    (tmp_path / "go" / "VERSION").write_text("go1.19\n")
    said = start_with(lab, tmp_path, go.parent)
    assert "needs Go >= 1.21, found 1.19: install it with 'apt-get install " in said

# SPDX-License-Identifier: MIT
"""A project on a file system whose server is gone: what doesn't need the project goes on."""

import concurrent.futures
import shutil
import signal

import pytest

from harness.fuse import SlowFolder
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import build_hello, fetch, run_os

FILES = 6  # requests for files: more than the pool has threads


@pytest.fixture
def slow(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "mounted").mkdir()
    shutil.copy(build_hello(tmp_path), tmp_path / "real")
    with SlowFolder(tmp_path / "real", tmp_path / "mounted") as slow:
        yield slow


@pytest.mark.parametrize("args", [(), ("--watch",)], ids=["plain", "watch"])
def test_folder_does_not_answer(lab, slow, args):
    """The loop, and with it the page, the API, the tunnel and the end, used to wait for the folder as well."""
    relay = lab.relay()
    instance = run_os(lab, slow.at, *args)
    slow.hang()
    with concurrent.futures.ThreadPoolExecutor(FILES) as pool:
        lists = [pool.submit(instance.ask, "GET", "/api/fs/list", deadline=10 * DEADLINE) for _ in range(FILES)]
        assert instance.app()["state"] == "running"
        # A name is resolved on the same thread pool.
        assert "connection refused" in instance.start(server="localhost:1").body["error"]
        url = instance.start(server=f"{relay.host}:{relay.control_port}").body["public_url"]
        assert "Hello from C" in fetch(url)[1]
        answer = instance.ask("POST", "/api/app/restart").body
        assert (answer["state"], answer["next"]) == ("running", "building")
        assert "Hello from C" in fetch(url)[1]
        instance.ask("POST", "/api/app/stop")
        instance.wait_app("stopped")
        assert instance.ask("POST", "/api/app/start").body["state"] == "building"
        assert not any(one.done() for one in lists)
        slow.answer()
        assert [one.result().body["entries"][0]["name"] for one in lists] == ["hello.wasm"] * FILES
        instance.wait_app("running")
        assert "Hello from C" in fetch(url)[1]
        slow.hang()
        late = pool.submit(instance.ask, "GET", "/api/fs/read?path=hello.wasm", deadline=10 * DEADLINE)
        wait_for(lambda: late.running(), "it is asked for")
        instance.app()
        instance.ask("POST", "/api/app/restart")
        instance.process.signal(signal.SIGTERM)
        assert instance.process.wait_exit() == 0
        assert late.exception() or late.result().status == 503

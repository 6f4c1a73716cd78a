# SPDX-License-Identifier: MIT
"""The page in a browser: every word for the state of the tunnel and of the application, and how the page comes there."""

import os
import shutil
import signal

import pytest

from harness.apps import free_port
from harness.browser import Windows, browser, mistakes_of
from harness.lab import ROOT
from harness.process import halt
from harness.wait import DEADLINE, wait_for
from harness.wasmrun import need_wasmrun, run_os
from harness.wire import FakeRelay

pytestmark = [pytest.mark.together, pytest.mark.outside]


@pytest.fixture(scope="module")
def chromium():
    with browser() as chromium:
        yield chromium


@pytest.fixture
def windows(chromium):
    windows = Windows(chromium)
    yield windows
    windows.close()
    # The browser's own words about a start that has failed before the page was told that it is tried.
    # A relay that is killed may be so while its public URL is looked at.
    usual = (("502", "/api/tunnel/start"), ("409", "/api/tunnel/check"))
    assert [one for one in windows.said if not any(status in one and one.endswith(path) for status, path in usual)] == []


def card(page, name):
    return page.locator("section", has=page.get_by_role("heading", name=name, exact=True))


def says(page, name, word):
    card(page, name).locator(".word", has_text=word).wait_for()


def presses(page, name, button):
    card(page, name).get_by_role("button", name=button, exact=True).click()


def opened(windows, instance):
    return windows.open(f"http://127.0.0.1:{instance.port}/")


def fill(page, server, secret=""):
    if not page.get_by_label("Relay", exact=True).is_visible():
        page.get_by_text("Relay settings").click()
    page.get_by_label("Relay", exact=True).fill(server)
    page.get_by_label("Secret").fill(secret)


def links(page):
    return card(page, "Public URL").get_by_role("link").count()


def test_tunnel_to_and_fro(lab, instance, windows):
    relay = lab.relay(secret="right", control_port=free_port())
    server = f"{relay.host}:{relay.control_port}"
    page = opened(windows, instance)
    says(page, "Public URL", "Not started")
    fill(page, server, "wrong")
    presses(page, "Public URL", "Share")
    says(page, "Public URL", "Failed")
    assert "secret" in card(page, "Public URL").locator(".failure:visible").first.inner_text()
    fill(page, server, "right")
    presses(page, "Public URL", "Share")
    says(page, "Public URL", "Connected")
    assert links(page) == 1 and instance.tunnel()["public_url"] in card(page, "Public URL").inner_text()
    presses(page, "Public URL", "QR code")
    page.get_by_role("img", name="QR code of").wait_for()
    assert mistakes_of(page) == []
    relay.process.kill()
    says(page, "Public URL", "Reconnecting")
    assert links(page) == 0 and page.get_by_role("img", name="QR code of").count() == 0
    lab.relay(secret="right", host=relay.host, control_port=relay.control_port)
    says(page, "Public URL", "Connected")
    presses(page, "Public URL", "Stop sharing")
    says(page, "Public URL", "Disconnected")
    assert links(page) == 0
    assert "wrong" not in page.content() and "right" not in page.locator("input[type=password]").input_value()


def test_tunnel_that_connects(instance, windows):
    with FakeRelay() as fake:
        page = opened(windows, instance)
        fill(page, f"{fake.host}:{fake.control_port}")
        presses(page, "Public URL", "Share")
        says(page, "Public URL", "Connecting")
        presses(page, "Public URL", "Stop sharing")
        says(page, "Public URL", "Disconnected")


def test_application(instance, windows):
    page = opened(windows, instance)
    says(page, "Application", "running")
    assert card(page, "Application").get_by_role("button", name="Start", exact=True).count() == 0
    presses(page, "Application", "Stop")
    says(page, "Application", "stopped")
    presses(page, "Application", "Start")
    says(page, "Application", "running")
    os.kill(instance.app()["pid"], signal.SIGKILL)
    wait_for(lambda: instance.app()["restarts"] == 1, "it is started again")
    says(page, "Application", "running")
    card(page, "Application").get_by_text("killed by signal 9").wait_for()
    assert mistakes_of(page) == []


def test_application_that_stops_slowly(instance, windows):
    """It doesn't hear that it is to end."""
    page = opened(windows, instance)
    says(page, "Application", "running")
    halt(instance.app()["pid"])
    presses(page, "Application", "Stop")
    says(page, "Application", "stopping")
    for button in ("Stop", "Restart"):
        assert card(page, "Application").get_by_role("button", name=button, exact=True).is_disabled()
    says(page, "Application", "stopped")


def test_application_that_never_begins(lab, guests, tmp_path, windows):
    need_wasmrun()
    (tmp_path / "bad.wasm").write_bytes(guests.c("misbehaves.c").read_bytes())
    (tmp_path / "wasmrun.toml").write_text('[app]\nargs = ["sleep"]\n')
    instance = run_os(lab, tmp_path, api_port=free_port(), wait=False)
    page = opened(windows, instance)
    says(page, "Application", "starting")
    assert page.title() == f"starting: {tmp_path.name} – wasmrun"
    presses(page, "Public URL", "Share")
    says(page, "Public URL", "Failed")  # the configured relay refuses
    presses(page, "Application", "Stop")
    says(page, "Application", "stopped")


def test_application_that_crashes_again_and_again(lab, guests, tmp_path, windows):
    need_wasmrun()
    (tmp_path / "ends.wasm").write_bytes(guests.c("talks.c", "talks-ends", "-DENDS").read_bytes())
    instance = run_os(lab, tmp_path, api_port=free_port(), wait=False)
    page = opened(windows, instance)
    # The more often it has crashed, the longer that is its state.
    wait_for(lambda: instance.app()["restarts"] >= 2, "it has crashed again", 4 * DEADLINE)
    card(page, "Application").locator(".word", has_text="restarting").wait_for(timeout=4000 * DEADLINE)
    card(page, "Application").get_by_text("unreachable").first.wait_for()
    card(page, "Application").locator(".said", has_text="backtrace").wait_for()


def test_build(lab, tmp_path, windows):
    """It hangs, fails with an error that stands out, and is mended."""
    need_wasmrun()
    if not shutil.which("clang"):
        pytest.skip("needs clang (script/setup-engine --guests)")
    project = tmp_path / "c"
    project.mkdir()
    (project / "hello.c").write_text("int main(void) { return nothing; }\n")
    go = tmp_path / "go"
    os.mkfifo(go)
    build = f'cat "{go}" >/dev/null && clang --target=wasm32-wasi -O1 -o hello.wasm hello.c'
    instance = run_os(lab, project, "--watch", "--build", build, "--wasm", "hello.wasm", api_port=free_port(), wait=False)
    page = opened(windows, instance)
    says(page, "Application", "building")
    go.write_text("")
    says(page, "Application", "failed")
    page.locator(".line.build.error", has_text="use of undeclared identifier 'nothing'").wait_for(state="attached")
    assert mistakes_of(page) == []
    (project / "hello.c").write_bytes((ROOT / "examples" / "hello-c" / "hello.c").read_bytes())
    says(page, "Application", "building")
    go.write_text("")
    says(page, "Application", "running")
    (project / "hello.c").write_text("int main(void) { return nothing; }\n")
    says(page, "Application", "running, building the next version")
    go.write_text("")
    card(page, "Application").locator(".said", has_text="undeclared identifier 'nothing'").wait_for()
    says(page, "Application", "running")  # the one that was built before

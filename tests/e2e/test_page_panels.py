# SPDX-License-Identifier: MIT
"""The panels Public URL, Application and Network in a browser: what they say beyond the state, and what their buttons do."""

import re

import pytest

from harness.apps import free_port
from harness.browser import Windows, browser, mistakes_of
from harness.streams import connect
from harness.wait import wait_for
from harness.wasmrun import fetch, run_os
from harness.wire import FakeRelay
from test_page_states import card, fill, opened, presses

pytestmark = [pytest.mark.together, pytest.mark.outside]


def tab(page, name):
    page.locator(f"#tab-{name}").click()


@pytest.fixture(scope="module")
def chromium():
    with browser() as chromium:
        yield chromium


@pytest.fixture
def windows(chromium):
    windows = Windows(chromium)
    yield windows
    windows.close()
    assert windows.said == []


def forgive(windows, status):
    """What the browser itself says of an answer like that."""
    windows.said[:] = [said for said in windows.said if f"with a status of {status} " not in said]


def test_public_url(lab, project, windows):
    """It is asked once by itself, for all pages together; without a relay it is text, and the next attempt is counted down to."""
    relay = lab.relay(secret="s3cr3t")
    env = {"WASMRUN_TUNNEL_SERVER": f"{relay.host}:{relay.control_port}", "WASMRUN_TUNNEL_SECRET": "s3cr3t"}
    instance = run_os(lab, project, "--expire", "1h", env=env)
    pages = [opened(windows, instance) for _ in range(2)]
    instance.start()
    for page in pages:
        url = card(page, "Public URL")
        url.get_by_text("Works from outside").wait_for()
        url.get_by_text("with status 200").wait_for()
        url.get_by_text("bore, with a secret").wait_for()
        url.get_by_text(re.compile(r"^5\d min \d+ s$")).wait_for()
    seen = instance.tunnel()["check"]["time"]
    pages[0].get_by_role("button", name="Check the public URL").click()
    wait_for(lambda: instance.tunnel()["check"]["time"] > seen, "it was asked again")
    was = instance.tunnel()["public_url"]
    relay.process.kill()
    for page in pages:
        url = card(page, "Public URL")
        url.get_by_text(re.compile(r"tried again in \d+ s")).wait_for()
        assert was in url.inner_text() and url.get_by_role("link").count() == 0
        assert mistakes_of(page) == [] and "s3cr3t" not in page.content()


def test_public_url_that_leads_elsewhere(lab, instance, windows):
    """The relay has given out a port where another program answers, and then nobody: it is said what that may be."""

    def somebody_else(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    other = lab.app(somebody_else)
    page = opened(windows, instance)
    with FakeRelay() as fake:
        fill(page, f"{fake.host}:{fake.control_port}")
        presses(page, "Public URL", "Share")
        with fake.accept() as relay:
            relay.recv()
            relay.send({"Hello": other.port})
            relay.beat()
            url = card(page, "Public URL")
            url.get_by_text("Another application answers").wait_for()
            url.get_by_text("something else has answered with status 404").wait_for()
            other.close()
            page.get_by_role("button", name="Check the public URL").click()
            url.get_by_text("does the relay run in a container that doesn't publish port").wait_for()
            assert instance.tunnel()["check"]["outcome"] == "refused" and mistakes_of(page) == []


def test_allow(lab, project, windows):
    """What is written is shown before, and written then."""
    file = project / "wasmrun.toml"
    file.write_text('[os.network]\nallow = ["a.example"] # mine\n')
    instance = run_os(lab, project)
    page = opened(windows, instance)
    page.get_by_role("tab", name="Network").click()
    page.get_by_label("Host and port").fill("b.example:443")
    page.get_by_role("button", name="Explain").click()
    page.get_by_text("no rule allows it").wait_for()
    page.get_by_role("button", name="Allow b.example:443…").click()
    page.locator(".wish", has_text='allow = ["a.example", "b.example:443"]').wait_for()
    assert "# mine" not in page.locator(".wish").inner_text()
    assert mistakes_of(page) == [] and "b.example" not in file.read_text()
    page.get_by_role("button", name="Write it").click()
    page.get_by_text("(wasmrun.toml:2) allows it").wait_for()
    assert file.read_text() == '[os.network]\nallow = ["a.example", "b.example:443"] # mine\n'
    assert instance.get("/api/network/policy")["policy"]["allow"] == ["a.example", "b.example:443"]
    page.get_by_label("Rule to allow").fill("c.example")
    page.get_by_role("button", name="Allow…", exact=True).click()
    page.get_by_role("button", name="Only until wasmrun ends").click()
    page.get_by_text("until wasmrun ends", exact=True).wait_for()
    assert "c.example" not in file.read_text() and "c.example" in instance.get("/api/network/policy")["policy"]["allow"]
    page.get_by_text("wasmrun.toml:2").first.wait_for()


def test_a_rule_is_removed(lab, project, windows):
    """The policy is replaced as a whole: what another page had just allowed was gone with the rule."""
    instance = run_os(lab, project, "--allow-net", "a.example", "--allow-net", "b.example")
    page = opened(windows, instance)
    page.get_by_role("tab", name="Network").click()
    remove = page.get_by_role("button", name="Remove allow a.example")
    remove.wait_for()
    puts = []

    def other(route):
        if not puts:
            assert instance.ask("POST", "/api/network/allow", {"rule": "c.example"}).status == 200
        puts.append(route.request.headers["if-match"])
        route.continue_()

    page.route("**/api/network/policy", lambda route: other(route) if route.request.method == "PUT" else route.continue_())
    remove.click()
    remove.wait_for(state="detached")
    assert instance.get("/api/network/policy")["policy"]["allow"] == ["b.example", "c.example"]
    assert len(puts) == 2 and puts[0] != puts[1]
    page.get_by_role("button", name="Remove allow c.example").wait_for()
    forgive(windows, 412)


def settings(page):
    return [card(page, "Public URL").get_by_label(name, exact=name != "Protocol") for name in ("Relay", "Secret", "Public port", "Protocol")]


def test_relay_settings_stay(lab, instance, windows):
    """A failed start left the form empty, while what had been typed counted still."""
    relay = lab.relay(secret="s3cr3t")
    port = free_port()
    page = opened(windows, instance)
    card(page, "Public URL").get_by_text("Relay settings").click()
    server, secret, public, protocol = settings(page)
    server.fill(f"127.0.0.1:{free_port()}")
    secret.fill("s3cr3t")
    public.fill(str(port))
    protocol.select_option("bore")
    page.get_by_role("button", name="Share").click()
    card(page, "Public URL").get_by_text("Failed", exact=True).wait_for()
    server, secret, public, protocol = settings(page)
    assert (public.input_value(), protocol.input_value()) == (str(port), "bore")
    # It counts, and is not in the page any more.
    assert secret.input_value() == "" and secret.get_attribute("placeholder") == "as typed before"
    assert "s3cr3t" not in page.content() and mistakes_of(page) == []
    server.fill(f"{relay.host}:{relay.control_port}")
    page.get_by_role("button", name="Share").click()
    card(page, "Public URL").get_by_text("Connected", exact=True).wait_for()
    assert (instance.tunnel()["public_port"], instance.tunnel()["has_secret"]) == (port, True)
    # Else the page may ask whether it works when it is over, and the browser tells of the conflict.
    card(page, "Public URL").get_by_text(re.compile(r"looked at \d")).wait_for()
    page.get_by_role("button", name="Stop sharing").click()
    page.get_by_role("button", name="Forget the secret").click()
    page.get_by_role("button", name="Share").click()
    card(page, "Public URL").get_by_text("Failed", exact=True).wait_for()
    assert instance.tunnel()["has_secret"] is False
    forgive(windows, 502)


def test_connections_and_forwards(instance, windows):
    page = opened(windows, instance)
    page.get_by_role("tab", name="Network").click()
    page.get_by_label("Port of this machine").fill("0")
    page.get_by_role("button", name="Forward", exact=True).click()
    page.get_by_role("button", name="Remove the forward").wait_for()
    port = instance.get("/api/forwards")["forwards"][0]["host_port"]
    with connect(("127.0.0.1", port)) as visitor:
        visitor.sendall(b"GET / ")
        page.get_by_role("button", name="End the connection").click()
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
    page.get_by_text("ended by the user").wait_for()
    page.get_by_role("button", name="Remove the forward").click()
    page.get_by_text("No port of this machine leads to the application").wait_for()


def test_failed_build(lab, project, windows):
    (project / "build.sh").write_text("echo fine\necho 'main.c:3:5: error: expected x'\necho '  3 | y'\nexit 1\n")
    (project / "wasmrun.toml").write_text('[app]\nbuild = "sh build.sh"\nwasm = "hello.wasm"\n')
    instance = run_os(lab, project, "--watch")
    instance.wait_app("failed")
    page = opened(windows, instance)
    said = card(page, "Application").locator(".said", has_text="The first error of the build")
    said.get_by_text("main.c:3:5: error: expected x").wait_for()
    assert "fine" not in said.inner_text() and mistakes_of(page) == []
    assert not re.search(r"\b(GET|POST|PUT|DELETE)\b", page.locator("main").inner_text())


def test_visitors_on_warm_connections(lab, guests, windows):
    """Shared, recorded, listed, ended and logged from the page alone: it tells nothing of the way that its visitors take."""
    relay = lab.relay(way="warm")
    instance = run_os(lab, guests.c("talks.c"))
    instance.wait_app("running")
    page = windows.open(f"http://127.0.0.1:{instance.port}/", width=800)

    def looks_well():
        for scheme in "dark", "light":
            page.emulate_media(color_scheme=scheme)
            assert mistakes_of(page) == []

    tab(page, "requests")
    page.get_by_role("button", name="Record", exact=True).click()
    page.get_by_role("button", name="Stop recording").wait_for()
    fill(page, f"{relay.host}:{relay.control_port}")
    presses(page, "Public URL", "Share")
    card(page, "Public URL").get_by_text("Works from outside").wait_for()
    relay.wait_parked()
    for path in "/first", "/print/2":
        status, _ = fetch(instance.tunnel()["public_url"], path)
        assert status == 200
        page.locator(".list tbody tr", has_text=path).wait_for()
    page.locator(".list tbody tr", has_text="/print/2").locator("button").click()
    page.get_by_role("heading", name="Response", exact=True).wait_for()
    looks_well()
    tab(page, "network")
    with connect((relay.host, instance.tunnel()["public_port"])) as visitor:
        row = page.get_by_role("row", name="{}:{}".format(*visitor.getsockname()))
        row.get_by_role("button", name="End the connection").wait_for()
        row.get_by_role("button", name="End the connection").click()
        with pytest.raises(ConnectionResetError):
            visitor.recv(1)
        row.get_by_text("ended by the user").wait_for()
    looks_well()
    tab(page, "log")
    page.locator(".log .line", has_text="line 2 of those").last.wait_for()
    presses(page, "Public URL", "Stop sharing")
    card(page, "Public URL").get_by_text("Disconnected", exact=True).wait_for()

# SPDX-License-Identifier: MIT
"""The panel Files in a browser: what can be looked at, what can be edited, and what becomes of what was typed."""

import re

import pytest

from harness.browser import Windows, browser, mistakes_of
from harness.wait import wait_for
from harness.wasmrun import run_os
from test_page_states import opened

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
    # What the browser itself says of a refusal.
    assert [said for said in windows.said if "412 (Precondition Failed)" not in said and "404 (Not Found)" not in said] == []


@pytest.fixture
def writable(lab, project):
    (project / "notes.txt").write_text("one\n")
    return run_os(lab, project, "--writable")


def files(windows, instance, name=None):
    page = opened(windows, instance)
    page.get_by_role("tab", name="Files").click()
    if name:
        view(page, name)
    return page


def view(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def editor(page):
    return page.get_by_label("Text of")


def saved(page):
    page.get_by_text(re.compile(r"^Saved ")).wait_for()


def test_only_to_look_at(instance, project, windows):
    """Without --writable nothing can be edited, and it is said how it could be."""
    (project / "notes.txt").write_text("one\n")
    page = files(windows, instance, "notes.txt")
    page.get_by_text("start wasmrun with --writable").wait_for()
    assert page.locator(".contents").inner_text() == "one\n" and editor(page).count() == 0
    assert mistakes_of(page) == []


def test_edit_and_save(writable, project, windows):
    (project / "notes.txt").chmod(0o751)
    page = files(windows, writable, "notes.txt")
    assert not page.get_by_role("button", name="Save").is_enabled()
    editor(page).fill("one\nżółw <b>\n")
    page.get_by_text("Not saved").wait_for()
    assert mistakes_of(page) == []
    page.get_by_role("button", name="Save").click()
    saved(page)
    assert (project / "notes.txt").read_text() == "one\nżółw <b>\n" and (project / "notes.txt").stat().st_mode & 0o777 == 0o751
    # Again, by the keys, over what it has saved itself.
    editor(page).fill("two")
    editor(page).press("Control+s")
    wait_for(lambda: (project / "notes.txt").read_text() == "two", "it is saved")


def test_a_conflict(writable, project, windows):
    """Nothing that was typed is lost, whatever is chosen, and no third change is overwritten unseen."""
    file = project / "notes.txt"
    page = files(windows, writable, "notes.txt")
    editor(page).fill("mine")
    file.write_text("theirs")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The file has changed meanwhile").wait_for()
    assert page.locator(".theirs").inner_text() == "theirs" and editor(page).input_value() == "mine"
    assert mistakes_of(page) == []
    file.write_text("another")
    page.get_by_role("button", name="Overwrite it with mine").click()
    page.locator(".theirs", has_text="another").wait_for()
    assert file.read_text() == "another"
    # Both texts and both ways out are seen at once.
    for way_out in ("Overwrite it with mine", "Take what is there"):
        assert page.get_by_role("button", name=way_out).evaluate("b => b.getBoundingClientRect().bottom <= innerHeight")
    page.get_by_role("button", name="Overwrite it with mine").click()
    saved(page)
    assert file.read_text() == "mine" and page.locator(".theirs").count() == 0
    # Theirs.
    editor(page).fill("mine again")
    file.write_text("theirs")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Take what is there").click()
    wait_for(lambda: editor(page).input_value() == "theirs", "theirs is there")
    page.get_by_text("What you had typed for").click()
    assert page.locator("details .contents").inner_text() == "mine again" and file.read_text() == "theirs"
    # Gone.
    editor(page).fill("mine for ever")
    file.unlink()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("The file is gone").wait_for()
    assert editor(page).input_value() == "mine for ever" and not file.exists()
    page.get_by_role("button", name="Write it anew").click()
    saved(page)
    assert file.read_text() == "mine for ever"


def test_a_draft_stays(writable, project, windows):
    """What was typed is there again behind other panels, folders and files; a change meanwhile is told at once."""
    (project / "other.txt").write_text("other")
    page = files(windows, writable, "notes.txt")
    editor(page).fill("mine")
    page.get_by_role("tab", name="Network").click()
    page.get_by_role("tab", name="Files").click()
    assert editor(page).input_value() == "mine"
    page.get_by_role("button", name="project").click()
    page.get_by_role("row", name="notes.txt not saved").wait_for()
    view(page, "other.txt")
    wait_for(lambda: editor(page).input_value() == "other", "the other one is shown")
    (project / "notes.txt").write_text("theirs")
    page.get_by_role("button", name="project").click()
    view(page, "notes.txt")
    page.get_by_text("The file has changed meanwhile").wait_for()
    assert editor(page).input_value() == "mine"
    (project / "notes.txt").unlink()
    page.get_by_role("button", name="project").click()
    page.get_by_role("row", name="notes.txt not saved gone").wait_for()
    view(page, "notes.txt")
    page.get_by_role("button", name="Write it anew").click()
    saved(page)
    assert (project / "notes.txt").read_text() == "mine"


def test_what_can_not_be_edited(writable, project, windows):
    """A browser's editor would change these without being asked."""
    told = {
        "binary": (b"a\0b", "no UTF-8 text"),
        "latin1": (b"caf\xe9\n", "no UTF-8 text"),
        "long": (b"0123456789abcdef\n" * 40_000, "longer than 512 KiB"),
        "mixed": (b"a\r\nb\n", "in several ways"),
        "old": (b"a\rb", "in several ways"),
    }
    for name, (content, _) in told.items():
        (project / name).write_bytes(content)
    (project / "longest").write_bytes(bytes(4 << 20) + b"x")
    page = files(windows, writable)
    for name, (content, why) in told.items():
        view(page, name)
        page.get_by_text(why).wait_for()
        assert editor(page).count() == 0 and page.get_by_role("button", name="Save").count() == 0
        page.get_by_role("button", name="project").click()
    view(page, "longest")
    page.get_by_text("'longest' is longer than").wait_for()
    windows.said[:] = [said for said in windows.said if "413" not in said]
    # The control: what is like them and can be edited stays as it is.
    for name, content, changed in (("crlf", b"a\r\nb\r\n", b"a\r\nb\r\nc\r\n"), ("marked", b"\xef\xbb\xbfa\nb\n", b"\xef\xbb\xbfa\nb\nc\n")):
        (project / name).write_bytes(content)
        page.get_by_role("button", name="project").click()
        view(page, name)
        editor(page).press("Control+End")
        editor(page).press_sequentially("c\n")
        page.get_by_role("button", name="Save").click()
        saved(page)
        assert (project / name).read_bytes() == changed

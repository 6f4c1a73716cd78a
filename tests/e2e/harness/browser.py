# SPDX-License-Identifier: MIT
"""Debian's Chromium, driven by Playwright, and the page of `wasmrun os` in it."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import sys

import pytest

from .lab import ROOT
from .wait import DEADLINE

# It runs as root, and is to ask nobody on the internet for anything.
FLAGS = ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
# A name of this machine that `wasmrun os` doesn't know.
FOREIGN_HOST = "box.example"
FLAGS += [f"--host-resolver-rules=MAP {FOREIGN_HOST} 127.0.0.1"]
# The page of wasmrun has the first answers to all that it asks, or says that it can't: what they bring moves what is on it.
AT_REST = """() => {
  if (!document.querySelector(".tabs") || document.querySelector(".link.lost")) return true;
  const answered = performance.getEntriesByType("resource").filter((one) => one.responseEnd).map((one) => one.name);
  return ["/api/requests", "/api/connections", "/api/network/policy", "/api/network/decisions"]
    .every((path) => answered.some((name) => name.split("?")[0].endsWith(path)));
}"""


def need_browser():
    """The modules of Playwright and axe, and the program; skips, with the reason, where one isn't there."""
    lock = (ROOT / "tests" / "e2e" / "requirements-page.txt").read_bytes()
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "wasmrun")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    modules = cache / f"playwright-{hashlib.sha256(lock).hexdigest()[:16]}" / "lib" / version / "site-packages"
    if not modules.is_dir():
        pytest.skip(f"Playwright is not installed for {version} (script/setup --tests)")
    program = shutil.which("chromium")
    if not program:
        pytest.skip("Chromium is not installed (script/setup --tests)")
    if str(modules) not in sys.path:
        sys.path.append(str(modules))
    return program


@contextlib.contextmanager
def browser():
    program = need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=1000 * DEADLINE)
        yield chromium
        chromium.close()


class Windows:
    """Windows of the browser, and what was said in their consoles."""

    def __init__(self, chromium):
        self.chromium, self.contexts, self.said = chromium, [], []

    def open(self, url, width=1600, height=1000, scheme="light", context=None, **settings):
        """The page, at rest: a click has two halves, between which nothing is to move. In a profile of its own unless `context` is given."""
        if not context:
            context = self.chromium.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **settings)
            context.set_default_timeout(1000 * DEADLINE)
            self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.said.append(f"{message.text} {message.location['url']}"))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.goto(url)
        page.wait_for_function(AT_REST)
        return page

    def close(self):
        while self.contexts:
            self.contexts.pop().close()


def tab_to(page, target, key="Tab"):
    """By keys alone."""
    for _ in range(200):
        if target.evaluate("e => e === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"no key leads to {target}")


def mistakes_of(page):
    """What axe finds, in words."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]

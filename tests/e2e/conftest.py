# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end tests. Logs of a test stand in its own folder, which pytest keeps for the last runs."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import fixtures, queue  # noqa: E402
from harness.guests import Guests, Run  # noqa: E402
from harness.lab import OURS  # noqa: E402
from harness.outlaw import Outlaw  # noqa: E402
from harness.wait import SANITIZER  # noqa: E402
from harness.wasmrun import build_hello, need_wasmrun, run_os  # noqa: E402

lab, net = fixtures.lab, fixtures.net


def pytest_addoption(parser):
    parser.addoption("--queue", metavar="FILE", help="run what no other process with the same file has taken")


def pytest_configure():
    # A shell ignores it for what it starts in the background, and what is started here would, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    path = session.config.getoption("--queue")
    if not path or session.testsfailed or session.config.option.collectonly:
        return None
    queue.run(session, path)
    return True


def pytest_make_parametrize_id(val, argname):
    """Pytest 7.2 names a test by its value, however long, and execve(2) takes no PYTEST_CURRENT_TEST of more than 128 KiB."""
    return argname if isinstance(val, (str, bytes)) and len(val) > 100 else None


def pytest_report_header():
    from harness.lab import STOCK

    return f"bore: {OURS}, stock bore: {STOCK or 'not found'}, sanitizer: {SANITIZER or 'none'}"


@pytest.fixture
def run(tmp_path):
    """Starts modules in wasmrun-guest. Tests of `wasmrun run` have a fixture of their own by this name."""
    started = []

    def start(module, *args, **kwargs):
        started.append(Run(module, *args, folder=tmp_path, **kwargs))
        return started[-1]

    yield start
    reports = [report for one in started for report in one.process.stop() or ()]
    assert not reports, "\n".join(reports)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        item.failed = True
        folder = item.funcargs.get("tmp_path")
        for log in sorted(folder.glob("*.log")) if folder else ():
            tail = log.read_text(errors="replace").splitlines()[-30:]
            report.sections.append((f"last lines of {log}", "\n".join(tail)))


@pytest.fixture
def isolated(monkeypatch):
    """For engines that have no sanitizer in any build: a native program of ours, or wasmtime. Theirs is the wall in all of them."""
    monkeypatch.setenv("WASMRUN_NO_ISOLATION", "false")


@pytest.fixture(scope="session")
def public_bore():
    """A copy of our program that every user can execute."""
    if not os.access(OURS, os.X_OK):
        pytest.skip(f"'{OURS.name}' is not built (BORE_BIN names one)")
    folder = tempfile.mkdtemp(prefix="bore-e2e-")
    os.chmod(folder, 0o755)
    yield shutil.copy(OURS, folder)
    shutil.rmtree(folder)


@pytest.fixture
def public_folder(lab):
    """One that every user can reach."""
    return lab.public_folder()


@pytest.fixture
def outlaw(lab, public_folder):
    """Starts `wasmrun os` with a hostile program in its engine's place."""
    need_wasmrun()
    return lambda *args, **how: Outlaw(lab, public_folder, *args, **how)


@pytest.fixture(scope="session")
def flood():
    """The load generator in C, built beside our program."""
    path = OURS.parent / "tests" / "e2e" / "e2e-flood"
    if not os.access(path, os.X_OK):
        pytest.skip("e2e-flood is not built: it belongs to the Meson build (tests/e2e)")
    return path


@pytest.fixture(scope="session")
def guests(tmp_path_factory):
    return Guests(tmp_path_factory.mktemp("guests"))


@pytest.fixture(scope="session")
def hello(tmp_path_factory):
    return build_hello(tmp_path_factory.mktemp("hello"))


@pytest.fixture
def project(hello, tmp_path):
    """A folder with the module and nothing else."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copy(hello, folder)
    return folder


@pytest.fixture
def instance(lab, project):
    return run_os(lab, project)

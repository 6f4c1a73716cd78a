# SPDX-License-Identifier: MIT
"""The harness of the end-to-end tests, with its own idea of what a test leaves behind."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from harness import netns  # noqa: E402
from harness.lab import Lab  # noqa: E402


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path)
    yield lab
    reports = lab.close()
    assert not reports, "\n".join(reports[:10])


@pytest.fixture
def net():
    with netns.star() as star:
        yield star

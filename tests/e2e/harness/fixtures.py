# SPDX-License-Identifier: MIT
"""Fixtures that more than one folder of tests has: a conftest.py imports those that it wants."""

import os

import pytest

from harness import netns
from harness.lab import Lab


@pytest.fixture
def lab(tmp_path, request):
    lab = Lab(tmp_path)
    yield lab
    failed = getattr(request.node, "failed", False)
    try:
        # One that has failed has said why.
        if not failed:
            lab.check_ways()
    finally:
        reports = lab.close()
    failed = failed or reports
    if failed:
        request.node.add_report_section("teardown", "logs", f"{tmp_path}: {', '.join(sorted(os.listdir(tmp_path)))}")
    assert not reports, "\n".join(reports[:10])


@pytest.fixture
def net():
    with netns.star() as star:
        yield star

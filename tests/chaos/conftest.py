# SPDX-License-Identifier: MIT
"""The harness of the end-to-end tests, without their notion of shares and reports."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from harness import fixtures  # noqa: E402

lab, net = fixtures.lab, fixtures.net

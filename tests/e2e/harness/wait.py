# SPDX-License-Identifier: MIT
"""Waiting for events. A deadline is so far away that it never decides on a slow machine with much else to do."""

import os
import time

SANITIZER = os.environ.get("WASMRUN_SANITIZER", "")
# Sanitizers slow the program down by up to this.
SCALE = 4 if SANITIZER else 1
# For anything that is expected within a few seconds: a process that starts, a small module that is compiled, a page that is shown.
DEADLINE = 60.0 * SCALE


class TimeLimit:
    """A deadline that several steps share."""

    def __init__(self, seconds=DEADLINE):
        self.end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def over(self):
        return time.monotonic() >= self.end


def wait_for(condition, what, deadline=DEADLINE):
    """Asks until `condition()` is true and returns its value. `what` names the event in the failure."""
    limit = TimeLimit(deadline)
    while True:
        value = condition()
        if value:
            return value
        if limit.over():
            raise AssertionError(f"did not happen within {deadline:g} s: {what}")
        time.sleep(0.01)


def in_time(seconds, scenario):
    """Runs what is only true for so long: where it fails after more than that, the machine was slow, and it is run again."""
    for _ in range(20):
        begin = time.monotonic()
        try:
            return scenario()
        except (AssertionError, OSError):
            if time.monotonic() - begin < seconds:
                raise
    raise AssertionError(f"this machine never did it within {seconds:g} s")

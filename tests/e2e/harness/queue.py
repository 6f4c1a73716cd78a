# SPDX-License-Identifier: MIT
"""Tests that several processes run, each of them once: who is ready takes the next turn from a common queue.

A turn is a part of a module, or all of it where it is marked "together": fixtures of the module are set up once a turn.
All processes collect the same turns in the same order, so that the queue is one number, the turn to be taken next, in a
file that is locked for as long as it is read and written.
"""

import fcntl
import itertools

TURN_MAX = 32  # tests: a module of a hundred is more than one process's
# Modules of minutes come first: what is begun last decides how long the others have nothing to do.
LONG = (
    "package", "examples", "watch", "deploy", "page", "page_hostile", "http", "outbound", "shortage", "guest_drain", "reconnect", "os_api", "leaks")


def divided(items):
    """The turns, each a list of tests."""
    turns = []
    for path, group in itertools.groupby(items, lambda item: item.path):
        group = list(group)
        size = len(group) if group[0].get_closest_marker("together") else TURN_MAX
        turns += [(path.stem, group[at : at + size]) for at in range(0, len(group), size)]
    rank = {f"test_{name}": at for at, name in enumerate(LONG)}
    turns.sort(key=lambda turn: rank.get(turn[0], len(LONG)))
    return [group for _, group in turns]


def taken(path):
    """The number of the turn that is ours, whoever else asks."""
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = int(file.read() or 0)
        file.truncate(0)
        file.write(str(number + 1))
    return number


def tests(items, path):
    """Those of the turns that this process gets."""
    turns = divided(items)
    while (number := taken(path)) < len(turns):
        yield from turns[number]


def run(session, path):
    """In place of pytest's own loop."""
    mine = tests(session.items, path)
    item = next(mine, None)
    while item:
        # The next turn is taken before the last test of this one runs: pytest tears down what that doesn't need.
        following = next(mine, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following

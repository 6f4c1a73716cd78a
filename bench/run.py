#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The driver of script/bench: all tools up at once, measured in turn, the tables printed and
written to results.md.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

import delay
import os_mode
import ready
import record
import report
import wall
from measures import MEASURES, Bench, measure_rounds
from processes import Failed, Process
from tools import all_tools

ROOT = pathlib.Path(__file__).resolve().parent.parent
ALL = [*MEASURES, "delay", "ready", "os", "wall", "record"]
ROUNDS, SECONDS = 5, 1.0
QUICK_ROUNDS, QUICK_SECONDS, QUICK_SAMPLES = 2, 0.5, 5


def say(text):
    """Progress: one line that is overwritten on a terminal, lines elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr)


def names_of(allowed):
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"'{name}' is not one of {', '.join(allowed)}")
        return names

    return parse


def parse_arguments():
    tool_names = [t.name for t in all_tools(ROOT)]
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds of {QUICK_SECONDS} s"
    )
    parser.add_argument(
        "--only",
        metavar="MEASURE,...",
        type=names_of(ALL),
        default=ALL,
        help=f"of {', '.join(ALL)}",
    )
    parser.add_argument(
        "--tools",
        metavar="TOOL,...",
        type=names_of(tool_names),
        default=tool_names,
        help=f"of {', '.join(tool_names)}; ratios need stock",
    )
    parser.add_argument("--remark", metavar="TEXT", help="a line for the heading: what the reader must know of this run")
    parser.add_argument("--rounds", type=int, help=f"how many (default: {ROUNDS})")
    parser.add_argument(
        "--output",
        metavar="FILE",
        type=pathlib.Path,
        help="where the tables are written (default: bench/results.md, if everything was measured)",
    )
    parser.add_argument(
        "--build", metavar="DIR", type=pathlib.Path, default=ROOT / "build", help=argparse.SUPPRESS
    )
    return parser.parse_args()


def take_turn(stack):
    """Two benches at once would measure each other, and share addresses. The name of this socket
    ends with its holder.
    """
    turn = stack.enter_context(socket.socket(socket.AF_UNIX))
    waited = False
    while True:
        try:
            turn.bind("\0wasmrun-bench")
            return
        except OSError:
            if not waited:
                print("another bench is running, waiting for it", file=sys.stderr)
            waited = True
            time.sleep(1)


def describe_build(build):
    """How ours was built. Figures of a sanitizer or unoptimized build would be about nothing."""
    done = subprocess.run(
        ["meson", "introspect", "--buildoptions", str(build)], capture_output=True, text=True
    )
    if done.returncode != 0:
        return "of an unknown build"
    options = {o["name"]: o["value"] for o in json.loads(done.stdout)}
    if options["b_sanitize"] != "none" or options["buildtype"] not in ("release", "debugoptimized"):
        sys.exit(
            f"bench: buildtype '{options['buildtype']}', b_sanitize '{options['b_sanitize']}': "
            "meson configure it with -Dbuildtype=release -Db_sanitize=none"
        )
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True
    )
    return f"{commit.stdout.strip() or 'without a commit'}, {options['buildtype']}"


def start_tools(stack, wanted, origin_port, notes):
    """Those that run; the others are named in the notes with the reason."""
    running = []
    for tool in wanted:
        reason = tool.missing()
        if not reason:
            try:
                stack.callback(tool.stop)
                tool.start(origin_port)
                running.append(tool)
            except Failed as e:
                reason = str(e)
        if reason:
            notes.append(f"{tool.title}: {reason}")
            say(f"skipped: {notes[-1]}")
    return running


def measure_here(stack, args, programs, seconds, rounds, notes):
    """The measures on loopback: the running tools and the rows of all rounds."""
    origin = Process([str(programs / "bench-origin")])
    stack.callback(origin.stop)
    origin.wait_for_text("\n")
    port = int(origin.text())
    tools = start_tools(
        stack, [t for t in all_tools(args.build) if t.name in args.tools], port, notes
    )
    bench, rows = Bench(programs, port, seconds), []
    # Memory comes first: it starts every tool afresh.
    for name in sorted((m for m in MEASURES if m in args.only), key=lambda m: m != "memory"):
        results, failed = measure_rounds(bench, name, tools, rounds, say)
        rows += results
        notes += failed
    return tools, rows


def measure_delay(args, tools, programs, notes):
    reason = delay.missing()
    if reason:
        notes.append(f"over a link with delay: {reason}")
        return {}, 0.0
    trips, link_ms, failed = delay.measure_all(
        tools, programs, QUICK_SAMPLES if args.quick else delay.SAMPLES, say
    )
    notes += failed
    return trips, link_ms


def main():
    args = parse_arguments()
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if args.quick else (ROUNDS, SECONDS)
    rounds = args.rounds or rounds
    programs, build, notes = args.build / "bench", describe_build(args.build), []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Explicitly, because a background job of a shell is started with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    with contextlib.ExitStack() as stack:
        take_turn(stack)
        load = os.getloadavg()[0]
        tools, rows = measure_here(stack, args, programs, seconds, rounds, notes)
        for tool in tools:
            tool.stop()
        trips, link_ms = (
            measure_delay(args, tools, programs, notes) if "delay" in args.only else ({}, 0.0)
        )
        common = (args.build.resolve(), Bench(programs, 0, seconds), rounds, say, notes)
        shares = ready.measure_all(args.build.resolve(), say, notes) if "ready" in args.only else {}
        os_result = os_mode.measure_all(*common) if "os" in args.only else None
        sections = {
            "The wall round an application": wall.measure_all(*common) if "wall" in args.only else [],
            "Recording": record.measure_all(*common) if "record" in args.only else [],
        }
    if sys.stderr.isatty():
        say("")
    heading = "\n\n".join(
        [
            "# Bench",
            f"Medians of {rounds} rounds of {seconds} s; `script/bench` makes this file.",
            report.machine(tools, build, load),
            *([args.remark] if args.remark else []),
        ]
    )
    text = report.document(tools, rows, trips, link_ms, shares, os_result, sections, notes, heading)
    print(text, end="")
    complete = (
        not args.quick
        and set(args.only) >= set(ALL)
        and len(args.tools) == len(all_tools(ROOT))
    )
    output = args.output or (ROOT / "bench" / "results.md" if complete else None)
    if output:
        output.write_text(text)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except Failed as failure:
        sys.exit(f"bench: {failure}")

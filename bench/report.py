# SPDX-License-Identifier: MIT
"""Tables out of figures, in Markdown that is also pleasant on a terminal."""

import datetime
import operator
import os
import pathlib
import re
import statistics

import delay
import ready
from measures import FIGURES

STOCK = "stock"
HAPROXY = "haproxy"
COPIES = "copies"
OURS = ("ours", "ours-secret")
# What ours must reach beside its goals over stock bore: (figure, compared with, its words, share of it).
OVER = (
    ("up", HAPROXY, "over two HAProxies", 1.0),
    ("down", HAPROXY, "over two HAProxies", 1.0),
    ("each", HAPROXY, "over two HAProxies", 1.0),
    ("kept", COPIES, "over two bare copies", 0.97),
)
START_MS = 150  # of a module in the cache, to the first answer


def collect(rounds):
    """{tool: {figure: [a value for each round]}}"""
    values = {}
    for row in rounds:
        for tool, figures in row.items():
            for key, value in figures.items():
                if value is not None:
                    values.setdefault(tool, {}).setdefault(key, []).append(value)
    return values


def medians(values):
    return {
        tool: {key: statistics.median(v) for key, v in figures.items()}
        for tool, figures in values.items()
    }


def divide(rounds, base, how=operator.truediv):
    """Each figure divided by what the tool 'base' did in the same round, where it did; or combined
    with it otherwise.
    """
    divided = []
    for row in rounds:
        one = row.get(base, {})
        divided.append(
            {
                tool: {
                    key: how(value, one[key])
                    for key, value in figures.items()
                    if value is not None and one.get(key)
                }
                for tool, figures in row.items()
            }
        )
    return divided


def table(header, rows):
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]

    def line(cells):
        padded = [
            str(c).ljust(w) if i == 0 else str(c).rjust(w)
            for i, (c, w) in enumerate(zip(cells, widths))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *map(line, rows)])


def number(value, digits):
    return "–" if value is None else f"{value:,.{digits}f}"


def figure_table(tools, figures, values, digits=None):
    rows = [
        [
            f.title,
            *(
                number(values.get(t.name, {}).get(f.key), f.digits if digits is None else digits)
                for t in tools
            ),
        ]
        for f in figures
    ]
    return table(["measure", *(t.title for t in tools)], rows)


def goal_rows(tools, figures, rounds):
    """What ours must reach, and what it has reached."""
    by = {base: collect(divide(rounds, base)) for base in (STOCK, HAPROXY, COPIES)}
    goals = [(f.title, f.key, by[STOCK] if f.goal[2] else collect(rounds), *f.goal) for f in figures]
    title = {f.key: f.title for f in figures}
    for key, base, words, least in OVER:
        if key in title:
            goals.append((f"{title[key]}, {words}", key, by[base], ">=", least, "x"))
    return [
        goal_row(f"{tool.title}: {title}", source[tool.name][key], *goal)
        for tool in tools
        if tool.name in OURS
        for title, key, source, *goal in goals
        if source.get(tool.name, {}).get(key)
    ]


def goal_row(title, values, sign, wanted, unit):
    """The median decides; the range of the rounds tells how far it can be trusted."""
    value = statistics.median(values)
    met = value >= wanted if sign == ">=" else value <= wanted
    mark = {"<=": "≤", ">=": "≥"}[sign]
    return [
        title,
        f"{value:.2f} {unit}".strip(),
        f"{min(values):.2f}–{max(values):.2f}" if len(values) > 1 else "",
        f"{mark} {wanted} {unit}".strip(),
        "yes" if met else "NO",
    ]


def delay_table(trips, tools):
    named = {delay.LEAST: "least possible", **{t.name: t.title for t in tools}}
    columns = [name for name in named if name in trips]
    return table(
        ["round trips of one link", *(named[name] for name in columns)],
        [
            [title, *(number(trips[name].get(key), 2) for name in columns)]
            for key, title in delay.TITLES.items()
        ],
    )


def delay_goals(trips, tools):
    """The first byte has a goal of its own. Bulk is bound by the visitor's own connection, which starts slowly
    whatever is behind it: it must come as fast as that lets it, which is also the most that a peer can do.
    """
    rows = []
    for tool in (t for t in tools if t.name in OURS and t.name in trips):
        mine, least = trips[tool.name], trips.get(delay.LEAST, {})
        if "first" in mine:
            rows.append(goal_row(f"{tool.title}: round trips to the first byte", [mine["first"]], "<=", delay.FIRST_MAX, ""))
        if "fetch" in mine and "fetch" in least:
            title = f"{tool.title}: round trips to the first 256 KiB, over the least possible"
            rows.append(goal_row(title, [mine["fetch"] / least["fetch"]], "<=", delay.FETCH_MAX, "x"))
    return rows


def ready_table(shares):
    """'shares': {where: {per second: (share, median ms, 99th percentile ms)}}."""
    rates = list(next(iter(shares.values())))
    rows = []
    for where, by_rate in shares.items():
        rows.append([f"found a parked connection {where}, %", *(number(100 * by_rate[r][0], 1) for r in rates)])
        rows.append(
            [
                f"first byte {where}, p50 / p99 ms",
                *(f"{number(by_rate[r][1], 1)} / {number(by_rate[r][2], 1)}" for r in rates),
            ]
        )
    return table(["new visitors a second", *(number(r, 0) for r in rates)], rows)


def group_parts(group):
    """A table of OS mode: absolute, and as a share of what is compared with."""
    share = medians(collect(divide(group.rounds, group.base)))
    rows = [
        [
            f.title,
            *(
                f"{number(medians(collect(group.rounds)).get(t.name, {}).get(f.key), f.digits)}"
                f" ({number(share.get(t.name, {}).get(f.key), 2)} x)"
                for t in group.tools
            ),
        ]
        for f in group.figures
    ]
    versions = ", ".join(v for v in (t.version() for t in group.tools) if v)
    parts = [f"### {group.title}", table(["measure", *(t.title for t in group.tools)], rows)]
    return parts + ([f"{versions}."] if versions else [])


def os_parts(result):
    parts = ["## OS mode"]
    for group in result.groups:
        parts += group_parts(group)
    if result.starts:
        rows = [
            [f"start of {name} to its first answer, ms", number(statistics.median(ms), 0)]
            for name, ms in result.starts.items()
        ]
        for name, mb in zip(("wasmrun os", "its guest, hello-c"), result.memory):
            rows.append([f"private MB of {name}, with a page that watches", number(mb, 1)])
        parts += ["### The process", table(["with modules in the cache", "median"], rows)]
    return parts


def group_goals(group):
    """'x': a share of what is compared with; 'ms more': a difference; neither: the figure itself."""
    title = {t.name: t.title for t in group.tools}
    compared = {
        "x": divide(group.rounds, group.base),
        "ms more": divide(group.rounds, group.base, operator.sub),
        "": group.rounds,
    }
    values = {unit: collect(rounds).get(group.ours, {}) for unit, rounds in compared.items()}
    over = f" over {title[group.base]}" if group.base != group.ours else ""
    return [
        goal_row(f"{title[group.ours]}{over}: {f.title}", values[f.goal[2]][f.key], *f.goal)
        for f in group.figures
        if f.goal and values[f.goal[2]].get(f.key)
    ]


def os_goals(result):
    rows = [row for group in result.groups for row in group_goals(group)]
    for name, ms in result.starts.items():
        rows.append(goal_row(f"start of {name} from the cache, ms", ms, "<=", START_MS, ""))
    return rows


def machine(tools, build, load):
    """'load' is the load average before the run: what others did on the machine."""
    cpu = re.search(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    versions = dict.fromkeys(t.version() for t in tools)
    return "\n".join(
        [
            f"- {cpu.group(1) if cpu else os.uname().machine}, "
            f"{len(os.sched_getaffinity(0))} cores, "
            f"Linux {os.uname().release}, {datetime.date.today().isoformat()}, "
            f"load average before the run {load:.1f}",
            f"- {', '.join(v for v in versions if v)}; ours {build}",
        ]
    )


def document(tools, rounds, trips, link_ms, shares, os_result, sections, notes, heading):
    """The whole of results.md; what was not measured is left out."""
    absolute = medians(collect(rounds))
    relative = medians(collect(divide(rounds, STOCK)))
    seen = {key for figures in absolute.values() for key in figures}
    figures = [f for f in FIGURES if f.key in seen]
    parts = [heading]
    if figures:
        parts += ["## Medians", figure_table(tools, figures, absolute)]
        if len(relative) > 1:
            compared = [t for t in tools if t.name in relative]
            parts += [
                "## Times stock bore (medians of the rounds' ratios)",
                figure_table(compared, figures, relative, 2),
            ]
    goals = goal_rows(tools, figures, rounds)
    if trips:
        parts += [
            "## Over a link with delay",
            "Visitor, relay and client in three network namespaces, "
            f"{delay.ONE_WAY_MS} ms one way on each of two links "
            f"(connecting over one took {link_ms:.1f} ms). "
            "The least possible: an origin in the relay's place, and the round trip to the client. On the stock wire it is 5 to the first byte, with a secret 6.",
            delay_table(trips, tools),
        ]
        goals += delay_goals(trips, tools)
    if shares:
        parts += [
            "## Visitors who found a parked connection",
            f"Of each {ready.SECONDS} s from a start with nobody there.",
            ready_table(shares),
        ]
    if os_result:
        parts += os_parts(os_result)
        goals += os_goals(os_result)
    for title, groups in sections.items():
        parts += [f"## {title}"] if groups else []
        for group in groups:
            parts += group_parts(group)
            goals += group_goals(group)
    if goals:
        parts += [
            "## What ours must reach",
            table(["figure", "measured", "rounds", "wanted", "reached"], goals),
        ]
    if notes:
        parts += ["## Not measured", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"

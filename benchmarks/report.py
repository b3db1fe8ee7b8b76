"""The report in Markdown, made from the recorded JSON alone."""

import statistics
from typing import Any

from benchmarks.families import NAMES, family
from benchmarks.goals import Record, goals_of, share_of_floor
from benchmarks.libraries import FLOOR, OURS, TITLES
from benchmarks.machine import sentence
from benchmarks.ratios import spread, within_rounds

NONE, FIGURE = "-", "growth.svg"
SMALL = 0.02
"""Of a step: smaller shares are not told."""


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown."""
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]


def duration(seconds: list[float]) -> str:
    """The median: `0.36 ms`, `1.20 s`, `27 µs`."""
    middle = statistics.median(seconds)
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if middle * factor >= (0.1 if unit == "ms" else 1):
            return f"{middle * factor:.2f} {unit}"
    return f"{middle * 1e9:.0f} ns"


def rivals(records: list[Record]) -> list[str]:
    """Those that took part in any of these cells, in the order of the titles."""
    there = {name for record in records for name in record["seconds"]}
    return [name for name in TITLES if name in there and name not in (*OURS, FLOOR)]


def timed(records: list[Record], ours: str) -> list[str]:
    """Ours, its share of the floor, and every rival's time / ours."""
    others = rivals(records)
    many = any("/infer/" in record["cell"] for record in records)
    head = ["cell", ours, *(["samples / s"] if many else []), "share of floor", *others]
    rows = []
    for record in records:
        seconds = record["seconds"]
        if ours not in seconds:
            continue
        share = share_of_floor(record, ours)
        row = [record["cell"], duration(seconds[ours])]
        row += [f"{record['batch'] / statistics.median(seconds[ours]):,.0f}"] if many else []
        row.append(spread(share) if share else NONE)
        row += [spread(within_rounds(seconds[r], seconds[ours])) if r in seconds else NONE for r in others]
        rows.append(row)
    return table(head, rows) if rows else []


def beside(records: list[Record]) -> list[str]:
    """The table that the family makes."""
    return table(*family("busy").table_of(records))


def started(records: list[Record]) -> list[str]:
    """Seconds of each command."""
    rows = [[f"`{name}`", spread(s, 3)] for record in records for name, s in record["seconds"].items()]
    return table(["command", "seconds"], rows)


def weighed(records: list[Record]) -> list[str]:
    """MB at the peak, and of the imports alone."""
    names = [name for name in TITLES if any(name in record["bytes"] for record in records)]
    rows = []
    for record in records:
        held = record["bytes"]
        row = [
            f"{held[n]['peak'] / 1e6:.0f} ({held[n]['imported'] / 1e6:.0f})" if n in held else NONE
            for n in names
        ]
        rows.append([record["cell"], *row])
    return table(["cell, MB (imports alone)", *names], rows)


def shared(records: list[Record]) -> list[str]:
    """The largest shares of each step, and the rest."""
    rows = []
    for record in records:
        for ours, shares in record["shares"].items():
            parts = [f"{kernel} {share:.0%}" for kernel, share in shares.items() if share >= SMALL]
            rows.append([record["cell"], ours, ", ".join(parts), f"{1 - sum(shares.values()):.0%}"])
    return table(["cell", "", "kernels", "between them"], rows)


def judged(records: list[Record]) -> list[str]:
    """Every goal in every cell it speaks of, for xpnn without and with numba."""
    rows, met = [], dict.fromkeys(OURS, 0)
    for record in records:
        for goal in goals_of(family(record["family"]).GOALS, record):
            verdicts = []
            for ours in OURS:
                outcome = goal.outcome(record, ours)
                met[ours] += bool(outcome and outcome[1])
                verdicts.append(
                    f"{spread(outcome[0])} {'met' if outcome[1] else '**missed**'}" if outcome else NONE
                )
            wanted = f"{'at most' if goal.at_most else 'at least'} {goal.wanted:g}"
            rows.append([record["cell"], goal.what, wanted, *verdicts])
    if not rows:
        return []
    count = ", ".join(f"{ours} {n} of {len(rows)}" for ours, n in met.items())
    return [f"Met: {count}.", "", *table(["cell", "goal", "wanted", *OURS], rows)]


def absences(records: list[Record]) -> list[str]:
    """A line for whoever could not take part."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        for name, why in record["failed"].items():
            reasons.setdefault(f"{name}: {why}", []).append(record["cell"])
    return [f"- {reason} ({len(cells)} cells)" for reason, cells in reasons.items()]


def section(name: str, records: list[Record]) -> list[str]:
    """A family: a table, or one for each of ours."""
    own = {"busy": beside, "startup": started, "memory": weighed, "profile": shared}.get(name)
    parts = [own(records)] if own else [timed(records, ours) for ours in OURS]
    return [f"## {family(name).TITLE}", *(line for part in parts if part for line in ("", *part)), ""]


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The new records, and the old ones of the other families."""
    fresh = {record["family"] for record in new["cells"]}
    return new | {"cells": [r for r in old["cells"] if r["family"] not in fresh] + new["cells"]}


def report(found: dict[str, Any]) -> str:
    """All of it."""
    records = found["cells"]
    by_family = {name: [r for r in records if r["family"] == name] for name in NAMES}
    taking_part = [n for n in TITLES if any(n in r.get("seconds", r.get("bytes", {})) for r in records)]
    lines = ["# Speed", "", sentence(found["machine"]), ""]
    lines += [
        f"Float32; contenders take turns, each in its own process, {found['rounds']} rounds. Columns of rivals: their "
        "time / ours, median (quartiles) of the ratios within a round; above 1 ours is faster. Share of floor: the "
        "time of the bare matrix products / ours.",
        "",
        *(f"- {name}: {TITLES[name]}" for name in taking_part),
        "",
    ]
    if missing := absences(records):
        lines += ["Could not take part:", "", *missing, ""]
    if goals := judged(records):
        lines += ["## Goals", "", *goals, ""]
    for name, some in by_family.items():
        if some and name != "growth":
            lines += section(name, some)
    if by_family["growth"]:
        lines += [
            "## Growth",
            "",
            f"![Step time over batch, width and depth against the floor]({FIGURE})",
            "",
        ]
    return "\n".join(lines)

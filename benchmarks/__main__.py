"""`python -m benchmarks`: xpnn's speed beside the rivals' and the floor, as tables, JSON, a report, or a guard."""

import argparse
import json
import pathlib
import sys
from typing import Any

from benchmarks.machine import tidy_environment

if __name__ == "__main__":  # and not in the contenders' processes, which begin with this one's environment
    tidy_environment()

from benchmarks import guard, readme
from benchmarks.families import NAMES, USUAL, family
from benchmarks.figure import draw
from benchmarks.libraries import CONTENDERS, missing
from benchmarks.machine import machine
from benchmarks.report import FIGURE, joined, report

REPORTS = pathlib.Path(__file__).parent / "reports"


def measure(names: list[str], rounds: int) -> dict[str, Any]:
    """What the report is made from."""
    absent, cells = missing(list(CONTENDERS)), []
    for name, why in absent.items():
        print(f"{name} does not take part: {why}", file=sys.stderr)
    for name in names:
        for record in family(name).measure(rounds, absent):
            cells.append(record)
            print(f"{name} {record['cell']}", file=sys.stderr)
    return {"machine": machine(), "rounds": rounds, "cells": cells}


def write(found: dict[str, Any]) -> None:
    """benchmarks/reports/DATE.json and what is made from it: DATE.md, and the figure.

    Families that were not measured now stay as the report of the same day has them.
    """
    path = REPORTS / f"{found['machine']['date']}.json"
    if path.exists():
        found = joined(json.loads(path.read_text()), found)
    path.write_text(json.dumps(found) + "\n")
    path.with_suffix(".md").write_text(report(found))
    if growth := [record for record in found["cells"] if record["family"] == "growth"]:
        draw(growth, REPORTS / FIGURE)


def main() -> int:
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=USUAL, metavar="FAMILY", help=", ".join(NAMES)
    )
    parser.add_argument(
        "--busy",
        dest="only",
        action="store_const",
        const=("busy",),
        help="only beside 0, 1, 2 and 4 processes that compute without a pause; takes ten minutes",
    )
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each cell; a report has at least 7")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument(
        "--report", action="store_true", help="also write benchmarks/reports/DATE.md and .json"
    )
    parser.add_argument(
        "--readme", metavar="FILE", help="only put the table of that report's JSON into README.md"
    )
    parser.add_argument(
        "--guard",
        nargs="?",
        const="HEAD",
        metavar="REVISION",
        help="only look for cells slower than in that revision, by default the last commit",
    )
    options = parser.parse_args()
    if options.readme:
        readme.rewrite(pathlib.Path(options.readme))
        return 0
    if options.guard:
        return guard.look(options.only, options.guard)
    if options.rounds < 7 and options.report:
        parser.error("a report has at least 7 rounds")
    found = measure(options.only, options.rounds)
    print(json.dumps(found) if options.json else report(found))
    if options.report:
        write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())

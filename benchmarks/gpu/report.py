"""The report in words: a short table for the screen, and Markdown for `benchmarks/reports/`."""

import collections
import itertools
import statistics
from typing import Any

from benchmarks.gpu.contenders import CONTENDERS, OURS
from benchmarks.gpu.goals import ceilings, goals, ours, over_roofline, rows_of
from benchmarks.gpu.nets import NETS
from benchmarks.ratios import spread

LINES = 60
"""Of the short table, at most."""
GRAPHLESS = 2
"""Reasons why steps were not recorded, at most so many."""
REASONS = 5
"""Why contenders are missing, at most so many."""
APART = 0.05
"""Losses further apart than this are no rounding, whatever the precision."""
MARK, UNKNOWN = "rehearsal | ", "machine unknown"
OTHERS = [name for name in CONTENDERS if name != OURS]
WORDS = {True: "met", False: "MISSED", None: "not measured"}
Row = dict[str, Any]


def machine(report: Row) -> str:
    """The GPU's name and the versions, in one line."""
    rows = {row.get("name"): row for row in rows_of(report, "machine")}
    gpu, versions = rows.get("gpu", {}), rows.get("versions", {})
    words = [gpu.get("gpu", UNKNOWN), f"driver {gpu.get('driver_version', 'unknown')}"]
    words += [f"{name} {version}" for name, version in versions.items() if name not in ("name", "refused")]
    return ", ".join(words)


def table(report: Row) -> list[str]:
    """At most LINES lines; a rehearsal's say so, each."""
    bounds = ceilings(report)
    lines = [f"ci/gpu {report['date']}: {machine(report)}"[:160]]
    if bounds:
        rates = ", ".join(f"{name} {rate / 1e12:.0f}" for name, rate in bounds.flops.items())
        lines.append(f"copy {bounds.bytes / 1e12:.2f} TB/s; matrix products {rates} TFLOP/s")
    lines += [stage_line(entry) for entry in report["stages"]]
    for part in (finding_lines, steps_lines, refusal_lines, overhead_lines, accuracy_lines, goal_lines):
        lines += part(report)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], "(the rest is in report.json)"]
    return [MARK + line for line in lines] if report["rehearsal"] else lines


def stage_line(entry: Row) -> str:
    """Name, how it ended, seconds, and why or how many rows."""
    rows = f"{len(entry['rows'])} rows"
    counts = [row for row in entry["rows"] if "passed" in row]
    if counts:
        rows = f"{counts[-1]['passed']} of {counts[-1]['tests']} tests passed"
    return f"{entry['name']:12} {entry['status']:10} {entry['seconds']:6.1f} s  {entry['why'] or rows}"[:120]


def finding_lines(report: Row) -> list[str]:
    """What graphs may not hold, and how good cuBLASLt's first choice is: a line each, where they were asked."""
    graphs, products = rows_of(report, "capture"), rows_of(report, "cublaslt")
    refused = [row["name"] for row in graphs if row.get("verdict") != "legal"]
    ratios = [row["first_over_best"] for row in products if "first_over_best" in row]
    result = next((row["reasons"] for row in rows_of(report, "conformance") if "reasons" in row), {})
    unknown = sum("no algorithm" in row.get("why", "") for row in products)
    lines = []
    if graphs and not report["rehearsal"]:  # there, no graph holds anything
        lines.append(f"graphs do not hold: {', '.join(refused) or 'nothing that was tried'}"[:120])
    for reason, times in itertools.islice(result.items(), GRAPHLESS):
        lines.append(f"not recorded in {times} tests: {reason}"[:120])
    if ratios:
        lines.append(
            f"cuBLASLt's first choice: at most {max(ratios):.2f} times the best; no algorithm for {unknown}"
        )
    return lines


def steps_lines(report: Row) -> list[str]:
    """A line a cell: our microseconds, how many times the roofline, and each other contender's time over ours."""
    rows, bounds = rows_of(report, "steps"), ceilings(report)
    if not rows:
        return []
    rows = sorted(rows, key=lambda row: (list(NETS).index(row["name"]), row["batch"]))
    lines = [
        f"{'step; others: their time / ours':34}{'us':>9}{'roof x':>8}" + "".join(f"{n:>14}" for n in OTHERS)
    ]
    for row in rows:
        mine, over = ours(row), over_roofline(row, bounds)
        cells = [number(None if mine is None else 1e6 * mine, 9, 1), number(over, 8, 1)]
        cells += [number(middle(row, name), 14, 2) for name in OTHERS]
        note = "  losses differ" if float(row.get("apart", 0.0)) > APART else ""
        lines.append(f"{row['name']:18}{row['batch']:>8} {row['precision']:7}" + "".join(cells) + note)
    return lines


def middle(row: Row, name: str) -> float | None:
    """The median of a contender's ratios."""
    found = row.get("ratios", {}).get(name)
    return statistics.median(found) if found else None


def refusal_lines(report: Row) -> list[str]:
    """Why there are dashes: the commonest reasons, and in how many cells."""
    reasons = collections.Counter(
        f"{name}: {result['refused']}"
        for row in rows_of(report, "steps")
        for name, result in row.get("contenders", {}).items()
        if "refused" in result
    )
    return [f"refused in {count} cells: {what}"[:120] for what, count in reasons.most_common(REASONS)]


def number(value: float | None, width: int, digits: int) -> str:
    """Right-aligned; a dash where there is none."""
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"


def overhead_lines(report: Row) -> list[str]:
    """Microseconds of the host for each call, in one line or two."""
    result = [
        f"{row['name']} {row['host_us']:.1f}" for row in rows_of(report, "overhead") if "host_us" in row
    ]
    half = -(-len(result) // 2)
    return [f"host us a call: {', '.join(part)}" for part in (result[:half], result[half:]) if part]


def accuracy_lines(report: Row) -> list[str]:
    """A line a target."""
    return [
        f"{row['target']} %: {row['recipe']}: test {row['mean']:.2f} % mean of {row['seeds']} seeds "
        f"(least {row['least']:.2f}), {row['seconds'][1]:.3f} s; first fit {row['first_s']:.2f} s apart"
        for row in rows_of(report, "accuracy")
        if "mean" in row
    ]


def goal_lines(report: Row) -> list[str]:
    """A line a goal, where one of the stages that decide them ran."""
    if not rows_of(report, "steps") + rows_of(report, "accuracy"):
        return []
    return [f"goal: {what}: {number(value, 0, 3)} {WORDS[met]}" for what, value, met in goals(report)]


def markdown(report: Row) -> str:
    """The whole report with spreads, for a file. Raises ValueError for a rehearsal or an unnamed machine."""
    if report["rehearsal"]:
        raise ValueError("a rehearsal ran on no GPU: there is nothing to report")
    if machine(report).startswith(UNKNOWN):
        raise ValueError("the stage 'machine' did not name the GPU: run it too")
    lines = [
        "# The GPU path",
        "",
        f"{machine(report)}; {report['date']}.",
        "",
        "```",
        *table(report),
        "```",
        "",
    ]
    lines += [
        "Time of a contender over ours (the captured step), median of the rounds (quartiles); above 1, ours is faster.",
        "",
    ]
    lines += [
        "| net | batch | precision | xpnn us | " + " | ".join(OTHERS) + " |",
        "|---" * (4 + len(OTHERS)) + "|",
    ]
    for row in rows_of(report, "steps"):
        result = row.get("contenders", {})
        mine = "-" if ours(row) is None else spread([1e6 * t for t in result[OURS]["seconds"]], 1)
        each = [ratio(row, name) for name in OTHERS]
        lines.append(
            f"| {row['name']} | {row['batch']} | {row['precision']} | {mine} | " + " | ".join(each) + " |"
        )
    return "\n".join(lines) + "\n"


def ratio(row: Row, name: str) -> str:
    """Median and quartiles, or why there are none."""
    if name in row.get("ratios", {}):
        return spread(row["ratios"][name])
    result = row.get("contenders", {}).get(name, {})
    return str(result.get("refused", "-")).replace("|", "/")[:60]

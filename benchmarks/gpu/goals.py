"""What the numbers should reach on one H200, and whether they do."""

import math
import statistics
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.contenders import OURS, RIVALS
from benchmarks.gpu.nets import NETS
from benchmarks.gpu.roofline import Ceilings, least

MLPS = ("784-128-10", "784-1024-1024-10")
Row = dict[str, Any]


def rows_of(report: Row, stage: str) -> list[Row]:
    """The rows of a stage; none where it did not run."""
    return [row for entry in report["stages"] if entry["name"] == stage for row in entry["rows"]]


def ceilings(report: Row) -> Ceilings | None:
    """Those measured in this run; None where one is missing."""
    rows = {row.get("name"): row for row in rows_of(report, "machine")}
    try:
        flops = {p: 1e12 * rows[f"gemm {p}"]["TFLOPs"] for p in ("fp32", "tf32", "bf16")}
        return Ceilings(flops, 1e12 * rows["copy"]["TBps"])
    except KeyError:
        return None


def ours(row: Row) -> float | None:
    """Seconds of our step."""
    result = row.get("contenders", {}).get(OURS, {})
    return statistics.median(result["seconds"]) if "seconds" in result else None


def over_roofline(row: Row, bounds: Ceilings | None) -> float | None:
    """Our time over the least."""
    mine = ours(row)
    if mine is None or bounds is None:
        return None
    return mine / least(NETS[row["name"]], row["batch"], row["precision"], bounds)


def goals(report: Row) -> Iterator[tuple[str, float | None, bool | None]]:
    """(what, the value that decides, whether it is met); None, None where nothing was measured."""
    steps = [row for row in rows_of(report, "steps") if row["name"] in MLPS]
    small = [row for row in steps if row["batch"] <= 1024]
    large = [row for row in steps if row["batch"] > 1024]
    yield at_least("MLPs to batch 1024: times PyTorch eager, wanted 5", 5.0, ratio(small, ("torch",)))
    yield at_least(
        "MLPs to batch 1024: times torch.compile, wanted 1.3", 1.3, ratio(small, ("torch-compile",))
    )
    yield at_least("MLPs at 8192 and 60,000: times the best rival, wanted 1", 1.0, ratio(large, RIVALS))
    wide = [row for row in steps if (row["name"], row["batch"]) == (MLPS[1], 60_000)]
    over = [value for row in wide if (value := over_roofline(row, ceilings(report))) is not None]
    yield at_most("wide MLP at 60,000: times the roofline, wanted 1.5", 1.5, over)
    for target, seconds in ((98, 0.1), (99, 0.5)):
        rows = [row for row in rows_of(report, "accuracy") if row["target"] == target and "mean" in row]
        times = [row["seconds"][1] if row["reached"] else math.inf for row in rows]
        yield at_most(f"{target} % of MNIST: seconds of training, wanted {seconds}", seconds, times)


def ratio(rows: list[Row], rivals: tuple[str, ...]) -> list[float]:
    """Of every row the least ratio over these rivals, medians."""
    found = []
    for row in rows:
        each = [statistics.median(result) for name, result in row.get("ratios", {}).items() if name in rivals]
        found += [min(each)] if each else []
    return found


def at_least(what: str, bound: float, values: list[float]) -> tuple[str, float | None, bool | None]:
    """The least of the values decides."""
    return (what, min(values), min(values) >= bound) if values else (what, None, None)


def at_most(what: str, bound: float, values: list[float]) -> tuple[str, float | None, bool | None]:
    """The largest of the values decides."""
    return (what, max(values), max(values) <= bound) if values else (what, None, None)

"""`python -m benchmarks`: training steps per network and batch size against the rivals, as a table or JSON."""

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import sys
from typing import Any

# Before NumPy is loaded, here and in every process of the arena: no older kernels, no leftover thread settings.
for variable in [name for name in os.environ if name.startswith(("OPENBLAS_", "MKL_", "OMP_"))]:
    del os.environ[variable]

from benchmarks.arena import Arena, installed  # noqa: E402
from benchmarks.contenders import CONTENDERS  # noqa: E402

NETS = {"784-128-10": [784, 128, 10], "784-1024-1024-10": [784, 1024, 1024, 10]}
OURS = ("xpnn", "xpnn-fast")
BATCHES = [32, 128, 1024, 8192]


def machine(names: list[str]) -> dict[str, Any]:
    """Processor, threads, BLAS kernel and the versions of all contenders."""
    import numpy  # noqa: F401
    import threadpoolctl

    models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]  # noqa: SIM115
    pools = threadpoolctl.threadpool_info()
    blas = [
        f"{p['internal_api']} {p['version']} {p.get('architecture')}, {p['num_threads']} threads"
        for p in pools
    ]
    packages = ["numpy", "numba", "torch", "jax", "scikit-learn"]
    return {
        "date": datetime.date.today().isoformat(),
        "processor": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "blas": blas[0] if blas else "unknown",
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages if found(name)},
        "contenders": names,
    }


def found(package: str) -> bool:
    """Is it installed?"""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def measure(names: list[str], nets: list[str], batches: list[int], rounds: int) -> list[dict[str, Any]]:
    """One record a cell: every contender's rounds, and within each round the ratios of the others to each of ours."""
    cells = []
    with Arena(names) as arena:
        for net in nets:
            for batch in batches:
                times = arena.cell(NETS[net], batch, rounds)
                ratios = {base: against(times, base) for base in OURS if base in names}
                cells.append({"net": net, "batch": batch, "seconds": times, "ratios": ratios})
                print(row(cells[-1], "xpnn"), file=sys.stderr)
    return cells


def against(times: dict[str, list[float]], base: str) -> dict[str, list[float]]:
    """{rival: its time / ours, round by round}."""
    return {
        name: [b / a for a, b in zip(times[base], seconds, strict=True)]
        for name, seconds in times.items()
        if name != base
    }


def spread(ratios: list[float]) -> str:
    """Median, and the quartiles around it."""
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def row(cell: dict[str, Any], base: str) -> str:
    """A line of the table in Markdown."""
    mine = 1e3 * statistics.median(cell["seconds"][base])
    return (
        f"| {cell['net']} | {cell['batch']} | {mine:.2f} ms | "
        + " | ".join(map(spread, cell["ratios"][base].values()))
        + " |"
    )


def table(about: dict[str, Any], cells: list[dict[str, Any]], rounds: int) -> str:
    """The report."""
    lines = [
        f"Adam training step, float32. {about['processor']}, {about['cores']} cores; BLAS {about['blas']}; "
        f"Python {about['python']}; "
        + ", ".join(f"{k} {v}" for k, v in about["versions"].items())
        + f"; {about['date']}.",
        "",
        "xpnn is NumPy alone, xpnn-fast with numba's loops. Columns of rivals: their time / the first column's, median "
        f"of {rounds} rounds (quartiles); above 1 ours is faster.",
    ]
    for base in (name for name in OURS if name in about["contenders"]):
        head = ["net", "batch", base, *(name for name in about["contenders"] if name != base)]
        lines += ["", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        lines += [row(cell, base) for cell in cells]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="ci/bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each cell (at least 7 for a report)")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--rivals", nargs="+", default=list(CONTENDERS)[1:], choices=list(CONTENDERS)[1:])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--report", type=pathlib.Path, help="also write the table to this file")
    options = parser.parse_args()
    names = installed(["xpnn", *options.rivals])
    cells = measure(names, options.nets, options.batches, options.rounds)
    about = machine(names)
    text = table(about, cells, options.rounds)
    print(json.dumps({"machine": about, "cells": cells}) if options.json else text)
    if options.report:
        options.report.write_text("# Training steps\n\n" + text + "\n")


if __name__ == "__main__":
    main()

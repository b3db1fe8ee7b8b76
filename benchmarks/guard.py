"""The guard: did a change make a cell slower?

The measure is a cell's time over that of its bare matrix products and a copy of its vectors, taken side by side, on one
thread and in seconds of the processor, not of the clock: other work on the machine disturbs these least. Of many short
turns of both the low quartile counts. A cell that seems slower than in the baseline is measured again before it is
accused, and its best measure counts. What threads gain is not guarded; the report shows it.
"""

import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.arena import Arena
from benchmarks.families import family
from benchmarks.libraries import OURS, YARDSTICK, missing
from benchmarks.machine import machine
from benchmarks.nets import Cell
from benchmarks.ratios import quartiles

BASELINE = pathlib.Path(__file__).parent / "baseline.json"
SLOWER = 1.10
AGAIN = 3
"""How often a suspect is measured anew."""
PASSES = 3
"""Measures of the baseline, whose best it is."""
ROUNDS, TURN = 15, 0.03
JOBS = {"mlp": "train", "cnn": "train", "lstm": "train", "inference": "infer"}
"""Families that have bare matrix products, and short turns."""
SAME = ("processor", "cores", "blas")
"""What must be as it was: ratios differ between machines."""

Ratios = dict[str, float]
"""{"CELL CONTENDER": time / the yardstick's}"""


def cells(names: Sequence[str]) -> list[tuple[str, Cell]]:
    """(job, cell) of these families, but for the largest batch, which takes long and shows what 1024 does."""
    return [
        (job, cell)
        for name, job in JOBS.items()
        if name in names
        for cell in family(name).CELLS
        if cell.batch < 8192
    ]


def ratios_of(times: dict[str, list[float]], cell: str) -> Ratios:
    """Of ours, in one cell."""
    bare = quartiles(times[YARDSTICK])[0]
    return {f"{cell} {name}": quartiles(times[name])[0] / bare for name in OURS if name in times}


def sweep(arena: Arena, wanted: list[tuple[str, Cell]]) -> Ratios:
    """All of these cells once. A guard that cannot see one has failed."""
    found: Ratios = {}
    for job, cell in wanted:
        if failed := arena.build(job, cell):
            sys.exit(f"{cell.name}: {failed}")
        found |= ratios_of(arena.turns(ROUNDS, TURN), cell.name)
    return found


def suspects(before: Ratios, now: Ratios) -> list[str]:
    """Those that seem slower than they were."""
    return [key for key, ratio in now.items() if key in before and ratio > SLOWER * before[key]]


def better(now: Ratios, again: Ratios) -> Ratios:
    """With the smaller of two measures of those that were measured again."""
    return now | {key: min(now[key], ratio) for key, ratio in again.items()}


def one_thread() -> Arena:
    """Ours and what they are measured by."""
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))
    names = [*OURS, YARDSTICK]
    return Arena([name for name in names if name not in missing(names)], time.process_time)


def save(names: Sequence[str]) -> int:
    """Write the baseline; what it says of other families on this machine stays."""
    about, stored = machine(), baseline()
    with one_thread() as arena:
        passes = [sweep(arena, cells(names)) for _ in range(PASSES)]
    ratios = functools.reduce(better, passes)
    if stored and not other_machine(stored["machine"], about):
        ratios = stored["ratios"] | ratios
    BASELINE.write_text(json.dumps({"machine": about, "ratios": ratios}, indent=1) + "\n")
    print(f"{len(ratios)} ratios to the yardstick: {BASELINE}")
    return 0


def other_machine(then: dict[str, Any], now: dict[str, Any]) -> str:
    """In what they differ, or nothing."""
    return "; ".join(f"{name} was {then[name]}, is {now[name]}" for name in SAME if then[name] != now[name])


def baseline() -> dict[str, Any]:
    """{"machine": ..., "ratios": ...}, or nothing."""
    return json.loads(BASELINE.read_text()) if BASELINE.exists() else {}


def look(names: Sequence[str]) -> int:
    """Print what became slower; 1 where something did, 2 where there is nothing to compare with."""
    if not (stored := baseline()):
        print("there is no baseline: ci/bench --guard --save writes one", file=sys.stderr)
        return 2
    if differs := other_machine(stored["machine"], machine()):
        print(f"the baseline is of another machine: {differs}; ci/bench --guard --save", file=sys.stderr)
        return 2
    before, wanted = stored["ratios"], cells(names)
    with one_thread() as arena:
        now = sweep(arena, wanted)
        for _ in range(AGAIN):
            again = {key.split()[0] for key in suspects(before, now)}
            if again:
                now = better(now, sweep(arena, [(job, cell) for job, cell in wanted if cell.name in again]))
    accused = suspects(before, now)
    for key in accused:
        print(f"slower: {key}: {now[key]:.2f} times the yardstick, was {before[key]:.2f}")
    print(f"{len(accused)} of {len(now)} slower by more than {SLOWER - 1:.0%}")
    return 1 if accused else 0

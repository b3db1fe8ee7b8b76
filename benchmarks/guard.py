"""The guard: did a change make a cell slower?

The measure is a cell's time over that of its bare matrix products, taken side by side: the low quartile of many short
turns of both, which other work on the machine disturbs least. A cell that seems slower than in the baseline is measured
again before it is accused, and its best measure counts.
"""

import json
import pathlib
import statistics
import sys
from typing import Any

from benchmarks.arena import Arena
from benchmarks.families import cnn, inference, lstm, mlp
from benchmarks.libraries import FLOOR, OURS, missing
from benchmarks.machine import machine
from benchmarks.nets import Cell
from benchmarks.ratios import quartiles

BASELINE = pathlib.Path(__file__).parent / "baseline.json"
SLOWER = 1.10
AGAIN = 3
"""How often a suspect is measured anew."""
PASSES = 3
"""Measures of the baseline, whose median it is."""
ROUNDS, TURN = 21, 0.03
SAME = ("processor", "cores", "blas")
"""What must be as it was: ratios to the floor differ between machines."""

Ratios = dict[str, float]
"""{"CELL CONTENDER": time / the floor's}"""


def cells() -> list[tuple[str, Cell]]:
    """(job, cell): those of the report, but for the largest batch, which takes long and shows what 1024 does."""
    steps = [cell for module in (mlp, cnn, lstm) for cell in module.CELLS if cell.batch < 8192]
    return [("train", cell) for cell in steps] + [("infer", cell) for cell in inference.CELLS]


def ratios_of(times: dict[str, list[float]], cell: str) -> Ratios:
    """Of ours, in one cell."""
    floor = quartiles(times[FLOOR])[0]
    return {f"{cell} {name}": quartiles(times[name])[0] / floor for name in OURS if name in times}


def sweep(arena: Arena, wanted: list[tuple[str, Cell]]) -> Ratios:
    """All of these cells once."""
    found: Ratios = {}
    for job, cell in wanted:
        arena.build(job, cell)
        found |= ratios_of(arena.turns(ROUNDS, TURN), cell.name)
    return found


def suspects(baseline: Ratios, now: Ratios) -> list[str]:
    """Those that seem slower than they were."""
    return [key for key, ratio in now.items() if key in baseline and ratio > SLOWER * baseline[key]]


def better(a: Ratios, b: Ratios) -> Ratios:
    """The smaller of two measures of each."""
    return {key: min(a.get(key, b.get(key, 0.0)), b.get(key, a.get(key, 0.0))) for key in a | b}


def fighters() -> Arena:
    names = [*OURS, FLOOR]
    return Arena([name for name in names if name not in missing(names)])


def save() -> int:
    """Write the baseline."""
    with fighters() as arena:
        passes = [sweep(arena, cells()) for _ in range(PASSES)]
    ratios = {key: statistics.median(p[key] for p in passes) for key in passes[0]}
    about = machine()
    BASELINE.write_text(json.dumps({"machine": about, "ratios": ratios}, indent=1) + "\n")
    print(f"{len(ratios)} ratios to the floor: {BASELINE}")
    return 0


def other_machine(then: dict[str, Any], now: dict[str, Any]) -> str:
    """In what they differ, or nothing."""
    return "; ".join(f"{name} was {then[name]}, is {now[name]}" for name in SAME if then[name] != now[name])


def look() -> int:
    """Print what became slower; 1 where something did, 2 where there is nothing to compare with."""
    if not BASELINE.exists():
        print("there is no baseline: ci/bench --guard --save writes one", file=sys.stderr)
        return 2
    stored = json.loads(BASELINE.read_text())
    if differs := other_machine(stored["machine"], machine()):
        print(f"the baseline is of another machine: {differs}; ci/bench --guard --save", file=sys.stderr)
        return 2
    baseline, wanted = stored["ratios"], cells()
    with fighters() as arena:
        now = sweep(arena, wanted)
        for _ in range(AGAIN):
            names = {key.split()[0] for key in suspects(baseline, now)}
            if names:
                now = better(now, sweep(arena, [(job, cell) for job, cell in wanted if cell.name in names]))
    accused = suspects(baseline, now)
    for key in accused:
        print(f"slower: {key}: {now[key]:.2f} times the floor, was {baseline[key]:.2f}")
    print(f"{len(accused)} of {len(now)} slower by more than {SLOWER - 1:.0%}")
    return 1 if accused else 0

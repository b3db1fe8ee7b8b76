"""The guard: did a change make a cell slower?

This tree and an older revision of it take turns, on one thread and in seconds of the processor, not of the clock: other
work on the machine disturbs these least, and where the machine changes its speed it does so for both. Of many short
turns of each the low quartile counts. A cell that seems slower is measured again, in new processes, before it is
accused, and its best measure counts. What threads gain is not guarded; the report shows it.
"""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence

from benchmarks.arena import Arena
from benchmarks.families import family
from benchmarks.libraries import BEFORE, OURS, missing
from benchmarks.nets import Cell
from benchmarks.ratios import quartiles

ROOT = pathlib.Path(__file__).parents[1]
SLOWER = 1.10
AGAIN = 3
"""How often a suspect is measured anew."""
ROUNDS, TURN = 15, 0.03
JOBS = {"mlp": "train", "cnn": "train", "lstm": "train", "inference": "infer"}
"""Families with short turns."""

Ratios = dict[str, float]
"""{"CELL CONTENDER": its time / that of the older revision}"""
Wanted = list[tuple[str, Cell]]
"""[(job, cell)]"""


def cells(names: Sequence[str]) -> Wanted:
    """Of these families, but for the largest batch, which takes long and shows what 1024 does."""
    return [
        (job, cell)
        for name, job in JOBS.items()
        if name in names
        for cell in family(name).CELLS
        if cell.batch < 8192
    ]


@contextlib.contextmanager
def older(revision: str) -> Iterator[str]:
    """A folder with the package as it was in that revision. Raises CalledProcessError where git knows none."""
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", revision, "xpnn"]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            archive.extractall(folder)
        yield folder


def ratios_of(times: dict[str, list[float]], cell: str) -> Ratios:
    """Of ours, in one cell."""
    low = {name: quartiles(seconds)[0] for name, seconds in times.items()}
    return {f"{cell} {name}": low[name] / low[BEFORE[name]] for name in OURS if name in low}


def sweep(tree: str, wanted: Wanted) -> Ratios:
    """All of these cells once, in new processes. A guard that cannot see one has failed."""
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"))
    names = [*OURS, *BEFORE.values()]
    names, found = [name for name in names if name not in missing(names)], Ratios()
    with Arena(names, time.process_time, dict.fromkeys(BEFORE.values(), tree)) as arena:
        for job, cell in wanted:
            if failed := arena.build(job, cell):
                sys.exit(f"{cell.name}: {failed}")
            found |= ratios_of(arena.turns(ROUNDS, TURN), cell.name)
    return found


def suspects(ratios: Ratios) -> list[str]:
    """Those that seem slower than they were."""
    return [key for key, ratio in ratios.items() if ratio > SLOWER]


def better(now: Ratios, again: Ratios) -> Ratios:
    """With the smaller of two measures of those that were measured again."""
    return now | {key: min(now[key], ratio) for key, ratio in again.items()}


def look(names: Sequence[str], revision: str) -> int:
    """Print what became slower; 1 where something did, 2 where there is nothing to compare with."""
    wanted = cells(names)
    try:
        with older(revision) as tree:
            ratios = sweep(tree, wanted)
            for _ in range(AGAIN):
                again = {key.split()[0] for key in suspects(ratios)}
                if again:
                    ratios = better(
                        ratios, sweep(tree, [(job, cell) for job, cell in wanted if cell.name in again])
                    )
    except subprocess.CalledProcessError as error:
        print(f"there is no revision {revision!r}: {error.stderr.decode().strip()}", file=sys.stderr)
        return 2
    accused = suspects(ratios)
    for key in accused:
        print(f"slower: {key}: {ratios[key]:.2f} times as long as in {revision}")
    print(f"{len(accused)} of {len(ratios)} slower by more than {SLOWER - 1:.0%}")
    return 1 if accused else 0

"""How most families are measured: every contender does every cell, in turns."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.arena import Arena
from benchmarks.nets import Cell

TURN = 0.12
"""Seconds of one turn, where a step is not longer."""


def measure(
    family: str,
    job: str,
    contenders: Sequence[str],
    cells: Sequence[Cell],
    rounds: int,
    absent: dict[str, str],
    turn: float = TURN,
) -> Iterator[dict[str, Any]]:
    """A record for each cell: {"seconds": {contender: a number a round}, "failed": {contender: why}}."""
    names = [name for name in contenders if name not in absent]
    with Arena(names) as arena:
        for cell in cells:
            failed = {name: absent[name] for name in contenders if name in absent}
            failed |= arena.build(job, cell)
            seconds = arena.turns(rounds, turn)
            yield {
                "family": family,
                "cell": cell.name,
                "batch": cell.batch,
                "seconds": seconds,
                "failed": failed | arena.ended,
            }


def measured(*how: Any, **settings: float) -> Callable[..., Iterator[dict[str, Any]]]:
    """measure(rounds, absent) of a family."""
    return functools.partial(measure, *how, **settings)

"""The arena: each contender in a process of its own, all of them taking turns, round after round.

Ratios are taken within a round. Between two turns the arena waits for spinning worker threads to fall asleep. A
contender that cannot do a cell, for want of a compiler for example, is left out of it and says why.
"""

import importlib
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.libraries import CONTENDERS, Run
from benchmarks.machine import cores, peak_bytes
from benchmarks.nets import Cell

Clock = Callable[[], float]
WARM = 2
"""Steps before anything is timed: the first may compile."""
REST = 0.15
"""Seconds between two turns: OpenBLAS spins for a tenth."""


class Arena:
    """`with Arena(names) as arena: arena.build("train", cell)`, then `arena.turns(rounds, seconds)`."""

    def __init__(
        self, names: Sequence[str], clock: Clock = time.perf_counter, trees: Mapping[str, str] | None = None
    ) -> None:
        """trees: for a contender whose package is not this one, the folder that it is in."""
        context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Connection] = {}
        self.processes, self.units, self.ended = [], dict[str, int](), dict[str, str]()
        for name in names:
            self.pipes[name], theirs = context.Pipe()
            process = context.Process(
                target=serve, args=(name, theirs, clock, (trees or {}).get(name)), daemon=True
            )
            process.start()
            theirs.close()
            self.processes.append(process)

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self.pipes.values():
            pipe.send(None)
        for process in self.processes:
            process.join(10)

    @contextmanager
    def watched(self, name: str) -> Iterator[None]:
        """Whoever's process ends is out of the arena."""
        try:
            yield
        except (EOFError, OSError):
            self.ended[name] = "its process ended"
            del self.pipes[name]
            self.units.pop(name, None)

    def build(self, job: str, cell: Cell) -> dict[str, str]:
        """Everybody gets ready, all at once; {contender: why it cannot}."""
        failed, self.units = {}, {}
        for name in list(self.pipes):
            with self.watched(name):
                self.pipes[name].send((job, cell))
        for name in list(self.pipes):
            with self.watched(name):
                answer = self.pipes[name].recv()
                (failed if isinstance(answer, str) else self.units)[name] = answer
        return failed | self.ended

    def turns(self, rounds: int, seconds: float) -> dict[str, list[float]]:
        """Seconds a step of every contender, one number a round; a turn takes about `seconds`, and a step at least."""
        times = {name: list[float]() for name in self.units}
        for turn in range(rounds):
            for name in rotated(list(self.units), turn):
                time.sleep(REST)
                with self.watched(name):
                    self.pipes[name].send(seconds)
                    times[name].append(float(self.pipes[name].recv()))
        return {name: times[name] for name in self.units}


def rotated(names: list[str], turn: int) -> Iterator[str]:
    """Nobody is always the first."""
    start = turn % max(1, len(names))
    yield from names[start:] + names[:start]


def serve(name: str, pipe: Connection, clock: Clock, tree: str | None = None) -> None:
    """In a contender's process: (job, cell) is answered by a unit of steps, or why there is none; seconds by a time."""
    if tree is not None:
        sys.path.insert(0, tree)
    os.environ.update(CONTENDERS[name].environment)
    run: Any = None
    unit = 1
    while (order := pipe.recv()) is not None:
        if isinstance(order, tuple):
            run, answer = ready(name, *order)
            unit = answer if isinstance(answer, int) else 1
            pipe.send(answer)
        else:
            pipe.send(paced(run, unit, order, clock))


def paced(run: Run, unit: int, seconds: float, clock: Clock) -> float:
    """Seconds a step, of the first run of steps that takes at least half of `seconds`.

    The shorter runs before it, each up to ten times as long as the last, wake threads and fill caches. A number of
    steps that was fixed beforehand would be too small for good if it was found while something else was running.
    """
    steps = unit
    while True:
        began = clock()
        run(steps)
        took = clock() - began
        if took >= seconds / 2:
            return took / steps
        steps = unit * math.ceil(steps // unit * min(10, max(2, seconds / max(took, 1e-9))))


def ready(name: str, job: str, cell: Cell) -> tuple[Any, int | str]:
    """The contender's run, warmed up, and the number of steps that it can be asked for, or why there is none."""
    try:
        run = CONTENDERS[name].build(job, cell)
        if "torch" in sys.modules:  # of its own accord it takes one thread for two of a core
            sys.modules["torch"].set_num_threads(cores())
        unit = getattr(run, "unit", 1)
        for _ in range(WARM):
            run(unit)
    except Exception as error:
        return None, f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    return run, unit


def memory(name: str, job: str, cell: Cell) -> dict[str, int] | str:
    """Peak bytes of a process of its own, after the imports and after some steps; or why there are none."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=weigh, args=(name, job, cell, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        answer: dict[str, int] | str = ours.recv()
    except EOFError:
        answer = "its process ended"
    process.join()
    return answer


def weigh(name: str, job: str, cell: Cell, pipe: Connection) -> None:
    """In that process."""
    os.environ.update(CONTENDERS[name].environment)
    importlib.import_module(f"benchmarks.libraries.{CONTENDERS[name].file}")
    imported = peak_bytes()
    run, answer = ready(name, job, cell)
    pipe.send(answer if run is None else {"imported": imported, "peak": peak_bytes()})

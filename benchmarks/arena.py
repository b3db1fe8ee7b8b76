"""The arena: each contender in a process of its own, all of them taking turns, round after round.

A ratio is taken within a round, seconds of the rival over seconds of xpnn, so that a machine that changes its speed
changes both. Between two turns the arena waits for spinning worker threads to fall asleep.
"""

import importlib.util
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.contenders import CONTENDERS

TURN, REST, WARM = 0.25, 0.3, 3


def serve(name: str, pipe: Connection) -> None:
    """Answer (sizes, batch) by building, a number of steps by running them and sending the seconds per step."""
    run: Any = None
    while (order := pipe.recv()) is not None:
        if isinstance(order, tuple):
            run = CONTENDERS[name](*order)
            run(WARM)
            pipe.send("ready")
            continue
        steps = getattr(run, "steps_of", int)(order)
        began = time.perf_counter()
        run(order)
        pipe.send((time.perf_counter() - began) / steps)


class Arena:
    """`with Arena(names) as arena: arena.cell(sizes, batch, rounds)`."""

    def __init__(self, names: list[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = {}, []
        for name in names:
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(name, theirs), daemon=True)
            process.start()
            self.pipes[name] = ours
            self.processes.append(process)

    def __enter__(self) -> "Arena":
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self.pipes.values():
            pipe.send(None)
        for process in self.processes:
            process.join(10)

    def ask(self, name: str, order: Any) -> Any:
        self.pipes[name].send(order)
        return self.pipes[name].recv()

    def cell(self, sizes: list[int], batch: int, rounds: int) -> dict[str, list[float]]:
        """Seconds per step of every contender, one number a round."""
        times: dict[str, list[float]] = {name: [] for name in self.pipes}
        for name in self.pipes:
            self.ask(name, (sizes, batch))
        steps = {name: max(1, int(TURN / self.ask(name, WARM))) for name in self.pipes}
        for turn in range(rounds):
            for name in rotated(list(self.pipes), turn):
                time.sleep(REST)
                times[name].append(self.ask(name, steps[name]))
        return times


def rotated(names: list[str], turn: int) -> Iterator[str]:
    """Nobody always follows the same neighbour."""
    start = turn % len(names)
    yield from names[start:] + names[:start]


def installed(names: list[str]) -> list[str]:
    """Those whose library is here."""
    needs = {
        "xpnn-fast": "numba",
        "torch": "torch",
        "torch-fused": "torch",
        "jax": "jax",
        "sklearn": "sklearn",
    }
    return [name for name in names if name not in needs or importlib.util.find_spec(needs[name])]

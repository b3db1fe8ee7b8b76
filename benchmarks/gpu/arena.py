"""Contenders in processes of their own, taking turns; one that refuses, crashes or hangs is a word in the report.

A ratio is taken within a round, the rival's time over ours, so that a machine that changes its speed changes both.
"""

import contextlib
import gc
import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.gpu.contenders import load, make
from benchmarks.gpu.nets import Cell
from benchmarks.gpu.site import first_line

TURN = 0.03
"""Seconds of a turn, about."""
CHECK = 8
"""The step whose loss is compared between contenders."""
WAIT = 20.0
"""Seconds that a turn may take: far more than it does."""


def serve(name: str, rehearsal: bool, pipe: Connection) -> None:
    """Answers each order with ("ok", result) or ("refused", why); None ends it."""
    worker = Worker(name, rehearsal)
    while (order := pipe.recv()) is not None:
        try:
            pipe.send(("ok", getattr(worker, order[0])(*order[1:])))
        except Exception as error:
            pipe.send(("refused", first_line(error)))


class Worker:
    """What happens in the process of a contender."""

    def __init__(self, name: str, rehearsal: bool) -> None:
        self.name, self.rehearsal = name, rehearsal
        self.contender: Any = None

    def load(self) -> None:
        """Import its library: from a cold disk that takes long."""
        load(self.name)

    def build(self, cell: Cell) -> dict[str, float]:
        """Seconds until the first steps were done, the loss of step CHECK, seconds of a step by a first look."""
        self.contender = None
        gc.collect()  # what the last cell held
        began = time.perf_counter()
        self.contender = make(self.name, cell, self.rehearsal)
        self.contender.steps(1)
        self.contender.wait()
        built = time.perf_counter() - began
        self.contender.steps(CHECK - self.contender.done)
        loss = self.contender.loss()
        return {"build_s": built, "loss": loss, "first_s": self.turn(3)}

    def turn(self, steps: int) -> float:
        """Seconds of a step, waited for."""
        self.contender.wait()
        began = time.perf_counter()
        self.contender.steps(steps)
        self.contender.wait()
        return (time.perf_counter() - began) / steps


class Seat:
    """The process of one contender, begun anew where it was lost."""

    def __init__(self, name: str, rehearsal: bool) -> None:
        self.name, self.rehearsal = name, rehearsal
        self.process: Any = None

    def send(self, *order: Any) -> None:
        """Give an order; the answer is read by `answer`."""
        if self.process is None:
            context = multiprocessing.get_context("spawn")
            self.pipe, theirs = context.Pipe()
            self.process = context.Process(
                target=serve, args=(self.name, self.rehearsal, theirs), daemon=True
            )
            self.process.start()
            theirs.close()
        with contextlib.suppress(OSError):  # it ended: `answer` says so
            self.pipe.send(order)

    def answer(self, seconds: float) -> tuple[str, Any]:
        """("ok", result) or ("refused", why)."""
        try:
            if self.pipe.poll(max(seconds, 0.0)):
                answer: tuple[str, Any] = self.pipe.recv()
                return answer
            why = f"no answer in {seconds:.0f} s"
        except (EOFError, OSError):
            self.process.join(5)
            why = f"its process ended with {self.process.exitcode}"
        self.close()
        return "refused", why

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None


def together(
    seats: dict[Any, Seat], orders: dict[Any, tuple[Any, ...]], seconds: float
) -> dict[Any, tuple[str, Any]]:
    """Everybody does its order at once: {key: answer}."""
    until = time.monotonic() + seconds
    for key, seat in seats.items():
        seat.send(*orders[key])
    return {key: seat.answer(until - time.monotonic()) for key, seat in seats.items()}


def take_turns(seats: dict[Any, Seat], first: dict[Any, float], rounds: int) -> dict[Any, list[float] | str]:
    """{key: seconds of a step, a number a round, or why not}. Nobody always follows the same neighbour."""
    times: dict[Any, Any] = {key: [] for key in seats}
    for number in range(rounds):
        keys = [key for key in seats if not isinstance(times[key], str)]
        start = number % max(len(keys), 1)
        for key in keys[start:] + keys[:start]:
            seats[key].send("turn", max(1, int(TURN / max(first[key], 1e-7))))
            status, result = seats[key].answer(WAIT)
            times[key] = [*times[key], result] if status == "ok" else result
    return times

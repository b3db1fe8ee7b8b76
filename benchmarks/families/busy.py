"""A busy machine: an epoch, and one prediction, while k other processes compute without a pause.

A fit as in `epoch.py` runs for three epochs, on as many threads as it finds best before its first step. The fair share
of an epoch on c cores is (c + k) / c times what it takes alone. Predictions are made one after the other for some
seconds; p50, p90 and p99 are over their times.
"""

import contextlib
import multiprocessing
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.arena import ready
from benchmarks.families.epoch import CELLS as EPOCH
from benchmarks.goals import Goal, Record
from benchmarks.libraries import CONTENDERS as KNOWN
from benchmarks.machine import cores
from benchmarks.nets import NARROW, WIDE, Cell

TITLE = "A busy machine"
COMPETING = (0, 1, 2, 4)
TASKS = (*EPOCH, *(Cell(f"{net.name}/infer/1", net, 1) for net in (NARROW, WIDE)))
CELLS = [replace(task, name=f"k={k}/{task.name}") for task in TASKS for k in COMPETING]
TAKING_PART = {
    "epoch": ("xpnn", "xpnn-fast", "xpnn-adapt", "torch-batched", "keras"),
    "infer": ("xpnn", "xpnn-fast", "torch", "jax"),
}
CONTENDERS = tuple(dict.fromkeys(name for names in TAKING_PART.values() for name in names))
SECONDS = 5.0
"""Of predictions one after the other, and of training at most beyond one epoch."""
EPOCHS = 3
"""Of a fit."""
SLICE = 0.004
"""Seconds for which the scheduler may give the core to another process."""
RANKS = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def job_of(cell: Cell) -> str:
    return cell.name.split("/")[1]


def spin() -> None:
    """What a competing process does."""
    while True:
        pass


@contextlib.contextmanager
def competing(k: int) -> Iterator[None]:
    """k processes that compute without a pause."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=spin, daemon=True) for _ in range(k)]
    for process in others:
        process.start()
    try:
        yield
    finally:
        for process in others:
            process.kill()
            process.join()


def serve(name: str, job: str, cell: Cell, pipe: Connection) -> None:
    """In a contender's process: seconds of each epoch or prediction until so many seconds are over; None ends."""
    os.environ.update(KNOWN[name].environment)
    run, answer = ready(name, job, cell)
    n = EPOCHS if job == "epoch" else 1
    pipe.send(answer if run is None else 1)
    while run is not None and (seconds := pipe.recv()) is not None:
        began, times = time.perf_counter(), list[float]()
        while not times or time.perf_counter() - began < seconds:
            start = time.perf_counter()
            run(n)
            times.append((time.perf_counter() - start) / n)
        pipe.send(times)


def measured(name: str, cell: Cell, seconds: float) -> dict[int, list[float]] | str:
    """{k: the seconds of each run beside k processes}, or why there are none."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(name, job_of(cell), cell, theirs), daemon=True)
    process.start()
    theirs.close()
    found: dict[int, list[float]] = {}
    try:
        if isinstance(answer := ours.recv(), str):
            return answer
        for k in COMPETING:
            with competing(k):
                ours.send(seconds)
                found[k] = ours.recv()
        ours.send(None)
    except (EOFError, OSError):
        return "its process ended"
    finally:
        process.join(10)
    return found


def measure(rounds: int, absent: dict[str, str], seconds: float = SECONDS) -> Iterator[dict[str, Any]]:
    """A record for each cell and each k; rounds are as many as fit into the seconds."""
    for cell in TASKS:
        names = TAKING_PART[job_of(cell)]
        times = {name: absent.get(name) or measured(name, cell, seconds) for name in names}
        failed = {name: why for name, why in times.items() if isinstance(why, str)}
        known = {name: by_k for name, by_k in times.items() if not isinstance(by_k, str)}
        for k in COMPETING:
            yield {
                "family": "busy",
                "cell": f"k={k}/{cell.name}",
                "batch": cell.batch,
                "k": k,
                "cores": cores(),
                "alone": {name: statistics.median(by_k[0]) for name, by_k in known.items()},
                "seconds": {name: ranked(by_k[k]) for name, by_k in known.items()},
                "failed": failed,
            }


def ranked(times: list[float]) -> list[float]:
    """p50, p90 and p99."""
    ordered = sorted(times)
    return [ordered[min(len(ordered) - 1, int(rank * len(ordered)))] for rank in RANKS.values()]


def of_fair_share(record: Record, ours: str) -> list[float] | None:
    """The median epoch / its fair share."""
    if ours not in record["seconds"]:
        return None
    fair = record["alone"][ours] * (record["cores"] + record["k"]) / record["cores"]
    return [record["seconds"][ours][0] / fair]


def of_allowed(record: Record, ours: str) -> list[float] | None:
    """p99 / (five times the median alone, and a time slice)."""
    if ours not in record["seconds"]:
        return None
    return [record["seconds"][ours][-1] / (5 * record["alone"][ours] + SLICE)]


def rival_by(rank: int, *rivals: str) -> Any:
    """PyTorch's time / ours at that rank."""

    def values(record: Record, ours: str) -> list[float] | None:
        seconds = record["seconds"]
        there = [seconds[name][rank] for name in rivals if name in seconds]
        return [there[0] / seconds[ours][rank]] if there and ours in seconds else None

    return values


GOALS = (
    Goal("k=2/*/epoch/*", "an epoch / its fair share", of_fair_share, 1.3, at_most=True),
    Goal("k=2/*/infer/*", "p99 / (5 medians alone + a time slice)", of_allowed, 1.0, at_most=True),
    Goal("k=[124]/*/epoch/*", "PyTorch on whole batches", rival_by(0, "torch-batched"), 0.9),
    Goal("k=[124]/*/infer/*", "PyTorch's p99", rival_by(-1, "torch"), 0.9),
)


def table_of(records: list[Record]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: of each contender the median epoch, or the three ranks of a prediction."""
    from benchmarks.report import duration

    names = list(dict.fromkeys(name for record in records for name in record["seconds"]))
    rows = []
    for record in records:
        shown = slice(1) if "/epoch/" in record["cell"] else slice(None)
        each = {name: record["seconds"].get(name) for name in names}
        rows.append(
            [
                record["cell"],
                *(" / ".join(duration([s]) for s in each[n][shown]) if each[n] else "-" for n in names),
            ]
        )
    return ["cell; of a prediction p50 / p90 / p99", *names], rows

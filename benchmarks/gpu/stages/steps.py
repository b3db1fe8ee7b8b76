"""Training steps per network, batch and precision: xpnn captured and eager, PyTorch three ways, JAX, the roofline."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.gpu.arena import Seat, take_turns, together
from benchmarks.gpu.contenders import CONTENDERS, OURS
from benchmarks.gpu.nets import PRECISIONS, cell
from benchmarks.gpu.site import Site
from benchmarks.ratios import within_rounds

CELLS = (
    ("784-128-10", 128),
    ("784-1024-1024-10", 128),
    ("784-1024-1024-10", 8192),
    ("cnn", 512),
    ("784-128-10", 8192),
    ("784-1024-1024-10", 60_000),
    ("784-128-10", 1024),
    ("784-1024-1024-10", 1024),
    ("784-128-10", 60_000),
)
"""What tells most comes first."""
SMALL = (("12-8-3", 4), ("tiny cnn", 3))
ROUNDS = 5
LOAD, BUILD = 60.0, 40.0
"""Seconds for importing the libraries at first, and for what compiles longest in each cell."""
LEAST = 6.0
"""With less left, a cell is not begun."""


def run(place: Site, note: Callable[..., None]) -> None:
    names = [(name, precision) for precision in place.pick(PRECISIONS, ("fp32",)) for name in CONTENDERS]
    seats = {key: Seat(key[0], place.rehearsal) for key in names}
    try:
        together(seats, dict.fromkeys(seats, ("load",)), min(LOAD, place.left() / 2))
        for net, batch in place.pick(CELLS, SMALL):
            for row in measure(place, seats, net, batch):
                note(**row)
    finally:
        for seat in seats.values():
            seat.close()


def measure(place: Site, seats: dict[Any, Seat], net: str, batch: int) -> list[dict[str, Any]]:
    """A row for each precision of one network and batch."""
    precisions = dict.fromkeys(precision for _, precision in seats)
    if place.left() < LEAST:
        return [{"name": net, "batch": batch, "precision": p, "refused": "no time left"} for p in precisions]
    samples = place.pick({}, {"samples": 4 * batch})
    orders = {key: ("build", cell(net, batch, key[1], **samples)) for key in seats}
    answers = together(seats, orders, min(BUILD, place.left() - LEAST / 2))
    rows = []
    for precision in precisions:
        ready = {
            key: answer for key, (status, answer) in answers.items() if status == "ok" and key[1] == precision
        }
        times = take_turns({k: seats[k] for k in ready}, {k: a["first_s"] for k, a in ready.items()}, ROUNDS)
        rows.append({"name": net, "batch": batch, "precision": precision, "contenders": {}})
        for key in (key for key in seats if key[1] == precision):
            measured = times.get(key, answers[key][1])
            rows[-1]["contenders"][key[0]] = (
                {"refused": measured} if isinstance(measured, str) else {"seconds": measured, **ready[key]}
            )
        rows[-1] |= {"ratios": ratios(rows[-1]["contenders"]), "apart": apart(rows[-1]["contenders"])}
    return rows


def ratios(contenders: dict[str, Any]) -> dict[str, list[float]]:
    """{rival: its time over ours, round by round}."""
    ours = contenders.get(OURS, {}).get("seconds")
    if not ours:
        return {}
    return {
        name: within_rounds(measured["seconds"], ours)
        for name, measured in contenders.items()
        if name != OURS and "seconds" in measured
    }


def apart(contenders: dict[str, Any]) -> float:
    """How far the losses lie from their median after equally many steps: do all train the same network?"""
    losses = [measured["loss"] for measured in contenders.values() if "loss" in measured]
    if not all(map(math.isfinite, losses)):
        return math.inf
    middle = statistics.median(losses) if losses else 1.0
    return max((abs(loss - middle) / middle for loss in losses), default=0.0)

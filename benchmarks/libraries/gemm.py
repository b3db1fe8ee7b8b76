"""The floor: the matrix products of a step and nothing else, into arrays that are there already.

Each the way round that BLAS does faster.
"""

import math
import timeit
from dataclasses import replace
from itertools import chain

import numpy as np

import xpnn
from benchmarks.libraries import Run
from benchmarks.nets import GATES, Cell, Host, walk

Product = tuple[int, Host, Host, Host]
"""How often, and a, b and out of a @ b."""

TRIES = 5
TRAINED, HELD_OUT, FORWARD = 55_000, 5_000, 1024
"""Samples of an epoch, those that are held out, and how many of these go forward at a time."""
PIECE = 1 << 20
"""Elements of a convolution's columns at a time: as many as stay in the cache, where the products are fastest."""


def filled(*shape: int) -> Host:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def linear(rows: int, n_in: int, units: int, first: bool, times: int = 1) -> tuple[list[Product], ...]:
    """Forward x W; backward x^T dy, and dy W^T where something asks for it."""
    x, W, dy = filled(rows, n_in), filled(n_in, units), filled(rows, units)
    forward = [(times, x, W, np.empty_like(dy))]
    backward = [(times, x.T, dy, np.empty_like(W))]
    if not first:
        backward.append((times, dy, W.T, np.empty_like(x)))
    return forward, backward


def recurrent(batch: int, rows: int, units: int, gates: int) -> tuple[list[Product], ...]:
    """h U and da U^T of every step but the first, whose state is 0; dU of all steps at once."""
    wide = gates * units
    h, U, da = filled(batch, units), filled(units, wide), filled(batch, wide)
    all_h, all_da = filled(batch * rows, units), filled(batch * rows, wide)
    forward = [(rows - 1, h, U, np.empty_like(da))]
    return forward, [(rows - 1, da, U.T, np.empty_like(h)), (1, all_h.T, all_da, np.empty_like(U))]


def products(cell: Cell) -> tuple[list[Product], list[Product]]:
    """Of the way forward, and of the way back."""
    xpnn.keep_memory()  # the same memory as in the steps whose floor this is
    forward: list[Product] = []
    backward: list[Product] = []
    for kind, size, shape in walk(cell.net):
        parts: list[tuple[list[Product], ...]] = []
        if kind == "dense":
            parts = [linear(cell.batch, shape[0], size, first=not forward)]
        elif kind == "conv":
            places, taps = (shape[0] - 2) * (shape[1] - 2), 9 * shape[2]
            samples = min(cell.batch, max(1, PIECE // (places * taps)))
            times = math.ceil(cell.batch / samples)
            parts = [linear(samples * places, taps, size, first=not forward, times=times)]
        elif kind in GATES:
            gates = GATES[kind]
            inputs = linear(cell.batch * shape[0], shape[1], gates * size, first=not forward)
            parts = [inputs, recurrent(cell.batch, shape[0], size, gates)]
        for ahead, back in parts:
            forward += ahead
            backward += back
    return forward, backward


def faster(times: int, a: Host, b: Host, out: Host) -> Product:
    """a @ b, or its transpose b^T @ a^T: whichever takes less time, at best of a few."""
    turned = b.T, a.T, np.empty(out.shape[::-1], out.dtype)
    seconds = [
        min(timeit.repeat(lambda o=o: np.matmul(o[0], o[1], out=o[2]), number=1, repeat=TRIES))
        for o in ((a, b, out), turned)
    ]
    return times, *((a, b, out) if seconds[0] <= seconds[1] else turned)


def repeat(calls: list[Product]) -> Run:
    calls = [faster(*call) for call in calls]

    def run(steps: int) -> None:
        for _ in range(steps):
            for times, a, b, out in calls:
                for _ in range(times):
                    np.matmul(a, b, out=out)

    return run


def train(cell: Cell) -> Run:
    return repeat(list(chain(*products(cell))))


def infer(cell: Cell) -> Run:
    return repeat(products(cell)[0])


def products_of_epoch(cell: Cell) -> list[tuple[int, list[Product]]]:
    """How often, and the products of a step on a whole and on the last batch; forward, of samples that are held out."""
    steps, rest = divmod(TRAINED, cell.batch)
    batches, left = divmod(HELD_OUT, FORWARD)
    parts = [(steps, cell.batch, True), (1, rest, True), (batches, FORWARD, False), (1, left, False)]
    found = []
    for times, rows, trains in parts:
        if rows:
            forward, backward = products(replace(cell, batch=rows))
            found.append((times, forward + backward if trains else forward))
    return found


def epoch(cell: Cell) -> Run:
    """The products of all its batches, the last, smaller one and the validation included."""
    parts = [(times, repeat(calls)) for times, calls in products_of_epoch(cell)]

    def run(epochs: int) -> None:
        for _ in range(epochs):
            for times, part in parts:
                part(times)

    return run

"""What the guard measures by: the floor, and a copy of every vector that the optimizer reads.

Other work on the machine slows products little and passes over memory much; a step has both.
"""

import numpy as np

from benchmarks.libraries import Run, gemm
from benchmarks.nets import Cell, weights

VECTORS = {"sgd": 2, "adam": 4}
"""theta and its gradient; Adam's m and v."""

infer = gemm.infer


def train(cell: Cell) -> Run:
    products = gemm.train(cell)
    size = sum(a.size for arrays in weights(cell.net) for a in arrays)
    pairs = [(gemm.filled(size), np.empty(size, np.float32)) for _ in range(VECTORS[cell.optimizer])]

    def run(steps: int) -> None:
        for _ in range(steps):
            products(1)
            for given, copy in pairs:
                np.copyto(copy, given)

    return run

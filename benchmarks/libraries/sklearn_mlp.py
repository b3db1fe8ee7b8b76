"""scikit-learn's MLPClassifier, which trains multilayer perceptrons only, and draws its own weights."""

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.libraries import Run
from benchmarks.nets import RATES, Cell, batch_of


def build(cell: Cell) -> MLPClassifier:
    hidden = tuple(units for kind, units in cell.net.layers if kind == "dense")[:-1]
    settings = {"solver": cell.optimizer, "learning_rate_init": RATES[cell.optimizer], "momentum": 0.0}
    return MLPClassifier(hidden, batch_size=cell.batch, alpha=0.0, random_state=0, **settings)


def train(cell: Cell) -> Run:
    """`partial_fit` on many batches at once, so that its checks of the data weigh little."""
    net, many = build(cell), max(1, 4096 // cell.batch)
    x, y = batch_of(cell, many)

    def run(steps: int) -> float:
        for _ in range(steps // many):
            net.partial_fit(x, y, classes=np.arange(10))
        return float(net.loss_)

    run.unit = many  # type: ignore[attr-defined]
    return run


def infer(cell: Cell) -> Run:
    net, (x, y) = build(cell), batch_of(cell)
    net.partial_fit(x, y, classes=np.arange(10))

    def run(steps: int) -> None:
        for _ in range(steps):
            net.predict_proba(x)

    return run

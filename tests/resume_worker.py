"""A process of its own: `whole FOLDER` trains every optimizer to its end, and once up to a stop; `rest FOLDER` goes on.

Prints one line for each run: its name, and a hash of its weights, the optimizer's state and the history.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from cases import FULL_BATCH, OPTIMIZERS

import xpnn
from xpnn.optimizers import LBFGS
from xpnn.schedules import Cosine, Warmup
from xpnn.training import Callback, Checkpoint, EarlyStopping, KeepBest, Mixup, ReduceOnPlateau, Trainer

X = np.sin(np.arange(61 * 4.0)).reshape(61, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
ROWS = OPTIMIZERS + FULL_BATCH
EPOCHS, STOPS = 10, {"end": 20, "inside": 18}
"""Epochs of four batches: one stop lies at the end of the fifth epoch, one inside it."""


class Stop(Callback):
    """The stop may come after the batch or, where there are no batches, after the epoch."""

    def __init__(self, step):
        self.at = step

    def step(self, trainer):
        if trainer.steps == self.at and self.at % 4:
            trainer.stopped = "test"

    def epoch(self, trainer, row):
        if 4 * row.epoch == self.at:
            trainer.stopped = "test"


def fitted(number, path=None, stop=None, resume=None):
    """One run. Every second one mixes its samples; LBFGS takes neither schedules nor a plateau."""
    optimizer = ROWS[number]
    full = isinstance(optimizer, LBFGS)
    layers = [xpnn.Dense(6), xpnn.Dense(5), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dropout(0.3), xpnn.Dense(3)]
    model = xpnn.Model(layers, (4,), seed=number)
    trainer = Trainer(
        model,
        optimizer=optimizer,
        schedule=None if full else Warmup(3, Cosine()),
        augment=Mixup() if number % 2 else None,
    )
    callbacks = [KeepBest(), EarlyStopping(9, restore=False)]
    if not full:
        callbacks.append(ReduceOnPlateau(0.5, 1))
    if path is not None:
        callbacks += [Stop(stop), Checkpoint(path, epochs=EPOCHS)]
    weight = None if number % 3 else 0.5 + np.arange(61) % 2
    trainer.fit(
        X, IDS, epochs=EPOCHS, batch_size=16, validation=6, sample_weight=weight, callbacks=callbacks, resume=resume
    )  # fmt: skip
    return trainer


def mark(trainer):
    """A hash of everything that the run ended with."""
    total = hashlib.sha256()
    for vector in [*trainer.model.snapshot().values(), *trainer.state.values()]:
        total.update(np.ascontiguousarray(vector).data)
    rows = [(r.epoch, r.train_loss, r.valid_loss, r.valid_accuracy, r.lr, r.best) for r in trainer.history]
    total.update(repr((rows, trainer.steps, trainer.rate)).encode())
    return total.hexdigest()


def main(what, folder):
    for number, optimizer in enumerate(ROWS):
        stops = {"end": 20} if isinstance(optimizer, LBFGS) else STOPS
        if what == "whole":
            print(number, "whole", mark(fitted(number)))
        for place, step in stops.items():
            path = Path(folder) / f"{number}-{place}"
            if what == "whole":
                fitted(number, path, step)
            else:
                print(number, place, mark(fitted(number, resume=path)))


if __name__ == "__main__":
    main(*sys.argv[1:])

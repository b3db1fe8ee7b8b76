"""A process of several: `equal_worker.py FOLDER PART` trains each row of that part together, and rank 0 once alone.

Rank 0 writes {row: the largest difference} to FOLDER/report.json; every rank the row it is at to FOLDER/RANK.
"""

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
from cases import LAYERS, LOSSES, LossCase
from cases.row import is_multiple
from harness import draw_loss

import xpnn
from xpnn import losses
from xpnn.distributed import connect
from xpnn.training import CutMix, Mixup, Trainer
from xpnn.training.run import Callback

N, BATCH = 18, 8
"""Batches of 8, 8 and 2: shares of unequal sizes, and fewer samples than three or four ranks."""
RNG = np.random.default_rng(0)
SGD = xpnn.SGD(0.02, momentum=0.5)


@dataclasses.dataclass
class Row:
    """A network, its data, and what else a trainer is given."""

    layers: object
    x: object
    y: object
    loss: object = None
    weight: object = None
    optimizer: object = SGD
    fit: dict = dataclasses.field(default_factory=dict)
    trainer: dict = dataclasses.field(default_factory=dict)

    def train(self, communicator=None, backend="numpy"):
        """-> weights, running statistics, losses of every epoch and of every batch."""
        single = not isinstance(self.x, tuple)
        shape = self.x.shape[1:] if single else tuple(a.shape[1:] for a in self.x)
        model = xpnn.Model(self.layers, shape, dtype="float64", seed=3, loss=self.loss, backend=backend)
        trainer = Trainer(model, self.loss, self.optimizer, communicator=communicator, **self.trainer)
        steps = Steps()
        given = {"epochs": 2, "batch_size": BATCH, "sample_weight": self.weight} | self.fit
        history = trainer.fit(self.x, self.y, callbacks=[steps], **given)
        rows = [[v for v in (row.train_loss, row.valid_loss) if v is not None] for row in history]
        return *model.snapshot().values(), np.array(rows), np.array(steps.losses)


class Steps(Callback):
    """The losses of all steps."""

    def __init__(self):
        self.losses = []

    def epoch(self, run, row):
        self.losses += run.losses


def loss_rows():
    """Every loss with every target and reduction that can be trained with, with and without weights."""
    for case in LOSSES:
        if case.loss.reduction == "none" or case.loss.kind == "several":
            continue
        for reduction in ("mean", "sum"):
            loss = dataclasses.replace(case.loss, reduction=reduction)
            whole = LossCase(loss, (N, *case.shape[1:]), case.target, case.weighted)
            _, y, weight = draw_loss(whole)
            x = RNG.standard_normal((N, 5))
            layers = [xpnn.Dense(math.prod(case.shape[1:])), xpnn.Reshape(case.shape[1:])]
            if loss.wants == "log-probabilities":
                layers.append(xpnn.LogSoftmax())
            slow = (
                SGD if reduction == "mean" else xpnn.SGD(0.001, momentum=0.5)
            )  # a sum's gradient is N times as long
            yield f"{case}-{reduction}", Row(layers, x, y, loss, weight, slow)


def layer_rows():
    """Every layer that draws random numbers or normalizes, and some of the others."""
    for number, case in enumerate(LAYERS):
        drawing = any(word in repr(case.layer) for word in ("Random", "Dropout", "Noise", "Norm"))
        if is_multiple(case.shape) or case.ids or not (drawing or number % 8 == 0):
            continue
        x = RNG.integers(0, 255, (N, *case.shape)).astype(np.uint8) if case.bytes else draw(case.shape)
        layers = [xpnn.Reshape(case.shape), case.layer, xpnn.Flatten(), xpnn.Dense(3)]
        if case.bytes:
            layers = [
                case.layer,
                *([] if isinstance(case.layer, xpnn.Sequential) else [xpnn.Rescale(1 / 255)]),
            ]
            layers += [xpnn.Flatten(), xpnn.Dense(3)]
        if np.size(x[0]) == 0:
            continue
        yield str(case), Row(layers, x, np.arange(N) % 3)


def draw(shape):
    return RNG.standard_normal((N, *shape))


def other_rows():
    """Several outputs, mixing, accumulation, L-BFGS, validation, one-hot labels with ignored ones."""
    x, ids, weight = draw((5,)), np.arange(N) % 3, RNG.uniform(0, 2, N)
    images, dense = (
        RNG.uniform(0, 1, (N, 4, 5, 1)),
        [xpnn.Dense(6), xpnn.Tanh(), xpnn.Dropout(0.2), xpnn.Dense(3)],
    )
    flat = [xpnn.Flatten(), *dense]
    ignored = np.where(np.arange(N) % 4 == 1, -100, ids)
    norm = [xpnn.Dense(6), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(3)]
    yield "weights", Row(dense, x, ids, weight=weight)
    yield "class weights", Row(dense, x, ids, fit={"class_weight": "balanced"})
    yield "validation", Row(dense, x, ids, fit={"validation": 5})
    yield "batches of 1", Row(dense, x[:7], ids[:7], fit={"batch_size": 1})
    yield "one batch", Row(norm, x, ids, fit={"batch_size": 100})
    yield (
        "nothing counts",
        Row(dense, x, np.full(N, -100), losses.SoftmaxCrossEntropy(ignore_index=-100), fit={"batch_size": 6}),
    )
    yield "norm, weights", Row(norm, x, ids, weight=weight)
    yield "norm of images", Row([xpnn.Conv2D(3, 2), xpnn.BatchNorm(), xpnn.ReLU(), *flat], images, ids)
    for mixing in (Mixup(0.4), CutMix()):
        for name, y, w, loss in (
            ("plain", ids, None, None),
            ("weights", ids, weight, None),
            ("ignored", ignored, weight, losses.SoftmaxCrossEntropy(ignore_index=-100)),
            ("sum", ids, weight, losses.SoftmaxCrossEntropy(reduction="sum")),
        ):
            yield f"{mixing}, {name}", Row(flat, images, y, loss, w, trainer={"augment": mixing})
    for optimizer in (
        xpnn.Accumulate(SGD, 2),
        xpnn.Accumulate(xpnn.Adam(0.01), 3),
        xpnn.EMA(xpnn.Accumulate(SGD, 2), 0.9),
        xpnn.AdamW(0.01, clip_norm=0.1),
        xpnn.LBFGS(),
    ):
        yield f"{optimizer}", Row(dense, x, ids, optimizer=optimizer)
        yield f"{optimizer}, weights", Row(dense, x, ids, None, weight, optimizer)
        if not isinstance(optimizer, xpnn.LBFGS):
            yield (
                f"{optimizer}, norm",
                Row(norm, x, ids, None, weight, SGD if "Adam" in repr(optimizer) else optimizer),
            )
    yield "LBFGS, norm", Row(norm, x, ids, optimizer=xpnn.LBFGS(), fit={"epochs": 4})
    yield "LBFGS, mixup", Row(flat, images, ids, optimizer=xpnn.LBFGS(), trainer={"augment": Mixup()})
    yield "LBFGS, triplets", Row(dense[:2], x, ids, losses.Triplet(), optimizer=xpnn.LBFGS())
    for loss, y in (
        (losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(), losses.MeanSquaredError()), (1.0, 0.5)), ids),
        (
            losses.MultiOutputLoss(
                (losses.SoftmaxCrossEntropy(ignore_index=-100), losses.MeanSquaredError(reduction="mean"))
            ),
            ignored,
        ),
        (losses.MultiOutputLoss((losses.Contrastive(), losses.MeanSquaredError())), ids),
    ):
        nodes = {"h": (xpnn.Dense(6), "x"), "a": (xpnn.Dense(3), "h"), "b": (xpnn.Dense(2), "h")}
        heads = xpnn.Graph(inputs="x", nodes=nodes, outputs=("a", "b"))
        for w in (None, weight):
            yield f"{loss}, weights {w is not None}", Row(heads, x, (y, draw((2,))), loss, w)


def all_rows():
    """One launch for all of them: starting the processes takes as long as fifty rows."""
    yield from loss_rows()
    yield from layer_rows()
    yield from other_rows()


FEW = ("weights", "validation", "batches of 1", "norm, weights", "Mixup(alpha=0.4), ignored", "LBFGS, norm")
COMPILED = ("norm, weights", "Mixup(alpha=0.4), ignored", "LBFGS, triplets")
"""Dropout, BatchNorm, ignored labels and weights, mixing, the whole batch's outputs, sums outside of a step."""


def named_rows(names, *beginnings):
    """Those of the other rows."""
    return ((name, row) for name, row in other_rows() if name in names or name.startswith(beginnings))


PARTS = {
    "all": all_rows,
    "losses": loss_rows,
    "layers": layer_rows,
    "others": other_rows,
    "few": lambda: named_rows(FEW, "Accumulate(optimizer=SGD"),
    "compiled": lambda: named_rows(COMPILED, f"{xpnn.Accumulate(SGD, 2)}, norm"),
}


def difference(a, b):
    """The largest absolute difference; NaN in one place alone counts as infinite."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape or not (np.isnan(a) == np.isnan(b)).all():
        return math.inf
    return float(np.nanmax(abs(a - b), initial=0))


def main(folder, part, backend="numpy", engine="mpi"):
    group, report = connect(engine), {}
    here = Path(folder) / str(group.rank)
    for name, row in PARTS[part]():
        here.write_text(name)
        together = row.train(group, backend)
        if group.rank == 0:
            alone = row.train(None, backend)
            report[name] = max(difference(a, b) for a, b in zip(together, alone, strict=True))
    if group.rank == 0:
        (Path(folder) / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])

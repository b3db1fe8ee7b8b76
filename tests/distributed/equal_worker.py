"""A process of several: `equal_worker.py FOLDER BACKEND WAY ...` trains rows in every way, and the last process alone.

A way is a part of the rows, an engine and a number of processes, as few-mpi-3: of those that were started, the first
three. Its first process writes what each row came to to FOLDER/WAY.npz, and every process where it is to FOLDER/RANK.
"""

import copy
import dataclasses
import fcntl
import itertools
import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import quick_jax
from cases import LAYERS, LOSSES, LossCase
from cases.row import is_multiple
from check_worker import control, steps
from harness import draw_loss

import xpnn
from xpnn import losses
from xpnn.distributed import Communicator, connect
from xpnn.training import CutMix, Mixup, Trainer
from xpnn.training.run import Callback

N, BATCH = 10, 8
"""An epoch of 8 and 2: shares of unequal sizes, and fewer samples than three or four ranks."""
UNEVEN = np.repeat([0, 1, 2], [6, 3, 1])
"""Class ids of which any 8 have one most frequent: where a layer drops all it gets, no two outputs tie for largest."""
LONGER = 18
"""Samples where steps depend on those before them in more ways."""
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
        """-> weights, running statistics, losses of every epoch and of every batch, as one vector."""
        single = not isinstance(self.x, tuple)
        shape = self.x.shape[1:] if single else tuple(a.shape[1:] for a in self.x)
        model = xpnn.Model(self.layers, shape, dtype="float64", seed=3, loss=self.loss, backend=backend)
        trainer = Trainer(model, self.loss, self.optimizer, communicator=communicator, **self.trainer)
        steps = Steps()
        given = {"epochs": 2, "batch_size": BATCH, "sample_weight": self.weight} | self.fit
        history = trainer.fit(self.x, self.y, callbacks=[steps], **given)
        columns = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
        rows = [getattr(row, name) for row in history for name in columns]
        known = [math.nan if value is None else value for value in rows]
        return np.concatenate([*model.snapshot().values(), known, steps.losses])


class Steps(Callback):
    """The losses of all steps."""

    def __init__(self):
        self.losses = []

    def epoch(self, run, row):
        self.losses += run.losses


def loss_rows():
    """Every loss with every target and reduction that can be trained with, with and without weights."""
    rng = np.random.default_rng(0)
    for case in LOSSES:
        if case.loss.reduction == "none" or case.loss.kind == "several":
            continue
        for reduction in ("mean", "sum"):
            loss = dataclasses.replace(case.loss, reduction=reduction)
            whole = LossCase(loss, (N, *case.shape[1:]), case.target, case.weighted)
            _, y, weight = draw_loss(whole)
            x = rng.standard_normal((N, 5))
            layers = [xpnn.Dense(math.prod(case.shape[1:])), xpnn.Reshape(case.shape[1:])]
            if loss.wants == "log-probabilities":
                layers.append(xpnn.LogSoftmax())
            slow = (
                SGD if reduction == "mean" else xpnn.SGD(0.001, momentum=0.5)
            )  # a sum's gradient is N times as long
            yield f"{case}-{reduction}", Row(layers, x, y, loss, weight, slow, {"epochs": 1})


def layer_rows():
    """Every layer that draws random numbers or normalizes, and some of the others."""
    rng = np.random.default_rng(1)
    for number, case in enumerate(LAYERS):
        drawing = any(word in repr(case.layer) for word in ("Random", "Dropout", "Noise", "Norm"))
        if is_multiple(case.shape) or case.ids or not (drawing or number % 8 == 0):
            continue
        shape = N, *case.shape
        x = rng.integers(0, 255, shape).astype(np.uint8) if case.bytes else rng.standard_normal(shape)
        layers = [xpnn.Reshape(case.shape), case.layer, xpnn.Flatten(), xpnn.Dense(3)]
        if case.bytes:
            layers = [
                case.layer,
                *([] if isinstance(case.layer, xpnn.Sequential) else [xpnn.Rescale(1 / 255)]),
            ]
            layers += [xpnn.Flatten(), xpnn.Dense(3)]
        if np.size(x[0]) == 0:
            continue
        yield str(case), Row(layers, x, UNEVEN, fit={"epochs": 1})


def other_rows(n=LONGER):
    """Several outputs, mixing, accumulation, L-BFGS, validation, one-hot labels with ignored ones."""
    rng = np.random.default_rng(2)
    x, ids, weight = rng.standard_normal((n, 5)), np.arange(n) % 3, rng.uniform(0, 2, n)
    images, dense = (
        rng.uniform(0, 1, (n, 4, 5, 1)),
        [xpnn.Dense(6), xpnn.Tanh(), xpnn.Dropout(0.2), xpnn.Dense(3)],
    )
    flat = [xpnn.Flatten(), *dense]
    ignored = np.where(np.arange(n) % 4 == 1, -100, ids)
    norm = [xpnn.Dense(6), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(3)]
    yield "weights", Row(dense, x, ids, weight=weight)
    yield "class weights", Row(dense, x, ids, fit={"class_weight": "balanced"})
    yield "validation", Row(dense, x, ids, fit={"validation": 5})
    yield "batches of 1", Row(dense, x[:7], ids[:7], fit={"batch_size": 1})
    yield "one batch", Row(norm, x, ids, fit={"batch_size": 100})
    yield (
        "nothing counts",
        Row(dense, x, np.full(n, -100), losses.SoftmaxCrossEntropy(ignore_index=-100), fit={"batch_size": 6}),
    )
    yield "norm, weights", Row(norm, x, ids, weight=weight)
    yield "norm of images", Row([xpnn.Conv2D(3, 2), xpnn.BatchNorm(), xpnn.ReLU(), *flat], images, ids)
    loss = losses.SoftmaxCrossEntropy(ignore_index=-100)
    every = [xpnn.Flatten(), xpnn.Dense(6), xpnn.BatchNorm(), *dense[1:]]
    yield "all at once", Row(every, images, ignored, loss, weight, trainer={"augment": Mixup(0.4)})
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
            yield f"{loss}, weights {w is not None}", Row(heads, x, (y, rng.standard_normal((n, 2))), loss, w)


def all_rows():
    """All of them."""
    yield from loss_rows()
    yield from layer_rows()
    yield from other_rows()


FEW = ("weights", "validation", "batches of 1", "norm, weights", "Mixup(alpha=0.4), ignored", "LBFGS, norm")


def named_rows(names, *beginnings, n=LONGER):
    """Those of the other rows."""
    return [(name, row) for name, row in other_rows(n) if name in names or name.startswith(beginnings)]


def compiled_rows(triplets=True):
    """Few, for each step is compiled: all at once, accumulation, and outputs of the whole batch beside L-BFGS's sums.

    The last batch of the first is of 3, all of which each of two ranks computes that want equal shares.
    """
    full = ["LBFGS, triplets"] if triplets else []
    return named_rows(["all at once"], n=2 * BATCH + 3) + named_rows(
        full, f"{xpnn.Accumulate(SGD, 2)}, norm", n=2 * BATCH
    )


PARTS = {
    "all": all_rows,
    "few": lambda: named_rows(FEW, "Accumulate(optimizer=SGD"),
    "compiled": compiled_rows,
    "fewer": lambda: compiled_rows(triplets=False),
}


def processes(size, whole):
    """The first `size` of all processes, of which this is one; None in the others. All of them call it."""
    if size == whole.size:
        return whole
    group = copy.copy(whole)
    group.comm = whole.comm.Split(whole.rank < size, whole.rank)
    group.rank, group.size = group.comm.Get_rank(), group.comm.Get_size()
    return group if whole.rank < size else None


def lock(folder, rank, kind):
    file = (Path(folder) / f"lock{rank}").open("w")
    fcntl.flock(file, kind)
    return file


def main(folder, backend, *ways):
    if "JAX_COORDINATOR_ADDRESS" in os.environ:  # mpiexec gives all processes one environment
        os.environ["JAX_PROCESS_ID"] = os.environ["PMI_RANK"]
    split = {way: way.split("-") for way in ways}
    wholes = {engine: connect(engine) for engine in dict.fromkeys(engine for _, engine, _ in split.values())}
    quick_jax.arrange(several=True)
    whole = next(iter(wholes.values()))
    busy = lock(folder, whole.rank, fcntl.LOCK_EX)
    for engine, group in wholes.items():
        if (seen := [control(group, folder), steps(group, folder)]) and group.rank == 0:
            (Path(folder) / f"{engine}.json").write_text(json.dumps(seen))
    groups = {way: processes(int(size), wholes[engine]) for way, (_, engine, size) in split.items()}
    rows = {part: list(PARTS[part]()) for part in dict.fromkeys(part for part, _, _ in split.values())}
    tasks = {way: (groups[way], rows[part]) for way, (part, _, _) in split.items() if groups[way]}
    if whole.rank == whole.size - 1:
        tasks["alone"] = Communicator(), list(dict(itertools.chain(*rows.values())).items())
    for way, (group, some) in tasks.items():
        found = []
        for name, row in some:
            (Path(folder) / str(whole.rank)).write_text(f"{way}, {name}")
            found.append(row.train(group, backend))
        if group.rank == 0:
            np.savez(Path(folder) / way, *found, names=[name for name, _ in some])
    busy.close()
    for rank in range(whole.size):  # MPI would wait for them by spinning, on a core that they need
        lock(folder, rank, fcntl.LOCK_SH).close()


if __name__ == "__main__":
    main(*sys.argv[1:])

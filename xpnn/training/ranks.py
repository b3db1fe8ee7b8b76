"""Keeps the processes of one run equal, each of which computes its rows of every batch."""

import hashlib
import json
from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.parameters import count, rows_of
from xpnn.training.run import Run
from xpnn.training.stepper import Stepper
from xpnn.trees import tree_map

EVERY = 256
"""Steps between two comparisons of the weights; besides, they are compared after every epoch."""


def check_run(run: Run) -> None:
    """Raise BackendError where the ranks do not begin the same run: seeds, settings and data are compared."""
    group = run.trainer.communicator
    if group.size == 1:
        return
    check_batch(run)
    same = run.identity | {"epochs": run.epochs, "steps": run.steps}
    digests = [digest(json.dumps(value, sort_keys=True).encode()) for value in same.values()]
    names = [f"{name} of the run" for name in same]
    group.check_same(names, digests, "one seed, the same settings and the same data on every rank")
    if group.rank and "sum" in run.state:  # a state that was resumed from: what was accumulated is rank 0's
        with run.model.backend.device_context():
            run.trainer.state["sum"] = run.state["sum"] * 0
    check_weights(run.trainer)


def check_batch(run: Run) -> None:
    """Raise UsageError for batches, or gradients, that this engine cannot share as they are."""
    group, n, rows = run.trainer.communicator, run.batch_size, len(run.train)
    if group.equal_rows and group.size <= n <= rows and n % group.size:
        less = n - n % group.size
        raise UsageError(
            f"batches of {n} samples for {group.size} processes",
            why=f"with {group.engine} each of them takes as many samples",
            fix=f"a batch size of {less} or {less + group.size}",
        )
    if group.compression and group.engine != "jax" and run.model.backend.name == "jax":
        raise UsageError(
            f"compressed gradients of JAX, sent by {group.engine}",
            why="a compiled step hands its gradients over as they are",
            fix="--distributed jax, or no compression",
        )


def check_weights(trainer: Stepper) -> None:
    """Raise BackendError, naming ranks and parameter, where weights or running statistics differ by a bit."""
    group, model = trainer.communicator, trainer.model
    if group.size == 1:
        return
    vectors, slots = model.snapshot(), model.layout.slots
    digests = [digest(np.ascontiguousarray(vectors[name][a:b])) for name, a, b in slots.values()]
    names = [f"parameter {path}, after step {trainer.steps}" for path in slots]
    fix = "one kind of machine and the same versions of all libraries for every rank; resume from the last state"
    group.check_same(names, digests, fix)


def evaluate(trainer: Stepper, x: Any, y: Any, metrics: Any = None) -> dict[str, Any]:
    """`Network.score` of samples that every rank has: each computes the outputs of its rows, all measure them all."""
    group, model, n = trainer.communicator, trainer.model, count(x)
    if group.size == 1 or n < group.size:
        return model.score(x, y, metrics=metrics)
    be = model.backend
    with be.device_context():
        own = model.outputs(rows_of(x, *group.rows(n)))
        out = tree_map(lambda _, a: be.asarray(group.all_rows(be.to_numpy(a), n)), own)
    return model.score_outputs(out, y, metrics=metrics)


def gather_accumulated(trainer: Stepper) -> None:
    """Before a state is saved inside an epoch: what the ranks have accumulated since the last update goes to rank 0."""
    group, be = trainer.communicator, trainer.model.backend
    if group.size > 1 and "sum" in trainer.state:
        with be.device_context():
            total = group.reduce(be, trainer.state["sum"] * 1)
            trainer.state["sum"] = total * 0 if group.rank else total


def digest(data: Any) -> bytes:
    """8 bytes of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=8).digest()

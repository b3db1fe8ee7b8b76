"""Which loss fits a network, and how good a network's outputs are by it."""

import math
from typing import Any

from xpnn.backends.base import Backend
from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.fusion import loss_and_correct
from xpnn.layers.base import Shape, for_each, is_multiple
from xpnn.layers.graph import Graph
from xpnn.layers.sequential import Sequential
from xpnn.layers.wiring import listed
from xpnn.losses import Loss, MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.parameters import count, gather
from xpnn.random import host_rng

PAIRS = 128
"""Samples that are compared with each other at a time."""


def check_fit(net: Sequential | Graph, output_shape: Shape, loss: Loss) -> None:
    """Raise UsageError for a loss that is no number, or for other outputs, or squashes what is squashed already."""
    losses = loss.losses if isinstance(loss, MultiOutputLoss) else (loss,)
    for one in losses:
        if one.reduction == "none":
            raise UsageError(
                f"{type(one).__name__}(reduction='none') is no number",
                why="it has a value for each sample",
                fix="reduction='mean' or 'sum'; for the values themselves call the loss",
            )
    outputs = len(output_shape) if is_multiple(output_shape) else 1
    if is_multiple(output_shape) != isinstance(loss, MultiOutputLoss) or len(losses) != outputs:
        raise UsageError(
            f"{short_repr(loss)} is for {len(losses)} outputs, the network gives {output_shape}",
            fix="MultiOutputLoss((loss, ...)) takes one loss for each of several outputs",
        )
    for one, output_kind, ending in zip(
        losses, for_each(net.output_kind, outputs), endings(net, outputs), strict=True
    ):
        if one.wants and output_kind == "probabilities":
            raise UsageError(
                f"the network ends in {ending}, but {type(one).__name__} wants {one.wants}",
                why="it applies the squashing itself, where it can be done without overflow",
                fix="drop the last layer; predict_proba gives the probabilities",
            )


def default_loss(output_shape: Shape) -> Loss:
    """What a model is taken for by default: a classifier, by each of its outputs."""
    if is_multiple(output_shape):
        return MultiOutputLoss((SoftmaxCrossEntropy(),) * len(output_shape))
    return SoftmaxCrossEntropy()


def check_meaning(loss: Loss, output_shape: Shape) -> None:
    """Raise UsageError for a single output under a loss over classes: the answer would be class 0 for everything."""
    if loss.kind == "classes" and output_shape == (1,):
        raise UsageError(
            f"the network gives one output, and {type(loss).__name__} wants one for each class",
            why="nothing says whether that output is a regression or a yes or no",
            fix='Model(..., loss="mean_squared_error"), or loss="binary_cross_entropy"',
        )


def endings(net: Sequential | Graph, outputs: int) -> tuple[str, ...]:
    """The node or layer that each output comes from, in words."""
    if isinstance(net, Graph):
        return tuple(f"the node {name!r}" for name in listed(net.outputs))
    return (repr(net.layers[-1]),) * outputs if net.layers else ("nothing",)


def accuracies(loss: Loss) -> list[str]:
    """The names of the accuracies that `scores` gives."""
    if isinstance(loss, MultiOutputLoss):
        return [f"accuracy[{i}]" for i, one in enumerate(loss.losses) if one.has_labels]
    return ["accuracy"] if loss.has_labels else []


def scores(be: Backend, loss: Loss, out: Any, y: Any, seed: int) -> dict[str, float]:
    """{"loss": ..., "accuracy": ...}; of several outputs also {"loss[0]": ..., "accuracy[0]": ..., ...}."""
    found = score(be, loss, out, y, seed)
    for i, one in enumerate(loss.losses if isinstance(loss, MultiOutputLoss) else ()):
        found |= {f"{name}[{i}]": value for name, value in score(be, one, out[i], y[i], seed).items()}
    return found


def score(be: Backend, loss: Loss, out: Any, y: Any, seed: int) -> dict[str, float]:
    """The loss, and the share of hits among the samples that count: two numbers are brought to the host, or three."""
    if loss.compares:
        found, n_correct = {"loss": measure(be, loss, out, y, seed)}, loss.n_correct(be, out, y)
    else:
        value, n_correct = loss_and_correct(loss, be, out, y)
        found = {"loss": float(value)}
    ids, valid_mask = loss.target_ids(be, y), loss.valid_mask(be, y)
    if n_correct is not None and ids is not None:
        kept = None if valid_mask is None else be.xp.astype(valid_mask, be.xp.int64)
        n = math.prod(ids.shape) if kept is None else int(be.xp.sum(kept))
        found["accuracy"] = int(n_correct) / n if n else math.nan
    return found


def measure(be: Backend, loss: Loss, out: Any, y: Any, seed: int) -> float:
    """The loss of all samples where it compares them: in shuffled batches, so that there are not too many pairs."""
    n = count(out)
    order = host_rng(seed, "evaluate").permutation(n)
    batches = [be.asarray(order[i : i + PAIRS]) for i in range(0, n, PAIRS)]
    values = [float(loss(be, gather(be, out, rows), gather(be, y, rows))[0]) for rows in batches]
    return loss.over_batches(values, [rows.shape[0] for rows in batches])

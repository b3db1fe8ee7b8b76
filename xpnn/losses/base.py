"""What a loss is: `(be, prediction, target, weight) -> (value, dprediction)`, and what its outputs mean.

A loss never broadcasts. Targets are checked once, on the host, when data enters (`check`); the call itself is pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.errors import DataError, ShapeError, missing
from xpnn.kernels import Array
from xpnn.settings import one_of

__all__ = ["Loss"]

Host = np.ndarray[Any, Any]
Terms: TypeAlias = tuple[Array, Array, Array | None]
"""What a loss says of each sample: see `Loss.terms`."""
REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True, kw_only=True)
class Loss(Config, abstract=True):
    """A frozen description of a loss. With l_ni the losses of sample n, w_n its weight, c_n what it counts:

        "mean"  sum_n w_n sum_i l_ni / sum_n w_n c_n; 0 where nothing counts
        "sum"   sum_n w_n sum_i l_ni
        "none"  w_n l_ni, one value per sample or element, with the gradient of their sum

    w_n is 1 without weights, c_n the number of losses of a sample where its class says nothing else: PyTorch's
    reductions, but for weights, by whose sum PyTorch's means seldom divide. A loss to train with is a number: "mean" or
    "sum". Where outputs have positions, such as the pixels (H, W) of outputs (N, H, W, C), n runs over all of them:
    a weight (N,) is that of all positions of a sample, weights (N, H, W) are one for each.
    Raises UsageError for another reduction.
    """

    reduction: Annotated[str, one_of(*REDUCTIONS)] = "mean"

    wants: ClassVar[str] = ""
    """"logits" or "log-probabilities": a network that ends in Softmax or Sigmoid is refused."""
    kind: ClassVar[str] = "regression"
    """"classes", "binary", "embeddings", "sequences", "several" or "regression": what `predict` returns."""
    compares: ClassVar[bool] = False
    """Whether samples are compared with each other: such a loss is evaluated on batches."""

    @property
    def even(self) -> bool:
        """Whether samples of one weight count equally, whatever their targets are."""
        return True

    @classmethod
    def coerce(cls, value: Any) -> "Loss | None":
        """The loss of that name. Raises UsageError for an unknown one."""
        from xpnn.losses import get_loss

        return get_loss(value) if isinstance(value, str) else None

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """-> (the reduced loss, its gradient with respect to the prediction)."""
        return self.reduce(be, self.terms(be, prediction, target), weight)

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """-> (losses (N, ...), slopes, counts): slopes are shaped like the prediction, the gradient of sum(losses).

        counts (N,), or (N, positions ...): what each adds to the denominator of the mean; None: 1 for each loss.
        """
        raise missing(self, "terms(self, be, prediction, target)", "losses, slopes, None")

    def reduce(self, be: Backend, terms: Terms, weight: Array | None) -> tuple[Array, Array]:
        """The terms, each sample or position weighted, as the class says."""
        losses, slopes, counts = terms
        if weight is not None or counts is not None:
            share = be.xp.ones_like(counts) if weight is None else weight
            if self.reduction == "mean":
                per_sample = math.prod(losses.shape[share.ndim :])
                counted = share * per_sample if counts is None else weighted(be, counts, share)
                share = share / total_weight(be, counted)
            losses, slopes = weighted(be, losses, share), weighted(be, slopes, share)
        elif self.reduction == "mean":
            return be.xp.mean(losses), slopes / math.prod(losses.shape)
        return losses if self.reduction == "none" else be.xp.sum(losses), slopes

    def over_batches(self, values: list[float], sizes: list[int]) -> float:
        """The loss over several batches, from that of each: their sum, or their mean by the number of samples.

        Where batches differ in weight or in ignored samples, that is close to the mean over all at once, not equal.
        """
        return float(np.sum(values) if self.reduction == "sum" else np.average(values, weights=sizes))

    def counts(self, be: Backend, target: Array, weight: Array) -> Array:
        """What each sample, its positions together, adds to the divisor of the mean, up to a common factor: (N,).

        Means of parts, weighted by the sums of these, make the mean of the whole. Of a loss with a divisor for each
        output: (N, outputs).
        """
        kept = self.valid_mask(be, target)
        if kept is not None:
            weight = be.mask(spread(be, weight, kept.shape), kept)
        return per_sample(be, weight)

    def part(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None, total: Array
    ) -> tuple[Array, Array]:
        """What these samples add to the loss of all, and to its gradient; total: the sum of all `counts`, not 0."""
        value, slopes = self(be, prediction, target, weight)
        if self.reduction == "sum":
            return value, slopes
        weight = be.zeros(target.shape[:1]) + 1 if weight is None else weight
        counted = total_weight(
            be, self.counts(be, target, weight)
        )  # where nothing counts, the mean is the sum
        share = counted / total
        return share * value, share * slopes

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The target as the loss wants it, for outputs of that shape per sample: ids as int64, all else as floats.

        Raises DataError or ShapeError.
        """
        raise missing(self, "check(self, target, outputs)", "target")

    def positions(self, outputs: tuple[int, ...]) -> tuple[int, ...]:
        """The axes of a sample whose parts may have weights of their own: all but the last, which is what is compared.

        (), where a sample is one whole.
        """
        return outputs[:-1]

    def labels(self, be: Backend, prediction: Array) -> Array:
        """Return what `Model.predict` returns."""
        return prediction

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        """What `Model.predict_proba` returns; None if the outputs are no probabilities."""
        return None

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        """Class ids of a target in any form, to count hits against; None for a regression."""
        return None

    def valid_mask(self, be: Backend, target: Array) -> Array | None:
        """Bool (N,), or (N, positions ...): which targets count as hits or misses; None: all of them."""
        return None

    @property
    def has_labels(self) -> bool:
        """Whether targets are classes, which predictions hit or miss."""
        return type(self).target_ids is not Loss.target_ids

    def n_correct(self, be: Backend, prediction: Array, target: Array) -> Array | None:
        """How many labels are the target's, of those that count: 0-d int64; None for a regression."""
        ids = self.target_ids(be, target)
        if ids is None:
            return None
        right, valid_mask = self.labels(be, prediction) == ids, self.valid_mask(be, target)
        return be.xp.sum(be.xp.astype(right if valid_mask is None else right & valid_mask, be.xp.int64))

    def random_target(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """Return a target for predictions (N, ...) of that shape, for gradient checks."""
        return rng.uniform(0.1, 0.9, shape)


def spread(be: Backend, share: Array, shape: tuple[int, ...]) -> Array:
    """A number for each sample (N,), or each of their positions (N, ...), given to all that lies behind it in `shape`.

    Raises ShapeError unless the first axes are the same: nothing is broadcast.
    """
    own = tuple(share.shape)
    if own != tuple(shape[: len(own)]):
        raise ShapeError(
            f"weights of shape {own} for losses of shape {tuple(shape)}",
            why="wanted one for each sample, or for each of its positions",
        )
    return be.xp.broadcast_to(be.xp.reshape(share, (*own, *(1 for _ in shape[len(own) :]))), shape)


def weighted(be: Backend, a: Array, share: Array) -> Array:
    """a (N, ...), each sample or position times its share: 0 where that is 0, also of an infinite loss."""
    share = spread(be, share, a.shape)
    return be.mask(a, share != 0) * share


def per_sample(be: Backend, a: Array) -> Array:
    """(N, ...) to (N,): the sum of all positions."""
    return a if a.ndim == 1 else be.xp.sum(a, axis=tuple(range(1, a.ndim)))


def total_weight(be: Backend, weights: Array) -> Array:
    """sum(weights), or 1 where that is 0: a batch in which nothing counts has loss 0 and gradient 0."""
    total = be.xp.sum(weights)
    return be.xp.where(total > 0, total, be.xp.ones_like(total))


def same_shape(name: str, prediction: Array, target: Array) -> None:
    """Losses do not broadcast: (N, 1) against (N,) would quietly become (N, N)."""
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ in shape",
            why="a loss never broadcasts",
            fix="reshape the target, for example y[:, None]",
        )


def same_sizes(got: Sequence[int], wanted: Sequence[int | None]) -> bool:
    """Whether an array has the sizes that are wanted; None: any size."""
    return len(got) == len(wanted) and all(n in (size, None) for size, n in zip(got, wanted, strict=True))


def as_target(be: Backend, loss: Any, y: Any) -> Any:
    """Class ids, which are whole numbers, as they are, all other targets in the model's dtype."""
    if isinstance(y, tuple):
        return tuple(as_target(be, one, part) for one, part in zip(loss.losses, y, strict=True))
    ids = loss.kind in ("classes", "embeddings") and is_ids(be, y)
    return y if ids or y.dtype == be.dtype else be.xp.astype(y, be.dtype)


def is_ids(be: Backend, y: Array) -> bool:
    """Whether a target holds ids: rows of a class's shares are floats by now."""
    found: bool = y.dtype == be.xp.int64 or be.xp.isdtype(y.dtype, "integral")
    return found


def check_real(target: Host, outputs: tuple[int, ...], name: str) -> Host:
    """Targets of the outputs' own shape, finite, as floats.

    (N,) is taken as (N, 1) where the network has one output, and (N, H, W) as (N, H, W, 1) where it has one a pixel.
    """
    if outputs[-1:] == (1,) and target.ndim and same_sizes(target.shape[1:], outputs[:-1]):
        target = target[..., None]
    if target.ndim == 0 or not same_sizes(target.shape[1:], outputs):
        raise ShapeError(
            f"{name}: targets of shape {target.shape} for outputs of shape (N, {', '.join(map(str, outputs))})",
            why="a loss never broadcasts",
            fix="give one target value for each output",
        )
    bad = np.argwhere(~np.isfinite(target))
    if len(bad):
        raise DataError(
            f"{name}: target {tuple(bad[0].tolist())} is {target[tuple(bad[0])]}",
            why=f"{len(bad)} of {target.size} target values are not finite",
            fix="drop or fill those rows",
        )
    return target if target.dtype.kind == "f" else target.astype(np.result_type(target.dtype, np.float32))

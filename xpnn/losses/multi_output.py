"""A loss for a network of several outputs."""

from collections.abc import Sequence
from typing import Any

from xpnn.backends.base import Backend
from xpnn.config import short_repr
from xpnn.errors import DataError, UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Loss
from xpnn.settings import Coerced, frozen


@frozen
class MultiOutputLoss(Loss):
    """L = sum_i w_i L_i(p_i, t_i): one loss for each output; the gradient of p_i is w_i dL_i/dp_i.

    Predictions and targets are tuples, and so is the gradient. weights: w_i, at least 0 and not all 0; 1 each if None.
    Sample weights go into every L_i; all have the reduction of this one. Raises UsageError for no losses, for another
    number of weights than of losses, and for another reduction.
    """

    kind = "several"
    losses: Coerced[Sequence[Loss | str], tuple[Loss, ...]]
    weights: Coerced[Sequence[float] | None, tuple[float, ...] | None] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.losses or any(isinstance(loss, MultiOutputLoss) for loss in self.losses):
            raise UsageError(f"{short_repr(self)}: wanted one plain loss for each output")
        if any(loss.reduction != self.reduction for loss in self.losses):
            raise UsageError(
                f"MultiOutputLoss(reduction={self.reduction!r}) of {[loss.reduction for loss in self.losses]}",
                why="the history would add sums to means",
                fix="give MultiOutputLoss and its losses one reduction",
            )
        w = (1.0,) * len(self.losses) if self.weights is None else self.weights
        if len(w) != len(self.losses) or not all(one >= 0 for one in w) or not any(w):
            raise UsageError(
                f"MultiOutputLoss(weights={self.weights}): wanted a weight for each of {len(self.losses)} losses",
                why="they are at least 0 and not all 0",
            )

    @property
    def compares(self) -> bool:  # type: ignore[override]
        return any(loss.compares for loss in self.losses)

    def __call__(self, be: Backend, prediction: Any, target: Any, weight: Array | None = None) -> Any:
        """-> (weighted sum of the losses, one gradient for each prediction)."""
        found = [loss(be, p, t, weight) for loss, p, t in zip(self.losses, prediction, target, strict=True)]
        return self.joined(found)

    def part(self, be: Backend, prediction: Any, target: Any, weight: Array | None, total: Array) -> Any:
        """Each loss by its own divisor: a sample may count for one output and be ignored for another."""
        given = zip(self.losses, prediction, target, strict=True)
        return self.joined([loss.part(be, p, t, weight, total[i]) for i, (loss, p, t) in enumerate(given)])

    def counts(self, be: Backend, target: Any, weight: Array) -> Array:
        """Return (N, outputs): how much each sample counts for each output."""
        given = zip(self.losses, target, strict=True)
        return be.xp.stack([loss.counts(be, t, weight) for loss, t in given], axis=1)

    @property
    def even(self) -> bool:
        return all(loss.even for loss in self.losses)

    def joined(self, found: list[tuple[Array, Array]]) -> Any:
        """-> (weighted sum of the values, the weighted gradients)."""
        if self.weights is not None:
            found = [(w * value, w * dp) for w, (value, dp) in zip(self.weights, found, strict=True)]
        total = found[0][0]
        for value, _ in found[1:]:
            total = total + value
        return total, tuple(dp for _, dp in found)

    def check(self, target: Any, outputs: tuple[Any, ...]) -> Any:
        """Each target by its own loss, and all of one length."""
        found = []
        for i, (loss, t, shape) in enumerate(zip(self.losses, target, outputs, strict=True)):
            try:
                found.append(loss.check(t, shape))
            except DataError as error:
                raise type(error)(f"y[{i}]: {error.what}", why=error.why, fix=error.fix) from error
        if len({len(t) for t in found}) > 1:
            raise DataError(f"y has {[len(t) for t in found]} samples: wanted one number for all outputs")
        return tuple(found)

    def positions(self, outputs: tuple[Any, ...]) -> tuple[int, ...]:
        """Return (): outputs differ in their positions."""
        return ()

    def labels(self, be: Backend, prediction: Any) -> Any:
        return tuple(loss.labels(be, p) for loss, p in zip(self.losses, prediction, strict=True))

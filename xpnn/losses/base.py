"""What a loss is: `(be, prediction, target, weight) -> (0-d value, dprediction)`, and what its outputs mean.

A loss never broadcasts. Targets are checked once, on the host, when data enters (`check`); the call itself is pure.
"""

from typing import Any, ClassVar

import numpy as np

from xpnn.backends.base import Backend
from xpnn.describe import Described
from xpnn.errors import DataError, ShapeError
from xpnn.kernels import Array

Host = np.ndarray[Any, Any]


class Loss(Described):
    """A frozen description of a loss. Reduction: the mean over all elements, weighted by `weight` (one per sample)."""

    wants: ClassVar[str] = ""
    """"logits" or "log-probabilities": a network that ends in Softmax or Sigmoid is refused."""
    kind: ClassVar[str] = "regression"
    """"classes", "binary", "regression" or "several": what `predict` returns."""

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """-> (mean loss, its gradient with respect to the prediction)."""
        raise NotImplementedError

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """The target as the loss wants it, for outputs of that shape per sample. Raises DataError or ShapeError."""
        raise NotImplementedError

    def labels(self, be: Backend, prediction: Array) -> Array:
        """What `Model.predict` returns."""
        return prediction

    def probabilities(self, be: Backend, prediction: Array) -> Array | None:
        """What `Model.predict_proba` returns; None if the outputs are no probabilities."""
        return None

    def target_ids(self, be: Backend, target: Array) -> Array | None:
        """Class ids of a target in any form, to count hits against; None for a regression."""
        return None


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


def as_target(be: Backend, loss: Any, y: Any) -> Any:
    """Class ids as they are, all other targets in the model's dtype: a wider one would widen the gradient."""
    if isinstance(y, tuple):
        return tuple(as_target(be, one, part) for one, part in zip(loss.losses, y, strict=True))
    ids = loss.kind == "classes" and y.ndim == 1
    return y if ids or y.dtype == be.dtype else be.xp.astype(y, be.dtype)


def check_real(target: Host, outputs: tuple[int, ...], name: str) -> Host:
    """Targets of the outputs' own shape, finite; (N,) is taken as (N, 1) where the network has one output."""
    if outputs == (1,) and target.ndim == 1:
        target = target[:, None]
    if target.ndim == 0 or target.shape[1:] != outputs:
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
    return target

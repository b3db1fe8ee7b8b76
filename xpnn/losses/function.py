"""A function as a loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpnn.backends.base import Backend
from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.losses.base import Host, Loss, Terms, check_real

__all__ = ["FunctionLoss"]

RETURNS = "return loss, gradient: numbers (N, ...) or their mean, and its gradient by the prediction"


@dataclass(frozen=True)
class FunctionLoss(Loss, abstract=True):
    """f(prediction, target) -> (loss, gradient), for `fit(loss=f)`; f(be, prediction, target) where it takes three.

    Arrays are the backend's: arithmetic works as it is, functions are those of be.xp, the Array API. Two forms:

        loss (N, ...), gradient of their sum      for each sample, or each output: weights and `reduction` apply
        loss 0-d, its gradient                    the mean over the batch already; samples have no weights then

    xpnn has no autograd: without a gradient, or with one of another shape than the prediction, it is a UsageError that
    says so. Targets have the outputs' shape. For classes write a class: the page "your own parts" has one.
    A file holds no functions: a model that was trained with one is saved as a regression.
    """

    f: Callable[..., Any]

    def terms(self, be: Backend, prediction: Array, target: Array) -> Terms:
        """What the function gives for each sample. Raises UsageError where it has reduced them already."""
        losses, gradient = self._called(be, prediction, target)
        if losses.ndim == 0:
            raise UsageError(
                f"{self.name} returns one number for the batch",
                why="weights and accumulation need the loss of each sample",
                fix="return losses (N,), and the gradient of their sum",
            )
        return losses, gradient, None

    def __call__(
        self, be: Backend, prediction: Array, target: Array, weight: Array | None = None
    ) -> tuple[Array, Array]:
        """-> (the reduced loss, its gradient)."""
        losses, gradient = self._called(be, prediction, target)
        if losses.ndim == 0 and weight is None:
            return losses, gradient
        return super().__call__(be, prediction, target, weight)

    @property
    def name(self) -> str:
        """The function's."""
        return str(getattr(self.f, "__name__", "the loss"))

    def _called(self, be: Backend, prediction: Array, target: Array) -> tuple[Array, Array]:
        given = (be, prediction, target) if takes_three(self.f) else (prediction, target)
        found = self.f(*given)
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise UsageError(
                f"{self.name} returns {'no' if found is None else 'a loss and no'} gradient",
                why="backward passes are written by hand here; xpnn has no autograd",
                fix=RETURNS,
            )
        losses, gradient = found
        if not hasattr(losses, "ndim"):
            losses = be.scalar(losses)
        if getattr(gradient, "shape", None) != prediction.shape:
            raise ShapeError(
                f"{self.name}: the gradient has shape {getattr(gradient, 'shape', None)}, "
                f"the prediction {tuple(prediction.shape)}",
                fix=RETURNS,
            )
        return losses, gradient

    def check(self, target: Host, outputs: tuple[int, ...]) -> Host:
        """Targets of the outputs' own shape, finite."""
        return check_real(target, outputs, self.name)


def takes_three(f: Callable[..., Any]) -> bool:
    """Whether f takes the backend as its first argument."""
    import inspect

    wanted = [
        one
        for one in inspect.signature(f).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return len(wanted) == 3

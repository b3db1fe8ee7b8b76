"""The loss of some samples of a batch, as their part of the whole batch's: the parts add up to it, and so do slopes."""

from typing import Any

from xpnn.backends.base import Backend
from xpnn.distributed.shared_backend import ReducingBackend
from xpnn.kernels import Array
from xpnn.losses import Loss, MultiOutputLoss
from xpnn.parameters import count
from xpnn.trees import tree_map


def part_of_batch(
    loss: Loss, be: ReducingBackend, prediction: Any, target: Any, weight: Array | None, total: Array | None
) -> tuple[Array, Any]:
    """-> (what these samples add to the loss, the gradient of the whole loss with respect to their prediction).

    be: knows the samples' share. total: the divisor of the mean, where it is one over more than this batch.
    A loss that compares samples is computed of all ranks' outputs by each.
    """
    if loss.compares:
        prediction, target, weight = whole(be, (prediction, target, weight))
        value, slopes = (
            loss(be, prediction, target, weight)
            if total is None
            else loss.part(be, prediction, target, weight, total)
        )
        return be.once(value), tree_map(lambda _, a: be.own_rows(a), slopes)
    if total is None:
        total = divisor_of_batch(loss, be, target, weight)
    return loss.part(be, prediction, target, weight, total)


def numbers_of(loss: Loss) -> int:
    """How many numbers stand behind the gradient: the loss, and for each output hits and labels that count."""
    return 1 + 2 * (len(loss.losses) if isinstance(loss, MultiOutputLoss) else 1)


def divisor_of_batch(loss: Loss, be: Backend, target: Any, weight: Array | None) -> Array:
    """The sum of what all samples of the batch count; known beforehand where they count equally."""
    share, xp = be.share, be.xp
    assert share is not None
    if weight is None and loss.even:
        outputs = (len(loss.losses),) if isinstance(loss, MultiOutputLoss) else ()
        return be.zeros(outputs) + share.total
    weight = be.zeros((count(target),)) + 1 if weight is None else weight
    total = be.all_reduce(xp.sum(loss.counts(be, target, weight), axis=0))
    return xp.where(total > 0, total, xp.ones_like(total))


def whole(be: ReducingBackend, tree: Any) -> Any:
    """Every array of these samples as that of the whole batch."""
    return tree_map(lambda _, a: None if a is None else be.all_rows(a), tree)

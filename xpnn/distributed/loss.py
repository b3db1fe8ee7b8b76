"""The loss of some samples of a batch, as their part of the whole batch's: the parts add up to it, and so do slopes."""

from typing import Any

from xpnn.backends.base import Backend
from xpnn.backends.share import Share
from xpnn.kernels import Array
from xpnn.losses import Loss, MultiOutputLoss
from xpnn.parameters import count
from xpnn.trees import tree_map


def part_of_batch(
    loss: Loss, be: Backend, prediction: Any, target: Any, weight: Array | None, total: Array | None
) -> tuple[Array, Any]:
    """-> (what these samples add to the loss, the gradient of the whole loss with respect to their prediction).

    be: knows the samples' share. total: the divisor of the mean, where it is one over more than this batch.
    A loss that compares samples is computed of all ranks' outputs by each.
    """
    share = be.share
    assert share is not None
    if loss.compares:
        prediction, target, weight = whole(be, share, (prediction, target, weight))
        value, slopes = (
            loss(be, prediction, target, weight)
            if total is None
            else loss.part(be, prediction, target, weight, total)
        )
        own = tree_map(lambda _, a: a[share.first : share.first + share.rows, ...], slopes)
        return (value if share.first == 0 else value * 0), own
    if total is None:
        total = divisor_of_batch(loss, be, target, weight)
    return loss.part(be, prediction, target, weight, total)


def divisor_of_batch(loss: Loss, be: Backend, target: Any, weight: Array | None) -> Array:
    """The sum of what all samples of the batch count; known beforehand where they count alike."""
    share, xp = be.share, be.xp
    assert share is not None
    if weight is None and loss.even:
        outputs = (len(loss.losses),) if isinstance(loss, MultiOutputLoss) else ()
        return be.zeros(outputs) + share.total
    weight = be.zeros((count(target),)) + 1 if weight is None else weight
    total = be.all_reduce(xp.sum(loss.counts(be, target, weight), axis=0))
    return xp.where(total > 0, total, xp.ones_like(total))


def whole(be: Backend, share: Share, tree: Any) -> Any:
    """Every array of these samples as that of the whole batch: the sum of arrays that are 0 but for their own rows."""

    def one(_: str, a: Any) -> Any:
        if a is None:
            return None
        before, after = share.first, share.total - share.first - share.rows
        empty = [be.xp.zeros((n, *a.shape[1:]), dtype=a.dtype, device=be.device) for n in (before, after)]
        return be.all_reduce(be.xp.concat([empty[0], a, empty[1]]))

    return tree_map(one, tree)

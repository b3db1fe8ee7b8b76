"""Checks that gradient accumulation makes of a run."""

from xpnn.errors import UsageError
from xpnn.losses import Loss
from xpnn.optimizers import Accumulate, Optimizer
from xpnn.optimizers.wrapper import Wrapper


def check_accumulation(optimizer: Optimizer, loss: Loss, batches: int | None = None) -> None:
    """Raise UsageError where Accumulate cannot equal the larger batch: for this loss, or this number of batches."""
    while isinstance(optimizer, Wrapper):
        if not isinstance(optimizer, Accumulate):
            optimizer = optimizer.optimizer
            continue
        if loss.kind == "several" and not loss.even:
            raise UsageError(
                "Accumulate with several losses of which one has ignored ids or class weights",
                why="the samples count differently for each output, so the steps' gradients do not add up",
                fix="a larger batch_size in place of Accumulate",
            )
        if batches is not None and optimizer.steps > batches:
            raise UsageError(
                f"Accumulate(steps={optimizer.steps}): the run has {batches} batches",
                why="no update would be of as many steps",
                fix=f"steps={batches} or less, a smaller batch_size, or more epochs",
            )
        return

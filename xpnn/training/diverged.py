"""Explain why the loss stopped being finite. The failed step changed nothing, so it can be run again."""

from typing import Any

import numpy as np

from xpnn.errors import DivergedError
from xpnn.kernels import Array
from xpnn.parameters import gather
from xpnn.training.stepper import Stepper


def explain_divergence(
    trainer: Stepper, epoch: int, batch: int, losses: list[float], data: tuple[Any, ...], rows: Array
) -> DivergedError:
    """Return the error: epoch, batch, last finite loss, and the first parameter with a gradient that is not finite."""
    model, be = trainer.model, trainer.model.backend
    with be.device_context():
        x, y, weight = gather(be, data, rows)
        gradient = trainer.objective.gradient(fuse=True)
        value, grad, _ = gradient(model.theta, model.phi, trainer.state["t"], x, y, weight)
        bad, loss = not_finite(trainer, grad), float(be.to_numpy(value))
        lost = not_finite(trainer, model.theta)
    left = f"Parameter {lost[0]} itself is not" if lost else "The weights are those of the batch before"
    good = [v for v in losses[: batch - 1] if np.isfinite(v)]
    last = f"{good[-1]:.4g}" if good else "none yet in this epoch"
    first = f"gradient of {bad[0]}" if bad else "the loss itself"
    return DivergedError(
        f"loss became {loss} at epoch {epoch}, batch {batch}",
        why=f"lr {trainer.lr:.3g}, last finite loss {last}; first not finite: {first}. {left}",
        fix=f"a lower learning rate (lr={trainer.optimizer.lr / 10:.3g}), clip_norm=1, or check the gradients",
    )


def explain_overflow(trainer: Stepper, epoch: int, batch: int, path: str) -> DivergedError:
    """Return the error for a step with finite loss and gradient whose new weights overflow the dtype.

    The step itself does not look at the new weights: that is a pass over memory for every update, and NumPy has by then
    written them over the old ones.
    """
    return DivergedError(
        f"parameter {path} is not finite any more at epoch {epoch}, batch {batch}",
        why=f"lr {trainer.lr:.3g} took it beyond {trainer.model.backend.dtype_name}. The last good weights are lost",
        fix=f"a lower learning rate (lr={trainer.optimizer.lr / 10:.3g}) or clip_norm=1, and a new model",
    )


def not_finite(trainer: Stepper, vector: Array) -> list[str]:
    """Return the paths of the parameters at which a vector shaped like theta holds NaN or infinity."""
    be = trainer.model.backend
    return [
        place.path
        for place in trainer.model.layout.params
        if not np.isfinite(be.to_numpy(vector[place.start : place.stop])).all()
    ]

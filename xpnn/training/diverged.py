"""Why did the loss stop being finite? The failed step changed nothing, so it can be run again and looked into."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import DivergedError
from xpnn.kernels import Array
from xpnn.parameters import leaves
from xpnn.training.step import make_gradient

if TYPE_CHECKING:
    from xpnn.training.trainer import Trainer


def explain_divergence(
    trainer: "Trainer", epoch: int, batch: int, losses: list[float], data: tuple[Any, ...], rows: Array
) -> DivergedError:
    """The error that names epoch, batch, the last finite loss and the first parameter whose gradient is not finite."""
    model, be = trainer.model, trainer.model.backend
    with be.scope():
        x, y, weight = (None if a is None else be.take_rows(a, rows) for a in data)
        gradient = make_gradient(model.net, trainer.loss, model.layout, be, model.seed, trainer.augment)
        value, grad, _ = gradient(model.theta, model.phi, trainer.state["t"], x, y, weight)
        named = dict(leaves(model.layout.split(be, grad, model.phi)))
        bad = [
            path
            for path, (vector, _, _) in model.layout.slots.items()
            if vector == "theta" and not np.isfinite(be.to_numpy(named[path])).all()
        ]
        loss = float(be.to_numpy(value))
    good = [v for v in losses[: batch - 1] if np.isfinite(v)]
    last = f"{good[-1]:.4g}" if good else "none yet in this epoch"
    first = f"gradient of {bad[0]}" if bad else "the loss itself"
    return DivergedError(
        f"loss became {loss} at epoch {epoch}, batch {batch}",
        why=f"lr {trainer.lr:.3g}, last finite loss {last}; first not finite: {first}. "
        "The weights are those of the batch before",
        fix=f"a lower learning rate (lr={trainer.optimizer.lr / 10:.3g}), clip_norm=1, or check the gradients",
    )

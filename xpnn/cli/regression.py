"""Scores of a regression, in the units of its label."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.data import Dataset, TablePreparation
from xpnn.data.batches import Slices
from xpnn.data.tables.summary import Moments
from xpnn.parameters import rows_of

if TYPE_CHECKING:
    from xpnn.model import Model

MANY = 1 << 16
"""Samples at a time: there may be more than fit into memory."""


def in_units(model: "Model", data: Dataset) -> dict[str, float]:
    """Return R2, MAE and RMSE of the test samples: R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2, which has no unit."""
    preparation = model.preparation
    assert isinstance(preparation, TablePreparation)
    truths, errors, absolute = Moments(), Moments(), 0.0
    for cut in Slices(len(data.y_test), MANY):
        truth = preparation.answers(data.y_test[cut])
        error = truth - preparation.answers(model.predict(rows_of(data.x_test, cut.start, cut.stop)))
        truths.add(truth)
        errors.add(error)
        absolute += float(np.abs(error).sum())
    squares = errors.squares + errors.n * errors.spread()[0] ** 2
    r2 = 1 - squares / truths.squares if truths.squares else float(squares == 0)
    return {"r2": r2, "mae": absolute / errors.n, "rmse": float(np.sqrt(squares / errors.n))}


def regression_line(result: dict[str, Any], prefix: str = "") -> str:
    """Return `R2 0.9312 · MAE 12.3 · RMSE 18.1`."""
    r2, mae, rmse = (result[f"{prefix}{name}"] for name in ("r2", "mae", "rmse"))
    return f"R2 {r2:.4f} · MAE {four_digits(mae)} · RMSE {four_digits(rmse)}"


def four_digits(value: float) -> str:
    """`79,470`, `12.35`, `0.001234`: four significant digits, no exponent where people do without one."""
    return f"{float(f'{value:.4g}'):,.0f}" if 1e4 <= value < 1e15 else f"{value:.4g}"

"""Scores of a regression, in the units of its label."""

from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.data import Dataset, TablePreparation

if TYPE_CHECKING:
    from xpnn.model import Model


def in_units(model: "Model", data: Dataset) -> dict[str, float]:
    """Return R2, MAE and RMSE of the test samples: R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2, which has no unit."""
    preparation = model.preparation
    assert isinstance(preparation, TablePreparation)
    truth, answers = preparation.answers(data.y_test), preparation.answers(model.predict(data.x_test))
    error = truth - answers
    spread, squares = float(((truth - truth.mean()) ** 2).sum()), float((error**2).sum())
    r2 = 1 - squares / spread if spread else float(squares == 0)
    return {"r2": r2, "mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean()))}


def regression_line(result: dict[str, Any], prefix: str = "") -> str:
    """Return `R2 0.9312 · MAE 12.3 · RMSE 18.1`."""
    r2, mae, rmse = (result[f"{prefix}{name}"] for name in ("r2", "mae", "rmse"))
    return f"R2 {r2:.4f} · MAE {mae:.4g} · RMSE {rmse:.4g}"

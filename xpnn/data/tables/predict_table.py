"""`Model.predict_table`: predictions for the rows of a table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.tables.preparation import Predictor, TablePreparation
from xpnn.data.tables.reading import read_table
from xpnn.errors import UsageError


def predict_table(model: Predictor, table: Any) -> NDArray[Any]:
    """See `Model.predict_table`."""
    preparation = model.preparation
    if not isinstance(preparation, TablePreparation):
        raise UsageError(
            "this model was not trained on a table",
            why="it has no record of columns and classes",
            fix="x, y, preparation = xpnn.data.prepare_table(table), and Model(..., preparation=preparation)",
        )
    named = read_table(table, dates=preparation.dates)
    preparation.check_columns(named)
    preparation.warn(named, 4)
    return np.concatenate([preparation.predict(model, part)[0] for _, part in named.parts()])

"""What a model of a table does before and behind its network: numbers are scaled, and so is the label."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xpnn.interchange.program import Program, Value

if TYPE_CHECKING:
    from xpnn.data.tables.preparation import TablePreparation


@dataclass(frozen=True)
class TableScale:
    """Numbers go in as they are in the table, and a number that is predicted comes out in its units."""

    preparation: "TablePreparation"

    def entered(self, g: Program, x: Value, inside: bool) -> Value:
        """(x - mean) / std of the matrix, unless that is left to the caller; sets what each input holds."""
        from xpnn.data.tables.feature_scale import feature_scale, meanings

        g.meanings = meanings(self.preparation, scaled=not inside)
        mean, std = feature_scale(self.preparation)
        if not inside or (not np.any(mean) and np.all(std == 1)):
            return x
        centred = g.op("Sub", x.name, g.constant(mean))
        return x._replace(name=g.op("Mul", centred, g.constant(1 / std)))

    def left(self, g: Program, y: Value) -> Value:
        """std y + mean; classes as they are."""
        p = self.preparation
        if p.label_std != 1:
            y = y._replace(name=g.op("Mul", y.name, g.constant(p.label_std)))
        if p.label_mean:
            y = y._replace(name=g.op("Add", y.name, g.constant(p.label_mean)))
        return y

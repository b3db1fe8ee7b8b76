"""A mask of scores that is a setting: who may look at whom, the same for all samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers.base import Host, Initializer
from xpnn.layers.base import Shape, Spec


@dataclass(frozen=True)
class Rows(Initializer):
    """The numbers 0 and 1 that rows such as "110" spell."""

    rows: tuple[str, ...]

    def __call__(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Host:
        """As they are written. Raises UsageError for another shape."""
        if tuple(shape) != (len(self.rows), len(self.rows[0])):
            raise UsageError(
                f"Rows of {len(self.rows)} times and {len(self.rows[0])} steps", why=f"got {shape}"
            )
        return np.array([[digit == "1" for digit in row] for row in self.rows], np.float64)


def as_rows(mask: Any) -> Any:
    """An array (time, steps) of 0 and 1, or of booleans, as a tuple of words of 0 and 1; None and words as they are.

    Raises UsageError for anything else.
    """
    if mask is None or (isinstance(mask, tuple | list) and all(isinstance(row, str) for row in mask)):
        rows = mask
    else:
        a = np.asarray(mask)
        if a.ndim != 2 or not np.isin(a, (0, 1)).all():
            raise UsageError(
                f"attention_mask={repr(mask)[:60]} of shape {a.shape}: wanted (time, steps) of 0 and 1",
                fix="1, or True, where the query of a row may look at the key of a column",
            )
        rows = tuple("".join("1" if one else "0" for one in row) for row in a)
    if rows is not None and (
        not rows or len({len(row) for row in rows}) > 1 or set("".join(rows)) - {"0", "1"} or not rows[0]
    ):
        raise UsageError(f"attention_mask={str(rows)[:80]}: wanted rows of one length, of 0 and 1")
    return rows


def mask_spec(rows: tuple[str, ...], wanted: Shape) -> Spec:
    """The mask as a fixed array. Raises ShapeError for other sequences."""
    if (len(rows), len(rows[0])) != wanted:
        raise ShapeError(
            f"has an attention_mask for {len(rows)} times and {len(rows[0])} steps",
            why=f"got {wanted[0]} and {wanted[1]}",
        )
    return Spec(wanted, Rows(rows), trainable=False)

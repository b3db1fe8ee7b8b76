"""What a dataset is, once it is loaded."""

import os
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Location = str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples `x` (N, ...) and labels `y` int64 (N,) to train on, and others to test with.

    `classes` names each label, `note` says where the data comes from.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    classes: tuple[str, ...]
    note: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.x.shape[1:]

"""What a dataset is, once it is loaded."""

import os
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from xpnn.data.preparation import Preparation

Location = str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples `x` (N, ...) and labels `y` int64 (N,) to train on, and others to test with.

    `classes` names each label; a regression has none, and y is float64. `note` says where the data comes from.
    `preparation`: how raw data became x, for a model to remember; x is a tuple where it embeds columns. `notes`: what
    was chosen, left out or filled on the way, a line each. `held_out`: the test samples were taken out of one set.
    `validation`: samples and labels to choose the best epoch by, where the data has a part for that.
    """

    name: str
    x: Any
    y: NDArray[Any]
    x_test: Any
    y_test: NDArray[Any]
    classes: tuple[str, ...]
    note: str
    preparation: Preparation | None = None
    notes: tuple[str, ...] = ()
    held_out: bool = False
    validation: tuple[Any, NDArray[Any]] | None = None

    @property
    def input_shape(self) -> Any:
        """The shape of one sample; of several inputs a tuple of shapes."""
        return tuple(a.shape[1:] for a in self.x) if isinstance(self.x, tuple) else self.x.shape[1:]

    @property
    def outputs(self) -> int:
        """Outputs of a network for this dataset: one for each class, one for a regression."""
        return len(self.classes) or 1

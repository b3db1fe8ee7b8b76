"""What a row is: a layer or a loss, and the arrays that the checks give it."""

from dataclasses import dataclass
from typing import Any

from xpnn.config import short_repr
from xpnn.layers import Layer
from xpnn.layers.base import for_each, is_multiple
from xpnn.losses import Loss


@dataclass(frozen=True)
class Case:
    """A layer, the shape of one sample, and how many there are. bytes: the samples are uint8.

    Of a layer of several inputs the shape is a tuple of shapes. A layer that takes ids gets ids; one that takes a mask
    gets 0 and 1, never all 0 in a row, unless blank: then the first sample's masks are all 0.
    """

    layer: Layer
    shape: tuple[Any, ...]
    batch: int = 3
    bytes: bool = False
    blank: bool = False

    @property
    def kinds(self) -> tuple[str | None, ...]:
        """What the layer takes, input by input."""
        return for_each(self.layer.input_kind, len(self.shape) if is_multiple(self.shape) else 1)

    @property
    def ids(self) -> bool:
        return self.layer.input_kind == "int"

    def __str__(self) -> str:
        return f"{short_repr(self.layer)}-{self.shape}x{self.batch}".replace(" ", "")


@dataclass(frozen=True)
class LossCase:
    """A loss, the shape of the predictions, the form of its target, and whether samples, or "positions", are weighted.

    target: "ids", "one-hot", "soft", "real", "unit" (from 0 to 1), "signs" (-1 and 1), "counts", "ignored" (ids, every
    third of them -100), or "own": what the loss's own `random_target` draws.
    """

    loss: Loss
    shape: tuple[Any, ...]
    target: str
    weighted: bool | str = False

    def __str__(self) -> str:
        how = f"-weighted{'-positions' * (self.weighted == 'positions')}" if self.weighted else ""
        words = f"{short_repr(self.loss)}-{self.shape}-{self.target}{how}"
        return words.replace(" ", "")

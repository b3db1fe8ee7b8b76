"""Sizes that are known only when data comes: `None` in `input_shape`, such as the length of a sequence."""

from typing import Any

from xpnn.errors import ShapeError
from xpnn.trees import leaves

ASSUMED = 1009
"""What a `Length` counts as while shapes are planned: long enough for every window, and a product by accident of no
two sizes that people write down."""


class Length(int):
    """A size that is not known yet. Sums, products and quotients with it are not known either.

    So a layer plans its shapes as if it were a number, and what depends on it stays recognisable: it prints as None.
    """

    def __repr__(self) -> str:
        return "None"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("None", spec.replace(",", ""))

    def __add__(self, other: int) -> "Length":
        return Length(int(self) + int(other))

    def __sub__(self, other: int) -> "Length":
        return Length(int(self) - int(other))

    def __rsub__(self, other: int) -> "Length":
        return Length(int(other) - int(self))

    def __mul__(self, other: int) -> "Length":
        return Length(int(self) * int(other))

    def __floordiv__(self, other: int) -> "Length":
        return Length(int(self) // int(other))

    def __neg__(self) -> "Length":
        return Length(-int(self))

    __radd__, __rmul__ = __add__, __mul__


def planned(shape: Any, assumed: int = ASSUMED) -> Any:
    """The shape, or tuple of shapes, with a `Length` in place of each None: as `Layer.plan` takes it."""
    if isinstance(shape, tuple):
        return tuple(planned(part, assumed) for part in shape)
    return Length(assumed) if shape is None else shape


def shown(shape: Any) -> Any:
    """The inverse of `planned`: None for what is not known."""
    if isinstance(shape, tuple):
        return tuple(map(shown, shape))
    return None if isinstance(shape, Length) else shape


def is_open(shape: Any) -> bool:
    """Whether any size in the shape is unknown."""
    return any(map(is_open, shape)) if isinstance(shape, tuple) else isinstance(shape, Length)


def check_parameters(specs: Any) -> None:
    """Raise ShapeError for a parameter whose shape depends on what is not known."""
    for name, spec in leaves(specs):
        if is_open(tuple(spec.shape)):
            raise ShapeError(
                f"needs a fixed length: its parameter {name} would have the shape {tuple(spec.shape)}",
                why="input_shape leaves a size open (None): write it out, or take the length away before this layer, "
                "as GlobalAveragePool and the last state of a recurrent layer do",
            )

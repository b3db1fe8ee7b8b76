"""What a network from a file may ask for: layers that are run, and numbers that they give for one sample.

A few bytes can describe a network in which a shared part contains a shared part, and so on: every level doubles the
work. Others pad or repeat a sample to any size. Networks made in Python are never held to this.
"""

import math
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from xpnn.errors import CheckpointError

FREE_VALUES, VALUES_PER_BYTE = 1 << 25, 256
"""Numbers that all layers together may give for one sample: so many always, and so many for each byte of the file."""
FREE_LAYERS, BYTES_PER_LAYER = 1000, 8
"""Layers that may be run, whatever the file's size, and one more for so many bytes: none is described by fewer."""


@dataclass
class Budget:
    """What a file's network may still use. Raises CheckpointError when nothing is left."""

    layers: int
    values: int

    def __post_init__(self) -> None:
        self.allowed = self.values

    def spend(self, shape: Any) -> None:
        """Count a layer that gives an array of that shape for one sample, or several arrays."""
        self.layers -= 1
        shapes = shape if shape and isinstance(shape[0], tuple) else (shape,)
        self.values -= int(sum(math.prod(one) for one in shapes))
        if self.layers < 0:
            raise CheckpointError(
                "the saved network runs its layers more often than a description of its length may",
                why="parts that are shared contain parts that are shared, and every level doubles the work",
            )
        if self.values < 0:
            raise CheckpointError(
                f"the layers of the saved network give over {self.allowed:,} numbers for one sample",
                why="more are not allowed to a file of this size: a few bytes could ask for any amount of memory",
                fix="a file that you made yourself: build the network in Python, and load its parameters into it",
            )


T = TypeVar("T")
CURRENT: ContextVar[Budget | None] = ContextVar("budget", default=None)


def limited(text: int, size: int, f: Callable[..., T], *args: Any) -> T:
    """f(*args), with all that it plans held to a description of `text` bytes in a file of `size` bytes.

    In a context of its own: whatever happens inside, nothing that is planned later is held to it.
    """
    context = copy_context()
    context.run(
        CURRENT.set, Budget(FREE_LAYERS + text // BYTES_PER_LAYER, FREE_VALUES + VALUES_PER_BYTE * size)
    )
    return context.run(f, *args)

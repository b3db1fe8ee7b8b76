"""A trained network as a list of ONNX operations with constants: what every export is written from.

Samples lie on the first axis. A value knows the shape of one sample as xpnn has it, channels last, and whether its
array lies channels first at the moment: a convolution leaves its result so, elementwise operations keep it, and it is
turned back only where something needs the channels last.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from xpnn.errors import UsageError
from xpnn.layers.lengths import Length, is_open
from xpnn.printing import in_comment

Host = np.ndarray[Any, Any]
Shape = tuple[Any, ...]


@dataclass
class Node:
    """One operation of ONNX's standard, by its name there, with the names of its inputs and outputs."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    path: str
    """The path of the layer that the node belongs to: "2", or "body.0"."""


class Value(NamedTuple):
    """An array at run time: its name, the shape of one sample with channels last, and whether it lies (N, C, ...)."""

    name: str
    shape: Shape
    first: bool = False

    @property
    def rank(self) -> int:
        """The number of axes, that of the samples included."""
        return len(self.shape) + 1

    @property
    def channel_axis(self) -> int:
        """Where the channels are, or the features of a sample without positions."""
        return 1 if self.first else self.rank - 1

    @property
    def position_axes(self) -> list[int]:
        """Height and width, or time."""
        return [axis for axis in range(1, self.rank) if axis != self.channel_axis]

    def per_channel(self, a: Host) -> Host:
        """One number for each channel, shaped so that it broadcasts against this value."""
        return a.reshape(-1, *(1 for _ in self.shape[1:])) if self.first and a.size > 1 else a


@dataclass
class Program:
    """Nodes in the order they run, constants by name, and what goes in and comes out."""

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Host] = field(default_factory=dict)
    inputs: list[tuple[str, str, Shape]] = field(default_factory=list)
    """(name, dtype, shape of one sample in the layout that is fed)."""
    outputs: list[tuple[str, Shape]] = field(default_factory=list)
    meanings: list[str] = field(default_factory=list)
    """What the numbers of each input are, where the model was trained on a table."""
    opset: int = 20
    real: Any = np.float32
    """The dtype of its parameters and other constants: what a file holds. A module of PyTorch's may be finer."""
    path: str = ""
    names: set[str] = field(default_factory=set)

    @contextlib.contextmanager
    def inside(self, path: str | int) -> Iterator[None]:
        """Nodes made in here belong to the layer at that place in the present one."""
        before = self.path
        self.path = ".".join(part for part in (before, str(path)) if part)
        yield
        self.path = before

    def name(self, wanted: str) -> str:
        """`wanted`, or that with a number where it is taken."""
        found, n = wanted, 1
        while found in self.names:
            n += 1
            found = f"{wanted}_{n}"
        self.names.add(found)
        return found

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of the result of a new node; a list of names for several."""
        made = [self.name(f"{self.path or 'net'}/{kind}") for _ in range(outputs)]
        attributes = {key: numbers(value) for key, value in attributes.items()}
        self.nodes.append(Node(kind, list(inputs), made, attributes, self.path))
        return made[0] if outputs == 1 else made

    def parameter(self, name: str, a: Host) -> str:
        """A constant of the model's floats, called after the layer's path and `name`."""
        found, array = f"{self.path}.{name}" if self.path else name, np.ascontiguousarray(a, self.real)
        if found in self.constants and np.array_equal(self.constants[found], array):  # of a shared layer
            return found
        found = self.name(found)
        self.constants[found] = array
        return found

    def constant(self, a: Any, dtype: Any = None) -> str:
        """A small constant that is no parameter, of the model's floats by default; equal ones are kept once."""
        array = np.asarray(a, self.real if dtype is None else dtype)
        word = "_".join(map(str, array.reshape(-1).tolist())) if array.size <= 8 else "array"
        name = f"{array.dtype}{list(array.shape) or ''}_{word}".replace(" ", "")
        known = self.constants.get(name)
        if known is not None and array.size <= 8:
            return name
        name = self.name(name)
        self.constants[name] = array
        return name

    def ints(self, values: Sequence[int]) -> str:
        """Sizes, axes and the like."""
        return self.constant(list(values), np.int64)

    def last(self, x: Value) -> Value:
        """x with its channels on the last axis."""
        if not x.first:
            return x
        return Value(self.op("Transpose", x.name, perm=[0, *range(2, x.rank), 1]), x.shape)

    def first(self, x: Value) -> Value:
        """x as (N, C, ...)."""
        if x.first or x.rank < 3:
            return x
        name = self.op("Transpose", x.name, perm=[0, x.rank - 1, *range(1, x.rank - 1)])
        return Value(name, x.shape, True)

    def reshape(self, x: str, sizes: Sequence[int]) -> str:
        """The same elements; 0 keeps a size, -1 is what is left. A size that is open is what is left, too.

        Raises UsageError for two of those.
        """
        if is_open(tuple(sizes)):
            sizes = [0 if i == 0 else -1 if isinstance(n, Length) else n for i, n in enumerate(sizes)]
            if sizes.count(-1) > 1:
                raise UsageError(
                    f"layer {self.path or '0'} cannot be exported for several sizes that are open",
                    why="a Reshape of ONNX's leaves one open",
                    fix="write the others out in input_shape",
                )
        return str(self.op("Reshape", x, self.ints(sizes)))


def numbers(value: Any) -> Any:
    """An attribute with plain numbers for sizes that are open: whether they may stand there, `trace` asks."""
    if isinstance(value, list):
        return [numbers(one) for one in value]
    return int(value) if isinstance(value, Length) else value


def elements(shape: Shape) -> int:
    """Numbers in one sample."""
    return math.prod(shape)


def inputs_in_words(g: Program) -> str:
    """What the numbers of each input are, for a comment: in_comment takes out what could end one."""
    each = zip(g.inputs, g.meanings, strict=False)
    return "".join(f" {name} holds {in_comment(words)}." for (name, _, _), words in each)

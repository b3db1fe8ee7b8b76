"""What a layer is: a frozen description with a plan, a forward and a backward. It never holds an array."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.initializers.base import Host, Initializer
from xpnn.kernels import Array
from xpnn.random import Key

__all__ = ["Ctx", "Layer", "Spec"]

Shape: TypeAlias = tuple[Any, ...]
"""Of one sample: a tuple of sizes. Of several inputs or outputs: a tuple of such tuples."""
Tree: TypeAlias = Any
"""Nested tuples and dicts with arrays (or Specs) as leaves, in definition order."""


@dataclass(frozen=True)
class Spec:
    """A parameter before any array exists."""

    shape: Shape
    init: Initializer
    trainable: bool = True  # False: fixed or running statistics, kept in phi instead of theta
    decay: bool = True  # False: biases and norm gains, left out of weight decay
    fans: tuple[int, int] | None = (
        None  # inputs of an output, outputs of an input, where the shape does not tell
    )

    def initialize(self, rng: np.random.Generator) -> Host:
        """Its first values, drawn on the host."""
        return self.init.draw(rng, self.shape, self.fans)


class Ctx(NamedTuple):
    """All that a layer may know of the call it is in."""

    be: Backend
    train: bool = False
    key: Key = ()  # root seed, then the layer's path, indices and names: each draws its own stream
    tick: Array | None = None  # 0-d step counter on the device, so that a replayed step draws fresh masks
    need_dx: bool = True  # False: nobody wants the gradient of the input, backward returns None for it

    def child(self, index: int | str, need_dx: bool | None = None) -> "Ctx":
        """The context of the layer at `index`, or of that name, inside this one."""
        need = self.need_dx if need_dx is None else need_dx
        return Ctx(self.be, self.train, (*self.key, index), self.tick, need)


class Layer(Config, abstract=True):
    """A pair of pure functions over shapes and arrays. Subclasses are frozen dataclasses of plain settings.

    Where a layer wants one layer, a list of layers is a chain: `Residual([Dense(8), ReLU()])`.
    """

    trained: ClassVar[bool] = False
    """Whether the plan has parameters to train: backward passes end at the first layer that has."""
    differentiable: ClassVar[bool] = True
    multi_input: ClassVar[bool] = False
    """Whether it takes several inputs: `plan` then gets a tuple of shapes, `forward` a tuple of arrays, and `backward`
    gives a tuple as dx, with None for an input that has no gradient. Several outputs are a tuple likewise, and so is
    the dy of `backward`."""
    input_kind: ClassVar[str | tuple[str | None, ...] | None] = "float"
    """"float": the model's dtype; "any": every real dtype (the layer converts); "int": ids as int64, and there is no
    dx; "mask": 0 and 1 in the model's dtype, and there is no dx; None: passes on whatever comes. Of several inputs a
    tuple, or one word for all."""
    output_kind: ClassVar[str | tuple[str, ...]] = ""
    """"probabilities" if the outputs are already squashed: a loss that wants logits refuses them. Of several outputs a
    tuple, or one word for all."""

    @classmethod
    def coerce(cls, value: Any) -> "Layer | None":
        """A Sequential of the layers in a list. Raises UsageError for an entry that is none."""
        from xpnn.layers import Sequential

        return Sequential(tuple(value)) if isinstance(value, list | tuple) else None

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Shape of one sample in -> (specs of the parameters, shape of one sample out). Raises ShapeError."""
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """-> (y, cache): the cache is exactly what backward needs."""
        raise NotImplementedError

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """-> (dx, gradients shaped like p)."""
        raise NotImplementedError

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """-> the new values of those entries of phi that a training step changes; most layers change none."""
        return {}

    def vocab_size(self) -> int | tuple[int, ...]:
        """How many ids there are for a layer that takes "int": 0, 1, ..., vocabulary() - 1. 0: as many as you like.

        Of several inputs a tuple, or one number for all.
        """
        return 0

    def refuses_one(self, shape: Shape) -> bool:
        """Whether it cannot be trained on a batch of one sample of that shape."""
        return False

    def inner(self, shape: Shape) -> list[tuple["Layer", Shape]]:
        """Of a container, the layers in it and the shapes they get, in the order of their paths."""
        return []

    def branches(self, shape: Shape) -> list[tuple[str, "Layer", Shape]]:
        """`inner` with their paths, which are 0, 1, ... unless they have names."""
        return [(str(i), layer, given) for i, (layer, given) in enumerate(self.inner(shape))]


def is_multiple(shape: Shape) -> bool:
    """Whether it is a tuple of shapes."""
    return bool(shape) and isinstance(shape[0], tuple)


def for_each(value: Any, n: int) -> tuple[Any, ...]:
    """What is said of n inputs or outputs, one by one: a tuple as it is, anything else n times."""
    return value if isinstance(value, tuple) else (value,) * n


def as_input(net: Layer, be: Backend, x: Any) -> Any:
    """Bytes and other foreign dtypes become the model's, unless the network's first layer converts them itself.

    Ids become int64. Several inputs are a tuple.
    """
    if isinstance(x, tuple):
        kinds = for_each(net.input_kind, len(x))
        return tuple(as_kind(kind, be, a) for kind, a in zip(kinds, x, strict=True))
    return as_kind(net.input_kind, be, x)


def as_kind(kind: Any, be: Backend, x: Array) -> Array:
    """One input in the dtype of what a layer `takes`."""
    wanted = be.xp.int64 if kind == "int" else be.dtype
    return x if kind == "any" or x.dtype == wanted else be.xp.astype(x, wanted)


def as_float(cx: Ctx, x: Array) -> Array:
    """x in the model's dtype."""
    return x if x.dtype == cx.be.dtype else cx.be.xp.astype(x, cx.be.dtype)

"""What a layer is: a frozen description with a plan, a forward and a backward. It never holds an array."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from xpnn.backends.base import Backend
from xpnn.describe import Described
from xpnn.initializers import Initializer
from xpnn.kernels import Array

Shape: TypeAlias = tuple[int, ...]
Tree: TypeAlias = Any
"""Nested tuples and dicts with arrays (or Specs) as leaves, in definition order."""


@dataclass(frozen=True)
class Spec:
    """A parameter before any array exists."""

    shape: Shape
    init: Initializer
    trainable: bool = True  # False: fixed or running statistics, kept in phi instead of theta
    decay: bool = True  # False: biases and norm gains, left out of weight decay


@dataclass(frozen=True)
class Ctx:
    """All that a layer may know of the call it is in."""

    be: Backend
    train: bool = False
    key: tuple[int, ...] = ()  # root seed, then the path of layer indices: each layer draws its own stream
    tick: Array | None = None  # 0-d step counter on the device, so that a replayed step draws fresh masks
    need_dx: bool = True  # False: nobody wants the gradient of the input, backward returns None for it

    def child(self, index: int, need_dx: bool | None = None) -> "Ctx":
        """The context of the layer at `index` inside this one."""
        need = self.need_dx if need_dx is None else need_dx
        return Ctx(self.be, self.train, (*self.key, index), self.tick, need)


class Layer(Described):
    """A pair of pure functions over shapes and arrays. Subclasses are frozen dataclasses of plain settings."""

    trained: ClassVar[bool] = False
    """Whether the plan has parameters to train: backward passes end at the first layer that has."""
    differentiable: ClassVar[bool] = True
    takes: ClassVar[str | None] = "float"
    """"float": the model's dtype; "any": every real dtype (the layer converts); "int": ids as int64, and there is no
    dx; None: passes on whatever comes."""
    gives: ClassVar[str] = ""
    """"probabilities" if the outputs are already squashed: a loss that wants logits refuses them."""

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Shape of one sample in -> (specs of the parameters, shape of one sample out). Raises ShapeError."""
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """-> (y, cache): the cache is exactly what backward needs."""
        raise NotImplementedError

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """-> (dx, gradients shaped like p)."""
        raise NotImplementedError

    def settle(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """-> the new values of those entries of phi that a training step changes; most layers change none."""
        return {}

    def vocabulary(self) -> int:
        """How many ids there are for a layer that takes "int": 0, 1, ..., vocabulary() - 1."""
        return 0

    def inner(self, shape: Shape) -> list[tuple["Layer", Shape]]:
        """Of a container, the layers in it and the shapes they get, in the order of their paths."""
        return []


def as_input(net: Layer, be: Backend, x: Array) -> Array:
    """Bytes and other foreign dtypes become the model's, unless the network's first layer converts them itself.

    Ids become int64.
    """
    wanted = be.xp.int64 if net.takes == "int" else be.dtype
    return x if net.takes == "any" or x.dtype == wanted else be.xp.astype(x, wanted)


def as_float(cx: Ctx, x: Array) -> Array:
    """x in the model's dtype."""
    return x if x.dtype == cx.be.dtype else cx.be.xp.astype(x, cx.be.dtype)

"""What a layer is: a frozen description with a plan, a forward and a backward. It never holds an array."""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.errors import UsageError, missing
from xpnn.initializers.base import Host, Initializer
from xpnn.kernels import Array
from xpnn.random import Key
from xpnn.renamed import old_members

__all__ = ["Child", "Ctx", "Layer", "Spec"]

Shape: TypeAlias = tuple[Any, ...]
"""Of one sample: a tuple of sizes. Of several inputs or outputs: a tuple of such tuples."""
Kind: TypeAlias = str | None
T = TypeVar("T")
Tree: TypeAlias = Any
"""Nested tuples and dicts with arrays (or Specs) as leaves, in definition order."""


class LayerLike(Protocol):
    """A layer, or an object with these two methods alone, which a list of layers takes as it is (see `Custom`)."""

    @property
    def forward(self) -> Callable[..., Any]:
        """From x to y."""

    @property
    def backward(self) -> Callable[..., Any]:
        """From dy to dx."""


@dataclass(frozen=True)
class Spec:
    """A parameter before any array exists."""

    shape: Shape
    init: Initializer
    trainable: bool = True  # False: fixed or running statistics, kept in phi instead of theta
    decay: bool = True  # False: biases and norm gains, left out of weight decay
    fans: tuple[int, int] | None = (
        None  # inputs of an output, outputs of an input, where they do not follow from the shape
    )

    def initialize(self, rng: np.random.Generator) -> Host:
        """Initial values, drawn on the host."""
        return self.init.draw(rng, self.shape, self.fans)


class Ctx(NamedTuple):
    """All that a layer may know of the call it is in."""

    be: Backend
    train: bool = False
    key: Key = ()  # root seed, then the layer's path, indices and names: each draws its own stream
    tick: Array | None = None  # 0-d step counter on the device, so that a replayed step draws fresh masks
    need_dx: bool = True  # False: the gradient of the input is not needed, backward returns None for it

    def child(self, index: int | str, need_dx: bool | None = None) -> "Ctx":
        """The context of the layer at `index`, or of that name, inside this one."""
        need = self.need_dx if need_dx is None else need_dx
        return Ctx(self.be, self.train, (*self.key, index), self.tick, need)

    def uniform(self, shape: Shape, axis: int = 0) -> Array:
        """Uniform numbers in [0, 1) of this layer at this step, where `axis` counts samples.

        Where several processes share a batch, each draws for its samples what one alone would.
        """
        return self._draw(self.be.uniform, shape, axis)

    def normal(self, shape: Shape) -> Array:
        """Numbers of mean 0 and variance 1, for samples on the first axis."""
        return self._draw(self.be.normal, shape, 0)

    def keep_mask(self, shape: Shape, rate: float) -> Array:
        """Bool: True where `uniform` is at least `rate`, for samples on the first axis."""
        return self._draw(self.be.keep_mask, shape, 0, rate)

    def _draw(self, kernel: Callable[..., Array], shape: Shape, axis: int, *settings: float) -> Array:
        share = self.be.share
        if share is None:
            return kernel(self.key, self.tick, shape, *settings)
        repeats, inner = math.prod(shape[:axis]), math.prod(shape[axis:])
        starts = [(k * share.total + share.first) * inner // share.rows for k in range(repeats)]
        parts = [kernel(self.key, self.tick, shape[axis:], *settings, first=start) for start in starts]
        return parts[0] if axis == 0 else self.be.xp.reshape(self.be.xp.stack(parts), shape)


if TYPE_CHECKING:

    def trait(get: Callable[[Any], T]) -> T:
        """A setting of a class, or of an object that computes it."""
else:

    class trait(functools.cached_property):  # noqa: N801
        """A cached property that a dataclass does not take for the default of a setting of the same name."""

        def __get__(self, instance: Any, owner: Any = None) -> Any:
            """As a cached property; but a class has none."""
            if instance is None:
                raise AttributeError(f"{owner.__name__}.{self.attrname} is a trait of its objects")
            return super().__get__(instance, owner)


class Child(NamedTuple):
    """A layer inside a container, with its name in paths ("0", "1", ..., or a node's) and the shape it gets."""

    name: str
    layer: "Layer"
    shape: Shape


@old_members
class Layer(Config, abstract=True):
    """A pair of pure functions over shapes and arrays. Subclasses are frozen dataclasses of plain settings.

    Where a layer wants one layer, a list of layers is a chain: `Residual([Dense(8), ReLU()])`.
    """

    role: ClassVar[str] = ""
    """What it is, where others ask: "activation", "normalization", "noise" (random at every step), "augmentation",
    "shape" (the same numbers in another shape) or "container" (made of other layers)."""

    @classmethod
    def coerce(cls, value: Any) -> "Layer | None":
        """A Sequential of the layers in a list; an object with forward or backward as `Custom`.

        Raises UsageError for an entry that is no layer, and for a class in place of an object.
        """
        from xpnn.layers import Custom, Sequential

        if isinstance(value, list | tuple):
            return Sequential(tuple(value))
        methods = hasattr(value, "forward") or hasattr(value, "backward")
        if methods and isinstance(value, type):
            raise UsageError(
                f"{value.__name__} is a class", fix=f"{value.__name__}(), an object of that class"
            )
        return Custom(value) if methods else None

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Shape of one sample in -> (specs of the parameters, shape of one sample out). Raises ShapeError."""
        return {}, shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """-> (y, cache): the cache is exactly what backward needs."""
        raise missing(self, "forward(self, cx, p, x)", "y, cache")

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """-> (dx, gradients shaped like p)."""
        raise missing(self, "backward(self, cx, p, cache, dy)", "dx, gradients shaped like p")

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """-> the new values of those entries of phi that a training step changes; most layers change none."""
        return {}

    def min_batch_size(self, shape: Shape) -> int:
        """The smallest batch of samples of that shape that it can be trained on."""
        return 1

    def children(self, shape: Shape) -> list[Child]:
        """The layers in a container, in the order of their paths."""
        return []

    # Traits. A layer states one as a class attribute, a setting or a cached property of its own.

    @trait
    def trained(self) -> bool:
        """Whether the plan has parameters to train: backward passes end at the first layer that has."""
        return False

    @trait
    def differentiable(self) -> bool:
        """Whether `backward` exists. A network with a layer that is not cannot be trained through it."""
        return True

    @trait
    def multi_input(self) -> bool:
        """Whether it takes several inputs.

        `plan` then gets a tuple of shapes, `forward` a tuple of arrays, and `backward` gives a tuple as dx, with None
        for an input that has no gradient. Several outputs are a tuple too, and so is the dy of `backward`.
        """
        return False

    @trait
    def input_kind(self) -> Kind | tuple[Kind, ...]:
        """What it takes; of several inputs a tuple, or one word for all.

        "float": the model's dtype; "any": every real dtype (the layer converts); "wide": the same, and numbers with
        more digits than float32 come as float64; "int": ids as int64, without a dx; "mask": 0 and 1 in the
        model's dtype, without a dx; None: passes on whatever comes.
        """
        return "float"

    @trait
    def output_kind(self) -> Kind | tuple[Kind, ...]:
        """What it gives; of several outputs a tuple, or one word for all.

        "probabilities": the outputs are squashed already, and a loss that wants logits refuses them; "": any real
        number; None: what it got, moved or dropped.
        """
        return ""

    @trait
    def vocab_size(self) -> int | tuple[int, ...]:
        """How many ids a layer that takes "int" knows: 0, 1, ..., vocab_size - 1. 0: as many as you like.

        Of several inputs a tuple, or one number for all.
        """
        return 0


def numbered(layers: "Iterable[Layer]", shape: Shape) -> list[Child]:
    """Layers that all get the same shape, with the names 0, 1, ..."""
    return [Child(str(i), layer, shape) for i, layer in enumerate(layers)]


def is_multiple(shape: Shape) -> bool:
    """Whether `shape` is a tuple of shapes, of several inputs or outputs."""
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
    """One input in the dtype that a layer of this `input_kind` takes."""
    wanted = be.xp.int64 if kind == "int" else be.dtype
    return x if kind in ("any", "wide") or x.dtype == wanted else be.xp.astype(x, wanted)


def as_float(cx: Ctx, x: Array) -> Array:
    """x in the model's dtype."""
    return x if x.dtype == cx.be.dtype else cx.be.xp.astype(x, cx.be.dtype)

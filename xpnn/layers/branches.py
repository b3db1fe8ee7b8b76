"""Layers side by side: skip connections and branches."""

import functools
from typing import Annotated, Any

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Child, Ctx, Layer, Shape, Tree, numbered
from xpnn.layers.containers import Branches, OneLayer, checked_layers, of_inner, plan_child, taken_by_all
from xpnn.layers.merge_operations import MERGES, added, merged, merged_shape, parts
from xpnn.settings import frozen, one_of


@frozen
class Residual(Layer):
    """y = x + f(x), where f(x) has the shape of x.

    Backward: dx = dy + (df/dx)^T dy. Parameters of f have the paths "0.W", ....
    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
    """

    role = "container"
    layer: OneLayer
    trained = of_inner("trained")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layer.input_kind == "int":
            raise UsageError(f"Residual({type(self.layer).__name__}): ids cannot be added to")

    def children(self, shape: Shape) -> list[Child]:
        return numbered((self.layer,), shape)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError when f changes the shape."""
        specs, out = plan_child(0, self.layer, shape, (str(shape),))
        if out != shape:
            raise ShapeError(f"wants a layer that keeps the shape {shape}", why=f"it gives {out}")
        return (specs,), shape

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        y, cache = self.layer.forward(cx.child(0), p[0], x)
        return x + y, (cache,)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        dx, grads = self.layer.backward(cx.child(0), p[0], cache[0], dy)
        return (dy + dx if cx.need_dx else None), (grads,)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        return (self.layer.update_stats(cx.child(0), p[0], cache[0]),)


@frozen
class Parallel(Layer):
    """y = merge(f_0(x), f_1(x), ...): every layer gets the same x.

    merge: "concatenate" on the last axis, where the other axes agree; "add", "subtract", "multiply" or "average",
    element by element, where all shapes agree, or have 1 where others have more. Backward: with dy_i as in Concatenate,
    Add, Subtract, Multiply or Average, dx = sum_i (df_i/dx)^T dy_i. Parameters of f_i have the paths "i.W", ....
    """

    role = "container"
    layers: Branches
    merge: Annotated[str, one_of(*MERGES)] = "concatenate"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers("Parallel", self.layers, chains=True))
        super().__post_init__()
        if not self.layers:
            raise UsageError("Parallel of no layers gives nothing", fix="name at least one")
        if len({layer.input_kind == "int" for layer in self.layers}) > 1:
            raise UsageError("Parallel: some layers take ids, others real numbers", why="all get the same x")

    @functools.cached_property
    def input_kind(self) -> Any:
        """What all of them take, else the model's dtype."""
        return taken_by_all(self.layers)

    @functools.cached_property
    def trained(self) -> bool:
        return any(layer.trained for layer in self.layers)

    @functools.cached_property
    def output_kind(self) -> Any:
        """An average of probabilities is one."""
        if self.merge != "average":
            return ""
        kinds = {layer.output_kind for layer in self.layers}  # asked once each: see Sequential.input_kind
        return kinds.pop() if len(kinds) == 1 else ""

    @functools.cached_property
    def vocab_size(self) -> Any:
        """The smallest: an id has to be known to all."""
        return min((layer.vocab_size for layer in self.layers if layer.vocab_size), default=0)

    def children(self, shape: Shape) -> list[Child]:
        return numbered(self.layers, shape)

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """Raises ShapeError when the shapes cannot be merged."""
        specs, outs = zip(
            *(plan_child(i, layer, shape, (str(shape),)) for i, layer in enumerate(self.layers)), strict=True
        )
        return specs, merged_shape(self.merge, outs)

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps what the layers keep, and their outputs' widths, for a product the outputs, else their shapes."""
        ys, caches = [], []
        for i, layer in enumerate(self.layers):
            y, cache = layer.forward(cx.child(i), p[i], x)
            ys.append(y)
            caches.append(cache)
        y, kept = merged(cx, self.merge, tuple(ys))
        return y, (tuple(caches), kept)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        dxs, grads = [], []
        shares = parts(cx, self.merge, cache[1], dy)
        for i, (layer, part) in enumerate(zip(self.layers, shares, strict=True)):
            dx, grad = layer.backward(cx.child(i), p[i], cache[0][i], part)
            dxs.append(dx)
            grads.append(grad)
        ids = any(dx is None for dx in dxs)
        return (added(tuple(dxs)) if cx.need_dx and not ids else None), tuple(grads)

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        return tuple(
            layer.update_stats(cx.child(i), p[i], cache[0][i]) for i, layer in enumerate(self.layers)
        )

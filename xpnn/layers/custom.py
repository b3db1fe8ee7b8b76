"""A class with `forward` and `backward` alone as a layer."""

import copy
import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.errors import ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Shape, Tree
from xpnn.layers.lengths import is_open

__all__ = ["Custom"]


@dataclass(frozen=True)
class Custom(Layer, abstract=True):
    """An object with y = forward(x) and dx = backward(dy) as a layer without parameters.

    A list of layers takes such an object as it is. What backward needs, forward keeps on self: each call works on a
    copy of the object, so that calls do not disturb each other. The shape of the outputs is found by a trial with
    zeros, in NumPy, unless the object has a method plan(shape). Arrays are the backend's: arithmetic works as it is,
    and forward(x, be), backward(dy, be) are given the backend where they take it. A layer with parameters, or one that
    is saved with the model, derives from Layer.
    Raises UsageError for a method that is missing, ShapeError for a gradient of another shape than the input.
    """

    part: Any

    def __post_init__(self) -> None:
        for method, gives in (("forward", "y"), ("backward", "dx")):
            if not callable(getattr(self.part, method, None)):
                given = "x" if method == "forward" else "dy"
                raise UsageError(
                    f"{type(self.part).__name__} has no method {method}",
                    why="a layer has a forward and a backward",
                    fix=f"def {method}(self, {given}): ... return {gives}",
                )

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """The shape that the object's own `plan` says, or that two samples of zeros lead to."""
        name, plan = type(self.part).__name__, getattr(self.part, "plan", None)
        if plan is not None:
            return {}, tuple(plan(shape))
        if is_open(shape) or any(isinstance(n, tuple) for n in shape) or wants_backend(self.part.forward):
            raise UsageError(
                f"{name} has no method plan",
                why="the shape of its outputs is found by a trial, for one input of fixed sizes, and forward(self, x)",
                fix="def plan(self, shape): ... return the shape of one sample out",
            )
        y = copy.copy(self.part).forward(np.zeros((2, *shape), np.float32))
        if not hasattr(y, "shape") or y.shape[:1] != (2,):
            raise ShapeError(
                f"{name}.forward gives {getattr(y, 'shape', type(y).__name__)} for 2 samples",
                fix="return y (N, ...)",
            )
        return {}, tuple(map(int, y.shape[1:]))

    def forward(self, cx: Ctx, p: Tree, x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Call a copy's forward, and keep the copy."""
        part = copy.copy(self.part)
        return called(part.forward, cx.be, x), (part, tuple(x.shape))

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Array | None, Tree]:
        """Call its backward. Raises ShapeError."""
        part, shape = cache
        dx = called(part.backward, cx.be, dy)
        if getattr(dx, "shape", None) is None or tuple(dx.shape) != shape:
            raise ShapeError(
                f"{type(part).__name__}.backward gives {getattr(dx, 'shape', dx)}, the input has shape {shape}",
                fix="return dx, shaped like x",
            )
        return dx, {}


def called(method: Any, be: Any, a: Array) -> Any:
    """method(a), or method(a, be) where it takes two."""
    return method(a, be) if wants_backend(method) else method(a)


def wants_backend(method: Any) -> bool:
    """Whether a method takes the backend besides an array."""
    wanted = [
        one
        for one in inspect.signature(method).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    return len(wanted) == 2

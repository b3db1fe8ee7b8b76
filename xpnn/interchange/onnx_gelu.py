"""GELU written out: x (1 + erf(x / sqrt 2)) / 2, or with tanh in place of erf, in any order of its products.

Source: Hendrycks and Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415 (2016).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import close
from xpnn.interchange.onnx_values import Builder, Refusal, Value, chained


@dataclass(frozen=True)
class Bell:
    """factor (f(given) + shift), or x times that: f is erf of x / sqrt 2, or tanh of its polynomial."""

    x: Value
    given: Value
    approximate: bool
    shift: float = 0.0
    factor: float = 1.0
    times: bool = False


def error_function(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """erf(x / sqrt 2)."""
    given = b.value(inputs[0])
    x = scaled(b, given, math.sqrt(0.5))
    if x is None:
        return False
    return wait(b, outputs[0], Bell(x, given, approximate=False))


def hyperbolic(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """tanh(sqrt(2 / pi) (x + 0.044715 x^3))."""
    given = b.value(inputs[0])
    total = scaled(b, given, math.sqrt(2 / math.pi))
    if total is None:
        return False
    layer, parts = b.node(total.name)
    if not isinstance(layer, L.Add) or len(parts) != 2:
        return False
    for name, other in (parts, parts[::-1]):
        cube = scaled(b, replaced(given, other), 0.044715)
        if cube is not None and is_cube(b, cube.name, name):
            return wait(b, outputs[0], Bell(replaced(given, name), given, approximate=True))
    return False


def scaled(b: Builder, y: Value, wanted: float) -> Value | None:
    """What y is that number times; None where it is not."""
    layer, given = b.node(y.name)
    if not isinstance(layer, L.Rescale) or layer.offset or not close(layer.scale, wanted):
        return None
    return replaced(y, given)


def replaced(x: Value, name: str) -> Value:
    """The value of that name, which elementwise layers made x of."""
    return Value(name, x.shape, x.layout, x.flat)


def is_cube(b: Builder, name: str, x: str) -> bool:
    """Whether the value of that name is x x x, multiplied in any order."""
    left, found = [name], 0
    while left and found + len(left) <= 3:
        one = left.pop()
        layer, given = b.node(one)
        if one == x:
            found += 1
        elif isinstance(layer, L.Multiply):
            left += given
        else:
            return False
    return found == 3 and not left


def wait(b: Builder, out: str, bell: Bell) -> bool:
    """GELU where it is complete; else its nodes so far, made when another node takes them."""
    if bell.times and close(bell.factor, 0.5):
        b.elementwise(out, L.GELU(bell.approximate), bell.x)
        return True
    b.pending[out] = bell
    b.makers[out] = lambda: made(b, out, bell)
    return True


def made(b: Builder, out: str, bell: Bell) -> None:
    """The value as it is. Raises Refusal for the error function alone."""
    if bell.times:
        b.elementwise(out, chained(L.GELU(bell.approximate), L.Rescale(2 * bell.factor)), bell.x)
    elif bell.approximate:
        scale = L.Rescale(bell.factor, bell.factor * bell.shift)
        b.elementwise(out, chained(L.Tanh(), scale) if scale != L.Rescale(1.0) else L.Tanh(), bell.given)
    else:
        raise Refusal("the error function is no layer here, but within a GELU")


def added(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """1 + f."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        bell, c = b.pending.get(one), b.constants.get(other)
        if isinstance(bell, Bell) and not bell.times and bell.shift == 0 and bell.factor == 1:
            if c is None or c.size != 1 or np.any(c != 1):
                continue
            return wait(b, outputs[0], replace(bell, shift=1.0))
    return False


def multiplied(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """1 + f, or x times that, times a number; or times x, which may be scaled itself."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        bell, c, y = b.pending.get(one), b.constants.get(other), b.values.get(other)
        if not isinstance(bell, Bell) or bell.shift != 1:
            continue
        if c is not None and c.size == 1:
            return wait(b, outputs[0], replace(bell, factor=bell.factor * float(np.ravel(c)[0])))
        factor = None if y is None or bell.times else times_x(b, y, bell.x)
        if factor is not None:
            return wait(b, outputs[0], replace(bell, factor=bell.factor * factor, times=True))
    return False


def divided(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The same, divided by a number."""
    bell, c = b.pending.get(inputs[0]), b.constants.get(inputs[1])
    if not isinstance(bell, Bell) or bell.shift != 1 or c is None or c.size != 1 or not np.all(c):
        return False
    return wait(b, outputs[0], replace(bell, factor=bell.factor / float(np.ravel(c)[0])))


def times_x(b: Builder, y: Value, x: Value) -> float | None:
    """How many times x y is; None where it is something else."""
    if y.shape != x.shape or y.layout.root() is not x.layout.root():
        return None
    if y.name == x.name:
        return 1.0
    layer, given = b.node(y.name)
    return (
        float(layer.scale) if isinstance(layer, L.Rescale) and not layer.offset and given == x.name else None
    )


STEPS = {"Erf": error_function, "Tanh": hyperbolic, "Add": added, "Mul": multiplied, "Div": divided}

"""Loops of C for ONNX's operations, with every size written out."""

import math
from collections.abc import Sequence

Shape = tuple[int, ...]


def nested(sizes: Sequence[int], inner: list[str], letter: str = "i") -> list[str]:
    """Loops over all places of an array, i0, i1, ..., around some lines; axes of 1 are written as 0."""
    lines = list(inner)
    for axis in reversed(range(len(sizes))):
        i = f"{letter}{axis}"
        if sizes[axis] == 1:
            lines = [f"{{ const int {i} = 0; (void){i};", *(f"  {line}" for line in lines), "}"]
        else:
            lines = [
                f"for (int {i} = 0; {i} < {sizes[axis]}; {i}++) {{",
                *(f"  {line}" for line in lines),
                "}",
            ]
    return lines


def strides(shape: Shape) -> Shape:
    """How far apart neighbours on each axis are."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def place(shape: Shape, rank: int, letter: str = "i") -> str:
    """The index of an array of that shape, broadcast against one of so many axes."""
    terms = []
    for axis, (n, step) in enumerate(zip(shape, strides(shape), strict=True)):
        if n > 1:
            i = f"{letter}{axis + rank - len(shape)}"
            terms.append(i if step == 1 else f"{i} * {step}")
    return " + ".join(terms) or "0"


def elementwise(out: str, shape: Shape, operands: Sequence[tuple[str, Shape]], expression: str) -> list[str]:
    """out = expression of {0}, {1}, ..., which broadcast."""
    same = all(one == shape or math.prod(one) == 1 for _, one in operands)
    if same:
        words = [
            f"{name}[i]" if one == shape and math.prod(shape) > 1 else f"{name}[0]" for name, one in operands
        ]
        return [f"for (int i = 0; i < {math.prod(shape)}; i++) {out}[i] = {expression.format(*words)};"]
    words = [f"{name}[{place(one, len(shape))}]" for name, one in operands]
    return nested(shape, [f"{out}[{place(shape, len(shape))}] = {expression.format(*words)};"])


def transposed(out: str, x: str, shape: Shape, perm: Sequence[int]) -> list[str]:
    """Axes in another order."""
    made = tuple(shape[i] for i in perm)
    steps = strides(shape)
    terms = [f"i{k} * {steps[i]}" for k, i in enumerate(perm) if shape[i] > 1]
    return nested(made, [f"{out}[{place(made, len(made))}] = {x}[{' + '.join(terms) or '0'}];"])


def product(out: str, a: str, b: str, shapes: tuple[Shape, Shape, Shape]) -> list[str]:
    """Matrices, or stacks of them."""
    left, right, made = shapes
    *batch, m, n = made
    k = left[-1]
    rank = len(batch)
    at = f"({place(tuple(batch), rank)}) * {m * n}" if batch else "0"
    of_left = f"({place(left[:-2], rank)}) * {m * k}" if len(left) > 2 else "0"
    of_right = f"({place(right[:-2], rank)}) * {k * n}" if len(right) > 2 else "0"
    inner = [
        f"const int to = {at}, p = {of_left}, q = {of_right};",
        f"for (int r = 0; r < {m}; r++) {{",
        f"  for (int c = 0; c < {n}; c++) {out}[to + r * {n} + c] = 0;",
        f"  for (int j = 0; j < {k}; j++) for (int c = 0; c < {n}; c++)",
        f"    {out}[to + r * {n} + c] += {a}[p + r * {k} + j] * {b}[q + j * {n} + c];",
        "}",
    ]
    return nested(batch, inner) if batch else ["{", *inner, "}"]


def reduced(out: str, x: str, shape: Shape, axes: Sequence[int], kind: str) -> list[str]:
    """ONNX's ReduceSum, ReduceMean or ReduceMax over some axes."""
    largest = kind == "ReduceMax"
    axes = [i % len(shape) for i in axes]
    made = tuple(1 if i in axes else n for i, n in enumerate(shape))
    size, count = math.prod(made), math.prod(shape) // math.prod(made)
    to, value = f"{out}[{place(made, len(shape))}]", f"{x}[{place(shape, len(shape))}]"
    step = f"if ({value} > {to}) {to} = {value};" if largest else f"{to} += {value};"
    start = "-INFINITY" if largest else "0"
    lines = [f"for (int i = 0; i < {size}; i++) {out}[i] = {start};", *nested(shape, [step])]
    if kind != "ReduceMean":
        return lines
    return [*lines, f"for (int i = 0; i < {size}; i++) {out}[i] /= {count};"]


def sliced(out: str, x: str, shapes: tuple[Shape, Shape], axis: int, start: int, step: int) -> list[str]:
    """Some places of one axis."""
    shape, made = shapes
    terms = [
        f"({start} + i{i} * {step}) * {far}" if i == axis else f"i{i} * {far}"
        for i, far in enumerate(strides(shape))
    ]
    return nested(made, [f"{out}[{place(made, len(made))}] = {x}[{' + '.join(terms)}];"])


def hardmax(out: str, x: str, shape: Shape, axis: int) -> list[str]:
    """1 for the first of the largest along one axis, else 0."""
    axis %= len(shape)
    n, inner = shape[axis], math.prod(shape[axis + 1 :])
    return [
        f"for (int o = 0; o < {math.prod(shape[:axis])}; o++) for (int k = 0; k < {inner}; k++) {{",
        f"  const int at = o * {n * inner} + k; int best = 0;",
        f"  for (int j = 1; j < {n}; j++)",
        f"    if ({x}[at + j * {inner}] > {x}[at + best * {inner}]) best = j;",
        f"  for (int j = 0; j < {n}; j++) {out}[at + j * {inner}] = j == best;",
        "}",
    ]


def softmax(out: str, x: str, shape: Shape, axis: int, *, log: bool) -> list[str]:
    """Write softmax along one axis."""
    axis %= len(shape)
    n, inner = shape[axis], math.prod(shape[axis + 1 :])
    outer = math.prod(shape[:axis])
    e = f"{out}[at + j * {inner}]"
    value = f"{x}[at + j * {inner}]"
    if log:
        rest = [f"total = logf(total); for (int j = 0; j < {n}; j++) {e} = {value} - top - total;"]
        add = f"total += expf({value} - top);"
    else:
        rest = [f"for (int j = 0; j < {n}; j++) {e} /= total;"]
        add = f"total += {e} = expf({value} - top);"
    return [
        f"for (int o = 0; o < {outer}; o++) for (int k = 0; k < {inner}; k++) {{",
        f"  const int at = o * {n * inner} + k; float top = -INFINITY, total = 0;",
        f"  for (int j = 0; j < {n}; j++) if ({value} > top) top = {value};",
        f"  for (int j = 0; j < {n}; j++) {add}",
        *(f"  {line}" for line in rest),
        "}",
    ]


def normalized(out: str, x: str, rows: int, n: int, eps: float, gain: str, bias: str) -> list[str]:
    """Each of so many rows of n numbers to mean 0 and variance 1; gain and bias are expressions of r and j."""
    return [
        f"for (int r = 0; r < {rows}; r++) {{",
        "  double m = 0, v = 0;",
        f"  for (int j = 0; j < {n}; j++) m += {x}[r * {n} + j];",
        f"  m /= {n};",
        f"  for (int j = 0; j < {n}; j++) v += ({x}[r * {n} + j] - m) * ({x}[r * {n} + j] - m);",
        f"  v = 1 / sqrt(v / {n} + {eps!r});",
        f"  for (int j = 0; j < {n}; j++)",
        f"    {out}[r * {n} + j] = (float)(({x}[r * {n} + j] - m) * v) * {gain} + {bias};",
        "}",
    ]


def joined(out: str, parts: Sequence[tuple[str, Shape]], axis: int) -> list[str]:
    """Side by side on one axis."""
    axis %= len(parts[0][1])
    outer = math.prod(parts[0][1][:axis])
    widths = [math.prod(shape[axis:]) for _, shape in parts]
    lines, start = [], 0
    for (name, _), width in zip(parts, widths, strict=True):
        lines.append(
            f"for (int o = 0; o < {outer}; o++) for (int j = 0; j < {width}; j++) "
            f"{out}[o * {sum(widths)} + {start} + j] = {name}[o * {width} + j];"
        )
        start += width
    return lines


def cut(outs: Sequence[str], x: str, shape: Shape, axis: int) -> list[str]:
    """Equal parts on one axis."""
    axis %= len(shape)
    outer, width = math.prod(shape[:axis]), math.prod(shape[axis:])
    part = width // len(outs)
    return [
        f"for (int o = 0; o < {outer}; o++) for (int j = 0; j < {part}; j++) "
        f"{out}[o * {part} + j] = {x}[o * {width} + {k * part} + j];"
        for k, out in enumerate(outs)
    ]

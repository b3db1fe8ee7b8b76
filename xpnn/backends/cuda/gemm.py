"""A matrix product described for a column-major library, without copies of operands that it can read in place.

Row-major C = A B (m x n) is, read by columns, C^T = B^T A^T (n x m): so the library's first matrix is B, its second A.
A row-major B (k x n) read by columns is B^T already; a transposed view, which is column-major, needs the library's
transposition. Products of stacks (3 and more axes) go in one call where each stack has one step from matrix to matrix.
Strides are counted in elements.
"""

from dataclasses import dataclass
from typing import TypeAlias

Ints: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Operand:
    """One matrix in memory, as the library sees it: rows x cols by columns, `lead` from column to column.

    transposed: the product wants its transpose. step: from matrix to matrix of a stack.
    """

    rows: int
    cols: int
    lead: int
    transposed: bool
    step: int


@dataclass(frozen=True)
class Product:
    """D = op(first) op(second), `batch` times; D is `rows` x `cols` by columns, without gaps."""

    first: Operand
    second: Operand
    rows: int
    cols: int
    batch: int


def plan(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> Product | None:
    """The product of two arrays of (shape, strides), both of 2 axes or more and not empty.

    None where one has to be copied first: a matrix with gaps both ways, or stacks with no single step.
    """
    m, n = a[0][-2], b[0][-1]
    if len(b[0]) == 2 and (rows := _flat_rows(*a)) is not None:
        a, m = rows, rows[0][0]  # a stack times one matrix is one product
    stack = _stack((a[0][:-2], a[1][:-2]), (b[0][:-2], b[1][:-2]))
    if stack is None:
        return None
    batch, (step_a, step_b) = stack
    first, second = _operand(b[0][-2:], b[1][-2:], step_b), _operand(a[0][-2:], a[1][-2:], step_a)
    if first is None or second is None:
        return None
    return Product(first, second, n, m, batch)


def _operand(shape: Ints, strides: Ints, step: int) -> Operand | None:
    (rows, cols), (down, along) = shape, strides
    if along == 1 or cols == 1:
        lead = down if rows > 1 else cols
        if lead >= cols:
            return Operand(cols, rows, lead, False, step)
    if down == 1 or rows == 1:
        lead = along if cols > 1 else rows
        if lead >= rows:
            return Operand(rows, cols, lead, True, step)
    return None


def _flat_rows(shape: Ints, strides: Ints) -> tuple[Ints, Ints] | None:
    """(..., k) as (rows, k), where one stride leads from row to row."""
    merged = _merge(shape[:-1], [strides[:-1]])
    if len(merged[0]) > 1:
        return None
    (rows, step) = (merged[0][0], merged[1][0][0]) if merged[0] else (1, shape[-1])
    return (rows, shape[-1]), (step, strides[-1])


def _stack(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> tuple[int, tuple[int, int]] | None:
    """The number of matrices, and the step in a and in b, where the axes before the last two are one."""
    n = max(len(a[0]), len(b[0]))
    (shape_a, strides_a), (shape_b, strides_b) = (
        ((1,) * (n - len(shape)) + shape, (0,) * (n - len(shape)) + strides) for shape, strides in (a, b)
    )
    sizes = tuple(max(p, q) for p, q in zip(shape_a, shape_b, strict=True))
    walks = [
        tuple(0 if own == 1 else stride for own, stride in zip(shape, strides, strict=True))
        for shape, strides in ((shape_a, strides_a), (shape_b, strides_b))
    ]
    merged = _merge(sizes, walks)
    if len(merged[0]) > 1:
        return None
    return (merged[0][0], (merged[1][0][0], merged[1][1][0])) if merged[0] else (1, (0, 0))


def _merge(sizes: Ints, walks: list[Ints]) -> tuple[Ints, list[Ints]]:
    """Axes of size 1 are dropped, and neighbouring axes joined where in every array one stride covers both."""
    kept: list[tuple[int, ...]] = []
    for size, *steps in zip(sizes, *walks, strict=True):
        if size == 1:
            continue
        if kept and all(outer == size * inner for outer, inner in zip(kept[-1][1:], steps, strict=True)):
            kept[-1] = (kept[-1][0] * size, *steps)
        else:
            kept.append((size, *steps))
    return tuple(axis[0] for axis in kept), [tuple(axis[i + 1] for axis in kept) for i in range(len(walks))]

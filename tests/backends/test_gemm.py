"""Plans of matrix products, carried out as a column-major library would: by address, from the flat memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpnn.backends.cuda.gemm import plan


def read(memory, start, operand, k):
    """Matrix number k of an operand, by columns, from memory; transposed where the product wants it."""
    i, j = np.indices((operand.rows, operand.cols))
    assert operand.lead >= operand.rows  # what cuBLASLt asks of a leading dimension
    matrix = memory[start + k * operand.step + i + j * operand.lead]
    return matrix.T if operand.transposed else matrix


def carry_out(product, first, second):
    """D, by columns, for each of the batch, in memory; operands as (memory, start)."""
    out = np.full(product.rows * product.cols * product.batch, np.nan)
    for k in range(product.batch):
        d = read(*first, product.first, k) @ read(*second, product.second, k)
        assert d.shape == (product.rows, product.cols)
        start = k * d.size
        out[start : start + d.size] = d.reshape(-1, order="F")
    return out


def lying(a):
    """(shape, strides in elements), and (memory, start)."""
    base = a
    while base.base is not None:
        base = base.base
    start = (a.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // a.itemsize
    return (a.shape, tuple(s // a.itemsize for s in a.strides)), (base.reshape(-1), start)


def product(a, b):
    """a @ b by the plan; None where there is none."""
    (how_a, where_a), (how_b, where_b) = lying(a), lying(b)
    found = plan(how_a, how_b)
    if found is None:
        return None
    return carry_out(found, where_b, where_a).reshape(np.matmul(a, b).shape)


RNG = np.random.default_rng(3)


def array(*shape):
    return RNG.integers(-9, 10, shape).astype(float)


CASES = {
    "rows": (array(3, 4), array(4, 5)),
    "left transposed": (array(4, 3).T, array(4, 5)),
    "right transposed": (array(3, 4), array(5, 4).T),
    "both transposed": (array(4, 3).T, array(5, 4).T),
    "columns cut out": (array(3, 9)[:, 2:6], array(4, 8)[:, 3:]),
    "rows cut out": (array(9, 4)[2:5], array(9, 5)[4:8]),
    "one row": (array(1, 4), array(4, 5)),
    "one column": (array(3, 4), array(4, 1)),
    "outer": (array(3, 1), array(1, 5)),
    "inner": (array(1, 4), array(4, 1)),
    "one number": (array(1, 1), array(1, 1)),
    "one column of a transposed view": (array(1, 3).T, array(5, 1).T),
    "stacks": (array(6, 3, 4), array(6, 4, 5)),
    "stacks transposed": (array(6, 4, 3).swapaxes(1, 2), array(6, 5, 4).swapaxes(1, 2)),
    "stacks of stacks": (array(2, 3, 3, 4), array(2, 3, 4, 5)),
    "stack times matrix": (array(2, 3, 6, 4), array(4, 5)),
    "matrix times stack": (array(3, 4), array(6, 4, 5)),
    "one of many": (array(1, 3, 4), array(6, 4, 5)),
    "every second matrix": (array(6, 3, 4)[::2], array(3, 4, 5)),
    "stack of transposed matrices times matrix": (array(6, 4, 3).swapaxes(1, 2), array(4, 5)),
}


@pytest.mark.parametrize(("a", "b"), CASES.values(), ids=CASES)
def test_a_plan_is_the_product(a, b):
    np.testing.assert_array_equal(product(a, b), a @ b)


def test_a_stack_times_one_matrix_is_one_product():
    found = plan(lying(array(2, 3, 6, 4))[0], lying(array(4, 5))[0])
    assert (found.batch, found.cols) == (1, 36)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (array(6, 8)[::2, ::2], array(4, 5)),  # gaps both ways
        (array(3, 4), array(4, 5)[:, ::-1]),
        (array(3, 4), np.broadcast_to(array(4, 1), (4, 5))),
        (array(2, 1, 3, 4), array(1, 3, 4, 5)),  # every one with every one: no single step
        (array(3, 2, 3, 4).swapaxes(0, 1), array(2, 3, 4, 5)),
    ],
)
def test_what_has_to_be_copied_first(a, b):
    assert product(a, b) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_layout_gives_the_product_or_no_plan(data):
    m, k, n = (data.draw(st.integers(1, 4)) for _ in range(3))
    stack = data.draw(st.lists(st.integers(1, 3), max_size=2))

    def operand(rows, cols):
        shape = [data.draw(st.sampled_from([size, 1])) for size in stack] + [rows, cols]
        shape = shape[data.draw(st.integers(0, len(stack))) :]
        steps = [data.draw(st.sampled_from([1, 1, 1, 2])) for _ in shape]
        order = data.draw(st.permutations(range(len(shape))))
        big = array(*(shape[i] * steps[i] + 1 for i in order)).transpose(np.argsort(order))
        return big[tuple(slice(0, size * step, step) for size, step in zip(shape, steps, strict=True))]

    a, b = operand(m, k), operand(k, n)
    got = product(a, b)
    if got is not None:
        np.testing.assert_array_equal(got, a @ b)

"""CuPy's namespace as steps see it: joins in parts are joins, and everything else is as it was."""

import array_api_compat.numpy
import numpy as np
import pytest

from xpnn.backends.cuda.namespace import FEW, Recordable


class Counting:
    """NumPy, which notes how many arrays are joined at once."""

    def __init__(self):
        self.most = 0

    def __getattr__(self, name):
        return getattr(array_api_compat.numpy, name)

    def concat(self, arrays, /, *, axis=0):
        self.most = max(self.most, len(arrays))
        return np.concatenate(arrays, axis=axis)


@pytest.mark.parametrize("n", [1, FEW, FEW + 1, 2 * FEW + 1, FEW**2 + 1])
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_concat_takes_few_at_a_time(n, axis):
    counting, rng = Counting(), np.random.default_rng(n)
    arrays = [rng.standard_normal((2, 2)) for _ in range(n)]
    got = Recordable(counting, np).concat(arrays, axis=axis)
    assert np.array_equal(got, np.concatenate(arrays, axis=axis))
    assert counting.most <= 8, "which CuPy joins one by one"


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack_takes_few_at_a_time(axis):
    counting = Counting()
    arrays = [np.full((2,), i) for i in range(3 * FEW)]
    assert np.array_equal(Recordable(counting, np).stack(arrays, axis=axis), np.stack(arrays, axis=axis))
    assert counting.most <= FEW


def test_numbers_are_stacked():
    assert Recordable(Counting(), np).stack([np.asarray(1), np.asarray(2)]).tolist() == [1, 2]


@pytest.mark.oracle
def test_cupy_gives_the_rest():
    cupy, compat = pytest.importorskip("cupy"), pytest.importorskip("array_api_compat.cupy")
    xp = Recordable(compat, cupy)
    assert xp.exp is cupy.exp
    assert xp.reshape is compat.reshape
    assert xp.float32 is cupy.float32
    assert "NaN is returned" in cupy.sign.__doc__

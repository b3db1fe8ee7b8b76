"""GELU and the normal distribution function keep their digits where they are small: against Python's own erfc."""

import math

import numpy as np
import pytest
from harness import context
from test_kernels import NAN

from xpnn.backends import get_backend
from xpnn.kernels import Kernels
from xpnn.layers import GELU

REL = {"float64": 1e-13, "float32": 1e-5}
"""float32 rounds x / sqrt 2, or x^2 / 2, at x = -10: 50 in the exponent, so 50 roundings in the result."""
POINTS = np.concatenate(
    [np.linspace(-10, 10, 1601), math.sqrt(2) * np.array([0.46875, -0.46875, 4, -4]), [1e-9]]
)


def given(be):
    """The points as the backend holds them, and as Python numbers."""
    x = be.asarray(POINTS, be.dtype)
    return x, be.to_numpy(x).astype(float).tolist()


def density(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def relative(be, got, wanted):
    return np.max(np.abs(be.to_numpy(got) / np.array(wanted) - 1))


def test_distribution_function_is_relatively_accurate(any_be):
    x, numbers = given(any_be)
    wanted = [0.5 * math.erfc(-v * math.sqrt(0.5)) for v in numbers]
    assert relative(any_be, any_be.normal_cdf(x), wanted) <= REL[any_be.dtype_name]
    assert relative(any_be, Kernels.normal_cdf(any_be, x), wanted) <= REL[any_be.dtype_name]


def test_gelu_and_its_slope_are_relatively_accurate(any_be):
    """The slope P + x P' is 0 at -0.7518: near there it has absolute accuracy only."""
    be = any_be
    x, numbers = given(be)
    y, cache = GELU().forward(context(be), {}, x)
    dx, _ = GELU().backward(context(be), {}, cache, be.xp.ones_like(x))
    P = [0.5 * math.erfc(-v * math.sqrt(0.5)) for v in numbers]
    got = be.to_numpy(y)
    inside = np.array(numbers) != 0
    wanted = np.array([v * p for v, p in zip(numbers, P, strict=True)])
    assert np.max(np.abs(got[inside] / wanted[inside] - 1)) <= REL[be.dtype_name]
    slopes = np.array([p + v * density(v) for v, p in zip(numbers, P, strict=True)])
    far = np.abs(np.array(numbers) + 0.7518) > 0.1
    assert np.max(np.abs(be.to_numpy(dx)[far] / slopes[far] - 1)) <= 3 * REL[be.dtype_name]
    assert np.max(np.abs(be.to_numpy(dx)[~far] - slopes[~far])) <= REL[be.dtype_name]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [0, 1, 100, 50_000])
def test_numpys_blocks_equal_the_reference(dtype, size):
    """NaN and infinity in one place leave their neighbours alone."""
    be = get_backend("numpy", None, dtype)
    x = (3 * np.random.default_rng(0).standard_normal((size, 2))).astype(dtype)
    x[: min(size, 3), 0] = (NAN, np.inf, -np.inf)[: min(size, 3)]
    with be.device_context():
        got, wanted = be.normal_cdf(x), Kernels.normal_cdf(be, x)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpys_sigmoid_keeps_its_digits(dtype):
    """Of every normal number; where e^-x overflows, what is left is below them."""
    be = get_backend("numpy", None, dtype)
    x = np.concatenate([30 * np.random.default_rng(0).standard_normal(5000), [0.0, -0.0, 1e-40, 800, -800]])
    x = np.append(x, [NAN, np.inf, -np.inf]).astype(dtype)
    with be.device_context():
        eps, tiny = np.finfo(dtype).eps, np.finfo(dtype).tiny
        np.testing.assert_allclose(be.sigmoid(x), Kernels.sigmoid(be, x), rtol=4 * eps, atol=tiny)

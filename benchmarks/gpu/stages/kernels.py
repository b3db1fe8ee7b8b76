"""Every kernel that the backend overrides against its reference on the device, into memory full of NaN.

The rows are those of the test suite; then each fused kernel at odd and at real sizes, against NumPy in float64.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.device import poisoned
from benchmarks.gpu.site import Site, first_line
from xpnn.kernels import Kernels

TESTS = Path(__file__).parents[3] / "tests"
SIZES = (
    (1, 1, 1),
    (31, 3, 10),
    (33, 65, 7),
    (257, 129, 11),
    (1023, 785, 33),
    (4097, 128, 10),
    (60_000, 130, 10),
)
"""Rows, columns, classes: around the edges of warps and blocks."""
SMALL = SIZES[:4]
TOLERANCE = 2e-5
"""|got - wanted| / |wanted| in the 2-norm: float32 against float64, sums of up to 60,000 terms."""


def run(place: Site, note: Callable[..., None]) -> None:
    cp = place.cupy()
    sys.path[:0] = [str(TESTS), str(TESTS / "backends")]
    suite = importlib.import_module("test_kernels")
    for dtype in ("float32", "float64"):
        be = xpnn.get_backend(place.backend, None, dtype)
        own = [name for name in suite.ROWS if getattr(type(be), name) is not getattr(Kernels, name)]
        with be.device_context(), poisoned(cp):
            for name in own:
                wrong = list(rows(suite, be, name))
                note(name=f"{name} {dtype}", ok=not wrong, rows=len(suite.ROWS[name]), wrong=wrong[:3])
    be = xpnn.get_backend(place.backend)
    with be.device_context(), poisoned(cp):
        for name in AT_SIZES:
            try:
                worst, size = max((error_of(be, name, *size), size) for size in place.pick(SIZES, SMALL))
                note(name=f"{name} sizes", ok=worst <= TOLERANCE, error=worst, size=size)
            except Exception as error:
                note(name=f"{name} sizes", ok=False, why=first_line(error))


def rows(suite: Any, be: Any, name: str) -> Iterator[str]:
    """The rows of the test suite that fail."""
    for number in range(len(suite.ROWS[name])):
        try:
            suite.test_override_equals_the_reference(be, name, number)
        except (Exception, AssertionError) as error:
            yield f"row {number}: {first_line(error)}"


def products(be: Any, rng: Any, n: int, k: int, c: int) -> tuple[Any, ...]:
    """x, W, b."""
    return rng.standard_normal((n, k)), rng.standard_normal((k, c)) / k**0.5, rng.standard_normal(c)


def logits(be: Any, rng: Any, n: int, k: int, c: int) -> tuple[Any, ...]:
    """z, ids."""
    return 3 * rng.standard_normal((n, c)), rng.integers(0, c, n)


def pixels(be: Any, rng: Any, n: int, k: int, c: int) -> tuple[Any, ...]:
    """Bytes, rows, and a factor and a shift."""
    return rng.integers(0, 256, (n, k), dtype=np.uint8), rng.integers(0, n, n // 2 + 1), 1 / 255, -0.5


AT_SIZES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "affine": products,
    "affine_relu": products,
    "matmul": lambda *given: products(*given)[:2],
    "affine_grads": lambda be, rng, n, k, c: (
        *products(be, rng, n, k, c)[:2],
        rng.standard_normal((n, c)),
    ),
    "relu_grad": lambda be, rng, n, k, c: (
        rng.standard_normal((n, k)),
        np.maximum(rng.standard_normal((n, k)), 0),
    ),
    "column_sums": lambda be, rng, n, k, c: (rng.standard_normal((n, k)),),
    "softmax_cross_entropy": logits,
    "softmax_cross_entropy_and_correct": logits,
    "take_rescaled": pixels,
}


def error_of(be: Any, name: str, *size: int) -> float:
    """The largest error of what the kernel returns, against the reference on NumPy in float64."""
    given = AT_SIZES[name](be, np.random.default_rng(size), *size)
    reference = xpnn.get_backend("numpy", None, "float64")
    given = [a.astype(np.float32) if getattr(a, "dtype", None) == np.float64 else a for a in given]
    mine = [be.asarray(a) if isinstance(a, np.ndarray) else a for a in given]
    exact = [a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a for a in given]
    got, wanted = getattr(be, name)(*mine), getattr(Kernels, name)(reference, *exact)
    pairs = zip(got, wanted, strict=True) if isinstance(got, tuple) else [(got, wanted)]
    return max(distance(be.to_numpy(a), b) for a, b in pairs)


def distance(got: Any, wanted: Any) -> float:
    """|got - wanted| / |wanted|; inf where the shapes differ or a NaN is left."""
    got, wanted = np.asarray(got, np.float64), np.asarray(wanted)
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.linalg.norm(got - wanted) / max(np.linalg.norm(wanted), 1e-30))

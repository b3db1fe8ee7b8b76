"""The one table every test draws its tolerances from. Widening an entry needs a written reason."""

import numpy as np

REL = {"float64": 1e-7, "float32": 1.3e-6}
"""Relative tolerance on values of each dtype: PyTorch's own for its operator tests."""
ABS = {"float64": 1e-12, "float32": 1e-5}
"""Absolute tolerance beside it, where sums cancel."""
GRADIENT = 1e-7
"""|numeric - analytic| / max of the two norms, in float64."""
H = 1e-5
"""Half the distance of a central difference: its error h^2 f''' / 6 and its rounding eps / h are both near 1e-11."""
KINK = 1e-3
"""Inputs of a function with a kink stay this far from it, out of reach of H."""
SIGMAS = 5
"""How far a statistic of pseudo-random numbers may stray. Seeds are fixed, so a pass stays a pass."""


def assert_close(got, wanted, dtype, what=""):
    """Equal shapes, and equal values within the table's entry for `dtype`."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, wanted {wanted.shape}"
    np.testing.assert_allclose(got, wanted, rtol=REL[dtype], atol=ABS[dtype], err_msg=what)


def assert_same(got, wanted, what=""):
    """Equal dtypes and equal bits (NaN included)."""
    got, wanted = np.ascontiguousarray(got), np.ascontiguousarray(wanted)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), what
    assert got.tobytes() == wanted.tobytes(), f"{what}: {np.sum(got != wanted)} of {got.size} values differ"


def label(value):
    """The name of a parameter of a test: the same in every process, as the address of a function is not."""
    return "oracle" if callable(value) and not hasattr(value, "__dataclass_fields__") else str(value)[:60]

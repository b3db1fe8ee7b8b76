"""The suite itself: its fixtures refuse what they should, its derivative sees what it should, its skips are counted."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from cases import Case
from harness import arrays_on, derivative_error, inside, open_backend, rng_of
from tolerances import GRADIENT, REL, assert_close, assert_same

import xpnn

HERE = pathlib.Path(__file__).parents[1]


def test_the_strict_backend_is_at_its_strictest():
    with inside("strict", "float32") as be:
        x = be.zeros((3,))
        with pytest.raises(RuntimeError, match="boolean_indexing"):
            x[x > 0]
        with pytest.raises(RuntimeError, match="data_dependent_shapes"):
            be.xp.unique_values(x)
        with pytest.raises(AttributeError, match="linalg"):
            be.xp.linalg.matmul(x, x)


def test_the_read_only_backend_hands_out_nothing_to_write_to():
    with inside("readonly", "float32") as be:
        x, p, dy = arrays_on(be, Case(xpnn.Dense(4), (5,)))
        for a in (x, dy, *p.values()):
            with pytest.raises(ValueError, match="read-only"):
                a[...] = 0


@pytest.mark.parametrize("size", [4, 200])
def test_the_derivative_is_that_of_a_known_function(size):
    """y = sin(A x), whole and along directions; a relative error of 1e-6 in it is seen."""
    rng = rng_of("known", size)
    A, x = rng.standard_normal((size, size)), rng.standard_normal(size)
    A = A / np.sqrt(size)

    def error(factor):
        pullback = lambda c: factor * (np.cos(A @ x) * c) @ A  # noqa: E731
        return derivative_error(lambda a: np.sin(A @ a), pullback, x, size, rng_of("directions"))

    assert error(1.0) <= GRADIENT
    assert error(1 + 1e-6) > GRADIENT
    assert error(np.nan) == np.inf


def test_comparisons_see_a_difference():
    a = np.ones(3)
    assert_close(a, a * (1 + REL["float64"] / 2), "float64")
    for b in (a * (1 + 2 * REL["float64"]), np.ones((3, 1)), np.array([1, 1, np.nan])):
        with pytest.raises(AssertionError):
            assert_close(a, b, "float64")
    for b in (np.nextafter(a, 2), a.astype("float32"), a[:2]):
        with pytest.raises(AssertionError):
            assert_same(a, b)


@pytest.mark.parametrize(
    ("poison", "code", "said"),
    [
        ("raise ModuleNotFoundError('no torch')", 0, "(at most 5600): backend torch: .* not installed"),
        ("raise ImportError('libtorch is damaged')", 1, "(at most 0): "),
    ],
    ids=["missing", "broken"],
)
def test_a_missing_library_may_be_skipped_a_broken_one_may_not(tmp_path, poison, code, said):
    (tmp_path / "torch.py").write_text(poison)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(HERE.parent)])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "backends/test_kernels.py",
         "-k", "torch and relu"],
        cwd=HERE, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said in done.stdout
    assert done.returncode == code


def test_each_way_to_run_has_its_own_backend():
    assert open_backend("readonly", "float32") is not open_backend("numpy", "float32")
    assert open_backend("numpy", "float32") is open_backend("numpy", "float32")


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by that name, and stops at the second one."""
    names = [path.name for path in HERE.rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)

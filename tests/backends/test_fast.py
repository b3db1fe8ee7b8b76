"""Which NumPy backend users get, with numba there, switched off, broken, or with nowhere to keep what it compiled."""

import os
import subprocess
import sys

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from xpnn.backends.cpu import gate_loops  # noqa: E402

CODE = """
import numpy, xpnn
be = xpnn.get_backend("numpy")
x = numpy.array([[1.0, -1.0]], be.dtype_name)
assert be.relu_grad(x, x).tolist() == [[1.0, 0.0]]
print(type(be).__name__)
"""


def backend(code=CODE, **variables):
    env = os.environ | {k: str(v) for k, v in variables.items()}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_numba_is_used_where_it_is():
    assert backend(XPNN_FAST="") == backend(XPNN_FAST="1") == "FastNumpyBackend"


def test_it_can_be_switched_off():
    assert backend(XPNN_FAST="0") == "NumpyBackend"


def test_a_numba_that_cannot_be_imported_is_left_alone(tmp_path):
    (tmp_path / "numba.py").write_text("raise ImportError('Numba needs another NumPy')\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert backend(PYTHONPATH=path) == "NumpyBackend"


def test_without_a_folder_to_write_to_it_compiles_anew(tmp_path):
    (tmp_path / "file").write_text("")
    assert backend(NUMBA_CACHE_DIR=tmp_path / "file" / "below") == "FastNumpyBackend"


EXACT = {"exponential": np.exp, "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh}


@numba.njit
def spread(f, x, out):
    for i in range(x.size):
        out[i] = f(x[i])


@pytest.mark.parametrize("name", EXACT)
def test_the_gates_functions_keep_their_digits(name):
    """Everywhere between underflow and overflow, and on the smallest numbers, to 2 units in the last place."""
    small = 10.0 ** np.linspace(-37, 0, 1000)
    x = np.concatenate([np.linspace(-87, 88, 200_001), np.linspace(-1, 1, 20_001), small, -small])
    x, out = x.astype(np.float32), np.empty(len(x), np.float32)
    spread(getattr(gate_loops, name), x, out)
    exact = EXACT[name](x.astype(np.float64))
    assert np.max(np.abs(out - exact) / np.where(exact == 0, 1, np.abs(exact))) < 2 * np.finfo(np.float32).eps
    ends = np.empty(3, np.float32)
    spread(getattr(gate_loops, name), np.array([np.nan, np.inf, -np.inf], np.float32), ends)
    assert np.isnan(ends[0])
    if name != "exponential":  # which is held inside float32
        np.testing.assert_allclose(ends[1:], EXACT[name](np.array([np.inf, -np.inf])), atol=1e-37)

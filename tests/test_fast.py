"""Which NumPy backend users get, with numba there, switched off, broken, or with nowhere to keep what it compiled."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

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

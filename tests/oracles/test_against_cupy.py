"""The real CuPy, on a machine without a driver: what can be known about it before the first GPU."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from purity_lint import path_of

import xpnn
from xpnn.backends.cuda.driver import driver_version, installed_cupy
from xpnn.backends.cuda.matmul import unrounded
from xpnn.errors import BackendError

pytestmark = pytest.mark.oracle
cupy = pytest.importorskip("cupy")


def names_used():
    """Every function of a namespace that the package calls: `be.xp.NAME`, `xp.NAME`."""
    for file in Path(inspect.getfile(xpnn)).parent.rglob("*.py"):
        if file.parent.name in ("backends", "cpu", "cuda") and file.stem not in ("base", "cupy"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and path_of(node)[-2:-1] == ["xp"]:
                yield node.attr


def test_its_namespace_has_every_function_that_is_called():
    import array_api_compat.cupy as xp

    names = set(names_used()) - {"__version__"}
    assert {"where", "take", "expm1", "concat", "isfinite"} <= names  # the search finds what is there
    assert [name for name in sorted(names) if not hasattr(xp, name)] == []


def test_its_products_can_be_set_to_keep_float32():
    core = cupy._core
    kind = core._routines_linalg.compute_type_to_str
    before = core.get_compute_type(np.float32)
    with unrounded(cupy):
        assert kind(core.get_compute_type(np.float32)) == "COMPUTE_TYPE_FP32"
    assert core.get_compute_type(np.float32) == before


@pytest.mark.skipif(driver_version() is not None, reason="an NVIDIA driver is here")
def test_without_a_driver_it_says_so():
    ((name, version),) = installed_cupy().items()
    with pytest.raises(BackendError, match=f"CuPy {version} is installed, but no NVIDIA driver was found"):
        xpnn.Model([xpnn.Dense(2)], (3,), backend="cupy")
    assert name == "cupy-cuda13x"


@pytest.mark.skipif(driver_version() is not None, reason="an NVIDIA driver is here")
def test_the_automatic_choice_is_numpy_and_says_why():
    from xpnn.backends.auto import choose

    name, why = choose()
    assert name == "numpy"
    assert "driver" in why

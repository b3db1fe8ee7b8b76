"""`import xpnn` is cheap, and brings no array library but NumPy."""

import ast
import importlib
import os
import pathlib
import subprocess
import sys

import pytest

import xpnn

ROOT = pathlib.Path(xpnn.__file__).parents[1]
FOREIGN = ["torch", "jax", "cupy", "array_api_strict", "numba", "tensorflow"]
LATER = ["array_api_compat", "matplotlib", "rich", "click", "pooch", "PIL", "safetensors", "lzma"]
"""What is imported only where it is used."""
EVERYTHING = "import xpnn; from xpnn import *"
"""Names are imported when they are asked for: here all of them."""


def python(code, *path):
    """stdout of a fresh interpreter with `path` before everything, bytecode cached as for a user."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join([*map(str, path), str(ROOT)])
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def poisoned(folder, names):
    """A folder of modules that cannot be imported."""
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} was imported')\n")
    return folder


def test_import_brings_no_array_library(tmp_path):
    """Not even one that is broken: each of these ends the interpreter when it is touched."""
    loaded = python(f"{EVERYTHING}; import sys; print(*sys.modules)", poisoned(tmp_path, FOREIGN)).split()
    assert "numpy" in loaded
    assert not {name.split(".")[0] for name in loaded} & {*FOREIGN, *LATER}


def test_a_poisoned_module_is_noticed(tmp_path):
    """The poison works: what the test above relies on."""
    code = "import sys\ntry:\n    import cupy\nexcept SystemExit as error:\n    print(error)"
    assert python(code, poisoned(tmp_path, ["cupy"])) == "cupy was imported\n"


def test_training_on_numpy_brings_no_other_array_library(tmp_path):
    code = (
        "import numpy, sys, xpnn\n"
        "m = xpnn.Model([xpnn.Dense(3), xpnn.Dropout(0.5)], (2,), seed=0)\n"
        "m.fit(numpy.ones((4, 2)), [0, 1, 2, 0], epochs=1, verbose=0)\n"
        "print(*sys.modules)"
    )
    others = [name for name in FOREIGN if name != "numba"]
    loaded = python(code, poisoned(tmp_path, others)).split()
    assert not {name.split(".")[0] for name in loaded} & {*others, "array_api_compat.torch"}


def test_importing_the_package_reads_one_file_of_it():
    """Names are looked up when they are asked for; how long that takes is measured by `ci/bench`, family startup."""
    loaded = python("import sys, xpnn; print(*sys.modules)").split()
    assert [name for name in loaded if name.split(".")[0] in ("xpnn", "numpy")] == ["xpnn"]


def test_help_imports_no_numpy():
    code = "import sys; from xpnn.cli import run; assert run(['--help']) == 0; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).splitlines()[-1].split()}
    assert not loaded & {*FOREIGN, "numpy", "array_api_compat", "matplotlib", "pooch", "PIL", "safetensors"}


def test_every_name_is_what_its_module_calls_so():
    """Those found late are those that a type checker is told of."""
    source = ast.parse(pathlib.Path(xpnn.__file__).read_text())
    (block,) = (node for node in source.body if isinstance(node, ast.If))
    told = {a.name: node.module for node in block.body for a in node.names}
    assert sorted(told) == sorted(set(xpnn.__all__) - {"__version__"})
    for name, module in told.items():
        home = importlib.import_module(module)
        wanted = importlib.import_module(f"xpnn.{name}") if module == "xpnn" else getattr(home, name)
        assert getattr(xpnn, name) is wanted
    assert set(told) <= set(dir(xpnn))
    with pytest.raises(AttributeError, match="no attribute 'Dens'"):
        xpnn.Dens  # noqa: B018

"""`import xpnn` is cheap, and brings no array library but NumPy."""

import ast
import importlib
import os
import pathlib
import subprocess
import sys
import types

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


def test_importing_the_package_reads_two_of_its_small_files():
    """Names are looked up when they are asked for; how long that takes is measured by `ci/bench`, family startup."""
    loaded = python("import sys, xpnn; print(*sys.modules)").split()
    assert [name for name in loaded if name.split(".")[0] in ("xpnn", "numpy")] == ["xpnn.renamed", "xpnn"]


def test_help_imports_no_numpy():
    code = "import sys; from xpnn.cli import run; assert run(['--help']) == 0; print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python(code).splitlines()[-1].split()}
    assert not loaded & {*FOREIGN, "numpy", "array_api_compat", "matplotlib", "pooch", "PIL", "safetensors"}


def test_every_public_name_is_there_when_it_is_asked_for():
    assert set(xpnn.__all__) <= set(dir(xpnn))
    for name in xpnn.__all__:
        assert getattr(xpnn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Dens'"):
        xpnn.Dens  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute '_Dense'"):
        xpnn._Dense  # noqa: B018


def test_the_stubs_for_editors_hold_every_public_name():
    """The failure says which command writes them."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "ci" / "names.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for package in (xpnn, xpnn.layers, xpnn.losses, xpnn.optimizers, xpnn.schedules, xpnn.initializers):
        stub = ast.parse(pathlib.Path(package.__file__).with_suffix(".pyi").read_text())
        listed = [
            (a.asname, node.module)
            for node in stub.body
            if isinstance(node, ast.ImportFrom)
            for a in node.names
        ]
        assert sorted(name for name, _ in listed) == sorted(package.__all__)
        for name, module in listed:
            home = importlib.import_module(module)
            wanted = importlib.import_module(f"xpnn.{name}") if module == "xpnn" else getattr(home, name)
            assert getattr(package, name) is wanted


USER = """import xpnn

reveal_type(xpnn.Dense(3))
reveal_type(xpnn.losses.Huber(0.5))
reveal_type(xpnn.data.mnist)
model = xpnn.Model([xpnn.Dense(3), xpnn.ReLU()], (2,), seed=0)
reveal_type(model.parameters())
xpnn.Dens(3)
"""


@pytest.mark.slow
def test_a_users_type_checker_sees_every_name(tmp_path):
    """mypy --strict on a user's file: the types are known, and a misspelt name is found."""
    (tmp_path / "user.py").write_text(USER)
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", *settings, "user.py"],
        cwd=tmp_path, env=os.environ | {"MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    notes = [line.removeprefix("user.py:") for line in done.stdout.splitlines() if line.startswith("user.py")]
    assert '3: note: Revealed type is "xpnn.layers.dense.Dense"' in notes
    assert '4: note: Revealed type is "xpnn.losses.robust.Huber"' in notes
    assert 'Revealed type is "def (' in notes[2]
    (error,) = (line for line in notes if " error: " in line)
    assert error.startswith('8: error: Module has no attribute "Dens"')


@pytest.mark.parametrize("package", ["xpnn", "xpnn.interchange"])
def test_a_package_finds_its_names_each_time_it_is_asked(package):
    """Python keeps what it has found, so only the first question comes here."""
    module = importlib.import_module(package)
    for name in [
        name for name in module.__all__ if isinstance(getattr(module, name), type | types.FunctionType)
    ]:
        assert module.__getattr__(name) is getattr(module, name)
    for name in ("nothing", "_nothing", "__nothing__"):
        with pytest.raises(AttributeError, match=f"module '{package}' has no attribute '{name}'"):
            module.__getattr__(name)

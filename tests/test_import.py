"""`import xpnn` is cheap, and brings no array library but NumPy."""

import os
import pathlib
import subprocess
import sys

import xpnn

ROOT = pathlib.Path(xpnn.__file__).parents[1]
FOREIGN = ["torch", "jax", "cupy", "array_api_strict", "numba", "tensorflow"]
LATER = ["array_api_compat", "matplotlib", "rich", "click", "pooch", "PIL", "safetensors", "lzma"]
"""What is imported only where it is used."""
SECONDS = 0.25


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
    loaded = python("import xpnn, sys; print(*sys.modules)", poisoned(tmp_path, FOREIGN)).split()
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


def test_import_takes_a_quarter_of_a_second_at_most():
    """Beyond the start of the interpreter, NumPy's own import included; the first run fills the bytecode cache.

    Seconds of the processor, not of the clock, so that other work on the machine does not count.
    """
    code = "import time; t = time.process_time(); import xpnn; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(6)) < SECONDS

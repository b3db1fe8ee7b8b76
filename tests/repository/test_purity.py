"""What the syntax tree shows: the code of a step stays inside the Array API, and the package inside its own walls."""

import ast
import importlib
import pathlib
import sys

import pytest
from purity_lint import (
    POSIX,
    dangerous,
    foreign,
    impurities,
    namespace,
    only_on_posix,
    path_of,
    step_functions,
)

import xpnn

PACKAGE = pathlib.Path(xpnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
STEP = [PACKAGE / "training" / "mixing.py"]
STEP += [
    f
    for folder in ("fusion", "kernels", "layers", "losses", "optimizers", "metrics")
    for f in sorted((PACKAGE / folder).glob("*.py"))
]
"""Files with code that runs inside a step."""
ELSEWHERE = [f for f in FILES if f.parent.name not in ("backends", "cpu", "cuda")]

EXEMPT = {
    ("metric.py", "__call__"),
    ("metric.py", "check"),
    ("lbfgs.py", "minimize"),
    ("lbfgs_search.py", "__init__"),
    ("custom.py", "forward"),
    ("custom.py", "backward"),
    ("function.py", "_called"),
    ("by_name.py", "_value"),
}
"""A metric called on its own brings its counts home, a full-batch method its line search: no part of a step. What
calls a user's own object or function looks at what comes back."""


BY_NAME = {"__init__.py", "names.py", "renamed.py", "cli/__init__.py", "interchange/__init__.py"}
"""Import modules of the package whose names stand in a table in the same file, or are those of a folder's files."""
IMPORTS = {
    "interchange/torch.py": ["imports torch"],
    "interchange/torch_operations.py": ["imports torch", "imports torch.nn"],
    "interchange/torch_parts.py": ["imports torch", "imports torch"],
    "interchange/torch_sequences.py": ["imports torch", "imports torch", "imports torch.nn.utils.rnn"],
    "distributed/nccl.py": ["imports cupy", "imports cupy.cuda"],
    "distributed/jax_group.py": ["imports jax"],
    "distributed/jax_backend.py": ["imports jax"],
    "distributed/shared_backend.py": ["imports jax", "imports jax.experimental"],
    "distributed/torch_group.py": ["imports torch", "imports torch.distributed"],
}
"""interchange/ reads and writes PyTorch's own files, and makes its modules; it is imported when that is asked
for. distributed/ sums a library's arrays over processes by that library's own means."""


def parse(file):
    return ast.parse(file.read_text(), str(file))


def name_of(file):
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", STEP, ids=name_of)
def test_code_of_a_step_is_pure_array_api(file):
    found = [hit for hit in impurities(parse(file), namespace()) if (file.name, hit[1]) not in EXEMPT]
    assert not found


@pytest.mark.parametrize("file", ELSEWHERE, ids=name_of)
def test_every_function_of_a_namespace_is_in_the_standard(file):
    """Model, Trainer and the rest use `be.xp` too."""
    names = namespace()
    found = {
        (node.lineno, path[-1])
        for node in ast.walk(parse(file))
        if isinstance(node, ast.Attribute) and "xp" in (path := path_of(node))[:-1] and path[-1] not in names
    }
    assert not found


@pytest.mark.parametrize("file", ELSEWHERE, ids=name_of)
def test_only_backends_import_array_libraries(file):
    found = [what for _, what in foreign(parse(file))]
    allowed = ["imports by a computed name"] if name_of(file) in BY_NAME else IMPORTS.get(name_of(file), [])
    assert found == allowed


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_is_unpickled_or_evaluated(file):
    assert not list(dangerous(parse(file)))


def test_the_lint_looks_at_every_step_function():
    """Each layer's forward and backward, each loss's terms, each optimizer's rule, each metric's count."""
    seen = [f.name for file in STEP for f in step_functions(parse(file))]
    for name, least in {
        "forward": 14,
        "backward": 14,
        "terms": 14,
        "rule": 5,
        "count": 4,
        "uniform": 1,
    }.items():
        assert seen.count(name) >= least, name


PURE = """
def forward(self, cx: Ctx, p, x):
    n = math.prod(x.shape)
    y = cx.be.xp.sum(x.T @ p["W"], axis=0) / n
    state["clip"] = cx.be.scalar(1.0)
    return cx.be.relu(y), (x,)
"""
IMPURE = {
    "x.sum()": ".sum is a field or method",
    "x.astype(cx.be.dtype)": ".astype is a field or method",
    "x.reshape(-1)": ".reshape is a field or method",
    "(x + 1).mean(axis=0)": ".mean is a field or method",
    "cx.be.xp.sum(x).item()": ".item is a field or method",
    "x.size": ".size is a field or method",
    "x.mT @ x": ".mT is a field or method",
    "x.cpu()": ".cpu is a field or method",
    "x.T.copy()": ".copy is a field or method",
    "float(x)": "float() of a value",
    "int(x[0])": "int() of a value",
    "bool(cx.be.all_finite(x))": "bool() of a value",
    "sum(x)": "sum() of a value",
    "abs(x)": "abs() of a value",
    "np.sum(x)": "uses NumPy",
    "np.float64": "uses NumPy",
    "cx.be.xp.amax(x)": "xp.amax is not in the standard",
    "cx.be.xp.linalg.inv(x)": "xp.linalg is not in the standard",
    "cx.be.xp.einsum('ij->j', x)": "xp.einsum is not in the standard",
    "cx.be.to_numpy(x)": "be.to_numpy is not for use in a step",
    "cx.be.asarray(x)": "be.asarray is not for use in a step",
    "cx.be.cupy.ElementwiseKernel": "be.cupy is not for use in a step",
}


@pytest.mark.parametrize("code", IMPURE)
def test_the_lint_flags_impure_code(code):
    source = f"def forward(self, cx: Ctx, p, x):\n    return {code}, ()\n"
    assert any(what.startswith(IMPURE[code]) for _, _, what in impurities(ast.parse(source), namespace()))


@pytest.mark.parametrize("line", ["x += 1", "x[0] = 1", "x[i, :] = y", "x[mask] = 0"])
def test_the_lint_flags_code_that_writes_into_arrays(line):
    source = f"def backward(self, cx: Ctx, p, x):\n    {line}\n    return x\n"
    assert len(list(impurities(ast.parse(source), namespace()))) == 1


def test_the_lint_lets_pure_code_pass():
    assert not list(impurities(ast.parse(PURE), namespace()))


@pytest.mark.parametrize(
    "code",
    [
        "import torch",
        "import jax.numpy as jnp",
        "def f():\n    from cupy import asarray",
        "from array_api_strict import sum",
        "importlib.import_module(name)",
    ],
)
def test_the_lint_flags_foreign_imports(code):
    assert list(foreign(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "def f():\n    import shelve",
        "eval(text)",
        "exec(text)",
        "np.load(path)",
        "f(path, allow_pickle=True)",
    ],
)
def test_the_lint_flags_dangerous_code(code):
    assert list(dangerous(ast.parse(code)))


@pytest.mark.parametrize("file", [f for f in FILES if name_of(f) != "system.py"], ids=name_of)
def test_only_one_file_knows_what_windows_has_not(file):
    assert not list(only_on_posix(parse(file)))


@pytest.mark.parametrize(
    "code",
    [
        "import fcntl",
        "def f():\n    from pwd import getpwnam",
        "from signal import SIGHUP",
        "os.kill(pid, 0)",
        "os.fork()",
        "flags = os.O_RDONLY | os.O_DIRECTORY",
        "signal.signal(signal.SIGUSR1, f)",
    ],
)
def test_the_lint_flags_what_windows_has_not(code):
    assert list(only_on_posix(ast.parse(code)))


def test_the_names_of_the_lint_are_names():
    """Of this system, where it is no Windows: a misspelt one would forbid nothing."""
    if sys.platform != "linux":
        pytest.skip("the names are those of Linux")
    for module, names in POSIX.items():
        assert not {name for name in names if not hasattr(importlib.import_module(module), name)}

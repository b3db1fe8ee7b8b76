"""Layers, losses and optimizers are formulas: nothing in them is about speed."""

import ast
import pathlib

import pytest

import xpnn
from xpnn.layers import Ctx

PACKAGE = pathlib.Path(xpnn.__file__).parent
FILES = [f for folder in ("layers", "losses", "optimizers") for f in sorted((PACKAGE / folder).glob("*.py"))]
SPEED = {
    "add_bias",
    "affine_relu",
    "affine_relu_with_mask",
    "buffer",
    "concat_flat",
    "conv_relu_max_pool",
    "fuse",
    "loop",
    "may_overwrite",
    "memoized",
    "operand",
    "out",
    "relu_mask",
    "softmax_cross_entropy",
    "softmax_cross_entropy_and_correct",
    "softmax_cross_entropy_gradient_and_correct",
    "take_rescaled",
}
"""Kernels that compute several layers together, and arguments that say where results may be written."""
DOORS = {"xpnn.backends.base", "xpnn.backends.convert"}
"""What a layer may import of the backends: what a Backend is, and arrays of others on their way in."""
WORDS = {"fusion", "fuse", "fused", "buffer", "buffers", "workspace"}
LIBRARIES = {"numba", "cupy", "cuda", "torch", "jax"}
"""Words that no name in these files holds, and no text but a docstring is."""


def traces_of_speed(tree):
    """(line, what) for calls of such kernels, for such arguments, and for imports of what is behind them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Attribute) and node.func.attr in SPEED - {"out", "loop"}:
                yield node.lineno, node.func.attr
            yield from ((node.lineno, k.arg) for k in node.keywords if k.arg in SPEED)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module.startswith("xpnn.fusion") or (
                module.startswith("xpnn.backends") and module not in DOORS
            ):
                yield node.lineno, module
        for name in names_in(node):
            if (WORDS | LIBRARIES) & set(name.lower().split("_")):
                yield node.lineno, name
        if isinstance(node, ast.Compare) and "be.name" in ast.unparse(node):
            yield node.lineno, "be.name"


def names_in(node):
    """The names that a node of the syntax tree gives or uses, and a text such as "cupy"."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [part for alias in node.names for part in alias.name.split(".")]
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) and node.value in LIBRARIES else []
    found = (getattr(node, field, None) for field in ("id", "attr", "arg", "name"))
    return [name for name in found if isinstance(name, str)]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f"{f.parent.name}/{f.name}")
def test_no_formula_names_what_makes_it_fast(file):
    assert not list(traces_of_speed(ast.parse(file.read_text())))


@pytest.mark.parametrize(
    "line",
    [
        "y = cx.be.affine_relu(x, W, b)",
        "x = cx.be.operand(x)",
        "db = cx.be.column_sums(dy, out=place)",
        "dx = cx.be.relu_grad(dy, y, may_overwrite=True)",
        "from xpnn.fusion import fuse",
        "from xpnn.backends.cpu.fast import FastNumpyBackend",
        "import numba",
        "if cx.be.name == 'numpy': pass",
        "fast = library in ('cupy', 'numpy')",
        "def forward(self, cx, p, x, grad_buffer): pass",
        "y = x @ p.fused_weights",
    ],
)
def test_what_would_be_found(line):
    assert list(traces_of_speed(ast.parse(line)))


def test_a_layer_knows_five_things_of_the_call_it_is_in():
    assert Ctx._fields == ("be", "train", "key", "tick", "need_dx")

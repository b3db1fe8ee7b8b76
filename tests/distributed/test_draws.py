"""Random numbers of a step are drawn by the context, which knows what a process's samples are in the whole batch."""

import ast
from pathlib import Path

import numpy as np
import pytest

import xpnn
from xpnn.backends.share import Share
from xpnn.distributed import Communicator
from xpnn.distributed.shared_backend import backend_for_share
from xpnn.layers import Ctx

PACKAGE = Path(xpnn.__file__).parent
DRAWING = ("uniform", "normal", "keep_mask")
FILES = [f for part in ("layers", "fusion", "training", "losses") for f in (PACKAGE / part).rglob("*.py")]


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.name)
def test_nothing_draws_past_the_context(file):
    """A draw by the backend itself would give every process the numbers of the first samples."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DRAWING:
            owner = ast.unparse(node.func.value)
            assert not owner.endswith("be"), (
                f"{file.name}:{node.lineno}: {owner}.{node.func.attr}: draw by cx"
            )


class Two(Communicator):
    """A place of two; it never communicates."""

    size = 2


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_a_share_draws_its_rows_of_the_whole_draw(backend, axis):
    be = xpnn.get_backend(backend, dtype="float64")
    tick, tail = be.scalar(5, be.xp.int64), (3, 4)

    def draw(be, n):
        shape = (2, n, *tail) if axis else (n, *tail)
        return np.asarray(be.to_numpy(Ctx(be, True, (7, 1), tick).uniform(shape, axis)))

    whole = draw(be, 11)
    for first, rows in ((0, 5), (5, 6), (10, 1)):
        part = draw(backend_for_share(be, Two(), Share(first, rows, 11)), rows)
        assert (part == whole.take(range(first, first + rows), axis)).all()


def test_samples_folded_into_another_axis_draw_as_they_do_in_the_whole_batch():
    """Of a layer inside one that gives it (N * time, features)."""
    be = xpnn.get_backend("numpy", dtype="float64")
    tick = be.scalar(5, be.xp.int64)
    whole = Ctx(be, True, (7, 1), tick).uniform((11 * 3, 4))
    part = Ctx(backend_for_share(be, Two(), Share(5, 6, 11)), True, (7, 1), tick).uniform((6 * 3, 4))
    assert (part == whole[15:]).all()

"""One process, two, three and four train the same network, to rounding: every loss, layer, weight and reduction."""

import json
import socket

import numpy as np
import pytest
from check_worker import control_of
from equal_worker import all_rows
from harness import open_backend
from mpi_launch import run
from thread_ranks import by_threads

WORKER = "tests/distributed/equal_worker.py"
TOLERANCE = 1e-12
"""In float64; measured: at most 2.3e-13."""


def trained(folder, ranks, backend, *ways, **environment):
    """{way: {row: how far it is from one process}}. All ways in one launch."""
    code, out, err = run(
        ranks, WORKER, folder, backend, *ways, deadline=240, places=folder, numba=True, **environment
    )
    assert code == 0, f"{out}\n{err[-3000:]}"
    for engine in {way.split("-")[1] for way in ways}:
        control, steps = json.loads((folder / f"{engine}.json").read_text())
        assert control == control_of(ranks)
        assert steps < TOLERANCE
    alone, found = vectors(folder, "alone"), {way: vectors(folder, way) for way in ways}
    return {
        way: {name: difference(a, alone[name]) for name, a in rows.items()} for way, rows in found.items()
    }


def vectors(folder, way):
    """{row: everything it came to}."""
    with np.load(folder / f"{way}.npz") as file:
        return {str(name): file[f"arr_{i}"] for i, name in enumerate(file["names"])}


def difference(a, b):
    """The largest absolute difference; NaN in one place alone counts as infinite."""
    if a.shape != b.shape or not (np.isnan(a) == np.isnan(b)).all():
        return np.inf
    return float(np.nanmax(abs(a - b), initial=0))


def wrong(found):
    return {name: value for name, value in found.items() if not value <= TOLERANCE}


@pytest.fixture(scope="module")
def alone():
    """By NumPy alone: its kernels and numba's are compared elsewhere."""
    be = open_backend("numpy", "float64")
    return {name: (row, row.train(None, be)) for name, row in all_rows()}


@pytest.mark.parametrize("ranks", [3, 4])
def test_several_train_as_one(alone, ranks):
    """Ranks as threads, for a sum over more processes than cores takes as long as a step. Two are processes, below."""
    be = open_backend("numpy", "float64")

    def train(group):
        return [row.train(group, be) for row, _ in alone.values()]

    assert len(alone) > 250
    for found in by_threads(ranks, train):
        each = zip(alone.items(), found, strict=True)
        assert not wrong({name: difference(a, b) for (name, (_, a)), b in each})


def test_several_processes_train_as_one(tmp_path):
    """NumPy as users have it, with numba's loops where they are installed; 3 and 4 processes with fewer rows."""
    ways = "few-mpi-4", "few-mpi-3", "all-mpi-2"
    found = trained(tmp_path, 4, "numpy", *ways)
    assert [len(found[way]) > least for way, least in zip(ways, (5, 5, 250), strict=True)] == [True] * 3
    assert [wrong(found[way]) for way in ways] == [{}] * 3


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("backend", "ways"), [("torch", ["few-mpi-2"]), ("jax", ["compiled-jax-2", "fewer-mpi-2"])]
)
def test_other_libraries_train_as_one_too(tmp_path, backend, ways):
    """jax-2: processes that find each other by the environment alone, and jax.lax.psum inside the compiled step."""
    pytest.importorskip(backend)
    address = {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{free_port()}", "JAX_NUM_PROCESSES": "2"}
    found = trained(tmp_path, 2, backend, *ways, **address if backend == "jax" else {})
    for way in ways:
        assert len(found[way]) > 1
        assert not wrong(found[way])

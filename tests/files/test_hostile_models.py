"""Model files whose structure asks for more than they are worth: refused, or opened at a cost their size allows."""

import tracemalloc

import crafted_files
import hostile_inputs
import hostile_models
import numpy as np
import pytest

import xpnn
from xpnn.config import to_config
from xpnn.errors import CheckpointError, XpnnError


def opened(tmp_path, net, shape):
    """The peak of memory, and the model or the error; the file has no arrays."""
    hostile_models.description(hostile_models.Random(0))  # makes the template
    about = {
        **hostile_models.TEMPLATE,
        "net": {"type": "Sequential", "layers": net},
        "input_shape": list(shape),
    }
    path = tmp_path / "m.safetensors"
    path.write_bytes(crafted_files.forge(about, {}))
    tracemalloc.start()
    try:
        found = xpnn.load(path)
        found.predict(np.zeros((1, *shape), np.float32))
    except XpnnError as error:
        found = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, found


def nested(layer, depth, wrap):
    for _ in range(depth):
        layer = wrap(layer)
    return [layer]


RELU = to_config(xpnn.ReLU())
IDS = to_config(xpnn.Embedding(5, 2))


def shared(layer):
    nodes = [["a", layer, "x"], ["b", {"type": "Shared", "node": "a"}, "a"]]
    return {"type": "Graph", "inputs": "x", "nodes": nodes, "outputs": "b"}


def parallel(merge, *more):
    return lambda layer: {"type": "Parallel", "layers": [layer, *more], "merge": merge}


BOMBS = {
    "ten million units": ([{**to_config(xpnn.LSTM(2)), "units": 10**7}], (4, 2)),
    "a shared part in a shared part": (nested(RELU, 40, shared), (4,)),
    "averages of averages": (nested(RELU, 60, parallel("average")), (4,)),
    "averages of averages and more": (nested(RELU, 60, parallel("average", RELU)), (4,)),
    "ids for all": (nested(IDS, 60, parallel("concatenate", IDS)), (4,)),
    "residuals in residuals": (nested(RELU, 200, lambda layer: {"type": "Residual", "layer": layer}), (4,)),
    "chains in chains": (nested(RELU, 200, lambda layer: {"type": "Sequential", "layers": [layer]}), (4,)),
    "wide margins": ([to_config(xpnn.ZeroPad2D(10**5))], (4, 4, 1)),
    "repeated and repeated": ([to_config(xpnn.UpSampling2D(8))] * 12, (4, 4, 1)),
    "one large, many times": ([to_config(xpnn.ZeroPad2D(1000)), *[RELU] * 2000], (4, 4, 1)),
}


@pytest.mark.parametrize("case", BOMBS)
def test_a_structure_costs_what_its_file_is_worth(tmp_path, case):
    """In memory under 1 GB, and it comes to an end: doubled work would not."""
    peak, found = opened(tmp_path, *BOMBS[case])
    assert peak < 1 << 30
    assert isinstance(found, CheckpointError | xpnn.Model)


def test_what_is_made_in_python_is_held_to_nothing():
    model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(1)], (9000, 9000, 1), seed=0)
    assert model.layout.size["theta"] == 81_000_001


def test_structures_drawn_at_random():
    account = hostile_models.drawn(60, seed=5)
    assert account.summary()["faults"] == 0, account.faults
    assert account.opened > 4
    assert account.refused > 4
    assert account.worst["bytes"] < 1 << 30


def test_the_account_counts_what_is_no_error_of_xpnn(monkeypatch):
    def broken(path):
        raise KeyError(path)

    monkeypatch.setattr(xpnn, "load", broken)
    assert hostile_models.drawn(2, seed=5).summary()["faults"] == 2


@pytest.mark.parametrize("kind", sorted(set(hostile_inputs.READERS) - {"studies"}))
def test_other_inputs_drawn_at_random(kind):
    account = hostile_inputs.grown(kind, 12, seed=5)
    assert account.summary()["faults"] == 0, account.faults
    assert account.refused > 2
    assert account.worst["bytes"] < 1 << 27


@pytest.mark.slow
def test_studies_drawn_at_random():
    pytest.importorskip("optuna")
    assert hostile_inputs.grown("studies", 15, seed=5).faults == []


@pytest.mark.slow
def test_structures_that_a_fuzzer_finds():
    """Twenty seconds, guided by the lines that they reach. `ci/crash --minutes 10` takes longer."""
    pytest.importorskip("atheris")
    summary = hostile_models.guided(20)
    assert summary["faults"] == 0, summary
    assert summary["files"] > 50
    assert summary["bytes"] < 1 << 30

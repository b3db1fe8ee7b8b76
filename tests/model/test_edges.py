"""Checks that are seldom met, and values exactly on an edge: what one changed sign or line would otherwise survive."""

import dataclasses
import json

import numpy as np
import pytest
from cases import FULL_BATCH, INITIALIZERS, LAYERS, LOSSES, OPTIMIZERS, SCHEDULES
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.errors import CheckpointError, DataError, ShapeError, UsageError

ROWS = {
    type(row).__name__: row
    for row in [
        *(case.layer for case in LAYERS), *(case.loss for case in LOSSES),
        *OPTIMIZERS, *FULL_BATCH, *INITIALIZERS, *SCHEDULES,
    ]
}  # fmt: skip
NUMBERS = [
    (row, field.name)
    for row in ROWS.values()
    if dataclasses.is_dataclass(row)
    for field in dataclasses.fields(row)
    if type(getattr(row, field.name)) in (int, float, bool)
]


def id_of(one):
    return one if isinstance(one, str) else type(one).__name__


@pytest.mark.parametrize(("row", "name"), NUMBERS, ids=id_of)
def test_every_number_is_held_to_its_type_when_it_is_set(row, name):
    """In the constructor itself, for each class with a check of its own too: NaN, a word, a list."""
    sizes = (
        [] if (type(row).__name__, name) == ("Resize", "size") else [[1]]
    )  # it takes a list: one for each axis
    for bad in ("a", *sizes, float("nan"), None if type(getattr(row, name)) is bool else "1"):
        with pytest.raises(UsageError, match=name):
            dataclasses.replace(row, **{name: bad})


def test_the_rows_have_numbers():
    assert len(NUMBERS) > 80
    assert {("RandomShift", "share"), ("RandomShear", "degrees")} <= {
        (type(r).__name__, n) for r, n in NUMBERS
    }


def test_a_slope_holds_at_zero_itself():
    """PReLU takes the side of the slope at 0: y = 0, dx = slope dy."""
    from xpnn.layers.base import Ctx

    be = xpnn.get_backend("numpy", dtype="float64")
    layer, p = xpnn.PReLU(), {"slope": np.array([0.25])}
    with be.device_context():
        cx = Ctx(be, True, (0,), be.scalar(0), True)
        y, cache = layer.forward(cx, p, np.array([[0.0]]))
        dx, grads = layer.backward(cx, p, cache, np.array([[3.0]]))
    assert (y.item(), dx.item(), grads["slope"].item()) == (0.0, 0.75, 0.0)


def test_a_schedule_runs_under_single_steps():
    """Trainer.step knows no total: a schedule of the step alone gives its rates; the first step has the full one."""
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0, dtype="float64")
    trainer = xpnn.Trainer(
        model, "softmax_cross_entropy", xpnn.SGD(0.5), schedule=xpnn.schedules.StepDecay(every=2)
    )
    rates = []
    for _ in range(5):
        trainer.step(np.ones((4, 3)), np.array([0, 1, 0, 1]))
        rates.append(trainer.lr)
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05, 0.005], rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 4), (), (4, 1, 1)])
def test_labels_of_another_rank(shape):
    model = xpnn.Model([xpnn.Dense(3)], (2,), seed=0)
    with pytest.raises((ShapeError, DataError)):
        model.fit(
            np.zeros((4, 2), np.float32),
            np.zeros(shape, int),
            loss="softmax_cross_entropy",
            epochs=1,
            verbose=0,
        )


def test_a_single_number_is_no_target_of_ctc():
    model = xpnn.Model([xpnn.Dense(3)], (5, 2), seed=0)
    with pytest.raises((ShapeError, DataError, UsageError)):
        model.fit(np.zeros((1, 5, 2), np.float32), np.array(1), loss=xpnn.losses.CTC(), epochs=1, verbose=0)


def test_constraints_want_a_model_first():
    be = xpnn.get_backend("numpy")
    optimizer = xpnn.optimizers.Constrained(xpnn.SGD(0.1), [xpnn.optimizers.NonNegative("*")])
    with pytest.raises(UsageError, match=r"bind|model|parameters"):
        optimizer.init(be, np.zeros(3, np.float32))


def fitted(**more):
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    x, y = np.ones((8, 3), np.float32), np.arange(8) % 2
    xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.1)).fit(x, y, epochs=2, batch_size=4, **more)
    return model


@pytest.fixture
def forged(tmp_path, monkeypatch):
    """forged(change): resumes from the state of a run of 4 steps, after change(what it says, its arrays)."""
    from xpnn.training import Checkpoint, state

    path = tmp_path / "state"
    fitted(callbacks=[Checkpoint(path)])
    about, tensors = state.read_state(path)

    def resume(change):
        now, arrays = dict(about), dict(tensors)
        change(now, arrays)
        monkeypatch.setattr(state, "read_state", lambda path: (now, arrays))
        return fitted(resume=path)

    return resume


COUNTERS = {
    "steps": -1, "epochs": 0, "first": 5, "first of -1": -1, "losses": np.zeros(3), "rows": np.zeros((3, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_of_a_state_that_cannot_be(forged, name):
    def change(about, tensors):
        (tensors if isinstance(COUNTERS[name], np.ndarray) else about)[name.split()[0]] = COUNTERS[name]

    with pytest.raises(CheckpointError, match="counters"):
        forged(change)


def test_counters_at_their_limits(forged):
    """A fit that has just begun, after as many steps as the trainer had taken before."""
    forged(lambda about, tensors: about.update(first=4))
    forged(lambda about, tensors: about.update(steps=0, first=0))


@pytest.mark.parametrize("name", ["theta", "phi", "state.t", "state.lr"])
def test_arrays_of_a_state_that_are_missing_or_of_another_shape(forged, name):
    with pytest.raises(CheckpointError, match=f"no array {name}"):
        forged(lambda about, tensors: tensors.pop(name))
    with pytest.raises(CheckpointError, match=f"no array {name}"):
        forged(lambda about, tensors: tensors.update({name: tensors[name][None]}))


@pytest.mark.usefixtures("workplace")
def test_init_prints_every_setting_with_its_default(xp):
    """As TOML that train reads back; what it prints as JSON is the same."""
    import tomllib

    code, text, _ = xp("init", "spiral")
    assert code == 0
    head, *parts = text.split("\n\n")
    assert head.startswith("# Settings of xpnn train")
    assert "xpnn train --config FILE" in head
    assert all(
        part.startswith("# ") and part.splitlines()[-1][0] != " " for part in parts
    )  # help, then the line
    assert [part.splitlines()[-1].partition(" ")[0] for part in parts][:3] == ["dataset", "model", "#hidden"]
    code, out, _ = xp("init", "spiral", "--json")
    settings = json.loads(out)["settings"]
    read = tomllib.loads(
        "\n".join(line.removeprefix("#") for line in text.splitlines() if not line.startswith("# "))
    )
    assert read.keys() == settings.keys()
    assert {k: v for k, v in read.items() if v != ""} == {
        k: v for k, v in settings.items() if v not in (None, "")
    }
    assert (read["epochs"], read["hidden"], read["optimizer"]) == (40, [64, 64], "adam")


def test_the_boundary_is_drawn_in_the_plane_of_the_points(tmp_path):
    """x to the right, y upwards, all points inside."""
    pytest.importorskip("matplotlib")
    from xpnn.plots import decision_boundary

    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0, loss="softmax_cross_entropy")
    model.load_parameters(
        {"0.W": np.array([[0.0, 1.0], [0.0, 0.0]]), "0.b": np.zeros(2)}
    )  # class 1 where x > 0
    x = np.array([[-3.0, 0.1], [5.0, 0.2], [2.0, -0.3]])
    figure = decision_boundary(model, x, np.array([0, 1, 1]), tmp_path / "a.png")
    (axes,) = figure.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < -3 < 5 < right
    assert bottom < -0.3 < 0.2 < top
    assert right - left > top - bottom

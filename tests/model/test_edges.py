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


NOT_NEGATIVE, POSITIVE, SHARE, BELOW_1 = ">= 0", "> 0", ">= 0, <= 1", ">= 0, < 1"
RANGES = {
    NOT_NEGATIVE: "lr weight_decay l1 l2 lr_decay initial momentum_decay decay_rate eps2 tolerance_gradient "
    "tolerance_change strength GaussianNoise.std TruncatedNormal.std Sparse.std Focal.gamma InverseTime.k SWA.start "
    "index pad blank padding",
    POSITIVE: "eps eps1 clip_norm trust Muon.lr CELU.alpha margin delta SmoothL1.beta smooth VarianceScaling.scale "
    "Sinusoidal.base StepDecay.gamma Exponential.gamma div final_div power",
    SHARE: "dropout RandomShift.share rate label_smoothing BatchNorm.momentum sparsity final OneCycle.up low",
    BELOW_1: "RandomZoom.share AlphaDropout.rate momentum beta1 beta2 rho EMA.decay",
    "> 0, <= 1": "Lookahead.alpha MultiStep.gamma Cyclic.gamma",
    ">= 1": "smoothness threshold filters kernel stride dilation multiplier units pieces width tokens heads pool "
    "GroupNorm.groups history max_iterations max_evaluations steps every k factor Dirac.groups Resize.size "
    "LocalResponseNorm.size MultiHeadAttention.size SWA.every",
    "> 1": "rotary_base RotaryPositions.base",
    ">= 0, <= 180": "RandomRotation.degrees",
    ">= 0, <= 80": "RandomShear.degrees",
    ">= 1, <= 2": "p",
    ">= 0.1": "TruncatedNormal.limit",
    "any": "slope ELU.alpha Step.threshold value scale offset LocalResponseNorm.alpha LocalResponseNorm.beta "
    "LocalResponseNorm.k ignore_index Normal.std gain ZeroRow.row stop axis start",
}  # fmt: skip
"""What each number may be: by its name, and with its class in front where that class differs from others."""
RANGE_OF = {name: said for said, names in RANGES.items() for name in names.split()}
ELSEWHERE = {
    "groups", "kv_heads", "output_padding", "padding_idx", "c1", "c2", "tokens", "Muon.steps", "Slice.step",
    "Warmup.steps", "CosineRestarts.first", "Cyclic.up", "Cyclic.down", "Noam.warmup", "Split.axis", "LpNormalize.axis",
}  # fmt: skip
"""Those whose range depends on another setting, or on whether they are whole: tested beside their classes."""
TINY = 2.0**-40


RANGED = [
    (row, name) for row, name in NUMBERS if type(getattr(row, name)) is not bool
    and not ({name, f"{type(row).__name__}.{name}"} & ELSEWHERE and f"{type(row).__name__}.{name}" not in RANGE_OF)
]  # fmt: skip


def ends(said, kind):
    """(numbers that are just inside a range, numbers that are just outside)."""
    inside, outside = [], []
    for part in said.split(", ") if said != "any" else ():
        sign, number = part.split()
        edge, step = kind(float(number)), 1 if kind is int else TINY * max(1.0, float(number))
        way = step if sign[0] == ">" else -step
        inside.append(edge if sign.endswith("=") else edge + way)
        outside.append(edge - way if sign.endswith("=") else edge)
    return inside or [kind(-3), kind(3)], outside


@pytest.mark.parametrize(("row", "name"), RANGED, ids=id_of)
def test_a_number_may_be_what_its_range_says(row, name):
    """At the end of its range it is taken, one step further it is refused by its name."""
    kind = type(getattr(row, name))
    inside, outside = ends(RANGE_OF.get(f"{type(row).__name__}.{name}") or RANGE_OF[name], kind)
    for value in inside:
        assert getattr(dataclasses.replace(row, **{name: value}), name) == value
    for value in outside:
        with pytest.raises(UsageError, match=name):
            dataclasses.replace(row, **{name: value})


@pytest.mark.parametrize(
    ("row", "setting", "taken", "refused"),
    [
        (xpnn.LBFGS(), "c1", [1e-12, 0.9 - TINY], [0.0, 0.9]),
        (xpnn.LBFGS(), "c2", [1e-4 + TINY, 1 - TINY], [1e-4, 1.0]),
        (xpnn.Conv2D(6, 3), "groups", [1, 2, 3, 6], [0, 4, 12]),
        (xpnn.MultiHeadAttention(4), "kv_heads", [1, 2, 4], [0, 3, 8]),
        (xpnn.Embedding(5, 3), "padding_idx", [0, 4], [-1, 5]),
        (xpnn.ConvTranspose2D(2, 3, stride=2), "output_padding", [0, 1], [-1, 2]),
        (xpnn.Muon(), "steps", [1], [0]),
        (xpnn.Slice(0, 3), "step", [1, -1], [0]),
        (xpnn.schedules.Warmup(5), "steps", [0, 1, 7, 0.0, 0.5], [-1, 1.0, -0.5]),
        (xpnn.schedules.CosineRestarts(5), "first", [1, 7, TINY, 1.0], [0, 0.0, 1.5]),
        (xpnn.schedules.Noam(5), "warmup", [1, 7, TINY, 1.0], [0, 0.0, 1.5]),
        (xpnn.schedules.Cyclic(5, 5), "up", [1, 7, TINY, 1.0], [0, 0.0, 1.5]),
        (xpnn.schedules.Cyclic(5, 5), "down", [1, 7, TINY, 1.0], [0, 0.0, 1.5]),
        (xpnn.ZeroPad2D(), "padding", [0, 2, ((0, 1), (2, 3))], [-1, ((0, 1),), ((0, 1),) * 3, ((0, -1), (0, 0)), 1.5]),
    ],
    ids=id_of,
)  # fmt: skip
def test_a_setting_whose_range_depends_on_others(row, setting, taken, refused):
    for value in taken:
        assert getattr(dataclasses.replace(row, **{setting: value}), setting) == value
    for value in refused:
        with pytest.raises(UsageError, match=type(row).__name__):
            dataclasses.replace(row, **{setting: value})


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

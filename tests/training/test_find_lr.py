"""The sweep of learning rates: what it measures, where it stops, what it suggests, and that it leaves no trace."""

import dataclasses
import math

import numpy as np
import pytest
from harness import fingerprints
from installed_backends import INSTALLED
from PIL import Image

import xpnn
from xpnn import plots
from xpnn.diagnostics import RateSweep, find_lr
from xpnn.diagnostics.find_lr import steepest
from xpnn.errors import DataError, DivergedError, UsageError
from xpnn.optimizers import SGD

LINE = np.array([[1.0], [-1.0]])
"""For y = w x + b on these points, mean squared error is (w - w')^2 + (b - b')^2: its Hessian is 2 I."""
FULL = {"loss": "mean_squared_error", "optimizer": "sgd", "low": 1e-4, "high": 100.0, "batch_size": 2}


def line(**more):
    return xpnn.Model([xpnn.Dense(1)], (1,), **{"dtype": "float64", "seed": 1} | more)


def noisy():
    """A model with running statistics and dropout, and ids to learn."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    layers = [xpnn.Dense(8), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dropout(0.2), xpnn.Dense(3)]
    return xpnn.Model(layers, (4,), seed=0), rng.standard_normal((200, 4)) + y[:, None], y


def test_losses_are_those_after_each_step():
    """Gradient descent on the quadratic, by hand."""
    model = line()
    sweep = find_lr(model, LINE, 3 * LINE + 1, **FULL | {"high": 0.5, "steps": 7})
    off = model.theta - np.array([3.0, 1.0])
    wanted = []
    for rate in sweep.rates:
        off = off * (1 - 2 * rate)
        wanted.append(off @ off)
    np.testing.assert_allclose(sweep.rates, 1e-4 * (0.5 / 1e-4) ** (np.arange(7) / 6), rtol=1e-12)
    np.testing.assert_allclose(sweep.losses, wanted, rtol=1e-10)
    assert not sweep.diverged


@pytest.mark.parametrize("seed", range(5))
def test_divergence_is_found_near_the_stable_limit(seed):
    """Gradient descent is stable below 2 / L = 1, wherever it starts."""
    sweep = find_lr(line(seed=seed), LINE, 3 * LINE + 1, **FULL)
    assert sweep.diverged
    assert 1 < sweep.rates[-1] < 2
    rising = np.flatnonzero(np.diff(sweep.losses) > 0)
    assert 1 < sweep.rates[rising[0] + 1] < 1.2
    assert 0.005 < sweep.suggestion < 0.5


def test_no_divergence_below_the_limit():
    sweep = find_lr(line(), LINE, 3 * LINE + 1, **FULL | {"high": 0.9})
    assert not sweep.diverged
    assert len(sweep.rates) == len(sweep.losses) == len(sweep.smoothed) == 100
    assert sweep.rates[-1] == pytest.approx(0.9)


def test_steep_divergence_ends_before_infinity():
    """Few steps, each a hundred times the rate before: the loss overflows at once, and is not listed."""
    sweep = find_lr(line(dtype="float32"), LINE, 3 * LINE, **FULL | {"high": 1e38, "steps": 12})
    assert sweep.diverged
    assert len(sweep.rates) < 12
    assert np.isfinite(sweep.losses).all()


def test_where_nothing_falls_nothing_is_suggested():
    model = line()
    model.restore({"theta": np.array([3.0, 1.0]), "phi": np.zeros(0)})
    sweep = find_lr(model, LINE, 3 * LINE + 1, **FULL)
    assert sweep.suggestion is None
    assert not sweep.diverged
    assert set(sweep.losses) == {0.0}


def test_losses_below_0_are_no_divergence():
    """Poisson's loss has no log t!, so it falls from -3 to -8.9, through negative numbers only."""
    y = np.full((2, 1), 7.0)
    model = line()
    model.restore({"theta": np.array([0.0, 0.5]), "phi": np.zeros(0)})
    sweep = find_lr(model, LINE, y, **FULL | {"loss": xpnn.losses.Poisson(), "high": 0.1})
    assert not sweep.diverged
    assert sweep.losses[0] < 0
    assert sweep.losses[-1] < sweep.losses[0]


def test_only_the_way_to_the_lowest_point_counts():
    """What falls back from a spike beyond it is no progress."""
    assert steepest(np.array([3.0, 2.9, 2.0, 1.0, 1.2, 9.0, 8.0, 1.5])) == 2
    assert steepest(np.array([1.0, 2.0, 9.0, 3.0])) is None
    assert steepest(np.array([1.0])) is None


def test_the_model_stays_as_it_is():
    model, x, y = noisy()
    before = fingerprints(model.backend, {"theta": model.theta, "phi": model.phi})
    theta, loss = model.theta, model.loss
    first = find_lr(model, x, y, loss=xpnn.losses.Focal(), optimizer=SGD(5.0, 0.9), batch_size=32)
    assert model.theta is theta
    assert model.loss is loss
    assert fingerprints(model.backend, {"theta": model.theta, "phi": model.phi}) == before
    again = find_lr(model, x, y, loss=xpnn.losses.Focal(), optimizer=SGD(1e-3, 0.9), batch_size=32)
    assert again == first  # the optimizer's own rate plays no part, and nothing is random
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.suggestion = 1.0


@pytest.mark.parametrize("backend", INSTALLED)
def test_every_backend_finds_the_same(backend):
    sweeps = [
        find_lr(line(backend=b, dtype="float32"), LINE, 3 * LINE + 1, **FULL | {"high": 0.9, "steps": 20})
        for b in ("numpy", backend)
    ]
    np.testing.assert_allclose(sweeps[0].losses, sweeps[1].losses, rtol=1e-4, atol=1e-6)
    assert sweeps[0].suggestion == sweeps[1].suggestion


def test_suggestion_trains_real_digits():
    """One epoch of plain SGD at the suggested rate."""
    x, y, x_test, y_test = xpnn.data.mnist()
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(64), xpnn.ReLU(), xpnn.Dense(10)]
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    sweep = find_lr(model, x, y, optimizer="sgd")
    model.fit(x, y, optimizer=SGD(sweep.suggestion), epochs=1, verbose=0)
    assert model.evaluate(x_test, y_test)["accuracy"] >= 0.9
    assert sweep.diverged
    assert sweep.suggestion < sweep.rates[int(np.argmin(sweep.smoothed))]


BAD = [
    ({"low": 0.0}, "low=0.0"),
    ({"low": 1.0, "high": 1.0}, "0 < low < high"),
    ({"high": math.inf}, "high=inf"),
    ({"high": math.nan}, "high=nan"),
    ({"steps": 1}, "steps=1"),
    ({"steps": 2.5}, "steps=2.5"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"optimizer": "lbfgs"}, "Trainer.step with LBFGS"),
    ({"loss": "mean"}, "unknown loss 'mean'"),
]


@pytest.mark.parametrize(("how", "says"), BAD, ids=str)
def test_what_makes_no_sweep_is_refused(how, says):
    with pytest.raises(UsageError, match=says):
        find_lr(line(), LINE, LINE, **FULL | how)


def test_bad_data_is_refused_and_a_bad_start_named():
    with pytest.raises(DataError, match="2 samples"):
        find_lr(line(), LINE, LINE[:1], **FULL)
    model = line(dtype="float32")
    model.restore({"theta": np.array([1e30, 0.0]), "phi": np.zeros(0)})
    with pytest.raises(DivergedError, match="before the first step"):
        find_lr(model, LINE, LINE, **FULL)


# The picture


def dark(path, level=128):
    with Image.open(path) as image:
        grey = np.asarray(image.convert("L"), dtype=float)
    return grey < level


SWEEP = find_lr(line(), LINE, 3 * LINE + 1, **FULL)


def test_picture_shows_curve_and_suggestion(tmp_path):
    plots.lr_finder(SWEEP, tmp_path / "new" / "a.png", "line")
    without = dataclasses.replace(SWEEP, suggestion=None)
    plots.lr_finder(without, tmp_path / "b.png", "line")
    a, b = dark(tmp_path / "new" / "a.png", 200), dark(tmp_path / "b.png", 200)
    assert b.mean() > 0.01
    columns = np.bincount(np.nonzero(a & ~b)[1], minlength=a.shape[1])
    height = a.shape[0]
    assert columns.max() > height / 3  # a dashed line from top to bottom
    place = np.log(SWEEP.suggestion / SWEEP.rates[0]) / np.log(SWEEP.rates[-1] / SWEEP.rates[0])
    assert abs(columns.argmax() / a.shape[1] - (0.1 + 0.89 * place)) < 0.05


def test_picture_of_an_explosion_still_shows_the_fall(tmp_path):
    """A last loss of a million leaves the frame; the fall before keeps its place."""
    spoilt = dataclasses.replace(
        SWEEP, losses=(*SWEEP.losses[:-1], 1e6), smoothed=(*SWEEP.smoothed[:-1], 1e6)
    )
    plots.lr_finder(SWEEP, tmp_path / "a.png")
    plots.lr_finder(spoilt, tmp_path / "b.png")
    a, b = dark(tmp_path / "a.png"), dark(tmp_path / "b.png")
    left = a.shape[1] * 4 // 5  # clear of the last points
    assert (a != b)[:, :left].mean() < 0.001


def test_picture_of_nothing(tmp_path):
    plots.lr_finder(RateSweep((), (), (), None, True), tmp_path / "a.png")
    assert dark(tmp_path / "a.png").any()

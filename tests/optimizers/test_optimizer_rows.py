"""What follows from the rows of optimizers, schedules, initializers and metrics."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from cases import INITIALIZERS, METRICS, OPTIMIZERS, SCHEDULES
from harness import fingerprints, open_backend, rng_of
from tolerances import SIGMAS, assert_close, assert_same

from xpnn.config import short_repr
from xpnn.errors import UsageError
from xpnn.initializers import (
    Constant,
    Dirac,
    Identity,
    Normal,
    Orthogonal,
    Sinusoidal,
    Sparse,
    TruncatedNormal,
    VarianceScaling,
)
from xpnn.initializers.forget_bias import ForgetBias
from xpnn.layers.attention_mask import Rows
from xpnn.layers.embedding import ZeroRow
from xpnn.metrics import MAE, MSE, R2, ROCAUC, Accuracy, CalibrationError, LogLoss, TopK
from xpnn.optimizers.base import Elementwise
from xpnn.parameters import ParamInfo

PLACES = (
    ParamInfo("0.W", 0, 6, (2, 3)),
    ParamInfo("1.W", 6, 7, (1, 1)),
    ParamInfo("1.b", 7, 9, (2,), weight=False, decay=0.0),
)
SIZE, STEPS = 9, 5


def run(be, optimizer):
    """Five updates on fixed gradients; the last two numbers are a bias."""
    rng = rng_of("optimizer")
    start, grads = rng.standard_normal(SIZE), rng.standard_normal((STEPS, SIZE)) * 2
    theta = be.asarray(start, be.dtype) + 0  # of our own: an update may write into it
    optimizer = optimizer.bind(PLACES)
    state = optimizer.init(be, theta)
    update = be.compile(lambda theta, grad, state: optimizer.update(be, theta, grad, state))
    for grad in grads:
        grad = be.asarray(grad, be.dtype)
        before = fingerprints(be, (grad,))
        theta, state = update(theta, grad, state)
        assert fingerprints(be, (grad,)) == before
    return theta, state


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=short_repr)
def test_an_optimizer_equals_numpys_and_keeps_the_dtype(any_be, optimizer):
    be = any_be
    theta, state = run(be, optimizer)
    one, like = run(open_backend("numpy", "float64"), optimizer)
    assert set(state) == set(like)
    counts = state.keys() & {"t", "waiting", "updates", "last"}
    assert all(state[k].dtype == be.dtype for k in state.keys() - counts)
    assert state["t"].dtype == be.xp.int64
    assert int(state["t"]) == STEPS
    assert theta.dtype == be.dtype
    assert_close(be.to_numpy(theta), one, be.dtype_name)
    for name in like.keys() - counts - {"lr", "decay", "rates"}:
        assert_close(be.to_numpy(state[name]), like[name], be.dtype_name, name)


@pytest.mark.parametrize(
    "optimizer", [o for o in OPTIMIZERS if isinstance(o, Elementwise) and o.penalised], ids=short_repr
)
def test_penalties_leave_biases_alone(be, optimizer):
    """Where the decay mask is 0 the optimizer acts as if it had none, elsewhere it does not."""
    theta, plain = (
        be.to_numpy(run(be, o)[0]) for o in (optimizer, replace(optimizer, l1=0.0, l2=0.0, weight_decay=0.0))
    )
    assert_close(theta[-2:], plain[-2:], "float64")
    assert (theta != plain)[:-2].all()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=short_repr)
@pytest.mark.parametrize("total", [1, 2, 7, 40])
def test_a_schedule_is_a_factor_and_a_pure_function(schedule, total):
    factors = [schedule(step, total) for step in range(total + 3)]
    assert all(isinstance(f, float) and math.isfinite(f) and 0 <= f <= 1 for f in factors)
    assert [schedule(step, total) for step in reversed(range(total + 3))] == factors[::-1]


SHAPES = [(4, 4), (7, 4), (3, 4), (2, 5, 4), (300, 4)]
FIXED = Constant | Identity | Dirac | Sinusoidal | ForgetBias | Rows
"""Those that draw nothing."""


def fits(init, shape):
    """A few are for matrices only, one for kernels only, one for its own shape."""
    if isinstance(init, Rows):
        return shape == (4, 4)
    return (
        len(shape) == 2
        if isinstance(init, Identity | Sparse | Sinusoidal)
        else len(shape) > 2 or not isinstance(init, Dirac)
    )


@pytest.mark.parametrize("init", INITIALIZERS, ids=short_repr)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_initializer_depends_on_the_generator_alone(init, shape):
    if not fits(init, shape):
        with pytest.raises(UsageError, match=type(init).__name__):
            init(np.random.default_rng(1), shape)
        return
    a, b, other = (init(np.random.default_rng(seed), shape) for seed in (1, 1, 2))
    assert a.shape == shape
    assert_same(a, b)
    assert a.dtype == np.float64
    assert a.flags.writeable
    assert isinstance(init, FIXED) == (a == other).all()


@pytest.mark.against("distribution")
@pytest.mark.parametrize(
    "init",
    [i for i in INITIALIZERS if not isinstance(i, FIXED | Sparse | TruncatedNormal | ZeroRow)],
    ids=short_repr,
)
@pytest.mark.parametrize("shape", [(60, 90), (3, 3, 10, 60)])
def test_an_initializer_has_its_mean_and_variance(init, shape):
    a = init(np.random.default_rng(0), shape)
    window, n_in, n_out = math.prod(shape[:-2]), *shape[-2:]
    if isinstance(init, Normal):
        variance = init.std**2
    elif isinstance(init, VarianceScaling):
        fan = {"in": n_in, "out": n_out, "mean": (n_in + n_out) / 2}[init.fan] * window
        variance = init.scale / fan
        if init.distribution == "uniform":
            assert np.abs(a).max() <= math.sqrt(3 * variance)
    else:
        assert isinstance(init, Orthogonal)
        rows = a.reshape(-1, n_out)
        square = rows @ rows.T if rows.shape[0] < n_out else rows.T @ rows
        assert_close(square, init.gain**2 * np.eye(len(square)), "float64")
        return
    assert abs(a.mean()) < SIGMAS * math.sqrt(variance / a.size)
    assert abs(a.var() / variance - 1) < SIGMAS * math.sqrt(2 / a.size)


N, C = 40, 5


def scores_and_ids():
    """Scores with many ties, and ids of which one class never occurs."""
    rng = rng_of("metric")
    return rng.integers(0, 4, (N, C)) * 0.5, rng.integers(0, C - 1, N)


SUMS = MAE | MSE | R2 | LogLoss | CalibrationError | ROCAUC
"""Metrics that add real numbers, in float64; the others count."""


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_a_metric_equals_numpys_and_its_counts_add_up(any_be, metric):
    be = any_be
    scores, ids = scores_and_ids()
    if isinstance(metric, MAE | MSE | R2):
        ids = scores[::-1, :] + 0.25
    exact, same = not isinstance(metric, SUMS), assert_same
    if not exact:
        same = lambda got, wanted: assert_close(got, wanted, "float64")  # noqa: E731
    one = open_backend("numpy", "float64")
    wanted = metric(one, scores, ids)
    given = be.asarray(scores, be.dtype), be.asarray(ids)
    before = fingerprints(be, given)
    counts = be.compile(lambda scores, ids: metric.count(be, scores, ids))
    whole = counts(*given)
    assert fingerprints(be, given) == before
    assert whole.dtype == (be.xp.int64 if exact else be.xp.float64)
    same(metric.result(be.to_numpy(whole)), wanted)
    parts = [counts(given[0][i:j, :], given[1][i:j, ...]) for i, j in itertools.pairwise((0, 25, N))]
    same(metric.result(be.to_numpy(metric.merge(be, *parts))), wanted)
    same(metric(be, *given), wanted)


def test_metrics_by_hand(be):
    """Ties: the lower class comes first."""
    scores, ids = (
        be.asarray(np.array([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [3.0, 1.0, 2.0]])),
        be.asarray(np.array([0, 2, 1])),
    )
    assert Accuracy()(be, scores, ids) == TopK(1)(be, scores, ids) == 1 / 3
    assert TopK(2)(be, scores, ids) == 2 / 3
    assert TopK(3)(be, scores, ids) == 1

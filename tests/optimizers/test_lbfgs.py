"""L-BFGS: its recursion against the matrix it stands for, its line search, functions of known minima, and training."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from cases import FULL_BATCH
from comparison import error
from harness import fingerprints, rng_of
from installed_backends import INSTALLED
from tolerances import assert_close

import xpnn
from xpnn.backends import get_backend
from xpnn.config import short_repr
from xpnn.errors import DivergedError, UsageError
from xpnn.losses import NegativeLogLikelihood, SoftmaxCrossEntropy
from xpnn.optimizers import EMA, LBFGS, Accumulate, get_optimizer
from xpnn.optimizers.lbfgs_search import Descent
from xpnn.optimizers.wolfe import Trial, Wolfe, cubic_minimum
from xpnn.parameters import ParamInfo
from xpnn.training import Callback

NUMPY = get_backend("numpy", None, "float64")
F64 = 1e-12
TIGHT = {"tolerance_gradient": 1e-11, "tolerance_change": 0.0}


# The recursion


def memory(rule, pairs, size=6):
    """The state after some pairs with s.y > 0, and the pairs."""
    rng = rng_of("pairs", pairs)
    A = np.diag(np.arange(1.0, size + 1)) + 0.1
    state, given = rule.init(NUMPY, np.zeros(size)), []
    for s in rng.standard_normal((pairs, size)):
        given.append((s, A @ s))
        state = rule.remember(NUMPY, s, A @ s, state)
    return state, given


def matrix(pairs):
    """H by the BFGS formula (6.17) of Nocedal and Wright, from s.y / y.y I of the last pair."""
    s, y = pairs[-1]
    H = np.eye(len(s)) * (s @ y) / (y @ y)
    for s, y in pairs:
        V = np.eye(len(s)) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H


def recursion_error(rule):
    """How far -H g is from the matrix's, with a memory half full, full, and long since full."""
    g, worst = rng_of("g").standard_normal(6), 0.0
    for pairs in (1, 3, 5, 12):
        state, given = memory(rule, pairs)
        worst = max(worst, error(rule.direction(NUMPY, g, state), -matrix(given[-rule.history :]) @ g))
    return worst


@pytest.mark.parametrize("history", [1, 3, 5])
def test_two_loops_are_the_bfgs_matrix(history):
    assert recursion_error(LBFGS(history)) <= F64


def test_empty_memory_is_steepest_descent(be):
    rule, g = LBFGS(3), be.asarray(np.array([1.0, -2.0]))
    d = rule.direction(be, g, rule.init(be, g))
    assert be.to_numpy(d).tolist() == [-1.0, 2.0]


class Faulty(LBFGS):
    """Mistakes in the recursion."""


def forgotten_scale(rule, be, g, state):
    return LBFGS.direction(rule, be, g, {**state, "gamma": be.scalar(1.0)})


def wrong_order(rule, be, g, state):
    return LBFGS.direction(rule, be, g, state | {k: state[k][::-1] for k in ("S", "Y", "rho")})


def swapped(rule, be, g, state):
    return LBFGS.direction(rule, be, g, state | {"S": state["Y"], "Y": state["S"]})


def one_loop(rule, be, g, state):
    q = g
    for i in reversed(range(rule.history)):
        q = q - state["rho"][i] * (state["S"][i] @ q) * state["Y"][i]
    return -state["gamma"] * q


FAULTS = {
    "sign": ("direction", lambda *given: -LBFGS.direction(*given)),
    "scaled by 1.0001": ("direction", lambda *given: 1.0001 * LBFGS.direction(*given)),
    "scale forgotten": ("direction", forgotten_scale),
    "oldest first": ("direction", wrong_order),
    "s and y swapped": ("direction", swapped),
    "second loop forgotten": ("direction", one_loop),
    "y with the wrong sign": (
        "remember",
        lambda rule, be, s, y, state: LBFGS.remember(rule, be, s, -y, state),
    ),
    "rho of y.y": (
        "remember",
        lambda rule, be, s, y, state: (
            (new := LBFGS.remember(rule, be, s, y, state)) | {"rho": np.append(new["rho"][:-1], 1 / (y @ y))}
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_in_the_recursion_is_caught(name, monkeypatch, record_property):
    method, wrong = FAULTS[name]
    monkeypatch.setattr(Faulty, method, wrong, raising=False)
    assert recursion_error(Faulty(3)) > 1e-5
    record_property("fault", name)


@pytest.mark.parametrize("y", [[0.0, 0.0], [-1.0, 0.0], [1e-20, 1.0]], ids=str)
def test_pair_without_curvature_is_not_kept(be, y):
    """s.y below, at, or lost in rounding above 0."""
    rule = LBFGS(2)
    state = rule.init(be, be.zeros((2,)))
    new = rule.remember(be, be.asarray(np.array([1.0, 0.0])), be.asarray(np.array(y)), state)
    assert fingerprints(be, {**new, "t": 0}) == fingerprints(be, {**state, "t": 0})


# The line search


def curve(seed):
    """A wavy function of one number that ends by rising, with its slope; it falls at 0."""
    rng = np.random.default_rng(seed)
    a, k, p = rng.uniform(0.1, 2, 5), rng.uniform(0.3, 6, 5), rng.uniform(0, 7, 5)
    c = 10.0 ** rng.uniform(-3, 1)
    tilt = np.sum(a * k * np.cos(p)) + 10.0 ** rng.uniform(-2, 2)
    f = lambda t: float(np.sum(a * np.sin(k * t + p)) - tilt * t + c * t**4)  # noqa: E731
    slope = lambda t: float(np.sum(a * k * np.cos(k * t + p)) - tilt + 4 * c * t**3)  # noqa: E731
    return lambda t: Trial(t, f(t), slope(t))


@pytest.mark.parametrize(("c1", "c2"), [(1e-4, 0.9), (1e-4, 0.1), (0.3, 0.4)])
def test_a_search_ends_with_both_conditions(c1, c2):
    for seed in range(100):
        at, asked = curve(seed), []
        start = at(0.0)
        assert start.slope < 0
        first = 10.0 ** np.random.default_rng(seed).uniform(-4, 3)
        found = Wolfe(c1, c2, 60).search(lambda t, at=at, asked=asked: asked.append(t) or at(t), start, first)
        assert found.step == asked[-1] > 0
        assert found.value <= start.value + c1 * found.step * start.slope
        assert abs(found.slope) <= c2 * abs(start.slope)
        assert asked[0] == first
        assert len(asked) <= 60


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_a_search_cut_short_still_goes_down(limit):
    ends = set()
    for seed in range(60):
        at, asked = curve(seed), []
        found = Wolfe(1e-4, 1e-9, limit).search(lambda t, at=at, a=asked: a.append(t) or at(t), at(0.0), 0.3)
        assert len(asked) == limit
        ends.add(found is None)
        assert found is None or found.value == min(at(t).value for t in asked if t <= found.step)
        assert found is None or found.value < at(0.0).value
    assert limit > 2 or ends == {True, False}


def test_a_search_turns_back_from_what_is_not_finite():
    for wall in (math.inf, math.nan):
        at = lambda t, wall=wall: Trial(t, (t - 1e-5) ** 2, 2 * (t - 1e-5)) if t < 2e-5 else Trial(t, wall, math.nan)  # noqa: E731  # fmt: skip
        found = Wolfe(1e-4, 0.5, 60).search(at, at(0.0), 1.0)
        assert abs(found.step - 1e-5) <= 0.5e-5


@pytest.mark.parametrize(
    ("value", "slope"), [(-9.0, math.nan), (-9.0, -math.inf), (-math.inf, -1.0), (math.nan, 0.0)]
)
def test_a_trial_needs_both_of_its_numbers(value, slope):
    at = lambda t: Trial(t, (t - 0.3) ** 2, 2 * (t - 0.3)) if t < 0.6 else Trial(t, value, slope)  # noqa: E731
    found = Wolfe(1e-4, 0.5, 60).search(at, at(0.0), 1.0)
    assert found.step < 0.6
    assert abs(found.slope) <= 0.5 * 0.6


def test_a_search_up_a_slope_finds_nothing():
    """A gradient of the wrong sign: nothing there is lower."""
    assert Wolfe(1e-4, 0.9, 25).search(lambda t: Trial(t, t, -1.0), Trial(0.0, 0.0, -1.0), 1.0) is None


def test_cubic_minimum_is_exact_for_cubics():
    f = lambda t: Trial(t, t**3 - 3 * t, 3 * t * t - 3)  # noqa: E731
    for a, b in ((0.0, 2.0), (2.0, 0.5), (-0.5, 0.1), (0.9, 7.0)):
        assert cubic_minimum(f(a), f(b)) == pytest.approx(1.0, rel=1e-12)
    line = lambda t: Trial(t, -t, -1.0)  # noqa: E731
    assert cubic_minimum(line(0.0), line(1.0)) is None
    assert cubic_minimum(line(0.0), Trial(1.0, math.inf, math.nan)) is None


# Functions whose minima are known


def quadratic(be, size):
    """(f, minimum) of x A x / 2 - b x."""
    rng = rng_of("quadratic", size)
    A = rng.standard_normal((size, size))
    A, b = A @ A.T + np.eye(size), rng.standard_normal(size)
    A_, b_ = be.asarray(A, be.dtype), be.asarray(b, be.dtype)
    return lambda x: (0.5 * x @ (A_ @ x) - b_ @ x, A_ @ x - b_), np.linalg.solve(A, b)


def rosenbrock(be):
    """sum 100 (x[i + 1] - x[i]^2)^2 + (1 - x[i])^2: a bent valley; its minimum is at 1, 1, ..."""

    def f(x):
        u, v = x[1:] - x[:-1] ** 2, 1 - x[:-1]
        end = be.zeros((1,))
        g = be.xp.concat([-400 * x[:-1] * u - 2 * v, end]) + be.xp.concat([end, 200 * u])
        return be.xp.sum(100 * u**2 + v**2), g

    return f


@pytest.mark.parametrize("size", [1, 3, 8])
def test_a_quadratic_takes_as_many_iterations_as_it_has_dimensions(be, size):
    """With exact line searches, as small c1 and c2 make them, L-BFGS is the conjugate gradient method."""
    f, minimum = quadratic(be, size)
    rule = LBFGS(size, c1=1e-10, c2=1e-9, tolerance_gradient=1e-8, tolerance_change=0.0)
    theta, report = rule.minimize(be, f, be.zeros((size,)))
    assert error(be.to_numpy(theta), minimum) <= 1e-8
    assert (report.iterations, report.reason) == (size, "gradient")


@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock(be, size):
    start = np.where(np.arange(size) % 2 == 0, -1.2, 1.0)
    rule = LBFGS(max_iterations=300, **TIGHT)
    theta, report = rule.minimize(be, rosenbrock(be), be.asarray(start))
    assert abs(be.to_numpy(theta) - 1).max() <= 1e-10
    assert report.reason == "gradient"
    assert report.evaluations < 1.5 * report.iterations


@pytest.mark.parametrize("rule", FULL_BATCH, ids=short_repr)
def test_a_row_equals_numpys_and_leaves_theta_alone(any_be, rule):
    be, start = any_be, rng_of("start").standard_normal(5)
    places = ParamInfo("0.W", 0, 3, (3, 1)), ParamInfo("0.b", 3, 5, (2,), weight=False, decay=0.0)
    rule = LBFGS(**{**vars(rule), "max_iterations": 2, "tolerance_gradient": 0.0}).bind(places)
    theta = be.asarray(start, be.dtype)
    before = fingerprints(be, (theta,))
    got, report = rule.minimize(be, quadratic(be, 5)[0], theta)
    assert fingerprints(be, (theta,)) == before
    assert got.dtype == be.dtype
    wanted, like = rule.minimize(NUMPY, quadratic(NUMPY, 5)[0], start)
    assert_close(be.to_numpy(got), wanted, be.dtype_name)
    assert (report.iterations, report.reason) == (like.iterations, like.reason) == (2, "iterations")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_ends_where_rounding_does(dtype):
    """Without tolerances: at the last digit the line search finds nothing lower, and says so without a long search."""
    be = get_backend("numpy", None, dtype)
    f, minimum = quadratic(be, 8)
    rule = LBFGS(max_iterations=1000, tolerance_gradient=0.0, tolerance_change=0.0)
    theta, report = rule.minimize(be, f, np.full(8, 10, dtype))
    assert report.reason == "line search"
    assert error(theta, minimum.astype(dtype)) <= (1e-3 if dtype == "float32" else 1e-8)
    assert report.evaluations <= report.iterations + 60


def test_tolerances_and_counts_are_kept():
    f, _ = quadratic(NUMPY, 8)
    start = np.full(8, 10.0)
    _, report = LBFGS(tolerance_gradient=1e-3, tolerance_change=0.0).minimize(NUMPY, f, start)
    theta, again = LBFGS(tolerance_gradient=1e9).minimize(NUMPY, f, start)
    assert report.reason == again.reason == "gradient"
    assert (again.iterations, again.evaluations) == (0, 1)
    assert theta.tolist() == start.tolist()
    theta, _ = LBFGS(tolerance_gradient=1e-3, tolerance_change=0.0).minimize(NUMPY, f, start)
    assert abs(f(theta)[1]).max() <= 1e-3
    _, change = LBFGS(tolerance_gradient=0.0, tolerance_change=1e-2).minimize(NUMPY, f, start)
    assert change.reason == "change"
    asked = []
    _, cut = LBFGS(max_iterations=3).minimize(NUMPY, lambda x: asked.append(1) or f(x), start)
    assert (cut.reason, cut.iterations, cut.evaluations) == ("iterations", 3, len(asked))


def test_the_first_steps_of_a_line_search():
    """1 / sum |g| along -g, so that the scale of the loss does not matter; then the whole of -H g."""
    f, _ = quadratic(NUMPY, 3)
    start, asked = np.full(3, 50.0), []
    rule = LBFGS(max_iterations=2)
    rule.minimize(NUMPY, lambda x: asked.append(x) or f(x), start)
    g = f(start)[1]
    assert error(asked[1], start - g / abs(g).sum()) <= F64
    descent = Descent(rule, NUMPY, lambda x: asked.append(x) or f(x), start, rule.init(NUMPY, start))
    descent.advance()
    before = len(asked)
    point, d = descent.point, rule.direction(NUMPY, descent.point.gradient, descent.state)
    descent.advance()
    assert error(asked[before], point.theta + d) <= F64


def test_wrong_gradients_never_make_it_worse():
    """Whatever the gradient says, the value at the end is at most that at the start."""
    f, _ = quadratic(NUMPY, 5)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        spoil = rng.standard_normal((5, 5)) + np.eye(5)
        wrong = lambda x, spoil=spoil: (f(x)[0], spoil @ f(x)[1])  # noqa: E731
        start = rng.standard_normal(5)
        theta, report = LBFGS(max_iterations=40).minimize(NUMPY, wrong, start)
        assert f(theta)[0] == report.value <= f(start)[0]
    theta, report = LBFGS().minimize(NUMPY, lambda x: (f(x)[0], -f(x)[1]), start)
    assert (report.reason, report.iterations) == ("line search", 0)
    assert theta.tolist() == start.tolist()


def test_a_wall_of_infinities_is_kept_away_from():
    """x - log x, which is NaN below 0; its minimum is at 1."""
    f = lambda x: (np.sum(x - np.log(x)), 1 - 1 / x)  # noqa: E731
    theta, report = LBFGS(**TIGHT).minimize(NUMPY, f, np.array([1e-3, 30.0, 1.5]))
    assert report.reason == "gradient"
    assert abs(theta - 1).max() <= 1e-10


def test_a_spoilt_memory_is_forgotten_once():
    f, minimum = quadratic(NUMPY, 4)
    rule = LBFGS(tolerance_gradient=1e-8, tolerance_change=0.0)
    state = rule.init(NUMPY, np.zeros(4))
    uphill = {**state, "t": np.asarray(5), "gamma": np.asarray(-1.0), "rho": np.append(np.zeros(9), 1e-30)}
    descent = Descent(rule, NUMPY, f, np.zeros(4), uphill)
    theta, report = descent.run(50)
    assert report.reason == "gradient"
    assert int(descent.state["t"]) == 5 + report.iterations
    assert error(theta, minimum) <= 1e-8


def test_it_does_not_begin_where_nothing_is_finite():
    for f in (lambda x: (np.float64(np.nan), x), lambda x: (np.float64(0.0), x * np.inf)):
        with pytest.raises(DivergedError, match="before the first step"):
            LBFGS().minimize(NUMPY, f, np.ones(2))


# Training

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
S = 0.25 + np.arange(60) % 4


def net(*layers, backend="numpy", dtype="float64"):
    layers = layers or (xpnn.Dense(6), xpnn.Tanh(), xpnn.Dense(3))
    return xpnn.Model(list(layers), (4,), backend=backend, dtype=dtype, seed=0)


def fitted(model=None, *, loss="softmax_cross_entropy", rule=None, x=X, y=IDS, **settings):
    trainer = xpnn.Trainer(model or net(), loss, rule or LBFGS())
    trainer.fit(x, y, **{"epochs": 8, "batch_size": 1000} | settings)
    return trainer


IGNORED = np.where(np.arange(60) % 7 == 3, -100, IDS)
PARTS = {
    "plain": {},
    "weighted": {"sample_weight": S},
    "class weights": {"loss": SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 3.0))},
    "class weights of rows": {
        "loss": SoftmaxCrossEntropy(0.1, (0.5, 2.0, 3.0)),
        "y": np.eye(3)[IDS],
        "sample_weight": S,
    },
    "ignored": {"loss": NegativeLogLikelihood(ignore_index=-100), "y": IGNORED, "sample_weight": S},
    "an ignored class": {"loss": SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 3.0), ignore_index=1)},
    "sums": {"loss": SoftmaxCrossEntropy(reduction="sum"), "sample_weight": S},
    "elements": {"loss": "mean_squared_error", "y": np.eye(3)[IDS] + X[:, :1]},
}


@pytest.mark.parametrize("settings", PARTS.values(), ids=PARTS)
def test_parts_add_up_to_the_whole(settings):
    """17 samples at a time, the last 9: the same descent as with all at once, but for rounding."""
    layers = (xpnn.Dense(3), xpnn.LogSoftmax()) if settings.get("y") is IGNORED else ()
    whole = fitted(net(*layers), **settings)
    parts = fitted(net(*layers), batch_size=17, **settings)
    assert error(parts.model.theta, whole.model.theta) <= 1e-9
    assert error(parts.history["train_loss"], whole.history["train_loss"]) <= 1e-10


@pytest.mark.parametrize("weights", [None, S], ids=["", "weighted"])
def test_each_of_several_outputs_has_the_divisor_of_the_whole(weights):
    """Of 60 ids 42 count for one output and all for the others: a part has its own share of each."""
    heads = [(name, xpnn.Dense(3), "x") for name in "abc"]
    few = np.where(np.arange(60) % 10 < 3, -100, IDS)
    loss = xpnn.losses.MultiOutputLoss(
        (
            SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 3.0)),
            SoftmaxCrossEntropy(ignore_index=-100),
            xpnn.losses.MeanSquaredError(),
        ),
        (1.0, 2.0, 0.5),
    )

    def run(batch_size):
        model = xpnn.Model(xpnn.Graph("x", heads, ("a", "b", "c")), (4,), dtype="float64", seed=0)
        y = IDS, few, np.eye(3)[IDS] + X[:, :1]
        return fitted(model, loss=loss, y=y, sample_weight=weights, batch_size=batch_size)

    whole, parts = run(1000), run(17)
    assert error(parts.model.theta, whole.model.theta) <= 1e-9
    assert error(parts.history["train_loss"], whole.history["train_loss"]) <= 1e-10
    if weights is None:
        y = IDS, few, np.eye(3)[IDS] + X[:, :1]
        assert error(parts.history["train_loss"][-1], parts.model.evaluate(X, y)["loss"]) <= 1e-10


@pytest.mark.parametrize("ignored", [None, 1])
def test_mixtures_have_the_divisor_of_the_whole(ignored):
    """The value falls with every iteration only if value and gradient are those of one function."""
    loss = SoftmaxCrossEntropy(class_weight=(0.5, 2.0, 3.0), ignore_index=ignored)
    trainer = xpnn.Trainer(net(), loss, LBFGS(), augment=xpnn.Mixup())
    trainer.fit(X, IDS, epochs=8, batch_size=17, sample_weight=S)
    losses = trainer.history["train_loss"]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 8


@pytest.mark.parametrize("backend", INSTALLED)
def test_a_fit_falls_every_epoch_on_every_backend(backend):
    trainer = fitted(
        net(backend=backend, dtype="float32"), rule=LBFGS(l2=1e-3), batch_size=25, validation=0.1
    )
    like = fitted(net(), rule=LBFGS(l2=1e-3), batch_size=25, validation=0.1)
    losses = trainer.history["train_loss"]
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(losses, like.history["train_loss"], rtol=1e-3)
    assert len(trainer.history) == trainer.steps == 8
    assert int(trainer.state["t"]) == 8
    assert len(set(trainer.history["lr"])) > 1.0 in trainer.history["lr"]
    assert trainer.stopped == ""
    scores = trainer.model.evaluate(X, IDS)
    assert scores["loss"] == pytest.approx(losses[-1], rel=0.2)


def test_a_row_has_the_loss_after_its_epoch():
    trainer = fitted()
    assert trainer.history["train_loss"][-1] == pytest.approx(
        trainer.model.evaluate(X, IDS)["loss"], rel=1e-12
    )
    penalised = fitted(rule=LBFGS(l2=0.1))
    recorded = penalised.history["train_loss"][-1]
    assert recorded == pytest.approx(penalised.model.evaluate(X, IDS)["loss"], rel=1e-12)


def test_fit_stops_when_the_descent_does():
    rule = LBFGS(l2=0.1, tolerance_gradient=1e-9, tolerance_change=0.0)
    trainer = fitted(net(xpnn.Dense(3)), rule=rule, epochs=200)
    assert trainer.stopped == "gradient"
    assert 5 < len(trainer.history) < 60
    before, epochs = trainer.model.theta.copy(), len(trainer.history)
    trainer.fit(X, IDS, epochs=5, batch_size=1000)  # nothing is left to do, and one row says so
    assert len(trainer.history) == epochs + 1
    assert trainer.history.rows[-1].lr == 0
    assert trainer.model.theta.tolist() == before.tolist()


def test_fit_goes_on_with_its_memory():
    """3 epochs and 5 more are 8."""
    trainer = fitted(epochs=3)
    trainer.fit(X, IDS, epochs=5, batch_size=1000)
    assert trainer.model.theta.tolist() == fitted().model.theta.tolist()


def test_biases_are_left_out_of_the_penalty():
    targets = np.ones((60, 2))
    model = net(xpnn.Dense(2))
    fitted(model, loss="mean_squared_error", y=targets, rule=LBFGS(l2=10.0), epochs=50)
    assert abs(model.parameters()["0.W"]).max() < 1e-6
    np.testing.assert_allclose(model.parameters()["0.b"], 1, rtol=1e-6)


def test_dropout_draws_once_for_all_points():
    """The function stays the same, so its value falls; parts draw masks of their own."""
    layers = xpnn.Dense(16), xpnn.Tanh(), xpnn.Dropout(0.5), xpnn.Dense(3)
    runs = [fitted(net(*layers), epochs=12, batch_size=n) for n in (20, 20, 1000)]
    losses = [run.history["train_loss"] for run in runs]
    assert losses[0] == sorted(losses[0], reverse=True)
    assert losses[0] == losses[1] != losses[2]


def test_parts_have_masks_of_their_own():
    """Forty copies of one sample in two parts: with the same masks in both, one part would be as good."""
    layers = xpnn.Dense(16), xpnn.Dropout(0.5), xpnn.Dense(3)
    x, y = np.repeat(X[:1], 40, axis=0), np.repeat(IDS[:1], 40)
    two, one = (fitted(net(*layers), x=x[:n], y=y[:n], batch_size=20, epochs=2) for n in (40, 20))
    assert two.history["train_loss"] != one.history["train_loss"]


def test_running_statistics_are_those_of_the_points_kept():
    model = net(xpnn.Dense(5), xpnn.BatchNorm(1.0), xpnn.Tanh(), xpnn.Dense(3))
    fitted(model, epochs=4)
    hidden = X @ model.parameters()["0.W"] + model.parameters()["0.b"]
    kept = {path: a for path, a in model.parameters().items() if model.layout.slots[path][0] == "phi"}
    assert any(np.allclose(a, hidden.mean(axis=0), rtol=1e-10) for a in kept.values())


def test_weights_put_in_its_place_are_seen():
    class Shake(Callback):
        def epoch(self, trainer, row):
            if row.epoch == 4:
                trainer.model.restore({"theta": 30 * trainer.model.theta, "phi": trainer.model.phi})

    losses = fitted(callbacks=[Shake()]).history["train_loss"]
    assert losses[3] < losses[4] > losses[-1]


REFUSED = [
    (lambda: xpnn.Trainer(net(), optimizer=LBFGS()).step(X, IDS), "Trainer.step with LBFGS"),
    (lambda: xpnn.Trainer(net(), optimizer="lbfgs", schedule="cosine"), "LBFGS with a schedule"),
    (lambda: EMA(LBFGS()), "EMA around LBFGS"),
    (lambda: EMA(Accumulate(LBFGS(), 2)), "Accumulate around LBFGS"),
    (lambda: LBFGS().update(NUMPY, np.ones(2), np.ones(2), {}), "from one gradient"),
    (lambda: LBFGS(0), r"history=0\): wanted a whole number of at least 1"),
    (lambda: LBFGS(max_iterations=0), r"max_iterations=0\)"),
    (lambda: LBFGS(max_evaluations=0), r"max_evaluations=0\)"),
    (lambda: LBFGS(tolerance_gradient=-1.0), r"tolerance_gradient=-1.0\)"),
    (lambda: LBFGS(tolerance_change=math.nan), r"tolerance_change=nan\)"),
    (lambda: LBFGS(l2=math.inf), r"l2=inf\)"),
    (lambda: LBFGS(c1=0.0), r"wanted 0 < c1 < c2 < 1"),
    (lambda: LBFGS(c1=0.5, c2=0.4), r"c1=0.5, c2=0.4"),
    (lambda: LBFGS(c2=1.0), r"wanted 0 < c1 < c2 < 1"),
    (lambda: LBFGS(2.5), r"history"),
]


@pytest.mark.parametrize(("call", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_what_cannot_be_meant_is_refused(call, says):
    with pytest.raises(UsageError, match=says):
        call()


def test_it_has_a_name():
    assert get_optimizer("lbfgs") == LBFGS()
    assert xpnn.LBFGS is LBFGS


@dataclass(frozen=True)
class Overflows(xpnn.Layer):
    """exp(100 x): finite at small weights only."""

    def forward(self, cx, p, x):
        y = cx.be.xp.exp(100 * x)
        return y, (y,)

    def backward(self, cx, p, cache, dy):
        (y,) = cache
        return dy * 100 * y, {}


def test_trial_points_that_overflow_do_not_end_the_run():
    model = net(xpnn.Dense(2), Overflows(), dtype="float32")
    model.restore({"theta": np.full(10, 0.01), "phi": np.zeros(0)})
    history = fitted(model, loss="mean_squared_error", y=np.full((60, 2), 0.5)).history
    assert np.isfinite(history["train_loss"]).all()
    bad = net(xpnn.Dense(2), Overflows(), dtype="float32")
    bad.restore({"theta": np.full(10, 5.0), "phi": np.zeros(0)})
    with pytest.raises(DivergedError, match="before the first step"):
        fitted(bad, loss="mean_squared_error", y=np.full((60, 2), 0.5))

"""The optimizers by themselves: training, penalties, state, bad settings, and the guard against bad gradients."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from comparison import NAMES, error

import xpnn
from xpnn import optimizers
from xpnn.backends import get_backend
from xpnn.errors import UsageError
from xpnn.layers import Layer
from xpnn.losses import MeanSquaredError
from xpnn.optimizers import (
    EMA,
    LAMB,
    LARS,
    OPTIMIZERS,
    SGD,
    SWA,
    Accumulate,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Constrained,
    Group,
    Groups,
    Lion,
    Lookahead,
    MaxNorm,
    Muon,
    NAdam,
    Optimizer,
    RAdam,
    RMSProp,
    get_optimizer,
)
from xpnn.optimizers.base import Elementwise
from xpnn.parameters import ParamInfo
from xpnn.training.step import Objective

F64 = 1e-12
"""A step against the formula written out with NumPy."""

NUMPY = get_backend("numpy", None, "float64")


def one_each(decay):
    """Every number a parameter of its own, one like the last of `decay` a bias."""
    return tuple(ParamInfo(str(i), i, i + 1, (1,), bool(d), float(d)) for i, d in enumerate(decay))


def step(optimizer, theta, grad, steps=1, decay=None, be=NUMPY):
    """theta after some steps with one constant gradient, and the state."""
    theta, grad = be.asarray(np.array(theta, be.dtype_name)), be.asarray(np.array(grad, be.dtype_name))
    with be.device_context():
        optimizer = optimizer.bind(one_each(np.ones(len(grad)) if decay is None else decay))
        state = optimizer.init(be, theta)
        for _ in range(steps):
            theta, state = optimizer.update(be, theta, grad, state)
    return be.to_numpy(theta), state


# Training

TRAINERS = [
    SGD(0.5),
    SGD(0.1, 0.9),
    SGD(0.1, 0.9, True),
    AdaGrad(0.1),
    RMSProp(0.01),
    RMSProp(0.002, momentum=0.9, centered=True),
    Adam(0.02),
    AdamW(0.02),
    AMSGrad(0.02),
    NAdam(0.02),
    RAdam(0.05),
    Adamax(0.02),
    Adadelta(5.0),
    Lion(0.005, weight_decay=0.1),
    EMA(SGD(0.5)),
    SWA(SGD(0.5)),
    Lookahead(SGD(0.5)),
    Accumulate(Adam(0.02)),
    LARS(0.2, 0.5, 0.1),
    LAMB(0.02),
    Muon(0.05),
    Adafactor(0.2),
    Groups(Adam(0.02), (Group("0*", lr=0.5),)),
    Constrained(Adam(0.02), (MaxNorm("0*", 5.0),)),
]
WRAPPERS = {EMA, SWA, Lookahead, Accumulate, Groups, Constrained}


@pytest.mark.parametrize("optimizer", TRAINERS, ids=lambda v: type(v).__name__)
def test_every_optimizer_trains_a_linear_classifier(optimizer):
    """Three classes that lines separate, all but a few points: 97 % after ten epochs, from about a third."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    x = 2.5 * np.stack([np.cos(2 * math.pi * y / 3), np.sin(2 * math.pi * y / 3)], 1) + rng.standard_normal(
        (600, 2)
    )
    model = xpnn.Model([xpnn.Dense(3, xpnn.initializers.zeros)], (2,), seed=0)
    model.fit(x, y, optimizer=optimizer, epochs=10, batch_size=32, verbose=0)
    assert model.evaluate(x, y)["accuracy"] >= 0.97


def test_every_optimizer_is_trained_with():
    assert {type(optimizer) for optimizer in TRAINERS} == set(OPTIMIZERS.values()) | WRAPPERS


# Penalties

MASK = [1.0, 1.0, 0.0]
ELEMENTWISE = [kind for kind in OPTIMIZERS.values() if issubclass(kind, Elementwise)]


@pytest.mark.parametrize("penalty", [{"l1": 0.5}, {"l2": 0.5}, {"weight_decay": 0.5}], ids=str)
@pytest.mark.parametrize("kind", ELEMENTWISE, ids=lambda v: v.__name__)
def test_penalties_pull_weights_and_leave_biases_alone(kind, penalty):
    settings = {"lr": 0.1} | ({"weight_decay": 0.0} if kind is AdamW else {})
    plain, _ = step(kind(**settings), [2.0, -2.0, 2.0], [0.0, 0.0, 0.0])
    pulled, _ = step(kind(**settings | penalty), [2.0, -2.0, 2.0], [0.0, 0.0, 0.0], decay=MASK)
    assert plain.tolist() == [2.0, -2.0, 2.0]
    assert 0 < pulled[0] < 2
    assert pulled[1] == -pulled[0]
    assert pulled[2] == 2.0


def test_penalties_follow_their_formulas():
    theta, grad = np.array([2.0, -3.0, 0.0]), np.array([0.1, 0.2, 0.3])
    l1, _ = step(SGD(0.1, l1=0.5), theta, grad)
    l2, _ = step(SGD(0.1, l2=0.5), theta, grad)
    decoupled, _ = step(SGD(0.1, weight_decay=0.5), theta, grad)
    assert error(l1, theta - 0.1 * (grad + 0.5 * np.sign(theta))) <= F64
    assert error(l2, theta - 0.1 * (grad + 0.5 * theta)) <= F64
    assert error(decoupled, theta * (1 - 0.1 * 0.5) - 0.1 * grad) <= F64


def test_decoupled_decay_is_not_divided_by_the_gradients_size():
    """That is its point: Adam's l2 pulls weights of large gradients less, AdamW pulls all alike."""
    theta, grad = [1.0, 1.0], [1e3, 1e-3]
    adamw, _ = step(AdamW(0.1, weight_decay=0.5), theta, grad)
    assert error(1 - adamw, np.array([0.15, 0.15])) <= 1e-4  # eps against a gradient of 1e-3
    assert np.ptp(1 - adamw) <= 1e-4


def test_a_model_trains_biases_without_penalty():
    model = xpnn.Model([xpnn.Dense(4, bias_init=xpnn.initializers.ones)], (3,), seed=1)
    before = model.backend.to_numpy(model.parameters()["0.W"]).copy()
    trainer = xpnn.Trainer(model, MeanSquaredError(), SGD(0.1, l2=0.5, l1=0.1, weight_decay=0.5))
    x = np.zeros((2, 3), np.float32)
    trainer.step(x, np.ones((2, 4), np.float32))  # prediction = bias = target: no gradient but the penalties'
    assert np.all(model.parameters()["0.b"] == 1)
    assert np.all(np.abs(model.parameters()["0.W"]) < np.abs(before))


# State


def test_state_holds_what_the_rule_carries():
    for kind, settings, slots in (
        (SGD, {}, set()),
        (SGD, {"momentum": 0.9}, {"v"}),
        (AdaGrad, {}, {"G"}),
        (RMSProp, {}, {"S"}),
        (RMSProp, {"centered": True, "momentum": 0.5}, {"S", "M", "v"}),
        (Adam, {}, {"m", "v"}),
        (AdamW, {}, {"m", "v", "decay"}),
        (AMSGrad, {}, {"m", "v", "V"}),
        (NAdam, {}, {"m", "v", "P"}),
        (RAdam, {}, {"m", "v"}),
        (Adamax, {}, {"m", "u"}),
        (Adadelta, {}, {"S", "D"}),
        (Lion, {}, {"m"}),
    ):
        state = kind(**settings).init(NUMPY, np.zeros(3))
        assert set(state) == slots | {"t", "lr"}, kind
    assert AdaGrad(initial=0.25).init(NUMPY, np.zeros(3))["G"].tolist() == [0.25] * 3


def test_update_passes_foreign_state_through_and_counts():
    optimizer = Adam()
    state = optimizer.init(NUMPY, np.ones(3)) | {"ok": np.True_, "mine": 7}
    _, new = optimizer.update(NUMPY, np.ones(3), np.ones(3), state)
    assert new["ok"] is state["ok"]
    assert new["mine"] == 7
    assert (int(state["t"]), int(new["t"])) == (0, 1)


@pytest.mark.parametrize("optimizer", TRAINERS, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_never_written_to(name, optimizer):
    """theta and the slots are given away, the gradient is not."""
    be = get_backend(name, None, "float64")
    grad = np.linspace(-1, 1, 5)
    given = be.asarray(grad.copy())
    with be.device_context():
        theta = be.asarray(np.ones(5))
        optimizer = optimizer.bind(one_each([1, 0, 1, 0, 1]))
        optimizer.update(be, theta, given, optimizer.init(be, theta))
        assert np.array_equal(be.to_numpy(given), grad)


def test_theta_is_given_away():
    """NumPy writes the new values into the old memory, block by block, and says so by returning the same array."""
    theta = np.ones(40_000)
    optimizer = Adam(0.1)
    new, state = optimizer.update(NUMPY, theta, np.full(40_000, 3.0), optimizer.init(NUMPY, theta))
    assert new is theta
    assert np.ptp(theta) == 0
    assert abs(theta[-1] - 0.9) <= 1e-8
    assert state["m"].shape == (40_000,)


def test_centered_rmsprop_survives_a_constant_gradient():
    """Its variance is 0 then, and rounding would take it below."""
    for dtype in ("float32", "float64"):
        be = get_backend("numpy", None, dtype)
        grad = np.random.default_rng(0).standard_normal(1000)
        theta, state = step(RMSProp(1e-3, 0.9, centered=True), np.zeros(1000), grad, steps=600, be=be)
        assert np.isfinite(theta).all()
        assert (state["S"] - state["M"] ** 2 < 0).any()


# Bad settings

BAD = [
    (SGD, {"lr": -1.0}),
    (SGD, {"lr": math.nan}),
    (SGD, {"lr": math.inf}),
    (SGD, {"momentum": 1.0}),
    (SGD, {"momentum": -0.1}),
    (SGD, {"l1": -1.0}),
    (SGD, {"l2": -1.0}),
    (SGD, {"weight_decay": -1.0}),
    (SGD, {"clip_norm": 0.0}),
    (SGD, {"clip_norm": -1.0}),
    (SGD, {"clip_norm": math.nan}),
    (AdaGrad, {"lr_decay": -0.5}),
    (AdaGrad, {"initial": -0.5}),
    (AdaGrad, {"eps": -1e-9}),
    (RMSProp, {"rho": 1.0}),
    (RMSProp, {"momentum": 1.5}),
    (RMSProp, {"eps": math.nan}),
    (Adam, {"beta1": 1.0}),
    (Adam, {"beta2": -0.1}),
    (Adam, {"eps": -1.0}),
    (AdamW, {"weight_decay": math.nan}),
    (AMSGrad, {"beta2": 1.0}),
    (NAdam, {"beta1": 1.0}),
    (NAdam, {"momentum_decay": -0.1}),
    (RAdam, {"beta2": 1.0}),
    (RAdam, {"eps": -1.0}),
    (Adamax, {"beta2": -0.1}),
    (Adamax, {"eps": 0.0}),
    (Adadelta, {"rho": 1.0}),
    (Adadelta, {"eps": 0.0}),
    (Lion, {"beta1": 1.0}),
    (Lion, {"beta2": -0.5}),
]


@pytest.mark.parametrize(
    ("kind", "settings"), BAD, ids=lambda v: str(v) if isinstance(v, dict) else v.__name__
)
def test_bad_settings_are_refused_by_name_and_value(kind, settings):
    ((name, value),) = settings.items()
    with pytest.raises(UsageError) as caught:
        kind(**settings)
    assert f"{kind.__name__}({name}={value})" in str(caught.value)


def test_nesterov_needs_momentum():
    with pytest.raises(UsageError, match="momentum above 0"):
        SGD(nesterov=True)


def test_names():
    assert {get_optimizer(name) for name in OPTIMIZERS} == {kind() for kind in OPTIMIZERS.values()}
    assert get_optimizer(Adam(0.5)) == Adam(0.5)
    with pytest.raises(UsageError, match="did you mean 'adam'"):
        get_optimizer("adm")
    public = {
        getattr(optimizers, name)
        for name in optimizers.__all__
        if isinstance(getattr(optimizers, name), type) and issubclass(getattr(optimizers, name), Optimizer)
    }
    known = {*OPTIMIZERS.values(), *optimizers.FULL_BATCH.values()}
    assert public - {Optimizer} - WRAPPERS == known


# The guard


@dataclass(frozen=True)
class PoisonRows(Layer):
    """The identity; its gradient is NaN in a batch that holds a huge value, while the loss stays finite."""

    def forward(self, cx, p, x):
        small = cx.be.xp.where(cx.be.xp.abs(x) > 1e20, cx.be.xp.zeros_like(x), x)
        return small, (cx.be.xp.max(cx.be.xp.abs(x)) > 1e20,)

    def backward(self, cx, p, cache, dy):
        (bad,) = cache
        return cx.be.xp.where(bad, cx.be.xp.full_like(dy, float("nan")), dy), {}


def bits(be, tree):
    return {name: be.to_numpy(a).tobytes() for name, a in tree.items() if name != "ok"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer", [SGD(0.1), RMSProp(momentum=0.9, centered=True), AdamW(clip_norm=1.0)], ids=str
)
@pytest.mark.parametrize("name", NAMES)
def test_a_bad_gradient_changes_nothing(name, optimizer, dtype):
    be = get_backend(name, None, dtype)
    model = xpnn.Model([xpnn.Dense(3), PoisonRows()], (2,), backend=name, dtype=dtype, seed=0)
    loss = MeanSquaredError()
    run = Objective(model.net, loss, model.layout, be, 0).step(optimizer)
    x, y = be.asarray(np.ones((4, 2), dtype)), be.asarray(np.ones((4, 3), dtype))
    poisoned = be.asarray(np.array([[1e30, 0]] + [[1, 1]] * 3, dtype))
    with be.device_context():
        state = {**optimizer.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
        value, theta, phi, state = run(model.theta, model.phi, state, x, y, None)
        assert np.isfinite(be.to_numpy(value))
        assert bool(state["ok"])
        before = bits(be, state | {"theta": theta})
        value, theta, phi, state = run(theta, phi, state, poisoned, y, None)
        assert np.isnan(be.to_numpy(value))
        assert not bool(state["ok"])
        assert bits(be, state | {"theta": theta}) == before
        value, theta, phi, state = run(
            theta, phi, state, x, y, None
        )  # a good batch does not hide the bad one
        assert np.isnan(be.to_numpy(value))
        assert not bool(state["ok"])
        assert bits(be, state | {"theta": theta}) == before

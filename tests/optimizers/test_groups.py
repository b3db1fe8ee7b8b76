"""Settings by path: groups against PyTorch's parameter groups, frozen layers bit for bit, and what patterns may be."""

import math
from dataclasses import replace

import numpy as np
import pytest
from cases import OPTIMIZERS
from comparison import NAMES, error
from proof_table import used

import xpnn
from xpnn.errors import UsageError
from xpnn.optimizers import (
    EMA,
    LAMB,
    LARS,
    SGD,
    Accumulate,
    Adafactor,
    Adam,
    AdamW,
    Constrained,
    Group,
    Groups,
    Lookahead,
    MaxNorm,
    Muon,
    NonNegative,
    RMSProp,
    UnitNorm,
)
from xpnn.optimizers.base import Elementwise, Formula
from xpnn.optimizers.wrapper import Wrapper
from xpnn.training.step import Objective

F64 = 1e-12
X = np.random.default_rng(0).standard_normal((32, 6))
Y = np.random.default_rng(1).integers(0, 3, 32)


def network(backend="numpy", dtype="float64"):
    """6-4-3; the first layer's bias is -0.0, whose sign a sum would lose."""
    layers = [xpnn.Dense(4, bias_init=xpnn.initializers.Constant(-0.0)), xpnn.Tanh(), xpnn.Dense(3)]
    return xpnn.Model(layers, (6,), backend=backend, dtype=dtype, seed=0)


def trained(optimizer, steps=20, backend="numpy", dtype="float64", schedule=None):
    """{path: parameter} before and after some steps, and the trainer."""
    model = network(backend, dtype)
    be = model.backend
    before = {k: np.array(be.to_numpy(v)) for k, v in model.parameters().items()}
    trainer = xpnn.Trainer(model, optimizer=optimizer, schedule=schedule)
    x, y = be.asarray(X.astype(dtype)), be.asarray(Y)
    for _ in range(steps):
        trainer.step(x, y)
    assert bool(trainer.state["ok"])
    return before, {k: np.array(be.to_numpy(v)) for k, v in model.parameters().items()}, trainer


EVERY = [
    *{type(o): o for o in OPTIMIZERS if isinstance(o, Formula)}.values(),
    AdamW(0.1, clip_norm=0.1, l1=0.1, l2=0.1),
    SGD(0.1, 0.9, weight_decay=0.1),
    EMA(RMSProp(0.01, momentum=0.9), 0.5),
    Lookahead(Adam(0.1), 2),
    Accumulate(SGD(0.1, 0.9), 2),
    Constrained(EMA(Lookahead(LAMB(0.1, weight_decay=0.1))), (MaxNorm("*.W", 0.1), NonNegative("*"))),
]


@pytest.mark.parametrize("optimizer", EVERY, ids=lambda o: str(o)[:40])
def test_frozen_parameters_keep_every_bit_and_the_rest_is_trained(optimizer):
    """And the rest moves as if nothing were frozen beside it, gradient clipping and all."""
    before, after, trainer = trained(Groups(optimizer, (Group("0.*", frozen=True),)), 5)
    for k in ("0.W", "0.b"):
        assert after[k].tobytes() == before[k].tobytes()
    assert not np.array_equal(after["2.W"], before["2.W"])
    if "average" in trainer.state:
        assert trainer.model.backend.to_numpy(trainer.state["average"])[: 6 * 4 + 4].tobytes() == (
            before["0.W"].tobytes() + before["0.b"].tobytes()
        )
    # The upper layer alone, on what the lower one puts out, is the same training.
    model = xpnn.Model([xpnn.Dense(3)], (4,), dtype="float64", seed=0)
    model.parameters()["0.W"][...] = before["2.W"]
    alone = xpnn.Trainer(model, optimizer=optimizer)
    for _ in range(5):
        alone.step(np.tanh(X @ before["0.W"] + before["0.b"]), Y)
    assert error(after["2.W"], model.parameters()["0.W"]) <= F64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "inner", [AdamW(0.1, clip_norm=0.5), Lookahead(SGD(0.1, 0.9), 2), LAMB(0.1)], ids=str
)
def test_frozen_on_every_backend(name, inner):
    before, after, _ = trained(
        Groups(inner, (Group("*.b", frozen=True), Group("2*", lr=0.5))), 4, name, "float32"
    )
    _, wanted, _ = trained(Groups(inner, (Group("*.b", frozen=True), Group("2*", lr=0.5))), 4)
    for k in after:
        assert np.allclose(after[k], wanted[k], rtol=1e-4, atol=1e-6)
        assert (after[k].tobytes() == before[k].tobytes()) is k.endswith("b")


@pytest.mark.parametrize("optimizer", EVERY[:-4], ids=lambda o: str(o)[:40])
def test_a_group_of_everything_is_the_optimizer_with_another_rate(optimizer):
    """1 changes no bit; 0.5 is half the rate, in formulas that are not linear in it (Adafactor, LARS), too."""
    _, plain, _ = trained(optimizer, 10)
    _, same, _ = trained(Groups(optimizer, (Group("*"),)), 10)
    assert all(plain[k].tobytes() == same[k].tobytes() for k in plain)
    half = {"lr": 0.5 * optimizer.lr}
    if isinstance(optimizer, Muon):
        half["others"] = replace(optimizer.others, lr=0.5 * optimizer.others.lr)
    _, wanted, _ = trained(replace(optimizer, **half), 10)
    _, slow, _ = trained(Groups(optimizer, (Group("*", lr=0.5),)), 10)
    assert all(error(slow[k], wanted[k]) <= F64 for k in plain)
    assert any(error(slow[k], plain[k]) > 1e-6 for k in plain)


@pytest.mark.oracle
@pytest.mark.against("PyTorch")
def test_groups_equal_torchs_parameter_groups():
    torch = pytest.importorskip("torch")
    start = network().parameters()
    W, b, V, c = p = [torch.tensor(np.array(a)).requires_grad_() for a in start.values()]
    theirs = torch.optim.AdamW(
        [
            {"params": [W], "lr": 0.003, "weight_decay": 0.2},
            {"params": [V], "weight_decay": 0.0},
            {"params": [c], "weight_decay": 0.1},
        ],
        lr=0.03,
    )
    decay = torch.optim.lr_scheduler.ExponentialLR(theirs, 0.99)
    groups = (
        Group("0.W", lr=0.1, decay=2.0),
        Group("*.W", decay=0.0),
        Group("0.b", frozen=True),
        Group("*", decay=1.0),
    )
    optimizer = Groups(AdamW(0.03, weight_decay=0.1), groups)
    used(optimizer)
    _, ours, _ = trained(optimizer, 100, schedule=xpnn.schedules.Exponential(0.99))
    for _ in range(100):
        theirs.zero_grad()
        hidden = torch.tanh(torch.from_numpy(X) @ W + b)
        torch.nn.functional.cross_entropy(hidden @ V + c, torch.from_numpy(Y)).backward()
        theirs.step()
        decay.step()
    for a, mine in zip(p, ours.values(), strict=True):
        assert error(mine, a.detach().numpy()) <= F64


def test_the_first_group_that_fits_holds():
    wide, narrow = Group("*.W", frozen=True), Group("0.W", lr=0.5)
    before, after, _ = trained(Groups(SGD(0.1), (narrow, wide)))
    assert not np.array_equal(before["0.W"], after["0.W"])
    assert np.array_equal(before["2.W"], after["2.W"])
    with pytest.raises(UsageError, match="the narrower pattern goes first"):
        trained(Groups(SGD(0.1), (wide, narrow)))


def test_what_cannot_be_meant():
    with pytest.raises(UsageError, match=r"'1\.W' fits no parameter") as caught:
        trained(Groups(SGD(0.1), (Group("1.W"),)))
    assert "one of: 0.W, 0.b, 2.W, 2.b" in str(caught.value)
    with pytest.raises(UsageError, match="fits no parameter"):
        trained(Constrained(SGD(0.1), (NonNegative("*.w"),)))
    with pytest.raises(UsageError, match="nothing left to train"):
        trained(Groups(SGD(0.1), (Group("*", frozen=True),)))
    for settings in ({"lr": -0.5}, {"decay": -1.0}):
        with pytest.raises(UsageError, match="wanted a number of at least 0"):
            Group("*", **settings)
    with pytest.raises(UsageError, match=r"fix: Groups\(EMA\(...\), ...\)"):
        EMA(Groups(SGD(), ()))
    with pytest.raises(UsageError, match="Groups inside Groups"):
        Groups(Groups(SGD(), ()), ())
    with pytest.raises(UsageError, match="wanted"):
        Groups(SGD(), ("*.W",))
    for axis in (2, (0, 0), (), (0, -2)):
        with pytest.raises(UsageError, match=r"parameter 0\.W has shape"):
            trained(Constrained(SGD(0.1), (UnitNorm("0.W", axis),)))
    with pytest.raises(UsageError, match=r"limit=0\.0"):
        MaxNorm("*", 0.0)


def test_every_kind_can_be_frozen():
    """The list above leaves none out."""
    found = {type(o) for o in EVERY} | {type(o.optimizer) for o in EVERY if isinstance(o, Wrapper)}
    assert {type(o) for o in OPTIMIZERS} - found <= {xpnn.SWA, Groups, EMA}
    assert {LARS, LAMB, Muon, Adafactor} <= found


def test_transfer_learning():
    """Weights of one task, the lower layer frozen, train the upper layer for another, through fit and its average."""
    source = network()
    source.fit(X, Y, optimizer=Adam(0.05), epochs=3, verbose=0)
    model = network()
    model.restore(source.snapshot())
    low = model.parameters()["0.W"].copy()
    trainer = xpnn.Trainer(model, optimizer=Groups(EMA(Adam(0.05), 0.5), (Group("0.*", frozen=True),)))
    history = trainer.fit(X, (Y + 1) % 3, epochs=10, callbacks=[xpnn.training.UseAverage()])
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    assert model.parameters()["0.W"].tobytes() == low.tobytes()


@pytest.mark.parametrize("inner", [SGD(0.1, 0.9), LARS(0.1, clip_norm=1.0)], ids=str)
def test_the_guard_of_the_step_holds_with_groups(inner):
    """A gradient that is not finite changes nothing, in the state neither."""
    model = network()
    optimizer = Groups(Constrained(inner, (UnitNorm("*.W"),)), (Group("0.b", frozen=True),)).bind(
        model.layout.params
    )
    be = model.backend
    loss = xpnn.losses.SoftmaxCrossEntropy()
    run = Objective(model.net, loss, model.layout, be, 0).step(optimizer)
    state = {**optimizer.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
    before = {k: np.array(a).tobytes() for k, a in (state | {"theta": model.theta}).items() if k != "ok"}
    value, theta, _, state = run(model.theta, model.phi, state, np.full_like(X, math.nan), Y, None)
    assert np.isnan(value)
    assert {k: np.array(a).tobytes() for k, a in (state | {"theta": theta}).items() if k != "ok"} == before


# Planted faults


def without_rates(self, be, t, lr, state, right=Elementwise.numbers):
    return right(self, be, t, be.xp.mean(lr) if lr.ndim else lr, state)


def halved(self, be, t, lr, state, right=Elementwise.numbers):
    return right(self, be, t, lr**2 / state["lr"] if lr.ndim else lr, state)


FAULTS = {
    "frozen is slow": (Group, "apply", lambda self, place: place._replace(lr=self.lr)),
    "decay forgotten": (Group, "apply", lambda self, place: place._replace(lr=0.0 if self.frozen else self.lr)),
    "lr forgotten": (Group, "apply", lambda self, p: p._replace(decay=p.decay if self.decay is None else self.decay)),
    "groups forgotten": (Groups, "bind", lambda self, places: self.optimizer.bind(places)),
    "the last group holds": (
        Groups, "bind", lambda self, places, right=Groups.bind: right(Groups(self.optimizer, self.groups[::-1]), places)
    ),
    "one rate for all": (Elementwise, "numbers", without_rates),
    "factor squared": (Elementwise, "numbers", halved),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_groups_is_caught(name, monkeypatch, record_property):
    """By the comparison with PyTorch, by frozen bits, or by the order of groups."""
    cls, method, fault = FAULTS[name]
    monkeypatch.setattr(cls, method, fault)
    caught = 0
    for check in (
        test_groups_equal_torchs_parameter_groups,
        test_the_first_group_that_fits_holds,
        lambda: test_frozen_parameters_keep_every_bit_and_the_rest_is_trained(SGD(0.1)),
    ):
        try:
            check()
        except (AssertionError, UsageError, pytest.fail.Exception):
            caught += 1
    assert caught
    record_property("fault", f"Groups: {name}")

"""Optimizers and schedules against torch.optim in float64: 1,000 steps of a network, and PyTorch's own option sets.

Of each optimizer the run with its usual settings takes 1,000 steps, those with others 300.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from comparison import error
from tolerances import label

import xpnn
from xpnn import schedules
from xpnn.backends import get_backend
from xpnn.errors import UsageError
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.optimizers import (
    LAMB,
    LARS,
    OPTIMIZERS,
    SGD,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Muon,
    NAdam,
    RAdam,
    RMSProp,
)
from xpnn.training.step import Objective

torch = pytest.importorskip("torch")
corpus = pytest.importorskip("torch.testing._internal.common_optimizers")
layerwise = pytest.importorskip("torch_optimizers")
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64, after 1,000 steps too: the formulas are the same, term for term."""
STEPS, FEWER, LOOK = 1000, 300, 100
"""Steps of a run with an optimizer's usual settings, of one with others, and between two looks at the weights."""

o = torch.optim


class TorchLion(o.Optimizer):
    """PyTorch has none: algorithm 2 of the paper, line by line."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            lr, (beta1, beta2) = group["lr"], group["betas"]
            for p in group["params"]:
                m = self.state[p].get("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p.copy_(p - lr * (c.sign() + group["weight_decay"] * p))
                self.state[p]["m"] = beta2 * m + (1 - beta2) * p.grad


# name: (ours, PyTorch's, its settings, and what is done to the gradients before its step)
RUNS = {
    "sgd": (SGD(0.1), o.SGD, {"lr": 0.1}),
    "sgd l2": (SGD(0.1, l2=0.01), o.SGD, {"lr": 0.1, "weight_decay": 0.01}),
    "sgd l1": (SGD(0.1, l1=0.001), o.SGD, {"lr": 0.1}),
    "momentum": (SGD(0.05, 0.9), o.SGD, {"lr": 0.05, "momentum": 0.9}),
    "momentum l2": (SGD(0.05, 0.9, l2=0.01), o.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (SGD(0.05, 0.9, True), o.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "nesterov l2": (
        SGD(0.05, 0.9, True, l2=0.01),
        o.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "clipped": (SGD(0.1, clip_norm=0.5), o.SGD, {"lr": 0.1}),
    "adagrad": (AdaGrad(0.05), o.Adagrad, {"lr": 0.05}),
    "adagrad decay": (AdaGrad(0.1, 0.01), o.Adagrad, {"lr": 0.1, "lr_decay": 0.01}),
    "adagrad initial l2": (
        AdaGrad(0.1, 0.001, 0.1, 1e-6, l2=0.01),
        o.Adagrad,
        {"lr": 0.1, "lr_decay": 0.001, "initial_accumulator_value": 0.1, "eps": 1e-6, "weight_decay": 0.01},
    ),
    "rmsprop": (RMSProp(1e-3), o.RMSprop, {"lr": 1e-3}),
    "rmsprop l2": (
        RMSProp(1e-3, 0.9, 1e-6, l2=0.01),
        o.RMSprop,
        {"lr": 1e-3, "alpha": 0.9, "eps": 1e-6, "weight_decay": 0.01},
    ),
    "rmsprop momentum": (RMSProp(1e-3, momentum=0.9), o.RMSprop, {"lr": 1e-3, "momentum": 0.9}),
    "rmsprop centered": (RMSProp(1e-3, centered=True), o.RMSprop, {"lr": 1e-3, "centered": True}),
    "rmsprop both": (
        RMSProp(1e-3, momentum=0.9, centered=True, l2=0.01),
        o.RMSprop,
        {"lr": 1e-3, "momentum": 0.9, "centered": True, "weight_decay": 0.01},
    ),
    "adam": (Adam(), o.Adam, {}),
    "adam l2": (
        Adam(2e-3, 0.8, 0.99, 1e-6, l2=0.01),
        o.Adam,
        {"lr": 2e-3, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01},
    ),
    "adam clipped": (Adam(clip_norm=0.5), o.Adam, {}),
    "adamw": (AdamW(), o.AdamW, {}),
    "adamw strong": (AdamW(2e-3, weight_decay=0.1), o.AdamW, {"lr": 2e-3, "weight_decay": 0.1}),
    "amsgrad": (AMSGrad(), o.Adam, {"amsgrad": True}),
    "amsgrad l2": (AMSGrad(2e-3, l2=0.01), o.Adam, {"lr": 2e-3, "amsgrad": True, "weight_decay": 0.01}),
    "amsgrad w": (AMSGrad(weight_decay=0.1), o.AdamW, {"amsgrad": True, "weight_decay": 0.1}),
    "nadam": (NAdam(), o.NAdam, {}),
    "nadam l2": (
        NAdam(1e-3, 0.8, 0.99, 1e-6, 0.01, l2=0.01),
        o.NAdam,
        {"lr": 1e-3, "betas": (0.8, 0.99), "eps": 1e-6, "momentum_decay": 0.01, "weight_decay": 0.01},
    ),
    "nadam w": (NAdam(weight_decay=0.1), o.NAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam": (RAdam(), o.RAdam, {}),
    "radam l2": (
        RAdam(2e-3, 0.8, 0.99, 1e-6, l2=0.01),
        o.RAdam,
        {"lr": 2e-3, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01},
    ),
    "radam w": (RAdam(weight_decay=0.1), o.RAdam, {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam short": (RAdam(1e-2, beta2=0.5), o.RAdam, {"lr": 1e-2, "betas": (0.9, 0.5)}),
    "adamax": (Adamax(), o.Adamax, {}),
    "adamax l2": (
        Adamax(1e-3, 0.8, 0.99, 1e-6, l2=0.01),
        o.Adamax,
        {"lr": 1e-3, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.01},
    ),
    "adadelta": (Adadelta(), o.Adadelta, {}),
    "adadelta l2": (
        Adadelta(0.5, 0.95, 1e-5, l2=0.01),
        o.Adadelta,
        {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 0.01},
    ),
    "adafactor": (Adafactor(), o.Adafactor, {}),
    "adafactor w": (
        Adafactor(5e-3, 0.5, 1e-2, 0.1, 1.5, weight_decay=0.1),
        o.Adafactor,
        {"lr": 5e-3, "beta2_decay": -0.5, "eps": (1e-2, 0.1), "d": 1.5, "weight_decay": 0.1},
    ),
    "lars": (LARS(), layerwise.LARS, {}),
    "lars w": (
        LARS(0.5, 0.5, 0.01, weight_decay=0.01),
        layerwise.LARS,
        {"lr": 0.5, "momentum": 0.5, "trust": 0.01, "weight_decay": 0.01},
    ),
    "lamb": (LAMB(1e-3), layerwise.LAMB, {"lr": 1e-3}),
    "lamb w": (
        LAMB(2e-3, 0.8, 0.99, 1e-4, weight_decay=0.1),
        layerwise.LAMB,
        {"lr": 2e-3, "betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1},
    ),
    "muon": (Muon(2e-3), layerwise.Muon, {"lr": 2e-3}),
    "muon w": (
        Muon(1e-3, 0.8, False, 4, (3.4, -4.7, 2.0), 1e-5, AMSGrad(2e-3), weight_decay=0.1),
        layerwise.Muon,
        {"lr": 1e-3, "momentum": 0.8, "nesterov": False, "ns_steps": 4, "ns_coefficients": (3.4, -4.7, 2.0)}
        | {"eps": 1e-5, "weight_decay": 0.1, "others": {"lr": 2e-3, "amsgrad": True}},
    ),
    "lion": (Lion(1e-3), TorchLion, {"lr": 1e-3}),
    "lion w": (
        Lion(1e-3, 0.8, 0.95, weight_decay=0.1),
        TorchLion,
        {"lr": 1e-3, "betas": (0.8, 0.95), "weight_decay": 0.1},
    ),
}


@pytest.fixture(autouse=True)
def double():
    """PyTorch keeps scalars of its state in the default dtype, NAdam's product of momenta among them."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def digits():
    """64 real digits, the inner 5 x 5 of their 7 x 7 averages, in batches of 16 in a random order.

    The pixels of the rim are always 0. Their weights feel the penalty alone, which RMSProp divides by its own size, so
    that with momentum they swing about 0 without end and double every rounding error.
    """
    x, y, _, _ = xpnn.data.mnist()
    x = x[:64].reshape(64, 7, 4, 7, 4).mean(axis=(2, 4))[:, 1:6, 1:6].reshape(64, 25) / 255
    rows = np.random.default_rng(0).integers(0, 64, (STEPS, 16))
    return SimpleNamespace(x=x, y=y[:64], rows=rows)


def network():
    """25-8-10 with tanh: smooth, so that no rounding error is ever turned into a jump."""
    layers = [xpnn.Dense(8, xpnn.initializers.glorot_uniform), xpnn.Tanh(), xpnn.Dense(10)]
    return xpnn.Model(layers, (25,), dtype="float64", seed=0)


class Ours:
    """(loss, theta, gradient) by our own step. `everywhere`: every parameter is penalised, as PyTorch does."""

    def __init__(self, optimizer, everywhere):
        model, loss = network(), SoftmaxCrossEntropy()
        places = model.layout.params
        optimizer = optimizer.bind(tuple(p._replace(decay=1.0) for p in places) if everywhere else places)
        self.theta, self.phi, be = model.theta, model.phi, model.backend
        self.state = optimizer.init(be, self.theta) | {"ok": be.scalar(True, be.xp.bool)}
        objective = Objective(model.net, loss, model.layout, be, 0)
        self.step, self.gradient = objective.step(optimizer), objective.gradient()

    def grad(self, x, y):
        return self.gradient(self.theta, self.phi, None, x, y, None)[1]

    def advance(self, x, y):
        loss, self.theta, self.phi, self.state = self.step(self.theta, self.phi, self.state, x, y, None)
        return float(loss)


class Theirs:
    """The same in plain PyTorch: functional operations, autograd, torch.optim."""

    def __init__(self, kind, settings, clip=None, l1=0.0):
        self.p = [torch.from_numpy(np.array(a)).requires_grad_() for a in network().parameters().values()]
        self.optimizer, self.clip, self.l1 = kind(self.p, **settings), clip, l1

    def backward(self, x, y):
        W, b, V, c = self.p
        self.optimizer.zero_grad()
        hidden = torch.tanh(torch.from_numpy(x) @ W + b)
        loss = torch.nn.functional.cross_entropy(hidden @ V + c, torch.from_numpy(y))
        loss.backward()
        return loss.item()

    def grad(self, x, y):
        self.backward(x, y)
        return torch.cat([a.grad.reshape(-1) for a in self.p])

    @property
    def theta(self):
        return torch.cat([a.detach().reshape(-1) for a in self.p])

    def advance(self, x, y):
        loss = self.backward(x, y)
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.p, self.clip)
        for a in self.p if self.l1 else ():
            a.grad += self.l1 * a.detach().sign()
        self.optimizer.step()
        return loss


@pytest.mark.parametrize(
    ("optimizer", "kind", "settings", "steps"),
    [(*run, FEWER if " " in name else STEPS) for name, run in RUNS.items()],
    ids=RUNS,
)
def test_many_steps_equal_torchs(digits, optimizer, kind, settings, steps):
    ours = Ours(optimizer, everywhere=kind.__module__ != layerwise.__name__)
    theirs = Theirs(kind, settings, optimizer.clip_norm, getattr(optimizer, "l1", 0.0))
    curves = [], []
    for step, rows in enumerate(digits.rows[:steps]):
        x, y = digits.x[rows], digits.y[rows]
        if step % LOOK == LOOK - 1:
            assert error(ours.theta, theirs.theta) <= TOLERANCE, step
            assert error(ours.grad(x, y), theirs.grad(x, y)) <= TOLERANCE, step
        for run, curve in zip((ours, theirs), curves, strict=True):
            curve.append(run.advance(x, y))
    assert error(*curves) <= TOLERANCE
    assert error(ours.theta, theirs.theta) <= TOLERANCE
    assert curves[0][-1] < curves[0][0]


def test_every_optimizer_has_a_run():
    assert {type(optimizer) for optimizer, _, _ in RUNS.values()} == set(OPTIMIZERS.values())


def test_biases_are_a_group_without_decay(digits):
    """What Trainer does by itself is what PyTorch's users write with two parameter groups."""
    model = network()
    trainer = xpnn.Trainer(model, optimizer=AdamW(weight_decay=0.1))
    theirs = Theirs(lambda p: o.AdamW([
        {"params": p[0::2], "weight_decay": 0.1}, {"params": p[1::2], "weight_decay": 0.0}
    ]), {})  # fmt: skip
    for rows in digits.rows[:100]:
        trainer.step(digits.x[rows], digits.y[rows])
        theirs.advance(digits.x[rows], digits.y[rows])
    assert error(model.theta, theirs.theta) <= TOLERANCE


# PyTorch's own option sets

OURS = {"SGD": SGD, "Adagrad": AdaGrad, "RMSprop": RMSProp, "Adam": Adam, "AdamW": AdamW}
OURS |= {"NAdam": NAdam, "RAdam": RAdam, "Adamax": Adamax, "Adadelta": Adadelta}
RENAMED = {"alpha": "rho", "initial_accumulator_value": "initial"}
NO_COUNTERPART = {
    "dampening": "SGD has no dampening",
    "foreach": "a choice between PyTorch's implementations",
    "fused": "a choice between PyTorch's implementations",
    "differentiable": "a choice between PyTorch's implementations",
    "capturable": "a choice between PyTorch's implementations",
}
OPTION_SETS = 57
"""How many of them have a counterpart in torch 2.13.0; fewer means that the corpus or the translation broke."""


def translate(kind, settings):
    """Our optimizer for PyTorch's settings, or the reason why there is none."""
    given, cls = {}, OURS[kind]
    decoupled = kind == "AdamW" or settings.get("decoupled_weight_decay", False)
    for name, value in settings.items():
        if name in NO_COUNTERPART:
            return NO_COUNTERPART[name]
        if name == "betas":
            given["beta1"], given["beta2"] = value
        elif name == "weight_decay" and not decoupled:
            given["l2"] = value
        elif name == "amsgrad":
            cls = AMSGrad if value else cls
        elif name not in ("maximize", "decoupled_weight_decay"):  # the first is done to the gradient
            given[RENAMED.get(name, name)] = float(value) if isinstance(value, torch.Tensor) else value
    if cls is AMSGrad and kind == "AdamW":
        given = {"weight_decay": 0.01} | given
    default = (
        {"SGD": 1e-3} | dict.fromkeys(("RMSprop", "Adagrad"), 1e-2) | dict.fromkeys(("NAdam", "Adamax"), 2e-3)
    )
    return cls(**{"lr": 1.0 if kind == "Adadelta" else default.get(kind, 1e-3)} | given)


def option_sets():
    for info in corpus.optim_db:
        if info.name in OURS:
            for i, options in enumerate(info.optim_inputs_func("cpu")):
                name = f"{info.name}-{i}-{options.desc}"
                optimizer = translate(info.name, options.kwargs)
                yield pytest.param(info.optim_cls, options.kwargs, optimizer, id=name)


SETS = list(option_sets())
FITTING = [row for row in SETS if not isinstance(row.values[2], str)]


def test_option_sets_are_all_there():
    print(f"{len(FITTING)} of PyTorch's {len(SETS)} option sets have a counterpart")
    assert len(FITTING) >= OPTION_SETS


@pytest.mark.parametrize(("cls", "settings", "optimizer"), FITTING)
def test_option_set_equals_torch(cls, settings, optimizer):
    be, rng = get_backend("numpy", None, "float64"), np.random.default_rng(4)
    theta = rng.standard_normal(12)
    p = torch.from_numpy(theta.copy()).requires_grad_()
    state, theirs = optimizer.init(be, theta), cls([p], **settings)
    for _ in range(20):
        grad = rng.standard_normal(12)
        p.grad = torch.from_numpy(grad.copy())
        theirs.step()
        theta, state = optimizer.update(be, theta, -grad if settings.get("maximize") else grad, state)
        assert error(theta, p.detach()) <= TOLERANCE


def refused():
    for info in corpus.optim_db:
        for wrong in info.optim_error_inputs_func("cpu", torch.float64) if info.name in OURS else ():
            settings = wrong.optimizer_error_input.kwargs
            numbers = all(not isinstance(v, torch.Tensor) for v in settings.values())
            if wrong.error_regex.startswith("Invalid") and numbers:
                yield pytest.param(info.name, settings, id=f"{info.name}-{wrong.error_regex}")


@pytest.mark.parametrize(("kind", "settings"), list(refused()))
def test_settings_torch_refuses_are_refused(kind, settings):
    with pytest.raises(UsageError, match="wanted"):
        translate(kind, settings)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3, 1e200])
def test_clipping_equals_clip_grad_norm(scale):
    """At 1e200 PyTorch's own norm overflows and would make every gradient 0; there only the formula can be asked."""
    rng = np.random.default_rng(5)
    grad = scale * rng.standard_normal(40)
    be = get_backend("numpy", None, "float64")
    theta, _ = SGD(1.0, clip_norm=0.7).update(be, np.zeros(40), grad, SGD(1.0).init(be, np.zeros(40)))
    p = [torch.zeros(10, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    for a, g in zip(p, np.split(grad, 4), strict=True):
        a.grad = torch.from_numpy(g.copy())
    torch.nn.utils.clip_grad_norm_(p, 0.7)
    wanted = (
        torch.cat([a.grad for a in p]).numpy()
        if scale < 1e100
        else 0.7 * grad / scale / np.linalg.norm(grad / scale)
    )
    assert error(-theta, wanted) <= TOLERANCE


# Schedules

TOTAL, PEAK = 60, 0.3
s = torch.optim.lr_scheduler


def warm_cosine(opt):
    warm, rest = s.LinearLR(opt, 1 / 11, 1.0, 10), s.CosineAnnealingLR(opt, TOTAL - 10)
    return s.SequentialLR(opt, [warm, rest], [10])


def one_cycle(**settings):
    return lambda opt: s.OneCycleLR(opt, PEAK, TOTAL, cycle_momentum=False, **settings)


def cyclic(up, down, low, **settings):
    return lambda opt: s.CyclicLR(opt, low * PEAK, PEAK, up, down, cycle_momentum=False, **settings)


SCHEDULES = [
    (schedules.ConstantRate(), lambda opt: s.ConstantLR(opt, 1.0)),
    (schedules.InverseTime(0.1), lambda opt: s.LambdaLR(opt, lambda t: 1 / (1 + 0.1 * t))),
    (schedules.StepDecay(7, 0.5), lambda opt: s.StepLR(opt, 7, 0.5)),
    (schedules.Exponential(0.93), lambda opt: s.ExponentialLR(opt, 0.93)),
    (schedules.Cosine(), lambda opt: s.CosineAnnealingLR(opt, TOTAL)),
    (schedules.Cosine(0.1), lambda opt: s.CosineAnnealingLR(opt, TOTAL, 0.1 * PEAK)),
    (schedules.Warmup(10), lambda opt: s.LinearLR(opt, 1 / 11, 1.0, 10)),
    (schedules.Warmup(10, schedules.Cosine()), warm_cosine),
    (schedules.OneCycle(), one_cycle()),
    (
        schedules.OneCycle(0.45, 10.0, 100.0),
        one_cycle(pct_start=0.45, div_factor=10.0, final_div_factor=100.0),
    ),
    (schedules.Polynomial(), lambda opt: s.PolynomialLR(opt, TOTAL)),
    (schedules.Polynomial(2.5), lambda opt: s.PolynomialLR(opt, TOTAL, 2.5)),
    (schedules.MultiStep((7, 20, 21), 0.5), lambda opt: s.MultiStepLR(opt, [7, 20, 21], 0.5)),
    (schedules.MultiStep((0.5, 0.75)), lambda opt: s.MultiStepLR(opt, [30, 45])),
    (schedules.CosineRestarts(), lambda opt: s.CosineAnnealingWarmRestarts(opt, 15)),
    (schedules.CosineRestarts(4, 2, 0.1), lambda opt: s.CosineAnnealingWarmRestarts(opt, 4, 2, 0.1 * PEAK)),
    (schedules.CosineRestarts(1, 3), lambda opt: s.CosineAnnealingWarmRestarts(opt, 1, 3)),
    (schedules.Cyclic(), cyclic(6, None, 0.1)),
    (schedules.Cyclic(7, 4, 0.25), cyclic(7, 4, 0.25)),
    (schedules.Cyclic(3, 8, 0.0, "triangular2"), cyclic(3, 8, 0.0, mode="triangular2")),
    (schedules.Cyclic(5, None, 0.2, "exp_range", 0.9), cyclic(5, None, 0.2, mode="exp_range", gamma=0.9)),
    (
        schedules.Noam(8),
        lambda opt: s.LambdaLR(opt, lambda t: 8**0.5 * min((t + 1) ** -0.5, (t + 1) * 8**-1.5)),
    ),
    (schedules.Joined((schedules.Warmup(10), schedules.Cosine()), (10,)), warm_cosine),
    (
        schedules.Joined(
            (schedules.Exponential(0.9), schedules.Polynomial(2.0), schedules.MultiStep((5,))), (0.25, 0.75)
        ),
        lambda opt: s.SequentialLR(
            opt, [s.ExponentialLR(opt, 0.9), s.PolynomialLR(opt, 30, 2.0), s.MultiStepLR(opt, [5])], [15, 45]
        ),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES, ids=label)
def test_schedule_equals_torch_at_every_step(ours, theirs):
    opt = o.SGD([torch.zeros(1, requires_grad=True)], PEAK)
    scheduler, got, wanted = theirs(opt), [], []
    for t in range(TOTAL):
        got.append(PEAK * ours(t, TOTAL))
        wanted.append(opt.param_groups[0]["lr"])
        if t < TOTAL - 1:
            opt.step()
            scheduler.step()
    # Some of PyTorch's schedules multiply the rate up step by step, so the end of a decay has lost digits: relative
    # to the peak.
    assert np.max(np.abs(np.subtract(got, wanted))) <= TOLERANCE * PEAK


def test_every_schedule_has_a_row():
    assert {type(ours) for ours, _ in SCHEDULES} == set(schedules.Schedule.__subclasses__())


def test_trainer_multiplies_the_rate_by_the_schedule(digits):
    model = network()
    trainer = xpnn.Trainer(model, optimizer=SGD(0.2, 0.9), schedule=schedules.InverseTime(0.1))
    theirs = Theirs(o.SGD, {"lr": 0.2, "momentum": 0.9})
    scheduler = s.LambdaLR(theirs.optimizer, lambda t: 1 / (1 + 0.1 * t))
    for rows in digits.rows[:50]:
        trainer.step(digits.x[rows], digits.y[rows])
        theirs.advance(digits.x[rows], digits.y[rows])
        scheduler.step()
    assert error(model.theta, theirs.theta) <= TOLERANCE

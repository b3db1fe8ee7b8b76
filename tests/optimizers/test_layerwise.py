"""LARS, LAMB, Muon, Adafactor: against NumPy's loops, numbers worked by hand, PyTorch's option sets, planted faults."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import numpy_optimizers as loops
import pytest
from comparison import NAMES, error
from tolerances import label

import xpnn
from xpnn.backends import get_backend
from xpnn.errors import UsageError
from xpnn.optimizers import LAMB, LARS, Adafactor, Adam, AMSGrad, Groups, Muon, NAdam, lamb, lars, muon
from xpnn.parameters import ParamInfo

F64 = 1e-12
NUMPY = get_backend("numpy", None, "float64")
SHAPES = {"0.W": (2, 3, 3, 4), "0.b": (4,), "1.W": (3, 3), "2.W": (2, 5), "3.W": (7,)}
"""A kernel, a bias, a square, a wide matrix, and a weight that is a vector."""
PLACES, START = [], {}
for _path, _shape in SHAPES.items():
    _at, _weight = (PLACES[-1].stop if PLACES else 0), not _path.endswith("b")
    PLACES.append(ParamInfo(_path, _at, _at + math.prod(_shape), _shape, _weight, float(_weight)))
    START[_path] = 10.0 ** -len(START) * np.random.default_rng(len(START)).standard_normal(_shape)
PLACES = tuple(PLACES)
GRADS = [
    {k: np.random.default_rng((t, i)).standard_normal(s) for i, (k, s) in enumerate(SHAPES.items())}
    for t in range(1000)
]

ROWS = [
    (loops.lars, LARS(0.3)),
    (loops.lars, LARS(0.5, 0.5, 0.01, weight_decay=0.1)),
    (loops.lamb, LAMB()),
    (loops.lamb, LAMB(0.01, 0.5, 0.9, 1e-3, weight_decay=0.1)),
    (loops.adafactor, Adafactor()),
    (loops.adafactor, Adafactor(0.05, 0.5, 0.9, 0.1, weight_decay=0.1)),
    (loops.muon, Muon()),
    (loops.muon, Muon(0.05, 0.5, False, 3, (3.0, -4.0, 2.0), 1e-3, Adam(0.01), weight_decay=0.1)),
]


def places_for(optimizer):
    """Muon hands a weight that is a vector to `others`, with their decay: not what the loop knows as a bias."""
    return PLACES[:-1] if isinstance(optimizer, Muon) else PLACES


def after(optimizer, steps=1000, name="numpy", dtype="float64", places=None, grads=GRADS):
    """{path: parameter} after the steps, as float64 on the host."""
    be, places = get_backend(name, None, dtype), places or places_for(optimizer)
    flat = lambda tree: be.asarray(np.concatenate([tree[p.path].reshape(-1) for p in places]), be.dtype)  # noqa: E731
    with be.device_context():
        optimizer = optimizer.bind(places)
        theta = flat(START) + 0
        state = optimizer.init(be, theta)
        update = be.compile(lambda theta, grad, state: optimizer.update(be, theta, grad, state))
        for grad in grads[:steps]:
            theta, state = update(theta, flat(grad), state)
        theta = np.asarray(be.to_numpy(theta), np.float64)
    return {p.path: theta[p.start : p.stop].reshape(p.shape) for p in places}


def worst(got, wanted):
    """The largest error of a parameter; infinite where the shape is another."""
    return max(error(got[k], wanted[k]) if got[k].shape == wanted[k].shape else math.inf for k in got)


@pytest.mark.against("formula")
@pytest.mark.parametrize(("loop", "optimizer"), ROWS, ids=label)
def test_a_thousand_steps_equal_the_loop(loop, optimizer):
    assert worst(after(optimizer), loops.run(loop, optimizer, START, GRADS)) <= F64


@pytest.mark.parametrize("optimizer", [row[1] for row in ROWS[1::2]], ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("name", NAMES)
def test_float32_follows_on_every_backend(name, optimizer):
    """Ten steps: each adds a rounding error of its own, and Muon's iteration takes it up to 40 times further."""
    assert worst(after(optimizer, 10, name, "float32"), after(optimizer, 10)) <= 2e-5


# By hand


def one(optimizer, w, g, weight=True):
    """The step of one parameter."""
    w, g = np.array(w, float), np.array(g, float)
    optimizer = optimizer.bind((ParamInfo("0.W", 0, w.size, w.shape, weight, float(weight)),))
    flat = w.reshape(-1)
    theta, _ = optimizer.update(NUMPY, flat, g.reshape(-1), optimizer.init(NUMPY, flat))
    return theta.reshape(w.shape)


def test_numbers_worked_by_hand():
    """|w| = 5, |g| = 10: r = 0.1 5 / (10 + 0.2 5) = 1 / 22; w - 2 r (g + 0.2 w) = (3, 4) - (6.6, 8.8) / 11."""
    settings = LARS(2.0, 0.9, 0.1, weight_decay=0.2)
    assert error(one(settings, [3, 4], [6, 8]), np.array([2.4, 3.2])) <= F64
    assert error(one(settings, [3, 4], [6, 8], weight=False), np.array([-9.0, -12.0])) <= F64
    # The first m and v give u = sign g + 0.5 w = (2.5, 1), |u| = sqrt(7.25), |w| = 5.
    r = 0.1 * 5 / math.sqrt(7.25)
    got = one(LAMB(0.1, eps=1e-30, weight_decay=0.5), [3, 4], [6, -8])
    assert error(got, np.array([3 - 2.5 * r, 4 - r])) <= F64
    # V = R C / mean R of a matrix of rank 1 is g^2, u = sign g, rms w = 1, and 1 / sqrt(1) > lr.
    got = one(Adafactor(0.1), [[1, -1], [-1, 1]], [[1, 2], [-3, -6]])
    assert error(got, np.array([[0.9, -1.1], [-0.9, 1.1]])) <= F64
    # One singular value, 1 after the division: a + b + c = 0.7.
    got = one(Muon(0.1, steps=1, coefficients=(3.4, -4.7, 2.0)), [[0.0, 0.0]], [[3, 4]])
    assert error(got, -0.1 * math.sqrt(2) * 0.7 * np.array([[0.6, 0.8]])) <= F64


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [LARS, LAMB, Adafactor, Muon])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e15])
def test_nothing_overflows_or_is_divided_by_zero(kind, scale, name):
    """In float32, where the square of 1e-30 is 0: gradients, and weights, of that size or all 0."""
    for start in (1.0, 0.0, 1e-30):
        be = get_backend(name, None, "float32")
        with be.device_context():
            optimizer = kind(weight_decay=0.1).bind(
                (ParamInfo("0.W", 0, 6, (2, 3)), ParamInfo("0.b", 6, 8, (2,), False, 0.0))
            )
            theta, grad = (be.asarray(np.full(8, v, np.float32)) for v in (start, scale))
            theta, state = optimizer.update(be, theta + 0, grad, optimizer.init(be, theta))
            theta, state = optimizer.update(be, theta, grad, state)
            assert np.isfinite(be.to_numpy(theta)).all()


def test_muon_takes_singular_values_near_one():
    for shape in ((5, 9), (9, 5), (64, 64)):
        X = Muon().orthogonalise(NUMPY, np.random.default_rng(0).standard_normal(shape))
        sigma = np.linalg.svd(X, compute_uv=False)
        assert (sigma > 0.3).all()
        assert (sigma < 1.3).all()


# Bad settings

BAD = [
    (LARS, {"momentum": 1.0}),
    (LARS, {"trust": 0.0}),
    (LARS, {"lr": -1.0}),
    (LAMB, {"beta1": 1.0}),
    (LAMB, {"beta2": -0.1}),
    (LAMB, {"eps": -1.0}),
    (LAMB, {"weight_decay": -1.0}),
    (Muon, {"lr": 0.0}),
    (Muon, {"steps": 0}),
    (Muon, {"steps": 100}),
    (Muon, {"momentum": 1.0}),
    (Muon, {"eps": 0.0}),
    (Muon, {"clip_norm": 0.0}),
    (Muon, {"others": NAdam()}),
    (Muon, {"others": Adam(clip_norm=1.0)}),
    (Adafactor, {"lr": -0.5}),
    (Adafactor, {"decay_rate": -0.8}),
    (Adafactor, {"eps1": -1e-30}),
    (Adafactor, {"eps2": -0.1}),
    (Adafactor, {"threshold": 0.0}),
]


@pytest.mark.parametrize(("kind", "settings"), BAD, ids=lambda v: str(v)[:60])
def test_bad_settings_are_refused_by_name_and_value(kind, settings):
    ((name, value),) = settings.items()
    with pytest.raises(UsageError) as caught:
        kind(**settings)
    assert f"{kind.__name__}({name}={value})" in str(caught.value)


@pytest.mark.parametrize("optimizer", [LARS(), LAMB(), Muon(), Adafactor(), Groups(Adam(), ())], ids=str)
def test_without_a_layout_they_say_what_is_missing(optimizer):
    with pytest.raises(UsageError, match=r"optimizer\.bind\(model\.layout\.params\)"):
        optimizer.init(NUMPY, np.ones(3))


def test_what_is_bound_is_still_the_same_description():
    for optimizer in (LARS(), Adam(), xpnn.EMA(Muon())):
        bound = optimizer.bind(PLACES)
        assert bound == optimizer
        assert repr(bound) == repr(optimizer)
        assert not optimizer.params


# PyTorch's own option sets

OPTION_SETS = 12


def option_sets():
    corpus = pytest.importorskip("torch.testing._internal.common_optimizers")
    renamed = {"d": "threshold", "ns_steps": "steps", "ns_coefficients": "coefficients"}
    for info in corpus.optim_db:
        if info.name in ("Adafactor", "Muon"):
            for options in info.optim_inputs_func("cpu"):
                given = {k: v.item() if hasattr(v, "item") else v for k, v in options.kwargs.items()}
                down = given.pop("maximize", False)
                ours = {renamed.get(k, k): v for k, v in given.items()}
                if "beta2_decay" in ours:
                    ours["decay_rate"] = -ours.pop("beta2_decay")
                kind = {"Adafactor": Adafactor, "Muon": Muon}[info.name]
                default = {"lr": 1e-3, "weight_decay": 0.1} if kind is Muon else {}
                yield info.optim_cls, options.kwargs, kind(**default | ours), -1 if down else 1


@pytest.fixture
def double():
    """The corpus holds a rate as a tensor: 0.001 in float32 is another number."""
    torch = pytest.importorskip("torch")
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.oracle
@pytest.mark.usefixtures("double")
def test_option_sets_equal_torch(monkeypatch):
    """Muon's matrices lie the other way round there, and its iteration is set to stay in float64."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    rows, shapes = list(option_sets()), {Muon: [(4, 3), (2, 5)], Adafactor: [(4, 3), (2, 3, 5), (6,)]}
    assert len(rows) >= OPTION_SETS
    for cls, settings, optimizer, sign in rows:
        for shape in shapes[type(optimizer)]:
            turn = (lambda a: a.T.copy()) if isinstance(optimizer, Muon) else np.copy
            rng = np.random.default_rng(4)
            w = rng.standard_normal(shape)
            p = torch.nn.Parameter(torch.from_numpy(turn(w)))
            theirs, bound = cls([p], **settings), optimizer.bind((ParamInfo("0.W", 0, w.size, shape),))
            theta = w.reshape(-1).copy()
            state = bound.init(NUMPY, theta)
            for _ in range(20):
                g = rng.standard_normal(shape)
                p.grad = torch.from_numpy(turn(g))
                theirs.step()
                theta, state = bound.update(NUMPY, theta, sign * g.reshape(-1), state)
                assert error(theta, turn(p.detach().numpy()).reshape(-1)) <= F64, (cls, settings, shape)


# Planted faults. Muon's biases have a decay of their own: that of `others`, which is 0 in these rows.


def step(f):
    """The step itself is wrong: f(w - new w)."""

    def rule(right, self, be, s, place, g, w, *slots):
        new, *rest = right(self, be, s, place, g, w, *slots)
        return w - f(w - new), *rest

    return rule


def given(**wrong):
    """Something that the rule is given is wrong: place, g, w or slots, each by a function of what is right."""

    def rule(right, self, be, s, place, g, w, *slots):
        have = {"self": self, "be": be, "s": s, "place": place, "g": g, "w": w, "slots": slots}
        have |= {name: f(have[name]) for name, f in wrong.items()}
        slots = have.pop("slots")
        return right(*have.values(), *slots)

    return rule


def kept(right, self, be, s, place, g, w, *slots):
    return right(self, be, s, place, g, w, *slots)[0], *slots


def set_to(**settings):
    return given(self=lambda o: replace(o, **settings))


def means(swap):
    """The means go over another axis: swap(a, the right one)."""

    def wrong(be):
        names = ("sqrt", "where", "full_like", "finfo", "max", "abs", "ones_like", "sum", "reshape")
        mean = lambda a, axis, keepdims: np.mean(a, axis=swap(a, axis), keepdims=keepdims)  # noqa: E731
        return SimpleNamespace(
            xp=SimpleNamespace(mean=mean, **{n: getattr(np, n) for n in names}), dtype=be.dtype
        )

    return given(be=wrong)


GENERIC = {
    "scaled by 1.0001": step(lambda d: 1.0001 * d),
    "sign flipped": step(lambda d: -d),
    "zero": step(np.zeros_like),
    "shifted by one": step(lambda d: np.roll(d, 1)),
    "of the first row only": given(g=lambda g: g * (np.arange(len(g)) == 0).reshape(-1, *[1] * (g.ndim - 1))),
    "slots begin anew": given(slots=lambda slots: tuple(map(np.zeros_like, slots))),
    "slots not handed on": kept,
    "weights decayed as biases": given(place=lambda p: p._replace(decay=0.0)),
    "biases decayed": given(place=lambda p: p._replace(decay=1.0)),
    "lr of another step": given(s=lambda s: {k: 1.5 * v for k, v in s.items()}),
}
OWN = {
    LARS: {
        "weights without the ratio": given(place=lambda p: p._replace(weight=False)),
        "biases with the ratio": given(place=lambda p: p._replace(weight=True)),
        "momentum of another value": set_to(momentum=0.55),
    },
    LAMB: {
        "weights without the ratio": given(place=lambda p: p._replace(weight=False)),
        "biases with the ratio": given(place=lambda p: p._replace(weight=True)),
        "corrections forgotten": given(s=lambda s: {"lr": s["lr"], "of_m": 1.0, "of_v": 1.0}),
        "betas exchanged": given(self=lambda o: replace(o, beta1=o.beta2, beta2=o.beta1)),
    },
    Adafactor: {
        "both moments of rows": means(lambda a, axis: -1),
        "both moments of columns": means(lambda a, axis: -2),
        "normalised by columns": means(lambda a, axis: -1 if a.shape[-1] == 1 else axis),
        "unclipped": set_to(threshold=1e9),
        "eps2 forgotten": set_to(eps2=1e-9),
        "eps1 forgotten": set_to(eps1=1e-9),
        "rate of the first step": given(s=lambda s: s | {"b": 1.0}),
    },
    Muon: {
        "one step of Newton-Schulz less": set_to(steps=2),
        "with nesterov": set_to(nesterov=True),
        "b and c exchanged": set_to(coefficients=(3.0, 2.0, -4.0)),
        "weights without Newton-Schulz": set_to(coefficients=(1.0, 0.0, 0.0)),
    },
}  # fmt: skip
FAULTS = [
    (kind, name) for kind in OWN for name in GENERIC | OWN[kind] if (kind, name) != (Muon, "biases decayed")
]
CASES = {type(optimizer): (loop, optimizer) for loop, optimizer in ROWS[1::2]}


@pytest.mark.parametrize(("kind", "name"), FAULTS, ids=lambda v: v if isinstance(v, str) else v.__name__)
def test_a_fault_in_the_rule_is_caught(kind, name, monkeypatch, record_property):
    fault = (GENERIC | OWN[kind])[name]
    loop, optimizer = CASES[kind]
    wanted = loops.run(loop, optimizer, START, GRADS[:5])
    assert worst(after(optimizer, 5), wanted) <= F64
    right = kind.rule
    monkeypatch.setattr(kind, "rule", lambda *args: fault(right, *args))
    assert worst(after(optimizer, 5), wanted) > 1e-7
    record_property("fault", f"{kind.__name__}: {name}")


PARTS = {
    "LARS, ratio upside down": (lars, "trust_ratio", LARS, lambda be, upper, lower, defined: lower / upper),
    "LAMB, ratio upside down": (lamb, "trust_ratio", LAMB, lambda be, upper, lower, defined: lower / upper),
    "LARS, length squared": (lars, "length", LARS, lambda be, x: np.sum(x * x)),
    "LAMB, largest for length": (lamb, "length", LAMB, lambda be, x: np.max(np.abs(x))),
    "Muon, largest for length": (muon, "length", Muon, lambda be, x: np.max(np.abs(x))),
    "Muon, not stretched": (muon, "stretch", Muon, lambda shape: 1.0),
    "Muon, rows for columns": (muon, "stretch", Muon, lambda shape: math.sqrt(max(1, shape[0] / shape[-1]))),
    "Muon, biases too": (muon, "is_matrix", Muon, lambda place: True),
}


@pytest.mark.parametrize("name", PARTS)
def test_a_fault_in_a_part_is_caught(name, monkeypatch, record_property):
    module, part, kind, fault = PARTS[name]
    loop, optimizer = CASES[kind]
    wanted = loops.run(loop, optimizer, START, GRADS[:5])
    monkeypatch.setattr(module, part, fault)
    assert worst(after(optimizer, 5), wanted) > 1e-7
    record_property("fault", name)


def test_muons_others_may_be_any_adam():
    """The bias goes its own way, as if `others` trained it alone; the rate of the schedule is shared."""
    inner = AMSGrad(0.01, l2=0.1)
    places = tuple(p._replace(decay=1.0) for p in PLACES[:2])
    got = after(Muon(0.05, others=inner), 20, places=places)["0.b"]
    alone = (ParamInfo("0.b", 0, 4, (4,)),)
    assert error(got, after(inner, 20, places=alone)["0.b"]) <= F64


def test_a_gradient_next_to_nothing_makes_no_infinite_rate():
    """Of 1e-44 in float32 beside exact zeros: |w| / |g| overflows, and infinity times 0 would be NaN."""
    be = get_backend("numpy", None, "float32")
    bound = LARS(0.1).bind((ParamInfo("0.W", 0, 4, (2, 2)),))
    with be.device_context():
        theta = be.asarray(np.array([1e8, -2e8, 3e8, 0.5], np.float32))
        grad = be.asarray(np.array([1e-44, 0, 0, 1e-44], np.float32))
        moved, _ = bound.update(be, theta, grad, bound.init(be, theta))
        assert np.array_equal(be.to_numpy(moved), be.to_numpy(theta))

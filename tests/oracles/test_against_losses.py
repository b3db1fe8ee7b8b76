"""Losses against PyTorch's functions and autograd, and its own samples, in float64; their ends; what they refuse."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from comparison import error, run_loss
from tolerances import label

import xpnn
from xpnn import losses
from xpnn.errors import DataError, ShapeError, UsageError

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def log_cosh(z, t, reduction="none"):
    return torch.logaddexp(z - t, t - z) - np.log(2)


def hinge(z, t, reduction="none"):
    return torch.relu(1 - t * z)


def rows(f):
    """A loss per row on the last axis, spread over its elements."""
    return lambda z, t, reduction="none": f(z, t)[..., None].expand(z.shape)


def cosine(z, t):
    flat = F.cosine_embedding_loss(
        z.reshape(-1, z.shape[-1]),
        t.reshape(-1, t.shape[-1]),
        torch.ones(z[..., 0].numel()).double(),
        reduction="none",
    )
    return flat.reshape(z.shape[:-1])


def rng_targets(kind, shape):
    rng = np.random.default_rng(3)
    return {
        "real": lambda: rng.standard_normal(shape),
        "signs": lambda: rng.choice([-1.0, 1.0], shape),
        "unit": lambda: rng.uniform(0, 1, shape) * (rng.uniform(0, 1, shape) > 0.3),
        "counts": lambda: rng.poisson(2.0, shape) * 1.0,
    }[kind]()


ELEMENTWISE = [
    (losses.Huber(), "real", F.huber_loss),
    (losses.Huber(0.3), "real", lambda z, t, reduction: F.huber_loss(z, t, delta=0.3, reduction=reduction)),
    (losses.SmoothL1(), "real", F.smooth_l1_loss),
    (
        losses.SmoothL1(2.5),
        "real",
        lambda z, t, reduction: F.smooth_l1_loss(z, t, beta=2.5, reduction=reduction),
    ),
    (losses.LogCosh(), "real", log_cosh),
    (losses.Hinge(), "signs", hinge),
    (losses.SquaredHinge(), "signs", lambda z, t, reduction: hinge(z, t) ** 2),
    (losses.KLDivergence(), "unit", rows(lambda z, t: F.kl_div(z, t, reduction="none").sum(-1))),
    (losses.Poisson(), "counts", F.poisson_nll_loss),
    (losses.CosineEmbedding(), "real", rows(cosine)),
]


def compare(loss, z, target, weight, oracle):
    tz = torch.from_numpy(z).requires_grad_()
    wanted = oracle(tz, torch.from_numpy(target), None if weight is None else torch.from_numpy(weight))
    wanted.backward()
    value, dz = run_loss(loss, z, target, weight)
    assert error(value, wanted.detach()) <= TOLERANCE
    assert error(dz, tz.grad) <= TOLERANCE


@pytest.mark.parametrize("scale", [0.5, 5.0])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("shape", [(8, 2), (8, 5), (8, 3, 4)], ids=str)
@pytest.mark.parametrize(("loss", "kind", "theirs"), ELEMENTWISE, ids=label)
def test_elementwise_loss_equals_torch(loss, kind, theirs, shape, weighted, scale):
    rng = np.random.default_rng(2)
    z = scale * rng.standard_normal(shape)

    def oracle(tz, target, s):
        s = torch.ones(8).double() if s is None else s
        return (s / s.sum() * theirs(tz, target, reduction="none").flatten(1).mean(1)).sum()

    compare(loss, z, rng_targets(kind, shape), rng.uniform(0, 2, 8) if weighted else None, oracle)


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("ignore", [None, -100, 2])
@pytest.mark.parametrize("classes", [None, (0.5, 1.0, 0.0, 2.0, 0.1)], ids=["", "classes weighted"])
def test_negative_log_likelihood_equals_torch(ignore, weighted, classes):
    rng = np.random.default_rng(4)
    k = None if classes is None else torch.tensor(classes, dtype=torch.float64)
    z, ids = np.log(rng.dirichlet(np.ones(5), 12)), rng.integers(0, 5, 12)
    if ignore is not None:
        ids[::3] = ignore

    def oracle(tz, target, s):
        index = -100 if ignore is None else ignore
        if s is None:
            return F.nll_loss(tz, target, k, ignore_index=index)
        each = F.nll_loss(tz, target, k, ignore_index=index, reduction="none")
        kept = (target != index).double() if k is None else k[target.clamp(0)] * (target != index)
        return (s * each).sum() / (s * kept).sum()

    loss = losses.NegativeLogLikelihood(ignore_index=ignore, class_weight=classes)
    compare(loss, z, ids, rng.uniform(0, 2, 12) if weighted else None, oracle)


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5])
@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_focal_equals_autograd(gamma, scale, weighted):
    rng = np.random.default_rng(5)
    z, ids = scale * rng.standard_normal((9, 4)), rng.integers(0, 4, 9)

    def oracle(tz, target, s):
        logs = F.log_softmax(tz, -1)[torch.arange(9), target]
        s = torch.ones(9).double() if s is None else s
        return -(s / s.sum() * (-torch.expm1(logs)) ** gamma * logs).sum()

    compare(losses.Focal(gamma), z, ids, rng.uniform(0, 2, 9) if weighted else None, oracle)


OPS = {
    "nn.functional.huber_loss": (lambda delta=1.0: losses.Huber(delta)),
    "nn.functional.smooth_l1_loss": (
        lambda beta=1.0: losses.SmoothL1(beta) if beta else "it is the absolute error"
    ),
    "nn.functional.poisson_nll_loss": (
        lambda log_input=True, full=False, eps=1e-8: (
            losses.Poisson() if log_input and not full else "from rates"
        )
    ),
    "nn.functional.kl_div": lambda log_target=False: (
        "targets are logarithms" if log_target else losses.KLDivergence()
    ),
    "nn.functional.nll_loss": lambda ignore_index=-100, weight=None: (
        losses.NegativeLogLikelihood(ignore_index=ignore_index)
        if weight is None
        else losses.NegativeLogLikelihood(ignore_index=ignore_index, class_weight=tuple(weight.tolist()))
        if (weight >= 0).all()
        else "class weights below 0"
    ),
}
OP_CASES = 63
"""How many of torch 2.13.0's samples have a counterpart."""


def flat(name, z, target, loss, reduction):
    """How the sample's z becomes ours, and PyTorch's value divided by ours, or why there is no counterpart."""
    same = lambda a: a.reshape(1) if a.ndim == 0 else a  # noqa: E731
    if name.endswith("kl_div"):
        if z.ndim < 2 or bool((target < 0).any()):
            return same, "one row, or negative targets"
        return same, z[..., 0].numel() / len(z) if reduction == "mean" else 1
    if name == "nn.functional.nll_loss":
        kept = int((target != getattr(loss, "ignore_index", -100)).sum())
        if not kept and reduction == "mean":
            return same, "nothing counts"  # PyTorch's mean is 0 / 0
        into = lambda a: a[None] if a.ndim == 1 else a.movedim(1, -1).reshape(-1, a.shape[1])  # noqa: E731
        return into, 1
    return same, 1


def test_op_samples_equal_torch():
    ran, left = Counter(), Counter()
    for info in torch.testing._internal.common_methods_invocations.op_db if load() else ():
        if info.name not in OPS:
            continue
        torch.manual_seed(0)
        for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
            z, target = sample.input.detach(), sample.args[0].detach()
            named = dict(sample.kwargs)
            reduction = named.pop("reduction", "mean")
            loss = OPS[info.name](*sample.args[1:], **named)
            into, share = flat(info.name, z, target, loss, reduction)
            reason = loss if isinstance(loss, str) else share if isinstance(share, str) else ""
            if reason:
                left[info.name, reason] += 1
                continue
            if info.name.endswith("kl_div") and reduction == "mean":
                reduction = "batchmean"
            loss = replace(loss, reduction=reduction.replace("batch", ""))
            tz = z.clone().requires_grad_()
            wanted = info.op(tz, target, *sample.args[1:], reduction=reduction, **named)
            wanted.sum().backward()
            one_axis = info.name == "nn.functional.nll_loss" or target.ndim == 0
            target = target.reshape(-1) if one_axis else target
            value, dz = run_loss(loss, into(z).numpy(), target.numpy())
            wanted = wanted.detach() if value.ndim == 0 else wanted.detach().reshape(value.shape)
            assert error(value * share, wanted) <= TOLERANCE, (info.name, sample)
            assert error(dz * share, into(tz.grad)) <= TOLERANCE, (info.name, sample)
            ran[info.name] += 1
    print(f"{sum(ran.values())} samples ran: {dict(ran)}; left out: {dict(left)}")
    assert sum(ran.values()) >= OP_CASES


def load():
    """Import the corpus."""
    import torch.testing._internal.common_methods_invocations  # noqa: F401

    return True


def test_ends():
    """float32: nothing overflows, small values keep their digits, what is 0 has no logarithm."""
    f = lambda loss, z, t: run_loss(loss, np.float32(z), np.float32(t), dtype="float32")  # noqa: E731
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        np.testing.assert_allclose(f(losses.LogCosh(), [[1e4]], [[0]])[0], 1e4 - np.log(2), rtol=1e-6)
        np.testing.assert_allclose(f(losses.LogCosh(), [[1e-4]], [[0]])[0], 5e-9, rtol=1e-5)
        np.testing.assert_allclose(f(losses.Huber(), [[1e30]], [[0]])[0], 1e30, rtol=1e-6)
        value, slope = f(losses.KLDivergence(), [[-np.inf, 0]], [[0, 1]])
        assert (float(value), slope.tolist()) == (0, [[0, -1]])
        value, slope = f(losses.CosineEmbedding(), [[0, 0]], [[1, 0]])
        assert float(value) == 1
        assert np.isfinite(slope).all()
        for z, wanted in ([[200, 0]], 0), ([[-200, 0]], 200):
            value, slope = run_loss(losses.Focal(), np.float32(z), np.array([0]), dtype="float32")
            np.testing.assert_allclose(value, wanted, atol=1e-30)
            np.testing.assert_allclose(slope, [[-1, 1]] if wanted else [[0, 0]], atol=1e-30)
        ignoring = losses.NegativeLogLikelihood(ignore_index=9)
        value, slope = run_loss(ignoring, np.float32([[-1, -np.inf]]), np.array([9]))
        assert (float(value), np.abs(slope).max()) == (0, 0)


@pytest.mark.parametrize(
    ("loss", "target", "kind"),
    [
        (losses.Huber(), np.zeros((2, 4)), ShapeError),
        (losses.LogCosh(), np.array([[0, 0, np.nan]] * 2), DataError),
        (losses.SmoothL1(), np.zeros(2), ShapeError),
        (losses.Hinge(), np.array([[0, 1, 1]] * 2), DataError),
        (losses.SquaredHinge(), np.array([[2, 1, 1]] * 2), DataError),
        (losses.KLDivergence(), np.array([[-0.1, 1, 1]] * 2), DataError),
        (losses.Poisson(), np.array([[-1, 1, 1]] * 2), DataError),
        (losses.CosineEmbedding(), np.zeros((2, 3, 1)), ShapeError),
        (losses.NegativeLogLikelihood(), np.array([0, 3]), DataError),
        (losses.NegativeLogLikelihood(ignore_index=-100), np.array([-100, -1]), DataError),
        (losses.NegativeLogLikelihood(), np.zeros((2, 3, 1)), ShapeError),
        (losses.NegativeLogLikelihood(), np.ones((2, 3)), DataError),
        (losses.Focal(), np.array([0, 3]), DataError),
    ],
    ids=str,
)
def test_targets_that_do_not_fit_are_refused(loss, target, kind):
    with pytest.raises(kind):
        loss.check(target, (3,))
    if kind is ShapeError and target.ndim != 1:
        with pytest.raises(ShapeError):  # nothing is broadcast in a step either
            run_loss(loss, np.zeros((2, 3)), target)


@pytest.mark.parametrize(
    "make",
    [
        lambda: losses.Huber(0.0),
        lambda: losses.Huber(-1.0),
        lambda: losses.SmoothL1(0.0),
        lambda: losses.Focal(0.5),
        lambda: losses.Focal(-1.0),
        lambda: losses.NegativeLogLikelihood(ignore_index=0.5),
        lambda: xpnn.Trainer(xpnn.Model([xpnn.Dense(2), xpnn.Softmax()], (2,)), "kl_divergence"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(UsageError):
        make()


def test_what_is_predicted():
    x, signs = np.array([[1.0], [-2.0], [3.0], [-1.0]]), np.array([1, -1, 1, -1])
    model = xpnn.Model([xpnn.Dense(1)], (1,), seed=0)
    model.fit(x, signs, loss="hinge", optimizer=xpnn.SGD(0.5), epochs=20, verbose=0)
    assert model.predict(x).tolist() == signs.tolist()
    assert model.evaluate(x, signs) == {"loss": 0.0, "accuracy": 1.0}
    model.fit(x, np.array([4, 0, 5, 1]), loss="poisson", epochs=1, verbose=0)
    assert (model.predict(x) > 0).all()

"""CTC, Gaussian NLL, Dice, triplet, contrastive: against PyTorch's functions, autograd and samples, in float64."""

import itertools

import numpy as np
import pytest
from comparison import error, run_loss

from xpnn import losses

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
modules = pytest.importorskip("torch.testing._internal.common_modules")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""
GAUSSIANS, CTC_SAMPLES = 162, 52
"""How many of torch 2.13.0's samples have a counterpart."""
each_reduction = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def compare(loss, z, target, oracle):
    tz = torch.from_numpy(z).requires_grad_()
    wanted = oracle(tz)
    wanted.sum().backward()
    value, dz = run_loss(loss, z, target)
    assert error(value, wanted.detach()) <= TOLERANCE
    assert error(dz, tz.grad) <= TOLERANCE


@each_reduction
@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_equals_torch(reduction, scale, blank):
    """Of every length: none, all the same label, all frames used."""
    rng = np.random.default_rng(0)
    z = scale * rng.standard_normal((6, 9, 5))
    known, lengths = np.array([9, 9, 3, 7, 8, 9]), np.array([4, 0, 1, 3, 4, 5])
    ids = rng.integers(0, 4, (6, 5))
    ids = ids + (ids >= blank)
    ids[0], ids[5] = [1, 1, 3, 3, 1], 1
    ids = np.where(np.arange(5) < lengths[:, None], ids, -1)
    target = np.hstack([known[:, None], ids])
    loss = losses.CTC(blank, True, reduction=reduction)
    np.testing.assert_array_equal(loss.check(target, (9, 5)), target)

    def oracle(tz):
        logs = F.log_softmax(tz, -1).transpose(0, 1)
        given = (torch.from_numpy(a) for a in (abs(ids), known, lengths))
        return F.ctc_loss(logs, *given, blank=blank, reduction=reduction)

    compare(loss, z, target, oracle)


def padded(targets, lengths):
    """PyTorch's targets, one after the other or in rows, as rows padded with -1."""
    rows, start = np.full((len(lengths), max(lengths)), -1), 0
    for i, n in enumerate(lengths):
        rows[i, :n] = targets[start : start + n] if targets.ndim == 1 else targets[i, :n]
        start += n
    return rows


def ctc_samples():
    """(logs (T, N, C), targets, input lengths, target lengths, settings)."""
    info = next(i for i in ops.op_db if i.name == "nn.functional.ctc_loss")
    torch.manual_seed(0)
    for s in info.sample_inputs("cpu", torch.float64, requires_grad=True):
        yield s.input, *s.args, s.kwargs
    info = next(i for i in modules.module_db if i.name == "nn.CTCLoss")
    settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
    for given in info.module_inputs_func(info, **settings):
        yield *given.forward_input.args, given.constructor_input.kwargs


def test_ctc_samples_equal_torch():
    """Their gradient is that of the logits, whatever the samples' logarithms are; ours is too."""
    ran = 0
    for x, targets, known, lengths, settings in ctc_samples():
        x = x.detach()
        x = x[:, None] if x.ndim == 2 else x
        known, lengths = ([int(n) for n in np.atleast_1d(a)] for a in (known, lengths))
        targets = targets[None] if targets.ndim == 1 and len(lengths) == 1 else targets
        settings = {k: v for k, v in settings.items() if k != "zero_infinity"}
        rows = np.hstack([np.array(known)[:, None], padded(targets.numpy(), lengths)])

        def oracle(tz, given=(targets, known, lengths), settings=settings):
            return F.ctc_loss(F.log_softmax(tz, -1).transpose(0, 1), *given, **settings)

        loss = losses.CTC(settings.get("blank", 0), True, reduction=settings.get("reduction", "mean"))
        compare(loss, x.transpose(0, 1).contiguous().numpy(), rows, oracle)
        ran += 1
    assert ran >= CTC_SAMPLES


def test_gaussian_samples_equal_torch():
    """Their variances as softplus(r) + eps; one mean and one variance for each target."""
    ran = 0
    info = next(i for i in ops.op_db if i.name == "nn.functional.gaussian_nll_loss")
    torch.manual_seed(0)
    for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
        m, target, variance = (a.detach() for a in (sample.input, *sample.args))
        eps, reduction = sample.kwargs.get("eps", 1e-6), sample.kwargs["reduction"]
        if sample.kwargs.get("full"):
            continue  # with the constant log(2 pi) / 2
        shape = torch.broadcast_shapes(m.shape, target.shape)
        variance = variance[..., None] if variance.ndim == m.ndim - 1 and m.ndim > 1 else variance
        m, target, variance = (a.expand(shape).clone() for a in (m, target, variance))
        r = torch.log(torch.expm1(variance))
        z = torch.cat([m, r], -1).numpy()

        def oracle(tz, target=target, eps=eps, reduction=reduction):
            m, r = tz.chunk(2, -1)
            v = F.softplus(r, threshold=700) + eps
            return F.gaussian_nll_loss(m, target, v, eps=eps, reduction=reduction)

        compare(losses.GaussianNLL(eps, reduction=reduction), z, target.numpy(), oracle)
        ran += 1
    assert ran >= GAUSSIANS


IDS = np.array([0, 1, 0, 2, 1, 0, 5, 1])


@each_reduction
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_triplet_equals_torch_over_all_triples(reduction, margin):
    z = np.random.default_rng(6).standard_normal((8, 4))
    triples = [
        (a, p, n)
        for a, p, n in itertools.product(range(8), repeat=3)
        if a != p and IDS[a] == IDS[p] and IDS[a] != IDS[n]
    ]
    a, p, n = map(list, zip(*triples, strict=True))

    def oracle(tz):
        each = F.triplet_margin_loss(tz[a], tz[p], tz[n], margin=margin, eps=0.0, reduction="none")
        if reduction == "none":
            return torch.zeros(8).double().index_add(0, torch.tensor(a), each)
        return each.mean() if reduction == "mean" else each.sum()

    compare(losses.Triplet(margin, reduction=reduction), z, IDS, oracle)


@each_reduction
@pytest.mark.parametrize("margin", [0.5, 3.0])
def test_contrastive_equals_autograd_over_all_pairs(reduction, margin):
    z = np.random.default_rng(7).standard_normal((8, 4))
    i, j = map(list, zip(*itertools.combinations(range(8), 2), strict=True))

    def oracle(tz):
        d = F.pairwise_distance(tz[i], tz[j], eps=0.0)
        each = torch.where(torch.tensor(IDS[i] == IDS[j]), d**2, torch.relu(margin - d) ** 2) / 2
        if reduction == "none":
            ends = torch.tensor(i), torch.tensor(j)
            return sum(torch.zeros(8).double().index_add(0, end, each / 2) for end in ends)
        return each.mean() if reduction == "mean" else each.sum()

    compare(losses.Contrastive(margin, reduction=reduction), z, IDS, oracle)


@each_reduction
@pytest.mark.parametrize("smooth", [1.0, 1e-3])
@pytest.mark.parametrize("shape", [(4, 7, 1), (3, 2, 5, 2)], ids=str)
def test_dice_equals_autograd(reduction, smooth, shape):
    rng = np.random.default_rng(8)
    z, y = 3 * rng.standard_normal(shape), rng.integers(0, 2, shape) * 1.0
    y[0] = 0

    def oracle(tz):
        p, t = torch.sigmoid(tz).flatten(1, -2), torch.from_numpy(y).flatten(1, -2)
        each = 1 - (2 * (p * t).sum(1) + smooth) / ((p + t).sum(1) + smooth)
        return {"mean": each.mean(), "sum": each.sum(), "none": each}[reduction]

    compare(losses.Dice(smooth, reduction=reduction), z, y, oracle)

"""Mixup and CutMix where labels are ignored or weigh differently: the loss is that of both labels, share by share."""

import numpy as np
import pytest
from comparison import NAMES

import xpnn
from xpnn.config import short_repr
from xpnn.layers.base import Ctx
from xpnn.losses import Focal, NegativeLogLikelihood, SoftmaxCrossEntropy
from xpnn.training.mixing import MIXING, CutMix, Mixup
from xpnn.training.step import Objective

RNG = np.random.default_rng(0)
X, IDS = RNG.normal(size=(9, 4, 3, 1)), np.array([0, 1, 2, 0, 1, 2, 0, 1, 1])
W = np.array([1.0, 0.0, 2.0, 0.5, 0.0, 0.0, 3.0, 1.0, 0.0])
K = (0.5, 1.0, 3.0)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(1, keepdims=True))


def cross_entropy(z, ids, k=(1, 1, 1), smoothing=0.0):
    """(losses, what each counts) of ids."""
    q = (1 - smoothing) * np.eye(3)[ids] + smoothing / 3
    return -(q * np.asarray(k) * log_softmax(z)).sum(1), np.asarray(k)[ids]


def focal(z, ids):
    p = np.exp(log_softmax(z))[np.arange(len(ids)), ids]
    return -((1 - p) ** 2) * np.log(p), np.ones(len(ids))


def likelihood(z, ids):
    return -z[np.arange(len(ids)), ids], np.ones(len(ids))


LOSSES = {
    "cross-entropy": (SoftmaxCrossEntropy, {}, cross_entropy),
    "smoothed": (
        SoftmaxCrossEntropy,
        {"label_smoothing": 0.2},
        lambda z, i: cross_entropy(z, i, smoothing=0.2),
    ),
    "class weights": (SoftmaxCrossEntropy, {"class_weight": K}, lambda z, i: cross_entropy(z, i, K)),
    "both": (
        SoftmaxCrossEntropy,
        {"label_smoothing": 0.2, "class_weight": K},
        lambda z, i: cross_entropy(z, i, K, 0.2),
    ),
    "focal": (Focal, {}, focal),
    "likelihood": (NegativeLogLikelihood, {}, likelihood),
}
COUNTED = {
    "all": (None, IDS, None),
    "a class ignored": (0, IDS, None),
    "marked as ignored": (-100, np.where(IDS == 2, -100, IDS), None),
    "weights": (None, IDS, W),
    "weights and ignored": (1, IDS, W),
    "all ignored": (-100, np.full(9, -100), None),
    "all ignored, weights": (-100, np.full(9, -100), W),
}


def mixed(mixing, backend="numpy", loss=None, ids=IDS, weight=None):
    """The model, and (loss, gradient) of one step, or with no loss the shares and mixtures of that step."""
    model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(3)], (4, 3, 1), dtype="float64", seed=0, backend=backend)
    be = model.backend
    with be.device_context():
        tick = be.scalar(0, be.xp.int64)
        if loss is None:
            cx = Ctx(be, train=True, key=(model.seed,), tick=tick).child(MIXING)
            return model, *(be.to_numpy(a) for a in mixing(cx, be.asarray(X)))
        objective = Objective(model.net, loss, model.layout, be, model.seed, mixing)
        f = objective.gradient()
        given = be.asarray(X), be.asarray(ids), None if weight is None else be.asarray(weight)
        found = [be.to_numpy(a) for a in f(model.theta, model.phi, tick, *given)[:2]]
        divisor = objective.divisor()(tick, *given)
        divisor = be.xp.where(divisor > 0, divisor, be.xp.ones_like(divisor))
        share = [be.to_numpy(a) for a in f(model.theta, model.phi, tick, *given, 2 * divisor)[:2]]
        for part, whole in zip(share, found, strict=True):  # half of a mean over twice as much
            np.testing.assert_allclose(2 * part, whole, rtol=1e-12, atol=1e-15)
        return found


@pytest.mark.against("formula")
@pytest.mark.parametrize("mixing", [Mixup(0.7), CutMix()], ids=short_repr)
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("backend", NAMES)
def test_each_label_counts_by_its_share_and_weight(backend, name, mixing):
    for counted in COUNTED:
        check(backend, name, counted, mixing)


def check(backend, name, counted, mixing):
    kind, settings, rows = LOSSES[name]
    ignored, ids, weight = COUNTED[counted]
    value, gradient = mixed(mixing, backend, kind(**settings, ignore_index=ignored), ids, weight)
    model, x, own = mixed(mixing)
    z = x.reshape(9, -1) @ model.parameters()["1.W"] + model.parameters()["1.b"]
    w = (np.ones(9) if weight is None else weight) * (ids != ignored)
    shares, known = [own * w, (1 - own) * np.roll(w, -1)], np.where(ids < 0, 0, ids)
    found = [rows(z, known), rows(z, np.roll(known, -1))]
    total = sum((s * k).sum() for s, (_, k) in zip(shares, found, strict=True))
    wanted = sum((s * one).sum() for s, (one, _) in zip(shares, found, strict=True)) / (total or 1)
    assert value == pytest.approx(wanted, rel=1e-12)
    assert (total == 0) == (not gradient.any())

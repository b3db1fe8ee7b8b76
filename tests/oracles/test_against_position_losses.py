"""Losses over positions, tokens (N, T, C) and pixels (N, H, W, C), against PyTorch's, which has the classes second."""

import numpy as np
import pytest
from comparison import error, run_loss
from proof_table import used

import xpnn
from xpnn import losses
from xpnn.config import short_repr

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""
SHAPES = [(3, 4, 5), (2, 3, 4, 5)]
WEIGHTS = (1.0, 0.25, 0.0, 2.0, 3.0)
CROSS_ENTROPIES = [
    (losses.SoftmaxCrossEntropy(), {}),
    (losses.SoftmaxCrossEntropy(0.2), {"label_smoothing": 0.2}),
    (losses.SoftmaxCrossEntropy(ignore_index=-100), {}),
    (losses.SoftmaxCrossEntropy(0.1, WEIGHTS, ignore_index=-100), {"label_smoothing": 0.1, "weight": WEIGHTS}),
    (losses.SoftmaxCrossEntropy(0.1, WEIGHTS, ignore_index=2, reduction="sum"),
     {"label_smoothing": 0.1, "weight": WEIGHTS, "ignore_index": 2, "reduction": "sum"}),
    (losses.SoftmaxCrossEntropy(class_weight=WEIGHTS, reduction="none", ignore_index=-100),
     {"weight": WEIGHTS, "reduction": "none"}),
]  # fmt: skip


def random_logits(shape, ignored=None, seed=0):
    """Logits, and ids of which every third is ignored."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, shape[-1], shape[:-1])
    if ignored is not None:
        ids[rng.random(ids.shape) < 0.3] = ignored
    return 2 * rng.standard_normal(shape), ids


def classes_second(a):
    return torch.from_numpy(a).movedim(-1, 1)


def same(loss, z, target, wanted, weight=None, tolerance=TOLERANCE):
    """Value and gradient; wanted: a function of the tensor of logits (N, C, ...)."""
    tz = torch.from_numpy(z).requires_grad_()
    value = wanted(tz.movedim(-1, 1).contiguous())  # nll_loss wants it so
    value.sum().backward()
    got, slope = run_loss(loss, z, target, weight)
    assert error(got, value.detach()) <= tolerance
    assert error(slope, tz.grad) <= tolerance


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("loss", "settings"), CROSS_ENTROPIES, ids=lambda v: short_repr(v) if isinstance(v, losses.Loss) else ""
)
def test_cross_entropy(loss, settings, shape):
    z, ids = random_logits(shape, loss.ignore_index)
    settings = settings | ({"weight": torch.tensor(WEIGHTS).double()} if "weight" in settings else {})
    same(loss, z, ids, lambda tz: F.cross_entropy(tz, torch.from_numpy(ids), **settings))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_negative_log_likelihood_and_focal(shape):
    z, ids = random_logits(shape, -100)
    z = z - np.log(np.exp(z).sum(-1, keepdims=True))
    same(
        losses.NegativeLogLikelihood(ignore_index=-100),
        z,
        ids,
        lambda tz: F.nll_loss(tz, torch.from_numpy(ids)),
    )

    def focal(tz):
        log_p = F.log_softmax(tz, 1)
        own = log_p.gather(1, torch.from_numpy(ids).clamp(min=0)[:, None])[:, 0]
        kept = torch.from_numpy(ids >= 0)
        return (-((1 - own.exp()) ** 2) * own * kept).sum() / kept.sum()

    same(losses.Focal(ignore_index=-100), z, ids, focal)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("of_positions", [False, True])
def test_weights_of_samples_and_of_positions(shape, of_positions):
    """The mean divides by the sum of the weights of all positions that are not ignored."""
    z, ids = random_logits(shape, -100)
    weight = np.random.default_rng(1).uniform(0, 2, ids.shape if of_positions else ids.shape[:1])
    every = torch.from_numpy(
        np.broadcast_to(weight.reshape(*weight.shape, *(1,) * (ids.ndim - weight.ndim)), ids.shape).copy()
    )

    def wanted(tz):
        each = F.cross_entropy(tz, torch.from_numpy(ids), reduction="none")
        return (each * every).sum() / (every * torch.from_numpy(ids >= 0)).sum()

    same(losses.SoftmaxCrossEntropy(ignore_index=-100), z, ids, wanted, weight)


def test_pixels_of_one_class():
    rng = np.random.default_rng(0)
    z, t, weight = (
        rng.standard_normal((3, 4, 5, 1)),
        rng.uniform(0, 1, (3, 4, 5, 1)),
        rng.uniform(0, 2, (3, 4, 5)),
    )
    same(
        losses.BinaryCrossEntropy(),
        z,
        t,
        lambda tz: F.binary_cross_entropy_with_logits(tz.movedim(1, -1), torch.from_numpy(t)),
    )
    every = torch.from_numpy(weight)[..., None]

    def wanted(tz):
        each = F.binary_cross_entropy_with_logits(tz.movedim(1, -1), torch.from_numpy(t), reduction="none")
        return (each * every).sum() / every.sum()

    same(losses.BinaryCrossEntropy(), z, t, wanted, weight)


def pixels(n=24):
    """Images, and a class for each pixel, some of them ignored."""
    rng = np.random.default_rng(2)
    x, ids = rng.standard_normal((n, 5, 4, 2)), rng.integers(0, 3, (n, 5, 4))
    ids[rng.random(ids.shape) < 0.2] = -100
    return x, ids


def network(be, **settings):
    layers = [xpnn.Conv2D(4, 3, padding="same"), xpnn.Tanh(), xpnn.Dense(3)]
    return xpnn.Model(layers, (5, 4, 2), dtype="float64", backend=be.name, seed=3, **settings)


def logits_of(p, x):
    h = torch.tanh(F.conv2d(x.movedim(-1, 1), p["0.W"].movedim((-1, -2), (0, 1)), p["0.b"], padding="same"))
    return F.linear(h.movedim(1, -1), p["2.W"].T, p["2.b"]).movedim(-1, 1)


def tensors_of(model):
    host = model.backend.to_numpy
    return {path: torch.tensor(host(a)).requires_grad_() for path, a in model.parameters().items()}


def same_weights(model, p, tolerance=1e-10):
    for path, a in model.parameters().items():
        assert error(model.backend.to_numpy(a), p[path].detach()) <= tolerance, path


@pytest.mark.parametrize("accumulated", [1, 3])
def test_a_run_over_pixels_equals_torch(be, accumulated):
    """Class weights, label smoothing, ignored pixels; several steps together divide by all pixels that count."""
    x, ids = pixels()
    loss = losses.SoftmaxCrossEntropy(0.1, (1.0, 2.0, 0.5), ignore_index=-100)
    used(loss)
    model = network(be)
    p = tensors_of(model)
    inner = xpnn.SGD(0.1, momentum=0.9)
    trainer = xpnn.Trainer(model, loss, xpnn.Accumulate(inner, accumulated) if accumulated > 1 else inner)
    theirs = torch.optim.SGD(p.values(), 0.1, momentum=0.9)
    dx, dy = model.inputs(x), model.targets(ids)
    given = {"weight": torch.tensor([1.0, 2.0, 0.5]).double(), "label_smoothing": 0.1}
    for t in range(4):
        rows = [slice(i, i + 2) for i in range(6 * t, 6 * t + 2 * accumulated, 2)]
        for row in rows:
            trainer.step(dx[row, ...], dy[row, ...])
        every = slice(rows[0].start, rows[-1].stop)
        theirs.zero_grad()
        with torch.enable_grad():  # a backend's scope may have it off
            F.cross_entropy(
                logits_of(p, torch.from_numpy(x[every])), torch.from_numpy(ids[every]), **given
            ).backward()
        theirs.step()
    same_weights(model, p)
    answers = model.evaluate(x, ids)
    z = logits_of(p, torch.from_numpy(x)).detach()
    assert answers["loss"] == pytest.approx(
        F.cross_entropy(z, torch.from_numpy(ids), **given).item(), rel=1e-10
    )
    kept = ids >= 0
    assert answers["accuracy"] == pytest.approx((z.argmax(1).numpy() == ids)[kept].mean())
    assert (model.predict(x) == z.argmax(1).numpy()).all()
    assert model.predict_proba(x).shape == (24, 5, 4, 3)

"""Losses where logits are infinite or nearly so, where a sample weighs nothing, and of ids of every width."""

from dataclasses import replace

import numpy as np
import pytest
from cases import LOSSES, LossCase
from harness import draw_loss, inside
from tolerances import assert_close

from xpnn.config import short_repr
from xpnn.fusion import loss_and_correct, loss_and_gradient
from xpnn.losses import BinaryCrossEntropy, Focal, NegativeLogLikelihood, Poisson, SoftmaxCrossEntropy

INF = np.inf
HUGE = 3e38


def log_softmax(z):
    """In float64, where 3e38 is no limit; what is infinite is left out of the sums."""
    z = np.asarray(z, np.float64)
    top = z.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(z == -INF, -INF, z - top - np.log(np.exp(z - top).sum(axis=1, keepdims=True)))


def cross_entropy(z, y, dtype, k=None, smoothing=0.0):
    """(losses, slopes, divisor's parts) of rows y, 0 log 0 = 0; log p is infinite where the dtype ends."""
    with np.errstate(over="ignore"):
        lp = log_softmax(z).astype(dtype).astype(float)
    k = np.ones(len(z[0])) if k is None else np.asarray(k)
    q = ((1 - smoothing) * y + smoothing / len(k)) * k
    losses = -np.where(q > 0, q * np.where(q > 0, lp, 0), 0).sum(1)
    return losses, np.exp(lp) * q.sum(1, keepdims=True) - q, (y * k).sum(1)


LOGITS = {
    "a class ruled out": [[0.0, 1.0, -INF], [2.0, -INF, 1.0]],
    "the true class ruled out": [[-INF, 1.0, 0.0], [2.0, 1.0, -1.0]],
    "one class left": [[0.0, -INF, -INF], [-INF, -INF, 7.0]],
    "far apart": [[HUGE, -HUGE, 0.0], [-HUGE, 0.0, HUGE]],
    "far apart and wrong": [[-HUGE, HUGE, 0.0], [0.0, 1.0, -HUGE]],
}
IDS = np.array([0, 2])
VARIANTS = [
    SoftmaxCrossEntropy(),
    SoftmaxCrossEntropy(reduction="sum"),
    SoftmaxCrossEntropy(reduction="none"),
    SoftmaxCrossEntropy(class_weight=(2.0, 1.0, 0.5)),
    SoftmaxCrossEntropy(ignore_index=-100),
    SoftmaxCrossEntropy(ignore_index=0),
    SoftmaxCrossEntropy(0.1),
    SoftmaxCrossEntropy(0.1, (2.0, 1.0, 0.5), ignore_index=2),
]


@pytest.mark.against("formula")
@pytest.mark.parametrize("weight", [None, [1.0, 3.0]], ids=["", "weighted"])
@pytest.mark.parametrize("loss", VARIANTS, ids=short_repr)
def test_cross_entropy_of_infinite_and_huge_logits(any_be, loss, weight):
    for z in LOGITS.values():
        for target in (IDS, np.eye(3)[IDS]):
            check_limit(any_be, loss, np.asarray(z), target, weight)


def check_limit(be, loss, z, target, weight):
    losses, slopes, counts = cross_entropy(
        z, np.eye(3)[IDS], be.dtype_name, loss.class_weight, loss.label_smoothing
    )
    w = np.ones(2) if weight is None else np.asarray(weight)
    if target is IDS and loss.ignore_index is not None:
        w = w * (loss.ignore_index != IDS)
    if loss.reduction == "mean":
        w = w / (w * counts).sum()
    wanted = np.where(w > 0, losses, 0) * w
    weight = None if weight is None else be.asarray(np.asarray(weight), be.dtype)
    target = be.asarray(target, None if target is IDS else be.dtype)
    with np.errstate(over="ignore"):  # what is above 3.4e38 is infinite in float32
        wanted = np.asarray(wanted if loss.reduction == "none" else wanted.sum()).astype(be.dtype_name)
    given = be, be.asarray(z, be.dtype), target, weight
    for value, dz in (
        loss(*given),
        loss_and_gradient(loss, *given),
    ):  # the formula, and the kernel where it fits
        assert_close(be.to_numpy(dz), w[:, None] * slopes, be.dtype_name)
        assert_limit(be.to_numpy(value), wanted, be.dtype_name)


def assert_limit(got, wanted, dtype):
    """Infinite where it should be, and close elsewhere."""
    assert np.array_equal(got == INF, wanted == INF)
    assert_close(np.where(got == INF, 0, got), np.where(wanted == INF, 0, wanted), dtype)


def test_an_evaluation_has_the_same_limits(any_be):
    """The kernel that gives loss and hits."""
    be = any_be
    for z in map(np.asarray, LOGITS.values()):
        given = be.asarray(z, be.dtype), be.asarray(IDS)
        value, hits = loss_and_correct(SoftmaxCrossEntropy(), be, *given)
        assert_limit(be.to_numpy(value), be.to_numpy(SoftmaxCrossEntropy()(be, *given)[0]), be.dtype_name)
        assert int(hits) == (z.argmax(axis=1) == IDS).sum()


@pytest.mark.parametrize("kind", [Focal, NegativeLogLikelihood])
def test_other_losses_of_a_class_ruled_out(any_be, kind):
    """Of another class it costs nothing; of the true one it is infinite, with a finite slope."""
    be = any_be
    for z, loss_is in (
        (LOGITS["a class ruled out"], np.isfinite),
        (LOGITS["the true class ruled out"], np.isinf),
    ):
        z = log_softmax(z) if kind is NegativeLogLikelihood else np.asarray(z)
        value, dz = kind()(be, be.asarray(z, be.dtype), be.asarray(IDS))
        assert loss_is(be.to_numpy(value))
        assert np.isfinite(be.to_numpy(dz)).all()


def test_binary_cross_entropy_at_its_ends(any_be):
    """-y log p - (1 - y) log(1 - p): 0 log 0 is 0."""
    be = any_be
    for z in (INF, -INF, HUGE, -HUGE, 800.0, -800.0):
        for y in (0.0, 0.25, 1.0):
            value, dz = BinaryCrossEntropy()(be, be.asarray([[z]], be.dtype), be.asarray([[y]], be.dtype))
            wrong = 1 - y if z > 0 else y
            wanted = np.asarray(abs(z) * wrong if wrong else 0.0)
            assert_limit(be.to_numpy(value), wanted, be.dtype_name)
            assert_close(be.to_numpy(dz), np.asarray([[(z > 0) - y]]), be.dtype_name)


WEIGHTED = [replace(c, weighted=False) for c in LOSSES if c.weighted and not c.loss.compares]


@pytest.mark.parametrize("case", WEIGHTED, ids=str)
def test_a_sample_of_weight_0_counts_for_nothing_whatever_its_loss(be, case):
    """Also where the loss, or its gradient, is infinite or NaN."""
    prediction, target, _ = draw_loss(case)
    weight = np.ones(len(prediction))
    weight[1] = 0
    bad = prediction.copy()
    bad[1] = np.inf

    def run(prediction):
        given = be.asarray(prediction), be.asarray(target), be.asarray(weight)
        return [be.to_numpy(a) for a in case.loss(be, *given)]

    value, slopes = run(bad)
    like, right = run(prediction)
    assert_close(value, like, "float64")
    assert_close(slopes, right, "float64")
    assert not slopes[1].any()


def test_pytorch_has_the_same_limits():
    torch = pytest.importorskip("torch")
    for z in LOGITS.values():
        for loss in VARIANTS:
            tz = torch.tensor(z, dtype=torch.float64, requires_grad=True)
            settings = {"ignore_index": -100 if loss.ignore_index is None else loss.ignore_index}
            settings |= {"label_smoothing": loss.label_smoothing, "reduction": loss.reduction}
            k = None if loss.class_weight is None else torch.tensor(loss.class_weight).double()
            wanted = torch.nn.functional.cross_entropy(tz, torch.tensor(IDS), weight=k, **settings)
            wanted.sum().backward()
            with inside("numpy", "float64") as be:
                value, dz = loss(be, np.asarray(z), IDS)
            np.testing.assert_allclose(value, wanted.detach().numpy(), rtol=1e-12)
            if np.isfinite(value).all():  # PyTorch's slopes of an infinite loss are NaN where it is smoothed
                np.testing.assert_allclose(dz, tz.grad.numpy(), rtol=1e-12, atol=1e-15)


WIDTHS = {"uint8": -100, "uint16": 156 - 2**16, "int16": -100, "int32": -100, "uint32": 156 - 2**32}
"""For each dtype an ignored id that it would wrap to class 156."""


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), Focal(), NegativeLogLikelihood()], ids=short_repr)
def test_no_class_is_ignored_for_its_bits(be, loss):
    for dtype in WIDTHS:
        check_width(be, loss, dtype)


def check_width(be, loss, dtype):
    z, _, _ = draw_loss(LossCase(loss, (4, 200), "ids"))
    ids = np.array([156, 3, 127, 156])
    loss = replace(loss, ignore_index=WIDTHS[dtype])
    given = be.asarray(z), be.asarray(ids.astype(dtype))
    like = be.asarray(z), be.asarray(ids)
    for got, wanted in zip(loss(be, *given), replace(loss, ignore_index=None)(be, *like), strict=True):
        assert_close(be.to_numpy(got), be.to_numpy(wanted), "float64")
    assert be.to_numpy(loss.valid_mask(be, given[1])).all()
    assert int(loss.n_correct(be, *given)) == (z.argmax(axis=1) == ids).sum()


def test_no_counts_where_none_are_expected(any_be):
    """e^-inf - t (-inf): 0 for t = 0, else infinite."""
    z, t = np.array([[-INF], [-INF], [0.5]]), np.array([[0.0], [2.0], [2.0]])
    with any_be.device_context():
        losses, slopes = Poisson(reduction="none")(any_be, *(any_be.asarray(a, any_be.dtype) for a in (z, t)))
        losses, slopes = (np.asarray(any_be.to_numpy(a), float).ravel() for a in (losses, slopes))
    assert losses[:2].tolist() == [0, INF]
    np.testing.assert_allclose(losses[2], np.exp(0.5) - 1, rtol=1e-6)
    np.testing.assert_allclose(slopes, [0, -2, np.exp(0.5) - 2], rtol=1e-6)

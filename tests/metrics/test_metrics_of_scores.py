"""Metrics of agreement, probability, order and real numbers against scikit-learn, whole and in uneven batches."""

import functools
import math

import numpy as np
import pytest
from comparison import NAMES
from proof_table import used

from xpnn import metrics as m
from xpnn.backends import get_backend
from xpnn.errors import ShapeError, UsageError

CLOSE = 1e-12
"""Sums of float64 in another order."""
NUMPY = get_backend("numpy", None, "float64")
theirs = pytest.importorskip("sklearn.metrics")
pytestmark = [pytest.mark.oracle, pytest.mark.against("scikit-learn")]


def batched(metric, scores, ids, be=NUMPY):
    """The value from counts of batches of 1, 69, 63 and the rest."""
    used(metric)
    with be.device_context():
        parts = [
            metric.count(be, be.asarray(s), be.asarray(t))
            for s, t in zip(np.split(scores, [1, 70, 133]), np.split(ids, [1, 70, 133]), strict=True)
        ]
        return metric.result(be.to_numpy(functools.reduce(functools.partial(metric.merge, be), parts)))


def random_scores(classes=5, n=400, seed=0):
    """Logits that favour the true class, and ids."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, classes, n)
    z = rng.standard_normal((n, classes))
    z[np.arange(n), ids] += 1.0
    return z, ids


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 5])
def test_agreement_equals_scikit_learn(classes):
    z, ids = random_scores(classes)
    decided = z.argmax(axis=1)
    assert batched(m.CohenKappa(), z, ids) == pytest.approx(theirs.cohen_kappa_score(ids, decided), abs=CLOSE)
    assert batched(m.MatthewsCorrelation(), z, ids) == pytest.approx(
        theirs.matthews_corrcoef(ids, decided), abs=CLOSE
    )


def test_agreement_where_all_samples_are_of_one_class():
    scores, ids = np.array([[1.0, 0.0]] * 4), np.array([0, 0, 0, 0])
    assert math.isnan(m.CohenKappa()(NUMPY, scores, ids))
    assert m.MatthewsCorrelation()(NUMPY, scores, ids) == 0.0
    assert m.MatthewsCorrelation()(NUMPY, scores, np.array([0, 1, 0, 1])) == 0.0
    assert (
        m.CohenKappa()(NUMPY, np.eye(3), np.arange(3))
        == m.MatthewsCorrelation()(NUMPY, np.eye(3), np.arange(3))
        == 1
    )


@pytest.mark.parametrize("classes", [2, 5])
def test_log_loss_and_perplexity_equal_scikit_learn(classes):
    z, ids = random_scores(classes)
    wanted = theirs.log_loss(ids, softmax(z))
    for scores, logits in ((z, True), (softmax(z), False)):
        assert batched(m.LogLoss(logits), scores, ids) == pytest.approx(wanted, rel=CLOSE)
        assert batched(m.Perplexity(logits), scores, ids) == pytest.approx(math.exp(wanted), rel=CLOSE)


def test_log_loss_of_sequences_of_huge_logits_and_of_the_impossible():
    z, ids = random_scores(4)
    whole = m.LogLoss()(NUMPY, z, ids)
    assert m.LogLoss()(NUMPY, z.reshape(100, 4, 4), ids.reshape(100, 4)) == pytest.approx(whole, rel=CLOSE)
    assert m.LogLoss()(NUMPY, np.array([[1e300, 0.0]]), np.array([1])) == 1e300
    assert m.Perplexity()(NUMPY, np.array([[1e300, 0.0]]), np.array([1])) == math.inf
    impossible = np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])
    assert m.LogLoss(False)(NUMPY, *impossible) == pytest.approx(
        theirs.log_loss(impossible[1], impossible[0])
    )
    assert m.Perplexity()(NUMPY, np.zeros((3, 7)), np.array([0, 3, 6])) == pytest.approx(7)


@pytest.mark.parametrize(
    "form", ["two logits", "one logit", "flat logit", "probability", "two probabilities"]
)
@pytest.mark.parametrize("seed", range(5))
def test_area_and_precision_of_two_classes_equal_scikit_learn(form, seed):
    """With and without ties, of scores far apart and close together."""
    z, ids = random_scores(2, 4000, seed)
    apart = z[:, 1] - z[:, 0]
    for odds in (apart, np.round(apart * 64) / 64, apart / 1000, apart * 8):
        p = 1 / (1 + np.exp(-odds))
        scores, logits = {
            "two logits": (np.stack([-odds / 2, odds / 2], axis=1), True),
            "one logit": (odds[:, None], True),
            "flat logit": (odds, True),
            "probability": (p[:, None], False),
            "two probabilities": (np.stack([1 - p, p], axis=1), False),
        }[form]
        area = theirs.roc_auc_score(ids, odds)
        precision = theirs.average_precision_score(ids, odds)
        if not logits:  # rounding of p has made some scores equal
            area, precision = theirs.roc_auc_score(ids, p), theirs.average_precision_score(ids, p)
        slack = CLOSE if logits else 1e-5
        assert abs(batched(m.ROCAUC(logits=logits), scores, ids) - area) <= slack
        assert abs(batched(m.AveragePrecision(logits=logits), scores, ids) - precision) <= slack


@pytest.mark.parametrize("logits", [True, False])
def test_area_and_precision_of_many_classes_equal_scikit_learn(logits):
    """One against the rest."""
    z, ids = random_scores(5, 4000)
    p = softmax(z)
    scores, hot = (z if logits else p), np.eye(5)[ids]
    area = theirs.roc_auc_score(ids, p, multi_class="ovr", average="macro")
    precision = theirs.average_precision_score(hot, p, average=None)
    assert batched(m.ROCAUC(logits=logits), scores, ids) == pytest.approx(area, abs=1e-9)
    assert batched(m.AveragePrecision(None, logits), scores, ids) == pytest.approx(precision, abs=1e-9)
    assert batched(m.AveragePrecision("macro", logits), scores, ids) == pytest.approx(
        precision.mean(), abs=1e-9
    )


def test_area_by_hand():
    """Ties count half; infinite odds are the outermost; a class that never occurs has no area."""
    scores, ids = np.array([-3.0, 0.0, 0.0, 5.0]), np.array([0, 0, 1, 1])
    assert m.ROCAUC()(NUMPY, scores, ids) == 3.5 / 4
    assert m.ROCAUC()(NUMPY, -scores, ids) == 0.5 / 4
    assert m.AveragePrecision()(NUMPY, scores, ids) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert m.ROCAUC(logits=False)(NUMPY, np.array([0.0, 1.0, 0.5]), np.array([0, 1, 0])) == 1.0
    assert math.isnan(m.ROCAUC()(NUMPY, scores, np.zeros(4, int)))
    assert math.isnan(m.AveragePrecision()(NUMPY, scores, np.zeros(4, int)))
    z, ids = random_scores(3)
    each = m.ROCAUC(None)(NUMPY, np.concatenate([z, z[:, :1]], axis=1), ids)
    assert np.isnan(each).tolist() == [False, False, False, True]


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("logits", [True, False])
def test_calibration_error_by_its_definition(bins, logits):
    z, ids = random_scores(5, 1000)
    p = softmax(3 * z)
    confidence, hit = p.max(axis=1), p.argmax(axis=1) == ids
    wanted = 0.0
    for b in range(bins):
        inside = (confidence > b / bins) & (confidence <= (b + 1) / bins)
        if inside.any():
            wanted += inside.mean() * abs(hit[inside].mean() - confidence[inside].mean())
    assert batched(m.CalibrationError(bins, logits), 3 * z if logits else p, ids) == pytest.approx(
        wanted, abs=CLOSE
    )
    assert wanted > 0.01


@pytest.mark.parametrize("shape", [(400,), (400, 1), (400, 3), (400, 2, 3)])
def test_errors_of_real_numbers_equal_scikit_learn(shape):
    rng = np.random.default_rng(0)
    y = 3 + 2 * rng.standard_normal(shape)
    prediction = y + rng.standard_normal(shape)
    flat = y.reshape(400, -1), prediction.reshape(400, -1)
    for metric, score in (
        (m.MAE(), theirs.mean_absolute_error),
        (m.MSE(), theirs.mean_squared_error),
        (m.R2(), theirs.r2_score),
    ):
        assert batched(metric, prediction, y) == pytest.approx(score(*flat), rel=CLOSE)


@pytest.mark.parametrize("mean", [0.0, 1e4, 1e8])
def test_r2_keeps_its_digits_far_from_0(mean):
    rng = np.random.default_rng(0)
    y = mean + rng.standard_normal((400, 2))
    prediction = y + 0.5 * rng.standard_normal(y.shape)
    assert batched(m.R2(), prediction, y) == pytest.approx(theirs.r2_score(y, prediction), rel=1e-8)


def test_r2_of_equal_targets():
    """Of 0.1 neither the mean nor the sum of squares is exact; scikit-learn then divides by the rounding error."""
    for value in (0.5, 0.1):
        y = np.full((7, 1), value)
        assert m.R2()(NUMPY, y, y) == theirs.r2_score(y, y) == 1.0
        assert m.R2()(NUMPY, y + 0.5, y) == 0.0
    assert theirs.r2_score(np.full(7, 0.5), np.full(7, 1.0)) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_sums_are_float64_in_a_model_of_float32(name):
    be = get_backend(name, None, "float32")
    z, ids = random_scores()
    z = z.astype(np.float32)
    target = z[::-1, :].copy()
    for metric, wanted in (
        (m.LogLoss(), ids),
        (m.CalibrationError(), ids),
        (m.R2(), target),
        (m.MAE(), target),
    ):
        assert batched(metric, z, wanted, be) == pytest.approx(
            metric(
                NUMPY, z.astype(np.float64), wanted.astype(np.float64) if metric in (m.R2(), m.MAE()) else ids
            ),
            rel=CLOSE,
        )


def test_nothing_is_broadcast():
    for metric in (m.MAE(), m.MSE(), m.R2()):
        with pytest.raises(ShapeError, match=r"predictions \(4, 1\) and targets \(4,\)"):
            metric(NUMPY, np.ones((4, 1)), np.ones(4))


def test_bad_settings():
    with pytest.raises(UsageError, match="bins=0"):
        m.CalibrationError(0)
    for kind in (m.ROCAUC, m.AveragePrecision):
        with pytest.raises(UsageError, match="average='micro'"):
            kind("micro")

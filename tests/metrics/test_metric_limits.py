"""Every metric: of ids that are no class, of nothing, of NaN, and of scores at the ends of float64."""

import decimal
import math
from dataclasses import replace

import numpy as np
import pytest
from cases import METRICS
from comparison import NAMES

import xpnn
from xpnn.backends import get_backend
from xpnn.errors import DataError
from xpnn.losses import Focal, NegativeLogLikelihood, SoftmaxCrossEntropy
from xpnn.metrics import (
    MAE,
    MSE,
    R2,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    CalibrationError,
    LogLoss,
    Perplexity,
)
from xpnn.metrics.metric import ClassMetric

NUMPY = get_backend("numpy", None, "float64")
OF_CLASSES = [metric for metric in METRICS if isinstance(metric, ClassMetric)]
OTHERS = [metric for metric in METRICS if not isinstance(metric, ClassMetric)]
RNG = np.random.default_rng(0)
SCORES, IDS = RNG.normal(size=(12, 4)), np.array([0, 2, 1, 3, 1, 2, 1, 0, 3, 2, 0, 0])
LEFT_OUT = np.arange(12) % 3 == 1


def same(got, wanted):
    np.testing.assert_allclose(got, wanted, rtol=1e-12, equal_nan=True)


def test_every_metric_of_classes_is_here():
    assert {type(metric) for metric in OTHERS} == {MAE, MSE, R2}


@pytest.mark.parametrize("bad", [-1, -100, 4, 2**40, 1.5])
@pytest.mark.parametrize("metric", OF_CLASSES, ids=repr)
def test_an_id_that_is_no_class_is_named_and_never_counts(metric, bad):
    ids = np.where(np.arange(12) == 7, bad, IDS)
    with pytest.raises(DataError, match=rf"{type(metric).__name__}: id 7 is {bad}\n.*0 to 3"):
        metric(NUMPY, SCORES, ids)
    kept = ids != bad
    same(metric.result(metric.count(NUMPY, SCORES, ids)), metric(NUMPY, SCORES[kept], ids[kept]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", OF_CLASSES, ids=repr)
def test_an_ignored_id_is_a_sample_left_out(metric, name):
    """Whether it is a class or not, and whatever the ids' width is."""
    be = get_backend(name, None, "float64")
    wanted = metric(NUMPY, SCORES[~LEFT_OUT], IDS[~LEFT_OUT])
    with be.device_context():
        for ignored, dtype in ((-100, "int64"), (200, "uint8"), (-100, "int16")):
            ids = be.asarray(np.where(LEFT_OUT, ignored, IDS).astype(dtype))
            same(replace(metric, ignore_index=ignored)(be, be.asarray(SCORES), ids), wanted)
        kept, one = IDS != 2, replace(metric, ignore_index=2)
        same(one(be, be.asarray(SCORES), be.asarray(IDS)), metric(NUMPY, SCORES[kept], IDS[kept]))
        with pytest.raises(DataError, match="id 0 is 255"):
            replace(metric, ignore_index=-1)(be, be.asarray(SCORES), be.asarray(np.full(12, 255, np.uint8)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_nothing_has_no_mean_and_adds_nothing(metric, name):
    """NaN, or what the class says of 0 / 0; never a warning, never an IndexError."""
    be = get_backend(name, None, "float64")
    target = SCORES[::-1] + 0.5 if metric in OTHERS else IDS
    with be.device_context():
        empty, whole = ((be.asarray(SCORES[:n]), be.asarray(target[:n])) for n in (0, 12))
        value = np.asarray(metric(be, *empty))
        by_definition = type(metric).__name__ in (
            "ConfusionMatrix",
            "Precision",
            "Recall",
            "F1",
            "MatthewsCorrelation",
        )
        assert (value == 0).all() if by_definition else np.isnan(value).all()
        counts = [metric.count(be, *given) for given in (empty, whole, empty)]
        joined = metric.merge(be, metric.merge(be, *counts[:2]), counts[2])
        same(metric.result(be.to_numpy(joined)), metric(be, *whole))


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_scores_that_are_nan_have_no_value(metric):
    """Refused where a count cannot tell; else NaN, also in batches."""
    target = SCORES[::-1] + 0.5 if metric in OTHERS else IDS
    for rows in (slice(None), slice(5, 6)):
        scores = SCORES.copy()
        scores[rows] = np.nan
        if metric in OTHERS:
            assert math.isnan(metric(NUMPY, scores, target))
            continue
        with pytest.raises(DataError, match=f"scores of sample {rows.start or 0} hold NaN"):
            metric(NUMPY, scores, target)
        counts = metric.count(NUMPY, scores, target)
        if counts.dtype == np.float64:
            assert np.isnan(metric.result(counts)).all()
    ids = np.where(np.arange(12) == 5, -100, IDS)
    if metric not in OTHERS:  # of a sample that does not count they do not matter
        same(
            replace(metric, ignore_index=-100)(NUMPY, scores, ids),
            metric(NUMPY, np.delete(scores, 5, 0), np.delete(IDS, 5)),
        )


def test_regressions_of_an_infinite_target():
    y = np.array([[1.0], [np.inf]])
    with np.errstate(invalid="ignore"):
        assert math.isnan(R2()(NUMPY, np.zeros((2, 1)), y))


@pytest.mark.parametrize("ignored", [None, 1, -100])
@pytest.mark.parametrize("kind", [SoftmaxCrossEntropy, Focal, NegativeLogLikelihood])
def test_an_evaluation_says_what_the_metric_says(kind, ignored):
    layers = [xpnn.Dense(4)] + ([xpnn.LogSoftmax()] if kind is NegativeLogLikelihood else [])
    model = xpnn.Model(layers, (4,), seed=0, dtype="float64", loss=kind(ignore_index=ignored))
    ids = np.where(LEFT_OUT, -100, IDS) if ignored == -100 else IDS
    found, z = model.evaluate(SCORES, ids), model.forward(SCORES)
    assert found["accuracy"] == Accuracy(ignore_index=ignored)(NUMPY, z, ids)
    if kind is not Focal:
        assert found["loss"] == pytest.approx(LogLoss(ignore_index=ignored)(NUMPY, z, ids), rel=1e-12)
    if ignored == -100:
        nothing = np.full(12, -100)
        assert math.isnan(model.evaluate(SCORES, nothing)["accuracy"])
        assert math.isnan(Accuracy(ignore_index=-100)(NUMPY, z, nothing))


@pytest.mark.parametrize("shape", [(12,), (12, 1), (12, 3)], ids=str)
@pytest.mark.parametrize("name", ["accuracy", "f1", "log_loss"])
def test_an_evaluation_of_yes_and_no_in_any_form(name, shape):
    """Labels in a row, in a column, and several of each sample: against the metric of both scores, one by one."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((12, 4)), rng.permutation(np.arange(math.prod(shape)) % 2).reshape(shape)
    layers = [xpnn.Dense(shape[-1] if len(shape) > 1 else 1)]
    model = xpnn.Model(layers, (4,), seed=0, dtype="float64", loss="binary_cross_entropy")
    z, metric = model.forward(x).reshape(-1), {type(m).__name__: m for m in METRICS}
    metric = metric[{"accuracy": "Accuracy", "f1": "F1", "log_loss": "LogLoss"}[name]]
    wanted = metric(NUMPY, np.stack([np.zeros_like(z), z], axis=-1), y.reshape(-1))
    assert model.evaluate(x, y, metrics=[metric])[name] == pytest.approx(wanted, rel=1e-12)


# The ends of float64


def log_odds(row, logits):
    """log(p_c / sum of the others) of each class with 60 digits and any exponent; -inf where p is 0."""
    with decimal.localcontext(prec=60, Emin=-(10**17), Emax=10**17):
        p = [decimal.Decimal(float(s)).exp() if logits else decimal.Decimal(float(s)) for s in row]
        rest = [sum(p[:c] + p[c + 1 :], decimal.Decimal(0)) for c in range(len(p))]
        infinite = decimal.Decimal("Infinity")
        return [
            (a / b).ln() if a and b else (-infinite if not a else infinite)
            for a, b in zip(p, rest, strict=True)
        ]


def area(odds, positive):
    """Pair by pair."""
    pairs = [(a > b) + (a == b) / 2 for a, y in zip(odds, positive, strict=True) if y
             for b, n in zip(odds, positive, strict=True) if not n]  # fmt: skip
    return np.mean(pairs)


def precision(odds, positive):
    """Threshold by threshold."""
    total, value = 0, 0.0
    for t in sorted(set(odds), reverse=True):
        taken = [y for a, y in zip(odds, positive, strict=True) if a >= t]
        value += (sum(taken) - total) / sum(positive) * sum(taken) / len(taken)
        total = sum(taken)
    return value


def random_scores(largest, n=60, classes=4):
    """Logits up to about `largest`, and ids."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, classes, n)
    return largest * (rng.normal(size=(n, classes)) / 3 + 0.2 * np.eye(classes)[ids]), ids


@pytest.mark.against("formula")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("case", ["1", "50", "750", "5000", "1e15", "tiny", "ruled out"])
def test_the_order_of_scores_far_apart(case, classes):
    logits = case[0].isdigit()
    if logits:
        scores, ids = random_scores(float(case), classes=classes)
    else:
        z, ids = random_scores(600, classes=classes)
        scores = np.exp(z - z.max(1, keepdims=True) - (60 if case == "tiny" else 0))
        scores = scores / scores.sum(1, keepdims=True) if case != "tiny" else scores
        scores[scores < 1e-305] = 1e-305 if case == "tiny" else 0.0
    odds = np.array([log_odds(row, logits) for row in scores])
    columns = range(1, 2) if classes == 2 else range(classes)
    for metric, curve in ((ROCAUC(None, logits), area), (AveragePrecision(None, logits), precision)):
        wanted = [curve(odds[:, c], ids == c) for c in columns]
        for name in NAMES:
            be = get_backend(name, None, "float64")
            with be.device_context():
                got = metric(be, be.asarray(scores), be.asarray(ids))
            np.testing.assert_allclose(got, wanted if classes > 2 else wanted[0], rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_infinite_logits_are_first_or_last_in_the_order(name):
    """On either side of two classes; against the same scores with large numbers in their place."""
    be = get_backend(name, None, "float64")
    scores = np.array([np.inf, 3.0, -np.inf, 0.5, 0.5, -1.0, np.inf, -np.inf])
    ids = np.array([1, 0, 0, 1, 0, 1, 0, 1])
    other = np.zeros_like(scores)
    with be.device_context():
        for z in (np.stack([other, scores], 1), np.stack([-scores, other], 1), scores):
            for metric, curve in ((ROCAUC(), area), (AveragePrecision(), precision)):
                wanted = curve(np.nan_to_num(scores, posinf=9.0, neginf=-9.0), ids == 1)
                same(metric(be, be.asarray(z), be.asarray(ids)), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_one_probability_next_to_0(name):
    be = get_backend(name, None, "float64")
    p, ids = np.array([1e-305, 1e-301, 0.0, 1e-307, 0.5]), np.array([0, 1, 0, 0, 1])
    with be.device_context():
        assert ROCAUC(logits=False)(be, be.asarray(p), be.asarray(ids)) == 1.0
        assert ROCAUC(logits=False)(be, be.asarray(p[:, None]), be.asarray(ids)) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_confidences_that_rounding_has_put_outside(name):
    """1.0000001 is in the last bin, 0 in the first; sums stay float64 in a model of float32."""
    be = get_backend(name, None, "float32")
    sure = np.zeros((3, 2), np.float32)
    for _ in range(10):
        sure += np.float32([[1.0, 0.0]]) * np.float32(0.1)
    assert sure[0, 0] > 1
    with be.device_context():
        metric = CalibrationError(logits=False)
        assert metric(be, be.asarray(sure), be.asarray(np.zeros(3, int))) == pytest.approx(0, abs=1e-6)
        assert metric(be, be.asarray(sure), be.asarray(np.array([0, 1, 1]))) == pytest.approx(2 / 3, abs=1e-6)
        none = be.asarray(np.zeros((2, 3), np.float32))
        assert metric(be, none, be.asarray(np.array([0, 1]))) == 0.5


def test_perplexity_of_the_impossible():
    certain = np.array([[0.0, -np.inf], [0.0, -1e300]])
    assert Perplexity()(NUMPY, certain, np.array([0, 0])) == 1
    assert Perplexity()(NUMPY, certain, np.array([1, 0])) == math.inf


@pytest.mark.parametrize("name", NAMES)
def test_infinite_logits_are_certain(name):
    """As the same scores with 800 in place of infinity, where e^-800 is 0 in float64; two of them share."""
    be = get_backend(name, None, "float64")
    z, ids = (
        np.array([[np.inf, 0, 1], [0.5, np.inf, -np.inf], [np.inf, 0, np.inf], [0, 1, -np.inf]]),
        [0, 1, 2, 1],
    )
    finite = np.nan_to_num(z, posinf=800, neginf=-800)
    with be.device_context():
        ids = be.asarray(np.array(ids))
        for metric in (LogLoss(), CalibrationError()):
            same(metric(be, be.asarray(z), ids), metric(be, be.asarray(finite), ids))
        assert LogLoss()(be, be.asarray(z[:1]), ids[1:2]) == math.inf


OF_PROBABILITIES = [
    metric(logits=False) for metric in (LogLoss, Perplexity, CalibrationError, ROCAUC, AveragePrecision)
]


@pytest.mark.parametrize("metric", OF_PROBABILITIES, ids=repr)
def test_logits_are_not_taken_for_probabilities(metric):
    """Which 0 to 1 tells; what rounding has put a little outside is one, and so is anything that does not count."""
    p, ids = np.array([[0.2, 0.8], [1.0000001, -1e-9], [0.4, 0.6]]), np.array([1, 0, 1])
    value = metric(NUMPY, p, ids)
    assert np.isfinite(value)
    for at, bad in (((1, 0), 3.5), ((2, 1), -0.5), ((0, 0), np.inf)):
        wrong = p.copy()
        wrong[at] = bad
        with pytest.raises(DataError, match=rf"score \({at[0]}, {at[1]}\) is {bad}\n.*from 0 to 1"):
            metric(NUMPY, wrong, ids)
        left_out = np.where(np.arange(3) == at[0], -100, ids)
        same(
            replace(metric, ignore_index=-100)(NUMPY, wrong, left_out),
            replace(metric, ignore_index=-100)(NUMPY, p, left_out),
        )


def test_perplexity_is_at_least_1():
    assert Perplexity(logits=False)(NUMPY, np.array([[1.0000001, 0.0]]), np.array([0])) == 1

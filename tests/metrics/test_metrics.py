"""Metrics: worked cases, ties, absent classes, counts that add up over batches on every backend, and scikit-learn."""

import numpy as np
import pytest
from comparison import NAMES
from proof_table import used

from xpnn import metrics
from xpnn.backends import get_backend
from xpnn.errors import ShapeError, UsageError
from xpnn.metrics import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK

SKLEARN = 1e-15
"""Ratios of the same integers."""

NUMPY = get_backend("numpy", None, "float64")
AVERAGES = ("macro", "micro", "weighted", None)
METRICS = [Accuracy(), TopK(1), TopK(2), TopK(), ConfusionMatrix()]
METRICS += [metrics.CohenKappa(), metrics.MatthewsCorrelation()]
METRICS += [kind(average) for kind in (Precision, Recall, F1) for average in AVERAGES]


def scored(rng, n=200, classes=6, absent=()):
    """Random scores and ids, right a little more often than not; `absent` classes occur in neither."""
    kept = [c for c in range(classes) if c not in absent]
    ids = rng.choice(kept, n)
    scores = rng.standard_normal((n, classes))
    scores[np.arange(n), ids] += 1.0
    scores[:, list(absent)] = -100.0
    return scores, ids


def test_every_metric_has_a_row():
    public = {v for v in vars(metrics).values() if isinstance(v, type) and issubclass(v, metrics.Metric)}
    elsewhere = {
        metrics.MAE,
        metrics.MSE,
        metrics.R2,
        metrics.ROCAUC,
        metrics.AveragePrecision,
        metrics.LogLoss,
    }
    elsewhere |= {metrics.Perplexity, metrics.CalibrationError}  # test_metrics_of_scores.py
    assert public - {metrics.Metric} - elsewhere == {type(metric) for metric in METRICS}


# Worked cases

TRUTH, DECIDED = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 2, 3])
MATRIX = [[2, 1, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 0]]
# Class 2 is decided but never true, class 4 is neither.
WORKED = [
    (Accuracy(), 4 / 6),
    (ConfusionMatrix(), MATRIX),
    (Precision(None), [1, 1 / 2, 0, 1, 0]),
    (Recall(None), [2 / 3, 1 / 2, 0, 1, 0]),
    (F1(None), [4 / 5, 1 / 2, 0, 1, 0]),
    (Precision(), (1 + 1 / 2 + 0 + 1) / 4),
    (Recall(), (2 / 3 + 1 / 2 + 0 + 1) / 4),
    (F1("micro"), 4 / 6),
    (Precision("weighted"), (3 * 1 + 2 / 2 + 1) / 6),
    (F1("weighted"), (3 * 4 / 5 + 2 / 2 + 1) / 6),
]


@pytest.mark.parametrize(("metric", "wanted"), WORKED, ids=str)
def test_worked_by_hand(metric, wanted):
    assert metric(NUMPY, np.eye(5)[DECIDED], TRUTH) == pytest.approx(np.asarray(wanted), abs=SKLEARN)


def test_equal_scores_go_to_the_lower_class():
    """As argmax does, so that TopK(1) is Accuracy."""
    scores = np.array([[1.0, 1.0, 1.0, 0.0]] * 4)
    ids = np.arange(4)
    assert [TopK(k)(NUMPY, scores, ids) for k in (1, 2, 3, 4, 9)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert Accuracy()(NUMPY, scores, ids) == TopK(1)(NUMPY, scores, ids)


def test_classes_that_cannot_be():
    """A score of -inf is a class ruled out, of the true one too; NaN never makes a hit."""
    scores, ids = (
        np.array([[-np.inf, 2.0, 1.0], [3.0, -np.inf, 1.0], [0.0, 1.0, np.nan]]),
        np.array([2, 1, 2]),
    )
    assert [TopK(k).result(TopK(k).count(NUMPY, scores, ids)) for k in (1, 2, 3)] == [0, 1 / 3, 2 / 3]
    assert [TopK(k)(NUMPY, scores[:2], ids[:2]) for k in (1, 2, 3)] == [0, 1 / 2, 1]


def test_bad_settings():
    with pytest.raises(UsageError, match=r"TopK\(k=0\)"):
        TopK(0)
    for kind in (Precision, Recall, F1):
        with pytest.raises(UsageError, match="average='mean'"):
            kind("mean")


# Adding up


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("metric", METRICS, ids=str)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "jax"])  # see test_optimizer_rows.py
def test_counts_add_up_over_uneven_batches_on_every_backend(name, metric, dtype):
    be = get_backend(name, None, dtype)
    scores, ids = scored(np.random.default_rng(0))
    scores = np.round(scores, 1).astype(dtype)  # with ties
    wanted = metric.count(NUMPY, scores.astype(np.float64), ids)
    total = 0
    with be.device_context():
        for rows in np.split(np.arange(200), [1, 70, 133]):
            counts = metric.count(be, be.asarray(scores[rows]), be.asarray(ids[rows]))
            assert str(counts.dtype).endswith("int64")
            total = total + be.to_numpy(counts)
        whole = metric(be, be.asarray(scores), be.asarray(ids))
    assert np.array_equal(total, wanted)
    assert np.array_equal(metric.result(total), whole)
    assert np.array_equal(metric.result(wanted), whole)


def test_result_is_a_plain_number():
    scores, ids = scored(np.random.default_rng(1))
    for metric in METRICS:
        result = metric(NUMPY, scores, ids)
        assert isinstance(
            result, np.ndarray if getattr(metric, "average", metric) in (None, ConfusionMatrix()) else float
        )


# scikit-learn


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics")


@pytest.mark.oracle
@pytest.mark.against("scikit-learn")
@pytest.mark.parametrize("absent", [(), (2,), (0, 5)], ids=str)
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("kind", [Precision, Recall, F1])
def test_precision_recall_f1_equal_scikit_learn(sklearn, kind, average, absent):
    theirs = {Precision: sklearn.precision_score, Recall: sklearn.recall_score, F1: sklearn.f1_score}[kind]
    scores, ids = scored(np.random.default_rng(2), absent=absent)
    if absent:  # of two absent classes one is decided now and then
        scores[::7, absent[0]] = 100.0
    decided = scores.argmax(axis=1)
    labels = np.arange(6) if average is None else None
    wanted = theirs(ids, decided, average=average, labels=labels, zero_division=0)
    assert kind(average)(NUMPY, scores, ids) == pytest.approx(wanted, abs=SKLEARN)


@pytest.mark.oracle
@pytest.mark.against("scikit-learn")
@pytest.mark.parametrize("absent", [(), (2,), (0, 5)], ids=str)
def test_counts_equal_scikit_learn(sklearn, absent):
    scores, ids = scored(np.random.default_rng(3), absent=absent)
    decided, labels = scores.argmax(axis=1), np.arange(6)
    for metric in (ConfusionMatrix(), Accuracy(), *(TopK(k) for k in range(1, 6) if not absent)):
        used(metric)
    assert np.array_equal(
        ConfusionMatrix()(NUMPY, scores, ids), sklearn.confusion_matrix(ids, decided, labels=labels)
    )
    assert Accuracy()(NUMPY, scores, ids) == sklearn.accuracy_score(ids, decided)
    if not absent:  # without ties; scikit-learn breaks them the other way
        for k in range(1, 6):
            wanted = sklearn.top_k_accuracy_score(ids, scores, k=k, labels=labels)
            assert TopK(k)(NUMPY, scores, ids) == pytest.approx(wanted, abs=SKLEARN)


@pytest.mark.parametrize("metric", [Accuracy(), TopK(2), ConfusionMatrix(), F1()], ids=str)
@pytest.mark.parametrize(
    "shapes", [((6, 3), (6, 1)), ((6, 3), (1,)), ((6,), (6,)), ((6, 3), (6, 3)), ((6, 2, 3), (6, 3))]
)
def test_nothing_is_broadcast(metric, shapes):
    scores, ids = np.ones(shapes[0]), np.zeros(shapes[1], int)
    with pytest.raises(ShapeError, match="nothing is broadcast"):
        metric(NUMPY, scores, ids)

"""Metrics by name, and their counts by hand where a bound decides: ties, bins, rounding, what is left out."""

import math

import numpy as np
import pytest

import xpnn
from xpnn import losses, metrics
from xpnn.backends import get_backend
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.metrics import by_name, metric, ranking, regression

BE = get_backend("numpy", None, "float64")
SCORES = np.array([[2.0, 1, 0], [1, 1, 0], [0, 3, 3], [5, 0, 1]])


def test_every_name():
    assert {name: cls.__name__ for name, cls in by_name.NAMES.items()} == {
        "accuracy": "Accuracy", "average_precision": "AveragePrecision", "calibration_error": "CalibrationError",
        "cohen_kappa": "CohenKappa", "confusion_matrix": "ConfusionMatrix", "f1": "F1", "log_loss": "LogLoss",
        "mae": "MAE", "matthews_correlation": "MatthewsCorrelation", "mse": "MSE", "perplexity": "Perplexity",
        "precision": "Precision", "r2": "R2", "recall": "Recall", "rocauc": "ROCAUC", "top_k": "TopK",
    }  # fmt: skip


def worst(y, predicted):
    return float(np.abs(y - predicted).max())


def test_metrics_that_are_asked_for():
    top, f1 = metrics.TopK(3), metrics.F1()
    assert by_name.as_metrics(["accuracy", "f1", "loss", top, worst]) == {
        "f1": f1,
        "top_k": top,
        "worst": worst,
    }
    assert by_name.as_metrics(()) == by_name.as_metrics({}) == {}
    assert by_name.as_metrics({"a": "f1", 3: top, "accuracy": worst}) == {
        "a": f1,
        "3": top,
        "accuracy": worst,
    }
    assert by_name.as_metrics({"top1": metrics.TopK(1), "top2": metrics.TopK(2)})["top2"] == metrics.TopK(2)


@pytest.mark.parametrize(
    ("given", "words", "fix"),
    [
        ("f1", "metrics='f1'", "a list, such as"),
        (metrics.F1(), "metrics=F1", "a list, such as"),
        (3, "metrics=3", "a list, such as"),
        (["f1", metrics.F1()], "two metrics are called 'f1'", "top3"),
        (["recal"], "unknown metric 'recal'", "did you mean 'recall'"),
        ([metrics.F1], "F1 is a class", "F1(), an object"),
        ([3], "3 is no metric", "an object of xpnn.metrics"),
        ({"a": "f2"}, "unknown metric 'f2'", "one of: top_k, "),
    ],
)
def test_unknown_metrics_are_refused(given, words, fix):
    with pytest.raises(UsageError, match=words) as caught:
        by_name.as_metrics(given)
    assert fix in caught.value.fix


def test_what_a_function_is_given():
    seen = []

    def keep(y, predicted):
        seen.append((y.tolist(), predicted.tolist()))
        return 7.0

    ids, column = np.array([0, 1, 2, 0]), np.array([[0.0], [1], [1], [0]])
    cross, binary, square = (
        losses.SoftmaxCrossEntropy(),
        losses.BinaryCrossEntropy(),
        losses.MeanSquaredError(),
    )
    assert by_name.values(BE, cross, "logits", SCORES, ids, {"a": keep}) == {"a": 7.0}
    by_name.values(BE, cross, "logits", SCORES, np.eye(3)[ids], {"a": keep})
    by_name.values(BE, binary, "logits", column - 0.5, column, {"a": keep})
    by_name.values(BE, square, None, column + 0.5, column, {"a": keep})
    by_name.values(BE, square, None, SCORES, SCORES, {"a": keep})
    assert seen[:2] == [([0, 1, 2, 0], [0, 0, 1, 0])] * 2
    assert seen[2:4] == [([0, 1, 1, 0], [0, 1, 1, 0]), ([0, 1, 1, 0], [0.5, 1.5, 1.5, 0.5])]
    assert seen[4] == (SCORES.tolist(), SCORES.tolist())
    assert by_name.values(BE, square, None, (SCORES, SCORES), SCORES, {}) == {}


def test_metrics_take_what_the_loss_and_the_network_say():
    ids, p = np.array([0, 1, -1, 0]), np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1], [1.0, 0.0]])
    loss = losses.NegativeLogLikelihood(ignore_index=-1)
    found = by_name.values(
        BE, loss, "probabilities", p, ids, {"l": metrics.LogLoss(), "k": metrics.LogLoss(logits=False)}
    )
    assert found["l"] == found["k"] == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 3)
    own = metrics.Accuracy(ignore_index=1)
    with pytest.raises(DataError, match="id 2 is -1"):
        by_name.values(BE, loss, "logits", p, ids, {"a": own})
    binary = losses.BinaryCrossEntropy()
    logits, truth = np.array([-1.0, 2.0, 3.0]), np.array([0, 0, 1])
    for shape in ((3,), (3, 1)):
        counts = by_name.values(
            BE,
            binary,
            "logits",
            logits.reshape(shape),
            truth.reshape(shape),
            {"c": metrics.ConfusionMatrix()},
        )
        assert counts["c"].tolist() == [[1, 1], [0, 1]]


@pytest.mark.parametrize(("k", "wanted"), [(1, [1, 4]), (2, [3, 4]), (3, [4, 4])])
def test_ranks_of_equal_scores(k, wanted):
    """Of equal scores the lower class comes first: the ranks of the true classes are 0, 1, 1 and 2."""
    ids = np.array([0, 1, 2, 1])
    assert metrics.TopK(k).count(BE, SCORES, ids).tolist() == wanted
    assert metrics.TopK(k, ignore_index=2).count(BE, SCORES, ids).tolist() == [wanted[0] - (k > 1), 3]


def test_counts_of_decisions():
    ids = np.array([0, 1, 2, 0])
    assert metrics.Accuracy().count(BE, SCORES, ids).tolist() == [2, 4]
    assert metrics.Accuracy(ignore_index=0).count(BE, SCORES, ids).tolist() == [0, 2]
    matrix = metrics.ConfusionMatrix().count(BE, SCORES, ids)
    assert matrix.tolist() == [[2, 0, 0], [1, 0, 0], [0, 1, 0]]
    for cls, each in (
        (metrics.Precision, [2 / 3, 0, 0]),
        (metrics.Recall, [1, 0, 0]),
        (metrics.F1, [4 / 5, 0, 0]),
    ):
        assert cls(average=None).result(matrix).tolist() == pytest.approx(each)
        assert cls().result(matrix) == pytest.approx(sum(each) / 3)
        assert cls(average="weighted").result(matrix) == pytest.approx(each[0] * 2 / 4)
        assert cls(average="micro").result(matrix) == pytest.approx(2 / 4)
    absent = np.array([[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert metrics.Recall().result(absent) == pytest.approx(1 / 2)
    for average in ("macro", "weighted", "micro"):
        assert metrics.F1(average=average).result(absent * 0) == 0.0


def test_agreement_of_two_by_two():
    counts = np.array([[20, 5], [10, 15]])
    assert metrics.CohenKappa().result(counts) == pytest.approx((0.7 - 0.5) / 0.5)
    wanted = (20 * 15 - 5 * 10) / math.sqrt(25 * 25 * 30 * 20)
    assert metrics.MatthewsCorrelation().result(counts) == pytest.approx(wanted)
    assert math.isnan(metrics.CohenKappa().result(np.array([[4, 0], [0, 0]])))
    assert metrics.MatthewsCorrelation().result(np.array([[4, 0], [3, 0]])) == 0.0


def test_probabilities_at_the_ends():
    loss, ids = metrics.LogLoss(logits=False), np.array([0])
    for p, wanted in (
        (0.0, 52 * math.log(2)),
        (1.0005, 0.0),
        (2.0**-52, 52 * math.log(2)),
        (2.0**-51, 51 * math.log(2)),
    ):
        assert loss(BE, np.array([[p, 1 - p]]), ids) == pytest.approx(wanted, abs=1e-12)
    perplexity = metrics.Perplexity()
    assert perplexity.result(np.array([709.0, 1.0])) == math.inf
    assert perplexity.result(np.array([708.0, 1.0])) == pytest.approx(math.exp(708))
    assert perplexity.result(np.array([0.0, 3.0])) == 1.0
    assert math.isnan(perplexity.result(np.array([0.0, 0.0])))


def test_which_scores_are_probabilities():
    given, ids = metrics.LogLoss(logits=False), np.array([0, 1])
    given(BE, np.array([[-0.001, 1.001], [0.0, 1.0]]), ids)
    for p, place in (
        ([[0.0, 1.0], [-0.0011, 1.0]], "(1, 0) is -0.0011"),
        ([[0.0, 1.0011], [0.0, 1.0]], "(0, 1) is 1.0011"),
    ):
        with pytest.raises(DataError) as caught:
            given(BE, np.array(p), ids)
        assert (caught.value.what, caught.value.fix) == (f"LogLoss: score {place}", "LogLoss() for logits")
    left = metrics.LogLoss(logits=False, ignore_index=1)
    left(BE, np.array([[0.5, 0.5], [7.0, 1.0]]), ids)
    area = metrics.ROCAUC(logits=False, ignore_index=1)
    area(BE, np.array([0.5, 7.0]), ids)
    with pytest.raises(DataError, match=r"ROCAUC: score 1 is 7.0"):
        metrics.ROCAUC(logits=False)(BE, np.array([0.5, 7.0]), ids)


def test_bins_of_confidence():
    """Bin b of 4 holds (b / 4, (b + 1) / 4], the first also 0, the last what rounding has put above 1."""
    p = np.array([[0.0, -0.5], [0.25, 0.0], [0.26, 0.0], [0.5, 0.4], [0.75, 0.2], [1.0, 0.0], [1.0005, 0.0]])
    ids = np.array([0, 0, 1, 0, 1, 0, 0])
    samples, hits, confidence = metrics.CalibrationError(4, logits=False).count(BE, p, ids)
    assert samples.tolist() == [2, 2, 1, 2]
    assert hits.tolist() == [2, 1, 0, 2]
    np.testing.assert_allclose(confidence, [0.25, 0.76, 0.75, 2.0005])
    found = metrics.CalibrationError(4, logits=False).result((samples, hits, confidence))
    assert found == pytest.approx((1.75 + 0.24 + 0.75 + 0.0005) / 7)
    kept = metrics.CalibrationError(4, logits=False, ignore_index=1).count(BE, p, ids)
    assert kept[0].tolist() == [2, 1, 0, 2]


def test_a_place_is_written_as_an_index():
    assert [metric.where(np.array(index)) for index in ([3], [3, 1], [0, 0, 2])] == [
        "3",
        "(3, 1)",
        "(0, 0, 2)",
    ]
    assert metric.mean_of(3, 4) == 0.75
    assert math.isnan(metric.mean_of(0, 0))


def test_ids_and_scores_that_are_named():
    accuracy = metrics.Accuracy()
    with pytest.raises(DataError) as caught:
        accuracy(BE, SCORES, np.array([0, 1, -3, 7]))
    assert (caught.value.what, caught.value.why, caught.value.fix) == (
        "Accuracy: id 2 is -3", "with scores of 3 classes the ids are 0 to 2",
        "Accuracy(ignore_index=-3) leaves those samples out",
    )  # fmt: skip
    with pytest.raises(DataError) as caught:
        accuracy(BE, SCORES, np.array([0, 1, 3, 0]))
    assert (caught.value.what, caught.value.fix) == ("Accuracy: id 2 is 3", "")
    spoilt = SCORES.copy()
    spoilt[1, 2] = np.nan
    with pytest.raises(DataError, match="the scores of sample 1 hold NaN"):
        accuracy(BE, spoilt, np.array([0, 1, 2, 0]))
    assert metrics.Accuracy(ignore_index=1)(BE, spoilt, np.array([0, 1, 2, 0])) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match=r"id \(1, 0\) is 9"):
        accuracy(BE, SCORES.reshape(2, 2, 3), np.array([[0, 1], [9, 0]]))
    for scores, ids in (
        (SCORES, np.zeros(3, int)),
        (SCORES[:, 0], np.zeros(4, int)),
        (SCORES, np.zeros((4, 1), int)),
    ):
        with pytest.raises(ShapeError, match=r"Accuracy: scores \(4.* and ids \("):
            accuracy(BE, scores, ids)
    for scores, ids in (
        (SCORES, np.zeros(3, int)),
        (SCORES[None], np.zeros(1, int)),
        (SCORES, np.zeros((4, 1), int)),
    ):
        with pytest.raises(ShapeError, match=r"ROCAUC: scores .* and ids \("):
            metrics.ROCAUC()(BE, scores, ids)


def test_curves_from_counts():
    """Of three scores, lowest first: negatives 2, 1, 0 and positives 0, 1, 2."""
    negative, positive = np.array([2, 1, 0]), np.array([0, 1, 2])
    assert metrics.ROCAUC().curve(negative, positive) == pytest.approx((1 * 2.5 + 2 * 3) / 9)
    assert metrics.AveragePrecision().curve(negative, positive) == pytest.approx(2 / 3 * 1 + 1 / 3 * 3 / 4)
    nothing = np.zeros(3, int)
    for cls in (metrics.ROCAUC, metrics.AveragePrecision):
        assert math.isnan(cls().curve(negative, nothing))
        assert math.isnan(cls().of_class(np.array([0.0, np.nan]), np.array([True, False])))
    assert math.isnan(metrics.ROCAUC().curve(nothing, positive))
    three = metrics.ROCAUC(average=None)(BE, np.eye(3)[[0, 1, 1]], np.array([0, 1, 1]))
    assert three[:2].tolist() == [1.0, 1.0]
    assert math.isnan(three[2])
    assert metrics.ROCAUC()(BE, np.eye(3)[[0, 1, 1]], np.array([0, 1, 1])) == 1.0
    assert isinstance(metrics.ROCAUC(average=None)(BE, np.array([0.0, 1.0]), np.array([0, 1])), float)


def test_log_odds():
    p = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    found = ranking.log_odds(BE, p, logits=False)
    np.testing.assert_allclose(found[0], np.log(p[0] / (1 - p[0])), rtol=1e-12)
    assert found[1].tolist() == [math.inf, -math.inf, -math.inf]
    two = ranking.log_odds(BE, np.array([[1.0, 3.5]]), logits=True)
    assert two.tolist() == [[2.5]]
    for column in (np.array([0.25, 1.0005, -0.0005]), np.array([[0.25], [1.0005], [-0.0005]])):
        assert ranking.log_odds(BE, column, logits=False)[:, 0].tolist() == [
            pytest.approx(-math.log(3)),
            math.inf,
            -math.inf,
        ]
        assert ranking.log_odds(BE, column, logits=True)[:, 0].tolist() == column.reshape(-1).tolist()


def test_errors_of_real_numbers():
    prediction, target = np.array([[1.0, 2], [3, 6]]), np.array([[1.0, 4], [2, 8]])
    assert metrics.MAE().count(BE, prediction, target).tolist() == [5, 4]
    assert metrics.MSE().count(BE, prediction, target).tolist() == [9, 4]
    one = metrics.R2().count(BE, prediction, target)
    assert one.tolist() == [[2, 2], [1.5, 6], [0.5, 8], [1, 8]]
    assert metrics.R2().result(one) == pytest.approx((-1 + 0) / 2)
    two = metrics.R2().count(BE, prediction[:1] * 0, np.array([[4.5, 0.0]]))
    both = metrics.R2().merge(BE, one, two)
    np.testing.assert_allclose(both, [[3, 3], [2.5, 4], [6.5, 32], [1 + 4.5**2, 8]])
    none = metrics.R2().count(BE, prediction[:0], target[:0])
    np.testing.assert_array_equal(metrics.R2().merge(BE, none, one), one)
    assert none.tolist() == [[0, 0]] * 4
    assert math.isnan(metrics.R2().result(none))
    same = np.full((3, 2), 7.0)
    assert metrics.R2()(BE, same, same) == 1.0
    assert metrics.R2()(BE, same + np.array([0.0, 1.0]), same) == 0.5
    with pytest.raises(ShapeError, match=r"predictions \(2, 2\) and targets \(2,\) differ in shape"):
        regression.doubles(BE, prediction, target[:, 0])
    assert regression.doubles(BE, prediction.astype("f4"), target.astype("i4"))[1].dtype == np.float64


def test_positions_count_as_samples_do():
    model = xpnn.Model([xpnn.Dense(3)], (2, 4), seed=0, dtype="float64")
    x, y = np.sin(np.arange(40.0)).reshape(5, 2, 4), np.arange(10).reshape(5, 2) % 3
    found = model.evaluate(x, y, metrics=["f1"])
    flat = xpnn.Model([xpnn.Dense(3)], (4,), seed=0, dtype="float64")
    flat.restore(model.snapshot())
    assert found["f1"] == flat.evaluate(x.reshape(10, 4), y.reshape(10), metrics=["f1"])["f1"]

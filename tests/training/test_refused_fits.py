"""What a training and an evaluation refuse, and by which words."""

import numpy as np
import pytest

import xpnn
from xpnn.errors import DataError, UsageError

X, Y = np.eye(4, 3, dtype=np.float32), np.array([0, 1, 0, 1])


@pytest.fixture
def model():
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda m: m.fit(X, Y, metrics=["f1"], verbose=0), UsageError, "metrics without validation samples"),
    (lambda m: m.evaluate(iter([])), DataError, "the iterable gave no batches to evaluate"),
    (lambda m: m.evaluate(X), UsageError, "a ndarray and no y"),
    (lambda m: m.evaluate({"x": X}), UsageError, "a dict and no y"),
    (lambda m: m.evaluate("x"), UsageError, "a str and no y"),
    (lambda m: m.evaluate(3), UsageError, "a int and no y"),
    (lambda m: m.evaluate(iter([(X,)])), DataError, "batch 1 is 1 parts"),
    (lambda m: m.evaluate(iter([(X, Y), X])), DataError, "batch 2 is a ndarray"),
    (lambda m: m.evaluate(X, Y, metrics="f1"), UsageError, "metrics='f1'"),
    (lambda m: m.evaluate(X, Y, metrics=["f2"]), UsageError, "unknown metric 'f2'"),
    (lambda m: m.evaluate(X, Y, metrics=[xpnn.metrics.F1]), UsageError, "F1 is a class"),
    (lambda m: m.evaluate(X, Y, metrics=[3]), UsageError, "3"),
    (lambda m: m.fit(X, Y, epochs=0, verbose=0), UsageError, "epochs=0"),
    (lambda m: m.fit(X, Y, batch_size=0, verbose=0), UsageError, "batch_size=0"),
    (lambda m: m.fit(X, Y, validation=1.0, verbose=0), UsageError, "cannot hold out 1.0 of 4 samples"),
    (lambda m: m.fit(X, Y, sample_weight=[1, -1, 1, 1], verbose=0), DataError, "sample_weight[1] is -1"),
    (lambda m: m.fit(X, Y, sample_weight=[0] * 4, verbose=0), DataError, "every sample_weight is 0"),
    (lambda m: m.fit(X, Y, sample_weight=[1, 1, 1e39, 1], verbose=0), DataError, "[2] is 1e+39, too large for float32"),
    (lambda m: m.predict(np.full((2, 3), np.inf)), DataError, "x[0] holds NaN or infinity"),
    (lambda m: m.predict(np.array([[0.0, 0, 0], [0, np.nan, 0]])), DataError, "x[1] holds NaN or infinity"),
    (lambda m: m.predict(np.full((1, 3), 1e300)), DataError, "too large for float32|(as float32)"),
])  # fmt: skip
def test_what_is_refused(model, call, error, words):
    with pytest.raises(error) as caught:
        call(model)
    assert any(part in str(caught.value) for part in words.split("|")), str(caught.value)


def test_metrics_that_were_measured_anyway_and_metrics_by_name(model):
    found = model.evaluate(X, Y, metrics=["accuracy", "f1"])
    assert set(found) == {"loss", "accuracy", "f1"}
    named = model.evaluate(X, Y, metrics={"mine": xpnn.metrics.F1()})
    assert named["mine"] == found["f1"]


@pytest.mark.oracle
def test_an_estimator_that_goes_on_keeps_its_labels():
    pytest.importorskip("sklearn")
    from xpnn.sklearn import Classifier

    made = Classifier(hidden=(3,), epochs=1, warm_start=True).fit(X, Y)
    with pytest.raises(UsageError, match=r"warm_start=True with the labels \[0, 2\]") as caught:
        made.fit(X, 2 * Y)
    assert caught.value.why == "the network was made for [0, 1]"
    made.fit(X, np.zeros(4, int) + (np.arange(4) == 2))


def several():
    nodes = {"a": (xpnn.Dense(2), "x"), "b": (xpnn.Dense(1), "x")}
    loss = xpnn.losses.MultiOutputLoss(["softmax_cross_entropy", "mse"])
    return xpnn.Model(xpnn.Graph("x", nodes, ("a", "b")), (3,), loss=loss, seed=0)


def test_metrics_of_several_outputs():
    with pytest.raises(UsageError, match="metrics for a network of several outputs"):
        several().evaluate(X, (Y, Y[:, None].astype(float)), metrics=["f1"])


def test_several_outputs_in_several_batches():
    model = several()
    for a, b in zip(model.outputs(X, batch_size=3), model.outputs(X), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-6)


def test_metrics_of_classes_where_there_are_none():
    model = xpnn.Model([xpnn.Dense(1)], (3,), loss="mse", seed=0)
    with pytest.raises(UsageError, match="F1 compares classes, and MeanSquaredError has none") as caught:
        model.evaluate(X, Y[:, None].astype(float), metrics=["f1"])
    assert caught.value.fix == "MAE, MSE or R2"


@pytest.mark.parametrize("metric", [xpnn.metrics.F1(), xpnn.metrics.CohenKappa()])
def test_a_metric_leaves_out_what_the_loss_leaves_out(metric):
    loss = xpnn.losses.SoftmaxCrossEntropy(ignore_index=-1)
    model, y = xpnn.Model([xpnn.Dense(2)], (3,), loss=loss, seed=1), np.array([0, 1, -1, 1])
    kept = y >= 0
    (name,) = set(model.evaluate(X, y, metrics=[metric])) - {"loss", "accuracy"}
    assert (
        model.evaluate(X, y, metrics=[metric])[name]
        == model.evaluate(X[kept], y[kept], metrics=[metric])[name]
    )


def test_one_sample_that_is_not_finite():
    """It takes the short way, and the long one says which number it is."""
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    with pytest.raises(DataError, match=r"x\[0\] holds NaN or infinity"):
        model.forward(np.array([[0, np.nan, 0]], np.float32))


def test_ids_that_a_layer_does_not_know():
    model = xpnn.Model([xpnn.Embedding(3, 2), xpnn.Flatten(), xpnn.Dense(2)], (2,), seed=0)
    model.predict(np.array([[0, 2]]))
    for bad, shown in ((3, "x[1, 0] is 3"), (-1, "x[1, 0] is -1"), (0.5, "x[1, 0] is 0.5")):
        with pytest.raises(DataError) as caught:
            model.predict(np.array([[0, 2], [bad, 1]]))
        assert shown in str(caught.value)
        assert "the layer knows the ids 0 to 2; 1 of 4 are not among them" in caught.value.why

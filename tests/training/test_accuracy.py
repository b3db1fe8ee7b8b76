"""The training accuracy, which steps count as they go, and the metrics of the validation samples."""

import json
import warnings

import numpy as np
import pytest

import xpnn
from xpnn.errors import UsageError
from xpnn.losses import BinaryCrossEntropy, MeanSquaredError, MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.metrics import F1, ROCAUC, ConfusionMatrix, TopK
from xpnn.training import Checkpoint, Mixup

X = np.random.default_rng(0).standard_normal((60, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
FROZEN = xpnn.SGD(0.0)  # weights that stay: the accuracy of an epoch is that of the model


def net(outputs=3, **settings):
    return xpnn.Model([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(outputs)], (4,), seed=0, **settings)


def fitted(model, y, loss, **settings):
    return model.fit(X, y, loss=loss, optimizer=FROZEN, epochs=1, batch_size=7, verbose=0, **settings)


IGNORED = np.where(np.arange(60) % 4, Y, -1)
KINDS = {
    "ids": (SoftmaxCrossEntropy(), Y, 3),
    "rows": (SoftmaxCrossEntropy(), np.eye(3)[Y], 3),
    "ignored": (SoftmaxCrossEntropy(ignore_index=-1), IGNORED, 3),
    "smoothed": (SoftmaxCrossEntropy(0.1), Y, 3),
    "weighted": (SoftmaxCrossEntropy(class_weight=(1.0, 2.0, 3.0)), Y, 3),
    "binary": (BinaryCrossEntropy(), (Y > 0)[:, None], 1),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_it_is_the_share_that_evaluate_counts(kind, backend):
    loss, y, outputs = KINDS[kind]
    model = net(outputs, backend=backend)
    history = fitted(model, y, loss)
    assert history["accuracy"] == [model.evaluate(X, y)["accuracy"]]


def test_it_equals_evaluate_with_weights_and_for_positions():
    model = net()
    weighted = fitted(model, Y, "softmax_cross_entropy", sample_weight=np.arange(1, 61))
    assert weighted["accuracy"] == [model.evaluate(X, Y)["accuracy"]]
    pixels = xpnn.Model([xpnn.Dense(3)], (5, 4), seed=0)
    x, y = X.reshape(12, 5, 4), Y.reshape(12, 5)
    history = pixels.fit(x, y, optimizer=FROZEN, epochs=1, batch_size=5, verbose=0)
    assert history["accuracy"] == [pixels.evaluate(x, y)["accuracy"]]


def test_ties_go_to_the_first_class_as_everywhere():
    model = net()
    model.load_parameters({path: 0 * a for path, a in model.parameters().items()})
    assert fitted(model, Y, "softmax_cross_entropy")["accuracy"] == [np.mean(Y == 0)]


def test_a_regression_has_no_training_accuracy():
    assert fitted(net(1), X[:, 0], "mean_squared_error")["accuracy"] == [None]


OUTPUTS = MultiOutputLoss((SoftmaxCrossEntropy(), MeanSquaredError(), SoftmaxCrossEntropy(ignore_index=-1)))


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_each_of_several_outputs_has_its_own(backend, capsys, tmp_path):
    nodes = {"kind": (xpnn.Dense(3), "x"), "size": (xpnn.Dense(1), "x"), "some": (xpnn.Dense(3), "x")}
    graph = xpnn.Graph(inputs="x", nodes=nodes, outputs=("kind", "size", "some"))
    model, y = xpnn.Model(graph, (4,), seed=0, backend=backend), (Y, X[:, 0], IGNORED)
    given = {"loss": OUTPUTS, "optimizer": FROZEN, "batch_size": 7, "validation": (X, y)}
    keep = Checkpoint(tmp_path / "state.safetensors", epochs=1)
    history = model.fit(X, y, epochs=1, callbacks=[keep], **given)
    found = model.evaluate(X, y)
    for name in ("accuracy[0]", "accuracy[2]"):
        assert history[f"train_{name}"] == history[f"valid_{name}"] == [found[name]]
    assert "train_accuracy[1]" not in history.columns
    assert history["accuracy"] == [None]
    head, row = capsys.readouterr().err.splitlines()
    assert head.endswith("  train_acc[0]  train_acc[2]  valid_acc[0]  valid_acc[2]")
    assert row.split()[-8:-1:2] == [f"{100 * found[name]:.2f}" for name in ("accuracy[0]", "accuracy[2]")] * 2
    resumed = model.fit(X, y, epochs=2, callbacks=[keep], resume=keep.path, verbose=0, **given)
    assert resumed["train_accuracy[2]"] == 2 * history["train_accuracy[2]"]


class Same(Mixup):
    """Each sample is mixed with the next in the batch, of which it keeps 9 tenths."""

    def mix(self, cx, x, own):
        return super().mix(cx, x, 0 * own + 0.9)


@pytest.mark.parametrize("kind", ["ids", "ignored"])
def test_of_mixed_labels_the_larger_share_is_right(kind):
    """Equal samples: however they are mixed, the network answers class 0; the larger share is the sample's own."""
    loss, y, _ = KINDS[kind]
    model = net()
    settings = {"optimizer": FROZEN, "epochs": 1, "batch_size": 60, "verbose": 0, "augment": Same()}
    history = model.fit(np.ones_like(X), y, loss=loss, **settings)
    answer = model.predict(X[:1] * 0 + 1)[0]
    order = xpnn.data.batches.epoch_order(0, 1, 60)[:]
    own, following = y[order], np.roll(y[order], -1)
    label = np.where(own >= 0, own, following)  # an ignored one leaves its row to the other
    assert history["accuracy"] == [np.mean(label[label >= 0] == answer)]


@pytest.mark.parametrize("kind", ["ids", "ignored"])
def test_with_lbfgs_it_is_that_of_the_point_reached(kind):
    loss, y, _ = KINDS[kind]
    model = net(dtype="float64")
    seen = []
    history = model.fit(
        X, y, loss=loss, optimizer=xpnn.optimizers.LBFGS(), epochs=3, batch_size=25, verbose=0,
        callbacks=[lambda run, row: seen.append(run.model.evaluate(X, y)["accuracy"])],
    )  # fmt: skip
    assert history["accuracy"] == seen


def test_a_run_that_goes_on_inside_an_epoch_counts_all_of_it(tmp_path):
    path = tmp_path / "state.safetensors"
    whole = fitted(net(), Y, "softmax_cross_entropy")
    stopped = net()
    stop = Checkpoint(path, steps=4)

    class Stop(xpnn.training.Callback):
        def step(self, run):
            run.stopped = "a test" if run.steps == 4 else ""

    fitted(stopped, Y, "softmax_cross_entropy", callbacks=[Stop(), stop])
    resumed = fitted(net(), Y, "softmax_cross_entropy", callbacks=[stop], resume=path)
    assert resumed["accuracy"] == whole["accuracy"]


def test_metrics_are_columns_of_the_history_and_entries_of_evaluate():
    model, valid = net(), (X[:30], Y[:30])

    def worst(y, predicted):
        assert y.shape == predicted.shape == (30,)
        return float(np.max(np.abs(y - predicted)))

    history = fitted(model, Y, "softmax_cross_entropy", validation=valid, metrics=["f1", TopK(2), worst])
    scores = model.evaluate(*valid, metrics={"f1": F1(), "top": TopK(2), "counts": ConfusionMatrix()})
    assert history["valid_f1"] == [scores["f1"]]
    assert history["valid_top_k"] == [scores["top"]]
    assert history["valid_worst"] == [worst(Y[:30], model.predict(X[:30]))]
    assert scores["counts"].sum() == 30
    assert json.loads(json.dumps(history.rows[0].to_dict()))["valid_f1"] == scores["f1"]
    with pytest.raises(UsageError, match="an array"):
        fitted(net(), Y, "softmax_cross_entropy", validation=valid, metrics=[ConfusionMatrix()])


def test_binary_scores_reach_the_metrics_of_classes():
    model, y = net(1), (Y > 0).astype(int)
    fitted(model, y, "binary_cross_entropy")
    scores = model.evaluate(X, y, metrics=[F1(), ROCAUC()])
    positive, logit = model.predict(X) == 1, model.forward(X)[:, 0]
    true = y == 1
    pairs = logit[true][:, None] - logit[~true]
    assert scores["rocauc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))
    halves = [2 * np.sum(p & t) / (np.sum(p) + np.sum(t)) for p, t in ((positive, true), (~positive, ~true))]
    assert scores["f1"] == pytest.approx(np.mean(halves))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metrics": ["f2"], "validation": 0.5}, "unknown metric 'f2'"),
        ({"metrics": ["f1"]}, "without validation"),
        ({"metrics": "f1", "validation": 0.5}, 'metrics=\\["f1"'),
        ({"metrics": [F1], "validation": 0.5}, "is a class"),
        ({"metrics": [TopK(1), TopK(2)], "validation": 0.5}, "two metrics"),
    ],
)
def test_a_wrong_metric_is_named(settings, words):
    with pytest.raises(UsageError, match=words):
        fitted(net(), Y, "softmax_cross_entropy", **settings)


def test_columns_have_the_names_of_keras_too():
    history = fitted(net(), Y, "softmax_cross_entropy", validation=0.5)
    assert history["loss"] == history["train_loss"]
    assert history["val_accuracy"] == history["valid_accuracy"]
    with pytest.raises(UsageError, match="did you mean 'valid_loss'"):
        history["valid_los"]


@pytest.mark.oracle
def test_to_pandas_has_a_row_per_epoch():
    pytest.importorskip("pandas")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = net().fit(X, Y, epochs=2, validation=0.5, metrics=["f1"], verbose=0).to_pandas()
    assert list(frame["epoch"]) == [1, 2]
    assert {"train_accuracy", "valid_f1"} <= set(frame.columns)

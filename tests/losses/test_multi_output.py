"""Losses of several outputs: the sum of their parts, values and gradients, on every backend."""

import numpy as np
import pytest
from cases import MULTI_OUTPUT, LossCase
from harness import derivative_error, draw_loss, fingerprints, open_backend, rng_of
from tolerances import GRADIENT, assert_close

import xpnn
from xpnn import Dense, Graph
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.losses import MeanSquaredError, MultiOutputLoss, SoftmaxCrossEntropy

each = pytest.mark.parametrize("case", MULTI_OUTPUT, ids=str)
MSE, CE = MeanSquaredError(), SoftmaxCrossEntropy()


def parts(case):
    """A row for each output."""
    about = zip(case.loss.losses, case.shape, case.target.split(), strict=True)
    return [LossCase(loss, shape, target, case.weighted) for loss, shape, target in about]


def random_case(be, case):
    """Predictions, targets, and the weights of the samples."""
    found = [draw_loss(part) for part in parts(case)]
    predictions = tuple(be.asarray(p, be.dtype) for p, _, _ in found)
    targets = tuple(be.asarray(t, None if t.dtype == np.int64 else be.dtype) for _, t, _ in found)
    return predictions, targets, be.asarray(found[0][2], be.dtype) if case.weighted else None


@each
def test_it_is_the_weighted_sum_of_its_parts(any_be, case):
    be = any_be
    predictions, targets, weight = random_case(be, case)
    before = fingerprints(be, (predictions, targets))
    value, gradients = be.compile(lambda p, t, w: case.loss(be, p, t, w))(predictions, targets, weight)
    assert fingerprints(be, (predictions, targets)) == before
    assert (tuple(value.shape), value.dtype) == ((), be.dtype)
    total, shares = 0.0, case.loss.weights or (1.0,) * len(predictions)
    for loss, w, p, t, g in zip(case.loss.losses, shares, predictions, targets, gradients, strict=True):
        one, wanted = loss(be, p, t, weight)
        total += w * be.to_numpy(one)
        assert g.dtype == be.dtype
        assert_close(be.to_numpy(g), w * be.to_numpy(wanted), be.dtype_name)
    assert_close(be.to_numpy(value), total, be.dtype_name)


def gradient_errors(case):
    """The derivative error with respect to each prediction, in float64."""
    be = open_backend("numpy", "float64")
    predictions, targets, weight = random_case(be, case)
    gradients, found = case.loss(be, predictions, targets, weight)[1], []
    for i, p in enumerate(predictions):

        def value(a, i=i):
            return case.loss(be, (*predictions[:i], a, *predictions[i + 1 :]), targets, weight)[0].reshape(1)

        found.append(derivative_error(value, lambda c, i=i: c * gradients[i], p, 1, rng_of(case, i)))
    return found


@each
def test_gradients_are_the_derivatives(case):
    assert max(gradient_errors(case)) <= GRADIENT
    rows = xpnn.gradcheck(TWO, (3,), loss=TWO_LOSSES)
    assert [row.array for row in rows if row.path == "loss"] == ["prediction0", "prediction1"]
    assert all(row.ok for row in rows)


FAULTS = {
    "scaled by 1.0001": lambda loss, gs: tuple(1.0001 * g for g in gs),
    "sign flipped": lambda loss, gs: tuple(-g for g in gs),
    "one forgotten": lambda loss, gs: (gs[0], 0 * gs[1]),
    "weights forgotten": lambda loss, gs: tuple(g / w for g, w in zip(gs, loss.weights, strict=True)),
    "weights in another order": lambda loss, gs: tuple(
        g / w * v for g, w, v in zip(gs, loss.weights, loss.weights[::-1], strict=True)
    ),
    "weights squared": lambda loss, gs: tuple(g * w for g, w in zip(gs, loss.weights, strict=True)),
    "divided by the number of outputs": lambda loss, gs: tuple(g / len(gs) for g in gs),
}
TWO_LOSSES = MultiOutputLoss((CE, MSE), (1.0, 0.5))
TWO = Graph("x", {"class": (Dense(3), "x"), "value": (Dense(2), "x")}, ("class", "value"))


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught_by_both_checks(name, monkeypatch, record_property):
    right = MultiOutputLoss.__call__

    def call(self, be, p, t, weight=None):
        value, gradients = right(self, be, p, t, weight)
        return value, FAULTS[name](self, gradients)

    monkeypatch.setattr(MultiOutputLoss, "__call__", call)
    assert max(gradient_errors(MULTI_OUTPUT[1])) > GRADIENT
    rows = xpnn.gradcheck(TWO, (3,), loss=TWO_LOSSES)
    assert {(row.path, row.layer) for row in rows if not row.ok} == {("loss", "MultiOutputLoss")}
    record_property("fault", f"Several: {name}")


@pytest.mark.parametrize(
    "make",
    [
        lambda: MultiOutputLoss(()),
        lambda: MultiOutputLoss(MSE),
        lambda: MultiOutputLoss((MSE, "mean")),
        lambda: MultiOutputLoss((MSE, MultiOutputLoss((MSE,)))),
        lambda: MultiOutputLoss((MSE, MSE), (1.0,)),
        lambda: MultiOutputLoss((MSE, MSE), (1.0, -1.0)),
        lambda: MultiOutputLoss((MSE, MSE), (0.0, 0.0)),
        lambda: MultiOutputLoss((MSE, MSE), (1.0, float("nan"))),
    ],
)
def test_settings_that_mean_nothing_are_refused(make):
    with pytest.raises(UsageError):
        make()


X = np.linspace(0, 1, 18).reshape(6, 3)
IDS, REALS = np.array([0, 1, 2, 0, 1, 2]), np.linspace(0, 1, 12).reshape(6, 2)


@pytest.mark.parametrize(
    ("y", "loss", "error", "fragment"),
    [
        (IDS, TWO_LOSSES, DataError, "y is a ndarray, the model has 2"),
        ((IDS,), TWO_LOSSES, DataError, "y holds 1 arrays"),
        ((IDS, REALS[:5]), TWO_LOSSES, DataError, r"y has \[6, 5\] samples"),
        ((IDS + 1, REALS), TWO_LOSSES, DataError, r"y\[0\]: label 2 is 3"),
        ((REALS, IDS), TWO_LOSSES, ShapeError, r"y\[0\]: labels of width 2"),
        ((IDS, REALS[:, :1]), TWO_LOSSES, ShapeError, r"y\[1\]: mean squared error"),
        ((IDS[:5], REALS[:5]), TWO_LOSSES, DataError, "x has 6 samples, y has 5"),
        (IDS, CE, UsageError, "for 1 outputs"),
        ((IDS, REALS, REALS), MultiOutputLoss((CE, MSE, MSE)), UsageError, "for 3 outputs"),
    ],
)
def test_targets_that_do_not_fit_are_refused(y, loss, error, fragment):
    model = xpnn.Model(TWO, (3,), seed=0)
    with pytest.raises(error, match=fragment):
        model.fit(X, y, loss=loss, epochs=1, verbose=0)
    assert np.array_equal(model.snapshot()["theta"], xpnn.Model(TWO, (3,), seed=0).snapshot()["theta"])


def test_one_output_wants_a_plain_loss():
    with pytest.raises(UsageError, match="MultiOutputLoss"):
        xpnn.Model([Dense(3)], (3,)).fit(X, (IDS,), loss=MultiOutputLoss((CE,)), verbose=0)


def test_probabilities_are_refused_by_the_output_that_gives_them():
    net = Graph("x", {"a": (Dense(3), "x"), "p": (xpnn.Softmax(), "a")}, ("p", "a"))
    model = xpnn.Model(net, (3,))
    with pytest.raises(UsageError, match="node 'p', but SoftmaxCrossEntropy wants logits"):
        xpnn.Trainer(model, MultiOutputLoss((CE, CE)))
    model.loss = MultiOutputLoss((MSE, CE))
    a, b = model.predict_proba(X)
    np.testing.assert_allclose(a, b, atol=1e-6)
    model.loss = MultiOutputLoss((CE, MSE))
    with pytest.raises(UsageError, match="no probabilities"):
        model.predict_proba(X)


def test_what_a_model_of_two_outputs_gives(be):
    model = xpnn.Model(TWO, (3,), backend=be.name, seed=1)
    history = model.fit(X, (IDS, REALS), loss=TWO_LOSSES, epochs=2, batch_size=4, validation=2, verbose=0)
    assert history.rows[0].valid_accuracy is None
    scores = model.evaluate(X, (IDS, REALS))
    assert list(scores) == ["loss", "loss[0]", "accuracy[0]", "loss[1]"]
    assert scores["loss"] == pytest.approx(scores["loss[0]"] + 0.5 * scores["loss[1]"])
    labels, values = model.predict(X)
    assert (labels.shape, values.shape) == ((6,), (6, 2))
    assert np.array_equal(model.forward(X)[0].argmax(1), labels)
    rows = (be.asarray(X, be.dtype), (be.asarray(IDS), be.asarray(REALS)))
    trainer = xpnn.Trainer(model, TWO_LOSSES)
    assert np.isfinite(float(trainer.step(rows[0], list(rows[1]))))
    with pytest.raises(ShapeError, match=r"y\[1\] has shape"):
        trainer.step(rows[0], (rows[1][0], rows[1][1][:5, ...]))
    with pytest.raises(DataError, match="y holds 1"):
        trainer.step(rows[0], rows[1][:1])

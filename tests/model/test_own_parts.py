"""Functions and plain classes as losses, layers and callbacks, and what each failure says."""

import numpy as np
import pytest

import xpnn
from xpnn.errors import ShapeError, UsageError
from xpnn.layers import Layer
from xpnn.losses import Loss
from xpnn.metrics import Metric
from xpnn.optimizers import Optimizer

X = np.random.default_rng(0).standard_normal((40, 3))
Y = X.sum(axis=1)


class Swish:
    """y = x sigmoid(x), as a beginner writes it."""

    def forward(self, x):
        self.s = 1 / (1 + np.exp(-x))
        self.x = x
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))


class Double:
    def forward(self, x, be):
        return be.xp.add(x, x)

    def backward(self, dy, be):
        return be.xp.add(dy, dy)

    def plan(self, shape):
        return shape


def net(*layers, **settings):
    return xpnn.Model([xpnn.Dense(4), *layers, xpnn.Dense(1)], (3,), seed=0, **settings)


def by_hand(prediction, target):
    return ((prediction - target) ** 2).mean(), 2 * (prediction - target) / prediction.shape[0]


def of_each(prediction, target):
    return (prediction - target) ** 2, 2 * (prediction - target)


def with_backend(be, prediction, target):
    return be.xp.mean((prediction - target) ** 2), 2 * (prediction - target) / prediction.shape[0]


@pytest.mark.parametrize("loss", [by_hand, of_each, with_backend])
def test_a_function_is_a_loss(loss):
    own, known = net(), net()
    own.fit(X, Y, loss=loss, epochs=3, batch_size=8, verbose=0)
    known.fit(X, Y, loss="mean_squared_error", epochs=3, batch_size=8, verbose=0)
    assert np.allclose(own.theta, known.theta, atol=1e-6)
    assert own.evaluate(X, Y)["loss"] == pytest.approx(known.evaluate(X, Y)["loss"], abs=1e-5)
    assert own.predict(X).shape == (40,)


def test_a_function_of_each_sample_takes_weights():
    weight = np.arange(40.0)
    own, known = net(), net()
    for model, loss in ((own, of_each), (known, "mean_squared_error")):
        model.fit(X, Y, loss=loss, sample_weight=weight, epochs=1, verbose=0)
    assert np.allclose(own.theta, known.theta, atol=1e-6)
    with pytest.raises(UsageError, match="losses \\(N,\\)"):
        net().fit(X, Y, loss=by_hand, sample_weight=weight, epochs=1, verbose=0)


def test_gradcheck_looks_at_a_function_too():
    assert xpnn.gradcheck([xpnn.Dense(2)], (3,), loss=by_hand).ok is False  # divides by N, not by N times 2
    assert xpnn.gradcheck([xpnn.Dense(1)], (3,), loss=by_hand).ok


def test_a_model_with_a_function_is_saved_with_a_warning(tmp_path):
    model = net()
    model.fit(X, Y, loss=by_hand, epochs=1, verbose=0)
    with pytest.warns(UserWarning, match="by_hand is saved as mean_squared_error"):
        model.save(tmp_path / "a.safetensors")
    assert np.array_equal(xpnn.load(tmp_path / "a.safetensors").predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("part", "backend"),
    [(Swish(), "numpy"), (Double(), "numpy"), (Double(), "strict")],
    ids=["Swish-numpy", "Double-numpy", "Double-strict"],
)
def test_an_object_with_forward_and_backward_is_a_layer(part, backend):
    assert xpnn.gradcheck([xpnn.Dense(4), part, part, xpnn.Dense(1)], (3,), backend=backend).ok
    model = net(part, backend=backend)
    history = model.fit(X, Y, loss="mse", optimizer=xpnn.Adam(0.05), epochs=15, batch_size=8, verbose=0)
    assert history["train_loss"][-1] < 0.3 * history["train_loss"][0]
    assert type(part).__name__ in str(model.summary())
    with pytest.raises(UsageError, match="cannot save"):
        model.save("never.safetensors")


class Sized(Swish):
    def backward(self, dy):
        return dy[:, :1]


class Forward:
    def forward(self, x):
        return x


class Backward:
    def backward(self, dy):
        return dy


class Scalar(Forward, Backward):
    def forward(self, x):
        return x.sum()


class WithBackend(Double):
    plan = None


class Half(Layer):
    def forward(self, cx, p, x):
        return x / 2, ()


class OnlyTerms(Loss):
    def terms(self, be, prediction, target):
        return prediction - target, 0 * prediction + 1, None


class OnlyInit(Optimizer):
    lr = 0.1

    def init(self, be, theta):
        return {"t": be.scalar(0, be.xp.int64), "lr": be.scalar(self.lr)}


def fit(model, **settings):
    return model.fit(X, Y, **({"loss": "mse", "epochs": 1, "verbose": 0} | settings))


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda: net(Forward()), UsageError, "Forward has no method backward"),
        (lambda: net(Backward()), UsageError, "Backward has no method forward"),
        (lambda: net(Swish), UsageError, r"Swish\(\)"),
        (lambda: net(Scalar()), ShapeError, "Scalar.forward gives"),
        (lambda: net(WithBackend()), UsageError, "no method plan"),
        (lambda: fit(net(Sized())), ShapeError, r"Sized.backward gives \(40, 1\)"),
        (lambda: fit(net(Half())), UsageError, r"Half has no method backward"),
        (lambda: fit(net(Layer())), UsageError, "Layer has no method forward"),
        (lambda: fit(net(), loss=OnlyTerms()), UsageError, "OnlyTerms has no method check"),
        (lambda: fit(net(), loss=OnlyTerms), UsageError, r"OnlyTerms\(\)"),
        (lambda: fit(net(), loss=Swish), UsageError, r"class Swish\(Loss\)"),
        (lambda: fit(net(), loss=lambda p, t: ((p - t) ** 2).mean()), UsageError, "no autograd"),
        (lambda: fit(net(), loss=lambda p, t: None), UsageError, "returns no gradient"),
        (lambda: fit(net(), loss=lambda p, t: (1.0, p[:1])), ShapeError, "the gradient has shape"),
        (lambda: fit(net(), optimizer=OnlyInit()), UsageError, "OnlyInit has no method update"),
        (lambda: net().evaluate(X, Y, loss="mse", metrics=[Metric()]), UsageError, "no method count"),
    ],
)
def test_each_failure_names_what_is_missing(do, error, words):
    with pytest.raises(error, match=words):
        do()


def test_a_layer_of_methods_alone_needs_no_decorator():
    class Third(Layer):
        def forward(self, cx, p, x):
            return x / 3, ()

        def backward(self, cx, p, cache, dy):
            return dy / 3, {}

    assert Third() == Third()
    assert xpnn.gradcheck([Third()], (3,)).ok

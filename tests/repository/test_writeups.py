"""The worked numbers of the write-ups that xpnn grew from, on every array library that is installed.

They were computed by others, by hand or with other code, so they test ours from outside.
"""

import importlib.util
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest

import xpnn
from xpnn.data import mnist
from xpnn.errors import UsageError
from xpnn.layers import Ctx, Layer
from xpnn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy
from xpnn.metrics import Accuracy
from xpnn.training.step import Objective

PACKAGES = {"numpy": "numpy", "strict": "array_api_strict", "torch": "torch", "jax": "jax"}
INSTALLED = [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]
EXACT = {"rtol": 1e-12, "atol": 1e-12}
PRINTED = {"rtol": 0, "atol": 5e-9}
"""Half a unit in the last of the eight decimals that the write-up prints."""

NEURONS = np.array([[0.2, 0.8, -0.5, 1.0], [0.5, -0.91, 0.26, -0.5], [-0.26, -0.27, 0.17, 0.87]])
BIASES = np.array([2, 3, 0.5])
BATCH = np.array([[1, 2, 3, 2.5], [2, 5, -1, 2], [-1.5, 2.7, 3.3, -0.8]])
P = np.array([[0.1, 0.5, 0.2, 0.2], [0.3, 0.4, 0.2, 0.1], [0.2, 0.3, 0.4, 0.1]])
LABELS = np.array([1, 0, 2])

close = np.testing.assert_allclose


@pytest.fixture(params=INSTALLED)
def backend(request):
    return request.param


@pytest.fixture
def be(backend):
    opened = xpnn.get_backend(backend, dtype="float64")
    with opened.device_context():
        yield opened


@pytest.fixture(scope="module")
def digits():
    _, _, x, y = mnist()
    return x, y


def with_weights(layers, W, b, backend, dtype="float64"):
    model = xpnn.Model(layers, (len(W),), backend=backend, dtype=dtype)
    model.load_parameters({"0.W": W, "0.b": b})
    return model


class TestOneNeuronOneLayer:
    """T1, T2, T2b: the first chapters of a book on networks from scratch."""

    def test_one_neuron(self, backend):
        model = with_weights([xpnn.Dense(1)], [[3], [4], [5]], [3], backend)
        assert model.forward([[1, 2, 3]]).tolist() == [[29.0]]

    def test_a_layer_of_three_neurons(self, backend):
        y = with_weights([xpnn.Dense(3)], NEURONS.T, BIASES, backend).forward(BATCH[:1])
        close(y, [[4.8, 1.21, 2.385]], **EXACT)

    def test_relu_has_nothing_to_cut_in_it(self, backend):
        y = with_weights([xpnn.Dense(3), xpnn.ReLU()], NEURONS.T, BIASES, backend).forward(BATCH[:1])
        close(y, [[4.8, 1.21, 2.385]], **EXACT)

    def test_softmax_of_the_layer(self, backend):
        p = with_weights([xpnn.Dense(3), xpnn.Softmax()], NEURONS.T, BIASES, backend).predict_proba(BATCH[:1])
        close(p, [[0.89528266, 0.02470831, 0.08000903]], **PRINTED)

    def test_a_batch_is_samples_by_neurons(self, backend):
        y = with_weights([xpnn.Dense(3)], NEURONS.T, BIASES, backend).forward(BATCH)
        close(y, [[4.8, 1.21, 2.385], [8.9, -1.81, 0.2], [1.41, 1.051, 0.026]], **EXACT)


class TestUntrained:
    """T3: before the first step nothing is known, and the loss says so."""

    def test_three_equal_chances_cost_ln_3(self, be):
        value, _ = SoftmaxCrossEntropy()(be, be.zeros((5, 3)), be.asarray(np.array([0, 1, 2, 0, 1])))
        close(float(value), math.log(3), **EXACT)
        close(float(value), 1.0986123, atol=5e-8)

    def test_ten_digits_cost_about_ln_10(self, backend, digits):
        x, y = digits
        hidden, last = xpnn.Dense(128), xpnn.Dense(10, xpnn.initializers.Normal(0.01))
        layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), hidden, xpnn.ReLU(), last]
        model = xpnn.Model(layers, (28, 28, 1), backend=backend, seed=0)
        loss = model.evaluate(x[:1000], y[:1000])["loss"]
        assert abs(loss - 2.302585) < 0.02

    def test_with_the_default_start_it_is_of_that_size(self, digits):
        x, y = digits
        layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(128), xpnn.ReLU(), xpnn.Dense(10)]
        scores = [xpnn.Model(layers, (28, 28, 1), seed=seed).evaluate(x, y) for seed in range(3)]
        for score in scores:
            assert 2.2 < score["loss"] < 2.8
            assert 0.02 < score["accuracy"] < 0.25


class TestCrossEntropy:
    """T4: three samples of four classes. log P are logits whose softmax is P."""

    TARGETS = pytest.mark.parametrize("target", [LABELS, np.eye(4)[LABELS]], ids=["ids", "one-hot"])

    @TARGETS
    def test_mean(self, be, target):
        value, _ = SoftmaxCrossEntropy()(be, be.asarray(np.log(P)), be.asarray(target))
        close(float(value), 0.9378035722533454, **EXACT)

    def test_each_sample(self, be):
        loss = SoftmaxCrossEntropy()
        each = [
            float(loss(be, be.asarray(np.log(P[i : i + 1])), be.asarray(LABELS[i : i + 1]))[0])
            for i in range(3)
        ]
        close(each, [0.693147, 1.203973, 0.916291], atol=5e-7)

    @TARGETS
    def test_gradient(self, be, target):
        _, gradient = SoftmaxCrossEntropy()(be, be.asarray(np.log(P)), be.asarray(target))
        close(be.to_numpy(gradient), (P - np.eye(4)[LABELS]) / 3, **EXACT)
        close(be.to_numpy(gradient)[0], [0.0333333, -0.1666667, 0.0666667, 0.0666667], atol=5e-8)

    def test_two_of_three_are_right(self, be):
        assert Accuracy()(be, be.asarray(P), be.asarray(LABELS)) == 2 / 3

    def test_a_probability_of_one_half_costs_ln_2(self, be):
        """The binary format: one probability per sample."""
        value, gradient = BinaryCrossEntropy()(be, be.zeros((2, 1)), be.asarray(np.array([[1.0], [0.0]])))
        close(float(value), math.log(2), **EXACT)
        close(be.to_numpy(gradient), [[-0.25], [0.25]], **EXACT)

    def test_mean_squared_error_counts_every_element(self, be):
        value, gradient = MeanSquaredError()(be, be.asarray(P), be.asarray(np.eye(4)[LABELS]))
        close(float(value), ((P - np.eye(4)[LABELS]) ** 2).sum() / 12, **EXACT)
        close(be.to_numpy(gradient), (P - np.eye(4)[LABELS]) / 6, **EXACT)


@dataclass(frozen=True)
class Surface(Layer):
    """f(x, y) = sin u cos v with u = x^2/2 - y^2/4 + 3, v = 2x + 1 - e^y, as a layer: (N, 2) -> (N, 1)."""

    def plan(self, shape):
        return {}, (1,)

    def forward(self, cx, p, xy):
        xp, (x, y) = cx.be.xp, (xy[:, :1], xy[:, 1:])
        u, v = x**2 / 2 - y**2 / 4 + 3, 2 * x + 1 - xp.exp(y)
        return xp.sin(u) * xp.cos(v), (x, y, u, v)

    def backward(self, cx, p, cache, df):
        xp, (x, y, u, v) = cx.be.xp, cache
        du, dv = df * xp.cos(u) * xp.cos(v), -df * xp.sin(u) * xp.sin(v)
        return xp.concat([du * x + 2 * dv, -du * y / 2 - dv * xp.exp(y)], axis=1), {}


class TestGradientDescent:
    """T5: walks whose every point is known."""

    @pytest.mark.parametrize("a", [0.1, 0.45, 0.75])
    def test_the_bowl_shrinks_by_1_minus_2a(self, be, a):
        sgd, theta = xpnn.SGD(lr=a), be.asarray(np.array([3.0, -4.0]))
        state = sgd.init(be, theta)
        for k in range(1, 26):
            theta, state = sgd.update(be, theta, 2 * theta, state)
            close(be.to_numpy(theta), (1 - 2 * a) ** k * np.array([3.0, -4.0]), **EXACT)

    def test_too_large_a_step_climbs_out(self, be):
        sgd, theta = xpnn.SGD(lr=1.1), be.asarray(np.array([3.0, -4.0]))
        theta, _ = sgd.update(be, theta, 2 * theta, sgd.init(be, theta))
        close(be.to_numpy(theta), [-3.6, 4.8], **EXACT)

    @pytest.mark.parametrize(
        ("point", "value", "gradient"),
        [((1, 1), -0.103929995, (-0.894782382, 0.395707077)), ((0, 0), 0.141120008, (0, 0))],
    )
    def test_the_surface_of_two_variables(self, be, point, value, gradient):
        cx = Ctx(be)
        f, cache = Surface().forward(cx, {}, be.asarray(np.array([point], dtype=float)))
        slope, _ = Surface().backward(cx, {}, cache, be.asarray(np.ones((1, 1))))
        close(be.to_numpy(f), [[value]], **PRINTED)
        close(be.to_numpy(slope), [gradient], **PRINTED)

    def test_its_slope_is_its_derivative(self):
        (row,) = xpnn.gradcheck(Surface(), (2,))
        assert row.ok, row

    def test_it_leads_downhill_into_a_valley(self, be):
        cx, sgd = Ctx(be), xpnn.SGD(lr=0.05)
        theta, heights = be.asarray(np.array([1.0, 1.0])), []
        state = sgd.init(be, theta)
        for _ in range(60):
            f, cache = Surface().forward(cx, {}, theta[None, :])
            slope, _ = Surface().backward(cx, {}, cache, be.xp.ones_like(f))
            theta, state = sgd.update(be, theta, slope[0, :], state)
            heights.append(float(f[0, 0]))
        assert (np.diff(heights) < 0).all()
        assert heights[-1] < -0.999


class TestFlatten:
    """T6: a 3-4-2 net is one vector of 26 numbers, W1 (row by row) b1 W2 b2, and comes back from it exactly."""

    LAYERS = (xpnn.Dense(4), xpnn.Sigmoid(), xpnn.Dense(2))

    def test_order(self, backend):
        model = xpnn.Model(self.LAYERS, (3,), backend=backend, dtype="float64")
        assert model.layout.size == {"theta": 26, "phi": 0}
        model.restore({"theta": np.arange(26.0), "phi": np.zeros(0)})
        named = {path: model.backend.to_numpy(a) for path, a in model.parameters().items()}
        assert list(named) == ["0.W", "0.b", "2.W", "2.b"]
        assert named["0.W"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
        assert named["0.b"].tolist() == [12, 13, 14, 15]
        assert named["2.W"].tolist() == [[16, 17], [18, 19], [20, 21], [22, 23]]
        assert named["2.b"].tolist() == [24, 25]

    def test_round_trip(self, backend):
        model = xpnn.Model(self.LAYERS, (3,), backend=backend, dtype="float64", seed=3)
        be, theta = model.backend, model.snapshot()["theta"]
        with be.device_context():
            tree = model.layout.split(be, model.theta, model.phi)
            assert be.to_numpy(model.layout.join(be, tree)).tobytes() == theta.tobytes()
        model.restore({"theta": theta, "phi": np.zeros(0)})
        assert model.snapshot()["theta"].tobytes() == theta.tobytes()

    def test_the_digit_net_has_101770_numbers(self):
        model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(128), xpnn.ReLU(), xpnn.Dense(10)], (28, 28, 1))
        assert model.layout.size["theta"] == 101_770

    def test_backpropagation_through_one_hidden_layer(self, be):
        """The write-up's formulas, columns turned into rows: d2 = p - y, dW2 = a1^T d2 / n, d1 = (d2 W2^T) s'."""
        model = xpnn.Model(self.LAYERS, (3,), backend=be.name, dtype="float64", seed=0)
        rng = np.random.default_rng(0)
        x, y = rng.standard_normal((5, 3)), np.array([0, 1, 1, 0, 1])
        W1, b1, W2, b2 = (be.to_numpy(a) for a in model.parameters().values())
        a1 = 1 / (1 + np.exp(-(x @ W1 + b1)))
        z2 = a1 @ W2 + b2
        d2 = (np.exp(z2) / np.exp(z2).sum(axis=1, keepdims=True) - np.eye(2)[y]) / 5
        d1 = (d2 @ W2.T) * a1 * (1 - a1)
        wanted = [x.T @ d1, d1.sum(axis=0), a1.T @ d2, d2.sum(axis=0)]
        gradient = Objective(model.net, SoftmaxCrossEntropy(), model.layout, be, 0).gradient()
        tick = be.scalar(0, be.xp.int64)
        _, got, _ = gradient(model.theta, model.phi, tick, be.asarray(x), be.asarray(y), None)
        close(be.to_numpy(got), np.concatenate([np.reshape(a, -1) for a in wanted]), **EXACT)


class TestPerceptron:
    """T7: decisions of one neuron with a step."""

    CASES = (
        ("and", [1, 1], -1.5, 0.0, lambda q: q.all(axis=1)),
        ("or", [1, 1], -0.5, 0.0, lambda q: q.any(axis=1)),
        ("majority of three", [1, 1, 1], -1.5, 0.0, lambda q: q.sum(axis=1) >= 2),
        ("average above a half", [1 / 3] * 3, 0.0, 0.5, lambda q: q.mean(axis=1) > 0.5),
        ("exactly the threshold is not above it", [0.5, 0.5], 0.0, 0.5, lambda q: q.all(axis=1)),
        ("one factor outweighs two", [0.6, 0.2, 0.2], 0.0, 0.5, lambda q: q[:, 0]),
        ("a bias pushes over the threshold", [0.6, 0.4, 0.4], 0.2, 0.5, lambda q: q.any(axis=1)),
    )

    @pytest.mark.parametrize(
        ("name", "weights", "bias", "threshold", "truth"), CASES, ids=[c[0] for c in CASES]
    )
    def test_decision(self, backend, name, weights, bias, threshold, truth):
        questions = np.array(list(itertools.product([0, 1], repeat=len(weights))))
        layers = [xpnn.Dense(1), xpnn.Step(threshold)]
        fires = with_weights(layers, np.reshape(weights, (-1, 1)), [bias], backend).forward(questions)
        assert fires[:, 0].tolist() == truth(questions).tolist()

    def test_a_step_cannot_be_trained_through(self):
        model = xpnn.Model([xpnn.Dense(1), xpnn.Step()], (2,))
        with pytest.raises(UsageError, match="layer 1 Step cannot be trained through"):
            model.fit([[0, 1], [1, 1]], [0, 1], loss="mean_squared_error", verbose=0)

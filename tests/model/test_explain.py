"""One step explained: numbers worked by hand, the real step's bits, and any container."""

import json
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from harness import H
from installed_backends import INSTALLED

import xpnn
from xpnn import diagnostics, models
from xpnn.diagnostics.table import number, shortened
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.layers import Layer
from xpnn.training.step import Objective

backends = pytest.mark.parametrize("backend", INSTALLED)
X = np.array([[1.0, 2.0], [3.0, -1.0]])
Y = np.array([[6.0], [7.0]])


@pytest.fixture
def tiny():
    """z = x W + b = [[3, -5], [2, -1]], h = relu z = [[3, 0], [2, 0]], h W' + b' = [[7], [5]]."""
    model = xpnn.Model([xpnn.Dense(2), xpnn.ReLU(), xpnn.Dense(1)], (2,), dtype="float64")
    model.load_parameters({"0.W": [[1.0, -1], [1, -2]], "0.b": [0.0, 0], "2.W": [[2.0], [1]], "2.b": [1.0]})
    return model


def deep(backend="numpy", dtype="float32"):
    """Every kind of container, dropout and running statistics."""
    block = xpnn.Residual(xpnn.Sequential([xpnn.BatchNorm(), xpnn.Conv2D(3, 3, padding="same"), xpnn.ReLU()]))
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(3, 3), xpnn.Recompute(xpnn.Sequential([block, xpnn.Tanh()])),
        xpnn.Flatten(), xpnn.Reshape((6, 8)), xpnn.Bidirectional(xpnn.SimpleRNN(4)), xpnn.Dropout(0.3),
        xpnn.Parallel([xpnn.Dense(3), xpnn.Sequential([xpnn.Dense(2), xpnn.Sigmoid()])]), xpnn.Dense(3),
    ]  # fmt: skip
    return xpnn.Model(layers, (6, 6, 1), backend=backend, dtype=dtype, seed=3)


def shallow(backend):
    """For JAX, which compiles every single operation on its own."""
    layers = [
        xpnn.Rescale(1 / 255),
        xpnn.Flatten(),
        xpnn.Residual(xpnn.Dense(36)),
        xpnn.Dropout(0.3),
        xpnn.Dense(3),
    ]
    return xpnn.Model(layers, (6, 6, 1), backend=backend, seed=3)


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 1), dtype=np.uint8)
IDS = np.array([0, 1, 2, 1, 0])


def by_path(explanation):
    return {row.path: row for row in explanation.layers}


class TestByHand:
    """d = 2 (out - y) / 2 = [[1], [-2]]; dW' = h^T d = [[-1], [0]], dh = d W'^T = [[2, 1], [-4, -2]], and so on."""

    def test_forward(self, tiny):
        found = tiny.explain(X, Y, loss="mean_squared_error")
        z, h, out = found.layers
        assert found.loss == 2.5
        assert (found.loss_name, found.samples, found.optimizer) == ("MeanSquaredError", 2, None)
        assert [row.path for row in found.layers] == ["0", "1", "2"]
        assert [row.layer for row in found.layers] == ["Dense", "ReLU", "Dense"]
        assert [row.role for row in found.layers] == ["pre-activation", "activation", ""]
        assert [row.shape for row in found.layers] == [(2, 2), (2, 2), (2, 1)]
        assert (z.mean, z.min, z.max, z.zeros, z.dead) == (-0.25, -5, 3, 0, 0)
        assert z.std == pytest.approx(math.sqrt(9.6875), rel=1e-15)
        assert (h.mean, h.min, h.max, h.zeros, h.units, h.dead) == (1.25, 0, 3, 0.5, 2, 1)
        assert (out.mean, out.std, out.min, out.max) == (6, 1, 5, 7)

    def test_backward(self, tiny):
        found = tiny.explain(X, Y, loss="mean_squared_error", optimizer=xpnn.SGD(0.1))
        z, h, out = found.layers
        assert [out.dy_norm, out.dx_norm, h.dy_norm] == pytest.approx([math.sqrt(5), 5, 5], rel=1e-15)
        assert [h.dx_norm, z.dy_norm] == pytest.approx([math.sqrt(20)] * 2, rel=1e-15)
        assert z.dx_norm is None  # nobody wants the gradient of the data
        assert found.gradient_norm == pytest.approx(math.sqrt(170), rel=1e-15)
        (W, b), (V, c) = z.parameters, out.parameters
        assert [p.path for p in (W, b, V, c)] == ["0.W", "0.b", "2.W", "2.b"]
        assert [p.shape for p in (W, b, V, c)] == [(2, 2), (2,), (2, 1), (1,)]
        assert [p.norm for p in (W, b, V, c)] == pytest.approx([7**0.5, 0, 5**0.5, 1], rel=1e-15)
        assert [p.gradient_norm for p in (W, b, V, c)] == pytest.approx([164**0.5, 2, 1, 1], rel=1e-15)
        assert [W.update_ratio, V.update_ratio, c.update_ratio] == pytest.approx(
            [0.1 * (164 / 7) ** 0.5, 0.1 / 5**0.5, 0.1], rel=1e-14
        )
        assert b.update_ratio is None  # of a bias that is still 0


@pytest.mark.parametrize("shape", [(), (2, 1)])
def test_a_unit_that_one_sample_wakes_is_not_dead(shape):
    """x is (samples, places, units); the last two of three units are 0 everywhere."""
    x = np.array([[1.0, -1, -1], [-1, -2, 0]]).reshape(2, *[1] * len(shape), 3) * np.ones((*shape, 1))
    model = xpnn.Model([xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(2)], x.shape[1:], seed=0)
    row = model.explain(x, [0, 1]).layers[0]
    assert (row.units, row.dead) == (3, 2)
    assert row.zeros == pytest.approx(5 / 6)


def test_gradients_are_finite_differences_of_the_loss():
    """A 3-4-2 net: |dW| of every parameter, from the loss alone."""
    model = xpnn.Model([xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(2)], (3,), dtype="float64", seed=1)
    x, y, kept = np.random.default_rng(1).standard_normal((6, 3)), np.arange(6) % 2, model.snapshot()
    numeric = np.zeros_like(kept["theta"])
    for i in range(numeric.size):
        for sign in (1, -1):
            moved = kept["theta"].copy()
            moved[i] += sign * H
            model.restore({"theta": moved, "phi": kept["phi"]})
            numeric[i] += sign * model.evaluate(x, y)["loss"] / (2 * H)
    model.restore(kept)
    for row in model.explain(x, y).layers:
        for p in row.parameters:
            _, start, stop = model.layout.slots[p.path]
            assert p.gradient_norm == pytest.approx(np.linalg.norm(numeric[start:stop]), rel=1e-8)


class TestTheRealStep:
    @backends
    def test_gradient_has_the_bits_of_the_trainers(self, backend):
        model = shallow(backend) if backend == "jax" else deep(backend)
        be, loss = model.backend, model.loss
        found = diagnostics.trace(model, IMAGES, IDS)
        gradient = Objective(model.net, loss, model.layout, be, model.seed).gradient()
        with be.device_context():
            x, y = be.asarray(IMAGES), be.asarray(IDS)
            value, wanted, _ = gradient(model.theta, model.phi, be.scalar(0, be.xp.int64), x, y, None)
        assert found.loss == float(be.to_numpy(value))
        np.testing.assert_array_equal(found.gradient, be.to_numpy(wanted))
        for visit in found.visits:
            for name, part in visit.gradients.items():
                _, start, stop = model.layout.slots[f"{visit.path}.{name}"]
                np.testing.assert_array_equal(part.reshape(-1), found.gradient[start:stop])

    @pytest.mark.parametrize("backend", [name for name in INSTALLED if name != "jax"])
    def test_paths_order_and_untouched_model(self, backend):
        model = deep(backend)
        before = model.snapshot()
        found = model.explain(IMAGES, IDS, loss="focal", optimizer="adam")
        assert [row.path for row in found.layers] == [
            "0", "1", "2.0.0.0", "2.0.0.1", "2.0.0.2", "2.0", "2.1", "3", "4", "5.0", "5.1", "5", "6",
            "7.0", "7.1.0", "7.1.1", "7", "8",
        ]  # fmt: skip
        assert {p.path for row in found.layers for p in row.parameters} == set(model.layout.named)
        for name, kept in before.items():
            np.testing.assert_array_equal(model.snapshot()[name], kept)
        assert type(model.loss).__name__ == "SoftmaxCrossEntropy"
        assert "forward" not in vars(model.net)

    def test_update_is_the_trainers_first(self):
        model = deep(dtype="float64")
        rule = xpnn.AdamW(0.01, weight_decay=0.1, clip_norm=0.5)
        found = model.explain(IMAGES, IDS, optimizer=rule)
        before = model.snapshot()["theta"]
        xpnn.Trainer(model, optimizer=rule).step(IMAGES, IDS)
        after = model.snapshot()["theta"]
        for p in (p for row in found.layers for p in row.parameters if p.update_ratio is not None):
            _, start, stop = model.layout.slots[p.path]
            old, new = before[start:stop], after[start:stop]
            wanted = np.linalg.norm(new - old) / np.linalg.norm(old)
            assert p.update_ratio == pytest.approx(wanted, rel=1e-12)

    def test_what_is_computed_again_is_reported_once(self):
        """Recompute changes what is kept, and no number of the report."""
        inner = [xpnn.Dense(4), xpnn.ReLU(), xpnn.Dense(3)]
        plain = xpnn.Model([xpnn.Sequential(inner)], (2,), seed=0)
        again = xpnn.Model([xpnn.Recompute(xpnn.Sequential(inner))], (2,), seed=0)
        assert plain.explain(X, [0, 2]) == again.explain(X, [0, 2])


class Node(NamedTuple):
    name: str
    layer: Layer


@dataclass(frozen=True)
class ByName(Layer):
    """A container nobody has heard of: its layers by name, run twice over, as it has worked out beforehand."""

    trained = True
    nodes: tuple[tuple[str, Layer], ...]

    def __post_init__(self):
        vars(self)["order"] = tuple(Node(*node) for node in self.nodes) * 2

    def plan(self, shape):
        return {name: layer.plan(shape)[0] for name, layer in self.nodes}, shape

    def forward(self, cx, p, x):
        caches = []
        for i, (name, layer) in enumerate(self.order):
            x, cache = layer.forward(cx.child(i), p[name], x)
            caches.append(cache)
        return x, tuple(caches)

    def backward(self, cx, p, cache, dy):
        total = {}
        for i in reversed(range(len(cache))):
            name, layer = self.order[i]
            dy, grads = layer.backward(cx.child(i, need_dx=True), p[name], cache[i], dy)
            total[name] = {k: grads[k] + total[name][k] if name in total else grads[k] for k in grads}
        return dy, total


class TestAnyContainer:
    def test_names_and_shared_layers(self):
        """The first call of a shared layer is the last that the way back comes to."""
        net = ByName((("narrow", xpnn.Dense(2)), ("squash", xpnn.Tanh())))
        model = xpnn.Model([net, xpnn.Dense(2)], (2,), dtype="float64", seed=0)
        found = diagnostics.trace(model, X, [0, 1])
        assert [v.path for v in found.visits] == ["0.narrow", "0.squash", "0.narrow", "0.squash", "1"]
        first, second = (v.gradients["W"] for v in found.visits if v.path == "0.narrow")
        start, stop = model.layout.slots["0.narrow.W"][1:]
        np.testing.assert_allclose(
            (first + second).reshape(-1), found.gradient[start:stop], rtol=1e-15, atol=1e-16
        )
        for before, after in zip(found.visits, found.visits[1:], strict=False):
            np.testing.assert_array_equal(before.dy[0], after.dx[0])
        assert [row.role for row in model.explain(X, [0, 1]).layers][:2] == ["pre-activation", "activation"]


def test_every_activation_by_name_counts_as_one():
    for name, make in models.ACTIVATIONS.items():
        assert make().role == "activation", name


def test_ids_have_no_gradient():
    model = xpnn.Model([xpnn.Embedding(9, 3), xpnn.Flatten(), xpnn.Dense(2)], (4,), seed=0)
    row = by_path(model.explain(np.arange(8).reshape(2, 4), [0, 1]))["0"]
    assert row.dx_norm is None
    assert row.parameters[0].gradient_norm > 0


class TestReport:
    def test_table_fits_a_terminal(self):
        report = str(deep().explain(IMAGES, IDS, optimizer="adam"))
        assert max(map(len, report.splitlines())) <= 80
        assert "Conv2D*" in report
        assert "|update|/|w|" in report
        assert "|update|/|w|" not in str(deep().explain(IMAGES, IDS))

    def test_json_is_the_report(self, tiny):
        found = tiny.explain(X, Y, loss="mean_squared_error", optimizer="sgd")
        report = json.loads(found.to_json())
        assert report == found.to_dict()
        assert report["layers"][0]["mean"] == -0.25
        assert report["layers"][0]["parameters"][1]["path"] == "0.b"

    def test_what_is_not_finite_is_null(self, tiny):
        tiny.load_parameters({"0.W": [[1e308, 0], [1e308, 0]]}, strict=False)
        found = tiny.explain(X, Y, loss="mean_squared_error")
        assert math.isinf(found.layers[0].max)
        assert json.loads(found.to_json())["layers"][0]["max"] is None

    @pytest.mark.parametrize(
        ("value", "text"),
        [(None, "-"), (0.0, "0"), (-1.2345e-7, "-1.2e-07"), (1234.5, "1.23e+03"), (math.nan, "nan")],
    )
    def test_number(self, value, text):
        assert number(value) == text

    def test_a_long_name_keeps_both_ends(self):
        assert shortened("stage1.block3.conv2.W", 12) == "stage1…nv2.W"


class TestBadInput:
    def test_what_training_refuses(self, tiny):
        with pytest.raises(ShapeError, match=r"\(2, 3\)"):
            tiny.explain(np.zeros((2, 3)), Y, loss="mean_squared_error")
        with pytest.raises(DataError, match="x has 2 samples, y has 1"):
            tiny.explain(X, Y[:1], loss="mean_squared_error")
        with pytest.raises(UsageError, match="unknown optimizer"):
            tiny.explain(X, Y, loss="mean_squared_error", optimizer="adamm")
        with pytest.raises(UsageError, match="ends in Softmax"):
            xpnn.Model([xpnn.Dense(2), xpnn.Softmax()], (2,)).explain(X, [0, 1])

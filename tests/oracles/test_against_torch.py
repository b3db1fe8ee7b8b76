"""Layers and losses against PyTorch's functional operations and autograd; initializers against their formulas."""

import math

import numpy as np
import pytest
from comparison import assert_equals_torch, error, run_layer, run_loss
from proof_table import used

import xpnn
from xpnn import initializers, layers, losses
from xpnn.backends import get_backend
from xpnn.random import host_rng

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""
SIGMAS = 5.0
"""A sample variance this many standard errors away from the formula is wrong."""

MEAN, STD = (1.0, -2.0, 0.5, 3.0, 0.0), (2.0, 0.1, 1.0, 30.0, 0.7)
TORCH_MEAN, TORCH_STD = torch.tensor((MEAN, STD), dtype=torch.float64)


def dense(x, p):
    return F.linear(x, p["W"].T, p["b"])


def dropped(x, p):
    """The mask is ours (no other library draws it); what is done with it is the formula's."""
    be = get_backend("numpy", None, "float64")
    u = torch.from_numpy(be.uniform((0, 0), be.scalar(3, be.xp.int64), tuple(x.shape)))
    return x * (u >= 0.3) / 0.7


def chain(x, p):
    return F.linear(torch.tanh(F.linear(x, p["0.W"].T, p["0.b"])), p["2.W"].T, p["2.b"])


# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (layers.Dense(7), (5,), dense),
    (layers.Dense(3), (2, 4, 5), dense),
    (layers.Flatten(), (2, 3, 4), lambda x, p: torch.flatten(x, 1)),
    (layers.Reshape((6, 4)), (2, 3, 4), lambda x, p: torch.reshape(x, (-1, 6, 4))),
    (layers.Rescale(1 / 255, -0.5), (5,), lambda x, p: x / 255 - 0.5),
    (layers.Standardize(MEAN, STD), (5,), lambda x, p: (x - TORCH_MEAN) / TORCH_STD),
    (layers.Dropout(0.3), (50,), dropped),
    (layers.ReLU(), (5,), lambda x, p: F.relu(x)),
    (layers.LeakyReLU(0.2), (5,), lambda x, p: F.leaky_relu(x, 0.2)),
    (layers.ELU(1.3), (5,), lambda x, p: F.elu(x, 1.3)),
    (layers.Sigmoid(), (5,), lambda x, p: torch.sigmoid(x)),
    (layers.Tanh(), (5,), lambda x, p: torch.tanh(x)),
    (layers.Softplus(), (5,), lambda x, p: F.softplus(x, threshold=700)),  # beyond it torch returns x
    (layers.Softmax(), (5,), lambda x, p: F.softmax(x, -1)),
    (layers.Softmax(), (3, 5), lambda x, p: F.softmax(x, -1)),
    (layers.Sequential((layers.Dense(4), layers.Tanh(), layers.Dense(2))), (5,), chain),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=lambda v: type(v).__name__)
def test_layer_equals_torch(layer, shape, oracle, scale):
    rng = np.random.default_rng(0)
    assert_equals_torch(layer, scale * rng.standard_normal((6, *shape)), oracle, rng, TOLERANCE)


def test_step_equals_heaviside():
    x = np.array([[-1.0, 0.5, 0.5 + 1e-15, 2.0]])
    wanted = torch.heaviside(torch.from_numpy(x) - 0.5, torch.tensor(0.0).double())
    assert np.array_equal(run_layer(layers.Step(0.5), x), wanted.numpy())


def compare_loss(loss, z, target, weight, oracle):
    tz = torch.from_numpy(z).requires_grad_()
    wanted = oracle(tz, torch.from_numpy(target), None if weight is None else torch.from_numpy(weight))
    wanted.backward()
    value, dz = run_loss(loss, z, target, weight)
    assert error(value, wanted.detach()) <= TOLERANCE
    assert error(dz, tz.grad) <= TOLERANCE


CLASS_WEIGHT = (0.5, 1.0, 2.0, 0.0, 3.0)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "class_weight"])
@pytest.mark.parametrize("form", ["ids", "one-hot", "soft"])
@pytest.mark.parametrize("samples", ["even", "weighted", "masked"])
def test_cross_entropy_equals_torch(form, weighted, smoothing, samples, scale):
    rng = np.random.default_rng(1)
    z, ids = scale * rng.standard_normal((8, 5)), rng.integers(0, 5, 8)
    soft = rng.dirichlet(np.ones(5), 8)
    target = {"ids": ids, "one-hot": np.eye(5)[ids], "soft": soft}[form]
    weight = {"even": None, "weighted": rng.uniform(0, 2, 8), "masked": (np.arange(8) % 2).astype(float)}[
        samples
    ]
    class_weight = CLASS_WEIGHT if weighted else None
    k = None if class_weight is None else torch.tensor(class_weight).double()

    def oracle(tz, target, s):
        def torch_loss(reduction, target=target):
            return F.cross_entropy(tz, target, k, label_smoothing=smoothing, reduction=reduction)

        if s is None and (k is None or form == "ids"):
            return torch_loss("mean")
        if samples == "masked" and form == "ids":  # PyTorch's own way to leave samples out
            return torch_loss("mean", torch.where(s == 1, target, -100))
        # With class weights PyTorch divides rows by N, ids by their weights; here all forms are divided alike.
        rows = F.one_hot(target, 5).double() if target.ndim == 1 else target
        s = torch.ones(8).double() if s is None else s
        return (s * torch_loss("none")).sum() / (s * (rows if k is None else rows * k).sum(1)).sum()

    compare_loss(losses.SoftmaxCrossEntropy(smoothing, class_weight), z, target, weight, oracle)


ELEMENTWISE = [
    (losses.BinaryCrossEntropy(), F.binary_cross_entropy_with_logits),
    (losses.MeanSquaredError(), F.mse_loss),
    (losses.MeanAbsoluteError(), F.l1_loss),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("shape", [(8, 1), (8, 5), (8, 3, 4)], ids=str)
@pytest.mark.parametrize(("loss", "torch_loss"), ELEMENTWISE, ids=lambda v: type(v).__name__)
def test_elementwise_loss_equals_torch(loss, torch_loss, shape, weighted, scale):
    rng = np.random.default_rng(2)
    z, target = scale * rng.standard_normal(shape), rng.uniform(0, 1, shape)

    def oracle(tz, target, s):
        if s is None:
            return torch_loss(tz, target)
        return (s / s.sum() * torch_loss(tz, target, reduction="none").flatten(1).mean(1)).sum()

    compare_loss(loss, z, target, rng.uniform(0, 2, 8) if weighted else None, oracle)


# (initializer, variance for fan_in 300 and fan_out 500, largest value, fourth moment / variance^2)
INITIALIZERS = [
    (initializers.Normal(), 0.01**2, None),
    (initializers.glorot_normal, 2 / 800, None),
    (initializers.he_normal, 2 / 300, None),
    (initializers.lecun_normal, 1 / 300, None),
    (initializers.glorot_uniform, 2 / 800, math.sqrt(6 / 800)),
    (initializers.he_uniform, 2 / 300, math.sqrt(6 / 300)),
    (initializers.lecun_uniform, 1 / 300, math.sqrt(3 / 300)),
]


@pytest.mark.against("distribution")
@pytest.mark.parametrize(("init", "variance", "limit"), INITIALIZERS, ids=lambda v: str(v)[:60])
def test_initial_weights_have_the_formulas_variance(init, variance, limit):
    w = init(host_rng(0, "init"), (300, 500))
    kurtosis = 3.0 if limit is None else 9 / 5
    assert abs(w.mean()) <= SIGMAS * math.sqrt(variance / w.size)
    assert abs(w.var() / variance - 1) <= SIGMAS * math.sqrt((kurtosis - 1) / w.size)
    assert abs((w**4).mean() / variance**2 / kurtosis - 1) <= 0.05
    if limit is not None:
        assert 0.999 * limit < np.abs(w).max() <= limit


@pytest.mark.parametrize(("torch_init", "init"), [
    (torch.nn.init.xavier_normal_, initializers.glorot_normal),
    (torch.nn.init.xavier_uniform_, initializers.glorot_uniform),
    (torch.nn.init.kaiming_normal_, initializers.he_normal),
    (torch.nn.init.kaiming_uniform_, initializers.he_uniform),
])  # fmt: skip
def test_initial_weights_spread_as_torchs(torch_init, init):
    torch.manual_seed(0)
    theirs = torch_init(torch.empty(500, 300, dtype=torch.float64))  # torch: (n_out, n_in)
    ours = init(host_rng(1, "init"), (300, 500))
    assert abs(ours.std() / theirs.std().item() - 1) <= 0.02


@pytest.mark.against("distribution")
@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (3, 3, 4, 20)], ids=str)
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    init = initializers.Orthogonal(2.0)
    used(init)
    w = init(host_rng(0, "init"), shape).reshape(-1, shape[-1]) / 2
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    assert error(gram, np.eye(len(gram))) <= TOLERANCE


def test_orthogonal_is_uniform_over_the_group():
    """Without the sign of R's diagonal every Q would have the same bias; the trace would not average 0."""
    traces = [np.trace(initializers.Orthogonal()(host_rng(i, "init"), (8, 8))) for i in range(400)]
    assert abs(np.mean(traces)) <= SIGMAS / math.sqrt(400)
    assert abs(np.var(traces) - 1) <= 0.4


def test_a_network_equals_torch_as_a_whole():
    """Layers, loss and the flat gradient together, on bytes."""
    x, y, _, _ = xpnn.data.mnist()
    x, y = x[:32], y[:32]
    model = xpnn.Model(
        [layers.Flatten(), layers.Rescale(1 / 255), layers.Dense(20), layers.ELU(), layers.Dense(10)],
        (28, 28, 1), dtype="float64", seed=3,
    )  # fmt: skip
    p = {k: torch.from_numpy(np.array(v)).requires_grad_() for k, v in model.parameters().items()}
    hidden = F.elu(torch.from_numpy(x.reshape(32, -1) / 255) @ p["2.W"] + p["2.b"])
    F.cross_entropy(hidden @ p["4.W"] + p["4.b"], torch.from_numpy(y)).backward()
    before = np.array(model.theta)
    xpnn.Trainer(model, optimizer=xpnn.SGD(1.0)).step(x, y)
    wanted = torch.cat([a.grad.reshape(-1) for a in p.values()])
    assert error(before - model.theta, wanted) <= 1e2 * TOLERANCE  # theta - lr g and back loses digits of g

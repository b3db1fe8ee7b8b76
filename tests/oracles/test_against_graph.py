"""Whole graphs against PyTorch's autograd in float64: values, all gradients, and a run of SGD."""

import numpy as np
import pytest
from comparison import error, parameters
from proof_table import used

import xpnn
from xpnn import Add, Average, BatchNorm, Concatenate, Dense, Graph, Multiply, Sequential, Shared, Tanh
from xpnn.backends import get_backend
from xpnn.layers import Ctx
from xpnn.losses import MeanSquaredError, MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.parameters import leaves

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""
STEPS = 300

SIAMESE = Graph(
    inputs=("left", "right"),
    nodes={
        "a": (Sequential((Dense(6), Tanh(), Dense(4), Tanh())), "left"),
        "b": (Shared("a"), "right"),
        "product": (Multiply(), ("a", "b")),
        "all": (Concatenate(), ("product", "a", "left")),
        "class": (Dense(3), "all"),
        "mean": (Average(), ("a", "b")),
        "again": (Add(), ("product", "b", "mean")),
        "value": (Dense(2), "again"),
    },
    outputs=("class", "value"),
)
"""Two inputs, one branch for both, values with several users, two outputs."""
SHAPE = ((5,), (5,))


def siamese(left, right, p):
    def branch(x):
        hidden = torch.tanh(F.linear(x, p["a.0.W"].T, p["a.0.b"]))
        return torch.tanh(F.linear(hidden, p["a.2.W"].T, p["a.2.b"]))

    a, b = branch(left), branch(right)
    joined = torch.cat([a * b, a, left], -1)
    return F.linear(joined, p["class.W"].T, p["class.b"]), F.linear(
        a * b + b + (a + b) / 2, p["value.W"].T, p["value.b"]
    )


def tensors(p):
    return {path: torch.tensor(np.asarray(a)).requires_grad_() for path, a in leaves(p)}


def test_a_graph_equals_autograd():
    rng = np.random.default_rng(0)
    x, p = tuple(rng.standard_normal((7, *shape)) for shape in SHAPE), parameters(SIAMESE, SHAPE, rng)
    dy = (rng.standard_normal((7, 3)), rng.standard_normal((7, 2)))
    tx, tp = [torch.from_numpy(a).requires_grad_() for a in x], tensors(p)
    wanted = siamese(*tx, tp)
    torch.autograd.backward(wanted, [torch.from_numpy(a) for a in dy])
    cx = Ctx(get_backend("numpy", None, "float64"), train=True, key=(0,))
    used(SIAMESE)
    y, cache = SIAMESE.forward(cx, p, x)
    dx, grads = SIAMESE.backward(cx, p, cache, dy)
    for got, want in (*zip(y, wanted, strict=True), *zip(dx, (t.grad for t in tx), strict=True)):
        assert error(got, want.detach()) <= TOLERANCE
    assert {path for path, _ in leaves(grads)} == set(tp)
    for path, grad in leaves(grads):
        assert error(grad, tp[path].grad) <= TOLERANCE, path


def test_a_run_of_sgd_equals_torch(be):
    """Two losses, weighted; momentum; a batch a step. Rounding grows along the run, by less than a factor of 100."""
    rng = np.random.default_rng(1)
    x = tuple(rng.standard_normal((64, *shape)) for shape in SHAPE)
    y = (rng.integers(0, 3, 64), rng.standard_normal((64, 2)))
    model = xpnn.Model(SIAMESE, SHAPE, dtype="float64", backend=be.name, seed=3)
    p = {path: torch.tensor(be.to_numpy(a)).requires_grad_() for path, a in model.parameters().items()}
    loss = MultiOutputLoss((SoftmaxCrossEntropy(), MeanSquaredError()), (1.0, 0.5))
    trainer = xpnn.Trainer(model, loss, xpnn.SGD(0.05, momentum=0.9))
    used((SIAMESE, loss))
    theirs = torch.optim.SGD(p.values(), 0.05, momentum=0.9)
    tx, ty = [torch.from_numpy(a) for a in x], [torch.from_numpy(a) for a in y]
    device_x, device_y = model.inputs(x), model.targets(y)
    steps = STEPS if be.name != "strict" else 30
    for t in range(steps):
        rows = slice(t % 4 * 16, t % 4 * 16 + 16)
        value = trainer.step(*(tuple(a[rows, ...] for a in many) for many in (device_x, device_y)))
        theirs.zero_grad()
        with torch.enable_grad():  # a backend's scope may have it off
            logits, real = siamese(*(a[rows] for a in tx), p)
            wanted = F.cross_entropy(logits, ty[0][rows]) + 0.5 * F.mse_loss(real, ty[1][rows])
            wanted.backward()
        theirs.step()
        assert float(value) == pytest.approx(wanted.item(), rel=1e-10)
    for path, a in model.parameters().items():
        assert error(be.to_numpy(a), p[path].detach()) <= 100 * TOLERANCE, path


def test_shared_statistics_move_once_for_each_use():
    """As a torch.nn.BatchNorm1d that is called twice."""
    net = Graph(
        ("x", "y"), {"a": (BatchNorm(0.3), "x"), "b": (Shared("a"), "y"), "c": (Add(), ("a", "b"))}, "c"
    )
    used(net)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((6, 3)) + 2, 3 * rng.standard_normal((6, 3))
    module = torch.nn.BatchNorm1d(3, momentum=0.3).double()
    wanted = module(torch.from_numpy(x)) + module(torch.from_numpy(y))
    model = xpnn.Model(net, ((3,), (3,)), dtype="float64")
    trainer = xpnn.Trainer(model, "mean_squared_error", xpnn.SGD(0.0))
    value = trainer.step((x, y), np.zeros((6, 3)))
    assert float(value) == pytest.approx((wanted**2).mean().item(), rel=1e-12)
    assert error(model.parameters()["a.mean"], module.running_mean) <= TOLERANCE
    assert error(model.parameters()["a.var"], module.running_var) <= TOLERANCE
    module.eval()
    assert (
        error(model.forward((x, y)), (module(torch.from_numpy(x)) + module(torch.from_numpy(y))).detach())
        <= TOLERANCE
    )

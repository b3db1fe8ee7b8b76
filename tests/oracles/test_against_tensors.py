"""Layers that move, cut, reduce, broadcast and limit, and layers without a bias, against PyTorch in float64."""

import numpy as np
import pytest
from comparison import assert_equals_torch, error
from proof_table import used
from tolerances import label

import xpnn
from xpnn import layers
from xpnn.backends import get_backend
from xpnn.layers import Ctx

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def maxout(x, p):
    return (x @ p["W"]).unflatten(-1, (3, 2)).amax(-1)


def parts(x, p):
    a, _, b = x.split((1, 3, 2), -1)
    return a * b


ONE_INPUT = [
    (layers.Dense(4, bias=False), (2, 5), lambda x, p: F.linear(x, p["W"].T)),
    (layers.Maxout(3, bias=False), (5,), maxout),
    (layers.LayerNorm(bias=False), (2, 5), lambda x, p: F.layer_norm(x, (5,), p["gain"])),
    (layers.Permute((3, 1, 2)), (2, 3, 4), lambda x, p: x.permute(0, 3, 1, 2)),
    (layers.Slice(1, 7, 3, axis=1), (8, 2), lambda x, p: x[:, 1:7:3]),
    (layers.Slice(-2, None, -3), (8,), lambda x, p: x.flip(-1)[:, 1::3]),
    (
        layers.Sequential(
            (
                layers.Split((1, 3, 2)),
                layers.Graph(
                    ("a", "b", "c"),
                    {
                        "y": (layers.Multiply(), ("a", "c")),
                        "z": (layers.Slice(0, 1), "b"),
                        "s": (layers.Add(), ("y", "z")),
                    },
                    "s",
                ),
            )
        ),
        (4, 6),
        lambda x, p: parts(x, p) + x[..., 1:2],
    ),
    (layers.ReduceSum((1, 3), True), (2, 3, 4), lambda x, p: x.sum((1, 3), keepdim=True)),
    (layers.ReduceMean((1, 2)), (2, 3, 4), lambda x, p: x.mean((1, 2))),
    (layers.ReduceMax(), (2, 3, 4), lambda x, p: x.amax((1, 2, 3))),
    (layers.ReduceMax((-1,), True), (2, 3, 4), lambda x, p: x.amax(-1, keepdim=True)),
    (layers.Clip(-0.5, 0.7), (40,), lambda x, p: x.clamp(-0.5, 0.7)),
    (layers.Clip(high=0.3), (40,), lambda x, p: x.clamp(max=0.3)),
    (layers.LpNormalize(), (3, 5), lambda x, p: F.normalize(x, dim=-1)),
    (layers.LpNormalize(1, 1), (3, 5), lambda x, p: F.normalize(x, p=1, dim=1)),
    (layers.LpNormalize(2, 2, 2.5), (3, 5), lambda x, p: F.normalize(x, dim=2, eps=2.5)),
    (layers.Offset((1, 3)), (2, 3, 4), lambda x, p: x + p["c"]),
    (layers.Scale(), (2, 3, 4), lambda x, p: x * p["c"]),
    (
        layers.Parallel(
            (layers.Sequential(()), [layers.ReduceMean((1, 2), True), layers.Dense(4)]), "multiply"
        ),
        (3, 3, 4),
        lambda x, p: x * (x.mean((1, 2), keepdim=True) @ p["1.1.W"] + p["1.1.b"]),
    ),
]


@pytest.mark.parametrize(("layer", "shape", "oracle"), ONE_INPUT, ids=label)
def test_a_layer_equals_torch(layer, shape, oracle):
    rng = np.random.default_rng(0)
    assert_equals_torch(layer, rng.standard_normal((6, *shape)), oracle, rng, TOLERANCE)


def masked_mean(x, m):
    return (x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)


SEVERAL_INPUTS = [
    (layers.Multiply(), ((2, 3, 4), (1, 1, 4)), lambda a, b: a * b),
    (layers.Add(), ((1, 3), (2, 1), (2, 3)), lambda a, b, c: a + b + c),
    (layers.Subtract(), ((3, 1), (1, 2)), lambda a, b: a - b),
    (layers.Average(), ((3,), (1,)), lambda a, b: (a + b) / 2),
    (layers.MaskedMean(), ((5, 2), (5,)), masked_mean),
]


@pytest.mark.parametrize(("layer", "shapes", "oracle"), SEVERAL_INPUTS, ids=label)
def test_a_layer_of_several_inputs_equals_torch(layer, shapes, oracle):
    used(layer)
    rng = np.random.default_rng(0)
    kinds = layers.base.for_each(layer.input_kind, len(shapes))
    x = [
        rng.integers(0, 2, (6, *shape)) * 1.0 if kind == "mask" else rng.standard_normal((6, *shape))
        for shape, kind in zip(shapes, kinds, strict=True)
    ]
    x[-1][0] = x[-1][0] if layer != layers.MaskedMean() else 0.0
    given = [torch.from_numpy(a).requires_grad_(kind != "mask") for a, kind in zip(x, kinds, strict=True)]
    wanted = oracle(*given)
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    cx = Ctx(get_backend("numpy", None, "float64"), train=True, key=(0,))
    y, cache = layer.forward(cx, {}, tuple(x))
    dx, _ = layer.backward(cx, {}, cache, dy)
    assert error(y, wanted.detach()) <= TOLERANCE
    for got, want in zip(dx, given, strict=True):
        assert got is None if want.grad is None else error(got, want.grad) <= TOLERANCE


def test_hardmax_decides_as_argmax():
    x = np.array([[1.0, 3.0, 3.0], [2.0, -1.0, 0.0]])
    model = xpnn.Model([layers.Hardmax()], (3,), dtype="float64")
    used(layers.Hardmax())
    assert (model.forward(x) == F.one_hot(torch.from_numpy(x).argmax(-1), 3).numpy()).all()


def test_equal_numbers_share_the_gradient_of_their_maximum():
    x = torch.tensor([[2.0, 2.0, 1.0]]).double().requires_grad_()
    x.amax(-1).sum().backward()
    cx = Ctx(get_backend("numpy", None, "float64"))
    _, cache = layers.ReduceMax().forward(cx, {}, x.detach().numpy())
    assert (layers.ReduceMax().backward(cx, {}, cache, np.ones(1))[0] == x.grad.numpy()).all()

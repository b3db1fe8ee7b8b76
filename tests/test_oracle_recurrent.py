"""Containers, embeddings and recurrent layers against PyTorch: values and all gradients in float64."""

import numpy as np
import pytest
from measure import error, parameters, run_layer

from xpnn.layers import Dense, Parallel, Recompute, Residual, Sequential, Tanh
from xpnn.parameters import leaves

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.oracle

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""


def linear(p, path):
    return lambda x: F.linear(x, p[f"{path}W"].T, p[f"{path}b"])


def branches(x, p):
    return linear(p, "0.")(x), torch.tanh(x), linear(p, "2.")(x)


THREE = (Dense(4), Tanh(), Dense(4))
COMPOSED = [
    (
        Residual(Sequential((Dense(6), Tanh(), Dense(4)))),
        lambda x, p: x + linear(p, "0.2.")(torch.tanh(linear(p, "0.0.")(x))),
    ),
    (Parallel(THREE), lambda x, p: torch.cat(branches(x, p), -1)),
    (Parallel(THREE, "add"), lambda x, p: sum(branches(x, p))),
    (Parallel(THREE, "multiply"), lambda x, p: torch.stack(branches(x, p)).prod(0)),
    (Parallel(THREE, "average"), lambda x, p: torch.stack(branches(x, p)).mean(0)),
    (
        Recompute(Sequential((Dense(6), Tanh(), Dense(4)))),
        lambda x, p: linear(p, "2.")(torch.tanh(linear(p, "0.")(x))),
    ),
]


@pytest.mark.parametrize("shape", [(4,), (3, 4)], ids=str)
@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize(("layer", "oracle"), COMPOSED, ids=lambda v: str(v)[:40])
def test_composition_equals_torch(layer, oracle, shape, scale):
    rng = np.random.default_rng(0)
    x, p = scale * rng.standard_normal((5, *shape)), parameters(layer, shape, rng)
    tx = torch.from_numpy(x).requires_grad_()
    tp = {path: torch.from_numpy(a).requires_grad_() for path, a in leaves(p)}
    wanted = oracle(tx, tp)
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(layer, x, dy, p)
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    assert set(grads) == set(tp)
    for path, grad in grads.items():
        assert error(grad, tp[path].grad) <= TOLERANCE, path

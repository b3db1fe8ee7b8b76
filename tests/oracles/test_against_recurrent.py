"""Containers, embeddings and recurrent layers against PyTorch: values and all gradients in float64."""

from collections import Counter

import numpy as np
import pytest
from comparison import assert_equals_torch, error, run_layer
from tolerances import label

from xpnn.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Embedding,
    Parallel,
    Recompute,
    Residual,
    Sequential,
    SimpleRNN,
    Tanh,
)

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

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
@pytest.mark.parametrize(("layer", "oracle"), COMPOSED, ids=label)
def test_composition_equals_torch(layer, oracle, shape, scale):
    rng = np.random.default_rng(0)
    assert_equals_torch(layer, scale * rng.standard_normal((5, *shape)), oracle, rng, TOLERANCE)


def compare_embedding(ids, W, theirs):
    """Values and dW of ours against theirs(ids, W)."""
    tW = W.detach().clone().requires_grad_()
    wanted = theirs(ids, tW)
    dy = np.random.default_rng(1).standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(Embedding(*W.shape), ids.numpy(), dy, {"W": W.detach().numpy()})
    assert dx is None  # ids have no gradient
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(grads["W"], tW.grad) <= TOLERANCE


@pytest.mark.parametrize("tokens", [1, 7, 1000])
@pytest.mark.parametrize("shape", [(5,), (4, 9), (3, 2, 5)], ids=str)
def test_embedding_equals_torch(tokens, shape):
    rng = np.random.default_rng(0)
    ids, W = (
        torch.from_numpy(rng.integers(0, tokens, shape)),
        torch.from_numpy(rng.standard_normal((tokens, 6))),
    )
    compare_embedding(ids, W, F.embedding)


EMBEDDING_OPS, EMBEDDING_MODULES = 3, 2
"""How many of torch 2.13.0's samples have a counterpart; the others fix a row, clip norms or scale gradients."""


def test_embedding_samples_equal_torch():
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

    ran, left = 0, []
    for info in op_db:
        if info.name != "nn.functional.embedding":
            continue
        for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
            if sample.kwargs or not sample.args[0].numel():
                left.append(sorted(sample.kwargs))
                continue
            compare_embedding(sample.args[0], sample.input, F.embedding)
            ran += 1
    print(f"{ran} op samples ran, left out with {left}")
    assert ran >= EMBEDDING_OPS
    ran, left = 0, []
    for info in module_db:
        if info.name == "nn.Embedding":
            torch.manual_seed(0)
            settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            for given in info.module_inputs_func(info, **settings):
                module = info.module_cls(
                    *given.constructor_input.args, **given.constructor_input.kwargs
                ).double()
                if module.padding_idx is not None or module.max_norm is not None:
                    left.append(given.constructor_input.kwargs)
                    continue
                compare_embedding(given.forward_input.args[0], module.weight, F.embedding)
                ran += 1
    print(f"{ran} module samples ran, left out {left}")
    assert ran >= EMBEDDING_MODULES


KINDS = {SimpleRNN: torch.nn.RNN, LSTM: torch.nn.LSTM, GRU: torch.nn.GRU}


def named(module, suffix):
    """PyTorch's own parameters of one layer and direction, None where it has no bias."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(module, f"{name}_{suffix}", None) for name in names]


def ours(kind, units, W, U, b, b2):
    """Our parameters: gates are rows there; its two biases are one here but for the candidate of a GRU."""
    b, b2 = (np.zeros(len(W)) if v is None else v for v in (b, b2))
    if kind is not GRU:
        return {"W": W.T, "U": U.T, "b": b + b2}
    both = np.concatenate([b2[: 2 * units], np.zeros(units)])
    return {"W": W.T, "U": U.T, "b": b + both, "c": b2[2 * units :]}


def their_gradients(kind, units, W, U, b, b2):
    """PyTorch's gradients as ours: those of two biases that are added are the same."""
    found = {"W": W.T, "U": U.T, "b": b}
    return found | ({"c": b2[2 * units :]} if kind is GRU and b2 is not None else {})


def compare_recurrent(kind, module, x, sequences=True):
    """y, dx and all parameter gradients of a stack of ours against a module's; x: (N, time, features)."""
    units, ends = module.hidden_size, ("", "_reverse") if module.bidirectional else ("",)
    stack, p, suffixes = [], [], {}
    for k in range(module.num_layers):
        layer = kind(units, sequences or k < module.num_layers - 1)
        stack.append(Bidirectional(layer) if module.bidirectional else layer)
        for i, end in enumerate(ends):
            suffixes[f"{k}.{i}." if module.bidirectional else f"{k}."] = f"l{k}{end}"
        host = [
            [None if a is None else a.detach().numpy() for a in named(module, f"l{k}{end}")] for end in ends
        ]
        trees = tuple(ours(kind, units, *arrays) for arrays in host)
        p.append(trees if module.bidirectional else trees[0])
    tx = torch.from_numpy(x).requires_grad_()
    wanted, _ = module(tx if module.batch_first else tx.swapaxes(0, 1))
    wanted = wanted if module.batch_first else wanted.swapaxes(0, 1)
    if not sequences:  # the last state of each direction
        wanted = torch.cat([wanted[:, -1, :units], wanted[:, 0, units:]], -1)
    dy = np.random.default_rng(1).standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(Sequential(tuple(stack)), x, dy, tuple(p))
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    for path, suffix in suffixes.items():
        theirs = [None if a is None else a.grad.numpy() for a in named(module, suffix)]
        for key, grad in their_gradients(kind, units, *theirs).items():
            assert grad is None or error(grads[path + key], grad) <= TOLERANCE, path + key


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("shape", [(1, 1), (4, 3), (7, 5), (40, 2)], ids=str)
@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize("both", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_recurrent_layer_equals_torch(kind, both, sequences, shape, scale):
    torch.manual_seed(0)
    module = KINDS[kind](shape[1], 4, batch_first=True, bidirectional=both).double()
    x = scale * np.random.default_rng(0).standard_normal((6, *shape))
    compare_recurrent(kind, module, x, sequences)


RECURRENT_MODULES = 24
"""Of torch 2.13.0's samples, all stacks of two; ReLU units, projections and given first states are not ours."""


def recurrent_samples():
    from torch.testing._internal.common_modules import module_db

    settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
    for info in module_db:
        for kind, module_cls in KINDS.items():
            if info.module_cls is module_cls:
                torch.manual_seed(0)
                for given in info.module_inputs_func(info, **settings):
                    module = module_cls(*given.constructor_input.args, **given.constructor_input.kwargs)
                    yield kind, module.double(), given.forward_input.args


def why_not(module, args):
    """Empty where there is a counterpart."""
    if len(args) > 1:
        return "a first state is given"
    if module.proj_size:
        return "a projection"
    return "relu" if getattr(module, "nonlinearity", "tanh") != "tanh" else ""


def test_recurrent_samples_equal_torch():
    ran, left = Counter(), Counter()
    for kind, module, args in recurrent_samples():
        reason = why_not(module, args)
        if reason:
            left[kind.__name__, reason] += 1
            continue
        x = args[0].detach().numpy()
        x = x[None] if x.ndim == 2 else x if module.batch_first else x.swapaxes(0, 1)
        compare_recurrent(kind, module, np.ascontiguousarray(x))
        ran[kind.__name__] += 1
    print(f"samples ran: {dict(ran)}; left out: {dict(left)}")
    assert sum(ran.values()) >= RECURRENT_MODULES

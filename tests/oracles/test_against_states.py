"""States in and out of recurrent layers, no biases, one direction backwards, and padding, against PyTorch."""

import numpy as np
import pytest
from comparison import error
from harness import context, open_backend
from proof_table import used
from test_against_recurrent import KINDS, named, ours, their_gradients

from xpnn import LSTM, Bidirectional, Embedding
from xpnn.parameters import leaves

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""
UNITS, FEATURES, TIME, SAMPLES = 4, 3, 6, 5
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
with_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])


def run(layer, p, x, dy):
    """(y, dx, {path: gradient}) on NumPy."""
    used(layer)
    be = open_backend("numpy", "float64")
    y, cache = layer.forward(context(be), p, x)
    dx, grads = layer.backward(context(be), p, cache, dy)
    return y, dx, dict(leaves(grads))


def trees(kind, module, bias):
    """Our parameters of each direction, without the biases where there are none."""
    ends = ("", "_reverse") if module.bidirectional else ("",)
    host = [[None if a is None else a.detach().numpy() for a in named(module, f"l0{end}")] for end in ends]
    found = [ours(kind, UNITS, *arrays) for arrays in host]
    return [{k: v for k, v in p.items() if bias or k in "WU"} for p in found], ends


def check_gradients(kind, module, ends, grads, both):
    for i, end in enumerate(ends):
        theirs = [None if a is None else a.grad.numpy() for a in named(module, f"l0{end}")]
        for key, wanted in their_gradients(kind, UNITS, *theirs).items():
            if wanted is not None:
                assert error(grads[f"{i}.{key}" if both else key], wanted) <= TOLERANCE, key
            else:
                assert key not in grads


@with_bias
@pytest.mark.parametrize("sequences", [True, False], ids=["all", "last"])
@pytest.mark.parametrize("both", [False, True], ids=["forward", "bidirectional"])
@each
def test_states_in_and_out_equal_torchs(kind, both, sequences, bias):
    """y, the last states, and the gradients of x, of the first states, and of every parameter."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    module = KINDS[kind](FEATURES, UNITS, batch_first=True, bidirectional=both, bias=bias).double()
    ps, ends = trees(kind, module, bias)
    n = 2 if kind is LSTM else 1
    x = rng.standard_normal((SAMPLES, TIME, FEATURES))
    first = [[rng.standard_normal((SAMPLES, UNITS)) for _ in range(n)] for _ in ends]  # by direction
    tx = torch.from_numpy(x).requires_grad_()
    tfirst = [[torch.from_numpy(a).requires_grad_() for a in states] for states in first]
    given = [torch.stack([states[k] for states in tfirst]) for k in range(n)]
    y, last = module(tx, tuple(given) if n == 2 else given[0])
    last = last if n == 2 else (last,)
    if not sequences:
        y = torch.cat([y[:, -1, :UNITS], y[:, 0, UNITS:]], -1) if both else y[:, -1]
    wanted = [y, *(last[k][d] for d in range(len(ends)) for k in range(n))]
    dys = [rng.standard_normal(tuple(a.shape)) for a in wanted]
    sum((a * torch.from_numpy(d)).sum() for a, d in zip(wanted, dys, strict=True)).backward()
    layer = kind(UNITS, sequences, bias=bias, initial_state=True, return_state=True)
    layer, p = (Bidirectional(layer), tuple(ps)) if both else (layer, ps[0])
    inputs = (x, *(a for states in first for a in states))
    got, dx, grads = run(layer, p, inputs, tuple(dys))
    for a, b in zip(got, wanted, strict=True):
        assert error(a, b.detach()) <= TOLERANCE
    for a, b in zip(dx, [tx, *(t for states in tfirst for t in states)], strict=True):
        assert error(a, b.grad) <= TOLERANCE
    check_gradients(kind, module, ends, grads, both)


@with_bias
@pytest.mark.parametrize("sequences", [True, False], ids=["all", "last"])
@each
def test_reverse_alone_is_torchs_second_direction(kind, sequences, bias):
    torch.manual_seed(0)
    rng = np.random.default_rng(1)
    module = KINDS[kind](FEATURES, UNITS, batch_first=True, bidirectional=True, bias=bias).double()
    p = trees(kind, module, bias)[0][1]
    x = rng.standard_normal((SAMPLES, TIME, FEATURES))
    tx = torch.from_numpy(x).requires_grad_()
    wanted = module(tx)[0][..., UNITS:]
    wanted = wanted if sequences else wanted[:, 0]
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run(kind(UNITS, sequences, bias=bias, reverse=True), p, x, dy)
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    theirs = [None if a is None else a.grad.numpy() for a in named(module, "l0_reverse")]
    for key, grad in their_gradients(kind, UNITS, *theirs).items():
        assert error(grads[key], grad) <= TOLERANCE if grad is not None else key not in grads


@each
def test_a_sequence_in_two_pieces_is_the_sequence(kind):
    """The states after the first piece go into the second: stateful use."""
    rng = np.random.default_rng(2)
    whole = kind(UNITS, True)
    pieces = kind(UNITS, True, initial_state=True, return_state=True)
    p = {k: rng.standard_normal(s.shape) for k, s in whole.plan((TIME, FEATURES))[0].items()}
    x = rng.standard_normal((SAMPLES, TIME, FEATURES))
    wanted = run(whole, p, x, np.zeros((SAMPLES, TIME, UNITS)))[0]
    be, states, found = open_backend("numpy", "float64"), (np.zeros((SAMPLES, UNITS)),) * whole.states, []
    for piece in (x[:, :2], x[:, 2:3], x[:, 3:]):
        (y, *states), _ = pieces.forward(context(be), p, (piece, *states))
        found.append(y)
    assert error(np.concatenate(found, axis=1), wanted) <= TOLERANCE


@pytest.mark.parametrize("padding", [0, 3, 6])
def test_the_padding_of_an_embedding_equals_torchs(padding):
    torch.manual_seed(0)
    rng = np.random.default_rng(3)
    module = torch.nn.Embedding(7, 5, padding_idx=padding).double()
    assert not module.weight[padding].any()
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(rng.standard_normal((7, 5))))  # its row too
    ids = rng.integers(0, 7, (4, 9))
    ids[0, 0] = padding
    wanted = module(torch.from_numpy(ids))
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    W = {"W": module.weight.detach().numpy()}
    y, dx, grads = run(Embedding(7, 5, padding_idx=padding), W, ids, dy)
    assert dx is None
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(grads["W"], module.weight.grad) <= TOLERANCE

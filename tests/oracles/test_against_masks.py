"""Recurrent layers with masks against PyTorch's packed sequences: values and all gradients in float64."""

import numpy as np
import pytest
from comparison import error, parameters
from test_against_recurrent import KINDS, named, ours, their_gradients

from xpnn.backends import get_backend
from xpnn.layers import Bidirectional, Ctx
from xpnn.parameters import leaves

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]
pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""
LENGTHS = [1, 7, 3, 7, 5]
UNITS, FEATURES, TIME = 4, 3, 7


def run(layer, x, mask, dy, p):
    be = get_backend("numpy", None, "float64")
    cx = Ctx(be, train=True, key=(0, 0))
    y, cache = layer.forward(cx, p, (x, mask))
    (dx, none), grads = layer.backward(cx, p, cache, dy)
    assert none is None
    return y, dx, dict(leaves(grads))


def theirs(module, x, sequences):
    """The states of a packed run: all of them, 0 where there is padding, or those after each direction's last step."""
    packed = pack(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    states, last = module(packed)
    if sequences:
        return pad(states, batch_first=True)[0]
    h = last[0] if isinstance(last, tuple) else last
    return torch.cat(tuple(h), -1)


@pytest.mark.parametrize("sequences", [False, True], ids=["last", "all"])
@pytest.mark.parametrize("both", [False, True], ids=["forward", "bidirectional"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_right_padding_equals_packed_sequences(kind, both, sequences):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    module = KINDS[kind](FEATURES, UNITS, batch_first=True, bidirectional=both).double()
    mask = (np.arange(TIME) < np.array(LENGTHS)[:, None]) * 1.0
    x = rng.standard_normal((len(LENGTHS), TIME, FEATURES))
    x[mask == 0] = 1e3  # what padding holds does not matter
    tx = torch.from_numpy(x).requires_grad_()
    wanted = theirs(module, tx, sequences)
    dy = rng.standard_normal(tuple(wanted.shape)) * (mask[:, :, None] if sequences else 1.0)
    wanted.backward(torch.from_numpy(dy))
    ends = ("", "_reverse") if both else ("",)
    host = [[a.detach().numpy() for a in named(module, f"l0{end}")] for end in ends]
    trees = tuple(ours(kind, UNITS, *arrays) for arrays in host)
    layer = kind(UNITS, sequences, masked=True)
    y, dx, grads = run(Bidirectional(layer) if both else layer, x, mask, dy, trees if both else trees[0])
    assert error(y * (mask[:, :, None] if sequences else 1), wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    for i, end in enumerate(ends):
        for key, grad in their_gradients(
            kind, UNITS, *(a.grad.numpy() for a in named(module, f"l0{end}"))
        ).items():
            assert error(grads[f"{i}.{key}" if both else key], grad) <= TOLERANCE, key


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_holes_are_as_if_they_were_cut_out(kind):
    """Masked steps anywhere: the states at real steps are those of the sequence without the others."""
    rng = np.random.default_rng(1)
    layer, full = kind(UNITS, True), kind(UNITS, True, masked=True)
    p, real = parameters(layer, (TIME, FEATURES), rng), np.array([1, 3, 4, 6])
    x, mask = rng.standard_normal((2, TIME, FEATURES)), np.zeros((2, TIME))
    mask[:, real] = 1
    dy = rng.standard_normal((2, TIME, UNITS))
    y, dx, grads = run(full, x, mask, dy, p)
    cx = Ctx(get_backend("numpy", None, "float64"), train=True, key=(0, 0))
    short, cache = layer.forward(cx, p, x[:, real])
    share = np.stack([dy[:, 1:3].sum(1), dy[:, 3], dy[:, 4:6].sum(1), dy[:, 6]], 1)
    short_dx, wanted = layer.backward(cx, p, cache, share)
    for got, want in (
        (y[:, real], short),
        (dx[:, real], short_dx),
        (y[:, 5], short[:, 2]),
        (y[:, 0], 0 * y[:, 0]),
    ):
        assert error(got, want) <= TOLERANCE
    assert not dx[:, mask[0] == 0].any()
    for key, grad in wanted.items():
        assert error(grads[key], grad) <= TOLERANCE, key

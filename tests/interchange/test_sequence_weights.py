"""Weights of recurrent layers and attention, to and from PyTorch, beyond one layer of each class."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from onnx_runs import TOLERANCE, difference  # noqa: E402

import xpnn  # noqa: E402
from xpnn import GRU, LSTM, MultiHeadAttention, SimpleRNN  # noqa: E402
from xpnn.errors import UsageError  # noqa: E402
from xpnn.interchange import load_torch, to_torch  # noqa: E402

pytestmark = pytest.mark.oracle
KINDS = {SimpleRNN: torch.nn.RNN, LSTM: torch.nn.LSTM, GRU: torch.nn.GRU}
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
X = np.random.default_rng(0).standard_normal((3, 6, 4)).astype(np.float32)


def answered(module, *xs):
    with torch.no_grad():
        return module.eval()(*map(torch.from_numpy, xs))


@each
def test_the_second_half_of_a_module_is_a_layer_that_reads_backwards(kind):
    torch.manual_seed(0)
    module = KINDS[kind](4, 3, batch_first=True, bidirectional=True)
    half = {name: a for name, a in module.state_dict().items() if name.endswith("_reverse")}
    model = xpnn.Model([kind(3, True, reverse=True)], (6, 4), seed=0)
    load_torch(model, half)
    assert difference(model.forward(X), answered(module, X)[0][..., 3:].numpy()) <= TOLERANCE
    again = to_torch(model)
    assert set(map(str, again)) == {
        name.replace("weight", "0.weight").replace("bias", "0.bias") for name in half
    }


@each
def test_both_halves_are_not_dropped_to_one(kind):
    model = xpnn.Model([kind(3, True)], (6, 4), seed=0)
    with pytest.raises(UsageError, match="the weights are of both directions"):
        load_torch(model, KINDS[kind](4, 3, bidirectional=True).state_dict())


@each
def test_weights_without_biases_go_back(kind):
    torch.manual_seed(1)
    model = xpnn.Model([kind(3, True, bias=False)], (6, 4), seed=1)
    module = KINDS[kind](4, 3, batch_first=True, bias=False)
    module.load_state_dict(
        {name.removeprefix("0."): torch.as_tensor(a) for name, a in to_torch(model).items()}
    )
    assert difference(answered(module, X)[0].numpy(), model.forward(X)) <= TOLERANCE


@pytest.mark.parametrize("bias", [True, False])
def test_keys_and_values_of_another_width(bias):
    """kdim and vdim of one size: the memory's."""
    torch.manual_seed(2)
    module = torch.nn.MultiheadAttention(4, 2, kdim=3, vdim=3, bias=bias, batch_first=True)
    model = xpnn.Model([MultiHeadAttention(2, cross=True, bias=bias)], ((6, 4), (5, 3)), seed=0)
    with torch.no_grad():
        for a in module.parameters():
            a.uniform_(-1, 1)
    load_torch(model, module.state_dict())
    memory = np.random.default_rng(1).standard_normal((3, 5, 3)).astype(np.float32)
    wanted = answered(module, X, memory, memory)[0].numpy()
    assert difference(model.forward((X, memory)), wanted) <= TOLERANCE
    back = torch.nn.MultiheadAttention(4, 2, kdim=3, vdim=3, bias=bias, batch_first=True)
    back.load_state_dict({name.removeprefix("0."): torch.as_tensor(a) for name, a in to_torch(model).items()})
    assert difference(answered(back, X, memory, memory)[0].numpy(), wanted) <= TOLERANCE


def test_a_module_without_biases_gives_zeros_to_a_layer_that_has_them():
    module = torch.nn.LSTM(4, 3, batch_first=True, bias=False)
    model = xpnn.Model([LSTM(3, True)], (6, 4), seed=0)
    load_torch(model, module.state_dict())
    assert not model.parameters()["0.b"].any()
    assert difference(model.forward(X), answered(module, X)[0].numpy()) <= TOLERANCE


def test_biases_that_have_no_place_here_are_refused_by_name():
    torch.manual_seed(3)
    model = xpnn.Model([LSTM(3, True, bias=False)], (6, 4), seed=0)
    before = model.snapshot()["theta"]
    with pytest.raises(UsageError, match="layer 0 LSTM"):
        load_torch(model, torch.nn.LSTM(4, 3, batch_first=True).state_dict())
    assert (model.snapshot()["theta"] == before).all()

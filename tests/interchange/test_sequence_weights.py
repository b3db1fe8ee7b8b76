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
def test_weights_of_both_directions_do_not_fit_one(kind):
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


@each
def test_states_go_in_and_out(kind):
    """A layer that takes and gives states has weights like any other."""
    states = 2 if kind is LSTM else 1
    names = ("h", "c")[:states]
    nodes = {"l": (kind(3, True, initial_state=True, return_state=True), ("x", *names))}
    nodes |= {f"y{i}": (xpnn.SelectOutput(i), "l") for i in range(1 + states)}
    graph = xpnn.Graph(("x", *names), nodes, tuple(f"y{i}" for i in range(1 + states)))
    model, module = (
        xpnn.Model(graph, ((6, 4), *((3,),) * states), seed=0),
        KINDS[kind](4, 3, batch_first=True),
    )
    load_torch(model, module.state_dict())
    begin = tuple(np.random.default_rng(i).standard_normal((3, 3)).astype(np.float32) for i in range(states))
    first = tuple(torch.from_numpy(a)[None] for a in begin)
    with torch.no_grad():
        y, last = module(torch.from_numpy(X), first if states > 1 else first[0])
        mine = to_torch(model, as_module=True)(*map(torch.from_numpy, (X, *begin)))
    wanted = (y.numpy(), *(a[0].numpy() for a in (last if states > 1 else (last,))))
    assert difference(model.forward((X, *begin)), wanted) <= TOLERANCE
    assert difference(tuple(a.numpy() for a in mine), wanted) <= TOLERANCE
    back = KINDS[kind](4, 3, batch_first=True)
    to_torch(model, back)
    assert difference(answered(back, X)[0].numpy(), answered(module, X)[0].numpy()) <= TOLERANCE


class Grouped(torch.nn.Module):
    """Heads that share keys and values, from four Linear modules."""

    def __init__(self, heads, shared, size, width, bias):
        super().__init__()
        self.q_proj = torch.nn.Linear(width, heads * size, bias)
        self.k_proj, self.v_proj = (torch.nn.Linear(width, shared * size, False) for _ in "kv")
        self.o_proj = torch.nn.Linear(heads * size, width, bias)
        self.sizes = (heads, -1), (shared, -1)

    def forward(self, x):
        q, k, v = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        q = q.unflatten(-1, self.sizes[0]).transpose(1, 2)
        k, v = (a.unflatten(-1, self.sizes[1]).transpose(1, 2) for a in (k, v))
        o = torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.o_proj(o.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("bias", [True, False])
def test_heads_that_share_keys_and_four_modules(bias):
    torch.manual_seed(4)
    module = Grouped(4, 2, 3, 4, bias)
    model = xpnn.Model([MultiHeadAttention(4, 3, kv_heads=2, bias=bias)], (6, 4), seed=0)
    load_torch(model, module)
    assert difference(model.forward(X), answered(module, X).numpy()) <= TOLERANCE
    back = to_torch(model, Grouped(4, 2, 3, 4, bias))
    assert difference(answered(back, X).numpy(), model.forward(X)) <= TOLERANCE
    made = to_torch(model, as_module=True)
    assert difference(answered(made, X).numpy(), model.forward(X)) <= TOLERANCE
    twin = xpnn.Model(model.net, (6, 4), seed=9)
    load_torch(twin, made)
    assert difference(twin.forward(X), model.forward(X)) <= TOLERANCE


def test_a_bias_of_keys_that_are_rotated_counts():
    model = xpnn.Model([MultiHeadAttention(2, rotary="half")], (6, 4), seed=0)
    module = torch.nn.MultiheadAttention(4, 2, batch_first=True)
    torch.nn.init.ones_(module.in_proj_bias)
    with pytest.raises(UsageError, match="layer 0 MultiHeadAttention has no bias of its keys"):
        load_torch(model, module)

"""The summary's numbers: FLOPs against PyTorch's own counter, and by hand where it has no count."""

import math
from dataclasses import dataclass

import pytest
from cases import LAYERS

import xpnn
from xpnn.diagnostics.flops import flops, weights
from xpnn.layers import (
    GRU,
    LSTM,
    Add,
    Average,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Bidirectional,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Graph,
    Layer,
    Maxout,
    MaxPool2D,
    MultiHeadAttention,
    Parallel,
    Recompute,
    ReLU,
    Residual,
    Sequential,
    Shared,
    SimpleRNN,
    Standardize,
    Tanh,
)


def counted(*calls):
    """What torch.utils.flop_counter counts in the calls of modules: their products of matrices."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        for module, *shapes in calls:
            module(*(torch.zeros(shape) for shape in shapes))
    return counter.get_total_flops()


def torch_nets():
    """(our layer, its shape, calls of the same in PyTorch)."""
    nn = pytest.importorskip("torch").nn
    return [
        (Dense(6), (4,), [(nn.Linear(4, 6), (1, 4))]),
        (Dense(6), (9, 4), [(nn.Linear(4, 6), (1, 9, 4))]),
        (Maxout(3, 2), (4,), [(nn.Linear(4, 6), (1, 4))]),
        (Conv2D(6, 3, 2, 1, groups=2), (9, 11, 4), [(nn.Conv2d(4, 6, 3, 2, 1, groups=2), (1, 4, 9, 11))]),
        (Conv2D(5, (2, 3), dilation=2), (9, 8, 1), [(nn.Conv2d(1, 5, (2, 3), dilation=2), (1, 1, 9, 8))]),
        (Conv1D(6, 3, padding=1), (7, 4), [(nn.Conv1d(4, 6, 3, padding=1), (1, 4, 7))]),
        (SimpleRNN(7, sequences=True), (6, 5), [(nn.RNN(5, 7, batch_first=True), (1, 6, 5))]),
        (GRU(7), (6, 5), [(nn.GRU(5, 7, batch_first=True), (1, 6, 5))]),
        (LSTM(7), (6, 5), [(nn.LSTMCell(5, 7), (1, 5))] * 6),  # its own sequence is not counted at all
        (Bidirectional(LSTM(7)), (6, 5), [(nn.LSTMCell(5, 7), (1, 5))] * 12),
        (
            Sequential((Conv2D(4, 3), Flatten(), Dense(2))),
            (5, 5, 1),
            [(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(36, 2)), (1, 1, 5, 5))],
        ),
    ]


@pytest.mark.oracle
@pytest.mark.parametrize("i", range(11))
def test_torch_counts_the_same(i):
    layer, shape, calls = torch_nets()[i]
    assert flops(layer, shape) == counted(*calls) > 0


BY_HAND = [
    (ReLU(), (3, 4), 12),
    (BatchNorm(), (3, 3, 2), 18),
    (Flatten(), (3, 4), 0),
    (Dropout(0.5), (7,), 0),
    (Embedding(10, 4), (6,), 0),
    (MaxPool2D(2), (4, 4, 3), 4 * 12),
    (AvgPool2D((2, 3), 1), (4, 4, 1), 6 * 6),
    (AvgPool1D(3), (6, 2), 3 * 4),
    (GlobalAveragePool(), (4, 5, 2), 40),
    (Recompute(Dense(3)), (2,), 12),
    (Recompute(Sequential((Dense(3), Tanh()))), (2,), 15),
    (Residual(Dense(2)), (2,), 8 + 2),
    (Parallel((Dense(3), ReLU())), (2,), 12 + 2),
    (Parallel((ReLU(), Tanh(), ReLU()), "add"), (4,), 12 + 8),
    (Average(), ((4,), (4,), (4,)), 12),
    (LSTM(2, masked=True), ((3, 2), (3,)), 2 * 32 * 3),
    (ConvTranspose2D(2, 3, 2), (4, 5, 3), 2 * 9 * 2 * 3 * 20),
    (MultiHeadAttention(2), (5, 4), 4 * 2 * 5 * 16 + 2 * 2 * 25 * 4),
    (
        MultiHeadAttention(2, 3, cross=True),
        ((5, 4), (7, 2)),
        2 * 2 * 5 * 24 + 2 * 2 * 7 * 12 + 2 * 2 * 35 * 6,
    ),
    (
        Graph("x", (("a", Dense(2), "x"), ("b", Shared("a"), "x"), ("c", Add(), ("a", "b"))), "c"),
        (3,),
        24 + 2,
    ),
    (Parallel((ReLU(), Tanh(), ReLU()), "average"), (4,), 12 + 12),
]


@pytest.mark.parametrize(("layer", "shape", "wanted"), BY_HAND, ids=str)
def test_counted_by_hand(layer, shape, wanted):
    assert flops(layer, shape) == wanted


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_a_layer_with_a_matrix_has_a_rule_of_its_own(case):
    """The default, one for each output, would leave its products out."""
    layer = case.layer
    assert flops(layer, case.shape) >= 0
    if not layer.children(case.shape) and layer.trained and weights(layer, case.shape):
        assert flops.dispatch(type(layer)) is not flops.dispatch(Layer), type(layer).__name__


def test_a_users_layer_brings_its_own_flops_rule():
    @dataclass(frozen=True)
    class Squared(Layer):
        """y = x x."""

    assert flops(Squared(), (5,)) == 5
    flops.register(Squared, lambda layer, shape: 2 * math.prod(shape))
    assert flops(Squared(), (5,)) == 10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_columns_add_up(dtype):
    net = [Standardize(0, 1), Residual(Sequential((Dense(4), Tanh()))), Dense(3)]
    model = xpnn.Model(net, (4,), dtype=dtype, seed=0)
    lines = model.summary().splitlines()
    rows = [line.split() for line in lines[2:-2]]
    assert [row[0] for row in rows] == ["0", "1", "1.0.0", "1.0.1", "2"]
    held = [row[-3:-1] for row in rows if row[0] in ("0", "1.0.0", "2")]
    width = 4 if dtype == "float32" else 8
    assert [(int(n), int(size)) for n, size in held] == [(8, 8 * width), (20, 20 * width), (15, 15 * width)]
    assert [row[-1] for row in rows] == ["4", "(4,)", "32", "4", "24"]
    assert lines[-2] == f"35 parameters + 8 fixed, {43 * width} bytes, {4 + 32 + 4 + 4 + 24} FLOPs per sample"


def test_long_settings_are_cut_to_80_columns():
    layers = [
        Conv2D(16, 3, padding="same", dilation=2, groups=1, init=xpnn.initializers.Normal(0.01)),
        Flatten(),
    ]
    table_text = xpnn.Model(layers, (128, 128, 3), seed=0).summary()
    assert max(map(len, table_text.splitlines())) <= 80
    assert "Conv2D(" in table_text
    assert "…" in table_text

"""Modules of PyTorch setting by setting, also those that count in training alone; and weights under unusual names."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnx_runs import TOLERANCE, difference  # noqa: E402
from test_torch_modules import answered, first  # noqa: E402
from torch import nn  # noqa: E402

import xpnn as L  # noqa: E402
from xpnn.errors import UsageError  # noqa: E402
from xpnn.interchange import load_torch, to_torch  # noqa: E402

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)

SETTINGS = [
    # (layer, shape of a sample, the module that it becomes, by what PyTorch prints of it)
    (L.BatchNorm(0.3, 0.01), (3,), nn.BatchNorm1d(3, 0.01, 0.3)),
    (L.BatchNorm(0.3, 0.01), (4, 4, 3), nn.BatchNorm2d(3, 0.01, 0.3)),
    (L.BatchNorm(0.3, 0.01), (2, 4, 4, 3), nn.BatchNorm3d(3, 0.01, 0.3)),
    (L.LayerNorm(0.01), (5, 3), nn.LayerNorm(3, 0.01)),
    (L.LayerNorm(0.01, bias=False), (3,), nn.LayerNorm(3, 0.01, bias=False)),
    (L.RMSNorm(0.01), (5, 3), nn.RMSNorm(3, 0.01)),
    (L.GroupNorm(2, 0.01), (4, 4, 6), nn.GroupNorm(2, 6, 0.01)),
    (L.InstanceNorm(0.01), (4, 4, 6), nn.GroupNorm(6, 6, 0.01)),
    (L.LocalResponseNorm(3, 0.1, 0.6, 2.0), (4, 4, 6), nn.LocalResponseNorm(3, 0.1, 0.6, 2.0)),
    (L.Dense(3), (4,), nn.Linear(4, 3)),
    (L.Dense(3, bias=False), (5, 4), nn.Linear(4, 3, bias=False)),
    (L.Dropout(0.3), (4,), nn.Dropout(0.3)),
    (L.AlphaDropout(0.3), (4,), nn.AlphaDropout(0.3)),
    (L.SpatialDropout(0.3), (4, 4, 2), nn.Dropout2d(0.3)),
    (L.LeakyReLU(0.3), (4,), nn.LeakyReLU(0.3)),
    (L.ELU(0.3), (4,), nn.ELU(0.3)),
    (L.CELU(0.3), (4,), nn.CELU(0.3)),
    (L.GELU(), (4,), nn.GELU()),
    (L.GELU(True), (4,), nn.GELU("tanh")),
    (L.Clip(-0.5, 2.0), (4,), nn.Hardtanh(-0.5, 2.0)),
    (L.Clip(None, 2.0), (4,), nn.Hardtanh(-np.inf, 2.0)),
    (L.Clip(0.25), (4,), nn.Hardtanh(0.25, np.inf)),
    (L.PReLU(), (4, 4, 3), nn.PReLU(3)),
    (L.PReLU(shared=True), (4, 4, 3), nn.PReLU(1)),
    (L.AdaptiveAvgPool((2, 3)), (6, 7, 2), nn.AdaptiveAvgPool2d((2, 3))),
    (L.AdaptiveAvgPool((2, 3, 1)), (6, 7, 4, 2), nn.AdaptiveAvgPool3d((2, 3, 1))),
    (L.Conv2D(6, (3, 2), (2, 1), ((1, 1), (0, 0)), (1, 2), 2), (8, 9, 4),
     nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2)),
    (L.Conv2D(6, 3, bias=False), (8, 9, 4), nn.Conv2d(4, 6, 3, bias=False)),
    (L.Conv3D(2, (3, 2, 1), (2, 1, 1)), (8, 9, 4, 3), nn.Conv3d(3, 2, (3, 2, 1), (2, 1, 1))),
    (L.ConvTranspose2D(6, (3, 2), (2, 3), ((1, 1), (0, 0)), (1, 2), 2, (1, 0)), (4, 5, 4),
     nn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 0), 2, True, (1, 2))),
    (L.MaxPool2D((3, 2), (2, 1), ((1, 1), (0, 0))), (8, 9, 4), nn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 1))),
    (L.AvgPool2D((3, 2), (2, 1), ((1, 1), (0, 0)), count_include_pad=True), (8, 9, 4),
     nn.AvgPool2d((3, 2), (2, 1), (1, 0))),
    (L.UpSampling2D((2, 3)), (4, 5, 2), nn.Upsample(scale_factor=(2.0, 3.0), mode="nearest")),
    (L.ZeroPad2D(((1, 2), (3, 0))), (4, 5, 2), nn.ConstantPad2d((3, 0, 1, 2), 0.0)),
    (L.GLU(), (4,), nn.GLU(-1)),
    (L.Softmax(), (4,), nn.Softmax(-1)),
    (L.LogSoftmax(), (4,), nn.LogSoftmax(-1)),
    (L.Embedding(7, 3), (5,), nn.Embedding(7, 3)),
]  # fmt: skip


def moved(model, scale=0.2):
    """The model, with parameters off their initial values."""
    model.load_parameters(
        {
            k: np.asarray(v) + scale * np.abs(RNG.standard_normal(v.shape))
            for k, v in model.parameters().items()
        }
    )
    return model


def inner(module):
    """The modules with nothing inside, but for those that move the channels."""
    found = [one for one in module.modules() if not list(one.children())]
    return [one for one in found if type(one).__name__ != "Moved"]


@pytest.mark.parametrize(("layer", "shape", "wanted"), SETTINGS, ids=lambda one: str(one)[:60])
def test_a_layer_becomes_the_module_with_its_settings(layer, shape, wanted):
    model = moved(L.Model([layer], shape, seed=0))
    module = to_torch(model, as_module=True)
    assert [str(one) for one in inner(module)] == [str(wanted)]
    assert not module.training
    x = RNG.integers(0, 7, (2, *shape)) if model.net.input_kind == "int" else RNG.standard_normal((2, *shape))
    x = x if x.dtype.kind == "i" else x.astype(np.float32)
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE


@pytest.mark.parametrize("more", [{}, {"size": 3}], ids=["its own module", "one of ours"])
def test_attention_drops_weights_in_training(more):
    model = L.Model([L.MultiHeadAttention(2, dropout=0.25, **more)], (3, 4), seed=0)
    module = to_torch(model, as_module=True)
    (rate,) = {one.dropout for one in module.modules() if hasattr(one, "dropout")}
    assert rate == 0.25
    x = torch.from_numpy(RNG.standard_normal((64, 3, 4)).astype(np.float32))
    with torch.no_grad():
        assert not torch.equal(module.train()(x), module(x))
        assert torch.equal(module.eval()(x), module(x))


def test_twelve_levels_of_one_module_are_twelve_layers():
    """Level 1 is not level 10 or 11."""
    there = nn.LSTM(2, 2, num_layers=12, batch_first=True)
    model = L.Model([L.LSTM(2, True)] * 12, (3, 2), seed=0)
    report = load_torch(model, there)
    assert [name for _, name, _ in report] == [f" level {i}" for i in range(12)]
    x = RNG.standard_normal((2, 3, 2)).astype(np.float32)
    with torch.no_grad():
        wanted = there(torch.from_numpy(x))[0].numpy()
    assert difference(model.forward(x), wanted) <= TOLERANCE
    fresh = to_torch(model, nn.LSTM(2, 2, num_layers=12, batch_first=True))
    with torch.no_grad():
        assert difference(fresh(torch.from_numpy(x))[0].numpy(), wanted) <= TOLERANCE


class Apart(nn.Module):
    """Attention of four Linear modules, some of them with biases."""

    def __init__(self, out, biased):
        super().__init__()
        for word in ("q_proj", "k_proj", "v_proj", out):
            self.add_module(word, nn.Linear(4, 4, word[0] in biased))


@pytest.mark.parametrize(
    ("out", "biased"),
    [("o_proj", "qvo"), ("out_proj", "qkvo"), ("out_proj", "v"), ("o_proj", "q"), ("o_proj", "")],
)
def test_attention_of_four_modules(out, biased):
    """Of the biases one that is not there is 0; back go those that have a place."""
    there = nn.Sequential(nn.Linear(4, 4), Apart(out, biased))
    with torch.no_grad():
        for name, a in there.named_parameters():
            a.uniform_(-1, 1) if "k_proj.bias" not in name else a.zero_()
    model = L.Model([L.Dense(4), L.MultiHeadAttention(2, bias=bool(biased))], (3, 4), seed=0)
    load_torch(model, there)
    part, found = there[1], model.parameters()
    given = {"q": part.q_proj, "v": part.v_proj, "o": getattr(part, out)}
    for word, one in (given | {"k": part.k_proj}).items():
        np.testing.assert_array_equal(found[f"1.W{word}"], one.weight.detach().numpy().T)
    for word, one in given.items() if biased else ():
        wanted = np.zeros(4) if one.bias is None else one.bias.detach().numpy()
        np.testing.assert_array_equal(found[f"1.b{word}"], wanted)
    fresh = to_torch(model, nn.Sequential(nn.Linear(4, 4), Apart(out, biased)))
    for name, a in there.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], a), name
    if biased == "v":
        model.load_parameters({"1.bq": np.ones(4)}, strict=False)
        with pytest.raises(
            UsageError, match=r"layer 1 MultiHeadAttention has a bias, 1\.q_proj\.bias has none"
        ):
            to_torch(model, fresh)


def test_a_bias_goes_into_the_mean_of_the_norm_behind_it():
    layers = [L.Conv2D(3, 2), L.BatchNorm(), L.Conv2D(2, 2), L.ReLU(), L.BatchNorm()]
    model = moved(L.Model(layers, (5, 5, 2), seed=0))
    there = nn.Sequential(
        nn.Conv2d(2, 3, 2, bias=False), nn.BatchNorm2d(3), nn.Conv2d(3, 2, 2), nn.ReLU(), nn.BatchNorm2d(2)
    )
    x = RNG.standard_normal((2, 5, 5, 2)).astype(np.float32)
    assert difference(answered(to_torch(model, there).eval(), x), model.forward(x)) <= TOLERANCE
    without = nn.Sequential(nn.Conv2d(2, 3, 2, bias=False), nn.Conv2d(3, 2, 2))
    pair = moved(L.Model([L.Conv2D(3, 2), L.Conv2D(2, 2)], (5, 5, 2), seed=0))
    before = {name: a.clone() for name, a in without.state_dict().items()}
    with pytest.raises(UsageError, match="layer 0 Conv2D has a bias, 0 has none"):
        to_torch(pair, without)
    assert all(torch.equal(a, without.state_dict()[name]) for name, a in before.items())
    last = moved(L.Model([L.Conv2D(3, 2)], (5, 5, 2), seed=0))
    with pytest.raises(UsageError, match="layer 0 Conv2D has a bias, 0 has none"):
        to_torch(last, nn.Sequential(nn.Conv2d(2, 3, 2, bias=False)))


def test_zeros_take_the_place_of_a_bias_that_is_not_here():
    model = L.Model([L.Dense(3, bias=False)], (4,), seed=0)
    there = to_torch(model, nn.Sequential(nn.Linear(4, 3)))
    assert not there[0].bias.detach().numpy().any()
    np.testing.assert_array_equal(there[0].weight.detach().numpy().T, model.parameters()["0.W"])


def test_positions_are_one_tensor_of_a_module():
    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.place = nn.Parameter(torch.randn(1, 5, 4))
            self.end = nn.Linear(4, 2)

    there, model = Placed(), L.Model([L.PositionalEncoding("learned"), L.Dense(2)], (5, 4), seed=0)
    report = load_torch(model, there)
    assert [(ours, name) for ours, name, _ in report] == [
        ("0 PositionalEncoding", "place"),
        ("1 Dense", "end"),
    ]
    np.testing.assert_array_equal(model.parameters()["0.P"], there.place.detach().numpy()[0])
    fresh = to_torch(model, Placed())
    assert torch.equal(fresh.place, there.place)
    assert set(to_torch(model)) == {"0", "1.weight", "1.bias"}


NODES = [("a", L.Dense(3), "x"), ("b", L.Dense(3), "x"), ("c", L.Dense(3), "x")]


@pytest.mark.parametrize(
    "merge",
    [L.Add(), L.Subtract(), L.Multiply(), L.Average(), L.Concatenate()],
    ids=lambda one: type(one).__name__,
)
def test_three_values_become_one(merge):
    names = ("a", "b") if isinstance(merge, L.Subtract) else ("a", "b", "c")
    nodes = [node for node in NODES if node[0] in names]
    model = moved(L.Model(L.Graph("x", [*nodes, ("m", merge, names)], "m"), (4,), seed=0))
    x = RNG.standard_normal((2, 4)).astype(np.float32)
    assert difference(answered(to_torch(model, as_module=True), x), model.forward(x)) <= TOLERANCE


def test_a_node_with_the_name_of_an_attribute_is_refused():
    model = L.Model(L.Graph("x", [("train", L.Dense(2), "x")], "train"), (3,), seed=0)
    with pytest.raises(UsageError, match="a node called 'train'"):
        to_torch(model, as_module=True)


@pytest.mark.parametrize("pad", [0, 3])
def test_ids_of_padding(pad):
    model = L.Model([L.PaddingMask(pad)], (6,), seed=0)
    ids = np.array([[0, 3, 1, 0, 2, 3]])
    np.testing.assert_array_equal(answered(to_torch(model, as_module=True), ids), model.forward(ids))


def test_one_bias_of_two_in_a_recurrent_module():
    """A state_dict that holds the input's biases alone; those of the state are 0."""
    there = nn.GRU(4, 3, batch_first=True)
    held = {name: a for name, a in there.state_dict().items() if "bias_hh" not in name}
    nn.init.zeros_(there.bias_hh_l0)
    model, x = L.Model([L.GRU(3, True)], (5, 4), seed=0), RNG.standard_normal((2, 5, 4)).astype(np.float32)
    load_torch(model, held)
    with torch.no_grad():
        assert difference(model.forward(x), there(torch.from_numpy(x))[0].numpy()) <= TOLERANCE


def test_a_normalization_without_gains_comes_in_with_ones():
    there = nn.BatchNorm1d(3, affine=False)
    there.running_mean.uniform_(-1, 1)
    there.running_var.uniform_(0.5, 2)
    model, x = moved(L.Model([L.BatchNorm()], (3,), seed=0)), RNG.standard_normal((4, 3)).astype(np.float32)
    load_torch(model, there)
    assert difference(model.forward(x), answered(there.eval(), x)) <= TOLERANCE


def test_images_have_their_channels_first_on_the_way_in_and_out():
    model = moved(L.Model([L.Conv2D(3, 2), L.GlobalMaxPool(), L.Dense(2)], (5, 4, 2), seed=0))
    module, x = to_torch(model, as_module=True), RNG.standard_normal((2, 5, 4, 2)).astype(np.float32)
    assert tuple(first(x).shape[1:]) == (2, 5, 4)
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE

"""PyTorch's weights, in and out: the same answers, and errors that say what does not fit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnx_runs import TOLERANCE, difference  # noqa: E402
from torch import nn  # noqa: E402
from torch_networks import MODELS, answer, pair  # noqa: E402

import xpnn  # noqa: E402
from xpnn import Conv2D, ConvTranspose2D, Dense, Flatten, MaxPool2D, ReLU, Reshape  # noqa: E402
from xpnn.errors import CheckpointError, FileError, ShapeError, UsageError  # noqa: E402
from xpnn.interchange import load_torch, to_torch, torch_tensors  # noqa: E402
from xpnn.layers import GRU, BatchNorm, Conv1D, GroupNorm, PReLU, RMSNorm, SimpleRNN  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("name", MODELS)
def test_six_models_in_and_back(name):
    """In by one line, weights changed here, back by one line into a fresh module."""
    module, model, there, here = pair(name)
    report = load_torch(model, module.state_dict())
    assert difference(model.forward(here), answer(module, there)) <= TOLERANCE
    assert len(report) == len({row[0] for row in report})
    rng = np.random.default_rng(1)
    moved = {
        k: np.asarray(v) + 0.01 * np.abs(rng.standard_normal(v.shape)) for k, v in model.parameters().items()
    }
    model.load_parameters(moved)
    fresh = pair(name, seed=3)[0]
    assert to_torch(model, fresh) is fresh
    assert difference(answer(fresh, there), model.forward(here)) <= TOLERANCE


@pytest.mark.parametrize("kind", ["safetensors", "pt", "module"])
def test_from_files_and_from_the_module(kind, tmp_path):
    from safetensors.torch import save_file

    module, model, there, here = pair("LeNet")
    source = module
    if kind != "module":
        source = tmp_path / f"w.{kind}"
        (save_file if kind == "safetensors" else torch.save)(module.state_dict(), str(source))
    load_torch(model, source)
    assert difference(model.forward(here), answer(module, there)) <= TOLERANCE


def test_names_with_numbers_are_counted_in_a_file_without_order(tmp_path):
    from safetensors.torch import save_file

    module = nn.Sequential(*(nn.Linear(4, 4) for _ in range(12)))
    save_file(module.state_dict(), str(tmp_path / "w.safetensors"))
    model = xpnn.Model([Dense(4)] * 12, (4,), seed=0)
    report = load_torch(model, tmp_path / "w.safetensors")
    assert [theirs for _, theirs, _ in report] == [str(i) for i in range(12)]


def test_a_file_without_order_is_not_guessed_at(tmp_path):
    """Between equal shapes only numbers decide which comes first."""
    from safetensors.torch import save_file

    module = nn.ModuleDict({"way_in": nn.Linear(4, 4), "way_back": nn.Linear(4, 4), "z": nn.Linear(4, 2)})
    save_file(module.state_dict(), str(tmp_path / "w.safetensors"))
    model = xpnn.Model([Dense(4), Dense(4), Dense(2)], (4,), seed=0)
    with pytest.raises(UsageError, match="layer 0 Dense could have the weights of any of: way_back, way_in"):
        load_torch(model, tmp_path / "w.safetensors")
    load_torch(model, tmp_path / "w.safetensors", names={"0": "way_in"})
    np.testing.assert_array_equal(model.parameters()["0.W"], module["way_in"].weight.detach().numpy().T)


def test_half_precision_comes_in():
    module = nn.Linear(3, 2).bfloat16()
    model = xpnn.Model([Dense(2)], (3,), seed=0)
    load_torch(model, module)
    np.testing.assert_array_equal(model.parameters()["0.W"], module.weight.detach().float().numpy().T)


def test_images_made_of_a_row():
    """A decoder: the Dense before a Reshape to images has its outputs in another order there."""

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.bn, self.up = nn.Linear(5, 24), nn.BatchNorm1d(24), nn.ConvTranspose2d(6, 2, 3)
            self.bn.running_mean.normal_()

        def forward(self, x):
            return self.up(torch.relu(self.bn(self.fc(x))).view(-1, 6, 2, 2))

    module = Decoder().eval()
    model = xpnn.Model(
        [Dense(24), BatchNorm(), ReLU(), Reshape((2, 2, 6)), ConvTranspose2D(2, 3)], (5,), seed=0
    )
    x = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    load_torch(model, module)
    assert difference(model.forward(x), answer(module, x)) <= TOLERANCE
    fresh = Decoder().eval()
    assert difference(answer(to_torch(model, fresh), x), model.forward(x)) <= TOLERANCE


SINGLE = {
    "GRU": (nn.GRU(4, 5, batch_first=True), GRU(5, sequences=True), (6, 4)),
    "RNN": (nn.RNN(4, 5, batch_first=True, bias=False), SimpleRNN(5, sequences=True), (6, 4)),
    "grouped Conv2d": (nn.Conv2d(4, 6, 3, groups=2), Conv2D(6, 3, groups=2), (5, 6, 4)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, groups=2), ConvTranspose2D(6, 3, groups=2), (5, 6, 4)),
    "Conv1d": (nn.Conv1d(4, 6, 3), Conv1D(6, 3), (7, 4)),
    "GroupNorm": (nn.GroupNorm(2, 4), GroupNorm(2), (5, 6, 4)),
    "PReLU": (nn.PReLU(4), PReLU(), (5, 6, 4)),
    "RMSNorm": (nn.RMSNorm(4, eps=1e-6), RMSNorm(), (6, 4)),
}


@pytest.mark.parametrize("name", SINGLE)
def test_single_layers_of_pytorch_come_in(name):
    module, layer, shape = SINGLE[name]
    with torch.no_grad():
        for p in module.parameters():
            p.uniform_(-1, 1)
    model = xpnn.Model([layer], shape, seed=0)
    load_torch(model, module)
    x = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    images = len(shape) == 3 or name == "Conv1d"
    with torch.no_grad():
        y = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy() if images else x))
    y = (y[0] if isinstance(y, tuple) else y).numpy()
    assert (
        difference(model.forward(x), np.ascontiguousarray(np.moveaxis(y, 1, -1) if images else y))
        <= TOLERANCE
    )
    back = to_torch(model)
    with torch.no_grad():
        module.load_state_dict({k.removeprefix("0."): v for k, v in back.items()}, strict=name != "RNN")
        again = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy() if images else x))
    assert difference((again[0] if isinstance(again, tuple) else again).numpy(), y) <= TOLERANCE


def test_a_state_dict_for_a_sequential_of_the_same_layers():
    model = xpnn.Model([Conv2D(3, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(4)], (8, 8, 2), seed=0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 4))
    module.load_state_dict(to_torch(model))
    x = np.random.default_rng(0).standard_normal((3, 8, 8, 2)).astype(np.float32)
    assert difference(answer(module, np.moveaxis(x, -1, 1).copy()), model.forward(x)) <= TOLERANCE


def test_the_report_says_what_went_where():
    module, model, *_ = pair("LeNet")
    text = str(load_torch(model, module))
    assert [line.split()[0] for line in text.splitlines()] == ["0", "3", "7", "9", "11"]
    assert "7 Dense   <- f1  inputs reordered: images are flattened channels last here" in text


def test_names_say_what_order_cannot():
    module = nn.ModuleDict({"last": nn.Linear(4, 4), "first": nn.Linear(4, 4)})
    model = xpnn.Model([Dense(4), Dense(4)], (4,), seed=0)
    load_torch(model, module, names={"0": "first"})
    np.testing.assert_array_equal(model.parameters()["0.W"], module["first"].weight.detach().numpy().T)
    np.testing.assert_array_equal(model.parameters()["1.W"], module["last"].weight.detach().numpy().T)


ERRORS = {
    "another size": ([Dense(3)], nn.Linear(4, 5), ShapeError, r"layer 0 Dense: W wants \(4, 3\), 0? ?gives"),
    "a layer too many there": (
        [Dense(5)],
        nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 5)),
        UsageError,
        "1 of their",
    ),
    "a layer too few there": (
        [Dense(5), Dense(5)],
        nn.Linear(4, 5),
        UsageError,
        "no weights are left for layer 1",
    ),
    "another kind": ([Dense(5)], nn.Conv1d(4, 5, 1), UsageError, "wants those of a dense layer"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_does_not_fit(name):
    layers, module, error, message = ERRORS[name]
    model = xpnn.Model(layers, (4,), seed=0)
    before = {k: np.array(v) for k, v in model.parameters().items()}
    with pytest.raises(error, match=message.replace("0? ?", ".*")):
        load_torch(model, module)
    assert all((before[k] == np.asarray(v)).all() for k, v in model.parameters().items())


def test_a_transposed_matrix_is_named():
    model = xpnn.Model([Dense(5)], (4,), seed=0)
    state = {"weight": torch.zeros(4, 5), "bias": torch.zeros(5)}
    with pytest.raises(ShapeError, match="its transpose has that shape"):
        load_torch(model, state)


def test_a_bias_without_a_place_is_refused():
    model = xpnn.Model([Dense(5)], (4,), seed=0)
    model.load_parameters({"0.W": np.zeros((4, 5)), "0.b": np.ones(5)})
    with pytest.raises(UsageError, match="layer 0 Dense has a bias"):
        to_torch(model, nn.Linear(4, 5, bias=False))


class Bomb:
    """What unpickling it would run."""

    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("content", ["bomb", "text", "missing", "cut"])
def test_files_that_are_no_weights(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ("w.safetensors" if content == "cut" else "w.pt")
    if content == "bomb":
        torch.save({"weight": Bomb()}, path)
    elif content != "missing":
        path.write_bytes(b"not weights")
    model = xpnn.Model([Dense(5)], (4,), seed=0)
    with pytest.raises(FileError if content == "missing" else CheckpointError, match="w\\."):
        load_torch(model, path)
    assert not (tmp_path / "exploded").exists()


def flat_forgotten(monkeypatch):
    monkeypatch.setattr("xpnn.interchange.leaves.flat_order", lambda x: None)
    return "LeNet"


def biases_not_summed(monkeypatch):
    real = torch_tensors.direction
    monkeypatch.setattr(torch_tensors, "direction", lambda *a: real(*a) | {"b": a[1][f"bias_ih{a[2]}"]})
    return "packed LSTM"


def kernels_flipped(monkeypatch):
    real = torch_tensors.ours
    monkeypatch.setattr(
        "xpnn.interchange.torch.ours",
        lambda leaf, t: {k: a[::-1] if a.ndim == 4 else a for k, a in real(leaf, t).items()},
    )
    return "U-Net"


@pytest.mark.parametrize("plant", [flat_forgotten, biases_not_summed, kernels_flipped])
def test_a_planted_fault_is_noticed(plant, monkeypatch):
    name = plant(monkeypatch)
    with pytest.raises(AssertionError):
        test_six_models_in_and_back(name)

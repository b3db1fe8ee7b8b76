"""A model as a new torch.nn module: the same answers, with images as PyTorch has them."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from cases import LAYERS  # noqa: E402
from onnx_runs import TOLERANCE, as_tuple, difference, model_of  # noqa: E402
from torch_networks import MODELS, pair  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import UsageError  # noqa: E402
from xpnn.interchange import load_torch, to_torch, torch_tensors  # noqa: E402
from xpnn.layers.base import for_each  # noqa: E402

pytestmark = pytest.mark.oracle


def first(a):
    """Images with their channels first."""
    return np.ascontiguousarray(np.moveaxis(a, -1, 1)) if a.ndim >= 4 else a


def answered(module, x):
    """What the module gives, images brought back to channels last."""
    with torch.no_grad():
        y = module(*(torch.from_numpy(first(a)) for a in as_tuple(x)))
    found = [a.numpy() for a in as_tuple(y)]
    found = [np.ascontiguousarray(np.moveaxis(a, 1, -1)) if a.ndim >= 4 else a for a in found]
    return tuple(found) if isinstance(y, tuple) else found[0]


def as_fed(model, x):
    """Samples as both take them: ids as int64, all else in the model's dtype."""
    arrays, real = as_tuple(x), model.backend.dtype_name
    kinds = for_each(model.net.input_kind, len(arrays))
    found = tuple(a.astype("int64" if kind == "int" else real) for a, kind in zip(arrays, kinds, strict=True))
    return found if isinstance(x, tuple) else found[0]


def outcome(case, dtype="float32"):
    """The largest difference of a row, or the refusal."""
    model, x = model_of(case, dtype)
    try:
        module = to_torch(model, as_module=True)
    except UsageError as error:
        return str(error)
    x = as_fed(model, x)
    return difference(answered(module, x), model.forward(x))


@pytest.mark.filterwarnings("ignore:.*acts in training alone")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", TOLERANCE), ("float64", 1e-12)])
def test_every_row_is_equal(dtype, tolerance):
    for case in LAYERS:
        found = outcome(case, dtype)
        assert not isinstance(found, str), (found, case)
        assert found <= tolerance, (found, case)


@pytest.mark.parametrize("name", MODELS)
def test_networks(name):
    """Weights changed here, a module of PyTorch's made of them: equal in values, and a module like any other."""
    _, model, _, here = pair(name)
    rng = np.random.default_rng(1)
    moved = {
        k: np.asarray(v) + 0.01 * np.abs(rng.standard_normal(v.shape)) for k, v in model.parameters().items()
    }
    model.load_parameters(moved)
    module, x = to_torch(model, as_module=True), as_fed(model, here)
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE
    again = pickle.loads(pickle.dumps(module))
    assert difference(answered(again, x), model.forward(x)) <= TOLERANCE
    twin = xpnn.Model(model.net, model.input_shape, seed=9)
    load_torch(twin, module)
    assert difference(twin.forward(x), model.forward(x)) <= TOLERANCE


PLAIN = {
    "Conv2d": xpnn.Conv2D(2, 3), "Conv2d ": xpnn.Conv2D(2, 3, padding="same"), "Conv1d": xpnn.Conv1D(2, 3),
    "ConvTranspose2d": xpnn.ConvTranspose2D(2, 3), "ConvTranspose2d ": xpnn.ConvTranspose2D(2, 3, 2),
    "ConvTranspose2d  ": xpnn.ConvTranspose2D(2, 3, 2, padding=1, output_padding=1),
    "MaxPool2d": xpnn.MaxPool2D(2), "AvgPool2d": xpnn.AvgPool2D(2), "Upsample": xpnn.UpSampling2D(2),
    "ConstantPad2d": xpnn.ZeroPad2D(1), "Linear": xpnn.Dense(3), "BatchNorm2d": xpnn.BatchNorm(),
    "LayerNorm": xpnn.LayerNorm(), "ReLU": xpnn.ReLU(), "Dropout": xpnn.Dropout(0.5),
}  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_a_layer_that_pytorch_has_becomes_that_one_module(name):
    """Not one with its padding beside it, or its result cropped; at most its axes are moved."""
    model = xpnn.Model([PLAIN[name]], (6, 2) if "1d" in name else (6, 6, 2), seed=0)
    kinds = [
        type(one).__name__ for one in to_torch(model, as_module=True).modules() if not list(one.children())
    ]
    assert [kind for kind in kinds if kind != "Moved"] == [name.strip()]


def test_padding_anywhere_is_packed_away():
    """Real steps behind padding, between it, and none at all; a sequence whose channels a convolution left first."""
    lstm = xpnn.Bidirectional(xpnn.LSTM(3, masked=True, sequences=True))
    nodes = (("c", xpnn.Conv1D(4, 1), "x"), ("l", lstm, ("c", "m")))
    model = xpnn.Model(xpnn.Graph(("x", "m"), nodes, "l"), ((5, 2), (5,)), seed=0)
    mask = np.array([[0, 1, 0, 1, 1], [0] * 5, [1] * 5, [1, 1, 0, 0, 0]], np.float32)
    x = np.random.default_rng(0).standard_normal((4, 5, 2)).astype(np.float32), mask
    module = to_torch(model, as_module=True)
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE
    assert any(isinstance(one, torch.nn.LSTM) for one in module.modules())


def test_flattened_images_meet_layers_without_a_module():
    layers = [
        xpnn.Conv2D(2, 2),
        xpnn.Flatten(),
        xpnn.LpNormalize(),
        xpnn.Offset(),
        xpnn.Slice(1, 8, 3),
        xpnn.Dense(3),
    ]
    model = xpnn.Model(layers, (4, 4, 1), seed=0)
    model.load_parameters({"3.c": np.arange(18, dtype=np.float32)}, strict=False)
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 1)).astype(np.float32)
    module = to_torch(model, as_module=True)
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE
    module(torch.from_numpy(first(x))).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_users_recurrent_layer_is_refused_by_name():
    class Mine(xpnn.LSTM):
        """Another layer."""

    with pytest.raises(UsageError, match=r"layer 0 Mine has no module of PyTorch's\n.*of another kind"):
        to_torch(xpnn.Model([Mine(2)], (3, 2), seed=0), as_module=True)


def test_it_trains_on_there():
    model = xpnn.Model([xpnn.Conv2D(4, 3), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(2)], (6, 6, 1), seed=0)
    module = to_torch(model, as_module=True).train()
    assert [name for name, _ in module.named_parameters()] == ["0.weight", "0.bias", "3.weight", "3.bias"]
    module.load_state_dict(to_torch(model))
    optimizer, x = torch.optim.SGD(module.parameters(), 0.1), torch.randn(8, 1, 6, 6)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(module(x), torch.arange(8) % 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_what_acts_in_training_alone_is_left_out_and_said():
    model = xpnn.Model([xpnn.RandomFlip(), xpnn.Flatten(), xpnn.Dense(2)], (6, 6, 1), seed=0)
    with pytest.warns(UserWarning, match="layer 0 RandomFlip acts in training alone: left out"):
        to_torch(model, as_module=True)


def test_flattened_images_come_out_in_the_order_of_the_model():
    model = xpnn.Model([xpnn.ReLU(), xpnn.Flatten()], (3, 4, 5), seed=0)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(answered(to_torch(model, as_module=True), x), model.forward(x))


def test_a_kernel_turned_the_wrong_way_is_noticed(monkeypatch):
    real = torch_tensors.theirs
    monkeypatch.setattr(
        "xpnn.interchange.torch.theirs",
        lambda leaf, p: {k: v.swapaxes(-1, -2) if v.ndim == 4 else v for k, v in real(leaf, p).items()},
    )
    model = xpnn.Model([xpnn.Conv2D(4, 3)], (6, 6, 1), seed=0)
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 1)).astype(np.float32)
    assert difference(answered(to_torch(model, as_module=True), x), model.forward(x)) > TOLERANCE


def test_a_given_module_and_a_new_one_exclude_each_other():
    with pytest.raises(UsageError, match="give a module, or ask for a new one"):
        to_torch(xpnn.Model([xpnn.Dense(2)], (3,), seed=0), torch.nn.Linear(3, 2), as_module=True)

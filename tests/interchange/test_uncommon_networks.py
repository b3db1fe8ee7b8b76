"""Networks whose features lie otherwise in libraries with channels first: rows of images, joined and cut again."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_runs import TOLERANCE, difference, session  # noqa: E402
from test_torch_modules import answered  # noqa: E402

import xpnn as L  # noqa: E402
from xpnn.errors import XpnnError  # noqa: E402
from xpnn.interchange import load_onnx, load_torch, save_onnx, to_torch  # noqa: E402

pytestmark = pytest.mark.oracle
IMAGE = (4, 3, 2)


def beside(merge, second):
    """A convolution and another branch, flattened and merged."""
    nodes = [
        ("a", L.Conv2D(2, 2), "x"),
        ("fa", L.Flatten(), "a"),
        *second,
        ("m", merge, ("fa", second[-1][0])),
    ]
    return L.Graph("x", [*nodes, ("d", L.Dense(4), "m")], "d")


NETWORKS = {
    # name: (network, shape of a sample, modules of PyTorch that it becomes)
    "images made of a row": ([L.Dense(12), L.Reshape((2, 3, 2)), L.Conv2D(2, 1)], (5,), "Linear Unflatten Conv2d"),
    "images made of a normalized row": (
        [L.Dense(12), L.BatchNorm(), L.ReLU(), L.Reshape((2, 3, 2)), L.Conv2D(2, 1), L.Flatten(), L.Dense(2)], (5,),
        "Linear BatchNorm1d ReLU Unflatten Conv2d Flatten Linear",
    ),
    "two rows of images side by side": (
        beside(L.Concatenate(), [("b", L.Conv2D(3, 2), "x"), ("fb", L.Flatten(), "b")]), IMAGE,
        "Conv2d Flatten Conv2d Flatten Merged Linear",
    ),
    "a row of images beside another": (
        beside(L.Concatenate(), [("r", L.Dense(3), "fa")]), IMAGE, "Conv2d Flatten Linear Merged Linear",
    ),
    "two rows of images added": (
        beside(L.Add(), [("b", L.Conv2D(2, 2), "x"), ("fb", L.Flatten(), "b")]), IMAGE,
        "Conv2d Flatten Conv2d Flatten Merged Linear",
    ),
    "a row of images normalized": (
        [L.Conv2D(2, 2), L.Flatten(), L.BatchNorm(), L.PReLU(), L.Dense(3)], IMAGE,
        "Conv2d Flatten BatchNorm1d PReLU Linear",
    ),
    "a row of images as the answer": ([L.Conv2D(2, 2), L.Flatten()], IMAGE, "Conv2d Flatten Ordered"),
    "a row of images cut again": (
        [L.Conv2D(2, 2), L.Flatten(), L.Reshape((3, 4)), L.Dense(2)], IMAGE,
            "Conv2d Flatten Ordered Operations Linear",
    ),
    "a sequence as the answer": ([L.Conv1D(2, 2)], (5, 3), "Moved Conv1d Moved"),
    "a row of a sequence": (
        [L.Conv1D(3, 2), L.MaxPool1D(), L.Flatten(), L.Dense(2)], (6, 3), "Moved Conv1d MaxPool1d Flatten Linear",
    ),
    "a row of a volume": (
        [L.Conv3D(2, 2), L.Flatten(), L.LayerNorm(), L.Dense(2)], (4, 3, 3, 2), "Conv3d Flatten LayerNorm Linear",
    ),
    "two limits that are one": ([L.Clip(0.5, 0.5)], (4,), "Operations"),
}  # fmt: skip


@pytest.fixture(params=NETWORKS)
def case(request):
    net, shape, modules = NETWORKS[request.param]
    rng, model = np.random.default_rng(0), L.Model(net, shape, seed=0)
    moved = {
        k: np.asarray(v) + 0.1 * np.abs(rng.standard_normal(v.shape)) for k, v in model.parameters().items()
    }
    model.load_parameters(moved)
    return model, rng.standard_normal((3, *shape)).astype(np.float32), modules


def test_a_module_of_pytorch_is_equal_and_comes_back(case):
    model, x, wanted = case
    module = to_torch(model, as_module=True)
    kinds = [type(one).__name__ for one in module.modules() if not list(one.children())]
    assert " ".join(kinds) == wanted
    assert difference(answered(module, x), model.forward(x)) <= TOLERANCE
    twin = L.Model(model.net, model.input_shape, seed=5)
    load_torch(twin, module)
    np.testing.assert_array_equal(twin.forward(x), model.forward(x))


@pytest.mark.parametrize("channels", ["last", "first"])
def test_a_file_of_onnx_is_equal_and_comes_back(case, channels, tmp_path):
    model, x, _ = case
    save_onnx(model, tmp_path / "m.onnx", channels=channels, probabilities=False)
    feed = x if channels == "last" or x.ndim != 4 else np.ascontiguousarray(np.moveaxis(x, -1, 1))
    found = session((tmp_path / "m.onnx").read_bytes())
    got = found.run(None, {found.get_inputs()[0].name: feed})[0]
    wanted = model.forward(x)
    got = got if got.shape == wanted.shape else np.moveaxis(got, 1, -1)
    assert difference(np.ascontiguousarray(got), wanted) <= TOLERANCE
    assert difference(load_onnx(tmp_path / "m.onnx").forward(x), wanted) <= TOLERANCE


def test_tensors_of_other_layers_are_refused():
    model = L.Model([L.Dense(3), L.Dense(2)], (4,), seed=0)
    for wrong in (
        torch.nn.Sequential(torch.nn.Linear(4, 3)),
        torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)),
        torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Linear(5, 2)),
    ):
        with pytest.raises(XpnnError):
            load_torch(model, wrong)

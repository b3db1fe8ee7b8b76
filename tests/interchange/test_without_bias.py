"""Layers with bias=False: their weights from PyTorch, Keras and scikit-learn and back, and on their way out."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import UsageError  # noqa: E402
from xpnn.interchange import load_keras, load_torch, to_keras, to_mlp, to_torch  # noqa: E402
from xpnn.interchange.interpret import run  # noqa: E402
from xpnn.interchange.trace import program_of  # noqa: E402

pytestmark = pytest.mark.oracle

NORMS = [xpnn.BatchNorm(bias=False), xpnn.GroupNorm(2, bias=False), xpnn.InstanceNorm(bias=False)]
LAYERS = [xpnn.Dense(5, bias=False), xpnn.LayerNorm(bias=False), xpnn.ReLU(), xpnn.Dense(3, bias=False)]
X = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)


def module(bias=False):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5, bias), nn.LayerNorm(5, bias=bias), nn.ReLU(), nn.Linear(5, 3, bias))


def answers(there):
    with torch.no_grad():
        return there(torch.from_numpy(X)).numpy()


def test_pytorch_both_ways():
    model = xpnn.Model(LAYERS, (4,), seed=1)
    there = module()
    load_torch(model, there.state_dict())
    np.testing.assert_allclose(model.forward(X), answers(there), atol=1e-6)
    state = to_torch(model)
    assert set(state) == set(there.state_dict())
    other = module()
    other.load_state_dict(state)
    np.testing.assert_allclose(answers(other), answers(there), atol=1e-6)


def test_a_bias_there_is_taken_only_where_it_is_0():
    model, there = xpnn.Model(LAYERS, (4,), seed=1), nn.Sequential(*module(), nn.Identity())
    biased = nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5, bias=False), nn.ReLU(), nn.Linear(5, 3))
    before = model.snapshot()["theta"]
    with pytest.raises(UsageError, match="has a bias, layer 0 Dense has none"):
        load_torch(model, biased.state_dict())
    np.testing.assert_array_equal(model.snapshot()["theta"], before)
    for one in (biased[0], biased[3]):
        nn.init.zeros_(one.bias)
    load_torch(model, biased.state_dict())
    np.testing.assert_allclose(model.forward(X), answers(biased), atol=1e-6)
    load_torch(model, there.state_dict())
    np.testing.assert_allclose(answers(to_torch(model, biased)), model.forward(X), atol=1e-6)


def with_gains(seed):
    """A model of the three normalizations in a row, with gains and statistics of its own."""
    model, rng = xpnn.Model(NORMS, (3, 2, 4), seed=0), np.random.default_rng(seed)
    model.load_parameters({k: rng.uniform(0.5, 2, v.shape) for k, v in model.parameters().items()})
    return model


def test_normalizations_without_a_bias_both_ways_and_on_the_way_out(tmp_path):
    """PyTorch's modules always have one, which has to be 0; ONNX needs none."""
    model, x = with_gains(0), np.random.default_rng(1).standard_normal((2, 3, 2, 4)).astype(np.float32)
    there = nn.Sequential(nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.InstanceNorm2d(4, affine=True)).eval()
    for module in (to_torch(model, there), to_torch(model, as_module=True)):
        with torch.no_grad():
            y = module(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
        np.testing.assert_allclose(np.moveaxis(y, 1, -1), model.forward(x), atol=1e-6)
        twin = with_gains(2)
        load_torch(twin, module)
        np.testing.assert_array_equal(twin.forward(x), model.forward(x))
    nn.init.ones_(there[1].bias)
    with pytest.raises(UsageError, match="has a bias, layer 1 GroupNorm has none"):
        load_torch(model, there)
    xpnn.interchange.save_onnx(model, tmp_path / "m.onnx")
    again = xpnn.interchange.load_onnx(tmp_path / "m.onnx")
    assert [one for one in again.net.layers if type(one).__name__.endswith("Norm")] == NORMS[1:]
    np.testing.assert_allclose(again.forward(x), model.predict_proba(x), atol=1e-6)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_both_ways():
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    K = keras.layers
    there = keras.Sequential(
        [
            K.Input((4,)),
            K.Dense(5, use_bias=False),
            K.LayerNormalization(epsilon=1e-5, center=False),
            K.ReLU(),
            K.Dense(3, use_bias=False),
        ]
    )
    there.set_weights([w + np.random.default_rng(0).uniform(0.1, 0.5, w.shape) for w in there.get_weights()])
    model = xpnn.Model(LAYERS, (4,), seed=1)
    load_keras(model, there)
    np.testing.assert_allclose(model.forward(X), keras.ops.convert_to_numpy(there(X)), rtol=1e-5, atol=1e-6)
    back = xpnn.Model(LAYERS, (4,), seed=2)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(to_keras(back, there)(X)), back.forward(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_normalizations_of_keras_without_a_shift_or_a_scale():
    pytest.importorskip("torch")
    keras = pytest.importorskip("keras")
    K = keras.layers
    there = keras.Sequential(
        [
            K.Input((3, 2, 4)),
            K.BatchNormalization(epsilon=1e-5, center=False),
            K.GroupNormalization(2, epsilon=1e-5, center=False),
            K.GroupNormalization(-1, epsilon=1e-5, center=False),
        ]
    )
    model, x = with_gains(0), np.random.default_rng(1).standard_normal((2, 3, 2, 4)).astype(np.float32)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(to_keras(model, there)(x)), model.forward(x), atol=1e-6
    )
    twin = with_gains(2)
    load_keras(twin, there)
    np.testing.assert_array_equal(twin.forward(x), model.forward(x))
    scaled = keras.Sequential([K.Input((4,)), K.LayerNormalization(epsilon=1e-5, scale=False)])
    model = xpnn.Model([xpnn.LayerNorm()], (4,), seed=0)
    load_keras(model, scaled)
    np.testing.assert_allclose(model.forward(X), keras.ops.convert_to_numpy(scaled(X)), atol=1e-6)
    model.load_parameters({"0.gain": 2 * np.ones(4)}, strict=False)
    with pytest.raises(UsageError, match="layer 0 LayerNorm has a gain, their layer has none"):
        to_keras(model, scaled)


def test_scikit_learn_has_a_bias_of_0():
    pytest.importorskip("sklearn")
    model = xpnn.Model([xpnn.Dense(5, bias=False), xpnn.ReLU(), xpnn.Dense(3)], (4,), seed=1)
    made = to_mlp(model)
    assert not made.intercepts_[0].any()
    np.testing.assert_allclose(made.predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_a_batch_norm_behind_it_is_folded_on_the_way_out():
    model = xpnn.Model([xpnn.Dense(5, bias=False), xpnn.BatchNorm(), xpnn.ReLU()], (4,), seed=1)
    model.fit(X, X[:, :1] * np.ones(5), loss="mse", epochs=2, verbose=0)
    program = program_of(model, probabilities=False)
    assert [node.kind for node in program.nodes] == ["Gemm", "Relu", "Identity"]
    got = run(program, {"x": X})[program.outputs[0][0]]
    np.testing.assert_allclose(got, model.forward(X), atol=1e-5)

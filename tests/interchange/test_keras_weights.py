"""Keras's weights, in and out, from live models and from both kinds of file."""

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch")
keras = pytest.importorskip("keras")

from keras import layers as K  # noqa: E402
from onnx_runs import TOLERANCE, difference  # noqa: E402

import xpnn  # noqa: E402
from xpnn import (  # noqa: E402
    GRU,
    LSTM,
    AvgPool2D,
    BatchNorm,
    Bidirectional,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    GroupNorm,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    PaddingMask,
    ReLU,
)
from xpnn.errors import CheckpointError, FileError, ShapeError, UsageError  # noqa: E402
from xpnn.interchange import keras_tensors, load_keras, to_keras  # noqa: E402

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def mlp():
    there = [K.Input((4, 5, 3)), K.Flatten(), K.Dense(8, activation="relu"), K.Dropout(0.2), K.Dense(3)]
    return keras.Sequential(there), [Flatten(), Dense(8), ReLU(), Dropout(0.2), Dense(3)], (4, 5, 3)


def cnn():
    there = [
        K.Input((12, 12, 2)),
        K.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
        K.BatchNormalization(),
        K.ReLU(),
        K.MaxPooling2D(3, 2, padding="same"),
        K.AveragePooling2D(2, padding="same"),
        K.Conv2D(5, 2, activation="relu"),
        K.Flatten(),
        K.Dense(3),
    ]
    here = [
        Conv2D(4, 3, 2, "same"),
        BatchNorm(0.01, 1e-3),
        ReLU(),
        MaxPool2D(3, 2, "same"),
        AvgPool2D(2, padding="same"),
        Conv2D(5, 2),
        ReLU(),
        Flatten(),
        Dense(3),
    ]
    return keras.Sequential(there), here, (12, 12, 2)


def masked_lstm():
    there = [
        K.Input((12,), dtype="int32"),
        K.Embedding(30, 8, mask_zero=True),
        K.Bidirectional(K.LSTM(6, return_sequences=True)),
        K.LSTM(5),
        K.Dense(3),
    ]
    nodes = {
        "real": (PaddingMask(), "ids"),
        "e": (Embedding(30, 8), "ids"),
        "l": (Bidirectional(LSTM(6, sequences=True, masked=True)), ("e", "real")),
        "k": (LSTM(5, masked=True), ("l", "real")),
        "d": (Dense(3), "k"),
    }
    return keras.Sequential(there), Graph("ids", nodes, "d"), (12,)


def gru():
    there = [K.Input((7, 4)), K.GRU(5, return_sequences=True), K.Bidirectional(K.GRU(3)), K.Dense(2)]
    return keras.Sequential(there), [GRU(5, sequences=True), Bidirectional(GRU(3)), Dense(2)], (7, 4)


def attention():
    x = K.Input((6, 8))
    return keras.Model(x, K.MultiHeadAttention(2, 3)(x, x)), [MultiHeadAttention(2, 3)], (6, 8)


def separable():
    there = [
        K.Input((9, 9, 4)),
        K.DepthwiseConv2D(3, depth_multiplier=2),
        K.SeparableConv2D(6, 3),
        K.LayerNormalization(),
        K.GroupNormalization(3),
        K.Conv2DTranspose(4, 3, 2, padding="same"),
    ]
    here = [
        Conv2D(8, 3, groups=4),
        Conv2D(8, 3, groups=8),
        Conv2D(6, 1),
        LayerNorm(1e-3),
        GroupNorm(3, 1e-3),
        ConvTranspose2D(4, 3, 2, "same"),
    ]
    return keras.Sequential(there), here, (9, 9, 4)


MODELS = {
    "MLP": mlp,
    "CNN": cnn,
    "masked LSTM": masked_lstm,
    "GRU": gru,
    "attention": attention,
    "separable convolution": separable,
}


def pair(name, seed=0):
    """(keras model with weights off their initial values, model with others, samples)."""
    keras.utils.set_random_seed(seed)
    there, net, shape = MODELS[name]()
    rng = np.random.default_rng(seed)
    there.set_weights([w + rng.uniform(0.05, 0.3, w.shape) for w in there.get_weights()])
    model = xpnn.Model(net, shape, seed=seed)
    if len(shape) > 1:
        return there, model, rng.standard_normal((5, *shape)).astype(np.float32)
    x = rng.integers(1, 30, (5, *shape)).astype(np.int32)
    for i, n in enumerate(rng.integers(2, shape[0], 4)):
        x[i, n:] = 0
    return there, model, x


def answer(there, x):
    return keras.ops.convert_to_numpy(there(x, training=False))


@pytest.mark.parametrize("name", MODELS)
def test_six_models_in_and_back(name):
    there, model, x = pair(name)
    load_keras(model, there)
    assert difference(model.forward(x), answer(there, x)) <= TOLERANCE
    rng = np.random.default_rng(1)
    moved = {
        k: np.asarray(v) + 0.01 * np.abs(rng.standard_normal(v.shape)) for k, v in model.parameters().items()
    }
    model.load_parameters(moved)
    fresh = pair(name, seed=3)[0]
    assert to_keras(model, fresh) is fresh
    assert difference(answer(fresh, x), model.forward(x)) <= TOLERANCE


@pytest.mark.parametrize("kind", ["keras", "weights.h5"])
@pytest.mark.parametrize("name", MODELS)
def test_from_files(name, kind, tmp_path):
    there, model, x = pair(name)
    path = tmp_path / f"m.{kind}"
    there.save(path) if kind == "keras" else there.save_weights(path)
    names = None
    if (name, kind) == ("separable convolution", "weights.h5"):
        with pytest.raises(
            UsageError, match="layer 0 Conv2D could have the weights of any of: depthwise_conv2d, "
        ):
            load_keras(model, path)
        names = {"0": "depthwise_conv2d"}
    report = load_keras(model, path, names=names)
    assert difference(model.forward(x), answer(there, x)) <= TOLERANCE
    assert len(report) >= 1


def test_states_and_values_of_another_size():
    """Layers with several outputs, and heads whose values are narrower than their keys, in and back."""
    x = K.Input((6, 4))
    y, h, c = K.LSTM(3, return_sequences=True, return_state=True)(x)
    seen, _ = K.MultiHeadAttention(2, 3, value_dim=1)(
        y, y, return_attention_scores=True
    )  # else it needs one size
    there = keras.Model(x, [seen, h, c])
    nodes = {"l": (LSTM(3, True, return_state=True), "x")}
    nodes |= {f"y{i}": (xpnn.SelectOutput(i), "l") for i in range(3)}
    nodes["a"] = (MultiHeadAttention(2, 3, value_size=1), "y0")
    model = xpnn.Model(Graph("x", nodes, ("a", "y1", "y2")), (6, 4), seed=0)
    load_keras(model, there)
    samples = np.random.default_rng(0).standard_normal((5, 6, 4)).astype(np.float32)
    wanted = tuple(keras.ops.convert_to_numpy(a) for a in there(samples))
    assert difference(model.forward(samples), wanted) <= TOLERANCE
    model.load_parameters({k: 0.5 * np.asarray(v) for k, v in model.parameters().items()})
    to_keras(model, there)
    assert (
        difference(tuple(keras.ops.convert_to_numpy(a) for a in there(samples)), model.forward(samples))
        <= TOLERANCE
    )


def test_many_layers_of_one_kind_are_counted(tmp_path):
    """dense_2 comes before dense_10."""
    there = keras.Sequential([K.Input((4,)), *(K.Dense(4) for _ in range(12))])
    there.save_weights(tmp_path / "m.weights.h5")
    model = xpnn.Model([Dense(4)] * 12, (4,), seed=0)
    load_keras(model, tmp_path / "m.weights.h5")
    x = np.ones((1, 4), np.float32)
    assert difference(model.forward(x), answer(there, x)) <= TOLERANCE


def test_another_eps_is_an_error():
    there = keras.Sequential([K.Input((4,)), K.BatchNormalization()])
    with pytest.raises(UsageError, match=r"layer 0 BatchNorm has eps=1e-05, .* has 0\.001"):
        load_keras(xpnn.Model([BatchNorm()], (4,), seed=0), there)


def test_a_gru_that_resets_before_is_refused():
    there = keras.Sequential([K.Input((3, 4)), K.GRU(5, reset_after=False)])
    with pytest.raises(UsageError, match="reset_after=False has no counterpart"):
        load_keras(xpnn.Model([GRU(5)], (3, 4), seed=0), there)


def test_sizes_that_differ():
    there = keras.Sequential([K.Input((4,)), K.Dense(5)])
    with pytest.raises(ShapeError, match=r"layer 0 Dense: W wants \(4, 3\)"):
        load_keras(xpnn.Model([Dense(3)], (4,), seed=0), there)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_files_that_are_none(name, tmp_path):
    model = xpnn.Model([Dense(3)], (4,), seed=0)
    with pytest.raises(FileError, match="no such file"):
        load_keras(model, tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=name):
        load_keras(model, tmp_path / name)


def test_a_file_with_code_in_it_is_refused(tmp_path):
    """A Lambda layer holds Python's bytecode; Keras's safe mode does not run it."""
    there = keras.Sequential([K.Input((4,)), K.Lambda(lambda x: x * 2), K.Dense(3)])
    there.save(tmp_path / "m.keras")
    with pytest.raises(CheckpointError, match=r"m\.keras"):
        load_keras(xpnn.Model([Dense(3)], (4,), seed=0), tmp_path / "m.keras")


def test_a_planted_fault_is_noticed(monkeypatch):
    monkeypatch.setattr(keras_tensors, "swapped", lambda a, n: a)
    with pytest.raises(AssertionError):
        test_six_models_in_and_back("GRU")


@pytest.mark.parametrize(("layer", "there"), [
    (xpnn.MultiHeadAttention(2, 3), lambda: K.MultiHeadAttention(2, 3, use_bias=True)),
    (xpnn.MultiHeadAttention(2, 3, bias=False), lambda: K.MultiHeadAttention(2, 3, use_bias=False)),
    (xpnn.GRU(3, sequences=True, bias=False), lambda: K.GRU(3, return_sequences=True, use_bias=False)),
    (xpnn.GRU(3, sequences=True), lambda: K.GRU(3, return_sequences=True)),
    (xpnn.LSTM(3, sequences=True, bias=False), lambda: K.LSTM(3, return_sequences=True, use_bias=False)),
    (xpnn.SimpleRNN(3, sequences=True), lambda: K.SimpleRNN(3, return_sequences=True)),
    (xpnn.LayerNorm(), lambda: K.LayerNormalization(epsilon=1e-5)),
    (xpnn.Conv1D(3, 2, bias=False), lambda: K.Conv1D(3, 2, use_bias=False)),
])  # fmt: skip
def test_layers_in_and_back(layer, there):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 4)).astype("f4")

    def made():
        given = keras.Input((5, 4))
        one = there()
        return keras.Model(given, one(given, given) if isinstance(one, K.MultiHeadAttention) else one(given))

    one, model = made(), xpnn.Model([layer], (5, 4), seed=0)
    for variable in one.weights:
        variable.assign(0.4 * rng.standard_normal(variable.shape))
    load_keras(model, one)
    assert difference(model.forward(x), np.asarray(one(x).detach())) <= TOLERANCE
    back = made()
    to_keras(model, back)
    assert difference(np.asarray(back(x).detach()), model.forward(x)) <= TOLERANCE


def test_a_model_inside_another_and_its_file(tmp_path):
    rng = np.random.default_rng(0)
    inner = keras.Sequential([keras.Input((3,)), K.Dense(4), K.BatchNormalization()])
    outer = keras.Sequential([keras.Input((3,)), inner, K.ReLU(), K.Dense(2)])
    for variable in outer.weights:
        variable.assign(0.5 + np.abs(rng.standard_normal(variable.shape)))
    x, net = (
        rng.standard_normal((4, 3)).astype("f4"),
        [xpnn.Dense(4), xpnn.BatchNorm(0.01, 1e-3), xpnn.ReLU(), xpnn.Dense(2)],
    )
    outer.save_weights(tmp_path / "w.weights.h5")
    for source in (outer, tmp_path / "w.weights.h5"):
        model = xpnn.Model(net, (3,), seed=0)
        load_keras(model, source)
        assert difference(model.forward(x), np.asarray(outer(x).detach())) <= TOLERANCE
    wrong = xpnn.Model([xpnn.Dense(4), xpnn.BatchNorm(0.01, 1e-5), xpnn.ReLU(), xpnn.Dense(2)], (3,), seed=0)
    with pytest.raises(UsageError, match="has eps=1e-05"):
        load_keras(wrong, outer)


def test_rows_of_images_are_in_the_same_order_there():
    there, layers, shape = mlp()
    report = load_keras(xpnn.Model(layers, shape, seed=0), there)
    assert [note for _, _, note in report] == ["", ""]

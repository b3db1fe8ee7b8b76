"""Models as ONNX files: what onnxruntime makes of each row, and what is in the file beside the weights."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from cases import LAYERS
from onnx_runs import TOLERANCE, difference, fed, model_of, session

import xpnn
from xpnn import (
    AvgPool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Flatten,
    MaxPool2D,
    Pad,
    ReLU,
    Rescale,
    Sequential,
)
from xpnn.errors import UsageError
from xpnn.interchange import image_rows, save_onnx, sequence_rows
from xpnn.interchange.onnx_export import OPSETS, serialized
from xpnn.interchange.table import TABLE
from xpnn.interchange.trace import program_of
from xpnn.layers import GRU, LSTM, Layer

RNG = np.random.default_rng(0)
CLASSIFIER = [Rescale(1 / 255), Conv2D(4, 3), BatchNorm(), ReLU(), MaxPool2D(2), Flatten(), Dense(3)]


def lively(net, shape, **settings):
    """A model whose parameters, running statistics among them, are not those it began with."""
    model = xpnn.Model(net, shape, seed=0, **settings)
    rng = np.random.default_rng(1)
    model.load_parameters({path: rng.uniform(0.3, 1.2, a.shape) for path, a in model.parameters().items()})
    return model


def run(model, x, path, **settings):
    """What onnxruntime gives for x, after the model was written to `path`."""
    save_onnx(model, path, **settings)
    ready = session(path.read_bytes())
    return ready.run(None, {ready.get_inputs()[0].name: x})[0]


def test_no_row_is_lost():
    """A new layer may come without a row of xpnn/interchange/table.py, and is then refused by name."""
    assert len(TABLE) >= 72


def test_a_layer_without_a_row_is_refused_by_name():
    @dataclass(frozen=True)
    class Odd(Layer):
        def forward(self, cx, p, x):
            return x, ()

    model = xpnn.Model([Dense(2), Odd()], (3,), seed=0)
    with pytest.raises(UsageError, match="layer 1 Odd cannot be exported"):
        program_of(model)


@pytest.mark.oracle
@pytest.mark.parametrize("case", [case for case in LAYERS if type(case.layer) in TABLE], ids=str)
def test_onnxruntime_gives_what_the_model_gives(case):
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    ready = session(serialized(program))
    for n in {1, case.batch}:
        feed = fed(program, x, n)
        wanted = model.forward(tuple(feed.values()) if isinstance(x, tuple) else next(iter(feed.values())))
        assert difference(ready.run(None, feed), wanted) <= TOLERANCE


@pytest.mark.oracle
def test_an_even_number_of_neighbouring_channels():
    """One more behind than before: onnxruntime refuses it; ONNX's own evaluation takes as many channels as samples."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    model = xpnn.Model([xpnn.LocalResponseNorm(4, 1.5)], (2, 3, 7), seed=0)
    x = RNG.standard_normal((7, 2, 3, 7)).astype(np.float32)
    program = program_of(model, probabilities=False)
    ready = ReferenceEvaluator(onnx.load_from_string(serialized(program)))
    assert difference(ready.run(None, fed(program, x, 7)), model.forward(x)) <= TOLERANCE


@pytest.mark.oracle
@pytest.mark.parametrize("opset", OPSETS)
def test_every_opset(opset):
    for case in LAYERS:
        if type(case.layer).__name__ in ("GELU", "GroupNorm", "Maxout", "GLU", "LSTM", "GRU", "Conv2D"):
            model, x = model_of(case)
            program = program_of(model, probabilities=False, opset=opset)
            feed = fed(program, x, case.batch)
            wanted = model.forward(
                tuple(feed.values()) if isinstance(x, tuple) else next(iter(feed.values()))
            )
            assert difference(session(serialized(program)).run(None, feed), wanted) <= TOLERANCE, case


@pytest.mark.oracle
@pytest.mark.parametrize("channels", ["last", "first"])
def test_bytes_in_and_probabilities_out(tmp_path, channels):
    model = lively(CLASSIFIER, (9, 8, 2))
    x = RNG.integers(0, 256, (5, 9, 8, 2)).astype(np.uint8)
    given = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if channels == "first" else x
    got = run(model, given, tmp_path / "m.onnx", channels=channels)
    assert difference(got, model.predict_proba(x)) <= TOLERANCE
    logits = run(model, given, tmp_path / "m.onnx", channels=channels, probabilities=False)
    assert difference(logits, model.forward(x)) <= TOLERANCE


@pytest.mark.oracle
def test_images_come_out_in_the_layout_asked_for(tmp_path):
    model = lively([Conv2D(4, 3), ReLU(), ConvTranspose2D(2, 3)], (6, 5, 3))
    x = RNG.standard_normal((2, 6, 5, 3)).astype(np.float32)
    got = run(model, np.moveaxis(x, -1, 1).copy(), tmp_path / "m.onnx", channels="first", probabilities=False)
    assert difference(np.ascontiguousarray(np.moveaxis(got, 1, -1)), model.forward(x)) <= TOLERANCE


@pytest.mark.oracle
def test_without_preprocessing_what_it_gives_goes_in(tmp_path):
    model = lively(CLASSIFIER, (9, 8, 2))
    x = RNG.integers(0, 256, (5, 9, 8, 2)).astype(np.uint8)
    scaled = x.astype(np.float32) * np.float32(1 / 255)
    got = run(model, scaled, tmp_path / "m.onnx", preprocessing=False)
    assert difference(got, model.predict_proba(x)) <= TOLERANCE


LOSSES = {"softmax_cross_entropy": 3, "nll": 3, "focal": 3, "bce": 1}


@pytest.mark.oracle
@pytest.mark.parametrize("loss", LOSSES)
def test_probabilities_are_those_of_predict_proba(tmp_path, loss):
    outputs = LOSSES[loss]
    layers = [Dense(outputs), *([xpnn.LogSoftmax()] if loss == "nll" else [])]
    model = lively(layers, (4,))
    model.loss = xpnn.losses.get_loss(loss)
    x = RNG.standard_normal((6, 4)).astype(np.float32)
    assert difference(run(model, x, tmp_path / "m.onnx"), model.predict_proba(x)) <= TOLERANCE


def test_probabilities_of_a_regression_are_refused():
    model = xpnn.Model([Dense(1)], (3,), seed=0)
    model.loss = xpnn.losses.MeanSquaredError()
    assert [node.kind for node in program_of(model).nodes] == ["Gemm", "Identity"]
    with pytest.raises(UsageError, match="trained with MeanSquaredError"):
        program_of(model, probabilities=True)


LINEAR = [
    [Conv2D(6, 3, groups=2), BatchNorm(), ReLU()],
    [ConvTranspose2D(4, 3, 2, groups=2), BatchNorm(0.1, 1e-3)],
    [Sequential((xpnn.Reshape((20, 4)), xpnn.Conv1D(3, 2), BatchNorm()))],
    [Flatten(), Dense(5), BatchNorm()],
]


@pytest.mark.oracle
@pytest.mark.parametrize("net", LINEAR, ids=lambda net: type(net[0]).__name__)
def test_a_batch_norm_is_folded_into_the_linear_layer_before_it(net, tmp_path):
    model = lively(net, (5, 4, 4))
    kinds = [node.kind for node in program_of(model).nodes]
    assert "Sub" not in kinds
    assert "BatchNormalization" not in kinds
    x = RNG.standard_normal((3, 5, 4, 4)).astype(np.float32)
    got = run(model, x, tmp_path / "m.onnx", probabilities=False)
    assert difference(got, model.forward(x)) <= TOLERANCE


def test_layouts_change_only_where_they_must():
    """Two convolutions with all that stands between them: one way there, and one back before the Flatten."""
    body = [
        Conv2D(4, 3),
        BatchNorm(),
        ReLU(),
        MaxPool2D(2),
        xpnn.Residual([Conv2D(4, 1), ReLU()]),
        xpnn.PReLU(),
    ]
    model = xpnn.Model([*body, Conv2D(4, 1), Flatten(), Dense(2)], (12, 12, 3), seed=0)
    assert [node.kind for node in program_of(model).nodes].count("Transpose") == 2
    assert [node.kind for node in program_of(model, channels="first").nodes].count("Transpose") == 1


@pytest.mark.oracle
def test_what_stands_in_the_file(tmp_path):
    import onnx

    model = xpnn.Model([Flatten(), Dense(4)], (2, 3), seed=0, dtype="float64")
    save_onnx(model, tmp_path / "m.onnx", classes=["a", "b", "c", "é"])
    found = onnx.load(tmp_path / "m.onnx")
    assert found.producer_name == "xpnn"
    assert {entry.key: json.loads(entry.value) for entry in found.metadata_props} == {
        "classes": ["a", "b", "c", "é"]
    }
    assert found.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"
    assert {tensor.name for tensor in found.graph.initializer} >= {"1.W", "1.b"}
    assert not any(tensor.data_type == onnx.TensorProto.DOUBLE for tensor in found.graph.initializer)


@pytest.mark.parametrize("settings", [{"opset": 7}, {"opset": 99}, {"channels": "middle"}], ids=str)
def test_settings_that_mean_nothing(settings, tmp_path):
    model = xpnn.Model([Dense(2)], (3,), seed=0)
    with pytest.raises(UsageError, match=str(next(iter(settings.values())))):
        save_onnx(model, tmp_path / "m.onnx", **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("layer", [AvgPool2D(2, dilation=2), Pad(((1, 1), (0, 0), (0, 0)), "wrap")], ids=str)
def test_what_an_older_opset_does_not_have_is_refused(layer):
    with pytest.raises(UsageError, match="from opset 19 on"):
        program_of(xpnn.Model([layer], (5, 5, 1), seed=0), opset=18)


FAULTS = {
    "LSTM's gates in our order": (LSTM, sequence_rows.ORDER, "LSTM", (0, 1, 2, 3)),
    "GRU's gates in our order": (GRU, sequence_rows.ORDER, "GRU", (0, 1, 2)),
    "kernels flipped": (
        Conv2D,
        vars(image_rows),
        "kernel_first",
        lambda W: W[::-1, ::-1].transpose(3, 2, 0, 1),
    ),
    "gates of a masked LSTM": (LSTM, sequence_rows.STEP, "LSTM", sequence_rows.simple_step),
}


@pytest.mark.oracle
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(fault, monkeypatch):
    cls, table, key, wrong = FAULTS[fault]
    monkeypatch.setitem(table, key, wrong)
    caught = False
    for case in (case for case in LAYERS if type(case.layer) is cls):
        try:
            test_onnxruntime_gives_what_the_model_gives(case)
        except Exception:
            caught = True
    assert caught

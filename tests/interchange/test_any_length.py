"""Networks for sequences of any length, exported: a time axis with a name, and the same answers at every length."""

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_runs import TOLERANCE, difference, session
from test_standalone import imported

import xpnn
from xpnn import (
    GRU,
    LSTM,
    Bidirectional,
    Conv1D,
    Conv2D,
    Dense,
    Embedding,
    GlobalAveragePool,
    Graph,
    GroupNorm,
    Maxout,
    MaxPool1D,
    MultiHeadAttention,
    PaddingMask,
    PositionalEncoding,
    RotaryPositions,
    SelectOutput,
)
from xpnn.errors import UsageError
from xpnn.interchange import load_onnx, save_c, save_onnx, save_python

pytestmark = pytest.mark.oracle
NETS = {
    "recurrent": ([Bidirectional(LSTM(3, sequences=True)), GRU(4, reverse=True), Dense(2)], (None, 3)),
    "convolution": ([Conv1D(4, 3, padding="same"), MaxPool1D(2), GRU(2, True)], (None, 3)),
    "attention": (
        [
            PositionalEncoding(),
            MultiHeadAttention(2, causal=True, rotary="half"),
            MultiHeadAttention(2, 4, kv_heads=1),
            GlobalAveragePool(),
            Dense(2),
        ],
        (None, 8),
    ),
    "positions": ([RotaryPositions("interleaved"), Dense(3), Maxout(2), GroupNorm(1)], (None, 4)),
    "words": (
        Graph(
            "ids",
            {
                "real": (PaddingMask(), "ids"),
                "x": (Embedding(9, 4, padding_idx=0), "ids"),
                "a": (MultiHeadAttention(2, masked=True), ("x", "real")),
                "y": (LSTM(3, masked=True), ("a", "real")),
            },
            "y",
        ),
        (None,),
    ),
    "states": (
        Graph(
            ("x", "h", "c"),
            {
                "lstm": (LSTM(3, True, initial_state=True, return_state=True), ("x", "h", "c")),
                "y": (SelectOutput(0), "lstm"),
                "h1": (SelectOutput(1), "lstm"),
                "c1": (SelectOutput(2), "lstm"),
            },
            ("y", "h1", "c1"),
        ),
        ((None, 2), (3,), (3,)),
    ),
    "images": ([Conv2D(4, 3, padding="same"), GlobalAveragePool(), Dense(2)], (None, None, 3)),
}


def samples(model, time):
    rng = np.random.default_rng(time)
    shapes = model.input_shape if isinstance(model.input_shape[0], tuple) else (model.input_shape,)
    made = [(3, *(time if n is None else n for n in shape)) for shape in shapes]
    if model.net.input_kind == "int":
        return [rng.integers(0, 9, shape) for shape in made]
    return [rng.standard_normal(shape).astype(np.float32) for shape in made]


@pytest.mark.parametrize("name", NETS)
def test_one_file_answers_at_every_length(name, tmp_path):
    net, shape = NETS[name]
    model = xpnn.Model(net, shape, seed=0)
    save_onnx(model, tmp_path / "m.onnx", probabilities=False)
    save_python(model, tmp_path / "m.py", probabilities=False)
    ready, alone = session((tmp_path / "m.onnx").read_bytes()), imported(tmp_path / "m.py")
    back = load_onnx(tmp_path / "m.onnx")
    assert back.input_shape == model.input_shape
    assert [type(n) for n in ready.get_inputs()[0].shape[:2]] == [str, str]
    for time in (2, 5, 9):
        xs = samples(model, time)
        wanted = model.forward(tuple(xs) if len(xs) > 1 else xs[0])
        feed = {one.name: x for one, x in zip(ready.get_inputs(), xs, strict=True)}
        assert difference(ready.run(None, feed), wanted) <= TOLERANCE
        assert difference(alone.predict(*xs), wanted) <= TOLERANCE
        assert difference(back.forward(tuple(xs) if len(xs) > 1 else xs[0]), wanted) <= TOLERANCE


def test_windows_whose_padding_depends_on_the_length_are_refused_by_name(tmp_path):
    model = xpnn.Model(
        [GRU(3, True), Conv1D(4, 3, 2, padding="same"), GlobalAveragePool()], (None, 3), seed=0
    )
    with pytest.raises(UsageError, match="layer 1 cannot be exported for sequences of any length"):
        save_onnx(model, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_c_has_every_size_written_out(tmp_path):
    model = xpnn.Model([GRU(3)], (None, 3), seed=0)
    with pytest.raises(UsageError, match="sequences of any length: C and the page need one"):
        save_c(model, tmp_path / "m.h")
    fixed = xpnn.Model([GRU(3)], (4, 3), seed=1)
    fixed.load_parameters(model.parameters())  # what the message advises
    save_c(fixed, tmp_path / "m.h")

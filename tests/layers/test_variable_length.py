"""Sequences whose length differs from call to call: None in `input_shape`."""

import numpy as np
import pytest
from harness import open_backend

import xpnn
from xpnn import (
    GRU,
    LSTM,
    Conv1D,
    Dense,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Graph,
    MaxPool1D,
    Model,
    MultiHeadAttention,
    PaddingMask,
    PositionalEncoding,
    ReLU,
    Reshape,
    SelectOutput,
    Sequential,
    Trainer,
)
from xpnn.errors import BackendError, CheckpointError, DataError, ShapeError, UsageError
from xpnn.layers.lengths import ASSUMED, Length, planned, shown

RNG = np.random.default_rng(0)
WORDS = Graph(
    "ids",
    {
        "real": (PaddingMask(), "ids"),
        "x": (Embedding(9, 4, padding_idx=0), "ids"),
        "a": (MultiHeadAttention(2, masked=True, rotary="half"), ("x", "real")),
        "state": (GRU(3, masked=True), ("a", "real")),
        "logits": (Dense(2), "state"),
    },
    "logits",
)
NETS = {
    "recurrent": ([LSTM(4, sequences=True), GRU(3, reverse=True), Dense(2)], (None, 3)),
    "convolutions": (
        [Conv1D(4, 3, 2, padding="same"), ReLU(), MaxPool1D(2), GlobalAveragePool(), Dense(2)],
        (None, 3),
    ),
    "attention": (
        [PositionalEncoding(), MultiHeadAttention(1, causal=True), GlobalAveragePool(), Dense(2)],
        (None, 3),
    ),
    "words": (WORDS, (None,)),
}
each = pytest.mark.parametrize("name", NETS)


def samples(shape, time, n=6):
    """So many sequences of that length: ids where there are no features."""
    if shape == (None,):
        return RNG.integers(1, 9, (n, time))
    return RNG.standard_normal((n, time, *shape[1:]))


@each
def test_every_length_gives_what_a_model_of_that_length_gives(be, name):
    net, shape = NETS[name]
    model = Model(net, shape, backend=be.name, dtype="float64", seed=0)
    for time in (5, 9, 4):
        fixed = Model(net, (time, *shape[1:]), dtype="float64", seed=0)
        x = samples(shape, time)
        np.testing.assert_allclose(model.forward(x), fixed.forward(x), rtol=1e-9, atol=1e-12)
        assert model.predict(x).shape == (6,)


@each
def test_training_goes_on_with_another_length(be, name):
    """A step on each length is the step that a model of that length makes."""
    net, shape = NETS[name]
    model = Model(net, shape, backend=be.name, dtype="float64", seed=0)
    trainer = Trainer(model, optimizer=xpnn.SGD(0.1))
    y = np.arange(6) % 2
    for time in (5, 8, 5):
        x = samples(shape, time)
        fixed = Model(net, (time, *shape[1:]), dtype="float64", seed=0)
        fixed.load_parameters(
            {k: be.to_numpy(a) for k, a in model.parameters().items() if "P" not in k}, strict=False
        )
        loss = float(be.to_numpy(trainer.step(be.asarray(x), be.asarray(y))))
        wanted = float(Trainer(fixed, optimizer=xpnn.SGD(0.1)).step(x, y))
        assert abs(loss - wanted) <= 1e-9
        for path, a in fixed.parameters().items():
            if path in model.parameters():
                np.testing.assert_allclose(be.to_numpy(model.parameters()[path]), a, rtol=1e-8, atol=1e-11)


@each
def test_fit_save_load_and_explain(name, tmp_path):
    net, shape = NETS[name]
    model = Model(net, shape, seed=0)
    y = np.arange(6) % 2
    for time in (6, 4):
        model.fit(
            samples(shape, time), y, epochs=2, batch_size=4, validation=(samples(shape, 5), y), verbose=0
        )
    assert model.input_shape == shape
    assert model.output_shape == (2,)
    model.save(tmp_path / "m.safetensors")
    again = xpnn.load(tmp_path / "m.safetensors")
    x = samples(shape, 7)
    assert again.input_shape == shape
    assert (again.forward(x) == model.forward(x)).all()
    assert (model.copy().forward(x) == model.forward(x)).all()
    assert str(shape) in model.summary()
    assert "FLOPs by length" in model.summary()
    assert model.evaluate(x, y)["loss"] > 0
    assert "Dense" in str(model.explain(x, y))
    assert all(row.ok for row in xpnn.gradcheck(net, shape))


def test_the_state_goes_from_piece_to_piece():
    """What an engineer does with a stream: the last state is the next first one, whatever the pieces' lengths."""
    nodes = {
        "lstm": (LSTM(4, True, initial_state=True, return_state=True), ("x", "h", "c")),
        "y": (SelectOutput(0), "lstm"),
        "h1": (SelectOutput(1), "lstm"),
        "c1": (SelectOutput(2), "lstm"),
        "out": (Dense(1), "y"),
    }
    model = Model(
        Graph(("x", "h", "c"), nodes, ("out", "h1", "c1")), ((None, 2), (4,), (4,)), dtype="float64", seed=0
    )
    x, h = RNG.standard_normal((3, 11, 2)), np.zeros((3, 4))
    whole, last, cell = model.forward((x, h, h))
    found, states = [], (h, h)
    for piece in (x[:, :4], x[:, 4:5], x[:, 5:]):
        y, *states = model.forward((piece, *states))
        found.append(y)
    np.testing.assert_allclose(np.concatenate(found, axis=1), whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(states, (last, cell), rtol=1e-12)
    assert model.output_shape == ((None, 1), (4,), (4,))


NEED_A_LENGTH = [
    ([Flatten(), Dense(3)], "layer 1 Dense(units=3) needs a fixed length: its parameter W"),
    ([Sequential((ReLU(), Flatten(), ReLU(), Dense(2)))], "layer 0.3 Dense(units=2) needs a fixed length"),
    ([PositionalEncoding("learned")], "layer 0 PositionalEncoding(kind='learned') needs a fixed length"),
    ([MultiHeadAttention(1, attention_mask=("10", "11"))], "layer 0 MultiHeadAttention"),
    ([Reshape((6, 2))], "layer 0 Reshape"),
    ([Conv1D(2, 3), Flatten(), xpnn.BatchNorm()], "layer 2 BatchNorm() needs a fixed length"),
]


@pytest.mark.parametrize(("net", "message"), NEED_A_LENGTH, ids=lambda v: v if isinstance(v, str) else "")
def test_what_needs_a_length_is_refused_by_name_when_the_model_is_made(net, message):
    with pytest.raises(ShapeError) as caught:
        Model(net, (None, 3))
    assert str(caught.value).startswith(message)
    assert "1009" not in str(caught.value)
    Model(
        net, (2, 3)
    ) if "Reshape" not in message and "Batch" not in message and "Conv" not in message else None


def test_a_sequence_too_short_names_the_layer_and_its_real_length():
    model = Model(NETS["convolutions"][0], (None, 3))
    with pytest.raises(ShapeError, match=r"layer 2 MaxPool1D\(\) has windows that span 2 values") as caught:
        model.forward(samples((None, 3), 2))
    assert "(2, 3)" in str(caught.value)


def test_inputs_whose_lengths_do_not_fit_are_refused(be):
    model = Model([GRU(3, masked=True)], ((None, 2), (None,)), backend=be.name, seed=0)
    model.forward((np.ones((2, 4, 2)), np.ones((2, 4))))
    with pytest.raises(ShapeError, match=r"wants a sequence .* and a mask"):
        model.forward((np.ones((2, 4, 2)), np.ones((2, 5))))


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 4, 5)), ShapeError, r"x has shape \(2, 4, 5\), the model takes \(N, None, 3\)"),
        (np.ones((4, 3)), ShapeError, r"a single sample\? x\[None\]"),
        (np.ones((2, 0, 3)), ShapeError, "each at least 1"),
        (np.ones((0, 4, 3)), DataError, "x has no samples"),
    ],
    ids=["features", "one sample", "no step", "no sample"],
)
def test_other_samples_are_refused(x, error, message):
    model = Model([LSTM(2)], (None, 3))
    with pytest.raises(error, match=message):
        model.forward(x)


@pytest.mark.parametrize("shape", [(None, 0), (None, -1), (None, 2.5), ("None", 3), (None, True)])
def test_shapes_that_mean_nothing_are_refused(shape):
    with pytest.raises(UsageError, match="or None"):
        Model([LSTM(2)], shape)


def test_a_size_that_is_not_known_stays_so():
    n = Length(ASSUMED)
    for made in (n + 1, 1 + n, n - 1, 10**6 - n, 2 * n, n * 2, n // 2, -(-n // 3), sum((n, n)), n + n):
        assert isinstance(made, Length)
        assert str(made) == f"{made}" == repr(made) == "None"
    assert planned((None, 3)) == (ASSUMED, 3)
    assert shown(planned(((None, 3), (4,)))) == ((None, 3), (4,))


def test_a_hostile_length_is_refused(tmp_path):
    """null is a size of a saved model; what it would make of layers is held to the same budget as a number."""
    from xpnn.training.checkpoint import read_net

    net = {"type": "Sequential", "layers": [{"type": "Reshape", "shape": [2]}]}
    for shape in ([None, "3"], [None] * 33, [None, 2**41], [[None], 3]):
        with pytest.raises(CheckpointError):
            read_net({"net": net, "input_shape": shape})


def test_jax_and_torch_keep_a_step_for_each_length():
    """Going back to a length that was seen is no new compilation: the same numbers come out."""
    for mode in ("numpy", "torch", "jax"):
        try:
            be = open_backend(mode, "float64")
        except (BackendError, pytest.skip.Exception):
            continue
        model = Model([LSTM(2)], (None, 3), backend=be.name, dtype="float64", seed=0)
        x = samples((None, 3), 5)
        first = model.forward(x)
        model.forward(samples((None, 3), 8))
        assert (model.forward(x) == first).all()

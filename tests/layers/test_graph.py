"""Graphs: names, paths, what they refuse, what their inputs are, and how a model of several inputs is used."""

import numpy as np
import pytest
from crafted_files import changed, forge, read
from tolerances import assert_same

import xpnn
from xpnn import (
    GRU,
    Add,
    Average,
    BatchNorm,
    Concatenate,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Graph,
    PaddingMask,
    Recompute,
    Rescale,
    Residual,
    Sequential,
    Shared,
    Softmax,
    Tanh,
)
from xpnn.errors import CheckpointError, DataError, DeviceError, ShapeError, UsageError
from xpnn.layers import Ctx
from xpnn.parameters import leaves

PAIR = Graph(
    inputs=("image", "words"),
    nodes={
        "features": (Sequential((Rescale(1 / 255), Flatten(), Dense(4), Tanh())), "image"),
        "mean": (Sequential((Embedding(5, 3), Flatten())), "words"),
        "both": (Concatenate(), ("features", "mean")),
        "logits": (Dense(3), "both"),
    },
    outputs="logits",
)
SHAPE = ((2, 3, 1), (2,))
rng = np.random.default_rng(0)
IMAGES, WORDS, Y = (
    rng.integers(0, 256, (6, 2, 3, 1)).astype("uint8"),
    rng.integers(0, 5, (6, 2)),
    np.arange(6) % 3,
)


def pair(**settings):
    return xpnn.Model(PAIR, SHAPE, seed=0, **settings)


def test_nodes_may_be_a_dict_or_a_list():
    listed = Graph(["x", "y"], [["a", Dense(2), "x"], ["b", Add(), ["a", "y"]]], ["b"])
    assert listed == Graph(("x", "y"), {"a": (Dense(2), "x"), "b": (Add(), ("a", "y"))}, ("b",))
    assert hash(listed) == hash(listed)
    assert listed.nodes[1] == ("b", Add(), ("a", "y"))


def test_parameters_have_the_path_of_their_node():
    assert set(pair().parameters()) == {"features.2.W", "features.2.b", "mean.0.W", "logits.W", "logits.b"}
    inside = xpnn.Model([Dense(2), Graph("x", {"a": (Dense(2), "x"), "b": (Shared("a"), "a")}, "b")], (2,))
    assert set(inside.parameters()) == {"0.W", "0.b", "1.a.W", "1.a.b"}


D, A = Dense(2), Add()


@pytest.mark.parametrize(
    ("make", "fragments"),
    [
        (lambda: Graph("x", {"h": (D, "y")}, "h"), ["'h' takes 'y', which is unknown", "x"]),
        (lambda: Graph("image", {"h": (D, "imge")}, "h"), ["did you mean 'image'"]),
        (lambda: Graph("x", {"a": (A, ("x", "b")), "b": (D, "a")}, "b"),
         ["'a' takes 'b'", "does not come before", "cycle"]),
        (lambda: Graph("x", {"a": (A, ("x", "a"))}, "a"), ["'a' takes 'a', which does not come before"]),
        (lambda: Graph("x", [("a", D, "x"), ("a", D, "x")], "a"), ["'a' stands for two things"]),
        (lambda: Graph("x", {"x": (D, "x")}, "x"), ["'x' stands for two things"]),
        (lambda: Graph(("x", "x"), {"a": (A, ("x", "x"))}, "a"), ["'x' stands for two things"]),
        (lambda: Graph(("x", "y"), {"a": (D, "x")}, "a"), ["'y' is used by no node"]),
        (lambda: Graph("x", {"a": (D, "x"), "b": (D, "x")}, "a"), ["'b' is used by no node"]),
        (lambda: Graph("x", {"a": (D, "x")}, "b"), ["output 'b' is unknown", "one of: a, x"]),
        (lambda: Graph("x", {"a.b": (D, "x")}, "a.b"), ["cannot be called 'a.b'"]),
        (lambda: Graph("x", {"": (D, "x")}, ""), ["cannot be called ''"]),
        (lambda: Graph((), {"a": (D, ())}, "a"), ["at least one input"]),
        (lambda: Graph("x", {"a": (D, "x")}, ()), ["is no output|at least one"]),
        (lambda: Graph("x", {"a": D}, "a"), ["node 0 of Graph is"]),
        (lambda: Graph("x", {"a": ("x", D)}, "a"), ["node 0 of Graph is"]),
        (lambda: Graph("x", {"a": (Dense, "x")}, "a"), ["node 0 of Graph is"]),
        (lambda: Graph("x", D, "x"), ["wanted nodes"]),
        (lambda: Graph("x", {3: (D, "x")}, "x"), ["Graph"]),
        (lambda: Graph(3, {"a": (D, "x")}, "a"), ["Graph"]),
        (lambda: Graph("x", {"a": (Shared("b"), "x")}, "a"), ["'a' shares the layer of 'b'"]),
        (lambda: Graph("x", {"a": (Shared("x"), "x")}, "a"), ["'a' shares the layer of 'x'"]),
        (lambda: Graph("x", {"a": (D, "x"), "b": (Shared("a"), "a"), "c": (Shared("b"), "b")}, "c"),
         ["'c' shares", "one of: a"]),
        (lambda: Graph("x", {"a": (D, "x"), "b": (Embedding(3, 2), "a")}, "b"), ["'b' takes ids", "'a'"]),
        (lambda: Graph("x", {"a": (Embedding(3, 2), "x"), "b": (D, "x"), "c": (A, ("a", "b"))}, "c"),
         ["both ids and real"]),
        (
            lambda: Graph("x", {"m": (Sequential((Flatten(), D)), "x"), "y": (GRU(2, masked=True), ("x", "m"))}, "y"),
            ["'m' cannot be trained"],
        ),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_at_once(make, fragments):
    with pytest.raises(UsageError) as caught:
        make()
    for fragment in fragments:
        assert any(part in str(caught.value) for part in fragment.split("|")), str(caught.value)


@pytest.mark.parametrize(
    ("net", "shape", "path", "way"),
    [
        (Graph("x", {"a": (D, "x"), "b": (Conv2D(1, 1), "a")}, "b"), (3,), "b",
         "x (3,) -> a Dense (2,) -> b Conv2D (here)"),
        (
            Graph(("x", "y"), {"a": (D, "x"), "b": (Dense(3), "y"), "c": (A, ("a", "b"))}, "c"), ((3,), (4,)), "c",
            "x (3,), y (4,) -> a Dense (2,) -> b Dense (3,) -> c Add (here)",
        ),
        (Graph("x", {"a": (Sequential((D, Conv2D(1, 1))), "x")}, "a"), (3,), "a.1",
         "x (3,) -> a.0 Dense (2,) -> a.1 Conv2D"),
        (Graph(("x", "y"), {"a": (D, "x"), "b": (Shared("a"), "y"), "c": (A, ("a", "b"))}, "c"), ((3,), (4,)), "b",
         "y (4,)"),
        (Graph("x", {"a": (D, ("x", "x"))}, "a"), (3,), "a", "x (3,)"),
        (Graph("x", {"a": (A, "x")}, "a"), (3,), "a", "x (3,)"),
        (Sequential((D, Graph("x", {"a": (Conv2D(1, 1), "x")}, "a"))), (3,), "1.a",
         "0 Dense (2,) -> 1.a Conv2D (here)"),
        (Sequential((A, Residual(Conv2D(1, 1)))), ((3,), (3,)), "1.0", "0 Add (3,)"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_refused_with_the_path_and_the_way(net, shape, path, way):
    with pytest.raises(ShapeError) as caught:
        xpnn.Model(net, shape)
    assert caught.value.path == path
    assert way in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), ((3,),), ((3,), (3,), (3,))], ids=str)
def test_another_number_of_inputs_is_refused(shape):
    net = Graph(("x", "y"), {"c": (A, ("x", "y"))}, "c")
    with pytest.raises(ShapeError, match="takes 2 inputs: x, y"):
        xpnn.Model(net, shape)


@pytest.mark.parametrize(
    "net", [D, Sequential((Tanh(), D)), Residual(Tanh()), xpnn.Parallel((D, D)), Recompute(D)]
)
def test_a_layer_of_one_input_refuses_two(net):
    with pytest.raises(ShapeError, match="takes one input, got 2"):
        xpnn.Model(net, ((3,), (3,)))


@pytest.mark.parametrize(
    "shape", [((3,), 3), ((3,), ((3,),)), ((3,), (0,)), ((3,), (2.5,)), ((3,), "3"), ((), (3, True))]
)
def test_input_shapes_that_mean_nothing_are_refused(shape):
    with pytest.raises(UsageError, match="input_shape"):
        xpnn.Model(PAIR, shape)


def test_what_the_inputs_are_follows_from_their_users():
    assert (PAIR.input_kind, PAIR.vocab_size) == (("any", "int"), (0, 5))
    words = Graph(
        "ids",
        {"flat": (Flatten(), "ids"), "m": (PaddingMask(), "flat"), "a": (Embedding(7, 2), "flat"),
         "b": (Embedding(4, 2), "flat"), "c": (Average(), ("a", "b")), "d": (GRU(2, masked=True), ("c", "m"))},
        "d",
    )  # fmt: skip
    assert (words.input_kind, words.vocab_size) == ("int", 4)
    masked = Graph(("x", "m"), {"y": (GRU(2, masked=True), ("x", "m"))}, ("y", "m"))
    assert masked.input_kind == ("float", "mask")
    both = Graph("x", {"a": (Rescale(2.0), "x"), "b": (Dense(2), "x"), "c": (Concatenate(), ("a", "b"))}, "c")
    assert both.input_kind == "float"
    assert Graph(("x",), {"a": (Flatten(), "x")}, "a").input_kind == (None,)
    assert Graph("x", {"a": (Dense(2), "x"), "b": (Softmax(), "a")}, ("a", "b")).output_kind == (
        "",
        "probabilities",
    )
    nested = Sequential((masked,))
    assert (nested.multi_input, nested.input_kind) == (True, ("float", "mask"))


def test_each_use_of_a_shared_layer_draws_its_own_mask(be):
    net = Graph(
        "x", {"a": (Dropout(0.5), "x"), "b": (Shared("a"), "x"), "c": (Dropout(0.5), "x")}, ("a", "b", "c")
    )
    cx = Ctx(be, train=True, key=(0,), tick=be.scalar(1, be.xp.int64))
    ys, _ = net.forward(cx, {"a": {}, "c": {}}, be.xp.ones((40, 5), dtype=be.dtype))
    a, b, c = (be.to_numpy(y) for y in ys)
    assert not (a == b).all()
    assert not (a == c).all()
    assert not (b == c).all()
    more = Graph("x", {"z": (Dropout(0.5), "x"), **{n: (f, g) for n, f, g in net.nodes}}, (*net.outputs, "z"))
    again, _ = more.forward(cx, {"a": {}, "c": {}, "z": {}}, be.xp.ones((40, 5), dtype=be.dtype))
    assert_same(be.to_numpy(again[0]), a)  # another node moves no other's


def test_equal_layers_are_not_shared():
    net = Graph("x", {"a": (D, "x"), "b": (D, "x"), "c": (A, ("a", "b"))}, "c")
    p = xpnn.Model(net, (3,), seed=0).parameters()
    assert len(p) == 4
    assert not np.array_equal(p["a.W"], p["b.W"])


def test_nobody_asks_for_gradients_that_nobody_wants(monkeypatch):
    """Training: neither the inputs' nor those of what stands before the first parameters."""
    asked = []
    right = Tanh.backward
    monkeypatch.setattr(
        Tanh, "backward", lambda self, cx, *rest: asked.append(cx.key[-1]) or right(self, cx, *rest)
    )
    net = Graph("x", {"a": (Tanh(), "x"), "b": (Dense(3), "a"), "c": (Tanh(), "b")}, "c")
    xpnn.Trainer(xpnn.Model(net, (3,)), "mean_squared_error").step(
        np.ones((2, 3), "float32"), np.ones((2, 3), "float32")
    )
    assert asked == ["c"]


def test_a_batch_of_one_value_names_the_node():
    net = Graph("x", {"norm": (BatchNorm(), "x"), "y": (D, "norm")}, "y")
    model = xpnn.Model(net, (3,))
    with pytest.raises(ShapeError, match="layer norm BatchNorm"):
        xpnn.Trainer(model, "mean_squared_error").step(np.ones((1, 3), "float32"), np.ones((1, 2), "float32"))


# A model of several inputs


def test_images_and_words_train_and_come_back(be, tmp_path):
    model = pair(backend=be.name)
    assert [a.dtype for a in model.inputs((IMAGES, WORDS.astype("float32")))] == [be.xp.uint8, be.xp.int64]
    history = model.fit([IMAGES, WORDS], Y, epochs=30, batch_size=4, verbose=0)
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    model.save(tmp_path / "m.safetensors")
    again = xpnn.load(tmp_path / "m.safetensors")
    assert (again.net, again.input_shape) == (PAIR, SHAPE)
    np.testing.assert_allclose(
        again.forward((IMAGES, WORDS)), model.forward((IMAGES, WORDS)), rtol=1e-4, atol=1e-5
    )
    many = (np.repeat(IMAGES, 400, 0), np.repeat(WORDS, 400, 0))
    assert model.predict(many).shape == (2400,)  # in batches
    assert set(model.evaluate((IMAGES, WORDS), Y)) == {"loss", "accuracy"}


def test_validation_is_held_out_of_every_input():
    model = pair()
    history = model.fit((IMAGES, WORDS), Y, epochs=1, validation=3, verbose=0)
    assert history.rows[0].valid_loss is not None
    model.fit((IMAGES, WORDS), Y, epochs=1, validation=((IMAGES, WORDS), Y), verbose=0)
    with pytest.raises(DataError, match=r"validation x\[1\]\[0, 0\] is 9"):
        model.fit((IMAGES, WORDS), Y, epochs=1, validation=((IMAGES, WORDS + 9 - WORDS[0, 0]), Y), verbose=0)


BAD = np.where(np.arange(12).reshape(6, 2) == 5, 7, WORDS)


@pytest.mark.parametrize(
    ("x", "error", "fragment"),
    [
        (IMAGES, DataError, "x is a ndarray, the model has 2"),
        ((IMAGES,), DataError, "x holds 1 arrays"),
        ((IMAGES, WORDS, WORDS), DataError, "x holds 3 arrays"),
        ((WORDS, IMAGES), ShapeError, r"x\[0\] has shape \(6, 2\), the model takes \(N, 2, 3, 1\)"),
        ((IMAGES, WORDS[:, :1]), ShapeError, r"x\[1\] has shape \(6, 1\)"),
        ((IMAGES, WORDS[:5]), DataError, r"x\[0\] has 6 samples, x\[1\] has 5"),
        ((IMAGES[:0], WORDS[:0]), DataError, r"x\[0\] has no samples"),
        ((IMAGES, BAD), DataError, r"x\[1\]\[2, 1\] is 7"),
        ((IMAGES * np.nan, WORDS), DataError, r"x\[0\]\[0\] holds NaN"),
        ((IMAGES[:5], WORDS[:5]), DataError, "x has 5 samples, y has 6"),
        ({"image": IMAGES, "words": WORDS}, DataError, "a tuple of arrays"),
    ],
)
def test_samples_that_do_not_fit_are_refused_by_name(x, error, fragment):
    with pytest.raises(error, match=fragment):
        pair().fit(x, Y, epochs=1, verbose=0)


def test_a_step_checks_every_input(be):
    trainer = xpnn.Trainer(pair(backend=be.name))
    x, y = trainer.model.inputs((IMAGES, WORDS)), be.asarray(Y)
    assert np.isfinite(float(trainer.step(list(x), y)))
    for bad, error, fragment in (
        ((x[0], x[1][:5, ...]), ShapeError, r"x\[0\] has 6 samples, x\[1\] has shape"),
        ((x[1], x[0]), ShapeError, r"x\[0\] has shape"),
        ((x[0], WORDS.tolist()), DeviceError, r"x\[1\] is a builtins.list"),
        (x[0], DataError, "the model has 2"),
        ((x[0][:0, ...], x[1][:0, ...]), DataError, r"x\[0\] has no samples"),
    ):
        with pytest.raises(error, match=fragment):
            trainer.step(bad, y)
    with pytest.raises(ShapeError, match=r"x\[0\] has 6 samples, y has shape"):
        trainer.step(x, y[:5, ...])


def test_divergence_is_explained_with_several_inputs():
    model = xpnn.Model(Graph(("x", "y"), {"s": (A, ("x", "y")), "h": (D, "s")}, "h"), ((2,), (2,)), seed=0)
    x = np.ones((8, 2))
    with pytest.raises(xpnn.errors.DivergedError, match=r"gradient of h\.W|the loss itself"):
        model.fit((x, 1e30 * x), x, loss="mean_squared_error", optimizer=xpnn.SGD(1e30), epochs=4, verbose=0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("input_shape",), [[2, 3, 1]]),
        (("input_shape",), [[2, 3, 1], [2], [2]]),
        (("input_shape",), [[2, 3, 1], 2]),
        (("input_shape",), [[2, 3, 1], [0]]),
        (("input_shape",), [[2, 3, 1], [[2]]]),
        (("input_shape",), [[2**39, 2**39], [2]]),
        (("net", "nodes"), None),
        (("net", "nodes"), []),
        (("net", "nodes", 3), ["logits", {"type": "Dense", "units": 3}]),
        (("net", "nodes", 3, 0), 7),
        (("net", "nodes", 3, 0), "both"),
        (("net", "nodes", 3, 2), "later"),
        (("net", "nodes", 3, 1), {"type": "Shared", "node": "features"}),
        (("net", "nodes", 2, 1), {"type": "SoftmaxCrossEntropy"}),
        (("net", "inputs"), [["image"], "words"]),
        (("net", "outputs"), {"type": "Dense", "units": 3}),
    ],
)
def test_a_damaged_graph_is_refused(path, value, tmp_path):
    file = tmp_path / "m.safetensors"
    pair().save(file)
    about, tensors = read(file)
    file.write_bytes(forge(about, tensors))
    assert xpnn.load(file).net == PAIR
    file.write_bytes(forge(changed(about, path, value), tensors))
    with pytest.raises(CheckpointError):
        xpnn.load(file)


# What is shown of a graph


def test_summary_and_gradcheck_name_the_nodes():
    table = pair().summary()
    paths = [line.split()[0] for line in table.splitlines()[2:-2]]
    assert paths == [
        "features.0",
        "features.1",
        "features.2",
        "features.3",
        "mean.0",
        "mean.1",
        "both",
        "logits",
    ]
    rows = xpnn.gradcheck(PAIR, SHAPE)
    assert all(row.ok for row in rows)
    assert {row.path for row in rows} == {"", *paths}
    assert [row.array for row in rows if row.path == "both"] == ["x0", "x1"]
    assert next(row.array for row in rows if row.path == "") == "x0"
    nested = xpnn.gradcheck([Dense(2), Recompute(Graph("x", {"a": (D, "x")}, "a"))], (2,))
    assert {row.path for row in nested} == {"0", "1", "1.a"}


def test_a_graph_in_a_graph():
    inner = Graph(("x", "y"), {"s": (A, ("x", "y")), "d": (Dense(3), "s")}, ("d", "s"))
    outer = Graph(
        "x",
        {"a": (Dense(3), "x"), "g": (inner, ("a", "x")), "m": (Average(), "g"), "h": (Shared("g"), ("m", "a")),
         "c": (Concatenate(), "h")},
        "c",
    )  # fmt: skip
    specs, out = outer.plan((3,))
    assert out == (6,)
    assert [path for path, _ in leaves(specs)] == ["a.W", "a.b", "g.d.W", "g.d.b"]
    assert all(row.ok for row in xpnn.gradcheck(outer, (3,)))


def test_graphs_in_graphs_ask_each_layer_but_a_few_times():
    """Thirty deep, and wide: a construction that asked twice per level would never end."""
    net = Dense(3)
    for _ in range(30):
        net = Graph(("x",), {"a": (net, ("x",)) if isinstance(net, Graph) else (net, "x")}, "a")
    assert net.plan(((3,),))[1] == (3,)
    free = Graph(("x", "y"), {"a": (Flatten(), "x"), "b": (Flatten(), "y")}, ("a", "b"))
    nodes = [("0", free, ("x", "x")), *((f"{i}", free, (f"{i - 1}", f"{i - 1}")) for i in range(1, 60))]
    assert Graph("x", nodes, "59").input_kind is None


def test_a_long_graph_is_made_in_no_time():
    nodes = [("0", Tanh(), "x"), *((f"{i}", Tanh(), f"{i - 1}") for i in range(1, 5000))]
    net = Graph("x", nodes, "4999")
    assert net.plan((3,)) == ({name: {} for name, _, _ in nodes}, (3,))

"""Operations in a row that are nearly one layer: a single change makes them something else, or nothing that is read."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import numpy_helper  # noqa: E402
from onnx_graphs import graph, ints, one, positive, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, loaded, samples, session  # noqa: E402
from test_onnx_attention import written  # noqa: E402
from test_onnx_defaults import truth  # noqa: E402
from test_onnx_loops import varied  # noqa: E402
from test_onnx_rare_nodes import flat, number, of_images  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import CheckpointError  # noqa: E402
from xpnn.interchange import save_onnx  # noqa: E402

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(2)
STEPS = {
    "w": ("Reshape", "m column", "w", {}),
    "p": ("Mul", "x w", "p", {}),
    "t": ("ReduceSum", "p time", "t", {"keepdims": 0}),
    "r": ("ReduceSum", "w time", "r", {"keepdims": 0}),
    "c": ("Clip", "r low", "c", {}),
    "y": ("Div", "t c", "y", {}),
}
"""The mean of x (N, 3, 4) over the steps that the mask m (N, 3) counts."""


def masked_mean(*changed, low=1.0, time=1):
    """With other nodes in place of those that make the same results."""
    new = {}
    for node in changed:
        new.setdefault(node[2], []).append(node)
    nodes = [one for name, node in STEPS.items() for one in new.get(name, [node])]
    nodes = [node for node in changed if node[2] not in STEPS] + nodes
    constants = {
        "column": ints(-1, 3, 1),
        "time": ints(time),
        "low": number(low),
        "high": number(9),
        "two": number(2),
    }
    proto = graph(nodes, (3, 4), constants)
    proto.graph.input.append(onnx.helper.make_tensor_value_info("m", onnx.TensorProto.FLOAT, ["N", 3]))
    return proto


def test_a_mean_of_the_steps_that_count_is_one_layer(tmp_path):
    proto = masked_mean()
    model = loaded(proto, tmp_path)
    assert [type(layer).__name__ for _, layer, _ in model.net.nodes] == ["MaskedMean"]
    x = RNG.standard_normal((3, 3, 4)).astype(np.float32)
    m = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]], np.float32)
    wanted = session(proto.SerializeToString()).run(None, {"x": x, "m": m})[0]
    assert difference(model.forward((x, m)), wanted) <= TOLERANCE


NO_MEAN = {
    "another floor": masked_mean(low=2.0),
    "a ceiling": masked_mean(("Clip", "r low high", "c", {})),
    "no floor": masked_mean(("Relu", "r", "c", {})),
    "features": masked_mean(time=2),
    "steps that are kept": masked_mean(
        ("ReduceSum", "p time", "t", {"keepdims": 1}), ("ReduceSum", "w time", "r", {"keepdims": 1})
    ),
    "the largest": masked_mean(("ReduceMax", "p", "t", {"axes": [1], "keepdims": 0})),
    "the largest weight": masked_mean(("ReduceMax", "w", "r", {"axes": [1], "keepdims": 0})),
    "sums with the weights": masked_mean(("Add", "x w", "p", {})),
    "weights in front": masked_mean(("Mul", "w x", "p", {})),
    "other weights": masked_mean(("Reshape", "m column", "w", {}), ("Neg", "w", "w", {}), ("Mul", "x v", "p", {}),
                                 ("Reshape", "m column", "v", {})),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_MEAN)
def test_any_other_quotient_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match="Div: one value divided by another"):
        loaded(NO_MEAN[name], tmp_path)


def tables(pairs, base=1e4):
    """Cosines and sines of 5 steps, for each of three samples."""
    angle = np.arange(5)[:, None] * base ** (-np.arange(pairs) / pairs)
    return tuple(np.tile(f(angle).astype(np.float32), (3, 1, 1)) for f in (np.cos, np.sin))


def turned(changes=None, *, turn="qk", pairs=2, **settings):
    """Attention of two heads of 4 features, whose queries and keys are turned by their positions."""
    made = {
        n: [
            ("MatMul", f"x W{n}", f"{n}0", {}),
            ("RotaryEmbedding", f"{n}0 cos sin", n, {"num_heads": 2} | settings),
        ]
        for n in turn
    }
    given = {
        "cos": tables(pairs)[0],
        "sin": tables(pairs)[1],
        "Wo": random(8, 4),
        "bk": random(8),
        "none": np.zeros(8, "f4"),
    }
    given |= {f"W{n}": random(4, 8) for n in "qkv"} | {"split": ints(0, 0, 2, 4), "parts": ints(0, 0, 2, 4)}
    given |= {"kcos": tables(2, 100.0)[0], "ksin": tables(2, 100.0)[1], "whole": ints(0, 0, 8)}
    return varied(written(opset=23), made | (changes or {}), **given)


TURN = {"num_heads": 2}
KEYS = ("MatMul", "x Wk", "k0", {})
ANOTHER = ("Neg", "x", "m", {})
TURNED = {
    # and whether attention takes the turn in
    "as they are": (turned(), True),
    "interleaved": (turned(interleaved=1), True),
    "keys by another base": (turned({"k": [KEYS, ("RotaryEmbedding", "k0 kcos ksin", "k", TURN)]}), False),
    "keys interleaved": (
        turned({"k": [KEYS, ("RotaryEmbedding", "k0 cos sin", "k", TURN | {"interleaved": 1})]}), False,
    ),
    "keys with a bias": (
        turned({"k": [KEYS, ("Add", "k0 bk", "k1", {}), ("RotaryEmbedding", "k1 cos sin", "k", TURN)]}), False,
    ),
    "keys with a bias of 0": (
        turned({"k": [KEYS, ("Add", "k0 none", "k1", {}), ("RotaryEmbedding", "k1 cos sin", "k", TURN)]}), True,
    ),
    "queries alone": (turned(turn="q"), False),
    "keys alone": (turned(turn="k"), False),
    "values too": (turned(turn="qkv"), False),
    "half of the features": (turned(pairs=1, rotary_embedding_dim=2), False),
    "all heads as one": (turned(pairs=4, num_heads=1), False),
    "values of another sequence": (turned({"v": [ANOTHER, ("MatMul", "m Wv", "v", {})]}), False),
    "keys and values of another sequence": (
        turned({"k": [ANOTHER, ("MatMul", "m Wk", "k0", {}), ("RotaryEmbedding", "k0 cos sin", "k", TURN)],
                "v": [("MatMul", "m Wv", "v", {})]}),
        False,
    ),
}  # fmt: skip


def layers_of(model):
    return getattr(model.net, "layers", None) or [layer for _, layer, _ in model.net.nodes]


@pytest.mark.parametrize("name", TURNED)
def test_positions_of_queries_and_keys(name, tmp_path):
    proto, taken_in = TURNED[name]
    model, x = loaded(proto, tmp_path), samples(proto)
    assert difference(model.forward(x), truth(proto, x)) <= TOLERANCE
    found = [layer for layer in layers_of(model) if isinstance(layer, xpnn.MultiHeadAttention)]
    assert [layer.rotary is not None for layer in found] == [taken_in]


def exported(layer, shape, folder):
    save_onnx(xpnn.Model([layer], shape, seed=0), folder / "m.onnx", probabilities=False)
    return onnx.load(folder / "m.onnx")


def is_turn(a):
    return a.ndim == 2 and a.shape[0] == a.shape[1] and set(np.unique(a)) <= {-1, 0, 1}


PARTNERS = {
    "twice": (lambda P: 2 * P, False), "the other way": (lambda P: P.T, False), "as they are": (lambda P: P, True),
    "one left out": (lambda P: P * (np.arange(P.size).reshape(P.shape) != np.flatnonzero(P)[0]), False),
    "none": (lambda P: 0 * P, False),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTNERS)
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_features_turned_by_a_matrix(name, layout, tmp_path):
    """x cos + (x P) sin is RotaryPositions for one P alone."""
    change, same = PARTNERS[name]
    proto = exported(xpnn.RotaryPositions(layout, 2), (5, 8), tmp_path)
    (P,) = [one for one in proto.graph.initializer if is_turn(numpy_helper.to_array(one))]
    P.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(P)).astype(np.float32), P.name))
    x = RNG.standard_normal((3, 5, 8)).astype(np.float32)
    model = loaded(proto, tmp_path)
    wanted = session(proto.SerializeToString()).run(None, {proto.graph.input[0].name: x})[0]
    assert difference(model.forward(x), wanted) <= TOLERANCE
    assert any(isinstance(layer, xpnn.RotaryPositions) for layer in layers_of(model)) is same


C = {
    "two": number(2),
    "eps": number(1e-3),
    "more": number(2e-3),
    "one": number(1),
    "half": number(0.5),
    "g": positive(5),
}
C |= {
    "last": ints(-1),
    "first": ints(1),
    "floor": number(0.3),
    "low": number(0.2),
    "h": positive(4, 1),
    "b": random(5),
}
SQUARE, ROOT, QUOTIENT = ("Mul", "x x", "q", {}), ("Sqrt", "v", "r", {}), ("Div", "x r", "y", {})
MEAN, EPS = ("ReduceMean", "q last", "m", {}), ("Add", "m eps", "v", {})
CENTRED = [
    ("ReduceMean", "x last", "c", {}),
    ("Sub", "x c", "d", {}),
    ("Mul", "d d", "q", {}),
    MEAN,
    EPS,
    ROOT,
]
LENGTH = [("ReduceL2", "x last", "l", {}), ("Clip", "l floor", "f", {})]
NORM = ("LayerNormalization", "x g", "n", {})
NORMS = {
    # of sequences (4, 5): the layers that they are
    "eps twice": (
        [SQUARE, MEAN, ("Add", "m eps", "w", {}), ("Add", "more w", "v", {}), ROOT, QUOTIENT], ["RMSNorm"],
    ),
    "squares of other values over x": (
        [("Tanh", "x", "t", {}), ("Mul", "t t", "q", {}), MEAN, EPS, ROOT, ("Div", "t r", "y", {})],
        ["Tanh", "RMSNorm"],
    ),
    "squares over the first axis": (
        [SQUARE, ("ReduceMean", "q first", "m", {}), ("Neg", "m", "y", {})], ["Multiply", "Sequential", "Rescale"],
    ),
    "a sum of squares over both axes": (
        [SQUARE, ("ReduceSum", "q both", "y", {"keepdims": 0})], ["Multiply", "ReduceSum"],
    ),
    "centred": ([*CENTRED, ("Div", "d r", "y", {})], ["LayerNorm"]),
    "centred by the mean of the steps": (
        [("ReduceMean", "x first", "c", {}), *CENTRED[1:], ("Div", "d r", "y", {})],
        ["Sequential", "Subtract", "RMSNorm"],
    ),
    "the mean less x": (
        [CENTRED[0], ("Sub", "c x", "d", {}), *CENTRED[2:], ("Div", "d r", "y", {})],
        ["ReduceMean", "Subtract", "RMSNorm"],
    ),
    "a floor twice, the larger first": (
        [*LENGTH, ("Clip", "f low", "e", {}), ("Div", "x e", "y", {})], ["LpNormalize"],
    ),
    "a floor twice, the larger last": (
        [LENGTH[0], ("Clip", "l low", "f", {}), ("Clip", "f floor", "e", {}), ("Div", "x e", "y", {})], ["LpNormalize"],
    ),
    "a mean of cubes": ([("Pow", "x three", "q", {}), ("ReduceMean", "q last", "y", {})], ["Multiply", "ReduceMean"]),
    "a norm and a shift": ([NORM, ("Add", "n b", "y", {})], ["LayerNorm"]),
    "a norm less numbers": ([NORM, ("Sub", "n b", "y", {})], ["LayerNorm"]),
    "a norm and scales of steps": ([NORM, ("Mul", "n h", "y", {})], ["LayerNorm", "Scale"]),
    "a norm that goes on as it is": (
        [NORM, ("Mul", "n g", "m", {}), ("Add", "m n", "y", {})], ["LayerNorm", "Conv1D", "Add"],
    ),
    "a gate of halves": (
        [("Concat", "x x", "w", {"axis": 2}), ("Split", "w", "a s", {"axis": -1}), ("Sigmoid", "s", "t", {}),
         ("Mul", "t a", "y", {})],
        ["Concatenate", "GLU"],
    ),
    "a gate of steps": (
        [("Split", "x", "a s", {"axis": 1}), ("Sigmoid", "s", "t", {}), ("Mul", "a t", "y", {})], ["GLU"],
    ),
    "a gate by the first half": (
        [("Split", "x", "s a", {"axis": 1}), ("Sigmoid", "s", "t", {}), ("Mul", "a t", "y", {})],
        ["Slice", "Slice", "Sigmoid", "Multiply"],
    ),
    "a gate of uneven parts": (
        [("Split", "x sizes", "a s", {"axis": 1}), ("Sigmoid", "s", "t", {}), ("Mul", "a t", "y", {})],
        ["Slice", "Slice", "Sigmoid", "Multiply"],
    ),
    "Softsign, 1 behind": (
        [("Abs", "x", "a", {}), ("Add", "a one", "s", {}), ("Div", "x s", "y", {})], ["Softsign"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS)
def test_norms_and_gates_written_out(name, tmp_path):
    nodes, wanted = NORMS[name]
    proto = graph(
        nodes,
        (4, 5),
        C | {"three": number(3), "both": ints(1, 2), "sizes": ints(3, 1)},
        opset=18 if "gate" not in name else 17,
    )
    assert compare(proto, tmp_path) <= TOLERANCE
    assert [type(layer).__name__ for layer in layers_of(loaded(proto, tmp_path))] == wanted


def groups(to=(0, 2, -1), back=(0, 6, 4, 3), gain=(1, 1), bias=(0, 0), **epsilon):
    nodes = [
        ("Reshape", "x to", "g", {}),
        ("InstanceNormalization", "g one zero", "n", epsilon),
        ("Reshape", "n back", "y", {}),
    ]
    constants = {"to": ints(*to), "back": ints(*back), "one": number(gain), "zero": number(bias)}
    return graph(nodes, (6, 4, 3), constants)


GROUPS = {
    "two groups": (groups(), xpnn.GroupNorm(2, bias=False)),
    "gains of groups": (groups(gain=(0.5, 2)), xpnn.GroupNorm(2, bias=False)),
    "shifts of groups": (groups(bias=(0.5, 2), epsilon=0.125), xpnn.GroupNorm(2, 0.125)),
    "each channel": (groups(to=(0, 0, -1), gain=range(1, 7), bias=(0,) * 6), xpnn.InstanceNorm(bias=False)),
    "each channel, shifted": (groups(to=(0, 6, -1), gain=(1,) * 6, bias=range(6)), xpnn.InstanceNorm()),
    "back by what is left": (groups(back=(0, 6, 4, -1)), xpnn.GroupNorm(2, bias=False)),
    "each channel, back by what is there": (
        groups(to=(0, 6, -1), back=(0, 0, -1, 3), gain=(1,) * 6, bias=range(6)),
        xpnn.InstanceNorm(),
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_of_channels_normalized(name, tmp_path):
    proto, wanted = GROUPS[name]
    assert compare(proto, tmp_path) <= 2 * TOLERANCE  # of numbers up to 11
    assert layers_of(loaded(proto, tmp_path)) == (wanted,)


REFUSED = {
    "groups that become another array": (
        groups(back=(0, 4, 6, 3)), r"Reshape: normalized groups of \(.*, 6, 4, 3\) become",
    ),
    "groups as channels": (groups(back=(0, 0, 4, -1)), "Reshape: normalized groups of .* become"),
    "groups that stay joined": (groups(back=(0, 6, 12)), r"Reshape: normalized groups of .* become \(0, 6, 12\)"),
    "x over 2 + |x|": (
        graph([("Abs", "x", "a", {}), ("Add", "a two", "s", {}), ("Div", "x s", "y", {})], (5,), {"two": number(2)}),
        "Add: its input 'a', .x., is no layer here by itself",
    ),
    "other values over 1 + |x|": (
        graph(
            [("Abs", "x", "a", {}), ("Add", "a one", "s", {}), ("Neg", "x", "n", {}), ("Div", "n s", "y", {})], (5,),
            {"one": number(1)},
        ),
        r"Div: its input 's', 1 \+ .x., is no layer here by itself",
    ),
    "other values over a length": (
        graph([*LENGTH, ("Neg", "x", "n", {}), ("Div", "n f", "y", {})], (4, 5), C, opset=18),
        "Div: its input 'f', a length, is no layer here by itself",
    ),
    "x over its length": (
        graph([LENGTH[0], ("Div", "x l", "y", {})], (4, 5), C, opset=18), "Div: its input 'l', a length, is no layer",
    ),
    "other values over a root": (
        graph([SQUARE, MEAN, EPS, ROOT, ("Neg", "x", "n", {}), ("Div", "n r", "y", {})], (4, 5), C, opset=18),
        "Div: its input 'r', the root of a mean of squares, is no layer",
    ),
    "several exponents": (
        graph(
            [("Pow", "x n", "q", {}), ("ReduceMean", "q last", "y", {})], (4, 3), C | {"n": number([2, 2, 3])}, opset=18
        ),
        "Pow: several exponents",
    ),
    "a root by a power": (
        graph([SQUARE, MEAN, EPS, ("Pow", "v half", "r", {}), QUOTIENT], (4, 5), C | {"half": number(0.5)}, opset=18),
        "Pow: its input 'v', a mean of squares, is no layer",
    ),
    "1 over the root of numbers": (one("Pow", "x n", (5,), {"n": number(-0.5)}), "Pow: an exponent of -0.5"),
    "a root of numbers": (one("Sqrt", "x", (4,)), "Sqrt: no layer here does that"),
    "1 over numbers": (one("Reciprocal", "x", (4,)), "Reciprocal: no layer here does that"),
    "a sum of sizes over both axes": (
        graph([("Abs", "x", "a", {}), ("ReduceSum", "a both", "y", {})], (4, 5), {"both": ints(1, 2)}, opset=18),
        "ReduceSum: its input 'a', .x., is no layer",
    ),
    "a length over several axes": (one("ReduceL2", "x", (4, 5), axes=[1, 2]), "ReduceL2: no layer here does that"),
    "a length that is dropped": (
        one("ReduceL1", "x", (4, 5), axes=[1], keepdims=0), "ReduceL1: no layer here does that",
    ),
    "a length over samples": (one("ReduceL2", "x", (4, 5), axes=[0]), "ReduceL2: no layer here does that"),
    "a length of flattened images": (
        flat(("ReduceL2", "f", "y0", {"axes": [1]}), W=random(1, 2)), "ReduceL2: no layer here does that",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_layer_is_refused(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


def test_a_gate_of_channels(tmp_path):
    nodes = [("Split", "h", "a s", {"axis": 1}), ("Sigmoid", "s", "t", {}), ("Mul", "a t", "y", {})]
    proto = of_images(*nodes)
    assert compare(proto, tmp_path) <= TOLERANCE
    assert [type(layer).__name__ for layer in layers_of(loaded(proto, tmp_path))] == ["Conv2D", "GLU"]

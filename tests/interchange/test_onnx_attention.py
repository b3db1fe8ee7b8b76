"""Attention written out in single operations, each time otherwise: one layer with values of onnxruntime, or why not."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx_graphs import graph, ints, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, loaded  # noqa: E402

pytestmark = pytest.mark.oracle

T, FEATURES, HEADS, SIZE = 5, 4, 2, 3
LOW = np.tril(np.ones((T, T), bool))
SECOND = np.eye(T, dtype=bool) | LOW.T
SCALE = np.array(SIZE**-0.5, np.float32)
LITTLE, NONE = np.array(-np.inf, np.float32), np.array(0, np.float32)
HEADS_FIRST = {"perm": [0, 2, 1, 3]}


def projections(bias=""):
    for n in "qkv":
        yield ("MatMul", f"x W{n}", f"{n}0" if n in bias else n, {})
        if n in bias:
            yield ("Add", f"{n}0 b{n}", n, {})


def written(scores=(("Mul", "z scale", "s", {}), ("Softmax", "s", "a", {"axis": -1})), *, heads=HEADS, weights="a",
            end=(("MatMul", "o Wo", "y", {}),), before=(), bias="", value=SIZE, opset=17, **constants):  # fmt: skip
    """x Wq and so on, cut into heads; z = q k^T; `scores` make the weights a of it; o are the results side by side."""
    nodes = list(projections(bias))
    if heads:
        nodes += [("Reshape", f"{n} {'split' if n != 'v' else 'parts'}", f"{n}s", {}) for n in "qkv"]
        nodes += [("Transpose", f"{n}s", f"{n}t", HEADS_FIRST) for n in "qkv"]
        nodes += [("Transpose", "kt", "keys", {"perm": [0, 1, 3, 2]})]
        joined = [("Transpose", "r", "rt", HEADS_FIRST), ("Reshape", "rt whole", "o", {})]
    else:
        nodes += [("Identity", "q", "qt", {}), ("Identity", "v", "vt", {})]
        nodes += [("Transpose", "k", "keys", {"perm": [0, 2, 1]})]
        joined = [("Identity", "r", "o", {})]
    q = "qt" if not before else "qr"
    nodes += [
        *before,
        ("MatMul", f"{q} keys", "z", {}),
        *scores,
        ("MatMul", f"{weights} vt", "r", {}),
        *joined,
        *end,
    ]
    n = max(heads, 1)
    given = {
        "Wq": random(FEATURES, n * SIZE),
        "Wk": random(FEATURES, n * SIZE),
        "Wv": random(FEATURES, n * value),
    }
    given |= {"split": ints(0, 0, n, SIZE), "parts": ints(0, 0, n, value), "whole": ints(0, 0, n * value)}
    given |= {
        "Wo": random(n * value, 6),
        "bo": random(6),
        "scale": SCALE,
        "root": 1 / SCALE,
        "low": LOW,
        "high": ~LOW,
    }
    given |= {"little": LITTLE, "none": NONE, "added": np.where(LOW, NONE, LITTLE), "other": SECOND}
    given |= {f"b{n}": random(given[f"W{n}"].shape[1]) for n in "qkv"}
    return graph(nodes, (T, FEATURES), given | constants, opset=opset)


def masked(*steps, scaled=True, weights="a", **more):
    """Scores z or s go through these steps, and become m."""
    first = [("Mul", "z scale", "s", {})] if scaled else []
    return written((*first, *steps, ("Softmax", "m", "a", {"axis": -1})), weights=weights, **more)


SOFTMAX = ("Softmax", "s", "a", {"axis": -1})
WHERE = ("Where", "low s little", "m", {})
LAYER = "MultiHeadAttention"
READ = {
    "scores times a number": (written(), LAYER),
    "scores over a number": (written((("Div", "z root", "s", {}), SOFTMAX)), LAYER),
    "scores scaled twice": (
        written((("Mul", "z root", "s0", {}), ("Div", "s0 root", "s1", {}), ("Mul", "s1 scale", "s", {}), SOFTMAX)),
            LAYER,
    ),
    "scores as they are": (written((("Softmax", "z", "a", {"axis": 3}),)), LAYER),
    "queries scaled": (
        written((("Softmax", "z", "a", {"axis": -1}),), before=[("Div", "qt root", "qr", {})]), LAYER,
    ),
    "the last axis by default": (written((("Mul", "z scale", "s", {}), ("Softmax", "s", "a", {}))), LAYER),
    "one head, with no axis of its own": (written(heads=0), LAYER),
    "values of another size": (written(value=2), LAYER),
    "biases": (written(bias="qkv", end=(("MatMul", "o Wo", "y0", {}), ("Add", "y0 bo", "y", {}))), LAYER),
    "a bias of results alone": (written(end=(("MatMul", "o Wo", "y0", {}), ("Add", "y0 bo", "y", {}))), LAYER),
    "a bias of queries alone": (written(bias="q"), LAYER),
    "a bias of values alone": (written(bias="v"), LAYER),
    "an added mask": (masked(("Add", "s added", "m", {})), LAYER),
    "an added mask, the other way round": (masked(("Add", "added s", "m", {})), LAYER),
    "a mask of what is seen": (masked(WHERE), LAYER),
    "a mask of what is hidden": (masked(("Where", "high little s", "m", {})), LAYER),
    "a mask of three axes": (masked(WHERE, low=LOW[None]), LAYER),
    "two masks, one after the other": (masked(("Where", "low s little", "m0", {}), ("Where", "other m0 little", "m",
        {})), LAYER),
    "two masks that hold together": (masked(("And", "low other", "both", {}), ("Where", "both s little", "m", {})),
        LAYER),
    "heads as they are": (written(end=(("Relu", "r", "y", {}),)), None),
    "heads behind time": (written(end=(("Relu", "rt", "y", {}),)), None),
    "heads side by side": (written(end=(("Relu", "o", "y", {}),)), None),
    "one head as it is": (written(heads=0, end=(("Relu", "o", "y", {}),)), None),
    "a shape that changes nothing": (
        written(end=(("Reshape", "o same", "o1", {}), ("MatMul", "o1 Wo", "y", {})), same=ints(0, 0, -1)), LAYER,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_it_is_the_layer_with_the_same_values(name, tmp_path):
    proto, wanted = READ[name]
    assert compare(proto, tmp_path) <= TOLERANCE
    model = loaded(proto, tmp_path)
    if wanted is not None:
        layers = getattr(model.net, "layers", None) or [layer for _, layer, _ in model.net.nodes]
        assert wanted in [type(one).__name__ for one in layers]


REFUSED = {
    "a mask of numbers": (
        masked(("Add", "s added", "m", {}), added=np.where(LOW, NONE, np.float32(-1e4))),
            "a mask of numbers that are added",
    ),
    "a mask that hides little": (
        masked(WHERE, little=np.array(-1e4, np.float32)), "Where: a constant stands where a layer here takes the",
    ),
    "a mask for each head": (
        masked(WHERE, low=np.stack([LOW, SECOND])[None]),
        r"a mask of shape \(1, 2, 5, 5\), of its own for samples or heads",
    ),
    "weights over another axis": (
        written((("Mul", "z scale", "s", {}), ("Softmax", "s", "a", {"axis": 2}))), "add up to 1 along another axis",
    ),
    "a query that sees nothing": (masked(WHERE, low=np.tril(LOW, -1)),
        "a query that may see no key, and gets a mean"),
    "weights under another mask": (
        written((("Mul", "z scale", "s", {}), SOFTMAX, ("Where", "other a none", "w", {})), weights="w"),
        "weights of attention under another mask than the scores",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_layer_does_is_refused(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


@pytest.mark.parametrize("last", [
    [("IsNaN", "a", "u", {}), ("Where", "u none a", "w", {})],
    [("Where", "low a none", "w", {})],
], ids=["not a number", "masked again"])  # fmt: skip
def test_a_query_that_sees_nothing_may_get_0(last, tmp_path):
    steps = (("Mul", "z scale", "s", {}), WHERE, ("Softmax", "m", "a", {"axis": -1}), *last)
    proto = written(steps, weights="w", low=np.tril(LOW, -1))
    assert compare(proto, tmp_path) <= TOLERANCE


def rotated(*, negated="b", order="c a", cos=None, sin=None, size=4, keys=True):
    """Queries, and keys, of 4 features: x cos + (-second half, first half) sin, as many exporters write it."""
    angle = np.arange(T)[:, None] * 1e4 ** (-np.arange(size // 2) / (size // 2))
    tables = {"cos": np.cos(angle) if cos is None else cos, "sin": np.sin(angle) if sin is None else sin}
    tables = {name: np.tile(a, (1, 2)).astype(np.float32)[None, None] for name, a in tables.items()}
    nodes = list(projections())
    nodes += [("Reshape", f"{n} split", f"{n}s", {}) for n in "qkv"]
    nodes += [("Transpose", f"{n}s", f"{n}t", HEADS_FIRST) for n in "qkv"]
    for n in "qk" if keys else "q":
        first, second = order.split()
        nodes += [("Slice", f"{n}t start half axis", f"{n}a", {}), ("Slice", f"{n}t half end axis", f"{n}b", {}),
                  ("Neg", f"{n}{negated}", f"{n}c", {}), ("Concat", f"{n}{first} {n}{second}", f"{n}h", {"axis": -1}),
                  ("Mul", f"{n}t cos", f"{n}1", {}), ("Mul", f"{n}h sin", f"{n}2", {}),
                  ("Add", f"{n}1 {n}2", f"{n}r", {})]  # fmt: skip
    nodes += [
        ("Transpose", "kr" if keys else "kt", "keys", {"perm": [0, 1, 3, 2]}),
        ("MatMul", "qr keys", "z", {}),
    ]
    nodes += [
        ("Mul", "z scale", "s", {}),
        SOFTMAX,
        ("MatMul", "a vt", "r", {}),
        ("Transpose", "r", "rt", HEADS_FIRST),
    ]
    nodes += [("Reshape", "rt whole", "o", {}), ("MatMul", "o Wo", "y", {})]
    constants = {f"W{n}": random(FEATURES, HEADS * size) for n in "qkv"} | {"Wo": random(HEADS * size, 6)}
    constants |= {"split": ints(0, 0, HEADS, size), "whole": ints(0, 0, HEADS * size), "scale": SCALE}
    constants |= {"start": ints(0), "half": ints(size // 2), "end": ints(size), "axis": ints(3)} | tables
    return graph(nodes, (T, FEATURES), constants)


@pytest.mark.parametrize("settings", [
    {}, {"size": 8}, {"keys": False}, {"negated": "a", "order": "b c"}, {"order": "a c"}, {"cos": np.ones((T, 2))},
    {"sin": np.zeros((T, 2))},
], ids=lambda part: str(part)[:24])  # fmt: skip
def test_rotary_positions_written_out(settings, tmp_path):
    """Whatever is done with the halves of the features."""
    assert compare(rotated(**settings), tmp_path) <= TOLERANCE

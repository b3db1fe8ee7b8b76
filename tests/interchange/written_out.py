"""ONNX graphs of single operations that are one layer here, as PyTorch's exporters write them."""

import numpy as np
from onnx_graphs import graph, ints, positive, random

ROOT, ONE, HALF, TWO, EPS = (np.array(v, np.float32) for v in (2**0.5, 1, 0.5, 2, 1e-5))
BELL = {"root": ROOT, "one": ONE, "half": HALF}
ERF = [("Div", "x root", "d", {}), ("Erf", "d", "e", {}), ("Add", "e one", "s", {})]
TANH = {"third": np.array(3, np.float32), "c": np.array(0.044715, np.float32)}
TANH |= {"k": np.array((2 / np.pi) ** 0.5, np.float32)} | BELL


def gelu(*nodes):
    return graph([*ERF, *nodes], (5,), BELL)


def gelu_by_tanh():
    nodes = [
        ("Pow", "x third", "q", {}),
        ("Mul", "q c", "p", {}),
        ("Add", "x p", "a", {}),
        ("Mul", "a k", "b", {}),
        ("Tanh", "b", "t", {}),
        ("Add", "t one", "s", {}),
        ("Mul", "x half", "h", {}),
        ("Mul", "h s", "y", {}),
    ]
    return graph(nodes, (5,), TANH)


def tanh_taken_twice():
    """What looks like a GELU so far, and goes on otherwise: tanh as it is."""
    nodes = [
        ("Mul", "x k", "b", {}),
        ("Tanh", "b", "t", {}),
        ("Add", "t one", "s", {}),
        ("Mul", "s half", "h", {}),
        ("Sub", "t h", "y", {}),
    ]
    return graph(nodes, (5,), TANH)


def normalized(*root, centred=False):
    """x over the root of its mean of squares, times a gain: `root` makes that root, or 1 over it, of the mean v."""
    first = [("ReduceMean", "x", "m", {"axes": [-1]}), ("Sub", "x m", "d", {})] if centred else []
    x = "d" if centred else "x"
    nodes = [*first, ("Pow", f"{x} two", "q", {}), ("ReduceMean", "q", "w", {"axes": [-1]}),
             ("Add", "w eps", "v", {}), *((kind, i.replace("x", x), o, a) for kind, i, o, a in root),
             ("Mul", "n g", "o", {}), ("Add", "o b", "y", {})]  # fmt: skip
    return graph(nodes, (3, 6), {"two": TWO, "eps": EPS, "one": ONE, "g": positive(6), "b": random(6)})


SQRT = ("Sqrt", "v", "r", {})
DIVIDED = (SQRT, ("Div", "x r", "n", {}))
INVERSE = (SQRT, ("Reciprocal", "r", "i", {}), ("Mul", "x i", "n", {}))
ONE_OVER = (SQRT, ("Div", "one r", "i", {}), ("Mul", "i x", "n", {}))


def attention(way, *, heads=2, shared=2, causal=False, undefined=False):
    """Queries, keys and values of one sequence, 4 features each; `way` brings the keys k to (N, heads, 2, time).

    undefined: weights that are not a number become 0, as PyTorch writes its scaled_dot_product_attention.
    """
    nodes = [(("MatMul", f"x W{n}", n, {})) for n in "qkv"]
    nodes += [("Reshape", f"{n} split{n}", f"{n}s", {}) for n in "qkv"]
    nodes += [("Transpose", f"{n}s", f"{n}t", {"perm": [0, 2, 1, 3]}) for n in "qkv"]
    nodes += [("Mul", "qt root", "qr", {}), *way, ("MatMul", "qr keys", "z", {})]
    z = "z"
    constants = {"root": np.array(2**-0.5, np.float32), "none": np.array(0, np.float32)}
    if causal:
        constants |= {"all": np.full((1, 1, 5, 5), -np.inf, np.float32), "ones": np.ones((5, 5), np.float32)}
        nodes += [("Trilu", "ones", "low", {"upper": 0}), ("Equal", "low none", "upper", {}),
                  ("Where", "upper all none", "mask", {}), ("Add", "z mask", "zm", {})]  # fmt: skip
        z = "zm"
    nodes.append(("Softmax", z, "a", {"axis": -1}))
    if undefined:
        nodes += [("IsNaN", "a", "u", {}), ("Where", "u none a", "w", {})]
    values = "vr" if shared < heads else "vt"
    nodes += [("MatMul", f"{'w' if undefined else 'a'} {values}", "r", {}),
              ("Transpose", "r", "rt", {"perm": [0, 2, 1, 3]}), ("Reshape", "rt whole", "o", {}),
              ("MatMul", "o Wo", "y", {})]  # fmt: skip
    constants |= {"Wq": random(4, 2 * heads), "Wk": random(4, 2 * shared), "Wv": random(4, 2 * shared)}
    constants |= {"splitq": ints(0, 0, heads, 2), "splitk": ints(0, 0, shared, 2)}
    constants |= {"splitv": ints(0, 0, shared, 2), "whole": ints(0, 0, -1), "Wo": random(2 * heads, 4)}
    constants |= {"joined": ints(-1, 5, 2), "apart": ints(-1, heads, 2, 5), "copied": ints(1, 1, 2, 1, 1)}
    constants |= {"beside": ints(-1, heads, 5, 2), "place": ints(2)}
    return graph(nodes, (5, 4), constants)


TURNED = [("Transpose", "kt", "keys", {"perm": [0, 1, 3, 2]})]
JOINED = [
    ("Reshape", "kt joined", "kj", {}),
    ("Transpose", "kj", "ku", {"perm": [0, 2, 1]}),
    ("Reshape", "ku apart", "keys", {}),
]


def copied(n):
    """Each head of keys or values twice."""
    return [
        ("Unsqueeze", f"{n}t place", f"{n}1", {}),
        ("Expand", f"{n}1 copied", f"{n}2", {}),
        ("Reshape", f"{n}2 beside", f"{n}r", {}),
    ]


COPIES = [*copied("k"), *copied("v")]
COPIED = [*COPIES, ("Transpose", "kr", "keys", {"perm": [0, 1, 3, 2]})]
COPIED_AND_JOINED = [
    *COPIES,
    ("Reshape", "kr joined", "kj", {}),
    ("Transpose", "kj", "ku", {"perm": [0, 2, 1]}),
    ("Reshape", "ku apart", "keys", {}),
]


def class_token():
    """A constant, repeated for every sample, before a sequence; then one of its places."""
    nodes = [
        ("Shape", "x", "s", {}),
        ("Gather", "s zero", "n", {"axis": 0}),
        ("Unsqueeze", "n axis", "n1", {}),
        ("Concat", "n1 rest", "size", {"axis": 0}),
        ("Expand", "token size", "t", {}),
        ("Concat", "t x", "both", {"axis": 1}),
        ("Add", "both places", "p", {}),
        ("Gather", "p zero", "first", {"axis": 1}),
        ("MatMul", "first W", "y", {}),
    ]
    constants = {"zero": np.array(0), "axis": ints(0), "rest": ints(1, 4), "token": random(1, 1, 4)}
    return graph(nodes, (3, 4), constants | {"places": random(1, 4, 4), "W": random(4, 2)})


def columns_of_one_product():
    """Queries, keys and values side by side in one product, cut by a Split."""
    nodes = [("MatMul", "x W", "qkv", {}), ("Split", "qkv sizes", "q k v", {"axis": 2})]
    rest = attention(TURNED).graph.node[3:]
    proto = graph([*nodes, ("Identity", "x", "y", {})], (5, 4), {"W": random(4, 12), "sizes": ints(4, 4, 4)})
    other = attention(TURNED)
    del proto.graph.node[-1]
    proto.graph.node.extend(rest)
    proto.graph.initializer.extend(t for t in other.graph.initializer if t.name not in ("Wq", "Wk", "Wv"))
    return proto


def linear_over_joined():
    """Times and samples on one axis for a product, as nn.MultiheadAttention writes its last one."""
    nodes = [
        ("Transpose", "x", "t", {"perm": [1, 0, 2]}),
        ("Shape", "t", "s", {}),
        ("Reshape", "t rows", "r", {}),
        ("Gemm", "r W b", "g", {"transB": 1}),
        ("Gather", "s two", "n", {}),
        ("Concat", "n last", "back", {"axis": 0}),
        ("Reshape", "g back", "u", {}),
        ("Transpose", "u", "y", {"perm": [1, 0, 2]}),
    ]
    constants = {"rows": ints(-1, 4), "two": ints(0, 1), "last": ints(3), "W": random(3, 4), "b": random(3)}
    return graph(nodes, (5, 4), constants)


WRITTEN_OUT = {
    "GELU, x first": (gelu(("Mul", "x s", "m", {}), ("Mul", "m half", "y", {})), "GELU"),
    "GELU, a half first": (gelu(("Mul", "s half", "m", {}), ("Mul", "x m", "y", {})), "GELU"),
    "GELU, half of x": (gelu(("Mul", "x half", "h", {}), ("Mul", "h s", "y", {})), "GELU"),
    "GELU, over two": (
        gelu(("Mul", "x s", "m", {}), ("Div", "m root", "h", {}), ("Div", "h root", "y", {})),
        "GELU",
    ),
    "twice a GELU": (gelu(("Mul", "x s", "y", {})), "GELU Rescale"),
    "GELU by tanh": (gelu_by_tanh(), "GELU"),
    "a tanh by itself": (tanh_taken_twice(), None),
    "LogSigmoid": (graph([("Sigmoid", "x", "s", {}), ("Log", "s", "y", {})], (5,), {}), "LogSigmoid"),
    "Softplus": (
        graph(
            [("Softplus", "x", "s", {}), ("Greater", "x t", "l", {}), ("Where", "l x s", "y", {})],
            (5,),
            {"t": np.array(20, np.float32)},
        ),
        "Softplus",
    ),
    "a cube": (graph([("Pow", "x third", "y", {})], (5,), TANH), "Multiply"),
    "RMSNorm by a quotient": (normalized(*DIVIDED), "RMSNorm Conv1D"),
    "RMSNorm by 1 over the root": (normalized(*ONE_OVER), "RMSNorm Conv1D"),
    "RMSNorm by Reciprocal": (normalized(*INVERSE), "RMSNorm Conv1D"),
    "LayerNorm": (normalized(*DIVIDED, centred=True), "LayerNorm"),
    "attention": (attention(TURNED), "MultiHeadAttention"),
    "attention, causal": (attention(TURNED, causal=True), "MultiHeadAttention"),
    "attention, samples joined with heads": (attention(JOINED, undefined=True), "MultiHeadAttention"),
    "attention, shared heads": (attention(COPIED, heads=4), "MultiHeadAttention"),
    "attention, shared heads joined": (
        attention(COPIED_AND_JOINED, heads=4, causal=True, undefined=True),
        "MultiHeadAttention",
    ),
    "attention of one product": (columns_of_one_product(), "MultiHeadAttention"),
    "a token of a class": (class_token(), None),
    "a product of rows": (linear_over_joined(), None),
    "the last of many": (graph([("Gather", "x i", "y", {"axis": 1})], (5, 4), {"i": np.array(-1)}), None),
    "every other": (graph([("Gather", "x i", "y", {"axis": 1})], (5, 4), {"i": ints(4, 2, 0)}), "Slice"),
}
"""{name: (graph, the layers that it becomes, or None where only the values count)}."""

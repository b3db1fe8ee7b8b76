"""Loops and attention of ONNX, changed a little: what is still a layer gives the same, else a refusal says why."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx import helper, numpy_helper  # noqa: E402
from onnx_graphs import graph, ints, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, loaded  # noqa: E402
from written_out import (  # noqa: E402
    COPIED,
    COPIED_AND_JOINED,
    DIVIDED,
    TURNED,
    TWO,
    attention,
    gelu_by_tanh,
    normalized,
)

import xpnn  # noqa: E402
from xpnn import layers as L  # noqa: E402
from xpnn.errors import CheckpointError, UsageError  # noqa: E402
from xpnn.interchange import load_onnx, save_onnx  # noqa: E402

pytestmark = pytest.mark.oracle
UP = {"perm": [0, 1, 3, 2]}
FIRST_HIDDEN = np.where(np.arange(5)[:, None] == 0, -np.inf, np.zeros((5, 5))).astype(np.float32)


def varied(proto, changes, **constants):
    """The graph with other nodes (kind, inputs, output, attributes) for some, by the first output of those."""
    nodes = []
    for node in proto.graph.node:
        new = changes.get(node.output[0])
        nodes += (
            [node] if new is None else [helper.make_node(k, i.split(" "), [o], **a) for k, i, o, a in new]
        )
    kept = [one for one in proto.graph.initializer if one.name not in constants]
    del proto.graph.node[:], proto.graph.initializer[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(
        [*kept, *(numpy_helper.from_array(a, name) for name, a in constants.items())]
    )
    return proto


def biased(word):
    changes = {word: [("MatMul", f"x W{word}", "p", {}), ("Add", "p bias", word, {})]}
    return varied(attention(TURNED), changes, bias=random(4))


def behind_scores(*nodes, **constants):
    """Nodes from the product z0 of queries and keys to the scores z."""
    return varied(attention(TURNED), {"z": [("MatMul", "qr keys", "z0", {}), *nodes]}, **constants)


def repeated(way=COPIED, changes=None, **constants):
    return varied(attention(way, heads=4), changes or {}, **constants)


SAME = {
    "a bias of the queries": biased("q"),
    "a bias of the values": biased("v"),
    "a bias of the keys, which changes no weight": biased("k"),
    "scores over a number": behind_scores(("Div", "z0 c", "z", {}), c=np.array(3, np.float32)),
    "the mask before the scores": behind_scores(
        ("Add", "low z0", "z", {}), low=np.triu(np.full((5, 5), -1e31, np.float32), 2)
    ),
    "scores where a mask says so": behind_scores(
        ("Where", "seen z0 low", "z", {}), seen=np.tri(5, dtype=bool), low=np.array(-1e31, np.float32)
    ),
    "hidden where a mask says so": behind_scores(
        ("Where", "seen low z0", "z", {}), seen=~np.tri(5, dtype=bool), low=np.array(-1e31, np.float32)
    ),
    "repeated keys times a number": repeated(
        changes={"keys": [("Mul", "root kr", "kd", {}), ("Transpose", "kd", "keys", UP)]}
    ),
}


IN_A_ROW = {
    "z": [("Reshape", "qr row", "qg", {}), ("MatMul", "qg keys", "z", {})],
    "r": [("MatMul", "a vt", "r0", {}), ("Reshape", "r0 heads", "r", {})],
}


def in_a_row(changes=None, **constants):
    """Queries of heads that share keys, side by side in time."""
    given = {"row": ints(0, 2, -1, 0), "heads": ints(0, 4, -1, 0)} | constants
    return varied(attention(TURNED, heads=4), IN_A_ROW | (changes or {}), **given)


SAME["queries of heads that share keys in a row"] = in_a_row()


@pytest.mark.parametrize("name", SAME)
def test_it_is_one_layer_of_attention(name, tmp_path):
    assert compare(SAME[name], tmp_path) <= TOLERANCE
    (layer,) = loaded(SAME[name], tmp_path).net.layers
    assert isinstance(layer, L.MultiHeadAttention)
    assert layer.bias is (name in ("a bias of the queries", "a bias of the values"))


def test_keys_and_values_of_two_sequences_are_projected_before(tmp_path):
    proto = varied(attention(TURNED), {"v": [("Neg", "x", "m", {}), ("MatMul", "m Wv", "v", {})]})
    assert compare(proto, tmp_path) <= TOLERANCE
    kinds = [type(layer) for _, layer, _ in loaded(proto, tmp_path).net.nodes]
    assert kinds.count(L.MultiHeadAttention) == 1
    assert kinds.count(L.Dense) == 4


PART = {"begin": ints(0), "end": ints(4), "axis": ints(2)}
OTHERWISE = {
    "queries that are a part of no product": varied(
        attention(TURNED),
        {"q": [("MatMul", "x W6", "p", {}), ("Tanh", "p", "pt", {}), ("Slice", "pt begin end axis", "q", {})]},
        W6=random(4, 6), **PART,
    ),
    "queries backwards in time": varied(
        attention(TURNED), {"q": [("MatMul", "x Wq", "p", {}), ("Slice", "p begin end axis step", "q", {})]},
        begin=ints(4), end=ints(-6), axis=ints(1), step=ints(-1),
    ),
    "results that are flattened": varied(attention(TURNED), {}, whole=ints(0, -1), Wo=random(20, 3)),
    "results that are bent": varied(
        attention(TURNED), {"o": [("Reshape", "rt whole", "p", {}), ("Tanh", "p", "o", {})]}
    ),
    "a product that is not square": varied(attention(TURNED), {}, Wo=random(4, 3)),
    "one head of keys for two": attention(COPIED, heads=2, shared=1),
    "one head of keys for three": varied(attention(COPIED, heads=3, shared=1), {}, copied=ints(1, 1, 3, 1, 1)),
    "a square that is bent": graph([("Pow", "x two", "q", {}), ("Tanh", "q", "y", {})], (5,), {"two": TWO}),
    "a bell that is not times x": varied(gelu_by_tanh(), {"y": [("Mul", "s half", "y", {})]}),
    "a bell about 3": varied(gelu_by_tanh(), {"s": [("Add", "t third", "s", {})], "y": [("Mul", "s half", "y", {})]}),
    "a bell of no cube": varied(gelu_by_tanh(), {}, third=np.array(2, np.float32)),
    "a bell of another factor": varied(gelu_by_tanh(), {}, c=np.array(0.05, np.float32)),
    "a bell of another width": varied(gelu_by_tanh(), {}, k=np.array(0.7, np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_is_not_quite_the_pattern_has_the_same_values(name, tmp_path):
    assert compare(OTHERWISE[name], tmp_path) <= TOLERANCE
    kinds = [type(layer) for layer in getattr(loaded(OTHERWISE[name], tmp_path).net, "layers", ())]
    assert L.GELU not in kinds


VALUES_OF_ONE_HEAD = {"Wv": random(4, 2), "splitv": ints(0, 0, 1, 2), "four": ints(1, 1, 4, 1, 1)}
REFUSED = {
    "a mask of numbers": (behind_scores(("Add", "z0 n", "z", {}), n=random(5, 5)), "Add: a mask of numbers that"),
    "a mask for each head": (
        behind_scores(("Add", "z0 n", "z", {}), n=np.stack([FIRST_HIDDEN.T, np.zeros((5, 5), np.float32)])[None]),
        r"Add: a mask of shape \(1, 2, 5, 5\), of its own for samples or heads",
    ),
    "a query that sees nothing": (
        behind_scores(("Add", "z0 n", "z", {}), n=FIRST_HIDDEN), "MatMul: a query that may see no key, and gets a mean",
    ),
    "a mask for queries in a row": (
        in_a_row(
            {"a": [("Add", "z n", "zn", {}), ("Softmax", "zn", "a", {"axis": -1})]}, n=np.zeros((10, 5), np.float32)
        ),
        "Add: a mask for heads that share keys, all in a row",
    ),
    "results in a row": (
        in_a_row({"r": [("MatMul", "a vt", "r0", {}), ("Neg", "r0", "r", {})]}),
        "Neg: results of heads that share keys, all in a row",
    ),
    "a norm of no eps": (
        varied(normalized(*DIVIDED), {}, eps=np.array(0, np.float32)),
        "Div: its input .*, the root of a mean of squares",
    ),
    "a Softmax over the queries": (
        varied(attention(TURNED), {"a": [("Softmax", "z", "a", {"axis": 2})]}),
        "Softmax: weights of attention that add up to 1 along another axis than the keys",
    ),
    "weights under another mask": (
        varied(
            attention(TURNED), {"a": [("Softmax", "z", "b", {"axis": -1}), ("Where", "seen b none", "a", {})]},
            seen=np.tri(5, dtype=bool),
        ),
        "Where: weights of attention under another mask than the scores",
    ),
    "copies that are not put beside each other": (
        repeated(beside=ints(-1, 2, 10, 2)), "Reshape: copies of heads that are not put beside each other",
    ),
    "repeated heads cut in time": (
        repeated(COPIED_AND_JOINED, joined=ints(-1, 10, 2)), "Reshape: repeated heads of shape",
    ),
    "values that no heads share": (
        repeated(
            changes={"r": [("MatMul", "a vt", "r", {})], "v1": [], "v2": [], "vr": []},
            Wv=random(4, 8), splitv=ints(0, 0, 4, 2),
        ),
        "MatMul: weights of heads that share keys, in another order than the values",
    ),
    "values that more heads share": (
        repeated(changes={"v2": [("Expand", "v1 four", "v2", {})]}, **VALUES_OF_ONE_HEAD),
        "MatMul: values of heads that are shared otherwise than the keys",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_which_node_and_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


@pytest.fixture(scope="module")
def loops(tmp_path_factory):
    """Files of a masked layer each."""
    folder, files = tmp_path_factory.mktemp("loops"), {}
    for kind in (L.LSTM, L.GRU):
        nodes = (("y", kind(3, masked=True), ("x", "real")),)
        path = folder / f"{kind.__name__}.onnx"
        save_onnx(
            xpnn.Model(L.Graph(("x", "real"), nodes, "y"), ((4, 2), (4,)), seed=0), path, probabilities=False
        )
        files[kind.__name__] = path.read_bytes()
    return files


def node_of(nodes, kind):
    return next(node for node in nodes if node.op_type == kind)


def body_of(proto):
    return setting(node_of(proto.graph.node, "Scan"), "body").g


def setting(node, name):
    return next(one for one in node.attribute if one.name == name)


def one_way_and_the_other(proto):
    setting(node_of(proto.graph.node, "Scan"), "scan_input_directions").ints[:] = [1, 0]


def written_backwards(proto):
    setting(node_of(proto.graph.node, "Scan"), "scan_output_directions").ints[:] = [1]


def along_another_axis(proto):
    node_of(proto.graph.node, "Scan").attribute.append(helper.make_attribute("scan_output_axes", [1]))


def along_another_axis_of_inputs(proto):
    node_of(proto.graph.node, "Scan").attribute.append(helper.make_attribute("scan_input_axes", [0, 1]))


def one_input(proto):
    setting(node_of(proto.graph.node, "Scan"), "num_scan_inputs").i = 1


def over_other_gates(proto):
    loop = node_of(proto.graph.node, "Scan")
    place = list(proto.graph.node).index(loop)
    proto.graph.node.insert(place, helper.make_node("Tanh", [loop.input[-2]], ["bent"]))
    node_of(proto.graph.node, "Scan").input[-2] = "bent"


def split_elsewhere(proto):
    setting(node_of(body_of(proto).node, "Split"), "axis").i = 1


def from_two(proto):
    """(2 - z) n + z h."""
    name = node_of(body_of(proto).node, "Sub").input[0]
    one = next(one for one in proto.graph.initializer if one.name == name)
    one.CopyFrom(numpy_helper.from_array(np.float32(2), name))


def the_other_way_round(proto):
    inputs = node_of(body_of(proto).node, "Sub").input
    inputs[0], inputs[1] = inputs[1], inputs[0]


def states_that_change_places(proto):
    outputs = body_of(proto).output
    one, other = outputs[0].name, outputs[1].name
    outputs[0].name, outputs[1].name = other, one


def without_bias(proto):
    """Of the products, which the loop adds its own to."""
    name = node_of(proto.graph.node, "Scan").input[-2]
    node = next(one for one in proto.graph.node if name in one.output)
    assert node.op_type == "Add"
    node.op_type = "Identity"
    del node.input[1:]


def states_of_another_width(proto):
    names = {name for node in body_of(proto).node if node.op_type == "MatMul" for name in node.input}
    one = next(one for one in proto.graph.initializer if one.name in names)
    one.CopyFrom(numpy_helper.from_array(random(3, 15), one.name))


NO_STEP = "Scan: a loop whose body is no step of a layer here"
LOOPS = [
    ("LSTM", one_input, "Scan: a loop over other than the inputs of a recurrent layer and a mask"),
    ("LSTM", one_way_and_the_other, "Scan: a loop that reads in one direction and writes in the other"),
    ("LSTM", written_backwards, "Scan: a loop that reads in one direction and writes in the other"),
    ("GRU", along_another_axis, "Scan: a loop that reads .* or along another axis"),
    ("GRU", along_another_axis_of_inputs, "Scan: a loop that reads .* or along another axis"),
    ("LSTM", over_other_gates, "Scan: a loop over something else than products with a matrix"),
    ("GRU", split_elsewhere, NO_STEP),
    ("GRU", from_two, NO_STEP),
    ("GRU", the_other_way_round, NO_STEP),
    ("LSTM", states_that_change_places, NO_STEP),
    ("GRU", without_bias, "Scan: one of its two biases alone"),
    ("GRU", states_of_another_width, r"Scan: states of 3 features times an array of shape \(3, 15\)"),
]


@pytest.mark.parametrize(
    ("kind", "change", "message"), LOOPS, ids=[change.__name__ for _, change, _ in LOOPS]
)
def test_a_loop_that_is_no_layer(kind, change, message, loops, tmp_path):
    proto = onnx.load_from_string(loops[kind])
    change(proto)
    with pytest.raises(CheckpointError, match=message):
        loaded(proto, tmp_path)


@pytest.mark.parametrize("kind", [L.SimpleRNN, L.LSTM, L.GRU])
def test_a_loop_without_biases_comes_back(kind, tmp_path):
    layer = kind(3, masked=True, bias=False)
    model = xpnn.Model(L.Graph(("x", "real"), (("y", layer, ("x", "real")),), "y"), ((4, 2), (4,)), seed=0)
    save_onnx(model, tmp_path / "m.onnx", probabilities=False)
    again = load_onnx(tmp_path / "m.onnx")
    assert [one for _, one, _ in again.net.nodes] == [layer]
    x = random(3, 4, 2), np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], np.float32)
    assert difference(again.forward(x), model.forward(x)) <= TOLERANCE


def test_one_scale_of_pixels_is_for_one_input(loops, tmp_path):
    (tmp_path / "m.onnx").write_bytes(loops["GRU"])
    with pytest.raises(UsageError, match="mean and std, of a network of several inputs"):
        load_onnx(tmp_path / "m.onnx", mean=0.5, std=0.5)

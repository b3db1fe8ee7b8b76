"""What exporters write out in single operations is read as one layer, and gives what onnxruntime gives."""

import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from onnx_graphs import graph, ints, random  # noqa: E402
from onnx_runs import TOLERANCE, assert_refused, compare, difference, loaded  # noqa: E402
from written_out import BELL, COPIED, ERF, JOINED, WRITTEN_OUT, attention  # noqa: E402

from xpnn.interchange import (  # noqa: E402
    load_onnx,
    onnx_constants,
    onnx_gelu,
    onnx_lengths,
    onnx_projections,
    onnx_tensors,
)

pytestmark = pytest.mark.oracle


def kinds(model):
    layers = getattr(model.net, "layers", None) or [layer for _, layer, _ in model.net.nodes]
    return " ".join(type(layer).__name__ for layer in layers)


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_it_is_one_layer_with_the_same_values(name, tmp_path):
    proto, wanted = WRITTEN_OUT[name]
    assert compare(proto, tmp_path) <= TOLERANCE
    if wanted is not None:
        assert kinds(loaded(proto, tmp_path)) == wanted


def changed(module, name, change):
    """A plant: that function of the module gives something else."""

    def plant(monkeypatch):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args: change(real(*args)))

    return plant


PLANTS = {
    "GELU, x first": lambda m: m.setattr(onnx_gelu, "times_x", lambda b, y, x: 0.5),
    "LayerNorm": lambda m: m.setattr(onnx_lengths, "centred", lambda b, x: None),
    "attention of one product": changed(onnx_projections, "columns_of", lambda columns: columns[::-1]),
    "attention, causal": lambda m: m.setitem(
        onnx_constants.RULES, "Trilu", lambda xs, a: onnx_constants.triangle(xs, a).T
    ),
    "a token of a class": changed(onnx_tensors, "of_one_sample", lambda c: 1.01 * c),
    "the last of many": lambda m: m.setattr(
        np, "ravel", lambda a: [0] if np.ndim(a) == 0 else np.reshape(a, -1)
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_noticed(name, monkeypatch, tmp_path):
    proto, wanted = WRITTEN_OUT[name]
    PLANTS[name](monkeypatch)
    assert compare(proto, tmp_path) > TOLERANCE or kinds(loaded(proto, tmp_path)) != wanted


REFUSED = {
    "an error function alone": (
        graph([*ERF[:2], ("Neg", "e", "y", {})], (5,), BELL),
        "Neg: the error function is no layer",
    ),
    "another scale within it": (
        graph([("Erf", "x", "y", {})], (5,), {}),
        "Erf: no layer here does that",
    ),
    "places here and there": (
        graph([("Gather", "x i", "y", {"axis": 1})], (5, 4), {"i": ints(0, 1, 4)}),
        "Gather: places that do not lie evenly apart",
    ),
    "a place that there is not": (
        graph([("Gather", "x i", "y", {"axis": 1})], (5, 4), {"i": ints(5)}),
        r"Gather: places \[5\] of an axis of 5",
    ),
    "one of the samples": (
        graph([("Gather", "x i", "y", {"axis": 0})], (5, 4), {"i": np.array(0)}),
        "Gather: axis 0 is that of the samples",
    ),
    "samples joined and left so": (
        graph([("Reshape", "x s", "r", {}), ("Softmax", "r", "y", {"axis": 0})], (5, 4), {"s": ints(-1, 4)}),
        "Softmax: its input 'r', samples joined with another axis, is no layer here by itself",
    ),
    "a constant among values": (
        graph([("Neg", "x", "n", {}), ("Concat", "x c n", "y", {"axis": 1})], (5, 4), {"c": random(1, 1, 4)}),
        "Concat: a constant stands between values",
    ),
    "a root of numbers": (
        graph([("Pow", "x h", "y", {})], (5,), {"h": np.array(0.5, np.float32)}),
        "Pow: an exponent of 0.5",
    ),
    "a choice": (
        graph(
            [("Greater", "x t", "l", {}), ("Neg", "x", "n", {}), ("Where", "l x n", "y", {})],
            (5,),
            {"t": np.array(0.1)},
        ),
        "Where: one value where another says so",
    ),
    "a logarithm of numbers": (graph([("Log", "x", "y", {})], (5,), {}), "Log: a logarithm of anything but"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_which_node_and_why(name, tmp_path):
    assert_refused(*REFUSED[name], tmp_path)


def test_shared_heads_have_one_head_of_keys(tmp_path):
    (layer,) = loaded(attention(COPIED, heads=4), tmp_path).net.layers
    assert (layer.heads, layer.kv_heads, layer.size) == (4, 2, 2)


def test_a_causal_mask_is_a_setting(tmp_path):
    (layer,) = loaded(attention(JOINED, causal=True), tmp_path).net.layers
    assert layer.causal
    assert layer.attention_mask is None


def exported(module, x, folder):
    """PyTorch's own export of the module, read here, and the difference of its answers."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(), (x,), str(folder / "m.onnx"), dynamo=False, opset_version=17,
            input_names=["x"], dynamic_axes={"x": {0: "N"}},
        )  # fmt: skip
    model = load_onnx(folder / "m.onnx")
    given = x.numpy()
    if given.shape[1:] != tuple(model.input_shape):
        given = np.ascontiguousarray(np.moveaxis(given, 1, -1))
    with torch.no_grad():
        return model, difference(model.forward(given), module(x).numpy())


@pytest.mark.parametrize(
    "name", ["encoder", "decoder", "recurrent", "pictures in patches", "squeeze and excite"]
)
def test_networks_that_pytorch_writes(name, tmp_path):
    torch = pytest.importorskip("torch")
    from torch_exports import NETWORKS

    torch.manual_seed(0)
    module, x, wanted = NETWORKS[name]()
    for p in module.parameters():
        torch.nn.init.normal_(p, std=0.4)
    model, found = exported(module, x, tmp_path)
    assert found <= TOLERANCE
    assert wanted <= set(kinds(model).split())

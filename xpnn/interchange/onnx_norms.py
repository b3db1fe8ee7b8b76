"""ONNX's normalizations of single samples as layers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Refusal, axis_of, chained, channels_last, identity_order


def instance_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Each channel of each sample by itself."""
    x = b.value(inputs[0])
    x = b.wants(x, channels_last(x.rank))
    found = {"gain": b.constant(inputs[1], "the gain"), "bias": b.constant(inputs[2], "the bias")}
    b.put(outputs[0], L.InstanceNorm(a.get("epsilon", 1e-5)), x, x.shape, x.layout, found)


def group_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """A gain for each group, as before opset 21, is repeated for its channels."""
    x, groups = b.value(inputs[0]), int(a["num_groups"])
    x = b.wants(x, channels_last(x.rank))
    gain, bias = (b.constant(inputs[i], word).reshape(-1) for i, word in ((1, "the gain"), (2, "the bias")))
    c = x.shape[1]
    if gain.size != c:
        gain, bias = np.repeat(gain, c // max(1, gain.size)), np.repeat(bias, c // max(1, bias.size))
    layer = L.GroupNorm(groups, a.get("epsilon", 1e-5))
    b.put(outputs[0], layer, x, x.shape, x.layout, {"gain": gain, "bias": bias})


def layer_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """LayerNormalization and RMSNormalization over the axes from `axis` on."""
    x = b.value(inputs[0])
    axis = axis_of(a.get("axis", -1), x.rank)
    if axis == 0:
        raise Refusal("axis 0 is that of the samples")
    if len(outputs) > 1 and any(outputs[1:]):
        raise Refusal("means or deviations as outputs")
    over, eps = x.shape[axis:], a.get("epsilon", 1e-5)
    size = math.prod(over)
    x = b.wants(x, identity_order(x.rank))
    found = {"gain": np.broadcast_to(b.constant(inputs[1], "the gain"), over).reshape(-1)}
    layer: L.Layer = L.RMSNorm(eps)
    if a["kind"] == "LayerNormalization":
        bias = b.optional(inputs, 2, "the bias")
        layer = L.LayerNorm(eps, bias is not None)
        if bias is not None:
            found["bias"] = np.broadcast_to(bias, over).reshape(-1)
    if axis != x.rank - 1:
        row = L.Reshape((*x.shape[1:axis], size))
        layer, found = chained(row, layer, L.Reshape(x.shape[1:])), {f"1.{k}": v for k, v in found.items()}
    b.put(outputs[0], layer, x, x.shape, x.layout, found)


RULES: dict[str, Rule] = {
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": layer_norm,
}

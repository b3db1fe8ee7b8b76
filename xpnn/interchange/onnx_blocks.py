"""ONNX's DepthToSpace and SpaceToDepth: blocks of pixels become channels, and back."""

from collections.abc import Sequence
from typing import Any

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Refusal, chained, channels_last


def depth_to_space(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """(H, W, s s C) to (H s, W s, C); mode DCR has the blocks before the channels, CRD behind them."""
    x, s = b.value(inputs[0]), int(a["blocksize"])
    if x.rank != 4 or s < 1 or x.shape[1] % (s * s):
        raise Refusal(f"blocks of {s} pixels of samples of shape {x.shape[1:]}")
    x = b.wants(x, channels_last(4))
    n, c, h, w = x.shape
    c //= s * s
    inner, order = (
        ((s, s, c), (1, 3, 2, 4, 5)) if a.get("mode", "DCR") == "DCR" else ((c, s, s), (1, 4, 2, 5, 3))
    )
    moved = L.Reshape((h, w, *inner)), L.Permute(order), L.Reshape((h * s, w * s, c))
    b.put(outputs[0], chained(*moved), x, (n, c, h * s, w * s), x.layout)


def space_to_depth(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """(H s, W s, C) to (H, W, s s C)."""
    x, s = b.value(inputs[0]), int(a["blocksize"])
    if x.rank != 4 or s < 1 or x.shape[2] % s or x.shape[3] % s:
        raise Refusal(f"blocks of {s} pixels of samples of shape {x.shape[1:]}")
    x = b.wants(x, channels_last(4))
    n, c, h, w = x.shape[0], x.shape[1], x.shape[2] // s, x.shape[3] // s
    order = (1, 3, 2, 4, 5) if a.get("mode", "DCR") == "DCR" else (1, 3, 5, 2, 4)
    moved = L.Reshape((h, s, w, s, c)), L.Permute(order), L.Reshape((h, w, s * s * c))
    b.put(outputs[0], chained(*moved), x, (n, s * s * c, h, w), x.layout)


RULES: dict[str, Rule] = {"DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth}

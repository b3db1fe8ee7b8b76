"""Keras's arrays of one layer from ours and back. Layouts agree: channels last, kernels (height, width, in, out).

Source: the weights' shapes and orders in Keras 3's documentation of its layers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange.leaves import Leaf
from xpnn.interchange.torch_tensors import bias_for
from xpnn.layers import GRU, Bidirectional

Host = np.ndarray[Any, Any]
Arrays = list[Host]

KINDS = {
    "dense": "dense",
    "conv1d": "convolution of Conv1D",
    "conv2d": "convolution of Conv2D",
    "conv3d": "convolution of Conv3D",
    "depthwise_conv1d": "convolution of Conv1D",
    "depthwise_conv2d": "convolution of Conv2D",
    "conv1d_transpose": "transposed convolution of ConvTranspose1D",
    "conv2d_transpose": "transposed convolution of ConvTranspose2D",
    "conv3d_transpose": "transposed convolution of ConvTranspose3D",
    "batch_normalization": "batch norm",
    "layer_normalization": "norm of LayerNorm",
    "group_normalization": "norm of GroupNorm/InstanceNorm",
    "rms_normalization": "vector of RMSNorm",
    "p_re_lu": "vector of PReLU",
    "embedding": "table",
    "lstm": "recurrent of LSTM",
    "gru": "recurrent of GRU",
    "simple_rnn": "recurrent of SimpleRNN",
    "bidirectional": "recurrent of Bidirectional",
    "multi_head_attention": "attention",
    "grouped_query_attention": "attention",
}
"""Keras's classes in snake case, and the kind of their weights."""


def split_separable(name: str, arrays: Arrays) -> list[tuple[str, str, dict[str, Any]]]:
    """A separable convolution is two of ours: one for each channel, and one of a single pixel."""
    depth, point, *bias = arrays
    kind = f"convolution of Conv{depth.ndim - 2}D"
    return [
        (kind, f"{name} depthwise", {"arrays": [depth], "depthwise": True}),
        (kind, f"{name} pointwise", {"arrays": [point, *bias]}),
    ]


def ours(leaf: Leaf, t: dict[str, Any]) -> dict[str, Host]:
    """Our parameters of a leaf out of Keras's arrays."""
    arrays: Arrays = t["arrays"]
    kind = leaf.kind
    if kind in ("dense", "convolution", "transposed convolution"):
        W = arrays[0]
        if t.get("depthwise"):
            W = W.reshape(*W.shape[:-2], 1, -1)
        if kind != "dense":
            return {"W": W} | bias_for(leaf, arrays[1] if len(arrays) > 1 else None, W)
        outputs = leaf.layer.units if kind == "dense" else leaf.layer.filters  # type: ignore[attr-defined]
        return {"W": W, "b": arrays[1] if len(arrays) > 1 else np.zeros(outputs, W.dtype)}
    if kind == "batch norm":
        return neutral(leaf, arrays[-1]) | dict(zip(t["present"], arrays, strict=True))
    if kind == "norm":
        return neutral(leaf, arrays[0]) | dict(zip(t["present"], arrays, strict=True))
    if kind == "vector":
        name = "slope" if type(leaf.layer).__name__ == "PReLU" else "gain"
        return {name: arrays[0].reshape(-1)}
    if kind == "table":
        return {"W": arrays[0]}
    if kind == "attention":
        return attention(leaf.layer, arrays)
    if isinstance(leaf.layer, Bidirectional):
        half = len(arrays) // 2
        both = arrays[:half], arrays[half:]
        return {
            f"{i}.{k}": v for i, part in enumerate(both) for k, v in direction(leaf.layer.layer, part).items()
        }
    return direction(leaf.layer, arrays)


def direction(layer: Any, arrays: Arrays) -> dict[str, Host]:
    """One direction. A GRU's gates stand z, r there and r, z here; both its biases become one and the candidate's."""
    W, U, *bias = arrays
    if not layer.bias and not bias:
        n = layer.units if isinstance(layer, GRU) else 0
        return {"W": swapped(W, n), "U": swapped(U, n)} if n else {"W": W, "U": U}
    if not isinstance(layer, GRU):
        return {"W": W, "U": U, "b": bias[0] if bias else np.zeros(W.shape[-1], W.dtype)}
    n = layer.units
    b = bias[0] if bias else np.zeros((2, 3 * n), W.dtype)
    if b.ndim == 1:
        raise UsageError(
            "a GRU with reset_after=False has no counterpart here",
            why="it resets the state before the product, xpnn's GRU after it, as PyTorch and cuDNN do",
            fix="train it with reset_after=True, Keras's default",
        )
    both = swapped(b, n)
    return {
        "W": swapped(W, n),
        "U": swapped(U, n),
        "b": np.concatenate([both[0, : 2 * n] + both[1, : 2 * n], both[0, 2 * n :]]),
        "c": both[1, 2 * n :],
    }


def swapped(a: Host, n: int) -> Host:
    """The first two gates of three in each other's place."""
    return np.concatenate([a[..., n : 2 * n], a[..., :n], a[..., 2 * n :]], axis=-1)


def attention(layer: Any, arrays: Arrays) -> dict[str, Host]:
    """Heads and their sizes as one axis. The keys' bias is left out: softmax does not see it."""
    if len(arrays) == 4 and not layer.bias:
        each = {f"W{k}": W.reshape(W.shape[0], -1) for k, W in zip("qkv", arrays[:3], strict=True)}
        return each | {"Wo": arrays[3].reshape(-1, arrays[3].shape[-1])}
    if len(arrays) == 4:
        arrays = [
            a for W in arrays for a in (W, np.zeros(W.shape[1:] if W is not arrays[3] else W.shape[2:]))
        ]
    Wq, bq, Wk, _, Wv, bv, Wo, bo = arrays
    flat = {f"W{k}": W.reshape(W.shape[0], -1) for k, W in (("q", Wq), ("k", Wk), ("v", Wv))}
    Wo = Wo.reshape(-1, Wo.shape[-1])
    return flat | {"Wo": Wo, "bq": bq.reshape(-1), "bv": bv.reshape(-1), "bo": bo}


def theirs(leaf: Leaf, p: dict[str, Host], t: dict[str, Any]) -> Arrays:
    """Keras's arrays of a leaf out of ours, shaped as those in t."""
    kind, old = leaf.kind, t["arrays"]
    if kind in ("dense", "convolution", "transposed convolution"):
        made = [p["W"], p.get("b", np.zeros(old[-1].shape, p["W"].dtype))][: len(old)]
    elif kind == "batch norm":
        made = placed(leaf, p, t["present"])
    elif kind == "attention":
        made = [p[f"W{name}"] for name in "qkvo"]
        if len(old) == 8:
            biases = [
                p.get(f"b{name}", np.zeros(W.shape[1], W.dtype)) for name, W in zip("qkvo", made, strict=True)
            ]
            made = [a for pair in zip(made, biases, strict=True) for a in pair]
    elif isinstance(leaf.layer, Bidirectional):
        both = [{k[2:]: v for k, v in p.items() if k.startswith(f"{i}.")} for i in (0, 1)]
        made = [a for part in both for a in direction_back(leaf.layer.layer, part)]
    elif kind == "recurrent":
        made = direction_back(leaf.layer, p)
    elif kind == "norm":
        made = placed(leaf, p, t["present"])
    else:
        made = list(p.values())
    return [a.reshape(b.shape) for a, b in zip(made, old, strict=True)]


def neutral(leaf: Leaf, one: Host) -> dict[str, Host]:
    """The gain, and the bias where the layer here has one, that change nothing."""
    bias = {"bias": np.zeros_like(one)} if getattr(leaf.layer, "bias", True) else {}
    return {"gain": np.ones_like(one)} | bias


def placed(leaf: Leaf, p: dict[str, Host], present: Sequence[str]) -> Arrays:
    """The tensors that have a place. Raises UsageError where another would be lost."""
    full = {"bias": np.zeros_like(p["gain"])} | p
    for key, value in (("gain", 1.0), ("bias", 0.0)):
        if key not in present and np.any(full[key] != value):
            raise UsageError(
                f"{leaf.name} has a {key}, their layer has none",
                why=f"the {key} is not {value:.0f} everywhere",
                fix=f"give their layer {'scale=True' if key == 'gain' else 'center=True'}",
            )
    return [full[key] for key in present]


def direction_back(layer: Any, p: dict[str, Host]) -> Arrays:
    """One direction; a GRU's second bias is 0 but for the candidate's."""
    if not isinstance(layer, GRU):
        return list(p.values())
    n = layer.units
    if not layer.bias:
        return [swapped(p["W"], n), swapped(p["U"], n)]
    hidden = np.concatenate([np.zeros(2 * n, p["c"].dtype), p["c"]])
    b = np.stack([swapped(p["b"], n), hidden])
    return [swapped(p["W"], n), swapped(p["U"], n), b]

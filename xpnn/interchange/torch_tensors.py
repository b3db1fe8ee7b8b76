"""PyTorch's tensors of one layer from ours and back, and how a state_dict falls into layers.

Source: the parameters' shapes and orders in PyTorch's documentation of `torch.nn`.
"""

from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange.leaves import Leaf
from xpnn.layers import GRU, Bidirectional, LayerNorm, MultiHeadAttention

Host = np.ndarray[Any, Any]
Tensors = dict[str, Host]
Group = tuple[str, str, Tensors]
"""(kind, prefix of the names, tensors by the rest of their names)."""

BATCH_NORM = {"gain": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


def groups(state: dict[str, Host]) -> list[Group]:
    """The layers in a state_dict, in its order; a recurrent layer is one for each level."""
    by_prefix: dict[str, Tensors] = {}
    for key, value in state.items():
        prefix, _, name = key.rpartition(".")
        by_prefix.setdefault(prefix, {})[name] = value
    found: list[Group] = []
    taken: set[str] = set()
    apart = {prefix: four for prefix in by_prefix if (four := projections(prefix, by_prefix)) is not None}
    for prefix, t in by_prefix.items():
        if prefix in taken:
            continue
        if prefix in apart:
            one = apart[prefix]
            taken |= set(one)
            found.append(("attention", prefix.removesuffix("q_proj").rstrip("."), together(by_prefix, one)))
            continue
        if "in_proj_weight" in t or "q_proj_weight" in t:
            out = f"{prefix}.out_proj" if prefix else "out_proj"
            taken.add(out)
            more = {f"out_proj.{name}": value for name, value in by_prefix.get(out, {}).items()}
            found.append(("attention", prefix, t | more))
        elif any(name.startswith("weight_ih_l") for name in t):
            levels = len({name.removesuffix("_reverse") for name in t if name.startswith("weight_ih_l")})
            for level in range(levels):
                mine = {n: v for n, v in t.items() if n.removesuffix("_reverse").endswith(f"_l{level}")}
                found.append(("recurrent", prefix if levels == 1 else f"{prefix} level {level}", mine))
        else:
            found += plain(prefix, t)
    return found


def projections(prefix: str, by_prefix: dict[str, Tensors]) -> tuple[str, ...] | None:
    """The names of q_proj, k_proj, v_proj and o_proj or out_proj, where attention is made of Linear modules."""
    base = prefix.removesuffix("q_proj")
    out = next((f"{base}{word}" for word in ("o_proj", "out_proj") if f"{base}{word}" in by_prefix), "")
    names = (prefix, f"{base}k_proj", f"{base}v_proj", out)
    linear = all(name in by_prefix and "weight" in by_prefix[name] for name in names)
    return names if base != prefix and linear else None


def together(by_prefix: dict[str, Tensors], names: tuple[str, ...]) -> Tensors:
    """Their tensors, named as those of nn.MultiheadAttention."""
    *three, out = (by_prefix[name] for name in names)
    found = {f"{word}_proj_weight": t["weight"] for word, t in zip("qkv", three, strict=True)}
    if any("bias" in t for t in three):
        none = [np.zeros(len(t["weight"]), t["weight"].dtype) for t in three]
        found["in_proj_bias"] = np.concatenate([t.get("bias", b) for t, b in zip(three, none, strict=True)])
    return found | {f"out_proj.{name}": a for name, a in out.items()}


def taken_apart(made: Tensors, base: str, old: dict[str, Host], widths: tuple[int, int, int]) -> Tensors:
    """The other way: {name in `old`: tensor} of four Linear modules."""
    out = "o_proj" if f"{base}o_proj.weight" in old else "out_proj"
    if "in_proj_weight" in made:
        weights = parts_of(made["in_proj_weight"], widths)
    else:
        weights = [made[f"{word}_proj_weight"] for word in "qkv"]
    found = {f"{base}{word}_proj.weight": a for word, a in zip("qkv", weights, strict=True)}
    if "in_proj_bias" in made:
        for word, a in zip("qkv", parts_of(made["in_proj_bias"], widths), strict=True):
            found[f"{base}{word}_proj.bias"] = a
    return found | {
        f"{base}{out}.{k.removeprefix('out_proj.')}": a for k, a in made.items() if k.startswith("out_proj.")
    }


def plain(prefix: str, t: Tensors) -> list[Group]:
    """A layer without layers inside; single tensors of a module's own are positions."""
    if "running_var" in t:
        return [("batch norm", prefix, {k: v for k, v in t.items() if k != "num_batches_tracked"})]
    if "weight" not in t:
        return [("positions", f"{prefix}.{name}".lstrip("."), {"P": value}) for name, value in t.items()]
    rank, bias = t["weight"].ndim, "bias" in t
    kind = {
        1: "norm" if bias else "vector",
        2: "dense" if bias else "matrix",
        3: "kernel",
        4: "kernel",
        5: "kernel",
    }.get(rank, f"{rank}-dimensional")
    return [(kind, prefix, t)]


def ours(leaf: Leaf, t: Tensors) -> Tensors:
    """Our parameters of a leaf out of PyTorch's."""
    kind = leaf.kind
    if kind == "dense":
        W = t["weight"].T
        b = t.get("bias", np.zeros(W.shape[1], W.dtype))
        W = W if leaf.inputs is None or len(W) != leaf.inputs.size else W[leaf.inputs]
        if leaf.outputs is not None and leaf.outputs.size == b.size:
            W, b = W[:, leaf.outputs], b[leaf.outputs]
        return {"W": W, "b": b}
    if kind in ("convolution", "transposed convolution"):
        W = np.moveaxis(t["weight"], (0, 1), (-1, -2))
        return {"W": W} | bias_for(leaf, t.get("bias"), W)
    if kind == "batch norm":
        one = t["running_var"]
        default = {"weight": np.ones_like(one), "bias": np.zeros_like(one)}
        return {k: moved(leaf, (default | t)[v]) for k, v in BATCH_NORM.items()}
    if kind == "norm":
        return {k: moved(leaf, t[v]) for k, v in (("gain", "weight"), ("bias", "bias")) if v in t}
    if kind == "vector":
        name = "slope" if type(leaf.layer).__name__ == "PReLU" else "gain"
        return {name: moved(leaf, t["weight"])}
    if kind == "table":
        return {"W": t["weight"]}
    if kind == "positions":
        return {"P": t["P"].reshape(t["P"].shape[-2:])}
    if isinstance(leaf.layer, MultiHeadAttention):
        return attention(leaf, t)
    return recurrent(leaf.layer, t)


def bias_for(leaf: Leaf, b: Host | None, W: Host) -> Tensors:
    """The bias of a convolution: theirs, or zeros where only ours has one."""
    if b is not None:
        return {"b": b}
    here = getattr(leaf.layer, "bias", True)
    return {"b": np.zeros(getattr(leaf.layer, "filters", W.shape[-1]), W.dtype)} if here else {}


def moved(leaf: Leaf, a: Host) -> Host:
    """One number for each feature, in our order."""
    a = a.reshape(-1)
    order = leaf.inputs if leaf.inputs is not None else leaf.outputs
    return a if order is None or order.size != a.size else a[order]


def projected_widths(layer: MultiHeadAttention, features: int) -> tuple[int, int, int]:
    """How wide all queries, keys and values of the heads are, for x of so many features."""
    size = layer.size or features // layer.heads
    value = layer.value_size or size
    return layer.heads * size, layer.shared_heads * size, layer.shared_heads * value


def attention(leaf: Leaf, t: Tensors) -> Tensors:
    """in_proj cut into q, k and v. k's bias is left out: softmax does not see it.

    Raises UsageError for a bias of keys that are rotated: then the softmax does see it.
    """
    layer, Wo = leaf.layer, t["out_proj.weight"]
    assert isinstance(layer, MultiHeadAttention)
    widths = projected_widths(layer, Wo.shape[0])
    if "in_proj_weight" in t:
        q, k, v = parts_of(t["in_proj_weight"], widths)
    else:
        q, k, v = (t[f"{name}_proj_weight"] for name in "qkv")
    found = {"Wq": q.T, "Wk": k.T, "Wv": v.T, "Wo": Wo.T}
    if not layer.bias and "in_proj_bias" not in t:
        return found
    given = t.get("in_proj_bias", np.zeros(sum(widths), q.dtype))
    bq, bk, bv = parts_of(given, widths)
    if layer.rotary and np.any(bk):
        raise UsageError(
            f"{leaf.name} has no bias of its keys, the weights there have one",
            why="with rotary positions it counts, for keys are turned after it is added",
        )
    return found | {"bq": bq, "bv": bv, "bo": t.get("out_proj.bias", np.zeros(Wo.shape[0], q.dtype))}


def parts_of(a: Host, widths: tuple[int, int, int]) -> list[Host]:
    """Queries, keys and values; three equal parts where there are not as many numbers as the layer wants."""
    n = len(a)
    ends = [widths[0], widths[0] + widths[1]] if n == sum(widths) else [n // 3, 2 * (n // 3)]
    return np.split(a, ends)


def recurrent(layer: Any, t: Tensors) -> Tensors:
    """Both biases become one, but for a GRU's candidate. A layer of one direction takes the half that it is given.

    Raises UsageError for both halves.
    """
    named = {}
    for name, value in t.items():
        head, _, tail = name.partition("_l")
        named[head + ("_reverse" if tail.endswith("_reverse") else "")] = value
    if isinstance(layer, Bidirectional):
        return {
            f"{i}.{k}": v
            for i, tail in enumerate(("", "_reverse"))
            for k, v in direction(layer.layer, named, tail).items()
        }
    halves = [tail for tail in ("", "_reverse") if f"weight_ih{tail}" in named]
    if len(halves) > 1:
        raise UsageError(
            f"the weights are of both directions, {type(layer).__name__} reads in one",
            fix=f"Bidirectional({type(layer).__name__}(...)), or one half of the weights: names with _reverse are the "
            "second",
        )
    return direction(layer, named, halves[0])


def direction(layer: Any, t: Tensors, tail: str) -> Tensors:
    """Return the tensors of one direction."""
    w, u = t[f"weight_ih{tail}"], t[f"weight_hh{tail}"]
    if not layer.bias and f"bias_ih{tail}" not in t:
        return {"W": w.T, "U": u.T}
    zeros = np.zeros(len(w), w.dtype)
    bi, bh = t.get(f"bias_ih{tail}", zeros), t.get(f"bias_hh{tail}", zeros)
    if isinstance(layer, GRU):
        n = 2 * layer.units
        b = np.concatenate([bi[:n] + bh[:n], bi[n:]])
        return {"W": w.T, "U": u.T, "b": b, "c": bh[n:]}
    return {"W": w.T, "U": u.T, "b": bi + bh}


def theirs(leaf: Leaf, p: Tensors) -> Tensors:
    """PyTorch's tensors of a leaf out of ours."""
    kind = leaf.kind
    if kind == "dense":
        W, b = p["W"], p.get("b", np.zeros(p["W"].shape[-1], p["W"].dtype))
        if leaf.inputs is not None and leaf.inputs.size == len(W):
            W = W[np.argsort(leaf.inputs)]
        if leaf.outputs is not None and leaf.outputs.size == b.size:
            W, b = W[:, np.argsort(leaf.outputs)], b[np.argsort(leaf.outputs)]
        return {"weight": W.T, "bias": b} if "b" in p else {"weight": W.T}
    if kind in ("convolution", "transposed convolution"):
        bias = {"bias": p["b"]} if "b" in p else {}
        return {"weight": np.moveaxis(p["W"], (-1, -2), (0, 1)), **bias}
    if kind == "batch norm":
        p = {"bias": np.zeros_like(p["gain"])} | p
        found = {v: moved_back(leaf, p[k]) for k, v in BATCH_NORM.items()}
        return found | {"num_batches_tracked": np.zeros((), np.int64)}
    if kind == "norm":
        if not isinstance(leaf.layer, LayerNorm):  # their modules always have a bias
            p = {"bias": np.zeros_like(p["gain"])} | p
        return {v: moved_back(leaf, p[k]) for k, v in (("gain", "weight"), ("bias", "bias")) if k in p}
    if kind == "vector":
        return {"weight": moved_back(leaf, next(iter(p.values())))}
    if kind == "table":
        return {"weight": p["W"]}
    if kind == "positions":
        return {"P": p["P"]}
    if kind == "attention":
        return attention_back(p)
    if isinstance(leaf.layer, Bidirectional):
        both = [{k[2:]: v for k, v in p.items() if k.startswith(f"{i}.")} for i in (0, 1)]
        return direction_back(both[0], "") | direction_back(both[1], "_reverse")
    return direction_back(p, "_reverse" if leaf.layer.reverse else "")  # type: ignore[attr-defined]


def attention_back(p: Tensors) -> Tensors:
    """q, k and v as one in_proj where they have one width, as PyTorch has it; the keys' bias is 0."""
    each = {name: p[f"W{name}"].T for name in "qkv"}
    if each["q"].shape == each["k"].shape:
        found = {"in_proj_weight": np.concatenate(list(each.values()))}
    else:
        found = {f"{name}_proj_weight": a for name, a in each.items()}
    found["out_proj.weight"] = p["Wo"].T
    if "bq" not in p:
        return found
    keys = np.zeros(each["k"].shape[0], p["bq"].dtype)
    return found | {"in_proj_bias": np.concatenate([p["bq"], keys, p["bv"]]), "out_proj.bias": p["bo"]}


def moved_back(leaf: Leaf, a: Host) -> Host:
    """One number for each feature, in their order."""
    order = leaf.inputs if leaf.inputs is not None else leaf.outputs
    return a if order is None or order.size != a.size else a[np.argsort(order)]


def direction_back(p: Tensors, tail: str) -> Tensors:
    """One direction, its second bias 0 but for a GRU's candidate."""
    found = {f"weight_ih_l0{tail}": p["W"].T, f"weight_hh_l0{tail}": p["U"].T}
    if "b" not in p:
        return found
    hidden = np.zeros_like(p["b"])
    if "c" in p:
        hidden[-p["c"].size :] = p["c"]
    return found | {f"bias_ih_l0{tail}": p["b"], f"bias_hh_l0{tail}": hidden}

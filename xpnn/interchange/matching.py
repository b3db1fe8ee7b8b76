"""Layers here and layers there, matched by kind and by order."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnn.errors import UsageError, did_you_mean
from xpnn.interchange.leaves import Leaf
from xpnn.interchange.report import Report, check_fit, none_left, too_many

Host = np.ndarray[Any, Any]
Tensors = dict[str, Any]
Group = tuple[str, str, Tensors]
Read = Callable[[Leaf, Tensors], dict[str, Host]]
ALTERNATIVES = {"matrix": ("dense", "table"), "kernel": ("convolution", "transposed convolution")}
"""Kinds with the same names and ranks: the shapes of our parameters decide."""


def compatible(kind: str, leaf: Leaf) -> bool:
    """Whether weights of that kind, such as "norm" or "norm of LayerNorm", can be those of the leaf."""
    kind, _, cls = kind.partition(" of ")
    if kind == "vector" and leaf.kind == "norm" and not cls:  # a gain alone
        return not getattr(leaf.layer, "bias", True)
    if cls:
        return leaf.kind == kind and type(leaf.layer).__name__ in cls.split("/")
    return leaf.kind == kind or leaf.kind in ALTERNATIVES.get(kind, ())


def match(
    leaves: list[Leaf], groups: list[Group], read: Read, shapes: Mapping[str, Any],
    names: Mapping[str, str] | None, strict: bool, ordered: bool = True,
) -> list[tuple[Leaf, Group]]:  # fmt: skip
    """Each leaf with the weights that are its own. names: {our path: their name} for what is not to be guessed.

    ordered: whether the groups come in the order of their network; else only numbers in their names show it.
    Raises UsageError where a leaf gets nothing, where names do not decide between several, and where weights are
    left over unless strict is False.
    """
    wanted = check_names(names or {}, leaves, groups)
    left = [group for group in groups if group[1] not in wanted.values()]
    by_name = {group[1]: group for group in groups}
    pairs = []
    for leaf in leaves:
        if leaf.path in wanted:
            pairs.append((leaf, by_name[wanted[leaf.path]]))
            continue
        possible = [group for group in left if compatible(group[0], leaf)]
        if not possible:
            raise none_left(leaf.name, leaf.kind, [name for _, name, _ in left])
        loose = [g for g in possible if g[0] in ALTERNATIVES or not ordered]
        unfit = [g for g in loose if not fits(leaf, read(leaf, g[2]), shapes)]
        fitting = [g for g in possible if not any(g is one for one in unfit)]
        if not ordered:
            check_order(leaf, [name for _, name, _ in fitting])
        chosen = (fitting or possible)[0]
        left = [group for group in left if group is not chosen]
        pairs.append((leaf, chosen))
    if left and strict:
        raise too_many([name for _, name, _ in left])
    return pairs


def check_order(leaf: Leaf, fitting: list[str]) -> None:
    """Raise UsageError where names differ in more than numbers: a file without order does not say which is first."""
    if len({re.sub(r"_?\d+", "", name) for name in fitting}) > 1:
        raise UsageError(
            f"{leaf.name} could have the weights of any of: {', '.join(fitting[:6])}",
            why="the file keeps its layers in no order, and their shapes are equal",
            fix=f"names={{{leaf.path!r}: {fitting[0]!r}}}, or load the live model, which has an order",
        )


def check_names(names: Mapping[str, str], leaves: list[Leaf], groups: list[Group]) -> dict[str, str]:
    """`names` as it is. Raises UsageError for a path or a name that does not exist."""
    for ours, theirs in names.items():
        if ours not in {leaf.path for leaf in leaves}:
            raise UsageError(
                f"names: {ours!r} is no layer with weights here",
                fix=did_you_mean(ours, [leaf.path for leaf in leaves]),
            )
        if theirs not in {name for _, name, _ in groups}:
            raise UsageError(
                f"names: {theirs!r} is no layer with weights there",
                fix=did_you_mean(theirs, [name for _, name, _ in groups]),
            )
    return dict(names)


def fits(leaf: Leaf, found: dict[str, Host], shapes: Mapping[str, Any]) -> bool:
    """Whether every tensor has the shape of its parameter."""
    wanted = {k: shapes.get(f"{leaf.path}.{k}" if leaf.path else k) for k in found}
    return all(shape is None or tuple(found[k].shape) == tuple(shape) for k, shape in wanted.items())


def take_over(
    model: Any, leaves: list[Leaf], groups: list[Group], read: Read,
    names: Mapping[str, str] | None = None, strict: bool = True, ordered: bool = True,
) -> Report:  # fmt: skip
    """Put the weights of the groups into the model. Nothing changes where something does not fit."""
    shapes = {path: spec.shape for path, spec in model.layout.named.items()}
    found: dict[str, Host] = {}
    report = Report()
    for leaf, (_, name, tensors) in match(leaves, groups, read, shapes, names, strict, ordered):
        arrays = read(leaf, tensors)
        for key, a in arrays.items():
            path = f"{leaf.path}.{key}" if leaf.path else key
            if path not in shapes:
                check_not_needed(leaf, name, key, a)
                continue
            check_fit(f"{leaf.name}: {key}", name, a, shapes[path])
            found[path] = np.ascontiguousarray(a)
        report.add(f"{leaf.path} {type(leaf.layer).__name__}", name, note(leaf, tensors, arrays))
    model.load_parameters(found)
    return report


def check_not_needed(leaf: Leaf, name: str, key: str, a: Host) -> None:
    """Raise UsageError for numbers that the layer here was made without, such as a bias, unless they are 0."""
    if np.any(a):
        raise UsageError(
            f"{name} has a bias, {leaf.name} has none",
            why=f"{leaf.name} was made with bias=False, and the bias there is not 0",
            fix=f"{type(leaf.layer).__name__}(..., bias=True) in the network here",
        )


def note(leaf: Leaf, tensors: Tensors, arrays: dict[str, Host]) -> str:
    """What was changed besides the order of axes."""
    said = []
    if leaf.inputs is not None:
        said.append("inputs reordered: images are flattened channels last here")
    if leaf.outputs is not None:
        said.append("outputs reordered: they become images, channels last here")
    has_bias = getattr(leaf.layer, "bias", True)
    if leaf.kind in ("dense", "convolution", "transposed convolution") and len(tensors) == 1 and has_bias:
        said.append("no bias there: 0 here")
    if leaf.kind == "attention":
        said.append("the keys' bias left out: softmax does not see it")
    return "; ".join(said)


def parameters_of_leaf(model: Any, leaf: Leaf) -> dict[str, Host]:
    """{"W": ..., "b": ...}: those of the leaf as host arrays."""
    prefix = f"{leaf.path}." if leaf.path else ""
    named = model.parameters()
    return {
        path[len(prefix) :]: np.array(model.backend.to_numpy(a))
        for path, a in named.items()
        if path.startswith(prefix)
    }


def bias_into_norm(before: tuple[Leaf, dict[str, Host]], leaf: Leaf, p: dict[str, Host]) -> dict[str, Host]:
    """A BatchNorm's parameters with the bias of the layer before it taken off its mean."""
    return p | {"mean": p["mean"] - before[1]["b"]}


def bias_without_layer(leaf: Leaf, name: str) -> UsageError:
    """The error for a bias that the other network has no place for."""
    return UsageError(
        f"{leaf.name} has a bias, {name} has none",
        why="the bias is not 0, and no BatchNorm follows that could take it in",
        fix="give their layer a bias",
    )

"""How the nodes of a graph are joined: what may be written down, what its inputs are, and where gradients flow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpnn.describe import Described, brief
from xpnn.errors import UsageError, did_you_mean
from xpnn.layers.base import Layer, for_each

NO_DX = ("int", "mask")
"""What a layer takes that has no gradient."""


@dataclass(frozen=True)
class Shared(Described):
    """In place of a node's layer: the layer of the node `node` once more, with the same parameters.

    Two nodes with equal layers have parameters of their own. Here the gradients of both uses are added, each use draws
    its own dropout masks, and running statistics move once for each use, in the order of the nodes, as in PyTorch (in a
    Recompute: for the last use alone).
    """

    node: str


Names: TypeAlias = str | tuple[str, ...]
Node: TypeAlias = tuple[str, Layer | Shared, Names]


def listed(names: Any) -> tuple[str, ...]:
    """One name or several, as a tuple."""
    return names if isinstance(names, tuple) else (names,)


def as_names(names: Any) -> Any:
    """A list of names as a tuple; anything else as it is."""
    return tuple(names) if isinstance(names, list) else names


def as_nodes(nodes: Any) -> Any:
    """Nodes as (name, layer, inputs); a dict holds {name: (layer, inputs)}. Raises UsageError for anything else."""
    entries = [(name, *listed(rest)) for name, rest in nodes.items()] if isinstance(nodes, Mapping) else nodes
    if not isinstance(entries, tuple | list):
        raise UsageError(f"Graph(nodes={nodes!r}): wanted nodes", fix='{"name": (layer, "its input"), ...}')
    for i, entry in enumerate(entries):
        if not isinstance(entry, tuple | list) or len(entry) != 3 or not isinstance(entry[1], Layer | Shared):
            raise UsageError(
                f"node {i} of Graph is {repr(entry)[:80]}",
                why="a node is a name, a layer (or Shared), and the name of its input, or a tuple of names",
                fix='{"name": (Dense(10), "its input"), ...}',
            )
    return tuple((name, layer, as_names(inputs)) for name, layer, inputs in entries)


def check_names(inputs: Names, nodes: tuple[Node, ...], outputs: Names) -> None:
    """Raises UsageError unless every name is said once, known where it is used, and used."""
    names = [*listed(inputs), *(name for name, _, _ in nodes)]
    for i, name in enumerate(names):
        if not name or "." in name:
            raise UsageError(
                f"a node cannot be called {name!r}", why="names make the paths of parameters: a.b.W"
            )
        if name in names[:i]:
            raise UsageError(f"the name {name!r} stands for two things in one Graph")
    known, used = list(listed(inputs)), set(listed(outputs))
    for name, _, given in nodes:
        for one in listed(given):
            if one not in known:
                later = one in names
                raise UsageError(
                    f"node {name!r} takes {one!r}, which "
                    + ("does not come before it" if later else "is unknown"),
                    why="nodes run in the order they are listed, so that there is no cycle" if later else "",
                    fix="list it later" if later and one != name else did_you_mean(one, known),
                )
            used.add(one)
        known.append(name)
    for one in listed(outputs):
        if one not in known:
            raise UsageError(f"the output {one!r} is unknown", fix=did_you_mean(one, known))
    for one in known:
        if one not in used:
            kind = "input" if one in listed(inputs) else "node"
            raise UsageError(f"the {kind} {one!r} is used by no node and is no output", fix="leave it out")
    if not all((listed(inputs), listed(outputs), *(listed(given) for _, _, given in nodes))):
        raise UsageError("a Graph, and every node in it, has at least one input and one output")


def check_shared(nodes: tuple[Node, ...]) -> None:
    """Raises UsageError for a Shared of what is no node before it, or is shared itself."""
    owners: list[str] = []
    for name, layer, _ in nodes:
        if isinstance(layer, Shared) and layer.node not in owners:
            raise UsageError(
                f"node {name!r} shares the layer of {layer.node!r}, which is no node with a layer before it",
                fix=did_you_mean(layer.node, owners),
            )
        if not isinstance(layer, Shared):
            owners.append(name)


def resolved(nodes: tuple[Node, ...]) -> Iterator[tuple[str, str, Layer, Names]]:
    """(name, the node whose parameters it uses, layer, inputs) of every node."""
    layers: dict[str, Layer] = {}
    for name, layer, inputs in nodes:
        owner = layer.node if isinstance(layer, Shared) else name
        if not isinstance(layer, Shared):
            layers[name] = layer
        yield name, owner, layers[owner], inputs


def uses(nodes: tuple[Node, ...], name: str) -> Iterator[tuple[str | None, int, str]]:
    """(what it takes, its vocabulary, the node) for every place where a node takes `name`.

    A node that passes on whatever comes stands for those that take what it gives.
    """
    for user, _, layer, inputs in resolved(nodes):
        given = listed(inputs)
        for one, kind, vocabulary in zip(
            given, for_each(layer.takes, len(given)), for_each(layer.vocabulary(), len(given)), strict=True
        ):
            if one == name and kind is None:
                yield from uses(nodes, user)
            elif one == name:
                yield kind, vocabulary, user


def kind_of(nodes: tuple[Node, ...], name: str) -> str | None:
    """What a graph takes as its input `name`: what those take that use it; where they differ, the model's dtype.

    Raises UsageError where some take ids and others do not.
    """
    found = [(kind, user) for kind, _, user in uses(nodes, name)]
    kinds = {kind for kind, _ in found}
    if "int" in kinds and len(kinds) > 1:
        told = ", ".join(
            f"{user!r} takes {'ids' if kind == 'int' else 'real numbers'}" for kind, user in found
        )
        raise UsageError(f"the input {name!r} cannot be both ids and real numbers: {told}")
    if len(kinds) <= 1:
        return next(iter(kinds), None)
    return "mask" if "mask" in kinds else "float"


def check_ids(inputs: Names, nodes: tuple[Node, ...]) -> None:
    """Raises UsageError for a layer that takes ids and gets what another layer computed."""
    raw = set(listed(inputs))
    for name, _, layer, given in resolved(nodes):
        for one, kind in zip(listed(given), for_each(layer.takes, len(listed(given))), strict=True):
            if kind == "int" and one not in raw:
                raise UsageError(
                    f"node {name!r} takes ids: {brief(layer)}",
                    why=f"{one!r}, which it gets, gives real numbers",
                )
            if kind is None and one in raw:
                raw.add(name)


def check_reached(nodes: tuple[Node, ...], outputs: Names) -> None:
    """Raises UsageError for a node with parameters that no gradient reaches: only masks or ids come of it."""
    reached = set(listed(outputs))
    for name, owner, layer, given in reversed(list(resolved(nodes))):
        if name in reached:
            kinds = for_each(layer.takes, len(listed(given)))
            reached |= {one for one, kind in zip(listed(given), kinds, strict=True) if kind not in NO_DX}
            reached.add(owner)
        elif layer.trained and owner == name:
            raise UsageError(
                f"node {name!r} cannot be trained: {brief(layer)}", why="only masks are made of what it gives"
            )

"""How the nodes of a graph are joined: what may be written down, what its inputs are, and where gradients flow."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from xpnn.config import Config, short_repr
from xpnn.errors import UsageError, did_you_mean
from xpnn.layers.base import Layer, for_each

NO_DX = ("int", "mask")
"""Kinds of input that have no gradient."""


@dataclass(frozen=True)
class Shared(Config):
    """In place of a node's layer: the layer of the node `node` once more, with the same parameters.

    Two nodes with equal layers have parameters of their own. Here the gradients of both uses are added, each use draws
    its own dropout masks, and running statistics move once for each use, in the order of the nodes, as in PyTorch (in a
    Recompute: for the last use alone).
    """

    node: str


Names: TypeAlias = str | tuple[str, ...]
Node: TypeAlias = tuple[str, Layer | Shared, Names]
Nodes: TypeAlias = (
    Mapping[str, tuple[Layer | Shared, str | Sequence[str]]]
    | Sequence[tuple[str, Layer | Shared, str | Sequence[str]]]
)
"""The forms in which nodes may be given."""


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
    names: set[str] = set()
    for name in (*listed(inputs), *(name for name, _, _ in nodes)):
        if not name or "." in name or name != name.encode("utf-8", "ignore").decode():
            raise UsageError(
                f"a node cannot be called {name!r}", why="names make the paths of parameters: a.b.W"
            )
        if name in names:
            raise UsageError(f"the name {name!r} stands for two things in one Graph")
        names.add(name)
    known, used = set(listed(inputs)), set(listed(outputs))
    for name, _, given in nodes:
        for one in listed(given):
            if one not in known and one in names:
                raise UsageError(
                    f"node {name!r} takes {one!r}, which does not come before it",
                    why="nodes run in the order they are listed, so that no cycle can arise",
                    fix=f"list {name!r} after {one!r}" if one != name else "give it another input",
                )
            if one not in known:
                raise UsageError(
                    f"node {name!r} takes {one!r}, which is unknown", fix=did_you_mean(one, sorted(known))
                )
            used.add(one)
        known.add(name)
    for one in listed(outputs):
        if one not in known:
            raise UsageError(f"the output {one!r} is unknown", fix=did_you_mean(one, sorted(known)))
    if known - used:
        raise UsageError(f"{min(known - used)!r} is used by no node and is no output", fix="leave it out")
    if not all((listed(inputs), listed(outputs), *(listed(given) for _, _, given in nodes))):
        raise UsageError("a Graph, and every node in it, has at least one input and one output")


class Wire(NamedTuple):
    """A node, with the layer it uses and the node whose parameters these are."""

    name: str
    owner: str
    layer: Layer
    inputs: Names

    def slots(self) -> Iterator[tuple[str, str | None, int]]:
        """(name, what the layer takes, its vocabulary) of each input."""
        names = listed(self.inputs)
        input_kind, sizes = (
            for_each(self.layer.input_kind, len(names)),
            for_each(self.layer.vocab_size, len(names)),
        )
        return zip(names, input_kind, sizes, strict=False)


def resolve(nodes: tuple[Node, ...]) -> tuple[Wire, ...]:
    """The nodes as wires. Raises UsageError for a Shared of what is no node before it, or is shared itself."""
    layers: dict[str, Layer] = {}
    found = []
    for name, layer, inputs in nodes:
        owner = layer.node if isinstance(layer, Shared) else name
        if not isinstance(layer, Shared):
            layers[name] = layer
        elif owner not in layers:
            raise UsageError(
                f"node {name!r} shares the layer of {owner!r}, which is no node with a layer before it",
                fix=did_you_mean(owner, layers),
            )
        found.append(Wire(name, owner, layers[owner], inputs))
    return tuple(found)


def users(wires: tuple[Wire, ...]) -> dict[str, dict[tuple[str | None, int, str], None]]:
    """Of every name (what takes it, its vocabulary, which node): a node that passes on whatever comes does not count,
    but those do that take what it gives."""
    found: dict[str, dict[tuple[str | None, int, str], None]] = {}
    for wire in reversed(wires):
        for name, kind, size in wire.slots():
            more = found.get(wire.name, {}) if kind is None else {(kind, size, wire.name): None}
            found[name] = found.get(name, {}) | more
    return found


def kind_of(name: str, used: Iterable[tuple[str | None, int, str]]) -> str | None:
    """What a graph takes as its input `name`: what those take that use it; where they differ, the model's dtype.

    Raises UsageError where some take ids and others do not.
    """
    kinds = {kind: user for kind, _, user in used}
    if "int" in kinds and len(kinds) > 1:
        uses = (
            f"{user!r} takes {'ids' if kind == 'int' else 'real numbers'}" for kind, user in kinds.items()
        )
        raise UsageError(f"the input {name!r} cannot be both ids and real numbers: {', '.join(uses)}")
    if len(kinds) <= 1:
        return next(iter(kinds), None)
    return "mask" if "mask" in kinds else "float"


def check_ids(inputs: Names, wires: tuple[Wire, ...]) -> None:
    """Raises UsageError for a layer that takes ids and gets what another layer computed."""
    raw = set(listed(inputs))
    for wire in wires:
        for name, kind, _ in wire.slots():
            if kind == "int" and name not in raw:
                raise UsageError(
                    f"node {wire.name!r} takes ids: {short_repr(wire.layer)}",
                    why=f"{name!r}, which it gets, gives real numbers",
                )
            if kind is None and name in raw:
                raw.add(wire.name)


def check_reached(wires: tuple[Wire, ...], outputs: Names) -> None:
    """Raises UsageError for a layer with parameters that no gradient reaches: only masks come of what it gives."""
    reached = set(listed(outputs))
    for wire in reversed(wires):
        if wire.name in reached:
            reached |= {name for name, kind, _ in wire.slots() if kind not in NO_DX} | {wire.owner}
        elif wire.layer.trained and wire.owner == wire.name:
            raise UsageError(
                f"node {wire.name!r} cannot be trained: {short_repr(wire.layer)}",
                why="only masks are made of what it gives",
            )


class Wiring(NamedTuple):
    """What follows from the nodes, found once: a graph of graphs would ask again and again."""

    wires: tuple[Wire, ...]
    input_kind: tuple[str | None, ...]
    vocab_size: tuple[int, ...]
    trained: frozenset[str]


def wiring(inputs: Names, nodes: tuple[Node, ...], outputs: Names) -> Wiring:
    """Raises UsageError for what is no graph."""
    check_names(inputs, nodes, outputs)
    wires = resolve(nodes)
    check_ids(inputs, wires)
    check_reached(wires, outputs)
    used = users(wires)
    input_kind = tuple(kind_of(name, used.get(name, ())) for name in listed(inputs))
    sizes = ([size for _, size, _ in used.get(name, ()) if size] for name in listed(inputs))
    trained = frozenset(wire.name for wire in wires if wire.layer.trained)
    return Wiring(wires, input_kind, tuple(min(known, default=0) for known in sizes), trained)

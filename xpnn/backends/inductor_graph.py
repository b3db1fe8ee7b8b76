"""What is changed in a traced graph before Inductor compiles it for the CPU."""

from itertools import chain
from typing import Any


def numbers_first(graph: Any) -> None:
    """Give numbers that vectors are computed with as further results, behind the others.

    A compiler would put the computation of a number into the loop over the vector: Adam's bias corrections, two calls
    of expm1, were computed anew for every 16 weights. A result is computed once, in memory of its own.
    """
    output = output_of(graph)
    given = list(output.args[0])
    for node in graph.graph.nodes:
        if node in given or node.op != "call_function" or is_view(node):
            continue
        computed = any(size_of(source) for source in node.all_input_nodes)
        if computed and size_of(node) == 1 and any(size_of(user) > 1 for user in node.users):
            given.append(node)
    output.args = (given,)
    graph.recompile()


def write_in_place(graph: Any, pairs: dict[int, int]) -> dict[int, tuple[int, ...]]:
    """Write results over inputs that are vectors; pairs: {number of the input: number of the result}.

    These results are given no more. -> {number of the input: the sizes of the pieces} of those that are written to. In
    place of such an input the graph takes its pieces: a vector that is written to piece by piece would be computed as
    a whole for each of them.
    """
    import torch

    aten = torch.ops.aten
    inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
    output = output_of(graph)
    results = list(output.args[0])
    new: dict[int, list[Any]] = {}
    for i, j in pairs.items():
        pieces = list(results[j].args[0]) if results[j].target is aten.cat.default else [results[j]]
        if inputs[i].meta["val"].ndim == 1 and not any(map(is_view, pieces)):
            new[i] = pieces
    kept = [node for j, node in enumerate(results) if j not in {pairs[i] for i in new}]
    sizes = {i: tuple(int(piece.meta["val"].shape[0]) for piece in pieces) for i, pieces in new.items()}
    with graph.graph.inserting_before(output):
        old = {base_of(node) for node in kept} & {inputs[i] for i in new}
        kept = [
            graph.graph.call_function(aten.clone.default, (node,)) if base_of(node) in old else node
            for node in kept
        ]
    places = [place for i in new for place in in_pieces(graph.graph, inputs[i], sizes[i])]
    with graph.graph.inserting_before(output):
        for place, piece in zip(places, chain.from_iterable(new.values()), strict=True):
            graph.graph.call_function(aten.copy_.default, (place, piece))
    output.args = (kept,)
    for node in reversed(graph.graph.nodes):  # whole vectors that nothing reads
        if node.target is aten.cat.default and not node.users:
            graph.graph.erase_node(node)
    graph.recompile()
    return sizes


def in_pieces(graph: Any, old: Any, sizes: tuple[int, ...]) -> list[Any]:
    """Inputs of these sizes in place of the input `old`."""
    import torch

    aten = torch.ops.aten
    if len(sizes) == 1:
        return [old]
    with graph.inserting_before(old):
        new = [graph.placeholder(f"{old.name}_{k}") for k in range(len(sizes))]
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    for user in list(old.users):
        start, stop = bounds(user, sum(sizes)) if user.target is aten.slice.Tensor else (0, sum(sizes))
        for piece, size, end in zip(new, sizes, ends, strict=True):
            if end - size <= start and stop <= end:
                user.args = (piece, 0, start - end + size, stop - end + size)
    if old.users:
        last = [node for node in graph.nodes if node.op == "placeholder"][-1]
        with graph.inserting_after(last):
            old.replace_all_uses_with(graph.call_function(aten.cat.default, (new,)))
    graph.erase_node(old)
    return new


def bounds(node: Any, size: int) -> tuple[int, int]:
    """The first and the last + 1 of what a slice of a vector takes; the whole where it is no plain part."""
    given = dict(zip(("a", "dim", "start", "stop", "step"), node.args, strict=False))
    start, stop = given.get("start") or 0, given.get("stop")
    stop = size if stop is None else min(stop, size)
    plain = given.get("step", 1) == 1 and 0 <= start <= stop
    return (start, stop) if plain else (0, size)


def output_of(graph: Any) -> Any:
    """The node of the results."""
    return next(node for node in graph.graph.nodes if node.op == "output")


def size_of(node: Any) -> int:
    """How many numbers an array has; 0 for what is none."""
    value = node.meta.get("val")
    return int(value.numel()) if hasattr(value, "numel") else 0


def is_view(node: Any) -> bool:
    """Whether it is an input, or may share the memory of what it was made from."""
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(found.alias_info is not None for found in schema.returns)


def base_of(node: Any) -> Any:
    """What it is a view of, if it is one; itself otherwise."""
    while node.op == "call_function" and is_view(node):
        node = node.all_input_nodes[0]
    return node

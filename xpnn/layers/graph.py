"""A network that is no chain: named nodes, each with a layer and the names of what it takes."""

import functools
from collections.abc import Sequence
from typing import Any

from xpnn.errors import ShapeError
from xpnn.layers.base import Child, Ctx, Layer, LayerLike, Shape, Tree, is_multiple
from xpnn.layers.containers import plan_child
from xpnn.layers.sequential import Sequential
from xpnn.layers.wiring import NO_DX, Names, Node, Nodes, Wiring, as_names, as_nodes, listed, wiring
from xpnn.settings import Coerced, frozen
from xpnn.trees import leaves, tree_map


@frozen
class Graph(Layer):
    """v_k = f_k(v_i, v_j, ...) for every node k in turn; y are the values of the nodes named as outputs.

        Graph(
            inputs=("image", "words"),
            nodes={
                "features": (Sequential((Flatten(), Dense(16))), "image"),
                "both": (Concatenate(), ("features", "words")),
                "logits": (Dense(10), "both"),
            },
            outputs="logits",
        )

    nodes: {name: (layer, name of its input)}, or a list of (name, layer, input), each after those it takes. A tuple of
    names hands the layer a tuple of arrays; so do inputs and outputs. `Shared(name)` in place of a layer uses that
    node's layer and parameters again. Parameters have the paths "features.1.W", "logits.W", ....
    Backward, k from the last node to the first: dv_k is the sum of what its users and the outputs send back; f_k turns
    it into its share of dv_i, dv_j, ... and gradients, which are added up where a layer is shared.
    Raises UsageError, at once, for names that are unknown, said twice, unused or in no order.
    Source: reverse accumulation; Linnainmaa, BIT 16 (1976); Griewank, Walther, "Evaluating Derivatives" (2008).
    """

    role = "container"
    inputs: Coerced[str | Sequence[str], Names]
    nodes: Coerced[Nodes, tuple[Node, ...]]
    outputs: Coerced[str | Sequence[str], Names]

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", as_names(self.inputs))
        object.__setattr__(self, "outputs", as_names(self.outputs))
        object.__setattr__(self, "nodes", as_nodes(self.nodes))
        super().__post_init__()
        vars(self)["wiring"] = wiring(self.inputs, self.nodes, self.outputs)

    @property
    def _wiring(self) -> Wiring:
        return vars(self)["wiring"]  # type: ignore[no-any-return]

    @functools.cached_property
    def multi_input(self) -> bool:
        return isinstance(self.inputs, tuple)

    @functools.cached_property
    def input_kind(self) -> Any:
        """For each input what its users take."""
        return like(self.inputs, self._wiring.input_kind)

    @functools.cached_property
    def trained(self) -> bool:
        return bool(self._wiring.trained)

    @functools.cached_property
    def output_kind(self) -> Any:
        found = {wire.name: wire.layer.output_kind for wire in self._wiring.wires}
        return like(self.outputs, [found.get(name, "") for name in listed(self.outputs)])

    @functools.cached_property
    def vocab_size(self) -> Any:
        """For each input the smallest of its users': an id has to be known to all."""
        return like(self.inputs, self._wiring.vocab_size)

    def children(self, shape: Shape) -> list[Child]:
        """Every node that has a layer of its own, with what it gets."""
        own = {wire.name for wire in self._wiring.wires if wire.name == wire.owner}
        return [child for child in self.uses(shape) if child.name in own]

    def uses(self, shape: Shape) -> list[Child]:
        """Every node with its layer, a shared one at each use, and what it gets."""
        shapes = self._shapes(shape)[1]
        return [Child(wire.name, wire.layer, pick(shapes, wire.inputs)) for wire in self._wiring.wires]

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        """A dict by node. Raises ShapeError with the node that cannot take its input, and the shapes on the way."""
        specs, shapes = self._shapes(shape)
        return specs, pick(shapes, self.outputs)

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Any, tuple[Any, ...]]:
        values, caches = self._named(x), []
        for name, owner, layer, inputs in self._wiring.wires:
            y, cache = layer.forward(cx.child(name), p[owner], pick(values, inputs))
            values.update({name: y})
            caches.append(cache)
        return pick(values, self.outputs), tuple(caches)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any) -> tuple[Any, Tree]:
        """Against the order of the nodes; skipping those whose gradient is not needed."""
        wires, wanted = self._wiring.wires, self._wanted(cx.need_dx)
        dvs: dict[str, Any] = {}
        send(dvs, self.outputs, dy)
        grads: dict[str, Tree] = {wire.owner: {} for wire in wires}
        for (name, owner, layer, inputs), kept in reversed([*zip(wires, cache, strict=True)]):
            if name not in wanted or name not in dvs:
                continue
            need = any(one in wanted for one in listed(inputs))
            dx, grad = layer.backward(cx.child(name, need), p[owner], kept, dvs[name])
            grads.update({owner: summed(grads[owner], grad)})
            if need and dx is not None:
                send(dvs, inputs, dx)
        return (self._of_inputs(dvs) if cx.need_dx else None), grads

    def update_stats(self, cx: Ctx, p: Tree, cache: tuple[Any, ...]) -> Tree:
        """Every node's new statistics; a shared layer's move once for each use."""
        news: dict[str, Tree] = {}
        for (name, owner, layer, _), kept in zip(self._wiring.wires, cache, strict=True):
            now = replaced(p[owner], news[owner]) if owner in news else p[owner]
            news.update({owner: layer.update_stats(cx.child(name), now, kept)})
        return news

    def _named(self, x: Any) -> dict[str, Any]:
        """{name of an input: what came for it}."""
        return dict(zip(listed(self.inputs), x if self.multi_input else (x,), strict=True))

    def _of_inputs(self, dvs: dict[str, Any]) -> Any:
        """dx, with None for an input that nothing was sent to."""
        return like(self.inputs, [dvs.get(name) for name in listed(self.inputs)])

    def _wanted(self, need_dx: bool) -> set[str]:
        """Inputs whose gradient is wanted, and nodes that have parameters or take what is wanted."""
        kinds = zip(listed(self.inputs), self._wiring.input_kind, strict=True)
        wanted = {name for name, kind in kinds if need_dx and kind not in NO_DX}
        for name, _, _, inputs in self._wiring.wires:
            if name in self._wiring.trained or any(one in wanted for one in listed(inputs)):
                wanted.add(name)
        return wanted

    def _shapes(self, shape: Shape) -> tuple[Tree, dict[str, Shape]]:
        """The specs of the nodes with layers of their own, and the shape of every value."""
        if self.multi_input != is_multiple(shape) or (self.multi_input and len(shape) != len(self.inputs)):
            count = len(self.inputs) if self.multi_input else 1
            raise ShapeError(f"takes {count} inputs: {', '.join(listed(self.inputs))}", why=f"got {shape}")
        shapes: dict[str, Shape] = self._named(shape)
        specs: dict[str, Tree] = {}
        for name, owner, layer, inputs in self._wiring.wires:
            way = functools.partial(self._way, shapes, listed(inputs))
            spec, shapes[name] = plan_child(name, layer, pick(shapes, inputs), way)
            if specs.setdefault(owner, spec) != spec:
                raise ShapeError(
                    f"shares the parameters of {owner!r}, which were made for another shape",
                    why=f"got {pick(shapes, inputs)}",
                    path=name,
                    layer=type(layer).__name__,
                    way=(*way(), f"{name} {type(layer).__name__} (here)"),
                )
        return specs, shapes

    def _way(self, shapes: dict[str, Shape], names: tuple[str, ...]) -> tuple[str, ...]:
        """The inputs that `names` come from, and the nodes between."""
        needed, steps = set(names), []
        for wire in reversed(self._wiring.wires):
            if wire.name in needed:
                needed |= set(listed(wire.inputs))
                steps.append(f"{wire.name} {type(wire.layer).__name__} {shapes[wire.name]}")
        starts = ", ".join(f"{name} {shapes[name]}" for name in listed(self.inputs) if name in needed)
        return (starts, *reversed(steps))


def like(names: Names, values: Sequence[Any]) -> Any:
    """The values as a tuple where there is a tuple of names, else the one."""
    return tuple(values) if isinstance(names, tuple) else values[0]


def pick(values: dict[str, Any], names: Names) -> Any:
    """The value of that name, or a tuple of them."""
    return like(names, [values[name] for name in listed(names)])


def send(dvs: dict[str, Any], names: Names, dv: Any) -> None:
    """Add a gradient to what these names have been sent; None is no gradient."""
    for name, one in zip(listed(names), dv if isinstance(names, tuple) else (dv,), strict=True):
        if one is not None:
            dvs[name] = plus(dvs[name], one) if name in dvs else one


def plus(a: Any, b: Any) -> Any:
    """a + b, of several arrays one by one; None is nothing."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(map(plus, a, b)) if isinstance(a, tuple) else a + b


def summed(a: Tree, b: Tree) -> Tree:
    """Gradients of two uses of the same parameters, added; no gradients at all count as nothing."""
    more = dict(leaves(b))
    if not more or not a:
        return b if more else a
    return tree_map(lambda path, g: g + more[path], a)


def replaced(p: Tree, news: Tree) -> Tree:
    """p with the arrays in `news` put in place."""
    found = dict(leaves(news))
    return tree_map(lambda path, old: found.get(path, old), p)


def as_net(net: LayerLike | Sequence[LayerLike]) -> Sequential | Graph:
    """What a model holds: a Graph or a chain as it is, any other layer as a chain of one, a list as a chain."""
    if isinstance(net, Sequential | Graph):
        return net
    return Sequential((net,) if isinstance(net, Layer) else net)  # type: ignore[arg-type]

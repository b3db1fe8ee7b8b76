"""The faults that are planted in layers of several inputs: merges and graphs."""

from unittest import mock

from cases import Case

from xpnn.layers import Add, Average, Concatenate, Dense, Graph, Multiply, Sequential, Shared, Tanh, graph
from xpnn.parameters import leaves, tree_map

TWICE = Graph(
    inputs=("left", "right"),
    nodes={
        "a": (Sequential((Dense(4), Tanh())), "left"),
        "b": (Shared("a"), "right"),
        "both": (Multiply(), ("a", "b")),
        "skip": (Add(), ("both", "left")),
        "one": (Dense(4), "skip"),
        "two": (Dense(4), "both"),
    },
    outputs=("one", "two"),
)
CASES = {
    **{merge: Case(merge(), ((4,), (4,)), batch=4) for merge in (Concatenate, Add, Multiply, Average)},
    Graph: Case(TWICE, ((4,), (4,)), batch=4),
}


def in_tree(array, fault):
    """`fault` applied to the dx of input "x0", "x1" or to the gradient at a path."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        if dx is not None:
            dx = tuple(fault(a) if array == f"x{i}" else a for i, a in enumerate(dx))
        return dx, tree_map(lambda path, g: fault(g) if path == array else g, grads)

    return backward


def on_dx(f):
    """dx = f(cache, dy, dx)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return f(cache, dy, dx), grads

    return backward


def told(f):
    """The right backward pass of another cache and dy: f(cache, dy) -> cache, dy."""
    return lambda layer, cx, p, cache, dy, right: right(layer, cx, p, *f(cache, dy))


def with_other(**functions):
    """The right backward pass with some of its functions replaced."""

    def backward(layer, cx, p, cache, dy, right):
        with mock.patch.multiple(graph, **functions):
            return right(layer, cx, p, cache, dy)

    return backward


def last_wins(dvs, names, dv):
    dvs.update(sent(names, dv))


def first_wins(dvs, names, dv):
    dvs.update(sent(names, dv) | dvs)


def sent(names, dv):
    return dict(zip(graph.listed(names), dv if isinstance(names, tuple) else (dv,), strict=True))


EXCHANGED = on_dx(lambda cache, dy, dx: dx[::-1])
OWN = {
    Concatenate: {
        "parts exchanged": EXCHANGED,
        "the first part for both": on_dx(lambda cache, dy, dx: (dx[0], dx[0])),
    },
    Add: {
        "halved": told(lambda cache, dy: (cache, dy / 2)),
        "one forgotten": on_dx(lambda cache, dy, dx: (dy, 0 * dy)),
    },
    Multiply: {
        "own input for the other's": EXCHANGED,
        "dy for both": on_dx(lambda cache, dy, dx: (dy, dy)),
        "product of all": on_dx(lambda cache, dy, dx: (dy * cache[1][0] * cache[1][1],) * 2),
    },
    Average: {
        "not divided": on_dx(lambda cache, dy, dx: (dy, dy)),
        "divided by N": on_dx(lambda cache, dy, dx: (dy / 4,) * 2),
    },
    Graph: {
        "of two users the last alone": with_other(send=last_wins),
        "of two users the first alone": with_other(send=first_wins),
        "of two uses the last alone": with_other(summed=lambda a, b: b if dict(leaves(b)) else a),
        "of two uses the first alone": with_other(summed=lambda a, b: a or b),
        "users averaged": with_other(plus=lambda a, b: (a + b) / 2),
        "inputs exchanged": EXCHANGED,
        "outputs exchanged": told(lambda cache, dy: (cache, dy[::-1])),
        "an output forgotten": told(lambda cache, dy: (cache, (dy[0], 0 * dy[1]))),
        "caches of two uses exchanged": told(lambda cache, dy: ((cache[1], cache[0], *cache[2:]), dy)),
    },
}


def planted(generic):
    """{class: {name: fault}}: its own, and every generic one in every array whose numbers it changes."""
    found = {}
    for cls, case in CASES.items():
        paths = [path for path, _ in leaves(case.layer.plan(case.shape)[0])]
        found[cls] = OWN[cls] | {
            f"d{array} {name}": in_tree(array, fault)
            for array in ("x0", "x1", *paths)
            for name, fault in generic.items()
            if name != "axes swapped" or not array.endswith("b")
        }
    return found

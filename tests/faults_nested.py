"""The faults that are planted in containers, embeddings and recurrent layers, whose gradients are trees."""

import numpy as np
from cases import Case

from xpnn.layers import Dense, Dropout, Parallel, Recompute, Residual, Sequential, Sigmoid, Tanh
from xpnn.parameters import leaves, tree_map


def in_tree(array, fault):
    """`fault` applied to dx ("x") or to the gradient at a path."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        if array == "x":
            return fault(dx), grads
        return dx, tree_map(lambda path, g: fault(g) if path == array else g, grads)

    return backward


def given(f):
    """The right backward pass of something wrong: f(layer, p, cache, dy) -> (p, cache, dy)."""
    return lambda layer, cx, p, cache, dy, right: right(layer, cx, *f(layer, p, cache, dy))


def wrong_dx(f):
    """The right gradients and dx = f(layer, p, dx, dy)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return f(layer, p, dx, dy), grads

    return backward


def each(merge):
    """Every branch gets merge(i, dy, what was kept) for its part of dy."""

    def backward(layer, cx, p, cache, dy, right):
        found = [
            branch.backward(cx.child(i), p[i], cache[0][i], merge(i, dy, cache[1]))
            for i, branch in enumerate(layer.layers)
        ]
        return sum(dx for dx, _ in found), tuple(grads for _, grads in found)

    return backward


def last_branch(layer, cx, p, cache, dy, right):
    """dx of the last branch alone."""
    _, grads = right(layer, cx, p, cache, dy)
    i = len(layer.layers) - 1
    part = layer._parts(cache[1], dy)[i]
    return layer.layers[i].backward(cx.child(i), p[i], cache[0][i], part)[0], grads


def other_context(**changes):
    """f runs forward again in another context: other masks, or none."""

    def backward(layer, cx, p, cache, dy, right):
        other = type(cx)(**{**vars(cx), **changes})
        return layer.layer.backward(cx, p, layer.layer.forward(other, p, cache[0])[1], dy)

    return backward


CASES = {
    Residual: Case(Residual(Sequential((Dense(4), Tanh(), Dense(4)))), (4,), batch=4),
    Parallel: Case(Parallel((Dense(3), Sequential((Dense(3), Sigmoid()))), "multiply"), (4,), batch=4),
    Recompute: Case(Recompute(Sequential((Dense(9), Dropout(0.4), Tanh(), Dense(4)))), (4,), batch=4),
}
OWN = {
    Residual: {
        "skip forgotten": wrong_dx(lambda layer, p, dx, dy: dx - dy),
        "layer forgotten": wrong_dx(lambda layer, p, dx, dy: dy),
        "skip taken twice": wrong_dx(lambda layer, p, dx, dy: dx + dy),
        "skip subtracted": wrong_dx(lambda layer, p, dx, dy: dx - 2 * dy),
        "sum halved": given(lambda layer, p, c, dy: (p, c, dy / 2)),
        "gradients forgotten": lambda layer, cx, p, c, dy, right: (
            right(layer, cx, p, c, dy)[0],
            tree_map(lambda _, a: 0 * a, p),
        ),
    },
    Parallel: {
        "dy for all": each(lambda i, dy, ys: dy),
        "own output for the other's": each(lambda i, dy, ys: dy * ys[i]),
        "product of all": each(lambda i, dy, ys: dy * ys[0] * ys[1]),
        "another row's output": given(
            lambda layer, p, c, dy: (p, (c[0], tuple(np.roll(y, 1, 0) for y in c[1])), dy)
        ),
        "of the last branch alone": last_branch,
        "averaged": given(lambda layer, p, c, dy: (p, c, dy / 2)),
    },
    Recompute: {
        "of another input": given(lambda layer, p, c, dy: (p, (np.flip(c[0], 0), c[1]), dy)),
        "another step's masks": other_context(tick=np.asarray(77)),
        "another layer's masks": other_context(key=(1, 2, 3)),
        "no masks": other_context(train=False),
    },
}


def arrays(cls):
    """ "x" and the path of every trained parameter."""
    specs = CASES[cls].layer.plan(CASES[cls].shape)[0]
    return ["x"] * (CASES[cls].layer.takes != "int") + [
        path for path, spec in leaves(specs) if spec.trainable
    ]


def planted(generic):
    """{class: {name: fault}}: its own, and every generic one in every array whose numbers it changes."""
    return {
        cls: OWN[cls]
        | {
            f"d{array} {name}": in_tree(array, fault)
            for array in arrays(cls)
            for name, fault in generic.items()
            if name != "axes swapped" or array == "x" or array.endswith(("W", "U", "rows"))
        }
        for cls in CASES
    }

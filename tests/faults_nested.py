"""The faults that are planted in containers, embeddings and recurrent layers, whose gradients are trees."""

import numpy as np
from cases import Case

from xpnn.layers import (
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Parallel,
    Recompute,
    Residual,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Tanh,
)
from xpnn.layers.merging import parts
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
    part = parts(layer.merge, cache[1], i + 1, dy)[i]
    return layer.layers[i].backward(cx.child(i), p[i], cache[0][i], part)[0], grads


def other_context(**changes):
    """f runs forward again in another context: other masks, or none."""

    def backward(layer, cx, p, cache, dy, right):
        other = cx._replace(**changes)
        return layer.layer.backward(cx, p, layer.layer.forward(other, p, cache[0])[1], dy)

    return backward


def hot(ids, n):
    return np.eye(n)[ids.reshape(-1)]


def last_wins(ids, dy, n):
    """Assigned, not added."""
    W = np.zeros((n, dy.shape[-1]))
    W[ids] = dy
    return W


def mean_of(ids, dy, n):
    rows = hot(ids, n)
    return rows.T @ dy.reshape(-1, dy.shape[-1]) / np.maximum(rows.sum(0), 1)[:, None]


def added(f):
    """dW = f(ids, dy, tokens)."""
    return lambda layer, cx, p, cache, dy, right: (None, {"W": f(cache[0], dy, layer.tokens)})


def told(f):
    """f(x, states, p, dy) -> dx, grads."""
    return lambda layer, cx, p, cache, dy, right: f(cache[0], cache[1], p, dy)


def rnn(x, states, p, dy, slope):
    """SimpleRNN's backward pass with another slope."""
    dh, grads, dxs = 0 * states[0], {k: 0 * a for k, a in p.items()}, []
    for t in reversed(range(x.shape[1])):
        da = (dh + dy[:, t]) * slope(states[t + 1])
        for key, g in (("W", x[:, t].T @ da), ("U", states[t].T @ da), ("b", da.sum(0))):
            grads[key] = grads[key] + g
        dh = da @ p["U"].T
        dxs.insert(0, da @ p["W"].T)
    return np.stack(dxs, 1), grads


def step_changed(f):
    """What was kept of every step, put through f."""
    return given(lambda layer, p, c, dy: (p, (c[0], tuple(f(*step) for step in c[1]), *c[2:]), dy))


def gates_changed(f):
    """As `step_changed`, of the LSTM, with its four gates apart."""

    def changed(h, c, gates, s):
        h, c, *apart, s = f(h, c, *np.split(gates, 4, axis=-1), s)
        return h, c, np.concatenate(apart, axis=-1), s

    return step_changed(changed)


def walked(gates):
    """Mistakes in walking back that every recurrent layer could make."""

    def turned(U):
        return np.concatenate([u.T for u in np.split(U, gates, 1)], 1)

    return {
        "steps in the wrong order": given(lambda layer, p, c, dy: (p, c, np.flip(dy, 1))),
        "only the last step's dy": given(lambda layer, p, c, dy: (p, c, dy * (np.arange(3) == 2)[:, None])),
        "nothing flows back in time": given(lambda layer, p, c, dy: (p, (*c[:-1], 0 * c[-1]), dy)),
        "U not transposed": given(lambda layer, p, c, dy: (p, (*c[:-1], turned(c[-1])), dy)),
        "gates of U in another order": given(
            lambda layer, p, c, dy: (p, (*c[:-1], np.roll(c[-1], 1, 1)), dy)
        ),
        "inputs of another sample": given(lambda layer, p, c, dy: (p, (np.flip(c[0], 0), *c[1:]), dy)),
    }


def wrong_halves(f):
    """The two halves of dy changed before they are used."""

    def backward(layer, cx, p, cache, dy, right):
        n = dy.shape[-1] // 2
        return right(layer, cx, p, cache, np.concatenate(f(dy[..., :n], dy[..., n:]), axis=-1))

    return backward


CASES = {
    Residual: Case(Residual(Sequential((Dense(4), Tanh(), Dense(4)))), (4,), batch=4),
    Parallel: Case(Parallel((Dense(3), Sequential((Dense(3), Sigmoid()))), "multiply"), (4,), batch=4),
    Recompute: Case(Recompute(Sequential((Dense(9), Dropout(0.4), Tanh(), Dense(4)))), (4,), batch=4),
    Embedding: Case(Embedding(4, 4), (3,), batch=4),
    SimpleRNN: Case(SimpleRNN(2, True), (3, 2), batch=4),
    LSTM: Case(LSTM(2, True), (3, 2), batch=4),
    GRU: Case(GRU(2, True), (3, 2), batch=4),
    Bidirectional: Case(Bidirectional(GRU(2, True)), (3, 2), batch=4),
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
    SimpleRNN: walked(1)
    | {
        "slope forgotten": told(lambda x, c, p, dy: rnn(x, c, p, dy, lambda h: 1)),
        "1 - h for 1 - h^2": told(lambda x, c, p, dy: rnn(x, c, p, dy, lambda h: 1 - h)),
        "the state after for the state before": given(
            lambda layer, p, c, dy: (p, (c[0], (*c[1][:1], *c[1][:1], *c[1][2:]), *c[2:]), dy)
        ),
    },
    LSTM: walked(4)
    | {
        "cell state forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, 0 * c, i, f, g, o, s)),
        "i and f exchanged": gates_changed(lambda h, c, i, f, g, o, s: (h, c, f, i, g, o, s)),
        "i and g exchanged": gates_changed(lambda h, c, i, f, g, o, s: (h, c, g, f, i, o, s)),
        "tanh of the cell forgotten": gates_changed(
            lambda h, c, i, f, g, o, s: (h, c, i, f, g, o, np.arctanh(s))
        ),
        "output gate forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, c, i, f, g, 0 * o + 1, s)),
        "forget gate forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, c, i, 0 * f + 1, g, o, s)),
    },
    GRU: walked(3)
    | {
        "z for 1 - z": step_changed(lambda h, r, z, n, u: (h, r, 1 - z, n, u)),
        "r and z exchanged": step_changed(lambda h, r, z, n, u: (h, z, r, n, u)),
        "reset before the product": step_changed(lambda h, r, z, n, u: (h, r, z, n, u * r)),
        "reset forgotten": step_changed(lambda h, r, z, n, u: (h, 0 * r + 1, z, n, u)),
        "candidate squashed twice": step_changed(lambda h, r, z, n, u: (h, r, z, np.tanh(n), u)),
        "the state before forgotten": step_changed(lambda h, r, z, n, u: (0 * h, r, z, n, u)),
    },
    Bidirectional: {
        "not turned back": wrong_halves(lambda dy, reverse: (dy, np.flip(reverse, 1))),
        "halves exchanged": wrong_halves(lambda dy, reverse: (reverse, dy)),
        "reverse forgotten": wrong_halves(lambda dy, reverse: (dy, 0 * reverse)),
        "forward forgotten": wrong_halves(lambda dy, reverse: (0 * dy, reverse)),
        "caches exchanged": given(lambda layer, p, c, dy: (p, c[::-1], dy)),
        "parameters exchanged": given(
            lambda layer, p, c, dy: (p, tuple((*a[:-2], *b[-2:]) for a, b in (c, c[::-1])), dy)
        ),
    },
    Embedding: {
        "of other ids": given(lambda layer, p, c, dy: (p, (np.roll(c[0], 1),), dy)),
        "ids after the first forgotten": added(lambda ids, dy, n: hot(ids[:, :1], n).T @ dy[:, 0]),
        "the last wins": added(lambda ids, dy, n: last_wins(ids, dy, n)),
        "mean over the places": added(lambda ids, dy, n: mean_of(ids, dy, n)),
        "column by column": added(lambda ids, dy, n: hot(ids.T, n).T @ dy.reshape(-1, dy.shape[-1])),
        "divided by the length": added(lambda ids, dy, n: hot(ids, n).T @ dy.reshape(-1, dy.shape[-1]) / 3),
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
    return ["x"] * (CASES[cls].layer.input_kind != "int") + [
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

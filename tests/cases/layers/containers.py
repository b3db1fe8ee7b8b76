"""Sequential, Residual, Parallel, Recompute: layers made of layers."""

import numpy as np

import xpnn
from cases.planting import Planted, called_with, dx_after
from cases.row import Case
from xpnn.initializers import Normal
from xpnn.layers.merge_operations import parts
from xpnn.parameters import tree_map

MLP = xpnn.Sequential((xpnn.Flatten(), xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(3)))
DEEP = xpnn.Sequential(
    (
        xpnn.Dense(6),
        xpnn.Sequential((xpnn.Tanh(), xpnn.Dropout(0.4), xpnn.Dense(4))),
        xpnn.ELU(),
        xpnn.Dense(2),
        xpnn.Softmax(),
    )
)
PIXELS = xpnn.Sequential(
    (xpnn.Rescale(1 / 255), xpnn.Flatten(), xpnn.Standardize(0.3, 0.5), xpnn.Dense(3), xpnn.Sigmoid())
)
SKIP = xpnn.Residual(xpnn.Sequential((xpnn.Dense(4), xpnn.Dropout(0.4), xpnn.Tanh())))
ROWS = [
    Case(xpnn.Sequential(()), (3,)),  # nothing at all
    Case(MLP, (2, 3, 1)),  # a plain net
    Case(MLP, (4, 2), batch=1),  # of one sample
    Case(DEEP, (3,)),  # a net in a net
    Case(PIXELS, (2, 2, 1), bytes=True),  # bytes in, and no gradient for them
    Case(SKIP, (4,)),  # a block
    Case(xpnn.Residual(xpnn.Tanh()), (2, 3), batch=1),  # without parameters
    Case(xpnn.Residual(xpnn.Residual(xpnn.Dense(3))), (2, 3)),  # a block in a block
    Case(xpnn.Parallel((xpnn.Dense(2), xpnn.Dense(3, bias_init=Normal(0.5)))), (5,)),  # concatenated
    Case(xpnn.Parallel((xpnn.Dense(1), SKIP, xpnn.Flatten())), (4,), batch=1),  # three of different kinds
    Case(xpnn.Parallel((xpnn.Dense(3), xpnn.Tanh(), xpnn.Dropout(0.3)), "add"), (3,)),  # each other merge
    Case(xpnn.Parallel((xpnn.Dense(3), xpnn.Tanh(), xpnn.Dropout(0.3)), "average"), (3,)),
    Case(xpnn.Parallel((xpnn.Dense(5), xpnn.Softmax(), xpnn.Dense(5)), "multiply"), (2, 5)),
    Case(
        xpnn.Parallel((xpnn.Rescale(1 / 255), xpnn.Standardize(100.0, 50.0)), "add"), (2, 3), bytes=True
    ),  # bytes for both
    Case(xpnn.Parallel((xpnn.Sigmoid(),), "multiply"), (7,)),  # a single branch
    Case(
        xpnn.Recompute(xpnn.Sequential((xpnn.Dense(4), xpnn.Dropout(0.4), xpnn.Tanh(), xpnn.Dense(2)))), (3,)
    ),  # the same mask a second time
    Case(xpnn.Recompute(xpnn.Dense(3)), (2, 5), batch=1),  # of one layer
    Case(
        xpnn.Sequential((xpnn.Recompute(PIXELS), xpnn.Recompute(xpnn.Recompute(xpnn.Tanh())))),
        (2, 2, 1),
        bytes=True,
    ),  # nested, of bytes
]


def each_branch(merge):
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
    part = parts(cx, layer.merge, cache[1], dy)[i]
    return layer.layers[i].backward(cx.child(i), p[i], cache[0][i], part)[0], grads


def in_context(**changes):
    """f runs forward again in another context: other masks, or none."""

    def backward(layer, cx, p, cache, dy, right):
        other = cx._replace(**changes)
        return layer.layer.backward(cx, p, layer.layer.forward(other, p, cache[0])[1], dy)

    return backward


PLANTED = {
    xpnn.Residual: Planted(
        Case(xpnn.Residual(xpnn.Sequential((xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(4)))), (4,), batch=4),
        {
            "skip forgotten": dx_after(lambda layer, p, c, dx, dy: dx - dy),
            "layer forgotten": dx_after(lambda layer, p, c, dx, dy: dy),
            "skip taken twice": dx_after(lambda layer, p, c, dx, dy: dx + dy),
            "skip subtracted": dx_after(lambda layer, p, c, dx, dy: dx - 2 * dy),
            "sum halved": called_with(lambda layer, p, c, dy: (p, c, dy / 2)),
            "gradients forgotten": lambda layer, cx, p, c, dy, right: (
                right(layer, cx, p, c, dy)[0],
                tree_map(lambda _, a: 0 * a, p),
            ),
        },
    ),
    xpnn.Parallel: Planted(
        Case(
            xpnn.Parallel((xpnn.Dense(3), xpnn.Sequential((xpnn.Dense(3), xpnn.Sigmoid()))), "multiply"),
            (4,),
            batch=4,
        ),
        {
            "dy for all": each_branch(lambda i, dy, ys: dy),
            "own output for the other's": each_branch(lambda i, dy, ys: dy * ys[i]),
            "product of all": each_branch(lambda i, dy, ys: dy * ys[0] * ys[1]),
            "another row's output": called_with(
                lambda layer, p, c, dy: (p, (c[0], tuple(np.roll(y, 1, 0) for y in c[1])), dy)
            ),
            "of the last branch alone": last_branch,
            "averaged": called_with(lambda layer, p, c, dy: (p, c, dy / 2)),
        },
    ),
    xpnn.Recompute: Planted(
        Case(
            xpnn.Recompute(xpnn.Sequential((xpnn.Dense(9), xpnn.Dropout(0.4), xpnn.Tanh(), xpnn.Dense(4)))),
            (4,),
            batch=4,
        ),
        {
            "of another input": called_with(lambda layer, p, c, dy: (p, (np.flip(c[0], 0), c[1]), dy)),
            "another step's masks": in_context(tick=np.asarray(77)),
            "another layer's masks": in_context(key=(1, 2, 3)),
            "no masks": in_context(train=False),
        },
    ),
}


def chain_rule(order=None, last=True, skip=None):
    """A chain rule with something wrong in it."""

    def backward(net, cx, p, cache, dy, right):
        steps = list(reversed(range(len(net.layers)))) if order is None else order(len(net.layers))
        grads = [None] * len(net.layers)
        dx = dy
        for i in steps:
            upstream = dx if last else dy
            dx, grads[i] = net.layers[i].backward(cx.child(i), p[i], cache[i], upstream)
            if i == skip:
                dx = upstream
        return dx, tuple(grads)

    return backward


CHAIN_CASE = Case(xpnn.Sequential((xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(4), xpnn.Sigmoid())), (4,), batch=4)
IN_THE_CHAIN_RULE = {
    "scaled by 1.0001": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, 1.0001 * dy),
    "sign flipped": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, -dy),
    "zero": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, 0 * dy),
    "extra 1 / N": lambda net, cx, p, cache, dy, right: right(net, cx, p, cache, dy / len(dy)),
    "an activation skipped": chain_rule(skip=1),
    "a Dense skipped": chain_rule(skip=2),
    "every layer gets the last dy": chain_rule(last=False),
    "left to right": chain_rule(order=range),
    "caches in the wrong order": lambda net, cx, p, cache, dy, right: right(
        net, cx, p, (cache[2], cache[3], cache[0], cache[1]), dy
    ),
    "parameters in the wrong order": lambda net, cx, p, cache, dy, right: right(
        net, cx, (p[2], p[1], p[0], p[3]), cache, dy
    ),
}

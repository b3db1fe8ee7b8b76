"""Layers of several inputs, and graphs that join them."""

from unittest import mock

import xpnn
from cases.planting import Planted, called_with, dx_after
from cases.row import Case
from xpnn.layers import graph
from xpnn.parameters import leaves

SIAMESE = xpnn.Graph(
    inputs=("left", "right"),
    nodes={
        "a": (xpnn.Sequential((xpnn.Dense(4), xpnn.Tanh(), xpnn.Dropout(0.4))), "left"),
        "b": (xpnn.Shared("a"), "right"),
        "both": (xpnn.Multiply(), ("a", "b")),
        "score": (xpnn.Dense(2), "both"),
    },
    outputs="score",
)
"""One branch for two inputs."""
BRANCHED = xpnn.Graph(
    inputs=("image", "words"),
    nodes=[
        ("flat", xpnn.Sequential((xpnn.Flatten(), xpnn.Dense(4))), "image"),
        ("sum", xpnn.Add(), ("flat", "words")),
        ("class", xpnn.Dense(3), "sum"),
        ("value", xpnn.Dense(1), "sum"),
    ],
    outputs=("class", "value", "words"),
)
"""Two inputs, three outputs, one of them an input."""
WORDS = xpnn.Graph(
    inputs="ids",
    nodes={
        "real": (xpnn.PaddingMask(), "ids"),
        "vectors": (xpnn.Embedding(3, 2), "ids"),
        "state": (xpnn.GRU(2, masked=True), ("vectors", "real")),
    },
    outputs="state",
)
"""Embedding and mask of the same ids."""
SQUEEZE = xpnn.Parallel(
    (
        xpnn.Sequential(()),
        [xpnn.ReduceMean((1, 2), True), xpnn.Dense(2), xpnn.ReLU(), xpnn.Dense(4), xpnn.Sigmoid()],
    ),
    "multiply",
)
"""Squeeze and excitation: channels weighted by what is in all of the image."""
NORMED = xpnn.Graph(
    inputs=("x", "y"),
    nodes={
        "a": (xpnn.BatchNorm(), "x"),
        "b": (xpnn.Shared("a"), "y"),
        "c": (xpnn.Average(), ("a", "b", "b")),
    },
    outputs=("c", "a"),
)
"""Shared statistics; an output that is taken by a node too."""
ROWS = [
    Case(xpnn.Concatenate(), ((2, 3), (2, 1))),  # on the last axis
    Case(xpnn.Concatenate(), ((4,),), batch=1),  # a single input
    Case(xpnn.Add(), ((3,), (3,), (3,))),  # three
    Case(xpnn.Multiply(), ((2, 3), (2, 3), (2, 3))),  # three, each by the product of the others
    Case(xpnn.Average(), ((3,), (3,)), batch=1),
    Case(xpnn.Subtract(), ((2, 3), (2, 3))),
    Case(xpnn.Multiply(), ((2, 3, 4), (1, 1, 4))),  # a number for each channel
    Case(xpnn.Add(), ((1, 3), (2, 1), (2, 3))),  # each of two repeated on another axis
    Case(xpnn.Average(), ((1,), (3,)), batch=1),
    Case(xpnn.Subtract(), ((3, 1), (1, 2))),
    Case(SQUEEZE, (2, 3, 4)),
    Case(
        xpnn.Sequential((xpnn.Average(), xpnn.Dense(2), xpnn.Dropout(0.4))), ((2, 3), (2, 3))
    ),  # first in a chain
    Case(SIAMESE, ((3,), (3,))),
    Case(BRANCHED, ((2, 3), (4,))),
    Case(WORDS, (3,)),
    Case(  # in a chain, and an input that is used three times
        xpnn.Sequential(
            (
                xpnn.Dense(4),
                xpnn.Graph("x", (("h", xpnn.Tanh(), "x"), ("y", xpnn.Add(), ("x", "h", "h"))), "y"),
            )
        ),
        (3,),
        batch=1,
    ),
    Case(xpnn.Recompute(NORMED), ((3,), (3,)), batch=4),  # statistics of a net that runs forward twice
    Case(NORMED, ((3,), (3,)), batch=4),
]
TWICE = xpnn.Graph(
    inputs=("left", "right"),
    nodes={
        "a": (xpnn.Sequential((xpnn.Dense(4), xpnn.Tanh())), "left"),
        "b": (xpnn.Shared("a"), "right"),
        "both": (xpnn.Multiply(), ("a", "b")),
        "skip": (xpnn.Add(), ("both", "left")),
        "one": (xpnn.Dense(4), "skip"),
        "two": (xpnn.Dense(4), "both"),
    },
    outputs=("one", "two"),
)


def with_functions(**functions):
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


EXCHANGED = dx_after(lambda layer, p, cache, dx, dy: dx[::-1])
PLANTED = {
    xpnn.Concatenate: Planted(
        Case(xpnn.Concatenate(), ((4,), (4,)), batch=4),
        {
            "parts exchanged": EXCHANGED,
            "the first part for both": dx_after(lambda layer, p, cache, dx, dy: (dx[0], dx[0])),
        },
    ),
    xpnn.Add: Planted(
        Case(xpnn.Add(), ((4,), (4,)), batch=4),
        {
            "halved": called_with(lambda layer, p, cache, dy: (p, cache, dy / 2)),
            "one forgotten": dx_after(lambda layer, p, cache, dx, dy: (dy, 0 * dy)),
        },
    ),
    xpnn.Multiply: Planted(
        Case(xpnn.Multiply(), ((4,), (4,)), batch=4),
        {
            "own input for the other's": EXCHANGED,
            "dy for both": dx_after(lambda layer, p, cache, dx, dy: (dy, dy)),
            "product of all": dx_after(lambda layer, p, cache, dx, dy: (dy * cache[1][0] * cache[1][1],) * 2),
        },
    ),
    xpnn.Subtract: Planted(
        Case(xpnn.Subtract(), ((4,), (4,)), batch=4),
        {
            "a sum's": dx_after(lambda layer, p, cache, dx, dy: (dy, dy)),
            "inputs exchanged": EXCHANGED,
        },
    ),
    xpnn.Average: Planted(
        Case(xpnn.Average(), ((4,), (4,)), batch=4),
        {
            "not divided": dx_after(lambda layer, p, cache, dx, dy: (dy, dy)),
            "divided by N": dx_after(lambda layer, p, cache, dx, dy: (dy / 4,) * 2),
        },
    ),
    xpnn.Graph: Planted(
        Case(TWICE, ((4,), (4,)), batch=4),
        {
            "of two users the last alone": with_functions(send=last_wins),
            "of two users the first alone": with_functions(send=first_wins),
            "of two uses the last alone": with_functions(summed=lambda a, b: b if dict(leaves(b)) else a),
            "of two uses the first alone": with_functions(summed=lambda a, b: a or b),
            "users averaged": with_functions(plus=lambda a, b: (a + b) / 2),
            "inputs exchanged": EXCHANGED,
            "outputs exchanged": called_with(lambda layer, p, cache, dy: (p, cache, dy[::-1])),
            "an output forgotten": called_with(lambda layer, p, cache, dy: (p, cache, (dy[0], 0 * dy[1]))),
            "caches of two uses exchanged": called_with(
                lambda layer, p, cache, dy: (p, (cache[1], cache[0], *cache[2:]), dy)
            ),
        },
    ),
}

"""The faults that are planted in kernels which backward passes are made of."""

import numpy as np

from cases.planting import one_hot, softmax

RELU_GRAD = {
    "scaled by 1.0001": lambda be, dy, y, right: 1.0001 * right(be, dy, y),
    "sign flipped": lambda be, dy, y, right: -right(be, dy, y),
    "zero": lambda be, dy, y, right: np.zeros_like(dy),
    "mask forgotten": lambda be, dy, y, right: dy,
    "mask inverted": lambda be, dy, y, right: dy * (y <= 0),
    "mask of dy": lambda be, dy, y, right: dy * (dy > 0),
    "arguments exchanged": lambda be, dy, y, right: right(be, y, dy),
    "another row's mask": lambda be, dy, y, right: right(be, dy, np.roll(y, 1, axis=0)),
    "a factor y": lambda be, dy, y, right: dy * y,
}
CROSS_ENTROPY = {
    "scaled by 1.0001": lambda z, ids, g: 1.0001 * g,
    "sign flipped": lambda z, ids, g: -g,
    "zero": lambda z, ids, g: 0 * g,
    "missing 1 / N": lambda z, ids, g: g * len(g),
    "extra 1 / N": lambda z, ids, g: g / len(g),
    "one-hot dropped": lambda z, ids, g: softmax(z) / len(z),
    "softmax over samples": lambda z, ids, g: (softmax(z.T).T - one_hot(ids, z.shape[1])) / len(z),
    "another sample's id": lambda z, ids, g: (
        (softmax(z) - np.roll(one_hot(ids, z.shape[1]), 1, axis=1)) / len(z)
    ),
    "1/C for 1/N": lambda z, ids, g: g * len(g) / g.shape[1],
}

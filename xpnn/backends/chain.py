"""What a backend must know of a chain of Dense, ReLU and Dropout to plan its training steps."""

from typing import Any, NamedTuple


class Part(NamedTuple):
    """Layer number i of the chain: a Dropout of that rate, or a Dense, and whether a ReLU follows it."""

    i: int
    rate: float | None = None
    relu: bool = False


class Chain(NamedTuple):
    """The layers, and what their step is made of otherwise: see `xpnn.fusion.plan`.

    flattens: samples of several axes become rows. counts_hits: the step gives the hits, too. The loss is the mean
    softmax cross-entropy of class ids.
    """

    parts: tuple[Part, ...]
    flattens: bool
    layout: Any
    optimizer: Any
    seed: int
    counts_hits: bool

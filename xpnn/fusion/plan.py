"""Training steps of a chain of Dense, ReLU and Dropout, planned for batches of one size.

Between its kernels a step makes contexts, walks trees and merges dicts, which takes as long as a small product does.
A plan holds the same kernels in the same order, bound to the weights, to the places of the gradients and to memory for
what lies between. Whatever it does not know, and every step that is not finite, is left to the step that it stands for.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.backends.chain import Chain, Part
from xpnn.fusion.cross_entropy import is_plain
from xpnn.fusion.update import FusedUpdate
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Layer
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten
from xpnn.losses import Loss
from xpnn.optimizers.base import Optimizer
from xpnn.parameters import Layout

Step: TypeAlias = Callable[..., Any]


def planned(
    step: Step,
    net: Any,
    loss: Loss,
    layout: Layout,
    be: Backend,
    seed: int,
    optimizer: Optimizer,
    count: bool,
) -> Step:
    """`step`, the one of these (see `Objective.step`), with plans where the backend makes some.

    optimizer: as `fuse_optimizer` gives it.
    """
    parts = parts_of(net) if is_plain(loss) and is_simple(optimizer) else ()
    if not parts:
        return step
    return be.planned(step, Chain(parts, type(net.layers[0]) is Flatten, layout, optimizer, seed, count))


def parts_of(net: Layer) -> tuple[Part, ...]:
    """The Dense layers, all with a bias, and the Dropouts of a chain of these and of ReLUs right behind a Dense.

    Flatten may stand before them, and the empty chain that takes the place of a Rescale. Empty for other networks.
    """
    found: list[Part] = []
    for i, layer in enumerate(net.layers if type(net) is Sequential else ()):
        last = found[-1] if found else None
        if type(layer) is Dense and layer.bias:
            found.append(Part(i))
        elif type(layer) is Dropout:
            found.append(Part(i, layer.rate))
        elif type(layer) is ReLU and last and last.rate is None and not last.relu:
            found[-1] = last._replace(relu=True)
        elif found or (type(layer) is not Flatten and layer != Sequential(())):
            return ()
    return tuple(found) if any(part.rate is None for part in found) else ()


def is_simple(optimizer: Optimizer) -> bool:
    """Whether it is one rule for all weights, without clipping."""
    return isinstance(optimizer, FusedUpdate) and optimizer.optimizer.clip_norm is None

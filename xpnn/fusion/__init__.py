"""Networks rewritten to compute the same with fewer passes over memory.

Layers know their formulas alone. Where a step is made, `fuse` rewrites the network: layers in a row that a rule knows
are computed together. Parameters, paths, random draws and results stay the same. A new idea is a file with a `Rule`,
its entry in RULES, and its rows in tests/fusion/.
"""

import dataclasses
from typing import Any

from xpnn.fusion.batch_norm import LinearBatchNorm
from xpnn.fusion.chain import FusedSequential
from xpnn.fusion.conv_relu import ConvReLU
from xpnn.fusion.conv_relu_max_pool import ConvReLUMaxPool
from xpnn.fusion.cross_entropy import loss_and_correct, loss_and_gradient, loss_gradient_and_correct
from xpnn.fusion.dense_relu import DenseReLU
from xpnn.fusion.plan import planned
from xpnn.fusion.relu import ReLUInPlace
from xpnn.fusion.rescale import gather_rescaled, rescaled, split_rescale
from xpnn.fusion.rounding import RoundedOnce
from xpnn.fusion.rule import Rule
from xpnn.fusion.update import fuse_optimizer
from xpnn.fusion.whole_sequence import BothDirections, WholeSequence
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.sequential import Sequential

__all__ = [
    "RULES",
    "FusedSequential",
    "Rule",
    "backward",
    "fuse",
    "fuse_optimizer",
    "gather_rescaled",
    "loss_and_correct",
    "loss_and_gradient",
    "loss_gradient_and_correct",
    "planned",
    "rescaled",
    "split_rescale",
]

RULES: tuple[type[Rule], ...] = (
    LinearBatchNorm, DenseReLU, ConvReLUMaxPool, ConvReLU, ReLUInPlace, WholeSequence, BothDirections, RoundedOnce,
)  # fmt: skip
"""In the order in which they are tried."""


def fuse(net: Any, rules: tuple[type[Rule], ...] = RULES) -> Any:
    """The network, computed by the rules that match: every Sequential in it, however deep, and in every container."""
    if isinstance(net, tuple):
        parts = tuple(fuse(part, rules) for part in net)
        same = all(new is old for new, old in zip(parts, net, strict=True))
        return net if same else type(net)(*parts) if hasattr(net, "_fields") else parts
    if not isinstance(net, Layer) or not dataclasses.is_dataclass(net):
        return net
    old = {field.name: getattr(net, field.name) for field in dataclasses.fields(net) if field.init}
    new = {name: fuse(value, rules) for name, value in old.items()}
    if type(net) is Sequential:
        return FusedSequential(new["layers"], rules)
    changed = any(new[name] is not old[name] for name in old)
    return dataclasses.replace(net, **new) if changed else net


def backward(net: Layer, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Any, out: Tree) -> tuple[Any, Tree]:
    """`net.backward`; a fused chain writes gradients to their places in `out` where it can."""
    if isinstance(net, FusedSequential):
        return net.backward(cx, p, cache, dy, out)
    return net.backward(cx, p, cache, dy)

"""The least time a training step takes: its operations at the rate of the matrix products, its bytes at that of a copy.

Counted are the gather of bytes, the operands of each product once, logits and gradients, and 28 bytes of Adam for each
parameter. What stays in the cache between two kernels is not counted as saved, so a small step may be faster.
"""

import math
from dataclasses import dataclass

from benchmarks.gpu.nets import Net

ADAM = 28
"""Bytes of a parameter: gradient, value and two moments are read, the last three written."""


@dataclass(frozen=True)
class Ceilings:
    """Measured: FLOP/s of each precision, bytes/s of a copy."""

    flops: dict[str, float]
    bytes: float


def flops(net: Net, batch: int) -> float:
    """Forward, both products of each layer's way back, but no gradient of the samples."""
    each = [2.0 * batch * math.prod(shape) * places for shape, places in sizes(net)]
    return 3 * sum(each) - each[0]


def sizes(net: Net) -> list[tuple[tuple[int, ...], int]]:
    """(shape of W, at how many places of a sample it is used)."""
    rows, columns = net.shape[:2] if net.filters else (1, 1)
    found = []
    for shape in net.weights:
        found.append((shape, rows * columns if len(shape) == 4 else 1))
        rows, columns = rows // 2, columns // 2
    return found


def moved(net: Net, batch: int, precision: str) -> float:
    """Bytes: values between layers take 2 in bf16, else 4."""
    wide = 2 if precision == "bf16" else 4
    x = batch * math.prod(net.shape)
    total = x * (1 + wide)  # the gather
    inward = x
    for number, (shape, places) in enumerate(sizes(net)):
        out = batch * places * shape[-1]
        last = number == len(net.weights) - 1
        total += wide * (inward + out)  # forward
        total += wide * (inward + out)  # the gradient of W
        total += wide * (out if last else 0)  # the logits, read by the loss
        total += wide * (inward + out if number else 0)  # the gradient of the input; ReLU's mask is bits
        total += (ADAM + wide * (2 if number else 1)) * math.prod(shape)
        inward = out // (4 if len(shape) == 4 else 1)
    return float(total)


def least(net: Net, batch: int, precision: str, ceilings: Ceilings) -> float:
    """Seconds."""
    return max(flops(net, batch) / ceilings.flops[precision], moved(net, batch, precision) / ceilings.bytes)

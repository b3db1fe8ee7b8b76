"""Gradients sent as bfloat16: half of the bytes, each number rounded to 8 significant bits, twice."""

import numpy as np

from xpnn.backends.base import Backend
from xpnn.distributed.communicator import Communicator, Host
from xpnn.kernels import Array

COMPRESSIONS = ("bf16",)


def add_compressed(be: Backend, group: Communicator, a: Array) -> Array:
    """The sum of all ranks' vectors, the same bits on every rank.

    Each rank adds up one piece of all vectors in float32, and sends the sum to all: so both ways numbers of 16 bits
    travel, and the relative error of a sum is at most 2^-8 of the largest of its terms. By way of the host.
    """
    host = np.asarray(be.to_numpy(a), np.float32)
    piece = -(-host.size // group.size)
    padded = np.zeros(piece * group.size, np.float32)
    padded[: host.size] = host
    parts = group.exchange(rounded(padded).reshape(group.size, piece))
    total = widened(parts).sum(axis=0, dtype=np.float32)
    whole = widened(group.collect(rounded(total))).reshape(-1)[: host.size]
    return be.asarray(whole, be.dtype)


def rounded(a: Host) -> Host:
    """float32 -> the upper 16 bits of the nearest bfloat16, ties to even. NaN stays NaN, too large becomes infinite."""
    bits = a.view(np.uint32)
    with np.errstate(over="ignore"):
        near = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(a), np.uint32(0x7FC0), near).astype(np.uint16)


def widened(a: Host) -> Host:
    """The float32 numbers that those bits stand for."""
    return (a.astype(np.uint32) << 16).view(np.float32)

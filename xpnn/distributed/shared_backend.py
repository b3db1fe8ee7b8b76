"""The backend of a step that several processes share: what it computes of a batch, it computes of the whole batch."""

import copy
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.compression import add_compressed
from xpnn.distributed.jax_backend import AxisShare, Psum
from xpnn.kernels import Array


class ReducingBackend(Backend):
    """Put before a backend's class: its sums go over all ranks."""

    group: Communicator

    def all_reduce(self, a: Array) -> Array:
        """By the engine; inside a step that JAX compiles, by a call back to the host."""
        return by_callback(self, a) if self.name == "jax" else self.group.reduce(self, a)

    def all_rows(self, a: Array) -> Array:
        """Every rank's rows of this batch: the sum of arrays that are 0 but for the rank's own."""
        share = self.share
        assert share is not None
        before, after = share.first, share.total - share.first - share.rows
        empty = [self.xp.zeros((n, *a.shape[1:]), dtype=a.dtype, device=self.device) for n in (before, after)]
        return self.all_reduce(self.xp.concat([empty[0], a, empty[1]]))

    def own_rows(self, a: Array) -> Array:
        """This rank's rows of the whole batch."""
        assert self.share is not None
        return a[self.share.first : self.share.first + self.share.rows, ...]

    def once(self, a: Array) -> Array:
        """What every rank has computed, so that it counts once in a sum: zeros on all but rank 0."""
        return a * 0 if self.group.rank else a

    def add_compressed(self, a: Array) -> Array:
        """The sum of all ranks' vectors, sent in 16 bits."""
        return add_compressed(self, self.group, a)


class SyncBatchNormBackend(ReducingBackend):
    """Besides, batch normalization by the statistics of all ranks' rows."""

    def values_per_feature(self, x: Array) -> int:
        """The number of values per feature in the whole batch."""
        share, n = self.share, super().values_per_feature(x)
        return n * share.total // share.rows if share else n

    def batch_norm(
        self, x: Array, gain: Array, bias: Array, eps: float, relu: bool = False
    ) -> tuple[Array, ...]:
        """The reference, its two sums over all ranks."""
        count = self.values_per_feature(x)
        mean = self.all_reduce(self.column_sums(x)) / count
        d = x - mean
        var = self.all_reduce(self.column_sums(d * d)) / count
        r = 1 / self.xp.sqrt(var + eps)
        n = d * r
        y = n * gain + bias
        return self.relu(y) if relu else y, n, r, mean, var

    def batch_norm_grad(self, dy: Array, n: Array, r: Array, gain: Array) -> tuple[Array, Array, Array]:
        """The reference: dx by the sums over all ranks, which go in one message; the gradients are this rank's part."""
        bias_grad, gain_grad = self.column_sums(dy), self.column_sums(dy * n)
        both = self.all_reduce(self.xp.stack([bias_grad * gain, gain_grad * gain]))
        both = both / self.values_per_feature(dy)
        return r * (dy * gain - both[0, ...] - n * both[1, ...]), gain_grad, bias_grad


COMBINED: dict[tuple[type, ...], type[Backend]] = {}
"""Classes with one of those above before a backend's own."""


def reducing_backend(be: Backend, group: Communicator) -> ReducingBackend:
    """The backend with sums over the ranks, and nothing else changed."""
    return extended(be, ReducingBackend, group, None)


def backend_for_share(be: Backend, group: Communicator, share: Share) -> Backend:
    """The backend for that share of a batch: itself where the share is the whole, which every rank then computes."""
    if share.rows == share.total:
        return be
    return extended(
        be, SyncBatchNormBackend if group.batch_norm == "global" else ReducingBackend, group, share
    )


def extended(
    be: Backend, kind: type[ReducingBackend], group: Communicator, share: Share | None
) -> ReducingBackend:
    """A copy of the backend, of a class with `kind` before its own."""
    new: Any = copy.copy(be)
    key: tuple[type, ...] = kind, type(be)
    if group.engine == "jax" and be.name == "jax":
        key, share = (Psum, *key), share and AxisShare(*share)
    if key not in COMBINED:
        COMBINED[key] = type("".join(one.__name__ for one in key), key, {})
    new.__class__ = COMBINED[key]
    new.group, new.share = group, share
    backend: ReducingBackend = new
    return backend


def by_callback(be: ReducingBackend, a: Array) -> Array:
    """Compiled steps of JAX stop here, in the order in which they were written, until all ranks have come.

    JAX calls back from a thread where 64 bits are off, and would round: they are handed over as pairs of 32.
    """
    import jax
    from jax.experimental import io_callback

    kind, wide = np.dtype(a.dtype), a.dtype.itemsize == 8
    words = jax.lax.bitcast_convert_type(a, np.uint32) if wide else a

    def add(part: Any) -> Any:
        host = np.array(part, order="C").reshape(-1).view(kind)
        be.group.add(host)
        return host.view(np.uint32).reshape(words.shape) if wide else host.reshape(words.shape)

    summed = io_callback(add, jax.ShapeDtypeStruct(words.shape, words.dtype), words, ordered=True)
    result: Array = jax.lax.bitcast_convert_type(summed, a.dtype) if wide else summed
    return result


def add_gradient(
    be: ReducingBackend, memory: Array | None, grad: Array, numbers: Array
) -> tuple[Array, Array]:
    """-> (the sums of the numbers, of the gradients): one message, with the numbers at its end.

    memory: a vector longer than the gradient by `numbers_of` the loss, where the library can write; grad begins it.
    """
    if be.group.compression:
        return be.all_reduce(numbers), be.add_compressed(grad)
    size = grad.shape[0]
    if memory is None:
        message = be.xp.concat([grad, numbers])
    else:
        message = memory[: size + numbers.shape[0]]
        message[size:] = numbers
    message = be.all_reduce(message)
    # A copy of the numbers: the losses of an epoch are kept, while the memory is used again.
    return message[size:] + 0, message[:size]

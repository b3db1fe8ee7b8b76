"""NumPy: always there. Its overrides save passes over memory, nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.threads import in_threads
from xpnn.kernels import WORD, Array, Rule, mix, stream

BLOCK = 1 << 16
"""Elements per block of a flat update: with its temporaries it stays inside the processor's caches."""


class NumpyBackend(Backend):
    """NumPy on the CPU."""

    name = "numpy"

    def load(self) -> Any:
        """NumPy through array-api-compat."""
        import array_api_compat.numpy as xp

        return xp

    def owns(self, a: Any) -> bool:
        """A plain ndarray of native byte order, or a NumPy scalar."""
        return type(a) is np.ndarray and a.dtype.isnative and a.dtype.kind in "biuf"

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """The same memory."""
        return a

    def scope(self) -> Any:
        """Overflow and NaN are reported by the training step, by name, not by NumPy's warnings."""
        return np.errstate(all="ignore")

    def affine(self, x: Array, W: Array, b: Array) -> Array:
        """The bias is added in place: one pass and one array less."""
        y = np.matmul(x, W)
        y += b
        return y

    def relu(self, x: Array) -> Array:
        """np.maximum keeps NaN and takes one pass."""
        return np.maximum(x, 0)

    def relu_grad(self, dy: Array, y: Array) -> Array:
        """Zeroes are copied in under a mask: half the cost of `where`."""
        dx = np.array(dy)
        np.copyto(dx, 0, where=y <= 0)
        return dx

    def uniform(self, key: tuple[int, ...], tick: Array, shape: tuple[int, ...]) -> Array:
        """The reference in unsigned 32-bit words, which wrap by themselves: half the memory, no masks."""
        word = mix((int(tick) + stream((*key, 1))) & WORD)
        step, start = mix(word ^ stream((*key, 2))) | 1, mix(word ^ stream((*key, 3)))
        x = np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint32)
        x *= np.uint32(step)
        x += np.uint32(start)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x21F0AAAD)
        x ^= x >> np.uint32(15)
        x *= np.uint32(0x735A2D97)
        x ^= x >> np.uint32(15)
        x >>= np.uint32(8)
        return np.multiply(x.view(np.int32), 2.0**-24, dtype=self.dtype).reshape(shape)

    def all_finite(self, x: Array) -> Array:
        """A sum of squares is one fast pass; only when it is not finite is every element looked at."""
        flat = x.reshape(-1)
        if flat.dtype.kind == "f" and np.isfinite(np.dot(flat, flat)):
            return np.True_
        return np.isfinite(flat).all()

    def elementwise(
        self, rule: Rule, given: tuple[Array, ...], vectors: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """Block by block, so that the rule's temporaries stay in cache; results go into the given vectors.

        Blocks are independent, so threads share them (NumPy's loops release the interpreter), with equal bits.
        """

        def work(start: int) -> None:
            block = slice(start, start + BLOCK)
            news = rule(*(v[block] for v in given), *(v[block] for v in vectors))
            for old, new in zip(vectors, news, strict=True):
                old[block] = new

        in_threads(work, range(0, vectors[0].shape[0], BLOCK))
        return vectors

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """The answer is on the host already: ask it."""
        new: dict[str, Array] = then(tree) if ok else tree
        return new

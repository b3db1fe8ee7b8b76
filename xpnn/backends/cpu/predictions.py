"""The threads of BLAS in predictions: no more than the quota leaves, and one for a sample that had to wait."""

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar

from xpnn.backends.base import Backend
from xpnn.backends.cpu.blas import thread_setter
from xpnn.backends.cpu.threads import usable_threads
from xpnn.backends.dense_slots import DenseSlot
from xpnn.backends.in_place import by_identity
from xpnn.kernels import Array

DELAY, PATIENCE = 1e-3, 5.0
"""A product for one sample waited for a thread if it took longer than these seconds, and so many times its best."""
FIRST, LAST = 1.0, 32.0
"""Seconds on one thread after such a wait: at first, and at most; they double with each wait that soon follows."""
VALID = 1.0
"""Seconds for which the number of usable cores is taken as read."""


class SingleSamples:
    """Products for one sample: on as many threads as BLAS likes, but on one for a while after a wait for the others.

    They take microseconds, and the same bits come out. Of several Python threads each may be here: while one of them
    wants one thread, all have one.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.best, self.until, self.wait = clock, math.inf, -math.inf, FIRST

    def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return work(*args)."""
        began = self.clock()
        if began < self.until:
            with at_most(1):
                return work(*args)
        found = work(*args)
        self.judge(began, self.clock())
        return found

    def judge(self, began: float, ended: float) -> None:
        """Step down if it waited, for twice as long where it did so again as soon as it had stepped up."""
        took = ended - began
        if took < self.best:
            self.best = took
        if took > DELAY and took > PATIENCE * self.best:
            self.wait = min(2 * self.wait, LAST) if began - self.until < FIRST else FIRST
            self.until = ended + self.wait


class Samples:
    """Products for many samples: on no more threads than there are cores for this process."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.until, self.usable = clock, -math.inf, 1

    def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        """Return work(*args)."""
        now = self.clock()
        if now >= self.until:
            self.usable, self.until = usable_threads(), now + VALID
        if self.usable >= setter()[0]():
            return work(*args)
        with at_most(self.usable):
            return work(*args)


def for_one_sample(be: Backend, f: Callable[..., Any]) -> Callable[..., Any]:
    """f, on one thread for a while after it has waited."""
    return functools.partial(SingleSamples(), f)


def one_sample(be: Backend, chain: tuple[DenseSlot, ...]) -> Callable[[Array, Array], Array | None]:
    """A flat list of products, made once for a network's weights: the kernels of the layers, with the same bits."""

    def products(theta: Array, _: Array) -> list[tuple[Array, Array, bool]]:
        return [
            (theta[W : W + n * units].reshape(n, units), theta[b : b + units], relu)
            for W, b, n, units, relu in chain
        ]

    def through(theta: Array, x: Array) -> Array:
        for W, b, relu in kept(theta, theta):
            x = be.add_bias(be.matmul(x, W), b, relu)
        return x

    kept, made = by_identity(products), be.for_one_sample(through)

    def outputs(theta: Array, x: Array) -> Array | None:
        with be.device_context():
            return made(theta, x) if be.all_finite(x) else None

    return outputs


def for_samples(be: Backend, f: Callable[..., Any]) -> Callable[..., Any]:
    """f, within affinity and the container's quota."""
    return functools.partial(Samples(), f)


class at_most:  # noqa: N801 - read as a word, like contextlib.suppress
    """BLAS uses no more than n threads within this context. A setting of the process, made in under a microsecond.

    Of several Python threads the smallest number counts; the last to leave sets that of before back.
    """

    lock = threading.Lock()
    wanted: ClassVar[list[int]] = []
    before = 1

    def __init__(self, n: int) -> None:
        self.n = n

    def __enter__(self) -> None:
        read, use = setter()
        with at_most.lock:
            if not at_most.wanted:
                at_most.before = read()
            at_most.wanted.append(self.n)
            use(min(*at_most.wanted, at_most.before))

    def __exit__(self, *_: object) -> None:
        with at_most.lock:
            at_most.wanted.remove(self.n)
            setter()[1](min([*at_most.wanted, at_most.before]))


def usual_threads() -> int:
    """How many threads BLAS has where nobody wants fewer, which another Python thread may do at the moment."""
    with at_most.lock:
        return at_most.before if at_most.wanted else setter()[0]()


@functools.cache
def setter() -> tuple[Callable[[], int], Callable[[int], object]]:
    """What reads and sets the number of threads of NumPy's BLAS; of one that is not OpenBLAS, nothing is set."""
    return thread_setter() or ((lambda: 1), (lambda threads: None))

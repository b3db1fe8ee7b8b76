"""A callback that sets the number of threads which NumPy's matrix products use."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from xpnn.backends.cpu.blas import blas
from xpnn.backends.cpu.contention import fastest
from xpnn.backends.cpu.threads import AdaptiveThreads, blas_threads, usable_threads
from xpnn.errors import UsageError
from xpnn.network import Network
from xpnn.stored_array import StoredArray
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run
from xpnn.trees import tree_map

PASSES, LONG = 3, 2.0
"""Forward passes that take as long as a step, and the seconds of steps that are worth a tenth of one for timing."""


class Threads(Callback):
    """Matrix products use n threads in this fit, by default as many as there are cores for this process.

    Affinity and a container's quota (cgroup cpu.max) count. The number stays the same for the whole fit, since it may
    change the last bits of the weights: a run that is resumed with the same number ends as the uninterrupted one.
    A fit without this callback begins with as many, or with fewer where that is faster just before its first step,
    since other processes use the cores; its state has the number, and a fit that resumes from it takes it again.
    adapt=True gives up that promise: n is the largest number, and while other processes use the cores, or where the
    products are small, fewer threads are tried and kept as long as they are faster. The number is one of the whole
    process, set back at the end. `n` is the number in use. Raises UsageError unless n >= 1, and at the start of a fit
    on a backend other than NumPy.
    """

    def __init__(self, n: int | None = None, adapt: bool = False) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise UsageError(f"Threads({n!r}): wanted a whole number of at least 1")
        self.n, self.adapt = default_threads() if n is None else n, adapt
        self._context = contextlib.ExitStack()
        self._adaptive: AdaptiveThreads | None = None

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        if run.model.backend.name != "numpy":
            raise UsageError(
                f"Threads on backend {run.model.backend.name!r}",
                why="only NumPy's matrix products use the threads of BLAS",
                fix="backend='numpy', or leave it out",
            )
        most = self.n
        use = self._context.enter_context(blas_threads(most))

        def changed(n: int) -> None:
            self.n = n
            use(n)

        self._adaptive = AdaptiveThreads(most, changed) if self.adapt else None

    def step(self, run: Run) -> None:
        if self._adaptive is not None:
            self._adaptive.step()

    def epoch(self, run: Run, row: Row) -> None:
        """Leave out the time of the validation."""
        if self._adaptive is not None:
            self._adaptive.pause()

    def end(self, run: Run) -> None:
        self._context.close()


@contextlib.contextmanager
def threads_of_fit(run: Run) -> Iterator[None]:
    """Within this context BLAS has the number of threads of this fit, which is `run.threads` then.

    For a fit on NumPy: that of its `Threads`, or of the run that is resumed, or what `threads_now` finds. It does not
    change during the fit, since it may change the last bits of the weights.
    """
    own = [callback for callback in run.callbacks if isinstance(callback, Threads)]
    if own or run.model.backend.name != "numpy":
        run.threads = own[-1].n if own and not own[-1].adapt else None
        yield
        return
    if run.threads is None:
        batch = max(1, min(run.batch_size, len(run.train)))
        steps = (run.epochs - len(run.history)) * -(-len(run.train) // batch)
        run.threads = threads_now(run.model, run.data[0], batch, steps)
    if run.threads == blas().threads:
        yield
        return
    with blas_threads(run.threads):
        yield


def threads_now(model: Network, x: Any, batch_size: int, steps: int) -> int:
    """How many threads so many steps on such batches should have, as far as other processes leave the cores now.

    As many as `default_threads`, unless passes of the first batch through the network take clearly less time with
    fewer. They are only timed where the steps will take LONG, by one of them; x None: batches are not known yet.
    """
    most = default_threads()
    if most == 1 or x is None or model.backend.name != "numpy":
        return most
    batch = tree_map(lambda _, a: first_rows(a, batch_size), x)

    def forward() -> object:
        return model.outputs(batch, batch_size)

    with blas_threads(most) as use:
        forward()  # the first may compile
        began = time.perf_counter()
        forward()
        if (time.perf_counter() - began) * PASSES * steps < LONG:
            return most
        return fastest(most, use, forward)


def first_rows(a: Any, n: int) -> Any:
    """The first n samples; of an array in a file as many zeros."""
    return np.zeros((n, *a.shape[1:]), a.dtype) if isinstance(a, StoredArray) else a[:n]


def default_threads() -> int:
    """As many threads as BLAS would use by itself, but no more than there are cores for this process."""
    return min(blas().threads or usable_threads(), usable_threads())

"""A callback that sets the number of threads which NumPy's matrix products use."""

import contextlib
from collections.abc import Iterator

from xpnn.backends.cpu.blas import blas
from xpnn.backends.cpu.threads import AdaptiveThreads, blas_threads, usable_threads
from xpnn.errors import UsageError
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run


class Threads(Callback):
    """Matrix products use n threads in this fit, by default as many as there are cores for this process.

    Affinity and a container's quota (cgroup cpu.max) count. The number stays the same for the whole fit, since it may
    change the last bits of the weights: a run that is resumed with the same number ends as the uninterrupted one.
    Without it a fit has no more threads than these cores either.
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
def within_quota(run: Run) -> Iterator[None]:
    """Within this context BLAS has at most a thread for each core that affinity and the container's quota leave.

    For a fit on NumPy without `Threads`, before its first step, so that the number is the same in all of them.
    """
    own = any(isinstance(callback, Threads) for callback in run.callbacks)
    if own or run.model.backend.name != "numpy" or default_threads() >= (blas().threads or 1):
        yield
        return
    with blas_threads(default_threads()):
        yield


def default_threads() -> int:
    """As many threads as BLAS would use by itself, but no more than there are cores for this process."""
    return min(blas().threads or usable_threads(), usable_threads())

"""Other processes that want the same cores: how BLAS's threads fare beside them, by measuring.

OpenBLAS's threads wait for each other by spinning. Beside two processes that compute, two threads on two cores take
five to ten times as long as one; what tells is the time that the work takes.
"""

import contextlib
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from xpnn.backends.base import Backend
from xpnn.backends.cpu.blas import thread_setter
from xpnn.system import usable

SECONDS, RUNS = 0.05, 3
"""The least time, some turns of the scheduler, and number of runs for which a number of threads is measured."""
TURNS = 2
"""How often two numbers of threads take turns."""
FEWER = 0.8
"""Fewer threads are chosen where they take less than this share of the time: on a quiet machine they never do."""
SHARE = 0.75
"""Of the processor time that so many threads could have: with less of it they wait for cores that others use."""
DELAY, PATIENCE = 1e-3, 5.0
"""A product for one sample waited for a thread if it took longer than these seconds, and so many times its best."""
FIRST, LAST = 1.0, 32.0
"""Seconds on one thread after such a wait: at first, and at most; they double with each wait that soon follows."""


def fastest(
    most: int,
    use: Callable[[int], None],
    work: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
    used: Callable[[], float] = time.process_time,
) -> int:
    """The number of threads with which `work` takes least time at the moment; it is in use afterwards.

    most, or half of it, a quarter, ..., as long as that is faster; and only if it is so twice, in case that something
    else was slow for a moment. use(n) sets the number; clock() is in seconds, used() in seconds of processor time.
    """

    def measure(threads: int) -> tuple[float, float]:
        use(threads)
        work()
        began, before, runs = clock(), used(), 0
        while runs < RUNS or clock() - began < SECONDS:
            work()
            runs += 1
        took = clock() - began
        return took / runs, (used() - before) / took

    def faster(fewer: int, threads: int) -> bool:
        """Whether fewer threads are. Where more do not get their cores, they are unless they took clearly longer."""
        times = [(*measure(threads), *measure(fewer)) for _ in range(TURNS)]
        theirs, got, own, _ = map(sum, zip(*times, strict=True))
        crowded = got < SHARE * threads * TURNS
        return own < theirs * (1 / FEWER if crowded else FEWER)

    chosen = most
    while chosen > 1 and faster(chosen // 2, chosen):
        chosen //= 2
    if chosen < most and not faster(chosen, most):
        chosen = most
    use(chosen)
    return chosen


def idle_seconds(stat: str = "/proc/stat") -> float | None:
    """For how long the cores of this process have been idle so far, added up; None where the system does not tell."""
    try:
        with open(stat) as file:
            lines = [line.split() for line in file if line.startswith("cpu")]
        own = {f"cpu{core}" for core in usable()}
        return sum(int(line[4]) for line in lines if line[0] in own) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return None


class SingleSamples:
    """Products for one sample: on as many threads as BLAS likes, but on one for a while after a wait for the others.

    They take microseconds, and the same bits come out. Of several Python threads each may be here: while one of them
    wants one thread, all have one.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.best, self.until, self.wait = clock, math.inf, -math.inf, FIRST

    def __call__(self, work: Callable[..., Any], *args: Any) -> Any:
        """work(*args)."""
        began = self.clock()
        if began < self.until:
            with one_thread():
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


def for_one_sample(be: Backend, f: Callable[..., Any]) -> Callable[..., Any]:
    """f, on one thread for a while after it has waited."""
    return functools.partial(SingleSamples(), f)


_lock, _inside = threading.Lock(), [0, 0]
"""How many wants of one thread there are, and the number of threads from before the first."""


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """BLAS uses one thread within this context. A setting of the process, made and undone in under a microsecond."""
    read, use = setter()
    with _lock:
        _inside[0] += 1
        if _inside[0] == 1:
            _inside[1] = read()
            use(1)
    try:
        yield
    finally:
        with _lock:
            _inside[0] -= 1
            if not _inside[0]:
                use(_inside[1])


@functools.cache
def setter() -> tuple[Callable[[], int], Callable[[int], object]]:
    """What reads and sets the number of threads of NumPy's BLAS; of one that is not OpenBLAS, nothing is set."""
    return thread_setter() or ((lambda: 1), (lambda threads: None))

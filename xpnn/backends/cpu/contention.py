"""Other processes that want the same cores: how BLAS's threads fare beside them, by measuring.

OpenBLAS's threads wait for each other by spinning. Beside two processes that compute, two threads on two cores take
five to ten times as long as one; the reliable sign is the time that the work takes.
"""

import time
from collections.abc import Callable

SECONDS, RUNS = 0.05, 3
"""The least time, some turns of the scheduler, and number of runs for which a number of threads is measured."""
TURNS = 2
"""How often two numbers of threads take turns."""
FEWER = 0.8
"""Fewer threads are chosen where they take less than this share of the time: on a quiet machine they never do."""
SHARE = 0.75
"""The share of their processor time below which threads are waiting for cores that other processes use."""


def fastest(
    most: int,
    use: Callable[[int], None],
    work: Callable[[], object],
    clock: Callable[[], float] = time.perf_counter,
    used: Callable[[], float] = time.process_time,
) -> int:
    """The number of threads with which `work` takes least time at the moment; it is in use afterwards.

    most, or half of it, a quarter, ..., as long as that is faster; and only if it is so twice, in case something else
    was slow for a moment. use(n) sets the number; clock() is in seconds, used() in seconds of processor time.
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

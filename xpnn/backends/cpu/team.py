"""Threads that share compiled steps: the one that asks for a step, and helpers, which sleep when no step comes."""

import os
import threading
import weakref
from collections.abc import Callable

from xpnn.backends.cpu import atomics
from xpnn.backends.cpu.loops import Array, compiled
from xpnn.backends.cpu.predictions import at_most
from xpnn.backends.cpu.step_loops import FUNCTION, IDS, PART, PARTS, PHASE_COUNT, PHASES, SYNC, YIELD, X
from xpnn.backends.cpu.workers import submit

LINE = 8
"""Words of a line of the cache: what different threads write lies as far apart."""
SPINS_BEFORE_YIELD = 1 << 12
"""How often a thread looks whether another one has computed its part, before it offers its core to others."""
SPINS_BEFORE_SLEEP = 1 << 14
"""How often a helper looks for the next step, a fifth of a millisecond or so, before it goes to sleep."""


def words_to_share(phases: int, parts: int) -> int:
    """How many words of a plan the threads need from SYNC on.

    A line for each: the number of the last step that began; how many parts of a phase are done, in all steps; in which
    step a part was taken last.
    """
    return LINE * (1 + phases + parts)


@compiled
def run_phases(plan: Array, workspace: Array, number: int, thread: int) -> None:
    """Step `number`: phase by phase take the parts that nobody has, and wait for those that others have.

    Whoever is late finds nothing left to do.
    """
    sync, phases = plan[SYNC], plan[PHASE_COUNT]
    for p in range(phases):
        first, stop = plan[plan[PHASES] + p], plan[plan[PHASES] + p + 1]
        count, done = stop - first, sync + LINE * (1 + p)
        for j in range(count):
            i = first + (thread + j) % count
            place = sync + LINE * (1 + phases + i)
            taken = atomics.load(plan, place)
            if taken < number and atomics.replace(plan, place, taken, number):
                atomics.call_with(plan[plan[PARTS] + PART * i + FUNCTION], plan, workspace, i, thread)
                atomics.add(plan, done, 1)
        spins = 0
        while atomics.load(plan, done) < number * count:
            spins += 1
            atomics.pause()
            if spins % SPINS_BEFORE_YIELD == 0:
                atomics.call(plan[YIELD])


@compiled
def run_steps(plan: Array, workspace: Array, x: Array, ids: Array, thread: int) -> None:
    """The next step, on x and ids, for thread 0; for others all steps, until none has come for a while."""
    number, spins = atomics.load(plan, plan[SYNC]), 0
    if thread == 0:
        plan[X], plan[IDS] = x.ctypes.data, ids.ctypes.data
        atomics.store(plan, plan[SYNC], number + 1)
        run_phases(plan, workspace, number + 1, thread)
        return
    while spins < SPINS_BEFORE_SLEEP:
        run_phases(plan, workspace, number, thread)
        spins = 0
        while spins < SPINS_BEFORE_SLEEP and atomics.load(plan, plan[SYNC]) == number:
            atomics.pause()
            spins += 1
        number = atomics.load(plan, plan[SYNC])


class Arrays:
    """What a compiled step reads and writes: its plan, and the workspace for what lies between."""

    def __init__(self, plan: Array, workspace: Array) -> None:
        self.plan, self.workspace = plan, workspace


class Team:
    """The helpers of this process. One step at a time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """No helper is awake."""
        self.lock, self.awake = threading.Lock(), set[int]()
        self.arrays: Callable[[], Arrays | None] = lambda: None

    def step(self, arrays: Arrays, x: Array, ids: Array, threads: int) -> None:
        """A step on so many threads, with BLAS on one in each of them."""
        plan, workspace = arrays.plan, arrays.workspace
        if threads == 1:
            run_steps(plan, workspace, x, ids, 0)
            return
        with self.lock, at_most(1):
            self.arrays = weakref.ref(arrays)  # weak: a network that is gone leaves no memory here
            for thread in range(1, threads):
                if thread not in self.awake:
                    self.awake.add(thread)
                    if submit(threads - 1, self.help, thread) is None:
                        self.awake.discard(thread)
            run_steps(plan, workspace, x, ids, 0)

    def help(self, thread: int) -> None:
        """Have a share in the steps of the plan that is in use."""
        last: Arrays | None = None
        try:
            while (now := self.arrays()) is not None and now is not last:
                run_steps(now.plan, now.workspace, now.workspace[:0], now.plan[:0], thread)
                last = now
        finally:
            self.awake.discard(thread)


TEAM = Team()
"""Of this process."""


if hasattr(os, "register_at_fork"):  # a child process has no threads but the one that forked
    os.register_at_fork(after_in_child=TEAM.reset)

"""Threads that share compiled steps: the one that asks for a step, and helpers, which sleep when no step comes."""

import os
import threading

from xpnn.backends.cpu import atomics
from xpnn.backends.cpu.loops import Array, compiled
from xpnn.backends.cpu.predictions import at_most
from xpnn.backends.cpu.step_loops import FUNCTION, IDS, PART, PARTS, PHASE_COUNT, PHASES, SYNC, YIELD, X
from xpnn.backends.cpu.workers import pool

LINE = 8
"""Words of a line of the cache: what different threads write lies as far apart."""
PATIENCE = 1 << 12
"""Looks at what another thread is computing, before the core is offered to others."""
SPINS = 1 << 14
"""Looks for the next step, a fifth of a millisecond or so, before a helper goes to sleep."""


def words_to_share(phases: int, parts: int) -> int:
    """How many words of a plan the threads need from SYNC on.

    A line for each: the number of the last step that began; how many parts of a phase are done, in all steps; in which
    step a part was taken last.
    """
    return LINE * (1 + phases + parts)


@compiled
def work(plan: Array, room: Array, number: int, me: int) -> None:
    """Step `number`: phase by phase take the parts that nobody has, and wait for those that others have.

    Whoever is late finds nothing left to do.
    """
    sync, phases = plan[SYNC], plan[PHASE_COUNT]
    for p in range(phases):
        first, stop = plan[plan[PHASES] + p], plan[plan[PHASES] + p + 1]
        count, done = stop - first, sync + LINE * (1 + p)
        for j in range(count):
            i = first + (me + j) % count
            place = sync + LINE * (1 + phases + i)
            taken = atomics.load(plan, place)
            if taken < number and atomics.replace(plan, place, taken, number):
                atomics.call_with(plan[plan[PARTS] + PART * i + FUNCTION], plan, room, i, me)
                atomics.add(plan, done, 1)
        looks = 0
        while atomics.load(plan, done) < number * count:
            looks += 1
            atomics.pause()
            if looks % PATIENCE == 0:
                atomics.call(plan[YIELD])


@compiled
def run(plan: Array, room: Array, x: Array, ids: Array, me: int) -> None:
    """The next step, on x and ids, for me = 0; for others all steps, until none has come for a while."""
    number, looks = atomics.load(plan, plan[SYNC]), 0
    if me == 0:
        plan[X], plan[IDS] = x.ctypes.data, ids.ctypes.data
        atomics.store(plan, plan[SYNC], number + 1)
        work(plan, room, number + 1, me)
        return
    while looks < SPINS:
        work(plan, room, number, me)
        looks = 0
        while looks < SPINS and atomics.load(plan, plan[SYNC]) == number:
            atomics.pause()
            looks += 1
        number = atomics.load(plan, plan[SYNC])


class Team:
    """The helpers of this process. One step at a time."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """No helper is awake."""
        self.lock, self.awake = threading.Lock(), set[int]()
        self.work: tuple[Array, Array] | None = None

    def step(self, work: tuple[Array, Array], x: Array, ids: Array, threads: int) -> None:
        """A step by this plan in this room, on so many threads, with BLAS on one in each of them."""
        if threads == 1:
            run(*work, x, ids, 0)
            return
        with self.lock, at_most(1):
            self.work = work
            for me in range(1, threads):
                if me not in self.awake:
                    self.awake.add(me)
                    pool(threads - 1).submit(self.help, me)
            run(*work, x, ids, 0)

    def help(self, me: int) -> None:
        """Have a share in the steps of the plan that is in use."""
        work = None
        try:
            while work is not self.work and self.work is not None:
                plan, room = work = self.work
                run(plan, room, room[:0], plan[:0], me)
        finally:
            self.awake.discard(me)


TEAM = Team()
"""Of this process."""


if hasattr(os, "register_at_fork"):  # a child process has no threads but the one that forked
    os.register_at_fork(after_in_child=TEAM.reset)

"""How many threads BLAS uses: no more than the cores of this process, and fewer while other processes need them.

OpenBLAS's threads wait for each other by spinning: a thread without a core of its own delays all the others, and a
container that has used up its quota of processor time stops them all.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from xpnn.backends.cpu.contention import SHARE
from xpnn.system import cores, idle_seconds

BLOCK, BLOCK_SECONDS = 8, 0.2
"""Steps that are timed together, and the least time: some turns of the scheduler, which decides about single steps."""
GAIN, SLOW = 0.9, 1.5
"""A trial is kept below the first share of the time before; above the second one of the best time a trial begins."""
FIRST, LAST = 2.0, 64.0
"""Seconds between two trials: at first, and at most; they double with each trial that gains nothing."""


def usable_threads() -> int:
    """The cores that affinity and the container's quota leave to this process, at least 1."""
    limit = quota()
    return cores() if limit is None else max(1, min(cores(), math.floor(limit)))


def quota(groups: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup") -> float | None:
    """The processor time that Linux's control groups allow this process, in cores; None without a limit.

    The smallest limit of the process's group and of all groups above it, in version 2 (cpu.max) and 1
    (cpu.cfs_quota_us). Inside a container the path of the group may not exist: then that of the root counts.
    """
    found = []
    for line in _text(Path(groups)).splitlines():
        _, controllers, path = line.split(":", 2)
        kinds = controllers.split(",")
        if controllers and "cpu" not in kinds:
            continue
        bases = [Path(root)] if not controllers else [Path(root, controllers), Path(root, "cpu")]
        above = [PurePosixPath(path), *PurePosixPath(path).parents]
        found += [_limit(base / str(group).lstrip("/")) for base in bases for group in above]
    return min((limit for limit in found if limit is not None), default=None)


def _limit(folder: Path) -> float | None:
    words = _text(folder / "cpu.max").split()
    words = words or [_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdecimal() for word in words) or int(words[1]) == 0:
        return None  # "max", -1, or no such file
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


@contextlib.contextmanager
def blas_threads(n: int) -> Iterator[Callable[[int], None]]:
    """BLAS uses n threads within this context, or as many as the function is given that it returns.

    A setting of the whole process; afterwards the numbers of before are restored.
    """
    from threadpoolctl import ThreadpoolController  # looks at every library that is loaded

    pools = ThreadpoolController().select(user_api="blas").lib_controllers
    before = [pool.get_num_threads() for pool in pools]

    def use(threads: int) -> None:
        for pool in pools:
            pool.set_num_threads(threads)

    use(n)
    try:
        yield use
    finally:
        for pool, threads in zip(pools, before, strict=True):
            pool.set_num_threads(threads)


class AdaptiveThreads:
    """Finds the number of threads with which steps take least time, by trying half and twice as many now and then.

    most: the number to begin with, and the largest. use(n) sets the number; clock() is in seconds, used() in seconds of
    processor time of this process, idle() in idle seconds of its cores, or None. Half as many are tried at once where
    the threads do not get their cores, or steps take SLOW times as long as their best, and from time to time; twice
    as many from time to time, while cores are idle. What is tried is kept where it gains.
    """

    def __init__(
        self,
        most: int,
        use: Callable[[int], None],
        clock: Callable[[], float] = time.perf_counter,
        used: Callable[[], float] = time.process_time,
        idle: Callable[[], float | None] = idle_seconds,
    ) -> None:
        self.threads = self.most = most
        self.use, self.clock, self.used, self.idle = use, clock, used, idle
        self.best: dict[int, float] = {}
        self.mean, self.wait, self.due, self.after_trial = math.inf, FIRST, clock() + FIRST, -math.inf
        self.before_trial: int | None = None
        self.upwards = False
        self.pause()

    def pause(self) -> None:
        """Leave out the time until the next step: something else is computed."""
        self.steps = -1
        self.began: tuple[float, float, float | None] = (0.0, 0.0, None)

    def step(self) -> None:
        """A step has ended."""
        now = self.clock()
        self.steps += 1
        if self.steps == 0:
            self.began = now, self.used(), self.idle()
            return
        took = now - self.began[0]
        if took < BLOCK_SECONDS:
            return
        got = self.used() - self.began[1]
        crowded = got < SHARE * self.threads * took and self.threads > 1
        if self.steps < BLOCK and not crowded:
            return
        idle = self.idle()
        free = math.inf if idle is None or self.began[2] is None else (idle - self.began[2]) / took
        self._judge(took / self.steps, now, crowded, free)
        self.steps, self.began = 0, (self.clock(), self.used(), self.idle())

    def _judge(self, mean: float, now: float, crowded: bool, free: float) -> None:
        """Decide what the mean time of the last steps means. free: how many cores were idle."""
        if self.before_trial is not None:
            gained = mean < GAIN * self.mean
            self.wait = FIRST if gained else min(2 * self.wait, LAST)
            if not gained:
                self._set(self.before_trial)
            self.mean = mean if gained else self.mean
            self.before_trial, self.after_trial, self.due = None, now, now + self.wait
            return
        slow = crowded or mean > SLOW * self.best.get(self.threads, math.inf)
        self.mean = mean
        self.best[self.threads] = min(mean, self.best.get(self.threads, math.inf))
        more = min(2 * self.threads, self.most)
        if self.threads < self.most and free < SHARE * (more - self.threads):  # no room: wait for it
            self.wait, self.due = FIRST, max(self.due, self.after_trial + FIRST)
            more = self.threads
        if self.most > 1 and (now >= self.due or (slow and now >= self.after_trial + FIRST)):
            self.upwards = self.threads == 1 or (self.threads < self.most and not slow and not self.upwards)
            if self.upwards and more == self.threads:
                return
            self.before_trial = self.threads
            self._set(more if self.upwards else self.threads // 2)

    def _set(self, threads: int) -> None:
        self.threads = threads
        self.use(threads)

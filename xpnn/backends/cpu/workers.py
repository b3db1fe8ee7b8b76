"""Work cut into parts, on as many threads as BLAS would use: they sleep where OpenBLAS's would spin."""

import contextvars
import functools
import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from xpnn.backends.cpu.predictions import at_most, setter

Part = TypeVar("Part")
Result = TypeVar("Result")
NAME = "xpnn-work"
"""What the names of helpers begin with."""


def each(work: Callable[[Part], Result], parts: Sequence[Part], most: int | None = None) -> list[Result]:
    """[work(part) for part in parts], each part by whichever thread is free, and its products on one thread.

    What is made of a part does not depend on the thread: the results are the same for any number of threads. most: on
    no more threads than that.
    """
    threads = min(workers() if most is None else most, len(parts))
    if threads < 2:
        return [work(part) for part in parts]
    left, found = deque(enumerate(parts)), {}

    def take() -> None:
        while True:
            try:
                i, part = left.popleft()
            except IndexError:
                return
            found[i] = work(part)

    with at_most(1):
        asked = [submit(threads - 1, contextvars.copy_context().run, take) for _ in range(threads - 1)]
        helpers = [helper for helper in asked if helper is not None]
        try:
            take()
        finally:
            left.clear()
            for helper in helpers:
                if not helper.cancel():
                    helper.result()
    return [found[i] for i in range(len(parts))]


def submit(threads: int, work: Callable[..., Any], *args: Any) -> Future[Any] | None:
    """Have one of so many helpers do it; None where there are none any more, as the interpreter is about to end."""
    try:
        return pool(threads).submit(work, *args)
    except RuntimeError:
        return None


def workers() -> int:
    """How many threads `each` has work on many parts."""
    return setter()[0]()


def slices(n: int, least: int) -> list[slice]:
    """Slices of n, as many as there are threads, and none shorter than `least`: for `each`."""
    count = max(1, min(workers(), n // least))
    ends = [n * k // count for k in range(count + 1)]
    return [slice(*pair) for pair in itertools.pairwise(ends)]


@functools.cache
def pool(threads: int) -> ThreadPoolExecutor:
    """The helpers, kept for the next work."""
    return ThreadPoolExecutor(threads, NAME)


if hasattr(os, "register_at_fork"):  # a child process has no threads but the one that forked
    os.register_at_fork(after_in_child=pool.cache_clear)

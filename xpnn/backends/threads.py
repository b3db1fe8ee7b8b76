"""Threads for work that NumPy does outside the interpreter's lock."""

import contextvars
import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

FEWEST = 4
"""Below this many pieces, handing them out costs more than it gains."""


def in_threads(work: Callable[[int], None], pieces: Sequence[int]) -> None:
    """work(piece) for every piece, on all processors when there are many; NumPy's error settings go along."""
    if len(pieces) < FEWEST or processors() == 1:
        for piece in pieces:
            work(piece)
        return
    tasks = [_pool().submit(contextvars.copy_context().run, work, piece) for piece in pieces]
    for task in tasks:
        task.result()


def processors() -> int:
    """Those this process may use, at most 8: a flat update is bound by memory, not by arithmetic."""
    affinity = getattr(os, "sched_getaffinity", None)
    return min(8, len(affinity(0)) if affinity else os.cpu_count() or 1)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(processors(), thread_name_prefix="xpnn")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork

"""Ranks that are threads of one process: what they compute is that of processes, and they start at no cost."""

import threading

import numpy as np

from xpnn.distributed import Communicator


class ThreadCommunicator(Communicator):
    """One of `size` threads, which meet at a barrier for every sum. A rank that fails lets the others fail too."""

    engine = "threads"

    def __init__(self, rank, size, barrier, shelf):
        self.rank, self.size, self.barrier, self.shelf = rank, size, barrier, shelf

    def collect(self, a):
        self.shelf[self.rank] = a
        self.barrier.wait()
        every = np.stack([self.shelf[rank] for rank in range(self.size)])
        self.barrier.wait()
        return every

    def add(self, a):
        a[...] = self.collect(a).sum(axis=0)

    def broadcast(self, a, root=0):
        a[...] = self.collect(a)[root]

    def exchange(self, a):
        return self.collect(a)[:, self.rank].copy()


def by_threads(size, f, deadline=60):
    """[f(group) of rank 0, of rank 1, ...]. Where a rank waits longer than the deadline, the error says for which."""
    barrier, shelf, results, errors = threading.Barrier(size, timeout=deadline), {}, {}, {}

    def rank(number):
        try:
            results[number] = f(ThreadCommunicator(number, size, barrier, shelf))
        except BaseException as error:
            errors[number] = error
            barrier.abort()

    threads = [threading.Thread(target=rank, args=(number,), daemon=True) for number in range(size)]
    for thread in threads:
        thread.start()
    for number, thread in enumerate(threads):
        thread.join(5 * deadline)
        assert not thread.is_alive(), f"rank {number} does not end"
    causes = {n: e for n, e in errors.items() if not isinstance(e, threading.BrokenBarrierError)}
    assert causes or not errors, (
        f"ranks {sorted(errors)} waited {deadline} s for {set(range(size)) - set(errors)}"
    )
    for error in causes.values():
        raise error
    return [results[number] for number in range(size)]

"""`mpiexec -n N python -m benchmarks.ranks`: what several processes cost and save, for docs/cluster.md.

    constants   alpha and beta of MPI on this machine: time of a sum = log2 N (alpha + S / beta), S in bytes
    steps       a training step of two networks, by one process and by N that share its batch of 128; by one
                process also how many the formula says are worth while on faster networks
    simulation  processes that sleep in place of computing, and whose messages are held back as on a slower network:
                the time of a step beside T(N) = T1 / N + T_fixed + min(ring, tree)

Each is the best of several rounds: other work on the machine only adds.
"""

import math
import sys
import time
from collections.abc import Callable

import numpy as np

from xpnn.distributed import Communicator, connect

ROUNDS = 5
NETWORKS = {
    "10 Gbit": (30e-6, 1.25e9),
    "100 Gbit": (5e-6, 12.5e9),
    "400 Gbit": (3e-6, 50e9),
    "NVLink": (5e-6, 300e9),
}
"""Latency of a message in seconds and bytes a second: by the names of the links, not measured."""
NETS = (("784-512-256-10", (512, 256), 535_818), ("784-4096-4096-1024-10", (4096, 4096, 1024), 24_202_250))
"""The network of `xpnn train`, and one of 24 million weights."""


def best(f: Callable[[], None], group: Communicator, times: int) -> float:
    """Seconds of one call, the least of the rounds, of the slowest rank."""
    found = []
    for _ in range(ROUNDS):
        group.any(False)
        began = time.perf_counter()
        for _ in range(times):
            f()
        found.append(max(group.each(time.perf_counter() - began)) / times)
    return min(found)


def constants(group: Communicator) -> tuple[float, float]:
    """alpha from a sum of 8 bytes, beta from one of 8 MB."""
    small, large = np.zeros(1), np.zeros(1 << 20)
    rounds = math.log2(group.size)
    alpha = best(lambda: group.add(small), group, 200) / rounds
    whole = best(lambda: group.add(large), group, 5) / rounds
    return alpha, large.nbytes / max(whole - alpha, 1e-12)


def step_seconds(
    group: Communicator | None, clock: Communicator, widths: tuple[int, ...], times: int
) -> float:
    """One step of a network of these hidden layers, with Adam on a batch of 128 pictures of MNIST's size."""
    import xpnn
    from xpnn.training import Trainer

    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((128, 784)).astype(np.float32), rng.integers(0, 10, 128)
    hidden = [layer for width in widths for layer in (xpnn.Dense(width), xpnn.ReLU())]
    model = xpnn.Model([*hidden, xpnn.Dense(10)], (784,), seed=0)
    trainer = Trainer(model, communicator=group)
    return best(lambda: trainer.step(x, y) and None, clock, times)


def formula(t1: float, fixed: float, n: int, size: float, alpha: float, beta: float) -> float:
    """T(N), in seconds."""
    if n == 1:
        return t1 + fixed
    ring = 2 * (n - 1) * (alpha + size / n / beta)
    tree = math.ceil(math.log2(n)) * (alpha + size / beta)
    return t1 / n + fixed + min(ring, tree)


def simulated(group: Communicator, t1: float, fixed: float, size: float, alpha: float, beta: float) -> float:
    """The same by processes that wait: each message is sent when it would have arrived."""
    n, rank, comm = group.size, group.rank, group.comm  # type: ignore[attr-defined]
    token, got = np.zeros(1), np.zeros(1)
    ring = 2 * (n - 1) * (alpha + size / n / beta)
    tree = math.ceil(math.log2(n)) * (alpha + size / beta)

    def step() -> None:
        time.sleep(t1 / n + fixed)
        if ring < tree:
            for _ in range(2 * (n - 1)):
                time.sleep(alpha + size / n / beta)
                comm.Sendrecv(token, (rank + 1) % n, 0, got, (rank - 1) % n, 0)
        else:
            for k in range(math.ceil(math.log2(n))):
                time.sleep(alpha + size / beta)
                comm.Sendrecv(token, (rank + 2**k) % n, 0, got, (rank - 2**k) % n, 0)

    return best(step, group, 1)


def main() -> None:
    group = connect("mpi")
    say = print if group.rank == 0 else lambda *_: None
    n = group.size
    if "simulation" not in sys.argv:
        if n > 1:
            alpha, beta = constants(group)
            say(f"{n} processes: alpha {alpha * 1e6:.1f} us, beta {beta / 1e9:.2f} GB/s")
        for (name, widths, weights), times in zip(NETS, (20, 1), strict=True):
            t = step_seconds(group if n > 1 else None, group, widths, times)
            say(f"{name}, batch 128: a step in {1e3 * t:.2f} ms by {n} processes")
            if n == 1:
                for link, (alpha, beta) in NETWORKS.items():
                    times_of = [formula(t, 0.0, m, 4.0 * weights, alpha, beta) for m in range(1, 1025)]
                    m = times_of.index(min(times_of)) + 1
                    halves = max(k for k in range(1, 1025) if t / times_of[k - 1] >= k / 2)
                    say(
                        f"  {link}: least {1e3 * min(times_of):.2f} ms at N = {m}; half of the ideal up to N = {halves}"
                    )
    for name, t1, size, (alpha, beta) in (
        ("25 million weights, 10 Gbit", 3.2, 1e8, NETWORKS["10 Gbit"]),
        ("25 million weights, 1 Gbit", 3.2, 1e8, (1e-4, 1.25e8)),
        ("small network, high latency", 1.6, 1e5, (2e-2, 1e9)),
    ):
        wanted, found = formula(t1, 0.01, n, size, alpha, beta), simulated(group, t1, 0.01, size, alpha, beta)
        say(f"{name}: formula {wanted:.3f} s, simulation {found:.3f} s, {100 * (found / wanted - 1):+.1f} %")


if __name__ == "__main__":
    main()

"""Where a step's time goes: the share of each kernel, and what is left for everything between them."""

import functools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from benchmarks.libraries import CONTENDERS, OURS
from benchmarks.nets import CNN, LSTM, NARROW, WIDE, Cell

TITLE = "Where a step's time goes"
CELLS = [Cell(f"{net.name}/adam/{batch}", net, batch) for net in (NARROW, WIDE) for batch in (32, 128, 1024)]
CELLS += [Cell("cnn/adam/128", CNN, 128), Cell("lstm/adam/128", LSTM, 128)]
GOALS = ()
SECONDS = 0.5


def measure(rounds: int, absent: dict[str, str]) -> Iterator[dict[str, Any]]:
    """{"shares": {ours: {kernel: its share of the step}}}, each measured in a process of its own."""
    for cell in CELLS:
        shares = {}
        for name in (name for name in OURS if name not in absent):
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                shares[name] = pool.submit(profiled, name, cell).result()
        yield {"family": "profile", "cell": cell.name, "shares": shares, "seconds": {}, "failed": {}}


def profiled(name: str, cell: Cell) -> dict[str, float]:
    """Of one of ours, over as many steps as fill SECONDS."""
    os.environ.update(CONTENDERS[name].environment)
    import xpnn
    from benchmarks.libraries import ours
    from xpnn.kernels import Kernels

    backend, spent = xpnn.get_backend("numpy"), Counter[str]()
    # A planned step has its kernels in hand; the step that it stands for asks the backend for the same ones.
    backend.planned = lambda step, chain: step
    run = ours.train(cell)
    run(5)
    for kernel in set(dir(Kernels)) - {"cond"}:  # which only calls the update
        if callable(getattr(Kernels, kernel)) and not kernel.startswith("_"):
            setattr(backend, kernel, clocked(getattr(backend, kernel), kernel, spent))
    run(2)
    spent.clear()
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        run(1)
    total = time.perf_counter() - began
    return {kernel: seconds / total for kernel, seconds in spent.most_common()}


def clocked(kernel: Callable[..., Any], name: str, spent: Counter[str]) -> Callable[..., Any]:
    """The kernel, its time counted unless another one called it."""

    @functools.wraps(kernel)
    def timed(*args: Any, **settings: Any) -> Any:
        if spent["inside"]:
            return kernel(*args, **settings)
        spent["inside"] = 1
        began = time.perf_counter()
        try:
            return kernel(*args, **settings)
        finally:
            spent[name] += time.perf_counter() - began
            del spent["inside"]

    return timed

"""Which operations a captured graph may hold on this machine, and whether its stream works after a refusal.

Each is captured on a stream of its own with a memory pool of its own, its inputs are changed, and the graph must give
what the operation gives eagerly.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.device import DOUBLE, apart, capture
from benchmarks.gpu.site import Site, first_line

Operation = Callable[[], Any]
LEGAL, ILLEGAL, BROKEN = "legal", "refused", "broken"


def run(place: Site, note: Callable[..., None]) -> None:
    cp, be = place.cupy(), xpnn.get_backend(place.backend)
    x = cp.asarray(np.random.default_rng(0).standard_normal((257, 33)).astype(np.float32))
    for name, (expected, operation) in operations(cp, be, x).items():
        try:
            verdict, why = probe(cp, x, operation)
        except Exception as error:  # not even eagerly, or the stream was lost
            verdict, why = BROKEN, first_line(error)
        good = verdict == expected or (expected == ILLEGAL and verdict != BROKEN)
        note(name=name, ok=good or place.rehearsal, verdict=verdict, expected=expected, why=why)


def operations(cp: Any, be: Any, x: Any) -> dict[str, tuple[str, Operation]]:
    """{name: (what is expected, operation)}. The first group is what a training step is made of."""
    n, width = x.shape
    ids = cp.asarray(np.arange(n)[::-1].copy())
    columns = cp.asarray(np.arange(n)[:, None] % width)
    row, y = cp.ones((width,), dtype="float32"), cp.empty_like(x)
    twice = cp.RawKernel(DOUBLE, "twice")
    add = cp.ElementwiseKernel("float32 x", "float32 y", "y = 2 * x", "twice_of")

    def raw() -> Any:
        twice((-(-x.size // 256),), (256,), (x, y, np.int64(x.size)))
        return y

    def written() -> Any:
        y[...] = x
        return y

    legal = {
        "ufunc": lambda: x + x,
        "ufunc with a row": lambda: x * row,
        "maximum with a number": lambda: cp.maximum(x, 0),
        "exp, sqrt": lambda: cp.sqrt(cp.exp(x)),
        "sum": lambda: cp.sum(x),
        "sum axis 0": lambda: cp.sum(x, axis=0),
        "sum axis 1": lambda: cp.sum(x, axis=1),
        "max axis 1": lambda: cp.max(x, axis=1),
        "argmax axis 1": lambda: cp.argmax(x, axis=1),
        "all of isfinite": lambda: cp.all(cp.isfinite(x)),
        "take": lambda: cp.take(x, ids, axis=0),
        "setitem": written,
        "astype": lambda: x.astype("float64"),
        "concat": lambda: cp.concatenate([x, x], axis=0),
        "where": lambda: cp.where(x > 0, x, row),
        "transposed copy": lambda: cp.ascontiguousarray(x.T),
        "arange": lambda: cp.arange(7) + cp.astype(cp.sum(x > 0), "int64"),
        "matmul of xpnn": lambda: be.matmul(x, x.T),
        "column_sums of xpnn": lambda: be.column_sums(x),
        "stack of twelve of xpnn": lambda: be.xp.stack([x] * 12, axis=1),
        "sign of xpnn": lambda: be.xp.sign(x),
        "normal_cdf of xpnn": lambda: be.normal_cdf(x),
        "take_along_axis": lambda: be.xp.take_along_axis(x, columns, axis=1),
        "roll": lambda: cp.roll(x, -1, axis=0),
        "RawKernel": raw,
        "ElementwiseKernel": lambda: add(x, y),
    }
    illegal = {
        "matmul": lambda: x @ x.T,
        "random": lambda: cp.random.standard_normal(5, dtype="float32") if cp.__name__ == "cupy" else x,
        "float()": lambda: float(cp.sum(x)),
        "copy from the host": lambda: cp.asarray(np.ones(3, np.float32)),
    }
    named = {LEGAL: legal, ILLEGAL: illegal}
    return {name: (expected, op) for expected, ops in named.items() for name, op in ops.items()}


def probe(cp: Any, x: Any, operation: Operation) -> tuple[str, str]:
    """(verdict, why). Raises what the operation raises eagerly, or what a stream that is lost raises."""
    with apart(cp) as stream:
        operation()
        stream.synchronize()
        try:
            graph, out = capture(stream, operation)
        except Exception as error:
            refusal = first_line(error)
            still_works(cp, stream, x)
            return ILLEGAL, refusal
        x *= -0.5
        graph.launch(stream)
        stream.synchronize()
        got = cp.asnumpy(out).copy()  # an operation may write to the same array again
        same = np.array_equal(got, cp.asnumpy(operation()), equal_nan=True)
        still_works(cp, stream, x)
    return (LEGAL, "") if same else ("other values", "the graph gave other values than the operation")


def still_works(cp: Any, stream: Any, x: Any) -> None:
    """After a refusal the stream computes and captures again."""
    if stream.is_capturing():
        raise RuntimeError("the stream is still capturing")
    stream.synchronize()
    graph, out = capture(stream, lambda: x + x)
    graph.launch(stream)
    stream.synchronize()
    if cp.__name__ == "cupy" and not np.array_equal(cp.asnumpy(out), cp.asnumpy(x + x)):
        raise RuntimeError("the stream gives wrong values after a refusal")

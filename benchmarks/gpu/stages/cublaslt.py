"""The networks' matrix products by our own cuBLASLt handle: error, time, and whether its first choice is the best.

A product of x W + b with ReLU that the library does not know is a finding, a bare one that it does not know a failure.
"""

import ctypes
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.device import by_events, capture
from benchmarks.gpu.nets import NETS, PRECISIONS
from benchmarks.gpu.place import Place, first_line

ERROR = {"fp32": 1e-5, "tf32": 2e-3, "bf16": 2e-2}
"""|got - wanted| / |wanted| in the 2-norm, against float64: rounding of the operands to 23, 10 and 7 bits."""
WHERE = (("784-128-10", 128), ("784-1024-1024-10", 128), ("784-1024-1024-10", 8192))
ALGORITHMS = 8
"""That are tried for each product."""
NODES = 20
"""Products in the graph whose time is taken."""


@dataclass(frozen=True)
class Case:
    """kind: "relu" (x W + b, cut off at 0), "bias", "dW" (x^T dz) or "dx" (dz W^T), of rows x (n, k) and W (k, m)."""

    kind: str
    n: int
    k: int
    m: int

    def operands(self, rng: Any) -> tuple[Any, Any, Any]:
        """The two matrices as they lie in memory, transposed views where the step has them, and the bias or None."""
        x, W, dz, b = (
            rng.standard_normal(shape, np.float32)
            for shape in ((self.n, self.k), (self.k, self.m), (self.n, self.m), (self.m,))
        )
        return {"relu": (x, W, b), "bias": (x, W, b), "dW": (x.T, dz, None), "dx": (dz, W.T, None)}[self.kind]


def cases(net: str, batch: int) -> Iterator[Case]:
    """The products of a training step."""
    weights = NETS[net].weights
    for number, (k, m) in enumerate(weights):
        yield Case("relu" if number < len(weights) - 1 else "bias", batch, k, m)
        yield Case("dW", batch, k, m)
        if number:
            yield Case("dx", batch, k, m)


def run(place: Place, note: Callable[..., None]) -> None:
    cp = place.cupy()
    wanted = dict.fromkeys(c for where in place.pick(WHERE, (("12-8-3", 5),)) for c in cases(*where))
    for precision in PRECISIONS:
        try:
            products = products_of(place, precision)
        except Exception as error:
            note(name=f"products {precision}", ok=False, why=first_line(error))
            continue
        for case in wanted:
            about = {"name": f"{case.kind} {case.n}x{case.k}x{case.m} {precision}"}
            try:
                note(**about, **measure(cp, products, case, precision))
            except Exception as error:
                note(**about, ok=False, why=first_line(error))


def products_of(place: Place, precision: str) -> Any:
    """What the backend multiplies with."""
    if place.rehearsal:
        return place.cupy().Products()
    backend: Any = xpnn.get_backend("cupy", None, "float32", precision)
    with backend.scope():
        return backend.products


def measure(cp: Any, products: Any, case: Case, precision: str) -> dict[str, Any]:
    """A row: error, microseconds in a graph, those of every algorithm the library names."""
    a, b, bias = case.operands(np.random.default_rng(case.n + case.k + case.m))
    wanted = a.astype(np.float64) @ b.astype(np.float64) + (0.0 if bias is None else bias)
    wanted = np.maximum(wanted, 0) if case.kind == "relu" else wanted
    a, b = on_device(cp, a), on_device(cp, b)
    more: dict[str, Any] = {} if bias is None else {"bias": cp.asarray(bias), "relu": case.kind == "relu"}
    before = set(products.plans)
    got = products(a, b, **more)
    if got is None:
        return {"ok": None if more else False, "why": "the library knows no algorithm"}
    error = float(np.linalg.norm(cp.asnumpy(got) - wanted) / np.linalg.norm(wanted))
    row = {
        "ok": error <= ERROR[precision],
        "error": error,
        "us": in_graph(cp, lambda: products(a, b, **more)),
    }
    new = [plan for key, plan in products.plans.items() if key not in before]
    return row | (tried(cp, new[0], lambda: products(a, b, **more)) if new else {})


def on_device(cp: Any, a: np.ndarray) -> Any:
    """There, lying as it does here."""
    return cp.asarray(a.T).T if a.flags.f_contiguous and not a.flags.c_contiguous else cp.asarray(a)


def in_graph(cp: Any, call: Callable[[], Any]) -> float:
    """Microseconds of one product among NODES in a graph, one behind the other."""
    stream, pool = cp.cuda.Stream(non_blocking=True), cp.cuda.MemoryPool()
    cp.cuda.get_current_stream().synchronize()
    with stream, cp.cuda.using_allocator(pool.malloc):
        call()
        stream.synchronize()
        graph, _ = capture(stream, lambda: [call() for _ in range(NODES)])
        seconds = by_events(cp, lambda: graph.launch(stream), 3)
        stream.synchronize()
    return 1e6 * statistics.median(seconds) / NODES


def tried(cp: Any, plan: Any, call: Callable[[], Any]) -> dict[str, Any]:
    """Microseconds of every algorithm that the library names for a plan, in its order."""
    chosen, times = plan.algorithm, []
    try:
        for algorithm in algorithms(plan):
            plan.algorithm = algorithm
            times.append(in_graph(cp, call))
    finally:
        plan.algorithm = chosen
    return {"algorithms_us": times, "first_over_best": times[0] / min(times) if times else 1.0}


def algorithms(plan: Any) -> list[Any]:
    """The first ALGORITHMS of the library's choice."""
    from xpnn.backends.cublaslt import MAX_WORKSPACE, WORKSPACE, Algorithm

    lt, found, count = plan.lt, (Algorithm * ALGORITHMS)(), ctypes.c_int(0)
    wanted = lt.create("MatmulPreference")
    lt.set("MatmulPreference", wanted, MAX_WORKSPACE, ctypes.c_uint64(WORKSPACE))
    layouts = (plan.first, plan.second, plan.result, plan.result)
    given = (plan.handle, plan.work, *layouts, wanted, ALGORITHMS, found, ctypes.byref(count))
    lt.call("MatmulAlgoGetHeuristic", *given)
    return [one for one in found[: count.value] if one.state == 0]

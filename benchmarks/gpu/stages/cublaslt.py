"""The networks' matrix products by our own cuBLASLt handle: error, time, and whether its first choice is the best.

A product with an epilogue that the library does not know is a finding, a bare one that it does not know a failure.
"""

import ctypes
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.device import apart, by_events, capture
from benchmarks.gpu.nets import NETS, PRECISIONS
from benchmarks.gpu.site import Site, first_line
from benchmarks.gpu.stages.kernels import distance
from xpnn.backends.cuda.cublaslt import MAX_WORKSPACE, WORKSPACE, Algorithm

ERROR = {"fp32": 1e-5, "tf32": 2e-3, "bf16": 2e-2}
"""|got - wanted| / |wanted| in the 2-norm, against float64: rounding of the operands to 23, 10 and 7 bits."""
WHERE = (("784-128-10", 128), ("784-1024-1024-10", 128), ("784-1024-1024-10", 8192))
ALGORITHMS = 8
"""That are tried for each product."""
NODES = 20
"""Products in the graph whose time is taken."""


@dataclass(frozen=True)
class Case:
    """One of CALLS, of x (n, k) and W (k, m)."""

    kernel: str
    n: int
    k: int
    m: int

    def on(self, be: Any) -> Callable[[], Any]:
        """The call, with operands on that backend."""
        rng = np.random.default_rng((self.n, self.k, self.m))
        shapes = (self.n, self.k), (self.k, self.m), (self.m,), (self.n, self.m)
        x, W, b, dy = (be.asarray(rng.standard_normal(shape, np.float32), be.dtype) for shape in shapes)
        return CALLS[self.kernel](be, x, W, b, dy)


def through_relu(be: Any, x: Any, W: Any, b: Any, dy: Any) -> Callable[[], Any]:
    """All three gradients where x is what a ReLU gave, whose mask a product with the identity leaves."""
    ones, zeros = (be.asarray(a, be.dtype) for a in (np.eye(x.shape[1]), np.zeros(x.shape[1])))
    y, relu_mask = be.affine_relu_with_mask(x, ones, zeros)
    return lambda: be.affine_grads(y, W, dy, relu_mask=relu_mask)


CALLS: dict[str, Callable[..., Callable[[], Any]]] = {
    "affine": lambda be, x, W, b, dy: lambda: be.affine(x, W, b),
    "affine_relu": lambda be, x, W, b, dy: lambda: be.affine_relu(x, W, b),
    "affine_relu_with_mask": lambda be, x, W, b, dy: lambda: be.affine_relu_with_mask(x, W, b)[0],
    "affine_grads": lambda be, x, W, b, dy: lambda: be.affine_grads(x, W, dy, need_dx=False)[1:],
    "matmul": lambda be, x, W, b, dy: lambda: be.matmul(dy, W.T),
    "affine_grads through ReLU": through_relu,
}
"""Of the last the products of the two before are known by then, so that only its own is looked at."""


def cases(net: str, batch: int) -> Iterator[Case]:
    """The products of a training step, in the order of CALLS."""
    weights = NETS[net].weights
    for number, (k, m) in enumerate(weights):
        hidden = ("affine_relu", "affine_relu_with_mask") if number < len(weights) - 1 else ("affine",)
        for kernel in (*hidden, "affine_grads", *(("matmul", "affine_grads through ReLU") if number else ())):
            yield Case(kernel, batch, k, m)


def run(place: Site, note: Callable[..., None]) -> None:
    cp = place.cupy()
    wanted = dict.fromkeys(c for where in place.pick(WHERE, (("12-8-3", 5),)) for c in cases(*where))
    for precision in place.pick(PRECISIONS, ("fp32",)):
        for case in wanted:
            name = f"{case.kernel} {case.n}x{case.k}x{case.m} {precision}"
            try:
                be = xpnn.get_backend(place.backend, None, "float32", precision)
                with be.device_context():
                    note(name=name, **measure(cp, be, case, precision))
            except Exception as error:
                note(name=name, ok=False, why=first_line(error))


def measure(cp: Any, be: Any, case: Case, precision: str) -> dict[str, Any]:
    """A row: error, microseconds in a graph, those of every algorithm that the library names."""
    wanted = arrays(case.on(xpnn.get_backend("numpy", None, "float64"))())
    call, before = case.on(be), set(plans_of(be))
    error = max(distance(be.to_numpy(a), b) for a, b in zip(arrays(call()), wanted, strict=True))
    row = {"ok": error <= ERROR[precision], "error": error, "us": in_graph(cp, call)}
    new = [plan for key, plan in plans_of(be).items() if key not in before]
    if None in new:
        known = False if case.kernel == "matmul" or not row["ok"] else None
        return row | {"ok": known, "why": "the library knows no algorithm"}
    return row | (tried(cp, new[0], call) if new else {})


def arrays(found: Any) -> tuple[Any, ...]:
    """One or several."""
    return found if isinstance(found, tuple) else (found,)


def plans_of(be: Any) -> dict[Any, Any]:
    """What the backend has planned so far; nothing on the CPU."""
    return getattr(getattr(be, "products", None), "plans", {})


def in_graph(cp: Any, call: Callable[[], Any]) -> float:
    """Microseconds of one product among NODES in a graph, one behind the other."""
    with apart(cp) as stream:
        call()
        stream.synchronize()
        graph = capture(stream, lambda: [call() for _ in range(NODES)])[0]  # what it writes is nobody's
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
    """The first ALGORITHMS of the library's choice that work here."""
    lt, found, count = plan.lt, (Algorithm * ALGORITHMS)(), ctypes.c_int(0)
    wanted = lt.create("MatmulPreference")
    lt.set("MatmulPreference", wanted, MAX_WORKSPACE, ctypes.c_uint64(WORKSPACE))
    layouts = (plan.first, plan.second, plan.result, plan.result)
    given = (plan.handle, plan.work, *layouts, wanted, ALGORITHMS, found, ctypes.byref(count))
    lt.call("MatmulAlgoGetHeuristic", *given)
    return [one for one in found[: count.value] if one.state == 0]

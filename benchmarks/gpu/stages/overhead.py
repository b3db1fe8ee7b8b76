"""What a call costs the host until it returns, and until its work is done; small arrays, so that is all there is."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.device import DOUBLE, capture, on_host
from benchmarks.gpu.site import Site, first_line

CALLS = 200
"""In a row: fewer than a stream queues before it makes the host wait."""
NODES = (1, 10, 100)


def run(place: Site, note: Callable[..., None]) -> None:
    cp = place.cupy()
    wait = cp.cuda.get_current_stream().synchronize
    for name, call in (cupy_calls(cp) | our_calls(place)).items():
        tell(note, name, call, wait)
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        for nodes in NODES:
            try:
                tell(note, f"graph of {nodes}", chain(cp, stream, nodes), stream.synchronize)
            except Exception as error:
                note(name=f"graph of {nodes}", refused=first_line(error))
    try:
        torch_calls(place, note)
    except Exception as error:
        note(name="torch", refused=first_line(error))


def tell(note: Callable[..., None], name: str, call: Callable[[], Any], wait: Callable[[], Any]) -> None:
    """A row, in microseconds."""
    try:
        host, done = on_host(call, wait, CALLS)
        note(name=name, host_us=1e6 * host, done_us=1e6 * done)
    except Exception as error:
        note(name=name, refused=first_line(error))


def cupy_calls(cp: Any) -> dict[str, Callable[[], Any]]:
    """What a step is made of."""
    x = cp.asarray(np.ones((64, 64), np.float32))
    y, ids, n = cp.empty_like(x), cp.asarray(np.arange(64)), np.int64(x.size)
    raw = cp.RawKernel(DOUBLE, "twice")
    element = cp.ElementwiseKernel("float32 x", "float32 y", "y = 2 * x", "twice_of")
    return {
        "cupy add": lambda: x + x,
        "cupy sum": lambda: cp.sum(x, axis=0),
        "cupy matmul": lambda: x @ x,
        "cupy take": lambda: cp.take(x, ids, axis=0),
        "cupy empty": lambda: cp.empty_like(x),
        "RawKernel": lambda: raw((16,), (256,), (x, y, n)),
        "ElementwiseKernel": lambda: element(x, y),
    }


def our_calls(place: Site) -> dict[str, Callable[[], Any]]:
    """The same by xpnn's kernels."""
    be = xpnn.get_backend(place.backend)
    x = be.asarray(np.ones((64, 64), np.float32))
    return {
        "xpnn matmul": lambda: be.matmul(x, x),
        "xpnn affine_relu": lambda: be.affine_relu(x, x, x[0, :]),
        "xpnn column_sums": lambda: be.column_sums(x),
    }


def chain(cp: Any, stream: Any, nodes: int) -> Callable[[], Any]:
    """Launches a graph of that many kernels, each behind the other."""
    x, raw = cp.ones((4096,), dtype="float32"), cp.RawKernel(DOUBLE, "twice")

    def step() -> None:
        for _ in range(nodes):
            raw((16,), (256,), (x, x, np.int64(4096)))

    step()
    stream.synchronize()
    graph, _ = capture(stream, step)

    def launch(array: Any = x) -> None:  # the graph knows its address alone
        graph.launch(stream)

    return launch


def torch_calls(place: Site, note: Callable[..., None]) -> None:
    """The same of PyTorch."""
    torch = importlib.import_module("torch")
    x = torch.ones(64, 64, device=place.pick("cuda", "cpu"))
    wait = place.pick(torch.cuda.synchronize, int)
    for name, call in {"add": lambda: x + x, "sum": lambda: x.sum(0), "mm": lambda: torch.mm(x, x)}.items():
        tell(note, f"torch {name}", call, wait)

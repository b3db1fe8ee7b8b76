"""What this machine is, and the ceilings that the other stages hold their numbers against."""

import contextlib
import importlib
import importlib.metadata
import io
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from benchmarks.gpu.device import by_events, on_host
from benchmarks.gpu.nets import PRECISIONS
from benchmarks.gpu.site import Site, first_line

PACKAGES = ("numpy", "cupy-cuda13x", "cupy-cuda12x", "array-api-compat", "torch", "triton", "jax", "jaxlib")
LIBRARIES = ("cublasLt", "cublas", "nvrtc", "cudnn", "nccl")
QUERY = "name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit"


def run(place: Site, note: Callable[..., None]) -> None:
    facts: dict[str, Callable[[], dict[str, Any]]] = {
        "gpu": lambda: gpu(place),
        "python": lambda: {"version": platform.python_version(), "path": sys.executable},
        "versions": lambda: dict(versions()),
        **{f"lib{name}": lambda name=name: {"path": where(name)} for name in LIBRARIES},  # type: ignore[misc]
        "cupy config": lambda: {"text": config(place.cupy())},
        "copy": lambda: {"TBps": bandwidth(place)},
        **{f"gemm {p}": lambda p=p: {"TFLOPs": rate(place, p)} for p in PRECISIONS},  # type: ignore[misc]
    }
    for name, ask in facts.items():
        try:
            note(name=name, **ask())
        except Exception as error:
            note(name=name, refused=first_line(error))


def gpu(place: Site) -> dict[str, str]:
    """What nvidia-smi says; where it is not there, CuPy; of a rehearsal, that there is none."""
    if place.rehearsal:
        return {"gpu": "none: a rehearsal on the CPU"}
    try:
        command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        words = [word.strip() for word in said.strip().splitlines()[0].split(",")]
        return dict(zip(["gpu", *QUERY.split(",")[1:]], words, strict=True))
    except (OSError, subprocess.CalledProcessError, ValueError):
        runtime = place.cupy().cuda.runtime
        driver = str(runtime.driverGetVersion())
        return {"gpu": runtime.getDeviceProperties(0)["name"].decode(), "driver_version": f"CUDA {driver}"}


def versions() -> list[tuple[str, str]]:
    """Of what is installed."""
    found = []
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append((name, importlib.metadata.version(name)))
    return found


def where(library: str) -> str:
    """The file that CUDA's own pathfinder finds."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        return str(pathfinder.load_nvidia_dynamic_lib(library).abs_path)
    except Exception as error:
        return first_line(error)


def config(cp: Any) -> str:
    """`cupy.show_config()`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        cp.show_config()
    return said.getvalue()


def bandwidth(place: Site) -> float:
    """TB/s of a large copy on the device, bytes read and bytes written."""
    cp = place.cupy()
    a = cp.ones(place.pick(1 << 29, 1 << 10), dtype="float32")
    b = cp.empty_like(a)
    seconds = statistics.median(by_events(cp, lambda: cp.copyto(b, a), 4))
    return 2 * a.nbytes / seconds / 1e12


def rate(place: Site, precision: str) -> float:
    """TFLOP/s of a large matrix product of random numbers, by PyTorch."""
    import torch

    from benchmarks.gpu.contenders.torch_steps import pin

    pin(precision)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    n, device = place.pick(8192, 32), place.pick("cuda", "cpu")
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    wait = place.pick(torch.cuda.synchronize, int)
    seconds = on_host(lambda: torch.mm(a, b, out=out), wait, place.pick(6, 1))[1]
    return 2 * n**3 / seconds / 1e12

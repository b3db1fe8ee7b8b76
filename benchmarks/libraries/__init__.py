"""The contenders: one file per library, in its own idiom.

Each file has some of `train(cell)`, `infer(cell)` and `epoch(cell)`. They give run(steps), which does that many steps
(training steps, forward passes, epochs), waits for the end, and returns the last loss where there is one. All begin
with the same weights and see the same samples.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.nets import Cell

Run = Callable[[int], float | None]
"""Where it has an attribute `unit`, only multiples of that many steps can be done."""


@dataclass(frozen=True)
class Contender:
    """A file of this folder, the package that it needs, settings for its functions, and what its process needs set."""

    file: str
    needs: str = "numpy"
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def build(self, job: str, cell: Cell) -> Run:
        """run(steps) of one job."""
        module = importlib.import_module(f"benchmarks.libraries.{self.file}")
        run: Run = getattr(module, job)(cell, **self.settings)
        return run


def torch(**settings: Any) -> Contender:
    return Contender("pytorch", "torch", settings)


FUSED = {"fused": True}
"""PyTorch's one-kernel optimizers, which it does not use unless asked."""

CONTENDERS = {
    "xpnn": Contender("ours", environment={"XPNN_FAST": "0"}),
    "xpnn-fast": Contender("ours", "numba"),
    "xpnn-adapt": Contender("ours", "numba", {"adapt": True}),
    "gemm": Contender("gemm"),
    "torch": torch(),
    "torch-fused": torch(**FUSED),
    "torch-last": torch(**FUSED, last=True),
    "torch-compile": torch(**FUSED, compiled=True),
    "torch-compile-last": torch(**FUSED, compiled=True, last=True),
    "torch-batched": torch(**FUSED, batched=True),
    "jax": Contender("jax_jit", "jax"),
    "keras": Contender("keras_jax", "keras"),
    "sklearn": Contender("sklearn_mlp", "sklearn"),
}
OURS, FLOOR = ("xpnn", "xpnn-fast"), "gemm"
BEFORE = {name: f"{name}-before" for name in OURS}
"""Of each of ours the contender that is the same in an older revision, for the guard."""
CONTENDERS |= {before: CONTENDERS[name] for name, before in BEFORE.items()}
TITLES = {
    "xpnn": "xpnn on NumPy alone",
    "xpnn-fast": "xpnn with numba (extra `fast`)",
    "xpnn-adapt": "the same with `--threads adapt`",
    "gemm": "the bare matrix products of the step, into given arrays, by the same BLAS: the floor",
    "xpnn-before": "the first in an older revision",
    "xpnn-fast-before": "the second in an older revision",
    "torch": "PyTorch eager",
    "torch-fused": "PyTorch eager, fused optimizer",
    "torch-last": "the same, images channels-last",
    "torch-compile": "torch.compile, fused optimizer",
    "torch-compile-last": "the same, images channels-last",
    "torch-batched": "PyTorch without a DataLoader: whole batches cut out by index, fused optimizer",
    "jax": "JAX jit",
    "keras": "Keras on JAX",
    "sklearn": "scikit-learn's MLPClassifier",
}


def missing(names: list[str]) -> dict[str, str]:
    """{contender: why it cannot take part}."""
    needs = {name: CONTENDERS[name].needs for name in names}
    found = {package: importlib.util.find_spec(package) is not None for package in set(needs.values())}
    return {name: f"{package} is not installed" for name, package in needs.items() if not found[package]}

"""The stages in their order, and the time each may take."""

from dataclasses import dataclass

BUDGET = 540.0
"""Seconds for everything."""
END = 5.0
"""Of these, for the table."""


@dataclass(frozen=True)
class Stage:
    """`box`: the seconds it is sure of. kind: "check" (must pass), "extra" (a check that may be refused), "measure"."""

    name: str
    box: float
    kind: str
    about: str


STAGES = (
    Stage("machine", 25, "measure", "GPU, versions, libraries; bandwidth and rates to hold the rest against"),
    Stage("reductions", 20, "check", "infinities and NaN in CuPy's sums and maxima"),
    Stage("conformance", 90, "check", "the test suite on backend cupy"),
    Stage("kernels", 45, "check", "every override against its reference, outputs poisoned, odd sizes"),
    Stage("capture", 20, "check", "which operations a graph may hold, and the stream after a refusal"),
    Stage("replay", 45, "check", "captured steps against the same kernels run eagerly, bit for bit"),
    Stage("cublaslt", 35, "check", "algorithms, epilogues and errors of the matrix products"),
    Stage("command", 20, "check", "xpnn train, evaluate and predict, each a process"),
    Stage("memory", 10, "check", "what is said, freed and goes on where the memory is full"),
    Stage("overhead", 20, "measure", "what a call costs the host"),
    Stage("steps", 140, "measure", "training steps beside PyTorch, JAX and the roofline"),
    Stage("accuracy", 45, "measure", "time to 97, 98 and 99 % of MNIST"),
    Stage("sanitizer", 20, "extra", "compute-sanitizer on small steps"),
)
"""The suite comes early: its many processes compile CuPy's kernels, and the later stages find them on the disk."""


def limit(stages: tuple[Stage, ...], number: int, left: float) -> float:
    """Seconds that stage `number` may take when `left` remain: all but what the later stages are sure of."""
    return left - sum(stage.box for stage in stages[number + 1 :])

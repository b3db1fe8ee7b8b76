"""How the training step grows with batch, width and depth: xpnn against the floor, for the figure."""

from benchmarks.families.turns import measured
from benchmarks.nets import Cell, mlp

TITLE = "Growth of the training step"
AXES = {
    "batch": ("784-256-256-10", (8, 32, 128, 512, 2048, 8192), lambda n: (mlp(784, 256, 256, 10), n)),
    "width": (
        "784-n-n-10, batch 256",
        (32, 64, 128, 256, 512, 1024, 2048),
        lambda n: (mlp(784, n, n, 10), 256),
    ),
    "depth": ("n layers of 256, batch 256", (1, 2, 4, 8, 16, 32), lambda n: (mlp(784, *n * (256,), 10), 256)),
}
CELLS = [Cell(f"growth/{axis}/{n}", *of(n)) for axis, (_, numbers, of) in AXES.items() for n in numbers]
CONTENDERS = ("xpnn", "xpnn-fast", "gemm")
GOALS = ()
measure = measured("growth", "train", CONTENDERS, CELLS)

"""Training steps of two multilayer perceptrons: 16 cells."""

from benchmarks.families.turns import measured
from benchmarks.goals import Goal, against, share_of_floor
from benchmarks.nets import NARROW, WIDE, Cell

TITLE = "Training steps of multilayer perceptrons"
CELLS = [
    Cell(f"{net.name}/{optimizer}/{batch}", net, batch, optimizer)
    for net in (NARROW, WIDE)
    for optimizer in ("sgd", "adam")
    for batch in (32, 128, 1024, 8192)
]
CONTENDERS = ("xpnn", "xpnn-fast", "gemm", "torch", "torch-fused", "torch-compile", "jax", "keras", "sklearn")
GOALS = (
    Goal("*/32", "PyTorch eager", against("torch"), 1.2),
    *(Goal(f"*/{n}", "PyTorch eager", against("torch"), 1.5) for n in (128, 1024, 8192)),
    Goal("*", "JAX jit", against("jax"), 1.0),
    Goal("*/128", "share of the floor", share_of_floor, 0.6),
    *(Goal(f"*/{n}", "share of the floor", share_of_floor, 0.85) for n in (1024, 8192)),
)
measure = measured("mlp", "train", CONTENDERS, CELLS)

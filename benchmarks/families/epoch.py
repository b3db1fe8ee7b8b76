"""A whole epoch of MNIST as `xpnn train` does it: shuffled batches of bytes, dropout, AdamW, held-out samples."""

from benchmarks.families.turns import measured
from benchmarks.goals import Goal, against
from benchmarks.nets import Cell, mlp

TITLE = "An epoch of MNIST, data and validation included"
CELLS = [Cell("784-512-256-10/epoch/256", mlp(784, 512, 256, 10), 256)]
CONTENDERS = ("xpnn", "xpnn-fast", "gemm", "torch", "torch-batched", "keras")
GOALS = (Goal("*", "PyTorch, a DataLoader", against("torch"), 3.0),)
measure = measured("epoch", "epoch", CONTENDERS, CELLS)

"""The training step of an LSTM, and of a GRU, of 128 units that reads an image in 28 rows."""

from benchmarks.families.turns import measured
from benchmarks.goals import Goal, against
from benchmarks.nets import GRU, LSTM, Cell

TITLE = "Training step of an LSTM and of a GRU"
CELLS = [Cell("lstm/adam/128", LSTM, 128), Cell("gru/adam/128", GRU, 128)]
CONTENDERS = ("xpnn", "xpnn-fast", "gemm", "torch", "torch-fused", "torch-compile", "jax", "keras")
GOALS = (Goal("*", "PyTorch eager", against("torch", "torch-fused"), 1.0),)
measure = measured("lstm", "train", CONTENDERS, CELLS)

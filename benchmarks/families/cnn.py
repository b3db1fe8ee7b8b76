"""The training step of a small convolutional network: 3x3 of 32 and 64 filters, maximum, dense 128."""

from benchmarks.families.turns import measured
from benchmarks.goals import Goal, against
from benchmarks.nets import CNN, Cell

TITLE = "Training step of a small convolutional network"
CELLS = [Cell("cnn/adam/128", CNN, 128)]
EAGER = ("torch", "torch-fused", "torch-last")
CONTENDERS = ("xpnn", "xpnn-fast", "gemm", *EAGER, "torch-compile", "torch-compile-last", "jax", "keras")
GOALS = (Goal("*", "PyTorch eager, its faster layout", against(*EAGER), 1.0),)
TURN = 0.6
"""Seconds: of a shorter turn the first step, whose memory has left the caches, would be all."""
measure = measured("cnn", "train", CONTENDERS, CELLS, turn=TURN)

"""Forward passes: the latency of one sample, the throughput of many."""

from benchmarks.families.turns import measured
from benchmarks.goals import Goal, against
from benchmarks.nets import NARROW, WIDE, Cell

TITLE = "Inference"
CELLS = [Cell(f"{net.name}/infer/{batch}", net, batch) for net in (NARROW, WIDE) for batch in (1, 1024)]
CONTENDERS = ("xpnn", "xpnn-fast", "gemm", "torch", "torch-compile", "jax", "keras", "sklearn")
GOALS = (Goal("*/1", "PyTorch eager", against("torch"), 2.0),)
measure = measured("inference", "infer", CONTENDERS, CELLS)

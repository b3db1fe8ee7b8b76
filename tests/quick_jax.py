"""JAX compiles thousands of small functions once each: what it does around that is made quick, the functions stay."""

import functools
import sys

DONE = []


def arrange(several=False):
    """One MLIR context for all functions, where JAX makes and keeps one for each: half of its time, most of its memory.

    And no partitioning over devices, but for a process of several: in the tests' own there is one device.
    """
    mlir = sys.modules.get("jax._src.interpreters.mlir")
    if DONE or mlir is None:
        return
    DONE.append(mlir)
    if make := getattr(mlir, "make_ir_context", None):
        mlir.make_ir_context = functools.cache(make)
    config = sys.modules["jax"].config
    if "jax_use_shardy_partitioner" in config.values and not several:
        config.update("jax_use_shardy_partitioner", False)
    if "jax_traceback_in_locations_limit" in config.values:
        config.update("jax_traceback_in_locations_limit", 0)

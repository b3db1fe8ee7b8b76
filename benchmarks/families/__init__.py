"""What is measured: one file per family, with its cells, its contenders and its goals."""

import importlib
from types import ModuleType

USUAL = ("mlp", "cnn", "lstm", "inference", "epoch", "startup", "memory", "profile", "growth")
NAMES = (*USUAL, "busy")
"""The last one only where it is asked for: it starts processes that keep the machine busy."""


def family(name: str) -> ModuleType:
    """A module with TITLE, CELLS, CONTENDERS, GOALS and measure(rounds, missing, say) -> records."""
    return importlib.import_module(f"benchmarks.families.{name}")

"""What is measured: one file per family, with its cells, its contenders and its goals."""

import importlib
from types import ModuleType

NAMES = ("mlp", "cnn", "lstm", "inference", "epoch", "startup", "memory", "profile", "growth")


def family(name: str) -> ModuleType:
    """A module with TITLE, CELLS, CONTENDERS, GOALS and measure(rounds, missing, say) -> records."""
    return importlib.import_module(f"benchmarks.families.{name}")

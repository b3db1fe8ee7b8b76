"""The rows, by family. Each is checked on every backend by the tests that follow from it.

A class of the package without a row fails tests/repository/test_public.py; one with a gradient and without planted
faults fails tests/repository/test_faults.py. A file in layers/, losses/ or optimizers/ is found by itself: its ROWS are
a list, its PLANTED faults a dict {class: Planted(row, {name: fault})}.
"""

import pkgutil
from importlib import import_module
from itertools import chain

from cases import initializers, metrics, schedules
from cases.layers.containers import MLP as MLP
from cases.losses.classification import IDS as IDS
from cases.row import Case as Case
from cases.row import LossCase as LossCase


def gathered(folder, name):
    """What the files of a folder call so, the folder's files in alphabetical order."""
    files = (
        import_module(f"cases.{folder}.{f.name}")
        for f in pkgutil.iter_modules(import_module(f"cases.{folder}").__path__)
    )
    return [getattr(file, name) for file in files if hasattr(file, name)]


def rows(folder, name="ROWS"):
    return list(chain.from_iterable(gathered(folder, name)))


def planted(folder):
    return {cls: planted for faults in gathered(folder, "PLANTED") for cls, planted in faults.items()}


LAYERS, LOSSES, OPTIMIZERS = rows("layers"), rows("losses"), rows("optimizers")
MULTI_OUTPUT, FULL_BATCH = rows("losses", "SEVERAL_OUTPUTS"), rows("optimizers", "ON_ALL_DATA")
SCHEDULES, INITIALIZERS, METRICS = schedules.ROWS, initializers.ROWS, metrics.ROWS
PLANTED, PLANTED_IN_LOSSES = planted("layers"), planted("losses")

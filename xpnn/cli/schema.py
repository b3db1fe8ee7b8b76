"""What run.json may hold, checked when it is read: it may come from anywhere."""

import math
from pathlib import Path
from typing import Any

from xpnn.errors import CheckpointError
from xpnn.printing import one_line
from xpnn.reading import read_bounded
from xpnn.training.container import read_json

ABOUT = "run.json"
MOST = 1 << 20
"""Bytes of run.json: a thousand classes with long names take a tenth."""

NUMBER = (int, float)
TEXT = (str, None)
SETTINGS: dict[str, Any] = {
    "hidden": ([int], None),
    "activation": TEXT,
    "augmentation": [str],
    "epochs": int,
    "batch_size": int,
    "optimizer": TEXT,
    "schedule": TEXT,
    **dict.fromkeys(
        ("dropout", "input_dropout", "label_smoothing", "lr", "weight_decay"), (int, float, None)
    ),
}
RUN: dict[str, Any] = {
    "dataset": str,
    "data": TEXT,
    "label": TEXT,
    "task": ("classification", "regression", None),
    "class_weight": ("balanced", None),
    "replaced_head": bool,
    "classes": [str],
    "input_shape": ([int], [[int]]),
    "model": str,
    "settings": SETTINGS,
    "backend": str,
    "device": TEXT,
    "dtype": ("float32", "float64", "bfloat16", "float16"),
    "precision": str,
    "seed": int,
    "result": ({"test_accuracy": (int, float, None)}, None),
    "endings": (
        {
            "early_stopping": (int, None),
            "checkpoint_every": (int, None),
            "time_limit": (int, float, None),
        },
        None,
    ),
    "freeze": ([str], None),
    "from": TEXT,
    "started": TEXT,
    "files": [str],
}
"""What each entry that is read may be; entries of other names are let be. Whole numbers are not below 0."""


def read_about(folder: Path) -> dict[str, Any]:
    """What run.json says; nothing where there is none. Raises CheckpointError when it is damaged, FileError."""
    path = folder / ABOUT
    if not path.exists() and not path.is_symlink():
        return {}
    data = read_bounded(path, MOST)
    try:
        about = read_json(data, "file")
    except CheckpointError as error:
        raise CheckpointError(f"{path} is damaged", why=error.why or error.what) from error
    if not isinstance(about, dict):
        raise CheckpointError(f"{path} is damaged", why="it is no JSON object")
    if found := misfit(about, RUN):
        raise CheckpointError(f"{path} is damaged", why=found)
    return about


def misfit(value: Any, wanted: Any, place: str = "") -> str:
    """What does not fit, such as `seed is -1`; "" where all does.

    wanted: a type, None, a word, [for each item], {key: for its value} or a tuple of these, of which one must fit.
    """
    if isinstance(wanted, tuple):
        return "" if any(not misfit(value, one) for one in wanted) else _is(value, place)
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return _is(value, place)
        return next(
            (bad for i, one in enumerate(value) if (bad := misfit(one, wanted[0], f"{place}[{i}]"))), ""
        )
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            return _is(value, place)
        places = ((key, f"{place}.{key}" if place else key) for key in wanted if key in value)
        return next((bad for key, where in places if (bad := misfit(value[key], wanted[key], where))), "")
    if wanted is None or isinstance(wanted, str):
        return "" if value == wanted else _is(value, place)
    fits = type(value) is wanted and not (wanted is int and value < 0)
    return "" if fits and not (wanted is float and not math.isfinite(value)) else _is(value, place)


def _is(value: Any, place: str) -> str:
    return f"{place or 'it'} is {one_line(repr(value), 60)}"

"""The schema of run.json, checked when it is read, since it may come from anywhere."""

from pathlib import Path
from typing import Any

from xpnn.errors import CheckpointError
from xpnn.reading import misfit, read_bounded
from xpnn.training.safetensors_reader import read_json

ABOUT = "run.json"
MOST = 1 << 20
"""Bytes of run.json: a thousand classes with long names take a tenth."""

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
    "classes": ([str], None),
    "input_shape": ([int], [[int]]),
    "model": str,
    "settings": SETTINGS,
    "backend": str,
    "device": TEXT,
    "dtype": ("float32", "float64", "bfloat16", "float16"),
    "precision": str,
    "seed": int,
    "threads": (int, "adapt", None),
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
    """Return the content of run.json; {} without that file. Raises CheckpointError when it is damaged, FileError."""
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

"""What identifies a run: a saved state can be resumed only by the same network, data, loss and settings."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.config import short_repr, to_config
from xpnn.errors import CheckpointError, UsageError
from xpnn.losses import FunctionLoss, Loss
from xpnn.schedules import Schedule
from xpnn.stored_array import StoredArray
from xpnn.temporary_files import release
from xpnn.training.stepper import Stepper
from xpnn.trees import leaves

PIECE = 1 << 26
"""Bytes that are hashed at a time: data may be larger than memory."""


def identity(
    trainer: Stepper, data: tuple[Any, ...], validation: Any, batch_size: int, batches: int
) -> dict[str, Any]:
    """Return all that the course of a run depends on, except the backend and the number of epochs, as plain JSON."""
    model = trainer.model
    held = fingerprint(trainer, validation) if isinstance(validation, tuple | list) else to_config(validation)
    return {
        "net": to_config(model.net),
        "input_shape": to_config(model.input_shape),
        "dtype": model.backend.dtype_name,
        "seed": model.seed,
        "loss": loss_identity(trainer.loss),
        "optimizer": to_config(trainer.optimizer),
        "schedule": to_config(trainer.schedule),
        "augment": to_config(trainer.augment),
        "batch_size": batch_size,
        "batches": batches,
        "validation": held,
        "data": fingerprint(trainer, data),
    }


def loss_identity(loss: Loss) -> Any:
    """The loss as JSON; of a function its name, which is all that can be compared."""
    return {"type": "FunctionLoss", "f": loss.name} if isinstance(loss, FunctionLoss) else to_config(loss)


def fingerprint(trainer: Stepper, data: Any) -> str:
    """Return sha256 over the dtype, shape and bytes of every array."""
    be, total = trainer.model.backend, hashlib.sha256()
    for path, a in leaves(tuple(data)):
        if a is None:
            continue
        if isinstance(a, StoredArray):
            total.update(f"{path}{a.dtype}{a.shape}{a.chunk}x{a.window}".encode())
            few = max(1, PIECE * len(a) // max(1, a.nbytes))
            for start in range(0, len(a), few):
                total.update(np.ascontiguousarray(a[start : start + few]).data)
            continue
        with be.device_context():
            host = np.ascontiguousarray(be.to_numpy(a) if be.owns(a) else np.asarray(a))
        total.update(f"{path}{host.dtype}{host.shape}".encode())
        flat = host.reshape(-1).view(np.uint8)
        for start in range(0, flat.size, PIECE):
            total.update(flat[start : start + PIECE].data)
            release()
    return total.hexdigest()


def check_same(
    same: dict[str, Any], f: Schedule, path: Path, about: dict[str, Any], epochs: int, rows: int, losses: int
) -> None:
    """Raise UsageError if the run in `path` does not have the identity `same` and the schedule f."""
    difference = first_difference(about["same"], same)
    if difference:
        place, then, now = difference
        raise UsageError(
            f"{path} belongs to another run: {place} was {short(then)}, here it is {short(now)}",
            why="a resumed run ends as the whole one would have, or not at all",
            fix="the settings and data of that run; to begin another, leave resume out",
        )
    batches = about["same"]["batches"]
    if not (
        0 <= losses <= batches and 0 <= rows <= about["epochs"] and about["steps"] >= about["first"] >= 0
    ):
        raise CheckpointError(f"{path}: the counters of the run do not fit each other")
    if epochs < rows + bool(losses):
        raise UsageError(
            f"{path} is in epoch {rows + bool(losses)} already, epochs={epochs}",
            why="epochs counts from the beginning of the run",
        )
    then_total = about["total"] - about["first"]
    total = then_total + (epochs - about["epochs"]) * batches
    if total != then_total and any(
        f(t, max(then_total, t + 1)) != f(t, max(total, t + 1))
        for t in range(about["steps"] - about["first"])
    ):
        raise UsageError(
            f"{path} was to have {about['epochs']} epochs, epochs={epochs} now",
            why=f"the schedule {short_repr(f)} spreads over the whole run: its first steps would have been others",
            fix=f"epochs={about['epochs']}, or a schedule that does not depend on the total",
        )


def first_difference(then: Any, now: Any, place: str = "") -> tuple[str, Any, Any] | None:
    """Return where two JSON values first differ, such as `net.layers[1].units`, and both values there."""
    if isinstance(then, dict) and isinstance(now, dict) and then.get("type") == now.get("type"):
        for key in [*then, *(key for key in now if key not in then)]:
            inner = f"{place}.{key}" if place else key
            if found := first_difference(then.get(key), now.get(key), inner):
                return found
        return None
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for i, (a, b) in enumerate(zip(then, now, strict=True)):
            if found := first_difference(a, b, f"{place}[{i}]"):
                return found
        return None
    return None if type(then) is type(now) and then == now else (place, then, now)


def short(value: Any) -> str:
    """Return a value for an error message: a description by its name, a hash by its first digits."""
    if isinstance(value, dict) and "type" in value:
        return str(value["type"])[:40]
    if isinstance(value, list):
        return f"{len(value)} of them" if value and isinstance(value[0], dict) else str(value)[:60]
    return str(value)[:12] + "..." if isinstance(value, str) and len(value) == 64 else repr(value)[:60]

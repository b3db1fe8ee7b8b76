"""The state of a run in one file, from which it goes on as if it had never stopped.

    theta, phi, the optimizer's arrays            the numbers that training changes
    steps, first, total, epochs, rate, lr         the counters that schedules, masks and shuffles depend on
    losses of the epoch so far, rows              the place inside the epoch, and the history
    callbacks                                     their `state`, and the weights that they keep

No random generator is among them: shuffles depend on the seed and the epoch, masks on the seed and the optimizer's
step count. Arrays are written as float32 or float64, which hold step counts exactly up to 2^53, so the file opens on
every backend.
"""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.durable import write_durably
from xpnn.errors import CheckpointError, UsageError
from xpnn.layers.budget import limited
from xpnn.layers.graph import Graph
from xpnn.layers.sequential import Sequential
from xpnn.reading import misfit, unreadable
from xpnn.training.checkpoint import digest, read_net, seal, unseal
from xpnn.training.history import COLUMNS, Row, Tally
from xpnn.training.identity import check_same
from xpnn.training.run import Callback, Run
from xpnn.training.safetensors_reader import (
    MAX_HEADER,
    check_table,
    open_file,
    read_header,
    read_json,
    read_tensors,
)

FORMAT, KEY = 1, "xpnn-training"
COUNTERS = {"steps": int, "first": int, "total": int, "epochs": int, "rate": float, "lr": float}
WANTED = COUNTERS | {
    "seconds": float,
    "format": int,
    "xpnn": str,
    "same": dict,
    "shapes": dict,
    "callbacks": list,
}
MAX_THREADS = 4096
UNMEASURED = -math.inf
"""Stands for None in the rows: no loss is that low."""

Host = np.ndarray[Any, Any]


def save_state(run: Run, path: Path) -> None:
    """Write the state of a run; see `Run.save_state`. Raises FileError; DivergedError for a NaN."""
    from safetensors.numpy import save as serialise

    from xpnn import __version__

    run.sync()
    tensors = {name: np.asarray(host, order="C") for name, host in arrays(run).items()}
    about = {
        "format": FORMAT,
        "xpnn": __version__,
        "same": run.identity,
        **{name: kind(getattr(run, name)) for name, kind in COUNTERS.items()},
        "seconds": time.perf_counter() - run.began if run.losses else 0.0,
        "callbacks": [entry(callback) for callback in run.callbacks],
        "columns": run.history.columns,
        "tally": None if run.tally is None else run.tally.counts,
        "threads": run.threads,
        "shapes": {name: list(host.shape) for name, host in tensors.items()},
    }
    text = json.dumps(about, allow_nan=False)
    data = serialise(tensors, metadata={KEY: seal(text, digest(text, tensors))})
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise CheckpointError(f"the description of this run would take more than {MAX_HEADER:,} bytes")
    write_durably(path, data, keep=True)


def entry(callback: Callback) -> dict[str, Any]:
    """Return a callback's `state` as JSON. Raises UsageError if JSON cannot hold it."""
    name = type(callback).__name__
    try:
        json.dumps(callback.state, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"what the callback {name} remembers cannot be saved",
            why=str(error)[:120],
            fix="plain finite numbers, words, lists and dicts in `state`, weights in `vectors`",
        ) from error
    return {"type": name, "state": callback.state, "vectors": callback.vectors is not None}


def arrays(run: Run) -> dict[str, Host]:
    """Return every array of the state, on the host, by its name in the file."""
    be = run.model.backend
    with be.device_context():
        slots = {f"state.{name}": plain(be.to_numpy(a)) for name, a in run.state.items()}
    columns = run.history.columns
    rows = [[number_of(row.to_dict().get(name)) for name in columns] for row in run.history]
    kept = {
        f"callbacks.{i}.{name}": vector
        for i, callback in enumerate(run.callbacks)
        for name, vector in (callback.vectors or {}).items()
    }
    more = {"losses": np.array(run.losses), "rows": np.array(rows).reshape(len(rows), len(columns))}
    return {**run.model.snapshot(), **slots, **kept, **more}


def number_of(value: float | None) -> float:
    """Return a cell of the history as a number."""
    return UNMEASURED if value is None else float(value)


def plain(a: Host) -> Host:
    """Return integers and booleans as float64."""
    return a if a.dtype.kind == "f" else a.astype(np.float64)


def load_state(run: Run, path: Path, epochs: int) -> None:
    """Put the state in `path` in place of the run's and its trainer's; it then goes on to epoch `epochs`.

    Raises UsageError, naming the first difference, where it is not the same run; CheckpointError for a damaged file,
    FileError for one that cannot be read. Nothing has changed then.
    """
    about, tensors = read_state(path)
    trainer, (rows, losses) = run.trainer, (tensors["rows"], tensors["losses"])
    check_same(run.identity, trainer.schedule, path, about, epochs, len(rows), len(losses))
    own = arrays(run)
    own = {name: host for name, host in own.items() if not name.startswith(("callbacks.", "losses", "rows"))}
    for name, host in own.items():
        if name not in tensors or tensors[name].shape != host.shape:
            raise CheckpointError(f"{path}: the training state has no array {name} of shape {host.shape}")
    found = pair_up(run.callbacks, about["callbacks"], tensors, own)
    model, be = trainer.model, trainer.model.backend
    model.restore({name: tensors[name] for name in ("theta", "phi")})
    with be.device_context():
        for name, old in trainer.state.items():
            dtype = be.to_numpy(old).dtype
            trainer.state[name] = be.asarray(np.array(tensors[f"state.{name}"], dtype))
    trainer.total = about["total"] + (epochs - about["epochs"]) * about["same"]["batches"]
    trainer.steps, trainer.first = about["steps"], about["first"]
    trainer.rate, trainer.lr = about["rate"], about["lr"]
    trainer.history.rows = [row_of(about["columns"], numbers) for numbers in rows.tolist()]
    run.epochs, run.seconds, run.losses = epochs, about["seconds"], losses.tolist()
    run.threads = about["threads"]
    run.tally = None if about["tally"] is None else Tally(about["tally"])
    for callback, state, vectors in found:
        callback.state, callback.vectors = state, vectors


def read_network(path: Path) -> tuple[Sequential | Graph, Any, dict[str, Host]]:
    """Return the network whose training is in `path`, the shape of its samples, and its weights there.

    Raises CheckpointError for a damaged file or a network that its arrays do not fit, FileError.
    """
    about, tensors = read_state(path)
    try:
        size = sum(host.nbytes for host in tensors.values())
        net, shape, layout = limited(MAX_HEADER, size, read_net, about["same"])
    except RecursionError as error:
        raise CheckpointError(f"{path}: the network is nested too deeply") from error
    vectors = {name: tensors.get(name, np.zeros(0)) for name in layout.size}
    if any(vectors[name].shape != (size,) for name, size in layout.size.items()):
        raise CheckpointError(f"{path}: the weights are not those of its network")
    return net, shape, vectors


def pair_up(
    callbacks: list[Callback], saved: list[Any], tensors: dict[str, Host], own: dict[str, Host]
) -> list[tuple[Callback, dict[str, Any], dict[str, Host] | None]]:
    """Return each callback with the saved state of the first one of its class; without one it starts from scratch."""
    left, found = list(enumerate(saved)), []
    for callback in callbacks:
        match = next((one for one in left if one[1].get("type") == type(callback).__name__), None)
        if match is None:
            continue
        left.remove(match)
        i, entry = match
        vectors = None
        if entry.get("vectors"):
            vectors = {name: np.array(tensors.get(f"callbacks.{i}.{name}")) for name in ("theta", "phi")}
            if any(vector.shape != own[name].shape for name, vector in vectors.items()):
                raise CheckpointError(f"the weights kept by {entry['type']} do not fit the model")
        state = entry.get("state")
        if not isinstance(state, dict) or not same_kind(state, callback.state):
            raise CheckpointError(f"the state of {entry['type']} is not that of this version of xpnn")
        found.append((callback, state, vectors))
    return found


def same_kind(value: Any, own: Any) -> bool:
    """Return whether a saved value has the type of the callback's own: a number (or None), or a list."""
    if isinstance(own, dict):
        return (
            isinstance(value, dict)
            and value.keys() == own.keys()
            and all(same_kind(value[k], own[k]) for k in own)
        )
    number = own is None or type(own) in (int, float)
    return value is None or type(value) in (int, float) if number else type(value) is type(own)


def row_of(columns: list[str], numbers: list[float]) -> Row:
    """Return the history's row for a row of numbers; columns that not every history has are metrics."""
    values: dict[str, Any] = {
        name: None if number == UNMEASURED else number for name, number in zip(columns, numbers, strict=True)
    }
    more = {name: values.pop(name) for name in columns if name not in COLUMNS}
    train = {name[6:]: value for name, value in more.items() if name.startswith("train_")}
    valid = {name.removeprefix("valid_"): more[name] for name in more if not name.startswith("train_")}
    values |= {"epoch": int(values["epoch"] or 0), "best": bool(values["best"])}
    return Row(**values, metrics=valid, train_metrics=train)


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, Host]]:
    """Return the description and the arrays in `path`, checked without knowing the run."""
    try:
        with open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            header, start = read_header(file, size)
            meta = header.pop("__metadata__", None)
            if not isinstance(meta, dict) or not isinstance(meta.get(KEY), str):
                raise CheckpointError(
                    "this file holds no state of a run", fix="last.safetensors of its folder"
                )
            text, checksum = unseal(meta[KEY])
            about = check_about(read_json(text, "description of the run"))
            check_table({name: tuple(shape) for name, shape in about["shapes"].items()}, header, size - start)
            tensors = read_tensors(file.read(size - start), header)
            if checksum != digest(text, tensors):
                raise CheckpointError("the checksum does not match: the file is damaged")
            for name, width in (("losses", None), ("rows", len(about["columns"]))):
                if name not in tensors or tensors[name].shape[1:] != (() if width is None else (width,)):
                    raise CheckpointError(f"the training state has no {name}")
            return about, tensors
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.what[:500]}", why=error.why[:500], fix=error.fix) from error
    except OSError as error:
        raise unreadable(path, error) from error


def check_about(given: Any) -> dict[str, Any]:
    """Return the description, with the type of every entry checked."""
    about: dict[str, Any] = given if isinstance(given, dict) else {}
    about.setdefault("first", 0)  # not in states of 0.1.0, whose schedules begin with the run
    about.setdefault("columns", COLUMNS[:7])  # nor these, which counted no labels in training
    tally = about.setdefault("tally", None)
    threads = about.setdefault("threads", None)
    for key, kind in WANTED.items():
        if type(about.get(key)) is not kind:
            raise CheckpointError(f"the description of the run has no {kind.__name__} called {key!r}")
    if about["format"] != FORMAT:
        raise CheckpointError(
            f"the state has format {about['format']}, this version reads format {FORMAT}",
            fix=f"go on with xpnn {about['xpnn'][:20]}, which wrote it",
        )
    sizes = [n for shape in about["shapes"].values() for n in (shape if isinstance(shape, list) else [-1])]
    if not all(type(n) is int and n >= 0 for n in sizes):
        raise CheckpointError("the description of the run has a shape that is none")
    columns = about["columns"]
    if (
        not isinstance(columns, list)
        or not all(isinstance(name, str) for name in columns)
        or len(set(columns)) < len(columns)
        or not set(COLUMNS[:7]) <= set(columns)
        or misfit(tally, (None, [int]))
        or len(tally or []) % 2
    ):
        raise CheckpointError("the description of the run has a history that is none")
    if threads is not None and (type(threads) is not int or not 1 <= threads <= MAX_THREADS):
        raise CheckpointError("the description of the run has a number of threads that is none")
    if not all(isinstance(entry, dict) for entry in about["callbacks"]):
        raise CheckpointError("the description of the run has a callback that is none")
    return about

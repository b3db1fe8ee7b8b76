"""`xpnn train`, `evaluate` and `predict` on MNIST as a user types them; the model must be as good on the CPU."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xpnn
from benchmarks.gpu.needs import BETTER, missing
from benchmarks.gpu.site import Refused, Site

ACCURACY = 0.9
"""Of two epochs, at least."""
APART = 0.001
"""Between the accuracies of one model on the GPU and on the CPU, at most: ten images."""
MODULES = ("safetensors", "rich", "PIL")
"""What the commands import beside what everything does."""
Row = dict[str, Any]


def run(place: Site, note: Callable[..., None]) -> None:
    if lacking := missing({module: BETTER[module] for module in MODULES}):
        raise Refused(f"without {', '.join(lacking)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        how = place.pick(
            ["--backend", "cupy", "--device", "cuda:0"], ["--backend", "numpy", "--hidden", "32"]
        )
        trained, row = call(place, "train", *how, "--epochs", "2", "--out", str(folder))
        note(**row | checked(trained, row, "test_accuracy", ACCURACY, place))
        if not trained:
            return
        there, row = call(place, "evaluate", str(folder), "--backend", place.backend)
        note(**row | checked(there, row, "accuracy", trained["test_accuracy"] - APART, place))
        here, row = call(place, "evaluate", str(folder), "--backend", "numpy")
        note(**row | {"name": "evaluate on the CPU"} | same(there, here, row))
        seen, row = call(place, "predict", str(picture(Path(name))), "--run", str(folder))
        note(**row | {"ok": row["ok"] and bool(seen.get("predictions"))})


def call(place: Site, *words: str) -> tuple[Row, Row]:
    """(the last line of JSON, a row): a step that goes on without its graph is no success either."""
    command = [sys.executable, "-m", "xpnn", *words, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=max(place.left(), 1.0))
    print(" ".join(command), done.stdout, done.stderr, sep="\n")
    good = done.returncode == 0 and "without a CUDA graph" not in done.stderr
    said = "" if good else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0][:300]
    event = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    return event, {"name": words[0], "ok": good, "why": said}


def checked(event: Row, row: Row, score: str, least: float, place: Site) -> Row:
    """Was it the backend that was asked for, and good enough?"""
    value = event.get(score, 0.0)
    return {
        "ok": row["ok"] and event.get("backend") == place.backend and value >= least,
        "accuracy": value,
        "seconds": event.get("seconds"),
    }


def same(there: Row, here: Row, row: Row) -> Row:
    """Are the accuracies of both sides of a kind?"""
    apart = abs(there.get("accuracy", 1.0) - here.get("accuracy", -1.0))
    return {"ok": row["ok"] and apart <= APART, "apart": apart}


def picture(folder: Path) -> Path:
    """A digit of the test set as a file."""
    digit = xpnn.data.mnist()[2][0]
    file = folder / "digit.pgm"
    file.write_bytes(b"P5 28 28 255\n" + digit.tobytes())
    return file

"""A callback that writes live.json: gradients, dead units, weights of the first layer, the worst mistakes."""

import base64
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.diagnostics.explain import Explanation, explain
from xpnn.diagnostics.report import finite
from xpnn.durable import write_durably
from xpnn.errors import XpnnError, first_line
from xpnn.layers.base import is_multiple
from xpnn.parameters import gather, rows_of
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run
from xpnn.web.record import LIVE, read_record

SAMPLES, JUDGED, SHOWN = 64, 256, 12
"""Samples of the last batch, for gradients and dead units; held-out ones, to look for mistakes in; most mistakes."""
UNITS = 32
"""Units of the first layer whose weights are shown."""
LARGEST = 64
"""Pixels of a side up to which weights and samples are shown as pictures, and numbers of a sample at most."""
POINTS = 400
"""Points of the gradients' curve; when it has more, every second one is kept, and the last."""
SHARE = 0.02
"""The share of the time that training may wait for this."""


class Recorder(Callback):
    """Writes `folder`/live.json after an epoch, as often as that takes at most SHARE of the time, and at the end.

    The numbers are those of one step on up to SAMPLES samples of the epoch's last batch, which changes nothing; see
    `Model.explain`. Where they cannot be computed, nothing is written any more, training goes on, and `error` says why.
    """

    everywhere = False

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIVE
        self.error = ""
        self.gradients: dict[str, Any] = {"epoch": [], "norm": [], "parameters": {}}

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Go on with the curves of a resumed run."""
        done = len(run.history)
        self.held = held_out(run)
        self.next, self.written = time.monotonic(), done
        try:
            known = read_record(self.path.parent) if done else None
        except XpnnError:  # a damaged record is replaced
            known = None
        if known is not None:
            kept = sum(epoch <= done for epoch in known["gradients"]["epoch"])
            self.gradients = cut(known["gradients"], slice(kept))

    def epoch(self, run: Run, row: Row) -> None:
        """Record the epoch if that is cheap next to the time that has passed."""
        if time.monotonic() >= self.next:
            self.record(run, row.epoch)

    def finish(self, run: Run) -> None:
        """Record the last epoch."""
        if self.written != len(run.history):
            self.record(run, len(run.history))

    def record(self, run: Run, epoch: int) -> None:
        """Measure and write."""
        if self.error:
            return
        began = time.monotonic()
        try:
            if (step := explained(run)) is not None:
                self.add(step, epoch)
            judged, found = mistakes(run, self.held)
            record = {
                "epoch": epoch,
                "layers": layers_of(step),
                "gradients": self.gradients,
                "weights": first_weights(run),
                "mistakes": found,
                "judged": judged,
            }
            text = json.dumps(finite(record), allow_nan=False)
        except Exception as error:  # a layer or loss of the user's own may raise anything
            self.error = first_line(error)
            return
        write_durably(self.path, text.encode())
        self.written = epoch
        self.next = time.monotonic() + (time.monotonic() - began) / SHARE

    def add(self, step: Explanation, epoch: int) -> None:
        """Add a point to the curves of the gradients' norms."""
        curves = self.gradients
        norms = {p.path: p.gradient_norm for layer in step.layers for p in layer.parameters}
        curves["epoch"].append(epoch)
        curves["norm"].append(step.gradient_norm)
        for path, norm in norms.items():
            curves["parameters"].setdefault(path, [None] * (len(curves["epoch"]) - 1)).append(norm)
        if len(curves["epoch"]) > POINTS:
            self.gradients = cut(curves, slice((len(curves["epoch"]) - 1) % 2, None, 2))


def cut(curves: dict[str, Any], part: slice) -> dict[str, Any]:
    """Return a part of the curves."""
    parameters = {path: norms[part] for path, norms in curves["parameters"].items()}
    return {"epoch": curves["epoch"][part], "norm": curves["norm"][part], "parameters": parameters}


def explained(run: Run) -> Explanation | None:
    """Return one step on samples of the last batch; None where an epoch is no batches (LBFGS), or several inputs."""
    batch = run.batch()
    if not batch or isinstance(batch[0], tuple):
        return None
    x, y = batch[0], batch[1]
    count = min(SAMPLES, int(x.shape[0]))
    return explain(run.model, rows_of(x, 0, count), rows_of(y, 0, count), loss=run.loss)


def layers_of(step: Explanation | None) -> list[dict[str, Any]]:
    """Return dead units and zeros of each layer that may have them: activations."""
    return [
        {"path": one.path, "layer": one.layer, "units": one.units, "dead": one.dead, "zeros": one.zeros}
        for one in (step.layers if step else ())
        if one.role == "activation"
    ]


def first_weights(run: Run) -> dict[str, Any] | None:
    """Return the weights of the first units as pictures: -most is 0, 0 is 128, most is 255. None for what has no form.

    Dense on pictures: (n_in, units), each column in the pictures' form. Convolution: (height, width, in, units), the
    mean over what comes in.
    """
    model = run.model
    path = next((path for path in model.layout.named if path.endswith("W")), None)
    if path is None or is_multiple(model.input_shape):
        return None
    weights = np.asarray(model.backend.to_numpy(model.parameters()[path]), np.float64)
    shape: Any = model.input_shape
    if weights.ndim == 4:
        weights = weights.mean(axis=2)[:, :, None]
    elif weights.ndim == 2 and len(shape) == 3 and None not in shape and weights.shape[0] == math.prod(shape):
        weights = weights.reshape(*shape, -1).mean(axis=2)[:, :, None]
    elif weights.ndim == 2 and weights.shape[0] <= LARGEST:
        weights = weights[None, :, None]
    else:
        return None
    if max(weights.shape[:2]) > LARGEST:
        return None
    most = float(np.max(np.abs(weights), initial=0.0))
    scaled = np.zeros_like(weights) if not 0 < most < math.inf else weights / most
    levels = np.round(127.5 + 127.5 * scaled).astype(np.uint8)
    units = weights.shape[-1]
    pictures = [picture(levels[..., i]) for i in range(min(units, UNITS))]
    return {"path": path, "most": most, "units": units, "pictures": pictures}


def held_out(run: Run) -> tuple[Any, Any] | None:
    """Return the first held-out samples and their targets; None without any, and for several inputs or outputs."""
    x, y, _ = run.data
    if isinstance(x, tuple) or isinstance(y, tuple):
        return None
    if isinstance(run.validation, tuple):
        x, y = run.validation
        count = min(JUDGED, int(x.shape[0]))
        return rows_of(x, 0, count), rows_of(y, 0, count)
    rows = np.setdiff1d(np.arange(int(x.shape[0])), np.asarray(run.train))[:JUDGED]
    if not len(rows):
        return None
    be = run.model.backend
    with be.device_context():
        return gather(be, x, be.asarray(rows)), gather(be, y, be.asarray(rows))


def mistakes(run: Run, held: tuple[Any, Any] | None) -> tuple[int, list[dict[str, Any]]]:
    """Return how many held-out samples were judged, and the worst mistakes: the true class has the smallest share."""
    model = run.model
    if held is None or is_multiple(model.output_shape):
        return 0, []
    if len(model.output_shape) != 1 or model.output_shape[0] < 2:
        return 0, []
    (x, y), be = held, model.backend
    count = int(x.shape[0])
    with be.device_context():
        shares = run.loss.probabilities(be, model.outputs(x))
    if shares is None:
        return 0, []
    p, labels, samples = np.asarray(be.to_numpy(shares)), host(be, y), host(be, x)
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    guessed = p.argmax(axis=1)
    true = p[np.arange(count), np.maximum(labels, 0)]
    order = [int(i) for i in np.argsort(true, kind="stable") if guessed[i] != labels[i] and labels[i] >= 0]
    return count, [
        {
            "true": int(labels[i]),
            "taken_for": int(guessed[i]),
            "share": float(p[i, guessed[i]]),
            **sample(samples[i]),
        }
        for i in order[:SHOWN]
    ]


def host(be: Any, a: Any) -> "np.ndarray[Any, Any]":
    """Return an array of the backend, or of the host, as NumPy's."""
    return np.asarray(be.to_numpy(a) if be.owns(a) else a)


def sample(a: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """Return a sample as a picture, or as a few numbers; what is larger is left out."""
    shown = a.ndim == 3 and a.shape[2] in (1, 3) and max(a.shape[:2]) <= LARGEST
    if shown:
        levels = (
            a if a.dtype == np.uint8 else np.round(255 * stretched(a.astype(np.float64))).astype(np.uint8)
        )
        return {"picture": picture(levels), "numbers": None}
    few = a.ndim == 1 and a.size <= LARGEST
    return {"picture": None, "numbers": [float(v) for v in a] if few else None}


def stretched(a: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Return the numbers brought to 0 to 1."""
    low, high = float(a.min()), float(a.max())
    return (a - low) / (high - low) if high > low else np.zeros_like(a)


def picture(levels: "np.ndarray[Any, Any]") -> dict[str, Any]:
    """Return bytes (height, width, channels) as the record holds them."""
    return {
        "form": list(levels.shape),
        "bytes": base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode(),
    }

"""Samples as JSON to a model's answers as JSON."""

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.data import TablePreparation
from xpnn.data.tables.frames import from_memory
from xpnn.errors import DataError, UsageError
from xpnn.layers.base import is_multiple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpnn.model import Model

MOST = 1024
"""Samples in one request, so that no request keeps the model busy for long."""


class Predictor:
    """What `POST /predict` answers. Model and backend may be any; requests are answered one after the other.

    A body is {"inputs": samples}, of a model with several inputs {"inputs": [samples, samples]}, and of one that was
    trained on a table also {"rows": [{column: value}]}. The answer has for each sample its outputs, the class or
    number predicted, and where the model gives them probabilities. That for rows has "remarks", too: what they have
    that training had not, such as a column that the model does not know.
    """

    def __init__(self, model: "Model", classes: "Sequence[str]" = ()) -> None:
        names = getattr(model.preparation, "class_names", ()) or tuple(classes)
        self.model, self.classes = model, list(names)

    def answer(self, body: bytes) -> dict[str, Any]:
        """Return the answer as plain data. Raises DataError for a body that holds no fitting samples."""
        asked = parsed(body)
        if asked.keys() == {"rows"}:
            return self._of_rows(asked["rows"])
        if asked.keys() != {"inputs"}:
            raise DataError(
                f"a body with the keys {', '.join(map(repr, list(asked)[:5]))}" if asked else "an empty body",
                fix='{"inputs": [sample, sample, ...]}; /openapi.json has an example',
            )
        return self._of_arrays(self._arrays(asked["inputs"]))

    def _arrays(self, given: Any) -> Any:
        shape = self.model.input_shape
        if not is_multiple(shape):
            return array("inputs", given)
        if not isinstance(given, list) or len(given) != len(shape):
            raise DataError(
                f"the model has {len(shape)} inputs", fix="give a list of samples for each of them"
            )
        return tuple(array(f"inputs[{i}]", one) for i, one in enumerate(given))

    def _of_rows(self, rows: Any) -> dict[str, Any]:
        preparation = self.model.preparation
        if not isinstance(preparation, TablePreparation):
            raise DataError(
                "rows for a model that was not trained on a table", fix='give {"inputs": samples}'
            )
        fine = isinstance(rows, list) and all(isinstance(row, dict) and row for row in rows)
        if not fine or not 1 <= len(rows) <= MOST:
            raise DataError(f"rows: wanted a list of 1 to {MOST:,} objects such as {{column: value}}")
        table = from_memory(rows)
        x = preparation.samples(table)
        answers = preparation.answers(self.model.predict(x)).tolist()
        # to the client alone: of warnings on the server a request would choose the words
        return self._of_arrays(x) | {"predictions": answers, "remarks": preparation.remarks(table)}

    def _of_arrays(self, x: Any) -> dict[str, Any]:
        model, be = self.model, self.model.backend
        if is_multiple(model.output_shape):
            return self._of_several(x)
        with be.device_context():
            out = model.outputs(model.inputs(x))
            kind = model.net.output_kind
            p = out if kind == "probabilities" else model.loss.probabilities(be, out)
            labels = be.to_numpy(model.loss.labels(be, out))
            found = {"outputs": be.to_numpy(out), "probabilities": None if p is None else be.to_numpy(p)}
        if labels.ndim == 2 and model.output_shape == (1,):
            labels = labels[:, 0]
        names = p is not None and labels.ndim == 1
        predictions = [self._name(int(label)) for label in labels] if names else listed(labels)
        return {name: listed(a) for name, a in found.items()} | {"predictions": predictions}

    def _of_several(self, x: Any) -> dict[str, Any]:
        """Return the answer of a network with several outputs: a list for each of them."""
        found = {"outputs": listed(self.model.forward(x)), "probabilities": None, "predictions": None}
        with contextlib.suppress(UsageError):  # outputs that belong to no loss, or a regression among them
            found["predictions"] = listed(self.model.predict(x))
            found["probabilities"] = listed(self.model.predict_proba(x))
        return found

    def _name(self, label: int) -> str | int:
        return self.classes[label] if 0 <= label < len(self.classes) else label


def parsed(body: bytes) -> dict[str, Any]:
    """Return the object that the body holds. Raises DataError for what is no JSON object."""
    try:
        found = json.loads(body, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise DataError("the body is no JSON", fix='{"inputs": [sample, sample, ...]}') from error
    if not isinstance(found, dict):
        raise DataError("the body is no JSON object", fix='{"inputs": [sample, sample, ...]}')
    return found


def array(name: str, given: Any) -> "np.ndarray[Any, Any]":
    """Return nested lists of numbers as an array; whole numbers from 0 to 255 as bytes. Raises DataError."""
    if not isinstance(given, list) or not 1 <= len(given) <= MOST:
        raise DataError(f"{name}: wanted a list of 1 to {MOST:,} samples")
    try:
        a = np.array(given)
    except (ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"{name}: the samples are not of one shape") from error
    if a.dtype.kind not in "iuf" or not np.isfinite(a).all():
        raise DataError(f"{name}: wanted finite numbers alone")
    return a.astype(np.uint8) if a.dtype.kind == "i" and a.size and a.min() >= 0 and a.max() <= 255 else a


def listed(value: Any) -> Any:
    """Return arrays as nested lists, with None for a number that is not finite: JSON knows none."""
    if isinstance(value, tuple):
        return [listed(one) for one in value]
    if isinstance(value, np.ndarray):
        return listed(value.astype(np.float64).tolist() if value.dtype.kind == "f" else value.tolist())
    if isinstance(value, list):
        return [listed(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no JSON")

"""Weights of classes as weights of samples: each sample counts as much as its class.

"balanced"    N / (classes that occur x samples of the class), as in scikit-learn: each class weighs the same
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xpnn.errors import DataError, UsageError
from xpnn.losses import Loss

Host = np.ndarray[Any, Any]


def weigh(class_weight: Any, loss: Loss, y: Any, train: Any, outputs: tuple[int, ...], weight: Any) -> Any:
    """Return the sample weights (N,), times those of the classes. `train`: the rows that "balanced" counts.

    class_weight: "balanced", {class id: weight} or one weight for each class. Raises UsageError for a loss without
    classes, DataError for weights that are negative, not finite, or missing.
    """
    if class_weight is None:
        return weight
    single = not isinstance(y, tuple) and (loss.kind == "classes" or outputs[-1:] in ((), (1,)))
    if loss.kind not in ("classes", "binary") or not single:
        raise UsageError(
            f"class_weight with {type(loss).__name__}",
            why="it has no classes, or more than one output",
            fix="sample_weight",
        )
    if loss.kind == "binary":
        p = y.reshape(len(y), *outputs[:-1]).astype(np.float64)
        w = weights_of(class_weight, np.array([(1 - p[train]).sum(), p[train].sum()]))
        each = (1 - p) * w[0] + p * w[1]
    elif y.dtype.kind == "f":  # rows
        w = weights_of(class_weight, y[train].reshape(-1, outputs[-1]).sum(axis=0, dtype=np.float64))
        each = y @ w
    else:
        kept = np.full(y.shape, fill_value=True) if (i := loss.ignore_index) is None else y != i  # type: ignore[attr-defined]
        counts = np.bincount(y[train][kept[train]], minlength=outputs[-1])
        w = weights_of(class_weight, counts.astype(np.float64))
        each = np.where(kept, w[y * kept], 1.0)  # an ignored one: 1, which counts nothing
    return each if weight is None else times(each, np.asarray(weight))


def times(each: Host, weight: Host) -> Host:
    """The weights of classes (N, ...) times those that were given: of samples (N,), or as many."""
    if weight.shape != each.shape[: weight.ndim]:
        return weight  # which is refused where weights are checked
    return each * weight.reshape(*weight.shape, *(1,) * (each.ndim - weight.ndim))


def weights_of(class_weight: Any, counts: Host) -> Host:
    """Return one weight for each class."""
    classes = len(counts)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise UsageError(
                f"class_weight={class_weight!r}", fix="'balanced', {class id: weight}, or a sequence"
            )
        there = counts > 0
        w = np.ones(classes)
        w[there] = counts.sum() / (there.sum() * counts[there])
        return w
    if isinstance(class_weight, Mapping):
        missing = [c for c in range(classes) if c not in class_weight and counts[c]]
        unknown = [c for c in class_weight if c not in range(classes)]
        if missing or unknown:
            word = (
                f"no weight for class {missing[0]}"
                if missing
                else f"a weight for {unknown[0]!r}, which is no class"
            )
            raise DataError(
                f"class_weight has {word}",
                why=f"the classes are 0 to {classes - 1}",
                fix="one weight for each class id, 1 for those that are to count as they are",
            )
        class_weight = [class_weight.get(c, 1.0) for c in range(classes)]
    w = np.asarray(class_weight, np.float64)
    if w.shape != (classes,):
        raise DataError(f"class_weight of shape {w.shape} for {classes} classes", why="wanted one for each")
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any() or not w.any():
        at = int(np.argmax(bad))
        raise DataError(
            f"class_weight[{at}] is {w[at]:g}" if bad.any() else "every class_weight is 0",
            why="weights are finite, at least 0 and not all 0",
        )
    return w

"""The metrics that `fit` and `evaluate` are asked for: by object, by name, or as functions such as scikit-learn's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeAlias

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import UsageError, did_you_mean
from xpnn.kernels import Array
from xpnn.losses.base import Loss
from xpnn.metrics import agreement, decisions, probability, ranking, regression
from xpnn.metrics.metric import ClassMetric, Metric
from xpnn.names import snake_case

Chosen: TypeAlias = "Metric | Callable[..., Any]"
MODULES = (decisions, probability, ranking, regression, agreement)
NAMES: dict[str, type[Metric]] = {
    snake_case(name): cls
    for module in MODULES
    for name, cls in vars(module).items()
    if isinstance(cls, type) and issubclass(cls, Metric) and not cls.abstract
}
"""{"f1": F1, "top_k": TopK, "rocauc": ROCAUC ...}."""
MEASURED = ("accuracy", "loss")
"""What is measured in any case: asked for by these names, it is not measured twice."""


def as_metrics(given: Any) -> dict[str, Chosen]:
    """{name: metric} of a list of metrics, names and functions f(y, predicted), or of a dict of them.

    Raises UsageError for an unknown name, for what is no metric, and where two would have one name.
    """
    if isinstance(given, str | Metric) or not isinstance(given, Mapping | Sequence):
        raise UsageError(
            f"metrics={given!r}", fix='a list, such as metrics=["f1", TopK(3)], or a dict of names'
        )
    if isinstance(given, Mapping):
        return {str(name): one_metric(metric) for name, metric in given.items()}
    found: dict[str, Chosen] = {}
    for item in given:
        if item in MEASURED:
            continue
        metric = one_metric(item)
        name = snake_case(type(metric).__name__) if isinstance(metric, Metric) else metric.__name__
        if name in found:
            raise UsageError(
                f"two metrics are called {name!r}", fix='metrics={"top3": TopK(3), "top5": TopK(5)}'
            )
        found[name] = metric
    return found


def one_metric(given: Any) -> Chosen:
    """A metric by object or name, or a function."""
    if isinstance(given, str):
        if given not in NAMES:
            raise UsageError(f"unknown metric {given!r}", fix=did_you_mean(given, NAMES))
        return NAMES[given]()
    if isinstance(given, type) and issubclass(given, Metric):
        raise UsageError(f"{given.__name__} is a class", fix=f"{given.__name__}(), an object of that class")
    if not isinstance(given, Metric) and not hasattr(given, "__name__"):
        raise UsageError(
            f"{given!r} is no metric", fix="an object of xpnn.metrics, or a function f(y, predicted)"
        )
    return given  # type: ignore[no-any-return]


def values(
    be: Backend, loss: Loss, output_kind: Any, out: Array, y: Array, metrics: Mapping[str, Chosen]
) -> dict[str, Any]:
    """{name: value} for the outputs of a network and checked targets, both on the device.

    A function is called as f(y, predicted) with NumPy arrays: ids where the loss has classes, else real numbers.
    Raises UsageError for a metric of classes where there are none.
    """
    if metrics and isinstance(out, tuple):
        raise UsageError(
            "metrics for a network of several outputs", fix="call them on model.forward(x)[i] yourself"
        )
    return {name: _value(be, loss, output_kind, out, y, metric) for name, metric in metrics.items()}


def _value(be: Backend, loss: Loss, output_kind: Any, out: Array, y: Array, metric: Chosen) -> Any:
    ids = loss.target_ids(be, y)
    if not isinstance(metric, Metric):
        truth, predicted = y if ids is None else ids, loss.labels(be, out)
        return metric(*(_flat(be.to_numpy(a), out.shape) for a in (truth, predicted)))
    if not isinstance(metric, ClassMetric):
        return metric(be, out, y)
    name = type(metric).__name__
    if ids is None:
        raise UsageError(f"{name} compares classes, and {type(loss).__name__} has none", fix="MAE, MSE or R2")
    settings: dict[str, Any] = {}
    names = {field.name for field in fields(metric)}
    if metric.ignore_index is None and getattr(loss, "ignore_index", None) is not None:
        settings["ignore_index"] = loss.ignore_index  # type: ignore[attr-defined]
    if "logits" in names and output_kind == "probabilities":
        settings["logits"] = False
    metric = replace(metric, **settings) if settings else metric
    if loss.kind == "binary":  # the logits of no and yes
        ids = ids[..., 0] if ids.ndim > 1 and ids.shape[-1] == 1 else ids
        column = be.xp.reshape(out, (*ids.shape, 1))
        out = be.xp.concat([be.xp.zeros_like(column), column], axis=-1)
    return metric(be, out, ids)


def _flat(a: np.ndarray[Any, Any], outputs: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """(N, 1) as (N,), where the network has one output."""
    return a[..., 0] if tuple(outputs[1:]) == (1,) and a.ndim == 2 else a

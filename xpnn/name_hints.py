"""What other libraries call things, and what they are here: advice for names that do not exist in xpnn."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from xpnn.errors import ArgumentError, did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

NAMES = {
    "Linear": "xpnn.Dense(units)",
    "Activation": "an activation is a layer: xpnn.ReLU()",
    "Input": "the shape of a sample is the model's: xpnn.Model(layers, input_shape=(28, 28, 1))",
    "InputLayer": "the shape of a sample is the model's: xpnn.Model(layers, input_shape=(28, 28, 1))",
    "BatchNormalization": "xpnn.BatchNorm()",
    "BatchNorm1d": "xpnn.BatchNorm()",
    "BatchNorm2d": "xpnn.BatchNorm()",
    "LayerNormalization": "xpnn.LayerNorm()",
    "MaxPooling2D": "xpnn.MaxPool2D(2)",
    "AveragePooling2D": "xpnn.AvgPool2D(2)",
    "nn": "layers are names of xpnn: xpnn.Dense(10)",
    "optim": "optimizers are names of xpnn: xpnn.Adam(1e-3)",
    "datasets": "xpnn.data, such as xpnn.data.mnist()",
}
"""Names of the package xpnn."""
MODEL = {
    "compile": "fit takes them: model.fit(x, y, loss=..., optimizer=...)",
    "train": "model.fit(x, y), or xpnn.Trainer(model).step(x, y) for one batch",
    "eval": "evaluate and predict leave out dropout by themselves",
    "layers": "model.net.layers",
    "get_weights": "model.parameters()",
    "set_weights": "model.load_parameters({...})",
    "state_dict": "model.parameters()",
    "load_state_dict": "model.load_parameters({...}); weights of PyTorch: xpnn.interchange.load_torch",
    "export": "xpnn.interchange.save_onnx(model, path)",
    "to": "Model(..., backend=..., device=...), or model.copy(backend)",
    "plot": "functions of xpnn.plots, such as first_weights(model)",
    "predict_classes": "model.predict(x)",
}
"""Attributes of a model."""
HISTORY = {
    "plot": "xpnn.plots.training_curves(history)",
    "history": 'columns: history["train_loss"]; all of them: history.to_pandas()',
}
"""Attributes of a history."""
PLOTS = {
    "curves": "training_curves",
    "confusion": "confusion_matrix",
    "mistakes": "worst_mistakes",
    "weights": "first_weights",
    "activations": "activation_histograms",
    "gradients": "gradient_histograms",
    "boundary": "decision_boundary",
    "film": "animate_boundary",
}
"""What `xpnn plot --what` calls the pictures, and which functions draw them."""
ARGUMENTS = {
    "fit": {
        "learning_rate": "optimizer=xpnn.Adam(1e-3)",
        "lr": "optimizer=xpnn.Adam(1e-3)",
        "validation_split": "validation=0.1",
        "validation_data": "validation=(x, y)",
        "shuffle": "batches are shuffled, by the model's seed",
    },
    "": {
        "learning_rate": "lr=",
        "activation": "an activation is a layer of its own, behind this one: ReLU()",
        "input_shape": "it is the model's: Model(layers, input_shape=...)",
        "input_dim": "the model's input_shape says it",
        "in_features": "the layer finds it by itself; out_features is units",
        "out_features": "units=",
    },
}
"""Arguments of fit, and of layers, losses and optimizers."""


def no_attribute(what: str, name: str, known: dict[str, str]) -> AttributeError:
    """The error for a name that does not exist, with what it is here."""
    advice = f"; here: {known[name]}" if name in known else ""
    return AttributeError(f"{what} has no attribute {name!r}{advice}")


def check_arguments(what: str, given: dict[str, Any], allowed: list[str], known: dict[str, str]) -> None:
    """Raise ArgumentError for an argument that is not allowed, with the one that is meant."""
    unknown = next((name for name in given if name not in allowed), None)
    if unknown is not None:
        fix = known.get(unknown) or did_you_mean(unknown, allowed)
        raise ArgumentError(f"{what} has no argument {unknown!r}", fix=fix)


@functools.cache
def arguments_of(function: Callable[..., Any]) -> list[str] | None:
    """The names that a function or method takes, without self; None where it takes any."""
    given = inspect.signature(function).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in given):
        return None
    return [one.name for one in given][1:]


def explains_arguments(method: F) -> F:
    """A decorator: a misspelt argument is answered with the one that is meant."""
    allowed = arguments_of(method) or []

    @functools.wraps(method)
    def call(self: Any, *args: Any, **given: Any) -> Any:
        check_arguments(method.__name__, given, allowed, ARGUMENTS.get(method.__name__, {}))
        return method(self, *args, **given)

    return call  # type: ignore[return-value]

"""scikit-learn's MLPClassifier and MLPRegressor, in and out."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import BackendError, UsageError, did_you_mean
from xpnn.layers import Dense, Dropout, Flatten, ReLU, Sequential, Sigmoid, Softmax, Tanh
from xpnn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy

if TYPE_CHECKING:
    from xpnn.layers import Layer
    from xpnn.model import Model

ACTIVATIONS: dict[str, type["Layer"]] = {"relu": ReLU, "tanh": Tanh, "logistic": Sigmoid}


def from_mlp(mlp: Any, **settings: Any) -> "Model":
    """A model with the layers and weights of a fitted MLPClassifier or MLPRegressor.

    Its dtype is that of the weights by default; settings: of `xpnn.Model`, such as backend="torch". Class i
    of the model is mlp.classes_[i]; two classes are one output. Raises UsageError for anything else.
    """
    from xpnn.model import Model

    if not hasattr(mlp, "coefs_") or not hasattr(mlp, "out_activation_"):
        raise UsageError(
            f"{type(mlp).__name__} is no fitted MLPClassifier or MLPRegressor", fix="fit it first"
        )
    activation = mlp.activation
    if activation not in (*ACTIVATIONS, "identity"):
        raise UsageError(f"unknown activation {activation!r}", fix=did_you_mean(activation, ACTIVATIONS))
    layers: list[Layer] = []
    places = []
    for i, W in enumerate(mlp.coefs_):
        places.append(len(layers))
        layers.append(Dense(W.shape[1]))
        if i < len(mlp.coefs_) - 1 and activation != "identity":
            layers.append(ACTIVATIONS[activation]())
    made: dict[str, Any] = {"dtype": str(mlp.coefs_[0].dtype), "seed": 0} | settings
    model = Model(layers, (mlp.coefs_[0].shape[0],), **made)
    found: dict[str, Any] = {}
    for place, W, b in zip(places, mlp.coefs_, mlp.intercepts_, strict=True):
        found |= {f"{place}.W": W, f"{place}.b": b}
    model.load_parameters(found)
    losses = {"softmax": SoftmaxCrossEntropy, "logistic": BinaryCrossEntropy}
    model.loss = losses.get(mlp.out_activation_, MeanSquaredError)()
    return model


def to_mlp(model: "Model", *, classes: Sequence[Any] | None = None) -> Any:
    """A fitted MLPClassifier, or MLPRegressor for a model trained with a regression loss, with the model's weights.

    classes: the labels of the model's classes, in order; 0, 1, ... unless given. The model is a chain of Dense layers
    with one activation in between: relu, tanh, sigmoid or none. Raises UsageError for another network, BackendError
    without scikit-learn.
    """
    try:
        from sklearn.neural_network import MLPClassifier, MLPRegressor
        from sklearn.preprocessing import LabelBinarizer
    except ImportError as error:
        raise BackendError(
            "the package scikit-learn is not installed", fix="pip install 'xpnn[sklearn]'"
        ) from error
    places, activation = chain(model)
    named = model.parameters()
    to_numpy = model.backend.to_numpy
    coefs = [np.array(to_numpy(named[f"{i}.W"])) for i in places]
    hidden = tuple(W.shape[1] for W in coefs[:-1])
    kind = model.loss.kind
    made = (MLPRegressor if kind == "regression" else MLPClassifier)(
        hidden_layer_sizes=hidden, activation=activation
    )
    biases = {i: named.get(f"{i}.b") for i in places}
    made.coefs_ = coefs
    made.intercepts_ = [
        np.zeros(W.shape[1], W.dtype) if biases[i] is None else np.array(to_numpy(biases[i]))
        for i, W in zip(places, coefs, strict=True)
    ]
    made.n_layers_, made.n_outputs_ = len(coefs) + 1, coefs[-1].shape[1]
    made.n_features_in_, made.n_iter_, made.t_ = coefs[0].shape[0], 0, 0
    made.out_activation_ = {"classes": "softmax", "binary": "logistic"}.get(kind, "identity")
    if kind != "regression":
        count = 2 if kind == "binary" else made.n_outputs_
        labels = np.arange(count) if classes is None else np.asarray(classes)
        if len(labels) != count or list(labels) != sorted(labels):
            raise UsageError(
                f"classes={list(labels)}: wanted {count} labels in rising order",
                why="scikit-learn keeps them sorted",
            )
        made._label_binarizer = LabelBinarizer().fit(labels)
        made.classes_ = labels
    return made


def chain(model: "Model") -> tuple[list[int], str]:
    """The places of the Dense layers, and the activation between them. Raises UsageError for another network."""
    layers = model.net.layers if isinstance(model.net, Sequential) else ()
    kept = [
        (i, layer)
        for i, layer in enumerate(layers)
        if not isinstance(layer, Dropout) and not (isinstance(layer, Flatten) and len(model.input_shape) == 1)
    ]
    ends = {"classes": Softmax, "binary": Sigmoid}
    if kept and isinstance(kept[-1][1], ends.get(model.loss.kind, ())):
        kept = kept[:-1]
    words = {cls: word for word, cls in ACTIVATIONS.items()}
    between = {words.get(type(layer), "") for _, layer in kept if not isinstance(layer, Dense)}
    dense = [i for i, layer in kept if isinstance(layer, Dense)]
    turns = [isinstance(layer, Dense) for _, layer in kept]
    alternating = turns == [k % 2 == 0 for k in range(len(turns))] if between else all(turns)
    if not dense or "" in between or len(between) > 1 or not alternating or not turns[-1]:
        raise UsageError(
            "the model is no chain of Dense layers with one activation between them",
            why="an MLPClassifier is nothing else",
            fix="relu, tanh or sigmoid between Dense layers; scale the samples outside of the model",
        )
    return dense, between.pop() if between else "identity"

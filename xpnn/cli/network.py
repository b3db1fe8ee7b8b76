"""The untrained network of a training."""

import math
from typing import TYPE_CHECKING

import numpy as np

from xpnn.backends import Backend
from xpnn.data import Dataset, TablePreparation
from xpnn.errors import UsageError
from xpnn.models import build
from xpnn.recipes import Recipe
from xpnn.stored_array import StoredArray

if TYPE_CHECKING:
    from xpnn.layers import Layer
    from xpnn.losses import Loss
    from xpnn.model import Model


def make_model(model: str, data: Dataset, recipe: Recipe, be: Backend, seed: int) -> "Model":
    """Return the untrained model for this data."""
    from xpnn.model import Model

    if recipe.augmentation and len(data.input_shape) != 3:
        raise UsageError(
            f"--augment moves images, and {data.name} has samples of shape {data.input_shape}",
            fix="leave --augment out",
        )
    embedded = isinstance(data.x, tuple)
    pixels = not embedded and data.x.dtype == "uint8"
    layers = build(
        model,
        (joined_width(data),) if embedded else data.input_shape,
        data.outputs,
        hidden=recipe.hidden,
        activation=recipe.activation,
        dropout=recipe.dropout,
        input_dropout=recipe.input_dropout,
        pixels=pixels,
        **dict(recipe.network),
    )
    chain = [*recipe.augmentation, *preprocessing(data, recipe, seed), *layers]
    return Model(
        embedding(data, chain) if embedded else chain,
        data.input_shape,
        backend=be,
        seed=seed,
        loss=None if data.classes else "mean_squared_error",
        preparation=data.preparation,
    )


MOST_VALIDATION = 200_000
"""Samples, of which the accuracy is known to 0.1 %."""


def with_room(recipe: Recipe, samples: int) -> Recipe:
    """Return the recipe, with a validation part that fits into memory beside the training."""
    share = recipe.validation
    many = isinstance(share, float) and share * samples > MOST_VALIDATION
    return recipe.replace(validation=MOST_VALIDATION) if many else recipe


FEWEST_STEPS = 50
"""Steps of an epoch, below which batches get smaller."""
SMALLEST_BATCH = 16
"""Samples, below which they do not."""
OWN_PICTURES = ("images", "npz", "idx")
"""Data of any size: the other recipes are made for one dataset, or for small batches."""


def fitting_batches(recipe: Recipe, data: Dataset, given: int | None) -> tuple[Recipe, str]:
    """Return the recipe, with smaller batches where few samples would make few steps, and a line that says so.

    In 12 epochs of 3 steps no network learns: an epoch has at least 50 steps, or batches of 16. given: the batch size
    that was asked for, which stays.
    """
    n = round((1 - recipe.validation) * len(data.y)) if isinstance(recipe.validation, float) else len(data.y)
    fitting = max(SMALLEST_BATCH, 2 ** int(math.log2(max(1, n / FEWEST_STEPS))))
    if given is not None or data.name not in OWN_PICTURES or fitting >= recipe.batch_size:
        return recipe, ""
    return recipe.replace(
        batch_size=fitting
    ), f"batches of {fitting} (--batch-size), as there are {n:,} samples"


def joined_width(data: Dataset) -> int:
    """Return the number of features and embedding values together."""
    assert isinstance(data.preparation, TablePreparation)
    return len(data.preparation.features) + sum(column.embedding for column in data.preparation.embedded)


def embedding(data: Dataset, layers: list["Layer"]) -> "Layer":
    """Return a network that joins the features with the embeddings of a table's columns."""
    from xpnn.layers import Concatenate, Embedding, Graph, Sequential

    assert isinstance(data.preparation, TablePreparation)
    columns = data.preparation.embedded
    ids = [f"column{i}" for i in range(len(columns))]
    nodes = {
        f"embedding{i}": (Embedding(len(column.values) + 1, column.embedding), ids[i])
        for i, column in enumerate(columns)
    }
    return Graph(
        inputs=("features", *ids),
        nodes={
            **nodes,
            "joined": (Concatenate(), ("features", *nodes)),
            "outputs": (Sequential(tuple(layers)), "joined"),
        },
        outputs="outputs",
    )


def preprocessing(data: Dataset, recipe: Recipe, seed: int) -> list["Layer"]:
    """Return a layer fitted to the training samples of the user's own data, without the held-out part.

    Features are standardized one by one, images scaled to [0, 1]; bytes are scaled by the model.
    """
    from xpnn.layers import Rescale, Standardize
    from xpnn.training.trainer import hold_out

    if data.name not in ("npz", "hdf5", "zarr") or data.x.dtype == "uint8":
        return []
    train, _ = hold_out(data.y, recipe.validation, seed)
    if isinstance(data.x, StoredArray):
        train = train[:: data.x.some()]
    return [(Rescale if len(data.input_shape) > 1 else Standardize).fit(data.x[train])]


def make_loss(data: Dataset, recipe: Recipe, class_weight: str | None = None) -> "Loss":
    """Return the loss: cross-entropy, or for a regression the squared error.

    class_weight: "balanced" weighs each class by n / (classes * its samples), as scikit-learn does. Raises UsageError
    for settings that a regression does not have.
    """
    from xpnn.losses import MeanSquaredError, SoftmaxCrossEntropy

    if not data.classes:
        for flag, given in (("--class-weight", class_weight), ("--label-smoothing", recipe.label_smoothing)):
            if given:
                raise UsageError(
                    f"{flag} {given} with a regression", why="it has no classes", fix="leave it out"
                )
        return MeanSquaredError()
    if class_weight is None:
        return SoftmaxCrossEntropy(recipe.label_smoothing)
    counts = np.bincount(data.y, minlength=len(data.classes))
    weights = np.where(counts > 0, len(data.y) / (len(counts) * np.maximum(counts, 1)), 1.0)
    return SoftmaxCrossEntropy(recipe.label_smoothing, class_weight=tuple(weights.tolist()))

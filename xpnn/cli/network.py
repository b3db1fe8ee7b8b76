"""The untrained network of a training."""

from typing import TYPE_CHECKING

from xpnn.backends import Backend
from xpnn.data import Dataset
from xpnn.errors import UsageError
from xpnn.models import build
from xpnn.recipes import Recipe

if TYPE_CHECKING:
    from xpnn.layers import Layer
    from xpnn.model import Model


def make_model(model: str, data: Dataset, recipe: Recipe, be: Backend, seed: int) -> "Model":
    """The untrained model for this data."""
    from xpnn.model import Model

    if recipe.augmentation and len(data.input_shape) != 3:
        raise UsageError(
            f"--augment moves images, and {data.name} has samples of shape {data.input_shape}",
            fix="leave --augment out",
        )
    layers = build(
        model,
        data.input_shape,
        len(data.classes),
        hidden=recipe.hidden,
        activation=recipe.activation,
        dropout=recipe.dropout,
        input_dropout=recipe.input_dropout,
        pixels=data.x.dtype == "uint8",
        **dict(recipe.network),
    )
    return Model(
        [*recipe.augmentation, *preprocessing(data, recipe, seed), *layers],
        data.input_shape,
        backend=be,
        seed=seed,
    )


def preprocessing(data: Dataset, recipe: Recipe, seed: int) -> list["Layer"]:
    """For numbers of one's own: a layer measured on what will be trained on, without the part held out of it.

    Features are standardised one by one, images brought to [0, 1]; bytes are the model's business.
    """
    from xpnn.layers import Rescale, Standardize
    from xpnn.training.trainer import hold_out

    if data.name not in ("csv", "npz") or data.x.dtype == "uint8":
        return []
    train, _ = hold_out(data.y, recipe.validation, seed)
    return [(Rescale if len(data.input_shape) > 1 else Standardize).fit(data.x[train])]

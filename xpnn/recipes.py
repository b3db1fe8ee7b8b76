"""How each dataset is trained by default: the settings of `xpnn train DATASET`."""

from dataclasses import dataclass, fields, replace
from typing import Any

from xpnn import layers as L
from xpnn.config import short_repr, to_config
from xpnn.optimizers import OPTIMIZERS, Optimizer, get_optimizer
from xpnn.renamed import old_members


@old_members
@dataclass(frozen=True)
class Recipe:
    """The settings of one training run: the values below are MNIST's.

    validation: how many training samples are held out to choose the best epoch by, a number or a share.
    lr, weight_decay: None means the optimizer's own default. augmentation: layers before the model's own.
    network: settings that this model alone has, by name.
    """

    hidden: tuple[int, ...] = (512, 256)
    activation: str = "relu"
    input_dropout: float = 0.2
    dropout: float = 0.2
    epochs: int = 14
    batch_size: int = 256
    optimizer: str = "adamw"
    lr: float | None = 3e-3
    schedule: str = "warmup-cosine"
    weight_decay: float | None = 0.01
    label_smoothing: float = 0.0
    validation: int | float = 5000
    augmentation: tuple[L.Layer, ...] = ()
    network: tuple[tuple[str, Any], ...] = ()

    def replace(self, **given: Any) -> "Recipe":
        """This recipe with the settings that are not None put in place of its own.

        Its lr and weight decay belong to its optimizer: with another one, they are that one's defaults.
        """
        given = {name: value for name, value in given.items() if value is not None}
        if given.get("optimizer", self.optimizer) != self.optimizer:
            given = {"lr": None, "weight_decay": None} | given
        return replace(self, **given)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values, as run.json has them."""
        plain = {field.name: to_config(getattr(self, field.name)) for field in fields(self)}
        return plain | {"augmentation": [short_repr(layer) for layer in self.augmentation]}

    def make_optimizer(self) -> Optimizer:
        """The optimizer of that name. Raises UsageError for an unknown name or a value out of its bounds."""
        settings = {"lr": self.lr, "weight_decay": self.weight_decay}
        cls = OPTIMIZERS.get(self.optimizer) or type(get_optimizer(self.optimizer))
        return cls(**{name: value for name, value in settings.items() if value is not None})


POINTS = Recipe((64, 64), "relu", 0.0, 0.0, 40, 64, "adam", 1e-2, weight_decay=None, validation=0.1)
TABLE = POINTS.replace(optimizer="adamw", lr=3e-3, weight_decay=0.01, batch_size=32, dropout=0.1)
RECIPES = {
    "mnist": Recipe(),
    "fashion": Recipe(
        input_dropout=0.0, dropout=0.1, epochs=12, batch_size=128, lr=1.5e-3, label_smoothing=0.1
    ),
    "kmnist": Recipe(),
    "emnist": Recipe(validation=0.1),
    "strokes": Recipe(validation=0.1, batch_size=64, epochs=10),
    "spiral": POINTS,
    "moons": POINTS.replace(epochs=10),
    "rings": POINTS.replace(epochs=10),
    "blobs": POINTS.replace(epochs=10),
    "idx": Recipe(validation=0.1),
    "table": TABLE,
    "csv": TABLE,
    "images": Recipe(validation=0.1, batch_size=64),
    "npz": Recipe(validation=0.1, batch_size=64),
    "hdf5": Recipe(validation=0.1, batch_size=64),
    "zarr": Recipe(validation=0.1, batch_size=64),
}

IMAGES: dict[str, Any] = {"input_dropout": 0.0, "batch_size": 128, "lr": 2e-3}
OVERRIDES: dict[str, dict[str, Any]] = {
    "cnn": IMAGES | {"hidden": (256,), "dropout": 0.5, "epochs": 12},
    "lenet": IMAGES | {"hidden": (120, 84), "activation": "tanh", "dropout": 0.0, "epochs": 10},
    "resnet": IMAGES | {"hidden": (), "dropout": 0.2, "epochs": 10},
    "rnn": IMAGES | {"hidden": (128,), "dropout": 0.2, "epochs": 12},
    "transformer": IMAGES | {"hidden": (64, 128), "activation": "gelu", "dropout": 0.1, "epochs": 14},
}
"""What a model changes in every dataset's recipe; `mlp` is what they are written for."""
TOGETHER: dict[tuple[str, str], dict[str, Any]] = {("fashion", "cnn"): {"epochs": 20}}
"""What a dataset and a model change together."""


HANDWRITING: tuple[L.Layer, ...] = (
    L.Warp((L.RandomRotation(10.0), L.RandomZoom(0.1), L.RandomShift(0.07), L.RandomElastic(1.0, 4.0))),
)
CLOTHING: tuple[L.Layer, ...] = (L.RandomFlip(), L.Warp((L.RandomZoom(0.05), L.RandomShift(0.05))))
AUGMENTED: dict[str, dict[str, Any]] = {
    "mlp": {"input_dropout": 0.0, "dropout": 0.1, "epochs": 30},
    "cnn": {"dropout": 0.4, "epochs": 26},
    "lenet": {"epochs": 20},
}
"""What `--augment` changes for a model, beside the layers that come first; of the others it doubles the epochs."""
DEEPER: dict[str, Any] = {"network": (("filters", (32, (64, 64))), ("kernel", 5), ("padding", "valid"))}
AUGMENTED_TOGETHER: dict[tuple[str, str], dict[str, Any]] = {
    ("mnist", "cnn"): DEEPER,
    ("kmnist", "cnn"): DEEPER,
    ("emnist", "cnn"): DEEPER,
}
"""What it changes for a dataset and a model together: a third convolution, unpadded, for images of 28 x 28 or so."""


def recipe_for(dataset: str, model: str, augment: bool = False) -> Recipe:
    """The recipe of that dataset, with what that model and augmentation change in it."""
    changed = OVERRIDES.get(model, {}) | TOGETHER.get((dataset, model), {})
    recipe = replace(RECIPES[dataset], **changed)
    if not augment:
        return recipe
    layers = CLOTHING if dataset == "fashion" else HANDWRITING
    longer = AUGMENTED.get(model, {"epochs": 2 * recipe.epochs})
    together = AUGMENTED_TOGETHER.get((dataset, model), {})
    return replace(recipe, augmentation=layers, **longer | together)

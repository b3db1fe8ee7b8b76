"""The models known by name, as the command line takes them: `xpnn train --model mlp`."""

from collections.abc import Callable, Sequence
from typing import Any

from xpnn.errors import UsageError, did_you_mean
from xpnn.layers import Layer
from xpnn.models.activations import ACTIVATIONS, SQUASHING
from xpnn.models.cnn import cnn
from xpnn.models.lenet import lenet
from xpnn.models.mlp import mlp
from xpnn.models.resnet import resnet
from xpnn.models.rnn import rnn
from xpnn.models.transformer import transformer

MODELS: dict[str, Callable[..., list[Layer]]] = {
    "mlp": mlp,
    "lenet": lenet,
    "cnn": cnn,
    "resnet": resnet,
    "rnn": rnn,
    "transformer": transformer,
}

__all__ = ["ACTIVATIONS", "MODELS", "SQUASHING", "build"]


def build(name: str, input_shape: Sequence[int], classes: int, **settings: Any) -> list[Layer]:
    """The layers of the model called `name`; see the function of that name. Raises UsageError for an unknown one."""
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}", fix=did_you_mean(name, MODELS))
    return MODELS[name](input_shape, classes, **settings)

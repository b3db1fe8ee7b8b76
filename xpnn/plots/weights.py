"""The weights of the first layer."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.errors import UsageError
from xpnn.model import Model
from xpnn.plots.style import new_figure, plain

MOST, ACROSS = 64, 8


def first_weights(model: Model, path: str | Path | None = None, title: str = "") -> Any:
    """The first matrix of the model: black is negative, white positive, grey 0.

    Over images, each unit of a dense layer is an image of its weights, each filter of a convolution one of its kernel
    (the mean over its channels): the 64 of largest norm, largest first. Otherwise the matrix, inputs down, units
    across. Raises UsageError for a model without a matrix.
    """
    name = next((n for n, spec in model.layout.named.items() if spec.trainable and len(spec.shape) > 1), None)
    if name is None:
        raise UsageError("the model has no matrix of weights to draw")
    W = np.asarray(model.backend.to_numpy(model.parameters()[name]), dtype=np.float64)
    tiles = as_images(W, model.input_shape)
    if tiles is None:
        return _matrix(W.reshape(-1, W.shape[-1]), name, path, title)
    order = np.argsort(-np.sqrt(np.sum(tiles * tiles, axis=(1, 2))), kind="stable")[:MOST]
    rows = -(-len(order) // ACROSS)
    top = float(np.abs(tiles[order]).max()) or 1.0
    height = 0.8 + 0.85 * rows
    with new_figure(path, (7, height)) as figure:
        figure.set_layout_engine("none")  # the places are known, and finding them again takes seconds
        edges = {"left": 0.02, "right": 0.85, "bottom": 0.02, "top": 1 - 0.7 / height, "hspace": 0.3}
        grid = figure.subplots(rows, ACROSS, squeeze=False, gridspec_kw=edges).reshape(-1)
        for axes in grid:
            axes.set_axis_off()
        for axes, unit in zip(grid, order, strict=False):
            image = axes.imshow(tiles[unit], cmap="gray", vmin=-top, vmax=top)
            axes.set_title(f"unit {unit}", fontsize=7, pad=2)
        figure.colorbar(image, cax=figure.add_axes((0.88, 0.1, 0.02, 0.7)), label="weight")
        figure.suptitle(
            f"{plain(title)}\n{plain(name)}, {len(order)} of {len(tiles)} units, largest norm first",
            fontsize=11,
        )
    return figure


def as_images(W: NDArray[Any], input_shape: tuple[int, ...]) -> NDArray[Any] | None:
    """Return (units, height, width) for weights over images, else None."""
    if W.ndim == 2 and len(input_shape) == 3 and W.shape[0] == math.prod(input_shape):
        W = W.reshape(*input_shape, -1)
    if W.ndim != 4:
        return None
    tiles: NDArray[Any] = np.moveaxis(W.mean(axis=2), -1, 0)
    return tiles


def _matrix(W: NDArray[Any], name: str, path: str | Path | None, title: str) -> Any:
    top = float(np.abs(W).max()) or 1.0
    with new_figure(path, (7, 1.6 + min(6.0, 0.35 * len(W)))) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(W, cmap="gray", vmin=-top, vmax=top, aspect="auto", interpolation="nearest")
        figure.colorbar(image, label="weight")
        if len(W) <= 12:
            axes.set_yticks(range(len(W)))
        axes.set(xlabel="unit", ylabel="input", title=f"{plain(title)}\n{plain(name)}")
    return figure

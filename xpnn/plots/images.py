"""Grids of images with their labels and predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnn.errors import ShapeError
from xpnn.plots.style import new_figure, plain, plain_names

ACROSS = 5
MOST = 20
"""Mistakes in one picture."""


def digit_grid(
    images: ArrayLike, true: ArrayLike, predicted: ArrayLike, path: str | Path | None = None
) -> Any:
    """Images (N, H, W) or (N, H, W, 1) in rows of five, each with its label and prediction; errors are framed."""
    images, true, predicted = np.asarray(images), np.asarray(true), np.asarray(predicted)
    with new_figure(path, (7, 1.6 * -(-len(images) // ACROSS))) as figure:
        titles = [f"true {t}, pred {p}" for t, p in zip(true, predicted, strict=True)]
        _grid(figure, images, titles, true != predicted)
    return figure


def worst_mistakes(
    images: ArrayLike,
    true: ArrayLike,
    probabilities: ArrayLike,
    path: str | Path | None = None,
    classes: Sequence[str] = (),
    title: str = "",
) -> Any:
    """The wrong predictions of the highest probability, highest first: at most 20.

    images (N, H, W) or (N, H, W, C), true (N,) ids, probabilities (N, classes), as `predict_proba` gives them. Each
    is titled "true -> predicted, probability".
    """
    images, true, p = np.asarray(images), np.asarray(true), np.asarray(probabilities)
    if images.ndim not in (3, 4) or len(images) != len(true) or p.shape[:1] != true.shape:
        raise ShapeError(
            f"images of shape {images.shape}, labels {true.shape}, probabilities {p.shape}",
            fix="images (N, H, W, C), labels (N,), probabilities (N, classes)",
        )
    taken = p.argmax(axis=1)
    names = plain_names(classes) or [str(k) for k in range(p.shape[1])]
    wrong = np.flatnonzero(taken != true)
    surest = wrong[np.argsort(-p[wrong, taken[wrong]], kind="stable")][:MOST]
    head = f"{len(wrong):,} of {len(true):,} wrong"
    head += (
        f", the {len(surest)} surest: true \N{RIGHTWARDS ARROW} taken for, probability" if len(surest) else ""
    )
    with new_figure(path, (7.4, 0.7 + 1.85 * max(1, -(-len(surest) // ACROSS)))) as figure:
        figure.suptitle(f"{plain(title)}\n{head}" if title else head, fontsize=11)
        said = [_said(names[true[i]], names[taken[i]], float(p[i, taken[i]])) for i in surest]
        _grid(figure, images[surest], said, np.zeros(len(surest), bool))
    return figure


def _said(true: str, taken: str, share: float) -> str:
    """Return the title on one line, or on two if the names are long."""
    gap = "\n" if len(true) + len(taken) > 8 else " "
    return f"{true} \N{RIGHTWARDS ARROW}{gap}{taken}, {100 * share:.1f} %"


def _grid(figure: Any, images: NDArray[Any], titles: Sequence[str], framed: NDArray[Any]) -> None:
    """Draw the images in rows of five."""
    rows = max(1, -(-len(images) // ACROSS))
    grid = figure.subplots(rows, ACROSS, squeeze=False).reshape(-1)
    for axes in grid:
        axes.set_axis_off()
    for axes, image, title, frame in zip(grid, images, titles, framed, strict=False):
        colours = image.ndim == 3 and image.shape[2] == 3
        axes.imshow(image if colours else image.reshape(image.shape[:2]), cmap="gray_r")
        axes.set_title(title, fontsize=9, weight="bold" if frame else "normal")
        if frame:
            axes.set_axis_on()
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_linewidth(2)

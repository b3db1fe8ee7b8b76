"""The confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xpnn.errors import ShapeError
from xpnn.plots.style import new_figure, plain, plain_names

WIDEST = 30
"""Classes up to which the counts are written into the cells, and each class is named."""


def confusion_matrix(
    counts: ArrayLike, classes: Sequence[str], path: str | Path | None = None, title: str = ""
) -> Any:
    """Row i, column j: how many samples of class i were predicted as j, as `metrics.ConfusionMatrix` counts them.

    Only mistakes are shaded, the more the darker; the diagonal, where the decisions are right, is hatched. Of more than
    30 classes, every second, third ... is named, and the diagonal is a line.
    """
    counts = np.asarray(counts)
    n = len(classes)
    if counts.shape != (n, n):
        raise ShapeError(
            f"counts of shape {counts.shape} for {n} classes", fix="one row and column for each class"
        )
    side = min(14.0, max(4.5, 0.52 * n + 1.6))
    wrong = counts - np.diag(np.diag(counts))
    with new_figure(path, (side + 1.2, side)) as figure:
        from matplotlib.patches import Rectangle

        axes = figure.add_subplot()
        image = axes.imshow(wrong, cmap="Greys", vmin=0, vmax=max(1, wrong.max()))
        figure.colorbar(image, label="mistakes", shrink=0.8).locator.set_params(integer=True)
        if n > WIDEST:
            axes.plot((-0.5, n - 0.5), (-0.5, n - 0.5), color="0.7", linewidth=0.5)
        for i in range(n) if n <= WIDEST else ():
            axes.add_patch(
                Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, hatch="////", edgecolor="0.8", linewidth=0)
            )
        for i, j in np.argwhere(counts > 0) if n <= WIDEST else ():
            dark = wrong[i, j] > 0.55 * max(1, wrong.max())
            axes.text(
                j, i, f"{counts[i, j]}", ha="center", va="center", fontsize=8 if n <= 12 else 6,
                color="white" if dark else "black", weight="bold" if i == j else "normal",
            )  # fmt: skip
        names = plain_names(classes)
        long = max(map(len, names)) > 3
        every = -(-n // WIDEST)
        shown, names = range(0, n, every), names[::every]
        axes.set_xticks(shown, names, rotation=45 if long else 0, ha="right" if long else "center")
        axes.set_yticks(shown, names)
        axes.set(xlabel="taken for", ylabel="true class", title=plain(title))
    return figure

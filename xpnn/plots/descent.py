"""Gradient descent as an animation on a curve or a contour map."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xpnn.errors import ShapeError
from xpnn.plots.style import animate, new_figure


def animate_descent(
    f: Callable[..., Any],
    points: ArrayLike,
    span: tuple[float, float],
    path: str | Path | None = None,
    title: str = "gradient descent",
) -> Any:
    """A GIF of gradient descent: points (steps + 1, 1) walk on the curve f(x), (steps + 1, 2) on a map of f(x, y).

    `span` is the interval of every axis; f takes one array per axis.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] not in (1, 2):
        raise ShapeError(f"points of shape {points.shape}", why="wanted (steps + 1, 1) or (steps + 1, 2)")
    from_to = np.linspace(*span, 300)
    with new_figure(path, (5.6, 4.4), save=False) as figure:
        from matplotlib import colormaps
        from matplotlib.patheffects import withStroke

        axes = figure.add_subplot()
        if points.shape[1] == 1:
            axes.plot(from_to, f(from_to), color="0.6")
            track = np.stack([points[:, 0], f(points[:, 0])], axis=1)
            axes.set(xlabel="x", ylabel="f(x)", xlim=span)
        else:
            heights = f(*np.meshgrid(from_to, from_to))
            bands = colormaps["gray"].resampled(12)
            image = axes.imshow(heights, cmap=bands, origin="lower", extent=(*span, *span), aspect="auto")
            figure.colorbar(image, label="f(x, y)")
            track = points
            axes.set(xlabel="x", ylabel="y", xlim=span, ylim=span)
        # An outline: seen on black and on white. No dots on the map, where steps lie too close for them.
        style = {
            "path_effects": [withStroke(linewidth=3.4, foreground="black")],
            "markersize": 4,
            "linewidth": 1.8,
        }
        (line,) = axes.plot([], [], "o-" if points.shape[1] == 1 else "-", color="orange", **style)
        (head,) = axes.plot([], [], "o", color="orange", markeredgecolor="black", markersize=11)
        axes.set_title(title)

        def draw(step: int) -> None:
            line.set_data(*track[: step + 1].T)
            head.set_data(*track[step : step + 1].T)
            axes.set_title(f"{title}, step {step}: f = {float(f(*points[step])):+.4f}")

        animate(figure, path, len(track), draw)
    return figure

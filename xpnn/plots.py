"""Pictures, by matplotlib (the extra `plot`), which is imported only when one is drawn.

Every function writes one file and makes its folder. Classes and curves differ in lightness, marker or line style,
never in hue alone, so that the pictures survive a grey printer. Raises BackendError where matplotlib is missing
and FileError where `path` cannot be written.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnn.errors import BackendError, FileError, ShapeError
from xpnn.model import Model
from xpnn.training import History

MARKERS = "os^Dv*PX"
DPI, DPI_GIF = 120, 80
FRAMES_PER_SECOND = 8
PAUSE = 8
"""Frames for which an animation rests on its last picture."""


def decision_boundary(model: Model, x: ArrayLike, y: ArrayLike, path: str | Path, title: str = "") -> None:
    """The class `model` predicts at every point of the plane, under the points x (N, 2) with their ids y (N,)."""
    x, y = np.asarray(x), np.asarray(y)
    if x.shape[1:] != (2,):
        raise ShapeError(f"points of shape {x.shape}", why="a plane has two axes", fix="give x as (N, 2)")
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.08 * (high - low)
    across, up = (np.linspace(a, b, 300) for a, b in zip(low - margin, high + margin, strict=True))
    plane = np.stack(np.meshgrid(across, up), axis=-1)
    ids = model.predict(plane.reshape(-1, 2)).reshape(plane.shape[:2])
    classes = int(max(ids.max(), y.max())) + 1
    shades = _shades(classes)
    with _figure(path, (6.4, 5.2)) as figure:
        axes = figure.add_subplot()
        axes.contourf(across, up, ids, levels=np.arange(classes + 1) - 0.5, colors=shades, alpha=0.35)
        present = np.unique(ids)
        for k in present if len(present) > 1 else ():  # every line is drawn from both sides, so all are alike
            axes.contour(across, up, ids == k, levels=[0.5], colors="black", linewidths=0.7)
        for k in range(classes):
            axes.scatter(
                *x[y == k].T, s=16, marker=MARKERS[k % len(MARKERS)], color=shades[k],
                edgecolors="black", linewidths=0.4, label=f"class {k}",
            )  # fmt: skip
        axes.set(xlabel="x[0]", ylabel="x[1]", title=title)
        figure.legend(loc="outside right upper", frameon=False)


def loss_curve(history: History, path: str | Path, title: str = "") -> None:
    """Loss against epoch: training drawn solid; validation, where there was one, dashed."""
    epochs = history["epoch"]
    with _figure(path, (6.4, 4)) as figure:
        axes = figure.add_subplot()
        axes.plot(epochs, history["train_loss"], "o-", color="black", label="training")
        if len(epochs) and history["valid_loss"][0] is not None:
            axes.plot(epochs, history["valid_loss"], "s--", color="tab:orange", label="validation")
        axes.set(xlabel="epoch", ylabel="loss", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def digit_grid(images: ArrayLike, true: ArrayLike, predicted: ArrayLike, path: str | Path) -> None:
    """Images (N, H, W) or (N, H, W, 1) in rows of five, each with its label and the prediction; misses are framed."""
    images, true, predicted = np.asarray(images), np.asarray(true), np.asarray(predicted)
    rows = -(-len(images) // 5)
    with _figure(path, (7, 1.6 * rows)) as figure:
        grid = figure.subplots(rows, 5, squeeze=False).reshape(-1)
        for axes in grid:
            axes.set_axis_off()
        for axes, image, t, p in zip(grid, images, true, predicted, strict=False):
            axes.imshow(image.reshape(image.shape[:2]), cmap="gray_r")
            axes.set_title(f"true {t}, pred {p}", fontsize=9, weight="normal" if t == p else "bold")
            if t != p:
                axes.set_axis_on()
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_linewidth(2)


def animate_descent(
    f: Callable[..., Any],
    points: ArrayLike,
    span: tuple[float, float],
    path: str | Path,
    title: str = "gradient descent",
) -> None:
    """A GIF of gradient descent: points (steps + 1, 1) walk on the curve f(x), (steps + 1, 2) on a map of f(x, y).

    `span` is the interval of every axis; f takes one array per axis.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] not in (1, 2):
        raise ShapeError(f"points of shape {points.shape}", why="wanted (steps + 1, 1) or (steps + 1, 2)")
    from_to = np.linspace(*span, 300)
    with _figure(path, (5.6, 4.4), save=False) as figure:
        from matplotlib import colormaps
        from matplotlib.animation import PillowWriter
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
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once: otherwise every frame would be, and shake
        writer = PillowWriter(fps=FRAMES_PER_SECOND)
        with writer.saving(figure, str(path), DPI_GIF):
            for step in [*range(len(track)), *[len(track) - 1] * PAUSE]:
                line.set_data(*track[: step + 1].T)
                head.set_data(*track[step : step + 1].T)
                axes.set_title(f"{title}, step {step}: f = {float(f(*points[step])):+.4f}")
                writer.grab_frame()


def _shades(classes: int) -> NDArray[Any]:
    """One colour per class, from dark to light."""
    from matplotlib import colormaps

    shades: NDArray[Any] = colormaps["viridis"](np.linspace(0, 0.95, classes))
    return shades


@contextlib.contextmanager
def _figure(path: str | Path, size: tuple[float, float], save: bool = True) -> Iterator[Any]:
    """An empty figure, saved at the end unless `save` is off. It never touches pyplot, whose figures are global."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendError(
            "pictures need matplotlib, which is not installed", fix="pip install 'xpnn[plot]'"
        ) from error
    figure = Figure(figsize=size, layout="constrained")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield figure
        if save:
            figure.savefig(path, dpi=DPI)
    except OSError as error:
        raise FileError(f"cannot write {path}", why=error.strerror or str(error)) from error

"""The decision boundary of a model in the plane, and its course during training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xpnn.errors import ShapeError, UsageError
from xpnn.model import Model
from xpnn.plots.style import HATCHES, MARKERS, animate, new_figure, plain, plain_names, shades

FINE, COARSE = 300, 160
"""Points of the grid along an axis: of a picture, of a frame."""


class _Plane:
    """A grid over the points, and how to draw on it."""

    def __init__(self, x: ArrayLike, y: ArrayLike, steps: int) -> None:
        self.x, self.y = np.asarray(x), np.asarray(y)
        if self.x.shape[1:] != (2,):
            raise ShapeError(
                f"points of shape {self.x.shape}", why="a plane has two axes", fix="give x as (N, 2)"
            )
        low, high = self.x.min(axis=0), self.x.max(axis=0)
        margin = 0.08 * (high - low)
        self.across, self.up = (
            np.linspace(a, b, steps) for a, b in zip(low - margin, high + margin, strict=True)
        )
        self.points = np.stack(np.meshgrid(self.across, self.up), axis=-1).reshape(-1, 2)

    def ids(self, model: Model) -> NDArray[Any]:
        """Return the class at every point."""
        found: NDArray[Any] = model.predict(self.points).reshape(len(self.up), len(self.across))
        return found

    def regions(self, axes: Any, ids: NDArray[Any], colours: NDArray[Any]) -> list[Any]:
        """Fill each class's region with its shade, more than three with hatching too, with black lines between."""
        edges, n = np.arange(len(colours) + 1) - 0.5, len(colours)
        hatches = [HATCHES[k % len(HATCHES)] for k in range(n)] if n > 3 else [None]
        shaded = axes.contourf(
            self.across, self.up, ids, levels=edges, colors=colours, alpha=0.35, zorder=0, hatches=hatches
        )
        shaded.set(edgecolor="0.6", linewidth=0)
        artists = [shaded]
        present = np.unique(ids)
        for k in (
            present if len(present) > 1 else ()
        ):  # every line is contoured from both sides, so all look the same
            line = axes.contour(
                self.across, self.up, ids == k, levels=[0.5], colors="black", linewidths=0.7, zorder=1
            )
            artists.append(line)
        return artists

    def scatter(self, axes: Any, model: Model, names: Sequence[str], colours: NDArray[Any]) -> None:
        """Draw the points, a marker for each class; the axes are named by the columns of the model's table, if any."""
        for k, name in enumerate(names):
            axes.scatter(
                *self.x[self.y == k].T, s=16, marker=MARKERS[k % len(MARKERS)], color=colours[k],
                edgecolors="black", linewidths=0.4, label=name, zorder=2,
            )  # fmt: skip
        features = getattr(model.preparation, "features", ())
        across, up = plain_names([f"{name}, scaled" for name in features]) or ("x[0]", "x[1]")
        axes.set(xlabel=across, ylabel=up)
        axes.locator_params(nbins=6)  # more numbers would run into each other in the film


def decision_boundary(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    path: str | Path | None = None,
    title: str = "",
    classes: Sequence[str] = (),
) -> Any:
    """The class `model` predicts at every point of the plane, under the points x (N, 2) with their ids y (N,).

    Points that the model gets wrong have a ring around them.
    """
    plane = _Plane(x, y, FINE)
    ids = plane.ids(model)
    names = plain_names(classes) or [f"class {k}" for k in range(int(max(ids.max(), plane.y.max())) + 1)]
    wrong = model.predict(plane.x) != plane.y
    with new_figure(path, (6.4, 5.2)) as figure:
        axes, colours = figure.add_subplot(title=plain(title)), shades(len(names))
        plane.regions(axes, ids, colours)
        plane.scatter(axes, model, names, colours)
        axes.scatter(*plane.x[wrong].T, s=50, facecolors="none", edgecolors="black", label="wrong", zorder=3)
        figure.legend(loc="outside right upper", frameon=False)
    return figure


def animate_boundary(
    model: Model,
    frames: Sequence[tuple[int, dict[str, NDArray[Any]]]],
    x: ArrayLike,
    y: ArrayLike,
    path: str | Path | None = None,
    title: str = "",
    classes: Sequence[str] = (),
) -> Any:
    """A GIF of the decision boundary: one picture for each (epoch, theta and phi), as `training.Film` keeps them.

    The model keeps its weights. Raises UsageError without frames.
    """
    if not frames:
        raise UsageError("a film of no frames", fix="fit(..., callbacks=[film]) first")
    plane, kept = _Plane(x, y, COARSE), model.snapshot()
    names = plain_names(classes) or [
        f"class {k}" for k in range(max(model.output_shape[-1], int(plane.y.max()) + 1))
    ]
    try:
        shots = []
        for epoch, vectors in frames:
            model.restore(vectors)
            shots.append((epoch, plane.ids(model), float(np.mean(model.predict(plane.x) == plane.y))))
    finally:
        model.restore(kept)
    artists: list[Any] = []
    with new_figure(path, (5.6, 4.6), save=False) as figure:
        axes, colours = figure.add_subplot(), shades(len(names))
        plane.scatter(axes, model, names, colours)
        axes.set(xlim=plane.across[[0, -1]], ylim=plane.up[[0, -1]])
        axes.set_title(f"{plain(title)}\nepoch")
        figure.legend(loc="outside right upper", frameon=False)

        def draw(step: int) -> None:
            epoch, ids, share = shots[step]
            while artists:
                artists.pop().remove()
            artists.extend(plane.regions(axes, ids, colours))
            axes.set_title(f"{plain(title)}\nepoch {epoch}: {100 * share:.1f} % of the points right")

        animate(figure, path, len(shots), draw)
    return figure

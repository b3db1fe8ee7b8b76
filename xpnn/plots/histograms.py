"""Histograms of the outputs and gradients of each layer in one training step."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.diagnostics import Trace
from xpnn.plots.style import new_figure, plain

ACROSS, BINS = 3, 50


def activation_histograms(trace: Trace, path: str | Path | None = None, title: str = "") -> Any:
    """The outputs of every layer of a `diagnostics.trace`; each title says how many of them are 0."""
    panels = {
        f"{visit.path} {type(visit.layer).__name__}": np.concatenate([y.reshape(-1) for y in visit.y])
        for visit in trace.visits
    }
    return _histograms(panels, "output", "outputs", path, title)


def gradient_histograms(trace: Trace, path: str | Path | None = None, title: str = "") -> Any:
    """The gradient of the loss by every parameter."""
    panels = {
        f"{visit.path}.{name}": gradient.reshape(-1)
        for visit in trace.visits
        for name, gradient in visit.gradients.items()
    }
    return _histograms(panels, "gradient", "entries", path, title)


def _histograms(
    panels: dict[str, NDArray[Any]], value: str, count: str, path: str | Path | None, title: str
) -> Any:
    rows = max(1, math.ceil(len(panels) / ACROSS))
    with new_figure(path, (8.4, 0.6 + 1.9 * rows)) as figure:
        grid = figure.subplots(rows, ACROSS, squeeze=False).reshape(-1)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, (name, values) in zip(grid, panels.items(), strict=False):
            shown = values[np.isfinite(values)].astype(np.float64)
            axes.hist(shown, bins=BINS, log=True, histtype="stepfilled", color="0.75", edgecolor="black")
            zeros, lost = float(np.mean(values == 0)), len(values) - len(shown)
            note = f"{100 * zeros:.0f} % zero" if zeros else ""
            note = f"{lost:,} not finite" if lost else note
            axes.set_title(plain(f"{name}  {note}".rstrip()), fontsize=9)
            axes.tick_params(labelsize=7)
            axes.xaxis.get_offset_text().set_fontsize(7)
            axes.set_ylim(bottom=0.5)
            axes.yaxis.set_minor_formatter("")
            axes.locator_params(axis="x", nbins=5)
            axes.ticklabel_format(axis="x", style="sci", scilimits=(-3, 4))
        figure.supxlabel(value, fontsize=10)
        figure.supylabel(f"number of {count} (logarithmic)", fontsize=10)
        figure.suptitle(plain(title), fontsize=11)
    return figure

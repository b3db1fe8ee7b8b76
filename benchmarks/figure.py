"""Step time over batch, width and depth against the floor, on logarithmic axes."""

import pathlib
import statistics
from typing import Any

from benchmarks.families.growth import AXES
from benchmarks.libraries import FLOOR

LINES = {
    FLOOR: ("bare matrix products", {"color": "0.55", "linestyle": "--", "marker": "^"}),
    "xpnn": ("xpnn", {"color": "0.25", "linestyle": "-", "marker": "o", "markerfacecolor": "white"}),
    "xpnn-fast": ("xpnn with numba", {"color": "0", "linestyle": "-", "marker": "s"}),
}


def draw(records: list[dict[str, Any]], path: pathlib.Path) -> None:
    """Three panels that share the axis of time."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    from xpnn.plots.style import new_figure

    with new_figure(path, (9.5, 3.6)) as figure:
        panels = figure.subplots(1, len(AXES), sharey=True)
        for panel, (axis, (about, numbers, _)) in zip(panels, AXES.items(), strict=True):
            cells = [cell for cell in records if cell["cell"].startswith(f"growth/{axis}/")]
            for name, (label, style) in LINES.items():
                points = [
                    (int(cell["cell"].split("/")[-1]), 1e3 * statistics.median(cell["seconds"][name]))
                    for cell in cells
                    if name in cell["seconds"]
                ]
                panel.loglog(
                    *zip(*points, strict=True), label=label, markersize=5, **style
                ) if points else None
            panel.set(xlabel=axis, title=about, xticks=numbers)
            panel.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.yaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))
            panel.grid(color="0.9")
        panels[0].set_ylabel("ms a training step (Adam, float32)")
        panels[0].legend(frameon=False)

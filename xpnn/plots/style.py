"""What all pictures share: sizes, markers that differ in grey, and how the file is written."""

import contextlib
import functools
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.durable import write_durably
from xpnn.errors import BackendError, FileError, UsageError
from xpnn.printing import one_line, printable
from xpnn.system import user_path

MARKERS = "os^Dv*PX"
HATCHES = ("", "....", "////", "\\\\\\\\", "xxxx", "++++", "----", "||||")
DPI, DPI_GIF, DPI_NOTEBOOK = 120, 80, 90
FRAMES_PER_SECOND = 8
PAUSE = 8
"""Frames for which an animation rests on its last picture."""
TEXT = {"svg.fonttype": "none", "svg.hashsalt": "xpnn"}
"""Words stay words in an SVG, and equal pictures are equal files."""


def plain(text: object) -> str:
    """Return a text escaped for matplotlib: no control characters, and no formulas between dollar signs."""
    return printable(text).replace("$", r"\$")


def plain_names(names: Sequence[str]) -> list[str]:
    """Return the names of classes, each escaped and on one line."""
    return [plain(one_line(name)) for name in names]


def shades(classes: int) -> NDArray[Any]:
    """Return one colour per class, from dark to light."""
    from matplotlib import colormaps

    colours: NDArray[Any] = colormaps["viridis"](np.linspace(0, 0.95, classes))
    return colours


@contextlib.contextmanager
def new_figure(path: str | Path | None, size: tuple[float, float], save: bool = True) -> Iterator[Any]:
    """Yield an empty figure, saved at the end unless `path` is None or `save` False, where an animation is saved.

    pyplot is avoided: its figures are global. A notebook shows the figure that a function returns.

    A file matplotlibrc, which matplotlib reads from the working folder, is without effect: it could start LaTeX.
    """
    check_settings_file()
    try:
        from matplotlib import rc_context, rcdefaults
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BackendError(
            "pictures need matplotlib, which is not installed", fix="pip install 'xpnn[plot]'"
        ) from error
    with rc_context():
        rcdefaults()
        figure = shown_by_notebooks(Figure)(figsize=size, layout="constrained")
        kind = "" if path is None else user_path(path).suffix[1:].lower()
        save = save and path is not None
        if save and kind not in figure.canvas.get_supported_filetypes():
            raise UsageError(
                f"cannot draw {path}", why=f"{kind!r} is no kind of picture", fix="PATH.png or PATH.svg"
            )
        yield figure
        if save:
            memory = io.BytesIO()
            with rc_context(TEXT):
                about = {"Date": None} if kind == "svg" else None
                figure.savefig(memory, format=kind, dpi=DPI, metadata=about)
            write_durably(user_path(path), memory.getvalue())  # type: ignore[arg-type]


@functools.cache
def shown_by_notebooks(figure: Any) -> Any:
    """matplotlib's Figure, which a notebook shows as a picture, also where pyplot was never imported."""

    class Picture(figure):  # type: ignore[misc]
        """A figure of matplotlib's."""

        def _repr_png_(self) -> bytes:
            memory = io.BytesIO()
            self.savefig(memory, format="png", dpi=DPI_NOTEBOOK)
            return memory.getvalue()

    return Picture


def check_settings_file() -> None:
    """Raise FileError for a pipe called matplotlibrc in the working folder: matplotlib would wait for it."""
    path = Path("matplotlibrc")
    if path.exists() and not path.is_file():
        raise FileError(
            "matplotlibrc in the working folder is no regular file",
            why="matplotlib reads its settings there",
            fix="remove it, or work in another folder",
        )


def animate(figure: Any, path: str | Path | None, steps: int, draw: Any) -> None:
    """Write a GIF: `draw(step)` changes the figure for each step, and the last picture stays for a second.

    Without a path the figure shows the last step.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    if path is None:
        draw(steps - 1)
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once: otherwise every frame would be, and shake
    figure.set_dpi(DPI_GIF)
    canvas, frames = FigureCanvasAgg(figure), []
    for step in [*range(steps), *[steps - 1] * PAUSE]:
        draw(step)
        canvas.draw()
        frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    memory, milliseconds = io.BytesIO(), 1000 // FRAMES_PER_SECOND
    first, *rest = frames
    first.save(memory, "GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0)
    write_durably(user_path(path), memory.getvalue())

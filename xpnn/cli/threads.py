"""The threads of `xpnn train`: what --threads means, and what run.json records about them."""

from typing import Any

import click
from click.core import ParameterSource

from xpnn.backends import Backend
from xpnn.cli.options import ThreadCount
from xpnn.cli.output import status
from xpnn.cli.runs import Run as Folder
from xpnn.errors import UsageError
from xpnn.training.callbacks import Callback
from xpnn.training.run import Run

threads_option = click.option(
    "--threads",
    type=ThreadCount(),
    metavar="N|adapt",
    help="Of NumPy's matrix products; adapt: fewer while other processes need the cores.  [default: one per core, or "
    "fewer where that is faster just before the first step]",
)


def threads_of(threads: int | str | None, be: Backend) -> int | str | None:
    """Return what was asked for: a number, "adapt", or None, with which the fit finds the number.

    Raises UsageError for --threads with a backend that does not multiply by BLAS.
    """
    if be.name == "numpy":
        return threads
    source = click.get_current_context().get_parameter_source("threads")
    if threads is None or source is ParameterSource.DEFAULT_MAP:  # a resumed run on another backend
        return None
    raise UsageError(
        f"--threads {threads} with backend {be.name!r}",
        why="only NumPy's matrix products use the threads of BLAS",
        fix="--backend numpy, or leave --threads out",
    )


def thread_setting(threads: int | str | None, folder: Folder, about: dict[str, Any]) -> list[Callback]:
    """Return the callback that sets the number of threads, or the one that records what the fit has found, in a list.

    folder, about: of the run, and the entries of its run.json.
    """
    from xpnn.training.threads import Threads

    if threads is None:
        return [Recorded(folder, about)]
    return [Threads(adapt=True) if threads == "adapt" else Threads(int(threads))]


class Recorded(Callback):
    """Writes the number of threads into run.json, from which a resumed run takes it, and says so if it is small."""

    everywhere = False

    def __init__(self, folder: Folder, about: dict[str, Any]) -> None:
        from xpnn.training.threads import default_threads

        self.folder, self.about, self.most = (
            folder,
            about,
            default_threads(),
        )  # in a fit BLAS has those of the fit

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Nothing is written for a backend without such threads."""
        if run.threads is None:
            return
        self.about["threads"] = run.threads
        self.folder.write(self.about)
        if run.threads < self.most:
            status(f"threads {run.threads} of {self.most}: faster at the moment, beside other processes")

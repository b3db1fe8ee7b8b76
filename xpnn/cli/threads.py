"""The threads of `xpnn train`: what --threads means, and what run.json records of it."""

import click
from click.core import ParameterSource

from xpnn.backends import Backend
from xpnn.cli.options import ThreadCount
from xpnn.errors import UsageError
from xpnn.training.callbacks import Callback

threads_option = click.option(
    "--threads",
    type=ThreadCount(),
    metavar="N|adapt",
    help="Of NumPy's matrix products; adapt: fewer while other processes need the cores.  [default: one per core]",
)


def threads_of(threads: int | str | None, be: Backend) -> int | str | None:
    """Return the entry of run.json, which a resumed run takes: a number or "adapt"; None for other backends.

    Raises UsageError for --threads with a backend that does not multiply by BLAS.
    """
    if be.name != "numpy":
        source = click.get_current_context().get_parameter_source("threads")
        if threads is None or source is ParameterSource.DEFAULT_MAP:  # a resumed run on another backend
            return None
        raise UsageError(
            f"--threads {threads} with backend {be.name!r}",
            why="only NumPy's matrix products use the threads of BLAS",
            fix="--backend numpy, or leave --threads out",
        )
    from xpnn.training.threads import default_threads

    return default_threads() if threads is None else threads


def thread_setting(threads: int | str | None) -> list[Callback]:
    """Return the callback that sets the number of threads, in a list; [] for None."""
    from xpnn.training.threads import Threads

    if threads is None:
        return []
    return [Threads(adapt=True) if threads == "adapt" else Threads(int(threads))]

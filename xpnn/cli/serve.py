"""`xpnn serve`: a trained model, the runs of a folder and the playground, for a browser and for other programs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xpnn.cli.command import Command
from xpnn.cli.export import examples_of
from xpnn.cli.options import FilePath, backend_line, backend_option, device_option, json_option, open_backend
from xpnn.cli.output import echo, emit, status
from xpnn.cli.overview import is_run
from xpnn.cli.runs import ROOT, WEIGHTS, Saved, find_run
from xpnn.cli.samples import class_names
from xpnn.errors import FileError

if TYPE_CHECKING:
    from xpnn.web.app import Served

PORT = 8000
EVERYONE = "anyone who can reach this computer can use the model and see the runs"


@click.command(cls=Command, examples=["xpnn serve runs/mnist-mlp-1", "xpnn serve runs --port 8080"])
@click.argument("run", type=FilePath(), required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--allow-host", multiple=True, metavar="NAME", help="Another name of this computer. May be repeated."
)
@backend_option
@device_option
@json_option
def command(
    run: Path | None,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    backend: str,
    device: str | None,
    as_json: bool,
) -> None:
    """Serve a model's page, its JSON endpoint, and runs as they train.

    RUN is a run folder, a model file in one, or a folder of runs, which are watched alone. If omitted, the newest run
    in runs/ where there is one. The endpoint is POST /predict, described by /openapi.json. Ends by Ctrl-C.
    """
    from xpnn.web.guard import is_loopback
    from xpnn.web.server import address_of, check_extra, listen, serve

    check_extra()
    saved, runs = what_to_serve(run)
    listener = listen(host, port)
    try:
        from xpnn.web.app import App

        served = None if saved is None else opened(saved, backend, device, as_json)
        app = App(host, allow_host, served=served, runs=runs)
        address = address_of(listener, host)
        if as_json:
            emit({"event": "serving", "address": address, "pages": app.pages})
        else:
            echo(f"serving {address} (Ctrl-C ends it)")
        if not is_loopback(host):
            status(f"note   {EVERYONE}")
        serve(app, listener)
    finally:
        listener.close()


def what_to_serve(path: Path | None) -> tuple[Saved | None, Path | None]:
    """Return the model and the folder of runs to show. Raises FileError for a path that is neither."""
    if path is None:
        try:
            return find_run(None), ROOT
        except FileError:  # nothing is trained yet: runs/ is watched until there is
            return None, ROOT
    if path.is_file() or (path / WEIGHTS).exists():
        saved = find_run(path)
        return saved, saved.weights.parent
    if is_run(path):  # it trains, and has saved nothing yet
        return None, path
    if not path.is_dir():
        raise FileError(f"no run at {path}", fix="name a run folder, a model file, or a folder of runs")
    return None, path


def opened(saved: Saved, backend: str, device: str | None, quiet: bool) -> "Served":
    """Load the model on its backend. Raises what loading raises."""
    from xpnn.web.app import Served

    be, why = open_backend(backend, device, str(saved.about.get("dtype", "float32")))
    model = saved.load(be.name, be.device_name)
    if not quiet:
        status(f"{saved.weights} · {backend_line(be, why)}")
    name = saved.weights.parent.resolve().name if saved.about else saved.weights.stem
    return Served(model, name, class_names(saved, model), examples_of(saved, model))

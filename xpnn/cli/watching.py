"""`xpnn train --watch`: a page on which the training is watched while it goes on."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xpnn.cli.output import emit, status
from xpnn.errors import FileError

if TYPE_CHECKING:
    from xpnn.web.server_process import ServerProcess

HOST, PORT = "127.0.0.1", 8000

watch_option = click.option("--watch", is_flag=True, help="Serve a page that shows the training as it goes.")


class Page:
    """A page that may be open. `wanted`: whether --watch was given."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.server: ServerProcess | None = None
        if wanted:
            from xpnn.web.server import check_extra

            check_extra()

    def open(self, folder: Path, as_json: bool) -> None:
        """Start the server and print its address; on another port where the usual one is in use."""
        if not self.wanted:
            return
        from xpnn.web.server_process import ServerProcess

        try:
            self.server = ServerProcess(folder, HOST, PORT)
        except FileError:  # another training is watched there
            self.server = ServerProcess(folder, HOST, 0)
        if as_json:
            emit({"event": "watch", "address": self.server.address})
        else:
            status(f"watch  {self.server.address}")

    def close(self) -> None:
        """End the server, after the pages have been sent the end of the run."""
        if self.server is not None:
            self.server.close()

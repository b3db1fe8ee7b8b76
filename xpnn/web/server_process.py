"""A server in a process of its own beside a training: neither slows the other down, nor ends with it by accident."""

import multiprocessing
import signal
import socket
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from xpnn.web.server import address_of, check_extra, listen

PATIENCE = 5.0
"""Seconds in which the server has to end once it is asked to."""


class ServerProcess:
    """A server of one run's page, until `close`. It ends with this process too, however that ends.

    Raises BackendError without the extra `web`, FileError where it cannot listen. port 0 takes a free one.
    """

    def __init__(self, folder: Path, host: str, port: int) -> None:
        check_extra()
        spawn = multiprocessing.get_context("spawn")
        theirs, self.line = spawn.Pipe(duplex=False)
        with listen(host, port) as listener:
            self.address = address_of(listener, host)
            self.process = spawn.Process(
                target=run, args=(listener, folder.resolve(), host, theirs), daemon=True
            )
            self.process.start()
        theirs.close()

    def close(self) -> None:
        """End the server, once the pages have been sent what was written last."""
        self.line.close()
        self.process.join(PATIENCE)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


def run(listener: socket.socket, folder: Path, host: str, line: Connection) -> None:
    """Serve until the other end of `line` is closed; Ctrl-C in the terminal is the training's business."""
    from xpnn.web.app import App
    from xpnn.web.server import quiet_server

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    app = App(host, runs=folder)
    server: Any = quiet_server(app)

    def wait() -> None:
        """End the server when the line has been closed."""
        try:
            line.recv()
        except (EOFError, OSError):
            app.stop()
            server.should_exit = True

    threading.Thread(target=wait, daemon=True).start()
    server.run(sockets=[listener])

"""A server on one address, until it is stopped: uvicorn, quiet, with a limit on connections."""

import contextlib
import errno
import logging
import os
import socket
from types import FrameType
from typing import Any

from xpnn.errors import BackendError, FileError
from xpnn.web.guard import EVERYWHERE

MOST = 256
"""Connections at a time; further ones are answered with 503."""
BACKLOG = 128


def check_extra() -> None:
    """Raise BackendError without the extra `web`."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise BackendError(
            f"pages in a browser need {error.name}, which is not installed", fix="pip install 'xpnn[web]'"
        ) from error


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at that address; port 0 takes a free one. Raises FileError where it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise FileError(f"no address {host!r}", why=error.strerror or "", fix="--host 127.0.0.1") from error
    try:
        if os.name == "posix":  # the address is free at once when the server before has ended
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        found.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        found.close()
        in_use = getattr(error, "errno", None) == errno.EADDRINUSE
        raise FileError(
            f"port {port} of {host} is in use" if in_use else f"cannot listen at {host}, port {port}",
            why="another program listens there" if in_use else getattr(error, "strerror", "") or str(error),
            fix="--port 0 takes a free one" if in_use else "--host 127.0.0.1, and a --port that you may use",
        ) from error
    return found


def address_of(listener: socket.socket, host: str) -> str:
    """Return the address for a browser on this computer."""
    name = "127.0.0.1" if host in EVERYWHERE else host
    port = listener.getsockname()[1]
    return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"


def serve(app: Any, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, which then has the effect that it has elsewhere."""
    quiet_server(app, signals=True).run(sockets=[listener])


def quiet_server(app: Any, signals: bool = False) -> Any:
    """Return a server of uvicorn's that prints nothing. `signals`: Ctrl-C and SIGTERM end it, `app.stop()` first."""
    import uvicorn

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a malformed request is no event

    class Server(uvicorn.Server):  # type: ignore[misc]
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """End the streams, then the server."""
            app.stop()
            super().handle_exit(sig, frame)

        def capture_signals(self) -> Any:
            """Leave the signals as they are, if so wanted."""
            return super().capture_signals() if signals else contextlib.nullcontext()

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="off", http="h11",
        loop="asyncio", limit_concurrency=MOST, timeout_keep_alive=5, timeout_graceful_shutdown=2,
    )  # fmt: skip
    return Server(config)

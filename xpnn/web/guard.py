"""What stands before every request: whose it may be, how large and how slow its body, and which headers go out.

Another site's page that is open in the same browser can send requests to this computer. It is refused by the
header Origin, which its browser sets; and where its name was made to point here (DNS rebinding), by the header Host.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from xpnn.errors import XpnnError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

LARGEST = 1_000_000
"""Bytes of a body."""
DRAINED = 4_000_000
"""How many bytes of a body that is too large are received and dropped, so that the sender gets the answer."""
PATIENCE = 10.0
"""Seconds in which a body has to arrive."""
EVERYWHERE = ("0.0.0.0", "::", "")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


class RefusedError(XpnnError):
    """A request that is answered with that status of HTTP."""

    def __init__(self, code: int, what: str, fix: str = "") -> None:
        super().__init__(what, fix=fix)
        self.code = code


class Guard:
    """An ASGI application around another, which sees only requests that may be answered.

    host: the address that the server listens at. more: names by which others may call it.
    """

    def __init__(self, app: App, host: str, more: tuple[str, ...] = ()) -> None:
        self.app, self.everywhere = app, host in EVERYWHERE
        self.names = {"localhost", host.lower(), *(name.lower() for name in more)}
        if self.everywhere:
            self.names.add(socket.gethostname().lower())
        elif is_loopback(host):
            self.names |= {"127.0.0.1", "::1"}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        try:
            self.check(scope)
            body = await read(scope, receive)
        except RefusedError as refusal:
            return await refuse(refusal, send)
        if body is None:  # the other side has gone
            return None
        return await self.app(scope, replayed(body, receive), with_headers(send))

    def check(self, scope: Message) -> None:
        """Raise RefusedError for a foreign host or origin."""
        hosts = header(scope, b"host")
        if len(hosts) != 1 or not self.is_ours(hosts[0]):
            fix = "--allow-host NAME, if that is a name of this computer"
            raise RefusedError(403, f"the host {', '.join(hosts)[:80]!r} is not this server", fix)
        origins = header(scope, b"origin")
        if origins and origins != [f"http://{hosts[0]}"]:
            raise RefusedError(403, f"a request of another page, {', '.join(origins)[:80]!r}")
        if "cross-site" in header(scope, b"sec-fetch-site") and scope["method"] != "GET":
            raise RefusedError(403, "a request of another page")

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this server. Listening everywhere, any address may be one of its own."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.strip("[]").lower().removesuffix(".")
        if name in self.names:
            return True
        return self.everywhere and is_address(name)


def is_address(name: str) -> bool:
    """Whether it is an IP address and no name, which a foreign server could make point anywhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(name: str) -> bool:
    """Whether only this computer can reach that address."""
    return name == "localhost" or (is_address(name) and ipaddress.ip_address(name).is_loopback)


def header(scope: Message, name: bytes) -> list[str]:
    """Return the values of a header."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def read(scope: Message, receive: Receive) -> bytes | None:
    """Return the body; None where the connection was dropped. Raises RefusedError for one too large or too slow."""
    lengths = header(scope, b"content-length")
    if lengths and int(lengths[0]) > DRAINED:
        raise RefusedError(413, f"a body of {int(lengths[0]):,} bytes", f"at most {LARGEST:,}")
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                size += len(part)
                if size <= LARGEST:
                    body += part
                if size > DRAINED or (size > LARGEST and not message.get("more_body")):
                    raise RefusedError(
                        413, f"a body of more than {LARGEST:,} bytes", "send fewer samples at a time"
                    )
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError as error:
        raise RefusedError(408, f"the body did not arrive within {PATIENCE:.0f} seconds") from error


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def call() -> Message:
        return waiting.pop() if waiting else await receive()

    return call


def with_headers(send: Send) -> Send:
    """Return a `send` that adds HEADERS."""

    async def call(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
        await send(message)

    return call


async def refuse(refusal: RefusedError, send: Send) -> None:
    """Answer with the error as JSON, and close the connection: what is left of a body is not read."""
    body = json.dumps({"error": {"what": refusal.what, "why": "", "fix": refusal.fix}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [*HEADERS, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.code, "headers": headers})
    await send({"type": "http.response.body", "body": body})

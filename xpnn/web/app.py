"""The server's pages and endpoints, as one ASGI application."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from xpnn.errors import XpnnError
from xpnn.web.guard import Guard, Message, Receive, Send
from xpnn.web.live import Watcher
from xpnn.web.openapi import description
from xpnn.web.pages import model_page, playground_page, policy, runs_page
from xpnn.web.predictor import Predictor

if TYPE_CHECKING:
    from xpnn.model import Model

COMPARED = 6
"""Runs that one page looks at."""
LOOKS = 5
"""Between two looks at the files, at whether the server is to end."""


class Served(NamedTuple):
    """A trained model as the server offers it. examples: images of bytes to choose from."""

    model: "Model"
    name: str
    classes: Sequence[str] = ()
    examples: Any = ()


class App:
    """What the server offers: a model's page and its endpoint, the runs of a folder, and the playground.

    host: where it listens; more: further names of this computer, for `Guard`. runs: a folder of runs, or one run.
    """

    def __init__(
        self, host: str, more: Sequence[str] = (), *, served: Served | None = None, runs: Path | None = None
    ) -> None:
        self.over = False
        self.routes = [Route("/favicon.ico", nothing)]
        self.pages = [
            path for path, there in (("/", served), ("/runs", runs), ("/playground", True)) if there
        ]
        if served is not None:
            self.offer_model(served)
        if runs is not None:
            self.offer_runs(Watcher(runs))
        self.routes.append(Route("/playground", page(playground_page(self.pages))))
        if served is None:
            self.routes.append(Route("/", moved(self.pages[0])))
        failures = {404: missing, 405: missing, Exception: broken}
        self.guard = Guard(Starlette(routes=self.routes, exception_handlers=failures), host, tuple(more))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.guard(scope, receive, send)

    def stop(self) -> None:
        """End the streams, which never end by themselves, after one more look at the files. From any thread."""
        self.over = True

    def offer_model(self, served: Served) -> None:
        """Add `/`, `/predict` and `/openapi.json`."""
        about, text = description(served.model, served.name), model_page(*served, self.pages)
        predictor = Predictor(served.model, served.classes)
        one = ThreadPoolExecutor(1, "xpnn-predict")  # a model answers one request after the other

        async def predict(request: Request) -> Response:
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return refusal(415, "the body is not application/json", "Content-Type: application/json")
            body, loop = await request.body(), asyncio.get_running_loop()
            try:
                return JSONResponse(await loop.run_in_executor(one, predictor.answer, body))
            except XpnnError as error:
                return refusal(400, error.what, error.fix, error.why)
            except MemoryError:
                return refusal(413, "too little memory for that many samples", "fewer at a time")

        async def openapi(request: Request) -> Response:
            return JSONResponse(about)

        self.routes += [
            Route("/", page(text)),
            Route("/predict", predict, methods=["POST"]),
            Route("/openapi.json", openapi),
        ]

    def offer_runs(self, watcher: Watcher) -> None:
        """Add `/runs` and its stream, `/events`."""

        async def events(request: Request) -> Response:
            names = request.query_params.getlist("run")[:COMPARED]
            return StreamingResponse(self.stream(watcher, names), media_type="text/event-stream")

        self.routes += [Route("/runs", page(runs_page(self.pages))), Route("/events", events)]

    async def stream(self, watcher: Watcher, names: list[str]) -> AsyncIterator[str]:
        """Whatever has changed since the last look, as server-sent events; at first everything."""
        seen: dict[str, int] = {}
        last = False
        yield "retry: 1000\n\n"
        while not last:
            last = self.over
            found = await asyncio.to_thread(watcher.changes, names, seen, last)
            for event, value in found:
                yield f"event: {event}\ndata: {json.dumps(value, allow_nan=False)}\n\n"
            if not found:
                yield ": \n\n"  # by writing it is noticed that the other side has gone
            for _ in range(LOOKS):
                if not self.over:
                    await asyncio.sleep(watcher.pause / LOOKS)
        yield "event: end\ndata: {}\n\n"


def page(text: str) -> Any:
    """An endpoint that answers with a page, and lets the browser run nothing but that page's own scripts."""
    headers = {"content-security-policy": policy(text)}

    async def answer(request: Request) -> Response:
        return Response(text, media_type="text/html", headers=headers)

    return answer


def moved(path: str) -> Any:
    """An endpoint that leads to another page."""

    async def answer(request: Request) -> Response:
        return RedirectResponse(path)

    return answer


async def nothing(request: Request) -> Response:
    """Answer without content: browsers ask for an icon."""
    return Response(status_code=204)


async def missing(request: Request, error: Exception) -> Response:
    """Answer a request for an address that does not exist, or with a method that it does not take."""
    code, path = getattr(error, "status_code", 404), request.url.path[:80]
    if code == 404:
        return refusal(
            code, f"nothing is at {path}", "the pages are /, /runs and /playground, as far as they are served"
        )
    fix = "POST, with a body of JSON; /openapi.json has an example" if path == "/predict" else "GET"
    return refusal(code, f"{path} does not take {request.method}", fix)


async def broken(request: Request, error: Exception) -> Response:
    """Answer a request that met a bug, without a word of the code."""
    return refusal(500, f"unexpected {type(error).__name__}", "please report it as a bug of xpnn")


def refusal(code: int, what: str, fix: str = "", why: str = "") -> Response:
    """Answer with an error in the form that all errors have."""
    return JSONResponse({"error": {"what": what, "why": why, "fix": fix}}, code)

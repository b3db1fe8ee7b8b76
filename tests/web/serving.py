"""A server in a thread of this process, requests to it, and Chromium looking at it."""

import contextlib
import http.client
import json
import os
import shutil
import threading
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from xpnn.web.app import App
from xpnn.web.server import address_of, listen, quiet_server

HOST = "127.0.0.1"
CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


@contextlib.contextmanager
def served(*, port=0, more=(), **what):
    """The address of an App."""
    app = App(HOST, more, **what)
    server = quiet_server(app)
    listener = listen(HOST, port)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield address_of(listener, HOST)
    finally:
        app.stop()
        server.should_exit = True
        thread.join()
        listener.close()


def asked(address, method="GET", path="/", body=None, **headers):
    """(status, headers, body) of one request."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def predicted(address, body, **headers):
    """(status, answer) of POST /predict; body: anything that becomes JSON, or bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content_Type": "application/json", **headers}
    status, _, text = asked(address, "POST", "/predict", data, **headers)
    return status, json.loads(text)


@contextlib.contextmanager
def browsing(address, *, width=1100, dark=False, fine=()):
    """A page in Chromium that may ask its own server alone. Errors in it fail the test, but those that hold `fine`."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    wrong = []

    def note(text):
        if not any(word in text for word in fine):
            wrong.append(text)

    with playwright.sync_playwright() as driver:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.on("pageerror", lambda error: note(str(error)))
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        origin = address if address.startswith("file:") else f"http://{urlsplit(address).netloc}/"
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((origin, "data:", "blob:")) else wrong.append(asked.url)
            ),
        )
        page.goto(address)
        yield page
        browser.close()
    assert not wrong, wrong


def accessible(page, width):
    """No wider than the screen, and nothing that axe-core finds: names, contrast, roles, landmarks."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def until(page, condition, seconds=20):
    """Wait for an expression of JavaScript to be true. By one evaluation: the page's policy allows no later ones."""
    page.evaluate(
        """([text, seconds]) => new Promise((done, fail) => {
            const holds = eval(`() => (${text})`), end = performance.now() + 1000 * seconds;
            const look = () => {
                if (holds()) done();
                else if (performance.now() > end) fail(new Error(`not true: ${text}`));
                else requestAnimationFrame(look);
            };
            look();
        })""",
        [condition, seconds],
    )

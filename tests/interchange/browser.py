"""A page in a real browser: Debian's Chromium, driven by playwright, without a network."""

import contextlib
import os
import shutil

import pytest

CHROMIUM = shutil.which("chromium-headless-shell") or shutil.which("chromium")


@contextlib.contextmanager
def opened(path, *, width=1100, height=900):
    """The page of a file. What goes wrong in it, or what it asks the network for, fails the test."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    wrong = []
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=sandbox)
        context = browser.new_context(offline=True, viewport={"width": width, "height": height})
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith(("file:", "blob:", "data:")) else wrong.append(asked.url)
            ),
        )
        page.goto(path.as_uri())
        yield page
        browser.close()
    assert not wrong, wrong


def draw(page, points):
    """One stroke through points of the pad, as shares of its sides."""
    box = page.locator("#pad").bounding_box()
    there = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*there[0])
    page.mouse.down()
    for point in there[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()
    page.wait_for_function("document.getElementById('rows').children.length > 0")


def seen(page):
    """What the network sees, as grey bytes (height, width)."""
    import numpy as np

    flat = page.evaluate(
        "(() => { const c = document.getElementById('seen');"
        " return Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data); })()"
    )
    height, width = page.evaluate("[about.shape[0], about.shape[1]]")
    return np.array(flat, np.uint8).reshape(height, width, 4)[:, :, :3]


def shown(page):
    """{name: the share that the page says, in percent}, in its order."""
    names = page.locator("#rows .name").all_text_contents()
    numbers = page.locator("#rows .number").all_text_contents()
    return {name: float(number.removesuffix(" %")) for name, number in zip(names, numbers, strict=True)}

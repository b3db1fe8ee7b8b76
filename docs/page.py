"""Makes page.png, an exported page in Chromium with a digit drawn on it, and derivation.png, a page of the site.

ci/docs && python docs/page.py        (needs playwright and Chromium)
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import xpnn
from xpnn.interchange import save_html

X, Y = (0.3, 0.5, 0.68, 0.6, 0.45, 0.62, 0.7, 0.5, 0.3), (0.25, 0.2, 0.3, 0.45, 0.5, 0.56, 0.7, 0.82, 0.75)
"""A three, in shares of the sides."""


def page(path):
    """A small convolutional network of the 20,000 first digits, as a page."""
    x, y, x_test, _ = xpnn.data.mnist()
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(8, 5, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2),
        xpnn.Flatten(), xpnn.Dense(48), xpnn.ReLU(), xpnn.Dense(10),
    ]  # fmt: skip
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x[:20_000], y[:20_000], optimizer=xpnn.Adam(2e-3), epochs=2)
    save_html(model, path, examples=x_test[:8])


def picture(path, out):
    """The page, drawn on."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell") or shutil.which("chromium"),
            args=["--no-sandbox"],
        )
        shown = browser.new_page(viewport={"width": 960, "height": 900})
        shown.goto(path.as_uri())
        box = shown.locator("#pad").bounding_box()
        there = [
            (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in zip(X, Y, strict=True)
        ]
        shown.mouse.move(*there[0])
        shown.mouse.down()
        for point in there[1:]:
            shown.mouse.move(*point, steps=6)
        shown.mouse.up()
        shown.wait_for_function("document.getElementById('rows').children.length > 0")
        shown.locator(".layer button").first.click(position={"x": 20, "y": 20})
        save(shown.screenshot(full_page=True), out)
        browser.close()


def derivation(out):
    """The beginning of the site's page on softmax, as `ci/docs` has built it."""
    built = Path(__file__).parent / "site" / "_build" / "html" / "pages" / "derivations" / "Softmax.html"
    with sync_playwright() as driver:
        chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 1280, "height": 1500})
        shown.goto(built.as_uri())
        save(shown.screenshot(), out)
        browser.close()


def save(taken, out):
    """Without what the eye does not miss: 128 colours."""
    Image.open(io.BytesIO(taken)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(out)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        page(Path(folder) / "digits.html")
        picture(Path(folder) / "digits.html", Path(__file__).with_name("page.png"))
    derivation(Path(__file__).with_name("derivation.png"))

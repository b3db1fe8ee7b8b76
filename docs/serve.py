"""Makes live.png and playground.png: the pages of `xpnn serve` in Chromium, after two trainings and an epoch by mouse.

python docs/serve.py        (needs playwright, Chromium and xpnn[web])
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
RUNS = (
    ["mnist", "--hidden", "64", "--epochs", "6"],
    ["mnist", "--hidden", "256", "--epochs", "6", "--lr", "0.01"],
)


def xpnn(folder, *args):
    """A command of xpnn's, begun in that folder."""
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    words = [sys.executable, "-m", "xpnn", *args]
    return subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)


def save(taken, name):
    """Without what the eye does not miss: 128 colours."""
    image = Image.open(io.BytesIO(taken)).convert("P", palette=Image.Palette.ADAPTIVE, colors=128)
    image.save(HERE / name, optimize=True)


def pictures(address):
    """Both pages."""
    with sync_playwright() as driver:
        chromium = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.goto(f"{address}runs?run=mnist-mlp-1&run=mnist-mlp-2")
        page.locator("#mistakes .tile").first.wait_for()
        page.get_by_role("img", name="Loss").wait_for()
        below = page.locator("#settings").bounding_box()["y"]
        clip = {"x": 0, "y": 0, "width": 1000, "height": below}
        save(page.screenshot(full_page=True, clip=clip), "live.png")
        page.goto(f"{address}playground")
        page.get_by_role("button", name="Train").click()
        page.evaluate("""new Promise((done) => {
            const look = () => Number(byId("epoch").textContent) > 250 ? done() : requestAnimationFrame(look);
            look();
        })""")
        page.get_by_role("button", name="Pause").click()
        below = page.locator("#step-part").bounding_box()["y"]
        clip = {"x": 0, "y": 0, "width": 1000, "height": below}
        save(page.screenshot(full_page=True, clip=clip), "playground.png")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for words in RUNS:
            xpnn(folder, "train", *words, "--quiet").wait()
        server = xpnn(folder, "serve", "runs", "--port", "0")
        pictures(server.stdout.readline().split()[1])
        server.terminate()
        server.wait()

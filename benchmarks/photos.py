"""`python -m benchmarks.photos`: how many of MNIST's test digits are recognised in photographs of a page.

A digit of 280 pixels on a page of 640 x 480, in seven kinds of bad photographs and a clean scan, each in the strength
that people meet and in a stronger one. A network is trained on MNIST first, unless a model file is given.
"""

import argparse
import io
import json
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.machine import machine

REPORTS = pathlib.Path(__file__).parent / "reports"
HEIGHT, WIDTH, SIDE, TOP, LEFT = 640, 480, 280, 150, 100
DOWN, ACROSS = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
GOAL = 0.9
Page = np.ndarray[Any, Any]


def page(
    digit: Page, rng: np.random.Generator, light: Any = 225.0, ink: float = 40.0, noise: float = 0.0
) -> Page:
    """Ink on paper that gives back so much light, and the noise of a camera."""
    share = np.zeros((HEIGHT, WIDTH))
    grown = Image.fromarray(digit).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    share[TOP : TOP + SIDE, LEFT : LEFT + SIDE] = np.asarray(grown, float) / 255
    return light * (1 - share) + ink * share + rng.normal(0, noise, share.shape)


def specks(digit: Page, rng: np.random.Generator, count: int) -> Page:
    """Single dark pixels anywhere."""
    made = page(digit, rng)
    made[rng.integers(0, HEIGHT, count), rng.integers(0, WIDTH, count)] = 60
    return made


def framed(digit: Page, rng: np.random.Generator, width: int, tilt: float = 0.0) -> Page:
    """What a scanner shows beside the page, which may lie a little askew."""
    made = as_image(page(digit, rng)).rotate(tilt, Image.Resampling.BICUBIC, fillcolor=8)
    inside = np.asarray(made, float).copy()
    inside[:width], inside[-width:], inside[:, :width], inside[:, -width:] = 8, 8, 8, 8
    return inside


def compressed(made: Page, quality: int) -> Page:
    """As JPEG gives it back."""
    file = io.BytesIO()
    as_image(made).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), float)


def as_image(made: Page) -> Image.Image:
    """Grey levels as bytes."""
    return Image.fromarray(made.clip(0, 255).astype(np.uint8))


KINDS: dict[str, dict[str, Callable[[Page, np.random.Generator], Page]]] = {
    "clean scan": {"black on white": page, "white on black": lambda d, r: 255 - page(d, r, 255, 0)},
    "noise": {"sd 5": lambda d, r: page(d, r, noise=5), "sd 25": lambda d, r: page(d, r, noise=25)},
    "JPEG": {
        "quality 75": lambda d, r: compressed(page(d, r, noise=3), 75),
        "quality 15": lambda d, r: compressed(page(d, r, noise=3), 15),
    },
    "pencil grey": {
        "ink 120, noise sd 3": lambda d, r: page(d, r, ink=120, noise=3),
        "ink 180, noise sd 5": lambda d, r: page(d, r, ink=180, noise=5),
    },
    "dark pixels": {"one": lambda d, r: specks(d, r, 1), "thirty": lambda d, r: specks(d, r, 30)},
    "uneven light": {
        "225 to 185": lambda d, r: page(d, r, 205 - 20 * ACROSS),
        "225 to 90, noise sd 5": lambda d, r: page(d, r, 157.5 - 67.5 * ACROSS, ink=25, noise=5),
    },
    "vignette": {
        "225 to 155": lambda d, r: page(d, r, 225 - 35 * (ACROSS**2 + DOWN**2)),
        "225 to 105": lambda d, r: page(d, r, 225 - 60 * (ACROSS**2 + DOWN**2)),
    },
    "black frame": {
        "24 pixels": lambda d, r: framed(d, r, 24),
        "12 pixels, 2.5 degrees askew": lambda d, r: framed(d, r, 12, 2.5),
    },
}


def trained() -> Any:
    """A network of 512 and 256 units, trained on MNIST as `xpnn train mnist --epochs 8` trains it."""
    from xpnn.cli import run

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run"
        arguments = ["train", "mnist", "--backend", "numpy", "--epochs", "8", "--out", str(path), "--quiet"]
        if code := run(arguments):
            raise SystemExit(code)
        return read(path / "best.safetensors")


def read(path: pathlib.Path) -> Any:
    """The model in a file."""
    import xpnn

    return xpnn.load(path)


def measure(model: Any, count: int) -> dict[str, Any]:
    """Right answers in every kind of photograph of `count` test digits, chosen at random, against MNIST's images."""
    import xpnn
    from xpnn.data.image_preparation import prepare
    from xpnn.errors import DataError

    *_, x, y = xpnn.data.mnist()
    chosen = np.random.default_rng(0).choice(len(y), count, replace=False)
    x, y, rows = x[chosen], y[chosen], []
    as_images = model.predict(x) == y
    for kind, strengths in KINDS.items():
        for strength, make in strengths.items():
            rng, seen, several, blank = np.random.default_rng(0), [], 0, 0
            for digit in x[..., 0]:
                try:
                    found = prepare(model.preparation, as_image(make(digit, rng)), kind)
                except DataError:
                    found, blank = [], blank + 1
                several += len(found) > 1
                largest = max(found, key=lambda one: int(one.pixels.sum()), default=None)
                seen.append(np.zeros((28, 28, 1), np.uint8) if largest is None else largest.pixels)
            as_photos = model.predict(np.stack(seen)) == y
            right, lost = int(as_photos.sum()), int((as_images & ~as_photos).sum())
            one = {"right": right, "lost": lost, "several": several, "blank": blank}
            rows.append({"kind": kind, "strength": strength} | one)
            print(f"{kind}, {strength}: {right} of {count}", file=sys.stderr)
    plain = int(as_images.sum())
    everything = float(model.evaluate(*xpnn.data.mnist()[2:])["accuracy"])
    return {"machine": machine(), "digits": count, "plain": plain, "test_accuracy": everything, "rows": rows}


def report(found: dict[str, Any]) -> str:
    """Markdown."""
    n = found["digits"]
    lines = [
        "# Digits in photographs",
        "",
        f"A network that gets {found['test_accuracy']:.2%} of MNIST's test set, and {found['plain'] / n:.1%} of {n:,} "
        f"of its images, chosen at random. Each of these digits, 280 pixels high, on a page of 640 x 480, read as "
        f"`xpnn predict` reads it. Measured {found['machine']['date']}; "
        f"Python {found['machine']['python']}, NumPy {found['machine']['versions']['numpy']}. "
        "`ci/photos --report` does it again. Lost: digits recognised as MNIST's image and not in the photograph; won: "
        "the other way round.",
        "",
        "| photograph | strength | recognised | lost | won | more than one digit seen | none seen |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['kind']} | {row['strength']} | {row['right'] / n:.1%} | {row['lost']} | "
        f"{row['right'] - found['plain'] + row['lost']} | {row['several']} | {row['blank']} |"
        for row in found["rows"]
    ]
    missed = [row for row in found["rows"] if row["right"] < GOAL * n]
    verdict = ", ".join(f"{row['kind']} ({row['strength']})" for row in missed)
    lines += ["", f"Goal: {GOAL:.0%} of each kind. " + (f"Missed: {verdict}." if missed else "Met by all.")]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command. 1 where a kind is recognised less often than the goal says."""
    parser = argparse.ArgumentParser(prog="ci/photos", description=__doc__)
    parser.add_argument("--digits", type=int, default=500, help="test digits of each kind, chosen at random")
    parser.add_argument("--model", type=pathlib.Path, help="a model file in place of one that is trained now")
    parser.add_argument(
        "--report", action="store_true", help="also write benchmarks/reports/photos.md and .json"
    )
    options = parser.parse_args()
    found = measure(trained() if options.model is None else read(options.model), options.digits)
    print(report(found), end="")
    if options.report:
        (REPORTS / "photos.json").write_text(json.dumps(found) + "\n")
        (REPORTS / "photos.md").write_text(report(found))
    return int(any(row["right"] < GOAL * options.digits for row in found["rows"]))


if __name__ == "__main__":
    sys.exit(main())

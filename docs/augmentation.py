"""Makes augmentation.png: each augmentation at work on the same digits, by the code that trains.

python docs/augmentation.py        (needs xpnn[plot])
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import xpnn
from xpnn.layers import Ctx
from xpnn.recipes import HANDWRITING

COLUMNS, SEED = 10, 3
ROWS = [
    ("as it is", xpnn.Rescale(1)),
    ("RandomShift(0.2)", xpnn.RandomShift(0.2)),
    ("RandomRotation(30)", xpnn.RandomRotation(30)),
    ("RandomZoom(0.4)", xpnn.RandomZoom(0.4)),
    ("RandomShear(30)", xpnn.RandomShear(30)),
    ("RandomElastic(1.5)", xpnn.RandomElastic(1.5)),
    ("RandomErase(1.0)", xpnn.RandomErase(1.0)),
    ("RandomFlip()", xpnn.RandomFlip()),
    ("GaussianNoise(40)", xpnn.Sequential((xpnn.Rescale(1), xpnn.GaussianNoise(40)))),
    ("Mixup(1.0)", xpnn.Mixup(1.0)),
    ("CutMix(1.0)", xpnn.CutMix(1.0)),
    ("train --augment", HANDWRITING[0]),
]


def altered(what: xpnn.layers.Layer | xpnn.Mixup, digits: np.ndarray) -> np.ndarray:
    """The digits as a training step would see them."""
    be = xpnn.get_backend()
    cx = Ctx(be, train=True, key=(SEED,), tick=be.scalar(0, be.xp.int64))
    if isinstance(what, xpnn.Mixup | xpnn.CutMix):
        return what(cx, digits)[0]
    return what.forward(cx, ({},) * 9, digits)[0]


def draw(path: Path) -> None:
    """A row of digits for each augmentation, its name on the left."""
    x, y, _, _ = xpnn.data.mnist()
    digits = np.stack([x[np.flatnonzero(y == digit)[2]] for digit in range(COLUMNS)])
    figure, axes = plt.subplots(len(ROWS), 1, figsize=(8, 9.6))
    for (name, what), ax in zip(ROWS, axes, strict=True):
        row = np.concatenate(list(altered(what, digits)[..., 0]), axis=1)
        ax.imshow(row, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.set_ylabel(name, rotation=0, ha="right", va="center")
        ax.set(xticks=[], yticks=[])
    figure.tight_layout(h_pad=0.3)
    figure.savefig(path, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".png"))

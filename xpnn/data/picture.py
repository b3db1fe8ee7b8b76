"""Any picture of a digit as MNIST would have stored it: white ink on black, 20 x 20, centred by mass in 28 x 28.

    grey      colour and transparency over white (over black where that shows nothing)
    invert    when the border is lighter than the middle of the grey range: ink becomes 255, paper 0
    crop      to the ink
    scale     the longer side to 20 pixels, the ratio of the sides kept, with antialiasing
    centre    the ink's centre of mass to the middle of 28 x 28

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
recognition", Proc. IEEE 86(11), 1998, section III.A.
"""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.errors import DataError
from xpnn.system import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, BOX = 28, 20
FLAT = 16
"""A range of grey levels up to this is paper and noise, not ink."""
FAINT = 0.1
"""Ink weaker than this share of the strongest does not widen the crop, and is dropped: paper is never quite even."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The decoders of Pillow that may see a file, whatever its name: not those that start programs (EPS)."""
MOST_PIXELS, FREE_PIXELS, PIXELS_PER_BYTE = 50_000_000, 1_000_000, 2_000
"""A blank page of 600 dots per inch, well packed, has some 1,200 pixels in a byte."""

Grey = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Picture:
    """`pixels` uint8 (28, 28, 1), and what was done to get there."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]  # width and height of the file
    mode: str  # Pillow's name for its pixels
    inverted: bool
    box: tuple[int, int, int, int]  # left, top, right, bottom of the ink

    @property
    def note(self) -> str:
        """`640×480 RGB → grey, inverted (light background), cropped to 200×310, centred`."""
        left, top, right, bottom = self.box
        steps = ["grey"] if self.mode not in ("L", "1") else []
        steps += ["inverted (light background)"] if self.inverted else []
        steps += [f"cropped to {right - left}×{bottom - top}", "centred"]
        return f"{self.size[0]}×{self.size[1]} {self.mode} → {', '.join(steps)}"


def read_picture(path: Path) -> Picture:
    """The picture in a file that Pillow can read. Raises FileError for a file that cannot be read at all, DataError
    for one that is no picture, damaged, enormous, or shows nothing.
    """
    from PIL import ImageOps

    image = ImageOps.exif_transpose(open_image(path))  # photographs lie on their side and say so
    ink, inverted = find_ink(image)
    if ink is None:
        raise DataError(
            f"{path} shows nothing",
            why="its pixels are all of about one grey",
            fix="one digit, dark on light or light on dark",
        )
    rows, columns = (np.flatnonzero((ink > FAINT).any(axis=axis)) for axis in (1, 0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    crop = ink[box[1] : box[3], box[0] : box[2]]
    pixels = centre(shrink(np.where(crop > FAINT, crop, 0)))
    return Picture(pixels[:, :, np.newaxis], image.size, image.mode, inverted, box)


def open_image(path: Path) -> "Image":
    """The decoded image, its first frame."""
    from PIL import Image

    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise cannot_read(str(path), error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with file, Image.open(file, formats=FORMATS) as image:
                check_pixels(image, os.fstat(file.fileno()).st_size, str(path))
                image.load()
                return image
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is too large", why=str(error), fix="make it smaller first") from error
    except DataError:
        raise
    except Exception as error:  # each format's decoder has its own way to fail on damaged bytes
        raise DataError(
            f"{path} is no picture that can be read",
            why=str(error).splitlines()[0] if str(error) else type(error).__name__,
            fix="PNG, JPEG, GIF, BMP, TIFF or WebP",
        ) from error


def check_pixels(image: "Image", size: int, name: str) -> None:
    """Raise DataError for a picture that would take more memory than a file of `size` bytes should ask for."""
    width, height = image.size
    allowed = min(MOST_PIXELS, FREE_PIXELS + PIXELS_PER_BYTE * size)
    if width * height > allowed:
        raise DataError(
            f"{name} is too large: {width:,} x {height:,} pixels in {size:,} bytes",
            why=f"at most {allowed:,} pixels are read from a file of that size",
            fix="make it smaller first",
        )


def find_ink(image: "Image") -> tuple[Grey | None, bool]:
    """Ink from 0 (background) to 1 (its strongest), and whether it was dark on light; None where there is none."""
    for ground in (255, 0):
        grey = to_grey(image, ground)
        low, high = grey.min(), grey.max()
        if high - low > FLAT:
            border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
            paper = float(np.median(border))
            inverted = bool(paper > (low + high) / 2)
            ink = paper - grey if inverted else grey - paper
            return np.maximum(ink, 0) / ink.max(), inverted
    return None, False


def to_grey(image: "Image", ground: int) -> Grey:
    """Grey levels 0 to 255, with transparency over `ground`."""
    from PIL import Image

    if image.mode[0] in "IF":  # 16 and 32 bits, whole or floating: Pillow's own conversion would clip them
        deep = np.nan_to_num(np.asarray(image, dtype=np.float32))
        span = deep.max() - deep.min()
        return (deep - deep.min()) * (255 / span) if span else np.zeros_like(deep)
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, (ground, ground, ground, 255))
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return np.asarray(image.convert("L"), dtype=np.float32)


def shrink(ink: Grey) -> Grey:
    """The longer side becomes 20 pixels."""
    from PIL import Image

    scale = BOX / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    small = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    result = np.maximum(np.asarray(small, dtype=np.float32), 0)
    return np.asarray(result / result.max(), dtype=np.float32)


def centre(ink: Grey) -> NDArray[np.uint8]:
    """The centre of mass to pixel 14 of 28 on both axes, where MNIST's images have it; nothing is cut off."""
    offsets = []
    for axis in (0, 1):
        along = ink.sum(axis=1 - axis)
        mass = float(np.arange(len(along)) @ along / along.sum())
        offsets.append(min(max(round(SIDE / 2 - mass), 0), SIDE - len(along)))
    top, left = offsets
    field = np.zeros((SIDE, SIDE), np.uint8)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = np.rint(255 * ink)
    return field

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
from xpnn.data.photos.figures import Figure, Page, joined, read_page
from xpnn.data.photos.threshold import Grey
from xpnn.errors import DataError
from xpnn.system import open_regular

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, BOX = 28, 20
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The decoders of Pillow that may see a file, whatever its name: not those that start programs (EPS)."""
MOST_PIXELS, FREE_PIXELS, PIXELS_PER_BYTE = 50_000_000, 1_000_000, 2_000
"""A blank page of 600 dots per inch, well packed, has some 1,200 pixels in a byte."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One digit: `pixels` uint8 (28, 28, 1), and what was done to get there."""

    pixels: NDArray[np.uint8]
    size: tuple[int, int]  # width and height of the file
    mode: str  # Pillow's name for its pixels
    inverted: bool
    box: tuple[int, int, int, int]  # left, top, right, bottom of the ink
    left_out: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """`640×480 RGB → grey, inverted (light background), cropped to 200×310, centred`."""
        left, top, right, bottom = self.box
        steps = ["grey"] if self.mode not in ("L", "1") else []
        steps += ["inverted (light background)"] if self.inverted else []
        steps += [f"without {what}" for what in self.left_out]
        steps += [f"cropped to {right - left}×{bottom - top}", "centred"]
        return f"{self.size[0]}×{self.size[1]} {self.mode} → {', '.join(steps)}"


def read_picture(path: Path) -> Picture:
    """The one digit in a file that Pillow can read, a photograph or a scan: all of the ink in it.

    Raises FileError for a file that cannot be read at all, DataError for one that is no picture, damaged, enormous, or
    shows nothing.
    """
    image, page = _read(path)
    return _picture(image, page, joined(page.figures))


def read_digits(path: Path) -> list[Picture]:
    """Every digit in a file, line by line, left to right. Raises what `read_picture` raises."""
    image, page = _read(path)
    return [_picture(image, page, figure) for figure in page.figures]


def _read(path: Path) -> tuple["Image", Page]:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(open_image(path))  # photographs lie on their side and say so
    for ground in (255, 0):
        if (page := read_page(to_grey(image, ground))) is not None:
            return image, page
    raise DataError(
        f"{path} shows nothing",
        why="its pixels are all of about one grey",
        fix="digits that are dark on light or light on dark",
    )


def _picture(image: "Image", page: Page, figure: Figure) -> Picture:
    pixels, box = centre(shrink(figure.ink)), figure.box
    left_out = ["the frame"] if page.framed else []
    left_out += [f"{page.specks} specks" if page.specks > 1 else "a speck"] if page.specks else []
    place = (box.left, box.top, box.right, box.bottom)
    return Picture(pixels[:, :, np.newaxis], image.size, image.mode, page.dark, place, tuple(left_out))


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

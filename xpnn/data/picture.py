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
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from xpnn.data.image_file import grey_levels, open_upright, own_levels
from xpnn.data.photos.segmentation import Figure, Page, joined, read_page
from xpnn.data.photos.threshold import Grey
from xpnn.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE, BOX = 28, 20


@dataclass(frozen=True, eq=False)
class Picture:
    """What a network is shown: `pixels` uint8 (H, W, C), and what was done to get there.

    cropped: to the ink, one digit of those on the page; else the whole picture is shown.
    doubt: why what is shown may be no single digit, "" where nothing speaks against it.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]  # width and height of the file
    mode: str  # Pillow's name for its pixels
    inverted: bool
    box: tuple[int, int, int, int]  # left, top, right, bottom of what is shown
    left_out: tuple[str, ...] = ()
    cropped: bool = True
    doubt: str = ""

    @property
    def note(self) -> str:
        """`640×480 RGB → grey, inverted (light background), cropped to 200×310, centred`."""
        left, top, right, bottom = self.box
        height, width, channels = self.pixels.shape
        steps = ["grey"] if channels == 1 and self.mode not in ("L", "1") else []
        steps += ["inverted (light background)"] if self.inverted and self.cropped else []
        steps += ["inverted, as in training"] if self.inverted and not self.cropped else []
        steps += [f"without {what}" for what in self.left_out]
        if self.cropped:
            steps += [f"cropped to {right - left}×{bottom - top}", "centred"]
        elif self.size != (width, height):
            steps.append(f"resized to {width}×{height}")
        unsure = f"; unsure: {self.doubt}" if self.doubt else ""
        return f"{self.size[0]}×{self.size[1]} {self.mode} → {', '.join(steps) or 'as it is'}{unsure}"


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """The one digit in a file that Pillow can read, a photograph or a scan: all of the ink in it, (28, 28, 1).

    Raises FileError for a file that cannot be read at all, DataError for one that is no picture, damaged, enormous, or
    shows nothing.
    """
    return picture_of(open_upright(path), str(path))


def read_digits(path: str | os.PathLike[str]) -> list[Picture]:
    """Every digit in a file, line by line, left to right. Raises what `read_picture` raises."""
    return digits_of(open_upright(path), str(path))


def picture_of(image: "Image", name: str) -> Picture:
    """All of the ink in a picture as one digit. Raises DataError where it shows nothing."""
    page = find_page(image, name)
    return _picture(image, page, joined(page.figures))


def digits_of(image: "Image", name: str) -> list[Picture]:
    """Every digit in a picture, which messages call `name`. Raises DataError where it shows nothing."""
    page = find_page(image, name)
    return [_picture(image, page, figure) for figure in page.figures]


def find_page(image: "Image", name: str) -> Page:
    """The figures in a picture, over white where it is transparent, or over black where that shows nothing."""
    for background in (255, 0):
        page = read_page(grey_levels(image, background, own_levels(image)))
        if page is not None:
            return page
    raise DataError(
        f"{name} shows nothing",
        why="its pixels are all of about one grey",
        fix="digits that are dark on light or light on dark",
    )


def _picture(image: "Image", page: Page, figure: Figure) -> Picture:
    pixels, box = centre(shrink(figure.ink)), figure.box
    left_out = ["the frame"] if page.framed else []
    left_out += [f"{page.specks} specks" if page.specks > 1 else "a speck"] if page.specks else []
    place = (box.left, box.top, box.right, box.bottom)
    return Picture(
        pixels[:, :, np.newaxis],
        image.size,
        image.mode,
        page.dark,
        place,
        tuple(left_out),
        doubt=figure.doubt,
    )


def shrink(ink: Grey) -> Grey:
    """The longer side becomes 20 pixels."""
    from PIL import Image

    scale = BOX / max(ink.shape)
    height, width = (max(1, round(n * scale)) for n in ink.shape)
    small = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    result = np.maximum(np.asarray(small, dtype=np.float32), 0)
    full = min(result.max(), 1)  # beyond 1 the filter has overshot: no reason to make other strokes fainter
    return np.asarray(np.minimum(result / full, 1), dtype=np.float32)


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

"""Files of pictures, read by Pillow, and their pixels on one scale.

deep pictures       16 and 32 bits, whole or floating: grey, from a level of black to a level of white
transparency        laid over a background
orientation         as the camera says: photographs lie on their side
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.data.photos.threshold import Grey
from xpnn.errors import DataError
from xpnn.system import open_regular, user_path

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""The decoders of Pillow that may see a file, whatever its name: not those that start programs (EPS)."""
MOST_PIXELS, FREE_PIXELS, PIXELS_PER_BYTE = 50_000_000, 1_000_000, 2_000
"""A blank page of 600 dots per inch, well packed, has some 1,200 pixels in a byte."""
ORIENTATION, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""EXIF's tag of how the camera was held, and those of its values for which height and width change places."""

T = TypeVar("T")
Levels = tuple[float, float]
"""The values of black and of white."""
BYTES: Levels = (0.0, 255.0)
WHITES = (1.0, 255.0, 1023.0, 4095.0, 16383.0, 65535.0, 2.0**24 - 1, 2.0**32 - 1)
"""What white is in pictures of other depths: 1 of floating ones, else the largest number of so many bits."""


class Look(NamedTuple):
    """What the head of a file says: (H, W) as seen, whether grey, deep and transparent, and how many frames it has."""

    size: tuple[int, int]
    grey: bool
    deep: bool
    transparent: bool
    frames: int


def look_at(path: Path, wanted: Callable[[Look], bool]) -> tuple[Look, "Image | None"]:
    """The head of a file of a picture, and the decoded image as it was seen, where the head says that it is wanted.

    Raises what `open_image` raises.
    """

    def head(image: "Image") -> tuple[Look, "Image | None"]:
        across = image.getexif().get(ORIENTATION, 1) in SIDEWAYS
        size = (image.width, image.height) if across else (image.height, image.width)
        frames = int(getattr(image, "n_frames", 1))
        look = Look(size, is_grey(image), is_deep(image.mode), image.has_transparency_data, frames)
        if not wanted(look):
            return look, None
        image.load()
        return look, upright(image)

    return _opened(path, head)


def open_image(path: Path) -> "Image":
    """The decoded image, its first frame.

    Raises FileError for a file that cannot be read at all, DataError for one that is no picture, damaged or enormous.
    """

    def decode(image: "Image") -> "Image":
        image.load()
        return image

    return _opened(path, decode)


def _opened(path: Path, use: Callable[["Image"], T]) -> T:
    """What `use` makes of the image while its file is open."""
    from PIL import Image, UnidentifiedImageError

    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise cannot_read(str(path), error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with file, Image.open(file, formats=FORMATS) as image:
                check_pixels(image, os.fstat(file.fileno()).st_size, str(path))
                return use(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is too large", why=str(error), fix="make it smaller first") from error
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is not a picture that can be read",
            why="its first bytes are those of none of these formats",
            fix="PNG, JPEG, GIF, BMP, TIFF, WebP, PPM or PGM",
        ) from error
    except Exception as error:  # each format's decoder has its own way to fail on damaged bytes
        raise DataError(
            f"{path} is not a picture that can be read",
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


def open_upright(path: str | os.PathLike[str]) -> "Image":
    """The decoded image as it was seen. Raises what `open_image` raises."""
    return upright(open_image(user_path(path)))


def upright(image: "Image") -> "Image":
    """The picture as the camera's note of its orientation (EXIF) says it was seen."""
    from PIL import ImageOps

    if image.getexif().get(ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def is_deep(mode: str) -> bool:
    """Whether Pillow's mode has more than 8 bits, which its own conversions would clip."""
    return mode[0] in "IF"


def is_grey(image: "Image") -> bool:
    """Whether a picture has no colour: by its mode, or because its palette is all grey."""
    if image.mode in ("P", "PA"):
        colours = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    return image.mode in ("1", "L", "LA", "La") or is_deep(image.mode)


def deep_range(image: "Image", name: str) -> Levels:
    """The lowest and the highest level of a deep picture. Raises DataError for NaN and infinity."""
    pixels = np.asarray(image)
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise DataError(f"{name} holds NaN or infinity", fix="leave the picture out, or fill those pixels")
    return low, high


def levels_for(low: float, high: float) -> Levels:
    """Black and white for pictures whose levels lie in between: 0, or the lowest below it, and the next of `WHITES`.

    Floating pictures from 0 to 1 have the white 1, those of 12 bits 4095. Where less than a quarter of that is used,
    white is the highest level: too few greys would be left.
    """
    white = next((white for white in WHITES if high <= white), high)
    return min(low, 0.0), high if 1 < white > 4 * high else white


def own_levels(image: "Image") -> Levels:
    """Those of one picture by itself: from its lowest level to its highest, where it is a deep one."""
    if not is_deep(image.mode):
        return BYTES
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    return float(pixels.min()), float(pixels.max())


def flat(image: "Image", background: int) -> "Image":
    """The picture over a background of that grey where it is transparent."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    paper = Image.new("RGBA", image.size, (background, background, background, 255))
    over = Image.alpha_composite(paper, image.convert("RGBA"))
    return over.convert("L" if is_grey(image) else "RGB")


def grey_levels(image: "Image", background: int, levels: Levels = BYTES) -> Grey:
    """Grey levels 0 to 255 (H, W): those of a deep picture from black to white, colours by their brightness."""
    if is_deep(image.mode):
        black, white = levels
        deep = np.nan_to_num(np.asarray(image, dtype=np.float64))
        scaled = (deep - black) * (255 / (white - black)) if white > black else np.zeros_like(deep)
        return scaled.clip(0, 255).astype(np.float32)
    return np.asarray(flat(image, background).convert("L"), dtype=np.float32)


def as_sample(
    image: "Image",
    channels: int,
    background: int,
    levels: Levels = BYTES,
    size: tuple[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Pixels uint8 (H, W, channels); resized to (H, W) = `size` where the picture has another one."""
    from PIL import Image

    if is_deep(image.mode):
        image = Image.fromarray(np.rint(grey_levels(image, background, levels)).astype(np.uint8))
    mode, image = "L" if channels == 1 else "RGB", flat(image, background)
    image = image if image.mode == mode else image.convert(mode)
    if size is not None and (image.height, image.width) != size:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)  # it averages where it makes smaller
    pixels: NDArray[Any] = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)

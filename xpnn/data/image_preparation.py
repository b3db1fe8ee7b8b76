"""What a set of pictures has in common, measured, and a picture from elsewhere brought to the same form.

A picture of the set itself comes out exactly as it was trained on.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.image_file import BYTES, Levels, as_sample, open_upright, upright
from xpnn.data.picture import BOX, SIDE, Picture, digits_of, picture_of
from xpnn.data.preparation import MOST_CLASSES, Preparation, check_choice, check_names, check_shapes
from xpnn.errors import DataError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

CLEARLY = 0.25
"""A border this share of the range away from its dark end, or nearer, is dark; the same for light."""
MOST = 0.9
"""The share of a set's pictures that must have a clear border of one polarity, and none of the other."""
COLOURED = 64
"""Between the channels of a coloured pixel, in grey levels."""
OFF_CENTRE = 1.2
"""Pixels by which MNIST's own centres of mass are off the middle, at most."""
FAINT = 25

Pixels = NDArray[np.uint8]

CROPS = ("none", "ink")
POLARITIES = ("as is", "light on dark", "dark on light")


@dataclass(frozen=True)
class ImagePreparation(Preparation):
    """Pictures as samples uint8 (height, width, channels), channels 1 (grey) or 3 (colour).

    classes: their names, in the order of the outputs. crop: "none" shows the whole picture, resized to that size;
    "ink" what MNIST's images show: cropped to the ink, its longer side 20 pixels, centred by mass in 28 x 28.
    polarity: "light on dark" and "dark on light" turn a picture that is clearly the other way, "as is" turns none.
    background: the grey level that shows through transparent pixels. black, white: the levels of pictures of 16 and 32
    bits that become 0 and 255.
    """

    height: int
    width: int
    channels: int
    classes: tuple[str, ...]
    crop: str = "none"
    polarity: str = "as is"
    background: int = 255
    black: float = 0.0
    white: float = 255.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names(self, "classes", self.classes, MOST_CLASSES)
        check_choice(self, "crop", CROPS)
        check_choice(self, "polarity", POLARITIES)
        for name, low, high in (("height", 1, 1 << 15), ("width", 1, 1 << 15), ("background", 0, 255)):
            if not low <= getattr(self, name) <= high:
                raise UsageError(
                    f"{type(self).__name__}({name}={getattr(self, name)}): wanted {low} to {high}"
                )
        if self.channels not in (1, 3):
            raise UsageError(f"{type(self).__name__}(channels={self.channels}): wanted 1 or 3")
        if self.crop == "ink" and (self.height, self.width, self.channels) != (28, 28, 1):
            raise UsageError(
                f"{type(self).__name__}(crop='ink'): wanted 28 x 28 grey pixels, as MNIST's are",
                why=f"it is {self.height} x {self.width} with {self.channels} channels",
            )
        if not self.black < self.white:
            raise UsageError(
                f"{type(self).__name__}(black={self.black}, white={self.white}): wanted black < white"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.classes

    def inputs(self, x: Any) -> Any:
        """A file's name, an image of Pillow's, or a list of them, as samples; arrays as they are."""
        if is_image(x):
            return samples(self, [x])
        listed = isinstance(x, list | tuple) and len(x) > 0 and all(map(is_image, x))
        return samples(self, list(x)) if listed else x

    def check_model(self, input_shape: Any, output_shape: Any) -> None:
        """Raises UsageError for a network of other pictures or another number of classes."""
        check_shapes(
            self, (self.height, self.width, self.channels), len(self.classes), input_shape, output_shape
        )


def measure(
    x: Pixels, classes: tuple[str, ...], background: int = 255, levels: Levels = BYTES
) -> ImagePreparation:
    """The preparation of pictures uint8 (N, H, W, C), which are as they were read."""
    height, width, channels = x.shape[1:]
    at = border_position(x)
    dark, light = int((at <= CLEARLY).sum()), int((at >= 1 - CLEARLY).sum())
    common = "as is"
    if max(dark, light) >= MOST * len(x) and min(dark, light) == 0:
        common = "as is" if has_colour(x) else "light on dark" if dark else "dark on light"
    as_mnist = x.shape[1:] == (SIDE, SIDE, 1) and common != "as is"
    as_mnist = as_mnist and bool(like_mnist(x if common == "light on dark" else 255 - x).all())
    return ImagePreparation(
        height, width, channels, classes,
        crop="ink" if as_mnist else "none", polarity=common, background=background, black=levels[0], white=levels[1],
    )  # fmt: skip


def has_colour(x: Pixels) -> bool:
    """Whether pictures (N, H, W, C) have colours, which would be wrong in a negative: tinted paper alone is none.

    At most 500 of them, evenly spread, are looked at.
    """
    some = x[:: -(-len(x) // 500)]
    spread = np.ptp(some, axis=3).reshape(len(some), -1)
    return bool((np.percentile(spread, 99, axis=1) > COLOURED).mean() > 1 - MOST)


def border_position(x: Pixels) -> NDArray[np.float64]:
    """Of pictures (N, H, W, C): where each border's median is between its darkest pixel, 0, and its lightest, 1."""
    n = len(x)
    border = np.concatenate(
        [side.reshape(n, -1) for side in (x[:, 0], x[:, -1], x[:, :, 0], x[:, :, -1])], axis=1
    )
    low, high = (f(x.reshape(n, -1), axis=1).astype(np.float64) for f in (np.min, np.max))
    at: NDArray[np.float64] = (np.median(border, axis=1) - low) / np.maximum(high - low, 1)
    return at


def polarity(pixels: Pixels) -> str:
    """ "light on dark" or "dark on light", where the border of a picture (H, W, C) says so clearly, or ""."""
    at = border_position(pixels[np.newaxis])[0]
    return "light on dark" if at <= CLEARLY else "dark on light" if at >= 1 - CLEARLY else ""


def like_mnist(x: Pixels) -> NDArray[np.bool_]:
    """Which of (N, 28, 28, 1) have light ink of at most 20 x 20 pixels with its centre of mass in the middle."""
    ink = np.where(x[..., 0] > FAINT, x[..., 0], 0)
    fits: NDArray[np.bool_] = np.any(ink, axis=(1, 2))
    for axis in (1, 2):
        along = ink.sum(axis=axis, dtype=np.float64)
        there = along > 0
        spread = SIDE - there[:, ::-1].argmax(axis=1) - there.argmax(axis=1)
        middle = along @ (np.arange(SIDE) + 0.5) / np.maximum(along.sum(axis=1), 1)
        fits = fits & (spread <= BOX) & (np.abs(middle - SIDE / 2) <= OFF_CENTRE)
    return fits


def prepare(preparation: ImagePreparation, image: "Image", name: str) -> list[Picture]:
    """A picture as the network was trained on pictures; of a photograph of digits each one.

    Raises DataError where digits are wanted and it shows none. `name` is what messages call it.
    """
    return _prepared(preparation, image, name, digits_of)


def prepare_one(preparation: ImagePreparation, image: "Image", name: str) -> Picture:
    """The same, with all of the ink in it as one digit."""
    return _prepared(preparation, image, name, lambda image, name: [picture_of(image, name)])[0]


def _prepared(
    preparation: ImagePreparation, image: "Image", name: str, read: Callable[["Image", str], list[Picture]]
) -> list[Picture]:
    size, levels = (preparation.height, preparation.width), (preparation.black, preparation.white)
    pixels = as_sample(image, preparation.channels, preparation.background, levels, size)
    found = polarity(pixels)
    inverted = preparation.polarity != "as is" and found not in ("", preparation.polarity)
    pixels = 255 - pixels if inverted else pixels
    dark_ink = preparation.polarity == "dark on light"
    if preparation.crop == "ink" and not (
        (image.height, image.width) == size
        and like_mnist((255 - pixels if dark_ink else pixels)[np.newaxis]).all()
    ):
        digits = read(image, name)
        return [replace(one, pixels=255 - one.pixels) for one in digits] if dark_ink else digits
    whole = (0, 0, image.width, image.height)
    return [Picture(pixels, image.size, image.mode, inverted, whole, cropped=False)]


def is_image(x: Any) -> bool:
    """Whether it is a file's name or an image of Pillow's."""
    return isinstance(x, str | os.PathLike) or (hasattr(x, "getexif") and hasattr(x, "mode"))


def samples(preparation: ImagePreparation, images: list[Any]) -> Pixels:
    """Samples (N, H, W, C) of files or images of Pillow's. Raises DataError for one that shows several digits."""
    made = []
    for i, image in enumerate(images):
        named = isinstance(image, str | os.PathLike)
        found = prepare(
            preparation,
            open_upright(image) if named else upright(image),
            str(image) if named else f"image {i}",
        )
        if len(found) > 1:
            raise DataError(
                f"{image if named else f'image {i}'} shows {len(found)} digits, wanted one",
                fix="xpnn predict answers each of them, and xpnn.data.read_digits gives their pixels",
            )
        made.append(found[0].pixels)
    return np.stack(made)

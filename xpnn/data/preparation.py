"""What a model remembers of its data: how a table or a picture becomes what the network sees.

A preparation is a frozen dataclass of plain settings, saved inside the model file and read back as strictly as layers
are. Training, evaluation and prediction go through the same one, so what trained is what predicts.
"""

from dataclasses import dataclass
from typing import Any

from xpnn.config import Config
from xpnn.errors import UsageError

MOST_CLASSES = 100_000
"""More class names than that are refused: they would be ids, times or free text."""
CROPS = ("none", "ink")
POLARITIES = ("as is", "light on dark", "dark on light")


@dataclass(frozen=True)
class Preparation(Config):
    """From raw data to the arrays that a network takes; subclasses say how for their kind of data."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the network's outputs; none for a regression."""
        raise NotImplementedError

    def check_model(self, input_shape: Any, output_shape: Any) -> None:
        """Raises UsageError for a network that takes other samples or gives other outputs than these."""
        raise NotImplementedError

    def inputs(self, x: Any) -> Any:
        """Raw data that this knows how to prepare as samples; anything else, such as an array, as it is."""
        return x


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
        """`classes`."""
        return self.classes

    def inputs(self, x: Any) -> Any:
        """A file's name, an image of Pillow's, or a list of them, as samples; arrays as they are."""
        from xpnn.data.image_preparation import is_image, samples

        if is_image(x):
            return samples(self, [x])
        listed = isinstance(x, list | tuple) and len(x) > 0 and all(map(is_image, x))
        return samples(self, list(x)) if listed else x

    def check_model(self, input_shape: Any, output_shape: Any) -> None:
        """Raises UsageError for a network of other pictures or another number of classes."""
        check_shapes(
            self, (self.height, self.width, self.channels), len(self.classes), input_shape, output_shape
        )


def check_names(owner: Any, field: str, names: tuple[str, ...], most: int) -> None:
    """Raises UsageError for names that occur twice, and for more than `most`."""
    if len(names) > most or len(set(names)) != len(names):
        twice = (
            next((name for i, name in enumerate(names) if name in names[:i]), "")
            if len(names) <= most
            else ""
        )
        raise UsageError(
            f"{type(owner).__name__}({field}) holds {len(names):,} names"
            + (f", {twice!r} twice" if twice else ""),
            why=f"wanted different names, at most {most:,}",
        )


def check_choice(owner: Any, field: str, known: tuple[str, ...]) -> None:
    """Raises UsageError for a setting that is none of the known words."""
    if getattr(owner, field) not in known:
        raise UsageError(
            f"{type(owner).__name__}({field}={getattr(owner, field)!r}): wanted one of {', '.join(known)}"
        )


def check_shapes(owner: Any, samples: Any, outputs: int, input_shape: Any, output_shape: Any) -> None:
    """Raises UsageError unless a network takes samples of that shape and gives so many outputs."""
    if (tuple(input_shape), tuple(output_shape)) != (samples, (outputs,)):
        raise UsageError(
            f"{type(owner).__name__} gives samples {samples} and wants {outputs} outputs",
            why=f"the network takes {tuple(input_shape)} and gives {tuple(output_shape)}",
            fix="build the model for the data as it is prepared",
        )

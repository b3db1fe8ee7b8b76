"""What a model remembers of its data: how a table or a picture becomes what the network sees.

A preparation is a frozen dataclass of plain settings, saved inside the model file and read back as strictly as layers
are. Training, evaluation and prediction go through the same one, so what trained is what predicts.
"""

from dataclasses import dataclass
from typing import Any

from xpnn.config import Config
from xpnn.errors import UsageError
from xpnn.renamed import old_attributes

MOST_CLASSES = 100_000
"""More class names than that are refused: they would be ids, times or free text."""


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


__getattr__ = old_attributes("data.preparation")

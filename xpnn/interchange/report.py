"""What went where when weights were taken over, and the errors for what does not fit."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.errors import ShapeError, UsageError
from xpnn.printing import one_line

Host = np.ndarray[Any, Any]


@dataclass
class Report:
    """The rows (our path, their name, what was done to it), in our order; printed as a table."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, ours: str, theirs: str, note: str = "") -> None:
        """Add a row."""
        self.rows.append((ours, theirs, note))

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        rows = [tuple(one_line(text, 10_000) for text in row) for row in self.rows]
        widths = [max((len(row[i]) for row in rows), default=0) for i in (0, 1)]
        return "\n".join(
            f"{ours:<{widths[0]}}  <- {theirs:<{widths[1]}}  {note}".rstrip() for ours, theirs, note in rows
        )


def check_fit(name: str, theirs: str, got: Host, wanted: tuple[int, ...]) -> None:
    """Raise the ShapeError that says which tensor does not fit, and whether its transpose would."""
    if tuple(got.shape) == tuple(wanted):
        return
    hint = ""
    if tuple(got.shape[::-1]) == tuple(wanted):
        hint = "its transpose has that shape"
    elif got.size == int(np.prod(wanted)):
        hint = f"it has as many numbers, {got.size:,}: another layout, or another layer"
    raise ShapeError(
        f"{name} wants {tuple(wanted)}, {theirs} gives {tuple(got.shape)}",
        why=hint or "the two networks differ there",
        fix="give the layers the sizes of the weights, or say which goes where: names={'0': 'their.prefix'}",
    )


def none_left(name: str, kind: str, left: list[str]) -> UsageError:
    """The error for a layer that nothing is left for."""
    return UsageError(
        f"no weights are left for {name}, which wants those of a {kind} layer",
        why=f"what is left: {', '.join(left[:8]) or 'nothing'}",
        fix="the network here needs the same layers in the same order; names={'0': 'their.prefix'} says it by hand",
    )


def too_many(left: list[str]) -> UsageError:
    """The error for weights that no layer here takes."""
    return UsageError(
        f"{len(left)} of their layers have no place here: {', '.join(left[:8])}",
        why="every layer with weights here has its own already",
        fix="add the layers that are missing, or strict=False to leave these out",
    )

"""The geometry of windows that slide over positions: where each begins, how many there are, what padding they need.

Plain numbers only, no array. Samples are (positions..., channels): sequences have one axis of positions, images two,
volumes three. Along one axis a window of k taps, d apart, spans (k - 1) d + 1 values; on n values with `before` and
`after` padded there are (n + before + after - span) // stride + 1 of them.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from xpnn.errors import ShapeError, UsageError

Pair: TypeAlias = tuple[int, int]
Triple: TypeAlias = tuple[int, int, int]
Sizes: TypeAlias = tuple[int, ...]
Ends: TypeAlias = str | int | Pair
"""Padding of a sequence."""
Padding: TypeAlias = str | int | tuple[Pair, Pair]
"""Padding of an image."""
Margins: TypeAlias = str | int | tuple[Pair, Pair, Pair]
"""Padding of a volume."""
AXES = {
    1: ("sequences (length, channels)", ("length",)),
    2: ("images (height, width, channels)", ("height", "width")),
    3: ("volumes (depth, height, width, channels)", ("depth", "height", "width")),
}
"""{number of axes of positions: (what such samples are, the names of the axes)}."""
WORDS = ("valid", "same", "same_lower")


@dataclass(frozen=True)
class Window:
    """Windows over the axes of positions of (N, positions..., channels): each setting axis by axis."""

    kernel: Sizes
    stride: Sizes = ()
    pads: tuple[Pair, ...] = ()
    dilation: Sizes = ()

    def __post_init__(self) -> None:
        """Strides and dilations are 1 where they are not given, and pads 0."""
        if not (self.stride and self.pads and self.dilation):
            for name, one in (("stride", 1), ("pads", (0, 0)), ("dilation", 1)):
                object.__setattr__(self, name, getattr(self, name) or (one,) * len(self.kernel))

    @property
    def is_padded(self) -> bool:
        """Whether any axis is padded."""
        return any(map(any, self.pads))

    @property
    def is_tiling(self) -> bool:
        """Whether the windows lie side by side, so that no value is in two of them, none of them padded."""
        return self.kernel == self.stride and max(self.dilation) == 1 and not self.is_padded


def span(k: int, dilation: int = 1) -> int:
    """From the first tap to the last."""
    return (k - 1) * dilation + 1


def counts(shape: Sizes, window: Window) -> Sizes:
    """How many windows fit on (N, positions..., channels), axis by axis."""
    settings = zip(shape[1:-1], window.kernel, window.stride, window.pads, window.dilation, strict=True)
    return tuple((n + pad[0] + pad[1] - span(k, d)) // s + 1 for n, k, s, pad, d in settings)


def taps(shape: Sizes, window: Window) -> Iterator[tuple[slice, ...]]:
    """For each tap, the last axis fastest: what it meets of every axis of the padded positions."""
    out = counts(shape, window)
    for tap in itertools.product(*map(range, window.kernel)):
        settings = zip(tap, window.dilation, out, window.stride, strict=True)
        yield tuple(slice(a * d, a * d + (n - 1) * s + 1, s) for a, d, n, s in settings)


def interior(shape: Sizes, window: Window) -> tuple[slice, ...]:
    """Where the positions of (N, positions..., channels) lie among the padded ones."""
    return tuple(slice(pad[0], pad[0] + n) for n, pad in zip(shape[1:-1], window.pads, strict=True))


def padded_shape(shape: Sizes, window: Window) -> Sizes:
    """The shape of (N, positions..., channels) with the pads."""
    sizes = (n + sum(pad) for n, pad in zip(shape[1:-1], window.pads, strict=True))
    return (shape[0], *sizes, shape[-1])


def per_axis(setting: int | Sizes, axes: int) -> Sizes:
    """One number stands for all axes."""
    return (setting,) * axes if isinstance(setting, int) else setting


def pads_of(padding: int | Pair | tuple[Pair, ...], axes: int) -> tuple[Pair, ...]:
    """(before, after) of each axis: one number stands for all ends, and one pair is that of a sequence."""
    if isinstance(padding, int):
        return ((padding, padding),) * axes
    return (padding,) if isinstance(padding[0], int) else padding


def at_least(least: int, owner: Any, **settings: Any) -> None:
    """Raise UsageError, naming the class and the setting, unless every number in it is at least `least`."""
    for name, value in settings.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(n < least for n in numbers):
            raise UsageError(
                f"{type(owner).__name__}({name}={value}): wanted whole numbers of at least {least}"
            )


def check_padding(owner: Any, padding: Ends | Padding | Margins, axes: int) -> None:
    """Raise UsageError for an unknown word, and for less than nothing."""
    if isinstance(padding, str):
        if padding not in WORDS:
            ends = {1: "(before, after)", 2: "((top, bottom), (left, right))"}
            raise UsageError(
                f"{type(owner).__name__}(padding={padding!r}): unknown padding",
                fix="'valid' (none), 'same' (as many windows as values, with stride 1), 'same_lower' (of an odd "
                f"number of pads the one more before), a number, or {ends.get(axes, '(before, after) of each axis')}",
            )
    else:
        numbers = padding if isinstance(padding, int) else sum(pads_of(padding, axes), start=())
        at_least(0, owner, padding=numbers)


def check_positions(shape: Sizes, axes: int) -> None:
    """Raise ShapeError for samples without that many axes of positions."""
    if len(shape) != axes + 1 or 0 in shape:
        raise ShapeError(f"wants {AXES[axes][0]}", why=f"got {shape}")


@functools.lru_cache(maxsize=1024)
def place(
    shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Ends | Padding | Margins,
    dilation: Sizes = (),
) -> Window:
    """The windows on samples (positions..., channels).

    Raises ShapeError for samples with another number of axes, and where not one window fits. "same": ceil(n / stride)
    windows; of an odd number of pads, the one more goes after; with "same_lower" before.
    """
    axes = len(kernel)
    check_positions(shape, axes)
    dilation = dilation or (1,) * axes
    if isinstance(padding, str):
        settings = zip(shape[:-1], kernel, stride, dilation, strict=True)
        needs = [max((-(-n // s) - 1) * s + span(k, d) - n, 0) for n, k, s, d in settings]
        pads: tuple[Pair, ...] = tuple((need // 2, need - need // 2) for need in needs)
        if padding == "valid":
            pads = ((0, 0),) * axes
        elif padding == "same_lower":
            pads = tuple((after, before) for before, after in pads)
    else:
        pads = pads_of(padding, axes)
    window = Window(kernel, stride, pads, dilation)
    for name, n, pad, k, d in zip(AXES[axes][1], shape[:-1], pads, kernel, dilation, strict=True):
        if span(k, d) > n + sum(pad):
            raise ShapeError(
                f"has windows that span {span(k, d)} values", why=f"the padded {name} is {n + sum(pad)}"
            )
    return window


def rounded_up(shape: Sizes, window: Window) -> Window:
    """With pads behind the others, for a last window that begins inside (or in the pads before) and ends outside."""
    pads = []
    settings = zip(shape[:-1], window.kernel, window.stride, window.pads, window.dilation, strict=True)
    for n, k, s, (before, after), d in settings:
        room = before + n + after - span(k, d)
        steps = -(-room // s)
        steps -= steps * s >= before + n
        pads.append((before, after + max(steps * s - room, 0)))
    return replace(window, pads=tuple(pads))


def check_no_window_is_padding(shape: Sizes, window: Window) -> None:
    """Raise ShapeError where a window on samples (positions..., channels) would hold nothing but padding."""
    settings = zip(shape[:-1], window.kernel, window.stride, window.pads, window.dilation, strict=True)
    for (n, k, s, (before, _), d), count in zip(settings, counts((1, *shape), window), strict=True):
        outside = min(count, -(-before // s)), max((before + n - span(k, d)) // s + 1, 0)
        for i in (*range(outside[0]), *range(outside[1], count)):
            if not any(before <= i * s + a * d < before + n for a in range(k)):
                raise ShapeError(
                    "has windows of nothing but padding",
                    why=f"the pool is {window.kernel}, the padding {window.pads}",
                )


def longest_cell(n: int, m: int) -> int:
    """Of m cells floor(i n / m), ..., ceil((i + 1) n / m) - 1 among n places, how many places the longest has."""
    return max(-(-(i + 1) * n // m) - i * n // m for i in range(m))

"""The geometry of windows that slide over images: where each begins, how many there are, what padding they need.

Plain numbers only, no array. Along one axis a window of k taps, d apart, spans (k - 1) d + 1 values; on n values with
`before` and `after` padded there are (n + before + after - span) // stride + 1 of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from xpnn.errors import ShapeError, UsageError

Pair: TypeAlias = tuple[int, int]
Size: TypeAlias = int | tuple[int, int]
Padding: TypeAlias = str | int | tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Window:
    """Windows over the two middle axes of (N, H, W, C): each setting for H, then for W."""

    kernel: Pair
    stride: Pair = (1, 1)
    pads: tuple[Pair, Pair] = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)


def span(k: int, dilation: int = 1) -> int:
    """From the first tap to the last."""
    return (k - 1) * dilation + 1


def counts(shape: tuple[int, ...], window: Window) -> Pair:
    """How many windows fit on (N, H, W, C), down and across."""
    h, w = (
        (n + sum(pad) - span(k, d)) // s + 1
        for n, k, s, pad, d in zip(
            shape[1:3], window.kernel, window.stride, window.pads, window.dilation, strict=True
        )
    )
    return h, w


def taps(shape: tuple[int, ...], window: Window) -> Iterator[tuple[slice, slice]]:
    """For each tap in row-major order: the rows and columns of the padded image that it meets."""
    out = counts(shape, window)
    starts = ((i * window.dilation[0], j * window.dilation[1]) for i, j in grid(window.kernel))
    for at in starts:
        rows, columns = (
            slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(at, out, window.stride, strict=True)
        )
        yield rows, columns


def grid(kernel: Pair) -> Iterator[Pair]:
    """(0, 0), (0, 1), ..., row by row."""
    return ((i, j) for i in range(kernel[0]) for j in range(kernel[1]))


def pair(size: Size) -> Pair:
    """One number stands for both axes."""
    return (size, size) if isinstance(size, int) else size


def at_least(least: int, owner: Any, **settings: Any) -> None:
    """Raise UsageError, naming the class and the setting, unless every number in it is at least `least`."""
    for name, value in settings.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(n < least for n in numbers):
            raise UsageError(
                f"{type(owner).__name__}({name}={value}): wanted whole numbers of at least {least}"
            )


def check_padding(owner: Any, padding: Padding) -> None:
    """Raise UsageError for a word other than valid and same, and for less than nothing."""
    if isinstance(padding, str):
        if padding not in ("valid", "same"):
            raise UsageError(
                f"{type(owner).__name__}(padding={padding!r}): unknown padding",
                fix="'valid' (none), 'same' (as many windows as values, with stride 1), a number, "
                "or ((top, bottom), (left, right))",
            )
    else:
        at_least(0, owner, padding=padding if isinstance(padding, int) else padding[0] + padding[1])


def place(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Window:
    """The windows on samples (H, W, C). Raises ShapeError for other samples, and where not one window fits.

    "same": ceil(n / stride) windows; of an odd number of pads, the one more goes after.
    """
    if len(shape) != 3 or 0 in shape:
        raise ShapeError("wants images (height, width, channels)", why=f"got {shape}")
    if isinstance(padding, str):
        needs = [
            max((-(-n // s) - 1) * s + span(k, d) - n, 0) if padding == "same" else 0
            for n, k, s, d in zip(shape[:2], kernel, stride, dilation, strict=True)
        ]
        top, left = (need // 2 for need in needs)
        pads = (top, needs[0] - top), (left, needs[1] - left)
    else:
        pads = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    window = Window(kernel, stride, pads, dilation)
    for name, n, pad, k, d in zip(("height", "width"), shape[:2], pads, kernel, dilation, strict=True):
        if span(k, d) > n + sum(pad):
            raise ShapeError(
                f"has windows that span {span(k, d)} values", why=f"the padded {name} is {n + sum(pad)}"
            )
    return window

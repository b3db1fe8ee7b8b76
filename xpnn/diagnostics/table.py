"""Plain tables, for a terminal of 80 columns."""

from collections.abc import Sequence

from xpnn.printing import one_line


def table(head: Sequence[str], rows: Sequence[Sequence[str]], sides: str, widest: Sequence[int] = ()) -> str:
    """Columns two spaces apart. `sides`: < or > for each; `widest`: where the first columns are cut, by …."""
    limits = [*widest, *[80] * (len(head) - len(widest))]
    grid = [
        [shortened(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in (head, *rows)
    ]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)
        ).rstrip()
        for row in grid
    )


def shortened(text: str, limit: int) -> str:
    """Return the beginning and the end of a long text, which distinguish paths; what does not show is written out."""
    text = one_line(text, 10_000)
    if len(text) <= limit:
        return text
    kept = limit - 1
    return text[: kept - kept // 2] + "…" + text[len(text) - kept // 2 :]


def number(value: float | None) -> str:
    """Return three digits in at most 8 characters; - for None."""
    if value is None:
        return "-"
    text = f"{value:.3g}"
    return text if len(text) <= 8 else f"{value:.1e}"

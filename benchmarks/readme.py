"""The README's section on speed, made from a report's JSON."""

import json
import pathlib
import statistics
import textwrap
from typing import Any

from benchmarks.goals import Record, Values, against, share_of_floor
from benchmarks.libraries import CONTENDERS, OURS
from benchmarks.report import NONE, duration, table

README = pathlib.Path(__file__).parents[1] / "README.md"
HEADING = "## Speed\n"
ROWS = {
    "784-128-10/adam/32": "784-128-10, batch 32",
    "784-128-10/adam/128": "784-128-10, batch 128",
    "784-128-10/adam/1024": "784-128-10, batch 1024",
    "784-1024-1024-10/adam/32": "784-1024-1024-10, batch 32",
    "784-1024-1024-10/adam/128": "784-1024-1024-10, batch 128",
    "784-1024-1024-10/adam/1024": "784-1024-1024-10, batch 1024",
    "cnn/adam/128": "convolutions, batch 128",
    "lstm/adam/128": "LSTM, batch 128",
    "784-512-256-10/epoch/256": "an epoch of MNIST",
}
COLUMNS: dict[str, Values] = {
    "PyTorch": against("torch"),
    "PyTorch, best mode": against(*(name for name in CONTENDERS if name.startswith("torch"))),
    "JAX jit": against("jax"),
    "Keras": against("keras"),
    "scikit-learn": against("sklearn"),
    "floor": share_of_floor,
}


def row(record: Record, ours: str) -> list[str]:
    """Times of ours, and the medians of the ratios to the last of them that took part."""
    seconds = record["seconds"]
    times = [duration(seconds[name]) if name in seconds else NONE for name in OURS]
    ratios = [values(record, ours) for values in COLUMNS.values()]
    return [ROWS[record["cell"]], *times, *(f"{statistics.median(r):.2f}" if r else NONE for r in ratios)]


def section(found: dict[str, Any], stem: str) -> str:
    """Heading, what was measured on what, and the table."""
    about = found["machine"]
    records = {record["cell"]: record for record in found["cells"] if record.get("seconds")}
    there = [records[cell] for cell in ROWS if cell in records]
    ours = next(name for name in reversed(OURS) if all(name in record["seconds"] for record in there))
    base = "xpnn with numba" if ours == "xpnn-fast" else "xpnn"
    words = (
        f"A step with Adam in float32 on {about['cores']} cores of an {about['processor']}: xpnn's time, then other "
        f"libraries' times divided by that of {base} (above 1: xpnn is faster); medians of {found['rounds']} rounds. "
        f"Floor: the matrix products alone. All: `benchmarks/reports/{stem}.md`; `ci/bench` measures your machine."
    )
    lines = [
        HEADING,
        *textwrap.wrap(words, 120, break_long_words=False, break_on_hyphens=False),
        "",
        *table(["", "xpnn", "with numba", *COLUMNS], [row(r, ours) for r in there]),
    ]
    return "\n".join([*lines, "", ""])


def put(text: str, new: str) -> str:
    """The text with the section of that heading replaced, up to the next one."""
    before, after = text.split(HEADING, 1)
    return before + new + after[after.index("\n## ") + 1 :]


def rewrite(path: pathlib.Path) -> None:
    """Put the report's table into README.md."""
    README.write_text(put(README.read_text(), section(json.loads(path.read_text()), path.stem)))

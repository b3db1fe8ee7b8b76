"""Peak memory of each training contender, in a process of its own, that of its imports included and stated."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.arena import memory
from benchmarks.families import cnn, lstm, mlp
from benchmarks.goals import Goal, Record
from benchmarks.libraries import FLOOR

TITLE = "Peak memory of training"
FAMILIES = {
    "784-128-10/adam/128": mlp,
    "784-1024-1024-10/adam/1024": mlp,
    "cnn/adam/128": cnn,
    "lstm/adam/128": lstm,
}


def lean(record: Record, ours: str) -> list[float] | None:
    """PyTorch's peak / ours."""
    held = record["bytes"]
    return [held["torch"]["peak"] / held[ours]["peak"]] if ours in held and "torch" in held else None


GOALS = (Goal("*", "PyTorch eager, peak memory", lean, 1.0),)


def measure(rounds: int, absent: dict[str, str]) -> Iterator[dict[str, Any]]:
    """{"bytes": {contender: {"imported": ..., "peak": ...}}}; bytes do not vary, so there is one round."""
    for name, module in FAMILIES.items():
        (cell,) = (cell for cell in module.CELLS if cell.name == name)
        names = [c for c in module.CONTENDERS if c not in absent and c != FLOOR]
        with ThreadPoolExecutor(2) as pool:
            answers = dict(zip(names, pool.map(lambda c: memory(c, "train", cell), names), strict=True))  # noqa: B023
        failed = {c: why for c, why in absent.items() if c in module.CONTENDERS}
        yield {
            "family": "memory",
            "cell": name,
            "bytes": {c: answer for c, answer in answers.items() if isinstance(answer, dict)},
            "failed": failed | {c: answer for c, answer in answers.items() if isinstance(answer, str)},
        }

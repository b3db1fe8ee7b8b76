"""Where a stage runs: on the GPU, or in a rehearsal on the CPU, with everything small and NumPy in CuPy's place."""

import contextlib
import importlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Refused(Exception):  # noqa: N818 - no error: something is not there
    """This cannot be run here. Says what is missing."""


@dataclass(frozen=True)
class Site:
    """`rehearsal`: no GPU. `until`: the time, by time.monotonic, at which the stage is killed."""

    rehearsal: bool
    until: float = math.inf

    @property
    def backend(self) -> str:
        """Of xpnn."""
        return "numpy" if self.rehearsal else "cupy"

    def cupy(self) -> Any:
        """CuPy, or what stands in for it."""
        return importlib.import_module("benchmarks.gpu.rehearsal" if self.rehearsal else "cupy")

    def pick(self, real: T, small: T) -> T:
        """`real` on a GPU."""
        return small if self.rehearsal else real

    def bounded(self) -> contextlib.AbstractContextManager[Any]:
        """Inside, memory has the limit that CuPy's pool is given: NumPy's too."""
        return self.cupy().bounded() if self.rehearsal else contextlib.nullcontext()

    def left(self) -> float:
        """Seconds until the stage is killed."""
        return self.until - time.monotonic()


@dataclass(frozen=True)
class Notes:
    """note(name="add", ok=True, us=6.1): a row of the report, on the disk when the call returns.

    ok: True or False for a check, None for a measurement. A row replaces an earlier one of the same `key`.
    """

    path: Path

    def __call__(self, **row: Any) -> None:
        """Append it."""
        with open(self.path, "a") as file:
            file.write(json.dumps(plain(row)) + "\n")


def plain(value: Any) -> Any:
    """The same with floats that JSON can write: rounded to 6 digits; NaN and infinities as words."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def first_line(error: BaseException) -> str:
    """The error in one line."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"[:200].rstrip(": ")

"""Start-up: fresh interpreters, taking turns."""

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.goals import Goal, Record

TITLE = "Start-up"
COMMANDS = {
    "python": ["-c", "pass"],
    "xpnn --help": ["-m", "xpnn", "--help"],
    "import numpy": ["-c", "import numpy"],
    "import xpnn": ["-c", "import numpy, xpnn"],
    "from xpnn import *": ["-c", "import numpy; from xpnn import *"],
    "import torch": ["-c", "import torch"],
    "import jax": ["-c", "import jax"],
}
CONTENDERS_OF = {"import torch": "torch", "import jax": "jax"}


def seconds_of(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def help_takes(record: Record, _: str) -> list[float]:
    return record["seconds"]["xpnn --help"]  # type: ignore[no-any-return]


def import_takes(record: Record, _: str) -> list[float]:
    """Beyond NumPy's own import."""
    pairs = zip(record["seconds"]["import xpnn"], record["seconds"]["import numpy"], strict=True)
    return [ours - numpy for ours, numpy in pairs]


GOALS = (
    Goal("*", "seconds of `xpnn --help`", help_takes, 0.2, at_most=True),
    Goal("*", "seconds of `import xpnn` beyond NumPy's", import_takes, 0.15, at_most=True),
)


def measure(rounds: int, absent: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One record; the first start of each, which may write bytecode, does not count."""
    failed = {name: absent[rival] for name, rival in CONTENDERS_OF.items() if rival in absent}
    commands = {name: command for name, command in COMMANDS.items() if name not in failed}
    for command in commands.values():
        seconds_of(command)
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(seconds_of(command))
    yield {"family": "startup", "cell": "start-up", "seconds": seconds, "failed": failed}

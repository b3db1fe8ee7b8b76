"""One training step in each library's own idiom: a batch is gathered from bytes on the device by an order that lies
there too, brought to [0, 1], and Adam at 1e-3 follows its gradient.

A contender is made from (cell, rehearsal). `steps(n)` runs that many without waiting, `wait()` waits for the device,
`loss()` is that of the last step.
"""

import importlib
from typing import Any, Protocol

from benchmarks.gpu.nets import Cell

RATE = 1e-3
"""Adam's, with its usual moments 0.9 and 0.999 and 1e-8."""


class Contender(Protocol):
    """What the arena calls. `done`: steps so far, those of its making included."""

    done: int

    def steps(self, n: int) -> None:
        """Run n more."""

    def wait(self) -> None:
        """Until the device has done them."""

    def loss(self) -> float:
        """Of the last step."""


CONTENDERS = {
    "xpnn": ("ours", "Captured"),
    "xpnn-eager": ("ours", "Eager"),
    "torch": ("torch_steps", "Eager"),
    "torch-compile": ("torch_steps", "Compiled"),
    "torch-graph": ("torch_steps", "Graphed"),
    "jax": ("jax_steps", "Jitted"),
}
OURS = "xpnn"
RIVALS = tuple(name for name, (module, _) in CONTENDERS.items() if module != "ours")


def load(name: str) -> Any:
    """The class of a contender. Raises ImportError where its library is not here."""
    module, cls = CONTENDERS[name]
    return getattr(importlib.import_module(f"benchmarks.gpu.contenders.{module}"), cls)


def make(name: str, cell: Cell, rehearsal: bool) -> Contender:
    """Build it. Raises what its library raises."""
    contender: Contender = load(name)(cell, rehearsal)
    return contender

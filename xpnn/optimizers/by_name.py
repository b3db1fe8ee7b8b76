"""The optimizers that a user picks by name: `optimizer="adam"`."""

from xpnn.errors import UsageError, did_you_mean
from xpnn.names import usable_by_name
from xpnn.optimizers.base import Optimizer
from xpnn.printing import library_of, name_of

__all__ = ["FULL_BATCH", "OPTIMIZERS", "get_optimizer"]

KNOWN: dict[str, type[Optimizer]] = {
    name.replace("_", ""): cls for name, cls in usable_by_name("optimizers", Optimizer).items()
}
"""{the class's name in lower case: the class}."""
OPTIMIZERS = {name: cls for name, cls in KNOWN.items() if not cls.full_batch}
FULL_BATCH = {name: cls for name, cls in KNOWN.items() if cls.full_batch}
"""Optimizers that take the whole data at once."""


def get_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """An optimizer by name with its default settings, or the optimizer itself. Raises UsageError for another name."""
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str) or optimizer not in KNOWN:
        if isinstance(optimizer, type) and issubclass(optimizer, Optimizer):
            raise UsageError(
                f"optimizer={optimizer.__name__} is a class", fix=f"{optimizer.__name__}(), an object"
            )
        if not isinstance(optimizer, type) and library_of(optimizer) != "builtins":
            raise UsageError(
                f"optimizer of type {name_of(optimizer)}",
                fix=f"one of xpnn, such as xpnn.Adam(1e-3), or a name: {', '.join(KNOWN)}",
            )
        raise UsageError(f"unknown optimizer {optimizer!r}", fix=did_you_mean(optimizer, KNOWN))
    return KNOWN[optimizer]()

"""Models on their way in and out: ONNX, the weights of other libraries, programs that stand alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpnn.interchange.onnx_export import save_onnx

__all__ = ["save_onnx"]

HOMES = {"save_onnx": "onnx_export"}
"""The module that each name lives in; imported when the name is asked for."""


def __getattr__(name: str) -> Any:
    """The function of that name."""
    if name in HOMES:
        found = getattr(import_module(f"xpnn.interchange.{HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'xpnn.interchange' has no attribute {name!r}")

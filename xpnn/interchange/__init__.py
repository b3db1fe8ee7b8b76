"""Models on their way in and out: ONNX, the weights of other libraries, programs that stand alone."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpnn.interchange.c_export import save_c
    from xpnn.interchange.html_export import save_html
    from xpnn.interchange.keras import load_keras, to_keras
    from xpnn.interchange.onnx_export import save_onnx
    from xpnn.interchange.onnx_import import load_onnx
    from xpnn.interchange.python_export import save_python
    from xpnn.interchange.sklearn_mlp import from_mlp, to_mlp
    from xpnn.interchange.torch import load_torch, to_torch

HOMES = {
    "from_mlp": "sklearn_mlp",
    "load_keras": "keras",
    "load_onnx": "onnx_import",
    "load_torch": "torch",
    "save_c": "c_export",
    "save_html": "html_export",
    "save_onnx": "onnx_export",
    "save_python": "python_export",
    "to_keras": "keras",
    "to_mlp": "sklearn_mlp",
    "to_torch": "torch",
}
"""The module that each name lives in; imported when the name is asked for."""
__all__ = [
    "from_mlp",
    "load_keras",
    "load_onnx",
    "load_torch",
    "save_c",
    "save_html",
    "save_onnx",
    "save_python",
    "to_keras",
    "to_mlp",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    """The function of that name."""
    if name in HOMES:
        found = getattr(import_module(f"xpnn.interchange.{HOMES[name]}"), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'xpnn.interchange' has no attribute {name!r}")

"""The layers: one short file per family. Every layer that a file here defines is a public name of this package."""

from typing import Any

from xpnn.names import public_names

PUBLIC: dict[str, Any] = public_names("layers")
__all__ = list(PUBLIC)
globals().update(PUBLIC)

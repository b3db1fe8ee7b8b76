"""The losses. Every loss that a file here defines is a public name of this package."""

from typing import Any

from xpnn.names import public_names
from xpnn.renamed import old_attributes

PUBLIC: dict[str, Any] = public_names("losses")
__all__ = list(PUBLIC)
globals().update(PUBLIC)
__getattr__ = old_attributes("losses")

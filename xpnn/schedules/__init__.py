"""The learning-rate schedules. Every one that a file here defines is a public name of this package."""

from typing import Any

from xpnn.names import public_names

PUBLIC: dict[str, Any] = public_names("schedules")
__all__ = list(PUBLIC)
globals().update(PUBLIC)

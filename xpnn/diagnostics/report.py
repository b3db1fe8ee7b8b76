"""What reports have in common: they are shown as tables, and given as plain data."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from xpnn.html import preformatted


@dataclass(frozen=True)
class Report:
    """Findings that `str` shows as tables."""

    def to_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and dicts; a number that is not finite is None, as JSON knows none."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain

    def to_json(self) -> str:
        """Return `to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def _repr_html_(self) -> str:
        """The tables, in a notebook."""
        return preformatted(str(self))


def finite(value: Any) -> Any:
    """Return the tree with None for every number that is not finite, and lists for tuples."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

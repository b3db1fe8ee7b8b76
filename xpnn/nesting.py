"""Networks in networks: how deep they are, and Python's limit on recursion raised to it.

Each level of nesting takes some frames to plan, to run, to show, to save and to read. Python stops at 1,000 frames, a
hundred levels or two; its limit is the process's, and is only ever raised here, up to what DEEPEST levels take.
"""

import dataclasses
import re
import sys
from typing import Any

from xpnn.errors import UsageError

DEEPEST, FRAMES = 2000, 20
"""Levels that are allowed, and frames for each: 6 were enough for a thousand chains or skip connections."""
MARKS = re.compile(
    r'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]'
)  # possessive: no memory for a way back through a long string


def allow_nesting(net: Any) -> None:
    """Raise the limit for this network. Raises UsageError for one that is nested too deeply."""
    depth, level = 0, [net]
    while level:
        if depth > DEEPEST:
            raise UsageError(
                f"the network is nested more than {DEEPEST:,} levels deep",
                fix="a chain of layers in place of chains in chains",
            )
        below = {
            id(part): part for value in level for part in parts(value)
        }  # once where it stands in several places
        depth, level = depth + 1, list(below.values())
    raise_limit(depth)


def allow_text(text: str) -> None:
    """Raise the limit for JSON text. Raises RecursionError for one that is nested too deeply."""
    depth = deepest = 0
    for mark in MARKS.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark[0], 0)
        deepest = max(deepest, depth)
    if deepest > 2 * DEEPEST + 50:  # a list and an object for each level
        raise RecursionError(f"nested {deepest:,} deep")
    raise_limit(deepest)


def raise_limit(depth: int) -> None:
    """At least as many frames as so many levels take, beside those of a program."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 1000 + FRAMES * depth))


def parts(value: Any) -> list[Any]:
    """The layers among a layer's settings."""
    settings = [getattr(value, f.name) for f in dataclasses.fields(value)]
    found = []
    while settings:
        one = settings.pop()
        if isinstance(one, tuple | list):
            settings += one
        elif isinstance(one, dict):
            settings += one.values()
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            found.append(one)
    return found

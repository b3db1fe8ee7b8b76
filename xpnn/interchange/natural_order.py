"""The order in which people count: layer2 before layer10."""

import re


def natural_sort_key(name: str) -> list[tuple[int, str]]:
    """A key for `sorted`: numbers inside the name count as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

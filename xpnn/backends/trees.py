"""Nested tuples, lists and dicts of arrays, as what a step takes and gives: flat, and whole again."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Path: TypeAlias = tuple[int | str, ...]


def flatten(tree: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each leaf with its path; the keys of a dict in one order, whatever theirs. An empty branch is a leaf."""
    if isinstance(tree, dict) and tree:
        for key in sorted(tree):
            yield from flatten(tree[key], (*path, key))
    elif isinstance(tree, tuple | list) and tree:
        for i, branch in enumerate(tree):
            yield from flatten(branch, (*path, i))
    else:
        yield path, tree


def rebuild(tree: Any, f: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The same tree with f(path, leaf) for each leaf."""
    if isinstance(tree, dict) and tree:
        return {key: rebuild(branch, f, (*path, key)) for key, branch in tree.items()}
    if isinstance(tree, tuple | list) and tree:
        return type(tree)(rebuild(branch, f, (*path, i)) for i, branch in enumerate(tree))
    return f(path, tree)

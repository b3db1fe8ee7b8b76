"""Nested tuples, lists and dicts of arrays, as what a step takes and gives: flat, and whole again."""

from collections.abc import Callable
from typing import Any, TypeAlias

Path: TypeAlias = tuple[int | str, ...]


def flatten(tree: Any) -> dict[Path, Any]:
    """Each leaf by its path; the keys of a dict in one order, whatever theirs. An empty branch is a leaf."""
    leaves: dict[Path, Any] = {}
    _gather(tree, (), leaves)
    return leaves


def _gather(tree: Any, path: Path, leaves: dict[Path, Any]) -> None:
    """Into one dict, and no generators: every replay of a step begins with this."""
    if tree.__class__ is dict and tree:
        for key in sorted(tree):
            _gather(tree[key], (*path, key), leaves)
    elif tree.__class__ in (tuple, list) and tree:
        for i, branch in enumerate(tree):
            _gather(branch, (*path, i), leaves)
    else:
        leaves[path] = tree


def rebuild(tree: Any, f: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """The same tree with f(path, leaf) for each leaf."""
    if tree.__class__ is dict and tree:
        return {key: rebuild(branch, f, (*path, key)) for key, branch in tree.items()}
    if tree.__class__ in (tuple, list) and tree:
        return tree.__class__(rebuild(branch, f, (*path, i)) for i, branch in enumerate(tree))
    return f(path, tree)

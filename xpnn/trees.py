"""Nested dicts, tuples and lists: parameters, samples, what a step takes and returns. Their leaves, and new ones."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Tree: TypeAlias = Any
Path: TypeAlias = tuple[int | str, ...]
BRANCHES = (dict, tuple, list)


def flatten(tree: Tree) -> dict[Path, Any]:
    """{path: leaf}, in the order of the tree. An empty branch is a leaf."""
    found: dict[Path, Any] = {}
    _gather(tree, (), found)
    return found


def _gather(tree: Tree, path: Path, found: dict[Path, Any]) -> None:
    """Into one dict, without generators: every replay of a recorded step begins with this."""
    if not isinstance(tree, BRANCHES) or not tree:
        found[path] = tree
        return
    for key, branch in tree.items() if isinstance(tree, dict) else enumerate(tree):
        _gather(branch, (*path, key), found)


def rebuild(tree: Tree, f: Callable[[Path, Any], Any], path: Path = ()) -> Tree:
    """The same tree with f(path, leaf) for each leaf; an empty branch is a leaf."""
    if not isinstance(tree, BRANCHES) or not tree:
        return f(path, tree)
    if isinstance(tree, dict):
        return {key: rebuild(branch, f, (*path, key)) for key, branch in tree.items()}
    make = getattr(tree, "_make", tree.__class__)  # the first of a named tuple
    return make(rebuild(branch, f, (*path, i)) for i, branch in enumerate(tree))


def dotted(path: Path) -> str:
    """The name of a parameter: "0.W" for (0, "W")."""
    return ".".join(map(str, path))


def leaves(tree: Tree) -> Iterator[tuple[str, Any]]:
    """("0.W", leaf), ("0.b", leaf), ...: by name, without empty branches."""
    return ((dotted(path), leaf) for path, leaf in flatten(tree).items() if not is_empty(leaf))


def tree_map(f: Callable[[str, Any], Any], tree: Tree) -> Tree:
    """The same tree with f(name, leaf) for each leaf; empty branches stay."""
    if not isinstance(tree, BRANCHES):  # one array, as most samples are
        return f("", tree)
    return rebuild(tree, lambda path, leaf: leaf if is_empty(leaf) else f(dotted(path), leaf))


def is_empty(leaf: Any) -> bool:
    """Is it a branch without leaves?"""
    return isinstance(leaf, BRANCHES) and not leaf

"""A method that subclasses have to write says so where one has not."""

import ast
import functools
import importlib
import inspect
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


def unwritten():
    """(file, name inside it) of each function that does nothing but raise NotImplementedError, or the error that
    `errors.missing` makes, which is one."""
    for path in sorted((TOP / "xpnn").rglob("*.py")):
        for owner in ast.walk(ast.parse(path.read_text())):
            for node in getattr(owner, "body", []) if isinstance(owner, ast.ClassDef) else []:
                if isinstance(node, ast.FunctionDef) and len(node.body) <= 2 and is_left(node.body[-1]):
                    yield str(path.relative_to(TOP)), f"{owner.name}.{node.name}"


def is_left(statement):
    text = ast.unparse(statement)
    return isinstance(statement, ast.Raise) and ("NotImplementedError" in text or "raise missing(" in text)


FOUND = list(unwritten())


def test_methods_without_a_body_are_found():
    assert ("xpnn/layers/base.py", "Layer.backward") in FOUND
    assert len(FOUND) > 25


@pytest.mark.parametrize(("file", "name"), FOUND, ids=lambda part: part.replace("/", "."))
def test_a_method_without_a_body_raises(file, name):
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    owner, _, method = name.partition(".")
    function = inspect.getattr_static(getattr(module, owner), method)
    function = getattr(function, "fget", None) or getattr(function, "func", None) or function
    function = getattr(function, "__func__", function)
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    given = [None for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    with pytest.raises(NotImplementedError):
        functools.partial(function, *given)()

"""No file can make xpnn run, import or unpickle anything: read from the syntax tree of the package."""

import ast
from pathlib import Path

import pytest

import xpnn

PACKAGE = Path(xpnn.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
READERS = ("config.py", "settings.py", "training/checkpoint.py", "training/safetensors_reader.py")
MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "code",
    "runpy",
    "imp",
}
CALLS = {"eval", "exec", "compile", "__import__"}
IMPORTERS = {"import_module", "find_spec", "exec_module", "load_module"}


def faults(tree, reader=False):
    """(line, what) of everything that is banned; of `reader`s, which are given data, also every import by name."""
    for node in ast.walk(tree):
        imported = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = [node.module or "", *(alias.name for alias in node.names)]
        for name in imported:
            if name.split(".")[0] in MODULES or (reader and name.split(".")[0] == "importlib"):
                yield node.lineno, f"imports {name}"
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        owner = getattr(getattr(node.func, "value", None), "id", "")
        if isinstance(node.func, ast.Name) and called in CALLS:
            yield node.lineno, f"calls {called}"
        if called in IMPORTERS and not fixed(node.args[0]):
            yield node.lineno, f"imports what {ast.unparse(node.args[0])} says"
        if (
            reader
            and called in ("getattr", "setattr", "globals", "vars", "__getattribute__")
            and not plain(node)
        ):
            yield node.lineno, f"calls {called} with a name from outside"
        if owner == "np" and called == "load":
            yield node.lineno, "np.load can unpickle"


def fixed(argument):
    """A literal, or one that begins inside this package; which module, the table of backends decides."""
    if isinstance(argument, ast.JoinedStr):
        argument = argument.values[0]
    return isinstance(argument, ast.Constant) and isinstance(argument.value, str)


def plain(call):
    """getattr of a literal, or of a field's own name."""
    if len(call.args) < 2:
        return False
    name = call.args[1]
    return isinstance(name, ast.Constant) or ast.unparse(name) in ("f.name", "name", "vector")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_package(path):
    reader = path.relative_to(PACKAGE).as_posix() in READERS
    assert list(faults(ast.parse(path.read_text()), reader)) == []


def test_the_readers_are_there():
    assert all((PACKAGE / name).is_file() for name in READERS)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "import importlib",
        "eval(text)",
        "exec(text)",
        "__import__(name)",
        "importlib.import_module(name)",
        "import_module(data['module'])",
        "np.load(path)",
        "getattr(xpnn, data['type'])",
        "globals()[name]",
    ],
)
def test_the_lint_sees(code):
    assert list(faults(ast.parse(code), reader=True))

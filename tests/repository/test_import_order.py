"""Imports point downwards and nowhere in a circle, by the syntax tree: those inside functions and for types too.

Not counted: the packages that Python imports on the way to a module, and names that a package finds while it runs.
"""

import ast
import graphlib
import pathlib

import pytest

import xpnn

PACKAGE = pathlib.Path(xpnn.__file__).parent
ORDER = (
    {"cli", "web", "sklearn", "__main__"},
    {"interchange", "plots"},
    {"model"},
    {"diagnostics"},  # below the model: `Model.explain` and `summary` call them, they need the network alone
    {"training", "distributed"},
    {"network", "scoring"},
    {"fusion"},  # below the network: its passes are the fused ones
    {"layers", "losses", "optimizers", "metrics", "schedules", "initializers", "models", "recipes", "data"}
    | {"validation", "stored_array", "chunk_order"},
    {"parameters"},
    {"backends"},
    {"kernels"},
    {
        "config",
        "settings",
        "names",
        "renamed",
        "name_hints",
        "errors",
        "random",
        "window",
        "nesting",
        "read_ahead",
    }
    | {
        "system",
        "durable",
        "temporary_files",
        "printing",
        "html",
        "reading",
        "trees",
        "xpnn",
    },  # xpnn: its version, and where public names are
)
"""From the top down: a part may import its own and what stands below it."""


def imports(sources):
    """{module: the modules of the package that it imports}, of {"xpnn.config": its text, ...}."""

    def module(name):
        while name not in sources:
            name = name.rpartition(".")[0]
        return name

    found = {}
    for name, text in sources.items():
        there = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                names = [a.value for a in node.args if isinstance(a, ast.Constant)]
            else:
                continue
            there |= {module(one) for one in names if one.split(".")[0] == "xpnn"}
        found[name] = there - {name}
    return found


def circle(edges):
    """The modules of a circle, the first one again at the end; [] without one."""
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def rank(module):
    """Its row in ORDER."""
    part = module.split(".")[1] if "." in module else module
    rows = [i for i, parts in enumerate(ORDER) if part in parts]
    assert len(rows) == 1, f"say in ORDER where xpnn/{part} belongs, once"
    return rows[0]


def upward(edges):
    """The imports that point up."""
    return [(a, b) for a, there in edges.items() for b in there if rank(b) < rank(a)]


@pytest.fixture(scope="module")
def edges():
    sources = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return imports(sources)


def test_no_circle_of_imports(edges):
    found = circle(edges)
    assert not found, "a circle of imports: " + " <- ".join(found)


def test_imports_point_downwards(edges):
    found = upward(edges)
    assert not found, "\n".join(f"{a} imports {b}, which stands above it" for a, b in found)


@pytest.mark.parametrize(
    "text",
    [
        "import xpnn.model",
        "from xpnn.model import Model",
        "from xpnn import model",
        "def f():\n    from xpnn.model import Model",
        "if TYPE_CHECKING:\n    from xpnn.model import Model",
        "importlib.import_module('xpnn.model')",
    ],
)
def test_every_kind_of_import_counts(text):
    found = imports({"xpnn": "", "xpnn.layers": text, "xpnn.model": "def f():\n    import xpnn.layers.dense"})
    assert circle(found) == ["xpnn.layers", "xpnn.model", "xpnn.layers"]
    assert upward(found) == [("xpnn.layers", "xpnn.model")]

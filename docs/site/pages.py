"""Writes the pages that are made from the code, as notebooks that were run: `python docs/site/pages.py`.

A chapter (chapters/*.md) has a text for each class, below a heading with its name: the derivative step by step. A line
`layer` on `shape`, `loss` of `prediction` for `target`, or `optimizer` alone says what the page computes. All else
comes from the class: its docstring, the lines of its methods, a small number, the check against differences, a picture.
A class without a text has its page all the same, at the end of a chapter: it computes its first row in tests/cases/.
One process runs all pages, since starting a kernel takes longer than running a page.
"""

import inspect
import os
import re
import shutil
import sys
from dataclasses import dataclass, fields, replace
from importlib import import_module
from pathlib import Path

import nbformat

SITE = Path(__file__).resolve().parent
DOCS, ROOT = SITE.parent, SITE.parents[1]
MADE = DOCS / "pages"
FAST = bool(os.environ.get("XPNN_FAST_SITE"))
"""Without pictures."""
COVERAGE = (DOCS / "coverage.md").read_text()
sys.path[:0] = [str(ROOT), str(SITE), str(ROOT / "tests")]

import bug_museum
from cases import LAYERS, LOSSES, OPTIMIZERS
from cells import run_all

from xpnn.config import short_repr
from xpnn.kernels import Kernels
from xpnn.layers import Layer
from xpnn.names import classes_in
from xpnn.recipes import OVERRIDES, RECIPES, Recipe

CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```\n?", re.M | re.S)
LAYER = re.compile(r"^`([^`]+)` on `([^`]+)`\.?$", re.M)
LOSS = re.compile(r"^`([^`]+)` of `([^`]+)` for `([^`]+)`\.?$", re.M)
OPTIMIZER = re.compile(r"^`(xpnn\.[^`]+)`\.?$", re.M)
START = "import numpy as np\n\nimport xpnn\nfrom xpnn import losses\nfrom worked import *"
SHOWN = (
    "forward",
    "backward",
    "update_stats",
    "terms",
    "reduce",
    "scalars",
    "rule",
    "update",
    "project",
    "direction",
)
"""Methods that are the formula: of the class itself, or of the nearest base that has them."""
UNSEEN = {
    "BothSides": "xpnn.gradcheck([xpnn.Dense(3)], (4,), loss=bug_museum.BothSides())  # known values alone show it",
    "Overflows": """with np.errstate(over="ignore"):
    y, _ = bug_museum.Overflows().forward(cx, {}, np.array([[-750.0, -700.0]]))
y  # e^-750 and e^-700 are both above 0""",
    "OverflowsUpwards": """with np.errstate(over="ignore", invalid="ignore"):
    y, _ = bug_museum.OverflowsUpwards().forward(cx, {}, np.array([[-1000.0, 0.0, 1000.0]]))
y""",
    "LogOfTheSigmoid": """with np.errstate(divide="ignore"):
    value, _ = bug_museum.LogOfTheSigmoid()(be, np.array([[40.0]]), np.array([[0.0]]))
value  # the loss is 40""",
}
"""Exhibits that the gradient check does not see, and what shows them."""
AUGMENTATION = ("erase", "elastic", "warp", "random_transform")
"""Modules whose layers are shown on a digit."""
MORE = {
    "activation": "10-more-activations",
    "losses": "11-more-losses",
    "optimizers": "12-more-optimizers",
    "layers": "13-shapes",
}
"""The chapter at whose end a class without a text stands, by its role or package."""
WHOLE_ROWS = ("Softmax", "LogSoftmax", "Hardmax")
"""Activations whose outputs depend on more than one input."""
PACKAGES = {
    "xpnn": "xpnn",
    "xpnn.layers": "Layers",
    "xpnn.losses": "Losses",
    "xpnn.optimizers": "Optimizers",
    "xpnn.schedules": "Schedules",
    "xpnn.initializers": "Initializers",
    "xpnn.metrics": "Metrics",
    "xpnn.data": "Data",
    "xpnn.training": "Training",
    "xpnn.diagnostics": "Diagnostics",
    "xpnn.plots": "Plots",
    "xpnn.interchange": "Models in and out",
    "xpnn.models": "Ready-made networks",
    "xpnn.sklearn": "scikit-learn",
    "xpnn.backends": "Backends",
    "xpnn.errors": "Errors",
}
"""What the reference has a page for, and its title."""
MEMBERS = {"xpnn.sklearn": "fit, predict"}
"""Of classes whose other methods another library documents."""
ROOTS = (
    "Layer",
    "Loss",
    "Optimizer",
    "Config",
    "Elementwise",
    "Formula",
    "Layerwise",
    "Wrapper",
    "Constraint",
    "object",
)
"""What all share stands in the guide."""


@dataclass(frozen=True)
class Chapter:
    """A file of chapters/: its title, what it begins with, and (class name, text) for each."""

    stem: str
    title: str
    intro: str
    sections: tuple[tuple[str, str], ...]


def chapter_files():
    """All chapters as they were written, in their order."""
    found = []
    for path in sorted((SITE / "chapters").glob("*.md")):
        head, *parts = re.split(r"^## (\w+)\n", path.read_text(), flags=re.M)
        title, _, intro = head.removeprefix("# ").partition("\n")
        found.append(Chapter(path.stem, title, intro, tuple(zip(parts[::2], parts[1::2], strict=True))))
    return found


def unwritten(found):
    """The names of the classes that no chapter derives step by step."""
    written = {name for chapter in found for name, _ in chapter.sections}
    return [name for name in classes() if name not in written]


def chapters():
    """All, in their order, every class in one."""
    found = chapter_files()
    others = {name: classes()[name] for name in unwritten(found)}
    return [
        replace(
            chapter,
            sections=(*chapter.sections, *((n, "") for n in others if chapter_of(others[n]) == chapter.stem)),
        )
        for chapter in found
    ]


def chapter_of(cls):
    """The chapter at whose end a class without a text stands."""
    return MORE.get(getattr(cls, "role", ""), MORE[cls.__module__.split(".")[1]])


def classes():
    """{name: class} of all layers, losses and optimizers, with what is put around them."""
    return {
        name: cls
        for package in ("layers", "losses", "optimizers")
        for name, cls in classes_in(package).items()
    }


def markdown(text):
    """A cell of text."""
    return nbformat.v4.new_markdown_cell(text.strip())


def code(text, *tags):
    """A cell that runs."""
    return nbformat.v4.new_code_cell(text.strip(), metadata={"tags": list(tags)} if tags else {})


def picture(text, cell):
    """A heading and a picture; nothing where the site is built in a hurry."""
    return [] if FAST else [markdown(f"## A picture\n\n{text}"), code(cell)]


def cells(text):
    """Text and cells in turn."""
    parts = CELL.split(text)
    return [code(part) if i % 2 else markdown(part) for i, part in enumerate(parts) if part.strip()]


def source_of(cls):
    """The lines of each method that says the formula, and of the kernels that those call."""
    homes = [(next((base for base in cls.__mro__ if name in vars(base)), None), name) for name in SHOWN]
    found = [source(vars(home)[name]) for home, name in homes if home and home.__name__ not in ROOTS]
    called = dict.fromkeys(re.findall(r"\bbe\.(\w+)\(", "\n".join(found)))
    return found, [source(getattr(Kernels, name)) for name in called if name in vars(Kernels)]


def source(thing):
    """Its lines, from the left margin."""
    return inspect.cleandoc("\n" + inspect.getsource(inspect.unwrap(thing)))


def literal(text, language="text"):
    """A block that is shown as it is."""
    return f"```{language}\n{text}\n```"


def code_part(cls):
    """The lines that say the same as the formula."""
    found, kernels = source_of(cls)
    if not found:
        return []
    where = Path(inspect.getsourcefile(cls)).relative_to(ROOT)
    text = [f"## The lines that say so\n\nFrom `{where}`:", *(literal(lines, "python") for lines in found)]
    if kernels:
        text += [
            "What they call on the backend: the reference that every backend must equal.",
            *(literal(lines, "python") for lines in kernels),
        ]
    return [markdown("\n\n".join(text))]


def layer_part(cls, layer, shape):
    """What is computed of a layer."""
    lines = [f"layer = {layer}", f"x, p = example(layer, {shape})", "y, cache = layer.forward(cx, p, x)"]
    curve = picture("", "curve(layer)") if cls.__name__ not in WHOLE_ROWS else []
    if not getattr(cls, "differentiable", True):
        return [markdown("## A number for paper"), code("\n".join([*lines, "show(x=x, y=y)"])), *curve]
    lines += ["dy = counting(y)", "dx, grads = layer.backward(cx, p, cache, dy)"]
    lines += ["show(x=x, p=p, y=y, dy=dy, dx=dx, grads=grads)"]
    made = [markdown("## A number for paper"), code("\n".join(lines))]
    made += [markdown("## Against differences"), code(f"check(layer, {shape})")]
    if issubclass(cls, Layer) and cls.__module__.rpartition(".")[2] in AUGMENTATION:
        return [*made, *picture("One digit in six steps.", "digits(layer)")]
    if shape == "(3,)" and getattr(cls, "role", "") == "activation" and curve:
        return [*made, *curve]
    if cls.__name__ == "PaddingMask":  # nothing has a gradient
        return made
    text = "The derivative of each number of the output (a row) by each of the input (a column)."
    return [*made, *picture(text, f"jacobian(layer, {shape})")]


def loss_part(cls, loss, prediction, target=None):
    """What is computed of a loss; without a target for a prediction of that shape, and numbers drawn at random."""
    if target is None:
        lines = [
            f"loss, z = {loss}, small({prediction})",
            "t = loss.random_target(np.random.default_rng(0), z.shape)",
        ]
    else:
        lines = [f"loss, z, t = {loss}, np.array({prediction}), np.array({target})"]
    lines += ["value, gradient = loss(be, z, t)", "show(z=z, t=t, loss=value, gradient=gradient)"]
    made = [markdown("## A number for paper"), code("\n".join(lines))]
    made += [markdown("## Against differences"), code("check_loss(loss, z)")]
    return [*made, *picture("", "loss_curve(loss, z, t)")]


def optimizer_part(cls, optimizer):
    """What is computed of an optimizer."""
    text = (
        "## A number for paper\n\nDown the valley $f(a, b) = (a^2 + 10 b^2) / 2$, whose gradient is $(a, 10 b)$, "
        "from $(2, 1)$:"
    )
    made = [markdown(text), code(f"optimizer = {optimizer}\ndescend(optimizer)")]
    return [*made, *picture("", "way(optimizer)")]


def row_part(cls):
    """What is computed of a class without a text: its first row in tests/cases/; nothing where it has none."""
    row = next((row for row in (*LAYERS, *LOSSES, *OPTIMIZERS) if type(part_of(row)) is cls), None)
    if row is None:
        return []
    package = "losses" if hasattr(row, "loss") else "xpnn"
    made = re.sub(r"\b([A-Z]\w*)\(", rf"{package}.\1(", short_repr(part_of(row)))
    if hasattr(row, "layer"):
        return layer_part(cls, made, str(row.shape))
    return loss_part(cls, made, row.shape) if hasattr(row, "loss") else optimizer_part(cls, made)


def part_of(row):
    """The layer, loss or optimizer of a row."""
    return getattr(row, "layer", getattr(row, "loss", row))


def proofs(name):
    """What `ci/coverage` has counted for a class; nothing for one that came after its last run."""
    row = re.search(rf"^\| \w+ \| {name} \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", COVERAGE, re.M)
    if row is None:
        return []
    backends, error, oracle, number = row.groups()
    text = f"## Proofs\n\nIts rows of `tests/cases/` run on {backends.replace(' ', ', ')}."
    text += f" Largest error of a gradient: {error}." if error.strip("- ") else ""
    text += f" Comparisons with {oracle}: {number}." if oracle.strip("- ") else ""
    return [markdown(text + " Counted by `ci/coverage`.")]


def page(name, text, cls):
    """The notebook of one class."""
    made = [markdown(f"# {name}\n\n{literal(inspect.getdoc(cls))}"), code(START, "hide-input")]
    if not text:
        note = markdown("Its derivation step by step has not been written yet.")
        return notebook([*made, note, *code_part(cls), *row_part(cls), *proofs(name)])
    computed = []
    for pattern, make in ((LOSS, loss_part), (LAYER, layer_part), (OPTIMIZER, optimizer_part)):
        if match := pattern.search(text):
            text, computed = text.replace(match[0], ""), make(cls, *match.groups())
            break
    return notebook(
        [*made, markdown("## Step by step"), *cells(text), *code_part(cls), *computed, *proofs(name)]
    )


def notebook(made):
    """The cells as a notebook, numbered, so that equal pages are equal files."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
    for i, cell in enumerate(book.cells):
        cell["id"] = f"cell-{i}"
    return book


def museum():
    """A page of the bug museum: the wrong lines, and what comes of them."""
    start = code("from worked import *\nimport bug_museum", "hide-input")
    made = [markdown((SITE / "museum.md").read_text()), start]
    for i, exhibit in enumerate(bug_museum.LAYERS):
        net = f"[xpnn.Dense(3), bug_museum.LAYERS[{i}].wrong, xpnn.Dense(2)]"
        made += [exhibited(type(exhibit.wrong)), code(f"xpnn.gradcheck({net}, (4,))")]
    for i, exhibit in enumerate(bug_museum.LOSSES):
        wrong = f"xpnn.gradcheck([xpnn.Dense(3)], (4,), loss=bug_museum.LOSSES[{i}].wrong)"
        made += [exhibited(type(exhibit.wrong)), code(wrong)]
    for name, cell in UNSEEN.items():
        made += [exhibited(getattr(bug_museum, name)), code(cell)]
    return notebook(made)


def exhibited(cls):
    """What is wrong, and the lines that are."""
    return markdown(f"## {cls.__name__}\n\n{inspect.getdoc(cls)}\n\n{literal(source(cls), 'python')}")


def books():
    """{path below pages/: notebook, not yet run}."""
    known, made = classes(), {}
    for chapter in chapters():
        for name, text in chapter.sections:
            if name in known:
                made[f"derivations/{name}.ipynb"] = page(name, text, known[name])
            else:
                made[f"derivations/{name}.ipynb"] = notebook(
                    [markdown(f"# {name}"), code(START, "hide-input"), *cells(text)]
                )
    made["museum.ipynb"] = museum()
    for path in sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")):
        made[f"notebooks/{path.name}"] = nbformat.read(path, 4)
    return made


def contents():
    """{path below pages/: text} of the pages without cells: a chapter's contents, and the reference."""
    made = {}
    for chapter in chapters():
        made[f"derivations/{chapter.stem}.md"] = listing(
            chapter.title, chapter.intro, [name for name, _ in chapter.sections]
        )
    for package, title in PACKAGES.items():
        module = import_module(package)
        names = getattr(module, "__all__", None) or [n for n in vars(module) if n.endswith("Error")]
        entries = [entry for name in names if (entry := documented(package, getattr(module, name), name))]
        made[f"reference/{package}.md"] = f"# {title}\n\n```{{eval-rst}}\n" + "\n".join(entries) + "\n```\n"
    made["reference/index.md"] = listing(
        "Reference", "From the docstrings: formula, shapes, units, what is raised, source.", PACKAGES
    )
    made["recipes.md"] = recipes()
    books = sorted(path.stem for path in (ROOT / "examples" / "notebooks").glob("*.ipynb"))
    made["notebooks/index.md"] = listing(
        "Notebooks", "Made from the scripts in `examples/notebooks/`, and run for this page.", books
    )
    return made


def recipes():
    """The settings that `xpnn train` takes where none are given, by dataset, and what a model changes in them."""
    shown = [field.name for field in fields(Recipe) if field.name not in ("augmentation", "network")]
    rows = [(name, *(short_repr(getattr(recipe, key)) for key in shown)) for name, recipe in RECIPES.items()]
    changes = [
        (name, ", ".join(f"{key} {short_repr(value)}" for key, value in given.items()))
        for name, given in OVERRIDES.items()
    ]
    text = "What `xpnn train` takes where no setting is given; of few samples the batches are smaller."
    parts = ["# Recipes", text, table(("dataset", *shown), rows), "What another model than the mlp changes:"]
    return "\n\n".join([*parts, table(("model", "changes"), changes)]) + "\n"


def table(head, rows):
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listing(title, intro, names):
    """A page that leads to others."""
    rows = "\n".join(names)
    return f"# {title}\n\n{intro.strip()}\n\n```{{toctree}}\n:maxdepth: 1\n\n{rows}\n```\n"


def documented(package, thing, name):
    """The directive for a class or a function; None for what stands on another page, and for constants."""
    others = (other for other in PACKAGES if other != "xpnn")
    if package == "xpnn" and any(name in getattr(import_module(other), "__all__", ()) for other in others):
        return None
    if not isinstance(thing, type):
        return f".. autofunction:: {package}.{name}\n" if callable(thing) else None
    plain = name in classes() or package == "xpnn.metrics"  # whose methods are the formula, or those of all
    members = "" if plain else f"   :members: {MEMBERS.get(package, '')}\n"
    return f".. autoclass:: {package}.{name}\n{members}"


def write():
    """Every page, run; in a hurry without the notebooks, which the tests run."""
    made = books()
    run_all({name: book for name, book in made.items() if not (FAST and name.startswith("notebooks/"))})
    texts = {name: nbformat.writes(book) for name, book in made.items()} | contents()
    shutil.rmtree(MADE, ignore_errors=True)
    for name, text in texts.items():
        (MADE / name).parent.mkdir(parents=True, exist_ok=True)
        (MADE / name).write_text(text)
    if missing := unwritten(chapter_files()):
        print(f"not derived step by step: {', '.join(missing)} (a section '## Name' in {SITE / 'chapters'})")


if __name__ == "__main__":
    write()

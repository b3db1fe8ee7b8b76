"""The numbers that users meet without being asked: sizes and limits, options, recipes, and ranges of settings.

`python ci/names.py` writes them into docs/limits.md, options.md and ranges.md; a test holds the code to these pages, so
that nothing changes unnoticed. Read the difference before you commit it.
"""

import ast
import dataclasses
import importlib
from pathlib import Path

import click

from xpnn.cli import COMMANDS, MODULES
from xpnn.models import MODELS
from xpnn.recipes import RECIPES, recipe_for

TOP = Path(__file__).parents[1]
LIMITS, OPTIONS, RANGES = (TOP / "docs" / f"{name}.md" for name in ("limits", "options", "ranges"))
LIMITS_HEAD = """# Sizes and limits

What is refused beyond a number, cut into pieces of it, or tried so often or so long, except for what only decides how
fast the backends are. Written by `python ci/names.py`; a test holds the code to this page.

| number | value | what it is |
|---|---|---|
"""
OPTIONS_HEAD = """# Options

Every option of every command: what it takes, what it is when left out, and the variable that sets it. Then what
`xpnn train` uses for each dataset and model. Written by `python ci/names.py`; a test holds the code to this page.

"""
PLAIN = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop,
         ast.expr_context)  # fmt: skip
WRAPPERS = {"F", "map", "range", "Constant", "Normal", "VarianceScaling"}
"""What may be called on the numbers."""
SPEED_ONLY = {"backends", "kernels", "fusion"}
"""Packages whose sizes of blocks and the like change no result."""


def cell(text):
    return str(text).replace("|", r"\|").replace("\n", " ")


def row(*cells):
    return f"| {' | '.join(map(cell, cells))} |\n"


def is_number(node):
    """Whether a value is written out in numbers."""
    parts = [one for one in ast.walk(node) if not isinstance(one, PLAIN)]
    wrapped = all(isinstance(one, ast.Call) or getattr(one, "id", "") in WRAPPERS for one in parts)
    numbers = [one for one in ast.walk(node) if isinstance(one, ast.Constant)]
    return wrapped and any(type(one.value) in (int, float) for one in numbers)


def named_numbers():
    """{module.NAME: (value as it is written, its docstring)} of those that have one."""
    found = {}
    for path in sorted((TOP / "xpnn").rglob("*.py")):
        if path.relative_to(TOP / "xpnn").parts[0] in SPEED_ONLY:
            continue
        body = ast.parse(path.read_text()).body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value and is_number(node.value):
                target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
                said = (
                    ast.get_docstring(ast.Module([following], [])) if isinstance(following, ast.Expr) else ""
                )
                if not said:
                    continue
                module = ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")
                found[f"{module}: {target.strip('()')}"] = ast.unparse(node.value), said
    return found


def limits_page():
    return LIMITS_HEAD + "".join(
        row(f"`{name}`", f"`{value}`", said) for name, (value, said) in named_numbers().items()
    )


def commands():
    """{name: the command}."""
    return {name: importlib.import_module(f"xpnn.cli.{MODULES.get(name, name)}").command for name in COMMANDS}


def kind(option):
    """What an option takes: a flag, one of some words, a range of numbers, or a text."""
    several = " ..." if getattr(option, "multiple", False) or option.nargs != 1 else ""
    if getattr(option, "is_flag", False):
        return "flag"
    if choices := getattr(option.type, "choices", ()):
        return ", ".join(map(str, choices)) + several
    if isinstance(option.type, click.IntRange | click.FloatRange):
        return span(option.type) + several
    return option.type.name + several


def span(numbers):
    """`whole number from 1`, `number from 0 to below 1`, `number above 0`."""
    least, most = "above" if numbers.min_open else "from", "to below" if numbers.max_open else "to"
    low = "" if numbers.min is None else f" {least} {numbers.min}"
    high = "" if numbers.max is None else f" {most} {numbers.max}"
    return f"{'whole ' * isinstance(numbers, click.IntRange)}number{low}{high}"


def default(option):
    value = None if type(option.default).__name__ == "Sentinel" else option.default
    return "" if value in (None, False, ()) or callable(value) else f"`{value}`"


def options_page():
    lines = [OPTIONS_HEAD]
    for name, command in commands().items():
        lines += [
            f"## xpnn {name}\n\n",
            "| option | takes | default | variable | meaning |\n|---|---|---|---|---|\n",
        ]
        for one in command.params:
            words = (
                one.opts + one.secondary_opts if isinstance(one, click.Option) else [one.human_readable_name]
            )
            variable = f"`{one.envvar}`" if one.envvar else ""
            said = " ".join((getattr(one, "help", "") or "").split())
            lines.append(row(f"`{' '.join(words)}`", kind(one), default(one), variable, said))
        lines.append("\n")
    return "".join(lines) + recipes()


def recipes():
    """What is trained with, of each dataset; and what of it a model and `--augment` change."""
    lines = ["## Recipes\n\n", "| dataset | model | settings |\n|---|---|---|\n"]
    for dataset in RECIPES:
        plain = dataclasses.asdict(recipe_for(dataset, "mlp"))
        lines.append(row(dataset, "mlp", shown(plain)))
        for model in MODELS:
            for augment in (False, True):
                own = recipe_for(dataset, model, augment)
                if other := {
                    key: getattr(own, key) for key, value in plain.items() if getattr(own, key) != value
                }:
                    lines.append(row(dataset, model + " --augment" * augment, shown(other)))
    return "".join(lines)


def shown(settings):
    return ", ".join(f"`{key}={value}`" for key, value in settings.items())


PROBES = (-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3)
"""What each setting that is a number is tried with: both sides of the bounds that settings have."""
RANGES_HEAD = """# Ranges

Which numbers a setting takes and which it refuses, of every class that is described by its settings: tried with
-2, -1, -0.5, 0, 0.5, 1, 1.5, 2 and 3, each beside settings that fit. Written by `python ci/names.py`; a test holds the
code to this page.

| setting | takes | refuses |
|---|---|---|
"""


def described():
    """{class: an object of it}, of the rows that prove the public classes."""
    from cases import FULL_BATCH, INITIALIZERS, LAYERS, LOSSES, METRICS, OPTIMIZERS, SCHEDULES

    rows = [*(case.layer for case in LAYERS), *(case.loss for case in LOSSES), *OPTIMIZERS, *FULL_BATCH, *SCHEDULES,
            *INITIALIZERS, *METRICS]  # fmt: skip
    found = {}
    for row in rows:
        found.setdefault(type(row).__name__, row)
    return found


def takes(thing, name, value):
    """Whether a setting may be that number. Any other error than the one for settings is none of theirs."""
    from xpnn.errors import XpnnError

    try:
        dataclasses.replace(thing, **{name: value})
    except XpnnError:
        return False
    return True


def ranges():
    """{Class.setting: (numbers it takes, numbers it refuses)}."""
    found = {}
    for kind, thing in sorted(described().items()):
        for one in dataclasses.fields(thing):
            if one.init and type(getattr(thing, one.name)) in (int, float):
                good = [value for value in PROBES if takes(thing, one.name, value)]
                found[f"{kind}.{one.name}"] = good, [value for value in PROBES if value not in good]
    return found


def ranges_page():
    return RANGES_HEAD + "".join(
        row(f"`{name}`", *(", ".join(map(str, side)) for side in both)) for name, both in ranges().items()
    )

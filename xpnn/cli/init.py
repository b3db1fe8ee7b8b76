"""`xpnn init`: a file of settings to edit, for `xpnn train --config`."""

import textwrap
from typing import Any

import click

from xpnn.cli.command import Command
from xpnn.cli.config import key_of, resolved, settings, toml_line
from xpnn.cli.options import Name, json_option
from xpnn.cli.output import emit, write
from xpnn.data import DATASETS
from xpnn.models import MODELS

HEAD = """# Settings of xpnn train, read by: xpnn train --config FILE
# A flag (--lr) overrules a variable (XPNN_LR), the variable this file, and the
# file the default. What stands here are the defaults: take the # before a name
# off to set it. xpnn train --show-config shows what holds, and from where."""


@click.command(cls=Command, examples=["xpnn init spiral > spiral.toml"])
@click.argument("dataset", type=Name("dataset", DATASETS), default="mnist")
@click.option("--model", type=Name("model", MODELS), default="mlp", help="Architecture.  [default: mlp]")
@json_option
def command(dataset: str, model: str, as_json: bool) -> None:
    """Print a file of settings to edit.

    TOML with every setting of xpnn train, what it means, and its default for that dataset and model.
    """
    defaults = template(dataset, model)
    if as_json:
        emit({"settings": {name: value for name, value, _ in defaults}})
        return
    write(HEAD)
    for name, value, help_text in defaults:
        write("\n" + textwrap.fill(help_text, 80, initial_indent="# ", subsequent_indent="# "))
        mark = "" if name in ("dataset", "model") else "#"
        write(f"{mark}{toml_line(name, '' if value is None else value)}")


def template(dataset: str, model: str) -> list[tuple[str, Any, str]]:
    """Every setting of `xpnn train`, its default, and its help. A default of None: unset unless given."""
    from xpnn.cli.train import command as train

    with click.Context(train) as ctx:
        params = {str(param.name): default(param, ctx) for param in settings(train)}
        values = resolved(params | {"dataset": dataset, "model": model})
        return [
            (key_of(param), values[str(param.name)], getattr(param, "help", None) or "What to train on.")
            for param in settings(train)
        ]


def default(param: click.Parameter, ctx: click.Context) -> Any:
    """Return the default; None where click has a marker for none."""
    if getattr(param, "multiple", False):
        return ()
    value = param.get_default(ctx)
    return value if isinstance(value, str | int | float) else None

"""Where settings of `xpnn train` come from: flag, then environment (XPNN_LR), then TOML file, then default."""

import difflib
import os
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xpnn.cli.command import Command, plain
from xpnn.cli.options import FilePath
from xpnn.cli.output import echo, emit, status
from xpnn.cli.state import state
from xpnn.errors import FileError, UsageError, XpnnError, did_you_mean, first_line
from xpnn.reading import read_bounded

OWN = {"help", "path", "config", "resume", "show_config", "as_json", "quiet", "verbose", "debug"}
"""Flags that are no settings."""
MOST = 1 << 18
"""Bytes of a file of settings."""
DOTS = 1000
"""In one line: Python's reader takes memory and time with the square of them."""
ELSEWHERE = {
    "data": "XPNN_DATA is the folder in which datasets are searched for; --data is one dataset's own"
}


class Configured(Command):
    """A command whose options may also be set in the environment and in a file."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for param in settings(self):
            if param.envvar is None and param.name not in ELSEWHERE:
                param.envvar = variable(param)
        self.params[-3:-3] = [  # before those that every command has
            click.Option(
                ["--config"], type=FilePath(), metavar="FILE", is_eager=True,
                expose_value=False, envvar="XPNN_CONFIG", callback=_read, help="Settings from a TOML file.",
            ),
            click.Option(
                ["--show-config"], is_flag=True,
                help="Print every setting and where it comes from; train nothing.",
            ),
        ]  # fmt: skip

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line. Raises UsageError, naming the variable, for a value that does not fit."""
        for param in settings(self):
            if isinstance(param.envvar, str) and (text := os.environ.get(param.envvar)):
                fit(param, param.value_from_envvar(ctx), ctx, f"{param.envvar}={text}")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or with --show-config print its settings."""
        if ctx.params.pop("show_config"):
            return show(ctx)
        if state().verbose:
            for name, entry in table(ctx).items():
                status(row(name, **entry))
        return super().invoke(ctx)


def settings(command: click.Command) -> list[click.Parameter]:
    """Return the parameters that are settings."""
    return [param for param in command.params if param.name not in OWN]


def key_of(param: click.Parameter) -> str:
    """Return a setting's name in the file: `batch_size` for --batch-size."""
    return param.opts[0].lstrip("-").replace("-", "_")


def variable(param: click.Parameter) -> str:
    """Return a setting's environment variable: `XPNN_BATCH_SIZE` for --batch-size."""
    return f"XPNN_{key_of(param)}".upper()


def fit(param: click.Parameter, text: Any, ctx: click.Context, where: str) -> Any:
    """Return the value of `text`. Raises UsageError, beginning with `where`."""
    try:
        return param.type_cast_value(ctx, text)
    except (click.BadParameter, XpnnError) as error:
        what = error.what if isinstance(error, XpnnError) else plain(error.message.rstrip("."))
        fix = error.fix if isinstance(error, XpnnError) else ""
        raise UsageError(f"{where}: {what.rstrip('.')}", fix=fix) from error


def _read(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    """Make the file's values the command's defaults (the callback of --config)."""
    if path is None or ctx.resilient_parsing:
        return
    table, lines = read_toml(path)
    known = {key_of(p): p for p in settings(ctx.command)}
    ctx.default_map = dict(ctx.default_map or {})
    for key, value in table.items():
        where = f"{path}, line {lines.get(key, 1)}"
        if key not in known:
            close = difflib.get_close_matches(key.replace("-", "_"), known, n=1, cutoff=0.5)
            fix = (
                f"did you mean {close[0]!r}? xpnn init lists them all" if close else did_you_mean(key, known)
            )
            raise UsageError(f"{where}: unknown setting {key!r}", fix=fix)
        if value == "":  # as an empty variable: not set
            continue
        try:
            text = typed(known[key], value)
        except ValueError as error:
            raise UsageError(f"{where}: {key} is a number of thousands of digits") from error
        fit(known[key], text, ctx, f"{where}: {key} = {value!r}")
        ctx.default_map[str(known[key].name)] = text
        ctx.meta[str(known[key].name)] = where


def typed(param: click.Parameter, value: Any) -> Any:
    """Return a value of the file as it would be typed, so that the flag's checks hold: no 3.7 epochs.

    Raises ValueError for a whole number of more digits than Python writes.
    """
    if getattr(param, "multiple", False):
        return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return str(value)


def read_toml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the table, and the line of each key. Raises FileError, and UsageError unless it is TOML."""
    data = _standard_input() if str(path) == "-" else read_bounded(path, MOST)
    try:
        text = data.decode().replace("\r\n", "\n")
        if any(line.count(".") > DOTS for line in text.split("\n")):
            raise ValueError(f"a line has more than {DOTS:,} dots")
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also what is no UTF-8
        fix = "xpnn init prints one to begin with"
        raise UsageError(f"{path} is no TOML file", why=first_line(error), fix=fix) from error
    found = re.finditer(r"""^[ \t]*\[*[ \t]*["']?([\w-]+)["']?[ \t]*[].=]""", text, re.MULTILINE)
    lines: dict[str, int] = {}
    for match in found:
        lines.setdefault(match[1], text.count("\n", 0, match.start(1)) + 1)
    return table, lines


def _standard_input() -> bytes:
    """Read standard input: `--config -`. Raises FileError for more than a file may hold."""
    data = sys.stdin.buffer.read(MOST + 1)
    if len(data) > MOST:
        raise FileError("cannot read standard input", why=f"it holds more than {MOST:,} bytes")
    return data


def toml_line(key: str, value: Any) -> str:
    """Return a line such as `hidden = [64, 64]`, of a number, string, boolean, or list of them."""
    return f"{key} = {toml_value(value)}"


def toml_value(value: Any) -> str:
    """Return the value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, int | float):
        return repr(value)
    escaped = "".join(c if c >= " " and c not in '\x7f"\\' else f"\\u{ord(c):04x}" for c in str(value))
    return f'"{escaped}"'


def resolved(params: dict[str, Any]) -> dict[str, Any]:
    """Return every setting's value: as given, else the recipe's, else the optimizer's."""
    from dataclasses import fields

    from xpnn.cli.transfer import ARCHITECTURE, find_source
    from xpnn.recipes import Recipe, recipe_for

    names = {field.name for field in fields(Recipe)}
    given = {name: value for name, value in params.items() if name in names}
    saved, model = find_source(params["source"], params["replace_head"], params["model"], given)
    recipe = recipe_for(params["dataset"], model, params["augment"]).replace(**given)
    optimizer = recipe.make_optimizer()
    found = params | {"model": model}
    names -= set(ARCHITECTURE if saved else ())  # they are as in that run
    for name in names & params.keys():
        value = getattr(recipe, name)
        found[name] = getattr(optimizer, name, None) if value is None else value
    return found


def source(ctx: click.Context, param: click.Parameter) -> str:
    """Return where a value comes from: `--lr`, `XPNN_LR`, `best.toml, line 3`, or `default`."""
    name = str(param.name)
    where = ctx.get_parameter_source(name)
    if where is ParameterSource.COMMANDLINE:
        names = param.secondary_opts if ctx.params[name] is False else param.opts
        return names[0] if isinstance(param, click.Option) else "command line"
    if where is ParameterSource.ENVIRONMENT:
        return str(param.envvar)
    if where is ParameterSource.DEFAULT_MAP:
        return str(ctx.meta[name])
    return "default"


def table(ctx: click.Context) -> dict[str, dict[str, Any]]:
    """Return {setting: {"value": ..., "source": ...}}."""
    values = resolved(ctx.params)
    return {
        key_of(param): {"value": values[str(param.name)], "source": source(ctx, param)}
        for param in settings(ctx.command)
    }


def show(ctx: click.Context) -> None:
    """Print the settings for --show-config."""
    found = table(ctx)
    if ctx.params["as_json"]:
        emit({"settings": found}, default=str)
        return
    for name, entry in found.items():
        echo(row(name, **entry))


def row(name: str, value: Any, source: str) -> str:
    """Return one line: setting, value and source."""
    shown = "-" if value is None else toml_value(value)
    return f"{name:<17} {shown:<22} {source}"

"""What every command has: --quiet, -v and --debug, and an example at the end of its help."""

import inspect
import platform
import re
import time
from collections.abc import Sequence
from typing import Any

import click

from xpnn import __version__
from xpnn.cli.output import detail
from xpnn.cli.state import State

LONG = 50
"""Characters of a list of names beyond which it stands in the text of the help, not beside the flag."""


def _remember(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Store a flag that may stand before or after the command."""
    found = ctx.find_root().ensure_object(State)
    setattr(found, str(param.name), getattr(found, str(param.name)) or value)


def shared_options() -> list[click.Parameter]:
    """Return --quiet, -v and --debug, for the group and for each command."""
    flag: dict[str, Any] = {"is_flag": True, "expose_value": False, "is_eager": True, "callback": _remember}
    return [
        click.Option(["-q", "--quiet"], help="Print errors only; the exit code says the rest.", **flag),
        click.Option(["-v", "--verbose"], help="Print more about what is done.", **flag),
        click.Option(["--debug"], envvar="XPNN_DEBUG", help="Show the traceback of an error.", **flag),
    ]


class Command(click.Command):
    """A command with the shared options. `examples`: command lines, of which its help shows all."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = tuple(examples)
        self.help = inspect.cleandoc(self.help or "")
        self.params += shared_options()
        for param in self.params:
            names = getattr(param.type, "choices", ())
            if len("|".join(names)) > LONG:
                listed = ", ".join(names)
                if isinstance(param, click.Option):
                    param.help = f"{param.help or ''} One of {listed}.".strip()
                else:
                    self.help = f"{self.help}\n\n{str(param.name).upper()} is one of {listed}."

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        if self.examples:
            with formatter.section("Example" if len(self.examples) == 1 else "Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; with -v, print the versions before it and the seconds after it."""
        began = time.perf_counter()
        detail(f"xpnn {__version__} · Python {platform.python_version()} · {platform.platform(terse=True)}")
        result = super().invoke(ctx)
        detail(f"{ctx.info_name} took {time.perf_counter() - began:.2f} s")
        return result


def plain(message: str) -> str:
    """Return click's message on one line, without its names of types."""
    message = re.sub(r"is not a valid integer( range)?$", "is no whole number", message)
    message = re.sub(r"is not a valid float( range)?$", "is no number", message)
    return re.sub(r":?\s*\n\s*", ": ", message, count=1).replace("\n\t", " ")

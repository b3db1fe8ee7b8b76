"""The command line: `xpnn COMMAND ...`. One file per command, imported when it is asked for.

Nothing but click and xpnn itself is imported here. Results go to stdout, everything else to stderr.
"""

import contextlib
import difflib
import functools
import importlib
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from xpnn import __version__
from xpnn.cli import process_group
from xpnn.cli.command import plain, shared_options
from xpnn.cli.program import as_typed
from xpnn.cli.state import State
from xpnn.errors import BackendError, FileError, UsageError, XpnnError, did_you_mean, first_line
from xpnn.printing import as_flags, one_line, printable
from xpnn.system import STOPPING

COMMANDS = {
    "train": "Train a model and save its best epoch.",
    "evaluate": "Test a trained model.",
    "predict": "Predict pictures, tables or arrays with a trained model.",
    "export": "Write a trained model to a file that runs without xpnn.",
    "import": "Turn a network in an ONNX file into a model file.",
    "plot": "Draw a run.",
    "runs": "List runs, or compare some of them.",
    "serve": "Serve a model's page, its JSON endpoint, and runs as they train.",
    "playground": "Write a page on which a small network trains on points in the plane.",
    "tune": "Search for better settings.",
    "init": "Print a file of settings to edit.",
    "backends": "Show which array libraries work here.",
    "gradcheck": "Check a model's gradients.",
    "completion": "Print a script that completes commands in your shell.",
}
"""And the first line of each one's help, so that `xpnn --help` need not import them."""
OTHERS = {
    "version": "xpnn --version",
    "help": "xpnn --help, or of one command: xpnn train --help",
    "test": "xpnn evaluate",
    "fit": "xpnn train",
    "list": "xpnn runs",
}
"""What other programs call a command, and what it is here."""
MODULES = {"runs": "list_runs"}
"""Where the module of a command is not called as the command: `xpnn.cli.runs` is the folders themselves."""
SHARED = ("train",)
"""Commands that several processes run together."""
BUG, IO, INTERRUPTED, TERMINATED = 1, 7, 130, 143
MOST = 2000
"""Characters of one line of an error."""


class Stopped(BaseException):
    """The command was stopped from outside. word: what is printed; "" prints nothing.

    agreed: whether all processes that share the command stop, and know it.
    """

    def __init__(self, code: int, word: str = "") -> None:
        super().__init__()
        self.code, self.word, self.detail, self.agreed = code, word, "", False


class Commands(click.Group):
    """The group; each command is `command` in the module of its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command. Raises UsageError for an unknown name."""
        if cmd_name not in COMMANDS:
            if ctx.resilient_parsing:  # a shell completes what is not a command yet
                return None
            fix = OTHERS.get(cmd_name) or did_you_mean(cmd_name, COMMANDS)
            raise UsageError(f"unknown command {cmd_name!r}", fix=fix)
        process_group.shared = cmd_name in SHARED
        command: click.Command = importlib.import_module(
            f"xpnn.cli.{MODULES.get(cmd_name, cmd_name)}"
        ).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands and what they do."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """click would print an empty line for Ctrl-C, and end with 1 when the reader of the output has gone.

        What is still in the buffer is written here, where an error has an answer, and not at the interpreter's end.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except KeyboardInterrupt as stop:
            raise interrupted() from stop
        except BrokenPipeError as error:
            raise Stopped(IO) from error


def interrupted() -> Stopped:
    """Return what ends the command after Ctrl-C."""
    return Stopped(INTERRUPTED, "interrupted")


def by_signal(signum: int) -> Stopped:
    """Return what ends the command after that signal, with the exit code of shells: 128 plus its number."""
    words: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    return Stopped(128 + signum, words.get(signum) or f"stopped by {signal.Signals(signum).name}")


def _stop(signum: int, frame: Any) -> None:
    """Raise a signal as an exception, so that open files are closed."""
    raise by_signal(signum)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 bug, 2 usage, 3 backend, 4 data, 5 model file, 6 diverged, 7 files, 8 target missed.",
)
@click.version_option(__version__, message="xpnn %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Neural networks with hand-written forward and backward passes, on any array library.

    Begin with: xpnn train
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


cli.params += shared_options()


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program, and end the process with its exit code."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets ? for ·, not an exception
    for signum in STOPPING:
        if (
            signum != signal.SIGINT and signal.getsignal(signum) is not signal.SIG_IGN
        ):  # nohup has SIGHUP ignored
            signal.signal(signum, _stop)
    warnings.showwarning = note
    sys.exit(run(args))


def open_closed_streams() -> None:
    """Open the null device for closed standard streams: the next file opened would get their number."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115


def note(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning in one line, without its place in the code."""
    click.echo(f"xpnn: note: {one_line(message, 1000)}", err=True)


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` (default: that of the process); print errors; return the exit code."""
    state = State()
    try:
        code = cli.main(args=args, prog_name="xpnn", obj=state, standalone_mode=False)
        return code if isinstance(code, int) else 0  # --help and --version end by an exit code
    except (click.Abort, KeyboardInterrupt):
        return process_group.stop_all(INTERRUPTED, False, lambda: stopped(interrupted()))
    except Stopped as stop:
        return process_group.stop_all(stop.code, stop.agreed, functools.partial(stopped, stop))
    except Exception as error:
        if state.debug:
            traceback.print_exc()
        if isinstance(error, OSError):
            drop_output()
        return process_group.end_all(in_our_words(error), report)
    finally:
        process_group.group, process_group.shared, process_group.preparing = None, False, False


def stopped(stop: Stopped) -> int:
    """Print why the command stopped, except when the reader of a pipe has gone."""
    if stop.code == IO:
        drop_output()
    elif stop.word:
        with contextlib.suppress(OSError):  # the terminal is gone
            click.echo(
                f"xpnn: {stop.word}" + (f": {printable(stop.detail)}" if stop.detail else ""), err=True
            )
    return stop.code


def drop_output() -> None:
    """Point stdout at the null device: flushing what cannot be written would fail at the interpreter's end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(error: XpnnError) -> int:
    """Print the error, and return its exit code."""
    colour = False if os.environ.get("NO_COLOR") else None  # None: colours on a terminal only
    parts = (
        error.what,
        f"  why: {error.why}" if error.why else "",
        f"  fix: {as_typed(as_flags(error.fix))}" if error.fix else "",
    )
    with contextlib.suppress(OSError):  # stderr is closed; the exit code stands
        click.secho("xpnn: error:", fg="red", bold=True, nl=False, err=True, color=colour)
        click.echo(" " + "\n".join(one_line(part, MOST) for part in parts if part), err=True)
    return error.exit_code


def in_our_words(error: Exception) -> XpnnError:
    """Return any exception as an XpnnError: what, why, fix."""
    if isinstance(error, XpnnError):
        return error
    if isinstance(error, click.ClickException):
        return usage(error)
    if isinstance(error, OSError):
        return FileError(f"{error.filename or 'input or output'}: {error.strerror or error}")
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return FileError("a path with a null character", why="no file can be called so")
    if isinstance(error, MemoryError):
        return BackendError(
            "out of memory", why=first_line(error), fix="less data, a smaller batch or network"
        )
    if isinstance(error, UnicodeEncodeError):
        return UsageError(f"a name that is no text: {error.object[:80]!r}", fix="rename it")
    what = f"unexpected {type(error).__name__}: {first_line(error)}"
    return XpnnError(
        what,
        why=f"this is a bug in xpnn {__version__}",
        fix="please report it, with the output under --debug",
    )


def usage(error: click.ClickException) -> UsageError:
    """Return click's error about the command line as a UsageError, with the closest option or the help page."""
    ctx = getattr(error, "ctx", None)
    fix = f"{ctx.command_path} --help" if ctx is not None else "xpnn --help"
    if isinstance(error, click.NoSuchOption) and ctx is not None:
        if error.option_name == "--run" and any(p.name == "run" for p in ctx.command.get_params(ctx)):
            return UsageError("unknown option --run", fix=f"the run needs no flag: {ctx.command_path} RUN")
        options = [name for p in ctx.command.get_params(ctx) for name in p.opts if name.startswith("--")]
        close = difflib.get_close_matches(error.option_name, options, n=1, cutoff=0.5)
        guess = f"did you mean {close[0]}? " if close else ""
        return UsageError(f"unknown option {error.option_name}", fix=f"{guess}{fix} shows them all")
    if isinstance(error, click.BadParameter) and error.param is not None and error.message:
        return UsageError(f"{error.param.opts[0]}: {plain(error.message.rstrip('.'))}", fix=fix)
    return UsageError(plain(error.format_message().rstrip(".")), fix=fix)

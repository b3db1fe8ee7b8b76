"""Options that several commands share, and what their values become."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xpnn.backends import BACKENDS, PRECISIONS, Backend, backend_names, get_backend
from xpnn.backends.auto import check, choose
from xpnn.backends.cpu.blas import blas, count_threads
from xpnn.cli.command import LONG
from xpnn.cli.output import status
from xpnn.cli.program import program
from xpnn.data.kind import kind_of
from xpnn.errors import FileError, UsageError, did_you_mean
from xpnn.system import user_path

if TYPE_CHECKING:
    Choice = click.Choice[str]
    Paths = click.Path[Any]
else:
    Choice, Paths = click.Choice, click.Path


class Name(Choice):
    """One of a table's names; an error suggests the closest one. `hints`: answers to names that many will try."""

    def __init__(self, what: str, known: Any, hints: dict[str, str] | None = None) -> None:
        super().__init__(tuple(known))
        self.what, self.hints = what, hints or {}

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """Return the names if they are short enough to stand beside the flag; else the help lists them."""
        if len("|".join(self.choices)) <= LONG:
            return super().get_metavar(param, ctx)
        return f"[{self.what.upper()}]" if isinstance(param, click.Argument) else self.what.upper()

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises UsageError for an unknown one."""
        if value not in self.choices:
            fix = self.hints.get(value) or did_you_mean(str(value), self.choices)
            raise UsageError(f"unknown {self.what} {value!r}", fix=fix)
        return str(value)


class DatasetName(Name):
    """The name of a dataset. For the path of a file or folder the error says which dataset reads it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises UsageError for an unknown one."""
        path = Path(str(value))
        if value not in self.choices and os.path.exists(path):
            kind, quoted = kind_of(path), shlex.quote(str(value))
            raise UsageError(
                f"{str(value)!r} is a path, not the name of a dataset",
                fix=f"xpnn train {kind} {quoted}"
                if kind
                else f"say what it holds: xpnn train table {quoted}, or images, idx, npz, hdf5, zarr in place of table",
            )
        if value not in self.choices and (path.suffix or len(path.parts) > 1):
            raise FileError(
                f"no file or folder {str(value)!r}",
                why="nor is it the name of a dataset",
                fix="check the path",
            )
        return super().convert(value, param, ctx)


def dataset_of(dataset: str, data: Path | None) -> str:
    """Return the dataset that --data holds if no name is given, with a line that says so; else the name."""
    source = click.get_current_context().get_parameter_source("dataset")
    kind = kind_of(data) if data is not None and source is ParameterSource.DEFAULT else None
    if kind is None or kind == "idx":
        return dataset
    status(f"{data} is taken as {kind}: the same as {program()} train {kind} {shlex.quote(str(data))}")
    return kind


class BackendName(Name):
    """A backend of xpnn, or one of another package, which is looked for only when it is asked for."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name. Raises UsageError for an unknown one."""
        if value not in self.choices and value in backend_names():
            return str(value)
        return super().convert(value, param, ctx)


class FilePath(Paths):
    """A file or folder. An empty path, which would mean the working folder, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Raises BadParameter for an empty one."""
        if not str(value):
            self.fail("an empty name; for the working folder write .", param, ctx)
        return user_path(super().convert(value, param, ctx))  # --data=~/x: no shell looks behind the =


class ThreadCount(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """`2`: that many threads; `adapt`: as many as are fastest at the moment."""

    name = "threads"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the number, or "adapt". Raises BadParameter for anything else."""
        if value == "adapt":
            return "adapt"
        if not str(value).isdecimal() or not 1 <= int(value) <= 4096:
            self.fail(f"{value!r}: wanted a whole number of at least 1, or adapt", param, ctx)
        return int(value)


class Widths(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """`256,128`: the widths of the hidden layers; `none` for no hidden layer."""

    name = "widths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the widths. Raises BadParameter for anything but whole numbers of at least 1."""
        if isinstance(value, tuple) or value == "none":
            return () if value == "none" else value
        parts = value.split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r} is no list of whole numbers such as 256,128 (or none)", param, ctx)
        return tuple(map(int, parts))


TASKS = ("classification", "regression")


class Size(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """`64` or `48x64`: height and width of pictures."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (height, width). Raises BadParameter for anything but one or two whole numbers from 1 to 32768."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().replace("×", "x").split("x")
        if len(parts) > 2 or not all(part.strip().isdecimal() and 0 < int(part) <= 1 << 15 for part in parts):
            self.fail(f"{value!r} is no size such as 64 or 48x64 (height x width)", param, ctx)
        return int(parts[0]), int(parts[-1])


HINTS = dict.fromkeys(("cuda", "gpu"), "did you mean --backend cupy? auto takes the GPU where there is one")

backend_option = click.option(
    "--backend",
    type=BackendName("backend", ("auto", *BACKENDS), HINTS),
    default="auto",
    envvar="XPNN_BACKEND",
    show_default=True,
    show_choices=True,
    help="Array library; auto is CuPy where a GPU works, else NumPy.",
)
device_option = click.option(
    "--device",
    envvar="XPNN_DEVICE",
    metavar="DEVICE",
    help="cpu, cuda, cuda:N; of torch mps, xpu; of jax gpu, tpu  [default: the backend's own]",
)
precision_option = click.option(
    "--precision",
    type=Name("precision", PRECISIONS),
    default="fp32",
    show_default=True,
    help="In which CuPy multiplies float32 matrices.",
)


def _take_path(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Make PATH the default of --data."""
    if value is not None:
        ctx.default_map = {**(ctx.default_map or {}), "data": value}
        ctx.meta["data"] = "command line"
    return value


path_argument = click.argument("path", required=False, is_eager=True, expose_value=False, callback=_take_path)


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --label, --task and --class-weight."""
    for option in (
        click.option(
            "--class-weight",
            type=Name("class weight", ("balanced",)),
            help="Of a table: rare classes count as much as others.",
        ),
        click.option(
            "--task", type=Name("task", TASKS), help="Of a table: what its label is.  [default: as it looks]"
        ),
        click.option(
            "--label",
            metavar="NAME|NUMBER",
            help="Of a table: the label's column, from 0.  [default: label, class, target or y, else the last]",
        ),
    ):
        command = option(command)
    return command


resize_option = click.option(
    "--resize", type=Size(), metavar="N|HxW", help="Of images: the size in pixels to bring all pictures to."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Results as JSON on stdout.")


def open_backend(name: str, device: str | None, dtype: str, precision: str = "fp32") -> tuple[Backend, str]:
    """Return the backend, and why it was chosen. A GPU is tried out before it is used.

    Raises UsageError for a device the backend does not have, BackendError where it does not work.
    """
    if name == "auto":
        name, reason = choose(device)
        why = f"auto: {reason}"
    else:
        source = click.get_current_context().get_parameter_source("backend")
        names = {ParameterSource.ENVIRONMENT: "XPNN_BACKEND", ParameterSource.DEFAULT_MAP: "as before"}
        why = names.get(source, "--backend") if source is not None else "--backend"
    if name in ("numpy", "strict") and (device or "").startswith("cuda"):
        raise UsageError(
            f"backend {name!r} has no device {device!r}",
            why="it runs on the CPU alone",
            fix="--backend cupy (or torch, or jax), or leave --device out",
        )
    be = get_backend(name, device, dtype, precision)
    if be.device_name != "cpu":
        check(be)
    return be, why


def backend_line(be: Backend, why: str) -> str:
    """Return `numpy 2.4.6 on cpu, numba 0.68.1, 2 threads (auto: CuPy not installed)`."""
    threads = blas().threads if be.name == "numpy" else None
    count = f", {count_threads(threads)}" if threads else ""
    where = be.hardware() if be.name == "numpy" else be.device_name
    return f"{be.name} {be.version()} on {where}{count} ({why})"

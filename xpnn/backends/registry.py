"""Backends from outside this package: registered in Python, or by the entry point group `xpnn.backends`.

In the pyproject.toml of another package:

    [project.entry-points."xpnn.backends"]
    dask = "their_module:DaskBackend"
"""

import functools
from typing import TYPE_CHECKING

from xpnn.backends.base import Backend
from xpnn.errors import BackendError, UsageError, first_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "xpnn.backends"
BUILT_IN = {
    "numpy": "NumpyBackend",
    "cupy": "CupyBackend",
    "torch": "TorchBackend",
    "jax": "JaxBackend",
    "strict": "StrictBackend",
}
"""{name of a backend, which is also that of its file here: name of its class}."""
REGISTERED: dict[str, type[Backend]] = {}


def register_backend(cls: type[Backend]) -> type[Backend]:
    """Make a Backend known by its `name` to get_backend, Model and the command line; also a class decorator.

    A class registered before under that name is replaced. Raises UsageError for a class that is no Backend, has no
    name, or has that of a backend of xpnn itself.
    """
    if not (isinstance(cls, type) and issubclass(cls, Backend)):
        raise UsageError(f"cannot register {cls!r}", why="it is no subclass of xpnn.backends.Backend")
    name = getattr(cls, "name", "")
    if not name or name in BUILT_IN:
        raise UsageError(
            f"cannot register {cls.__name__} under the name {name!r}",
            why="xpnn has a backend of that name" if name else "",
            fix=f"a class attribute of its own: name = {cls.__name__.removesuffix('Backend').lower()!r}",
        )
    REGISTERED[name] = cls
    return cls


def backend_names() -> list[str]:
    """Every backend that get_backend knows, installed or not: xpnn's own first."""
    return [*dict.fromkeys([*BUILT_IN, *REGISTERED, *installed()])]


def outside_backend(name: str) -> type[Backend] | None:
    """A backend from outside this package, or None. Raises BackendError for an entry point that cannot be loaded."""
    if name not in REGISTERED and name in installed():
        point = installed()[name]
        try:
            cls = point.load()
        except Exception as error:  # whatever a foreign module raises while it is imported
            raise BackendError(
                f"backend {name!r} of {point.value} cannot be loaded",
                why=f"{type(error).__name__}: {first_line(error)}",
                fix="reinstall the package that brings it, or backend='numpy'",
            ) from error
        register_backend(cls)
    return REGISTERED.get(name)


@functools.cache
def installed() -> "dict[str, EntryPoint]":
    """The entry points of GROUP, by name, without those that have the name of a backend of xpnn."""
    from importlib.metadata import entry_points  # brings zipfile and lzma: only where it is asked for

    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}

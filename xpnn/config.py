"""Descriptions as plain JSON: how a layer, loss, optimizer or initializer is saved and read back.

A description is a frozen dataclass of plain settings. It is written as `{"type": "Dense", "units": 10, ...}`
and read back through a registry of class names, so that nothing a file says is ever imported or evaluated.
"""

import dataclasses
import inspect
import math
from typing import Any, ClassVar, Self

import numpy as np

from xpnn.errors import CheckpointError, UsageError, did_you_mean, first_line
from xpnn.name_hints import ARGUMENTS, arguments_of, check_arguments
from xpnn.renamed import CLASSES
from xpnn.settings import check_settings

_REGISTRY: dict[str, type["Config"]] = {}
_SOUND: set[type["Config"]] = set()
"""Classes that are known to be frozen dataclasses."""


class Config:
    """Base of everything that is plain settings. Subclasses register themselves by class name.

    A subclass with a `__post_init__` of its own calls this one first: it holds the settings to their annotations.
    `class Pool(Layer, abstract=True)` is what several classes share: it is neither public nor read from a file.
    """

    abstract: ClassVar[bool] = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Raises UsageError for a class that is no frozen dataclass: it could not be compared, shown or saved.

        ArgumentError for a setting that the class does not have.
        """
        if cls not in _SOUND:
            check_class(cls)
            _SOUND.add(cls)
        allowed = arguments_of(cls.__init__) if kwargs else None
        if allowed is not None:
            check_arguments(cls.__name__, kwargs, allowed, ARGUMENTS[""])
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """NumPy's numbers become Python's. Raises UsageError for a setting of another type than its field's."""
        check_settings(self)

    @classmethod
    def coerce(cls, value: Any) -> "Config | None":
        """What `value` is short for where one of this class is wanted, such as a name; None: for nothing."""
        return None

    def __init_subclass__(cls, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.abstract = abstract
        known = _REGISTRY.get(cls.__name__)
        if known is not None and known.__module__ != cls.__module__ and known.__module__.startswith("xpnn."):
            raise UsageError(
                f"the name {cls.__name__!r} already belongs to {known.__module__}.{cls.__name__}",
                why="saved models find their layers by class name",
                fix="give your class another name",
            )
        _REGISTRY[cls.__name__] = cls


def check_class(cls: type[Config]) -> None:
    """Raises UsageError, with the line to add, for a subclass whose settings are not those of a frozen dataclass.

    One that inherits all its settings, and adds methods alone, need not be decorated again.
    """
    own = cls.__dict__.get("__dataclass_params__")
    if (own is not None and own.frozen) or cls.__module__.startswith("xpnn."):  # fused parts are never saved
        return
    adds = "__init__" in cls.__dict__ or bool(inspect.get_annotations(cls))
    if own is None and not adds:
        if not dataclasses.is_dataclass(cls):  # it has no settings: methods alone
            dataclasses.dataclass(frozen=True)(cls)
        return
    how = "is a dataclass, but not a frozen one" if own is not None else "is no dataclass"
    settings = (
        ""
        if own is not None or "__init__" not in cls.__dict__
        else ", its settings as fields and no __init__"
    )
    raise UsageError(
        f"{cls.__name__} {how}",
        why="layers, losses and optimizers are frozen dataclasses: so they are compared, shown and saved",
        fix=f"from dataclasses import dataclass, and @dataclass(frozen=True) above class {cls.__name__}{settings}",
    )


def short_repr(value: Any) -> str:
    """The repr with only those settings that differ from their defaults: `Dense(units=10)`, `Rescale(scale=1/255)`."""
    if isinstance(value, tuple):
        return "[" + ", ".join(map(short_repr, value)) + "]"
    if (
        isinstance(value, float)
        and 0 < abs(value) < 1
        and len(repr(value)) > 8
        and value == 1 / round(1 / value)
    ):
        return f"1/{round(1 / value)}"
    if not isinstance(value, Config):
        text = repr(value)
        known = getattr(
            value, "__name__", f"{type(value).__name__}()"
        )  # of a function, or of an object of a user's
        return known if " at 0x" in text else text
    fields = dataclasses.fields(value)  # type: ignore[arg-type]
    changed = [f for f in fields if getattr(value, f.name) != f.default]
    return f"{type(value).__name__}({', '.join(f'{f.name}={short_repr(getattr(value, f.name))}' for f in changed)})"


def to_config(value: Any) -> Any:
    """A description (or a plain setting) as JSON values. Tuples become lists."""
    if isinstance(value, Config):
        fields = dataclasses.fields(value)  # type: ignore[arg-type]
        return {"type": type(value).__name__} | {f.name: to_config(getattr(value, f.name)) for f in fields}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return [to_config(item) for item in value]
    if (
        value is None
        or isinstance(value, str | bool | int)
        or (isinstance(value, float) and math.isfinite(value))
    ):
        return value
    raise UsageError(
        f"cannot save the setting {value!r} of type {type(value).__name__}",
        why="a saved model holds numbers, strings and registered descriptions only",
    )


def from_config(data: Any, where: str = "net") -> Any:
    """The inverse of `describe`. Raises CheckpointError, naming `where`, for anything unknown or unfitting."""
    if isinstance(data, list):
        return tuple(from_config(item, f"{where}[{i}]") for i, item in enumerate(data))
    if not isinstance(data, dict):
        return data
    name, settings = data.get("type"), {k: v for k, v in data.items() if k != "type"}
    cls = _REGISTRY.get(CLASSES.get(name, name)) if isinstance(name, str) else None
    if cls is None or cls.abstract or not dataclasses.is_dataclass(cls):
        raise CheckpointError(
            f"{where} is {repr(name)[:80]}, which this version of xpnn does not know",
            fix="import the module that defines it first; " + did_you_mean(name, sorted(_REGISTRY)),
        )
    allowed = {f.name for f in dataclasses.fields(cls)}
    if unknown := settings.keys() - allowed:
        raise CheckpointError(
            f"{where}: {name} has no setting {min(unknown)[:80]!r}",
            fix=f"it takes: {', '.join(sorted(allowed))}",
        )
    try:
        made = cls(**{key: from_config(value, f"{where}.{key}") for key, value in settings.items()})
        check_settings(made)  # also where a class of the user's does not do so itself
    except (CheckpointError, RecursionError, MemoryError):
        raise
    except Exception as error:  # whatever the constructor of any registered class may raise
        raise CheckpointError(f"{where}: {name} refuses its settings", why=first_line(error)) from error
    return made

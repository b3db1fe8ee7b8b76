"""Settings held to the annotations of their dataclass fields: both what a user types and what a file says.

    int     a whole number                    float   a finite number
    str, bool, None and classes               as they are
    tuple[T, ...]                             any sequence of T, kept as a tuple
    A | B                                     the first that fits
    Coerced[G, T]                             a T; type checkers let a user write a G for it
    Annotated[T, Limits]                      a T within the limits: `units: Count`, `rate: Share`
    a class that knows shorter ways           an instance, or anything its `coerce` accepts

Anything else is not looked at.
"""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeAlias, TypeVar, dataclass_transform

import numpy as np

from xpnn.errors import UsageError, did_you_mean

NAMES = {
    int: "a whole number",
    float: "a finite number",
    str: "a word",
    bool: "True or False",
    type(None): "None",
}

LARGEST = sys.float_info.max
UNIONS = types.UnionType, typing.Union


class Limits(NamedTuple):
    """Which values of its type a setting may have, and how errors say so. choices: all of them, if they are words."""

    words: str
    allow: Callable[[Any], bool]
    choices: tuple[str, ...] = ()


def within(low: float, high: float) -> Limits:
    """low <= x <= high."""
    return Limits(f"a number from {low} to {high}", lambda x: low <= x <= high)


def at_least(low: float, noun: str = "a number") -> Limits:
    """x >= low."""
    return Limits(f"{noun} of at least {low}", lambda x: x >= low)


def one_of(*words: str) -> Limits:
    """One of these words."""
    return Limits(" or ".join(map(repr, words)), lambda x: x in words, words)


Count: TypeAlias = Annotated[int, at_least(1, "a whole number")]
Index: TypeAlias = Annotated[int, at_least(0, "a whole number")]
Positive: TypeAlias = Annotated[float, Limits("a number above 0", lambda x: x > 0)]
AtLeastZero: TypeAlias = Annotated[float, at_least(0)]
Share: TypeAlias = Annotated[float, within(0, 1)]
BelowOne: TypeAlias = Annotated[float, Limits("a number from 0 to below 1", lambda x: 0 <= x < 1)]
Factor: TypeAlias = Annotated[float, Limits("a number above 0, up to 1", lambda x: 0 < x <= 1)]


T = TypeVar("T")
Given = TypeVar("Given", contravariant=True)
Kept = TypeVar("Kept", covariant=True)


class Coerced(Generic[Given, Kept]):
    """A setting given as one type and kept as another: `layers: Coerced[Sequence[Layer], tuple[Layer, ...]]`.

    To a type checker it is a descriptor, whose setter says what the class's `__init__` takes.
    """

    if TYPE_CHECKING:

        def __get__(self, settings: Any, owner: Any = None) -> Kept:
            """What the setting is."""

        def __set__(self, settings: Any, value: Given) -> None:
            """What a user may write for it."""
    else:

        def __class_getitem__(cls, types: tuple[Any, Any]) -> Any:
            """The type that is kept: what the setting is checked against."""
            return types[1]


@dataclass_transform(frozen_default=True)
def frozen(cls: type[T]) -> type[T]:
    """A frozen dataclass, in which type checkers look through Coerced: of `dataclass` itself mypy does not."""
    return dataclasses.dataclass(frozen=True)(cls)


class Unfit(Exception):  # noqa: N818
    """A value that its annotation does not allow."""


def check_settings(settings: Any) -> None:
    """Put the checked value in place of every field's. Raises UsageError, naming the class, the field and the value."""
    for name, hint in hints(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        try:
            fitted = fit(value, hint)
        except Unfit:
            choices = choices_of(hint) if isinstance(value, str) else ()
            raise UsageError(
                f"{type(settings).__name__}({name}={repr(value)[:80]}): "
                + (f"unknown {name}" if choices else f"wanted {wording(hint)}"),
                fix=did_you_mean(value, choices) if choices else "",
            ) from None
        if fitted is not value:
            object.__setattr__(settings, name, fitted)


@functools.cache
def hints(cls: Hashable) -> dict[str, Any]:
    """The annotation of every field; nothing where they name what cannot be looked up.

    A subclass that declares a field again, to change its default, keeps the limits of its base.
    """
    try:
        found = typing.get_type_hints(cls, include_extras=True)
    except NameError:
        return {}
    for base in cls.__mro__[1:]:  # type: ignore[attr-defined]
        for name, hint in (hints(base) if dataclasses.is_dataclass(base) else {}).items():  # type: ignore[arg-type]
            if typing.get_origin(hint) is Annotated and found[name] is typing.get_args(hint)[0]:
                found[name] = hint
    return {field.name: found[field.name] for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


def fit(value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it. Raises Unfit."""
    if isinstance(value, np.generic):
        value = value.item()
    if hint in (int, float):
        if isinstance(value, bool) or not isinstance(value, int if hint is int else int | float):
            raise Unfit
        if hint is float and not -LARGEST <= value <= LARGEST:  # nor is NaN
            raise Unfit
        return value
    origin = typing.get_origin(hint)
    if origin is Annotated:
        value = fit(value, hint.__origin__)
        if not hint.__metadata__[0].allow(value):
            raise Unfit
        return value
    if origin in UNIONS:
        return fit_any(value, typing.get_args(hint))
    if origin is tuple:
        return fit_tuple(value, typing.get_args(hint))
    if isinstance(hint, type) and not isinstance(value, hint):
        coerced = hint.coerce(value) if hasattr(hint, "coerce") else None
        if coerced is None or not isinstance(coerced, hint):
            raise Unfit
        return coerced
    return value


def fit_any(value: Any, options: tuple[Any, ...]) -> Any:
    """The first option that fits."""
    for option in options:
        try:
            return fit(value, option)
        except Unfit:
            continue
    raise Unfit


def fit_tuple(value: Any, items: tuple[Any, ...]) -> tuple[Any, ...]:
    """A sequence, each item fitted; `...` stands for any number of the item before it."""
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist()) if value.ndim == 1 else None
    if not isinstance(value, tuple | list):
        raise Unfit
    wanted = items[:1] * len(value) if items[-1:] == (...,) else items
    if len(wanted) != len(value):
        raise Unfit
    return tuple(fit(item, hint) for item, hint in zip(value, wanted, strict=True))


def wording(hint: Any) -> str:
    """The annotation in words."""
    if typing.get_origin(hint) is Annotated:
        return str(typing.get_args(hint)[1].words)
    if typing.get_origin(hint) in UNIONS:
        return " or ".join(wording(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return (
            f"a sequence, each {wording(typing.get_args(hint)[0])}" if typing.get_args(hint) else "a sequence"
        )
    name = str(getattr(hint, "__name__", hint))
    return NAMES.get(hint) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def choices_of(hint: Any) -> tuple[str, ...]:
    """The words that a setting may be, if it is a word of a few."""
    if typing.get_origin(hint) in UNIONS:
        return sum(map(choices_of, typing.get_args(hint)), start=())
    return typing.get_args(hint)[1].choices if typing.get_origin(hint) is Annotated else ()

"""Settings held to the annotations of their dataclass fields: both what a user types and what a file says.

    int     a whole number                    float   a finite number
    str, bool, None and classes               as they are
    tuple[T, ...]                             any sequence of T, kept as a tuple
    A | B                                     the first that fits
    a class that knows shorter ways           an instance, or anything its `coerce` accepts

Anything else is not looked at.
"""

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Hashable
from typing import Any

import numpy as np

from xpnn.errors import UsageError

NAMES = {
    int: "a whole number",
    float: "a finite number",
    str: "a word",
    bool: "True or False",
    type(None): "None",
}

LARGEST = sys.float_info.max


class Unfit(Exception):  # noqa: N818
    """A value that its annotation does not allow."""


def check_settings(settings: Any) -> None:
    """Put the checked value in place of every field's. Raises UsageError, naming the class, the field and the value."""
    for name, hint in hints(type(settings)).items():  # type: ignore[arg-type]
        value = getattr(settings, name)
        try:
            fitted = fit(value, hint)
        except Unfit:
            raise UsageError(
                f"{type(settings).__name__}({name}={repr(value)[:80]}): wanted {wording(hint)}"
            ) from None
        if fitted is not value:
            object.__setattr__(settings, name, fitted)


@functools.cache
def hints(cls: Hashable) -> dict[str, Any]:
    """The annotation of every field; nothing where they name what cannot be looked up."""
    try:
        found = typing.get_type_hints(cls)
    except NameError:
        return {}
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
    if isinstance(hint, types.UnionType):
        return fit_any(value, typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return fit_tuple(value, typing.get_args(hint))
    if isinstance(hint, type) and not isinstance(value, hint):
        meant = hint.coerce(value) if hasattr(hint, "coerce") else None
        if meant is None or not isinstance(meant, hint):
            raise Unfit
        return meant
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
    if isinstance(hint, types.UnionType):
        return " or ".join(wording(option) for option in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return (
            f"a sequence, each {wording(typing.get_args(hint)[0])}" if typing.get_args(hint) else "a sequence"
        )
    name = str(getattr(hint, "__name__", hint))
    return NAMES.get(hint) or f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"

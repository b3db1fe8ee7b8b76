"""Layers, losses, optimizers, schedules, initializers, metrics: plain, comparable, saved as JSON (but metrics)."""

import dataclasses
import json

import pytest
from cases import FULL_BATCH, INITIALIZERS, LAYERS, LOSSES, METRICS, MULTI_OUTPUT, OPTIMIZERS, SCHEDULES

import xpnn
from xpnn.config import from_config, to_config
from xpnn.errors import UsageError

DESCRIBED = [
    *dict.fromkeys(case.layer for case in LAYERS),
    *dict.fromkeys(case.loss for case in LOSSES + MULTI_OUTPUT),
    *OPTIMIZERS,
    *FULL_BATCH,
    *SCHEDULES,
    *INITIALIZERS,
]
NAMES = {
    name: getattr(module, name)
    for module in (xpnn, xpnn.initializers, xpnn.losses, xpnn.metrics, xpnn.optimizers, xpnn.schedules)
    for name in dir(module)
    if isinstance(getattr(module, name), type)
} | {cls.__name__: cls for cls in map(type, INITIALIZERS)}


@pytest.mark.parametrize("value", [*DESCRIBED, *METRICS], ids=str)
def test_repr_equality_and_hash_agree(value):
    again = eval(repr(value), dict(NAMES))
    assert type(again) is type(value)
    assert again == value
    assert hash(again) == hash(value)
    assert all(again != other for other in [*DESCRIBED, *METRICS] if repr(other) != repr(value))


@pytest.mark.parametrize("value", [*DESCRIBED, *METRICS], ids=str)
def test_nothing_can_be_set_afterwards(value):
    with pytest.raises(AttributeError):
        value.anything = 1
    assert not hasattr(value, "anything")


@pytest.mark.parametrize("value", DESCRIBED, ids=str)
def test_json_brings_it_back(value):
    text = json.dumps(to_config(value), allow_nan=False)
    again = from_config(json.loads(text))
    assert type(again) is type(value)
    assert again == value
    assert json.dumps(to_config(again)) == text


class Unfit:
    """Of no type that a setting has."""


FIELDS = [
    (value, field.name)
    for value in {type(value): value for value in [*DESCRIBED, *METRICS]}.values()
    for field in dataclasses.fields(value)
]


def id_of(part):
    return part if isinstance(part, str) else type(part).__name__


@pytest.mark.parametrize(("value", "name"), FIELDS, ids=id_of)
def test_each_setting_is_held_to_its_annotation(value, name):
    """A class with checks of its own asks for this one first."""
    with pytest.raises(UsageError, match=rf"\b{name}=.*wanted"):
        dataclasses.replace(value, **{name: Unfit()})

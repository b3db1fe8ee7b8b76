"""Defaults, limits, options and ranges are those that the docs list."""

import ast
import dataclasses

import documented_numbers
import public_defaults
import pytest

from xpnn.errors import XpnnError

DOCUMENTED = dict(
    line.strip("| \n").replace(r"\|", "|").replace("`", "").split(" | ", 1)
    for line in public_defaults.PAGE.read_text().splitlines()
    if line.startswith("| `")
)
FOUND = public_defaults.table()


def test_the_page_lists_what_there_is():
    assert DOCUMENTED.keys() == FOUND.keys(), "python ci/names.py writes the page again"
    assert len(FOUND) > 150


@pytest.mark.parametrize("name", FOUND)
def test_a_default_is_the_documented_one(name):
    assert FOUND[name] == DOCUMENTED.get(name)


@pytest.mark.parametrize(("page", "written"), [
    (documented_numbers.LIMITS, documented_numbers.limits_page),
    (documented_numbers.OPTIONS, documented_numbers.options_page),
    (documented_numbers.RANGES, documented_numbers.ranges_page),
], ids=["limits", "options", "ranges"])  # fmt: skip
def test_a_number_is_the_documented_one(page, written):
    """Line by line: what differs is shown by itself."""
    there, here = (set(text.splitlines()) for text in (page.read_text(), written()))
    assert there - here == here - there == set(), "python ci/names.py writes the page again"
    assert len(here) > 150


def test_a_setting_of_another_type_is_refused():
    """By every class, also those that check more: what they inherit checks first."""
    for thing in documented_numbers.described().values():
        for one in dataclasses.fields(thing):
            if one.init:
                with pytest.raises(XpnnError):
                    dataclasses.replace(thing, **{one.name: object()})


CHANGING = {
    "Budget", "Classifier", "Entry", "Flow", "History", "Leaf", "Moments", "NetworkEstimator", "Node", "Pending",
    "Program",
    "Report", "Run", "Saved", "State", "Summary", "Tally", "Visit",
}  # fmt: skip
"""Dataclasses that are filled while something goes on; all others are values."""


def test_values_cannot_be_changed():
    """Every other dataclass is frozen: what was checked when it was made stays so, and it may be a key."""
    found, changing = 0, set()
    for path in sorted((documented_numbers.TOP / "xpnn").rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "dataclass" in text else ():
            marks = [ast.unparse(one) for one in getattr(node, "decorator_list", ())]
            if isinstance(node, ast.ClassDef) and any(mark.startswith("dataclass") for mark in marks):
                found += 1
                if not any("frozen=True" in mark for mark in marks):
                    changing.add(node.name)
    assert changing == CHANGING
    assert found > 250

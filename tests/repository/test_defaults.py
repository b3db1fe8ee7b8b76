"""Defaults, limits, options and ranges are those that the docs list."""

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

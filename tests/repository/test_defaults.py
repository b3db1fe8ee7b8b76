"""Defaults of public signatures are those of docs/defaults.md."""

import public_defaults
import pytest

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

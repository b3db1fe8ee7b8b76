"""Defaults of public signatures are those of docs/defaults.md, named numbers those of docs/constants.md."""

import named_numbers
import public_defaults
import pytest

DOCUMENTED = dict(
    line.strip("| \n").replace(r"\|", "|").replace("`", "").split(" | ", 1)
    for line in public_defaults.PAGE.read_text().splitlines()
    if line.startswith("| `")
)
FOUND = public_defaults.table()


def test_the_page_lists_what_there_is():
    assert DOCUMENTED.keys() == FOUND.keys(), "python ci/names.py writes the page anew"
    assert len(FOUND) > 150


@pytest.mark.parametrize("name", FOUND)
def test_a_default_is_the_documented_one(name):
    assert FOUND[name] == DOCUMENTED.get(name)


NUMBERS = named_numbers.table()


@pytest.mark.parametrize("file", NUMBERS)
def test_a_named_number_is_the_documented_one(file):
    kept = named_numbers.PAGE.read_text().splitlines(keepends=True)
    there = [row for row in kept if row.startswith(f"| `{file}` |")]
    assert there == named_numbers.rows(file, NUMBERS[file]), "python ci/names.py writes the page anew"


def test_the_page_of_numbers_lists_what_there_is():
    assert named_numbers.PAGE.read_text() == named_numbers.page(), "python ci/names.py writes the page anew"
    assert sum(map(len, NUMBERS.values())) > 200


def test_numbers_are_read_as_they_are_written():
    source = 'MOST, LEAST = 1 << 20, -0.5\n"""Two."""\nEACH: tuple = (2 * 3, 4)\nlower = 1\nWORD = "a"\nC = (1, "a")'
    found = {"MOST": (1 << 20, "Two."), "LEAST": (-0.5, "Two."), "EACH": ((6, 4), "")}
    assert named_numbers.named(source) == found

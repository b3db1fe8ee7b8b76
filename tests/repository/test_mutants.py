"""The tool that asks whether the tests are honest: what it draws, and what it leaves out."""

import ast
from pathlib import Path

import mutants
import pytest
import reach
from equivalents import EQUIVALENT

TOP = Path(__file__).parents[2]
SOURCE = '''
def f(a, b=2, *, c: int = 3):
    """Adds 1."""
    if a < b and c:
        raise ValueError(f"{a + 1} is below")
    total = g(a, b) * 0.5
    total += 1
    return total
'''


def changes(source):
    tree = ast.parse(source)
    return {
        mutants.change(ast.unparse(tree), ast.unparse(ast.fix_missing_locations(edit(tree))))
        for _, _, edit in mutants.variants(tree)
    }


def test_every_kind_of_fault_is_among_them():
    found = changes(SOURCE)
    for fault in (
        "if a < b and c: => if a <= b and c:",
        "if a < b and c: => if a < b or c:",
        "total = g(a, b) * 0.5 => total = g(a, b) / 0.5",
        "total = g(a, b) * 0.5 => total = g(a, b) * 1.0",
        "total = g(a, b) * 0.5 => total = g(b, a) * 0.5",
        "total += 1 => total -= 1",
        "total += 1 => pass",
        "def f(a, b=2, *, c: int=3): => def f(a, b=3, *, c: int=3):",
        "def f(a, b=2, *, c: int=3): => def f(a, b=2, *, c: int=4):",
        "raise ValueError(f'{a + 1} is below') => pass",
    ):
        assert fault in found
    assert not any("a - 1" in change or "a + 2" in change for change in found)  # the words of a message


def test_a_seed_draws_the_same_mutants_whatever_came_before():
    files = ["xpnn/errors.py", "xpnn/window.py", "xpnn/random.py"]
    once, again, other = (list(mutants.draw(8, seed, files)) for seed in (1, 1, 2))
    assert once == again
    assert once != other


@pytest.mark.parametrize(("file", "change"), EQUIVALENT, ids=lambda part: part[:40])
def test_an_equivalent_mutant_can_still_be_made(file, change):
    """Where its line has changed, it has to be looked at again."""
    assert EQUIVALENT[file, change]
    assert change in changes((TOP / file).read_text())


def test_a_line_is_found_again_where_it_has_moved():
    assert reach.moved("a\nb\nc\n", "new\na\nother\nc\n") == {1: 2, 3: 4}


def test_few_tests_run_every_line():
    reached = {
        "a.py": {1: {"slow": 9.0, "quick": 0.1}, 2: {"quick": 0.1}, 3: {"slow": 9.0}},
        "b.py": {1: {"quick": 0.1, "other": 0.1}},
    }
    assert reach.few(reached) == ["quick", "slow"]


def test_what_runs_at_import_belongs_to_the_tests_of_its_definition():
    """A default is noticed by what calls the function, and by what looks at all signatures."""
    tree = ast.parse((TOP / "xpnn/schedules/decay.py").read_text())
    (cosine,) = (node for node in tree.body if getattr(node, "name", "") == "Cosine")
    inside = cosine.body[-1].body[-1].lineno
    reached = {
        "xpnn/schedules/decay.py": {inside: {"t.py::test_cosine": 0.1}, 1: {"test_defaults.py::t": 0.1}}
    }
    default = next(node for node in cosine.body if isinstance(node, ast.AnnAssign)).lineno
    assert set(mutants.tests_of(reached, "xpnn/schedules/decay.py", default)) == {
        "t.py::test_cosine", "test_defaults.py::t",
    }  # fmt: skip


def test_the_score_counts_equivalent_mutants_neither_way():
    results = [("xpnn/model.py", "killed")] * 3 + [
        ("xpnn/cli/run.py", "survived"),
        ("xpnn/cli/run.py", "equivalent"),
        ("xpnn/backends/cuda/graph.py", "gpu"),
    ]
    text = mutants.table(results)
    assert "| cli | 2 | 1 | 0 | 1 | 0 |" in text
    assert "| all | 6 | 1 | 3 | 1 | 1 |" in text
    assert "75.0 % of those that are not equivalent are killed." in text

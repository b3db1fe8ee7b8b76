"""The tool that asks whether the tests are honest: what it draws, and what it leaves out."""

import ast
import re
import types
from pathlib import Path

import mutant_session
import mutants
import pytest
from equivalent_mutants import EQUIVALENT

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


def changes(source, lines=range(10**6)):
    tree = ast.parse(source)
    return {
        mutants.change(ast.unparse(tree), ast.unparse(ast.fix_missing_locations(edit(tree))))
        for line, _, edit in mutants.variants(tree)
        if line in lines
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
    source, old = (TOP / file).read_text(), change.split(" => ")[0]
    lines = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and f"{old} / ".startswith(ast.unparse(node).splitlines()[0] + " / ")
        for line in range(node.lineno, node.end_lineno + 1)
    }
    assert change in changes(source, lines)


@pytest.mark.parametrize(("line", "faults"), [
    ("h = max(a, b)", {"pass"}),
    ("h = g(a, b)", {"h = g(b, a)", "pass"}),
    ("h = be.xp.add(a, b)", {"pass"}),
    ("h = add(a, b)", {"h = add(b, a)", "pass"}),
    ("h = a.reshape(-1, n)", {"h = a.reshape(n, -1)", "pass"}),
    ("h = f(a, (-1, *n))", {"h = f((-1, *n), a)", "h = f(a, (-2, *n))", "pass"}),
])  # fmt: skip
def test_a_fault_that_changes_nothing_is_not_among_them(line, faults):
    found = changes(f"def f():\n    {line}")
    assert found == {f"{line} => {fault}" for fault in faults}


def test_a_function_whose_closure_would_be_of_another_size_is_left_to_a_new_process(monkeypatch, tmp_path):
    """Python refuses such code, which no test has noticed."""
    text = "def outer(a):\n    def inner():\n        b = a\n        return 1\n    return inner\n"
    (tmp_path / "m.py").write_text(text)
    monkeypatch.setattr(mutants, "TOP", tmp_path)
    space = {}
    exec(compile(text, str(tmp_path / "m.py"), "exec"), space)
    inner = space["outer"](1)
    functions = {("m.py", *mutant_session.place(inner.__code__)): [inner]}
    fault = next(one for one in drawn_from(text, "m.py") if (one.line, one.kind) == (3, "deleted statement"))
    assert mutant_session.put_in("m.py", fault.tree(), functions) == 0
    assert inner() == 1


def drawn_from(source, name="xpnn/schedules/decay.py"):
    """Each fault of a source, as a Mutant."""
    for line, kind, edit in mutants.variants(ast.parse(source)):
        at_import, points = mutants.points_of(ast.parse(source), source, line)
        yield mutants.Mutant(name, line, kind, "", "", tuple(points), at_import, "", edit)


def test_code_that_runs_at_import_is_separated_from_functions():
    """A default is noticed by what calls the function: the mark is in its body."""
    found = {(one.line, one.at_import, one.points) for one in drawn_from(SOURCE)}
    assert found == {
        (2, True, (8,)), (4, False, (4,)), (5, False, (5,)), (6, False, (6,)), (7, False, (7,)),
    }  # fmt: skip


def test_a_function_is_given_the_code_of_a_mutant(monkeypatch, tmp_path):
    """In the process itself, for every reference to it."""
    (tmp_path / "m.py").write_text("def f(a):\n    g = lambda b: b + 1\n    return [g(a), a]\n")
    monkeypatch.setattr(mutants, "TOP", tmp_path)
    space = {}
    exec(compile((tmp_path / "m.py").read_text(), str(tmp_path / "m.py"), "exec"), space)
    f = space["f"]
    functions = {("m.py", *mutant_session.place(f.__code__)): [f]}
    assert f(3) == [4, 3]
    (mutant,) = (one for one in drawn_from((tmp_path / "m.py").read_text(), "m.py") if one.kind == "operator")
    assert mutant_session.put_in("m.py", mutant.tree(), functions) == 1
    assert f(3) == [2, 3]


def test_a_mark_stands_before_the_statement_of_a_line():
    marked = ast.unparse(mutant_session.with_marks(ast.parse(SOURCE), {4: {1}, 5: {2, 3}, 7: {4}}))
    assert marked.replace("__reached__", "m").splitlines()[2:] == [
        "    m(1)", "    if a < b and c:", "        m(3)", "        m(2)",
        "        raise ValueError(f'{a + 1} is below')", "    total = g(a, b) * 0.5", "    m(4)", "    total += 1",
        "    return total",
    ]  # fmt: skip


def test_the_tests_that_name_a_function_come_first():
    class Item:
        def __init__(self, file, name):
            self.path, self.nodeid = Path("tests") / file, f"tests/{file}::{name}"

    items = [
        Item("layers/test_a.py", "one"),
        Item("data/test_tables.py", "two"),
        Item("data/test_b.py", "three"),
    ]
    words = dict(
        zip((one.nodeid for one in items), ({"first_is_data"}, {"other"}, {"first_is_data"}), strict=True)
    )
    seconds = dict.fromkeys(words, 0.1)
    mutant = mutants.Mutant(
        "xpnn/data/tables/dialect.py", 1, "", "x => y", "", (), False, "first_is_data", None
    )
    frequency = {"first_is_data": 2, "other": 1}
    frequency = mutant_session.Counter(frequency)
    order = mutant_session.nearest(mutant, items, words, frequency, seconds)
    assert [one.nodeid.split("::")[1] for one in order] == ["three", "one", "two"]
    seconds[items[2].nodeid] = 5.0
    order = mutant_session.nearest(mutant, items, words, frequency, seconds)
    assert [one.nodeid.split("::")[1] for one in order] == ["one", "two", "three"]


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


def test_the_survivors_are_listed():
    rows = [[0, "xpnn/model.py", 7, "operator", "a + b => a - b", "survived", ""],
            [1, "xpnn/model.py", 8, "operator", "a * b => a / b", "killed", "test_a"]]  # fmt: skip
    assert mutants.survivors(rows) == ["Those that survived:", "- `xpnn/model.py`: `a + b => a - b`"]
    assert mutants.survivors(rows[1:]) == []


def test_every_file_that_numba_compiles_is_tried_in_new_processes():
    files = (TOP / "xpnn").rglob("*.py")
    found = {path for path in files if re.search(r"^@(compiled|fused|primitive)\b", path.read_text(), re.M)}
    assert {str(path.relative_to(TOP)) for path in found} == set(mutants.COMPILED)
    folder = TOP / "xpnn" / "backends" / "cpu"
    for module, users in mutants.COMPILED_INTO.items():
        for user in users:
            assert re.search(
                rf"cpu\.{module} import|cpu import .*\b{module}\b", (folder / f"{user}.py").read_text()
            )


def test_what_was_compiled_of_a_fault_is_gone(tmp_path):
    kept = tmp_path / "__pycache__"
    kept.mkdir()
    for name in ("lanes.py311.pyc", "direct_loops.forward-1.nbi", "one_sample.through.nbc", "flat.adam.nbi"):
        (kept / name).write_text("")
    mutants.write(tmp_path / "lanes.py", "new")
    assert (tmp_path / "lanes.py").read_text() == "new"
    assert [path.name for path in kept.iterdir()] == ["flat.adam.nbi"]


def test_compiled_files_are_tried_by_tests_in_numbas_mode(monkeypatch):
    """First those of the table, then those of the folder, but not the rows of other backends."""
    source = "xpnn/backends/cpu/gate_loops.py"
    mutant = next(mutants.draw(1, 3, [source]))
    assert (mutant.at_import, mutant.points) == (True, ())

    def item(folder, mode):
        params = {} if mode is None else {"mode": mode}
        callspec = types.SimpleNamespace(params=params)
        return types.SimpleNamespace(
            nodeid=f"{folder}-{mode}", path=Path(folder, "test_x.py"), callspec=callspec
        )

    items = [
        item(folder, mode) for folder in ("backends", "cli") for mode in ("numpy", "fast", "strict", None)
    ]
    assert mutant_session.unmapped(mutant, items) == {"backends-fast": 0.0, "backends-None": 0.0}
    tried = []
    monkeypatch.setattr(mutants, "killer_in", lambda share, modes, *_: tried.append((share, modes)) or "")
    assert mutants.killer(mutant, ["near"], Path()) == ""
    assert tried[0] == ([mutants.ROWS_OF_KERNELS, "tests/backends/test_fast.py"], "fast")
    assert (["near"], "") in tried


def test_a_survivor_is_tried_by_whole_files_of_its_name_and_of_the_nearest_tests():
    mutant = mutants.Mutant("xpnn/backends/cpu/threads.py", 1, "", "", "", (), False, "", None)
    near = [f"tests/cli/test_lock.py::test_{i}[numpy]" for i in range(12)] + ["tests/cli/test_cli.py::last"]
    found = mutants.files_near(mutant, near)
    assert found[0] == "tests/cli/test_lock.py"
    assert "tests/backends/test_threads.py" in found
    assert "tests/cli/test_cli.py" not in found

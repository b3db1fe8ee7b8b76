"""The benchmark's arithmetic, verdicts and texts, from records made up here; nothing is timed."""

import contextlib
import json
import re
import subprocess
import time
from collections import Counter
from dataclasses import replace

import pytest

from benchmarks import guard, libraries, readme, report
from benchmarks.arena import Arena, memory, rotated
from benchmarks.families import NAMES, busy, family, profile
from benchmarks.families import memory as weights
from benchmarks.figure import draw
from benchmarks.goals import Goal, against, goals_of, share_of_floor
from benchmarks.libraries import CONTENDERS, FLOOR, OURS, TITLES, gemm, missing
from benchmarks.nets import CNN, LSTM, NARROW, Cell
from benchmarks.ratios import quartiles, spread, within_rounds

MACHINE = {
    "date": "2000-01-31",
    "processor": "Abacus",
    "cores": 2,
    "blas": "beads",
    "python": "3.11",
    "versions": {"numpy": "2.0"},
}
REPORTS = readme.README.parent / "benchmarks" / "reports"
CELL = "784-128-10/adam/128"
TIMES = {
    "xpnn": [2.0, 4.0, 3.0],
    "xpnn-fast": [1.0, 2.0, 1.5],
    "gemm": [0.5, 1.0, 1.5],
    "torch": [4.0, 4.0, 4.5],
    "jax": [2.0, 2.0, 2.0],
}
STEP = {
    "family": "mlp",
    "cell": CELL,
    "batch": 128,
    "seconds": TIMES,
    "failed": {"keras": "keras is not installed"},
}
HELD = {
    name: {"imported": 1_000_000, "peak": peak}
    for name, peak in {"xpnn": 50_000_000, "torch": 200_000_000}.items()
}
MEMORY = {"family": "memory", "cell": CELL, "bytes": HELD, "failed": {}}
START = {
    "family": "startup",
    "cell": "start-up",
    "seconds": {
        "xpnn --help": [0.1, 0.3, 0.2],
        "import numpy": [0.1, 0.1, 0.1],
        "import xpnn": [0.2, 0.5, 0.3],
    },
    "failed": {},
}
PROFILE = {
    "family": "profile",
    "cell": CELL,
    "shares": {"xpnn": {"matmul": 0.9}},
    "seconds": {},
    "failed": {},
}
FOUND = {"machine": MACHINE, "rounds": 7, "cells": [STEP, START, MEMORY, PROFILE]}


def test_ratios_are_taken_within_rounds():
    assert within_rounds([4.0, 4.0, 4.5], [2.0, 4.0, 3.0]) == [2.0, 1.0, 1.5]
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == (2.5, 4.0, 5.5)
    assert quartiles([1.0, 3.0]) == (1.5, 2.0, 2.5)
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 1) == "4.0 (2.5-5.5)"


def test_of_several_rivals_the_fastest_counts():
    assert against("torch", "jax")(STEP, "xpnn") == [1.0, 0.5, 2 / 3]
    assert against("torch", "keras")(STEP, "xpnn") == [2.0, 1.0, 1.5]
    assert against("keras")(STEP, "xpnn") is None
    assert share_of_floor(STEP, "xpnn") == [0.25, 0.25, 0.5]


def test_a_goal_is_met_by_the_median():
    goal = Goal("*/128", "torch", against("torch"), 1.5)
    assert goal.outcome(STEP, "xpnn")[1]
    assert not Goal("*", "torch", against("torch"), 1.51).outcome(STEP, "xpnn")[1]
    assert goal.outcome(STEP | {"seconds": {"xpnn": [1.0]}}, "xpnn") is None
    assert Goal("*", "s", lambda *_: [0.1, 0.2, 9.0], 0.2, at_most=True).outcome(STEP, "xpnn")[1]
    assert not Goal("*", "s", lambda *_: [0.1, 0.3, 9.0], 0.2, at_most=True).outcome(STEP, "xpnn")[1]
    assert goals_of((goal,), STEP) == [goal]
    assert goals_of((goal,), STEP | {"cell": "784-128-10/adam/1024"}) == []


@pytest.mark.parametrize("name", NAMES)
def test_families_name_known_contenders_and_cells_of_their_own(name):
    module = family(name)
    if name not in ("startup", "memory"):
        cells = [cell.name for cell in module.CELLS]
        assert len(set(cells)) == len(cells)
        assert set(module.CONTENDERS) <= set(CONTENDERS)
        for goal in module.GOALS:
            assert any(goals_of((goal,), {"cell": cell}) for cell in cells), goal
    assert TITLES.keys() == CONTENDERS.keys()


def test_a_busy_machine_is_judged_by_fair_shares_and_slices():
    assert busy.ranked([*range(100), 1000.0]) == [50, 90, 99]
    record = {
        "family": "busy", "cell": "k=2/784-128-10/infer/1", "batch": 1, "k": 2, "cores": 2, "failed": {},
        "alone": {"xpnn": 1e-3, "torch": 1e-3}, "seconds": {"xpnn": [2e-3, 3e-3, 8e-3], "torch": [1e-3, 2e-3, 4e-3]},
    }  # fmt: skip
    assert busy.of_fair_share(record, "xpnn") == [1.0]
    assert busy.of_allowed(record, "xpnn") == pytest.approx([8 / 9])
    assert busy.rival_by(-1, "torch")(record, "xpnn") == [0.5]
    assert busy.of_allowed(record, "xpnn-fast") is busy.rival_by(0, "torch")(record, "xpnn-fast") is None
    text = report.report({"machine": MACHINE, "rounds": 7, "cells": [record]})
    assert "2.00 ms / 3.00 ms / 8.00 ms" in text
    assert "k=2/784-128-10/infer/1 | PyTorch's p99 | at least 0.9 | 0.50" in text


def test_competing_processes_end_with_the_measurement(monkeypatch):
    made = []

    class Idle:
        def __init__(self, target, daemon):
            made.append([target, daemon])

        def start(self):
            made[-1].append("started")

        def kill(self):
            made[-1].append("killed")

        join = kill

    monkeypatch.setattr(busy.multiprocessing, "get_context", lambda _: type("Context", (), {"Process": Idle}))
    with busy.competing(1):
        assert made == [[busy.spin, True, "started"]]
    assert made[0][3:] == ["killed", "killed"]


def test_memory_is_asked_of_cells_that_exist():
    for cell, module in weights.FAMILIES.items():
        assert cell in [c.name for c in module.CELLS]
    assert weights.lean(MEMORY, "xpnn") == [4.0]
    assert weights.lean(MEMORY, "xpnn-fast") is None


def test_every_multilayer_cell_has_the_goals_it_should():
    module = family("mlp")
    wanted = {32: [1.2, 1.0], 128: [1.5, 1.0, 0.6], 1024: [1.5, 1.0, 0.85], 8192: [1.5, 1.0, 0.85]}
    assert len(module.CELLS) == 16
    for cell in module.CELLS:
        assert [goal.wanted for goal in goals_of(module.GOALS, {"cell": cell.name})] == wanted[cell.batch]


def flops(calls):
    return sum(2 * times * a.shape[0] * a.shape[1] * b.shape[1] for times, a, b, _ in calls)


def test_the_floor_has_the_products_of_the_step():
    ahead, back = gemm.products(Cell("", NARROW, 32))
    assert flops(ahead) == 2 * 32 * (784 * 128 + 128 * 10)
    assert flops(back) == 2 * 32 * (784 * 128 + 2 * 128 * 10)
    ahead, back = gemm.products(Cell("", CNN, 128))
    first, rest = 26 * 26 * 9 * 32, 24 * 24 * 288 * 64 + 9216 * 128 + 128 * 10
    assert 1 <= flops(ahead) / (2 * 128 * (first + rest)) < 1.15  # whole pieces of a batch
    assert 1 <= flops(back) / (2 * 128 * (first + 2 * rest)) < 1.15
    ahead, back = gemm.products(Cell("", LSTM, 16))
    inputs, states, head = 28 * 28 * 512, 128 * 512, 128 * 10
    assert flops(ahead) == 2 * 16 * (inputs + 27 * states + head)
    assert flops(back) == 2 * 16 * (inputs + (27 + 28) * states + 2 * head)
    for _, a, b, out in ahead + back:
        assert (a @ b).shape == out.shape


def test_the_floor_of_an_epoch_has_the_last_batch_and_the_validation():
    cell = Cell("", NARROW, 256)
    parts, ahead, back = gemm.products_of_epoch(cell), *gemm.products(cell)
    assert [times for times, _ in parts] == [214, 1, 4, 1]
    done = sum(times * flops(calls) for times, calls in parts)
    assert done == (flops(ahead + back) * 55_000 + flops(ahead) * 5_000) // 256
    assert [times for times, _ in gemm.products_of_epoch(replace(cell, batch=500))] == [110, 4, 1]


def test_the_report_says_what_the_records_say():
    text = report.report(FOUND)
    assert f"| {CELL} | 3.00 s | 0.25 (0.25-0.38) | 1.50 (1.25-1.75) | 0.67 (0.58-0.83) |" in text
    assert f"| {CELL} | 1.50 s | 0.50 (0.50-0.75) | 3.00 (2.50-3.50) | 1.33 (1.17-1.67) |" in text
    assert f"| {CELL} | JAX jit | at least 1 | 0.67 (0.58-0.83) **missed** | 1.33 (1.17-1.67) met |" in text
    assert "| seconds of `xpnn --help` | at most 0.2 | 0.20 (0.15-0.25) met |" in text
    assert "| seconds of `import xpnn` beyond NumPy's | at most 0.15 | 0.20 (0.15-0.30) **missed** |" in text
    assert "| PyTorch eager, peak memory | at least 1 | 4.00 (4.00-4.00) met | - |" in text
    assert f"| {CELL} | 50 (1) | 200 (1) |" in text
    assert "Met: xpnn 3 of 6, xpnn-fast 3 of 6." in text
    assert "- keras: keras is not installed (1 cells)" in text


def test_a_family_measured_again_replaces_its_records_alone():
    again = STEP | {"cell": "784-128-10/adam/32"}
    joined = report.joined(FOUND, {"machine": MACHINE, "rounds": 9, "cells": [again]})
    assert (joined["rounds"], joined["cells"]) == (9, [START, MEMORY, PROFILE, again])


def test_durations_have_a_fitting_unit():
    assert [report.duration([s]) for s in (2.0, 0.25, 0.00036, 0.000036)] == [
        "2.00 s",
        "250.00 ms",
        "0.36 ms",
        "36.00 µs",
    ]


def test_the_readme_is_what_the_newest_report_gives():
    for path in sorted(REPORTS.glob("????-??-??.json"))[-1:]:
        found, text = json.loads(path.read_text()), readme.README.read_text()
        assert readme.put(text, readme.section(found, path.stem)) == text, f"ci/bench --readme {path}"
        assert path.with_suffix(".md").read_text() == report.report(found)


def test_the_readme_section_is_replaced_alone():
    text = f"# a\n\n{readme.HEADING}\nold\n\n## Next\n\nmore\n"
    new = readme.put(text, readme.section(FOUND, "2000-01-31"))
    assert "old" not in new
    assert new.startswith("# a\n\n## Speed\n\nA step with Adam")
    assert new.endswith("|\n\n## Next\n\nmore\n")
    assert "| 784-128-10, batch 128 | 3.00 s | 1.50 s | 3.00 | 3.00 | 1.33 | - | - | 0.50 |" in new
    without = FOUND | {"cells": [STEP | {"seconds": {k: v for k, v in TIMES.items() if k != "xpnn-fast"}}]}
    assert "| 784-128-10, batch 128 | 3.00 s | - | 1.50 |" in readme.section(without, "x")
    assert max(map(len, new.splitlines())) <= 120


def test_the_guard_accuses_what_is_a_tenth_slower():
    assert guard.suspects({"a xpnn": 1.09, "b xpnn": 1.11}) == ["b xpnn"]
    now, again = {"a": 1.0, "b": 4.0, "c": 1.0}, {"b": 3.0, "c": 2.0}
    assert guard.better(now, again) == {"a": 1.0, "b": 3.0, "c": 1.0}
    times = {"xpnn": [4.0, 2.0, 2.0, 9.0], "xpnn-before": [1.0, 1.0, 1.0, 5.0]}
    assert guard.ratios_of(times, "a") == {"a xpnn": 2.0}


@pytest.fixture
def look(monkeypatch, capsys):
    """look(made-up sweeps) -> exit code, what was printed, what was measured."""
    cells = [("train", Cell(name, NARROW, 32)) for name in "ab"]
    monkeypatch.setattr(guard, "cells", lambda _: cells)
    monkeypatch.setattr(guard, "older", lambda _: contextlib.nullcontext("tree"))

    def call(*sweeps):
        left, asked = list(sweeps), []

        def sweep(tree, wanted):
            assert tree == "tree"
            asked.append([cell.name for _, cell in wanted])
            return {key: ratio for key, ratio in left.pop(0).items() if key.split()[0] in asked[-1]}

        monkeypatch.setattr(guard, "sweep", sweep)
        return guard.look(["mlp"], "v1"), capsys.readouterr().out, asked

    return call


def test_a_suspect_is_measured_again_before_it_is_accused(look):
    assert look({"a xpnn": 1.0, "b xpnn": 0.5}) == (0, "0 of 2 slower by more than 10%\n", [["a", "b"]])
    code, _, asked = look({"a xpnn": 9.0, "b xpnn": 1.0}, {"a xpnn": 1.05})
    assert (code, asked) == (0, [["a", "b"], ["a"]])
    code, printed, asked = look(*[{"a xpnn": 1.0, "b xpnn": 1.33}] * 4)
    assert (code, asked) == (1, [["a", "b"], *[["b"]] * 3])
    assert "slower: b xpnn: 1.33 times as long as in v1\n" in printed


@pytest.fixture
def repository(monkeypatch, tmp_path):
    """One with a package that was changed after its only commit."""
    package = tmp_path / "xpnn"
    package.mkdir()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    (package / "__init__.py").write_text("raise RuntimeError('as it was')\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "One"]):
        subprocess.run([*git, *words], check=True)
    (package / "__init__.py").write_text("raise RuntimeError('as it is')\n")
    monkeypatch.setattr(guard, "ROOT", tmp_path)
    return tmp_path


def test_the_older_contender_is_that_of_the_revision(repository):
    cell = Cell("", NARROW, 4)
    with guard.older("HEAD") as tree, Arena(["xpnn", "xpnn-before"], trees={"xpnn-before": tree}) as arena:
        assert arena.build("train", cell) == {"xpnn-before": "RuntimeError: as it was"}


def test_a_revision_that_is_not_there(repository, capsys):
    assert guard.look(["mlp"], "nowhere") == 2
    assert "there is no revision 'nowhere': fatal: " in capsys.readouterr().err


def test_a_missing_rival_is_a_line(monkeypatch):
    monkeypatch.setattr(libraries.importlib.util, "find_spec", lambda name: None if name == "jax" else name)
    assert missing(["xpnn", "jax"]) == {"jax": "jax is not installed"}


def test_the_arena_lets_contenders_take_turns_and_leaves_out_who_cannot():
    cell = Cell("", NARROW, 4)
    with Arena(["xpnn", FLOOR]) as arena:
        assert arena.build("epochs", cell).keys() == {"xpnn", FLOOR}
        assert arena.turns(2, 0.0) == {}
        assert arena.build("train", cell) == {}
        times = arena.turns(3, 0.0)
    assert times.keys() == {"xpnn", FLOOR}
    assert all(len(seconds) == 3 and min(seconds) > 0 for seconds in times.values())
    assert list(rotated(["a", "b", "c"], 4)) == ["b", "c", "a"]


def test_a_contender_whose_process_ends_is_left_out_from_then_on():
    cell = Cell("", NARROW, 4)
    with Arena(["xpnn", FLOOR]) as arena:
        arena.processes[0].kill()
        arena.processes[0].join()
        for _ in range(2):
            assert arena.build("train", cell) == {"xpnn": "its process ended"}
            assert arena.turns(2, 0.0).keys() == {FLOOR}


def test_memory_is_that_of_a_process_of_its_own():
    small, large = (memory(FLOOR, "train", Cell("", NARROW, n)) for n in (4, 40_000))
    assert large["peak"] - small["peak"] > 40_000 * 784 * 4 > abs(large["imported"] - small["imported"])
    assert "AttributeError" in memory(FLOOR, "epochs", Cell("", NARROW, 4))


def test_the_figure_has_a_line_for_each_of_ours_and_the_floor(tmp_path):
    pytest.importorskip("matplotlib")
    seconds = {name: [1.0, 2.0, 3.0] for name in (*OURS, FLOOR)}
    cells = [{"cell": cell.name, "seconds": seconds} for cell in family("growth").CELLS]
    draw(cells, tmp_path / "growth.svg")
    text = (tmp_path / "growth.svg").read_text()
    for word in ("batch", "width", "depth", "xpnn with numba", "bare matrix products"):
        assert re.search(rf">\s*{word}\s*<", text), word


def test_a_kernel_that_another_one_calls_is_the_others_time():
    spent = Counter()
    inner = profile.clocked(lambda: time.sleep(0.002), "inner", spent)
    outer = profile.clocked(inner, "outer", spent)
    outer()
    assert spent.keys() == {"outer"}
    inner()
    assert spent["inner"] >= 0.002
    failing = profile.clocked(lambda: 1 / 0, "failing", spent)
    with pytest.raises(ZeroDivisionError):
        failing()
    assert spent.keys() == {"outer", "inner", "failing"}


def test_shares_are_printed_with_the_remainder():
    record = {"cell": "c", "shares": {"xpnn": {"matmul": 0.61, "mask": 0.001, "affine": 0.139}}}
    assert report.shared([record])[2] == "| c | xpnn | matmul 61%, affine 14% | 25% |"

"""The table and the Markdown of `ci/gpu`, from a recorded report whose numbers are plainly nobody's measurement."""

import json

import pytest

from benchmarks.gpu.contenders import CONTENDERS, RIVALS
from benchmarks.gpu.goals import goals
from benchmarks.gpu.nets import NETS, PRECISIONS, cell
from benchmarks.gpu.plan import STAGES
from benchmarks.gpu.report import LINES, MARK, markdown, middle, ratio, table
from benchmarks.gpu.roofline import Ceilings, flops, least, moved
from benchmarks.gpu.stages.steps import CELLS, apart, ratios

MACHINE = [
    {"name": "gpu", "gpu": "Test GPU", "driver_version": "1.2.3"},
    {"name": "versions", "cupy-cuda13x": "0.0"},
    {"name": "copy", "TBps": 1.0},
    *({"name": f"gemm {precision}", "TFLOPs": 100.0} for precision in PRECISIONS),
]


def step(net, batch, precision, times=None):
    """A row in which everybody takes 1 ms, but those in `times`."""
    each = {name: {"seconds": [1e-3 * (times or {}).get(name, 1.0)] * 7, "loss": 2.0} for name in CONTENDERS}
    row = {"name": net, "batch": batch, "precision": precision, "contenders": each}
    return row | {"ratios": ratios(each), "apart": apart(each)}


def accuracy(target, seconds, reached=True):
    row = {"target": target, "recipe": "mlp", "seeds": 10, "mean": target + 0.1, "least": target - 0.1}
    return row | {"reached": reached, "seconds": [seconds] * 3, "first_s": 1.0}


def recorded(times=None, rehearsal=False, **rows):
    """A report with everything in it."""
    found = {
        "machine": MACHINE,
        "conformance": [
            {"name": "without a graph", "reasons": {f"fault {i}": i for i in range(5)}},
            {"name": "all tests", "passed": 10, "tests": 12, "ok": True},
        ],
        "capture": [{"name": "ufunc", "verdict": "legal"}, {"name": "matmul", "verdict": "refused"}],
        "cublaslt": [{"name": "a", "first_over_best": 1.25}, {"name": "b", "why": "it knows no algorithm"}],
        "overhead": [{"name": f"call {i}", "host_us": 1.0} for i in range(13)],
        "steps": [step(*where, precision, times) for where in CELLS for precision in PRECISIONS],
        "accuracy": [accuracy(97, 0.01), accuracy(98, 0.05), accuracy(99, 0.6)],
    } | rows
    entries = [
        {
            "name": s.name,
            "kind": s.kind,
            "status": "ok",
            "why": "",
            "seconds": 1.0,
            "rows": found.get(s.name, []),
        }
        for s in STAGES
    ]
    report = {"date": "2000-01-01", "rehearsal": rehearsal, "seconds": 9.0, "stages": entries}
    return json.loads(json.dumps(report))


def test_the_table_fits_a_screenful_whatever_ran():
    lines = table(recorded())
    assert len(lines) <= LINES == 60
    assert "Test GPU" in lines[0]
    assert max(map(len, lines)) <= 160
    assert "goal" in lines[-1]  # nothing was cut off
    many = [step(*where, "fp32") for where in CELLS] * 9
    assert len(table(recorded(steps=many))) == LINES


def test_a_report_of_nothing_but_crashes_has_a_table():
    lines = table(recorded(**{stage.name: [] for stage in STAGES}))
    assert len(lines) == 1 + len(STAGES)


def test_the_commonest_reasons_why_steps_were_not_recorded_are_listed():
    lines = [line for line in table(recorded()) if "not recorded" in line]
    assert lines == ["not recorded in 0 tests: fault 0", "not recorded in 1 tests: fault 1"]


def test_a_line_for_every_stage_says_how_it_ended():
    report = recorded()
    report["stages"][1] |= {"status": "failed", "why": "3 failed, first: argmax"}
    lines = {line.split()[0]: line for line in table(report)}
    assert all(stage.name in lines for stage in STAGES)
    assert "failed" in lines["reductions"]
    assert "3 failed, first: argmax" in lines["reductions"]
    assert "10 of 12 tests passed" in lines["conformance"]


def test_findings_are_a_line_each():
    lines = table(recorded())
    assert "graphs do not hold: matmul" in lines
    assert "cuBLASLt's first choice: at most 1.25 times the best; no algorithm for 1" in lines


def test_a_rival_that_refused_is_a_dash_in_the_table_and_a_reason_in_the_report():
    row = step("784-128-10", 128, "fp32", {"torch": 3.0})
    row["contenders"]["jax"] = {"refused": "ImportError: no jax"}
    row["ratios"].pop("jax")
    report = recorded(steps=[row])
    (line,) = (line for line in table(report) if line.startswith("784-128-10"))
    assert line.split()[-1] == "-"
    assert "3.00" in line
    assert "| ImportError: no jax |" in markdown(report)
    assert "refused in 1 cells: jax: ImportError: no jax" in table(report)


def test_every_line_of_a_rehearsal_says_so_and_no_report_is_written():
    report = recorded(rehearsal=True)
    assert all(line.startswith(MARK) for line in table(report))
    with pytest.raises(ValueError, match="rehearsal"):
        markdown(report)


def test_a_report_names_its_machine():
    assert "Test GPU, driver 1.2.3" in markdown(recorded())
    for machine in ([], MACHINE[1:], [{"name": "gpu"}]):
        with pytest.raises(ValueError, match="machine"):
            markdown(recorded(machine=machine))


def test_goals_are_met_or_missed_by_the_worst_cell():
    everywhere = dict(zip(RIVALS, (6.0, 7.0, 8.0, 5.5), strict=True))
    words = [(value, met) for _, value, met in goals(recorded(everywhere))]
    assert words[:3] == [(pytest.approx(value), True) for value in (6.0, 7.0, 5.5)]
    assert words[4:] == [(0.05, True), (0.6, False)]
    rows = recorded(everywhere)["stages"]
    steps = next(entry["rows"] for entry in rows if entry["name"] == "steps")
    steps[0] = step("784-128-10", 128, "fp32", everywhere | {"torch": 4.9})
    assert next(goals(recorded(steps=steps)))[1:] == (pytest.approx(4.9), False)


def test_a_goal_without_a_measurement_is_neither():
    report = recorded(steps=[], accuracy=[], machine=MACHINE[:3])
    assert {(value, met) for _, value, met in goals(report)} == {(None, None)}
    slow = recorded(accuracy=[accuracy(98, 0.01, reached=False)])
    assert [met for _, _, met in goals(slow)][4:] == [False, None]


def test_a_ratio_is_taken_within_a_round():
    """A machine that halves its speed in the middle changes nothing."""
    row_data = {
        "xpnn": {"seconds": [1.0, 2.0, 4.0]},
        "torch": {"seconds": [3.0, 6.0, 12.0]},
        "jax": {"refused": "no"},
    }
    assert ratios(row_data) == {"torch": [3.0, 3.0, 3.0]}
    assert ratios({"torch": {"seconds": [1.0]}}) == {}
    row = {"ratios": {"torch": [1.0, 2.0, 3.0, 4.0, 5.0]}}
    assert ratio(row, "torch") == "3.00 (2.00-4.00)"
    assert middle(row, "torch") == 3.0


def test_losses_that_differ_are_reported():
    assert apart({"a": {"loss": 2.0}, "b": {"loss": 2.0}, "c": {"loss": 3.0}, "d": {"refused": "no"}}) == 0.5
    assert apart({"a": {"loss": 2.0}, "b": {"loss": float("nan")}}) == float("inf")
    for value in (0.5, "inf"):  # JSON has no infinity
        row = step("784-128-10", 128, "fp32") | {"apart": value}
        assert any("losses differ" in line for line in table(recorded(steps=[row])))


# Operations and bytes, counted by hand for the smallest: 12 inputs, 8 hidden, 3 outputs, a batch of 5.
SMALL = 2 * 5 * (2 * 12 * 8 + 3 * 8 * 3)
BYTES = (
    5 * 12 * (1 + 4) + 4 * 5 * (2 * (12 + 8) + 2 * (8 + 3) + 3 + (8 + 3)) + 28 * (96 + 24) + 4 * (96 + 2 * 24)
)


def test_the_roofline_counts_operations_and_bytes():
    net = NETS["12-8-3"]
    assert flops(net, 5) == SMALL
    assert moved(net, 5, "fp32") == BYTES
    assert least(net, 5, "fp32", Ceilings({"fp32": 1e3}, 1e30)) == SMALL / 1e3
    assert least(net, 5, "fp32", Ceilings({"fp32": 1e30}, 1e3)) == BYTES / 1e3


def test_the_roofline_counts_what_the_library_counts():
    """Forward, a convolution or a dense layer is what `xpnn.diagnostics.flops` says."""
    from benchmarks.gpu.contenders.ours import layers
    from xpnn.diagnostics.flops import flops as counted
    from xpnn.layers import Conv2D, Dense

    for name in ("cnn", "784-1024-1024-10"):
        net, shape, forward = NETS[name], NETS[name].shape, []
        for layer in layers(net):
            forward += [counted(layer, shape)] if isinstance(layer, Conv2D | Dense) else []
            shape = layer.plan(shape)[1]
        assert flops(net, 7) == 7 * (3 * sum(forward) - forward[0])


def test_a_cell_has_whole_batches():
    assert [cell("784-128-10", batch, "fp32").samples for batch in (128, 8192, 60_000, 70_000)] == [
        59_904,
        57_344,
        60_000,
        70_000,
    ]

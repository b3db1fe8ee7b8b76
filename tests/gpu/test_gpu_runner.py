"""The runner of `ci/gpu` without a GPU: stages that hang, crash or refuse are entries of the report, and no more."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from installed_backends import INSTALLED

from benchmarks.gpu import needs
from benchmarks.gpu.__main__ import ROOT, main
from benchmarks.gpu.plan import BUDGET, END, STAGES, Stage, limit
from benchmarks.gpu.runner import passed, run_stages
from benchmarks.gpu.site import Notes

no_gpu = pytest.mark.skipif("cupy" in INSTALLED, reason="an NVIDIA driver is here")
HANG = "import threading; threading.Event().wait()"
PROGRAMS = {
    "good": "note(name='a', us=1.5); note(name='b', ok=True)",
    "wrong": "note(name='a', ok=True); note(name='b', ok=False)",
    "refuses": "note(refused='no such library'); sys.exit(4)",
    "crashes": "note(name='a', ok=True); raise ValueError('what went wrong')",
    "gives up": "note(name='a', ok=True); note(crashed='BackendError: no driver'); sys.exit(1)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "hangs": f"note(name='a', ok=True); {HANG}",
    "hangs with a child": (
        f"import subprocess; child = subprocess.Popen([sys.executable, '-c', {HANG!r}]); note(pid=child.pid); {HANG}"
    ),
    "leaves a child": (
        f"import subprocess; child = subprocess.Popen([sys.executable, '-c', {HANG!r}]); note(pid=child.pid)"
    ),
    "half a row": 'open(sys.argv[1], \'a\').write(\'{"name": "a", "ok": true}\\n{"name": "b\')',
    "counts": "[note(key='counts', passed=i) for i in range(5)]",
}
SETUP = "import sys; from pathlib import Path; from benchmarks.gpu.site import Notes; note = Notes(Path(sys.argv[1]));"


def program(stage, rows, seconds):
    return [sys.executable, "-c", SETUP + PROGRAMS[stage.name], str(rows)]


def run(folder, *names, kind="check", box=1.0, seconds=60.0):
    stages = [Stage(name, box, kind, "") for name in names]
    return run_stages(stages, program, folder, seconds, {"rehearsal": False})


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("good", "ok", ""),
        ("wrong", "failed", "1 failed, first: b"),
        ("refuses", "refused", "no such library"),
        ("crashes", "crashed", "ValueError: what went wrong"),
        ("gives up", "crashed", "BackendError: no driver"),
        ("killed", "crashed", "exit code -9"),
        ("half a row", "ok", ""),
        ("counts", "ok", ""),
    ],
)
def test_how_a_stage_ends_is_a_word_and_a_reason(tmp_path, name, status, why):
    (entry,) = run(tmp_path, name)["stages"]
    assert (entry["status"], entry["why"]) == (status, why)


def test_rows_written_before_a_crash_or_half_a_row_are_kept_and_of_a_key_the_last(tmp_path):
    entries = run(tmp_path, "crashes", "gives up", "half a row", "counts", "refuses")["stages"]
    assert [entry["rows"] for entry in entries] == [
        [{"name": "a", "ok": True}],
        [{"name": "a", "ok": True}],
        [{"name": "a", "ok": True}],
        [{"passed": 4}],
        [],
    ]


def test_a_hang_costs_its_time_and_the_next_stage_runs(tmp_path):
    report = run(tmp_path, "hangs", "good", seconds=2.5)
    assert [entry["status"] for entry in report["stages"]] == ["timed out", "ok"]
    assert report["stages"][0]["rows"] == [{"name": "a", "ok": True}]
    assert report["stages"][0]["limit"] == pytest.approx(1.5, abs=0.1)
    assert report["stages"][1]["limit"] >= 0.9  # its box was kept for it


@pytest.mark.parametrize("name", ["hangs with a child", "leaves a child"])
def test_nothing_that_a_stage_started_outlives_it(tmp_path, name):
    (entry,) = run(tmp_path, name, seconds=1.5)["stages"]
    try:
        child = os.pidfd_open(entry["rows"][0]["pid"])
    except ProcessLookupError:
        return
    assert select.select([child], [], [], 10)[0], "the child of the stage is alive"


def test_the_report_is_whole_after_every_stage(tmp_path):
    """A later stage reads what the earlier ones left."""
    PROGRAMS["reads"] = (
        "import json; found = json.loads((Path(sys.argv[1]).parent / 'report.json').read_text()); "
        "note(seen=[entry['status'] for entry in found['stages']])"
    )
    report = run(tmp_path, "good", "crashes", "reads")
    assert report["stages"][2]["rows"] == [{"seen": ["ok", "crashed"]}]
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "log.txt"}
    assert "what went wrong" in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("names", "kind", "good"),
    [
        (("good", "good"), "check", True),
        (("good", "wrong"), "check", False),
        (("crashes",), "check", False),
        (("refuses",), "check", False),
        (("refuses",), "extra", True),
        (("wrong",), "extra", False),
        (("crashes", "wrong", "refuses"), "measure", True),
    ],
)
def test_only_checks_that_did_not_pass_count(tmp_path, names, kind, good):
    assert passed(run(tmp_path, *names, kind=kind)) is good


def test_the_boxes_fit_in_nine_minutes():
    assert BUDGET <= 540
    assert sum(stage.box for stage in STAGES) <= BUDGET - END


def test_a_stage_may_use_what_earlier_ones_left_but_never_what_later_ones_are_sure_of():
    stages = tuple(Stage(str(i), box, "check", "") for i, box in enumerate((10, 20, 30)))
    assert [limit(stages, i, left) for i, left in enumerate((70, 65, 31))] == [20, 35, 31]
    assert limit(stages, 1, 25) < 0  # late already: it is cut off at once


@no_gpu
def test_without_a_driver_it_ends_at_once_and_says_so(tmp_path):
    done = subprocess.run(
        ["bash", "ci/gpu", "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHON": sys.executable},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("ci/gpu: there is no NVIDIA driver here: nothing was run")
    assert not list(tmp_path.iterdir())


def test_a_rehearsal_says_so_in_every_line_and_writes_no_report(tmp_path):
    done = subprocess.run(
        ["bash", "ci/gpu", "--rehearse", "--only", "capture", "--out", tmp_path, "--report", tmp_path / "report.md"],
        cwd=ROOT, capture_output=True, text=True, env=os.environ | {"PYTHON": sys.executable},
    )  # fmt: skip
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if not line.startswith("rehearsal | ")] == []
    assert "no report was written: a rehearsal ran on no GPU" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "log.txt"}
    assert json.loads((tmp_path / "report.json").read_text())["rehearsal"] is True


def test_a_missing_package_is_named_with_the_way_to_bring_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("benchmarks.gpu.__main__.NEEDS", {"no_such_module": "no-such-package"})
    monkeypatch.chdir(ROOT)
    assert main(["--rehearse", "--out", str(tmp_path)]) == 3
    printed = capsys.readouterr().err
    assert "missing here: no-such-package" in printed
    assert "pip download" in printed


def test_the_help_names_every_package_and_how_it_comes(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    command = said[said.index("pip download") : said.index("and bring")].split()
    for package in (needs.NEEDS | needs.BETTER).values():
        assert package in said
        assert (package in command) == (package not in ("numpy", "torch", "jax"))


def test_wheels_of_the_checkout_are_installed_without_a_network(tmp_path, monkeypatch):
    """Into a folder of their own, which child processes know."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    wheel(tmp_path)
    site = needs.install(tmp_path)
    assert (Path(site) / "brought_along.py").read_text() == "HERE = 1\n"
    assert needs.missing({"brought_along": "brought-along"}) == []
    assert needs.missing({"not_brought": "not-brought"}) == ["not-brought"]
    assert needs.install(tmp_path / "empty") == ""


def test_a_wheel_that_does_not_fit_is_one_line(monkeypatch, capsys, tmp_path):
    """And the others are installed all the same."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "a_wheel-1.0-cp38-cp38-win32.whl").write_text("nothing")
    wheel(tmp_path)
    site = needs.install(tmp_path)
    assert (Path(site) / "brought_along.py").exists()
    assert (
        capsys.readouterr().err == f"ci/gpu: {tmp_path}/a_wheel-1.0-cp38-cp38-win32.whl does not fit here\n"
    )


def wheel(folder):
    import zipfile

    name = "brought_along-1.0"
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as file:
        file.writestr("brought_along.py", "HERE = 1\n")
        file.writestr(
            f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\nName: brought-along\nVersion: 1.0\n"
        )
        file.writestr(
            f"{name}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{name}.dist-info/RECORD", "")


def test_numbers_that_json_cannot_hold_are_words(tmp_path):
    Notes(tmp_path / "rows")(a=float("nan"), b=[float("-inf"), 1 / 3], c={"d": True})
    assert json.loads((tmp_path / "rows").read_text()) == {
        "a": "nan",
        "b": ["-inf", 0.333333],
        "c": {"d": True},
    }


@pytest.mark.parametrize(("count", "said"), [(0, "there is no GPU"), (1, "there is one GPU")])
def test_two_processes_are_checked_where_there_are_two_gpus_alone(monkeypatch, capsys, count, said):
    from benchmarks.gpu import ranks

    monkeypatch.setattr(ranks, "gpus", lambda: count)
    monkeypatch.setattr(ranks.importlib.util, "find_spec", lambda name: name)
    assert ranks.main() == 0
    assert capsys.readouterr().out == f"ci/gpu --distributed: skipped, {said}, and two are needed\n"

"""`xpnn runs`: what is listed, what is compared, and files that come from somebody else."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import workplace  # noqa: F401

from xpnn.cli.runs import new_run
from xpnn.training.json_lines import line_of

pytestmark = pytest.mark.usefixtures("workplace")


def made(name, *, losses=(0.5, 0.25, 0.3), epochs=5, result=None, holder=None, **settings):
    """A run folder as a training would leave it."""
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    recipe = {"hidden": [8], "epochs": epochs, "lr": 0.01} | settings
    about = {
        "dataset": "spiral",
        "model": "mlp",
        "seed": 1,
        "parameters": 51,
        "settings": recipe,
        "result": result,
    }
    (folder / "run.json").write_text(json.dumps(about))
    rows = (
        {"epoch": i, "train_loss": loss, "valid_loss": loss, "valid_accuracy": 1 - loss, "lr": 0.01, "seconds": 2.0,
         "best": True}
        for i, loss in enumerate(losses, 1)
    )  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(map(line_of, rows)))
    if holder is not None:
        (folder / ".xpnn.holder").write_text(json.dumps({"since": "today", **holder}))
    return folder


def here(pid):
    return {"pid": pid, "host": socket.gethostname()}


def dead_process():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def listed(out):
    return {line.split()[0]: line.split()[1:] for line in out.splitlines()[2:]}


def test_each_state_and_the_best_epoch(xp):
    made("whole", losses=(0.5, 0.25, 0.3), epochs=3, result={"test_accuracy": 0.7, "stopped": None})
    made("early", result={"test_accuracy": 0.5, "stopped": "early stopping: 2 epochs"})
    made("trains", holder=here(os.getpid()))
    made("killed", holder=here(dead_process()), losses=())
    made("elsewhere", holder={"pid": 1, "host": "another"})
    Path("runs/no-run").mkdir()
    code, out, err = xp("runs", "--sort", "name")
    assert (code, err) == (0, "")
    found = listed(out)
    assert list(found) == ["early", "elsewhere", "killed", "trains", "whole"]
    assert found["whole"] == ["done", "3/3", "0.25", "75.00", "%", "70.00", "%", "51"]
    states = {name: cells[0] for name, cells in found.items()}
    assert states == {
        "early": "stopped", "elsewhere": "training", "killed": "interrupted", "trains": "training", "whole": "done",
    }  # fmt: skip
    assert found["killed"][1:] == ["0/5", "-", "-", "-", "51"]


def test_the_order(xp):
    for i, (name, loss) in enumerate([("b", 0.3), ("a", 0.2), ("c", 0.1)]):
        os.utime(made(name, losses=(loss,)), (i, i))
    assert list(listed(xp("runs")[1])) == ["c", "a", "b"]
    assert list(listed(xp("runs", "--sort", "name")[1])) == ["a", "b", "c"]
    assert list(listed(xp("runs", "--sort", "loss")[1])) == ["c", "a", "b"]
    assert list(listed(xp("runs", "--sort", "accuracy")[1])) == ["c", "a", "b"]
    assert list(listed(xp("runs", "runs/b", "runs")[1])) == ["b", "c", "a"]


def test_two_runs_side_by_side(xp):
    made("a", hidden=[8, 8], result={"test_accuracy": 0.5})
    made("b", hidden=[16], lr=0.5, losses=(0.9,))
    code, out, err = xp("runs", "runs/a", "runs/b")
    assert (code, err) == (0, "")
    rows = [[cell for cell in line.split("  ") if cell] for line in out.splitlines()]
    found = {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}
    assert found["hidden"] == ["[8, 8]", "[16]"]
    assert found["lr"] == ["0.01", "0.5"]
    assert "seed" not in found
    assert found["best epoch"] == ["2", "1"]
    assert found["test acc"] == ["50.00 %", "-"]
    one = json.loads(xp("runs", "runs/a", "runs/b", "--json")[1])
    assert one["different"] == {"hidden": [[8, 8], [16]], "lr": [0.01, 0.5]}
    assert [run["run"] for run in one["runs"]] == ["runs/a", "runs/b"]
    assert one["runs"][0]["valid_loss"] == 0.25


def test_what_a_file_holds_is_shown_as_text(xp):
    """Escape codes and markup of others, numbers that are none, and damaged files beside whole ones."""
    bad = "\x1b[31m[bold]red"
    made("a", activation=bad, result={"test_accuracy": None, "test_loss": "much"})
    made("b")
    made(f"{bad}-name")
    code, out, err = xp("runs", "runs/a", "runs/b")
    assert (code, "\x1b" in out + err) == (0, False)
    assert r"\x1b[31m[bold]red" in out
    code, out, err = xp("runs")
    assert (code, "\x1b" in out + err) == (0, False)
    Path("runs/a/metrics.jsonl").write_text('{"epoch": 1}\n')
    Path("runs/b/run.json").write_text("[" * 10_000)
    code, out, err = xp("runs", "--sort", "name")
    assert code == 0
    assert [cells[0] for cells in listed(out).values()] == ["interrupted", "damaged", "damaged"]
    assert "runs/a/metrics.jsonl is damaged: line 1" in err
    assert "runs/b/run.json is damaged" in err


def test_a_last_line_that_is_being_written(xp):
    folder = made("a", holder=here(os.getpid()))
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "train_lo')
    code, out, err = xp("runs")
    assert (code, err, listed(out)["a"][1]) == (0, "", "3/5")


@pytest.mark.parametrize("args", [(), ("nowhere",), ("empty",)])
def test_no_run(xp, args):
    Path("empty").mkdir()
    code, out, err = xp("runs", *args)
    assert (code, out) == (7, "")
    assert "fix: xpnn train makes" in err


def test_the_oldest_of_very_many_are_left_out_and_counted(xp, monkeypatch):
    monkeypatch.setattr("xpnn.cli.overview.MOST", 2)
    for i in range(3):
        os.utime(made(f"r{i}"), (i, i))
    code, out, err = xp("runs")
    assert (code, list(listed(out))) == (0, ["r2", "r1"])
    assert err == "runs: the newest 2 runs; 1 older ones are left out\n"


def test_a_folder_that_another_process_has_just_made_is_passed_over(monkeypatch):
    """It is there, though it was not when the names were listed."""
    made("spiral-mlp-1")
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    run = new_run("spiral", "mlp", None)
    assert run.folder == Path("runs/spiral-mlp-2")

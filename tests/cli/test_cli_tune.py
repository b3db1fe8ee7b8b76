"""`xpnn tune`: what is searched, what is written, resuming, pruning, processes, and samples that stay unseen."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.cli import run
from xpnn.errors import DivergedError

optuna = pytest.importorskip("optuna")
from xpnn.cli import search  # noqa: E402
from xpnn.cli.trials import Task  # noqa: E402

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = ["tune", "spiral", "--epochs", "2"]
FOLDER = Path("runs/tune-spiral-mlp")


def task(**more):
    FOLDER.mkdir(parents=True, exist_ok=True)
    known = {"data": None, "label": None, "backend": "numpy", "device": "cpu", "folder": str(FOLDER)}
    return Task(**{"dataset": "spiral", "model": "mlp", "epochs": 2, "seed": 42, **known, **more})


def trials():
    return search.open_study(task()).get_trials(deepcopy=False)


def test_the_best_trial_is_what_train_does_with_its_file(xp):
    """Its settings, read back, give its validation accuracy, to the last bit."""
    code, out, err = xp(*QUICK, "--trials", 4)
    assert code == 0
    assert max(map(len, (out + err).splitlines())) <= 80
    best = search.open_study(task()).best_trial
    assert best.value == max(t.value for t in trials() if t.value is not None)
    assert all(t.value == max(t.intermediate_values.values()) for t in trials() if t.state.name == "COMPLETE")
    stars = [line for line in err.splitlines() if re.match(r" +\d+\*", line)]
    assert stars[-1].split("*")[0].strip() == str(best.number)
    assert f"best   trial {best.number}, validation accuracy {100 * best.value:.2f} %" in out
    assert out.splitlines()[-1] == f"next   xpnn train --config {FOLDER}/best.toml"
    found = tomllib.loads((FOLDER / "best.toml").read_text())
    assert found["hidden"] == [best.params["width"]] * best.params["depth"]
    assert found.keys() == {
        "dataset", "model", "epochs", "seed", "hidden", "lr", "dropout", "optimizer", "batch_size", "schedule",
        "weight_decay", "label_smoothing",
    }  # fmt: skip
    code, printed, _ = xp("train", "--config", FOLDER / "best.toml", "--json")
    assert code == 0
    rows = [json.loads(line) for line in printed.splitlines()][1:-1]
    assert max(row["valid_accuracy"] for row in rows) == best.value
    assert [row["valid_accuracy"] for row in rows] == list(best.intermediate_values.values())


def test_the_same_command_goes_on(xp, monkeypatch):
    """Interrupted in its third trial, it makes what is missing; done, it makes none; asked to, it makes more."""
    draw, calls = search.draw, []

    def stop(trial, model, **given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return draw(trial, model, **given)

    monkeypatch.setattr(search, "draw", stop)
    code, _, err = xp(*QUICK, "--trials", 4)
    assert code == 130
    last = err.splitlines()[-1]
    assert last == f"xpnn: interrupted: the trials so far are in {FOLDER}/study.db; the same command goes on"
    made = [t.params for t in trials() if t.state.name == "COMPLETE"]
    assert len(made) == 2
    code, _, err = xp(*QUICK, "--trials", 4)
    assert (code, " · 2 made before · " in err) == (0, True)
    done = [t.params for t in trials() if t.state.name in ("COMPLETE", "PRUNED")]
    assert done[:2] == made
    assert len({json.dumps(params) for params in done}) == 4  # resumed, it draws others
    before = (FOLDER / "best.toml").read_text()
    assert xp(*QUICK, "--trials", 4)[0] == 0
    assert len(trials()) == 5  # the interrupted one included
    assert (FOLDER / "best.toml").read_text() == before
    assert xp(*QUICK, "--trials", 5)[0] == 0
    assert len(trials()) == 6


def test_a_regression_is_judged_by_its_error(xp):
    """The smallest RMSE wins, in the units of the label, and its file trains to it."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 300))
    rows = zip(a, b, 500 + 100 * a - 30 * b, strict=True)
    Path("prices.csv").write_text("a,b,price\n" + "".join(f"{a:.4f},{b:.4f},{c:.3f}\n" for a, b, c in rows))
    command = ["tune", "table", "--data", "prices.csv", "--epochs", 3, "--trials", 4, "--json"]
    code, out, _ = xp(*command)
    assert code == 0
    *each, end = [json.loads(line) for line in out.splitlines()]
    assert end["valid_rmse"] == min(event["valid_rmse"] for event in each if not event["pruned"])
    assert 0 < end["valid_rmse"] < 300
    config = Path("runs/tune-table-mlp/best.toml")
    assert tomllib.loads(config.read_text())["task"] == "regression"
    assert "validation RMSE" in config.read_text()
    code, out, _ = xp("train", "--config", config, "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()][1:-1]
    scale = np.std([500 + 100 * a - 30 * b for a, b in zip(a, b, strict=True)])
    assert end["valid_rmse"] == pytest.approx(scale * min(r["valid_loss"] for r in rows) ** 0.5, rel=0.1)
    code, _, err = xp(*command, "--task", "classification")
    assert code == 2
    assert "holds trials of numbers" in err


def test_a_study_of_something_else(xp):
    assert xp(*QUICK, "--trials", 1)[0] == 0
    code, out, err = xp("tune", "spiral", "--epochs", "3", "--trials", 1)
    assert (code, out) == (2, "")
    assert "holds trials of epochs 2, not 3" in err
    assert "another --out" in err
    assert xp("tune", "spiral", "--epochs", "3", "--trials", 1, "--out", "there")[0] == 0
    assert Path("there/best.toml").exists()


def test_events(xp):
    code, out, err = xp(*QUICK, "--trials", 2, "--json")
    assert (code, err) == (0, "")
    *each, end = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in each] == ["trial", "trial"]
    assert {"trial", "pruned", "valid_accuracy", "best", "settings"} <= each[0].keys()
    assert each[0]["best"] is True
    assert (end["event"], end["trials"], end["config"]) == ("end", 2, f"{FOLDER}/best.toml")
    assert end["valid_accuracy"] == max(event["valid_accuracy"] for event in each)


def test_the_test_samples_are_not_looked_at(xp, monkeypatch):
    """They are an object that cannot be computed with, and the same trials come out."""

    taken = []

    class Untouchable:
        def __getitem__(self, rows):
            assert rows == slice(None, 0)
            taken.append(rows)
            return np.zeros((0, 2))

    load = search.load

    def hidden(*args, **named):
        data = load(*args, **named)
        return xpnn.data.Dataset(
            data.name, data.x, data.y, Untouchable(), Untouchable(), data.classes, data.note
        )

    assert xp(*QUICK, "--trials", 2)[0] == 0
    monkeypatch.setattr(search, "load", hidden)
    monkeypatch.setattr(xpnn.Model, "evaluate", None)
    assert xp(*QUICK, "--trials", 2, "--out", "other")[0] == 0
    values = [t.value for t in trials()]
    assert [t.value for t in search.open_study(task(folder="other")).get_trials()] == values
    assert len(taken) == 2  # nothing is left of x_test and y_test when the first trial begins


def test_bad_trials_end_early(monkeypatch):
    """After five good trials, one whose accuracy is below their median is ended in its second epoch."""
    study, accuracies = search.open_study(task()), iter([0.9] * 4 * 5 + [0.1] * 4)

    def train(trial):
        watch = search.Watch(trial, float("inf"), lambda row: row.valid_accuracy)
        for epoch in range(1, 5):
            row = SimpleNamespace(epoch=epoch, valid_accuracy=next(accuracies))
            watch.epoch(None, row)
        return 0.9

    study.optimize(train, 6)
    *good, bad = study.get_trials()
    assert {t.state.name for t in good} == {"COMPLETE"}
    assert bad.state.name == "PRUNED"
    assert bad.intermediate_values == {1: 0.1, 2: 0.1}


def test_a_trial_that_diverges_is_no_failure(xp, monkeypatch):
    fit, calls = xpnn.Trainer.fit, []

    def explode(self, *args, **more):
        calls.append(1)
        if len(calls) == 1:
            raise DivergedError("loss became NaN")
        return fit(self, *args, **more)

    monkeypatch.setattr(xpnn.Trainer, "fit", explode)
    code, _, err = xp(*QUICK, "--trials", 2)
    assert code == 0
    assert [t.state.name for t in trials()] == ["PRUNED", "COMPLETE"]
    assert "ended early" in err


def test_the_time_limit(xp):
    code, out, err = xp(*QUICK, "--time-limit", "1e-6")
    assert (code, out) == (2, "")
    assert "no trial was finished" in err
    watch = search.Watch(search.open_study(task()).ask(), 0.0, lambda row: row.valid_accuracy)
    with pytest.raises(optuna.TrialPruned):
        watch.epoch(None, SimpleNamespace(epoch=1, valid_accuracy=1.0))


def test_processes_share_the_trials(capfd, monkeypatch):
    """As many as asked for, no two alike, one line printed for each; the parent's environment is as before."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    assert run([*QUICK, "--trials", "2", "--jobs", "2", "--json"]) == 0
    assert dict(os.environ) == before
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    printed = [event for event in lines if event["event"] == "trial"]
    assert len(trials()) == len(printed) == 2
    assert len({json.dumps(t.params) for t in trials()}) == 2


def test_no_two_processes_draw_alike():
    seeds = {search.seed_of(task(), worker, made) for worker in range(3) for made in range(3)}
    assert len(seeds) == 9
    assert search.seed_of(task(seed=1), 0, 0) not in seeds


def test_a_process_that_fails(monkeypatch):
    with pytest.raises(xpnn.errors.XpnnError, match="1 of 1 processes failed"):
        search.search(task(dataset="idx", data="nowhere"), 1, None, 2, "quiet")


@pytest.mark.parametrize("model", ["mlp", "cnn", "transformer", "rnn", "lenet", "resnet"])
def test_every_point_is_a_network(model):
    """The corners of the space fit every model."""
    from xpnn.cli.network import make_model
    from xpnn.recipes import recipe_for

    x = np.zeros((4, 28, 28, 1), np.uint8)
    data = xpnn.data.Dataset("mnist", x, np.zeros(4, int), x[:0], np.zeros(0, int), ("0", "1"), "")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for corner in ({"width": 16, "depth": 1}, {"width": 48}):
        study.enqueue_trial({**corner, "dropout": 0.5})
        trial = study.ask()
        settings = search.draw(trial, model)
        recipe = recipe_for("mnist", model).replace(**settings | {"hidden": tuple(settings["hidden"])})
        make_model(model, data, recipe, xpnn.get_backend("numpy"), 0)
        recipe.make_optimizer()


# A study that came from elsewhere, and folders with names


@pytest.mark.parametrize("name", ["a?b", "a#b", "a%20b", "a b", "a&mode=ro", ":memory:", "file:x", "*", "-a"])
def test_a_folder_is_a_folder_whatever_its_name_means_elsewhere(xp, name):
    assert xp(*QUICK, "--trials", 1, "--backend", "numpy", f"--out={name}")[0] == 0
    assert sorted(path.name for path in Path(name).iterdir()) == ["best.toml", "study.db"]
    assert [path.name for path in Path.cwd().iterdir()] == [name]


def other_study(path, *statements):
    import sqlite3

    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


ENDLESS = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n) SELECT k AS study_id FROM n"
STUDIES = {
    "no database": lambda path: path.write_text("garbage" * 100),
    "empty file": lambda path: path.touch(),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "a table of others": lambda path: other_study(path, "CREATE TABLE studies (mine)"),
    "an endless view": lambda path: other_study(path, f"CREATE VIEW studies AS {ENDLESS}"),
    "a trigger": lambda path: other_study(
        path, "CREATE TABLE a (b)", "CREATE TRIGGER c AFTER INSERT ON a BEGIN INSERT INTO a VALUES (1); END"
    ),
    "a virtual table": lambda path: other_study(path, "CREATE VIRTUAL TABLE studies USING fts5(a)"),
    "values of other types": lambda path: other_study(
        path, "UPDATE trial_params SET distribution_json = '[]'"
    ),
    "attributes that are no JSON": lambda path: other_study(
        path, "UPDATE study_user_attributes SET value_json = '{'"
    ),
    "parameters of others": lambda path: other_study(
        path, "DELETE FROM trial_params WHERE param_name = 'lr'"
    ),
}


@pytest.mark.parametrize("case", STUDIES)
def test_a_file_that_holds_no_study(xp, case):
    """Never an unexpected error: 5, or 7 where the disk seems to be at fault, or as a new one where it is empty."""
    if case in ("cut off", "values of other types", "attributes that are no JSON", "parameters of others"):
        assert xp(*QUICK, "--trials", 1, "--backend", "numpy")[0] == 0
    else:
        FOLDER.mkdir(parents=True)
    STUDIES[case](FOLDER / "study.db")
    code, _, err = xp(*QUICK, "--trials", 1, "--backend", "numpy")
    assert code == (0 if case == "empty file" else 5), err
    assert "a bug" not in err


def test_files_that_no_study_made_stay(xp, tmp_path):
    FOLDER.mkdir(parents=True)
    (FOLDER / "best.toml").write_text("mine")
    assert xp(*QUICK, "--trials", 1)[0] == 2
    assert (FOLDER / "best.toml").read_text() == "mine"
    (FOLDER / "best.toml").unlink()
    (tmp_path / "precious").write_text("precious")
    (FOLDER / "study.db").symlink_to(tmp_path / "precious")
    assert xp(*QUICK, "--trials", 1)[0] == 7
    assert (tmp_path / "precious").read_text() == "precious"


PARENT = """if True:
    import multiprocessing, sys, time
    from xpnn.cli.search import end_with_parent

    def child(pipe):
        end_with_parent()
        pipe.send(multiprocessing.current_process().pid)
        time.sleep(600)

    if __name__ == "__main__":
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        multiprocessing.get_context("spawn").Process(target=child, args=(theirs,), daemon=True).start()
        print(ours.recv(), flush=True)
        time.sleep(600)
"""


def test_children_end_with_their_parent_however_it_ends(tmp_path):
    """kill -9. The child holds the other end of our pipe: reading ends when it has."""
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, str(tmp_path / "parent.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert int(process.stdout.readline()) > 0
        process.kill()
        assert process.stdout.read() == ""


def test_importances_are_shown_once_there_are_enough_trials():
    """By a study in which the learning rate alone decides."""
    pytest.importorskip("sklearn")
    from xpnn.cli.tune import ENOUGH, importance

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))

    def accuracy(trial):
        return trial.suggest_float("lr", 0.0, 1.0) + 0 * trial.suggest_int("width", 1, 9)

    study.optimize(accuracy, ENOUGH - 1)
    assert importance(study) == []
    study.optimize(accuracy, 30)
    shares = importance(study)
    assert [name for name, _ in shares] == ["lr", "width"]
    assert shares[0][1] > 0.6


@pytest.mark.parametrize("pictures", [True, False])
def test_pictures_alone_are_augmented(pictures):
    fixed = {"lr": 0.01, "width": 16, "depth": 1, "dropout": 0.0, "optimizer": "adam", "batch_size": 32,
             "schedule": "constant", "weight_decay": 0.01, "label_smoothing": 0.1, "augment": True}  # fmt: skip
    settings = search.draw(optuna.trial.FixedTrial(fixed), "mlp", pictures=pictures)
    assert settings.get("augment", False) is pictures

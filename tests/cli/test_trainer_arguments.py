"""What the commands hand to the trainer, and what they make of its epochs: `train`, a trial of `tune`, a regression."""

import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.cli import fitting, network, regression
from xpnn.cli.runs import Run
from xpnn.data import Dataset
from xpnn.errors import DataError, DivergedError
from xpnn.recipes import Recipe
from xpnn.training.history import Row

pytestmark = pytest.mark.usefixtures("workplace")


class Trainer:
    """Notes what it was given; its epochs are ROWS."""

    made, rows, error = [], [], None

    def __init__(self, *args, **more):
        self.given, self.fitted = (args, more), None
        self.communicator = more.get("communicator") or SimpleNamespace(rank=0, each=lambda number: [number])
        self.history = SimpleNamespace(rows=self.rows)
        self.made.append(self)

    def fit(self, *args, **more):
        self.fitted = args, more
        if self.error:
            raise self.error


@pytest.fixture
def trainers(monkeypatch):
    monkeypatch.setattr("xpnn.training.trainer.Trainer", Trainer)
    Trainer.made, Trainer.rows, Trainer.error = [], [], None
    return Trainer.made


def data(shape=(2,), **more):
    return Dataset(
        "spiral",
        np.ones((6, *shape)),
        np.arange(6) % 2,
        np.ones((2, *shape)),
        np.arange(2),
        ("a", "b"),
        "",
        **more,
    )


def trained(samples, rank=0, resume=None, saved=()):
    folder = Path("r")
    folder.mkdir(exist_ok=True)
    run = Run(folder, True, None)
    for name in saved:
        (folder / name).touch()
    written = []
    group = SimpleNamespace(rank=rank, each=lambda number: [0])
    net = SimpleNamespace(save=written.append)
    recipe = Recipe(epochs=3, batch_size=4, validation=0.25, schedule="cosine")
    trainer = fitting.train(net, samples, recipe, "loss", "optimizer", run, ["more"], resume, group)
    (args, more), (fit_args, fit_more) = trainer.given, trainer.fitted
    assert args == (net, "loss", "optimizer")
    assert more == {"schedule": "cosine", "communicator": group}
    assert fit_args[0] is samples.x
    assert fit_args[1] is samples.y
    callbacks = fit_more.pop("callbacks")
    assert fit_more.pop("resume") == resume
    assert callbacks.pop() == "more"
    return [type(one).__name__ for one in callbacks], fit_more, written


def test_arguments_of_the_trainer_of_train(trainers, monkeypatch):
    watchers, settings, written = trained(data())
    assert watchers == ["StopOnSignal", "KeepBest", "Log", "Film", "Recorder"]
    assert settings == {"epochs": 3, "batch_size": 4, "validation": 0.25}
    assert written == [Path("r/best.safetensors")]  # the time was over before an epoch was
    own = (np.ones((2, 3)), np.arange(2))
    monkeypatch.setattr(fitting, "in_use", lambda: True)
    watchers, settings, written = trained(data((3,), validation=own), 0, Path("s"), ["best.safetensors"])
    assert watchers == ["StopOnSignal", "Release", "KeepBest", "Log", "Recorder"]
    assert settings["validation"] is own
    assert written == []


def test_rank_0_alone_saves_a_model_without_an_epoch(trainers):
    assert trained(data(), rank=1)[2] == []


def test_memory_of_data_on_the_disk_is_given_back_after_each_batch(monkeypatch):
    calls = []
    monkeypatch.setattr(fitting, "release", lambda: calls.append(1))
    fitting.Release().step(None)
    assert calls == [1]


def row(epoch, accuracy, loss):
    return Row(epoch, 1.0, loss, accuracy, 0.1, 1.0, True)


@pytest.mark.parametrize(("task", "rows", "value"), [
    (None, [(0.5, 0.9), (0.75, 0.5), (0.25, 0.1)], 0.75), ("regression", [(None, 4.0), (None, 0.25), (None, 1.0)], 0.5),
])  # fmt: skip
def test_arguments_of_the_trainer_of_a_trial(trainers, monkeypatch, task, rows, value):
    """Its best epoch counts; one that diverges is pruned."""
    optuna = pytest.importorskip("optuna")
    from test_trials_in_numbers import TASK

    from xpnn.cli import search

    Trainer.rows = [row(i, *one) for i, one in enumerate(rows, 1)]
    settings = {
        "hidden": [8, 4],
        "lr": 0.5,
        "batch_size": 32,
        "schedule": "cosine",
        "optimizer": "sgd",
        "augment": False,
    }
    drawn = []
    monkeypatch.setattr(
        search, "draw", lambda *args, **more: drawn.append((args, more)) or settings | {"augment": False}
    )
    samples = (
        data()
        if task is None
        else Dataset("spiral", np.ones((6, 2)), np.ones(6), np.ones((2, 2)), np.ones(2), (), "")
    )
    task = replace(TASK, task=task)
    assert search.objective(task, samples, "trial", 7.0) == value
    (trainer,) = trainers
    (net, loss, optimizer), more = trainer.given
    (x, y), fitted = trainer.fitted
    assert drawn == [(("trial", "mlp"), {"classes": task.task is None, "pictures": False})]
    assert [layer.units for layer in net.net.layers if isinstance(layer, xpnn.Dense)] == [
        8,
        4,
        samples.outputs,
    ]
    assert (net.seed, optimizer, more) == (0, xpnn.SGD(0.5), {"schedule": "cosine"})
    assert (x is samples.x, y is samples.y) == (True, True)
    (watch,) = fitted.pop("callbacks")
    assert fitted == {"epochs": 3, "batch_size": 32, "validation": 0.1}
    assert (watch.trial, watch.deadline) == ("trial", 7.0)
    assert type(loss).__name__ == ("SoftmaxCrossEntropy" if task.task is None else "MeanSquaredError")
    Trainer.error = DivergedError("loss became NaN")
    with pytest.raises(optuna.TrialPruned, match="loss became NaN"):
        search.objective(task, samples, "trial", 7.0)


@pytest.mark.parametrize(
    ("now", "prune", "ended"),
    [(6.9, False, False), (7.0, False, False), (7.1, False, True), (0.0, True, True)],
)
def test_each_epoch_of_a_trial_is_reported(monkeypatch, now, prune, ended):
    optuna = pytest.importorskip("optuna")
    from xpnn.cli import search

    told = []
    monkeypatch.setattr(search.time, "time", lambda: now)
    trial = SimpleNamespace(report=lambda *args: told.append(args), should_prune=lambda: prune)
    watch = search.Watch(trial, 7.0, lambda row: row.valid_accuracy)
    if ended:
        with pytest.raises(optuna.TrialPruned):
            watch.epoch(None, row(3, 0.5, 1.0))
    else:
        watch.epoch(None, row(3, 0.5, 1.0))
    assert told == [(0.5, 3)]


# Scores of a regression


class Units:
    """Answers in thousands."""

    def answers(self, y):
        return 1000.0 * np.asarray(y, float)


@pytest.mark.parametrize("many", [1 << 16, 7, 1])
def test_scores_in_units_of_the_label(monkeypatch, many):
    """By their formulas, whatever the number of samples at a time."""
    monkeypatch.setattr(regression, "TablePreparation", Units)
    monkeypatch.setattr(regression, "MANY", many)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 1)), rng.standard_normal(20)
    model = SimpleNamespace(preparation=Units(), predict=lambda x: x[:, 0])
    found = regression.in_units(model, SimpleNamespace(x_test=x, y_test=y))
    error, truth = 1000 * (y - x[:, 0]), 1000 * y
    assert found == pytest.approx({
        "r2": 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum(), "mae": np.abs(error).mean(),
        "rmse": math.sqrt((error**2).mean()),
    })  # fmt: skip


@pytest.mark.parametrize(("off", "r2"), [(0.0, 1.0), (0.5, 0.0)])
def test_a_label_that_never_changes(monkeypatch, off, r2):
    """R2 is 1 for what is predicted exactly, else 0."""
    monkeypatch.setattr(regression, "TablePreparation", Units)
    model = SimpleNamespace(preparation=Units(), predict=lambda x: x[:, 0] + off)
    found = regression.in_units(model, SimpleNamespace(x_test=np.ones((4, 1)), y_test=np.ones(4)))
    assert found == {"r2": r2, "mae": 1000 * off, "rmse": 1000 * off}


# A table with columns that are embedded


class Embedded:
    """Two features, and columns of two and of four values, embedded in 3 and in 2 numbers."""

    features = ("u", "v")
    embedded = (
        SimpleNamespace(values=("a", "b"), embedding=3),
        SimpleNamespace(values=tuple("abcd"), embedding=2),
    )


def test_embeddings_are_joined_with_the_features(monkeypatch):
    monkeypatch.setattr(network, "TablePreparation", Embedded)
    x = np.ones((3, 2), np.float32), np.array([0, 1, 2]), np.array([4, 0, 1])
    samples = Dataset("table", x, np.arange(3), x, np.arange(3), ("a", "b", "c"), "", Embedded())
    assert network.joined_width(samples) == 2 + 3 + 2
    graph = network.embedding(samples, [xpnn.Dense(3)])
    assert graph == xpnn.Graph(
        ("features", "column0", "column1"),
        {
            "embedding0": (xpnn.Embedding(3, 3), "column0"), "embedding1": (xpnn.Embedding(5, 2), "column1"),
            "joined": (xpnn.Concatenate(), ("features", "embedding0", "embedding1")),
            "outputs": (xpnn.Sequential((xpnn.Dense(3),)), "joined"),
        },
        "outputs",
    )  # fmt: skip
    model = xpnn.Model(graph, ((2,), (), ()), seed=0)
    table, other, w, b = (model.parameters()[f"{name}"] for name in (
        "embedding0.W", "embedding1.W", "outputs.0.W", "outputs.0.b"))  # fmt: skip
    joined = np.concatenate([x[0], table[x[1]], other[x[2]]], axis=1)
    np.testing.assert_allclose(model.forward(x), joined @ w + b, rtol=1e-5)


# Several processes, one of which may have to fetch the data


@pytest.mark.parametrize(("rank", "flags", "order"), [
    (0, (), ["load", "together"]), (1, (), ["together", "load"]), (0, ("--data", "a.npz"), ["load"]),
    (1, ("--data", "a.npz"), ["load"]),
])  # fmt: skip
def test_rank_0_fetches_the_data_before_the_others_read_it(xp, monkeypatch, rank, flags, order):
    command, calls = import_module("xpnn.cli.train"), []

    def stop(*args):
        raise DataError("enough was seen")

    group = SimpleNamespace(rank=rank, size=2)
    monkeypatch.setattr(command, "join", lambda *args: calls.append(args) or group)
    monkeypatch.setattr(command, "go_on_together", lambda: calls.append("together"))
    monkeypatch.setattr(
        command, "load", lambda *args, **more: calls.append("load") or SimpleNamespace(y=range(9))
    )
    monkeypatch.setattr(command, "fitting_batches", stop)
    code, out, err = xp("train", "moons", "--backend", "numpy", "--batch-norm", "local", *flags)
    assert (code, out, calls) == (4, "", [("auto", "local", None), *order])
    assert err.endswith("xpnn: error: enough was seen\n")

"""What `xpnn tune` draws, how it judges a trial, and what it prints of one."""

import json
import math
import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

optuna = pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

import xpnn  # noqa: E402
from xpnn.cli import search  # noqa: E402
from xpnn.cli.trials import Task  # noqa: E402
from xpnn.random import host_rng  # noqa: E402
from xpnn.training.history import Row  # noqa: E402

TASK = Task("spiral", "mlp", 3, 0, None, None, "numpy", "cpu", "study")
PARAMS = {"width": 32, "depth": 2, "lr": 0.00123456, "dropout": 0.25, "optimizer": "adam", "batch_size": 64}
SPACE = {
    "lr": FloatDistribution(1e-4, 1e-1, log=True),
    "width": IntDistribution(16, 512, step=16),
    "depth": IntDistribution(1, 3),
    "dropout": FloatDistribution(0.0, 0.5, step=0.05),
    "optimizer": CategoricalDistribution(("adamw", "adam", "rmsprop", "sgd")),
    "batch_size": CategoricalDistribution((32, 64, 128, 256, 512)),
    "schedule": CategoricalDistribution(("one-cycle", "cosine", "constant")),
    "weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
}
SMOOTHED = {"label_smoothing": FloatDistribution(0.0, 0.2, step=0.05)}
AUGMENTED = {"augment": CategoricalDistribution((False, True))}
ONE_DEEP = {"depth": IntDistribution(1, 1)}


@pytest.mark.parametrize(("model", "how", "space"), [
    ("mlp", {}, SPACE | SMOOTHED),
    ("cnn", {"pictures": True}, SPACE | SMOOTHED | AUGMENTED),
    ("transformer", {"classes": False}, SPACE | ONE_DEEP),
    ("rnn", {}, SPACE | SMOOTHED | ONE_DEEP),
])  # fmt: skip
def test_what_is_drawn(model, how, space):
    trial = optuna.create_study().ask()
    settings = search.draw(trial, model, **how)
    assert trial.distributions == space
    assert settings.keys() == {"hidden", *space} - {"width", "depth"}


def row(epoch, accuracy, loss):
    return Row(epoch, 1.0, loss, accuracy, 0.1, 1.0, True)


def test_what_an_epoch_is_judged_by():
    """Accuracy; of numbers the root of the squared error, in the units of the label."""
    classes = search.score_of(SimpleNamespace(classes=("a", "b")))
    assert [classes(row(1, 0.75, 0.5)), classes(row(1, None, 0.5))] == [0.75, 0.0]
    numbers = search.score_of(SimpleNamespace(classes=(), preparation=SimpleNamespace(label_std=3.0)))
    assert [numbers(row(1, None, 4.0)), numbers(row(1, None, None))] == [6.0, math.inf]
    assert search.score_of(SimpleNamespace(classes=(), preparation=None))(row(1, None, 4.0)) == 2.0


def test_each_process_has_a_seed_of_its_own():
    seeds = [search.seed_of(replace(TASK, seed=s), w, n) for s in (0, 1) for w in (0, 1) for n in (0, 1)]
    assert len(set(seeds)) == 8
    assert search.seed_of(TASK, 1, 2) == int(host_rng(0, "tune", 1, 2).integers(2**31))


def trial(state=TrialState.COMPLETE, value=0.98765, seen=()):
    return SimpleNamespace(
        number=7, params=PARAMS, state=state, value=value, intermediate_values=dict(enumerate(seen))
    )


PRUNED = {"state": TrialState.PRUNED, "value": None}


@pytest.mark.parametrize(("given", "task", "best", "line"), [
    ({}, None, True, "    7*   98.77 %  1.23e-03  32-32          0.25  adam         64\n"),
    ({}, None, False, "    7    98.77 %  1.23e-03  32-32          0.25  adam         64\n"),
    ({"value": 12.3456}, "regression", True, "    7*     12.35  1.23e-03  32-32          0.25  adam         64\n"),
    (PRUNED | {"seen": (0.5, 0.625, 0.25)}, None, False,
     "    7    62.50 %  1.23e-03  32-32          0.25  adam         64  ended early\n"),
    (PRUNED | {"seen": (5.0, 2.5, 3.0)}, "regression", False,
     "    7        2.5  1.23e-03  32-32          0.25  adam         64  ended early\n"),
    (PRUNED, None, False, "    7     0.00 %  1.23e-03  32-32          0.25  adam         64  ended early\n"),
])  # fmt: skip
def test_a_line_about_a_trial(given, task, best, line, capsys):
    search.tell_trial(replace(TASK, task=task), trial(**given), best, "say")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", line)
    search.tell_trial(replace(TASK, task=task), trial(**given), best, "quiet")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("given", "task", "value"), [
    ({}, None, 0.98765), (PRUNED, "regression", None), (PRUNED | {"seen": (3.0, 2.0)}, "regression", 2.0),
])  # fmt: skip
def test_an_event_about_a_trial(given, task, value, capsys):
    search.tell_trial(replace(TASK, task=task), trial(**given), False, "json")
    printed = capsys.readouterr()
    assert printed.err == ""
    settings = {"hidden": [32, 32], "lr": 0.00123, "dropout": 0.25, "optimizer": "adam", "batch_size": 64}
    name = "valid_rmse" if task else "valid_accuracy"
    assert json.loads(printed.out) == {
        "event": "trial", "trial": 7, "pruned": "seen" in given or value is None, name: value, "best": False,
        "settings": settings,
    }  # fmt: skip


def test_of_equal_trials_the_first_is_the_best():
    study = optuna.create_study(direction="maximize")
    for value in (0.5, 0.75, 0.75):
        study.add_trial(optuna.trial.create_trial(value=value))
    assert [search.is_best(study, one) for one in study.trials] == [False, True, False]
    assert not search.is_best(study, SimpleNamespace(state=TrialState.PRUNED, number=1))


def test_the_cores_are_shared_by_the_processes(monkeypatch):
    """Where no variable says otherwise; afterwards the variables are what they were."""
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    for name in search.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    for jobs, share in ((3, "2"), (8, "1"), (20, "1"), (1, "8")):
        with search.threads_each(jobs):
            assert [os.environ[name] for name in search.THREADS] == [share, "5", share]
        assert [os.environ.get(name) for name in search.THREADS] == [None, "5", None]


def test_the_test_samples_are_left_out_of_the_search():
    data = xpnn.data.load("spiral", None, 0, verbose=0)
    found = search.without_test(data)
    assert (len(found.x_test), len(found.y_test)) == (0, 0)
    assert found.x_test.shape[1:] == data.x_test.shape[1:]
    assert found.x is data.x

"""What watches a run: stops it, saves it, measures it, charts it."""

import gc
import json
import math
import os
import signal
import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import xpnn
from xpnn.cli.machine import git_state, machine
from xpnn.errors import BackendError, UsageError
from xpnn.training import (
    Callback,
    Checkpoint,
    EarlyStopping,
    KeepBest,
    Row,
    Statistics,
    StopOnSignal,
    TensorBoard,
    TimeLimit,
    Trainer,
)
from xpnn.training.run import Run
from xpnn.training.state import read_state, same_kind

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def fitted(*callbacks, optimizer=None, epochs=4, layers=None, resume=None, validation=None):
    model = xpnn.Model(layers or [xpnn.Dense(4), xpnn.Tanh(), xpnn.Dense(3)], (4,), seed=1, dtype="float64")
    trainer = Trainer(model, optimizer=optimizer or xpnn.SGD(0.1))
    settings = {"epochs": epochs, "batch_size": 16, "validation": validation, "resume": resume}
    trainer.fit(X, IDS, callbacks=callbacks, **settings)
    return trainer


class At(Callback):
    """Does something after a step."""

    def __init__(self, step, what):
        self.at, self.what = step, what

    def step(self, run):
        if run.steps == self.at:
            self.what(run)


def test_callbacks_are_called_in_order():
    seen = []

    class All(Callback):
        def start(self, run, epochs, samples, batch_size):
            seen.append(("start", epochs, samples, batch_size))

        def step(self, run):
            seen.append(("step", run.steps))

        def progress(self, epoch, samples, loss):
            seen.append(("progress", epoch, samples))

        def epoch(self, run, row):
            seen.append(("epoch", row.epoch))

        def finish(self, run):
            seen.append(("finish",))

        def end(self, run):
            seen.append(("end",))

    fitted(All(), epochs=1)
    steps = [("step", n) for n in (1, 2, 3)]
    assert seen == [
        ("start", 1, 60, 16),
        *steps,
        ("progress", 1, 60),
        ("step", 4),
        ("epoch", 1),
        ("finish",),
        ("end",),
    ]


def test_nothing_finishes_that_failed():
    seen = []

    class Both(Callback):
        def finish(self, run):
            seen.append("finish")

        def end(self, run):
            seen.append("end")

    def fail(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(Both(), At(2, fail))
    assert seen == ["end"]


def test_a_function_is_called_after_each_epoch():
    seen = []
    trainer = fitted(lambda run, row: seen.append((run.steps, row)))
    assert seen == list(zip((4, 8, 12, 16), trainer.history, strict=True))
    for wrong in (3, "checkpoint", KeepBest):
        with pytest.raises(UsageError, match="is no callback"):
            fitted(wrong)


def test_nothing_of_a_fit_is_kept():
    """The data above all: it is gone at once, without the garbage collector."""
    seen = []
    gc.disable()
    try:
        trainer = fitted(KeepBest(), At(2, lambda run: seen.append(weakref.ref(run))))
        assert seen[0]() is None
        assert trainer.run is None
    finally:
        gc.enable()


def test_what_the_run_was_asked_for_by_the_trainers_name():
    """Callbacks of older versions took their first argument for the trainer, which had the run's attributes."""
    seen = []

    def look(run):
        trainer = run.trainer
        with pytest.warns(DeprecationWarning, match="trainer.losses belongs to one fit: run.losses"):
            assert trainer.losses is run.losses
        with pytest.warns(
            DeprecationWarning, match="a callback is given the run: write run.trainer.objective"
        ):
            assert run.objective is trainer.objective
        run.rate = 0.25
        assert trainer.rate == run.rate == 0.25
        seen.append((run.model is trainer.model, run.history is trainer.history, run.steps, run.lr))
        run.stopped = "seen"

    trainer = fitted(At(2, look), optimizer=xpnn.SGD(0.5))
    assert seen == [(True, True, 2, 0.5)]
    assert trainer.stopped == "seen"
    with pytest.warns(DeprecationWarning, match="belongs to one fit"):
        assert (trainer.losses, trainer.batch(), trainer.epochs) == ((), (), 0)


# Early stopping


def stopped(values, monitor="valid_loss", **how):
    """The epoch after which these values stop the run, and what is the best by then."""
    callback, trainer = (
        EarlyStopping(monitor=monitor, restore=False, **how),
        Trainer(xpnn.Model([xpnn.Dense(1)], (1,))),
    )
    for epoch, value in enumerate(values, 1):
        numbers = {"valid_loss": 1.0, "train_loss": 1.0, "valid_accuracy": None} | {monitor: value}
        callback.epoch(trainer, Row(epoch, lr=1.0, seconds=0.0, best=False, **numbers))
        if trainer.stopped:
            return epoch, callback.state["best"]
    return None, callback.state["best"]


@pytest.mark.parametrize(
    ("values", "how", "wanted"),
    [
        ([3, 2, 2, 1.5, 1.6, 1.7], {"patience": 2}, (6, 1.5)),
        ([3, 2, 2, 1.5, 1.6, 1.4], {"patience": 2}, (None, 1.4)),
        ([3, 2.95, 2.9, 2.0], {"patience": 2, "min_delta": 0.5}, (3, 3)),
        ([3, 2.5, 2.0], {"patience": 1, "min_delta": 0.5}, (2, 3)),
        ([math.nan, math.inf, 1], {"patience": 2}, (2, None)),
        ([math.nan, 5, math.nan, math.nan], {"patience": 2}, (4, 5)),
        ([0.5, 0.6, 0.6, 0.5], {"patience": 2, "monitor": "valid_accuracy"}, (4, 0.6)),
        ([1, 2], {"patience": 1, "monitor": "train_loss"}, (2, 1)),
    ],
    ids=str,
)
def test_early_stopping_by_hand(values, how, wanted):
    assert stopped(values, **how) == wanted


def test_early_stopping_restores_the_best_and_says_why():
    at = {}
    spy = lambda run, row: at.update({row.epoch: run.model.theta.copy()})  # noqa: E731
    stop = EarlyStopping(3, monitor="valid_loss")
    trainer = fitted(spy, stop, optimizer=xpnn.SGD(3.0), epochs=200, validation=20)
    losses = trainer.history["valid_loss"]
    best = int(np.argmin(losses)) + 1
    assert len(losses) == best + 3 < 200
    assert trainer.stopped == "early stopping: 3 epochs without improvement"
    np.testing.assert_array_equal(trainer.model.theta, at[best])
    last = fitted(EarlyStopping(3, restore=False), optimizer=xpnn.SGD(3.0), epochs=200, validation=20)
    np.testing.assert_array_equal(last.model.theta, at[best + 3])


def test_early_stopping_goes_on_counting(tmp_path):
    """A resumed run stops where the whole one does, and one that had stopped does not train again."""

    def run(*more, resume=None):
        return fitted(
            EarlyStopping(3), *more, optimizer=xpnn.SGD(3.0), epochs=200, validation=20, resume=resume
        )

    whole = run(Checkpoint(tmp_path / "end"))
    cut, path = 3 * (len(whole.history) - 2) + 1, tmp_path / "state"  # inside the epochs that count
    run(At(cut, lambda run: setattr(run, "stopped", "test")), Checkpoint(path))
    for state in (path, tmp_path / "end"):
        rest = run(resume=state)
        assert (rest.steps, len(rest.history), rest.stopped) == (
            whole.steps,
            len(whole.history),
            whole.stopped,
        )
        np.testing.assert_array_equal(rest.model.theta, whole.model.theta)


# Checkpoints


def saves(monkeypatch, tmp_path, **how):
    seen = []
    monkeypatch.setattr(Run, "save_state", lambda self, path: seen.append((self.steps, path.name)))
    fitted(Checkpoint(tmp_path / "last.st", **how))
    return seen


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        ({}, [4, 8, 12, 16]),
        ({"epochs": 3}, [12, 16]),
        ({"steps": 5}, [5, 10, 15, 16]),
        ({"steps": 6, "epochs": 2}, [6, 8, 12, 16]),
        ({"minutes": 100}, [16]),
    ],
    ids=str,
)
def test_when_a_checkpoint_is_written(monkeypatch, tmp_path, how, steps):
    """Always at the end, and never twice in one place."""
    assert saves(monkeypatch, tmp_path, **how) == [(step, "last.st") for step in steps]


def test_minutes(monkeypatch, tmp_path):
    clock = iter(range(10**6, 10**7, 20))  # every look at it is 20 seconds later
    monkeypatch.setattr("xpnn.training.checkpointing.time.monotonic", lambda: next(clock))
    seen = [step for step, _ in saves(monkeypatch, tmp_path, minutes=1)]
    assert seen == [3, 6, 9, 12, 15, 16]


@pytest.mark.parametrize(
    ("look", "share", "steps"), [(20, 0.5, [4, 12, 16]), (0.5, 1, [4, 12, 16]), (0.2, 1, [4, 16])]
)
def test_share_of_the_time(monkeypatch, tmp_path, look, share, steps):
    """Looks at the clock: one at the start, one per epoch, two per save, `look` seconds apart.

    At 20 s a save takes 20 s, and the next is due after 40; below a second, after a second.
    """
    clock = iter(10**6 + i * look for i in range(10**6))
    monkeypatch.setattr("xpnn.training.checkpointing.time.monotonic", lambda: next(clock))
    assert [step for step, _ in saves(monkeypatch, tmp_path, share=share)] == steps


def test_a_state_cannot_have_other_files_removed(tmp_path):
    """The names of the newest files are in the state, which may come from anywhere."""
    mine = [tmp_path / name for name in ("thesis.txt", "last-12.st", "last-00000003.txt", "best-00000003.st")]
    for path in mine:
        path.touch()
    checkpoint = Checkpoint(tmp_path / "last.st", steps=3, keep=1)

    class Forge(Callback):
        def start(self, *args):
            checkpoint.state = {"files": [path.name for path in mine] + ["../thesis.txt", 5, None]}

    fitted(checkpoint, Forge())
    assert all(path.exists() for path in mine)
    assert [path.name for path in tmp_path.iterdir() if path not in mine] == ["last-00000016.st"]


@pytest.mark.parametrize(
    "state",
    [{"best": "x", "bad": 0}, {"best": 1.0, "bad": [1]}, {"best": 1.0}, {"best": True, "bad": 0}],
)
def test_what_a_callback_kept_is_of_its_own_kinds(state):
    assert same_kind({"best": 1.5, "bad": 2}, EarlyStopping(2).state)
    assert same_kind({"files": ["a"]}, {"files": []})
    assert not same_kind(state, EarlyStopping(2).state)


def test_the_newest_are_kept(tmp_path):
    (tmp_path / "last-mine.st").touch()
    stop = At(10, lambda run: setattr(run, "stopped", "test"))
    fitted(stop, Checkpoint(tmp_path / "last.st", steps=3, keep=2))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["last-00000009.st", "last-00000010.st", "last-mine.st"]
    fitted(Checkpoint(tmp_path / "last.st", steps=3, keep=2), resume=tmp_path / "last-00000010.st")
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["last-00000015.st", "last-00000016.st", "last-mine.st"]
    assert read_state(tmp_path / "last-00000015.st")[0]["steps"] == 15


# The clock and signals


@pytest.mark.parametrize("optimizer", [xpnn.SGD(0.1), xpnn.LBFGS()], ids=["steps", "full batch"])
def test_time_limit(monkeypatch, optimizer):
    clock = iter(range(10**6, 10**7, 10))
    monkeypatch.setattr("xpnn.training.stopping.time.monotonic", lambda: next(clock))
    trainer = fitted(TimeLimit(0.5), optimizer=optimizer, epochs=50)
    assert trainer.steps == 3
    assert trainer.stopped == "the time limit of 0.5 minutes"


def send(*signals):
    return lambda run: [signal.raise_signal(s) for s in signals]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_batch_end(sent, request):
    meaning = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, meaning))
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    listener = StopOnSignal()
    trainer = fitted(At(6, send(sent)), listener)
    assert (trainer.steps, len(trainer.history), trainer.stopped) == (6, 1, sent.name)
    assert listener.signum == sent
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_signal_does_not_wait_for_the_batch():
    before = signal.getsignal(signal.SIGTERM)
    meaning = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted(At(6, send(signal.SIGINT, signal.SIGINT)), StopOnSignal())
    finally:
        signal.signal(signal.SIGINT, meaning)
    assert signal.getsignal(signal.SIGTERM) is before


def test_in_another_thread_nobody_listens():
    trained = []
    thread = threading.Thread(target=lambda: trained.append(fitted(StopOnSignal()).steps))
    thread.start()
    thread.join()
    assert trained == [16]


# Numbers


def test_statistics_are_those_of_weights_and_gradients(tmp_path):
    statistics = Statistics(tmp_path / "statistics.jsonl")
    wanted = {}

    def measure(run, row):
        model = run.model
        f = run.trainer.objective.gradient()
        _, grad, _ = f(model.theta, model.phi, run.state["t"], *run.batch())
        wanted[row.epoch] = (model.theta[:16].copy(), grad[:16])

    trainer = fitted(statistics, measure, layers=[xpnn.Dense(4), xpnn.Dropout(0.5), xpnn.Dense(3)])
    lines = (tmp_path / "statistics.jsonl").read_text().splitlines()
    assert [{**json.loads(line), "crc32": ""} for line in lines] == [
        {**row, "crc32": ""} for row in statistics.rows
    ]
    for row in statistics.rows:
        assert list(row["parameters"]) == ["0.W", "0.b", "2.W", "2.b"]
        for name, a in zip(("weight", "gradient"), wanted[row["epoch"]], strict=True):
            sizes = {
                "mean": a.mean(),
                "std": a.std(),
                "largest": np.abs(a).max(),
                "norm": np.sqrt((a * a).sum()),
            }
            assert row["parameters"]["0.W"][name] == pytest.approx(sizes, rel=1e-12)
    assert trainer.steps == 16


def test_statistics_change_nothing_and_go_on(tmp_path):
    path = tmp_path / "statistics.jsonl"
    whole = Statistics()
    assert fitted(whole).model.theta.tobytes() == fitted().model.theta.tobytes()
    fitted(Statistics(path), At(10, lambda t: setattr(t, "stopped", "test")), Checkpoint(tmp_path / "state"))
    path.write_text(
        path.read_text() + json.dumps({"epoch": 3, "parameters": {}}) + "\n"
    )  # beyond the checkpoint
    rest = Statistics(path)
    fitted(rest, resume=tmp_path / "state")
    assert rest.rows == whole.rows
    full = Statistics()
    fitted(full, optimizer=xpnn.LBFGS(), epochs=1)
    assert full.rows[0]["parameters"]["0.W"].keys() == {"weight"}


def events(folder):
    """{tag: [(epoch, value)]} of the event files, by their protocol."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in sorted(folder.glob("events.*")):
        data = path.read_bytes()
        while data:  # length, its checksum, the event, its checksum
            size = int.from_bytes(data[:8], "little")
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_reads_what_was_measured(tmp_path):
    pytest.importorskip("tensorboardX")
    statistics = Statistics()
    trainer = fitted(statistics, TensorBoard(tmp_path, statistics), validation=20)
    seen, rows = events(tmp_path), trainer.history
    curves = {
        "loss/train": "train_loss",
        "loss/valid": "valid_loss",
        "accuracy/valid": "valid_accuracy",
        "lr": "lr",
    }
    for tag, column in curves.items():
        assert [step for step, _ in seen[tag]] == [1, 2, 3, 4]
        np.testing.assert_allclose([value for _, value in seen[tag]], rows[column], rtol=1e-6)
    norms = [row["parameters"]["2.W"]["gradient"]["norm"] for row in statistics.rows]
    np.testing.assert_allclose([value for _, value in seen["gradient/2.W"]], norms, rtol=1e-6)
    assert len(seen["seconds"]) == 4
    assert "loss/valid" not in events_of_a_run_without_validation(tmp_path / "plain")


def events_of_a_run_without_validation(folder):
    fitted(TensorBoard(folder), epochs=1)
    return events(folder)


def test_tensorboard_is_an_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(BackendError, match="needs tensorboardX") as caught:
        fitted(TensorBoard(tmp_path))
    assert caught.value.fix == "pip install 'xpnn[tensorboard]'"


BAD = [
    (lambda: EarlyStopping(0), r"EarlyStopping\(patience=0\)"),
    (lambda: EarlyStopping(True), r"patience=True"),
    (lambda: EarlyStopping(2, min_delta=-0.1), r"min_delta=-0.1"),
    (lambda: EarlyStopping(2, min_delta=math.nan), r"min_delta=nan"),
    (lambda: EarlyStopping(2, monitor="loss"), r"monitor='loss'.: wanted one of valid_loss"),
    (lambda: Checkpoint("a", epochs=0), r"Checkpoint\(epochs=0\)"),
    (lambda: Checkpoint("a", steps=1.5), r"steps=1.5"),
    (lambda: Checkpoint("a", keep=0), r"keep=0"),
    (lambda: Checkpoint("a", minutes=0), r"minutes=0"),
    (lambda: Checkpoint("a", share=0), r"share=0"),
    (lambda: Checkpoint("a", share=1.5), r"share=1.5"),
    (lambda: TimeLimit(0), r"TimeLimit\(0\)"),
    (lambda: TimeLimit(math.nan), r"TimeLimit\(nan\)"),
    (lambda: fitted(EarlyStopping(2, monitor="valid_loss")), "this run does not measure it"),
]


@pytest.mark.parametrize(("made", "says"), BAD, ids=[says for _, says in BAD])
def test_bad_settings_are_refused(made, says):
    with pytest.raises(UsageError, match=says):
        made()


# Where a run was made


def test_the_machine_is_recorded():
    answer = machine()
    assert answer["processor"]
    assert answer["platform"]
    assert 1 <= answer["cores"] <= 4096


def test_the_commit_is_recorded_inside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert git_state() is None
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]

    def git(*args):
        answer = subprocess.run(
            ["git", *name, *args], check=True, capture_output=True, text=True, cwd=tmp_path
        )
        return answer.stdout.strip()

    git("init")
    assert git_state() is None  # no commit yet
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "a")
    commit = {"commit": git("rev-parse", "HEAD")}
    assert git_state() == commit
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert git_state() == commit
    git("pack-refs", "--all")  # no file for each reference any more
    assert git_state() == commit
    git("worktree", "add", "--detach", "elsewhere")
    assert git_state(tmp_path / "elsewhere") == commit
    git("worktree", "add", "-b", "other", "branch")
    assert git_state(tmp_path / "branch") == commit


def test_no_program_of_the_folder_is_started_for_its_commit(tmp_path):
    """fsmonitor, a filter, a hook and an included file: git would run them."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/STARTED\ncat\n")
    program.chmod(0o755)
    repository = tmp_path / "repository"
    for args in (
        ["init", "-q", repository],
        ["-C", repository, "config", "core.fsmonitor", program],
        ["-C", repository, "config", "filter.a.clean", program],
        ["-C", repository, "config", "core.hooksPath", tmp_path],
    ):
        subprocess.run(["git", *args], check=True, capture_output=True)
    (repository / ".gitattributes").write_text("* filter=a\n")
    (repository / ".git" / "refs" / "heads" / "main").write_text("a" * 40)
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    assert git_state(repository) == {"commit": "a" * 40}
    assert not (tmp_path / "STARTED").exists()


@pytest.mark.parametrize(
    "head",
    [
        "",
        "ref: ",
        "ref: refs/../../secret",
        "ref: /etc/passwd",
        "ref: HEAD",
        "zz",
        "ref: refs/heads/a",
        "a" * 41,
    ],
)
def test_a_git_head_that_names_no_commit(tmp_path, head):
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "secret").write_text("b" * 40)
    (tmp_path / ".git" / "refs" / "heads" / "a").write_text("ref: refs/heads/a")  # in a circle
    (tmp_path / ".git" / "HEAD").write_text(head)
    assert git_state(tmp_path) is None


def test_git_files_that_are_not_regular(tmp_path):
    (tmp_path / ".git").mkdir()
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert git_state(tmp_path) is None
    (tmp_path / ".git" / "HEAD").unlink()
    (tmp_path / ".git" / "HEAD").symlink_to("/dev/zero")
    assert git_state(tmp_path) is None

"""A run that was cut short and gone on with is the run that was not: to the bit, in another process, from any place."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from installed_backends import INSTALLED
from resume_worker import ROWS, STOPS
from tolerances import assert_close

import xpnn
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.optimizers import LBFGS
from xpnn.schedules import Cosine, Exponential
from xpnn.training import Callback, Checkpoint, Film, KeepBest, Mixup, ReduceOnPlateau, Trainer, state
from xpnn.training.state import check_about, read_network, read_state

HERE = Path(__file__).parents[1]
WITH_NUMBA = {
    **{name: value for name, value in os.environ.items() if not name.startswith("XPNN_")},
    "PYTHONPATH": os.pathsep.join(map(str, (HERE.parent, HERE))),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
ENV = WITH_NUMBA | {"PYTHONPATH": os.pathsep.join(map(str, (HERE / "without_numba", HERE.parent, HERE)))}
X = np.sin(np.arange(61 * 4.0)).reshape(61, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def worker(*args):
    """(number, place) -> hash, from a process of its own."""
    command = [sys.executable, HERE / "resume_worker.py", *args]
    done = subprocess.run(command, env=WITH_NUMBA, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {(int(number), place): mark for number, place, mark in lines}


@pytest.fixture(scope="module")
def marks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("states")
    return worker("whole", folder), worker("rest", folder)


@pytest.mark.parametrize("number", range(len(ROWS)), ids=lambda n: f"{n}-{type(ROWS[n]).__name__}")
def test_ten_epochs_are_five_and_five(marks, number):
    """Weights, statistics, the optimizer's arrays, history, rate, for each place where the first process stopped."""
    whole, rest = marks
    places = [place for n, place in rest if n == number]
    assert places == (["end"] if isinstance(ROWS[number], LBFGS) else list(STOPS))
    assert {rest[number, place] for place in places} == {whole[number, "whole"]}


def test_every_run_was_another(marks):
    assert len(set(marks[0].values())) > 0.9 * len(ROWS)


# In one process: what is refused, what is allowed


class Stop(Callback):
    def __init__(self, step):
        self.at = step

    def step(self, trainer):
        if trainer.steps == self.at:
            trainer.stopped = "test"


def fitted(path=None, resume=None, stop=None, more=(), **changed):
    """A run of 6 epochs of 4 batches, saved in `path`."""
    given = {
        "net": [xpnn.Dense(5), xpnn.BatchNorm(), xpnn.Dropout(0.2), xpnn.Dense(3)],
        "seed": 3,
        "dtype": "float64",
    }
    given |= {
        "backend": "numpy",
        "loss": "softmax_cross_entropy",
        "optimizer": xpnn.Adam(0.01),
        "schedule": None,
    }
    given |= {
        "augment": None,
        "x": X,
        "y": IDS,
        "epochs": 6,
        "batch_size": 16,
        "validation": 6,
        "weight": None,
    }
    given |= changed
    settings = {name: given[name] for name in ("seed", "dtype", "backend")}
    trainer = Trainer(
        xpnn.Model(given["net"], (4,), **settings),
        given["loss"],
        given["optimizer"],
        schedule=given["schedule"],
        augment=given["augment"],
    )
    callbacks = [*more, *([Stop(stop)] if stop else []), *([Checkpoint(path)] if path else [])]
    trainer.fit(
        given["x"], given["y"], epochs=given["epochs"], batch_size=given["batch_size"],
        validation=given["validation"], sample_weight=given["weight"], callbacks=callbacks, resume=resume,
    )  # fmt: skip
    return trainer


OTHERS = {
    "net.layers[0].units": {"net": [xpnn.Dense(4), xpnn.BatchNorm(), xpnn.Dropout(0.2), xpnn.Dense(3)]},
    "net.layers[2].rate": {"net": [xpnn.Dense(5), xpnn.BatchNorm(), xpnn.Dropout(0.3), xpnn.Dense(3)]},
    "net.layers": {"net": [xpnn.Dense(5), xpnn.Dense(3)]},
    "seed": {"seed": 4},
    "dtype": {"dtype": "float32"},
    "loss.label_smoothing": {"loss": SoftmaxCrossEntropy(0.1)},
    "optimizer.lr": {"optimizer": xpnn.Adam(0.02)},
    "optimizer": {"optimizer": xpnn.AdamW(0.01)},
    "schedule": {"schedule": "cosine"},
    "augment": {"augment": Mixup()},
    "batch_size": {"batch_size": 15},
    "validation": {"validation": 7},
    "data": {"x": X + 1e-9 * (np.arange(4) == 3)},
    "data#labels": {"y": np.where(np.arange(61) == 60, 2 - IDS, IDS)},
    "data#weights": {"weight": np.ones(61)},
    "validation#pair": {"validation": (X[:6], IDS[:6])},
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_run_is_refused_by_the_first_difference(tmp_path, what):
    fitted(tmp_path / "state", stop=6)
    with pytest.raises(UsageError, match="belongs to another run: ") as caught:
        fitted(resume=tmp_path / "state", **OTHERS[what])
    place = what.partition("#")[0]
    assert f"another run: {place} was " in caught.value.what


def test_a_validation_pair_is_part_of_the_run(tmp_path):
    fitted(tmp_path / "state", stop=6, validation=(X[:6], IDS[:6]))
    whole, rest = (
        fitted(validation=(X[:6], IDS[:6])),
        fitted(resume=tmp_path / "state", validation=(X[:6], IDS[:6])),
    )
    assert rest.history["valid_loss"] == whole.history["valid_loss"]
    with pytest.raises(UsageError, match="another run: validation was"):
        fitted(resume=tmp_path / "state", validation=(X[:6], IDS[1:7]))


@pytest.mark.parametrize("schedule", [None, Exponential(0.9)], ids=str)
def test_more_epochs_than_planned(tmp_path, schedule):
    """Where the schedule knows nothing of the total, 3 epochs and 3 more are 6."""
    fitted(tmp_path / "state", epochs=3, schedule=schedule)
    rest, whole = fitted(resume=tmp_path / "state", schedule=schedule), fitted(schedule=schedule)
    assert rest.model.theta.tobytes() == whole.model.theta.tobytes()
    assert (len(rest.history), rest.total) == (6, whole.total)
    again = fitted(tmp_path / "state", resume=tmp_path / "state", stop=None, schedule=schedule, epochs=5)
    assert len(again.history) == 5


def test_epochs_that_cannot_be(tmp_path):
    fitted(tmp_path / "state", epochs=3, schedule=Cosine())
    with pytest.raises(UsageError, match=r"was to have 3 epochs, epochs=6 now") as caught:
        fitted(resume=tmp_path / "state", schedule=Cosine())
    assert "the schedule Cosine() spreads over the whole run" in caught.value.why
    with pytest.raises(UsageError, match="is in epoch 3 already, epochs=2"):
        fitted(resume=tmp_path / "state", epochs=2, schedule=Cosine())
    fitted(tmp_path / "state", stop=10)
    with pytest.raises(UsageError, match="is in epoch 3 already, epochs=2"):
        fitted(resume=tmp_path / "state", epochs=2)


def test_a_run_that_is_done_has_nothing_left_to_do(tmp_path):
    wild = {"optimizer": xpnn.SGD(30.0), "epochs": 12}
    whole = fitted(tmp_path / "state", more=[KeepBest()], **wild)
    rest = fitted(resume=tmp_path / "state", more=[KeepBest()], **wild)
    assert rest.steps == whole.steps
    assert whole.history.best.epoch < 12
    assert rest.model.theta.tobytes() == whole.model.theta.tobytes()  # the best epoch's


@pytest.mark.parametrize("stop", [1, 3, 4, 23, 24])
def test_stopped_anywhere_and_twice(tmp_path, stop):
    """Also at the last batch of an epoch, whose row is not written yet; and once more one batch later."""
    whole = fitted()
    fitted(tmp_path / "state", stop=stop)
    if stop < 24:
        fitted(tmp_path / "state", resume=tmp_path / "state", stop=stop + 1)
    rest = fitted(resume=tmp_path / "state")
    assert rest.model.theta.tobytes() == whole.model.theta.tobytes()
    assert rest.history["train_loss"] == whole.history["train_loss"]
    assert rest.history["best"] == whole.history["best"]


class Kill(Stop):
    def step(self, trainer):
        if trainer.steps == self.at:
            raise KeyboardInterrupt


def test_killed_after_a_checkpoint(tmp_path, monkeypatch):
    """Nothing is stopped: the state of step 6 was written in passing. The epoch's time is that of both parts."""
    clock = iter(range(10**6))
    monkeypatch.setattr("xpnn.training.trainer.time.perf_counter", lambda: next(clock))
    with pytest.raises(KeyboardInterrupt):
        fitted(more=[Checkpoint(tmp_path / "state", steps=6), Kill(7)])
    about, tensors = read_state(tmp_path / "state")
    assert (about["steps"], len(tensors["rows"]), len(tensors["losses"])) == (6, 1, 2)
    rest, whole = fitted(resume=tmp_path / "state"), fitted()
    assert rest.model.theta.tobytes() == whole.model.theta.tobytes()
    assert rest.history["train_loss"] == whole.history["train_loss"]
    assert rest.history["seconds"][1] == about["seconds"] + 1 > 1


def test_a_rate_that_was_lowered_stays_low(tmp_path):
    def run(**more):
        return fitted(more=[ReduceOnPlateau(0.5, 0, threshold=0.9)], schedule=Exponential(0.9), **more)

    run(path=tmp_path / "state", stop=18)
    rest, whole = run(resume=tmp_path / "state"), run()
    assert rest.rate == whole.rate == 0.01 * 0.5**5
    assert rest.history["lr"] == whole.history["lr"]


def test_steps_before_the_fit_count_for_the_schedule(tmp_path):
    def run(epochs, path=None, resume=None, steps=0, stop=0):
        model = xpnn.Model([xpnn.Dense(3)], (4,), seed=0, dtype="float64")
        trainer = Trainer(model, optimizer=xpnn.SGD(0.1), schedule="cosine")
        for _ in range(steps):
            trainer.step(X[:5], IDS[:5])
        callbacks = [Stop(stop), Checkpoint(path)] if path else []
        trainer.fit(X, IDS, epochs=epochs, batch_size=20, callbacks=callbacks, resume=resume)
        return trainer

    run(3, tmp_path / "state", steps=5, stop=9)
    assert run(3, resume=tmp_path / "state").history["lr"] == run(3, steps=5).history["lr"]


def test_a_film_keeps_its_pace(tmp_path):
    fitted(tmp_path / "state", stop=10, more=[Film(tmp_path / "film", frames=2)])
    fitted(resume=tmp_path / "state", more=[Film(tmp_path / "film", frames=2)])
    assert sorted(p.stem for p in (tmp_path / "film").iterdir()) == [f"epoch-000{n}" for n in (0, 3, 6)]


def test_a_film_goes_on(tmp_path):
    fitted(tmp_path / "state", stop=2, more=[Film(tmp_path / "film")])
    first = (tmp_path / "film" / "epoch-0000.safetensors").read_bytes()
    fitted(resume=tmp_path / "state", more=[Film(tmp_path / "film")])
    assert (tmp_path / "film" / "epoch-0000.safetensors").read_bytes() == first
    assert len(list((tmp_path / "film").iterdir())) == 7


@pytest.mark.parametrize("other", [name for name in INSTALLED if name != "numpy"])
def test_a_run_goes_on_on_another_backend(tmp_path, other):
    """There and back: the numbers that travel are the same to the bit, the steps after it equal to rounding.

    No bias lies before BatchNorm: its gradient is nothing but rounding, which Adam would blow up.
    """
    net = [xpnn.BatchNorm(), xpnn.Dense(5), xpnn.Tanh(), xpnn.Dropout(0.2), xpnn.Dense(3)]
    whole = fitted(net=net)
    fitted(tmp_path / "state", stop=6, net=net)
    there = fitted(tmp_path / "there", resume=tmp_path / "state", stop=14, net=net, backend=other)
    _, tensors = read_state(tmp_path / "there")
    assert tensors["theta"].tobytes() == there.model.snapshot()["theta"].tobytes()
    back = fitted(resume=tmp_path / "there", net=net)
    assert (there.model.backend.name, back.steps) == (other, whole.steps)
    assert_close(back.model.theta, whole.model.theta, "float64")
    assert_close(np.array(back.history["valid_loss"]), np.array(whole.history["valid_loss"]), "float64")


# The file


def test_a_damaged_file_is_never_taken_for_a_state(tmp_path):
    fitted(tmp_path / "state", stop=6, more=[KeepBest()])
    good = (tmp_path / "state").read_bytes()
    bad = tmp_path / "bad"
    for cut in (0, 7, 100, len(good) // 2, len(good) - 1):
        bad.write_bytes(good[:cut])
        with pytest.raises(CheckpointError, match="bad: "):
            read_state(bad)
    for place in range(3, len(good), len(good) // 150):
        bad.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(CheckpointError, match="bad: "):
            read_state(bad)


FORGED = {
    "another format": ({"format": 2}, "the state has format 2, this version reads format 1"),
    "no counter": ({"steps": "4"}, "has no int called 'steps'"),
    "no rate": ({"lr": None}, "has no float called 'lr'"),
    "a shape that is no list": ({"shapes": {"theta": 3}}, "has a shape that is none"),
    "a shape below 0": ({"shapes": {"theta": [-1]}}, "has a shape that is none"),
    "a shape of fractions": ({"shapes": {"theta": [1.5]}}, "has a shape that is none"),
    "columns that are no list": ({"columns": "epoch"}, "has a history that is none"),
    "columns of numbers": ({"columns": [1]}, "has a history that is none"),
    "columns that are missing": ({"columns": ["epoch"]}, "has a history that is none"),
    "a count of one number": ({"tally": [1]}, "has a history that is none"),
    "a count of words": ({"tally": ["1", "2"]}, "has a history that is none"),
    "no threads": ({"threads": 0}, "a number of threads that is none"),
    "too many threads": ({"threads": 4097}, "a number of threads that is none"),
    "threads in words": ({"threads": "2"}, "a number of threads that is none"),
    "a callback of words": ({"callbacks": ["KeepBest"]}, "has a callback that is none"),
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The description and the arrays of a run that was cut short."""
    path = tmp_path_factory.mktemp("kept") / "state"
    fitted(path, stop=12, more=[KeepBest()])
    return read_state(path)


@pytest.mark.parametrize(("change", "words"), FORGED.values(), ids=FORGED)
def test_a_description_that_cannot_be(kept, change, words):
    about, _ = kept
    with pytest.raises(CheckpointError, match=words):
        check_about(about | change)
    for threads in (None, 1, 4096):
        assert check_about(about | {"threads": threads})["threads"] == threads
    twice = about | {"columns": [*about["columns"], about["columns"][0]]}
    with pytest.raises(CheckpointError, match="has a history that is none"):
        check_about(twice)


def test_a_description_of_an_older_version(kept):
    """What it did not write has the value that it would have had."""
    about, _ = kept
    left = {key: value for key, value in about.items() if key not in ("first", "columns", "tally", "threads")}
    found = check_about(left)
    assert (found["first"], found["tally"], found["threads"]) == (0, None, None)
    assert found["columns"] == [
        "epoch",
        "train_loss",
        "valid_loss",
        "valid_accuracy",
        "lr",
        "seconds",
        "best",
    ]


def test_arrays_that_a_state_lacks(tmp_path, monkeypatch):
    whole = state.arrays
    for name, other in (("losses", np.zeros((2, 1))), ("rows", np.zeros((1, 3))), ("rows", None)):

        def changed(run, name=name, other=other):
            found = whole(run)
            return {key: value for key, value in found.items() if key != name} | (
                {} if other is None else {name: other}
            )

        monkeypatch.setattr(state, "arrays", changed)
        fitted(tmp_path / "bad", stop=6)
        with pytest.raises(CheckpointError, match=f"the training state has no {name}"):
            read_state(tmp_path / "bad")


def test_weights_of_another_network_in_a_state(kept, tmp_path, monkeypatch):
    about, tensors = kept
    monkeypatch.setattr(state, "read_state", lambda path: (about, tensors | {"theta": tensors["theta"][1:]}))
    with pytest.raises(CheckpointError, match="the weights are not those of its network"):
        read_network(tmp_path / "state")


def test_what_a_callback_kept_of_another_model(kept, tmp_path, monkeypatch):
    about, tensors = kept
    (i,) = (i for i, entry in enumerate(about["callbacks"]) if entry["type"] == "KeepBest")
    key = f"callbacks.{i}.theta"
    monkeypatch.setattr(state, "read_state", lambda path: (about, tensors | {key: tensors[key][1:]}))
    with pytest.raises(CheckpointError, match="the weights kept by KeepBest do not fit the model"):
        fitted(resume=tmp_path / "state", more=[KeepBest()])
    callbacks = [entry | {"state": {"other": 1}} for entry in about["callbacks"]]
    monkeypatch.setattr(state, "read_state", lambda path: (about | {"callbacks": callbacks}, tensors))
    with pytest.raises(CheckpointError, match="is not that of this version of xpnn"):
        fitted(resume=tmp_path / "state", more=[KeepBest()])


def test_other_files(tmp_path):
    fitted().model.save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="holds no state of a run"):
        fitted(resume=tmp_path / "model")
    with pytest.raises(FileError, match="cannot read"):
        fitted(resume=tmp_path / "nowhere")
    fitted(tmp_path / "state", stop=6)
    with pytest.raises(CheckpointError, match="this is the state of a run, no model"):
        xpnn.load(tmp_path / "state")


def test_what_a_callback_remembers_is_plain(tmp_path):
    class Odd(Callback):
        def epoch(self, trainer, row):
            self.state = {"seen": {row.epoch}}

    with pytest.raises(UsageError, match="what the callback Odd remembers cannot be saved"):
        fitted(tmp_path / "state", more=[Odd()])


def test_a_failed_resume_changes_nothing(tmp_path):
    fitted(tmp_path / "state", stop=6)
    model = xpnn.Model([xpnn.Dense(3)], (4,), seed=0)
    before = model.theta.tobytes()
    with pytest.raises(UsageError):
        model.fit(X, IDS, resume=tmp_path / "state", verbose=0)
    assert model.theta.tobytes() == before


def test_a_state_is_saved_inside_a_fit_only(tmp_path):
    with pytest.raises(UsageError, match="outside a fit"):
        fitted().save_state(tmp_path / "state")


# The command line, and signals that really come

MAIN = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from xpnn.cli import main
main()"""
TRAIN = [
    "train",
    "spiral",
    "--hidden",
    "8",
    "--epochs",
    "6",
    "--batch-size",
    "8",
    "--dropout",
    "0.2",
    "--json",
]


def start(folder, *args, main=MAIN):
    command = [sys.executable, "-c", main, *map(str, args)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=ENV, text=True, **pipes)


def finished(folder, *args):
    with start(folder, *args) as process:
        out, err = process.communicate()
    return process.returncode, out, err


def ends(folder, run="runs/spiral-mlp-1"):
    """Everything a run leaves behind but times: weights, optimizer, history, result."""
    about, tensors = read_state(folder / run / "last.safetensors")
    rows = [json.loads(line) for line in (folder / run / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / run / "run.json").read_text())["result"]
    result.pop("seconds")
    kept = {name: a.tobytes() for name, a in tensors.items() if name != "rows"}
    best = (folder / run / "best.safetensors").read_bytes()
    return about["steps"], kept, [{**row, "seconds": 0, "crc32": ""} for row in rows], result, best


HANGUPS = ("SIGHUP", "SIGXCPU", "SIGUSR1")
"""A closed terminal, processor time that is up, and what schedulers send before a job's time is."""


def test_a_reader_that_goes_leaves_a_run_to_go_on_with(tmp_path, uninterrupted):
    """`xpnn train --json | head -1`: the pipe breaks at the first epoch."""
    with start(tmp_path, *TRAIN) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (7, "")
    assert finished(tmp_path, "train", "--resume", "runs/spiral-mlp-1", "--json")[0] == 0
    assert ends(tmp_path) == uninterrupted


def test_a_hangup_that_is_ignored_stays_ignored(tmp_path, uninterrupted):
    """As under nohup."""
    ignoring = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN);" + MAIN
    with start(tmp_path, *TRAIN, main=ignoring) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        process.communicate()
    assert process.returncode == 0
    assert ends(tmp_path) == uninterrupted


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert finished(folder, *TRAIN)[0] == 0
    return ends(folder)


@pytest.mark.parametrize(
    ("sent", "after", "code"),
    [
        (signal.SIGINT, 1, 130),
        (signal.SIGINT, 3, 130),
        (signal.SIGTERM, 2, 143),
        (signal.SIGTERM, 5, 143),
        *(
            (getattr(signal, name), 1, 128 + getattr(signal, name))
            for name in HANGUPS
            if hasattr(signal, name)
        ),
    ],
)
def test_the_resume_line_ends_as_if_no_signal_had_come(tmp_path, uninterrupted, sent, after, code):
    with start(tmp_path, *TRAIN) as process:
        for _ in range(1 + after):
            process.stdout.readline()
        process.send_signal(sent)
        _, err = process.communicate()
    assert process.returncode == code
    pattern = r"xpnn: (?:interrupted|terminated|stopped by SIG\w+): saved in \S+\n  to go on: xpnn (.+)\n"
    line = re.fullmatch(pattern, err).group(1)
    about, tensors = read_state(tmp_path / "runs/spiral-mlp-1/last.safetensors")
    assert about["steps"] == 225 * len(tensors["rows"]) + len(tensors["losses"]) < 6 * 225
    assert json.loads((tmp_path / "runs/spiral-mlp-1/run.json").read_text())["result"] is None
    code, out, err = finished(tmp_path, *shlex.split(line), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[0])["why"] == "as before"
    assert ends(tmp_path) == uninterrupted


BORROWED = [
    "train", "moons", "--from", "source", "--replace-head", "--freeze", "0.*", "--freeze", "*.b", "--epochs", "6",
    "--schedule", "constant", "--batch-size", "8", "--json",
]  # fmt: skip


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory):
    """A network of spirals, and the run of 6 epochs that it began."""
    folder = tmp_path_factory.mktemp("borrowed")
    source = [
        "train",
        "spiral",
        "--hidden",
        "8,6",
        "--epochs",
        "2",
        "--dropout",
        "0.1",
        "--out",
        "source",
        "--json",
    ]
    assert finished(folder, *source)[0] == 0
    assert finished(folder, *BORROWED)[0] == 0
    return folder


@pytest.mark.parametrize("place", ["end", "inside"])
def test_a_run_with_a_borrowed_network_goes_on(tmp_path, borrowed, place):
    """Without the run that it borrowed from: that may be gone. What is frozen stays so."""
    run = "runs/moons-mlp-1"
    shutil.copytree(borrowed / "source", tmp_path / "source")
    if place == "end":
        assert finished(tmp_path, *BORROWED, "--epochs", "3")[0] == 0
    else:
        with start(tmp_path, *BORROWED) as process:
            for _ in range(3):
                process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.communicate()
        assert process.returncode == 130
    shutil.rmtree(tmp_path / "source")
    code, _, err = finished(tmp_path, "train", "--resume", run, "--epochs", "6", "--json")
    assert (code, err) == (0, "")
    assert ends(tmp_path, run) == ends(borrowed, run)
    about, whole = (json.loads((folder / run / "run.json").read_text()) for folder in (tmp_path, borrowed))
    assert {key: about[key] for key in ("from", "freeze", "frozen", "settings")} == {
        key: whole[key] for key in ("from", "freeze", "frozen", "settings")
    }
    old, new = (
        xpnn.load(path / "best.safetensors").parameters() for path in (borrowed / "source", tmp_path / run)
    )
    held = [name for name in new if name.startswith("0.") or name.endswith(".b")]
    assert [np.array_equal(old[name], new[name]) for name in held[:-1]] == [
        True
    ] * 3  # the last is the head's
    assert not new[held[-1]].any()


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--hidden", "9"], "belongs to another run: hidden was [64, 64], here it is [9]"),
        (["--dropout", "0.3"], "belongs to another run: dropout was 0.0, here it is 0.3"),
        (["--model", "cnn"], "belongs to another run: model was mlp, here it is cnn"),
        (["--freeze", "3.*"], "belongs to another run: optimizer.groups was"),
        (["--from", "source"], "--from with --resume"),
        (["--replace-head"], "--replace-head with --resume"),
        (["--seed", "1"], "belongs to another run: seed was 42, here it is 1"),
    ],
    ids=str,
)
def test_a_resumed_run_with_other_settings_is_refused(borrowed, xp, monkeypatch, flags, what):
    monkeypatch.chdir(borrowed)
    before = (borrowed / "runs/moons-mlp-1/run.json").read_bytes()
    code, out, err = xp("train", "--resume", "runs/moons-mlp-1", *flags)
    assert (code, out) == (2, "")
    assert what in err
    assert (borrowed / "runs/moons-mlp-1/run.json").read_bytes() == before


def test_a_state_whose_arrays_do_not_fit_its_network(tmp_path, monkeypatch):
    """The network is never made larger than what the file holds."""
    fitted(tmp_path / "state", stop=6)
    about, tensors = read_state(tmp_path / "state")
    net, shape, vectors = read_network(tmp_path / "state")
    model = xpnn.Model(net, shape, vectors=vectors)
    assert model.theta.tobytes() == tensors["theta"].astype("float32").tobytes()
    for change in (
        {"net": {**about["same"]["net"], "layers": [{"type": "Dense", "units": 10**9}]}},
        {"net": {"type": "Dense", "units": 3}},
        {"net": {"type": "Sequential", "layers": [{"type": "Nonsense"}]}},
        {"input_shape": [2**50]},
        {"input_shape": 4},
    ):
        found = {**about, "same": about["same"] | change}, tensors
        monkeypatch.setattr("xpnn.training.state.read_state", lambda path, found=found: found)
        with pytest.raises(CheckpointError):
            read_network(tmp_path / "state")


BLOCKED = (
    """import sys
from xpnn.training import Trainer
step = Trainer.indexed_step
def blocked(*args, **count):
    print("inside", flush=True)
    sys.stdin.read()
    return step(*args, **count)
Trainer.indexed_step = blocked
"""
    + MAIN
)


def test_a_second_signal_stops_at_once(tmp_path):
    """The batch never ends: the first signal would wait for it for ever."""
    with start(tmp_path, *TRAIN, main=BLOCKED) as process:
        while (line := process.stdout.readline()) != "inside\n":
            assert line, "it ended before its first batch"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.wait()
        err = process.stderr.read()
    assert process.returncode in (130, 143)
    assert re.fullmatch("xpnn: (interrupted|terminated): no epoch was finished, nothing was saved\n", err)
    assert not list((tmp_path / "runs").iterdir())


def test_a_state_says_its_format(tmp_path):
    """Files of today must differ from those of later versions: a change of the number is a change of the format."""
    from safetensors import safe_open

    model = xpnn.Model([xpnn.Dense(3)], (4,), seed=0)
    Trainer(model, SoftmaxCrossEntropy()).fit(X, IDS, epochs=1, callbacks=[Checkpoint(tmp_path / "state")])
    with safe_open(tmp_path / "state", "numpy") as file:
        about = json.loads(file.metadata()["xpnn-training"])
    assert about["format"] == 1

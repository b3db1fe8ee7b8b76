"""`xpnn train` that ends early or goes on: --early-stopping, --checkpoint-every, --time-limit, --resume."""

import json
import re
import time
from pathlib import Path

import pytest
from test_cli import write_digits

import xpnn
from xpnn.training.run import Run
from xpnn.training.state import read_state

QUICK = ["train", "spiral", "--hidden", "8", "--epochs", "4", "--schedule", "constant"]
FOLDER = Path("runs/spiral-mlp-1")


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("XPNN_BACKEND", "XPNN_DEVICE", "XPNN_DEBUG", "XPNN_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def trained(xp):
    """The events of a run that went well."""

    def call(*args):
        code, out, err = xp(*args, "--json")
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return call


def about():
    return json.loads((FOLDER / "run.json").read_text())


def timeless(line):
    return {**json.loads(line), "seconds": 0, "crc32": ""}


def course(events):
    return [
        (e["epoch"], e["train_loss"], e["valid_loss"], e["best"]) for e in events if e["event"] == "epoch"
    ]


def test_the_seconds_are_those_of_the_training(trained):
    began = time.perf_counter()
    (end,) = (e for e in trained(*QUICK) if e["event"] == "end")
    assert 0 < end["seconds"] <= time.perf_counter() - began


def test_more_epochs(trained):
    """Nothing but --epochs: the rest comes from run.json, and the whole is what eight epochs at once would be."""
    first = trained(*QUICK, "--dropout", "0.3", "--activation", "tanh", "--seed", "5", "--optimizer", "nadam")
    began = about()["started"]
    more = trained("train", "--resume", FOLDER, "--epochs", 8)
    whole = trained(
        *QUICK, "--dropout", "0.3", "--activation", "tanh", "--seed", "5", "--optimizer", "nadam", "--epochs", "8",
        "--out", "whole",
    )  # fmt: skip
    assert course(first) + course(more) == course(whole)
    assert more[-1]["test_loss"] == whole[-1]["test_loss"]
    assert (about()["settings"]["epochs"], about()["started"]) == (8, began)
    theirs = json.loads(Path("whole/run.json").read_text())
    assert {**about()["settings"]} == theirs["settings"]
    ours, other = ((folder / "metrics.jsonl").read_text().splitlines() for folder in (FOLDER, Path("whole")))
    assert [timeless(line) for line in ours] == [timeless(line) for line in other]
    assert (FOLDER / "best.safetensors").read_bytes() == Path("whole/best.safetensors").read_bytes()


def test_another_backend_goes_on(trained):
    pytest.importorskip("array_api_strict")
    trained(*QUICK)
    more = trained("train", "--resume", FOLDER, "--epochs", "6", "--backend", "strict")
    whole = trained(*QUICK, "--epochs", "6", "--out", "whole")
    assert (more[0]["backend"], more[0]["device"]) == ("strict", "cpu")
    assert course(more)[-1][1] == pytest.approx(course(whole)[-1][1], rel=1e-5)
    assert about()["backend"] == "strict"
    again = trained("train", "--resume", FOLDER, "--epochs", "7")
    assert (again[0]["backend"], again[0]["why"]) == ("strict", "as before")


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--hidden", "9"], "net.layers[0].units was 8, here it is 9"),
        (["--lr", "0.5"], "optimizer.lr was 0.01, here it is 0.5"),
        (["--seed", "7"], "seed was 42, here it is 7"),
        (["--batch-size", "32"], "batch_size was 64, here it is 32"),
        (["--schedule", "cosine"], "schedule was ConstantRate, here it is Cosine"),
        (["--epochs", "3"], "is in epoch 4 already, epochs=3"),
        (["--out", "elsewhere"], "--out with --resume"),
    ],
    ids=str,
)
def test_another_run_is_refused_and_nothing_changes(xp, trained, flags, what):
    trained(*QUICK)
    before = {p.name: p.read_bytes() for p in FOLDER.iterdir() if p.is_file()}
    code, out, err = xp("train", "--resume", FOLDER, *flags)
    assert (code, out) == (2, "")
    assert what in err
    assert {p.name: p.read_bytes() for p in FOLDER.iterdir() if p.is_file()} == before


def test_where_the_settings_of_a_resumed_run_come_from(xp, trained):
    trained(*QUICK)
    code, out, _ = xp("train", "--resume", FOLDER, "--epochs", "6", "--show-config")
    assert code == 0
    assert re.search(rf"^hidden +\[8\] +{FOLDER}/run.json$", out, re.M)
    assert re.search(r"^epochs +6 +--epochs$", out, re.M)
    code, _, err = xp("train", "--resume", FOLDER, "--epochs", "6", "-v")
    assert (code, f"{FOLDER}/run.json" in err) == (0, True)


def test_nothing_to_resume(xp, trained):
    for folder in ("nowhere", "."):
        code, out, err = xp("train", "--resume", folder)
        assert (code, out) == (7, "")
        assert f"no run to resume in {folder}" in err
    trained(*QUICK)
    state = FOLDER / "last.safetensors"
    state.write_bytes(state.read_bytes()[:-9])
    code, _, err = xp("train", "--resume", FOLDER)
    assert code == 5
    assert "last.safetensors" in err
    for text in ("{", '{"settings": 3}', '{"settings": {}}'):
        (FOLDER / "run.json").write_text(text)
        assert xp("train", "--resume", FOLDER)[0] == 5
    assert xp(*QUICK, "--out", FOLDER)[0] == 2  # a run lies there, whole or not


def test_early_stopping_keeps_its_count_when_resumed(trained):
    flags = ["--lr", "1", "--early-stopping", "2", "--epochs", "300"]
    *rows, end = trained(*QUICK, *flags)
    losses = [row["valid_loss"] for row in rows[1:]]
    assert len(losses) == losses.index(min(losses)) + 3 < 300
    assert end["stopped"] == "early stopping: 2 epochs without improvement"
    assert about()["endings"] == {"early_stopping": 2, "checkpoint_every": None, "time_limit": None}
    assert course(trained("train", "--resume", FOLDER)) == []  # it has ended


def test_checkpoint_every(trained, monkeypatch):
    saved = []
    save = Run.save_state
    monkeypatch.setattr(
        Run, "save_state", lambda self, path: saved.append(len(self.history)) or save(self, path)
    )
    trained(*QUICK, "--checkpoint-every", "3")
    assert saved == [3, 4]
    assert about()["endings"]["checkpoint_every"] == 3


@pytest.mark.parametrize("minutes", ["1e-9", "0.5"])
def test_time_limit(xp, trained, monkeypatch, minutes):
    """Even of a run without a whole epoch there is a model; and it can be gone on with, without the limit or with."""
    clock = iter(range(10**6))
    monkeypatch.setattr("xpnn.training.stopping.time.monotonic", lambda: next(clock))
    code, out, _ = xp(*QUICK, "--time-limit", minutes)
    steps = 1 if minutes == "1e-9" else 29 + 1  # the clock is looked at once a step, and once an epoch
    assert code == 0
    assert f"stopped by the time limit of {float(minutes):g} minutes\n" in out
    assert out.endswith(f"\ngo on  xpnn train --resume {FOLDER}\n")
    assert read_state(FOLDER / "last.safetensors")[0]["steps"] in (steps, steps - 1)
    assert xpnn.load(FOLDER / "best.safetensors")
    rest = trained("train", "--resume", FOLDER, "--time-limit", "1000")
    whole = trained(*QUICK, "--out", "whole")
    assert course(rest)[-1] == course(whole)[-1]
    assert rest[-1]["test_loss"] == whole[-1]["test_loss"]


def test_augmented_images_go_on(trained, tmp_path):
    """The layers that move them, and the data's own folder, come back from run.json."""
    digits = write_digits(tmp_path / "digits")
    flags = ["train", "idx", "--data", digits, "--augment", "--hidden", "8", "--schedule", "constant"]
    first = trained(*flags, "--epochs", "1")
    more = trained("train", "--resume", "runs/idx-mlp-1", "--epochs", "2")
    whole = trained(*flags, "--epochs", "2")
    assert first[0]["settings"]["augmentation"]
    assert course(first) + course(more) == course(whole)

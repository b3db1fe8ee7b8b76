"""A part of `ci/crash`: kills, power cuts, mutations and failing calls, nothing lost; and controls that lose.

And a disk that is full in earnest, under a real `xpnn train`.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import crash
import pytest

from xpnn import durable, load
from xpnn.cli.log import read_history
from xpnn.cli.schema import read_about
from xpnn.training.film import load_film

HERE = Path(__file__).parents[1]
PART = ["--kills", "15", "--trainings", "6", "--saves", "2", "--mutations", "2000", "--every", "5"]
PART += ["--files", "30", "--minutes", "0"]  # structures, drawn and guided, have test_hostile_models.py


@pytest.fixture(scope="module")
def report():
    """What the script prints. A process of its own, because it forks."""
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE.parent)}
    command = [sys.executable, HERE / "crash.py", *PART]
    done = subprocess.run(command, env=os.environ | one, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {key: value for line in done.stdout.splitlines() for key, value in json.loads(line).items()}


def test_killed_writers_lose_nothing(report):
    result = report["kill -9, writer"]
    assert (result["kills"], result["lost"]) == (15, 0)
    assert result["saves"] > 15
    assert result["temporaries swept"] > 0  # they were killed in the middle of a save


def test_killed_trainings_lose_nothing(report):
    result = report["kill -9, xpnn train"]
    assert (result["kills"], result["lost"]) == (6, 0)
    assert result["epochs"] > 0
    assert result["stale locks"] > 0


def test_power_cuts_lose_nothing(report):
    for name in ("power cut", "power cut, xpnn train"):
        assert report[name]["lost"] == 0
        assert report[name]["states"] > 90


def test_the_controls_lose(report):
    lost = [result["lost"] for name, result in report.items() if name.startswith("control")]
    assert len(lost) == 3
    assert min(lost) > 5


def test_mutated_files_are_refused_or_the_same(report):
    result = report["hostile files"]
    assert (result["mutations"], result["faults"]) == (2000, 0)
    assert result["refused"] + result["opened"] == 2000
    assert result["refused"] > 1500
    assert result["slowest (s)"] < 1
    assert result["memory grown (MiB)"] < 64


def test_whichever_call_fails_training_ends_with_7_and_whole_files(report):
    result = report["failing calls, xpnn train"]
    assert result["faults"] == 0
    assert result["exit 7"] + result["ended well"] == result["trainings"] > 20


def train(folder, *args, limit=10**9, stdout=subprocess.DEVNULL):
    """A real training, none of whose files may grow past `limit` bytes: exit code, stderr."""
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "from xpnn.cli import main; main()"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        "spiral",
        "--backend",
        "numpy",
        "--out",
        str(folder),
        *args,
    ]
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("file", "limit", "hidden", "epochs"),
    [("run.json", 300, 8, 2), ("film/epoch-0000", 3000, 300, 2), ("metrics.jsonl", 3000, 8, 40)],
)
def test_no_space_in_the_middle_of_a_training(tmp_path, file, limit, hidden, epochs):
    run = tmp_path / "run"
    rare = "--checkpoint-every", "1000"  # a state to resume from is larger than these limits
    code, said = train(run, "--json", "--hidden", str(hidden), "--epochs", str(epochs), *rare, limit=limit)
    assert code == 7
    what, why, fix = said.splitlines()
    assert what.startswith(f"xpnn: error: cannot write {run / file}")
    assert "File too large" in why
    assert "a file that was there is whole" in fix
    assert not list(tmp_path.rglob(".xpnn-*"))
    if file != "metrics.jsonl":
        assert not run.exists()  # nothing was saved, nothing is left
        return
    rows = read_history(run)
    assert 10 < len(rows) < 40
    assert read_about(run)["result"] is None
    frames = load_film(run / "film")
    assert len(frames) > len(rows)
    kept = {load(run / f"best{n}.safetensors").theta.tobytes() for n in ("", ".1")}
    assert len(kept) == 2
    assert kept & {vectors["theta"].tobytes() for _, vectors in frames}  # the newest may be of the last epoch


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_results_that_nobody_can_write_down(tmp_path):
    """The training ends by printing to a full device; what was saved is whole."""
    with open("/dev/full", "w") as full:
        code, said = train(tmp_path / "run", "--hidden", "8", "--epochs", "2", stdout=full)
    assert code == 7
    assert said.splitlines()[-1] == "xpnn: error: input or output: No space left on device"
    assert len(read_history(tmp_path / "run")) == 2
    load(tmp_path / "run" / "best.safetensors")


def no_flush(path, data):
    """As xpnn.durable._write, without its last line."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    os.write(handle, data)
    os.close(handle)


def moved_away(path):
    """As xpnn.durable._keep, but for a while there is no file of that name."""
    os.replace(path, durable.previous(path))


def folders_unflushed(folder, *, new=False):
    folder.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("name", "careless"),
    [
        ("_write", no_flush),
        ("_flush_folder", lambda folder: None),
        ("_keep", moved_away),
        ("_keep", lambda path: None),
        ("make_folder", folders_unflushed),
    ],
    ids=["contents unflushed", "folder unflushed", "moved away", "not kept", "folders unflushed"],
)
def test_power_cuts_find_each_careless_step(monkeypatch, name, careless):
    monkeypatch.setattr(durable, name, careless)
    assert crash.cut_power(crash.durable, saves=2)["lost"] > 0


def test_power_cuts_find_nothing_in_the_writer():
    assert crash.cut_power(crash.durable, saves=2)["lost"] == 0

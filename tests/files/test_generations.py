"""The file before: kept by a training, named when the newest is damaged or gone, opened by its own name only."""

import json
from pathlib import Path

import numpy as np
import pytest

import xpnn
from xpnn.cli import run
from xpnn.errors import CheckpointError, FileError


def saved(folder, seed):
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=seed)
    model.save(folder / "m.safetensors", keep=True)
    return model


@pytest.fixture
def two(tmp_path):
    """Two generations: the models."""
    return saved(tmp_path, 0), saved(tmp_path, 1)


def test_a_damaged_file_is_refused_and_the_one_before_it_named(tmp_path, two):
    newest, older = tmp_path / "m.safetensors", tmp_path / "m.1.safetensors"
    np.testing.assert_array_equal(xpnn.load(newest).theta, two[1].theta)
    data = newest.read_bytes()
    newest.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError) as caught:
        xpnn.load(newest)
    assert f"{newest}: the checksum does not match" in caught.value.what
    assert f"{older}, the generation before it, is whole" in caught.value.fix
    np.testing.assert_array_equal(xpnn.load(older).theta, two[0].theta)
    np.testing.assert_array_equal(saved(tmp_path, 2).theta, xpnn.load(newest).theta)


def test_a_file_that_is_gone(tmp_path, two):
    (tmp_path / "m.safetensors").unlink()
    with pytest.raises(FileError, match=r"m\.1\.safetensors, the generation before it, is whole"):
        xpnn.load(tmp_path / "m.safetensors")


def test_a_damaged_one_is_not_recommended(tmp_path, two):
    for name in ("m.safetensors", "m.1.safetensors"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError) as caught:
        xpnn.load(tmp_path / "m.safetensors")
    assert "m.1" not in str(caught.value)


def test_without_asking_nothing_is_kept(tmp_path):
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    for _ in range(3):
        model.save(tmp_path / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_best_epochs_of_a_run(tmp_path, monkeypatch, capsys):
    """The command line opens the generation before by its name, and prints that name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNN_BACKEND", raising=False)
    assert run(["train", "spiral", "--hidden", "8", "--epochs", "3", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    best = [row["epoch"] for row in rows if row.get("best")]
    assert len(best) > 1
    folder = Path("runs/spiral-mlp-1")
    older = xpnn.load(folder / "best.1.safetensors")
    np.testing.assert_array_equal(
        older.theta, xpnn.load(folder / f"film/epoch-{best[-2]:04d}.safetensors").theta
    )
    (folder / "best.safetensors").write_bytes(b"damaged")
    assert run(["evaluate", str(folder)]) == 5
    said = capsys.readouterr().err
    assert "fix: runs/spiral-mlp-1/best.1.safetensors, the generation before it, is whole" in said
    assert run(["evaluate", str(folder / "best.1.safetensors"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["checkpoint"].endswith("best.1.safetensors")
    (folder / "best.safetensors").unlink()
    assert run(["evaluate", str(folder)]) == 7
    assert "name runs/spiral-mlp-1/best.1.safetensors, the one before it" in capsys.readouterr().err
    assert run(["train", "spiral", "--out", str(folder)]) == 2  # it still holds a model
    assert "best.1.safetensors" in capsys.readouterr().err

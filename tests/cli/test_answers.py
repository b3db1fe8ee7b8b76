"""What the commands answer of models that came without a preparation: numbers, yes or no, several arrays in a file."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.cli.runs import ROOT
from xpnn.cli.scheduler import current_job, has_ended
from xpnn.cli.serve import what_to_serve
from xpnn.errors import FileError

pytestmark = pytest.mark.usefixtures("workplace")
X = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)


def saved(*layers, **settings):
    model = xpnn.Model(list(layers), (3,), seed=0, **settings)
    model.save("m.safetensors")
    np.save("x.npy", X)
    return model


def answers(xp, file="x.npy", *more):
    code, out, err = xp("predict", "m.safetensors", file, *more)
    assert code == 0, err
    return list(csv.DictReader(io.StringIO(out)))


def events(xp, file="x.npy"):
    code, out, err = xp("predict", "m.safetensors", file, "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_numbers(xp):
    model = saved(xpnn.Dense(1), loss="mse")
    wanted = model.predict(X).reshape(-1)
    np.testing.assert_allclose(
        [float(row["prediction"].strip("[]")) for row in answers(xp)], wanted, rtol=1e-4
    )
    found = events(xp)
    assert [one["row"] for one in found] == [1, 2, 3, 4, 5]
    assert all("probability" not in one and "probabilities" not in one for one in found)


def test_classes(xp):
    model = saved(xpnn.Dense(3))
    shares = model.predict_proba(X)
    rows = answers(xp)
    assert [row["label"] for row in rows] == list(map(str, model.predict(X)))
    for k in range(3):
        np.testing.assert_allclose([float(row[f"probability {k}"]) for row in rows], shares[:, k], rtol=1e-5)
    for one, share in zip(events(xp), shares, strict=True):
        assert one["probability"] == pytest.approx(share.max(), rel=1e-6)
        np.testing.assert_allclose(list(one["probabilities"].values()), share, rtol=1e-6)


def test_a_single_yes_or_no(xp):
    model = saved(xpnn.Dense(1), loss="binary_cross_entropy")
    yes = model.predict_proba(X).reshape(-1)
    rows = answers(xp)
    np.testing.assert_allclose([float(row["probability 1"]) for row in rows], yes, rtol=1e-5)
    np.testing.assert_allclose([float(row["probability 0"]) for row in rows], 1 - yes, rtol=1e-4)
    assert [row["label"] for row in rows] == [str(int(share > 0.5)) for share in yes]


def test_the_array_in_a_file(xp):
    saved(xpnn.Dense(3))
    wanted = answers(xp)
    np.savez("named.npz", x=X, other=X[:1])
    np.savez("test.npz", x_test=X, other=X[:1])
    np.savez("only.npz", anything=X)
    for name in ("named.npz", "test.npz", "only.npz"):
        assert answers(xp, name) == wanted
    np.savez("two.npz", a=X, b=X)
    code, _, err = xp("predict", "m.safetensors", "two.npz")
    assert code == 4
    assert "wanted an array called x" in err


def test_no_pictures(xp):
    made = xpnn.Model([xpnn.Flatten(), xpnn.Dense(10)], (28, 28, 1), seed=0)
    made.save("m.safetensors")
    Path("empty").mkdir()
    for name in ("empty", "none*.png"):
        code, _, err = xp("predict", "m.safetensors", name)
        assert code == 7
        assert "no picture in" in err or "cannot read" in err


@pytest.mark.parametrize(("text", "size"), [
    ("64", (64, 64)), ("48x64", (48, 64)), ("48X64", (48, 64)), ("48×64", (48, 64)), ("1", (1, 1)),
    ("32768", (32768, 32768)), ("0", None), ("32769", None), ("8x0", None), ("8x8x8", None), ("x", None), ("-8", None),
    ("8.5", None), ((3, 4), (3, 4)),
])  # fmt: skip
def test_a_size_in_words(text, size):
    import click

    from xpnn.cli.options import Size

    if size is not None:
        assert Size().convert(text, None, None) == size
        return
    with pytest.raises(click.BadParameter, match="is no size such as 64 or 48x64"):
        Size().convert(text, None, None)


def test_numbers_for_the_channels():
    import importlib

    import click

    numbers = importlib.import_module("xpnn.cli.import").Numbers()
    assert numbers.convert("0.5", None, None) == (0.5,)
    assert numbers.convert("0.5,1,2", None, None) == (0.5, 1.0, 2.0)
    assert numbers.convert((1.0,), None, None) == (1.0,)
    with pytest.raises(click.BadParameter, match="wanted a number, or one for each channel"):
        numbers.convert("0.5;1", None, None)


def test_the_job_that_this_process_is_in():
    assert current_job({}) == current_job({"SLURM_JOB_ID": "x7"}) == {}
    assert current_job({"SLURM_JOB_ID": "7"}) == {"job": "7", "restart": 0}
    assert current_job({"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2"}) == {"job": "7", "restart": 2}
    assert current_job({"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "two"})["restart"] == 0


def test_an_earlier_start_of_this_job_has_ended(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    for restart, ended in ((0, True), (1, True), (2, False), (3, False), ("1", False), (None, False)):
        assert has_ended({"job": "7", "restart": restart}) is ended
    for job in (None, 7, "seven"):
        assert has_ended({"job": job, "restart": 0}) is False


def test_what_is_served(monkeypatch):
    assert what_to_serve(None) == (None, ROOT)
    with pytest.raises(FileError, match="no run at nowhere"):
        what_to_serve(Path("nowhere"))
    Path("runs/empty").mkdir(parents=True)
    assert what_to_serve(Path("runs")) == (None, Path("runs"))
    saved(xpnn.Dense(3))
    found, folder = what_to_serve(Path("m.safetensors"))
    assert (found.weights, folder) == (Path("m.safetensors"), Path("."))
    Path("runs/begun").mkdir()
    Path("runs/begun/run.json").write_text("{}")
    assert what_to_serve(Path("runs/begun")) == (None, Path("runs/begun"))
    Path("m.safetensors").rename("runs/begun/best.safetensors")
    found, folder = what_to_serve(Path("runs/begun"))
    assert (found.weights, folder) == (Path("runs/begun/best.safetensors"), Path("runs/begun"))

"""A run writes and removes what it owns, and nothing else: whatever stands in its folder, or behind a link in it."""

import json
import os

import pytest

from xpnn.cli import run

QUICK = ["train", "spiral", "--backend", "numpy", "--hidden", "4", "--epochs", "1", "--schedule", "constant"]
DIVERGES = ["--optimizer", "sgd", "--lr", "1e38"]


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """train(...) -> exit code, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XPNN_BACKEND", raising=False)

    def call(*args):
        code = run([*QUICK, *map(str, args)])
        return code, capsys.readouterr().err

    return call


def contents(folder):
    """Every file below, with its bytes; links as what they lead to."""
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


MINE = [
    {"film/holiday.mp4": "holiday"},
    {"run.json": '{"mine": 1}', "metrics.jsonl": "mine"},
    {"run.json": '{"files": ["run.json", "notes.txt"]}', "notes.txt": "mine"},
    {"run.json": '{"files": ["run.json"]}', "metrics.jsonl": "mine"},
    {"run.json": "no JSON"},
    {".hidden": ""},
    {".xpnn-1234-draft.tmp": "mine"},
    {"sub/deeper/a.txt": "a"},
]


@pytest.mark.parametrize("files", MINE, ids=lambda files: "+".join(files))
@pytest.mark.parametrize("more", [(), DIVERGES], ids=["trains", "diverges"])
def test_a_folder_that_holds_anything_else_is_refused_and_stays(tmp_path, train, files, more):
    folder = tmp_path / "proj"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    before = contents(tmp_path)
    code, said = train(*more, "--out", "proj")
    assert code == 2
    assert "proj already holds files of others: " in said
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["run.json", "metrics.jsonl", "film", "best.safetensors", "last.safetensors"]
)
def test_a_link_in_the_place_of_a_file_of_the_run(tmp_path, train, name):
    """For a new run and for one that goes on."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("precious")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).symlink_to(tmp_path / "elsewhere")
    assert train("--out", "new")[0] == 2
    assert train("--out", "old")[0] == 0
    target = tmp_path / "old" / name
    target.rename(tmp_path / "elsewhere" / "moved")
    target.symlink_to(tmp_path / "elsewhere" / "moved")
    before = contents(tmp_path)
    code, said = train("--resume", "old", "--epochs", "2")
    assert code == 7
    assert f"old/{name} is a link" in said
    assert contents(tmp_path) == before


def test_a_run_that_diverges_leaves_nothing(tmp_path, train):
    assert train(*DIVERGES, "--out", "new")[0] == 6
    (tmp_path / "empty").mkdir()
    assert train(*DIVERGES, "--out", "empty")[0] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
    assert not contents(tmp_path)


def test_what_joins_it_in_the_meantime_stays(tmp_path, train, monkeypatch):
    """Others put files into its folder while it runs; it removes its own alone."""
    from xpnn.training.film import Film

    start = Film.start

    def busy(self, *args):
        start(self, *args)
        (self.folder / "mine.txt").write_text("mine")
        (self.folder / "epoch-notes.safetensors").write_text("mine")

    monkeypatch.setattr(Film, "start", busy)
    assert train(*DIVERGES, "--out", "new")[0] == 6
    assert contents(tmp_path / "new") == dict.fromkeys(
        ("film/mine.txt", "film/epoch-notes.safetensors"), b"mine"
    )


def test_what_a_killed_run_left_is_taken_over(tmp_path, train):
    """It wrote run.json, rows and frames, and no model."""
    assert train("--out", "run")[0] == 0
    folder = tmp_path / "run"
    for path in folder.glob("*.safetensors"):
        path.unlink()
    (folder / "film" / "epoch-0099.safetensors").write_text("a frame of the run before")
    assert set(json.loads((folder / "run.json").read_text())["files"]) >= {
        path.name for path in folder.iterdir()
    }
    code, said = train("--out", "run")
    assert (code, "already holds" in said) == (0, False)
    assert not (folder / "film" / "epoch-0099.safetensors").exists()


@pytest.mark.parametrize("flag", ["--out", "--data", "--from", "--resume", "--config"])
def test_an_empty_name_is_not_the_working_folder(tmp_path, train, flag):
    code, said = train(flag, "")
    assert code == 2
    assert "an empty name" in said
    assert not contents(tmp_path)

"""run.json of unknown origin: whatever an entry is, the answer is an error that says so, or the work is done."""

import json
import os
from pathlib import Path

import pytest
from command_line import workplace  # noqa: F401

from xpnn.cli import run
from xpnn.cli.schema import RUN, SETTINGS

pytestmark = pytest.mark.usefixtures("workplace")
VALUES = [5, -1, 1.5, 1e300, True, None, "", "abc", "a\0b", "/dev/zero", [], [1], ["a"], {}, {"a": 1}, [[1]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run, and its run.json."""
    folder = tmp_path_factory.mktemp("run") / "run"
    flags = ["--epochs", "1", "--hidden", "4", "--backend", "numpy", "--schedule", "constant"]
    assert run(["-q", "train", "spiral", *flags, "--out", str(folder)]) == 0
    return folder, json.loads((folder / "run.json").read_text())


PLACES = (
    [(key,) for key in RUN]
    + [("settings", key) for key in SETTINGS]
    + [("endings", "time_limit"), ("git",), ("machine",)]
)


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_an_entry_of_any_type(trained, xp, place):
    folder, good = trained
    for value in VALUES:
        about = json.loads(json.dumps(good))
        inner = about
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        (folder / "run.json").write_text(json.dumps(about))
        for command in (
            ["evaluate", folder, "--backend", "numpy"],
            ["train", "--resume", folder, "--epochs", 1],
        ):
            code, _, err = xp(*command)
            assert code in (0, 2, 3, 4, 5, 7), (value, err)
            assert "a bug in xpnn" not in err
    (folder / "run.json").write_text(json.dumps(good))


TEXTS = [
    "",
    "{",
    "null",
    "[]",
    '{"a": 1, "a": 2}',
    '{"seed": NaN}',
    '{"seed": 1e999}',
    '"\\ud800"',
    "[" * 10**5,
]
TEXTS += ['{"seed": ' + "9" * 5000 + "}", " " * (2 << 20)]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_malformed_run_json_is_refused(trained, xp, text):
    folder, good = trained
    (folder / "run.json").write_text(text)
    code, _, err = xp("evaluate", folder, "--backend", "numpy")
    assert code in (5, 7)
    assert "run.json" in err
    (folder / "run.json").write_text(json.dumps(good))


@pytest.mark.parametrize("kind", ["pipe", "zero", "folder", "nowhere"])
def test_what_is_no_file(trained, xp, kind):
    folder, good = trained
    path = Path(folder / "run.json")
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "zero" else "/nowhere")
    assert xp("evaluate", folder, "--backend", "numpy")[0] == 7
    assert xp("train", "--resume", folder)[0] == 7
    path.rmdir() if kind == "folder" else path.unlink()
    path.write_text(json.dumps(good))

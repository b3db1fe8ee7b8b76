"""What the commands print and do at the edges: widths, bounds of forms, terminals, and what the machine lacks."""

import dataclasses
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn import cli, system
from xpnn.cli import list_runs, machine, output, runs, samples
from xpnn.cli.fitting import count_samples
from xpnn.cli.network import MOST_VALIDATION, fitting_batches, with_room
from xpnn.cli.overview import Overview
from xpnn.cli.predict_pictures import half_blocks
from xpnn.cli.regression import four_digits, regression_line
from xpnn.cli.transfer import reuse
from xpnn.cli.trials import settings_of
from xpnn.data import Dataset
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.recipes import Recipe
from xpnn.training import History

IDS = np.array([0, 1, 2, 1])


def dataset(classes=("a", "b", "c"), shape=(3,), y=IDS, **more):
    x = np.zeros((len(y), *shape), np.float32)
    return Dataset("mine", x, y, x[:2], y[:2], classes, "nowhere", None, **more)


@pytest.mark.parametrize(("count", "text"), [
    (0, "0.0 KB"), (99_999, "100.0 KB"), (100_000, "0.10 MB"), (2_345_678, "2.35 MB"), (3_210, "3.2 KB"),
])  # fmt: skip
def test_a_number_of_bytes(count, text):
    assert output.size(count) == text


def test_a_share_in_percent():
    assert [output.percent(0.98765), output.percent(0.98765, 2), output.percent(1, 0)] == [
        "98.8 %",
        "98.77 %",
        "100 %",
    ]


@pytest.mark.parametrize(("value", "text"), [
    (9_999, "9999"), (10_000, "10,000"), (79_474, "79,470"), (12.3456, "12.35"), (0.00123449, "0.001234"), (0, "0"),
    (1e15, "1e+15"), (9.994e14, "999,400,000,000,000"),
])  # fmt: skip
def test_four_digits_without_an_exponent_where_people_write_none(value, text):
    assert four_digits(value) == text
    line = regression_line({"test_r2": 0.93124, "test_mae": value, "test_rmse": 18.1}, "test_")
    assert line == f"R2 0.9312 · MAE {text} · RMSE 18.1"


def test_a_line_is_folded_where_the_terminal_ends(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert output.folded("a" * 20) == "a" * 20
    assert output.folded("train  one two three four") == "train  one two three\n       four"
    assert output.folded("name three words   the end") == "name three words\n       the end"
    assert output.folded("a" * 25) == "a" * 25
    assert output.folded("one two three · four · five") == "one two three · four\n       · five"


@pytest.mark.parametrize(("done", "total", "text"), [
    (5, 10, "\rreading pictures  " + "█" * 12 + "·" * 12 + "  5 of 10"), (0, 0, "\r" + " " * 50 + "\r"),
    (10, 10, "\r" + " " * 52 + "\r"), (1_000, 2_000, "\rreading pictures  " + "█" * 12 + "·" * 12 + "  1,000 of 2,000"),
])  # fmt: skip
def test_a_bar_shows_how_far_reading_is_on_a_terminal(done, total, text, capsys, monkeypatch):
    output.reading_bar(done, total)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    output.reading_bar(done, total)
    assert capsys.readouterr().err == text


def test_two_pixels_are_one_character():
    pixels = np.array([[0, 200, 0, 200], [0, 0, 200, 200]], np.uint8)
    (line,) = half_blocks(pixels, shades=False)
    assert line.plain == " ▀▄█"
    (line,) = half_blocks(pixels + 7, shades=True)
    assert line.plain == "▀▀▀▀"
    assert [str(span.style) for span in line.spans][1] == "rgb(207,207,207) on rgb(7,7,7)"


def test_the_processor_has_a_name_without_proc(monkeypatch):
    def missing(self):
        raise OSError

    assert machine.processor()
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    assert machine.processor() == "x86_64"


HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(("files", "commit"), [
    ({".git/HEAD": HASH}, HASH),
    ({".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": HASH}, HASH),
    ({".git/HEAD": "ref: refs/heads/main", ".git/packed-refs": f"# pack\n{HASH} refs/heads/main\n"}, HASH),
    ({".git": "gitdir: real", "real/HEAD": HASH}, HASH),
    ({".git/HEAD": "ref: refs/heads/main"}, None),
    ({".git/HEAD": "ref: ../../outside", "outside": HASH}, None),
    ({".git": "elsewhere: real", "real/HEAD": HASH}, None),
    ({}, None),
])  # fmt: skip
def test_the_commit_is_read_from_files(files, commit, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.git_state(tmp_path) == (None if commit is None else {"commit": commit})


def test_references_that_name_each_other_end(tmp_path):
    (tmp_path / ".git" / "refs").mkdir(parents=True)
    for i in range(9):
        (tmp_path / ".git" / "refs" / str(i)).write_text(f"ref: refs/{i + 1}")
    (tmp_path / ".git" / "refs" / "9").write_text(HASH)
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/0")
    assert machine.git_state(tmp_path) is None


def test_how_many_samples_each_part_has():
    plain = Recipe(validation=0.25)
    assert count_samples(dataset(), plain) == {"train": 3, "valid": 1, "test": 2}
    assert count_samples(dataset(), dataclasses.replace(plain, validation=2)) == {
        "train": 2,
        "valid": 2,
        "test": 2,
    }
    own = dataset()
    own = dataclasses.replace(own, validation=(own.x[:3], own.y[:3]))
    assert count_samples(own, plain) == {"train": 4, "valid": 3, "test": 2}


class TestClasses:
    def test_they_are_numbered_as_the_model_has_them(self):
        found = samples.match_classes(dataset(), ("c", "x", "b", "a"))
        assert found.classes == ("c", "x", "b", "a")
        assert found.y.tolist() == [3, 2, 0, 2]
        assert found.y_test.tolist() == [3, 2]
        same = dataset()
        assert samples.match_classes(same, ("a", "b", "c")) is same

    def test_one_that_the_model_does_not_know_is_named(self):
        with pytest.raises(DataError, match="'b' unknown to the model"):
            samples.match_classes(dataset(), ("a", "c"))
        known = samples.match_classes(dataset(y=np.array([0, 2, 0, 2])), ("a", "c"))
        assert known.y.tolist() == [0, 1, 0, 1]

    def test_both_parts_are_put_together(self):
        x, y = samples.together(dataset())
        assert x.shape == (6, 3)
        assert y.tolist() == [0, 1, 2, 1, 0, 1]


class TestReuse:
    def saved(self, net, shape=(3,)):
        model = xpnn.Model(net, shape, seed=0)
        return SimpleNamespace(weights=Path("w"), load=lambda backend: model, about={}, classes=())

    def reused(self, net, data, replace_head=False, shape=(3,), augmentation=()):
        be = xpnn.get_backend("numpy")
        return reuse(self.saved(net, shape), data, augmentation, be, 1, replace_head=replace_head)

    def test_samples_of_another_shape(self):
        with pytest.raises(ShapeError, match=r"takes samples of shape \(4,\), mine has \(3,\)"):
            self.reused([xpnn.Dense(3)], dataset(), shape=(4,))

    def test_another_number_of_outputs(self):
        with pytest.raises(UsageError, match="has 3 classes"):
            self.reused([xpnn.Dense(2)], dataset())

    def test_a_fresh_head_has_the_classes_of_the_data(self):
        _, model = self.reused([xpnn.Dense(4), xpnn.ReLU(), xpnn.Dense(2)], dataset(), replace_head=True)
        assert model.output_shape == (3,)

    def test_what_is_no_chain_is_taken_whole_or_not_at_all(self):
        graph = xpnn.Graph("x", [("d", xpnn.Dense(3), "x")], "d")
        _, model = self.reused(graph, dataset())
        assert model.output_shape == (3,)
        with pytest.raises(UsageError, match="is no chain of layers"):
            self.reused(graph, dataset(), replace_head=True)


def test_a_folder_that_was_made_for_a_run_goes_with_it(tmp_path, monkeypatch):
    def refuse(folder, force):
        raise OSError("no lock")

    monkeypatch.setattr(runs, "Lock", refuse)
    for made in (True, False):
        folder = tmp_path / str(made)
        folder.mkdir()
        with pytest.raises(OSError, match="no lock"):
            runs.hold(folder, made)
        assert folder.exists() != made


def test_the_exit_codes():
    assert (cli.BUG, cli.IO, cli.INTERRUPTED, cli.TERMINATED) == (1, 7, 130, 143)
    assert cli.by_signal(2).code == 130
    assert (cli.by_signal(2).word, cli.by_signal(15).word) == ("interrupted", "terminated")
    assert cli.by_signal(1).word == "stopped by SIGHUP"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_stream_is_replaced(closed, monkeypatch):
    name, mode = [("stdin", "r"), ("stdout", "w"), ("stderr", "w")][closed]
    seen, opened = [], []

    def fstat(number):
        seen.append(number)
        if number == closed:
            raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(cli.os, "fstat", fstat)
        patched.setattr(cli.os, "open", lambda *args: opened.append(args))
        patched.setattr(cli, "open", lambda *args, **more: (args, more), raising=False)
        patched.setattr(sys, name, None)
        cli.open_closed_streams()
        made = getattr(sys, name)
    assert seen == [0, 1, 2]
    assert opened == [(os.devnull, os.O_RDWR)]
    assert made == ((closed, mode), {"closefd": False})


def test_runs_are_compared_by_what_differs():
    def run(name, **settings):
        return Overview(Path(name), "done", {"settings": {"lr": 0.1, **settings}}, History())

    table = list_runs.comparison([run("a" * 30, note="x" * 24), run("b", note="x" * 25), run("c")])
    assert [str(column.header) for column in table.columns] == ["", "a" * 23 + "…", "b", "c"]
    cells = [list(column.cells) for column in table.columns]
    assert [str(cell) for cell in cells[0][:2]] == ["note", "state"]
    assert [str(column[0]) for column in cells[1:]] == ["x" * 24, "x" * 23 + "…", "-"]
    listed = list_runs.listing([run("a" * 28), run("b" * 29)])
    assert [str(cell) for cell in listed.columns[0].cells] == ["a" * 28, "b" * 27 + "…"]


@pytest.mark.parametrize(("name", "value", "text"), [
    ("valid_accuracy", 0.98765, "98.77 %"), ("valid_loss", 0.123456, "0.1235"), ("seconds", 1.25, "1.2"),
    ("parameters", 12345, "12,345"), ("valid_loss", None, "-"),
])  # fmt: skip
def test_a_score_in_a_table(name, value, text):
    assert list_runs.shown(name, value) == text


def test_the_cores_are_those_of_this_process(monkeypatch):
    asked = []
    monkeypatch.setattr(
        os, "sched_getaffinity", lambda process: asked.append(process) or {3, 5}, raising=False
    )
    assert system.usable() == {3, 5}
    assert system.cores() == 2
    assert set(asked) == {0}
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert system.usable() == {0}
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert system.usable() == {0, 1, 2}


@pytest.mark.parametrize(("share", "samples", "held"), [
    (0.5, 400_000, 0.5), (0.5, 400_002, MOST_VALIDATION), (5000, 10**9, 5000), (0.1, 100, 0.1),
])  # fmt: skip
def test_so_many_samples_are_held_out_at_most(share, samples, held):
    assert with_room(Recipe(validation=share), samples).validation == held


@pytest.mark.parametrize(("name", "samples", "share", "given", "size"), [
    ("npz", 799, 0.0, None, 16), ("npz", 1600, 0.0, None, 32), ("npz", 1599, 0.0, None, 16), ("npz", 6399, 0.0, None,
        64),
    ("npz", 6400, 0.0, None, 128), ("npz", 3200, 0.5, None, 32), ("npz", 40, 0.0, None, 16), ("npz", 1600, 0.0, 128,
        128),
    ("mnist", 1600, 0.0, None, 128), ("images", 3200, 0.0, None, 64), ("idx", 3200, 10, None, 64),
])  # fmt: skip
def test_few_samples_make_small_batches(name, samples, share, given, size):
    """An epoch has 50 steps or more, or batches of 16: powers of 2."""
    data = SimpleNamespace(name=name, y=np.zeros(samples))
    found, note = fitting_batches(Recipe(batch_size=128, validation=share), data, given)
    assert found.batch_size == size
    assert note.startswith(f"batches of {size} (--batch-size)") if size < 128 else note == ""
    if note:
        held = round(share * samples) if isinstance(share, float) else 0
        assert note.endswith(f"as there are {samples - held:,} samples")


def test_the_settings_of_a_trial_are_rounded():
    given = {"width": 32, "depth": 2, "lr": 0.00123456, "dropout": 0.1267, "optimizer": "adam"}
    wanted = {"hidden": [32, 32], "lr": 0.00123, "dropout": 0.13, "optimizer": "adam"}
    assert settings_of(given) == wanted
    more = {"weight_decay": 0.0123456, "label_smoothing": 0.0567}
    assert settings_of(given | more) == wanted | {"weight_decay": 0.0123, "label_smoothing": 0.06}
    assert settings_of(given | {"depth": 0})["hidden"] == []

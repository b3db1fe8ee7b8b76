"""What a newcomer types first: the kind of data guessed from its file, commands that can be typed, narrow terminals."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import on_a_terminal, workplace  # noqa: F401

import xpnn
from xpnn.cli import COMMANDS, cli
from xpnn.cli.program import as_typed, program
from xpnn.cli.regression import regression_line
from xpnn.data.kind import kind_of
from xpnn.errors import UsageError, XpnnError

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = ("--epochs", "1", "--hidden", "4")


def write_table(path):
    rows = [f"{i},{i * 7 % 11},{i % 2}" for i in range(60)]
    Path(path).write_text("a,b,label\n" + "\n".join(rows) + "\n")


def write_pictures(folder):
    from PIL import Image

    for name in ("cats", "dogs"):
        Path(folder, name).mkdir(parents=True)
        for i in range(4):
            noise = np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(noise).save(Path(folder, name, f"{i}.png"))


class TestKind:
    def test_names_of_files_tell(self, tmp_path):
        write_pictures("pictures")
        np.savez("a.npz", x=np.ones(3))
        Path("parts").mkdir()
        write_table("parts/a.csv")
        Path("empty").mkdir()
        for path, kind in {
            "a.csv": "table", "a.csv.gz": "table", "a.parquet": "table", "parts/*.csv": "table", "parts": "table",
            "a.npz": "npz", "a.h5": "hdf5", "a.zarr": "zarr", "pictures": "images", "empty": None,
            "missing": None, "a.txt~": None,
        }.items():  # fmt: skip
            assert kind_of(Path(path)) == kind, path

    def test_a_table_needs_no_name_of_a_dataset(self, xp):
        pytest.importorskip("duckdb")
        write_table("birds.csv")
        code, _, err = xp("train", "--data", "birds.csv", *QUICK)
        assert code == 0
        assert "birds.csv is taken as table: the same as xpnn train table birds.csv" in err
        assert Path("runs/table-mlp-1").exists()

    def test_a_name_that_is_given_is_believed(self, xp):
        write_table("birds.csv")
        code, _, err = xp("train", "mnist", "--data", "birds.csv")
        assert code == 7
        assert "xpnn train table FILE" in err

    def test_a_path_in_place_of_a_name(self, xp):
        write_table("my birds.csv")
        code, _, err = xp("train", "my birds.csv")
        assert code == 2
        assert "fix: xpnn train table 'my birds.csv'" in err

    @pytest.mark.parametrize(
        ("args", "code", "what", "fix"),
        [
            ("train birds.csv", 7, "no file or folder 'birds.csv'", "check the path"),
            ("train mnist --data birds", 7, "cannot read birds", "check the path"),
            ("train table birds.csv", 7, "no table at birds.csv\n  why: No such file", "check the path"),
            ("train table empty", 7, "no table in the folder empty", "name a file, or a folder that holds"),
            ("train empty", 2, "'empty' is a path", "say what it holds: xpnn train table empty, or images"),
            (
                "predict notes.txt",
                7,
                "holds no run that was trained on a table, which notes.txt is",
                "xpnn train",
            ),
            (
                "predict empty",
                7,
                "holds no run that was trained on pictures, which empty is taken for",
                "xpnn",
            ),
            ("completion powershell", 2, "unknown shell 'powershell'", "there is none for PowerShell"),
        ],
    )
    def test_what_is_not_there_is_said_to_be_missing(self, xp, args, code, what, fix):
        Path("empty").mkdir()
        Path("notes.txt").write_text("hello\n")
        given, _, err = xp(*args.split())
        assert given == code
        assert what in err
        assert fix in err.split("\n  fix: ")[1]


class TestProgram:
    @pytest.fixture
    def script(self):
        """An executable called xpnn below the working folder."""
        path = Path("env/bin/xpnn")
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def test_on_the_path_it_has_its_name(self, script, monkeypatch):
        monkeypatch.setattr(sys, "argv", [str(script.resolve())])
        monkeypatch.setenv("PATH", str(script.parent.resolve()))
        assert program() == "xpnn"

    def test_elsewhere_it_has_its_path(self, script, monkeypatch):
        monkeypatch.setattr(sys, "argv", [str(script)])
        monkeypatch.setenv("PATH", "/usr/bin")
        assert program() == "env/bin/xpnn"

    def test_another_program_of_that_name_on_the_path(self, script, monkeypatch):
        shutil.copytree("env", "other env")
        monkeypatch.setattr(sys, "argv", ["other env/bin/xpnn"])
        monkeypatch.setenv("PATH", str(script.parent.resolve()))
        assert program() == "'other env/bin/xpnn'"

    def test_advice_can_be_typed(self, script, monkeypatch):
        """Behind `.venv/bin/xpnn` neither xpnn nor its pip is on the PATH."""
        advice = "xpnn train --help, pip install 'xpnn[plot]', go on with xpnn 0.2; xpnn[tables] stays"
        assert as_typed(advice) == advice
        python = script.with_name("python")
        python.write_text("")
        python.with_name("pip").write_text("")
        monkeypatch.setattr(sys, "executable", str(python.resolve()))
        monkeypatch.setattr(sys, "argv", [str(script)])
        monkeypatch.setenv("PATH", "/usr/bin")
        assert as_typed(advice) == (
            "env/bin/xpnn train --help, env/bin/python -m pip install 'xpnn[plot]', go on with xpnn 0.2; "
            "xpnn[tables] stays"
        )

    def test_an_error_says_what_can_be_typed(self):
        env = os.environ | {"PATH": str(Path(sys.executable).parent)}
        done = subprocess.run(
            [sys.executable, "-m", "xpnn", "train", "--epochs", "many"],
            capture_output=True, text=True, env=env, check=False,
        )  # fmt: skip
        assert done.stderr.splitlines()[-1] == "  fix: python -m xpnn train --help"

    def test_as_a_module_of_this_python(self):
        env = os.environ | {"PATH": str(Path(sys.executable).parent)}
        done = subprocess.run(
            [sys.executable, "-m", "xpnn", "train", "moons", *QUICK],
            capture_output=True, text=True, env=env, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == "next   python -m xpnn evaluate"


def test_every_column_of_the_matrix_is_printed_in_a_narrow_terminal(xp):
    assert xp("train", "strokes", *QUICK, "--out", "run")[0] == 0
    seen, code = on_a_terminal("evaluate", "run", columns=50, TERM="dumb")
    heads = " ".join(line for line in seen.splitlines() if "taken for" in line).replace(
        "true \\ taken for", ""
    )
    assert code == 0
    assert heads.split() == [str(digit) for digit in range(10)]


@pytest.mark.parametrize("suffix", ["onnx", "pt", "keras", "pkl", "html"])
def test_saving_under_the_suffix_of_another_format_is_refused(suffix):
    model = xpnn.Model([xpnn.Dense(2)], input_shape=(3,))
    with pytest.raises(UsageError, match=rf"safetensors, not \.{suffix}"):
        model.save(f"a.{suffix}")
    assert not os.listdir()


def test_a_scale_is_shown_as_it_was_typed():
    model = xpnn.Model([xpnn.Rescale(1 / 255), xpnn.Dense(2), xpnn.Dropout(0.25)], input_shape=(3,))
    table = str(model.summary())
    assert "Rescale(scale=1/255)" in table
    assert "Dropout(rate=0.25)" in table


@pytest.mark.parametrize(("share", "wanted"), [
    (0.0, ""), (1 / 192, "▏"), (0.5, "█" * 12), (0.52, "█" * 12 + "▌"), (1.0, "█" * 24),
])  # fmt: skip
def test_a_bar_is_drawn_to_an_eighth_of_a_character(share, wanted):
    from xpnn.cli.predict_pictures import bar

    assert bar(share) == wanted


WORDS = [
    (OSError(28, "No space left on device", "f"), 7, "f: No space left on device"),
    (ValueError("embedded null byte"), 7, "a path with a null character"),
    (ValueError("something else"), 1, "unexpected ValueError: something else"),
    (TypeError("embedded null"), 1, "unexpected TypeError: embedded null"),
    (MemoryError("60 GiB"), 3, "out of memory"),
    (UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), 2, "a name that is no text"),
    (UsageError("what"), 2, "what"),
]


@pytest.mark.parametrize(("error", "code", "what"), WORDS, ids=lambda part: str(part)[:20])
def test_what_an_exception_is_reported_as(error, code, what):
    from xpnn.cli import in_our_words

    found = in_our_words(error)
    assert found.exit_code == code
    assert found.what.startswith(what)


RANGES = {
    "0 to 65535": "--port", "0 to below 1": "--dropout --input-dropout",
    "0 to 1": "--label-smoothing --require-accuracy",
    "1 or more": "--batch-size --checkpoint-every --early-stopping --epochs --jobs --trials",
    "above 0": "--lr --time-limit", "0 or more": "--weight-decay --seed",
}  # fmt: skip
"""What the numbers of the command line may be."""
ENDS = {
    "0 to 65535": (["0", "65535"], ["-1", "65536"]),
    "0 to below 1": (["0", "0.999"], ["-0.001", "1"]),
    "0 to 1": (["0", "1"], ["-0.001", "1.001"]),
    "1 or more": (["1", "12"], ["0", "-1", "1.5"]),
    "above 0": (["0.001", "1"], ["0", "-1"]),
    "0 or more": (["0", "7"], ["-1"]),
}


def ranged():
    """Each option with a range, once for each command that has it."""
    for command in COMMANDS:
        try:
            found = cli.get_command(None, command)
        except XpnnError:  # the extra it needs is not installed
            continue
        for option in found.params:
            if isinstance(option.type, click.IntRange | click.FloatRange):
                yield command, option


def test_the_numbers_of_the_command_line_end_where_they_should():
    range_of = {name: said for said, names in RANGES.items() for name in names.split()}
    seen = set()
    for command, option in ranged():
        seen.add(name := option.opts[-1])
        taken, refused = ENDS[range_of[name]]
        for value in taken:
            assert option.type.convert(value, option, None) == float(value), (command, name)
        for value in refused:
            with pytest.raises(click.BadParameter):
                option.type.convert(value, option, None)
    assert len(seen) > 8


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (79_470.2, "79,470"), (10_000.0, "10,000"), (9_999.4, "9999"), (12.3456, "12.35"), (0.001234, "0.001234"),
        (9.99e14, "999,000,000,000,000"), (1e15, "1e+15"), (0.0, "0"),
    ],
)  # fmt: skip
def test_errors_of_a_regression_are_printed_with_four_digits(value, text):
    found = regression_line({"r2": 0.5, "mae": value, "rmse": 1.0})
    assert found == f"R2 0.5000 · MAE {text} · RMSE 1"


def test_the_help_of_every_command_counts_its_examples(xp):
    found = set()
    for name in COMMANDS:
        with contextlib.suppress(XpnnError):  # the extra it needs is not installed
            examples = len(getattr(cli.get_command(None, name), "examples", ()))
            head = [line for line in xp(name, "--help")[1].splitlines() if re.fullmatch("Examples?:", line)]
            assert head == (["Example:"] if examples == 1 else ["Examples:"] if examples else []), name
            found.add(examples)
    assert {1, 2} <= found


@pytest.mark.parametrize(("args", "code", "words"), [
    (("tune", "spiral", "--worker", "--trials", "1"), 2, "--worker without --storage"),
    (("tune", "spiral", "--storage", "sqlite:////no/such/place/s.db", "--trials", "1"), 3, "cannot open --storage"),
    (("train", "--config", "dots.toml"), 2, "unknown setting 'a'"),
    (("train", "--config", "more.toml"), 2, "a line has more than 1,000 dots"),
    (("train", "--config", "none.toml"), 7, "cannot read none.toml"),
    (("import", "net.pt"), 2, "is no .onnx file"),
    (("predict", "empty"), 7, "no run"),
    (("serve", "nowhere"), 7, "no run at nowhere"),
    (("evaluate", "nowhere"), 7, "nowhere"),
])  # fmt: skip
def test_what_is_refused(xp, args, code, words):
    for name, dots in (("dots.toml", 1000), ("more.toml", 1001)):
        Path(name).write_text("a" + ".a" * dots + " = 1\n")
    Path("empty").mkdir()
    if library := {"tune": "optuna", "serve": "starlette"}.get(args[0]):
        pytest.importorskip(library)
    found, out, err = xp(*args)
    assert (found, out) == (code, "")
    assert words in err

"""Text from files and names is printed as text: it commands no terminal, no table and no picture."""

import io
import json
import sys
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.cli.lock import HOLDER, LOCK, Lock
from xpnn.errors import FileError
from xpnn.printing import one_line, printable

pytestmark = pytest.mark.usefixtures("workplace")
NASTY = {
    "escape": "\x1b[31mred\x1b[2J",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://x\x1b\\y",
    "one byte": "\x9b31m",
    "bell": "\x07\b\r",
    "turned round": "\u202egnp.exe",
    "isolated": "\u2067a\u2069",
    "no width": "a\u200bb\u2060\ufeff",
    "markup": "[red]a[/red] [link=http://x]b[/link]",
    "broken markup": "[/nothing]",
    "formula": r"$\frac{a}{b}$",
    "broken formula": r"$\notacommand{$",
    "lines": "a\nxpnn: error: forged",
    "half": "\udcff",
}


def commands(text):
    """Characters that a terminal obeys, or that show as nothing, but newlines and tabs."""
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}


def test_every_character_that_does_not_show_is_written_out():
    found = {chr(i) for i in range(0x110000) if printable(chr(i)) != chr(i)}
    hidden = {
        chr(i) for i in range(0x110000) if unicodedata.category(chr(i)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert hidden - found == {"\n", "\t"}
    assert all(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in found)
    assert printable("\x1b[1m\u202e") == r"\x1b[1m\u202e"
    assert printable("naïve שלום 数字 🙂") == "naïve שלום 数字 🙂"
    assert one_line("a\nb\tc") == r"a\nb\tc"
    assert one_line("x" * 100) == "x" * 79 + "…"


def table(folder, names):
    """Points whose labels have these names."""
    rng = np.random.default_rng(0)
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    rows = [
        f"{rng.random():.3f},{rng.random():.3f},{quoted[i % len(quoted)]}" for i in range(40 * len(quoted))
    ]
    Path(folder, "a.csv").write_text("u,v,label\n" + "\n".join(rows) + "\n", encoding="utf-8", newline="")


@pytest.mark.parametrize("kind", [kind for kind in NASTY if kind != "half"])
def test_labels_in_tables_and_pictures(xp, kind, tmp_path):
    """What `train`, `evaluate`, `predict` and `plot` say of a class with such a name."""
    pytest.importorskip("matplotlib")
    name = NASTY[kind].replace("\r", "")  # which no reader of tables takes inside a cell
    table(tmp_path, [name, "b"])
    data = ["--data", tmp_path / "a.csv"]
    code, out, err = xp(
        "train", "csv", *data, "--epochs", 1, "--hidden", 4, "--backend", "numpy", "--out", "run"
    )
    assert (code, commands(out + err)) == (0, set()), err
    code, out, err = xp("evaluate", "run", "-v")
    assert (code, commands(out + err)) == (0, set()), err
    assert one_line(name)[:4] in out
    assert not any(line.startswith("xpnn: error") for line in (out + err).splitlines())
    code, out, err = xp("plot", "run", "--what", "confusion,boundary", "--format", "svg")
    assert (code, commands(out + err)) == (0, set()), err
    shown = Path("run/plots/confusion.svg").read_text()
    assert not commands(shown)
    if "formula" in kind:
        assert name in shown


@pytest.mark.parametrize("kind", NASTY)
def test_names_in_errors(xp, kind):
    name = NASTY[kind].replace(".", "")
    for args in (
        ["evaluate", name],
        ["predict", name],
        ["train", "csv", "--data", name],
        ["train", "--config", name],
        ["train", name],
        ["plot", "--what", name],
        ["--" + name],
    ):
        code, out, err = xp(*args)
        assert code in (2, 7), err
        assert not commands(out + err)
        assert [line.startswith("xpnn: error: ") for line in err.splitlines()].count(True) == 1
        assert all(
            line.startswith(("xpnn: error: ", "  why: ", "  fix: ", "xpnn 0.")) for line in err.splitlines()
        )


def test_names_in_run_json_and_in_the_lock(xp, tmp_path):
    code, *_ = xp("train", "spiral", "--epochs", 1, "--hidden", 4, "--backend", "numpy", "--out", "run")
    assert code == 0
    about = json.loads(Path("run/run.json").read_text())
    Path("run/run.json").write_text(
        json.dumps(about | {"classes": list(NASTY.values())[:3], "model": NASTY["title"]})
    )
    for command, wanted in ((["evaluate", "run"], 4), (["plot", "run", "--what", "curves"], 0)):
        code, out, err = xp(*command)  # the data's classes are others than the file says
        assert (code, commands(out + err)) == (wanted, set()), err
    Lock(tmp_path).release()
    held = Lock(tmp_path)
    (tmp_path / HOLDER).write_text(json.dumps({"pid": 1, "host": NASTY["escape"], "since": NASTY["title"]}))
    with pytest.raises(FileError) as caught:
        Lock(tmp_path)
    assert not commands(str(caught.value))
    held.release()
    assert not (tmp_path / LOCK).exists()


def test_a_picture_of_a_digit_with_such_a_name(xp):
    from PIL import Image

    model = xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)], (28, 28, 1), seed=0)
    model.save("m.safetensors")
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:20, 10:14] = 255
    for name in NASTY.values():
        file = name.replace("/", "") + ".png"
        Image.fromarray(pixels).save(file)
        code, out, err = xp("predict", file, "--run", "m.safetensors")
        assert (code, commands(out + err)) == (0, set()), err


def test_half_a_character_is_no_name_of_a_node():
    """It could not be written to a file."""
    with pytest.raises(xpnn.errors.UsageError, match="cannot be called"):
        xpnn.Graph("x", [("a\udcff", xpnn.Dense(2), "x")], "a\udcff")


@pytest.mark.parametrize("kind", ["escape", "title", "turned round", "lines"])
def test_names_in_what_python_prints(kind):
    """Summaries, explanations, reports and errors: of a model whose nodes somebody else named."""
    from xpnn.interchange.report import Report

    name = NASTY[kind].replace(".", "")
    net = xpnn.Graph("x", [(name, xpnn.Dense(2), "x"), ("y", xpnn.ReLU(), name)], "y")
    model = xpnn.Model([net], (3,), seed=0, loss="softmax_cross_entropy")
    report = Report([(name, name, name)])
    x, y = np.zeros((2, 3), np.float32), np.array([0, 1])
    for text in (
        model.summary(),
        model.explain(x, y),
        report,
        xpnn.errors.UsageError(name, why=name, fix=name),
    ):
        assert commands(str(text)) == set()
    assert len(str(report).splitlines()) == 1


def test_a_terminal_without_utf_8_gets_question_marks(monkeypatch):
    from xpnn import cli

    monkeypatch.setattr(cli, "STOPPING", ())
    monkeypatch.setattr(cli, "open_closed_streams", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="latin-1") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    warnings.showwarning("a → b", UserWarning, "f.py", 1)
    print("a → b")
    for stream, text in zip(streams, ("a ? b", "xpnn: note: a ? b"), strict=True):
        stream.flush()
        assert stream.buffer.getvalue().decode("latin-1").endswith(f"{text}\n")


def test_a_line_is_cut_where_it_is_longer_than_allowed():
    assert one_line("abcde", 5) == "abcde"
    assert one_line("abcdef", 5) == "abcd…"
    assert one_line("a\nb\tc", 80) == r"a\nb\tc"
    assert len(one_line("a" * 500)) == 80


def test_what_cannot_be_written_is_dropped(tmp_path, monkeypatch):
    """A reader that has gone: what is left in the buffer must not fail when the interpreter ends."""
    from xpnn.cli import drop_output

    with open(tmp_path / "out", "w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        out.write("left in the buffer")
        drop_output()
    assert (tmp_path / "out").read_text() == ""

"""Manners of every command: help with examples that run, --quiet, -v and --json, 80 columns, completion."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest
from command_line import on_a_terminal, workplace  # noqa: F401
from PIL import Image

import xpnn
from xpnn.cli import COMMANDS, cli, main, run

pytestmark = pytest.mark.usefixtures("workplace")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
DOCUMENTS = ("init", "completion")
"""What they print is meant for a file."""
ENDLESS = ("serve",)
"""They run until they are stopped: see tests/web."""


def command(name):
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def example(name):
    """The words of the first example, and the file that it writes."""
    words = shlex.split(command(name).examples[0])
    assert words[:2] == ["xpnn", name]
    return (words[1:-2], words[-1]) if ">" in words else (words[1:], None)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A folder with a tiny run and a picture, for the examples to work on."""
    folder = tmp_path_factory.mktemp("ready")
    here = Path.cwd()
    try:
        os.chdir(folder)
        x, y, _, _ = xpnn.data.mnist()
        layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)]
        model = xpnn.Model(layers, (28, 28, 1), seed=0)
        model.fit(x[:500], y[:500], epochs=1, verbose=0)
        model.save("runs/mnist-mlp-1/best.safetensors")
        about = {"input_shape": [28, 28, 1], "classes": list("0123456789")}
        Path("runs/mnist-mlp-1/run.json").write_text(json.dumps(about))
        Image.fromarray(x[0, :, :, 0]).save("seven.png")
        if find_spec("onnx"):
            xpnn.interchange.save_onnx(model, "digits.onnx")
        assert run(["train", "spiral", "--hidden", "8", "--epochs", "2", "--quiet"]) == 0
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def place(ready, tmp_path):
    """A copy of the environment, and only the backends that import at once."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr("xpnn.cli.backends.backend_names", lambda: ("numpy",))


def needs(name):
    """Extras that an example cannot do without."""
    for library in {"tune": ["optuna"], "plot": ["matplotlib"], "export": ["onnx"], "import": ["onnx"]}.get(
        name, []
    ):
        pytest.importorskip(library)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ENDLESS])
class TestEveryCommand:
    def test_example(self, xp, place, name):
        """As it stands in the help; into a pipe goes no escape code."""
        needs(name)
        words, file = example(name)
        code, out, err = xp(*words)
        assert code == 0, err
        assert "\x1b" not in out + err
        assert out
        if file:
            Path(file).write_text(out)

    def test_json(self, xp, place, name):
        """Only JSON on stdout, nothing beside it; --quiet does not change that."""
        needs(name)
        words, _ = example(name)
        code, out, err = xp(*dict.fromkeys([*words, "--json"]), "--quiet")
        assert (code, err) == (0, "")
        assert all(isinstance(json.loads(line), dict) for line in out.splitlines())
        assert out

    def test_quiet(self, xp, place, name):
        needs(name)
        words = [word for word in example(name)[0] if word != "--json"]
        code, out, err = xp(*words, "--quiet")
        assert (code, err) == (0, "")
        assert bool(out) is (name in DOCUMENTS)
        code, out, err = xp("--quiet", name, "--zzz")  # errors are printed all the same
        assert (code, out) == (2, "")
        assert "xpnn: error: unknown option --zzz" in err

    def test_verbose(self, xp, place, name):
        """More talk, and no less."""
        needs(name)
        words = [word for word in example(name)[0] if word != "--json"]
        plain = xp(*words)
        shutil.rmtree("runs/tune-spiral-mlp", ignore_errors=True)  # else it goes on
        more = xp(*words, "-v")
        assert plain[0] == more[0] == 0
        assert f"xpnn {xpnn.__version__} · Python " in more[2]
        assert re.search(rf"^{name} took \d+\.\d\d s$", more[2], re.M)
        assert len(more[2].splitlines()) >= len(plain[2].splitlines()) + 2
        assert len(more[1].splitlines()) == len(plain[1].splitlines())

    def test_help(self, xp, name, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        code, out, err = xp(name, "--help")
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
        assert out.rstrip().endswith(command(name).examples[-1])
        for flag in ("--json", "-q, --quiet", "-v, --verbose", "--debug"):
            assert flag in out
        assert command(name).get_short_help_str(limit=200) == COMMANDS[name]
        assert not re.search(r"^ +--[\w-]+( [A-Z,]+)?$\n +-", out, re.M)  # every flag says what it does


@pytest.mark.parametrize("name", ENDLESS)
def test_help_of_what_runs_until_it_is_stopped(xp, name, monkeypatch):
    TestEveryCommand().test_help(xp, name, monkeypatch)


@pytest.mark.parametrize("name", ["train", "predict"])
def test_a_terminal_of_80_columns(place, name):
    """Escape codes and a bar may come, lines that are too wide not."""
    words, _ = example(name)
    seen, code = on_a_terminal(*words)
    assert code == 0
    assert "\x1b[" in seen
    lines = [ESCAPES.sub("", line) for line in re.split(r"[\r\n]+", seen)]
    assert max(map(len, lines)) <= 80
    if name == "train":
        assert any("━" in line for line in lines)


def test_a_long_name_is_folded_between_words(place):
    """What was done to a picture stays readable; the line that goes on with a run is one line, to be copied."""
    name = f"{'wide-' * 8}seven.png"
    Path("seven.png").rename(name)
    seen, code = on_a_terminal("predict", name)
    lines = [ESCAPES.sub("", line) for line in seen.splitlines()]
    named = any(line.startswith(name) for line in lines)
    assert (code, named, max(map(len, lines)) <= 80) == (0, True, True)
    assert lines[1].startswith("       ")
    folder = f"{'deep-' * 20}run"
    seen, code = on_a_terminal("train", "spiral", "--time-limit", "1e-9", "--out", folder)
    assert re.fullmatch(rf"go on  \S+ -m xpnn train --resume {folder}", seen.splitlines()[-1])


def test_no_color_and_dumb_terminals(place):
    """NO_COLOR takes the colours away, a dumb terminal gets no escape code at all."""
    words, _ = example("evaluate")
    colours = re.compile(r"\x1b\[[0-9;]*(3[0-9]|9[0-7])[0-9;]*m")
    assert not colours.search(on_a_terminal(*words, NO_COLOR="1")[0])
    seen, code = on_a_terminal("train", "spiral", "--epochs", "1", "--hidden", "4", TERM="dumb")
    assert (code, "\x1b" in seen) == (0, False)


def test_long_lines_are_folded_between_columns(monkeypatch):
    from xpnn.cli.output import folded

    monkeypatch.setenv("COLUMNS", "40")
    assert folded("short   line") == "short   line"
    line = "data   spiral, generated, a third held out   train 1,800 · valid 200 · test 1,000"
    assert folded(line).splitlines() == [
        "data   spiral, generated, a third held",
        "       out",
        "       train 1,800 · valid 200 · test",
        "       1,000",
    ]
    assert folded("a" * 60) == "a" * 60  # a path stays in one piece


def test_optuna_is_missing(xp, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, out, err = xp("tune", "spiral")
    assert (code, out) == (3, "")
    assert (
        err
        == "xpnn: error: xpnn tune needs optuna, which is not installed\n  fix: pip install 'xpnn[tune]'\n"
    )
    assert not Path("runs").exists()


TRY = """
. <(xpnn completion bash)
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); COMPREPLY=(); _xpnn_completion xpnn; echo "${COMPREPLY[@]}"; }
try xpnn tr; try xpnn train --opt; try xpnn train --model le; try xpnn train spi; try xpnn tryn x; complete -p xpnn
"""


class TestCompletion:
    @pytest.fixture
    def shell(self, tmp_path):
        """shell("bash", script) -> its lines, with xpnn on the path."""
        program = tmp_path / "bin" / "xpnn"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m xpnn "$@"\n')
        program.chmod(0o755)

        def call(name, script):
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed")
            env = os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
            flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[name]
            done = subprocess.run([name, *flags, "-c", script], env=env, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout.splitlines()

        return call

    def test_bash(self, shell):
        *lines, registered = shell("bash", TRY)
        assert lines == ["train", "--optimizer", "lenet", "spiral", ""]
        assert registered.endswith("-F _xpnn_completion xpnn")

    def test_fish(self, shell):
        lines = shell(
            "fish", 'xpnn completion fish | source; complete -C "xpnn tr"; complete -C "xpnn init mo"'
        )
        assert lines == [f"train\t{COMMANDS['train']}", "moons"]

    def test_zsh(self, shell):
        """The script is sound, and what it asks xpnn is answered."""
        asked = 'COMP_WORDS="xpnn tr" COMP_CWORD=1 _XPNN_COMPLETE=zsh_complete xpnn'
        lines = shell("zsh", f"xpnn completion zsh > c.zsh && zsh -n c.zsh && {asked}")
        assert lines == ["plain", "train", COMMANDS["train"]]

    @pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
    def test_the_text(self, xp, name):
        code, out, err = xp("completion", name)
        assert (code, err) == (0, "")
        assert f"_XPNN_COMPLETE={name}_complete" in out
        assert json.loads(xp("completion", name, "--json")[1]) == {"shell": name, "script": out}

    def test_an_unknown_shell(self, xp):
        code, _, err = xp("completion", "fsh")
        assert code == 2
        assert "did you mean 'fish'?" in err


def test_flags_before_the_command(xp, place):
    assert xp("--quiet", "evaluate", "runs/spiral-mlp-1") == (0, "", "")
    assert "evaluate took " in xp("-v", "evaluate", "runs/spiral-mlp-1")[2]


def test_details(xp, place):
    """What -v adds: the settings and the network's table of layers, the classes one by one."""
    err = xp("train", "spiral", "--epochs", "1", "--hidden", "4", "-v")[2]
    assert re.search(r"^epochs +1 +--epochs$", err, re.M)
    assert re.search(r"^0 +Dense\(units=4\) +\(4,\) +12 ", err, re.M)
    _, out, err = xp("evaluate", "-v")
    found = re.findall(r"^arm \d +found (\d+) of (\d+), right (\d+) of the (\d+) times", err, re.M)
    counts = np.array(found, int)
    assert counts[:, 1].sum() == counts[:, 3].sum() == 1000
    accuracy = float(re.search(r"accuracy ([\d.]+) %", out)[1])
    assert counts[:, 0].sum() == counts[:, 2].sum() == round(10 * accuracy)
    plain, more = xp("predict", "seven.png"), xp("predict", "seven.png", "-v")
    assert (plain[1].count(" %"), more[1].count(" %")) == (3, 10)


def test_a_warning_is_one_line(monkeypatch, capsys):
    """Without the place in the code that it came from."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("xpnn.cli.run", lambda _: warnings.warn("slow because of this", RuntimeWarning, 1))
    with warnings.catch_warnings(action="default"), pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().err == "xpnn: note: slow because of this\n"

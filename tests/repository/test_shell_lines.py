"""The shell lines of the documents are run as they stand there, by bash, in a folder of their own.

Three things are made small: the datasets, to a thousand samples, the recipes, to one epoch, and a search, to four
trials. numba is hidden: to load its loops takes longer than most commands, and other tests have them. And nothing is
installed, since that needs a network: `pip` only has to be asked for an extra that there is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xpnn
import xpnn.cli

ROOT = Path(xpnn.__file__).parents[1]
DOCUMENTS = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.M | re.S)
SCRIPTS = "bash ci/"
"""How a line begins that sets up its own environment: see the tests of the scripts."""
PLACES = {"RUN": "runs/mnist-cnn-1", "FILE.png": "seven.png", "FILE.onnx": "net.onnx"}
GIVEN = {"table": "table flowers.csv", "images": "images --data PHOTOS"}
"""Datasets that a user brings, and where they are here."""

SMALL = """
import dataclasses, pathlib, sys
import numpy as np
from xpnn import recipes
from xpnn.data import datasets

sys.modules["numba"] = None

def digits(path, seed):
    with np.load(pathlib.Path(__file__).with_name("digits.npz")) as kept:
        return [kept[name] for name in ("x", "y", "x_test", "y_test")]

datasets.mnist = lambda path: digits(path, 0)
datasets.find_fashion = lambda path: (digits(path, 0), "a stand-in")
small = {name: dataclasses.replace(r, epochs=1, validation=0.2) for name, r in recipes.RECIPES.items()}
recipes.RECIPES.update(small)
for changes in (*recipes.OVERRIDES.values(), *recipes.TOGETHER.values(), *recipes.AUGMENTED.values()):
    changes.update(epochs=1)
"""
OUTSIDE = """
from xpnn.backends.numpy import NumpyBackend

class DaskBackend(NumpyBackend):
    name = "dask"
"""
"""What a package brings that is installed: the backend that the documents name, on NumPy's arrays."""
PIP = """
import re, sys, tomllib
extras = tomllib.load(open(sys.argv[1], "rb"))["project"]["optional-dependencies"]
name = re.fullmatch(r"xpnn\\[(\\w+)\\]", sys.argv[3])
sys.exit(sys.argv[2] != "install" or name[1] not in extras)
"""


def blocks(name):
    """[(line, what the document says it prints)] of each console block."""
    for block in CONSOLE.findall((ROOT / name).read_text()):
        _, *parts = re.split(r"^\$ ", block, flags=re.M)
        yield [(line, said.splitlines()) for line, _, said in (part.partition("\n") for part in parts)]


def spans():
    """Every `xpnn ...` in the running text of the documents."""
    text = "\n".join((ROOT / name).read_text() for name in DOCUMENTS)
    text = re.sub(r"^```.*?^```|^\| `.*?$", "", text, flags=re.M | re.S)
    return sorted({re.sub(r"\s+", " ", found) for found in re.findall(r"`(xpnn [^`]+)`", text)})


def table():
    """What the README's table of commands names, and the flags that it adds to one."""
    rows = re.search(r"^## Commands\n.*?\n\n", (ROOT / "README.md").read_text(), re.M | re.S)
    assert rows
    for row in re.findall(r"^\| (`.*) \|$", rows[0] + "\n", re.M):
        names, _, about = row.replace("\\|", "/").partition(" | ")
        commands = [name.removeprefix("xpnn ") for name in re.findall(r"`([^`]+)`", names)]
        for command in commands:
            yield from (f"xpnn {one}" for one in expanded(command))
        yield from (f"xpnn {commands[0].split()[0]} {flags}" for flags in re.findall(r"`(--[^`]+)`", about))


def expanded(command):
    """`evaluate [RUN]` with and without it; `train [mnist/csv/...]` with each."""
    found = re.search(r" \[(.*)\]", command)
    if not found:
        return [command.replace(" ...", "")]
    plain, choices = command.replace(found[0], ""), found[1].split("/")
    choices = [GIVEN.get(name, name) for name in choices if name != "..."]
    return [*([plain] if len(choices) == 1 else []), *(f"{plain} {name}" for name in choices)]


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A folder with pictures, a table, and two runs; xpnn on the path."""
    folder = tmp_path_factory.mktemp("ready")
    program(folder / "bin/xpnn", f'#!/bin/sh\nexec {sys.executable} -m xpnn "$@"\n')
    (folder / "small").mkdir()
    (folder / "small/sitecustomize.py").write_text(SMALL)
    (folder / "small/dask_stand_in.py").write_text(OUTSIDE)
    (folder / "small/dask_stand_in-1.0.dist-info").mkdir()
    (folder / "small/dask_stand_in-1.0.dist-info/entry_points.txt").write_text(
        "[xpnn.backends]\ndask = dask_stand_in:DaskBackend\n"
    )
    (folder / "small/pip.py").write_text(PIP)
    program(
        folder / "bin/pip",
        f'#!/bin/sh\nexec {sys.executable} {folder}/small/pip.py {ROOT}/pyproject.toml "$@"\n',
    )
    program(folder / "bin/mpiexec", '#!/bin/sh\nshift 2\nexec "$@"\n')  # of -n N COMMAND one process
    x, y, x_test, y_test = xpnn.data.mnist()
    small = {"x": x[:1000], "y": y[:1000], "x_test": x_test[:200], "y_test": y_test[:200]}
    np.savez(folder / "small/digits.npz", **small)
    Image.fromarray(x[0, :, :, 0]).save(folder / "seven.png")
    for label in (0, 1):
        (folder / f"PHOTOS/{label}").mkdir(parents=True)
        for i, image in enumerate(x[y == label][:40]):
            Image.fromarray(image[:, :, 0]).save(folder / f"PHOTOS/{label}/{i}.png")
    (folder / "scans").mkdir()
    for picture in list((folder / "PHOTOS/1").iterdir())[:3]:
        Image.open(picture).save(folder / "scans" / f"{picture.stem}.jpg")
    shutil.copytree(folder / "PHOTOS", folder / "OTHERS")
    lines = ["width,height,label", *(f"{i % 7},{i % 5},{i % 3}" for i in range(90))]
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n")
    write_tables(folder, x.reshape(len(x), -1), y)
    for line in ("xpnn train --epochs 3", "xpnn train --model cnn --epochs 3"):
        assert bash(folder, line).returncode == 0
    if find_spec("onnx"):
        assert bash(folder, "xpnn export runs/mnist-cnn-1 --to onnx --out net.onnx").returncode == 0
    return folder


def write_tables(folder, pixels, labels):
    """Digits as Kaggle has them, and the passengers of the guide."""
    names = [f"pixel{i}" for i in range(784)]
    for name, head, first in (
        ("train.csv", ["label", *names], labels[:, None]),
        ("test.csv", names, labels[:0]),
    ):
        rows = (
            np.concatenate([first, pixels], axis=1)[:600].tolist() if first.size else pixels[600:620].tolist()
        )
        lines = [",".join(map(str, row)) for row in [head, *rows]]
        (folder / name).write_text("\n".join(lines) + "\n")
    rng = np.random.default_rng(0)
    (folder / "titanic").mkdir()
    for name, count, known in (("train", 300, True), ("more", 20, True), ("test", 20, False)):
        lines = ["PassengerId,Pclass,Name,Sex,Age,Fare,Embarked" + ",Survived" * known]
        for i, sex in enumerate(rng.choice(["female", "male"], count)):
            age, town = "" if i % 9 == 0 else round(rng.normal(28, 12)), rng.choice(["S", "C", "Q", ""])
            kept = int((sex == "female") != (rng.random() < 0.1))
            fare = f"{rng.lognormal(3):.4f}"
            row = f'{100 + i},{1 + i % 3},"Braund, Mr. Owen {i}",{sex},{age},{fare},{town}'
            lines.append(row + f",{kept}" * known)
        (folder / f"titanic/{name}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def place(ready, tmp_path):
    """A copy of the folder."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    return tmp_path


def bash(folder, line, **more):
    """The line, as somebody types it in that folder."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XPNN_")}
    env |= {"PATH": f"{folder}/bin:{env['PATH']}", "PYTHONPATH": f"{folder}/small{os.pathsep}{ROOT}"}
    env |= {"HOME": str(folder), "COLUMNS": "80"} | more
    return subprocess.run(["bash", "-c", line], cwd=folder, env=env, capture_output=True, text=True)


def check(folder, line):
    """Runs it; stdout and stderr."""
    needs(line)
    for name, real in PLACES.items():
        line = re.sub(rf"\b{re.escape(name)}\b", real, line)
    line = re.sub(r"--trials \d+", "--trials 4", line)
    if line.startswith("xpnn serve"):
        return until_it_serves(folder, line)
    done = bash(folder, line)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stderr + done.stdout


def until_it_serves(folder, line):
    """The line, ended when it says where it serves; what it said."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("XPNN_")}
    env |= {"PATH": f"{folder}/bin:{env['PATH']}", "PYTHONPATH": f"{folder}/small{os.pathsep}{ROOT}"}
    process = subprocess.Popen(
        ["bash", "-c", f"exec {line} --port 0"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    )
    said = process.stdout.readline()
    process.terminate()
    process.stdout.close()
    assert process.wait() == 143
    assert said.startswith("serving http://127.0.0.1:")
    return said


def needs(line):
    """Extras that a line cannot do without."""
    extras = {
        "serve": "starlette",
        "tune": "optuna",
        "plot": "matplotlib",
        "export": "onnx",
        "import": "onnx",
    }
    for word, library in extras.items():
        if line.startswith(f"xpnn {word}") or (word == "serve" and "--watch" in line):
            pytest.importorskip(library)


def without_numbers(line):
    """The line with every number as 0 and every gap as one blank: what does not depend on the machine."""
    return " ".join(re.sub(r"\d[\d.,e+-]*\*?", "0", line).split())


@pytest.mark.parametrize("line", list(table()))
def test_the_table_of_commands(place, line):
    assert check(place, line) or "completion" in line


@pytest.mark.parametrize("line", sorted({*spans()} - {*table()}))
def test_a_line_in_the_text(place, line):
    (place / ".config/fish/completions").mkdir(parents=True)
    check(place, line)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_blocks_of_a_page_run_in_order(place, name):
    """In their order: later ones use what earlier ones left. They print what the document says."""
    shutil.rmtree(place / "runs")
    for line, said in (entry for block in blocks(name) for entry in block):
        if line.startswith(SCRIPTS):
            continue
        printed = [without_numbers(one) for one in check(place, line).splitlines()]
        for one in said:
            assert one == "..." or without_numbers(one) in printed, one


# The two commands: in a checkout whose .venv is there already, so that only its pip has nothing to do


@pytest.fixture
def checkout(tmp_path):
    """The scripts as they are; a python that runs anything but pip and pytest, which are only written down."""
    shutil.copytree(ROOT / "ci", tmp_path / "ci")
    for name in ("xpnn", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)
    noted = f'echo "$(basename "$0") $*" >> {tmp_path}/log\n'
    quiet = 'case "$*" in "-m pip "*|"-m pytest "*) exit 0;; esac\n'
    program(tmp_path / ".venv/bin/python", f'#!/bin/sh\n{noted}{quiet}exec {sys.executable} "$@"\n')
    noting = f"open({str(tmp_path / 'log')!r}, 'a').write(' '.join(['xpnn', *sys.argv[1:]]) + '\\n')"
    script = f"#!{sys.executable}\nimport sys\nfrom xpnn.cli import main\n{noting}\nmain()\n"
    program(tmp_path / ".venv/bin/xpnn", script)  # as pip writes it
    for name in ("ruff", "mypy"):
        program(
            tmp_path / f".venv/bin/{name}",
            f'#!/bin/sh\n{noted}case " $FAILS " in *" {name} "*) exit 1;; esac\n',
        )
    return tmp_path


def log(folder):
    return (folder / "log").read_text().splitlines()


def test_ci_train(checkout):
    """The README's first line: all of MNIST, but one epoch. From its second line on it prints what is said there."""
    (line, said), _ = next(blocks("README.md"))
    assert line == "bash ci/train"
    done = bash(checkout, line, XPNN_EPOCHS="1", XPNN_BACKEND="numpy")
    assert done.returncode == 0, done.stderr
    printed = [without_numbers(one) for one in (done.stderr + done.stdout).splitlines()]
    for one in said[1:]:
        assert one == "..." or without_numbers(one) in printed, one
    assert said[1] in done.stderr.splitlines()
    assert said[2] in done.stderr.splitlines()
    assert log(checkout)[0] == "python -m pip install --quiet --disable-pip-version-check --no-compile -e ."
    assert log(checkout)[-1] == "xpnn train"
    again = bash(checkout, f"{line} spiral --json", XPNN_EPOCHS="1", XPNN_BACKEND="numpy")
    assert json.loads(again.stdout.splitlines()[-1])["checkpoint"] == "runs/spiral-mlp-1/best.safetensors"
    assert sum("pip" in one for one in log(checkout)) == sum(
        "pip" in one for one in log(checkout)[:3]
    )  # once


def test_ci_test(checkout):
    """What it installs and in which order it checks; the suite itself is what runs here already."""
    _, (line, _) = next(blocks("README.md"))
    line, _, said = line.partition("#")
    assert line.strip() == "bash ci/test"
    assert "--full" in said
    assert bash(checkout, line).returncode == 0
    plain, full = log(checkout), None
    (checkout / "log").unlink()
    assert bash(checkout, f"{line} --full").returncode == 0
    full = log(checkout)
    for noted, extra in ((plain, "test"), (full, "oracle")):
        assert noted[0].endswith(f"-e .[{extra}]")
        assert noted[1:-1] == ["ruff check .", "ruff format --check .", "mypy ", "python ci/sizes.py"]
    assert (
        plain[-1]
        == "python -m pytest -q -n auto --maxprocesses=4 --dist worksteal -m not oracle and not slow"
    )
    assert full[-1] == "python -m pytest -q -n auto --maxprocesses=4 --dist worksteal"
    for name in ("ruff", "mypy"):
        (checkout / "log").unlink()
        assert bash(checkout, line, FAILS=name).returncode == 1
        assert "pytest" not in log(checkout)[-1]
    assert bash(checkout, f"{line} --ful").returncode == 2


def test_the_lines_are_found():
    """A document that says it in another way would not be run."""
    lines = [line for name in DOCUMENTS for block in blocks(name) for line, _ in block]
    texts = [re.sub(r"```text\n.*?```", "", (ROOT / name).read_text(), flags=re.S) for name in DOCUMENTS]
    assert (
        len(lines) == sum(text.count("\n$ ") for text in texts) > 6
    )  # a text block takes minutes, or files of others
    assert {line.split()[1] for line in table()} == set(xpnn.cli.COMMANDS)
    assert sum("--resume" in line for line in [*spans(), *table()]) == 3

"""Every file that the package writes goes through xpnn.durable: by the syntax tree, and by what a run really opens."""

import ast
import pathlib
import subprocess
import sys

import pytest
from purity_lint import writes

import xpnn

PACKAGE = pathlib.Path(xpnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ALLOWED = {
    "durable.py": 6,
    "cli/__init__.py": 2,  # the null device, for `xpnn ... | head` and for streams that are closed
    "cli/fitting.py": 1,  # Model.save
    "cli/ranks.py": 1,  # the null device, for what only rank 0 prints
    "data/tables/whitespace.py": 1,  # a table's copy, in a temporary folder
    "distributed/jax_group.py": 2,  # the null device, for what others would print
    "distributed/rendezvous.py": 2,  # the null device, for what the launcher would print again; the launcher itself
    "system.py": 1,  # a launcher's pipe, to see whether somebody reads it
    "temporary_files.py": 11,  # temporary files and folders, which are gone afterwards
}
"""How many calls that write a file may have; those not named here, none."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_writer_writes(file):
    found = list(writes(ast.parse(file.read_text())))
    assert len(found) == ALLOWED.get(str(file.relative_to(PACKAGE)), 0), found


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')",
        "open(path, mode='ab')",
        "open(path, 'r+b')",
        "path.open('wb')",
        "io.open(path, 'x')",
        "gzip.open(path, 'wt')",
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "os.fdopen(handle, 'w')",
        "path.write_text('x')",
        "path.write_bytes(b'x')",
        "figure.savefig(path)",
        "image.save(path)",
        "np.save(path, a)",
        "np.savez(path, a)",
        "a.tofile(path)",
        "json.dump(tree, file)",
        "os.replace(a, b)",
        "shutil.copyfile(a, b)",
        "shutil.move(a, b)",
        "writer.saving(figure, path, 80)",
        "path.touch()",
        "from os import replace",
        "import tempfile",
        "pooch.retrieve(url, None)",
    ],
)
def test_the_lint_flags_what_writes(code):
    assert list(writes(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'rb')",
        "path.open('rb')",
        "open(path)",
        "word.replace('a', 'b')",
        "memory = io.BytesIO()\nfigure.savefig(memory)\nimage.save(memory, 'GIF')",
        "a, memory = 1, io.BytesIO()\nimage.save(memory)",
        "self.trainer.model.save(path)",
        "dataclasses.replace(row, best=True)",
    ],
)
def test_the_lint_lets_the_rest_pass(code):
    assert not list(writes(ast.parse(code)))


WATCH = """if True:
    import os, sys
    seen, here = [], os.getcwd()

    def watch(event, args):
        if event == "open" and isinstance(args[0], (str, os.PathLike)) and args[2] & (os.O_WRONLY | os.O_RDWR):
            path = os.path.abspath(args[0])
            if path.startswith(here):
                seen.append(os.path.basename(path))

    import xpnn.cli, xpnn.plots
    sys.addaudithook(watch)
    for args in (["train", "spiral", "--hidden", "8", "--epochs", "2"], ["evaluate"], ["plot"]):
        assert xpnn.cli.run(args) == 0
    xpnn.Model([xpnn.Dense(1)], (1,)).save("mine.safetensors")
    print(len(seen), sorted({name for name in seen if not (name.startswith(".xpnn-") and name.endswith(".tmp"))}))
"""


def test_what_a_run_opens_for_writing(tmp_path):
    """Under the working folder: temporaries of the writer and the lock; no file by its own name."""
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", WATCH]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, _, others = done.stdout.splitlines()[-1].partition(" ")
    assert int(count) > 14
    assert others.strip("[]").split(", ") == ["'.xpnn.lock'", "'metrics.jsonl'"]
    assert len([*tmp_path.rglob("*.png"), *tmp_path.rglob("*.gif")]) == 7

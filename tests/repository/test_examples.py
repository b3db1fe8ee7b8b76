"""Every example runs, prints its numbers, draws its pictures, and fails when a number is missed."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Example:
    """A script, what it prints, what it draws, and a change of its text that makes it miss a number."""

    name: str
    prints: tuple[str, ...]
    broken: tuple[str, str]
    draws: tuple[str, ...] = ()
    slow: bool = False
    oracle: bool = False  # needs a library of that extra

    def param(self):
        marks = [pytest.mark.slow] * self.slow + [pytest.mark.oracle] * self.oracle
        return pytest.param(self, id=self.name, marks=marks)


EXAMPLES = (
    Example(
        "s0_neuron_and_layer",
        ("[[29.]]", "[[4.8   1.21  2.385]]", "[[0.89528266 0.02470831 0.08000903]]", "[1.41  1.051 0.026]"),
        ("y == 29", "y == 30"),
    ),
    Example(
        "s1_spiral",
        ("387 parameters", "(ln 3 = 1.0986)", "on points it has not seen", "dead units", "|update|/|w|"),
        ('after["accuracy"] > 0.98', 'after["accuracy"] > 1'),
        ("s1_spiral.gif", "s1_spiral.png"),
    ),
    Example(
        "s2_mnist_fashion",
        (
            "MNIST, 6 epochs:",
            "wanted above 97.42%",
            "test image 0 shows 7, the network says 7",
            "Fashion-MNIST",
        ),
        ("epochs=6", "epochs=1"),
        slow=True,
    ),
    Example(
        "s3_gradient_descent",
        ("by formula -0.023058", "(0.034588, -0.046117)", "f(1, 1) = -0.103929995", "f(0, 0) = 0.141120008"),
        ("-2 * (1 - 2 * 0.1)", "-2 * (1 - 3 * 0.1)"),
        ("s3_parabola.gif", "s3_sine.gif", "s3_surface.gif"),
    ),
    Example(
        "s3_digits",
        ("101,770 parameters", "wanted above 97.00%", "true 2 5 7 7 9 1 5 4 5 4"),
        ("epochs=8", "epochs=1"),
        ("s3_digits.png", "s3_loss.png"),
        slow=True,
    ),
    Example(
        "s4_perceptron",
        ("majority of three    0 0 0 1 0 1 1 1", "AND 0 0 0 1   OR 0 1 1 1", "wanted above 92.00%"),
        (">= 2", ">= 1"),
    ),
    Example(
        "dask_backend",
        ("dask   1.", "numpy  1.", "largest relative difference of a loss"),
        ("difference < 1e-12", "difference < 0"),
        oracle=True,
    ),
    Example(
        "segmentation",
        ("pixels right: 9", "overlap with the digits: 0.", "of the best threshold 0.33"),
        ("digits, 1500", "digits, 25"),
        slow=True,
    ),
    Example(
        "two_backends",
        ("numpy   0.97", "largest relative difference of a loss"),
        ("(other_start == start).all()", "(other_start != start).all()"),
    ),
)
SLOW = {example.name: example.slow for example in EXAMPLES}


def run(folder, name, *changes):
    """A copy of the example with its text changed, run in `folder`, where its pictures go: no network, no warnings.

    numba, which takes a while to load, is there for those that train for longer.
    """
    text = (ROOT / "examples" / f"{name}.py").read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    script = folder / f"{name}.py"
    script.write_text(text)
    hidden = "" if SLOW[name] else str(ROOT / "tests" / "without_numba")
    path = os.pathsep.join(filter(None, (hidden, str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "XPNN_OFFLINE": "1", "XPNN_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("example", [example.param() for example in EXAMPLES])
def test_example_holds(example, tmp_path):
    done = run(tmp_path, example.name)
    assert (done.returncode, done.stderr) == (0, "")
    for number in example.prints:
        assert number in done.stdout
    drawn = sorted(path.name for path in (tmp_path / "out").glob("*"))
    assert drawn == sorted(example.draws)
    for name in drawn:
        with Image.open(tmp_path / "out" / name) as image:
            low, high = image.convert("L").getextrema()
            assert high - low > 200


@pytest.mark.parametrize("example", [example.param() for example in EXAMPLES])
def test_example_fails_when_it_misses_its_number(example, tmp_path):
    done = run(tmp_path, example.name, example.broken)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr


def test_clothes_are_left_out_where_they_are_not(tmp_path):
    fashion = 'sys.modules["xpnn.data.fashion"]'
    nowhere = f'import xpnn.data\n\nimport sys, pathlib\n{fashion}.SYSTEM = pathlib.Path("none")\n'
    digits = 'train("MNIST", xpnn.data.mnist(), MNIST_CLASSES, 0.9742)'
    done = run(tmp_path, "s2_mnist_fashion", ("import xpnn\n", nowhere), (digits, ""))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Fashion-MNIST skipped: Fashion-MNIST was not found; ")
    assert len(done.stdout.splitlines()) == 1


def test_every_example_is_run():
    assert sorted(path.stem for path in (ROOT / "examples").glob("*.py")) == sorted(e.name for e in EXAMPLES)

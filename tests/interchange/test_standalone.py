"""Exported Python and C: every row gives what the model gives, with NumPy alone and with the C library alone."""

import ctypes
import importlib.util
import shutil
import subprocess
import sys

import numpy as np
import pytest
from cases import LAYERS
from onnx_runs import TOLERANCE, difference, fed, model_of

import xpnn
from xpnn.interchange import c_windows, operations_windows, save_c, save_python
from xpnn.interchange.c_export import header
from xpnn.interchange.python_export import source
from xpnn.interchange.trace import program_of

COMPILER = shutil.which("gcc") or shutil.which("cc")
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]


def answers(model, feed):
    given = tuple(feed.values())
    return model.forward(given if model.net.multi_input else given[0])


def imported(path):
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(path):
    """The functions of a header in a library: f(inputs..., outputs...)."""
    if COMPILER is None:
        pytest.skip("a C compiler is not installed")
    text = path.read_text()
    head = text[text.index(f"static void {path.stem}_predict(") :]
    arguments = head[head.index("(") + 1 : head.index(")")]
    names = ", ".join(one.split("*")[1] for one in arguments.split(", "))
    unit = path.with_suffix(".c")
    unit.write_text(f'#include "{path.name}"\nvoid f({arguments}) {{ {path.stem}_predict({names}); }}\n')
    library = path.with_suffix(".so")
    done = subprocess.run(
        [COMPILER, *FLAGS, "-o", library, unit, "-lm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library)).f


def run_c(f, feed, like):
    """What the function gives, one sample after the other."""
    arrays = [np.ascontiguousarray(a.astype(np.int32) if a.dtype == np.int64 else a) for a in feed.values()]
    wanted = like if isinstance(like, tuple) else (like,)
    found = [np.zeros(w.shape, np.float32) for w in wanted]
    for i in range(len(arrays[0])):
        inputs = [a[i : i + 1].copy() for a in arrays]
        outputs = [np.zeros(max(1, w[i].size), np.float32) for w in wanted]
        f(*(a.ctypes.data_as(ctypes.c_void_p) for a in [*inputs, *outputs]))
        for a, out in zip(found, outputs, strict=True):
            a[i] = out[: a[i].size].reshape(a[i].shape)
    return tuple(found) if isinstance(like, tuple) else found[0]


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_python_gives_what_the_model_gives(case, tmp_path):
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    path = tmp_path / "m.py"
    path.write_text(source(program, "m", (), False)[0])
    for n in {1, case.batch}:
        feed = fed(program, x, n)
        assert difference(imported(path).predict(*feed.values()), answers(model, feed)) <= TOLERANCE


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_c_gives_what_the_model_gives(case, tmp_path):
    """Without a warning under -Wall -Wextra."""
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    path = tmp_path / "m.h"
    path.write_text(header(program, "m", []))
    feed = fed(program, x, case.batch)
    wanted = answers(model, feed)
    assert difference(run_c(compiled(path), feed, wanted), wanted) <= TOLERANCE


@pytest.fixture(scope="module")
def digits():
    """A small convolutional network that has learned a little, and a thousand images to try it on."""
    x, y, x_test, _ = xpnn.data.mnist()
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(6, 5, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2),
        xpnn.Flatten(), xpnn.Dense(32), xpnn.ReLU(), xpnn.Dropout(0.2), xpnn.Dense(10),
    ]  # fmt: skip
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x[:3000], y[:3000], optimizer=xpnn.Adam(3e-3), epochs=2, verbose=0)
    return model, x_test[:1000]


def same_answers(got, model, images):
    """Probabilities to 1e-5, classes exactly."""
    wanted = model.predict_proba(images)
    assert np.max(np.abs(got - wanted)) <= 1e-5
    assert (np.argmax(got, axis=1) == model.predict(images)).all()


@pytest.mark.parametrize("beside", [False, True])
def test_a_thousand_images_in_python(digits, beside, tmp_path):
    model, images = digits
    save_python(model, tmp_path / "digits.py", beside=beside)
    assert (tmp_path / "digits.weights").exists() is beside
    same_answers(imported(tmp_path / "digits.py").predict(images), model, images)


def test_a_thousand_images_in_c(digits, tmp_path):
    model, images = digits
    save_c(model, tmp_path / "digits.h", classes=[str(i) for i in range(10)])
    assert "malloc" not in (tmp_path / "digits.h").read_text()
    got = run_c(compiled(tmp_path / "digits.h"), {"x": images}, model.predict_proba(images))
    same_answers(got, model, images)


def test_the_python_file_needs_numpy_alone(digits, tmp_path):
    """In an interpreter that cannot import xpnn; run as a program it prints the classes."""
    model, images = digits
    names = ["zero", *map(str, range(1, 10))]
    save_python(model, tmp_path / "digits.py", classes=names)
    np.save(tmp_path / "some.npy", images[:20])
    (tmp_path / "xpnn.py").write_text("raise SystemExit('xpnn was imported')\n")
    done = subprocess.run(
        [sys.executable, "digits.py", "some.npy"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [names[i] for i in model.predict(images[:20])]


def test_the_python_file_can_be_read(digits, tmp_path):
    """A line for each operation, with the layer that it belongs to, and only the functions that are used."""
    model, _ = digits
    save_python(model, tmp_path / "digits.py")
    text = (tmp_path / "digits.py").read_text()
    assert 'conv(h3, W["1.W"], W["1.b"], ' in text
    assert "# layer 6" in text
    assert "def lstm" not in text
    assert text.startswith('"""What the model digits predicts.')


def test_classes_in_c(tmp_path):
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    save_c(model, tmp_path / "m.h", classes=['a"b', "é"])
    assert '= {"a\\042b", "\\303\\251"};' in (tmp_path / "m.h").read_text()
    compiled(tmp_path / "m.h")


def flipped(out, names, shapes, a):
    return [
        line.replace("+ u) *", f"+ {a['kernel_shape'][0] - 1} - u) *") for line in REAL(out, names, shapes, a)
    ]


REAL = c_windows.convolution


def test_planted_faults_are_noticed(digits, tmp_path, monkeypatch):
    model, images = digits
    monkeypatch.setattr(c_windows, "convolution", flipped)
    save_c(model, tmp_path / "c.h")
    wanted = model.predict_proba(images)
    with pytest.raises(AssertionError):
        same_answers(run_c(compiled(tmp_path / "c.h"), {"x": images}, wanted), model, images)
    monkeypatch.setattr(operations_windows, "max_pool", operations_windows.average_pool)
    save_python(model, tmp_path / "p.py")
    text = (tmp_path / "p.py").read_text().replace("def average_pool", "def max_pool")
    (tmp_path / "q.py").write_text(text)
    with pytest.raises(AssertionError):
        same_answers(imported(tmp_path / "q.py").predict(images), model, images)

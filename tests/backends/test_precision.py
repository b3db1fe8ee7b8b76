"""In which float32 matrices are multiplied: a word when a model is made, and nothing that a file keeps."""

import shutil

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.backends import PRECISIONS, get_backend
from xpnn.backends.cupy import CupyBackend
from xpnn.errors import UsageError

LAYERS = [xpnn.Dense(2)]
X, Y = np.linspace(-1, 1, 60).reshape(20, 3), np.arange(20) % 2


@pytest.fixture
def every_precision(monkeypatch):
    """NumPy takes all of them, and no backend of before or after is confused with these."""
    cache = get_backend.__globals__["_open"]
    cache.cache_clear()
    monkeypatch.setattr("xpnn.backends.numpy.NumpyBackend.precisions", PRECISIONS)
    yield
    cache.cache_clear()


@pytest.fixture
def used(monkeypatch, every_precision):
    """The precisions of the models that were trained."""
    found, begin = set(), xpnn.Trainer.__init__

    def noted(self, model, *args, **kwargs):
        found.add(model.backend.precision)
        begin(self, model, *args, **kwargs)

    monkeypatch.setattr(xpnn.Trainer, "__init__", noted)
    return found


def test_cupy_has_them_all():
    assert set(CupyBackend.precisions) == set(PRECISIONS) == {"fp32", "tf32", "bf16"}


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"precision": "tf32"}, "backend 'numpy' has no precision 'tf32'"),
        ({"precision": "bf16", "backend": "strict"}, "backend 'strict' has no precision 'bf16'"),
        ({"precision": "tf23"}, "unknown precision 'tf23'\n  fix: did you mean 'tf32'?"),
        ({"precision": 16}, "precision=16: wanted words"),
    ],
)
def test_other_backends_have_one(settings, fragment):
    with pytest.raises(UsageError) as caught:
        xpnn.Model(LAYERS, (3,), **settings)
    assert fragment in str(caught.value)


@pytest.mark.usefixtures("every_precision")
def test_it_is_said_of_float32_alone():
    with pytest.raises(UsageError, match="precision 'tf32' is a way to multiply float32, not float64"):
        get_backend("numpy", None, "float64", "tf32")


@pytest.mark.usefixtures("every_precision")
def test_two_precisions_are_two_backends():
    fine, coarse = get_backend("numpy"), get_backend("numpy", precision="bf16")
    assert fine is not coarse
    assert (fine.precision, coarse.precision) == ("fp32", "bf16")
    assert repr(coarse) == "<numpy backend on cpu, float32, bf16>"
    assert "fp32" not in repr(fine)


@pytest.mark.usefixtures("every_precision")
def test_a_file_opens_in_any(tmp_path):
    coarse = xpnn.Model(LAYERS, (3,), precision="bf16", seed=0)
    coarse.save(tmp_path / "a.safetensors")
    assert xpnn.load(tmp_path / "a.safetensors").backend.precision == "fp32"
    assert xpnn.load(tmp_path / "a.safetensors", precision="tf32").backend.precision == "tf32"
    fine = xpnn.Model(LAYERS, (3,), seed=0)
    fine.save(tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_command_line_passes_it_on(xp):
    code, _, err = xp("train", "spiral", "--epochs", "1", "--backend", "numpy", "--precision", "tf32")
    assert code == 2
    assert "backend 'numpy' has no precision 'tf32'" in err
    code, _, err = xp("train", "spiral", "--precision", "half")
    assert code == 2
    assert "unknown precision 'half'" in err


def test_a_copy_multiplies_as_its_model(used):
    """A sweep of learning rates trains a copy: in another precision it would find another model's rate."""
    model = xpnn.Model(LAYERS, (3,), precision="bf16", seed=0)
    xpnn.find_lr(model, X, Y, steps=4)
    assert used == {"bf16"}


@pytest.mark.usefixtures("workplace")
def test_a_transferred_run_goes_on_in_its_precision(used, xp):
    """Its network comes from its state, not from its flags."""
    common = ["train", "spiral", "--hidden", "4", "--schedule", "constant", "--backend", "numpy", "--epochs"]
    assert xp(*common, "1", "--out", "source")[0] == 0
    begun = [word for word in common if word not in ("--hidden", "4")]
    assert xp(*begun, "1", "--from", "source", "--precision", "bf16", "--out", "run")[0] == 0
    shutil.rmtree("source")  # it may be gone
    used.clear()
    assert xp("train", "--resume", "run", "--epochs", "2")[0] == 0
    assert used == {"bf16"}

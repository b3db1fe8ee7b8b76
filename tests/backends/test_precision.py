"""In which float32 matrices are multiplied: a word when a model is made, and nothing that a file keeps."""

import pytest

import xpnn
from xpnn.backends import PRECISIONS, get_backend
from xpnn.backends.cupy import CupyBackend
from xpnn.errors import UsageError

LAYERS = [xpnn.Dense(2)]


def test_cupy_has_them_all():
    assert set(CupyBackend.precisions) == set(PRECISIONS) == {"fp32", "tf32", "bf16"}


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"precision": "tf32"}, "backend 'numpy' has no precision 'tf32'"),
        ({"precision": "bf16", "backend": "strict"}, "backend 'strict' has no precision 'bf16'"),
        ({"precision": "tf23"}, "unknown precision 'tf23'\n  fix: did you mean 'tf32'?"),
        ({"precision": None}, "precision=None: wanted words"),
    ],
)
def test_other_backends_have_one(settings, fragment):
    with pytest.raises(UsageError) as caught:
        xpnn.Model(LAYERS, (3,), **settings)
    assert fragment in str(caught.value)


def test_it_is_said_of_float32_alone(monkeypatch):
    monkeypatch.setattr("xpnn.backends.numpy.NumpyBackend.precisions", PRECISIONS)
    get_backend.__globals__["_open"].cache_clear()
    with pytest.raises(UsageError, match="precision 'tf32' is a way to multiply float32, not float64"):
        get_backend("numpy", None, "float64", "tf32")


def test_two_precisions_are_two_backends(monkeypatch):
    monkeypatch.setattr("xpnn.backends.numpy.NumpyBackend.precisions", PRECISIONS)
    fine, coarse = get_backend("numpy"), get_backend("numpy", precision="bf16")
    assert fine is not coarse
    assert (fine.precision, coarse.precision) == ("fp32", "bf16")
    assert repr(coarse) == "<numpy backend on cpu, float32, bf16>"
    assert "fp32" not in repr(fine)


def test_a_file_opens_in_any(monkeypatch, tmp_path):
    monkeypatch.setattr("xpnn.backends.numpy.NumpyBackend.precisions", PRECISIONS)
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

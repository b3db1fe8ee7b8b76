"""Model files: what is kept, on which backend they open, what they hold."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from crafted_files import NET, changed, forge, model, read, unpack
from installed_backends import INSTALLED

import xpnn
from xpnn.errors import CheckpointError, FileError, UsageError
from xpnn.losses import SoftmaxCrossEntropy

GOLDEN = {
    "model-1": "a84bdee87dcf2c0b047028302491fff79a7bc11f781a4535b755f189dc7f570f",
    "model-2": "22159381083c283391d257f91736b9ed55498b5a2e3e6264db91dc23ab8932bf",
    "model-3": "10859e60c3462e0ab0485bc5f0eb72ef8a5589d7649cdf32f3b0e16a5180010f",
}
"""Format 1, written once and kept: later versions must read them. The second adds settings of losses, the third `bias`.

The last is what is written today: a setting added to a class that is in it needs another file."""
X = np.linspace(-1, 1, 12).reshape(3, 2, 2, 1)


@dataclass(frozen=True)
class Carefree(xpnn.Layer):
    factor: float

    def __post_init__(self):
        pass


@pytest.fixture
def parts(tmp_path):
    filled().save(tmp_path / "good")
    return read(tmp_path / "good")


def filled(**settings):
    """A model whose parameters owe nothing to any random generator."""
    made = model(**settings)
    theta = np.arange(made.layout.size["theta"], dtype=made.backend.dtype_name) / 8 - 1
    made.restore({"theta": theta, "phi": made.snapshot()["phi"]})
    return made


def trained(backend, dtype="float32"):
    made = model(backend=backend, dtype=dtype)
    made.fit(X, [0, 1, 1], loss=SoftmaxCrossEntropy(label_smoothing=0.1), epochs=2, verbose=0)
    return made


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("writer", INSTALLED)
def test_opens_on_every_backend_bit_for_bit(tmp_path, writer, dtype):
    made = trained(writer, dtype)
    made.save(tmp_path / "m.safetensors")
    for reader in INSTALLED:
        opened = xpnn.load(tmp_path / "m.safetensors", backend=reader)
        assert opened.backend.name == reader
        assert opened.backend.dtype_name == dtype
        assert opened.net == made.net
        assert opened.loss == made.loss == SoftmaxCrossEntropy(label_smoothing=0.1)
        assert (opened.seed, opened.input_shape) == (7, (2, 2, 1))
        for name, vector in made.snapshot().items():
            assert opened.snapshot()[name].tobytes() == vector.tobytes()


def test_opens_without_the_library_that_wrote_it(tmp_path):
    expected = {}
    for name in INSTALLED:
        made = trained(name)
        made.save(tmp_path / f"{name}.safetensors")
        expected[name] = hashlib.sha256(made.snapshot()["theta"]).hexdigest()
    code = """if True:
        import hashlib, json, pathlib, sys
        sys.modules |= dict.fromkeys(["torch", "jax", "array_api_strict", "cupy"])
        import xpnn
        files = pathlib.Path(sys.argv[1]).glob("*.safetensors")
        models = {file.stem: xpnn.load(file) for file in files}
        print(json.dumps({k: hashlib.sha256(m.snapshot()["theta"]).hexdigest() for k, m in models.items()}))
    """
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize("reader", INSTALLED)
def test_the_dtype_changes_on_request_only(tmp_path, reader):
    wide = trained("numpy", "float64")
    wide.save(tmp_path / "wide")
    narrow = xpnn.load(tmp_path / "wide", backend=reader, dtype="float32")
    np.testing.assert_array_equal(narrow.snapshot()["theta"], wide.theta.astype(np.float32))
    narrow.save(tmp_path / "narrow")
    assert xpnn.load(tmp_path / "narrow").backend.dtype_name == "float32"
    again = xpnn.load(tmp_path / "narrow", backend=reader, dtype="float64").snapshot()["theta"]
    np.testing.assert_array_equal(again, wide.theta.astype(np.float32).astype(np.float64))


def test_statistics_are_kept_and_training_goes_on(tmp_path):
    net = [xpnn.Standardize.fit(np.arange(12.0).reshape(4, 3)), xpnn.Dense(2), xpnn.Dropout(0.5)]
    made = xpnn.Model(net, (3,), seed=1)
    made.save(tmp_path / "m")
    opened = xpnn.load(tmp_path / "m")
    x, y = np.arange(12.0).reshape(4, 3), [0, 1, 0, 1]
    for m in (made, opened):
        m.fit(x, y, epochs=3, verbose=0)
    assert opened.snapshot()["theta"].tobytes() == made.snapshot()["theta"].tobytes()
    assert opened.snapshot()["phi"].tobytes() == made.snapshot()["phi"].tobytes()


def test_a_model_may_be_saved_over_the_file_it_came_from(tmp_path):
    made = filled()
    made.save(tmp_path / "m")
    opened = xpnn.load(tmp_path / "m")
    opened.theta *= 2
    opened.save(tmp_path / "m")
    np.testing.assert_array_equal(opened.theta, made.theta * 2)
    np.testing.assert_array_equal(xpnn.load(tmp_path / "m").theta, made.theta * 2)


def test_the_header_holds_this_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(xpnn, "__version__", "0.1.0")
    filled().save(tmp_path / "m")
    header, _ = unpack((tmp_path / "m").read_bytes())
    metadata = header.pop("__metadata__")
    assert metadata.keys() == {"xpnn"}
    assert header == {
        "2.W": {"dtype": "F32", "shape": [4, 3], "data_offsets": [0, 48]},
        "2.b": {"dtype": "F32", "shape": [3], "data_offsets": [48, 60]},
        "4.0.W": {"dtype": "F32", "shape": [3, 2], "data_offsets": [60, 84]},
        "4.0.b": {"dtype": "F32", "shape": [2], "data_offsets": [84, 92]},
    }
    he = {"type": "VarianceScaling", "scale": 2.0, "fan": "in", "distribution": "normal"}
    zeros = {"type": "Constant", "value": 0.0}

    def dense(units):
        return {"type": "Dense", "units": units, "init": he, "bias_init": zeros, "bias": True}

    inner = {"type": "Sequential", "layers": [dense(2)]}
    rescale = {"type": "Rescale", "scale": 0.5, "offset": 0.0}
    layers = [{"type": "Flatten"}, rescale, dense(3), {"type": "ReLU"}, inner]
    about = json.loads(metadata["xpnn"])
    assert len(about.pop("sha256")) == 64
    assert about == {
        "format": 1,
        "xpnn": "0.1.0",
        "net": {"type": "Sequential", "layers": layers},
        "input_shape": [2, 2, 1],
        "dtype": "float32",
        "seed": 7,
        "loss": {
            "type": "SoftmaxCrossEntropy",
            "reduction": "mean",
            "ignore_index": None,
            "label_smoothing": 0.0,
            "class_weight": None,
        },
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_files(tmp_path, monkeypatch, name):
    path = Path(__file__).parents[1] / "golden" / f"{name}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == GOLDEN[name]
    opened = xpnn.load(path)
    assert opened.net == xpnn.Sequential(NET)
    assert opened.loss == SoftmaxCrossEntropy()
    np.testing.assert_array_equal(opened.theta, np.arange(23) / 8 - 1)
    np.testing.assert_array_equal(opened.forward(np.ones((1, 2, 2, 1))), [[2.140625, 2.3125]])
    monkeypatch.setattr(xpnn, "__version__", "0.1.0")
    filled().save(tmp_path / "m")
    assert ((tmp_path / "m").read_bytes() == path.read_bytes()) is (name == list(GOLDEN)[-1])


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_models_make_equal_files(tmp_path, seed):
    """Also in another process, whose hashes are seeded anew."""
    code = """if True:
        import hashlib, pathlib, sys, xpnn
        xpnn.Model([xpnn.Dense(3), xpnn.ReLU(), xpnn.Dense(2)], (4,), seed=int(sys.argv[2])).save(sys.argv[1])
        print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest())
    """
    argv = [sys.executable, "-c", code, tmp_path / "m", str(seed)]
    assert len({subprocess.run(argv, capture_output=True, check=True).stdout for _ in range(2)}) == 1


def test_settings_of_a_users_layer_are_checked_too(tmp_path, parts):
    """Its class may have a constructor that checks nothing."""
    about, tensors = parts
    good = changed(about, ("net", "layers", 1), {"type": "Carefree", "factor": 2.0})
    (tmp_path / "m").write_bytes(forge(good, tensors))
    assert xpnn.load(tmp_path / "m").net.layers[1] == Carefree(2.0)
    for value in ("x", None, [1], {"type": "ReLU"}):
        bad = changed(good, ("net", "layers", 1, "factor"), value)
        (tmp_path / "m").write_bytes(forge(bad, tensors))
        with pytest.raises(CheckpointError, match=r"net\.layers\[1\]: Carefree refuses its settings"):
            xpnn.load(tmp_path / "m")


def test_safetensors_reads_the_same_arrays(tmp_path):
    made = filled()
    made.save(tmp_path / "m")
    tensors = safetensors.numpy.load_file(tmp_path / "m")
    assert tensors.keys() == made.parameters().keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, made.parameters()[name])


def test_a_hand_made_file_opens(tmp_path):
    """The forger's own proof: what the hostile files differ in is what they are refused for."""
    filled().save(tmp_path / "m")
    (tmp_path / "forged").write_bytes(forge(*read(tmp_path / "m")))
    np.testing.assert_array_equal(xpnn.load(tmp_path / "forged").theta, filled().theta)


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    made = filled()
    made.save(tmp_path / "m")
    before = (tmp_path / "m").read_bytes()
    made.parameters()["2.b"][1] = np.nan
    with pytest.raises(UsageError, match=r"parameter 2\.b holds NaN"):
        made.save(tmp_path / "m")
    wide = xpnn.Model([xpnn.Dense(1)] * 6000, (1,))
    with pytest.raises(UsageError, match="12,000 parameter arrays"):
        wide.save(tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == before


def test_numbers_too_large_for_the_dtype_asked_for(tmp_path):
    made = model(dtype="float64")
    made.parameters()["4.0.W"][0, 0] = 1e300
    made.save(tmp_path / "m")
    assert xpnn.load(tmp_path / "m").theta.max() == 1e300
    with pytest.raises(CheckpointError, match=r"4\.0\.W holds NaN or infinity \(as float32\)"):
        xpnn.load(tmp_path / "m", dtype="float32")


def test_settings_of_numpy_are_saved_as_plain_numbers(tmp_path):
    made = xpnn.Model([xpnn.Rescale(np.float32(0.5)), xpnn.Dense(np.int64(2))], (3,), seed=0)
    made.save(tmp_path / "m")
    assert xpnn.load(tmp_path / "m").net == made.net
    assert made.forward(np.ones((1, 3), np.float32)).dtype == np.float32


@pytest.mark.parametrize("name", ["missing", ".", "no/such/folder", "null\0character", "pipe"])
def test_what_cannot_be_read_is_a_file_error(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="cannot read") as caught:
        xpnn.load(tmp_path / name)
    assert str(tmp_path / name) in caught.value.what
    assert caught.value.why


@pytest.mark.parametrize("settings", [{"backend": "nunpy"}, {"dtype": "float8"}, {"device": "cuda"}])
def test_the_callers_own_mistakes_are_not_the_files(tmp_path, settings):
    filled().save(tmp_path / "m")
    with pytest.raises(UsageError):
        xpnn.load(tmp_path / "m", **settings)

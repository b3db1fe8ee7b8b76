"""Files of Keras's weights that lead elsewhere, lead in circles, or stand for more than they hold."""

import os

import numpy as np
import pytest

import xpnn
from xpnn.errors import CheckpointError
from xpnn.interchange import load_keras

h5py = pytest.importorskip("h5py")
pytestmark = pytest.mark.oracle
W = np.arange(12.0, dtype="f4").reshape(4, 3)


def external(group, folder):
    (folder / "secret").write_bytes(W.tobytes())
    group.create_dataset("0", shape=W.shape, dtype="f4", external=[(str(folder / "secret"), 0, W.nbytes)])


def device(group, folder):
    group.create_dataset("0", shape=W.shape, dtype="f4", external=[("/dev/zero", 0, W.nbytes)])


def other_file(group, folder):
    with h5py.File(folder / "other.h5", "w") as file:
        file["w"] = W
    group["0"] = h5py.ExternalLink("other.h5", "/w")


def pipe(group, folder):
    os.mkfifo(folder / "pipe")
    group["0"] = h5py.ExternalLink("pipe", "/w")


def virtual(group, folder):
    with h5py.File(folder / "other.h5", "w") as file:
        file["w"] = W
    layout = h5py.VirtualLayout(shape=W.shape, dtype="f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "w", shape=W.shape)
    group.create_virtual_dataset("0", layout)


def circle(group, folder):
    group["0"] = W
    group.parent["dense"] = group.parent


def soft_circle(group, folder):
    group["0"] = h5py.SoftLink("/layers/dense/vars/0")


def empty_but_huge(group, folder):
    group.create_dataset("0", shape=(10**6, 10**6), dtype="f4", chunks=(1000, 1000))


def packed(group, folder):
    shape = (10_000, 10_000)
    group.create_dataset("0", shape, "f4", chunks=(1000, 10_000), compression="gzip", fillvalue=0)
    group["0"][:1000] = 0


@pytest.mark.parametrize(
    "make", [external, device, other_file, pipe, virtual, circle, soft_circle, empty_but_huge, packed]
)
def test_what_is_not_in_the_file_is_refused(tmp_path, make):
    """And no array is read before: the model keeps its weights."""
    path, model = tmp_path / "m.weights.h5", xpnn.Model([xpnn.Dense(3)], (4,), seed=0)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        make(group, tmp_path)
        group["1"] = np.zeros(3, "f4")
    before = model.theta.copy()
    with pytest.raises(CheckpointError, match=r"m\.weights\.h5: .*(link|another file|twice|far larger)"):
        load_keras(model, path)
    np.testing.assert_array_equal(model.theta, before)


def test_an_honest_file_is_read(tmp_path):
    path, model = tmp_path / "m.weights.h5", xpnn.Model([xpnn.Dense(3)], (4,), seed=0)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = W, np.zeros(3, "f4")
    load_keras(model, path)
    np.testing.assert_array_equal(model.parameters()["0.W"], W)

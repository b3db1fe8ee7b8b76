"""Backends from outside the package: registered in Python, or brought by another package's entry point."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import xpnn
from xpnn.backends import backend_names, registry
from xpnn.backends.numpy import NumpyBackend
from xpnn.errors import BackendError, UsageError

ROOT = pathlib.Path(xpnn.__file__).parents[1]
MODULE = """from xpnn.backends.numpy import NumpyBackend


class MirrorBackend(NumpyBackend):
    name = "mirror"
"""


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch):
    monkeypatch.setattr(registry, "REGISTERED", {})
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(text of its module): a package that brings the backend `mirror` by an entry point."""

    def install(text):
        info = tmp_path / "mirror-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mirror\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[xpnn.backends]\nmirror = mirror_backend:MirrorBackend\n")
        (tmp_path / "mirror_backend.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "mirror_backend", raising=False)

    return install


def test_a_registered_class_is_a_backend_like_any_other(xp, tmp_path):
    @xpnn.register_backend
    class Mirror(NumpyBackend):
        name = "mirror"

    be = xpnn.get_backend("mirror", None, "float64")
    assert type(be) is Mirror
    assert be is xpnn.get_backend("mirror", "cpu", "float64") or be.name == "mirror"
    assert backend_names()[-1] == "mirror"
    model = xpnn.Model([xpnn.Dense(2)], (3,), backend="mirror", seed=0)
    assert np.array_equal(
        model.predict(np.ones((2, 3))), xpnn.Model([xpnn.Dense(2)], (3,), seed=0).predict(np.ones((2, 3)))
    )
    code, out, _ = xp("backends", "--json")
    assert code == 0
    assert '"mirror"' in out


def test_registering_again_replaces_the_class():
    first, second = (type("Mirror", (NumpyBackend,), {"name": "mirror"}) for _ in range(2))
    for cls in (first, second):
        xpnn.register_backend(cls)
        assert type(xpnn.get_backend("mirror")) is cls


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (int, "cannot register <class 'int'>: .*no subclass"),
        (
            type("MirrorBackend", (NumpyBackend,), {}),
            "under the name 'numpy'.*xpnn has a backend of that name",
        ),
        (type("MirrorBackend", (NumpyBackend,), {"name": ""}), "name = 'mirror'"),
    ],
)
def test_what_cannot_be_registered(cls, said):
    with pytest.raises(UsageError) as caught:
        xpnn.register_backend(cls)
    assert all(part in " ".join(str(caught.value).split()) for part in said.split(": .*")[-1].split(".*"))


def test_an_entry_point_is_loaded_when_it_is_asked_for(package):
    package(MODULE)
    assert "mirror" in backend_names()
    assert "mirror_backend" not in sys.modules
    assert xpnn.get_backend("mirror").name == "mirror"
    assert "mirror_backend" in sys.modules


def test_the_command_line_takes_it(package, tmp_path):
    package(MODULE)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "xpnn", "train", "spiral", "--backend", "mirror", "--epochs", "1", "--out", "run"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mirror" in done.stdout + done.stderr


def test_an_entry_point_that_fails_says_whose_it_is(package):
    package("raise RuntimeError('no such chip')\n")
    with pytest.raises(BackendError, match="mirror_backend:MirrorBackend cannot be loaded") as caught:
        xpnn.get_backend("mirror")
    assert "RuntimeError: no such chip" in str(caught.value)
    assert caught.value.exit_code == 3


def test_an_unknown_name_lists_those_from_outside(package):
    package(MODULE)
    with pytest.raises(UsageError, match="mirror"):
        xpnn.get_backend("miror")

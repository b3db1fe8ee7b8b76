"""Public names of 0.1.0 that have changed: each still works, and says what it is called now."""

import inspect
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import pytest

import xpnn
from xpnn import losses
from xpnn.backends.numpy import NumpyBackend
from xpnn.config import from_config, to_config
from xpnn.recipes import Recipe
from xpnn.renamed import ATTRIBUTES, MEMBERS


def renamed(old, now):
    return pytest.warns(DeprecationWarning, match=rf"{old} is called {now} since xpnn 0\.2$")


def test_settle_of_a_users_layer():
    with renamed("Centred.settle", "update_stats"):

        @dataclass(frozen=True)
        class Centred(xpnn.Layer):
            def settle(self, cx, p, cache):
                return {"mean": 3}

    assert Centred().update_stats(None, {}, ()) == {"mean": 3}
    with renamed("ReLU.settle", "update_stats"):
        assert xpnn.ReLU().settle(None, {}, ()) == {}


def test_takes_gives_and_several_of_a_users_layer():
    with pytest.warns(DeprecationWarning, match="since xpnn") as seen:

        @dataclass(frozen=True)
        class Pick(xpnn.Layer):
            takes = "int"
            gives = "probabilities"
            several = True

    assert sorted(str(w.message).split()[0] for w in seen) == ["Pick.gives", "Pick.several", "Pick.takes"]
    assert {w.filename for w in seen} == {__file__}
    layer = Pick()
    assert (layer.input_kind, layer.output_kind, layer.multi_input) == ("int", "probabilities", True)
    for old, now, value in (
        ("takes", "input_kind", "float"),
        ("gives", "output_kind", "probabilities"),
        ("several", "multi_input", False),
    ):
        with renamed(f"Softmax.{old}", now):
            assert getattr(xpnn.Softmax(), old) == value


def test_vocabulary_of_a_users_layer():
    with renamed("Words.vocabulary", "vocab_size"):

        @dataclass(frozen=True)
        class Words(xpnn.Layer):
            def vocabulary(self):
                return 7

    assert Words().vocab_size == 7
    with renamed("Embedding.vocabulary", "vocab_size"):
        assert xpnn.Embedding(5, 3).vocabulary() == 5


def test_refuses_one_of_a_users_layer():
    with renamed("Pairs.refuses_one", "min_batch_size"):

        @dataclass(frozen=True)
        class Pairs(xpnn.Layer):
            def refuses_one(self, shape):
                return shape == (3,)

    assert [Pairs().min_batch_size(shape) for shape in ((3,), (4,))] == [2, 1]
    with renamed("BatchNorm.refuses_one", "min_batch_size"):
        assert xpnn.BatchNorm().refuses_one((5,))


def test_inner_and_branches_of_a_users_container():
    with renamed("Twice.inner", "children"):

        @dataclass(frozen=True)
        class Twice(xpnn.Layer):
            def inner(self, shape):
                return [(xpnn.ReLU(), shape), (xpnn.Tanh(), shape)]

    with renamed("Named.branches", "children"):

        @dataclass(frozen=True)
        class Named(xpnn.Layer):
            def branches(self, shape):
                return [("a", xpnn.ReLU(), shape)]

    assert [(c.name, c.layer, c.shape) for c in Twice().children((2,))] == [
        ("0", xpnn.ReLU(), (2,)),
        ("1", xpnn.Tanh(), (2,)),
    ]
    assert [c.name for c in Named().children((2,))] == ["a"]
    chain = xpnn.Sequential((xpnn.Dense(3), xpnn.ReLU()))
    with renamed("Sequential.inner", "children"):
        assert chain.inner((2,)) == [(xpnn.Dense(3), (2,)), (xpnn.ReLU(), (3,))]
    with renamed("Sequential.branches", "children"):
        assert chain.branches((2,)) == [("0", xpnn.Dense(3), (2,)), ("1", xpnn.ReLU(), (3,))]


def test_a_setting_goes_before_an_old_name_and_a_trait():
    """A user's layer may call its settings so: neither gives it a default."""

    @dataclass(frozen=True)
    class Mine(xpnn.Layer):
        vocab_size: int
        several: int

    assert (Mine(7, 4).vocab_size, Mine(7, 4).several, Mine(7, 4).multi_input) == (7, 4, False)
    with pytest.raises(TypeError, match="several"):
        Mine(7)


def test_optimizers_layouts_models_and_trainers():
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    with renamed("Layout.places", "params"):
        params = model.layout.places
    assert params == model.layout.params
    with renamed(r"xpnn\.parameters\.Place", "ParamInfo"):
        from xpnn.parameters import Place
    assert isinstance(params[0], Place)
    with renamed("SGD.on", "bind"):
        assert xpnn.SGD(0.1).on(params).params == params
    x, y = np.ones((4, 3)), np.zeros(4, int)
    loss = losses.SoftmaxCrossEntropy()
    with renamed("Model.pair", "check_xy"):
        got = model.pair(x, y, loss)
    assert np.array_equal(got[0], model.check_xy(x, y, loss)[0])
    with renamed("Model.weights", "check_sample_weight"):
        assert model.weights([1.0, 2, 3, 4], 4).shape == (4,)
    trainer = xpnn.Trainer(model, loss, "sgd")
    with renamed("Trainer.draw", "indexed_step"):
        assert trainer.draw == trainer.indexed_step


def test_backends():
    be = xpnn.get_backend("numpy")
    with renamed(r"\w*NumpyBackend.scope", "device_context"), be.scope():
        pass
    with renamed(r"\w*NumpyBackend.sized", "oom_guard"), be.sized("fit", 3, "{}"):
        pass
    with renamed(r"\w*NumpyBackend.remembered", "memoized"):
        assert be.remembered == be.memoized
    with renamed("Mine.scope", "device_context"):

        class Mine(NumpyBackend):
            def scope(self):
                return "a context"

    assert Mine("cpu", "float32").device_context() == "a context"


def test_recipes():
    with renamed("Recipe.but", "replace"):
        assert Recipe().but(epochs=3) == Recipe().replace(epochs=3)
    with renamed("Recipe.told", "to_json"):
        assert Recipe().told() == Recipe().to_json()


def test_losses_by_their_old_names_in_code_and_in_files():
    with renamed("xpnn.losses.Several", "MultiOutputLoss"):
        assert losses.Several is losses.MultiOutputLoss
    pair = losses.MultiOutputLoss(("mse", "mae"))
    data = to_config(pair)
    assert from_config(data | {"type": "Several"}) == pair  # and no warning: the file is not to blame
    with pytest.raises(AttributeError, match="no attribute 'Severall'"):
        losses.Severall  # noqa: B018


def test_functions_that_are_methods_of_an_objective():
    from xpnn.training import step

    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0, dtype="float64")
    be, loss = model.backend, losses.SoftmaxCrossEntropy()
    about = (model.layout, be, 0)
    arrays = np.ones((4, 3)), np.array([0, 1, 1, 0])
    with renamed(r"xpnn\.training\.step\.make_gradient", r"Objective\.gradient"):
        gradient = step.make_gradient(model.net, loss, *about)
    value, grad, _ = gradient(model.theta, model.phi, np.int64(0), *arrays)
    optimizer = xpnn.SGD(0.1).bind(model.layout.params)
    state = {**optimizer.init(be, model.theta), "ok": be.scalar(True, be.xp.bool)}
    with renamed(r"xpnn\.training\.step\.make_step", r"Objective\.step"):
        once = step.make_step(model.net, loss, optimizer, *about)
    before = np.array(model.theta)
    loss_before, theta, *_ = once(np.array(before), model.phi, dict(state), *arrays)
    assert loss_before == pytest.approx(value)
    np.testing.assert_allclose(theta, before - 0.1 * grad)
    with renamed(r"xpnn\.training\.step\.make_indexed_step", r"Objective\.indexed_step"):
        indexed = step.make_indexed_step(model.net, loss, optimizer, *about)
    position = be.scalar(0, np.int64), np.array([2, 0, 3, 1])
    assert indexed(before, model.phi, dict(state), position, (*arrays, None), 4)[0] == pytest.approx(value)


MOVED = [
    (path, old, now.rpartition("."))
    for path, names in ATTRIBUTES.items()
    for old, now in names.items()
    if now.startswith(("data.", "layers."))
]
OLD_MODULES = """
import warnings
from importlib import import_module
from xpnn.renamed import ATTRIBUTES, MODULES

for path, now in MODULES.items():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        __import__(f"xpnn.{path}")
    new = " and ".join(f"xpnn.{name}" for name in now)
    messages = [str(w.message) for w in seen if w.filename == "<string>"]  # at the line that imports it
    assert messages == [f"xpnn.{path} is called {new} since xpnn 0.2"], (path, messages)
    wanted = {name for source in now for name in vars(import_module(f"xpnn.{source}"))} | {*ATTRIBUTES.get(path, {})}
    lost = wanted - {*vars(import_module(f"xpnn.{path}"))}
    assert not {name for name in lost if not name.startswith("__")}, (path, lost)
"""


def test_modules():
    """In a fresh interpreter, since a module is imported once."""
    done = subprocess.run([sys.executable, "-c", OLD_MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("path", "old", "now"), MOVED, ids=lambda x: x if isinstance(x, str) else "")
def test_classes_that_left_their_module(path, old, now):
    module, _, name = now
    with renamed(rf"xpnn\.{path}\.{old}", rf"xpnn\.{module}\.{name}"):
        found = getattr(import_module(f"xpnn.{path}"), old)
    assert found is getattr(import_module(f"xpnn.{module}"), name)


def test_every_new_name_exists():
    """What the table promises, for the members whose classes need no instance."""
    from xpnn.backends.base import Backend
    from xpnn.network import Network
    from xpnn.optimizers import Optimizer
    from xpnn.parameters import Layout

    classes = {c.__name__: c for c in (xpnn.Layer, Optimizer, Layout, Backend, Network, Recipe)}
    missing = {
        (n, new.now)
        for n, cls in classes.items()
        for new in MEMBERS[n].values()
        if inspect.getattr_static(cls, new.now, None) is None
    }
    assert not missing

"""Whatever a user does happens inside the backend's scope: outside it, a GPU's arrays would land on another GPU."""

import numpy as np
import pytest
from imaginary_device import DeviceBackend, ScopeError

import xpnn
from xpnn.diagnostics.find_lr import find_lr
from xpnn.errors import DivergedError
from xpnn.metrics import ConfusionMatrix
from xpnn.training import (
    Checkpoint,
    EarlyStopping,
    Film,
    KeepBest,
    ReduceOnPlateau,
    Statistics,
    Trainer,
    UseAverage,
)

RNG = np.random.default_rng(1)
X, Y = RNG.standard_normal((60, 6)).astype(np.float32), RNG.integers(0, 3, 60)


@pytest.fixture
def model():
    """make(*layers): a model on an imaginary device that refuses calls outside its scope."""
    be = DeviceBackend(scoped=True, capture=True)

    def make(*layers):
        return xpnn.Model(
            list(layers) or [xpnn.Dense(5), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(3)],
            (6,),
            backend=be,
            seed=0,
        )

    return make


def test_the_device_refuses_what_is_outside(model):
    be = model().backend
    with pytest.raises(ScopeError):
        be.zeros((3,))
    with pytest.raises(ScopeError):
        model().theta + 1


def test_models(model, tmp_path):
    net = model()
    net.evaluate(X, Y)
    net.predict(X)
    net.predict_proba(X)
    net.forward(X)
    net.summary()
    net.explain(X, Y, optimizer=xpnn.Adam())
    str(net.explain(X, Y))
    net.load_parameters({"0.b": np.ones(5)}, strict=False)
    assert net.parameters()["0.b"].a.tolist() == [1] * 5
    net.save(tmp_path / "a.safetensors")
    again = xpnn.load(tmp_path / "a.safetensors", backend=net.backend)
    assert again.predict(X).tolist() == net.predict(X).tolist()
    find_lr(net, X, Y, steps=5)
    be = net.backend
    assert ConfusionMatrix()(be, be.asarray(net.forward(X)), be.asarray(Y)).sum() == len(Y)


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        (xpnn.SGD(0.1, momentum=0.9, clip_norm=1.0), {}),
        (xpnn.EMA(xpnn.Adam(l2=1e-3)), {"validation": 0.2}),
        (xpnn.Lookahead(xpnn.Adam()), {"sample_weight": np.linspace(0, 1, 60)}),
        (xpnn.LBFGS(), {"validation": (X, Y)}),
        (xpnn.Muon(), {}),
    ],
    ids=["momentum", "average", "slow weights", "whole batch", "matrices"],
)
def test_training(model, tmp_path, optimizer, more):
    net = model()
    callbacks = [EarlyStopping(3, restore=True), Checkpoint(tmp_path / "a.state"), Statistics()]
    if isinstance(optimizer, xpnn.EMA):
        callbacks += [UseAverage(), ReduceOnPlateau(), KeepBest()]
    net.fit(X, Y, optimizer=optimizer, epochs=3, batch_size=25, verbose=0, callbacks=callbacks, **more)
    trainer = Trainer(net, "softmax_cross_entropy", xpnn.Adam())
    be = net.backend
    assert trainer.step(be.asarray(X), be.asarray(Y)).shape == ()


def test_a_fit_goes_on_from_a_checkpoint(model, tmp_path):
    def run(epochs, **more):
        net = model(xpnn.Dropout(0.2), xpnn.Dense(3))
        net.fit(
            X,
            Y,
            epochs=epochs,
            batch_size=25,
            verbose=0,
            callbacks=[Checkpoint(tmp_path / "a.state")],
            **more,
        )
        return net.theta.a.tobytes()

    whole = run(4)
    (tmp_path / "a.state").unlink()
    run(2)
    assert run(4, resume=tmp_path / "a.state") == whole


def test_mixing_and_films(model):
    net = model()
    net.fit(X, Y, augment=xpnn.Mixup(), epochs=2, verbose=0, callbacks=[Film()])


def test_divergence_is_explained(model):
    with pytest.raises(DivergedError):
        model().fit(X, Y, optimizer=xpnn.SGD(1e30), epochs=5, verbose=0)

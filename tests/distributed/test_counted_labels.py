"""The training accuracy of several outputs, of mixed labels and with L-BFGS: processes and backends count alike."""

import functools

import numpy as np
import pytest
from thread_ranks import by_threads

import xpnn
from xpnn.losses import MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.training import Mixup

X = np.random.default_rng(0).standard_normal((60, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
IGNORED = np.where(np.arange(60) % 4, Y, -1)


def outputs_fit(group=None, **settings):
    """The accuracies of two outputs, one of them with ignored labels."""
    nodes = {"kind": (xpnn.Dense(3), "x"), "some": (xpnn.Dense(3), "x")}
    graph = xpnn.Graph(inputs="x", nodes=nodes, outputs=("kind", "some"))
    loss = MultiOutputLoss((SoftmaxCrossEntropy(), SoftmaxCrossEntropy(ignore_index=-1)))
    history = xpnn.Model(graph, (4,), seed=0, dtype="float64").fit(
        X, (Y, IGNORED), loss=loss, epochs=2, batch_size=7, verbose=0, communicator=group, **settings
    )
    return history["train_accuracy[0]"], history["train_accuracy[1]"]


def mixed_fit(group=None, **settings):
    """The accuracy with mixed labels, some of which are ignored."""
    loss = SoftmaxCrossEntropy(ignore_index=-1)
    settings |= {"augment": Mixup()} | settings
    model = xpnn.Model([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(3)], (4,), seed=0, dtype="float64")
    return model.fit(
        X, IGNORED, loss=loss, epochs=2, batch_size=7, verbose=0, communicator=group, **settings
    )["accuracy"]


def lbfgs_fit(group=None):
    """The accuracy with L-BFGS."""
    return mixed_fit(group, optimizer=xpnn.optimizers.LBFGS(), augment=None)


@pytest.mark.parametrize("fit", [outputs_fit, mixed_fit, lbfgs_fit], ids=lambda f: f.__name__)
def test_several_processes_count_what_one_counts(fit):
    alone = fit()
    assert by_threads(2, fit) == [alone, alone]


@pytest.mark.oracle
@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_other_backends_count_the_same(backend, monkeypatch):
    pytest.importorskip(backend)
    wanted = [fit() for fit in (outputs_fit, mixed_fit, lbfgs_fit)]
    monkeypatch.setattr(xpnn, "Model", functools.partial(xpnn.Model, backend=backend))
    assert [fit() for fit in (outputs_fit, mixed_fit, lbfgs_fit)] == wanted

"""What a step costs a device: operations, each of which makes an array, and copies to or from the host: there are none.

Counted with the reference kernels on an imaginary device; a backend's own kernels can only make it less.
"""

import functools

import numpy as np
import pytest
from cases import LAYERS, LOSSES, OPTIMIZERS, Case
from harness import arrays_on, compiled_loss, context, forward_and_backward, host_arrays, loss_arrays_on
from imaginary_device import DeviceBackend
from test_optimizer_rows import run

import xpnn
from xpnn.config import short_repr
from xpnn.training.trainer import Trainer

CONV = xpnn.Conv2D(4, 3)
MLP = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(10)]
BUDGETS = {
    # layer, shape of a sample: operations forward, backward
    (xpnn.Dense(4), (5,)): (2, 3),
    (xpnn.ReLU(), (5,)): (3, 3),
    (xpnn.Sigmoid(), (5,)): (8, 3),
    (xpnn.Tanh(), (5,)): (1, 3),
    (xpnn.Softmax(), (5,)): (5, 4),
    (xpnn.Dropout(0.5), (5,)): (54, 3),
    (xpnn.BatchNorm(), (5,)): (12, 13),
    (xpnn.LayerNorm(), (5,)): (10, 11),
    (CONV, (6, 6, 2)): (8, 73),
    (xpnn.MaxPool2D(2), (6, 6, 2)): (22, 50),
    (xpnn.Embedding(7, 4), (5,)): (1, 4),
    (xpnn.LSTM(4), (6, 5)): (201, 152),
}


@functools.cache
def device(capture=False):
    return DeviceBackend("float64", capture=capture, scoped=True)


def counted(be, f):
    """What f gives, and how many operations it took; none of them by way of the host."""
    board = be.board
    board.calls.clear()
    board.host.clear()
    with be.device_context():
        found = f()
    assert board.host == {}
    return found, board.calls.total()


@pytest.mark.parametrize(("layer", "shape"), BUDGETS, ids=str)
def test_layers_keep_to_their_budgets(layer, shape):
    be = device()
    with be.device_context():
        (x, p, dy), cx = arrays_on(be, Case(layer, shape)), context(be)
    (_, cache), forward = counted(be, lambda: layer.forward(cx, p, x))
    _, backward = counted(be, lambda: layer.backward(cx, p, cache, dy))
    most = BUDGETS[layer, shape]
    assert forward <= most[0]
    assert backward <= most[1]


LONG = [Case(xpnn.LSTM(2), (11, 3)), Case(xpnn.GRU(2, sequences=True), (11, 3))]
"""More steps than CuPy joins without asking the host."""


@pytest.mark.parametrize("case", [*LAYERS, *LONG], ids=str)
def test_no_layer_asks_the_host(case):
    """Forward, backward and new statistics, all in one recording, which gives the same numbers."""
    be, plain = device(capture=True), device()
    both = forward_and_backward(be, case.layer)
    for _ in range(3):
        with be.device_context():
            x, p, dy = arrays_on(be, case)
        found, _ = counted(be, functools.partial(both, p, x, dy))
    with plain.device_context():
        x, p, dy = arrays_on(plain, case)
        wanted = host_arrays(plain, forward_and_backward(plain, case.layer)(p, x, dy))
    with be.device_context():
        got = host_arrays(be, found)
    assert [(k, a.tobytes()) for k, a in got] == [(k, a.tobytes()) for k, a in wanted]


@pytest.mark.parametrize("case", LOSSES, ids=str)
def test_no_loss_asks_the_host(case):
    be = device(capture=True)
    with be.device_context():
        given = loss_arrays_on(be, case)
    loss = be.compile(lambda *args: case.loss(be, *args))
    for _ in range(3):
        found, _ = counted(be, lambda: loss(*given))
    plain = device()
    with plain.device_context():
        wanted = compiled_loss(plain, case.loss)(*loss_arrays_on(plain, case))
    assert [a.a.tobytes() for a in found] == [a.a.tobytes() for a in wanted]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=short_repr)
def test_no_optimizer_asks_the_host(optimizer):
    """Five updates, of which three are replays."""
    be, plain = device(capture=True), device()
    with be.device_context():
        theta, state = run(be, optimizer)
    with plain.device_context():
        wanted, like = run(plain, optimizer)
    assert theta.a.tobytes() == wanted.a.tobytes()
    assert {k: a.a.tobytes() for k, a in state.items()} == {k: a.a.tobytes() for k, a in like.items()}


@pytest.mark.parametrize(
    "optimizer", [xpnn.Adam(1e-3), xpnn.optimizers.LARS(1e-3), xpnn.LBFGS()], ids=short_repr
)
def test_no_step_of_a_deep_net_asks_the_host(optimizer):
    """Many parameters, many running statistics, a weight for each of many classes: all are joined somewhere."""
    be = DeviceBackend(scoped=True, capture=True)
    layers = [part for _ in range(5) for part in (xpnn.Dense(6), xpnn.BatchNorm(), xpnn.HardTanh())]
    model = xpnn.Model([*layers, xpnn.Dense(10)], (4,), backend=be, seed=0)
    loss = xpnn.losses.SoftmaxCrossEntropy(class_weight=tuple(range(1, 11)))
    x, y = np.ones((32, 4), np.float32), np.arange(32) % 10
    model.fit(x, y, loss=loss, optimizer=optimizer, epochs=3, batch_size=8, verbose=0)


WORKLOADS = {
    # one step drawn from data on the device, with the update: operations. One of them takes the id's logit by a mask,
    # where a product with the one-hot row would make NaN of a logit of -inf.
    "mlp, SGD": (MLP, xpnn.SGD(0.1), 60),
    "mlp, Adam": (MLP, xpnn.Adam(), 81),
    "cnn, Adam": (
        [xpnn.Rescale(1 / 255), CONV, xpnn.ReLU(), xpnn.MaxPool2D(2), xpnn.Flatten(), xpnn.Dense(10)],
        xpnn.Adam(),
        165,
    ),
}


@pytest.mark.parametrize(("layers", "optimizer", "budget"), WORKLOADS.values(), ids=WORKLOADS)
def test_training_steps_keep_to_their_budgets(layers, optimizer, budget):
    be = DeviceBackend(scoped=True)
    trainer = Trainer(xpnn.Model(layers, (6, 6, 1), backend=be, seed=0), "softmax_cross_entropy", optimizer)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 6, 6, 1)).astype(np.uint8), rng.integers(0, 10, 20)
    with be.device_context():
        data = be.asarray(x), be.asarray(y), None
        position = be.scalar(0, be.xp.int64), be.asarray(rng.permutation(20))
    for _ in range(2):
        (_, position), operations = counted(be, lambda p=position: trainer.indexed_step(data, p, 8))
    assert operations <= budget


def test_an_epoch_asks_the_host_for_its_order_and_its_losses_and_hits():
    """Ten steps: the order goes there, losses and hits come back, and so does whether the weights are finite."""
    be = DeviceBackend(scoped=True, capture=True)
    model = xpnn.Model([xpnn.Dense(3)], (4,), backend=be, seed=0)
    x, y, asked = np.ones((80, 4), np.float32), np.zeros(80, np.int64), []
    for epochs in (1, 2, 5):
        be.board.host.clear()
        model.fit(x, y, epochs=epochs, batch_size=8, verbose=0)
        asked.append(dict(be.board.host))
    each = {"asarray": 1, "to_numpy": 2, "bool": 1}
    for found, epochs in zip(asked[1:], (1, 4), strict=True):
        assert {name: found[name] - asked[0][name] for name in found} == {
            k: n * epochs for k, n in each.items()
        }


def test_an_evaluation_brings_two_numbers_to_the_host():
    """The loss and the hits, however many samples."""
    be = DeviceBackend(scoped=True)
    model = xpnn.Model([xpnn.Dense(3)], (4,), backend=be, seed=0)
    with be.device_context():
        x, y = be.asarray(np.ones((3000, 4), np.float32)), be.asarray(np.zeros(3000, np.int64))
    be.board.host.clear()
    found = model.score(x, y)
    assert be.board.host == {"float": 1, "int": 1}
    assert found["accuracy"] in (0.0, 1.0)

"""A fused step makes the step of the plain layers, loss and optimizer, also on batches gathered by index."""

import numpy as np
import pytest
from harness import host_arrays, rng_of
from installed_backends import INSTALLED
from tolerances import assert_close

import xpnn
from xpnn.data.batches import Slices, epoch_order
from xpnn.fusion import split_rescale
from xpnn.losses import MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.parameters import Layout, leaves
from xpnn.training.step import Objective

BYTES = rng_of("bytes").integers(0, 256, (70, 6, 6, 1)).astype(np.uint8)
IDS = rng_of("ids").integers(0, 3, 70)
NETS = {
    "bytes": [xpnn.Flatten(), xpnn.Rescale(1 / 255, -0.5), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dense(3)],
    "images": [xpnn.Rescale(1 / 255), xpnn.Conv2D(4, 3), xpnn.ReLU(), xpnn.MaxPool2D(2), xpnn.Flatten(), xpnn.Dense(3)],
    "wide rows": [
        xpnn.Flatten(), xpnn.Rescale(1 / 255),
        xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dense(1024), xpnn.ReLU(), xpnn.Dense(3),
    ],
    "first something else": [xpnn.RandomShift(1), xpnn.Rescale(1 / 255), xpnn.Flatten(), xpnn.Dense(3)],
    "side by side": [
        xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(6), xpnn.ReLU(),
        xpnn.Residual(xpnn.Sequential([xpnn.ReLU(), xpnn.Dense(6), xpnn.ReLU()])), xpnn.ReLU(), xpnn.Dense(3),
    ],
    "statistics": [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(4, 3), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dropout(0.3),
        xpnn.Dense(8), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Dense(3),
    ],
}  # fmt: skip
OPTIMIZERS = [
    xpnn.SGD(0.1),
    xpnn.SGD(0.1, momentum=0.9, nesterov=True, l1=1e-3, clip_norm=0.5),
    xpnn.Adam(1e-2),
    xpnn.AdamW(1e-2, l2=1e-3),
    xpnn.optimizers.Lookahead(xpnn.Adam(1e-2), 2),
    xpnn.optimizers.Groups(xpnn.Adam(1e-2), [xpnn.optimizers.Group("*.b", frozen=True)]),
    xpnn.optimizers.RMSProp(1e-3),
]


def model(net, backend, dtype="float64"):
    return xpnn.Model(NETS[net], (6, 6, 1), backend=backend, dtype=dtype, seed=3)


def steps(be, net, loss, optimizer, y, shape=(6, 6, 1), n=3, **how):
    """Loss and all arrays after some steps."""
    layout = Layout(net.plan(shape)[0])
    bound = optimizer.bind(layout.params)
    theta, phi = (a + 0 for a in layout.initialize(be, 3))  # an array that may be written to
    state = {**bound.init(be, theta), "ok": be.scalar(True, be.xp.bool)}
    step = be.compile(Objective(net, loss, layout, be, 3).step(bound, **how))
    for k in range(n):
        rows = slice(9 * k, 9 * k + 9)
        targets = tuple(be.asarray(a[rows]) for a in y) if isinstance(y, tuple) else be.asarray(y[rows])
        value, theta, phi, state = step(theta, phi, state, be.asarray(BYTES[rows]), targets)
    return host_arrays(be, (value, theta, phi, state))


def assert_equal_steps(be, net, loss, optimizer, y):
    fused, plain = (steps(be, net, loss, optimizer, y, fuse=fuse) for fuse in (True, False))
    assert [name for name, _ in fused] == [name for name, _ in plain]
    for (name, a), (_, b) in zip(fused, plain, strict=True):
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12, err_msg=name)
        else:
            assert np.array_equal(a, b), name


@pytest.mark.parametrize("net", NETS)
def test_every_network_makes_the_same_steps(be, net):
    assert_equal_steps(be, xpnn.Sequential(NETS[net]), SoftmaxCrossEntropy(), xpnn.SGD(0.1), IDS)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: type(o).__name__)
def test_every_optimizer_makes_the_same_steps(be, optimizer):
    assert_equal_steps(be, xpnn.Sequential(NETS["bytes"]), SoftmaxCrossEntropy(), optimizer, IDS)


def test_several_losses_make_the_same_steps(be):
    net = xpnn.Graph(
        inputs="x",
        nodes={
            "h": (xpnn.Sequential([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(5), xpnn.ReLU()]), "x"),
            "a": (xpnn.Dense(3), "h"),
            "b": (xpnn.Sequential([xpnn.Dense(4), xpnn.ReLU(), xpnn.Dense(3)]), "h"),
        },
        outputs=("a", "b"),
    )
    loss = MultiOutputLoss((SoftmaxCrossEntropy(), SoftmaxCrossEntropy(label_smoothing=0.1)), (0.3, 2.0))
    assert_equal_steps(be, net, loss, xpnn.Adam(), (IDS, IDS[::-1].copy()))


def test_where_arrays_can_be_written_to_gradients_are_not_copied(be):
    """The vector that `join` gives is the one whose views the layers were given, filled."""
    layout = Layout(xpnn.Sequential(NETS["bytes"]).plan((6, 6, 1))[0])
    buffer = layout.gradient_buffer(be)
    if buffer.vector is None:
        assert type(be).buffer is xpnn.backends.Backend.buffer
        return
    buffer.vector[...] = np.nan
    parts = {}
    for path, place in leaves(buffer.tree):
        place[...] = len(path)
        parts[path] = place
    nested = (
        {},
        {},
        {"W": parts["2.W"], "b": be.zeros((9,)) + 7},
        {},
        {"W": parts["4.W"], "b": parts["4.b"]},
    )
    joined = layout.join(be, nested, buffer)
    assert joined is buffer.vector
    named = {place.path: be.to_numpy(joined)[place.start : place.stop] for place in layout.params}
    assert (named["2.b"] == 7).all()
    assert (named["4.W"] == 3).all()


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_gathered_by_index_are_the_batches(backend, net, weighted):
    """`fit` makes the steps that `Trainer.step` makes of the same batches; on NumPy to the last bit."""
    weight = np.linspace(0.5, 1.5, 70) if weighted else None
    gathered, stepped = (model(net, backend) for _ in range(2))
    xpnn.Trainer(gathered, "softmax_cross_entropy", "adam").fit(
        BYTES, IDS, epochs=2, batch_size=16, sample_weight=weight
    )
    trainer, be = xpnn.Trainer(stepped, "softmax_cross_entropy", "adam"), stepped.backend
    for epoch in (1, 2):
        order = epoch_order(3, epoch, 70)
        for cut in Slices(70, 16):
            rows = order[cut]
            s = None if weight is None else be.asarray(weight[rows])
            trainer.step(be.asarray(BYTES[rows]), be.asarray(IDS[rows]), s)
    a, b = gathered.snapshot()["theta"], stepped.snapshot()["theta"]
    if backend == "numpy":
        assert a.tobytes() == b.tobytes()
    assert_close(a, b, "float64")


class Scaled(xpnn.Rescale):
    """Another formula in a subclass."""


@pytest.mark.parametrize(
    ("net", "found"),
    [
        ("bytes", xpnn.Rescale(1 / 255, -0.5)),
        ("images", xpnn.Rescale(1 / 255)),
        ("first something else", None),
    ],
)
def test_only_a_leading_rescale_is_taken_out(net, found):
    chain = xpnn.Sequential(NETS[net])
    rescale, rest = split_rescale(chain)
    assert rescale == found
    assert len(rest.layers) == len(chain.layers)
    assert (rest == chain) is (found is None)
    for other in (xpnn.Dense(3), xpnn.Sequential([Scaled(2.0)])):
        assert split_rescale(other) == (None, other)

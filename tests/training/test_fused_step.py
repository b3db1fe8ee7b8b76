"""What a step saves changes nothing: a ReLU inside the layer before it, gradients written in their place, dy that is
overwritten, batches drawn on the device, the rescaling of bytes on the way."""

import numpy as np
import pytest
from available import INSTALLED
from harness import rng_of
from tolerances import assert_close

import xpnn
from xpnn.data.batches import Slices, epoch_order
from xpnn.parameters import Layout, leaves
from xpnn.training.step import Objective, split_rescale

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
}  # fmt: skip


def model(net, backend, dtype="float64"):
    return xpnn.Model(NETS[net], (6, 6, 1), backend=backend, dtype=dtype, seed=3)


@pytest.mark.parametrize("net", NETS)
def test_gradients_are_those_of_layers_that_know_nothing_of_it(be, net):
    """Of a chain with each layer hidden in a chain of its own: nothing is fused, owned or written in place there."""
    layers = [xpnn.Sequential([layer]) for layer in NETS[net]]
    plain = xpnn.Sequential(NETS[net])
    layout = Layout(plain.plan((6, 6, 1))[0])
    hidden = Layout(xpnn.Sequential(layers).plan((6, 6, 1))[0])
    theta, phi = layout.initialize(be, 3)
    x, y = be.asarray(BYTES[:9]), be.asarray(IDS[:9])
    loss, found = xpnn.losses.SoftmaxCrossEntropy(), []
    for chain, places in ((plain, layout), (xpnn.Sequential(layers), hidden)):
        gradient = Objective(chain, loss, places, be, 3).gradient()
        value, grad, _ = gradient(theta, phi, be.scalar(0, be.xp.int64), x, y, None)
        found.append((be.to_numpy(value), be.to_numpy(grad)))
    if net != "first something else":  # whose shifts depend on the path
        for a, b in zip(*found, strict=True):
            assert_close(a, b, be.dtype_name)


def test_where_arrays_can_be_written_to_gradients_are_not_copied(be):
    """The vector that `join` gives is the one whose views the layers were given, filled."""
    layout = Layout(xpnn.Sequential(NETS["bytes"]).plan((6, 6, 1))[0])
    home = layout.home(be)
    if home.vector is None:
        assert type(be).buffer is xpnn.backends.Backend.buffer
        return
    home.vector[...] = np.nan
    parts = {}
    for path, place in leaves(home.tree):
        place[...] = len(path)
        parts[path] = place
    nested = (
        {},
        {},
        {"W": parts["2.W"], "b": be.zeros((9,)) + 7},
        {},
        {"W": parts["4.W"], "b": parts["4.b"]},
    )
    joined = layout.join(be, nested, home)
    assert joined is home.vector
    named = {place.path: be.to_numpy(joined)[place.start : place.stop] for place in layout.params}
    assert (named["2.b"] == 7).all()
    assert (named["4.W"] == 3).all()


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("weighted", [False, True])
def test_drawn_batches_are_the_batches(backend, net, weighted):
    """`fit` makes the steps that `Trainer.step` makes of the same batches; on NumPy to the last bit."""
    weight = np.linspace(0.5, 1.5, 70) if weighted else None
    drawn, stepped = (model(net, backend) for _ in range(2))
    xpnn.Trainer(drawn, "softmax_cross_entropy", "adam").fit(
        BYTES, IDS, epochs=2, batch_size=16, sample_weight=weight
    )
    trainer, be = xpnn.Trainer(stepped, "softmax_cross_entropy", "adam"), stepped.backend
    for epoch in (1, 2):
        order = epoch_order(3, epoch, 70)
        for cut in Slices(70, 16):
            rows = order[cut]
            s = None if weight is None else be.asarray(weight[rows])
            trainer.step(be.asarray(BYTES[rows]), be.asarray(IDS[rows]), s)
    a, b = drawn.snapshot()["theta"], stepped.snapshot()["theta"]
    if backend == "numpy":
        assert a.tobytes() == b.tobytes()
    assert_close(a, b, "float64")


@pytest.mark.parametrize(
    ("net", "found"), [("bytes", (1 / 255, -0.5)), ("images", (1 / 255, 0.0)), ("first something else", None)]
)
def test_only_a_leading_rescale_is_taken_out(net, found):
    chain = xpnn.Sequential(NETS[net])
    scaling, rest = split_rescale(chain)
    assert scaling == found
    assert len(rest.layers) == len(chain.layers)
    assert (rest == chain) is (found is None)
    assert split_rescale(xpnn.Dense(3)) == (None, xpnn.Dense(3))

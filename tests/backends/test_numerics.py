"""Extreme inputs, float32 unless said: what each operation must give where the naive formula overflows or cancels.

Every check runs on every backend of this machine, and NumPy's warnings are errors in all of them.
"""

import math

import numpy as np
import pytest
from comparison import NAMES

import xpnn
from xpnn import initializers, layers, losses, schedules
from xpnn.backends import get_backend
from xpnn.errors import DataError, DivergedError, UsageError
from xpnn.layers import Ctx
from xpnn.layers.normalize import moments
from xpnn.metrics import Accuracy
from xpnn.optimizers import SGD, Adam
from xpnn.optimizers.base import bias_correction, clip_scale

RTOL, ATOL = 1.3e-6, 1e-30
"""float32: a few units in the last place; the absolute part lets the smallest results be 0."""
TINY = 4e-44
"""What may be left of e^-100: 1.4e-45 is the smallest float32, and some libraries flush such numbers to 0."""
SIGMAS = 4.0

INF, NAN = math.inf, math.nan
softmax = layers.Softmax()


@pytest.fixture(params=NAMES)
def be(request):
    backend = get_backend(request.param, None, "float32")
    with backend.device_context(), np.errstate(over="warn", invalid="warn", divide="warn"):  # unlike in scope
        yield backend


def array(be, values):
    return be.asarray(np.asarray(values, np.float32))


def close(be, got, wanted, rtol=RTOL, atol=ATOL):
    got = be.to_numpy(got)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.asarray(wanted, np.float32), rtol=rtol, atol=atol)


def run(be, layer, values, dy=None, train=True):
    """y and dx of a layer without parameters."""
    cx, x = Ctx(be, train, (0, 0), be.scalar(0, be.xp.int64)), array(be, values)
    y, cache = layer.forward(cx, {}, x)
    return y, layer.backward(cx, {}, cache, be.xp.ones_like(y) if dy is None else array(be, dy))[0]


# Softmax and cross-entropy


def test_softmax_of_large_values(be):
    y, dx = run(be, softmax, [[1000, 1001, 1002]], [[1, 0, 0]])
    close(be, y, [[0.09003057, 0.24472848, 0.66524094]])
    close(be, dx, [[0.0819251, -0.0220330, -0.0598921]], rtol=1e-5)


def test_softmax_with_infinities(be):
    """-inf is a class that cannot be; a row of nothing else has no softmax, and neither has +inf."""
    with np.errstate(invalid="ignore"):
        close(be, run(be, softmax, [[-INF, 0, 0]])[0], [[0, 0.5, 0.5]])
        close(be, run(be, softmax, [[-INF, -INF, -INF], [0, 0, 0]])[0], [[NAN] * 3, [1 / 3] * 3])
        assert np.isnan(be.to_numpy(run(be, softmax, [[INF, 0, 0]])[0])[0, 0])


def test_softmax_of_no_rows_and_of_one_class(be):
    assert tuple(run(be, softmax, np.zeros((0, 5)))[0].shape) == (0, 5)
    close(be, run(be, softmax, [[-300.0], [7.0]])[0], [[1], [1]])


@pytest.mark.parametrize("target", [[1], [[0, 1]]], ids=["ids", "one-hot"])
def test_cross_entropy_of_a_confident_mistake(be, target):
    """-log softmax would be inf."""
    y = be.asarray(np.asarray(target, np.int64 if np.ndim(target) == 1 else np.float32))
    value, dz = losses.SoftmaxCrossEntropy()(be, array(be, [[200, 0]]), y)
    close(be, value, 200)
    close(be, dz, [[1, -1]])


def test_cross_entropy_of_huge_logits(be):
    """log_softmax([1e30, 1e30, -1e30]) is -log 2, -log 2, -2e30."""
    y = be.asarray(np.asarray([0, 2]))
    value, dz = losses.SoftmaxCrossEntropy()(be, array(be, [[1e30, 1e30, -1e30], [-1e4, 0, 1e4]]), y)
    close(be, value, math.log(2) / 2)
    close(be, dz, [[-0.25, 0.25, 0], [0, 0, 0]])


def test_cross_entropy_where_nothing_counts(be):
    """Weights of sum 0 in one batch: loss 0 and gradient 0, not 0 / 0."""
    loss = losses.SoftmaxCrossEntropy(class_weight=(0.0, 1.0))
    for weight in (None, array(be, [0, 0])):
        y = be.asarray(np.asarray([0, 0]))
        value, dz = loss(be, array(be, [[1, 2], [3, -4]]), y, weight)
        close(be, value, 0)
        close(be, dz, np.zeros((2, 2)))


def test_smoothing_of_0_and_1(be):
    z, y = array(be, [[1, 2, 3], [0, -5, 5]]), be.asarray(np.asarray([2, 0]))
    plain, smoothed, flat = (losses.SoftmaxCrossEntropy(s)(be, z, y) for s in (0.0, 1e-12, 1.0))
    for a, b in zip(plain, smoothed, strict=True):
        close(be, a, be.to_numpy(b))
    uniform, _ = losses.SoftmaxCrossEntropy()(be, z, array(be, np.full((2, 3), 1 / 3)))
    close(be, flat[0], be.to_numpy(uniform))


def test_settings_that_mean_nothing():
    for smoothing in (-0.1, 1.1, NAN):
        with pytest.raises(UsageError, match="label_smoothing"):
            losses.SoftmaxCrossEntropy(smoothing)
    for weights in ((0.0, 0.0), (1.0, -1.0), (NAN, 1.0)):
        with pytest.raises(UsageError, match="class_weight"):
            losses.SoftmaxCrossEntropy(class_weight=weights)
    for shape in ((0, -1), (5, -1, -3), (2.0, 3)):
        with pytest.raises(UsageError, match="whole number"):
            layers.Reshape(shape)


# Squashing


def test_sigmoid_at_its_ends(be):
    y, dx = run(be, layers.Sigmoid(), [-1000, -20, 0, 17, 1000])
    close(be, y, [0, 2.0611537e-9, 0.5, 1, 1])
    close(be, dx, [0, 2.0611537e-9, 0.25, 0, 0], atol=1e-7)


def test_binary_cross_entropy_at_its_ends(be):
    z, y = [100, -100, 100, 0, 1e4, -1e4], [0, 1, 1, 0.5, 0, 1]
    wanted, slopes = [100, 100, 0, math.log(2), 1e4, 1e4], [1, -1, 0, 0, 1, -1]
    for one in zip(z, y, wanted, slopes, strict=True):
        value, dz = losses.BinaryCrossEntropy()(be, array(be, [[one[0]]]), array(be, [[one[1]]]))
        close(be, value, one[2], atol=TINY)
        close(be, dz, [[one[3]]], atol=TINY)


def test_softplus_at_its_ends(be):
    y, dx = run(be, layers.Softplus(), [-100, -20, 0, 100, 3e38])
    close(be, y, [0, 2.0611537e-9, math.log(2), 100, 3e38], atol=TINY)
    close(be, dx, [0, 2.0611537e-9, 0.5, 1, 1], atol=TINY)


def test_elu_near_0_and_far_from_it(be):
    """e^x - 1 would lose the small ones, and overflow in the branch that is not used."""
    y, dx = run(be, layers.ELU(), [-1e-8, -1e-4, 1000, -1000, 0])
    close(be, y, [-1e-8, -9.9995e-5, 1000, -1, 0])
    close(be, dx, [1, 0.9999, 1, 0, 1])


def test_tanh_at_its_ends(be):
    y, dx = run(be, layers.Tanh(), [100, -100, 1e-8])
    close(be, y, [1, -1, 1e-8])
    close(be, dx, [0, 0, 1])


@pytest.mark.parametrize("layer", [layers.ReLU(), layers.LeakyReLU(0.0)], ids=str)
def test_slope_at_0_is_0(be, layer):
    y, dx = run(be, layer, [0.0, -0.0, 1e-45])
    close(be, y, [0, 0, 1e-45])
    assert be.to_numpy(dx)[:2].tolist() == [0, 0]


def test_relu_keeps_nan(be):
    """A NaN that turned into 0 would hide from the guard."""
    close(be, run(be, layers.ReLU(), [NAN, INF, -INF])[0], [NAN, INF, 0])


def test_absolute_error_at_0(be):
    _, dz = losses.MeanAbsoluteError()(be, array(be, [[1.0, 2.0]]), array(be, [[1.0, 3.0]]))
    close(be, dz, [[0, -0.5]])


def test_gelu_at_its_ends(be):
    y, dx = run(be, layers.GELU(), [-10, -5, 0, 5, 100, -3e38, 3e38])
    close(be, y, [-7.619853e-23, -1.4332578e-6, 0, 4.9999986, 100, 0, 3e38], rtol=1e-5)
    close(be, dx, [-7.6183297e-22, -7.1469462e-6, 0.5, 1.0000071, 1, 0, 1], rtol=1e-5)
    y, dx = run(be, layers.GELU(True), [-10, -5, 0, 5, -3e38, 3e38])
    close(be, y, [0, -2.2918e-7, 0, 4.9999998, 0, 3e38], rtol=1e-4, atol=1e-12)
    close(be, dx, [0, -1.3459e-6, 0.5, 1.0000013, 0, 1], rtol=1e-3, atol=2e-7)


def test_silu_and_mish_at_their_ends(be):
    y, dx = run(be, layers.SiLU(), [-100, -20, 0, 100, -3e38, 3e38])
    close(be, y, [0, -4.1223074e-8, 0, 100, 0, 3e38], atol=1e-41)
    close(be, dx, [0, -3.9161921e-8, 0.5, 1, 0, 1], atol=1e-41)
    y, dx = run(be, layers.Mish(), [-100, -20, 0, 100, -3e38, 3e38])
    close(be, y, [0, -4.1223074e-8, 0, 100, 0, 3e38], atol=1e-41)
    close(be, dx, [0, -3.9161921e-8, 0.6, 1, 0, 1], atol=1e-41)


def test_selu_and_celu_near_0_and_far_from_it(be):
    scale, low = 1.0507009873554805, 1.7580993408473766
    y, dx = run(be, layers.SELU(), [-1e-8, -1e-4, 1000, -1000, 0])
    close(be, y, [-low * 1e-8, -low * 9.9995e-5, scale * 1000, -low, 0])
    close(be, dx, [low, low * 0.9999, scale, 0, low])
    y, dx = run(be, layers.CELU(0.5), [-1e-8, -1e-4, 1000, -1000, 0])
    close(be, y, [-1e-8, -0.5 * 1.9998e-4, 1000, -0.5, 0])
    close(be, dx, [1, 0.9998, 1, 0, 1])


def test_hard_activations_and_softsign_at_their_ends(be):
    x = [-3e38, -3, 0, 3, 3e38, NAN]
    close(be, run(be, layers.HardSigmoid(), x)[0], [0, 0, 0.5, 1, 1, NAN])
    close(be, run(be, layers.HardSwish(), x)[0], [0, 0, 0, 3, 3e38, NAN])
    close(be, run(be, layers.HardTanh(), x)[0], [-1, -1, 0, 1, 1, NAN])
    y, dx = run(be, layers.Softsign(), x)
    close(be, y, [-1, -0.75, 0, 0.75, 1, NAN])
    close(be, dx, [0, 0.0625, 1, 0.0625, 0, NAN])


def test_log_softmax_of_large_values(be):
    x = [[1000, 1001, 1002], [-1e4, 0, 1e4], [1e30, 1e30, -1e30]]
    y, dx = run(be, layers.LogSoftmax(), x, [[1, 0, 0]] * 3)
    log2 = math.log(2)
    close(be, y, [[-2.407606, -1.407606, -0.407606], [-2e4, -1e4, 0], [-log2, -log2, -2e30]])
    close(be, dx, [[0.9099695, -0.2447285, -0.6652409], [1, 0, -1], [0.5, -0.5, 0]])
    with np.errstate(invalid="ignore"):
        close(
            be, run(be, layers.LogSoftmax(), [[-INF, 0, 0], [-INF] * 3])[0], [[-INF, -log2, -log2], [NAN] * 3]
        )


def test_log_sigmoid_at_its_ends(be):
    y, dx = run(be, layers.LogSigmoid(), [-1e4, -100, 0, 17, 3e38, -3e38])
    close(be, y, [-1e4, -100, -math.log(2), -4.13994e-8, 0, -3e38])
    close(be, dx, [1, 1, 0.5, 4.13994e-8, 0, 1])


# Normalizations

NORMS = [layers.BatchNorm(), layers.LayerNorm(), layers.GroupNorm(1), layers.InstanceNorm()]


def normalize(be, layer, values, dy=None):
    """y, dx and the new statistics for `values` laid out along the axis that is normalized."""
    x = np.asarray(values, np.float32)
    shape = {layers.BatchNorm: (len(x), 1), layers.InstanceNorm: (1, len(x), 1)}.get(type(layer), (1, len(x)))
    x = array(be, x.reshape(shape))
    p = {
        k: array(be, s.init(np.random.default_rng(0), s.shape)) for k, s in layer.plan(x.shape[1:])[0].items()
    }
    cx = Ctx(be, True, (0, 0), be.scalar(0, be.xp.int64))
    y, cache = layer.forward(cx, p, x)
    dy = be.xp.ones_like(y) if dy is None else be.xp.reshape(array(be, dy), shape)
    flat = [be.to_numpy(a).reshape(-1) for a in (y, layer.backward(cx, p, cache, dy)[0])]
    return *flat, layer.update_stats(cx, p, cache)


@pytest.mark.parametrize("offset", [1e4, 1e6])
@pytest.mark.parametrize("layer", NORMS, ids=str)
def test_variance_far_from_0(be, layer, offset):
    """The mean of squares less the square of the mean would be 0 at 1e4 and -65536 at 1e6; it is 1.25."""
    y, dx, news = normalize(be, layer, offset + np.arange(4.0), [1, 0, 0, 0])
    root = math.sqrt(1.25 + layer.eps)
    np.testing.assert_allclose(y, np.asarray([-1.5, -0.5, 0.5, 1.5]) / root, rtol=RTOL)
    np.testing.assert_allclose(dx, np.asarray([0.3, -0.4, -0.1, 0.2]) / root, rtol=1e-4)
    if news:
        close(be, news["mean"], [0.1 * (offset + 1.5)])
        close(be, news["var"], [0.9 + 0.1 * 1.25 * 4 / 3])


@pytest.mark.parametrize("value", [5.0, 0.1, 1e6 / 3, 0.0])
@pytest.mark.parametrize("layer", NORMS, ids=str)
def test_a_constant_input_becomes_0(be, layer, value):
    """Its deviations, 0 but for rounding, are divided by sqrt(eps), never by 0."""
    y, dx, _ = normalize(be, layer, [value] * 4, [1, -2, 3, -4])
    assert np.abs(y).max() <= 1e-4
    np.testing.assert_allclose(dx, np.asarray([1.5, -1.5, 3.5, -3.5]) / math.sqrt(layer.eps), rtol=1e-4)


def test_variance_of_many_values_keeps_its_digits():
    """NIST's NumAcc3 and NumAcc4 in float64, of standard deviation 0.1: as many digits as the data have."""
    be = get_backend("numpy", None, "float64")
    for offset, digits in ((1e6, 9.4), (1e7, 8.2)):
        x = np.concatenate([[offset + 0.2], np.tile([offset + 0.1, offset + 0.3], 500)])
        _, _, var = moments(Ctx(be), x[:, None], 0)
        assert abs(math.sqrt(var[0, 0] * 1001 / 1000) / 0.1 - 1) <= 10**-digits


def test_variance_of_many_pixels_in_float32():
    """86,528 of them, close together: added row after row, they are off by 1e-5."""
    be = get_backend("numpy", None, "float32")
    x = (1 + 1e-3 * np.random.default_rng(0).standard_normal((128, 26, 26, 2))).astype(np.float32)
    *_, var = be.batch_norm(x, np.ones(2, x.dtype), np.zeros(2, x.dtype), 1e-5)
    assert np.abs(var / x.astype(float).var(axis=(0, 1, 2)) - 1).max() <= 1e-6


def test_rms_norm_of_zeros_and_of_large_values(be):
    y, dx, _ = normalize(be, layers.RMSNorm(), [0, 0, 0, 0], [1, 2, 3, 4])
    assert not y.any()
    np.testing.assert_allclose(dx, np.asarray([1, 2, 3, 4]) * 1e3, rtol=1e-5)
    np.testing.assert_allclose(normalize(be, layers.RMSNorm(), [1e15, -1e15])[0], [1, -1], rtol=RTOL)


def test_settings_of_normalizations_that_mean_nothing():
    for kind in (layers.BatchNorm, layers.LayerNorm, layers.RMSNorm, layers.InstanceNorm):
        for eps in (0.0, -1e-5, NAN):
            with pytest.raises(UsageError, match="eps"):
                kind(eps=eps)
    for momentum in (-0.1, 1.1, NAN):
        with pytest.raises(UsageError, match="momentum"):
            layers.BatchNorm(momentum)
    with pytest.raises(UsageError, match="groups"):
        layers.GroupNorm(0)
    for layer, shape in (
        (layers.GroupNorm(3), (2, 4)),
        (layers.GroupNorm(4), (4,)),
        (layers.InstanceNorm(), (4,)),
        (layers.InstanceNorm(), (1, 1, 4)),
        (layers.InstanceNorm(), (0, 4)),
        (layers.BatchNorm(), ()),
        (layers.BatchNorm(), (3, 0)),
        (layers.LayerNorm(), (0,)),
        (layers.RMSNorm(), ()),
    ):
        with pytest.raises(DataError, match=f"layer 0 {type(layer).__name__}"):
            xpnn.layers.Sequential([layer]).plan(shape)


# Sums over many


def test_mean_over_many(be):
    """Added one after the other in float32, ones stop counting at 2^24; here there are 2^24 + 2^22."""
    n = (
        (2**24 + 2**22) if be.name in ("numpy", "torch") else 2**18
    )  # the others only where memory and time allow
    prediction = array(be, np.ones((n, 1)))
    value, _ = losses.MeanSquaredError()(be, prediction, be.xp.zeros_like(prediction))
    close(be, value, 1)


def test_accuracy_over_many_is_counted_in_integers(be):
    hits = be.asarray(np.asarray([2**24, 2**24], np.int64))
    scores, ids = array(be, [[1, 0]]), be.asarray(np.asarray([0]))
    counts = be.to_numpy(hits + Accuracy().count(be, scores, ids))
    assert counts.dtype == np.int64
    assert counts.tolist() == [2**24 + 1, 2**24 + 1]


def test_the_epochs_mean_is_weighted_by_batch_size():
    """50 samples in batches of 32 and 18: the mean of two batch means would be another number."""
    x, y = np.arange(50, dtype=np.float32)[:, None], np.zeros(50, np.float32)
    model = xpnn.Model([xpnn.Dense(1, initializers.ones)], (1,), seed=0)
    history = model.fit(
        x, y, loss="mean_squared_error", optimizer=SGD(0.0), epochs=1, batch_size=32, verbose=0
    )
    assert abs(history.rows[0].train_loss / np.mean(x.astype(float) ** 2) - 1) <= RTOL


# Optimizers


@pytest.mark.parametrize(
    ("grad", "step"), [(1e-6, 9.900990e-4), (1e-8, 5.0e-4), (1e-23, 1e-18), (1e10, 1e-3), (0.0, 0.0)]
)
def test_adams_first_step(be, grad, step):
    """eps outside the root and after the correction: 7.6e-4 and 3.1e-5 would be eps-hat. g^2 may underflow to 0."""
    optimizer, theta = Adam(1e-3), array(be, [0.0])
    theta, _ = optimizer.update(be, theta, array(be, [grad]), optimizer.init(be, theta))
    close(be, theta, [-step], rtol=1e-5)


@pytest.mark.parametrize("beta", [0.9, 0.999, 0.999999, 0.0])
def test_bias_correction_keeps_its_digits(be, beta):
    """1 - 0.999 in float32 is off by 1.3e-5."""
    for t in (1, 2, 10, 1000, 10**6):
        wanted = -math.expm1(t * math.log(beta)) if beta else 1.0
        close(be, bias_correction(be, beta, be.scalar(float(t))), wanted)


def clipped(be, grad):
    with np.errstate(invalid="ignore"):
        g = array(be, grad)
        s, factor = clip_scale(be, g, 1.0)
        return be.to_numpy(g / s * factor)


def test_clipping_scales_without_overflow(be):
    root = math.sqrt(0.5)
    np.testing.assert_allclose(clipped(be, [1e20, 1e20]), [root, root], rtol=RTOL)
    np.testing.assert_allclose(clipped(be, [1e-25, 0.0]), [1e-25, 0.0], rtol=RTOL)
    np.testing.assert_allclose(clipped(be, [3.0, 4.0]), [0.6, 0.8], rtol=RTOL)
    np.testing.assert_allclose(clipped(be, [0.3, 0.4]), [0.3, 0.4], rtol=RTOL)
    assert clipped(be, [0.0, 0.0]).tolist() == [0, 0]


@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_clipping_does_not_hide_a_bad_gradient(be, bad):
    """Divided by an infinite norm every other gradient would quietly become 0: the step is refused instead."""
    assert not np.isfinite(clipped(be, [1.0, bad])).all()
    model = xpnn.Model([xpnn.Dense(2)], (1,), backend=be.name, seed=0)
    before = be.to_numpy(model.theta).copy()
    trainer = xpnn.Trainer(model, "mean_squared_error", SGD(0.1, clip_norm=1.0))
    loss = trainer.step(array(be, [[1.0]]), array(be, [[1.0, bad]]))
    assert math.isnan(float(be.to_numpy(loss)))
    assert np.array_equal(be.to_numpy(model.theta), before)


# Dropout


def test_dropout_of_nothing_and_of_everything(be):
    """At rate 1 the scale 1 / (1 - rate) would be 0 x inf."""
    x = [[1.0, -2.0, 3.0]]
    for rate, train, wanted in (
        (0.0, True, x),
        (1.0, False, x),
        (0.5, False, x),
        (1.0, True, np.zeros((1, 3))),
    ):
        y, dx = run(be, layers.Dropout(rate), x, x, train)
        close(be, y, wanted)
        close(be, dx, wanted)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(be, rate):
    n = 100_000
    y = be.to_numpy(run(be, layers.Dropout(rate), np.ones((1, n)))[0])
    assert abs(y.mean(dtype=float) - 1) <= SIGMAS * math.sqrt(rate / (1 - rate) / n)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - rate))}


# Around the arithmetic


def test_accuracy_is_never_counted_on_nan(be):
    """argmax of a row with NaN is another class in every library: it is stopped before."""
    model = xpnn.Model([xpnn.Dense(2)], (1,), backend=be.name, seed=0)
    with pytest.raises(DataError, match="NaN or infinity"):
        model.evaluate([[1.0], [NAN]], [0, 1])
    with pytest.raises(DivergedError, match="epoch 1"), np.errstate(all="ignore"):
        model.fit([[3e38], [-3e38]], [0, 1], optimizer=SGD(1e30), epochs=5, verbose=0)
    assert np.isfinite(be.to_numpy(model.theta)).all()


def test_initial_weights_without_inputs_are_refused():
    rng = np.random.default_rng(0)
    for init in (initializers.he_normal, initializers.lecun_uniform):
        with pytest.raises(UsageError, match="fan_in is 0"):
            init(rng, (0, 5))
    with pytest.raises(UsageError, match="fan_mean is 0"):
        initializers.glorot_uniform(rng, (0, 0))
    with pytest.raises(DataError, match="at least one feature"):
        xpnn.Dense(3).plan((0,))


def test_schedules_at_their_first_and_last_step():
    ends = {
        schedules.ConstantRate(): (1, 1),
        schedules.InverseTime(0.5): (1, 1 / 5.5),
        schedules.StepDecay(5, 0.1): (1, 0.1),
        schedules.Exponential(0.5): (1, 0.5**9),
        schedules.Cosine(): (1, (1 + math.cos(0.9 * math.pi)) / 2),
        schedules.Warmup(0): (1, 1),
        schedules.Warmup(4): (0.2, 1),
        schedules.Warmup(9, schedules.Cosine()): (0.1, 1),
        schedules.OneCycle(): (1 / 25, 1 / 25e4),
        schedules.Polynomial(2.0): (1, 0.01),
        schedules.MultiStep((0.5, 0.9)): (1, 0.01),
        schedules.CosineRestarts(0.5): (1, (1 + math.cos(0.8 * math.pi)) / 2),
        schedules.Cyclic(2, 1, 0.1): (0.1, 0.1),
        schedules.Noam(0.5): (0.2, math.sqrt(0.5)),
        schedules.Joined((schedules.Cosine(), schedules.Polynomial()), (0.5,)): (1, 0.2),
    }
    for schedule, (first, last) in ends.items():
        assert schedule(0, 10) == pytest.approx(first, rel=1e-12), schedule
        assert schedule(9, 10) == pytest.approx(last, rel=1e-12), schedule
        for step, total in ((0, 1), (0, 0), (5, 3)):  # a run of one step, of none, and beyond its end
            assert 0 <= schedule(step, total) <= 1, schedule

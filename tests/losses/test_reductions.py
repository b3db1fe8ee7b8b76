"""What reduction, weights and ignored ids mean, for every loss; losses in training; their ends; what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from cases import LOSSES
from comparison import NAMES, error, run_loss
from harness import draw_loss, open_backend
from tolerances import assert_close, assert_same

import xpnn
from xpnn import losses
from xpnn.config import from_config, short_repr, to_config
from xpnn.errors import DataError, ShapeError, UsageError

ROWS = list({type(case.loss): case for case in LOSSES}.values()) + [
    c for c in LOSSES if c.target == "ignored"
]
each = pytest.mark.parametrize("case", ROWS, ids=lambda case: short_repr(case.loss))
X = np.random.default_rng(0).standard_normal((22, 4))
IDS = np.arange(22) % 3


def net(units, *last, seed=0, backend="numpy"):
    return xpnn.Model([xpnn.Dense(units), *last], (4,), seed=seed, dtype="float64", backend=backend)


@each
def test_the_sum_is_the_sum_of_all_values(case):
    z, target, _ = draw_loss(case)
    weight = np.random.default_rng(1).uniform(0, 2, len(z))
    for w in (None, weight):
        one, all_of, mean = (
            run_loss(replace(case.loss, reduction=r), z, target, w) for r in ("none", "sum", "mean")
        )
        assert_close(one[0].sum(), all_of[0], "float64")
        assert_close(one[1], all_of[1], "float64")
        if type(case.loss) is not losses.CTC:  # its mean divides each loss by its labels
            assert_close(mean[1] * all_of[0], all_of[1] * mean[0], "float64")


@each
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_weight_is_how_often_a_sample_counts(case, reduction):
    """0: it is left out; 2: it is there twice, where samples are not compared with each other."""
    z, target, _ = draw_loss(case)
    loss = replace(case.loss, reduction=reduction)
    times = np.arange(len(z)) % (2 if loss.compares else 3)
    rows = np.repeat(np.arange(len(z)), times)
    value, slopes = run_loss(loss, z, target, times * 1.0)
    wanted, parts = run_loss(loss, z[rows], target[rows]) if len(rows) else (np.zeros(()), z[rows])
    total = np.zeros_like(z)
    np.add.at(total, rows, parts)
    assert_close(value, wanted, "float64")
    assert_close(slopes, total, "float64")


IGNORING = (losses.SoftmaxCrossEntropy, losses.NegativeLogLikelihood, losses.Focal)


@pytest.mark.parametrize("index", [-100, 1])
@pytest.mark.parametrize("cls", IGNORING, ids=lambda cls: cls.__name__)
def test_an_ignored_sample_is_left_out(cls, index):
    """Of the value, the gradient, the mean's denominator and the hits; a batch of nothing else has loss 0."""
    z, ids = X[:, :3], np.where(np.arange(22) % 4 == 1, index, IDS)
    kept, loss = ids != index, cls(ignore_index=index)
    np.testing.assert_array_equal(loss.check(ids, (3,)), ids)
    for reduction in losses.base.REDUCTIONS:
        value, slopes = run_loss(replace(loss, reduction=reduction), z, ids)
        wanted, parts = run_loss(cls(reduction=reduction), z[kept], ids[kept])
        assert_close(value[kept] if value.ndim else value, wanted, "float64")
        assert_close(slopes[kept], parts, "float64")
        assert not slopes[~kept].any()
        assert not value.ndim or not value[~kept].any()
        nothing = run_loss(replace(loss, reduction=reduction), z, np.full(22, index))
        assert not any(a.any() for a in nothing)
    if cls is not losses.NegativeLogLikelihood:
        model = net(3)
        got = model.evaluate(X, ids, loss=loss)
        assert got == pytest.approx(model.evaluate(X[kept], ids[kept], loss=cls()), rel=1e-12)
        nothing = model.evaluate(X, np.full(22, index), loss=loss)
        assert nothing == pytest.approx({"loss": 0.0, "accuracy": np.nan}, nan_ok=True)
    with pytest.raises(DataError, match="label 2 is -2"):
        loss.check(np.array([0, 1, -2]), (3,))


def test_ignored_ids_can_be_smoothed_weighted_and_trained_on():
    ids = np.where(np.arange(22) % 4 == 1, -100, IDS)
    kept, models = ids != -100, []
    for x, y, index in ((X, ids, -100), (X[kept], ids[kept], None)):
        models.append(net(3))
        loss = losses.SoftmaxCrossEntropy(0.1, (1.0, 2.0, 0.5), ignore_index=index)
        models[-1].fit(x, y, loss=loss, optimizer=xpnn.SGD(0.5), epochs=5, batch_size=99, verbose=0)
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-9)


@pytest.mark.parametrize("name", ["mean_squared_error", "softmax_cross_entropy"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_history_and_evaluate_agree_over_uneven_batches(name, reduction):
    """With no steps taken, the training loss is what evaluate says, in batches of 8, 8 and 6 as in one."""
    y = IDS if name.startswith("softmax") else X[:, :3]
    loss = replace(losses.get_loss(name), reduction=reduction)
    model = net(3)
    history = model.fit(
        X, y, loss=loss, optimizer=xpnn.SGD(0.0), epochs=1, batch_size=8, validation=(X, y), verbose=0
    )
    value = model.evaluate(X, y)["loss"]
    assert history["train_loss"] == pytest.approx([value], rel=1e-12)
    assert history["valid_loss"] == pytest.approx([value], rel=1e-12)
    mean = model.evaluate(X, y, loss=name)["loss"]
    per_sample = 3 if y is not IDS else 1
    assert value == pytest.approx(mean * (22 * per_sample if reduction == "sum" else 1), rel=1e-12)


def test_a_sum_trains_as_the_mean_with_a_larger_rate():
    models = [net(3), net(3)]
    for model, reduction, lr in zip(models, ("mean", "sum"), (0.5, 0.5 / 11), strict=True):
        loss = losses.SoftmaxCrossEntropy(reduction=reduction)
        model.fit(X, IDS, loss=loss, optimizer=xpnn.SGD(lr), epochs=3, batch_size=11, verbose=0)
    np.testing.assert_allclose(models[0].theta, models[1].theta, rtol=1e-9)


def test_a_value_for_each_sample_is_nothing_to_train_on():
    loss = losses.MeanSquaredError(reduction="none")
    for use in (
        lambda: xpnn.Trainer(net(3), loss),
        lambda: net(3).fit(X, X[:, :3], loss=loss, verbose=0),
        lambda: net(3).evaluate(X, X[:, :3], loss=loss),
    ):
        with pytest.raises(UsageError, match=r"MeanSquaredError\(reduction='none'\) is no number"):
            use()
    assert all(row.ok for row in xpnn.gradcheck([xpnn.Dense(3)], (4,), loss=loss))
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        losses.Huber(reduction="meen")
    with pytest.raises(TypeError):
        losses.MeanSquaredError("sum")


def test_a_reduction_is_saved(tmp_path):
    loss = losses.CTC(2, reduction="sum")
    assert from_config(to_config(loss)) == loss
    assert from_config({"type": "Huber", "delta": 0.5}) == losses.Huber(
        0.5
    )  # of a file from before there were any
    model = net(3)
    model.fit(X, IDS, loss=losses.SoftmaxCrossEntropy(reduction="sum", ignore_index=2), epochs=1, verbose=0)
    model.save(tmp_path / "m.safetensors")
    assert xpnn.load(tmp_path / "m.safetensors").loss == model.loss


# Training with the new ones


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("loss", [losses.Triplet(), losses.Contrastive(2.0)], ids=short_repr)
def test_embeddings_of_a_class_come_together(name, loss):
    """Any whole numbers name classes."""
    model, ids = net(2, backend=name), np.where(X[:, 0] > 0, 10**12, -7)
    history = model.fit(
        X, ids, loss=loss, optimizer=xpnn.Adam(0.1), epochs=15, batch_size=11, verbose=0, validation=(X, ids)
    )
    assert history["train_loss"][-1] < 0.5 * history["train_loss"][0]
    assert history["valid_loss"][-1] < 0.7 * history["valid_loss"][0]
    assert model.predict(X).shape == (22, 2)


@pytest.mark.parametrize("loss", [losses.Triplet(), losses.Contrastive()], ids=short_repr)
def test_large_ids_stay_apart_in_float32(loss):
    steps = []
    for ids in ([0, 1, 0, 1], [2**24, 2**24 + 1, 2**24, 2**24 + 1]):
        model = xpnn.Model([xpnn.Dense(2)], (4,), seed=0)
        be = model.backend
        steps.append(xpnn.Trainer(model, loss).step(be.asarray(X[:4], be.dtype), be.asarray(ids)))
    assert steps[0] == steps[1]


def test_samples_are_compared_in_batches_where_they_are_many():
    """A mean over shuffled batches of 128, whatever the order of the samples; the same each time."""
    x = np.random.default_rng(5).standard_normal((1000, 4))
    ids = np.sort(np.arange(1000) % 100)
    model = net(2)
    z, loss = model.forward(x), losses.Contrastive(2.0)
    got = model.evaluate(x, ids, loss=loss)["loss"]
    assert got == model.evaluate(x, ids, loss=loss)["loss"]
    np.testing.assert_allclose(got, run_loss(loss, z, ids)[0], rtol=0.1)
    total = model.evaluate(x, ids, loss=replace(loss, reduction="sum"))["loss"]
    np.testing.assert_allclose(total / got, 7 * 128 * 127 / 2 + 104 * 103 / 2, rtol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_a_sequence_is_spelled(name):
    """Frames that show their label: after training, each frame's likeliest class spells the target."""
    rng = np.random.default_rng(2)
    ids = rng.integers(1, 4, (40, 2))
    ids[::5, 1] = -1
    x = np.zeros((40, 5, 4))
    x[np.arange(40)[:, None], [[0, 3]], np.where(ids < 0, 0, ids)] = 1
    model = xpnn.Model([xpnn.Dense(4)], (5, 4), backend=name, seed=0)
    model.fit(x, ids, loss="ctc", optimizer=xpnn.Adam(0.1), epochs=40, batch_size=20, verbose=0)
    for path, label in zip(model.predict(x), ids, strict=True):
        merged = [c for c, last in zip(path, [0, *path], strict=False) if c not in (0, last)]
        assert merged == [c for c in label if c >= 0]


def test_a_mean_and_a_variance_are_found():
    x = np.repeat([[0.0, 0, 0, 0], [1, 1, 1, 1]], 2000, axis=0)
    y = np.where(x[:, 0] > 0, 3.0, -1.0) + np.random.default_rng(3).standard_normal(4000) * (0.5 + x[:, 0])
    model = net(2)
    model.fit(
        x,
        y,
        loss="gaussian_nll",
        optimizer=xpnn.Adam(0.1),
        schedule="cosine",
        epochs=40,
        batch_size=500,
        verbose=0,
    )
    mean, r = model.forward(x[[0, -1]]).T
    np.testing.assert_allclose(mean, [-1, 3], atol=0.1)
    np.testing.assert_allclose(np.log1p(np.exp(r)), [0.25, 2.25], rtol=0.15)
    np.testing.assert_array_equal(model.predict(x[[0, -1]])[:, 0], mean)


def test_a_mask_is_found():
    masks = (X[:, :, None] > 0.5) * 1.0
    model = net(4, xpnn.Reshape((4, 1)))
    model.fit(X, masks, loss="dice", optimizer=xpnn.Adam(0.1), epochs=100, verbose=0)
    assert model.evaluate(X, masks)["accuracy"] > 0.9
    assert model.predict(X).shape == masks.shape


# Ends


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ends(dtype):
    """Nothing overflows or becomes NaN: extreme logits, embeddings in one place, variances of 0."""

    def f(loss, z, target):
        with np.errstate(over="raise", invalid="raise", divide="raise", under="ignore"):
            value, slopes = run_loss(loss, np.asarray(z, dtype), np.asarray(target), dtype=dtype)
        assert np.isfinite(value).all()
        assert np.isfinite(slopes).all()
        return value, slopes

    real = lambda a: np.asarray(a, dtype)  # noqa: E731
    one = np.ones((3, 2))
    value, slopes = f(losses.Triplet(0.5), one, [0, 0, 1])
    assert (value, slopes.any()) == (0.5, False)
    value, slopes = f(losses.Contrastive(0.5), one, [0, 0, 1])
    assert_close(value, real(2 / 3 * 0.125), dtype)
    assert not slopes.any()
    for cls in (losses.Triplet, losses.Contrastive):
        assert not f(cls(), one[:1], [4])[0].any()  # alone: no pair, no loss
    assert f(losses.Triplet(), one, [0, 1, 2])[0] == 0  # no positive
    assert f(losses.Triplet(), one, [3, 3, 3])[0] == 0  # no negative
    value, slopes = f(losses.CosineEmbedding(), np.zeros((2, 2)), real([[0, 0], [1, 0]]))
    assert value == 1
    value, slopes = f(losses.Dice(), [[[1e4], [-1e4]]], real([[[1], [0]]]))
    assert (value, slopes.any()) == (0, False)
    assert f(losses.Dice(), [[[-1e4], [-1e4]]], real([[[0], [0]]]))[0] == 0
    assert_close(f(losses.Dice(), [[[1e4], [-1e4]]], real([[[0], [1]]]))[0], real(2 / 3), dtype)
    value, slopes = f(losses.GaussianNLL(), [[0, -1e4]], real([[1]]))
    assert_close(value, real((np.log(1e-6) + 1e6) / 2), dtype)
    assert_close(slopes, real([[-1e6, 0]]), dtype)
    assert_close(f(losses.GaussianNLL(), [[0, 1e4]], real([[1]]))[0], real(np.log(1e4) / 2 + 5e-5), dtype)
    z = np.full((2, 3, 2), -1e4)
    z[:, [0, 1, 2], [1, 0, 1]] = 1e4  # the path 1 0 1
    value, slopes = f(losses.CTC(reduction="none"), z, [[1, 1], [1, -1]])
    assert_close(value, real([0, 2e4 - np.log(3)]), dtype)  # by one of 1 1 1, 1 0 0, 0 0 1
    # in float32 the logarithms of 2e4 have three digits behind the point
    np.testing.assert_allclose(np.abs(slopes).sum((1, 2)), [0, 2], rtol=1e-3)
    z[0, 1, 0] = -np.inf
    assert f(losses.CTC(reduction="none"), z, [[1, -1], [1, -1]])[0][0] == 0


def test_ctc_keeps_its_digits_over_a_thousand_frames():
    """float32 against float64; errors of logarithms near 3000 would be 1e-3, but cancel where a frame adds up to 1."""
    rng = np.random.default_rng(9)
    z, ids = rng.standard_normal((2, 1000, 30)), rng.integers(1, 30, (2, 100))
    slopes = [run_loss(losses.CTC(), z.astype(d), ids, dtype=d)[1] for d in ("float32", "float64")]
    assert error(*slopes) < 5e-4


def test_labels_that_do_not_fit_have_an_infinite_loss_and_no_gradient():
    """As in PyTorch, but that the gradient is 0, not NaN: the step changes nothing, and says so."""
    z = np.random.default_rng(4).standard_normal((2, 3, 3))
    value, slopes = run_loss(losses.CTC(reduction="none"), z, np.array([[1, 1, 2], [1, 2, 1]]))
    assert value[0] == np.inf
    assert np.isfinite(value[1])
    assert not slopes[0].any()
    assert slopes[1].any()
    model = xpnn.Model([xpnn.Dense(3)], (3, 3), seed=0)
    be, before = model.backend, model.theta.copy()
    loss = xpnn.Trainer(model, "ctc").step(be.asarray(z, be.dtype), be.asarray([[1, 1, 2], [1, 2, 1]]))
    assert np.isnan(loss)
    assert_same(model.theta, before)


def test_a_mean_over_sequences_is_one_over_all_rows():
    """Of the divergence of (N, T, C): the sum, divided by N T."""
    rng = np.random.default_rng(5)
    t = rng.dirichlet(np.ones(4), (2, 3))
    log_p = np.log(rng.dirichlet(np.ones(4), (2, 3)))
    value, slopes = run_loss(losses.KLDivergence(), log_p, t)
    assert value == pytest.approx(np.sum(t * (np.log(t) - log_p)) / 6, rel=1e-12)
    np.testing.assert_allclose(slopes, -t / 6, rtol=1e-12)


# What is refused


def ctc(rows, blank=0, known=False, outputs=(4, 3)):
    return lambda: losses.CTC(blank, known).check(np.array(rows), outputs)


def fed(loss, target, outputs):
    return lambda: loss.check(np.asarray(target), outputs)


REFUSED = [
    (ctc([[1, 2], [1, 3]]), DataError, ["target 1 is [1 3]", "labels are 0 to 2"]),
    (ctc([[1, 0]]), DataError, ["not the blank, 0"]),
    (ctc([[1, 2]], blank=2), DataError, ["not the blank, 2"]),
    (ctc([[1.5, 2]]), DataError, ["[1.5 2. ]"]),
    (ctc([[np.nan, 2]]), DataError, ["nan"]),
    (ctc([[1, -2]]), DataError, ["target 0"]),
    (ctc([[2, -1], [-1, 2]]), DataError, ["target 1 is [-1  2]", "pads the end"]),
    (ctc([[1, 2, 1, 1]]), DataError, ["one more between two equal ones"]),
    (ctc([[1, 2, 1, 2, 1]]), DataError, ["a frame for each label"]),
    (ctc([[5, 1]], known=True), DataError, ["frames, is 1 to 4"]),
    (ctc([[0, 1]], known=True), DataError, ["frames, is 1 to 4"]),
    (ctc([[1, 1, 2]], known=True), DataError, ["a frame for each label"]),
    (ctc([[4]], known=True), ShapeError, ["(N, 1 + S)"]),
    (ctc([1, 2]), ShapeError, ["wanted ids (N, S)"]),
    (ctc(1), ShapeError, ["targets of shape ()", "wanted ids (N, S)"]),
    (ctc([[1]], outputs=(3,)), ShapeError, ["logits (N, frames, classes)"]),
    (ctc([[1]], blank=3), UsageError, ["there are 3 classes"]),
    (lambda: losses.CTC(-1), UsageError, ["blank=-1"]),
    (fed(losses.Triplet(), [0, 1.5], (3,)), DataError, ["label 1 is 1.5"]),
    (fed(losses.Triplet(), [0, np.inf], (3,)), DataError, ["label 1 is inf"]),
    (fed(losses.Contrastive(), np.eye(3), (3,)), ShapeError, ["by argmax"]),
    (fed(losses.Contrastive(), [0, 1], (2, 3)), ShapeError, ["embeddings (N, d)"]),
    (lambda: losses.Triplet(0.0), UsageError, ["margin=0.0"]),
    (lambda: losses.Contrastive(-1.0), UsageError, ["margin=-1.0"]),
    (fed(losses.Dice(), np.zeros((2, 3)), (3,)), ShapeError, ["Reshape((height, width, 1))"]),
    (fed(losses.Dice(), np.zeros((2, 4)), (3, 1)), ShapeError, ["never broadcasts"]),
    (fed(losses.Dice(), np.full((2, 3, 1), 2), (3, 1)), DataError, ["Dice: target (0, 0, 0) is 2"]),
    (lambda: losses.Dice(0.0), UsageError, ["smooth=0.0"]),
    (fed(losses.GaussianNLL(), np.zeros((2, 3)), (3,)), ShapeError, ["Dense(2 * targets)"]),
    (fed(losses.GaussianNLL(), np.zeros((2, 4)), (4,)), ShapeError, ["never broadcasts"]),
    (fed(losses.GaussianNLL(), [[np.nan]], (2,)), DataError, ["is nan"]),
    (lambda: losses.GaussianNLL(0.0), UsageError, ["eps=0.0"]),
]


@pytest.mark.parametrize(
    ("make", "kind", "words"), REFUSED, ids=lambda v: v[0] if isinstance(v, list) else ""
)
def test_what_means_nothing_is_refused(make, kind, words):
    with pytest.raises(kind) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "shape", "target"),
    [
        (losses.Triplet(), (4, 2), (4, 1)),
        (losses.Contrastive(), (4, 2), (2,)),
        (losses.Dice(), (4, 3, 2), (4, 3, 1)),
        (losses.GaussianNLL(), (4, 2), (4, 2)),
        (losses.GaussianNLL(), (4, 3, 2), (4, 1, 1)),
        (losses.CTC(), (4, 3, 2), (1, 2)),
        (losses.CTC(), (4, 3, 2), (4,)),
        (losses.SoftmaxCrossEntropy(), (4, 2), (3,)),
        (losses.SoftmaxCrossEntropy(), (4, 2), (1,)),
        (losses.SoftmaxCrossEntropy(), (4, 2, 2), (4,)),
        (losses.SoftmaxCrossEntropy(), (4, 2), (4, 1)),
        (losses.Hinge(), (4, 2), (3,)),
    ],
    ids=str,
)
def test_nothing_is_broadcast_in_a_step_either(loss, shape, target):
    be = open_backend("numpy", "float64")
    with pytest.raises(ShapeError):
        loss(be, np.zeros(shape), np.zeros(target))

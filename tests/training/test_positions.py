"""Training on a class for each position, tokens (N, T) and pixels (N, H, W), without a Reshape."""

import numpy as np
import pytest

import xpnn
from xpnn import losses, metrics
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.training.mixing import CutMix, Mixup


def tokens(n=40, seed=0):
    """Sequences (N, 6, 3) and the place of each step's largest number."""
    x = np.random.default_rng(seed).standard_normal((n, 6, 3))
    return x, x.argmax(axis=-1)


def tagger(**settings):
    return xpnn.Model(
        [xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(3)], (6, 3), seed=0, dtype="float64", **settings
    )


def flat():
    """The same network on each step by itself: what a Reshape would have made of the data."""
    return xpnn.Model([xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(3)], (3,), seed=0, dtype="float64")


def same(a, b):
    np.testing.assert_allclose(a.snapshot()["theta"], b.snapshot()["theta"], rtol=1e-9, atol=1e-11)


def test_a_fit_learns_tags():
    x, y = tokens(200)
    model = tagger()
    history = model.fit(x, y, optimizer=xpnn.Adam(0.03), epochs=12, batch_size=20, validation=0.2, verbose=0)
    assert history.rows[-1].valid_accuracy > 0.9
    assert model.predict(x).shape == y.shape


SETTINGS = [
    (losses.SoftmaxCrossEntropy(), {}),
    (losses.SoftmaxCrossEntropy(ignore_index=-1), {}),
    (losses.SoftmaxCrossEntropy(0.1, (1.0, 2.0, 0.5)), {"sample_weight": "positions"}),
    (losses.SoftmaxCrossEntropy(ignore_index=-1), {"class_weight": "balanced", "sample_weight": "positions"}),
    (losses.SoftmaxCrossEntropy(), {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}, "sample_weight": "samples"}),
    (losses.Focal(ignore_index=-1), {"sample_weight": "samples"}),
]
each_setting = pytest.mark.parametrize(("loss", "settings"), SETTINGS)


def data_for(loss, settings):
    """x, ids of which some are ignored, and the settings with weights as arrays."""
    x, y = tokens()
    rng = np.random.default_rng(3)
    if loss.ignore_index is not None:
        y = np.where(rng.random(y.shape) < 0.3, loss.ignore_index, y)
    weights = {"positions": rng.uniform(0, 2, y.shape), "samples": rng.uniform(0, 2, len(y))}
    more = {"sample_weight": weights[settings["sample_weight"]]} if "sample_weight" in settings else {}
    return x, y, settings | more


@each_setting
@pytest.mark.parametrize("optimizer", [xpnn.SGD(0.3), xpnn.LBFGS()], ids=lambda o: type(o).__name__)
def test_positions_are_the_samples_of_a_flat_fit(optimizer, loss, settings):
    """On one batch of all: the same weights, loss and hits as on the steps of all sequences one by one."""
    x, y, settings = data_for(loss, settings)
    each = settings.get("sample_weight")
    ours, theirs = tagger(), flat()
    more = {"optimizer": optimizer, "epochs": 2, "verbose": 0, "loss": loss}
    ours.fit(x, y, batch_size=40, **more, **settings)
    if each is not None:
        each = np.broadcast_to(each.reshape(len(y), -1), y.shape).reshape(-1)
    theirs.fit(x.reshape(-1, 3), y.reshape(-1), batch_size=240, **more, **settings | {"sample_weight": each})
    same(ours, theirs)
    assert ours.evaluate(x, y) == pytest.approx(theirs.evaluate(x.reshape(-1, 3), y.reshape(-1)), rel=1e-9)


@each_setting
def test_accumulated_steps_are_one_step_of_all_their_positions(loss, settings):
    x, y, settings = data_for(loss, settings)
    ours, theirs = tagger(), tagger()
    more = {"epochs": 3, "verbose": 0, "loss": loss} | settings
    ours.fit(x, y, batch_size=10, optimizer=xpnn.Accumulate(xpnn.SGD(0.3), 4), **more)
    theirs.fit(x, y, batch_size=40, optimizer=xpnn.SGD(0.3), **more)
    same(ours, theirs)


@each_setting
def test_lbfgs_cuts_its_sums_without_changing_them(loss, settings):
    x, y, settings = data_for(loss, settings)
    ours, theirs = tagger(), tagger()
    more = {"epochs": 3, "verbose": 0, "loss": loss, "optimizer": xpnn.LBFGS()} | settings
    ours.fit(x, y, batch_size=11, **more)
    theirs.fit(x, y, batch_size=40, **more)
    same(ours, theirs)


def test_ids_one_hot_rows_and_a_column_are_the_same_target():
    x, y = tokens()
    models = [tagger() for _ in range(3)]
    for model, target in zip(models, (y, np.eye(3, dtype=int)[y], y[..., None]), strict=True):
        model.fit(x, target, epochs=1, batch_size=10, verbose=0)
    same(models[0], models[1])
    same(models[0], models[2])
    stepped = [tagger(), tagger()]
    for model, target in zip(stepped, (y, np.eye(3, dtype=np.int64)[y]), strict=True):
        trainer = xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.1))
        trainer.step(x, target, np.ones(y.shape))
    same(*stepped)


def test_mixup_mixes_position_by_position():
    """The loss is linear in the target: that of the mixed rows is the mixture of two losses."""
    x, y = tokens(8)
    y = np.where(np.arange(48).reshape(8, 6) % 5 == 0, -1, y)
    model = tagger()
    trainer = xpnn.Trainer(model, losses.SoftmaxCrossEntropy(ignore_index=-1), xpnn.SGD(0.0), augment=Mixup())
    value = float(trainer.step(x, y))
    from xpnn.layers import Ctx
    from xpnn.training.mixing import MIXING

    be = model.backend
    mixed, own = Mixup()(Ctx(be, True, (0, MIXING), be.scalar(0, be.xp.int64)), x)
    z = model.forward(mixed)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    kept = y >= 0

    def part(ids, keep, share):
        picked = np.take_along_axis(log_p, np.where(keep, ids, 0)[..., None], -1)[..., 0]
        return -(share[:, None] * keep * picked).sum(), (share[:, None] * keep).sum()

    parts = [part(y, kept, own), part(np.roll(y, -1, 0), np.roll(kept, -1, 0), 1 - own)]
    assert value == pytest.approx(sum(a for a, _ in parts) / sum(b for _, b in parts), rel=1e-10)


def test_several_outputs_with_positions_of_their_own():
    net = xpnn.Graph(
        "x",
        {
            "h": (xpnn.Dense(4), "x"),
            "tags": (xpnn.Dense(3), "h"),
            "all": (xpnn.ReduceMean((1,)), "h"),
            "kind": (xpnn.Dense(2), "all"),
        },
        ("tags", "kind"),
    )
    x, y = tokens()
    model = xpnn.Model(net, (6, 3), seed=0)
    loss = losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(ignore_index=-1), losses.SoftmaxCrossEntropy()))
    y = np.where(y == 2, -1, y)
    model.fit(
        x,
        (y, y[:, 0] % 2),
        loss=loss,
        epochs=2,
        batch_size=10,
        sample_weight=np.linspace(0, 1, 40),
        verbose=0,
    )
    found = model.evaluate(x, (y, y[:, 0] % 2))
    assert {"accuracy[0]", "accuracy[1]"} < set(found)
    with pytest.raises(ShapeError, match="one for each sample"):
        model.fit(x, (y, y[:, 0] % 2), loss=loss, sample_weight=np.ones((40, 6)), verbose=0)
    with pytest.raises(UsageError, match="Accumulate with several losses"):
        xpnn.Trainer(model, loss, xpnn.Accumulate(xpnn.SGD(0.1), 2))


def test_binary_pixels():
    """Targets (N, H, W) for outputs (N, H, W, 1); class weights weigh pixels."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 5, 4, 2))
    y = (x[..., 0] > 0.5).astype(np.uint8)
    models = [xpnn.Model([xpnn.Dense(1)], (5, 4, 2), seed=0, dtype="float64") for _ in range(3)]
    share = y.mean()
    weight = np.where(y, 0.5 / share, 0.5 / (1 - share))
    ways = (
        (y, {"class_weight": "balanced"}),
        (y[..., None], {"sample_weight": weight}),
        (y * 1.0, {"sample_weight": weight}),
    )
    for model, (target, more) in zip(models, ways, strict=True):
        model.fit(
            x,
            target,
            loss="binary_cross_entropy",
            epochs=3,
            batch_size=30,
            verbose=0,
            optimizer=xpnn.SGD(1.0),
            **more,
        )
    same(models[0], models[1])
    same(models[0], models[2])
    assert models[0].evaluate(x, y)["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda x, y: tagger().fit(x, y[:, 0]), ShapeError, "wanted ids (N, 6) or rows (N, 6, 3)"),
        (lambda x, y: tagger().fit(x, y + 1), DataError, "is 3"),
        (lambda x, y: tagger().fit(x, y, sample_weight=np.ones((40, 5))), ShapeError, "(40, 6)"),
        (lambda x, y: tagger().fit(x, y, sample_weight=np.where(y == 0, -1, 1)), DataError, "is -1"),
        (lambda x, y: xpnn.Trainer(tagger()).step(x, y, np.ones((40, 5))), ShapeError, "wanted (40,) or (40, 6)"),
        (lambda x, y: xpnn.Trainer(tagger()).step(x, y + 3), DataError, "3 classes are numbered 0 to 2"),
        (lambda x, y: xpnn.Trainer(tagger(), augment=CutMix()), UsageError, "a label for each position"),
        (lambda x, y: tagger().fit(x, np.eye(3)[y], loss="bce", class_weight="balanced"), UsageError, "no classes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, kind, words):
    with pytest.raises(kind) as caught:
        make(*tokens())
    assert words in str(caught.value)


def test_metrics_count_positions():
    rng = np.random.default_rng(0)
    scores, ids = rng.standard_normal((4, 5, 6, 3)), rng.integers(0, 3, (4, 5, 6))
    ids[0] = -1
    be = xpnn.get_backend("numpy")
    for make in (
        metrics.Accuracy,
        metrics.F1,
        metrics.ConfusionMatrix,
        metrics.LogLoss,
        metrics.CalibrationError,
    ):
        metric = make(ignore_index=-1)
        np.testing.assert_array_equal(
            metric(be, scores, ids), metric(be, scores.reshape(-1, 3), ids.reshape(-1)), err_msg=make.__name__
        )
    assert metrics.TopK(k=2, ignore_index=-1)(be, scores, ids) > metrics.Accuracy(ignore_index=-1)(
        be, scores, ids
    )

"""Augmentation: what is drawn, that every backend draws the same, and that a trained model is not affected."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from comparison import NAMES, error, run_layer
from tolerances import SIGMAS

import xpnn
from xpnn.backends import get_backend
from xpnn.cli import run
from xpnn.errors import ShapeError, UsageError
from xpnn.layers import (
    Ctx,
    RandomElastic,
    RandomErase,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomShift,
    RandomZoom,
    Warp,
)
from xpnn.models import MODELS, build
from xpnn.recipes import HANDWRITING, RECIPES, recipe_for
from xpnn.training import CutMix, Mixup
from xpnn.training.mixing import shares

DOCS = Path(xpnn.__file__).parents[1] / "docs"
LAYERS = [
    RandomShift(),
    RandomRotation(),
    RandomZoom(),
    RandomShear(),
    RandomElastic(),
    RandomErase(),
    RandomFlip(),
]
WARP = Warp((RandomRotation(), RandomZoom(), RandomShift(), RandomElastic()))
others = pytest.mark.parametrize("name", [name for name in NAMES if name != "numpy"])


def context(be, key=(7, 3), tick=5):
    return Ctx(be, train=True, key=key, tick=be.scalar(tick, be.xp.int64))


def image(n=4):
    return np.random.default_rng(0).standard_normal((n, 9, 8, 2))


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_evaluation_changes_nothing(layer):
    assert np.array_equal(run_layer(layer, image(), train=False), image())
    assert not np.array_equal(run_layer(layer, image()), image())


@pytest.mark.parametrize("layer", [*LAYERS, WARP], ids=lambda layer: type(layer).__name__)
def test_each_step_layer_and_image_draws_its_own(layer):
    be, x = get_backend("numpy", None, "float64"), np.repeat(image(1), 12, axis=0)
    seen = set()
    for key, tick in (((7, 3), 5), ((7, 3), 6), ((7, 4), 5)):
        y, _ = layer.forward(context(be, key, tick), ({},) * 9, x)
        seen.add(y.tobytes())
        assert len({row.tobytes() for row in y}) >= 2
    assert len(seen) == 3


@others
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_are_the_same_bits(name, dtype):
    """Of erasing and mirroring, and of CutMix."""
    drawn = []
    for backend in ("numpy", name):
        be = get_backend(backend, None, dtype)
        with be.device_context():
            cx, x = context(be), be.asarray(image(64), be.dtype)
            parts = [layer.forward(cx, {}, x)[0] for layer in (RandomErase(0.7, (0.1, 0.9)), RandomFlip(0.3))]
            drawn.append([be.to_numpy(a).tobytes() for a in (*parts, *CutMix()(cx, x))])
    assert drawn[0][:2] == drawn[1][:2]
    assert drawn[0][2] == drawn[1][2]


def test_what_is_drawn_is_of_the_stated_law():
    n, be = 4000, get_backend("numpy", None, "float64")
    cx, bound = context(be), SIGMAS / np.sqrt(n)
    (_, _, c, _, _, f), _ = RandomShift(0.5).moves(cx, n, (10, 20))
    for moved, most in ((c, 5), (f, 10)):
        assert abs(moved).max() <= most
        assert abs(moved.mean()) <= bound * most
        assert moved.std() == pytest.approx(most / np.sqrt(3), rel=2 * bound)
    assert abs(np.corrcoef(c, f)[0, 1]) <= bound
    (cos, sin, *_), _ = RandomRotation(90.0).moves(cx, n, (10, 10))
    assert np.arctan2(sin, cos).std() == pytest.approx(np.pi / 2 / np.sqrt(3), rel=2 * bound)
    _, field = RandomElastic(1.5, 3.0).moves(cx, n, (12, 7))
    for d in field:
        assert d.std(axis=0) == pytest.approx(np.full((12, 7), 1.5), rel=2 * bound)
        assert np.corrcoef(d[:, 3, 3], d[:, 3, 4])[0, 1] > 0.9  # smooth
    gone = RandomErase(0.5, (0.2, 0.6)).forward(cx, {}, np.ones((n, 10, 10, 1)))[0] == 0
    heights, widths = gone.any((2, 3)).sum(1), gone.any((1, 3)).sum(1)
    assert abs((heights > 0).mean() - 0.5) <= bound
    assert set(heights) == set(widths) == {0, 2, 3, 4, 5, 6}
    assert (gone.sum((1, 2, 3)) == heights * widths).all()
    assert gone.any(0).all()
    mirrored = RandomFlip(0.2).forward(cx, {}, np.tile([0.0, 1.0], (n, 2, 1))[..., None])[0][:, 0, 0, 0]
    assert abs(mirrored.mean() - 0.2) <= bound


def test_a_rotation_turns_counter_clockwise_and_a_shift_moves_by_its_share():
    """With the draw replaced by its largest value: directions, as one sees them."""

    class Largest(type(get_backend("numpy", None, "float64"))):
        def uniform(self, key, tick, shape):
            return np.ones(shape)

    be, x = Largest("cpu", "float64"), np.zeros((1, 5, 5, 1))
    x[0, 2, 4] = 1  # on the right
    cx = context(be)

    def place(layer):
        y = layer.forward(cx, {}, x)[0]
        return tuple(np.argwhere(y > 0.99)[0][1:3])

    assert place(RandomRotation(90.0)) == (0, 2)  # now at the top
    x[0, 2, 4], x[0, 1, 3] = 0, 1  # above on the right
    assert place(RandomZoom(0.999999)) == (0, 4)
    assert place(RandomShear(45.0)) == (1, 4)
    assert place(RandomShift(0.2)) == (2, 4)


def test_one_reading_blurs_less_than_two():
    """Two motions one after the other, and as one: alike on a smooth image, sharper on a noisy one."""
    parts = RandomRotation(25.0), RandomShift(0.1)
    be = get_backend("numpy", None, "float64")
    cx = context(be)
    v, u = np.meshgrid(np.linspace(-2, 2, 64), np.linspace(-2, 2, 64), indexing="ij")
    smooth = np.exp(-4 * (v**2 + (u - 0.3) ** 2))[None, :, :, None].repeat(3, 0)

    def both(x):
        first = parts[0].forward(cx.child(0), {}, x)[0]
        return parts[1].forward(cx.child(1), {}, first)[0], Warp(parts).forward(cx, ({}, {}), x)[0]

    twice, once = both(smooth)
    assert error(once, twice) < 5e-3
    twice, once = both(np.random.default_rng(0).standard_normal((3, 64, 64, 1)))
    assert once.std() > 1.1 * twice.std()


def test_a_trained_model_predicts_without_augmentation(tmp_path):
    """Trained, saved and loaded: the outputs are those of the network without its first layers."""
    x, y, _, _ = xpnn.data.mnist()
    x, y = x[:256], y[:256]
    head = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)]
    model = xpnn.Model([WARP, RandomErase(), *head], (28, 28, 1), seed=0)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "m.safetensors")
    bare = xpnn.Model(head, (28, 28, 1), seed=0)
    bare.load_parameters({k.replace("4.", "2."): v for k, v in model.parameters().items()})
    assert np.array_equal(xpnn.load(tmp_path / "m.safetensors").forward(x), bare.forward(x))


def test_what_cannot_be_is_refused():
    for made in (
        lambda: RandomShift(1.1),
        lambda: RandomShift(-0.1),
        lambda: RandomRotation(-1.0),
        lambda: RandomRotation(181.0),
        lambda: RandomZoom(1.0),
        lambda: RandomShear(90.0),
        lambda: RandomElastic(-1.0),
        lambda: RandomElastic(1.0, 0.5),
        lambda: RandomErase(1.1),
        lambda: RandomErase(0.5, (0.4, 0.1)),
        lambda: RandomErase(0.5, (0.1, 1.1)),
        lambda: RandomFlip(0.5, "sideways"),
        lambda: Warp((RandomFlip(),)),
        lambda: Mixup(0.0),
        lambda: CutMix(1.5),
    ):
        with pytest.raises(UsageError):
            made()
    for layer in (*LAYERS, WARP):
        with pytest.raises(ShapeError, match="images"):
            xpnn.Model([layer], (28, 28))


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    """The layers come first and are printed; another dataset has its own; points cannot be moved."""
    monkeypatch.chdir(tmp_path)
    options = ["--augment", "--epochs", "1", "--backend", "numpy", "--hidden", "8", "--out", "run", "--json"]
    assert run(["train", "strokes", *options]) == 0
    start = json.loads(capsys.readouterr().out.splitlines()[0])
    assert "RandomElastic" in start["settings"]["augmentation"][0]
    assert xpnn.load("run/best.safetensors").net.layers[0] == HANDWRITING[0]
    assert run(["train", "spiral", "--augment", "--backend", "numpy"]) == 2
    assert "spiral has samples of shape (2,)" in capsys.readouterr().err


def test_the_picture_in_the_documents_is_made_by_the_code(tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")
    spec = importlib.util.spec_from_file_location("augmentation", DOCS / "augmentation.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.draw(tmp_path / "a.png")
    plt.close("all")
    assert (tmp_path / "a.png").stat().st_size > 50_000
    shown = {type(part).__name__ for _, what in script.ROWS for part in (what, *getattr(what, "layers", ()))}
    assert {type(layer).__name__ for layer in LAYERS} | {"GaussianNoise", "Mixup", "CutMix"} <= shown


def test_augmented_recipes_train_longer():
    for model in MODELS:
        plain, augmented = recipe_for("mnist", model), recipe_for("mnist", model, augment=True)
        assert augmented.epochs > plain.epochs
        assert (plain.augmentation, augmented.augmentation) == ((), HANDWRITING)
    assert recipe_for("fashion", "mlp", augment=True).augmentation[0] == RandomFlip()


def test_the_augmented_cnn_of_digits_is_deeper():
    """Where the images have the size that it needs; of other sizes the plain one takes any."""
    deeper = (32, (64, 64))
    for dataset in RECIPES:
        settings = dict(recipe_for(dataset, "cnn", augment=True).network)
        assert settings.get("filters") == (deeper if dataset in ("mnist", "kmnist", "emnist") else None)
        assert recipe_for(dataset, "cnn").network == ()
    net = build("cnn", (28, 28, 1), 10, **dict(recipe_for("mnist", "cnn", augment=True).network))
    assert [layer.filters for layer in net if isinstance(layer, xpnn.Conv2D)] == [32, 64, 64]


# Mixtures


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
def test_shares_are_beta_distributed(alpha):
    n = 20_000
    s = shares(context(get_backend("numpy", None, "float64")), alpha, n)
    bound = SIGMAS / np.sqrt(n)
    assert s.min() >= 0
    assert s.max() <= 1
    assert abs(s.mean() - 0.5) <= bound
    assert s.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=bound)
    assert (s**2 * (1 - s) ** 2).mean() == pytest.approx(fourth(alpha), abs=bound)


def fourth(a):
    """E s^2 (1 - s)^2 = B(a + 2, a + 2) / B(a, a)."""
    return (a * (a + 1)) ** 2 / (2 * a * (2 * a + 1) * (2 * a + 2) * (2 * a + 3))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mixing", [Mixup(0.4), CutMix()], ids=str)
def test_a_step_on_mixtures_is_a_step_on_the_mixed_batch(name, mixing):
    """Samples, labels and weights: the same step, mixed by hand from the same draws."""
    x, y = image(6), np.array([0, 1, 2, 2, 1, 0])
    weight = np.array([1.0, 2.0, 0.5, 1.0, 0.0, 3.0])
    layers = [xpnn.Flatten(), xpnn.Dense(3)]

    def trained(augment, *batch):
        model = xpnn.Model(layers, (9, 8, 2), backend=name, dtype="float64", seed=11)
        be = model.backend
        loss = xpnn.Trainer(model, optimizer=xpnn.SGD(0.5), augment=augment).step(*map(be.asarray, batch))
        return float(be.to_numpy(loss)), be.to_numpy(model.parameters()["1.W"])

    be = get_backend("numpy", None, "float64")
    mixed, own = mixing(context(be, (11, -1), 0), x)

    def blend(a):
        s = own.reshape(-1, *[1] * (a.ndim - 1))
        return s * a + (1 - s) * np.roll(a, -1, 0)

    if isinstance(mixing, Mixup):
        assert error(mixed, blend(x)) < 1e-15
    else:
        taken = (mixed == np.roll(x, -1, 0)).all(-1)
        assert ((mixed == x).all(-1) | taken).all()
        assert np.allclose(own, 1 - taken.mean((1, 2)))
    labels = blend(weight[:, None] * np.eye(3)[y]) / blend(weight)[:, None]  # each by its sample's weight
    got, wanted = trained(mixing, x, y, weight), trained(None, mixed, labels, blend(weight))
    assert got[0] == pytest.approx(wanted[0], rel=1e-12)
    assert error(got[1], wanted[1]) < 1e-12
    assert error(trained(None, x, y, weight)[1], got[1]) > 1e-3


def test_mixtures_need_classes_and_numbers():
    model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(3)], (4, 4))
    for augment, loss, why in (
        (Mixup(), "mean_squared_error", "cannot be used with MeanSquaredError"),
        (RandomFlip(), "softmax_cross_entropy", "wanted Mixup or CutMix"),
    ):
        with pytest.raises(UsageError, match=why):
            xpnn.Trainer(model, loss, augment=augment)
    with pytest.raises(ShapeError, match="CutMix wants images"):
        xpnn.Trainer(model, augment=CutMix())
    words = xpnn.Model([xpnn.Embedding(5, 3), xpnn.Flatten(), xpnn.Dense(2)], (4,))
    with pytest.raises(UsageError, match="cannot mix ids"):
        xpnn.Trainer(words, augment=Mixup())


def test_fit_takes_mixtures_and_bytes():
    x, y, _, _ = xpnn.data.mnist()
    model = xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(10)], (28, 28, 1), seed=0)
    history = model.fit(x[:512], y[:512], augment=Mixup(0.2), epochs=4, verbose=0)
    assert history.rows[-1].train_loss < history.rows[0].train_loss
    assert model.evaluate(x[:512], y[:512])["accuracy"] > 0.5

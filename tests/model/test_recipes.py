"""Recipes and the models they describe."""

import dataclasses

import pytest

import xpnn
from xpnn.data import DATASETS
from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import glorot_uniform, he_normal, lecun_normal
from xpnn.models import ACTIVATIONS, MODELS, SQUASHING, build
from xpnn.recipes import OVERRIDES, RECIPES, TOGETHER, Recipe, recipe_for
from xpnn.schedules import SCHEDULES


def test_every_dataset_has_a_recipe_that_can_be_followed():
    assert RECIPES.keys() == DATASETS.keys()
    for recipe in RECIPES.values():
        assert recipe.activation in ACTIVATIONS
        assert recipe.schedule in SCHEDULES
        assert recipe.make_optimizer().lr == recipe.lr


def test_what_is_given_replaces_what_is_not_stays():
    recipe = Recipe().replace(epochs=3, dropout=0.0, batch_size=None)
    assert dataclasses.replace(Recipe(), epochs=3, dropout=0.0) == recipe


def test_another_optimizer_brings_its_own_rate_and_decay():
    recipe = Recipe(optimizer="adam", lr=0.5, weight_decay=0.25)
    assert recipe.replace(optimizer="adam").make_optimizer() == xpnn.Adam(0.5, weight_decay=0.25)
    assert recipe.replace(optimizer="sgd").make_optimizer() == xpnn.SGD()
    assert recipe.replace(optimizer="adamw").make_optimizer() == xpnn.AdamW()
    assert recipe.replace(optimizer="sgd", lr=2.0).make_optimizer() == xpnn.SGD(2.0)
    with pytest.raises(UsageError, match="unknown optimizer 'adem'"):
        recipe.replace(optimizer="adem").make_optimizer()


def test_mlp():
    he, flat = {"init": he_normal}, (xpnn.Flatten(), xpnn.Rescale(1 / 255))
    layers = build("mlp", (28, 28, 1), 10, hidden=(7, 5), activation="relu", dropout=0.25, pixels=True)
    one, two = (xpnn.Dense(7, **he), xpnn.ReLU(), xpnn.Dropout(0.25)), (xpnn.Dense(5, **he), xpnn.ReLU())
    assert layers == [*flat, *one, *two, xpnn.Dropout(0.25), xpnn.Dense(10)]


def test_points_need_no_flattening_and_no_hidden_layer_is_softmax_regression():
    assert build("mlp", (2,), 3, hidden=(), dropout=0.5) == [xpnn.Dense(3)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_each_activation_is_the_layer_of_its_name(name):
    dense, layer, _ = build("mlp", (2,), 3, hidden=(4,), activation=name)
    assert type(layer).__name__.lower() == name.replace("-", "")
    own = {"selu": lecun_normal} | dict.fromkeys(SQUASHING, glorot_uniform)
    assert dense.init == own.get(name, he_normal)


def test_cnn():
    layers = build("cnn", (28, 28, 1), 10, hidden=(7,), dropout=0.5, pixels=True)
    one, two = ((xpnn.Conv2D(n, 3, padding="same"), xpnn.ReLU(), xpnn.MaxPool2D()) for n in (32, 64))
    head = xpnn.Flatten(), xpnn.Dropout(0.25), xpnn.Dense(7), xpnn.ReLU(), xpnn.Dropout(0.5), xpnn.Dense(10)
    assert layers == [xpnn.Rescale(1 / 255), *one, *two, *head]
    assert xpnn.Sequential(tuple(layers)).plan((28, 28, 1))[1] == (10,)


def test_a_cnn_of_several_convolutions_between_its_maxima():
    layers = build(
        "cnn", (28, 28, 1), 10, filters=(32, (64, 48)), kernel=5, padding="valid", hidden=(), dropout=0
    )
    first, *more = xpnn.Conv2D(32, 5), xpnn.Conv2D(64, 3), xpnn.Conv2D(48, 3)
    body = [first, xpnn.ReLU(), xpnn.MaxPool2D(), *(one for conv in more for one in (conv, xpnn.ReLU()))]
    assert layers == [*body, xpnn.MaxPool2D(), xpnn.Flatten(), xpnn.Dense(10)]
    assert xpnn.Sequential(tuple(layers)).children((28, 28, 1))[-1].shape == (4 * 4 * 48,)


def test_lenet_has_the_shapes_of_lenet_5():
    layers = build("lenet", (28, 28, 1), 10, input_dropout=0.1)
    assert layers[0] == xpnn.Dropout(0.1)
    specs, out = xpnn.Sequential(tuple(layers)).plan((28, 28, 1))
    shapes = [spec["W"].shape for spec in specs if spec]
    assert (shapes, out) == ([(5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10)], (10,))


def test_resnet_halves_the_image_and_adds_its_skips():
    layers = build("resnet", (28, 28, 1), 10, filters=(4, 4, 6), dropout=0.1, pixels=True)
    kinds = [type(layer).__name__ for layer in layers]
    head = ["Rescale", "Conv2D", "BatchNorm", "ReLU", "MaxPool2D"]
    blocks = ["Residual", "ReLU", "Parallel", "ReLU", "Parallel", "ReLU"]
    assert kinds == [*head, *blocks, "GlobalAveragePool", "Dropout", "Dense"]
    shapes = [child.shape for child in xpnn.Sequential(tuple(layers)).children((28, 28, 1))]
    assert shapes[5:12:2] == [(14, 14, 4), (14, 14, 4), (7, 7, 4), (4, 4, 6)]


def test_rnn_reads_rows():
    layers = build("rnn", (28, 20, 3), 10, hidden=(7, 5), dropout=0.1)
    dense = [xpnn.Dense(5), xpnn.ReLU(), xpnn.Dropout(0.1), xpnn.Dense(10)]
    assert layers == [xpnn.Reshape((28, 60)), xpnn.LSTM(7), xpnn.Dropout(0.1), *dense]


def test_transformer_reads_patches():
    layers = build("transformer", (28, 28, 1), 10, hidden=(8,), dropout=0.1, pixels=True)
    shapes = [child.shape for child in xpnn.Sequential(tuple(layers)).children((28, 28, 1))]
    assert shapes == [(28, 28, 1)] * 2 + [(7, 7, 8)] + [(49, 8)] * 7 + [(8,)]
    inner = layers[5].layer.layers
    assert (inner[1].units, inner[3].units, inner[4]) == (16, 8, xpnn.Dropout(0.1))


@pytest.mark.parametrize("name", ["cnn", "lenet", "resnet", "transformer"])
def test_a_network_of_images_says_so_of_other_samples(name):
    with pytest.raises(ShapeError, match=r"layer 0 Conv2D.* wants images"):
        xpnn.Model(build(name, (2,), 3), (2,))


@pytest.mark.parametrize("dataset", RECIPES)
def test_a_model_changes_the_recipe_of_a_dataset(dataset):
    assert recipe_for(dataset, "mlp") == RECIPES[dataset]
    assert recipe_for(dataset, "cnn").hidden == (256,)
    assert OVERRIDES.keys() <= MODELS.keys()
    for model, settings in OVERRIDES.items():
        recipe = recipe_for(dataset, model)
        settings = settings | TOGETHER.get((dataset, model), {})
        assert dataclasses.replace(RECIPES[dataset], **settings) == recipe
        assert recipe.activation in ACTIVATIONS
        assert recipe.make_optimizer().lr == recipe.lr


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'mlp'"):
        build("mpl", (2,), 3)
    with pytest.raises(UsageError, match="did you mean 'relu'"):
        build("mlp", (2,), 3, activation="rellu")
    assert list(MODELS) == ["mlp", "lenet", "cnn", "resnet", "rnn", "transformer"]

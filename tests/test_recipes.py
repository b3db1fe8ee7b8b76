"""Recipes and the models they describe."""

import dataclasses

import pytest

import xpnn
from xpnn.data import DATASETS
from xpnn.errors import UsageError
from xpnn.initializers import glorot_uniform, he_normal, lecun_normal
from xpnn.models import ACTIVATIONS, MODELS, SQUASHING, build
from xpnn.recipes import RECIPES, Recipe
from xpnn.schedules import SCHEDULES


def test_every_dataset_has_a_recipe_that_can_be_followed():
    assert RECIPES.keys() == DATASETS.keys()
    for recipe in RECIPES.values():
        assert recipe.activation in ACTIVATIONS
        assert recipe.schedule in SCHEDULES
        assert recipe.make_optimizer().lr == recipe.lr


def test_what_is_given_replaces_what_is_not_stays():
    recipe = Recipe().but(epochs=3, dropout=0.0, batch_size=None)
    assert dataclasses.replace(Recipe(), epochs=3, dropout=0.0) == recipe


def test_another_optimizer_brings_its_own_rate_and_decay():
    recipe = Recipe(optimizer="adam", lr=0.5, weight_decay=0.25)
    assert recipe.but(optimizer="adam").make_optimizer() == xpnn.Adam(0.5, weight_decay=0.25)
    assert recipe.but(optimizer="sgd").make_optimizer() == xpnn.SGD()
    assert recipe.but(optimizer="adamw").make_optimizer() == xpnn.AdamW()
    assert recipe.but(optimizer="sgd", lr=2.0).make_optimizer() == xpnn.SGD(2.0)
    with pytest.raises(UsageError, match="unknown optimizer 'adem'"):
        recipe.but(optimizer="adem").make_optimizer()


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


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'mlp'"):
        build("mpl", (2,), 3)
    with pytest.raises(UsageError, match="did you mean 'relu'"):
        build("mlp", (2,), 3, activation="rellu")
    assert list(MODELS) == ["mlp"]

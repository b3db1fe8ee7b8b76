"""What a newcomer types by the names of other libraries: the error says what it is called here."""

import copy
import pickle

import numpy as np
import pytest

import xpnn
from xpnn.cli.plot import PICTURES
from xpnn.errors import ArgumentError, DataError, UsageError
from xpnn.name_hints import ARGUMENTS, HISTORY, MODEL, NAMES, PLOTS

X, Y = np.zeros((8, 3)), np.arange(8) % 2


@pytest.fixture
def model():
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)


def test_a_name_of_another_library_is_answered_with_that_of_this_one(model):
    history = model.fit(X, Y, epochs=1, verbose=0)
    for thing, known in ((xpnn, NAMES), (model, MODEL), (history, HISTORY)):
        for name, advice in known.items():
            with pytest.raises(AttributeError) as caught:
                getattr(thing, name)
            assert f"has no attribute {name!r}; here: {advice}" in str(caught.value)
    with pytest.raises(AttributeError, match=r"Model has no attribute 'fitt'$"):
        model.fitt  # noqa: B018
    assert not hasattr(model, "fitt")


def test_the_pictures_of_the_command_line_lead_to_their_functions():
    assert PLOTS.keys() == set(PICTURES)
    for name, function in PLOTS.items():
        assert callable(getattr(xpnn.plots, function))
        with pytest.raises(AttributeError, match=f"here: {function}"):
            getattr(xpnn.plots, name)
    assert dir(xpnn.plots) == sorted(xpnn.plots.__all__)


def test_errors_of_attributes_leave_copies_and_pickles_as_they_were(model):
    history = model.fit(X, Y, epochs=1, verbose=0)
    for again in (copy.deepcopy(history), pickle.loads(pickle.dumps(history))):
        assert again.rows == history.rows
    assert pickle.loads(pickle.dumps(model)).predict(X).shape == (8,)


@pytest.mark.parametrize(
    ("call", "what", "fix"),
    [
        (lambda m: m.fit(X, Y, epoch=3), "fit has no argument 'epoch'", "did you mean 'epochs'?"),
        (lambda m: m.fit(X, Y, batchsize=3), "fit has no argument 'batchsize'", "did you mean 'batch_size'?"),
        (lambda m: m.fit(X, Y, validation_split=0.1), "'validation_split'", "validation=0.1"),
        (lambda m: m.fit(X, Y, learning_rate=0.1), "'learning_rate'", r"optimizer=xpnn.Adam\(1e-3\)"),
        (
            lambda m: m.evaluate(X, Y, metric=[]),
            "evaluate has no argument 'metric'",
            "did you mean 'metrics'?",
        ),
        (lambda _: xpnn.Adam(learning_rate=1), "Adam has no argument 'learning_rate'", "lr="),
        (
            lambda _: xpnn.Dense(3, activation="relu"),
            "Dense has no argument 'activation'",
            "a layer of its own",
        ),
        (lambda _: xpnn.Conv2D(3, kernel_size=3), "Conv2D has no argument 'kernel_size'", "'kernel'"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_right_one(model, call, what, fix):
    with pytest.raises(ArgumentError, match=what) as caught:
        call(model)
    assert caught.match(f"fix: .*{fix}")
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, UsageError)


def test_arguments_with_advice_are_none_of_ours():
    assert not ARGUMENTS["fit"].keys() & set(xpnn.name_hints.arguments_of(xpnn.Model.fit))
    with pytest.raises(UsageError, match=r"optimizer=Adam is a class\n  fix: Adam\(\)"):
        xpnn.Trainer(xpnn.Model([xpnn.Dense(2)], (3,), seed=0), optimizer=xpnn.Adam)


def test_a_fit_that_did_not_begin_leaves_the_loss_as_it_was(model):
    with pytest.raises(DataError):
        model.fit(X, Y, loss="mse", epochs=1, verbose=0)
    assert model.loss == xpnn.losses.SoftmaxCrossEntropy()
    assert "accuracy" in model.evaluate(X, Y)
    model.fit(X, np.zeros((8, 2)), loss="mse", epochs=1, verbose=0)
    assert model.loss == xpnn.losses.MeanSquaredError()

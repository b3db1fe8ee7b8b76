"""What a model remembers of its data is saved with it, and read back with suspicion."""

import numpy as np
import pytest
from crafted_files import NASTY, changed, forge, paths, read

import xpnn
from xpnn.data import ImagePreparation, TablePreparation
from xpnn.data.preparation import Preparation
from xpnn.data.tables.columns import CategoryColumn, Column, DateColumn, NumberColumn
from xpnn.data.tables.preparation import LeftOut
from xpnn.data.tables.table import as_values
from xpnn.errors import CheckpointError, ShapeError, UsageError

COLUMNS = (
    NumberColumn("age", 28.5, 14.25, 28.0, indicator=True),
    CategoryColumn("sex", ("female", "male")),
    DateColumn("born", ("year", "month"), (1999.5, 6.5), (3.0, 2.0)),
)
TABLE = TablePreparation("survived", "classification", ("no", "yes"), COLUMNS, (LeftOut("id", "0 to N - 1"),))
IMAGES = ImagePreparation(2, 2, 1, ("cat", "dog", "eel"), crop="none", polarity="light on dark")


def of_table():
    return xpnn.Model([xpnn.Dense(3), xpnn.ReLU(), xpnn.Dense(2)], (6,), seed=1, preparation=TABLE)


def of_images():
    return xpnn.Model([xpnn.Flatten(), xpnn.Dense(3)], (2, 2, 1), seed=1, preparation=IMAGES)


@pytest.mark.parametrize("make", [of_table, of_images])
def test_it_comes_back_with_the_model(make, tmp_path):
    model = make()
    model.save(tmp_path / "m.safetensors")
    again = xpnn.load(tmp_path / "m.safetensors")
    assert again.preparation == model.preparation
    assert again.preparation.class_names == model.preparation.class_names


def test_a_file_without_one_opens(tmp_path):
    xpnn.Model([xpnn.Dense(2)], (6,), seed=1).save(tmp_path / "m.safetensors")
    about, tensors = read(tmp_path / "m.safetensors")
    assert "preparation" not in about
    (tmp_path / "n").write_bytes(forge(about, tensors))
    assert xpnn.load(tmp_path / "n").preparation is None


@pytest.mark.parametrize("make", [of_table, of_images])
def test_a_hostile_one_is_refused(make, tmp_path):
    """Every entry in turn replaced by what does not belong there: opened with the same shapes, or refused."""
    make().save(tmp_path / "m.safetensors")
    about, tensors = read(tmp_path / "m.safetensors")
    found = []
    for place in [(), *paths(about["preparation"])]:
        for value in NASTY:
            (tmp_path / "n").write_bytes(forge(changed(about, ("preparation", *place), value), tensors))
            found.append(opened(tmp_path / "n"))
    errors = [one for one in found if isinstance(one, CheckpointError)]
    assert len(errors) > 200
    assert all(len(str(error)) < 3000 for error in errors)
    assert all(one.preparation.class_names for one in found if one not in errors)


def opened(path):
    """The model, or the CheckpointError; anything else is a failure."""
    try:
        return xpnn.load(path)
    except CheckpointError as error:
        return error


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("classes", ["no", "no"]),
        ("classes", ["no", "yes", "perhaps"]),
        ("task", "regression"),
        ("columns", []),
        ("label_std", 0),
    ],
)
def test_what_does_not_belong_together_is_refused(entry, value, tmp_path):
    of_table().save(tmp_path / "m.safetensors")
    about, tensors = read(tmp_path / "m.safetensors")
    (tmp_path / "n").write_bytes(forge(changed(about, ("preparation", entry), value), tensors))
    with pytest.raises(CheckpointError):
        xpnn.load(tmp_path / "n")


def test_a_preparation_of_other_samples_is_refused():
    with pytest.raises(UsageError, match="wants 2 outputs"):
        xpnn.Model([xpnn.Dense(3)], (6,), preparation=TABLE)


def test_the_loss_belongs_to_the_model(tmp_path):
    """Weights put into a fresh model answer as they did in the one that was trained."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    y = (x[:, 0] > 0).astype(int)
    trained = xpnn.Model([xpnn.Dense(1)], (3,), seed=0, loss="binary_cross_entropy")
    trained.fit(x, y, epochs=20, batch_size=20, optimizer=xpnn.Adam(0.1), verbose=0)
    fresh = xpnn.Model([xpnn.Dense(1)], (3,), seed=0, loss="binary_cross_entropy")
    fresh.load_parameters(trained.parameters())
    answers = fresh.predict(x)
    assert answers.shape == y.shape
    assert (answers == y).mean() == fresh.evaluate(x, y)["accuracy"] > 0.9
    trained.save(tmp_path / "m")
    again = xpnn.load(tmp_path / "m")
    again.fit(x, y, epochs=1, verbose=0)
    assert again.loss == trained.loss


def test_one_output_without_a_loss_is_no_class():
    model = xpnn.Model([xpnn.Dense(1)], (3,), seed=0)
    for ask in (model.predict, model.predict_proba):
        with pytest.raises(UsageError, match="one output"):
            ask(np.zeros((2, 3)))


def test_a_loss_that_does_not_fit_is_refused_at_once():
    with pytest.raises(UsageError, match="Softmax"):
        xpnn.Model([xpnn.Dense(2), xpnn.Softmax()], (3,), loss="softmax_cross_entropy")


def test_a_regression_predicts_a_vector_and_takes_a_column():
    x = np.random.default_rng(0).normal(size=(50, 3))
    y = x @ [1.0, -2.0, 0.5]
    for given in (y, y[:, None]):
        model = xpnn.Model([xpnn.Dense(1)], (3,), seed=0, loss="mse")
        model.fit(x, given, epochs=60, batch_size=50, optimizer=xpnn.Adam(0.1), verbose=0)
        assert model.predict(x).shape == (50,)
        assert abs(((model.predict(x) - y) ** 2).mean() - model.evaluate(x, given)["loss"]) < 1e-5


def test_labels_in_a_column_are_ids():
    x = np.random.default_rng(0).normal(size=(40, 2))
    y = (x[:, :1] > 0).astype(int)
    one, two = (xpnn.Model([xpnn.Dense(2)], (2,), seed=0) for _ in range(2))
    one.fit(x, y, epochs=2, verbose=0)
    two.fit(x, y[:, 0], epochs=2, verbose=0)
    assert one.evaluate(x, y) == two.evaluate(x, y[:, 0])
    assert np.array_equal(one.predict(x), two.predict(x))
    with pytest.raises(ShapeError):
        one.fit(x, np.ones((40, 3)), epochs=1, verbose=0)


def test_what_every_kind_of_data_says_for_itself():
    """The classes that others are made from know none of it."""
    column, entries = Column("a"), as_values("a", [1, 2])
    for ask in (
        lambda: Preparation().class_names, lambda: Preparation().check_model((1,), (2,)), lambda: column.features(),
        lambda: column.encode(entries),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError):
            ask()
    assert column.embedding == 0
    assert Preparation().inputs(entries) is entries

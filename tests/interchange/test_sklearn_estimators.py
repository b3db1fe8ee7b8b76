"""`xpnn.sklearn`: scikit-learn's own checks, and what people do with estimators."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.ensemble import BaggingRegressor  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import MinMaxScaler  # noqa: E402
from sklearn.utils.estimator_checks import estimator_checks_generator  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import UsageError  # noqa: E402
from xpnn.sklearn import Classifier, Regressor  # noqa: E402

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)
X = RNG.standard_normal((150, 3))
WORDS = np.array(["cat", "dog", "mouse"])[np.argmax(X + 0.1 * RNG.standard_normal(X.shape), axis=1)]
Y = X @ [1.0, -2.0, 0.5] * 300 + 1000
QUICK = {"hidden": (16,), "learning_rate": 0.02, "epochs": 60, "random_state": 0}
CHECKS = [
    pytest.param(estimator, check, id=f"{type(estimator).__name__}-{backend}-{check.func.__name__}-{i}")
    for backend, more in (("numpy", {}), ("torch", {"epochs": 50}))
    for kind in (Classifier, Regressor)
    for i, (estimator, check) in enumerate(estimator_checks_generator(kind(backend=backend, **more)))
]


@pytest.mark.slow
@pytest.mark.parametrize(("estimator", "check"), CHECKS)
def test_scikit_learns_own_checks(estimator, check):
    """With the settings that people get; on PyTorch with a quarter of the epochs: each of its steps takes longer."""
    if estimator.backend == "torch":
        pytest.importorskip("torch")
    if check.func.__name__ != "check_array_api_input":  # see below
        check(estimator)


ARRAY_API = """
from sklearn.utils.estimator_checks import estimator_checks_generator
from xpnn.sklearn import Classifier, Regressor
for backend in ("numpy", "torch"):
    for kind in (Classifier, Regressor):
        checks = estimator_checks_generator(kind(backend=backend))
        found = [(e, c) for e, c in checks if c.func.__name__ == "check_array_api_input"]
        for estimator, check in found:
            check(estimator)
        print(kind.__name__, backend, len(found))
"""


def test_the_check_that_needs_an_environment_of_its_own():
    """SciPy reads SCIPY_ARRAY_API when it is imported."""
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", ARRAY_API], env=os.environ | {"SCIPY_ARRAY_API": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:4] == [
        "Classifier numpy 1", "Regressor numpy 1", "Classifier torch 1", "Regressor torch 1"
    ]  # fmt: skip


def test_words_in_and_words_out():
    found = Classifier(**QUICK).fit(X, WORDS)
    assert found.classes_.tolist() == ["cat", "dog", "mouse"]
    assert found.score(X, WORDS) > 0.9
    shares = found.predict_proba(X)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (found.classes_[shares.argmax(axis=1)] == found.predict(X)).all()


def test_tables_with_named_columns():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c"])
    labels = pandas.Series(WORDS, dtype="category")
    found = Classifier(**QUICK).fit(table, labels)
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]
    assert found.score(table, labels) > 0.9
    with pytest.raises(ValueError, match="feature names"):
        found.predict(table[["c", "b", "a"]])


def labels_of(pandas, kind):
    """WORDS as a column of pandas, and the classes in order."""
    ids = np.unique(WORDS, return_inverse=True)[1]
    columns = {
        "strings": (pandas.Series(WORDS, name="animal"), ["cat", "dog", "mouse"]),
        "categories": (
            pandas.Series(pandas.Categorical(WORDS, ["mouse", "cat", "dog"])),
            ["cat", "dog", "mouse"],
        ),
        "numbers": (pandas.Series(ids * 10), [0, 10, 20]),
        "nullable numbers": (pandas.Series(ids * 10, dtype="Int64"), [0, 10, 20]),
        "truth": (pandas.Series(WORDS == "cat"), [False, True]),
        "a table of one column": (pandas.DataFrame({"animal": WORDS}), ["cat", "dog", "mouse"]),
    }
    return columns[kind]


@pytest.mark.parametrize(
    "kind", ["strings", "categories", "numbers", "nullable numbers", "truth", "a table of one column"]
)
@pytest.mark.filterwarnings("ignore:A column-vector y")
def test_labels_of_pandas(kind):
    """What comes out are the labels that went in, in their own type."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c"], index=np.arange(len(X)) + 1000)
    labels, classes = labels_of(pandas, kind)
    found = Classifier(**QUICK).fit(table, labels)
    assert found.classes_.tolist() == classes
    answers = found.predict(table)
    assert set(answers.tolist()) <= set(classes)
    assert (answers == np.asarray(labels).ravel()).mean() > 0.9
    assert found.predict_proba(table).shape == (len(X), len(classes))


def test_numbers_of_pandas_and_polars():
    """One target or a table of them; a table of polars has named columns too."""
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    table = pandas.DataFrame(X, columns=["a", "b", "c"])
    targets = pandas.DataFrame({"y": Y, "z": -Y})
    assert Regressor(**QUICK).fit(table, targets).predict(table).shape == (len(X), 2)
    assert Regressor(**QUICK).fit(table, targets["y"]).predict(table).shape == (len(X),)
    found = Regressor(**QUICK).fit(polars.DataFrame(X, schema=["a", "b", "c"]), Y)
    assert found.feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(
        found.predict(table), found.predict(polars.DataFrame(X, schema=["a", "b", "c"]))
    )


def test_a_pipeline_that_hands_on_tables():
    """set_output is of transformers: behind one that gives tables the network sees its columns' names."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c"])
    pipe = make_pipeline(MinMaxScaler(), Classifier(**QUICK)).set_output(transform="pandas").fit(table, WORDS)
    assert pipe[-1].feature_names_in_.tolist() == ["a", "b", "c"]
    assert pipe.score(table, WORDS) > 0.9


@pytest.mark.parametrize("targets", [1, 2])
def test_numbers_of_any_size(targets):
    y = Y if targets == 1 else np.stack([Y, -Y / 1e6], axis=1)
    found = Regressor(**QUICK).fit(X, y)
    assert found.predict(X).shape == y.shape
    assert found.score(X, y) > 0.95


def test_what_a_fitted_estimator_knows():
    found = Classifier(**QUICK | {"hidden": (7, 5)}).fit(X, WORDS)
    assert found.n_features_in_ == 3
    assert found.n_iter_ == len(found.loss_curve_)
    assert found.loss_curve_[-1] < found.loss_curve_[0]
    assert [w.shape for w in found.coefs_] == [(3, 7), (7, 5), (5, 3)]
    assert [b.shape for b in found.intercepts_] == [(7,), (5,), (3,)]
    assert isinstance(found.model_, xpnn.Model)


def test_an_estimator_that_is_not_fitted_says_so():
    for ask in ("predict", "predict_proba"):
        with pytest.raises(NotFittedError):
            getattr(Classifier(), ask)(X)


def test_a_list_of_layers():
    layers = [xpnn.Reshape((3, 1)), xpnn.Conv1D(4, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.Flatten()]
    assert Classifier(**QUICK | {"hidden": layers}).fit(X, WORDS).score(X, WORDS) > 0.9
    with pytest.raises(UsageError, match="wanted widths"):
        Classifier(hidden=("big",)).fit(X, WORDS)


def test_equal_seeds_give_equal_networks():
    a, b, c = (Regressor(**QUICK | {"random_state": seed}).fit(X, Y) for seed in (1, 1, 2))
    assert (a.predict(X) == b.predict(X)).all()
    assert not (a.predict(X) == c.predict(X)).any()


def test_partial_fit_goes_on_where_it_was():
    """The optimizer's state too, and after pickling: as many calls give the same weights."""
    parts = [(X[i::3], WORDS[i::3]) for i in range(3)]
    one, two = Classifier(**QUICK), Classifier(**QUICK)
    for part in parts:
        one.partial_fit(*part, classes=["cat", "dog", "mouse"])
        two = pickle.loads(pickle.dumps(two)).partial_fit(*part, classes=["cat", "dog", "mouse"])
    assert one.n_iter_ == two.n_iter_ == 3
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    with pytest.raises(ValueError, match="needs classes"):
        Classifier().partial_fit(X, WORDS)
    with pytest.raises(ValueError, match="'horse', which is not in classes"):
        one.partial_fit(X[:2], ["cat", "horse"])


def test_warm_start_goes_on():
    warm = Regressor(**QUICK | {"epochs": 5, "warm_start": True}).fit(X, Y)
    before = warm.score(X, Y)
    assert warm.fit(X, Y).score(X, Y) > before
    assert warm.n_iter_ == 10
    cold = Regressor(**QUICK | {"epochs": 5}).fit(X, Y)
    assert cold.fit(X, Y).n_iter_ == 5


def test_early_stopping_keeps_the_best_epoch():
    noise = RNG.standard_normal(len(X))
    found = Regressor(**QUICK | {"epochs": 500, "early_stopping": True}).fit(X, noise)
    assert found.n_iter_ < 500
    assert len(found.validation_curve_) == found.n_iter_
    stopped_early = Regressor(**QUICK | {"epochs": 500, "early_stopping": True}).fit(
        X, noise, eval_set=(X[:9], noise[:9])
    )
    best = np.mean((stopped_early.predict(X[:9]) - noise[:9]) ** 2)
    assert best == pytest.approx(min(stopped_early.validation_curve_))


def test_weights_are_copies():
    """A weight of 2 is the sample twice, 0 leaves it out; class weights do the same."""
    y, weight = WORDS[:40], np.arange(40) % 3
    twice = np.repeat(np.arange(40), weight)
    a = Classifier(**QUICK).fit(X[:40], y, sample_weight=weight)
    b = Classifier(**QUICK).fit(X[twice], y[twice])
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-6)
    heavy = Classifier(**QUICK, class_weight={"cat": 1e3, "dog": 1e-3, "mouse": 1e-3}).fit(0 * X, WORDS)
    assert set(heavy.predict(0 * X)) == {"cat"}


def test_clone_search_pipe_calibrate_and_bag():
    assert clone(Classifier(hidden=(3,), backend="strict")).get_params()["hidden"] == (3,)
    small = Classifier(**QUICK | {"epochs": 20})
    search = GridSearchCV(
        make_pipeline(MinMaxScaler(), small), {"classifier__hidden": [(2,), (16,)]}, n_jobs=2, cv=3
    )
    assert search.fit(X, WORDS).best_score_ > 0.6
    calibrated = CalibratedClassifierCV(small, cv=2).fit(X, WORDS)
    assert calibrated.predict_proba(X).shape == (150, 3)
    bag = BaggingRegressor(Regressor(**QUICK), n_estimators=2, random_state=0).fit(X, Y)
    assert bag.score(X, Y) > 0.9
    assert cross_val_score(small, X, WORDS, cv=2).min() > 0.5


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_joblib_and_pickle_keep_it(tmp_path, backend):
    joblib = pytest.importorskip("joblib")
    if backend == "torch":
        pytest.importorskip("torch")
    found = Regressor(**QUICK | {"epochs": 3}, backend=backend).fit(X, Y)
    joblib.dump(found, tmp_path / "r.joblib")
    for again in (joblib.load(tmp_path / "r.joblib"), pickle.loads(pickle.dumps(found))):
        np.testing.assert_array_equal(again.predict(X), found.predict(X))
        assert again.loss_curve_ == found.loss_curve_


def test_float32_stays_float32():
    assert (
        Regressor(**QUICK | {"epochs": 1}).fit(X.astype(np.float32), Y).model_.backend.dtype_name == "float32"
    )
    assert (
        Regressor(**QUICK | {"epochs": 1}, dtype="float32").fit(X, Y).model_.backend.dtype_name == "float32"
    )

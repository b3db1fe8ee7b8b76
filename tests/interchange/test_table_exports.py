"""Models of tables in files for other programs: numbers go in, and come out, in the units of the table."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pandas = pytest.importorskip("pandas")

from onnx_runs import difference, session  # noqa: E402
from test_standalone import imported  # noqa: E402

import xpnn  # noqa: E402
from xpnn.data.tables.columns import CategoryColumn, DateColumn, NumberColumn  # noqa: E402
from xpnn.data.tables.feature_scale import meanings, unscaled  # noqa: E402
from xpnn.data.tables.preparation import TablePreparation  # noqa: E402
from xpnn.interchange import load_onnx, save_c, save_html, save_onnx, save_python, table_scale  # noqa: E402

pytestmark = pytest.mark.oracle
TOLERANCE = 5e-6
"""Ages in float32, less their mean, have lost two more bits than what is scaled in float64."""
RNG = np.random.default_rng(0)
ROWS = pandas.DataFrame({
    "age": [float(n) for n in RNG.integers(1, 90, 60)],
    "town": RNG.choice(["Bonn", "Kiel", "Ulm"], 60),
    "sold": pandas.to_datetime("2024-03-01") + pandas.to_timedelta(RNG.integers(0, 300, 60), "D"),
    "income": np.where(RNG.random(60) < 0.2, np.nan, RNG.integers(10, 90, 60) * 1000.0),
})  # fmt: skip
LABELS = {"old": np.where(ROWS["age"] > 40, "yes", "no"), "price": 3000.0 * ROWS["age"] + 50_000}


def trained(label):
    """A model of the table, and its rows without the label."""
    table = ROWS.assign(**{label: LABELS[label]})
    _, _, preparation = xpnn.data.prepare_table(table, label=label)
    loss = "softmax_cross_entropy" if preparation.classes else "mean_squared_error"
    layers = [xpnn.Dense(6), xpnn.Tanh(), xpnn.Dense(preparation.outputs)]
    return xpnn.Model(layers, preparation.input_shape, seed=0, loss=loss, preparation=preparation)


def wanted(model, rows):
    """Probabilities, or numbers in the units of the label."""
    p = model.preparation
    if p.classes:
        return model.predict_proba(rows)
    return (p.label_mean + p.label_std * model.forward(p.inputs(rows)).astype(np.float64)).astype(np.float32)


def plain(model, rows):
    """What the file takes."""
    return unscaled(model.preparation).inputs(rows)


@pytest.mark.parametrize("label", LABELS)
def test_numbers_go_in_as_they_are(label, tmp_path):
    model = trained(label)
    save_onnx(model, tmp_path / "m.onnx")
    save_python(model, tmp_path / "m.py")
    x, y = plain(model, ROWS), wanted(model, ROWS)
    assert x[:, 0].tolist() == ROWS["age"].tolist()
    assert difference(session((tmp_path / "m.onnx").read_bytes()).run(None, {"x": x})[0], y) <= TOLERANCE
    assert difference(imported(tmp_path / "m.py").predict(x), y) <= TOLERANCE
    save_onnx(model, tmp_path / "bare.onnx", preprocessing=False, probabilities=False)
    bare = session((tmp_path / "bare.onnx").read_bytes()).run(None, {"x": model.preparation.inputs(ROWS)})[0]
    assert difference(bare, model.forward(model.preparation.inputs(ROWS))) <= TOLERANCE


@pytest.mark.parametrize("label", LABELS)
def test_rows_are_answered_by_what_is_read_back(label, tmp_path):
    """Missing numbers and dates among them: nothing is scaled twice."""
    model = trained(label)
    save_onnx(model, tmp_path / "m.onnx", probabilities=False)
    again, rows = load_onnx(tmp_path / "m.onnx"), ROWS.copy()
    rows.loc[3, "sold"] = pandas.NaT
    want = model.forward(model.preparation.inputs(rows))
    if label == "price":
        want = wanted(model, rows)
    assert difference(again.forward(again.preparation.inputs(rows)), want) <= TOLERANCE


def test_a_scale_left_out_is_noticed(tmp_path, monkeypatch):
    model = trained("price")
    monkeypatch.setattr(table_scale.TableScale, "left", lambda self, g, y: y)
    save_python(model, tmp_path / "m.py")
    assert difference(imported(tmp_path / "m.py").predict(plain(model, ROWS)), wanted(model, ROWS)) > 0.5


def test_every_file_says_what_goes_in(tmp_path):
    model = trained("old")
    save_onnx(model, tmp_path / "m.onnx")
    save_python(model, tmp_path / "m.py")
    save_c(model, tmp_path / "m.h")
    save_html(model, tmp_path / "m.html")
    (words,) = meanings(model.preparation, scaled=False)
    assert words.startswith("age, town=Bonn, town=Kiel, town=Ulm, (sold month - ")
    found = {one.key: one.value for one in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert json.loads(found["inputs"]) == [words]
    for name in ("m.py", "m.h"):
        assert f"x holds {words}." in (tmp_path / name).read_text()
    assert "x holds age, town=Bonn" in (tmp_path / "m.html").read_text()


def test_words_for_every_kind_of_column():
    columns = (
        NumberColumn("age", 40.5, 12.0, 40.0, indicator=True),
        CategoryColumn("town", ("Ulm",), indicator=True),
        DateColumn("sold", ("month",), (6.5,), (3.0,), indicator=True),
        CategoryColumn("street", ("A", "B"), width=2),
    )
    p = TablePreparation("y", "classification", ("a", "b"), columns)
    date = "(sold month - 6.5) over 3, sold missing"
    streets = "street: 0 any other, 1 A, 2 B"
    assert meanings(p, scaled=False) == [f"age, age missing, town=Ulm, town missing, {date}", streets]
    scaled = "(age - 40.5) over 12, age missing"
    assert meanings(p, scaled=True) == [f"{scaled}, town=Ulm, town missing, {date}", streets]


def test_a_name_of_a_column_ends_no_comment(tmp_path):
    p = TablePreparation("y", "classification", ("a", "b"), (NumberColumn('*/ """ \\', 0.0, 1.0, 0.0),))
    model = xpnn.Model([xpnn.Dense(2)], (1,), seed=0, loss="softmax_cross_entropy", preparation=p)
    save_c(model, tmp_path / "m.h")
    save_python(model, tmp_path / "m.py")
    assert "x holds ?? ??? ?." in (tmp_path / "m.h").read_text()
    assert imported(tmp_path / "m.py").predict(np.zeros((2, 1), np.float32)).shape == (2, 2)

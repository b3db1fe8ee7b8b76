"""What `predict` and `plot` decide and lay out: kinds of files, several of them, parts, pictures in characters."""

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from PIL import Image

import xpnn
from xpnn.cli import plot, predict, predict_pictures, predict_rows, predict_show
from xpnn.cli.predict_rows import Answers
from xpnn.cli.state import State
from xpnn.data import ImagePreparation, TablePreparation
from xpnn.errors import DataError, FileError, UsageError
from xpnn.layers import Dense, Flatten

pytestmark = pytest.mark.usefixtures("workplace")


# Which run, which kind of file


def test_a_run_may_be_named_first():
    Path("run").mkdir()
    Path("run/best.safetensors").touch()
    Path("empty").mkdir()
    run, model, table, empty = map(Path, ("run", "m.safetensors", "t.csv", "empty"))
    assert predict.named_first(None, (run, table)) == (run, (table,))
    assert predict.named_first(None, (model, table, run)) == (model, (table, run))
    assert predict.named_first(None, (table, run)) == (None, (table, run))
    assert predict.named_first(None, (empty,)) == (None, (empty,))
    assert predict.named_first(run, (model,)) == (run, (model,))
    for first in (run, model):
        with pytest.raises(UsageError, match=f"{first} is a model, and no file for it is named"):
            predict.named_first(None, (first,))


TABLE, PICTURES, SPIRAL = (
    {"dataset": "table"},
    {"input_shape": [8, 8, 1]},
    {"dataset": "spiral", "input_shape": [2]},
)


@pytest.mark.parametrize(("file", "table", "pictures", "words"), [
    ("a.npy", True, True, ""), ("a.npz", True, True, ""), ("a.h5", True, True, ""),
    ("a.csv", True, False, "that was trained on a table, which a.csv is"),
    ("-", True, False, "that was trained on a table, which - is"),
    ("tables", True, False, "that was trained on a table, which tables is"),
    ("mixed", False, True, "that was trained on pictures, which mixed is taken for"),
    ("a.png", False, True, "that was trained on pictures, which a.png is taken for"),
])  # fmt: skip
def test_which_runs_answer_a_file(file, table, pictures, words):
    for folder, name in (("tables", "a.csv"), ("mixed", "a.png")):
        Path(folder).mkdir()
        Path(folder, name).touch()
    fits, said = predict.fitting(Path(file))
    assert (fits(TABLE), fits(PICTURES), said) == (table, pictures, words)
    assert fits(SPIRAL) == fits({}) == fits({"input_shape": None}) == (words == "")


def model(shape, preparation=None):
    return SimpleNamespace(input_shape=shape, preparation=preparation)


OF_TABLE, OF_PICTURES = object.__new__(TablePreparation), ImagePreparation(8, 8, 1, ("a", "b"))


@pytest.mark.parametrize(("made", "file", "rows"), [
    (model((3,), OF_TABLE), "a.png", True), (model((3,)), "a.csv", True), (model((3,)), "a.png", False),
    (model((8, 8, 1)), "a.png", False), (model((8, 8, 1)), "a.csv", False), (model((8, 8, 1)), "a.npy", True),
    (model((3, 2)), "a.csv", False),
])  # fmt: skip
def test_which_files_are_answered_row_by_row(made, file, rows):
    assert predict.of_rows(made, Path(file)) is rows


@pytest.mark.parametrize(("preparation", "files", "other"), [
    (OF_TABLE, "a.png b.jpg", "pictures"), (OF_PICTURES, "a.csv", "a table"), (OF_TABLE, "a.png b.csv", None),
    (OF_TABLE, "a.csv", None), (OF_PICTURES, "a.png", None), (None, "a.png", None), (None, "a.csv", None),
])  # fmt: skip
def test_files_of_another_kind_are_refused(preparation, files, other):
    args = SimpleNamespace(weights="w"), model((3,), preparation), tuple(map(Path, files.split()))
    if other is None:
        predict.check_kind(*args)
        return
    trained = {"pictures": "a table", "a table": "pictures"}[other]
    with pytest.raises(UsageError) as found:
        predict.check_kind(*args)
    assert found.value.what == f"{', '.join(files.split())}: w was trained on {trained}"
    assert found.value.fix == f"--run with a model that was trained on {other}"


def test_five_of_many_files_are_named():
    files = tuple(Path(f"{i}.png") for i in range(7))
    with pytest.raises(UsageError, match=r"^0\.png, 1\.png, 2\.png, 3\.png, 4\.png: w was trained"):
        predict.check_kind(SimpleNamespace(weights="w"), model((3,), OF_TABLE), files)


def test_names_of_columns():
    assert predict.split_names(" id, label ,,") == ("id", "label")
    assert predict.split_names("") == ()


# Rows of several files


def part(file, rows, label="y", start=0, shares=False):
    share = np.array([[0.25, 0.75]] * len(rows)) if shares else None
    return Answers(file, label, np.array(rows), ("a", "b") if shares else (), share, None, start)


@pytest.fixture
def answered(monkeypatch, capsys):
    """answered({file: parts or errors}, ...) -> exit code, stdout, stderr, and what --out holds."""

    def call(files, out=None, as_json=False):
        def answers(saved, model, file, columns):
            for one in files[str(file)]:
                if isinstance(one, Exception):
                    raise one
                yield one

        monkeypatch.setattr(predict_rows, "answers", answers)
        monkeypatch.setattr(predict_rows, "expand", lambda name: [name])
        code = predict_rows.predict_rows(None, None, tuple(map(Path, files)), out, (), as_json)
        return code, *capsys.readouterr()

    return call


TWO = [part("a.csv", [1, 2]), part("a.csv", [3], start=2)]


def test_parts_of_a_file_share_one_header(answered):
    assert answered({"a.csv": TWO}) == (0, "y\n1\n2\n3\n", "")
    code, out, err = answered({"a.csv": TWO}, Path("o.csv"))
    assert (code, out, err) == (0, "", "a.csv: 3 rows answered\nsaved  o.csv\n")
    assert Path("o.csv").read_text() == "y\n1\n2\n3\n"
    code, out, err = answered({"a.csv": TWO}, as_json=True)
    assert [json.loads(line) for line in out.splitlines()] == [
        {"file": "a.csv", "row": i, "y": i} for i in (1, 2, 3)
    ]
    assert (code, err) == (0, "")


def test_answers_of_several_files_name_their_file_and_repeat_a_changed_header(answered):
    files = {"a.csv": TWO, "b.csv": [part("b.csv", [4])], "c.csv": [part("c.csv", [5], "z", shares=True)]}
    wanted = (
        "file,row,y\na.csv,1,1\na.csv,2,2\na.csv,3,3\nb.csv,1,4\n"
        "file,row,z,probability a,probability b\nc.csv,1,5,0.25,0.75\n"
    )
    assert answered(files) == (0, wanted, "")
    code, _, err = answered(files, Path("o.csv"))
    assert err == "a.csv: 3 rows answered\nb.csv: 1 rows answered\nc.csv: 1 rows answered\nsaved  o.csv\n"
    assert (code, Path("o.csv").read_text()) == (0, wanted)


def test_a_file_that_goes_wrong_in_its_second_part(answered):
    """Its rows are taken out of --out, and its head where it was the first; what was printed stays."""
    files = {"a.csv": [TWO[0], DataError("no number")], "b.csv": [part("b.csv", [4])]}
    code, out, err = answered(files, Path("o.csv"))
    assert (code, out) == (4, "")
    assert err == "xpnn: error: a.csv: no number\nb.csv: 1 rows answered\nsaved  o.csv\n"
    assert Path("o.csv").read_text() == "file,row,y\nb.csv,1,4\n"
    code, out, err = answered(files)
    assert (code, out) == (4, "file,row,y\na.csv,1,1\na.csv,2,2\nb.csv,1,4\n")
    last = {"b.csv": [part("b.csv", [4])], "a.csv": files["a.csv"]}
    answered(last, Path("o.csv"))
    assert Path("o.csv").read_text() == "file,row,y\nb.csv,1,4\n"
    with pytest.raises(DataError, match=r"^no number$"):  # one file alone raises its error
        answered({"a.csv": files["a.csv"]})


def test_patterns_of_file_names_are_expanded():
    for name in ("a.csv", "b.csv"):
        Path(name).touch()
    found = list(predict_rows.every_file(tuple(map(Path, ("-", "x.npy", "*.csv", "missing.csv")))))
    assert [(str(file), error) for file, error in found[:4]] == [
        ("-", None), ("x.npy", None), ("a.csv", None), ("b.csv", None),
    ]  # fmt: skip
    assert isinstance(found[4][1], FileError)


@pytest.mark.parametrize(("rows", "many", "large", "starts"), [
    (5, 2, 10**9, [0, 2, 4]), (5, 5, 10**9, [0]), (5, 9, 24, [0, 2, 4]), (5, 9, 23, [0, 1, 2, 3, 4]), (0, 9, 9, []),
    (5, 9, 1, [0, 1, 2, 3, 4]),
])  # fmt: skip
def test_an_array_is_answered_in_parts(monkeypatch, rows, many, large, starts):
    """Of so many rows, and so many bytes: here 12 a row."""
    monkeypatch.setattr(predict_rows, "MANY", many)
    monkeypatch.setattr(predict_rows, "LARGE", large)
    x = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    np.save("x.npy", x)
    found = list(predict_rows.samples_of(Path("x.npy"), model((3,)), ()))
    assert [start for start, _, _ in found] == starts
    assert [table for _, table, _ in found] == [None] * len(starts)
    np.testing.assert_array_equal(np.concatenate([x[:0], *(part for _, _, part in found)]), x)
    made = xpnn.Model([Dense(1)], (3,), seed=0, loss="mse")
    assert [one.start for one in predict_rows.answers(None, made, Path("x.npy"), ())] == starts


def test_columns_of_numbers_for_a_model_without_their_names():
    """Those that are asked for are not among them, nor the index that a data frame writes."""
    Path("t.csv").write_text(",id,a,b\n0,7,0.5,1.5\n1,8,2.5,3.5\n")
    ((start, table, x),) = predict_rows.samples_of(Path("t.csv"), model((2,)), ("id",))
    assert (start, x.tolist(), "id" in table) == (0, [[0.5, 1.5], [2.5, 3.5]], True)
    for shape, columns, count in (((2,), (), 3), ((3, 1), ("id",), 2), ((4,), ("id",), 2)):
        with pytest.raises(DataError, match=f"has {count} columns, the model takes samples of shape"):
            list(predict_rows.samples_of(Path("t.csv"), model(shape), columns))
    ((_, _, x),) = predict_rows.samples_of(Path("t.csv"), model((3,)), ())
    assert x.tolist() == [[7, 0.5, 1.5], [8, 2.5, 3.5]]


def test_names_of_classes_where_there_are_as_many():
    made = xpnn.Model([Dense(2)], (3,), seed=0)
    np.save("x.npy", np.ones((2, 3), np.float32))
    for known, names in ((["cat", "dog"], ("cat", "dog")), (["cat"], ("0", "1")), ([], ("0", "1"))):
        (found,) = predict_rows.answers(SimpleNamespace(classes=known), made, Path("x.npy"), ())
        assert (found.label, found.classes, found.file) == ("label", names, "x.npy")
        assert set(found.answers) <= set(names)
        np.testing.assert_array_equal(found.shares, made.predict_proba(np.ones((2, 3))))


# Pictures


def picture(pixels, box=(0, 0, 8, 8), cropped=False, doubt="", note="8×8 L"):
    pixels = np.asarray(pixels, np.uint8)
    fields = {
        "pixels": pixels,
        "size": (8, 8),
        "mode": "L",
        "inverted": False,
        "box": box,
        "cropped": cropped,
    }
    return SimpleNamespace(**fields, doubt=doubt, note=note)


def shaded(height=8, width=8):
    """White on the left, black on the right."""
    pixels = np.zeros((height, width, 1), np.uint8)
    pixels[:, : width // 2] = 255
    return pixels


BEST = [("seven", 0.75), ("1", 0.125), ("x", 0.0625), ("y", 0.05), ("z", 0.0125)]


def test_a_picture_in_characters_beside_its_classes(capsys):
    predict_pictures.show("a.png", picture(shaded(16)), BEST)
    out, err = capsys.readouterr()
    assert err == ""
    lines = [line.rstrip() for line in out.splitlines()]
    bare = "████"
    assert lines == [
        "a.png  8×8 L", bare, bare, bare, bare, bare, f"{bare}       seven   75.0 %  {'█' * 18}",
        f"{bare}           1   12.5 %  ███", f"{bare}           x    6.2 %  █▌",
    ]  # fmt: skip


def test_ten_classes_with_verbose(capsys, monkeypatch):
    monkeypatch.setattr(predict_pictures, "state", lambda: State(verbose=True))
    many = [(str(i), 0.0) for i in range(12)]
    predict_pictures.show("a.png", picture(shaded(28)), many)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line[4:].split() for line in lines[3:13]] == [[str(i), "0.0", "%"] for i in range(10)]
    assert [len(line) for line in (*lines[1:3], *lines[13:])] == [4, 4, 4, 4]
    predict_pictures.show("a.png", picture(shaded(16)), BEST[:3])
    assert "seven" in capsys.readouterr().out.splitlines()[6]


@pytest.mark.parametrize(("size", "small"), [
    ((8, 8), (8, 8)), ((7, 8), (8, 8)), ((64, 64), (64, 64)), ((64, 128), (32, 64)), ((128, 64), (64, 32)),
    ((1, 300), (2, 64)), ((66, 10), (64, 10)), ((3, 5), (4, 5)),
])  # fmt: skip
def test_a_sample_is_shrunk_to_fit_a_terminal(size, small):
    assert predict_pictures.small(np.zeros((*size, 1), np.uint8)).shape == small
    assert predict_pictures.small(np.zeros((*size, 3), np.uint8)).shape == small


def test_an_answer_and_rows_of_answers():
    one = predict_pictures.answer(Path("a.png"), picture(shaded(), (1, 2, 3, 4)), BEST[:2])
    assert one == {
        "file": "a.png", "class": "seven", "probability": 0.75, "classes": {"seven": 0.75, "1": 0.125}, "size": (8, 8),
        "mode": "L", "inverted": False, "crop": (1, 2, 3, 4),
    }  # fmt: skip
    doubtful = predict_pictures.answer(Path("a.png"), picture(shaded(), doubt="faint"), BEST[:2])
    assert doubtful["doubt"] == "faint"
    classes = ("1", "seven", "none")
    assert predict_pictures.as_rows([one, one | {"file": "b"}], classes) == (
        "file,label,probability 1,probability seven,probability none\n"
        "a.png,seven,0.125,0.75,0\nb,seven,0.125,0.75,0\n"
    )
    assert predict_pictures.as_rows([one, one], classes[:1]) == (
        "file,left,top,right,bottom,label,probability 1\na.png,1,2,3,4,seven,0.125\na.png,1,2,3,4,seven,0.125\n"
    )


@pytest.fixture
def digits(monkeypatch, capsys):
    """digits({file: what is found in it}, ...) -> exit code, stdout, stderr."""

    def call(files, as_json=False, save=False, out=None):
        def answers(preparation, model, file):
            found = files[str(file)]
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(predict_pictures, "preparation_of", lambda saved, model: OF_PICTURES)
        monkeypatch.setattr(predict_pictures, "answered", answers)
        monkeypatch.setattr(predict_pictures, "every_picture", lambda names: names)
        monkeypatch.setattr(predict_pictures, "save_seen", lambda file, found: print("seen", file))
        names = tuple(map(Path, files))
        code = predict_pictures.predict_pictures(
            SimpleNamespace(weights="w"), None, names, as_json, save, out
        )
        return code, *capsys.readouterr()

    return call


ONE = (picture(shaded()), [("a", 0.75), ("b", 0.25)])
UNSURE = (picture(shaded(), doubt="it is faint"), [("b", 0.75), ("a", 0.25)])


def test_several_digits_of_one_picture(digits):
    code, out, err = digits({"p.png": [ONE, UNSURE], "q.png": [ONE]}, save=True)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line for line in lines if ".png" in line] == [
        "seen p.png", "p.png, 1 of 2  8×8 L", "p.png, 2 of 2  8×8 L", "p.png  a b", "seen q.png", "q.png  8×8 L",
    ]  # fmt: skip


def test_answers_for_pictures_as_json_and_as_a_file(digits):
    files = {"p.png": [ONE, UNSURE], "q.png": DataError("q.png is no picture")}
    code, out, err = digits(files, as_json=True)
    found = json.loads(out)
    assert (code, found["checkpoint"], [one["class"] for one in found["predictions"]]) == (4, "w", ["a", "b"])
    assert err == "p.png: unsure of 'b': it is faint\nxpnn: error: q.png is no picture\n"
    code, out, err = digits({"p.png": [ONE]}, out=Path("o.csv"))
    assert (code, out, err) == (0, "", "saved  o.csv (1 answer)\n")
    assert Path("o.csv").read_text() == "file,label,probability a,probability b\np.png,a,0.75,0.25\n"
    with pytest.raises(DataError):
        digits({"q.png": files["q.png"]})


def test_a_single_yes_or_no_has_two_classes(monkeypatch):
    made = xpnn.Model([Flatten(), Dense(1)], (8, 8, 1), seed=0, loss="binary_cross_entropy")
    pixels = np.stack([shaded(), 255 - shaded()])
    monkeypatch.setattr(predict_pictures, "open_upright", lambda file: file)
    monkeypatch.setattr(predict_pictures, "prepare", lambda *args: [picture(one) for one in pixels])
    found = predict_pictures.answered(OF_PICTURES, made, Path("p.png"))
    yes = made.predict_proba(pixels).reshape(-1)
    for (_, best), share in zip(found, yes, strict=True):
        assert dict(best) == {"a": pytest.approx(1 - share, abs=1e-6), "b": pytest.approx(float(share))}
        assert best[0][1] >= best[1][1]


# The picture that --show saves


def seen(size, found):
    photo = Image.new("RGB", size, (0, 0, 255))
    return np.asarray(Image.open(io.BytesIO(predict_show.side_by_side(photo, found))))


GREY, COLOUR = np.full((8, 8, 1), 90, np.uint8), np.full((8, 8, 3), (0, 200, 0), np.uint8)


@pytest.mark.parametrize(("size", "count", "shape"), [
    ((100, 50), 1, (480, 100 + 148 + 8)), ((100, 50), 2, (480, 256)), ((100, 50), 3, (480, 404)),
    ((100, 480), 1, (480, 256)), ((100, 960), 1, (480, 50 + 156)), ((1, 4800), 1, (480, 1 + 156)),
])  # fmt: skip
def test_the_page_grows_with_its_samples(size, count, shape):
    page = seen(size, [(picture(GREY), "a")] * count)
    assert page.shape == (*shape, 3)
    width = shape[1] - 8 - 148 * (1 if count < 3 else 2)
    assert (page[0, width - 1] == (0, 0, 255)).all()
    assert (page[0, width] == 255).all()


def test_positions_of_samples_on_the_page():
    page = seen((100, 50), [(picture(GREY), "a"), (picture(COLOUR), "b"), (picture(GREY), "c" * 40)])
    for x, y, colour in ((108, 0, 90), (108, 164, (0, 200, 0)), (256, 0, 90)):
        assert (page[y : y + 140, x : x + 140] == colour).all()
        assert (page[y : y + 140, x - 1] == 255).all()
        assert (page[y : y + 140, x + 140 : x + 144] == 255).all()
        below = page[y + 140 : y + 164, x : x + 140].min(axis=(1, 2))
        assert (below[:2] == 255).all()
        assert below.min() < 60  # its class
    text = page[140:164].min(axis=(0, 2)) < 128
    assert text[256:].nonzero()[0].max() < 8 + 6 * 23
    assert (page[50:, :100] == 255).all()


@pytest.mark.parametrize(("size", "scale"), [((100, 50), 1), ((200, 960), 0.5)])
def test_a_box_around_what_was_cut_out(size, scale):
    box = tuple(round(n * scale) for n in (20, 10, 60, 40))
    page = seen(size, [(picture(GREY, (20, 10, 60, 40), cropped=True), "a")])
    red = (page == predict_show.BOX).all(axis=2)
    down, across = red.nonzero()
    assert (across.min(), down.min(), across.max(), down.max()) == box
    assert red[box[1] + 1, box[0] + 1]
    assert not red[box[1] + 2, box[0] + 2]
    assert not (seen(size, [(picture(GREY, (20, 10, 60, 40)), "a")]) == predict_show.BOX).all(axis=2).any()


# Plots: each is given what it shows


@pytest.fixture
def drawn(monkeypatch):
    """What the functions of xpnn.plots were given."""
    found = []
    for name in ("training_curves", "confusion_matrix", "worst_mistakes", "first_weights", "activation_histograms",
                 "gradient_histograms", "decision_boundary", "animate_boundary"):  # fmt: skip
        monkeypatch.setattr(xpnn.plots, name, lambda *args, name=name: found.append((name, *args)))
    return found


def subject(shape=(2,)):
    samples = SimpleNamespace(
        input_shape=shape, classes=("a", "b"), x_test="x", y_test=np.array([0, 1, 1, 1]), name="spiral"
    )
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7]])
    saved = SimpleNamespace(weights=Path("run/best.safetensors"), about={"model": "mlp"})
    return SimpleNamespace(
        samples=samples, probabilities=shares, saved=saved, model="m", trace="t", history=[1], title="title"
    )


def test_every_plot_is_given_what_it_shows(drawn, monkeypatch):
    monkeypatch.setattr("xpnn.training.film.load_film", lambda folder: [folder])
    points, images = subject(), subject((8, 8, 1))
    for name, draw in plot.PICTURES.items():
        draw(images if name == "mistakes" else points, f"{name}.png")
    drawn[1] = (drawn[1][0], drawn[1][1].tolist(), *drawn[1][2:])
    y, classes = points.samples.y_test, ("a", "b")
    step = "one training step, at most 256 samples"
    assert drawn[:2] == [
        ("training_curves", [1], "curves.png", "title"),
        ("confusion_matrix", [[1, 0], [1, 2]], classes, "confusion.png", "title"),
    ]  # fmt: skip
    name, x, truth, shares, *rest = drawn[2]
    assert (name, x, rest) == ("worst_mistakes", "x", ["mistakes.png", classes, "title"])
    assert truth is images.samples.y_test
    assert shares is images.probabilities
    assert drawn[3:6] == [
        ("first_weights", "m", "weights.png", "title"),
        ("activation_histograms", "t", "activations.png", f"title\n{step}: outputs"),
        ("gradient_histograms", "t", "gradients.png", f"title\n{step}: gradients"),
    ]  # fmt: skip
    assert drawn[6][:3] + drawn[6][4:] == ("decision_boundary", "m", "x", "boundary.png", "title", classes)
    assert drawn[6][3] is y
    assert drawn[7][:4] + drawn[7][5:] == (
        "animate_boundary", "m", [Path("run/film")], "x", "film.png", "spiral, mlp", classes,
    )  # fmt: skip
    assert drawn[7][4] is y


@pytest.mark.parametrize(("about", "title"), [
    ({}, "table, model"), ({"dataset": "mnist", "model": "mlp", "result": None}, "mnist, mlp"),
    ({"dataset": "mnist", "model": "cnn", "result": {"test_accuracy": 0.97412}}, "mnist, cnn, test accuracy 97.4 %"),
])  # fmt: skip
def test_the_title_of_a_plot(about, title):
    assert plot.Subject(SimpleNamespace(about=about), None).title == title


@pytest.mark.parametrize("count", [0, 5, 300])
def test_one_step_is_traced_on_at_most_256_training_samples(monkeypatch, count):
    """Test samples where a file holds no others."""
    x, y = np.arange(count)[:, None], np.arange(count)
    data = xpnn.data.Dataset(
        "s", x, y, x[:3] if count else np.ones((4, 1)), y[:3] if count else np.ones(4), "ab", ""
    )
    one, seen = plot.Subject(SimpleNamespace(about={}), None), []
    one.__dict__.update(samples=data, model="m")
    monkeypatch.setattr("xpnn.diagnostics.trace", lambda *args: seen.append(args) or "trace")
    assert one.trace == "trace"
    ((model, x_given, y_given),) = seen
    if count == 0:
        assert (model, x_given.tolist(), y_given.tolist()) == ("m", [[1]] * 4, [1] * 4)
        return
    wanted = np.random.default_rng(0).permutation(count)[:256]
    assert x_given[:, 0].tolist() == y_given.tolist() == wanted.tolist()


def test_pictures_by_name():
    choose = plot.Choices()
    assert choose.convert("curves, film,curves", None, None) == ("curves", "film")
    assert choose.convert(("film",), None, None) == ("film",)
    with pytest.raises(UsageError, match="unknown picture 'x'"):
        choose.convert("curves,x", None, None)


@pytest.mark.parametrize(("flags", "out", "err"), [
    (("--what", "a,b"), "p/b.svg\n", "no a: it has none\n"), ((), "p/b.svg\np/film.gif\n", ""),
])  # fmt: skip
def test_what_cannot_be_drawn_is_named_if_it_was_asked_for(xp, monkeypatch, flags, out, err):
    def none(subject, path):
        raise plot.NotDrawnError("it has none")

    monkeypatch.setattr(plot, "PICTURES", {"a": none, "b": lambda *_: None, "film": lambda *_: None})
    monkeypatch.setattr(
        plot, "find_run", lambda run: SimpleNamespace(weights=Path("w"), about={"dataset": "s"})
    )
    assert xp("plot", "--out", "p", "--format", "svg", *flags) == (0, out, err)
    code, found, said = xp("plot", "--out", "p", "--json", *flags)
    files = ["p/b.png"] if flags else ["p/b.png", "p/film.gif"]
    assert json.loads(found) == {"checkpoint": "w", "files": files, "skipped": {"a": "it has none"}}
    assert (code, said) == (0, "")

"""`xpnn predict` of pictures: as in training, several digits, folders and patterns, one bad file among good ones."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn.cli import run


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XPNN_BACKEND", "numpy")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def xp(capsys):
    def call(*args):
        code = run(list(map(str, args)))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def answers(out):
    return [(one["file"], one["class"]) for one in json.loads(out)["predictions"]]


def marked(path, corner, shape=(12, 10), dark=False, mode="L", side=4):
    """A picture with a light square in one of its corners, the class."""
    pixels = np.zeros(shape, np.uint8)
    rows = slice(1, 1 + side) if corner in ("left", "right") else slice(-1 - side, -1)
    columns = slice(1, 1 + side) if corner == "left" else slice(-1 - side, -1)
    pixels[rows, columns] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(255 - pixels if dark else pixels).convert(mode).save(path)


@pytest.fixture
def trained(tmp_path, xp):
    for corner in ("left", "right"):
        for i in range(30):
            marked(tmp_path / "shapes" / corner / f"{i}.png", corner, side=3 + i % 3)
    code, _, err = xp("train", "images", "shapes", "--epochs", "5", "--out", "run", "--hidden", "16")
    assert code == 0, err
    return "run"


def test_predicted_pictures_are_prepared_as_in_training(trained, xp, tmp_path):
    code, out, err = xp("predict", "--run", trained, "--json", "shapes")
    assert code == 0, err
    found = answers(out)
    assert len(found) == 60
    assert all(f"shapes/{name}/" in file.replace("\\", "/") for file, name in found)


def test_other_sizes_are_resized_and_the_other_polarity_is_turned(trained, xp, tmp_path):
    marked(tmp_path / "large.png", "right", (24, 20), side=8)
    marked(tmp_path / "dark.png", "left", dark=True)
    marked(tmp_path / "colour.png", "right", mode="RGB")
    code, out, _ = xp("predict", "--run", trained, "--json", "large.png", "dark.png", "colour.png")
    assert (code, answers(out)) == (
        0,
        [("large.png", "right"), ("dark.png", "left"), ("colour.png", "right")],
    )
    _, out, _ = xp("predict", "--run", trained, "large.png", "dark.png")
    assert "20×24 L → resized to 10×12" in out
    assert "inverted, as in training" in out


def test_one_bad_file_among_good_ones(trained, xp, tmp_path):
    marked(tmp_path / "scans" / "1.png", "left")
    (tmp_path / "scans" / "2.png").write_text("no picture")
    marked(tmp_path / "scans" / "3.png", "right")
    code, out, err = xp("predict", "--run", trained, "--json", "scans/*.png")
    assert code == 4
    assert [name for _, name in answers(out)] == ["left", "right"]
    assert "2.png is not a picture" in err


def test_answers_of_many_pictures_as_csv(trained, xp, tmp_path):
    code, out, err = xp("predict", "--run", trained, "--out", "answers.csv", "shapes")
    assert (code, out) == (0, ""), err
    rows = list(csv.DictReader((tmp_path / "answers.csv").read_text().splitlines()))
    assert list(rows[0]) == ["file", "label", "probability left", "probability right"]
    assert len(rows) == 60
    assert all(f"shapes/{row['label']}/" in row["file"].replace("\\", "/") for row in rows)
    assert all(float(row[f"probability {row['label']}"]) > 0.5 for row in rows)
    for flags, said in (
        (("--columns", "id,label"), "--out FILE alone"),
        (("--json", "--out", "a.csv"), "--json beside --out"),
    ):
        code, _, err = xp("predict", "--run", trained, *flags, "shapes")
        assert (code, said in err) == (2, True)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    code, _, err = xp("predict", "--run", trained, "t.csv")
    assert (code, "was trained on pictures" in err) == (2, True)


def test_evaluate_another_folder_by_the_names_of_its_classes(trained, xp, tmp_path):
    for i in range(5):
        marked(tmp_path / "others" / "right" / f"{i}.png", "right", (24, 20), side=8)
    code, out, err = xp("evaluate", trained, "--data", "others", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["samples"], found["accuracy"]) == (5, 1.0)
    marked(tmp_path / "others" / "up" / "0.png", "left")
    code, _, err = xp("evaluate", trained, "--data", "others")
    assert code == 4
    assert "pictures of up, which the model does not know" in err


def test_train_from_reads_new_pictures_as_the_old_ones(trained, xp, tmp_path):
    for corner in ("left", "right"):
        for i in range(20):
            marked(tmp_path / "new" / corner / f"{i}.png", corner, (24, 20), dark=True, side=6 + i % 3)
    code, _, err = xp(
        "train", "images", "new", "--from", trained, "--epochs", "1", "--out", "again", "--lr", "1e-6"
    )
    assert code == 0, err
    old, new = (xpnn.load(f"{name}/best.safetensors").preparation for name in (trained, "again"))
    assert new == old
    code, out, _ = xp("evaluate", "again", "--json")
    assert json.loads(out)["accuracy"] == 1.0


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    x, y, x_test, y_test = xpnn.data.mnist()
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(64), xpnn.ReLU(), xpnn.Dense(10)]
    form = xpnn.data.ImagePreparation(28, 28, 1, tuple("0123456789"), crop="ink", polarity="light on dark")
    model = xpnn.Model(layers, (28, 28, 1), seed=0, preparation=form)
    model.fit(x[:6000], y[:6000], epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("model") / "digits.safetensors"
    model.save(path)
    right = np.flatnonzero(model.predict(x_test[:200]) == y_test[:200])
    return path, x_test[right], y_test[right]


def test_several_digits_from_left_to_right_and_what_was_seen(digits, xp, tmp_path):
    model, x, y = digits
    page = np.full((200, 560), 220.0)
    for i in range(4):
        page[40:152, 20 + 135 * i : 132 + 135 * i] -= np.asarray(
            Image.fromarray(x[i, :, :, 0]).resize((112, 112)), float
        ) * (180 / 255)
    Image.fromarray(page.clip(0, 255).astype(np.uint8)).save("number.png")
    code, out, err = xp("predict", "--run", model, "--json", "--show", "number.png")
    assert code == 0, err
    found = json.loads(out)["predictions"]
    assert sum(one["class"] == str(k) for one, k in zip(found, y[:4], strict=True)) >= 3
    for i, one in enumerate(found):
        left, top, right, bottom = one["crop"]
        assert 20 + 135 * i <= left < right <= 132 + 135 * i
        assert 40 <= top < bottom <= 152
    with Image.open("number.png.seen.png") as seen:
        assert seen.width > 560
    _, out, _ = xp("predict", "--run", model, "number.png")
    assert "number.png, 2 of 4" in out
    assert out.splitlines()[-1] == f"number.png  {' '.join(one['class'] for one in found)}"
    _, out, _ = xp("predict", "--run", model, "--json", ".")
    assert {file for file, _ in answers(out)} == {"number.png"}  # what --show saved is left out


def test_a_model_that_remembers_nothing_says_so(digits, xp):
    model, x, y = digits
    plain = xpnn.load(model)
    plain.preparation = None
    plain.save("plain.safetensors")
    Image.fromarray(x[0, :, :, 0]).save("digit.png")
    code, out, err = xp("predict", "--run", "plain.safetensors", "--json", "digit.png")
    assert (code, answers(out)) == (0, [("digit.png", str(y[0]))])
    assert "has no record of how its pictures were prepared" in err

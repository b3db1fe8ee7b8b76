"""`xpnn train table`, `evaluate` and `predict` of tables: by name, whole, and nothing unsaid."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

import xpnn
from xpnn.cli import run

CENTRES = {"cat": (0, 0), "dog": (3, 0), "eel": (0, 3), "fox": (3, 3), "zebra": (0, 0)}


def write(path, classes, columns="u,v,label", count=40, seed=0, extra="", ids=False):
    """Points about the centre of their class, the columns in any order; `extra` is a value of column w."""
    rng = np.random.default_rng(seed)
    lines = [columns]
    for name in classes:
        for u, v in rng.normal(0, 0.3, (count, 2)) + CENTRES[name]:
            row = {"u": f"{u:.4f}", "v": f"{v:.4f}", "label": name, "w": extra}
            row |= {"id": f"{len(lines) + 6:03d}"} if ids else {}
            lines.append(",".join(row[column] for column in columns.split(",")))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on cats, dogs and eels."""
    folder = tmp_path_factory.mktemp("tables")
    path = write(folder / "train.csv", ["cat", "dog", "eel"])
    code = run(
        ["-q", "train", "table", path, "--epochs", "15", "--backend", "numpy", "--out", str(folder / "run")]
    )
    assert code == 0
    return folder


@pytest.fixture
def xp(capsys, monkeypatch, tmp_path, trained):
    """xp(...): exit code, stdout and stderr of a command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XPNN_BACKEND", "numpy")

    def call(*arguments):
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


def evaluated(xp, trained, path, *more):
    code, out, err = xp("evaluate", trained / "run", "--data", path, "--json", *more)
    return code, json.loads(out) if code == 0 else None, err


class TestEvaluate:
    @pytest.mark.parametrize(
        ("classes", "columns"),
        [
            (["cat", "dog", "eel"], "u,v,label"),
            (["dog", "eel"], "u,v,label"),
            (["eel", "dog", "cat"], "label,v,u"),
            (["eel"], "w,label,v,u"),
        ],
    )
    def test_classes_and_columns_go_by_name(self, xp, trained, tmp_path, classes, columns):
        path = write(tmp_path / "other.csv", classes, columns, seed=1, extra="7")
        code, found, _ = evaluated(xp, trained, path)
        assert code == 0
        assert found["samples"] == 40 * len(classes)
        assert found["accuracy"] > 0.95
        assert found["classes"] == ["cat", "dog", "eel"]
        notes = " ".join(found["notes"])
        assert f"all {40 * len(classes)} rows" in notes
        assert ("'w' is not a column of the training table" in notes) == ("w" in columns)

    @pytest.mark.parametrize(
        ("classes", "columns", "said"),
        [
            (["cat", "fox"], "u,v,label", "class 'fox'"),
            (["dog", "zebra", "fox"], "u,v,label", "classes 'fox', 'zebra'"),
            (["cat", "dog"], "u,label", "no column 'v'"),
            (["cat", "dog"], "u,v", "no column 'label'"),
        ],
    )
    def test_what_the_model_does_not_know_is_named(self, xp, trained, tmp_path, classes, columns, said):
        path = write(tmp_path / "other.csv", classes, columns)
        for more in ((), ("--json",)):
            code, _, err = xp("evaluate", trained / "run", "--data", path, *more)
            assert code == 4
            assert said in err
        code, _, err = xp("plot", trained / "run", "--data", path, "--what", "confusion", "--out", tmp_path)
        assert (code, said in err) == (4, True)

    def test_its_own_file_is_the_held_out_part(self, xp, trained):
        result = json.loads((trained / "run" / "run.json").read_text())["result"]
        code, out, _ = xp("evaluate", trained / "run", "--json")
        assert json.loads(out)["accuracy"] == result["test_accuracy"]
        code, found, _ = evaluated(xp, trained, trained / "train.csv")
        assert (code, found["accuracy"]) == (0, result["test_accuracy"])
        assert found["samples"] < 120
        assert any("was trained on" in note for note in found["notes"])

    def test_the_model_file_is_enough(self, xp, trained, tmp_path):
        shutil.copy(trained / "run" / "best.safetensors", tmp_path / "m.safetensors")
        path = write(tmp_path / "other.csv", ["dog", "eel"], "v,u,label", seed=2)
        code, out, _ = xp("evaluate", "m.safetensors", "--data", path, "--json")
        assert (code, json.loads(out)["accuracy"] > 0.95) == (0, True)
        code, out, _ = xp("predict", "m.safetensors", path, "--json")
        answers = [json.loads(line)["label"] for line in out.splitlines()]
        assert answers[:40].count("dog") > 35

    def test_fewer_classes_are_drawn(self, xp, trained, tmp_path):
        path = write(tmp_path / "other.csv", ["dog", "eel"])
        code, out, err = xp("plot", trained / "run", "--data", path, "--out", tmp_path)
        assert code == 0, err
        assert "confusion.png" in out

    def test_the_plane_has_the_names_of_the_columns(self, xp, trained, tmp_path):
        code, _, err = xp("plot", trained / "run", "--what", "boundary", "--format", "svg", "--out", tmp_path)
        assert code == 0, err
        assert "u, scaled" in (tmp_path / "boundary.svg").read_text()


class TestTransfer:
    def test_other_classes_are_refused_by_name(self, xp, trained, tmp_path):
        path = write(tmp_path / "other.csv", ["dog", "eel", "zebra"])
        flags = ("train", "table", path, "--from", trained / "run", "--epochs", 1, "--out", tmp_path / "r")
        code, _, err = xp(*flags)
        assert (code, "zebra" in err, "--replace-head" in err) == (4, True, True)
        code, _, err = xp(*flags, "--replace-head")
        assert code == 0, err
        found = xpnn.load(tmp_path / "r" / "best.safetensors").preparation
        assert found.classes == ("dog", "eel", "zebra")
        assert found.columns == xpnn.load(trained / "run" / "best.safetensors").preparation.columns

    def test_fewer_classes_keep_their_numbers(self, xp, trained, tmp_path):
        path = write(tmp_path / "other.csv", ["eel", "dog"], "v,label,u")
        code, _, err = xp(
            "train", "table", path, "--from", trained / "run", "--epochs", 1, "--out", tmp_path / "r"
        )
        assert code == 0, err
        found = json.loads((tmp_path / "r" / "run.json").read_text())
        assert found["classes"] == ["cat", "dog", "eel"]
        assert found["result"]["test_accuracy"] > 0.9

    @pytest.mark.parametrize("more", [(), ("--replace-head",)])
    def test_a_run_that_began_so_goes_on(self, xp, trained, tmp_path, more):
        path = write(tmp_path / "other.csv", ["eel", "dog"], "v,label,u")
        begun = ("train", "table", path, "--from", trained / "run", *more, "--out", tmp_path / "r")
        assert xp(*begun, "--epochs", 2, "--schedule", "constant")[0] == 0
        code, _, err = xp("train", "--resume", tmp_path / "r", "--epochs", 3)
        assert code == 0, err
        assert len(json.loads((tmp_path / "r" / "run.json").read_text())["classes"]) == (2 if more else 3)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


class TestPredict:
    def test_one_answer_a_row_with_probabilities(self, xp, trained, tmp_path):
        path = write(tmp_path / "test.csv", ["eel", "cat"], "w,v,u", count=5, extra="x")
        code, out, err = xp("predict", trained / "run", path)
        rows = rows_of(out)
        assert (code, [row["label"] for row in rows]) == (0, ["eel"] * 5 + ["cat"] * 5)
        assert all(
            abs(sum(float(row[f"probability {c}"]) for c in ("cat", "dog", "eel")) - 1) < 1e-5 for row in rows
        )
        assert "'w' is not a column" in err
        code, out, _ = xp("predict", path, "--run", trained / "run", "--json")
        lines = [json.loads(line) for line in out.splitlines()]
        assert [line["label"] for line in lines] == [row["label"] for row in rows]
        assert lines[9]["row"] == 10
        assert max(lines[9]["probabilities"].values()) == lines[9]["probability"]

    def test_a_submission(self, xp, trained, tmp_path):
        lines = ["Id,v,u", *(f"{i:04d},3.0,0.1" for i in range(3)), "0007,0.0,3.1"]
        (tmp_path / "test.csv").write_text("\n".join(lines) + "\n")
        code, out, _ = xp(
            "predict", trained / "run", "test.csv", "--out", "submission.csv", "--columns", "Id,label"
        )
        assert (code, out) == (0, "")
        text = (tmp_path / "submission.csv").read_text()
        assert text == "Id,label\n0000,eel\n0001,eel\n0002,eel\n0007,dog\n"
        code, _, err = xp(
            "predict", trained / "run", "test.csv", "--out", "s.csv", "--columns", "ImageId,Answer"
        )
        assert (tmp_path / "s.csv").read_text().splitlines()[:2] == ["ImageId,Answer", "1,eel"]
        assert "numbered from 1" in err
        code, _, err = xp("predict", trained / "run", "test.csv", "--columns", "Id,nonsense,label")
        assert (code, "nonsense" in err) == (2, True)

    def test_one_bad_file_of_several(self, xp, trained, tmp_path):
        good = write(tmp_path / "good.csv", ["eel"], "u,v", count=2)
        bad = write(tmp_path / "bad.csv", ["eel"], "u", count=2)
        code, out, err = xp("predict", trained / "run", bad, good, "nothing.csv")
        assert code == 7
        assert [(row["file"], row["row"], row["label"]) for row in rows_of(out)] == [
            (good, "1", "eel"),
            (good, "2", "eel"),
        ]
        assert "no column 'v'" in err
        assert "nothing.csv" in err
        assert xp("predict", trained / "run", good, bad)[0] == 4
        assert xp("predict", trained / "run", tmp_path / "good*.csv")[0] == 0

    def test_a_folder_and_standard_input(self, xp, trained, tmp_path, monkeypatch):
        folder = tmp_path / "parts"
        folder.mkdir()
        for name in ("a", "b"):
            write(folder / f"{name}.csv", ["dog"], "u,v", count=2)
        code, out, _ = xp("predict", trained / "run", folder, "--json")
        assert (code, len(out.splitlines())) == (0, 4)
        data = io.BytesIO((folder / "b.csv").read_bytes())
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(data))
        code, out, _ = xp("predict", trained / "run", "-")
        assert [row["label"] for row in rows_of(out)] == ["dog", "dog"]

    def test_a_model_of_other_flat_samples(self, xp, tmp_path):
        """The spiral's points are no table; its model answers rows and arrays all the same."""
        assert xp("train", "spiral", "--epochs", 1, "--out", tmp_path / "r")[0] == 0
        x = np.random.default_rng(0).normal(size=(5, 2))
        np.save("points.npy", x)
        (tmp_path / "points.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in x))
        answers = [rows_of(xp("predict", tmp_path / "r", name)[1]) for name in ("points.npy", "points.csv")]
        model = xpnn.load(tmp_path / "r" / "best.safetensors")
        classes = json.loads((tmp_path / "r" / "run.json").read_text())["classes"]
        assert [row["label"] for row in answers[0]] == [classes[k] for k in model.predict(x)]
        assert answers[0] == answers[1]
        (tmp_path / "three.csv").write_text("x,y,z\n1,2,3\n4,5,6\n")
        code, _, err = xp("predict", tmp_path / "r", "three.csv")
        assert (code, "3 columns" in err) == (4, True)

    def test_a_large_table_is_answered_in_its_order(self, xp, trained, tmp_path, monkeypatch):
        """Part by part, as the same rows in memory; ids in its own spelling; scored whole."""
        path = write(
            tmp_path / "rows.csv", ["dog", "cat", "eel"], "id,u,v,label", seed=3, extra="7", ids=True
        )
        columns = ("--columns", "id,label")
        small = xp("predict", trained / "run", path)[1], xp("predict", trained / "run", path, *columns)[1]
        scores = evaluated(xp, trained, path)[1]
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.stored.FEW", 16)
        monkeypatch.setattr("xpnn.cli.evaluate.MANY", 50)
        code, out, _ = xp("predict", trained / "run", path)
        assert (code, out) == (0, small[0])
        code, out, err = xp("predict", trained / "run", path, *columns)
        assert (code, out) == (0, small[1])
        assert out.splitlines()[1].startswith("007,")
        assert xp("predict", trained / "run", path, *columns, "--out", "answers.csv")[0] == 0
        assert (tmp_path / "answers.csv").read_text() == small[1]
        code, out, err = xp("predict", trained / "run", path, "--columns", "row,answer")
        assert [line.split(",")[0] for line in out.splitlines()[1:]] == [str(i) for i in range(1, 121)]
        assert err.count("numbered from 1") == 1
        lines = [json.loads(line) for line in xp("predict", trained / "run", path, "--json")[1].splitlines()]
        assert [line["row"] for line in lines] == list(range(1, 121))
        found = evaluated(xp, trained, path)[1]
        assert found["confusion"] == scores["confusion"]
        assert found["loss"] == pytest.approx(scores["loss"])

    def test_a_bad_file_leaves_no_rows(self, xp, trained, tmp_path, monkeypatch):
        """It goes wrong in its second part: --out holds those of the others alone."""
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.stored.FEW", 8)
        good = write(tmp_path / "good.csv", ["cat"], "u,v", count=20)
        bad = tmp_path / "bad.csv"
        bad.write_text("u,v\n" + "1,2\n" * 11 + "x,2\n")
        code, _, err = xp("predict", trained / "run", bad, good, "--out", "answers.csv")
        assert code == 4
        assert "column 'u', row 12: 'x'" in err
        assert len((tmp_path / "answers.csv").read_text().splitlines()) == 21

    def test_a_model_without_a_file(self, xp, trained):
        code, _, err = xp("predict", trained / "run")
        assert (code, "no file" in err) == (2, True)


class TestRegression:
    @pytest.fixture
    def prices(self, tmp_path):
        """Prices around 200,000, of rooms and a place."""
        rng = np.random.default_rng(0)
        lines = ["rooms,place,price"]
        for rooms in rng.integers(1, 9, 200).tolist():
            place = ["hill", "river"][int(rng.random() < 0.5)]
            price = 150_000 + 20_000 * rooms + 40_000 * (place == "hill") + rng.normal(0, 2000)
            lines.append(f"{rooms},{place},{price:.2f}")
        (tmp_path / "prices.csv").write_text("\n".join(lines) + "\n")
        return "prices.csv"

    def test_in_the_units_of_its_label(self, xp, prices, tmp_path):
        flags = ("train", "table", prices, "--epochs", 60, "--out", tmp_path / "r")
        code, out, err = xp(*flags)
        assert code == 0, err
        assert "label 'price' (the last column): regression (real numbers)" in err
        assert "test R2 0.9" in out
        code, out, _ = xp("evaluate", tmp_path / "r", "--json")
        found = json.loads(out)
        assert found["r2"] > 0.9
        assert 1000 < found["mae"] <= found["rmse"] < 20_000
        _, out, _ = xp("predict", tmp_path / "r", prices)
        rows, truth = rows_of(out), rows_of((tmp_path / prices).read_text())
        answers = np.array([float(row["price"]) for row in rows])
        wanted = np.array([float(row["price"]) for row in truth])
        assert np.sqrt(((answers - wanted) ** 2).mean()) < 20_000
        model = xpnn.load(tmp_path / "r" / "best.safetensors")
        np.testing.assert_allclose(model.predict_table(prices), answers, rtol=1e-6)

    def test_the_measures_are_scikit_learns(self, xp, prices, tmp_path):
        metrics = pytest.importorskip("sklearn.metrics")
        assert xp("train", "table", prices, "--epochs", 2, "--out", tmp_path / "r")[0] == 0
        (tmp_path / "other.csv").write_text((tmp_path / prices).read_text())
        found = json.loads(xp("evaluate", tmp_path / "r", "--data", "other.csv", "--json")[1])
        answers = xpnn.load(tmp_path / "r" / "best.safetensors").predict_table(prices)
        truth = [float(row["price"]) for row in rows_of((tmp_path / prices).read_text())]
        assert found["r2"] == pytest.approx(metrics.r2_score(truth, answers), rel=1e-6)
        assert found["mae"] == pytest.approx(metrics.mean_absolute_error(truth, answers), rel=1e-6)
        assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, answers), rel=1e-6)
        assert found["samples"] == 200

    def test_what_it_has_not_is_refused(self, xp, prices):
        for more in (
            ["--require-accuracy", "0.5"],
            ["--class-weight", "balanced"],
            ["--label-smoothing", "0.1"],
        ):
            code, _, err = xp("train", "table", prices, *more)
            assert (code, "regression" in err) == (2, True)


class TestTrain:
    def test_the_choices_are_printed(self, xp, tmp_path):
        lines = ["id,x,y,when,town,same,label"]
        for i in range(60):
            lines.append(
                f"{i + 7},{i % 9 if i % 5 else ''},{i},2024-01-{1 + i % 28:02d},t{i % 25},1,{'ab'[i % 2]}"
            )
        (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
        code, _, err = xp("train", "csv", "t.csv", "--epochs", 1)
        assert code == 0, err
        for said in (
            "label 'label' (by its name): classification (words), classes 'a', 'b'",
            "embedded: 'town'",
            "dates split into parts: 'when' (day, weekday)",
            "filled with the median, and marked: 'x'",
            "left out: 'id'",
            "left out: 'same': constant",
        ):
            assert said in err
        assert (tmp_path / "runs" / "csv-mlp-1" / "best.safetensors").exists()
        code, out, _ = xp("train", "table", "t.csv", "--epochs", 1, "--json")
        assert any("'town'" in note for note in json.loads(out.splitlines()[0])["notes"])
        assert xp("evaluate", "--json")[0] == 0
        code, out, err = xp("plot", "--what", "curves,confusion,activations,gradients")
        assert code == 0, err

    def test_rare_classes_may_count_as_much(self, xp, tmp_path):
        """30 of 330 are rare, and mixed with the others: unweighted they are never named."""
        rng = np.random.default_rng(0)
        rows = [f"{v:.3f},common" for v in rng.normal(0, 1, 300)] + [
            f"{v:.3f},rare" for v in rng.normal(1, 1, 30)
        ]
        (tmp_path / "t.csv").write_text("x,kind\n" + "\n".join(rows) + "\n")
        found = []
        for more in ((), ("--class-weight", "balanced")):
            out = tmp_path / f"r{len(found)}"
            code, _, err = xp(
                "train",
                "table",
                "t.csv",
                "--hidden",
                "none",
                "--epochs",
                30,
                "--lr",
                0.1,
                "--out",
                out,
                *more,
            )
            assert code == 0, err
            model = xpnn.load(out / "best.safetensors")
            found.append((model.predict_table("t.csv") == "rare").sum())
        assert found[0] < 5
        assert found[1] > 50

    def test_a_path_is_data(self, xp, trained):
        _, out, _ = xp("train", "table", trained / "train.csv", "--show-config", "--json")
        assert json.loads(out)["settings"]["data"]["value"] == str(trained / "train.csv")

    def test_a_wrong_task_is_refused(self, xp, trained):
        code, _, err = xp("train", "table", trained / "train.csv", "--task", "regression")
        assert (code, "'cat'" in err, "a number" in err) == (4, True, True)
        code, _, err = xp("train", "mnist", "--task", "regression")
        assert (code, "it is no table" in err) == (2, True)

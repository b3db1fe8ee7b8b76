"""Whole tables and lines as the commands print them: no column, row or word is missing or moved."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from test_list_runs import made

import xpnn
from xpnn.backends.cpu.blas import Blas
from xpnn.cli import backends, evaluate, fitting, gradcheck, train
from xpnn.cli.overview import Overview, finite, overview, runs_in
from xpnn.cli.runs import Saved
from xpnn.cli.state import State
from xpnn.data import Dataset
from xpnn.diagnostics.gradcheck import TOLERANCE, GradientCheck
from xpnn.errors import BackendError, FileError, TargetMissedError, UsageError
from xpnn.recipes import Recipe
from xpnn.training import History

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(autouse=True)
def wide(monkeypatch, workplace):  # noqa: F811
    monkeypatch.setenv("COLUMNS", "120")


def printed(text):
    """The lines without the spaces at their ends."""
    return [line.rstrip() for line in text.splitlines()]


def about(folder, **more):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


@pytest.fixture
def runs():
    a = made("a", hidden=[8, 8], result={"test_accuracy": 0.5, "test_loss": 0.75})
    about(a, parameters=12345, started="today")
    made("b", hidden=[16], lr=0.5, losses=(0.9,), result={"stopped": "early"})
    (made("c", losses=()) / "run.json").unlink()


def test_runs_in_a_table(xp, runs):
    code, out, err = xp("runs", "--sort", "name")
    assert (code, err) == (0, "")
    assert printed(out) == [
        "run    state  epochs  valid loss  valid acc  test acc  parameters",
        "─────────────────────────────────────────────────────────────────",
        "a       done     3/5        0.25    75.00 %   50.00 %      12,345",
        "b    stopped     1/5         0.9    10.00 %         -          51",
        "c       done       0           -          -         -           -",
    ]  # fmt: skip


@pytest.mark.parametrize("order", ["loss", "accuracy", "name"])
def test_runs_without_a_score_come_last(xp, runs, order):
    out = xp("runs", "--sort", order)[1]
    assert [line[0] for line in printed(out)[2:]] == ["a", "b", "c"]


def test_runs_side_by_side(xp, runs):
    code, out, err = xp("runs", "runs/b", "runs/a", "--sort", "name")
    assert (code, err) == (0, "")
    assert printed(out) == [
        "                  b        a",
        "────────────────────────────",
        "hidden         [16]   [8, 8]",
        "lr              0.5     0.01",
        "state       stopped     done",
        "epochs            1        3",
        "best epoch        1        2",
        "valid loss      0.9     0.25",
        "valid acc   10.00 %  75.00 %",
        "test acc          -  50.00 %",
        "test loss         -     0.75",
        "parameters       51   12,345",
        "seconds         2.0      6.0",
        "the same in all: 4 settings (--json lists them)",
    ]  # fmt: skip


def test_runs_as_json(xp, runs):
    code, out, err = xp("runs", "runs/a", "runs/b", "--json")
    assert (code, err) == (0, "")
    same = {"dataset": "spiral", "model": "mlp", "seed": 1, "epochs": 5}
    a = {
        "run": "runs/a", "state": "done", "started": "today", "error": None, "epochs": 3, "of": 5, "best_epoch": 2,
        "train_loss": 0.25, "valid_loss": 0.25, "valid_accuracy": 0.75, "test_accuracy": 0.5, "test_loss": 0.75,
        "parameters": 12345, "seconds": 6.0, "settings": same | {"hidden": [8, 8], "lr": 0.01},
    }  # fmt: skip
    b = {
        "run": "runs/b", "state": "stopped", "started": None, "error": None, "epochs": 1, "of": 5, "best_epoch": 1,
        "train_loss": 0.9, "valid_loss": 0.9, "valid_accuracy": 1 - 0.9, "test_accuracy": None, "test_loss": None,
        "parameters": 51, "seconds": 2.0, "settings": same | {"hidden": [16], "lr": 0.5},
    }  # fmt: skip
    found = json.loads(out)
    assert found == {"runs": [a, b], "different": {"hidden": [[8, 8], [16]], "lr": [0.01, 0.5]}}
    one = json.loads(xp("runs", "runs/a", "--json")[1])
    assert one == {"runs": [a]}  # nothing is compared with itself


@pytest.mark.parametrize(("value", "kept"), [
    (1, 1), (0.5, 0.5), (0, 0), (True, None), (float("inf"), None), (float("nan"), None), ("3", None), (None, None),
])  # fmt: skip
def test_numbers_of_a_file_are_shown_if_they_are_numbers(value, kept):
    assert finite(value) == kept
    assert finite(value) is None or type(finite(value)) is type(kept)


def test_a_run_without_rows_and_without_a_name(monkeypatch):
    folder = made("a", losses=())
    empty = overview(folder).scores
    assert empty == {
        "epochs": 0, "of": 5, "best_epoch": None, "train_loss": None, "valid_loss": None, "valid_accuracy": None,
        "test_accuracy": None, "test_loss": None, "parameters": 51, "seconds": 0,
    }  # fmt: skip
    monkeypatch.chdir(folder)
    assert overview(Path(".")).name == "a"
    assert Overview(Path("runs/b"), "done", {}, History()).settings == {}


def test_the_newest_runs_first_and_of_equal_ones_by_name(monkeypatch):
    for name, when in (("b", 5), ("a", 5), ("c", 9)):
        os.utime(made(name), (when, when))
    Path("runs/file").touch()
    found, more = runs_in(Path("runs"))
    assert ([path.name for path in found], more) == (["c", "b", "a"], 0)
    monkeypatch.setattr("xpnn.cli.overview.MOST", 2)
    assert ([path.name for path in runs_in(Path("runs"))[0]], runs_in(Path("runs"))[1]) == (["c", "b"], 1)
    with pytest.raises(FileError, match="no folder of runs at nowhere"):
        runs_in(Path("nowhere"))


# Backends


ROWS = [
    {"backend": "numpy", "status": "ready", "version": "2.1", "device": "cpu", "devices": ["cpu"],
     "detail": "cpu, numba", "fix": ""},
    {"backend": "torch", "status": "ready", "version": "2.9", "device": "cpu", "devices": ["cpu", "cuda:0", "mps"],
     "detail": "cpu", "fix": ""},
    {"backend": "cupy", "status": "missing", "version": None, "device": None, "devices": [],
     "detail": "cupy is not installed", "fix": "--backend numpy"},
]  # fmt: skip


@pytest.fixture
def machine(monkeypatch):
    """A machine with these backends, two notes and a driver of CUDA 12.4."""
    rows = {row["backend"]: row for row in ROWS}
    monkeypatch.setattr(backends, "backend_names", lambda: tuple(rows))
    monkeypatch.setattr(backends, "status", rows.get)
    monkeypatch.setattr(backends, "choose", lambda: ("numpy", "no GPU"))
    monkeypatch.setattr(backends, "blas", lambda: Blas("OpenBLAS", "0.3", "Zen", 2))
    monkeypatch.setattr(backends, "driver_version", lambda: (12, 4))
    monkeypatch.setattr(backends, "warnings", lambda found: [f"{found.threads} threads", "slow"])


def test_backends_in_a_table(xp, machine):
    code, out, err = xp("backends")
    assert (code, err) == (0, "")
    assert printed(out) == [
        "backend   status    version   detail",
        "───────────────────────────────────────────────────",
        "numpy     ready     2.1       cpu, numba",
        "torch     ready     2.9       cpu",
        "                              also cuda:0, mps",
        "cupy      missing   -         cupy is not installed",
        "                              --backend numpy",
        "auto    numpy (no GPU)",
        f"BLAS    {Blas('OpenBLAS', '0.3', 'Zen', 2)}",
        "driver  NVIDIA, CUDA 12.4",
        "note    2 threads",
        "note    slow",
    ]  # fmt: skip


def test_backends_as_json(xp, machine):
    code, out, err = xp("backends", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "backends": ROWS, "auto": {"backend": "numpy", "why": "no GPU"},
        "blas": {"name": "OpenBLAS", "version": "0.3", "kernel": "Zen", "threads": 2}, "driver_cuda": "12.4",
        "warnings": ["2 threads", "slow"],
    }  # fmt: skip


@pytest.mark.parametrize(("what", "why", "status", "detail"), [
    ("x is not installed", "", "missing", "x is not installed"),
    ("x is broken", "no GPU", "broken", "x is broken: no GPU"),
])  # fmt: skip
def test_a_backend_that_cannot_be_used(monkeypatch, what, why, status, detail):
    def refuse(name):
        raise BackendError(what, why=why, fix="backend='numpy'")

    monkeypatch.setattr(backends, "get_backend", refuse)
    assert backends.status("x") == {
        "backend": "x", "status": status, "version": None, "device": None, "devices": [], "detail": detail,
        "fix": "--backend numpy",
    }  # fmt: skip


def test_a_backend_is_tried_out(monkeypatch):
    tried, be = [], xpnn.get_backend("numpy")
    monkeypatch.setattr(backends, "check", tried.append)
    assert backends.status("numpy") == {
        "backend": "numpy", "status": "ready", "version": np.__version__, "device": "cpu", "devices": ["cpu"],
        "detail": be.hardware(), "fix": "",
    }  # fmt: skip
    assert [one.name for one in tried] == ["numpy"]


def test_the_kernels_stand_below_each_other(xp, monkeypatch):
    table = {"relu": "xpnn.kernels", "softmax": "numba.softmax"}
    monkeypatch.setattr(backends, "backend_class", lambda name: SimpleNamespace(kernel_table=lambda: table))
    assert xp("backends", "--kernels", "numpy")[1] == "relu    xpnn.kernels\nsoftmax numba.softmax\n"


# Gradients


CHECKED = [
    GradientCheck("0", "Dense", "W", 1.5e-9, 100, True), GradientCheck("0", "Dense", "b", 0.5, 3, False),
    GradientCheck("loss", "Loss", "prediction", float("inf"), 12, False, "not finite"),
    GradientCheck("1", "ReLU", "x", 0.0, 5, True, "a kink"),
]  # fmt: skip


@pytest.fixture
def asked(monkeypatch):
    """What `build` and `gradcheck` were given; the gradients are those of CHECKED."""
    found = []
    monkeypatch.setattr(gradcheck, "build", lambda *args, **more: found.append((args, more)) or ["layers"])
    monkeypatch.setattr(gradcheck, "gradcheck", lambda *args, **more: found.append((args, more)) or CHECKED)
    return found


def test_gradients_in_a_table(xp, asked):
    code, out, err = xp("gradcheck", "cnn", "--hidden", "513,512,3", "--activation", "elu")
    assert code == 1
    settings = {"hidden": (512, 512, 3), "activation": "elu", "dropout": 0.2, "pixels": True}
    assert asked == [
        (("cnn", (28, 28, 1), 10), settings), ((["layers"], (28, 28, 1)), {"loss": "softmax_cross_entropy"}),
    ]  # fmt: skip
    lines = printed(out)
    assert lines[0] == "layer       array          error   directions"
    assert set(lines[1]) == {"─"}
    assert lines[2:] == [
        "0 Dense     W            1.5e-09          100   ok",
        "0 Dense     b            5.0e-01            3   wrong",
        "loss Loss   prediction       inf           12   wrong  not finite",
        "1 ReLU      x            0.0e+00            5   ok  a kink",
        "layers wider than 512 were checked at 512",
        f"2 of 4 gradients agree ({gradcheck.HOW})",
    ]  # fmt: skip
    assert err.splitlines()[0] == ("xpnn: error: 2 of 4 gradients are wrong: 0 Dense.b, loss Loss.prediction")


def test_gradients_as_json(xp, asked):
    code, out, _ = xp("gradcheck", "mlp", "--hidden", "512", "--json")
    first = {
        "path": "0",
        "layer": "Dense",
        "array": "W",
        "error": 1.5e-9,
        "directions": 100,
        "ok": True,
        "note": "",
    }
    found = json.loads(out)
    assert code == 1
    assert found.pop("gradients")[:1] == [first]
    assert found == {
        "model": "mlp",
        "hidden": [512],
        "activation": "relu",
        "tolerance": TOLERANCE,
        "ok": False,
    }
    assert gradcheck.tidy(CHECKED[2])["error"] is None
    assert "wider" not in xp("gradcheck", "mlp", "--hidden", "512")[1]


# What evaluation prints


def flat(classes, shape=(3,), n=30, **more):
    """Data of so many classes, and a model of it."""
    k = len(classes)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, *shape)).astype(np.float32)
    y = np.arange(n) % k
    model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(k)], shape, seed=0)
    return Dataset("mine", x[:0], y[:0], x, y, classes, "nowhere", **more), model


def evaluated(monkeypatch, data, model, **about):
    saved = SimpleNamespace(weights=Path("w.safetensors"), about=about, load=lambda *place: model)
    monkeypatch.setattr(evaluate, "find_run", lambda run: saved)
    monkeypatch.setattr(evaluate, "test_samples", lambda *args: data)


@pytest.mark.parametrize(("count", "tables"), [(12, True), (13, False)])
def test_the_matrix_is_printed_up_to_twelve_classes(xp, monkeypatch, count, tables):
    names = tuple("abcdefghijklm"[:count])
    data, model = flat(names, n=39)
    evaluated(monkeypatch, data, model)
    code, out, err = xp("evaluate", "--backend", "numpy", "-v")
    assert code == 0
    taken = model.predict(data.x_test)
    right = (taken == data.y_test).sum()
    p = right / 39
    lines = printed(out)
    assert lines[0].startswith("true \\ taken for") is tables
    assert len(lines) == 2 + (tables and 14)
    assert re.fullmatch(
        rf"accuracy {100 * p:.2f} % ± {100 * (p * (1 - p) / 39) ** 0.5:.2f} · loss \d\.\d{{4}} · 39 samples in .+ s",
        lines[-2],
    )
    found = [line for line in err.splitlines() if " found " in line]
    assert found == [
        f"{name:<16} found {((taken == k) & (data.y_test == k)).sum()} of {(data.y_test == k).sum()}, "
        f"right {((taken == k) & (data.y_test == k)).sum()} of the {(taken == k).sum()} times it was predicted"
        for k, name in enumerate(names)
    ]


@pytest.mark.parametrize(("size", "noun"), [((4, 4, 1), "images"), ((4, 4), "samples")])
def test_what_the_samples_are_called(xp, monkeypatch, size, noun):
    evaluated(monkeypatch, *flat(("a", "b"), size))
    assert f" · 30 {noun} in " in xp("evaluate", "--backend", "numpy")[1]


@pytest.mark.parametrize("given", [False, True])
def test_an_evaluation_as_json(xp, monkeypatch, given):
    data, model = flat(("a", "b"), notes=("one", "two"))
    evaluated(monkeypatch, data, model)
    flags = ["--data", "a.csv"] if given else []
    found = json.loads(xp("evaluate", "--backend", "numpy", "--json", *flags)[1])
    taken = model.predict(data.x_test)
    matrix = [[int(((data.y_test == i) & (taken == j)).sum()) for j in range(2)] for i in range(2)]
    p = float((taken == data.y_test).mean())
    off = sorted([(matrix[0][1], "a", "b"), (matrix[1][0], "b", "a")], key=lambda row: -row[0])
    wanted = {
        "checkpoint": "w.safetensors", "dataset": "mine", "backend": "numpy", "device": "cpu", "samples": 30,
        "accuracy": p, "standard_error": (p * (1 - p) / 30) ** 0.5, "classes": ["a", "b"], "confusion": matrix,
        "worst": [{"true": t, "taken_for": f, "count": n} for n, t, f in off if n],
        "loss": pytest.approx(model.evaluate(data.x_test, data.y_test)["loss"]), "seconds": found["seconds"],
    }  # fmt: skip
    assert found == wanted | ({"notes": ["one", "two"]} if given else {})
    said = xp("evaluate", "--backend", "numpy", *flags)[2].splitlines()
    assert said[0].startswith("w.safetensors · mine · numpy ")
    assert said[1:] == (["       one", "       two"] if given else [])


def test_samples_whose_label_is_ignored_are_in_no_row(xp, monkeypatch):
    """And a part at a time: each pass adds to the matrix."""
    data, model = flat(("a", "b"))
    model.loss = xpnn.losses.SoftmaxCrossEntropy(ignore_index=0)
    evaluated(monkeypatch, data, model)
    monkeypatch.setattr(evaluate, "MANY", 7)
    found = json.loads(xp("evaluate", "--backend", "numpy", "--json")[1])
    assert sum(found["confusion"][0]) == 0
    assert sum(found["confusion"][1]) == 15
    parts = [(data.x_test[i : i + 7], data.y_test[i : i + 7]) for i in range(0, 30, 7)]
    losses = [len(y) * model.evaluate(x, y)["loss"] / 30 for x, y in parts]
    assert found["loss"] == pytest.approx(sum(losses), rel=1e-5)


# What a training prints before and after


@pytest.mark.parametrize(("accuracy", "wanted", "missed"), [
    (0.5, 0.5, False), (0.499, 0.5, True), (None, 0.5, False), (0.1, None, False),
])  # fmt: skip
def test_a_target_is_met_or_missed(accuracy, wanted, missed):
    if not missed:
        fitting.check_target({"test_accuracy": accuracy}, wanted)
        return
    with pytest.raises(TargetMissedError, match=r"test accuracy 49\.90 % is below the required 50\.00 %"):
        fitting.check_target({"test_accuracy": accuracy}, wanted)


def test_no_accuracy_is_required_of_a_regression():
    for classes, wanted in ((("a",), 0.5), ((), None)):
        fitting.check_wanted(SimpleNamespace(classes=classes), wanted)
    with pytest.raises(UsageError, match=r"--require-accuracy 0\.0 with a regression"):
        fitting.check_wanted(SimpleNamespace(classes=()), 0.0)


def begun(monkeypatch, **more):
    net = xpnn.Model([xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(3)], (2,), seed=0)
    y = np.arange(30) % 3
    x = np.zeros((30, 2), np.float32)
    data = Dataset("spiral", x, y, x[:20], y[:20], ("a", "b", "c"), "made here", None, ("one", "two"))
    known = {"model": "mlp", "parameters": 51, "dtype": "float32"} | more
    return train.start(known, "why", data, Recipe(validation=0.1), net, as_json="as_json" in more)


@pytest.mark.parametrize(("more", "ending"), [
    ({}, "51 parameters · 0.2 KB"), ({"dtype": "float64"}, "51 parameters · 0.4 KB"),
    ({"frozen": 1234}, "51 parameters · 0.2 KB · 1,234 frozen"),
])  # fmt: skip
def test_what_is_said_before_a_training(monkeypatch, capsys, more, ending):
    watcher = begun(monkeypatch, **more)
    assert capsys.readouterr() == (
        "", "data   spiral, made here   train 27 · valid 3 · test 20\n       one\n       two\n"
        f"model  mlp 2-8-3 · {ending}\n",
    )  # fmt: skip
    assert type(watcher).__name__ == "Progress"
    monkeypatch.setattr(train, "state", lambda: State(quiet=True))
    assert type(begun(monkeypatch)).__name__ == "Callback"


def test_what_is_said_before_a_training_as_json(monkeypatch, capsys):
    watcher = begun(monkeypatch, as_json=True, started="now", classes=["a"], result=None)
    found = json.loads(capsys.readouterr().out)
    assert type(watcher).__name__ == "Events"
    assert found == {
        "event": "start", "model": "mlp", "parameters": 51, "dtype": "float32", "as_json": True,
        "notes": ["one", "two"], "why": "why", "train": 27, "valid": 3, "test": 20,
    }  # fmt: skip


RESULT = {
    "best_epoch": 3,
    "seconds": 12.345,
    "test_accuracy": 0.75,
    "test_r2": 0.5,
    "test_mae": 1.25,
    "test_rmse": 2,
}
PICTURES = xpnn.data.ImagePreparation(28, 28, 1, ("a", "b"))


@pytest.mark.parametrize(("folder", "name", "classes", "preparation", "lines"), [
    ("runs/a", "spiral", "ab", None, ["test accuracy 75.0 % (1,000 wrong of 4,000) · best epoch 3 · 12.3 s",
                                      "saved  runs/a/best.safetensors (2.0 KB)", "next   xpnn evaluate"]),
    ("my run", "spiral", "", None, ["test R2 0.5000 · MAE 1.25 · RMSE 2 · 4,000 samples · best epoch 3 · 12.3 s",
                                    "saved  my run/best.safetensors (2.0 KB)", "next   xpnn evaluate 'my run'"]),
    ("runs/a", "table", "ab", None, [None, None, "next   xpnn predict TABLE · xpnn evaluate"]),
    ("b", "csv", "ab", None, [None, None, "next   xpnn predict TABLE --run b · xpnn evaluate b"]),
    ("runs/a", "images", "ab", PICTURES, [None, None, "next   xpnn predict FILE.png · xpnn evaluate"]),
    ("b", "images", "ab", PICTURES, [None, None, "next   xpnn predict FILE.png --run b · xpnn evaluate b"]),
])  # fmt: skip
def test_the_last_lines_of_a_training(capsys, folder, name, classes, preparation, lines):
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "best.safetensors").write_bytes(bytes(2000))
    run = SimpleNamespace(folder=folder, weights=folder / "best.safetensors")
    data = SimpleNamespace(y_test=range(4000), classes=tuple(classes), name=name, preparation=preparation)
    train.finish(RESULT, data, run)
    out, err = capsys.readouterr()
    assert err == ""
    for found, wanted in zip(out.splitlines(), lines, strict=True):
        assert wanted in (None, found)


def test_what_run_json_says_before_the_result(monkeypatch):
    net = xpnn.Model([xpnn.Dense(3)], (2,), seed=0)
    data = Dataset(
        "spiral", np.zeros((3, 2)), np.arange(3), np.zeros((1, 2)), np.zeros(1, int), ("a", "b", "c"), "here"
    )
    monkeypatch.setattr(train, "machine", lambda: {"cores": 2})
    monkeypatch.setattr(train, "git_state", lambda: None)
    found = train.describe(data, Path("a.csv"), "kind", "mlp", net, Recipe(), 7)
    assert found.pop("started")
    assert found == {
        "xpnn": xpnn.__version__, "dataset": "spiral", "data": str(Path("a.csv").resolve()), "label": "kind",
        "classes": ("a", "b", "c"), "input_shape": (2,), "model": "mlp", "settings": Recipe().to_json(),
        "parameters": 9, "backend": "numpy", "device": "cpu", "dtype": "float32", "precision": "fp32", "seed": 7,
        "machine": {"cores": 2}, "git": None,
        "versions": {"python": train.platform.python_version(), "numpy": np.__version__}, "result": None,
    }  # fmt: skip
    assert train.describe(data, None, None, "mlp", net, Recipe(), 7)["data"] is None


def test_the_result_of_a_training():
    net = xpnn.Model([xpnn.Dense(3)], (2,), seed=0)
    x, y = np.ones((4, 2), np.float32), np.arange(4) % 3
    data = Dataset("spiral", x, y, x, y, ("a", "b", "c"), "here")
    trainer = xpnn.Trainer(net)
    trainer.stopped = ""
    scores = net.evaluate(x, y)
    found = train.score(net, trainer, data, SimpleNamespace(weights=Path("w")), 0.0)
    assert found.pop("seconds") > 0
    assert found == {
        "test_accuracy": scores["accuracy"], "test_loss": scores["loss"], "best_epoch": None, "stopped": None,
        "backend": "numpy", "device": "cpu", "parameters": 9, "checkpoint": "w",
    }  # fmt: skip
    trainer.stopped = "early stopping"
    assert train.score(net, trainer, data, SimpleNamespace(weights="w"), 0.0)["stopped"] == "early stopping"


def test_a_model_file_knows_its_classes():
    assert Saved(Path("w"), {"classes": ["a", "b"]}).classes == ["a", "b"]
    assert Saved(Path("w"), {"classes": None}).classes == Saved(Path("w"), {}).classes == []

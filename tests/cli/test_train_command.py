"""The commands `train`, `tune`, `export` and `import` from end to end: run.json, early refusals, options passed on."""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from PIL import Image

import xpnn
from xpnn.cli import events, transfer
from xpnn.cli.runs import OWN
from xpnn.data import TablePreparation
from xpnn.errors import UsageError
from xpnn.recipes import RECIPES

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = ("--epochs", "1", "--hidden", "2", "--backend", "numpy", "--threads", "1", "--seed", "3")
train = import_module("xpnn.cli.train")


def table(rows=60):
    lines = [f"{i},{i * 7 % 11},{'ab'[i % 3 == 0]}" for i in range(rows)]
    Path("t.csv").write_text("u,v,kind\n" + "\n".join(lines) + "\n")


def about(name):
    return json.loads(Path("runs", name, "run.json").read_text())


def test_run_json_of_a_training_on_a_table(xp, monkeypatch):
    table()
    kept = []
    monkeypatch.setattr(train, "keep_memory", lambda: kept.append(1))
    flags = (
        "--task",
        "classification",
        "--class-weight",
        "balanced",
        "--label",
        "kind",
        "--dtype",
        "float64",
    )
    code, out, err = xp("train", "table", "t.csv", *QUICK, *flags)
    assert (code, kept) == (0, [1]), err
    found = about("table-mlp-1")
    model = xpnn.load("runs/table-mlp-1/best.safetensors")
    for name in ("xpnn", "started", "machine", "git", "versions"):
        found.pop(name)
    result = found.pop("result")
    recipe = RECIPES["table"].replace(hidden=(2,), epochs=1).to_json()
    assert found == {
        "dataset": "table", "data": str(Path("t.csv").resolve()), "label": "kind", "classes": ["a", "b"],
        "input_shape": [2], "model": "mlp", "settings": recipe, "parameters": 12, "backend": "numpy", "device": "cpu",
        "dtype": "float64", "precision": "fp32", "seed": 3, "threads": 1, "task": "classification",
        "class_weight": "balanced", "resize": None, "files": sorted(OWN),
        "endings": {"early_stopping": None, "checkpoint_every": None, "time_limit": None},
    }  # fmt: skip
    assert (result["best_epoch"], result["parameters"], result["stopped"]) == (1, 12, None)
    weights = model.loss.class_weight
    assert weights[0] < 1 < weights[1]
    assert isinstance(model.preparation, TablePreparation)
    assert out.splitlines()[2] == "next   xpnn predict TABLE · xpnn evaluate"


def pictures(folder, count=6):
    for name in ("cats", "dogs"):
        Path(folder, name).mkdir(parents=True)
        for i in range(count):
            noise = np.random.default_rng(i).integers(0, 255, (8, 8), dtype=np.uint8)
            Image.fromarray(noise).save(Path(folder, name, f"{i}.png"))


def test_pictures_are_resized_and_come_in_small_batches(xp):
    pictures("few")
    code, _, err = xp("train", "images", "few", *QUICK, "--resize", "4x6")
    assert code == 0, err
    found = about("images-mlp-1")
    assert (found["resize"], found["input_shape"], found["settings"]["batch_size"]) == ("4x6", [4, 6, 1], 16)
    assert "       batches of 16 (--batch-size), as there are " in err


def test_what_is_frozen_is_noted(xp):
    code, _, err = xp("train", "moons", *QUICK, "--freeze", "0.*", "--freeze", "*.b")
    assert code == 0, err
    found = about("moons-mlp-1")
    frozen = {name: found[name] for name in ("from", "freeze", "frozen", "replaced_head")}
    assert frozen == {"from": None, "freeze": ["0.*", "*.b"], "frozen": 8, "replaced_head": False}
    assert "12 parameters · 0.0 KB · 8 frozen" in err
    code, _, err = xp(
        "train", "--from", "runs/moons-mlp-1", "moons", "--replace-head", "--epochs", "1", "--seed", "3"
    )
    assert code == 0, err
    again = about("moons-mlp-2")
    assert (again["from"], again["replaced_head"], again["frozen"]) == (
        "runs/moons-mlp-1/best.safetensors",
        True,
        0,
    )
    code, _, err = xp("train", "--resume", "runs/moons-mlp-2", "--epochs", "1")
    assert code == 0, err
    assert about("moons-mlp-2")["from"] == again["from"]


@pytest.mark.parametrize("args", [
    ("table", "t.csv", "--label", "u", "--task", "regression", "--require-accuracy", "0.5"),
    ("table", "t.csv", "--label", "u", "--task", "regression", "--label-smoothing", "0.1"),
    ("moons", "--augment"), ("moons", "--freeze", "9.*"), ("moons", "--resume", "nowhere"),
])  # fmt: skip
def test_what_cannot_be_trained_leaves_no_folder(xp, args):
    table()
    code, out, _ = xp("train", *args, *QUICK)
    assert code in (2, 7)
    assert out == ""
    assert not Path("runs").exists()


def test_a_reader_that_goes_ends_the_training_after_its_epoch(xp, monkeypatch):
    """What was trained is saved: it can be gone on with."""
    sent = []

    def emit(event):
        sent.append(event["event"])
        raise BrokenPipeError

    monkeypatch.setattr(events, "emit", emit)
    code, out, err = xp("train", "moons", *QUICK[2:], "--epochs", "3", "--json")
    assert (code, err, sent) == (7, "", ["epoch"])
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["start"]
    folder = Path("runs/moons-mlp-1")
    assert about("moons-mlp-1")["result"] is None
    assert (folder / "last.safetensors").exists()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 1
    assert not (folder / ".xpnn.lock").exists()


# Where a network comes from


def sourced(model, source, given=None, head=False, how=click.core.ParameterSource.DEFAULT):
    with click.Context(click.Command("c")) as context:
        context.set_parameter_source("model", how)
        return transfer.find_source(source, head, model, given or {})


def test_the_network_of_another_run(monkeypatch):
    saved = SimpleNamespace(weights=Path("w"), about={"model": "cnn"})
    monkeypatch.setattr(transfer, "find_run", lambda path: saved)
    typed = click.core.ParameterSource.COMMANDLINE
    assert sourced("mlp", None) == (None, "mlp")
    assert sourced("mlp", Path("r"), {"epochs": 3, "hidden": None}) == (saved, "cnn")
    assert sourced("cnn", Path("r"), how=typed) == (saved, "cnn")
    saved.about = {"model": "of another version"}
    assert sourced("mlp", Path("r")) == (saved, "mlp")
    for args, more, flag in (
        (("mlp", Path("r")), {"how": typed}, "--model"),
        (("mlp", Path("r"), {"input_dropout": 0.5, "dropout": 0.1}), {}, "--dropout"),
        (("mlp", Path("r"), {"input_dropout": 0.0}), {}, "--input-dropout"),
    ):
        with pytest.raises(UsageError, match=f"^{flag} beside --from"):
            sourced(*args, **more)
    with pytest.raises(UsageError, match="--replace-head without a network"):
        sourced("mlp", None, head=True)
    assert transfer.find_source(Path("r"), False, "mlp", {}) == (saved, "mlp")  # called from Python


def test_how_the_source_prepared_its_data(monkeypatch):
    assert transfer.preparation_of(None) is None
    assert transfer.preparation_of("gone") is None
    Path("here").touch()
    made = SimpleNamespace(load=lambda backend: SimpleNamespace(preparation=("p", backend)))
    monkeypatch.setattr(transfer, "find_run", lambda path: made)
    assert transfer.preparation_of("here") == ("p", "numpy")


def test_patterns_freeze_parameters():
    adam = xpnn.Adam(0.1)
    assert transfer.frozen(adam, ()) is adam
    groups = transfer.frozen(adam, ("0.*", "*.b"))
    assert groups == xpnn.Groups(
        adam, (xpnn.optimizers.Group("0.*", frozen=True), xpnn.optimizers.Group("*.b", frozen=True))
    )


# What `tune` is asked for


@pytest.fixture
def searched(monkeypatch):
    """What the search was given, none of which is made; its study is in memory."""
    optuna = pytest.importorskip("optuna")
    calls = []
    monkeypatch.setattr("xpnn.cli.study.open_study", lambda task: optuna.create_study(direction="maximize"))
    monkeypatch.setattr("xpnn.cli.search.search", lambda *args: calls.append(args))
    return calls


@pytest.mark.parametrize(("flags", "trials", "limit", "jobs", "how", "said"), [
    ((), 20, None, 1, "say", "20 trials of 40 epochs"), (("--trials", "1", "--epochs", "1"), 1, None, 1, "say",
     "1 trial of 1 epoch"), (("--jobs", "2", "--time-limit", "3", "-q"), 20, 3.0, 2, "quiet", None),
    (("--json",), 20, None, 1, "json", None),
])  # fmt: skip
def test_options_of_tune_reach_the_search(xp, searched, flags, trials, limit, jobs, how, said):
    code, out, err = xp("tune", "spiral", "--backend", "numpy", *flags)
    ((task, *asked),) = searched
    assert (code, out, asked) == (2, "", [trials, limit, jobs, how])
    epochs = 1 if "--epochs" in flags else 40
    assert (task.dataset, task.model, task.epochs, task.seed, task.data, task.label) == (
        "spiral",
        "mlp",
        epochs,
        42,
        None,
        None,
    )
    assert (task.backend, task.device, task.folder, task.resize, task.storage, task.total, task.task) == (
        "numpy", "cpu", "runs/tune-spiral-mlp", None, "", trials, None,
    )  # fmt: skip
    first = err.splitlines()[0]
    assert (first == f"tune   spiral mlp · {said} · runs/tune-spiral-mlp/study.db") is (said is not None)
    assert "no trial was finished" in err


def test_a_search_of_pictures_of_ones_own(xp, searched):
    pictures("few")
    flags = ("--resize", "4x6", "--label", "a", "--task", "classification", "--seed", "5", "--model", "cnn")
    xp("tune", "images", "--data", "few", "--out", "o", "--backend", "numpy", *flags)
    task = searched[0][0]
    assert (task.dataset, task.model, task.seed, task.data) == (
        "images",
        "cnn",
        5,
        str(Path("few").resolve()),
    )
    assert (task.label, task.folder, task.resize, task.task) == ("a", "o", (4, 6), "classification")


def test_a_search_that_is_stopped_says_where_its_trials_are(xp, searched, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("xpnn.cli.search.search", stop)
    code, out, err = xp("tune", "spiral", "--backend", "numpy", "-q")
    assert (code, out) == (130, "")
    assert err == (
        "xpnn: interrupted: the trials so far are in runs/tune-spiral-mlp/study.db; the same command goes on\n"
    )


def test_a_worker_leaves_the_result_to_others(xp, searched):
    code, out, _ = xp("tune", "spiral", "--storage", "journal:trials", "--worker", "--backend", "numpy")
    assert (code, out, len(searched)) == (0, "", 1)
    code, out, err = xp("tune", "spiral", "--storage", "journal:trials", "--backend", "numpy")
    assert (code, out) == (2, "")
    assert "no trial was finished" in err
    Path("o").write_text("")
    code, _, err = xp("tune", "spiral", "--out", "o", "--backend", "numpy")
    assert code == 7
    assert "cannot make the folder o" in err


# What `export`, `import` and `serve` pass on, and what `--resume` takes over


PROGRAM = SimpleNamespace(inputs=[], outputs=[], meanings=[])
PLAIN = {"classes": ["a"], "probabilities": None, "channels": "last", "preprocessing": True}


@pytest.mark.parametrize(("flags", "function", "path", "more"), [
    (("--to", "onnx"), "save_onnx", "runs/a/best.onnx", {}), (("--to", "c"), "save_c", "runs/a/best.h", {}),
    (("--to", "onnx", "--opset", "17", "--logits"), "save_onnx", "runs/a/best.onnx",
     {"opset": 17, "probabilities": False}),
    (("--to", "py", "--weights-beside", "--channels", "first"), "save_python", "runs/a/best.py",
     {"beside": True, "channels": "first"}),
    (("--to", "html", "--out", "o.html", "--no-preprocessing"), "save_html", "o.html",
     {"examples": ["e"], "preprocessing": False}),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_options_of_export_reach_the_writer(xp, monkeypatch, flags, function, path, more, dtype):
    from xpnn import interchange
    from xpnn.cli import export

    calls, model = [], SimpleNamespace(backend=SimpleNamespace(dtype_name=dtype))
    saved = SimpleNamespace(
        weights=Path("runs/a/best.safetensors"), classes=["a"], load=lambda backend: model
    )
    monkeypatch.setattr(export, "find_run", lambda run: saved)
    monkeypatch.setattr(export, "examples_of", lambda *args: ["e"])
    monkeypatch.setattr(export, "report", lambda *args: calls.append(args))
    monkeypatch.setattr(interchange, function, lambda *args, **more: calls.append((args, more)) or PROGRAM)
    code, out, err = xp("export", *flags)
    assert (code, out) == (0, "")
    assert err == ("the weights are float64 and are written as float32\n" if dtype == "float64" else "")
    assert calls == [((model, Path(path)), PLAIN | more), (saved, Path(path), PROGRAM, False)]


@pytest.mark.parametrize(("flags", "what"), [
    (("--to", "c", "--opset", "17"), "--opset beside --to c"),
    (("--to", "onnx", "--weights-beside"), "--weights-beside beside --to onnx"),
])  # fmt: skip
def test_flags_of_another_kind_of_file(xp, monkeypatch, flags, what):
    monkeypatch.setattr("xpnn.cli.export.find_run", lambda run: SimpleNamespace())
    code, _, err = xp("export", *flags)
    assert (code, err.splitlines()[0]) == (2, f"xpnn: error: {what}")


@pytest.mark.parametrize(("flags", "given"), [
    ((), {"batched": True, "classes": (), "mean": None, "std": None}),
    (("--unbatched", "--mean", "0.5", "--std", "1,2,3"),
     {"batched": False, "classes": (), "mean": 0.5, "std": (1.0, 2.0, 3.0)}),
    (("--classes", "names"), {"batched": True, "classes": ["a", "b"], "mean": None, "std": None}),
])  # fmt: skip
def test_options_of_import_reach_the_reader(xp, monkeypatch, flags, given):
    from xpnn import interchange

    def load(file, **more):
        assert (file, more) == (Path("sub/net.ONNX"), given)
        return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)

    Path("names").write_text("a\nb\n")
    monkeypatch.setattr(interchange, "load_onnx", load)
    code, out, err = xp("import", "sub/net.ONNX", *flags)
    assert code == 0, err
    assert out.splitlines()[1:] == ["in     (N, 3)", "out    (N, 2)"]
    assert Path("net.safetensors").exists()


@pytest.mark.parametrize(("about", "quiet", "name"), [({}, False, "best"), ({"dtype": "float64"}, True, "a")])
def test_the_model_that_is_served(monkeypatch, capsys, about, quiet, name):
    pytest.importorskip("starlette")
    from xpnn.cli import serve

    made, opened = [], []
    be = SimpleNamespace(name="numpy", device_name="cpu")
    saved = SimpleNamespace(weights=Path("runs/a/best.safetensors"), about=about, load=lambda *place: place)
    monkeypatch.setattr(serve, "open_backend", lambda *args: opened.append(args) or (be, "why"))
    monkeypatch.setattr(serve, "backend_line", lambda be, why: f"on {be.name} ({why})")
    monkeypatch.setattr(serve, "class_names", lambda saved, model: ("c", model))
    monkeypatch.setattr(serve, "examples_of", lambda saved, model: ["e", model])
    monkeypatch.setattr("xpnn.web.app.Served", lambda *args: made.append(args) or "served")
    assert serve.opened(saved, "auto", "cpu", quiet) == "served"
    model = ("numpy", "cpu")
    assert made == [(model, name, ("c", model), ["e", model])]
    assert opened == [("auto", "cpu", about.get("dtype", "float32"))]
    assert capsys.readouterr().err == ("" if quiet else "runs/a/best.safetensors · on numpy (why)\n")


SETTINGS = {"hidden": [8, 3], "augmentation": ["RandomFlip()"], "lr": 0.5, "dropout": None, "epochs": 7}


@pytest.mark.parametrize(("more", "found"), [
    ({}, {"hidden": "8,3", "augment": True, "freeze": ()}),
    ({"freeze": ["0.*"], "endings": {"early_stopping": 3, "time_limit": None}, "seed": 0, "threads": "adapt"},
     {"hidden": "8,3", "augment": True, "freeze": ("0.*",), "early_stopping": 3, "seed": 0, "threads": "adapt"}),
    ({"settings": SETTINGS | {"hidden": [], "augmentation": []}}, {"hidden": "none", "augment": False, "freeze": ()}),
])  # fmt: skip
def test_the_settings_of_a_run_that_goes_on(more, found):
    from xpnn.cli.resume import take_settings

    folder = Path("r")
    folder.mkdir()
    (folder / "last.safetensors").touch()
    known = {"dataset": "spiral", "model": "mlp", "settings": SETTINGS, "data": None}
    (folder / "run.json").write_text(json.dumps(known | more))
    context = click.Context(click.Command("c"))
    context.default_map = {"epochs": 99, "jobs": 2}
    assert take_settings(context, None, None) is None
    assert take_settings(context, None, folder) == folder
    wanted = {"dataset": "spiral", "model": "mlp", "lr": 0.5, "epochs": 7} | found
    assert context.default_map == wanted | {"jobs": 2}
    assert context.meta == dict.fromkeys(wanted, "r/run.json")


def test_a_run_that_began_with_other_weights_goes_on(monkeypatch):
    from xpnn.cli.resume import continued
    from xpnn.recipes import Recipe

    recipe, be = Recipe((8,)), xpnn.get_backend("numpy")
    made = xpnn.Model([xpnn.Dense(3)], (2,), seed=5)
    Path("run.json").write_text(json.dumps({"model": "mlp", "settings": recipe.to_json()}))
    state = made.net, made.input_shape, made.snapshot()
    monkeypatch.setattr("xpnn.training.state.read_network", lambda path: state)
    found = continued(Path("."), "mlp", recipe, be, 9)
    assert (found.seed, found.net) == (9, made.net)
    np.testing.assert_array_equal(found.theta, made.theta)
    for model, other, words in (
        ("cnn", recipe, "model was mlp, here it is cnn"),
        ("mlp", recipe.replace(hidden=(9,), dropout=0.5), r"hidden was \[8\], here it is \[9\]"),
    ):
        with pytest.raises(UsageError, match=f"belongs to another run: {words}"):
            continued(Path("."), model, other, be, 9)


def test_a_path_beside_the_name_and_what_a_shell_completes(xp):
    table()
    out = xp("train", "table", "t.csv", "--show-config")[1]
    assert f'data{"":14}"t.csv"{"":16}command line' in out.splitlines()
    completing = click.Context(train.command, resilient_parsing=True)
    (config,) = [param for param in train.command.params if param.name == "config"]
    assert config.callback(completing, config, Path("missing.toml")) is None

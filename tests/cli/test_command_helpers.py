"""Networks and losses of a training, samples to test on, pages, imports, output by way of mpiexec: a case a branch."""

import errno
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import workplace  # noqa: F401

import xpnn
from xpnn.cli import (
    export,
    launcher,
    network,
    output,
    samples,
    serve,
)
from xpnn.data import Dataset
from xpnn.errors import DataError, FileError, UsageError
from xpnn.layers import Dense, Rescale, Standardize
from xpnn.recipes import Recipe
from xpnn.training.trainer import hold_out

pytestmark = pytest.mark.usefixtures("workplace")


# Networks and losses of a training


def data_of(name="npz", shape=(2,), y=(0, 0, 1, 0), classes=("a", "b", "c"), dtype=np.float32, **more):
    x = np.random.default_rng(0).integers(0, 9, (len(y), *shape)).astype(dtype)
    return Dataset(name, x, np.array(y), x[:1], np.array(y)[:1], classes, "", **more)


def test_rare_classes_weigh_more():
    """n / (classes n_c); a class without samples 1."""
    found = network.make_loss(data_of(), Recipe(label_smoothing=0.1), "balanced")
    assert found == xpnn.losses.SoftmaxCrossEntropy(0.1, class_weight=(4 / 9, 4 / 3, 1.0))
    assert network.make_loss(data_of(), Recipe(label_smoothing=0.2)) == xpnn.losses.SoftmaxCrossEntropy(0.2)
    numbers = data_of(classes=(), y=(0.5, 1.5))
    assert network.make_loss(numbers, Recipe()) == xpnn.losses.MeanSquaredError()
    with pytest.raises(UsageError, match="--class-weight balanced with a regression"):
        network.make_loss(numbers, Recipe(), "balanced")
    with pytest.raises(UsageError, match=r"--label-smoothing 0\.1 with a regression"):
        network.make_loss(numbers, Recipe(label_smoothing=0.1))


@pytest.mark.parametrize(("name", "shape", "dtype", "kind"), [
    ("npz", (2,), np.float32, Standardize), ("hdf5", (2, 2), np.float32, Rescale), ("npz", (2,), np.uint8, None),
    ("spiral", (2,), np.float32, None), ("zarr", (2,), np.float32, Standardize),
])  # fmt: skip
def test_data_is_scaled_by_its_training_part(name, shape, dtype, kind):
    data, recipe = data_of(name, shape, (0, 1) * 10, ("a", "b"), dtype), Recipe(validation=0.5)
    train, held = hold_out(data.y, 0.5, 3)
    assert len(train) == len(held) == 10
    wanted = [] if kind is None else [kind.fit(data.x[train])]
    assert network.preprocessing(data, recipe, 3) == wanted
    assert kind is not Standardize or network.preprocessing(data, recipe, 4) != wanted


def test_the_network_of_a_training():
    be, recipe = xpnn.get_backend("numpy"), Recipe((4,), "tanh", 0.25, 0.5, validation=0.5)
    made = network.make_model("mlp", data_of("images", (2, 2, 1), dtype=np.uint8), recipe, be, 7)
    assert [type(layer).__name__ for layer in made.net.layers] == [
        "Flatten", "Rescale", "Dropout", "Dense", "Tanh", "Dropout", "Dense",
    ]  # fmt: skip
    assert (made.seed, made.output_shape, made.backend) == (7, (3,), be)
    assert [layer.rate for layer in made.net.layers if type(layer).__name__ == "Dropout"] == [0.25, 0.5]
    numbers = network.make_model("mlp", data_of("spiral", classes=(), y=(0.5, 1.5)), recipe, be, 7)
    assert (numbers.loss, numbers.output_shape) == (xpnn.losses.MeanSquaredError(), (1,))
    moving = recipe.replace(augmentation=(xpnn.RandomFlip(),))
    moved = network.make_model("mlp", data_of("images", (2, 2, 1), dtype=np.uint8), moving, be, 7)
    assert moved.net.layers[0] == xpnn.RandomFlip()
    with pytest.raises(UsageError, match=r"--augment moves images, and npz has samples of shape \(2,\)"):
        network.make_model("mlp", data_of(), moving, be, 7)


# Samples to test on, examples on a page


def test_samples_of_both_parts_in_the_order_of_the_file():
    h5py = pytest.importorskip("h5py")
    from xpnn.stored_array import StoredArray

    with h5py.File("a.h5", "w") as file:
        file["x"] = np.arange(12).reshape(6, 2)
        x = StoredArray(file["x"], np.array([0, 2, 5]))
        x_test = StoredArray(file["x"], np.array([1, 4]))
        data = Dataset("hdf5", x, np.array([0, 2, 5]), x_test, np.array([1, 4]), "a", "")
        both, y = samples.together(data)
        assert both.rows.tolist() == y.tolist() == [0, 1, 2, 4, 5]
        assert both[:].tolist() == [[0, 1], [2, 3], [4, 5], [8, 9], [10, 11]]


@pytest.mark.parametrize(("about", "data", "known"), [
    ({}, None, False), ({"dataset": "a"}, None, True), ({}, Path("a"), True),
])  # fmt: skip
def test_test_data_must_be_known_from_run_json_or_given(about, data, known):
    saved = SimpleNamespace(weights="w", about=about)
    if known:
        samples.check_known(saved, data, "that")
        return
    with pytest.raises(UsageError, match=r"no run\.json beside w") as found:
        samples.check_known(saved, data, "that")
    assert found.value.fix == "name a folder written by xpnn train, or that"


def test_folders_with_pictures():
    Path("a/.hidden").mkdir(parents=True)
    Path("a/file").touch()
    assert [samples.has_folders(Path(name)) for name in ("a", "a/file", "nowhere")] == [False, False, False]
    Path("a/cats").mkdir()
    assert samples.has_folders(Path("a"))


def test_the_data_of_a_run_is_loaded_again(monkeypatch):
    asked = []
    monkeypatch.setattr(samples, "load", lambda *args, **more: asked.append((args, more)))
    about = {"dataset": "table", "seed": 7, "label": "kind", "task": "regression"}
    samples.again(about, "a.csv", "known")
    samples.again({"dataset": "spiral"}, None)
    table = object.__new__(xpnn.data.TablePreparation)
    samples.again(about, "a.csv", table)
    assert asked == [
        (("table", "a.csv", 7, "kind", "regression"), {"known": "known", "verbose": 0}),
        (("spiral", None, 0, None, None), {"known": None, "verbose": 0}),
        (("table", "a.csv", 7, None, None), {"known": table, "verbose": 0}),
    ]


@pytest.mark.parametrize(("held_out", "data", "notes", "tested"), [
    (True, None, (), [2]), (True, "a", ("a was trained on: the 1 held-out samples are used",), [2]),
    (True, "b", ("all samples of b are used",), [0, 1, 2]), (False, "b", (), [2]), (False, "a", (), [2]),
])  # fmt: skip
def test_which_samples_are_tested(monkeypatch, held_out, data, notes, tested):
    y = np.arange(3)
    found = Dataset("npz", y[:2, None], y[:2], y[2:, None], y[2:], ("a", "b", "c"), "", held_out=held_out)
    loaded = []
    monkeypatch.setattr(samples, "load", lambda *args, **more: loaded.append(args[1]) or found)
    about = {"dataset": "npz", "data": str(Path("a").resolve()), "classes": ["a", "b", "c"]}
    saved = SimpleNamespace(weights="w", about=about, classes=about["classes"])
    got = samples.test_samples(saved, SimpleNamespace(preparation=None), data and Path(data), "that")
    assert (got.y_test.tolist(), got.x_test[:, 0].tolist(), got.notes) == (tested, tested, notes)
    assert loaded == [Path("b") if data == "b" else about["data"]]


def test_a_picture_of_each_class_on_a_page(monkeypatch, capsys):
    """The first of each among 500 test samples, at most twelve; none of the user's own pictures."""
    y = np.array([*range(14, 2, -1), *[3] * 487, 1, 0, 2])  # the last two are beyond the first 500
    x = np.random.default_rng(0).integers(0, 256, (502, 2, 2, 1)).astype(np.uint8)
    data = SimpleNamespace(x_test=x, y_test=y)
    monkeypatch.setattr(export, "test_samples", lambda *args: data)
    made, about = SimpleNamespace(input_shape=(2, 2, 1)), {"dataset": "mnist"}
    found = export.examples_of(SimpleNamespace(about=about), made)
    firsts = {int(label): i for i, label in reversed(list(enumerate(y[:500])))}
    np.testing.assert_array_equal(found, [x[firsts[label]] for label in sorted(firsts)[:12]])
    assert len(found) == 12
    mine = {"dataset": "mnist", "data": "mine"}
    for other, shape in ((mine, (2, 2, 1)), ({}, (2, 2, 1)), (about, (4,)), (about, (2, 3, 1))):
        assert export.examples_of(SimpleNamespace(about=other), SimpleNamespace(input_shape=shape)) == []
    data.x_test = x.astype(np.float32)
    assert export.examples_of(SimpleNamespace(about=about), made) == []
    assert capsys.readouterr().err == ""

    def fail(*args):
        raise DataError("it is gone")

    monkeypatch.setattr(export, "test_samples", fail)
    assert export.examples_of(SimpleNamespace(about=about), made) == []
    assert capsys.readouterr().err == "no examples on the page: it is gone\n"


@pytest.mark.parametrize(
    ("length", "text"), [(160, "x" * 160), (161, f"{'x' * 160} ... (161 characters, in the file)")]
)
def test_long_words_are_cut(length, text):
    assert export.shortened("x" * length) == text


def test_what_was_exported(tmp_path, capsys):
    path = tmp_path / "a.onnx"
    path.write_bytes(bytes(3210))
    program = SimpleNamespace(
        inputs=[("x", "float32", (2, 3)), ("ids", "int64", ())], outputs=[("p", (4,))], meanings=["features"]
    )
    saved = SimpleNamespace(weights="w", classes=["a"])
    export.report(saved, path, program, False)
    assert capsys.readouterr() == (
        f"saved  {path} (3.2 KB) from w\nin     x float32 (N, 2, 3)\n       x holds features\nin     ids int64 (N)\n"
        "out    p float32 (N, 4)\n", "",
    )  # fmt: skip
    export.report(saved, path, program, True)
    assert json.loads(capsys.readouterr().out) == {
        "file": str(path), "bytes": 3210, "checkpoint": "w", "classes": ["a"],
        "inputs": [{"name": "x", "dtype": "float32", "shape": [2, 3], "holds": "features"},
                   {"name": "ids", "dtype": "int64", "shape": []}],
        "outputs": [{"name": "p", "dtype": "float32", "shape": [4]}],
    }  # fmt: skip


# A page on the net


@pytest.fixture
def served(monkeypatch):
    """What `serve` did: the calls of the server, in order."""
    pytest.importorskip("starlette")
    calls = []
    monkeypatch.setattr("xpnn.web.server.check_extra", lambda: calls.append("checked"))
    listener = SimpleNamespace(close=lambda: calls.append("closed"))
    monkeypatch.setattr("xpnn.web.server.listen", lambda *place: calls.append(place) or listener)
    monkeypatch.setattr("xpnn.web.server.address_of", lambda found, host: f"http://{host}")
    monkeypatch.setattr("xpnn.web.server.serve", lambda app, found: calls.append("served"))
    monkeypatch.setattr(serve, "what_to_serve", lambda run: (None, Path("runs")))

    class App:
        pages = ("runs",)

        def __init__(self, *args, **more):
            calls.append((args, more))

    monkeypatch.setattr("xpnn.web.app.App", App)
    return calls


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_serve_opens_the_given_host_and_port(xp, served, as_json, host):
    flags = [
        "--host",
        host,
        "--port",
        "81",
        "--allow-host",
        "me",
        "--allow-host",
        "you",
        *["--json"] * as_json,
    ]
    code, out, err = xp("serve", *flags)
    assert code == 0
    assert served == [
        "checked", (host, 81), ((host, ("me", "you")), {"served": None, "runs": Path("runs")}), "served", "closed",
    ]  # fmt: skip
    event = {"event": "serving", "address": f"http://{host}", "pages": ["runs"]}
    assert (json.loads(out) == event) if as_json else out == f"serving http://{host} (Ctrl-C ends it)\n"
    assert err == ("" if host == "127.0.0.1" else f"note   {serve.EVERYONE}\n")


# Output by way of mpiexec


def test_a_closed_reader_behind_the_pipe_raises_broken_pipe_once(tmp_path):
    read, write = os.pipe()
    with open(tmp_path / "out", "wb") as file:
        watched = launcher.WatchedOutput(file.fileno(), write)
        assert watched.write(b"one\n") == 4
        os.close(read)
        with pytest.raises(BrokenPipeError) as found:
            watched.write(b"two\n")
        assert found.value.errno == errno.EPIPE
        assert watched.write(b"three\n") == 6  # once
        watched.close()
    os.close(write)
    assert (tmp_path / "out").read_bytes() == b"one\nthree\n"


def processes(root, chain):
    """A folder like /proc: chain is [(number, name)], each the child of the next."""
    for i, (number, name) in enumerate(chain):
        above = chain[i + 1][0] if i + 1 < len(chain) else 1
        (root / str(number)).mkdir()
        (root / str(number) / "comm").write_text(f"{name}\n")
        (root / str(number) / "stat").write_text(f"{number} ({name} x) S {above} 7 8")


@pytest.mark.parametrize(("between", "name", "found"), [
    (0, "mpiexec.hydra", True), (1, "mpirun", True), (5, "mpiexec", True), (6, "mpiexec", False), (1, "bash", False),
])  # fmt: skip
def test_the_launcher_is_found_among_parent_processes(tmp_path, monkeypatch, between, name, found):
    processes(tmp_path, [*((100 + i, "sh") for i in range(between)), (90, name)])
    monkeypatch.setattr(launcher, "Path", lambda path: tmp_path if path == "/proc" else Path(path))
    monkeypatch.setattr(launcher, "open_pipe", lambda path: path)
    monkeypatch.setattr(os, "getppid", lambda: 100 if between else 90)
    monkeypatch.delenv("PMI_RANK", raising=False)
    assert launcher.launchers_pipe() is None
    monkeypatch.setenv("PMI_RANK", "0")
    assert launcher.launchers_pipe() == ("/proc/90/fd/1" if found else None)


def test_standard_output_is_watched(tmp_path, monkeypatch):
    monkeypatch.setattr(launcher, "launchers_pipe", lambda: None)
    out = sys.stdout
    launcher.watch_reader()
    assert sys.stdout is out
    read, write = os.pipe()
    with open(tmp_path / "out", "w", encoding="latin-1") as file:
        monkeypatch.setattr(launcher, "launchers_pipe", lambda: write)
        monkeypatch.setattr(sys, "stdout", file)
        file.write("before ")
        launcher.watch_reader()
        assert sys.stdout is not file
        assert (sys.stdout.encoding, sys.stdout.errors) == ("latin-1", "replace")
        sys.stdout.write("→ after")
        sys.stdout.flush()
        sys.stdout.detach().detach().close()
    os.close(read)
    os.close(write)
    assert (tmp_path / "out").read_text() == "before ? after"


# Importing and the playground


def test_names_of_classes_in_a_file():
    from importlib import import_module

    module = import_module("xpnn.cli.import")
    Path("n.txt").write_text("cat\n\n  dog \n")
    assert module.lines_of(Path("n.txt")) == ["cat", "dog"]
    Path("n.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"n\.txt holds no names"):
        module.lines_of(Path("n.txt"))
    Path("n.txt").write_bytes(b"\xff")
    for name in ("n.txt", "missing"):
        with pytest.raises(FileError, match=f"cannot read {name}"):
            module.lines_of(Path(name))
    assert [module.one_or_each(one) for one in ((0.5,), (1.0, 2.0), None)] == [0.5, (1.0, 2.0), None]


@pytest.mark.parametrize(("count", "listed"), [
    (6, "classes  6: a, b, c, d, e, f"), (7, "classes  7: a, b, c, d, e, f, ..."),
])  # fmt: skip
def test_what_was_imported(xp, count, listed):
    pytest.importorskip("onnx")
    made = xpnn.Model([xpnn.Flatten(), Dense(count)], (2, 2, 1), seed=0)
    xpnn.interchange.save_onnx(made, "net.onnx", probabilities=False)
    Path("names").write_text("\n".join("abcdefg"[:count]))
    code, out, err = xp("import", "net.onnx", "--classes", "names")
    size = output.size(Path("net.safetensors").stat().st_size)
    assert code == 0, err
    assert out.splitlines() == [
        f"saved  net.safetensors ({size}) from net.onnx · {5 * count} parameters", "in     (N, 2, 2, 1)",
        f"out    (N, {count})", listed,
    ]  # fmt: skip
    found = json.loads(xp("import", "net.onnx", "--json", "--out", "o.safetensors")[1])
    assert found == {
        "file": "o.safetensors", "bytes": Path("o.safetensors").stat().st_size, "source": "net.onnx",
        "parameters": 5 * count, "inputs": [[2, 2, 1]], "outputs": [[count]], "classes": [],
    }  # fmt: skip


def test_a_page_to_play_with(xp):
    code, out, err = xp("playground", "--out", "p.html")
    size = Path("p.html").stat().st_size
    assert (code, out, err) == (0, f"saved  p.html ({output.size(size)})\n", "")
    assert json.loads(xp("playground", "--out", "p.html", "--json")[1]) == {"file": "p.html", "bytes": size}
    Path("mine.html").write_text("mine")
    code, _, err = xp("playground", "--out", "mine.html")
    assert (code, Path("mine.html").read_text()) == (2, "mine")
    Path("large").write_bytes(bytes((4 << 20) - 12) + b"Made by xpnn")
    assert xp("playground", "--out", "large")[0] == 0
    Path("large").write_bytes(bytes((4 << 20) - 11) + b"Made by xpnn")
    assert xp("playground", "--out", "large")[0] == 7


def test_the_first_lines_of_a_file_of_settings(xp):
    lines = xp("init", "spiral")[1].splitlines()
    assert lines[4:14] == [
        "", "# What to train on.", 'dataset = "spiral"', "", "# Architecture.  [default: mlp]", 'model = "mlp"', "",
        "# Widths of the hidden layers, or none.", "#hidden = [64, 64]", "",
    ]  # fmt: skip

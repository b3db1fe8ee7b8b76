"""The command line: what each flag does, what is printed where, and every exit code."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from command_line import on_a_terminal
from PIL import Image

import xpnn
import xpnn.cli
from xpnn.data.folder import NAMES
from xpnn.durable import write_durably
from xpnn.errors import BackendError
from xpnn.recipes import RECIPES

ROOT = Path(xpnn.__file__).parents[1]
QUICK = ["train", "spiral", "--hidden", "8", "--epochs", "2"]

START = {
    "event": str, "xpnn": str, "dataset": str, "data": (str, type(None)), "label": (str, type(None)),
    "input_shape": list, "model": str, "settings": dict, "parameters": int, "backend": str, "device": str,
    "dtype": str, "precision": str, "seed": int, "machine": dict, "git": (dict, type(None)), "versions": dict,
    "endings": dict, "why": str, "train": int, "valid": int, "test": int, "notes": list,
    "task": (str, type(None)), "class_weight": (str, type(None)), "resize": (str, type(None)),
    "threads": (int, str, type(None)),
}  # fmt: skip
EPOCH = {
    "event": str, "epoch": int, "train_loss": float, "valid_loss": float, "valid_accuracy": float, "lr": float,
    "seconds": float, "best": bool, "train_accuracy": float,
}  # fmt: skip
END = {
    "event": str, "test_accuracy": float, "test_loss": float, "best_epoch": int, "stopped": (str, type(None)),
    "seconds": float, "backend": str, "device": str, "parameters": int, "checkpoint": str,
}  # fmt: skip


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty current folder, and none of the variables that change what the commands do."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "XPNN_BACKEND",
        "XPNN_DEVICE",
        "XPNN_DEBUG",
        "XPNN_DATA",
        "NO_COLOR",
        "FORCE_COLOR",
        "COLUMNS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "tests" / "without_numba"), str(ROOT))))


@pytest.fixture
def trained(xp):
    """The end event of a quick run."""

    def call(*args):
        code, out, err = xp(*QUICK, "--json", *args)
        assert (code, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return call


def about(number=1):
    return json.loads(Path(f"runs/spiral-mlp-{number}/run.json").read_text())


def fits(event, schema):
    assert event.keys() == schema.keys()
    for key, kind in schema.items():
        assert isinstance(event[key], kind), (key, event[key])


MAIN = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from xpnn.cli import main
main()"""
"""SIGINT gets its default meaning back: a test run in the background may ignore it."""


def start(*args, **more):
    """A real process."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *map(str, args)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | more,
    )


def write_digits(folder, train=600, test=100):
    """A folder of IDX files with the first digits of MNIST."""
    x, y, x_test, y_test = xpnn.data.mnist()
    folder.mkdir()
    for name, array in zip(NAMES, (x[:train], y[:train], x_test[:test], y_test[:test]), strict=True):
        array = array.reshape(array.shape[:3]).astype(np.uint8)
        header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
        (folder / name).write_bytes(header + array.tobytes())
    return folder


class TestTrain:
    def test_transcript(self, xp):
        code, out, err = xp(*QUICK)
        assert code == 0
        first, data, model, head, *rows = err.splitlines()
        version = re.escape(np.__version__)
        where = r"cpu(?:, numba [\d.]+)?, \d+ threads?"
        pattern = rf"xpnn 0\.1\.0 · numpy {version} on {where} \(auto: .+\) · float32 · seed 42"
        assert re.fullmatch(pattern, first)
        assert (
            data
            == "data   spiral, generated (seed 42), a third held out   train 1,800 · valid 200 · test 1,000"
        )
        assert model == "model  mlp 2-8-3 · 51 parameters · 0.2 KB"
        assert head.split() == ["epoch", "train_loss", "train_acc", "valid_loss", "valid_acc", "lr", "time"]
        assert len(rows) == 2
        assert all(
            re.fullmatch(r" +\d[* ] +\d\.\d{4} +\d+\.\d\d % +\d\.\d{4} +\d+\.\d\d % +\S+ +\d+\.\ds", row)
            for row in rows
        )
        test, saved, following = out.splitlines()
        wanted = r"test accuracy \d+\.\d % \(\d+ wrong of 1,000\) · best epoch [12] · \d+\.\d s"
        assert re.fullmatch(wanted, test)
        assert re.fullmatch(r"saved  runs/spiral-mlp-1/best\.safetensors \(\d+\.\d KB\)", saved)
        assert following == "next   xpnn evaluate"

    def test_events(self, trained):
        first, *epochs, last = trained()
        fits(first, START)
        fits(last, END)
        assert len(epochs) == 2
        for event in epochs:
            fits(event, EPOCH)
        assert [event["event"] for event in (first, *epochs, last)] == ["start", "epoch", "epoch", "end"]
        assert (first["train"], first["valid"], first["test"], first["parameters"]) == (1800, 200, 1000, 51)
        assert last["best_epoch"] == max(epochs, key=lambda row: row["valid_accuracy"])["epoch"]

    def test_what_is_saved(self, trained):
        _, *epochs, end = trained()
        folder = Path("runs/spiral-mlp-1")
        assert sorted(p.name for p in folder.iterdir()) == [
            "best.1.safetensors",
            "best.safetensors",
            "film",
            "last.1.safetensors",
            "last.safetensors",
            "live.json",
            "metrics.jsonl",
            "run.json",
        ]
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [{"event": "epoch", **row} for row in rows] == [{**row, "crc32": ANY} for row in epochs]
        assert {"event": "end", **about()["result"]} == end
        assert about()["versions"]["numpy"] == np.__version__
        data = xpnn.data.load("spiral", seed=42)
        scores = xpnn.load(end["checkpoint"]).evaluate(data.x_test, data.y_test)
        assert scores == {"accuracy": end["test_accuracy"], "loss": end["test_loss"]}

    def test_the_test_set_is_used_once_on_the_best_weights(self, trained, monkeypatch):
        calls, evaluate = [], xpnn.Model.evaluate

        def watch(model, x, y):
            calls.append((len(x), model.snapshot()))
            return evaluate(model, x, y)

        monkeypatch.setattr(xpnn.Model, "evaluate", watch)
        *_, end = trained("--epochs", "6", "--lr", "0.05")
        ((samples, vectors),) = calls
        assert samples == 1000
        np.testing.assert_array_equal(vectors["theta"], xpnn.load(end["checkpoint"]).snapshot()["theta"])

    @pytest.mark.parametrize(
        ("flags", "name", "value"),
        [
            ("--hidden 7,5", "hidden", [7, 5]),
            ("--hidden none", "hidden", []),
            ("--activation tanh", "activation", "tanh"),
            ("--dropout 0.5", "dropout", 0.5),
            ("--epochs 3", "epochs", 3),
            ("--batch-size 64", "batch_size", 64),
            ("--optimizer adamw", "optimizer", "adamw"),
            ("--lr 0.25", "lr", 0.25),
            ("--schedule cosine", "schedule", "cosine"),
            ("--weight-decay 0.5", "weight_decay", 0.5),
        ],
    )
    def test_settings(self, trained, flags, name, value):
        first, *epochs, _ = trained(*flags.split())
        recipe = RECIPES["spiral"].replace(hidden=(8,), epochs=2)
        plain = {**recipe.__dict__, "hidden": [8], "augmentation": [], "network": []}
        if name == "optimizer":
            plain |= {"lr": None, "weight_decay": None}
        assert first["settings"] == plain | {name: value}
        assert len(epochs) == first["settings"]["epochs"]

    def test_settings_reach_the_training(self, trained):
        """Each changes the course of the same run; without one it is the same run, bit for bit."""

        def course(*flags):
            return [event["train_loss"] for event in trained(*flags)[1:-1]]

        plain, seen = course(), []
        assert course() == plain
        for flags in (
            ["--activation", "tanh"], ["--dropout", "0.5"], ["--batch-size", "32"], ["--optimizer", "sgd"],
            ["--lr", "0.25"], ["--schedule", "constant"], ["--weight-decay", "0.5"], ["--seed", "1"],
            ["--dtype", "float64"], ["--hidden", "7,5"],
        ):  # fmt: skip
            seen.append(course(*flags))
        assert len({tuple(losses) for losses in [plain, *seen]}) == len(seen) + 1

    def test_the_layers_saved_are_those_asked_for(self, trained):
        flags = [
            "--hidden",
            "7,5",
            "--activation",
            "elu",
            "--dropout",
            "0.5",
            "--dtype",
            "float64",
            "--seed",
            "9",
        ]
        *_, end = trained(*flags)
        model = xpnn.load(end["checkpoint"])
        kinds = [type(layer).__name__ for layer in model.net.layers]
        assert kinds == ["Dense", "ELU", "Dropout", "Dense", "ELU", "Dropout", "Dense"]
        assert (model.backend.dtype_name, model.seed) == ("float64", 9)
        assert end["parameters"] == 2 * 7 + 7 + 7 * 5 + 5 + 5 * 3 + 3

    def test_another_backend(self, trained):
        pytest.importorskip("array_api_strict")
        first, *epochs, end = trained("--backend", "strict", "--epochs", "1")
        assert (first["backend"], end["backend"], first["why"]) == ("strict", "strict", "--backend")
        numpy = trained("--backend", "numpy", "--epochs", "1")
        assert epochs[0]["train_loss"] == pytest.approx(numpy[1]["train_loss"], rel=1e-5)

    def test_variables_stand_in_for_flags(self, trained, monkeypatch):
        monkeypatch.setenv("XPNN_BACKEND", "numpy")
        assert trained()[0]["why"] == "XPNN_BACKEND"
        assert trained("--backend", "auto")[0]["why"].startswith("auto: ")

    def test_idx_files_from_a_folder(self, xp, tmp_path):
        digits = write_digits(tmp_path / "digits")
        code, out, _ = xp("train", "idx", "--data", digits, "--epochs", 1, "--hidden", 16)
        assert code == 0
        assert out.splitlines()[2] == "next   xpnn predict FILE.png · xpnn evaluate"
        assert json.loads(Path("runs/idx-mlp-1/run.json").read_text())["data"] == str(digits)
        assert xp("evaluate")[0] == 0

    def test_each_run_has_a_folder_of_its_own(self, trained):
        Path("runs/spiral-mlp-7").mkdir(parents=True)
        Path("runs/spiral-mlp-old").mkdir()
        assert trained()[-1]["checkpoint"] == "runs/spiral-mlp-8/best.safetensors"
        assert trained()[-1]["checkpoint"] == "runs/spiral-mlp-9/best.safetensors"

    def test_out(self, xp, trained):
        assert trained("--out", "a/b")[-1]["checkpoint"] == "a/b/best.safetensors"
        code, out, err = xp(*QUICK, "--out", "a/b")
        assert (code, out) == (2, "")
        assert "a/b already holds a trained model" in err
        assert "next   xpnn evaluate c" in xp(*QUICK, "--out", "c")[1]


class TestEndings:
    """Every exit code, from a command that earns it."""

    def test_success(self, xp):
        assert xp("--help")[0] == xp("train", "-h")[0] == xp()[0] == 0
        assert xp("--version")[:2] == (0, f"xpnn {xpnn.__version__}\n")

    def test_bug(self, xp, monkeypatch):
        monkeypatch.setattr("xpnn.training.ranks.evaluate", lambda *args, **settings: 1 / 0)
        code, out, err = xp(*QUICK)
        assert (code, out) == (1, "")
        assert (
            "xpnn: error: unexpected ZeroDivisionError: division by zero\n  why: this is a bug in xpnn" in err
        )
        assert "please report it" in err
        assert "Traceback" not in err

    @pytest.mark.parametrize("where", [0, 1])
    def test_debug_shows_the_traceback(self, xp, monkeypatch, where):
        monkeypatch.setattr("xpnn.training.ranks.evaluate", lambda *args, **settings: 1 / 0)
        args = ["--debug", *QUICK] if where == 0 else [*QUICK, "--debug"]
        code, _, err = xp(*args)
        assert code == 1
        assert "Traceback" in err
        assert "xpnn: error: unexpected ZeroDivisionError" in err

    @pytest.mark.parametrize(
        ("args", "what", "fix"),
        [
            ("trian", "unknown command 'trian'", "did you mean 'train'?"),
            ("train fashon", "unknown dataset 'fashon'", "did you mean 'fashion'?"),
            ("train --epoch 3", "unknown option --epoch", "did you mean --epochs?"),
            ("train --zzz", "unknown option --zzz", "xpnn train --help shows them all"),
            ("train --model mpl", "unknown model 'mpl'", "did you mean 'mlp'?"),
            ("train --activation rellu", "unknown activation 'rellu'", "did you mean 'relu'?"),
            ("train --optimizer addam", "unknown optimizer 'addam'", "did you mean 'adam'?"),
            ("train --schedule cosin", "unknown schedule 'cosin'", "did you mean 'cosine'?"),
            ("train --dtype float23", "unknown dtype 'float23'", "did you mean 'float32'?"),
            ("train --backend numppy", "unknown backend 'numppy'", "did you mean 'numpy'?"),
            ("train --backend cuda", "unknown backend 'cuda'", "did you mean --backend cupy?"),
            ("train --backend numpy --device cuda", "'numpy' has no device 'cuda'", "--backend cupy"),
            ("train --backend numpy --device gpu", "'numpy' has no device 'gpu'", "one of: cpu"),
            ("train --epochs 0", "--epochs: 0 is not in the range", "xpnn train --help"),
            ("train --epochs many", "--epochs: 'many' is no whole number", "xpnn train --help"),
            ("train --epochs", "Option '--epochs' requires an argument", "--help"),
            ("train --dropout 1", "--dropout: 1.0 is not in the range", "xpnn train --help"),
            ("train --lr 0", "--lr: 0.0 is not in the range", "xpnn train --help"),
            ("train --hidden 8,x", "--hidden: '8,x' is no list of whole numbers", "xpnn train --help"),
            ("train --hidden 8,0", "--hidden: '8,0' is no list", "xpnn train --help"),
            (
                "train --require-accuracy 98.5",
                "--require-accuracy: 98.5 is not in the range",
                "xpnn train --help",
            ),
            ("train mnist folder extra", "unexpected extra argument", "xpnn train --help"),
            ("train idx", "which folder holds the data?", "--data FOLDER"),
            ("predict", "Missing argument '[RUN] FILE...'", "xpnn predict --help"),
            ("export", "Missing option '--to'. Choose from: onnx, py, c, html\n", "xpnn export --help"),
            ("version", "unknown command 'version'", "xpnn --version"),
            ("help train", "unknown command 'help'", "xpnn train --help"),
            ("evaluate --run runs/a", "unknown option --run", "the run needs no flag: xpnn evaluate RUN"),
            ("train --lr fast", "--lr: 'fast' is no number", "xpnn train --help"),
            ("gradcheck mpl", "unknown model 'mpl'", "did you mean 'mlp'?"),
            ("--halp", "unknown option --halp", "did you mean --help?"),
        ],
    )
    def test_usage(self, xp, args, what, fix):
        code, out, err = xp(*args.split())
        assert (code, out) == (2, "")
        assert what in err.split("xpnn: error: ")[1]
        assert fix in err.split("\n  fix: ")[1]
        assert not Path("runs").exists()

    def test_backend(self, xp, cupy):
        cupy({}, None)
        code, out, err = xp(*QUICK, "--backend", "cupy")
        assert (code, out) == (3, "")
        assert "needs CuPy, which is not installed" in err
        assert xp(*QUICK, "--device", "cuda")[0] == 3  # a device that was asked for never falls back
        assert not Path("runs").exists()

    def test_data(self, xp, tmp_path):
        folder = write_digits(tmp_path / "digits")
        (folder / NAMES[0]).write_bytes(b"no digits")
        code, out, err = xp("train", "idx", "--data", folder)
        assert (code, out) == (4, "")
        assert "is not an IDX file" in err

    def test_model_file(self, xp, trained):
        weights = Path(trained()[-1]["checkpoint"])
        weights.write_bytes(weights.read_bytes()[:-3])
        code, out, err = xp("evaluate")
        assert (code, out) == (5, "")
        assert "best.safetensors" in err

    def test_damaged_description(self, xp, trained):
        trained()
        Path("runs/spiral-mlp-1/run.json").write_text("{")
        assert xp("evaluate")[0] == 5

    def test_diverged(self, xp):
        code, out, err = xp(*QUICK, "--optimizer", "sgd", "--lr", "1e30")
        assert (code, out) == (6, "")
        assert "xpnn: error: loss became" in err
        assert not list(Path("runs").iterdir())  # a run that saved nothing leaves nothing

    def test_a_folder_that_cannot_be_written(self, xp, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setattr(xpnn.Trainer, "fit", None)  # never reached: it is found out before
        code, out, err = xp(*QUICK, "--out", tmp_path / "file" / "run")
        assert (code, out) == (7, "")
        assert "cannot make the folder" in err
        assert "--out DIR" in err

    def test_a_disk_that_is_full(self, xp, tmp_path, monkeypatch):
        def full(handle):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(xpnn.Trainer, "fit", None)
        monkeypatch.setattr(os, "fsync", full)
        code, out, err = xp(*QUICK)
        assert (code, out) == (7, "")
        assert "No space left on device" in err
        assert not list(Path("runs").glob("*"))

    def test_target_missed(self, xp):
        code, out, err = xp(*QUICK, "--require-accuracy", "1")
        assert code == 8
        assert "saved  runs/spiral-mlp-1/best.safetensors" in out
        assert re.search(r"xpnn: error: test accuracy \d+\.\d\d % is below the required 100\.00 %", err)
        assert Path("runs/spiral-mlp-1/best.safetensors").exists()
        assert xp(*QUICK, "--require-accuracy", "0.1")[0] == 0

    @pytest.mark.parametrize(
        ("sent", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
    )
    def test_signals(self, sent, code, word):
        with start("train", "spiral", "--hidden", 8, "--epochs", 10**6, "--json") as process:
            for _ in range(3):  # the start and two epochs
                process.stdout.readline()
            process.send_signal(sent)
            _, err = process.communicate()
        assert process.returncode == code
        saved = "saved in runs/spiral-mlp-1\n  to go on: xpnn train --resume runs/spiral-mlp-1"
        assert err == f"xpnn: {word}: {saved}\n"
        xpnn.load("runs/spiral-mlp-1/best.safetensors")
        kept = {p.name for p in Path("runs/spiral-mlp-1").iterdir()}
        assert kept - {"best.1.safetensors", "last.1.safetensors"} == {
            "best.safetensors", "film", "last.safetensors", "live.json", "metrics.jsonl", "run.json",
        }  # fmt: skip
        assert about()["result"] is None

    def test_interrupted_elsewhere(self, xp, monkeypatch):
        def stop(*args, **more):
            raise KeyboardInterrupt

        monkeypatch.setattr("xpnn.cli.gradcheck.gradcheck", stop)
        assert xp("gradcheck", "mlp") == (130, "", "xpnn: interrupted\n")

    def test_a_write_cut_short_leaves_no_temporary(self, monkeypatch):
        def stop(handle):
            raise KeyboardInterrupt

        write_durably(Path("file"), b"old")
        monkeypatch.setattr(os, "fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            write_durably(Path("file"), b"new")
        assert [p.read_bytes() for p in Path().iterdir()] == [b"old"]

    def test_interrupted_before_anything_was_saved(self, xp, monkeypatch):
        def fit(*args, **more):
            raise KeyboardInterrupt

        monkeypatch.setattr(xpnn.Trainer, "fit", fit)
        code, _, err = xp(*QUICK)
        assert code == 130
        assert err.splitlines()[-1] == "xpnn: interrupted: no epoch was finished, nothing was saved"
        assert not list(Path("runs").iterdir())


class TestStreams:
    def test_a_closed_output_ends_the_training(self):
        with start("train", "spiral", "--hidden", 8, "--epochs", 50, "--json") as process:
            process.stdout.close()
            assert process.stderr.read() == ""
        assert process.returncode == 7

    def test_a_terminal_without_unicode(self, xp):
        assert xp(*QUICK)[0] == 0
        with start("evaluate", text=False, env={**os.environ, "PYTHONIOENCODING": "latin-1"}) as process:
            out, err = process.communicate()
        assert (process.returncode, b"Traceback" in err) == (0, False)
        assert re.search(rb"worst pairs  arm \d\?arm \d \xd7\d+", out)  # latin-1 has the cross, not the arrow

    def test_no_escape_codes_in_a_pipe(self):
        with start(*QUICK) as process:
            out, err = process.communicate()
        assert process.returncode == 0
        assert "\x1b" not in out + err
        assert "━" not in err

    def test_a_terminal_gets_a_live_bar(self):
        seen, code = on_a_terminal(*QUICK)
        assert code == 0
        assert "\x1b[" in seen
        assert "━" in seen
        assert re.search(r"1/2\b.* 0 %", seen)
        assert "eta" in seen

    def test_no_color(self):
        plain, code = on_a_terminal("train", "fashon", NO_COLOR="1")
        assert (code, "\x1b" in plain) == (2, False)
        assert "\x1b[31m" in on_a_terminal("train", "fashon")[0]
        assert not re.search(r"\x1b\[[0-9;]*3[0-9]", on_a_terminal(*QUICK, NO_COLOR="1")[0])

    def test_help_imports_nothing_that_it_does_not_need(self):
        code = (
            "import sys, xpnn.cli; xpnn.cli.run(['--help'])\n"
            "heavy = {'rich', 'PIL', 'safetensors', 'pooch', 'torch', 'jax', 'cupy', 'array_api_strict'}\n"
            "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(name in done.stdout for name in xpnn.cli.COMMANDS)


class TestEvaluate:
    def test_transcript(self, xp, trained):
        end = trained("--epochs", "4")[-1]
        code, out, err = xp("evaluate")
        assert code == 0
        assert err.startswith("runs/spiral-mlp-1/best.safetensors · spiral · numpy ")
        p = end["test_accuracy"]
        assert (
            f"accuracy {100 * p:.2f} % ± {100 * math.sqrt(p * (1 - p) / 1000):.2f} · loss {end['test_loss']:.4f}"
            in out
        )
        assert "1,000 samples in " in out
        assert max(map(len, out.splitlines())) <= 80
        cells = [[int(n) for n in line.replace("·", "0").split()[3:]] for line in out.splitlines()[2:5]]
        assert sum(map(sum, cells)) == 1000
        assert sum(cells[i][i] for i in range(3)) == round(1000 * p)

    def test_json(self, xp, trained):
        end = trained()[-1]
        code, out, err = xp("evaluate", "runs/spiral-mlp-1", "--json", "--backend", "numpy")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert (result["accuracy"], result["loss"]) == (end["test_accuracy"], end["test_loss"])
        matrix = np.array(result["confusion"])
        data = xpnn.data.load("spiral", seed=42)
        labels = xpnn.load(end["checkpoint"]).predict(data.x_test)
        wanted = np.zeros((3, 3), int)
        np.add.at(wanted, (data.y_test, labels), 1)
        np.testing.assert_array_equal(matrix, wanted)
        worst = result["worst"][0]
        off = wanted - np.diag(np.diag(wanted))
        assert worst["count"] == off.max()
        assert off[int(worst["true"][-1]), int(worst["taken_for"][-1])] == off.max()

    def test_the_newest_run_and_its_own_data(self, xp, trained):
        trained("--seed", "1")
        trained("--seed", "2", "--out", "elsewhere")
        trained("--seed", "3")
        os.utime("runs/spiral-mlp-1/best.safetensors")  # the newest now
        assert json.loads(xp("evaluate", "--json")[1])["checkpoint"] == "runs/spiral-mlp-1/best.safetensors"
        by_file = json.loads(xp("evaluate", "elsewhere/best.safetensors", "--json")[1])
        result = json.loads(Path("elsewhere/run.json").read_text())["result"]
        assert by_file["accuracy"] == result["test_accuracy"]

    def test_ten_classes_fit_a_terminal(self, xp, tmp_path):
        folder = write_digits(tmp_path / "digits", 200, 100)
        assert xp("train", "idx", "--data", folder, "--epochs", 1, "--hidden", 4)[0] == 0
        out = xp("evaluate")[1]
        assert max(map(len, out.splitlines())) <= 80
        assert "100 images in" in out
        assert re.search(r"worst pairs  \d→\d ×\d+", out)

    def test_nothing_to_test(self, xp, trained):
        assert xp("evaluate")[0] == 7
        assert xp("evaluate", "nowhere")[0] == 7
        Path(trained()[-1]["checkpoint"]).rename("alone.safetensors")
        code, _, err = xp("evaluate", "alone.safetensors")
        assert code == 2
        assert "no run.json beside alone.safetensors" in err


class TestPredict:
    @pytest.fixture
    def digits(self, xp, tmp_path):
        """A model of digits, older than a model of the spiral; and pictures of a seven."""
        folder = write_digits(tmp_path / "digits", 4000, 100)
        assert xp("train", "idx", "--data", folder, "--epochs", 3, "--hidden", 64)[0] == 0
        assert xp(*QUICK)[0] == 0
        seven = xpnn.data.mnist()[2][0, :, :, 0]
        page = np.asarray(Image.fromarray(255 - seven).resize((140, 140)))
        Image.fromarray(np.pad(page, ((20, 90), (50, 300)), constant_values=255)).convert("RGB").save(
            "seven.png"
        )
        Image.fromarray(seven).save("plain.png")

    def test_transcript(self, xp, digits):
        code, out, err = xp("predict", "seven.png", "plain.png")
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert len(lines) == 2 * 15
        note = r"seven\.png  490×250 RGB → grey, inverted \(light background\), cropped to \d+×\d+, centred"
        assert re.fullmatch(note, lines[0])
        assert all(set(line[:28]) <= set(" ▀▄█") for line in lines[1:15])
        assert sum(line.count("█") for line in lines[1:15]) > 20
        assert re.search(r"   7  +\d+\.\d %  █+", lines[6])
        shares = [float(re.search(r"(\d+\.\d) %", line).group(1)) for line in lines[6:9]]
        assert shares == sorted(shares, reverse=True)

    def test_json(self, xp, digits):
        code, out, err = xp("predict", "seven.png", "plain.png", "--json")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert result["checkpoint"] == "runs/idx-mlp-1/best.safetensors"  # the spiral's takes no pictures
        large, plain = result["predictions"]
        assert (large["class"], plain["class"]) == ("7", "7")
        assert (large["inverted"], plain["inverted"]) == (True, False)
        assert (large["size"], large["mode"]) == ([490, 250], "RGB")
        assert sum(plain["classes"].values()) == pytest.approx(1, abs=1e-5)
        assert plain["probability"] == max(plain["classes"].values()) == plain["classes"]["7"]

    def test_a_terminal_shows_greys(self, digits):
        seen, code = on_a_terminal("predict", "plain.png")
        assert code == 0
        assert seen.count("▀") >= 28 * 14 - 28  # black on black may be joined
        assert "\x1b[38;5;" in seen

    def test_what_cannot_be_recognised(self, xp, digits):
        Path("text.png").write_text("seven")
        Image.new("L", (50, 50), 255).save("blank.png")
        for args, code, what in (
            (["text.png"], 4, "not a picture that can be read"),
            (["blank.png"], 4, "shows nothing"),
            (["absent.png"], 7, "cannot read"),
            (["plain.png", "--run", "runs/spiral-mlp-1"], 2, "not pictures"),
            (["plain.png", "--run", "nowhere"], 7, "no trained model"),
        ):
            got, out, err = xp("predict", *args)
            assert (got, out) == (code, "")
            assert what in err


@pytest.fixture
def cupy(monkeypatch):
    """cupy(installed packages, driver, fake module): the machine as auto and the backend see it."""

    def pretend(found, driver, module=None):
        for name in ("auto", "cuda.checks"):
            monkeypatch.setattr(f"xpnn.backends.{name}.installed_cupy", lambda: found)
            monkeypatch.setattr(f"xpnn.backends.{name}.driver_version", lambda: driver)
        monkeypatch.setitem(sys.modules, "cupy", module)

    return pretend


class Runtime:
    """Stands in for cupy.cuda.runtime on a machine whose GPU is hidden."""

    class CUDARuntimeError(RuntimeError):
        pass

    def getDeviceCount(self):  # noqa: N802
        raise self.CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")


class FakeCupy:
    class cuda:  # noqa: N801
        runtime = Runtime()


@pytest.fixture
def gpu(monkeypatch):
    """The class of a backend called cupy, on a GPU whose work NumPy does."""
    from xpnn.backends import get_backend

    cache = get_backend.__globals__["_open"]

    class Gpu(type(get_backend("numpy"))):
        name, devices = "cupy", ("cuda",)

        def open_device(self, device):
            return super().open_device("cpu")

    cache.cache_clear()
    monkeypatch.setattr("xpnn.backends.cupy.CupyBackend", Gpu)
    yield Gpu
    cache.cache_clear()


class TestAuto:
    """What auto chooses, and the words for it; the same machine with --backend cupy is an error."""

    @pytest.mark.parametrize(
        ("found", "driver", "why"),
        [
            ({}, None, "CuPy not installed"),
            ({}, (13, 0), "CuPy not installed and this machine has an NVIDIA driver"),
            ({"cupy-cuda13x": "14.2.0"}, None, "CuPy 14.2.0 is installed, but no NVIDIA driver was found"),
            (
                {"cupy-cuda12x": "14.2.0", "cupy-cuda13x": "14.2.0"},
                (13, 0),
                "more than one CuPy package is installed: cupy-cuda12x 14.2.0, cupy-cuda13x 14.2.0",
            ),
            (
                {"cupy-cuda13x": "14.2.0"},
                (12, 4),
                "cupy-cuda13x 14.2.0 was built for CUDA 13, the driver supports CUDA 12.4",
            ),
            ({"cupy-cuda13x": "14.2.0"}, (13, 0), "CuPy sees no usable GPU"),
            ({"cupy": "14.2.0"}, (13, 0), "CuPy sees no usable GPU"),
        ],
    )
    def test_numpy(self, xp, cupy, found, driver, why):
        cupy(found, driver, FakeCupy)
        code, _, err = xp(*QUICK)
        assert code == 0
        assert f"(auto: {why}) · float32" in err.splitlines()[0]
        code, _, err = xp(*QUICK, "--backend", "cupy")
        assert code == 3
        assert "\n  fix: " in err

    def test_a_cupy_that_cannot_be_imported(self, cupy):
        from xpnn.backends.auto import choose

        cupy({"cupy-cuda13x": "14.2.0"}, (13, 0), None)  # None in sys.modules: an ImportError
        assert choose() == ("numpy", "CuPy cannot be imported")

    def test_a_gpu_that_cannot_compile(self, cupy, gpu, monkeypatch):
        from xpnn.backends import auto, get_backend

        cupy({"cupy-cuda13x": "14.2.0"}, (13, 0))
        assert auto.choose() == ("cupy", "CuPy works here")

        def fail(self, x):
            raise RuntimeError("libnvrtc.so.13: cannot open shared object file")

        monkeypatch.setattr(gpu, "relu", fail)
        assert auto.choose() == ("numpy", "cupy on cuda cannot multiply two matrices")
        with pytest.raises(BackendError, match=r"cupy-cuda13x\[ctk\]"):
            auto.check(get_backend("cupy"))
        monkeypatch.setattr(gpu, "relu", lambda self, x: x + 1)
        with pytest.raises(BackendError, match="multiplies wrongly: wanted 8, got 9"):
            auto.check(get_backend("cupy"))

    def test_a_gpu_is_tried_out_before_it_is_trained_on(self, xp, gpu, monkeypatch):
        monkeypatch.setattr(gpu, "relu", lambda self, x: 1 / 0)
        code, out, err = xp(*QUICK, "--backend", "cupy")
        assert (code, out) == (3, "")
        assert "cupy on cuda cannot multiply two matrices" in err

    def test_a_device_decides(self):
        from xpnn.backends.auto import choose

        assert choose("cuda:1") == ("cupy", "device cuda:1")
        assert choose("cpu") == ("numpy", "device cpu")
        assert choose("mps") == ("torch", "device mps")
        assert choose("tpu:0") == ("jax", "device tpu:0")


class TestBackends:
    @pytest.fixture(autouse=True)
    def few(self, monkeypatch, cupy):
        """Those that import at once, on a machine without CUDA."""
        from xpnn.backends import _open

        _open.cache_clear()
        monkeypatch.setattr("xpnn.cli.backends.backend_names", lambda: ("numpy", "cupy", "strict"))
        monkeypatch.setattr("xpnn.cli.backends.driver_version", lambda: None)
        cupy({"cupy-cuda13x": "14.2.0"}, None)
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            monkeypatch.delenv(name, raising=False)

    def test_json(self, xp, monkeypatch):
        monkeypatch.setitem(sys.modules, "array_api_strict", None)
        code, out, err = xp("backends", "--json")
        assert (code, err) == (0, "")
        result = json.loads(out)
        rows = {row["backend"]: row for row in result["backends"]}
        assert {name: row["status"] for name, row in rows.items()} == {
            "numpy": "ready", "cupy": "broken", "strict": "missing",
        }  # fmt: skip
        assert rows["numpy"]["version"] == np.__version__
        assert "no NVIDIA driver" in rows["cupy"]["detail"]
        assert "xpnn[strict]" in rows["strict"]["fix"]
        assert "--backend numpy" in rows["strict"]["fix"]
        assert {name: row["devices"] for name, row in rows.items()} == {
            "numpy": ["cpu"], "cupy": [], "strict": [],
        }  # fmt: skip
        assert result["auto"]["backend"] == "numpy"
        assert result["driver_cuda"] is None
        assert result["blas"].keys() == {"name", "version", "kernel", "threads"}

    def test_transcript(self, xp, monkeypatch):
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
        code, out, err = xp("backends")
        assert (code, err) == (0, "")
        assert re.search(rf"numpy +ready +{re.escape(np.__version__)} +cpu", out)
        assert re.search(r"cupy +broken ", out)
        assert "auto    numpy (CuPy 14.2.0 is installed, but no NVIDIA driver was found)" in out
        assert "driver  no NVIDIA driver" in out
        assert "note    OPENBLAS_CORETYPE=Haswell overrules" in out
        assert re.search(r"BLAS    \S+", out)

    def test_every_backend_of_this_machine(self, monkeypatch, xp):
        from xpnn.backends import BACKENDS

        monkeypatch.setattr("xpnn.cli.backends.backend_names", lambda: [*BACKENDS])
        code, out, _ = xp("backends", "--json")
        assert code == 0
        rows = json.loads(out)["backends"]
        assert [row["backend"] for row in rows] == list(BACKENDS)
        assert all(row["version"] for row in rows if row["status"] == "ready")

    def test_the_kernels_of_a_backend(self, xp):
        from xpnn.backends import backend_class

        table = backend_class("numpy").kernel_table()
        code, out, _ = xp("backends", "--kernels", "numpy", "--json")
        assert (code, json.loads(out)) == (0, {"backend": "numpy", "kernels": table})
        code, out, _ = xp("backends", "--kernels", "numpy")
        assert (code, dict(line.split() for line in out.splitlines())) == (0, table)
        assert xp("backends", "--kernels", "nunpy")[0] == 2

    def test_blas_against_threadpoolctl(self):
        threadpoolctl = pytest.importorskip("threadpoolctl")
        from xpnn.backends.cpu.blas import blas

        numpys = [lib for lib in threadpoolctl.threadpool_info() if "numpy.libs" in lib["filepath"]]
        if not numpys:
            pytest.skip("NumPy's BLAS is not its wheel's")
        found = blas()
        assert (found.kernel, found.threads) == (numpys[0]["architecture"], numpys[0]["num_threads"])
        with threadpoolctl.threadpool_limits(1):
            assert blas().threads == 1

    def test_what_holds_blas_back(self, monkeypatch):
        from xpnn.backends.cpu import blas

        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(blas, "usable_cores", lambda: 8)
        free = blas.Blas("OpenBLAS", "0.3", "Zen", 8)
        one = blas.Blas("OpenBLAS", "0.3", "Zen", 1)
        assert blas.warnings(free) == []
        assert blas.warnings(one) == ["BLAS uses 1 thread of 8 cores"]
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        monkeypatch.setenv("OPENBLAS_L2_SIZE", "256")
        (size, threads) = blas.warnings(one)
        assert size.startswith("OPENBLAS_L2_SIZE=256 overrules")
        assert threads == "BLAS uses 1 thread of 8 cores: OMP_NUM_THREADS=1"
        monkeypatch.setattr(blas, "usable_cores", lambda: 1)
        assert blas.warnings(one) == [size]


class TestGradcheck:
    def test_transcript(self, xp):
        code, out, err = xp("gradcheck", "mlp", "--hidden", "600,5", "--activation", "tanh")
        assert (code, err) == (0, "")
        assert re.search(r"2 Dense +W +\d\.\de-\d\d +100 +ok", out)
        assert re.search(r"6 Tanh +x ", out)
        assert "layers wider than 512 were checked at 512" in out
        assert re.search(r"(\d+) of \1 gradients agree \(float64, ", out)

    def test_json(self, xp):
        code, out, err = xp("gradcheck", "mlp", "--hidden", "6", "--json")
        assert (code, err) == (0, "")
        result = json.loads(out)
        assert result["ok"]
        checked = {(row["path"], row["array"]) for row in result["gradients"]}
        assert {("2", "W"), ("2", "b"), ("5", "W"), ("loss", "prediction")} <= checked
        assert all(row["error"] < result["tolerance"] for row in result["gradients"])

    def test_a_wrong_gradient(self, xp, monkeypatch):
        backward = xpnn.ReLU.backward

        def doubled(self, cx, p, cache, dy):
            return 2 * backward(self, cx, p, cache, dy)[0], {}

        monkeypatch.setattr(xpnn.ReLU, "backward", doubled)
        code, out, err = xp("gradcheck", "mlp", "--hidden", "6")
        assert code == 1
        assert re.search(r"3 ReLU +x +\S+ +\d+ +wrong", out)
        assert "1 of 11 gradients are wrong: 3 ReLU.x" in err
        assert "bug" not in err


JOBS = [
    ("mnist", 0.983),
    ("fashion --epochs 3", 0.87),
    ("spiral", 0.98),
    ("mnist --data digits --model cnn --epochs 1", 0.88),
]


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "wanted"), JOBS)
def test_main_job(dataset, wanted, tmp_path, monkeypatch):
    """With numba, as users have it. `digits` is a fifth of MNIST."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    if "digits" in dataset:
        write_digits(tmp_path / "digits", 12_000, 2_000)
    with start("train", *dataset.split(), "--seed", 1, "--require-accuracy", wanted, "--json") as process:
        out, err = process.communicate()
    if process.returncode == 4 and "Fashion-MNIST was not found" in err:
        pytest.skip("Fashion-MNIST is not on this machine")
    assert (process.returncode, err) == (0, "")
    end = json.loads(out.splitlines()[-1])
    fits(end, END)
    assert end["test_accuracy"] >= wanted

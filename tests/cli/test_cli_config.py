"""Settings of `xpnn train`: which of flag, variable, file and default holds, and what is said of a wrong one."""

import io
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from command_line import workplace  # noqa: F401

from xpnn.cli.config import key_of, read_toml, settings, toml_line
from xpnn.cli.train import command as train
from xpnn.recipes import recipe_for

pytestmark = pytest.mark.usefixtures("workplace")
QUICK = ["train", "spiral", "--hidden", "4", "--epochs", "1", "--json"]


@pytest.fixture
def shown(xp):
    """{setting: (value, where from)} by --show-config."""

    def call(*args):
        code, out, err = xp("train", *args, "--show-config", "--json")
        assert (code, err) == (0, "")
        return {name: tuple(entry.values()) for name, entry in json.loads(out)["settings"].items()}

    return call


def write(text, name="my.toml"):
    Path(name).write_text(text)
    return name


def test_flag_over_variable_over_file_over_default(shown, monkeypatch):
    file = write('dataset = "spiral"\n\nlr = 0.5\nepochs = 7\nbatch_size = 99\n')
    monkeypatch.setenv("XPNN_LR", "0.25")
    monkeypatch.setenv("XPNN_EPOCHS", "8")
    found = shown("--config", file, "--epochs", "9")
    assert found["epochs"] == (9, "--epochs")
    assert found["lr"] == (0.25, "XPNN_LR")
    assert found["batch_size"] == (99, "my.toml, line 5")
    assert found["dataset"] == ("spiral", "my.toml, line 1")
    assert found["dropout"] == (recipe_for("spiral", "mlp").dropout, "default")
    assert not Path("runs").exists()


def test_they_reach_the_training(xp, monkeypatch):
    monkeypatch.setenv("XPNN_CONFIG", write("hidden = [5, 3]\nepochs = 2\naugment = false\n"))
    monkeypatch.setenv("XPNN_LR", "0.125")
    code, out, _ = xp("train", "spiral", "--epochs", "1", "--json")
    printed = json.loads(out.splitlines()[0])["settings"]
    assert (code, printed["hidden"], printed["lr"], printed["epochs"]) == (0, [5, 3], 0.125, 1)


def test_every_setting_has_a_variable(shown, monkeypatch):
    """All at once, each to something that is not its default."""
    values = {
        "dataset": "moons", "model": "lenet", "hidden": "3,2", "activation": "elu", "dropout": "0.5",
        "input_dropout": "0.25", "label_smoothing": "0.125", "augment": "1", "epochs": "3", "batch_size": "7",
        "optimizer": "sgd", "lr": "0.75", "schedule": "step", "weight_decay": "0.375", "backend": "strict",
        "device": "cpu", "dtype": "float64", "precision": "tf32", "seed": "5", "label": "name", "out": "there",
        "freeze": "0.* 1.b", "require_accuracy": "0.5", "early_stopping": "4", "checkpoint_every": "2",
        "time_limit": "1.5", "task": "regression", "class_weight": "balanced", "resize": "48x64", "distributed": "none",
        "batch_norm": "local", "gradient_compression": "bf16", "force_lock": "1", "threads": "adapt", "watch": "1",
    }  # fmt: skip
    without = {"data", "from", "replace_head"}  # the first is XPNN_DATA's, of the others see the transfer
    assert set(values) | without == {key_of(param) for param in settings(train)}
    for name, value in values.items():
        monkeypatch.setenv(f"XPNN_{name.upper()}", value)
    found = shown()
    assert {name: source for name, (_, source) in found.items() if name not in without} == {
        name: f"XPNN_{name.upper()}" for name in values
    }
    assert found["hidden"][0] == [3, 2]
    assert found["freeze"][0] == ["0.*", "1.b"]
    assert found["augment"][0] is True
    assert found["resize"][0] == [48, 64]


def test_the_same_by_a_file(shown):
    file = write('hidden = "none"\naugment = true\nfreeze = ["0.*"]\nlabel = ""\nlr = 1\n')
    found = shown("moons", "--config", file)
    assert (found["hidden"][0], found["augment"][0], found["freeze"][0]) == ([], True, ["0.*"])
    assert found["label"] == (None, "default")  # nothing is set to nothing
    assert found["lr"] == (1.0, "my.toml, line 5")
    assert shown("moons", "--config", file, "--no-augment", "--hidden", "3")["augment"] == (
        False,
        "--no-augment",
    )


def test_another_optimizer_brings_its_own_rate(shown):
    found = shown("spiral", "--optimizer", "sgd")
    assert found["lr"] == (0.01, "default")


def test_the_table(xp):
    code, out, _ = xp("train", "spiral", "--lr", "0.5", "--show-config")
    assert code == 0
    assert re.search(r"^lr +0\.5 +--lr$", out, re.M)
    assert re.search(r'^optimizer +"adam" +default$', out, re.M)
    assert max(map(len, out.splitlines())) <= 80


WRONG = [
    ("epoch = 3", "line 1: unknown setting 'epoch'", "did you mean 'epochs'?"),
    ("\n\nbatch-size = 3", "line 3: unknown setting 'batch-size'", "did you mean 'batch_size'?"),
    ("zzz = 3", "line 1: unknown setting 'zzz'", "one of: dataset, model"),
    ("[train]\nlr = 1", "line 1: unknown setting 'train'", ""),
    ("json = true", "line 1: unknown setting 'json'", ""),
    ("seed = 1\nepochs = 3.7", "line 2: epochs = 3.7: '3.7' is no whole number", ""),
    ("epochs = true", "line 1: epochs = True: 'True' is no whole number", ""),
    ("epochs = 0", "line 1: epochs = 0: 0 is not in the range", ""),
    ('lr = "fast"', "line 1: lr = 'fast': 'fast' is no number", ""),
    ("augment = 3", "line 1: augment = 3: '3' is not a valid boolean", ""),
    ("hidden = [8, 0]", "line 1: hidden = [8, 0]: '8,0' is no list of whole numbers", ""),
    ('model = "mpl"', "line 1: model = 'mpl': unknown model 'mpl'", "did you mean 'mlp'?"),
    ("lr = ", "is no TOML file", ""),
    ("lr = 1\nlr = 2", "is no TOML file", ""),
    ("a." * 60_000 + "b = 1", "is no TOML file", ""),
    ("epochs = 0x" + "F" * 20_000, "line 1: epochs is a number of thousands of digits", ""),
    ("seed = 1\nhidden = [0b1" + "1" * 99_999 + "]", "line 2: hidden is a number of thousands of digits", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "what", "fix"), WRONG, ids=[text[:20].strip() for text, _, _ in WRONG])
def test_a_wrong_file(xp, text, what, fix):
    code, out, err = xp("train", "spiral", "--config", write(text))
    assert (code, out) == (2, "")
    assert what in err
    assert "my.toml" in err
    assert fix in err
    assert not Path("runs").exists()


def test_files_that_cannot_be_read(xp):
    assert xp("train", "--config", "absent.toml")[0] == 7
    assert xp("train", "--config", ".")[0] == 7
    Path("bytes.toml").write_bytes(b"lr = \xff")
    assert xp("train", "--config", "bytes.toml")[0] == 2
    Path("deep.toml").write_text("lr = " + 20_000 * "[")
    assert xp("train", "--config", "deep.toml")[0] == 2


def test_standard_input_is_read_whole_or_not_at_all(xp, monkeypatch):
    """What came after the largest size of a file would be left out, unsaid."""
    text = b"epochs = 1\n" + b"#\n" * (1 << 17)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    code, _, err = xp("train", "spiral", "--config", "-")
    assert code == 7
    assert "standard input" in err
    assert "more than 262,144 bytes" in err


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [("XPNN_EPOCHS", "many", "'many' is no whole number"), ("XPNN_MODEL", "mpl", "unknown model 'mpl'")],
)
def test_a_wrong_variable_is_named(xp, monkeypatch, name, value, what):
    monkeypatch.setenv(name, value)
    code, out, err = xp(*QUICK)
    assert (code, out) == (2, "")
    assert f"xpnn: error: {name}={value}: {what}" in err


def test_an_empty_variable_counts_as_unset(xp, monkeypatch):
    monkeypatch.setenv("XPNN_LR", "")
    assert xp(*QUICK)[0] == 0


class TestInit:
    """The template is the defaults: as it is printed, and with every # before a name taken off."""

    @pytest.mark.parametrize(
        "args", [[], ["spiral"], ["fashion", "--model", "cnn"], ["mnist", "--model", "rnn"]]
    )
    def test_its_values_are_the_defaults(self, xp, shown, args):
        code, out, err = xp("init", *args)
        assert (code, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
        plain = shown(*args)
        as_printed = shown("--config", write(out))
        everything = shown("--config", write(re.sub(r"^#(?=[a-z_]+ = )", "", out, flags=re.M)))
        for found in (as_printed, everything):
            assert {k: v for k, (v, _) in found.items()} == {k: v for k, (v, _) in plain.items()}
        assert as_printed["lr"][1] == "default"
        assert everything["lr"][1].startswith("my.toml, line ")
        assert {key_of(param) for param in settings(train)} == set(plain)

    def test_each_setting_is_explained(self, xp):
        out = xp("init")[1]
        for name, param in ((key_of(p), p) for p in settings(train)):
            assert re.search(rf"^# .+\n#?{name} = ", out, re.M)
            assert not isinstance(param, click.Option) or param.help

    def test_json(self, xp, shown):
        printed = json.loads(xp("init", "spiral", "--json")[1])["settings"]
        assert printed == {name: value for name, (value, _) in shown("spiral").items()}


def test_toml_is_read_back():
    values = {"a": True, "b": 3, "c": 1e-07, "d": 'x"\\\n\x7fé', "e": [64, 32], "f": [], "g": 0.1}
    assert tomllib.loads("\n".join(toml_line(*item) for item in values.items())) == values


def test_lines_are_counted_in_strings_too(workplace):  # noqa: F811
    """Where a string looks like a setting, the first line that does is reported; the value is right all the same."""
    table, lines = read_toml(Path(write('a = 1\n"b" = 2\n  c.d = 3\n[e]\n')))
    assert (table, lines) == ({"a": 1, "b": 2, "c": {"d": 3}, "e": {}}, {"a": 1, "b": 2, "c": 3, "e": 4})

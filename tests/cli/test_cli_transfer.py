"""`xpnn train --from`: a digits network put to other uses, with layers that must not change by a bit."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from PIL import Image
from test_cli import write_digits

import xpnn
from xpnn.cli import run
from xpnn.cli.runs import find_run
from xpnn.cli.transfer import frozen, moved, reuse
from xpnn.data.folder import NAMES
from xpnn.errors import DataError, FileError
from xpnn.layers import BatchNorm, Dense, Flatten, ReLU
from xpnn.optimizers import EMA, AdamW

pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A run of a small cnn on 2,000 digits."""
    folder = tmp_path_factory.mktemp("digits")
    data = write_digits(folder / "data", 2000, 200)
    args = ["train", "idx", "--data", data, "--model", "cnn", "--hidden", 32, "--epochs", 2]
    args += ["--dropout", 0, "--batch-size", 32]
    assert run([*map(str, args), "--out", str(folder / "run"), "--json"]) == 0
    return folder / "run"


def parameters(path):
    return {k: np.array(v) for k, v in xpnn.load(path).parameters().items()}


def pictures(folder, classes=3, each=12):
    """A folder of a few images per class: digits as PNG files."""
    x, y, _, _ = xpnn.data.mnist()
    for label in range(classes):
        (folder / f"class{label}").mkdir(parents=True)
        for i, image in enumerate(x[y == label][-each:]):
            Image.fromarray(image[:, :, 0]).save(folder / f"class{label}" / f"{i}.png")
    return folder


def test_a_digits_network_learns_clothes(xp, digits, tmp_path):
    """Only the dense layers, on 2,000 images, in 3 epochs: far above a tenth."""
    try:
        arrays = xpnn.data.fashion()
    except (DataError, FileError) as error:
        pytest.skip(f"Fashion-MNIST: {error}")
    (tmp_path / "clothes").mkdir()
    for name, array, n in zip(NAMES, arrays, (2000, 2000, 1000, 1000), strict=True):
        array = np.asarray(array[:n]).reshape((n, 28, 28) if array.ndim > 1 else (n,)).astype(np.uint8)
        header = bytes([0, 0, 8, array.ndim]) + b"".join(k.to_bytes(4, "big") for k in array.shape)
        (tmp_path / "clothes" / name).write_bytes(header + array.tobytes())
    args = ["--from", digits, "--freeze", "[0-6].*", "--replace-head", "--epochs", 3, "--weight-decay", 0.1]
    code, out, err = xp("train", "idx", "--data", tmp_path / "clothes", *args, "--json")
    assert (code, err) == (0, "")
    end = json.loads(out.splitlines()[-1])
    assert end["test_accuracy"] > 0.6
    before, after = parameters(digits / "best.safetensors"), parameters(end["checkpoint"])
    assert before.keys() == after.keys()
    held = [path for path in before if path[0] in "0123456" and path[1] == "."]
    assert len(held) == 4  # two convolutions
    for path in before:
        assert (before[path].tobytes() == after[path].tobytes()) is (path in held), path


def test_a_few_images_per_class(xp, digits, tmp_path):
    """Ten classes become three; all but the head is kept, bit for bit."""
    before = parameters(digits / "best.safetensors")
    *_, w, b = before
    body = [arg for path in before if path not in (w, b) for arg in ("--freeze", path)]
    args = ["--data", pictures(tmp_path / "few"), "--from", digits, "--replace-head", *body, "--epochs", 12]
    code, _, err = xp("train", "images", *args, "--lr", 0.01, "--batch-size", 8)
    assert code == 0
    assert f" · {sum(before[path].size for path in before if path not in (w, b)):,} frozen" in err
    path = Path("runs/images-cnn-1")
    after, about = parameters(path / "best.safetensors"), json.loads((path / "run.json").read_text())
    assert after[w].shape == (32, 3)
    assert all(after[k].tobytes() == before[k].tobytes() for k in before if k not in (w, b))
    assert about["from"] == str(digits / "best.safetensors")
    assert about["freeze"] == body[1::2]
    assert about["result"]["test_accuracy"] > 0.6
    assert xp("evaluate", path)[0] == 0


def test_without_a_fresh_head_it_goes_on(xp, digits):
    """The head is the run's too: tiny steps leave it all but as it was."""
    data = json.loads((digits / "run.json").read_text())["data"]
    args = ["--data", data, "--from", digits, "--freeze", "1.*", "--epochs", 1, "--lr", "1e-9"]
    code, out, _ = xp("train", "idx", *args, "--json")
    assert code == 0
    before = parameters(digits / "best.safetensors")
    after = parameters(json.loads(out.splitlines()[-1])["checkpoint"])
    assert all(np.allclose(after[k], before[k], atol=1e-5) for k in before)


@pytest.mark.parametrize(
    "optimizer", [AdamW(0.1, weight_decay=0.5), EMA(AdamW(0.1, weight_decay=0.5), 0.5)], ids=str
)
def test_frozen_under_weight_decay_and_averages(digits, optimizer):
    """Every bit of what is frozen, in the weights and in their average."""
    saved, be = find_run(digits), xpnn.get_backend("numpy")
    rng = np.random.default_rng(0)
    data = xpnn.data.Dataset(
        "some", rng.integers(0, 256, (64, 28, 28, 1)).astype(np.uint8), rng.integers(0, 4, 64),
        np.zeros((0, 28, 28, 1), np.uint8), np.zeros(0, int), tuple("abcd"), "",
    )  # fmt: skip
    _, net = reuse(saved, data, (), be, 7, replace_head=True)
    before = {k: np.array(v) for k, v in net.parameters().items()}
    last = list(before)[-2:]
    trainer = xpnn.Trainer(net, optimizer=frozen(optimizer, ("[0-7].*", "*.b")))
    trainer.fit(data.x, data.y, epochs=2, batch_size=16)
    after = {k: np.array(v) for k, v in net.parameters().items()}
    held = {k for k in before if k.endswith(".b") or int(k.split(".")[0]) <= 7}
    assert 0 < len(held) < len(before)
    for k in before:
        assert (after[k].tobytes() == before[k].tobytes()) is (k in held), k
    if isinstance(optimizer, EMA):
        average = net.backend.to_numpy(trainer.state["average"])
        for k in held:
            _, start, stop = net.layout.slots[k]
            assert average[start:stop].tobytes() == before[k].tobytes()
    assert last[0] not in held


def test_statistics_and_augmentation_come_along(digits):
    """Running statistics are taken over; layers put before the network move its paths."""
    layers = [Flatten(), Dense(5), BatchNorm(), ReLU(), Dense(2)]
    old = xpnn.Model(layers, (4, 4, 1), seed=0)
    rng = np.random.default_rng(0)
    old.fit(rng.standard_normal((64, 4, 4, 1)), rng.integers(0, 2, 64), epochs=1, verbose=0)
    old.save("old.safetensors")
    data = xpnn.data.Dataset(
        "some", np.zeros((9, 4, 4, 1)), np.zeros(9, int), np.zeros((1, 4, 4, 1)), np.zeros(1, int),
        tuple("abc"), "",
    )  # fmt: skip
    moving = (xpnn.RandomFlip(),)
    _, net = reuse(find_run(Path("old.safetensors")), data, moving, old.backend, 3, replace_head=True)
    assert [type(layer).__name__ for layer in net.net.layers][:2] == ["RandomFlip", "Flatten"]
    found, was = net.parameters(), old.parameters()
    kept = moved(old, 1, 4)
    assert sorted(kept) == sorted(k for k in found if not k.startswith("5."))
    assert any(spec.trainable is False for k, spec in net.layout.named.items() if k in kept)
    for k in kept:
        first, _, rest = k.partition(".")
        assert found[k].tobytes() == was[f"{int(first) - 1}.{rest}"].tobytes()
    net.save("new.safetensors")
    _, again = reuse(find_run(Path("new.safetensors")), data, moving, old.backend, 3, replace_head=False)
    assert again.net == net.net  # it begins so already


ERRORS = [
    (["--replace-head"], 2, "--replace-head without a network", "--from RUN"),
    (["--from", "RUN", "--hidden", "8"], 2, "--hidden beside --from", "leave it out"),
    (["--from", "RUN", "--model", "mlp"], 2, "--model beside --from", "leave it out"),
    (["--from", "RUN"], 4, "takes samples of shape (28, 28, 1), spiral has (2,)", "data of that shape"),
    (["--from", "nowhere"], 7, "no trained model at nowhere", ""),
    (["--freeze", "9.*"], 2, "the pattern '9.*' fits no parameter", "one of: 0.W"),
    (["--freeze", "*"], 2, "freezes every parameter", ""),
]


@pytest.mark.parametrize(("args", "code", "what", "fix"), ERRORS, ids=[" ".join(row[0]) for row in ERRORS])
def test_what_cannot_be(xp, digits, args, code, what, fix):
    got, out, err = xp("train", "spiral", *(digits if arg == "RUN" else arg for arg in args))
    assert (got, out) == (code, "")
    assert what in err
    assert fix in err
    assert not Path("runs").exists()


def test_another_number_of_classes_needs_a_fresh_head(xp, digits, tmp_path):
    code, _, err = xp("train", "images", "--data", pictures(tmp_path / "few", each=6), "--from", digits)
    assert code == 4
    assert "unknown to the model" in err
    assert "fix: --replace-head" in err


def test_a_network_without_a_head(xp, tmp_path):
    xpnn.Model([Flatten(), ReLU()], (28, 28, 1), seed=0).save("odd.safetensors")
    few = pictures(tmp_path / "few", each=6)
    args = ["images", "--data", few, "--from", "odd.safetensors", "--replace-head"]
    code, _, err = xp("train", *args)
    assert code == 2
    assert "no Dense in its chain" in err

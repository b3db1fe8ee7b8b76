"""What a training records of itself, from made-up runs: pictures of weights and samples, mistakes, curves."""

import base64
import json
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn.errors import XpnnError
from xpnn.losses import get_loss
from xpnn.web import record, recorder


def of_run(model, **more):
    return SimpleNamespace(model=model, loss=get_loss("softmax_cross_entropy"), **more)


def levels(picture):
    return np.frombuffer(base64.b64decode(picture["bytes"]), np.uint8).reshape(picture["form"])


def weighted(W, shape, first=()):
    layer = xpnn.Dense(W.shape[-1]) if W.ndim == 2 else xpnn.Conv2D(W.shape[-1], W.shape[0])
    model = xpnn.Model([*first, layer], shape, seed=0)
    model.load_parameters({**model.parameters(), f"{len(first)}.W": W})
    return recorder.first_weights(of_run(model))


def test_a_weight_is_as_bright_as_it_is_large():
    W = np.array([[-2.0, 0], [1, 2]])
    found = weighted(W, (2,))
    assert (found["path"], found["most"], found["units"]) == ("0.W", 2.0, 2)
    assert [levels(one)[..., 0].tolist() for one in found["pictures"]] == [[[0, 191]], [[128, 255]]]
    assert [one["form"] for one in found["pictures"]] == [[1, 2, 1]] * 2
    assert {tuple(levels(one).ravel()) for one in weighted(0 * W, (2,))["pictures"]} == {(128, 128)}


def test_weights_over_channels_are_their_mean():
    W = np.zeros((2, 2, 2, 1))
    W[0, 1, :, 0], W[1, 0, :, 0] = (1, 3), (0, -4)
    (one,) = weighted(W, (4, 4, 2))["pictures"]
    assert levels(one)[..., 0].tolist() == [[128, 255], [0, 128]]
    (one,) = weighted(W.reshape(8, 1), (2, 2, 2), [xpnn.Flatten()])["pictures"]
    assert levels(one)[..., 0].tolist() == [[128, 255], [0, 128]]


@pytest.mark.parametrize(("inputs", "units", "shown"), [(64, 3, 3), (65, 3, None), (4, 32, 32), (4, 33, 32)])
def test_so_many_weights_are_shown(inputs, units, shown):
    found = weighted(np.ones((inputs, units)), (inputs,))
    assert (found and (len(found["pictures"]), found["units"])) == (shown and (shown, units))


@pytest.mark.parametrize(("shape", "shown"), [((64, 2, 1), True), ((65, 2, 1), False), ((2, 65, 1), False)])
def test_pictures_up_to_a_size(shape, shown):
    assert (weighted(np.ones((np.prod(shape), 1)), shape, [xpnn.Flatten()]) is not None) is shown
    assert (recorder.sample(np.zeros(shape, np.uint8))["picture"] is not None) is shown


def test_a_sample_is_a_picture_or_a_few_numbers():
    grey = np.array([[[0], [128]], [[255], [7]]], np.uint8)
    assert levels(recorder.sample(grey)["picture"]).tolist() == grey.tolist()
    numbers = np.array([[[-1.0], [1.0]], [[0.0], [3.0]]])
    assert levels(recorder.sample(numbers)["picture"])[..., 0].tolist() == [[0, 128], [64, 255]]
    assert not levels(recorder.sample(np.full((2, 2, 3), 5.0))["picture"]).any()
    assert recorder.sample(np.zeros((2, 2, 2))) == {"picture": None, "numbers": None}
    assert recorder.sample(np.array([1, 2.5])) == {"picture": None, "numbers": [1.0, 2.5]}
    assert [recorder.sample(np.zeros(n))["numbers"] is None for n in (64, 65)] == [False, True]


def test_the_worst_mistakes_come_first_and_are_few():
    """Of a network whose outputs are its inputs; a label below 0 does not count."""
    model = xpnn.Model([xpnn.Rescale(1.0)], (3,), seed=0)
    x = np.zeros((16, 3), np.float32)
    x[:, 1] = np.arange(16) / 4
    y = np.zeros(16, int)
    y[5], y[7] = 1, -1
    judged, found = recorder.mistakes(of_run(model), (x, y))
    assert judged == 16
    right = np.exp(x[15]) / np.exp(x[15]).sum()
    assert found[0] == {
        "true": 0, "taken_for": 1, "share": pytest.approx(right[1], rel=1e-6), "picture": None,
        "numbers": x[15].tolist(),
    }  # fmt: skip
    rows = [15, 14, 13, 12, 11, 10, 9, 8, 6, 4, 3, 2]
    assert [one["numbers"] for one in found] == x[rows].tolist()
    assert recorder.mistakes(of_run(model), (x, np.eye(3)[np.maximum(y, 0)]))[1][0] == found[0]
    assert recorder.mistakes(of_run(model), None) == (0, [])
    one = xpnn.Model([xpnn.Dense(1)], (3,), seed=0)
    assert recorder.mistakes(of_run(one), (x, y)) == (0, [])


def test_what_is_judged():
    """The first 256 held-out samples, those given or those that are not trained on; of one input and output alone."""
    model = xpnn.Model([xpnn.Dense(2)], (1,), seed=0)
    x, y = np.arange(600.0)[:, None], np.arange(600) % 2
    run = of_run(model, data=(x, y, None), validation=0.5, train=np.arange(0, 600, 2))
    assert recorder.held_out(run)[0][:, 0].tolist() == list(range(1, 512, 2))
    run.validation = (x[100:], y[100:])
    held = recorder.held_out(run)
    assert held[0][:, 0].tolist() == list(range(100, 356))
    assert held[1].tolist() == y[100:356].tolist()
    run.validation, run.train = 0.0, np.arange(600)
    assert recorder.held_out(run) is None
    for pair in ((x, x), y, None), (x, (y, y), None):
        run.data = pair
        assert recorder.held_out(run) is None


def test_of_long_curves_every_second_point_is_kept(tmp_path, monkeypatch):
    """The last one always. A parameter that comes later has no numbers before."""
    monkeypatch.setattr(recorder, "POINTS", 4)
    one = recorder.Recorder(tmp_path)

    def step(norm, *paths):
        parameters = [SimpleNamespace(path=path, gradient_norm=10 * norm) for path in paths]
        return SimpleNamespace(gradient_norm=norm, layers=[SimpleNamespace(parameters=parameters)])

    for epoch in range(1, 5):
        one.add(step(epoch, "W", *["b"] * (epoch > 2)), epoch)
    assert one.gradients["epoch"] == one.gradients["norm"] == [1, 2, 3, 4]
    assert one.gradients["parameters"] == {"W": [10, 20, 30, 40], "b": [None, None, 30, 40]}
    one.add(step(5, "W", "b"), 5)
    assert one.gradients["epoch"] == one.gradients["norm"] == [1, 3, 5]
    assert one.gradients["parameters"] == {"W": [10, 30, 50], "b": [None, 30, 50]}


def test_training_waits_for_a_fiftieth_of_its_time(tmp_path, monkeypatch):
    """What took a second is not done again for fifty; the last epoch is recorded always, but once."""
    clock, recorded = [10.0], []
    monkeypatch.setattr(recorder.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(recorder, "held_out", lambda run: None)
    monkeypatch.setattr(recorder, "first_weights", lambda run: None)
    monkeypatch.setattr(recorder, "mistakes", lambda run, held: (0, []))

    def explained(run):
        clock[0] += 1
        recorded.append(clock[0])

    monkeypatch.setattr(recorder, "explained", explained)
    one, run = recorder.Recorder(tmp_path), SimpleNamespace(history=[])
    one.start(run, 9, 100, 10)
    for epoch, now in enumerate((10.0, 60.9, 61.0, 61.5), 1):
        clock[0] = now
        run.history.append(epoch)
        one.epoch(run, SimpleNamespace(epoch=epoch))
    assert recorded == [11.0, 62.0]
    assert json.loads((tmp_path / "live.json").read_text())["epoch"] == 3
    one.finish(run)
    one.finish(run)
    assert len(recorded) == 3
    assert json.loads((tmp_path / "live.json").read_text()) == {
        "epoch": 4, "layers": [], "gradients": {"epoch": [], "norm": [], "parameters": {}}, "weights": None,
        "mistakes": [], "judged": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("form", "text", "right"), [
    ([1, 2, 1], "AAA=", True), ([1, 3, 1], "AAAA", True), ([2, 2, 1], "AAAAAA==", True), ([1, 1, 3], "+/+/", True),
    ([1, 2, 1], "AAAAAA==", False), ([1, 4, 1], "AAAA", False), ([1, 2], "AAA=", False), ([1, 1, 1, 1], "AA==", False),
    ([1, 1, 1], "A\u00e4==", False), ([1, 1, 1], "A-==", False),
])  # fmt: skip
def test_a_picture_has_as_many_bytes_as_it_says(form, text, right):
    assert record.fits({"form": form, "bytes": text}) is right


def test_a_record_may_have_four_mebibytes(tmp_path):
    one = {"epoch": 1, "layers": [], "gradients": {"epoch": [], "norm": [], "parameters": {}}, "weights": None,
           "mistakes": [], "judged": 0}  # fmt: skip
    text = json.dumps(one)
    assert record.read_record(tmp_path) is None
    (tmp_path / "live.json").write_text(text + " " * (2**22 - len(text)))
    assert record.read_record(tmp_path) == one
    (tmp_path / "live.json").write_text(text + " " * (2**22 + 1 - len(text)))
    with pytest.raises(XpnnError, match=r"live\.json"):
        record.read_record(tmp_path)

"""What a training shows of itself while it goes on, and the pages that watch it."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import accessible, browsing, served, until

import xpnn
from xpnn.errors import CheckpointError
from xpnn.training.callbacks import Callback
from xpnn.training.json_lines import line_of
from xpnn.web.live import Watcher
from xpnn.web.record import read_record
from xpnn.web.recorder import Recorder

pytestmark = pytest.mark.oracle
ROOT = str(Path(xpnn.__file__).parents[1])
X, Y = xpnn.data.spiral(300, seed=0)


def spiral_net(seed=0):
    return xpnn.Model([xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(3)], (2,), seed=seed)


def fit(folder=None, *, more=(), epochs=3, model=None, **settings):
    model = model or spiral_net()
    watchers = [*more, *([Recorder(folder)] if folder else [])]
    given = {"validation": 0.2, "batch_size": 50, "verbose": 0} | settings
    model.fit(X, Y, epochs=epochs, callbacks=watchers, **given)
    return model


# The record


class Copies(Callback):
    """The model, and the last batch, as they were when the last epoch was recorded."""

    def epoch(self, run, row):
        be = run.model.backend
        self.at, self.batch = run.model.copy(), [np.array(be.to_numpy(a)) for a in run.batch()[:2]]
        self.train, self.lost = np.asarray(run.train), run.loss


def test_the_numbers_are_those_of_a_step(tmp_path):
    seen = Copies()
    fit(tmp_path, more=[seen], epochs=1)
    record = read_record(tmp_path)
    x, y = (a[:64] for a in seen.batch)
    step = seen.at.explain(x, y)
    assert record["epoch"] == 1
    assert record["gradients"]["norm"] == [pytest.approx(step.gradient_norm)]
    wanted = {p.path: [pytest.approx(p.gradient_norm)] for layer in step.layers for p in layer.parameters}
    assert record["gradients"]["parameters"] == wanted
    (relu,) = record["layers"]
    assert (relu["path"], relu["units"], relu["dead"]) == ("1", 16, step.layers[1].dead)
    weights = np.array(seen.at.parameters()["0.W"])
    assert record["weights"]["most"] == pytest.approx(np.abs(weights).max())
    assert len(record["weights"]["pictures"]) == 16


def test_the_worst_mistakes_are_the_held_out_samples_that_are_most_wrong(tmp_path):
    seen = Copies()
    fit(tmp_path, more=[seen], epochs=1)
    record = read_record(tmp_path)
    held = np.setdiff1d(np.arange(len(X)), seen.train)
    p = seen.at.predict_proba(X[held])
    wrong = held[p.argmax(axis=1) != Y[held]]
    assert record["judged"] == len(held)
    assert 0 < len(record["mistakes"]) == min(12, len(wrong))
    truth = seen.at.predict_proba(X[wrong])[np.arange(len(wrong)), Y[wrong]]
    worst = wrong[np.argsort(truth, kind="stable")]
    for i, one in zip(worst, record["mistakes"], strict=False):
        assert one["true"] == Y[i]
        np.testing.assert_allclose(one["numbers"], X[i], rtol=1e-6)
        assert one["taken_for"] == seen.at.predict(X[i : i + 1])[0]


def test_mistakes_where_labels_are_rows_of_0_and_1(tmp_path):
    spiral_net().fit(X, np.eye(3)[Y], epochs=1, validation=0.2, callbacks=[Recorder(tmp_path)], verbose=0)
    found = read_record(tmp_path)["mistakes"]
    assert found
    for one in found:
        (i,) = np.flatnonzero(np.isclose(X, one["numbers"], rtol=1e-6).all(axis=1))
        assert one["true"] == Y[i] != one["taken_for"]


def test_to_be_watched_changes_no_bit(tmp_path):
    assert np.array_equal(fit(tmp_path).theta, fit().theta)


def test_pictures_of_weights_and_mistakes(tmp_path):
    x, y, _, _ = xpnn.data.mnist()
    net = [xpnn.Rescale(1 / 255), xpnn.Conv2D(4, 3), xpnn.ReLU(), xpnn.GlobalAveragePool(), xpnn.Dense(10)]
    model = xpnn.Model(net, (28, 28, 1), seed=0)
    model.fit(x[:200], y[:200], epochs=1, validation=0.5, callbacks=[Recorder(tmp_path)], verbose=0)
    record = read_record(tmp_path)
    assert [one["form"] for one in record["weights"]["pictures"]] == [[3, 3, 1]] * 4
    assert {tuple(one["picture"]["form"]) for one in record["mistakes"]} == {(28, 28, 1)}


OTHERS = {
    "a regression": (lambda: xpnn.Model([xpnn.Dense(1)], (2,), seed=0), {"loss": "mse"}),
    "the whole data at once": (spiral_net, {"optimizer": xpnn.optimizers.LBFGS()}),
    "nothing held out": (spiral_net, {"validation": None}),
    "samples given to validate": (spiral_net, {"validation": (X[:20], Y[:20])}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_trainings(name, tmp_path):
    make, settings = OTHERS[name]
    recorder = Recorder(tmp_path)
    y = Y[:, None].astype(float) if name == "a regression" else Y
    make().fit(X, y, **{"validation": 0.2, "epochs": 2, "verbose": 0, "callbacks": [recorder]} | settings)
    assert recorder.error == ""
    assert read_record(tmp_path)["epoch"] == 2


def test_a_training_outlives_its_record(tmp_path, monkeypatch):
    """What cannot be computed is left out; a file in the folder's place is somebody else's."""
    monkeypatch.setattr("xpnn.web.recorder.explain", lambda *args, **more: 1 / 0)
    recorder = Recorder(tmp_path)
    spiral_net().fit(X, Y, epochs=2, callbacks=[recorder], verbose=0)
    assert recorder.error == "division by zero"
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_goes_on_with_its_curves(tmp_path):
    checkpoint = tmp_path / "last.safetensors"
    fit(tmp_path, more=[xpnn.training.Checkpoint(checkpoint)], epochs=1)
    fit(tmp_path, epochs=2, resume=checkpoint)
    gradients = read_record(tmp_path)["gradients"]
    assert gradients["epoch"] == [1, 2]
    assert len(gradients["parameters"]["0.W"]) == 2


BAD = ["[]", "{}", "{", '{"epoch": 1e999}', "[" * 5000, "[null]"]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_live_record_that_is_malformed_is_refused(tmp_path, text):
    (tmp_path / "live.json").write_text(text)
    with pytest.raises(CheckpointError):
        read_record(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [{"path": 3}]},
        {"gradients": {"epoch": [1], "norm": ["x"], "parameters": {}}},
        {
            "weights": {
                "path": "0.W",
                "most": 1,
                "units": 1,
                "pictures": [{"form": [9, 9, 1], "bytes": "AAAA"}],
            }
        },
        {
            "mistakes": [
                {
                    "true": 0,
                    "taken_for": 1,
                    "share": 1,
                    "numbers": None,
                    "picture": {"form": [1], "bytes": ""},
                }
            ]
        },
    ],
)
def test_a_record_with_wrong_entries(tmp_path, change):
    fit(tmp_path, epochs=1)
    file = tmp_path / "live.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(CheckpointError):
        read_record(tmp_path)


# Watching


def row(epoch, loss=0.5):
    return {"epoch": epoch, "train_loss": loss, "valid_loss": loss, "valid_accuracy": 0.5, "lr": 0.01, "seconds": 1.0,
            "best": epoch == 1}  # fmt: skip


def made(root, name, epochs=2, pid=None, **settings):
    folder = root / name
    folder.mkdir(parents=True)
    about = {
        "dataset": "spiral",
        "model": "mlp",
        "classes": ["a", "b"],
        "settings": {"epochs": 9, **settings},
    }
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "metrics.jsonl").write_text("".join(line_of(row(i + 1, 1 / (i + 1))) for i in range(epochs)))
    if pid is not None:
        holder = {"pid": pid, "host": socket.gethostname(), "since": "now"}
        (folder / ".xpnn.holder").write_text(json.dumps(holder))
    return folder


def append(folder, epoch):
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(line_of(row(epoch)))


def looked(watcher, names, seen):
    return dict(watcher.changes(names, seen, now=True))


def test_only_what_has_changed_is_sent(tmp_path):
    a, _ = made(tmp_path, "a"), made(tmp_path, "b")
    watcher, seen = Watcher(tmp_path), {}
    found = looked(watcher, ["a"], seen)
    assert found["run"]["curves"]["train_loss"] == [1.0, 0.5]
    assert {run["name"] for run in found["runs"]["runs"]} == {"a", "b"}
    assert looked(watcher, ["a"], seen) == {}
    append(a, 3)
    assert looked(watcher, ["a"], seen)["run"]["epochs"] == 3
    assert looked(watcher, ["b"], {"": 10**9, "a": 10**9})["run"]["name"] == "b"
    assert looked(watcher, ["../b", "nothing"], {"": 10**9}) == {}


def test_a_run_that_is_gone_is_taken_off_the_list(tmp_path):
    made(tmp_path, "a"), made(tmp_path, "b")
    watcher, seen = Watcher(tmp_path), {}
    looked(watcher, [], seen)
    shutil.rmtree(tmp_path / "a")
    assert [run["name"] for run in looked(watcher, [], seen)["runs"]["runs"]] == ["b"]
    assert looked(watcher, ["a"], {"": 10**9}) == {}


def test_the_newest_runs_are_listed_and_the_others_counted(tmp_path, monkeypatch):
    for i, name in enumerate("abc"):
        os.utime(made(tmp_path, name) / "run.json", (i, i))
    monkeypatch.setattr("xpnn.web.live.LISTED", 2)
    found = looked(Watcher(tmp_path), [], {})["runs"]
    assert (len(found["runs"]), found["more"]) == (2, 1)


def test_one_look_serves_all_pages_for_a_while(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("xpnn.web.live.time.monotonic", lambda: clock[0])
    folder, watcher, seen = made(tmp_path, "a"), Watcher(tmp_path), {}
    assert dict(watcher.changes([], seen))["run"]["epochs"] == 2
    append(folder, 3)
    clock[0] = 0.39
    assert watcher.changes([], seen) == []
    clock[0] = 0.4
    assert dict(watcher.changes([], seen))["run"]["epochs"] == 3


def test_what_a_page_shows_of_a_run(tmp_path):
    made(tmp_path, "a", epochs=1, data="/home/me/flowers.csv", lr=0.5, **{"from": None})
    run = looked(Watcher(tmp_path), [], {})["run"]
    assert (run["name"], run["dataset"], run["model"], run["started"]) == ("a", "spiral", "mlp", None)
    about = {"dataset": "spiral", "model": "mlp"}
    assert run["settings"] == about | {"epochs": 9, "data": "flowers.csv", "lr": 0.5, "from": None}
    assert (run["classes"], run["every"], run["record"], run["error"]) == (["a", "b"], 1, None, None)
    assert run["curves"]["train_loss"] == [1.0]


def test_a_killed_training_is_seen_without_a_change_of_its_files(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    made(tmp_path, "a", pid=process.pid)
    watcher, seen = Watcher(tmp_path), {}
    assert looked(watcher, [], seen)["run"]["state"] == "training"
    process.kill()
    process.communicate()
    assert looked(watcher, [], seen)["run"]["state"] == "interrupted"


def test_long_trainings_are_thinned_out(tmp_path, monkeypatch):
    monkeypatch.setattr("xpnn.web.live.POINTS", 10)
    made(tmp_path, "a", epochs=25)
    run = looked(Watcher(tmp_path), [], {})["run"]
    assert run["every"] == 3
    assert run["curves"]["epoch"] == [1, 4, 7, 10, 13, 16, 19, 22, 25]


def test_a_damaged_run_and_no_folder(tmp_path):
    watcher = Watcher(tmp_path / "runs")
    assert looked(watcher, [], {})["runs"] == {"runs": [], "more": 0}
    folder = made(tmp_path / "runs", "a")
    (folder / "metrics.jsonl").write_text("{}\n")
    (folder / "live.json").write_text("{}")
    assert looked(watcher, [], {})["run"]["state"] == "damaged"


def test_ten_tabs_and_the_end(tmp_path):
    """Each gets everything, then what comes, then word that the server ends."""
    folder = made(tmp_path, "a")
    with served(runs=tmp_path) as address:
        tabs = [http.client.HTTPConnection(urlsplit(address).netloc, timeout=20) for _ in range(10)]
        streams = []
        for tab in tabs:
            tab.request("GET", "/events")
            streams.append(tab.getresponse())
        for stream in streams:
            assert json.loads(heard(stream, "run"))["epochs"] == 2
        append(folder, 3)
        for stream in streams:
            assert json.loads(heard(stream, "run"))["epochs"] == 3
    for stream, tab in zip(streams, tabs, strict=True):
        assert heard(stream, "end") == "{}"
        assert stream.read().strip() == b""
        tab.close()


def heard(stream, event):
    """The data of the next event of that kind."""
    while True:
        line = stream.readline().decode()
        assert line, "the stream has ended"
        if line == f"event: {event}\n":
            return stream.readline().decode().removeprefix("data: ").strip()


TRAIN = [
    "train",
    "spiral",
    "--hidden",
    "4",
    "--epochs",
    "100000",
    "--watch",
    "--json",
    "--backend",
    "numpy",
    "--lr",
    "1e-6",
]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_train_watched_and_killed(tmp_path):
    """The address is printed, the page moves, and nothing is left when the training is killed by force."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xpnn", *TRAIN],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": ROOT},
    )  # fmt: skip
    events = (json.loads(line) for line in process.stdout)
    address = next(event["address"] for event in events if event["event"] == "watch")
    line = http.client.HTTPConnection(urlsplit(address).netloc, timeout=20)
    line.request("GET", "/events")
    stream = line.getresponse()
    first = json.loads(heard(stream, "run"))
    assert (first["name"], first["state"]) == ("spiral-mlp-1", "training")
    assert json.loads(heard(stream, "run"))["epochs"] > first["epochs"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert heard(stream, "end") == "{}"
    line.close()


# The page


def test_the_page_follows_a_training(tmp_path):
    """Changes appear by themselves; a reload, and a server that comes back, show the same and go on."""
    folder = made(tmp_path, "first", pid=os.getpid())
    fit(folder, epochs=1)
    with contextlib.ExitStack() as before:
        address = before.enter_context(served(runs=tmp_path))
        with browsing(address, fine=("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE", "ERR_EMPTY")) as page:
            first = page.get_by_role("row", name="first")
            first.get_by_text("training").wait_for()
            until(page, "document.querySelectorAll('#charts path.curve').length >= 4")
            assert "validation 0.5" in page.get_by_role("img", name="Loss").get_attribute("aria-label")
            append(folder, 3)
            first.get_by_text("3 of 9").wait_for()
            page.reload()
            first.get_by_text("3 of 9").wait_for()
            assert page.get_by_role("heading", name="Dead units").is_visible()
            assert page.get_by_role("img", name="Weights of unit").count() == 16
            assert "taken for" in page.locator("#mistakes .tile").first.text_content()
            before.close()
            page.get_by_text("What is shown is the last that was heard").wait_for()
            assert first.get_by_text("3 of 9").is_visible()
            append(folder, 4)
            with served(runs=tmp_path, port=urlsplit(address).port):
                first.get_by_text("4 of 9").wait_for()


def test_two_runs_by_keyboard(tmp_path):
    made(tmp_path, "a", lr=0.5)
    made(tmp_path, "b", lr=0.25, epochs=3)
    with served(runs=tmp_path) as address, browsing(address + "runs") as page:
        for name in ("a", "b"):
            box = page.get_by_role("checkbox", name=name, exact=True)
            box.wait_for()
            if not box.is_checked():
                box.focus()
                page.keyboard.press("Space")
                until(page, f"new URLSearchParams(location.search).getAll('run').includes('{name}')")
        until(page, "document.querySelectorAll('#charts figure:first-child path.curve').length === 4")
        assert page.get_by_role("row", name="lr").first.locator(".differs").all_text_contents()[0] == "lr"
        chart = page.get_by_role("img", name="Loss")
        chart.focus()
        page.keyboard.press("ArrowRight")
        assert "epoch 1: " in page.locator("#charts .said").first.text_content()
        page.reload()
        until(page, "document.querySelectorAll('#charts figure:first-child path.curve').length === 4")


def test_accessible_and_text_of_others_stays_text(tmp_path):
    """At 360 pixels and in the dark; with a name, a setting and classes that would be markup."""
    bad = "<img src=x onerror=alert(1)>"
    folder = made(tmp_path, f"{bad[:20]}-and-a-rather-long-name", pid=os.getpid(), activation=bad)
    fit(folder, epochs=1)
    about = json.loads((folder / "run.json").read_text()) | {"classes": [bad] * 3}
    (folder / "run.json").write_text(json.dumps(about))
    with served(runs=tmp_path) as address, browsing(address, width=360) as page:
        until(page, "document.querySelectorAll('#charts path.curve').length >= 4")
        accessible(page, 360)
        page.set_viewport_size({"width": 1100, "height": 900})
        page.emulate_media(color_scheme="dark")
        accessible(page, 1100)
        assert bad in page.locator("#compared").text_content()
        assert f"{bad}, taken for" in page.locator("#mistakes .tile").first.text_content()
        assert page.locator("img").count() == 0

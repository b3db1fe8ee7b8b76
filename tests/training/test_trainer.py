"""The training loop: what it measures, what it holds out, which callbacks it calls, and its weights and targets."""

from dataclasses import replace

import numpy as np
import pytest
from installed_backends import INSTALLED

import xpnn
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.losses import SoftmaxCrossEntropy
from xpnn.schedules import Exponential, InverseTime, OneCycle, Warmup
from xpnn.training import Callback, History, KeepBest, Row, Trainer

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
CLOSE = {"float32": {"rtol": 1.3e-6, "atol": 1e-5}, "float64": {"rtol": 1e-7, "atol": 1e-12}}


def model(backend="numpy", dtype="float64", seed=0):
    layers = [xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(3)]
    return xpnn.Model(layers, (4,), backend=backend, dtype=dtype, seed=seed)


def run(x=X, y=IDS, *, loss="softmax_cross_entropy", optimizer=None, start=None, **settings):
    """The weights after a few epochs, in float64."""
    made = start or model()
    trainer = Trainer(made, loss, optimizer or xpnn.SGD(0.5))
    trainer.fit(x, y, **{"epochs": 3, "batch_size": 16} | settings)
    return made.snapshot()["theta"]


def same(a, b):
    np.testing.assert_allclose(a, b, **CLOSE["float64"])


class TestTargetsAndWeights:
    @pytest.mark.parametrize("backend", INSTALLED)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_ids_one_hot_and_soft_rows_train_alike(self, backend, dtype):
        hot = np.eye(3)[IDS]
        for y in (hot, hot.astype(np.uint8), hot * 1.0 + 0.0, IDS.astype(float), hot.tolist()):
            found = run(y=y, start=model(backend, dtype))
            np.testing.assert_allclose(found, run(start=model(backend, dtype)), **CLOSE[dtype])

    def test_soft_rows_are_not_rounded(self):
        soft = 0.7 * np.eye(3)[IDS] + 0.1
        assert abs(run(y=soft) - run()).max() > 1e-3
        same(run(y=soft), run(loss=SoftmaxCrossEntropy(label_smoothing=0.3)))

    def test_label_smoothing_of_rows(self):
        smooth = SoftmaxCrossEntropy(label_smoothing=0.2)
        same(run(loss=smooth), run(y=np.eye(3)[IDS], loss=smooth))

    def test_weight_2_is_the_sample_twice(self):
        weights = 1.0 + (np.arange(60) % 3 == 0)
        twice = np.repeat(np.arange(60), weights.astype(int))
        full = {"batch_size": 1000, "epochs": 5}
        same(run(sample_weight=weights, **full), run(X[twice], IDS[twice], **full))

    @pytest.mark.parametrize("loss", ["softmax_cross_entropy", "mean_squared_error", "mean_absolute_error"])
    def test_weight_0_is_the_sample_left_out(self, loss):
        y = IDS if loss.startswith("soft") else np.eye(3)[IDS] + X[:, :1]
        keep = np.arange(60) % 4 != 0
        full = {"batch_size": 1000, "epochs": 5, "loss": loss}
        same(run(y=y, sample_weight=keep, **full), run(X[keep], y[keep], **full))

    def test_only_the_ratios_of_weights_matter(self):
        weights = 1 + np.arange(60) % 5
        full = {"batch_size": 1000}
        same(run(sample_weight=weights, **full), run(sample_weight=weights * 7.5, **full))
        same(run(sample_weight=np.full(60, 3)), run())

    def test_weights_follow_their_samples_through_the_shuffle(self):
        """In small batches, each batch has its own sum of weights: replay one step by hand."""
        weights = np.linspace(0.1, 2, 60)
        found = run(sample_weight=weights, epochs=1)
        made = model()
        trainer = Trainer(made, optimizer=xpnn.SGD(0.5))
        order = xpnn.data.epoch_order(0, 1, 60)
        for b in range(0, 60, 16):
            rows = order[b : b + 16]
            trainer.step(X[rows], IDS[rows], weights[rows])
        assert made.theta.tobytes() == found.tobytes()

    def test_class_weights_are_weights_of_their_samples(self):
        classes = (0.5, 2.0, 3.0)
        full = {"batch_size": 1000}
        weighted = run(loss=SoftmaxCrossEntropy(class_weight=classes), **full)
        same(weighted, run(sample_weight=np.take(classes, IDS), **full))
        same(weighted, run(y=np.eye(3)[IDS], loss=SoftmaxCrossEntropy(class_weight=classes), **full))

    def test_a_batch_in_which_nothing_counts_changes_nothing(self):
        made = model()
        before = made.theta.copy()
        value = Trainer(made, optimizer=xpnn.SGD(0.5)).step(X, IDS, np.zeros(60))
        assert float(value) == 0
        np.testing.assert_array_equal(made.theta, before)


class TestValidation:
    def watched(self, **settings):
        seen = []

        class Watch(Callback):
            def start(self, trainer, epochs, samples, batch_size):
                seen.append((epochs, samples, batch_size))

        made = model()
        trainer = Trainer(made)
        history = trainer.fit(X, IDS, epochs=2, batch_size=16, callbacks=[Watch()], **settings)
        return made, history, seen[0]

    @pytest.mark.parametrize(("validation", "samples"), [(0.1, 54), (0.25, 45), (10, 50), (1, 59), (57, 3)])
    def test_a_share_or_a_number_is_held_out(self, validation, samples):
        made, history, seen = self.watched(validation=validation)
        assert seen == (2, samples, 16)
        rng = xpnn.random.host_rng(0, "validation")
        _, held = xpnn.data.stratified_split(IDS, validation, rng)
        scores = made.evaluate(X[held], IDS[held])
        assert history["valid_loss"][-1] == pytest.approx(scores["loss"], rel=1e-12)
        assert history["valid_accuracy"][-1] == scores["accuracy"]

    def test_the_held_out_samples_do_not_train(self):
        rng = xpnn.random.host_rng(0, "validation")
        train, held = xpnn.data.stratified_split(IDS, 0.3, rng)
        spoilt = X.copy()
        spoilt[held] += 100
        assert run(validation=0.3).tobytes() == run(spoilt, validation=0.3).tobytes()
        assert run(validation=0.3).tobytes() != run().tobytes()
        assert len(train) + len(held) == 60

    @pytest.mark.parametrize("pair", [tuple, list])
    def test_a_pair_is_used_as_it_is(self, pair):
        made, history, seen = self.watched(validation=pair((X[:7], IDS[:7])))
        assert seen == (2, 60, 16)
        assert history["valid_loss"][-1] == pytest.approx(made.evaluate(X[:7], IDS[:7])["loss"], rel=1e-12)
        assert run().tobytes() == run(validation=(X[:7], IDS[:7])).tobytes()

    @pytest.mark.parametrize("validation", [None, 0, 0.0])
    def test_without(self, validation):
        _, history, seen = self.watched(validation=validation)
        assert seen == (2, 60, 16)
        assert history["valid_loss"] == history["valid_accuracy"] == [None, None]


class TestHistory:
    def test_rows(self):
        made = model()
        trainer = Trainer(made, optimizer=xpnn.SGD(0.1), schedule=Exponential(0.9))
        history = trainer.fit(X, IDS, epochs=3, batch_size=16, validation=0.2)
        assert history is trainer.history
        assert len(history) == 3
        assert [row.epoch for row in history] == history["epoch"] == [1, 2, 3]
        assert history["lr"] == pytest.approx(
            [0.1 * 0.9 ** (3 * epoch - 1) for epoch in (1, 2, 3)]
        )  # the last step's
        assert all(row.seconds > 0 for row in history)
        assert trainer.steps == 9

    def test_the_training_loss_is_the_mean_over_samples(self):
        """The last batch is short and counts for less."""
        made, x = model(), X[:20]
        history = Trainer(made, optimizer=xpnn.SGD(0.0)).fit(x, IDS[:20], epochs=1, batch_size=16)
        assert history["train_loss"][0] == pytest.approx(made.evaluate(x, IDS[:20])["loss"], rel=1e-9)

    def test_best(self):
        row = Row(1, 1.0, 2.0, 0.5, 0.1, 1.0, False)
        history = History(
            [row, replace(row, epoch=2, valid_accuracy=0.7), replace(row, epoch=3, valid_accuracy=0.7)]
        )
        assert history.best.epoch == 2
        losses = [
            replace(row, valid_accuracy=None, epoch=i, valid_loss=v)
            for i, v in enumerate((3, float("nan"), 1, 2))
        ]
        assert History(losses).best.epoch == 2
        assert History([losses[1], losses[0]]).best is losses[0]
        assert (
            History(
                [replace(row, valid_accuracy=None, valid_loss=None, train_loss=v) for v in (3, 1)]
            ).best.train_loss
            == 1
        )
        assert History().best is None

    def test_the_mark_of_the_best_is_for_the_best_so_far(self):
        history = Trainer(model(), optimizer=xpnn.SGD(2.0)).fit(
            X, IDS, epochs=15, batch_size=4, validation=0.3
        )
        best = (-1.0, 0.0)
        for row in history:
            score = (row.valid_accuracy, -row.valid_loss)
            assert row.best == (score > best)
            best = max(best, score)
        assert not all(row.best for row in history)


class Log(Callback):
    def __init__(self, name, log, fail=None):
        self.name, self.log, self.fail = name, log, fail

    def note(self, what):
        self.log.append(f"{self.name} {what}")
        if what == self.fail:
            raise KeyboardInterrupt

    def start(self, trainer, epochs, samples, batch_size):
        self.note("start")

    def progress(self, epoch, samples, loss):
        assert np.isfinite(loss)
        self.note(f"progress {epoch}/{samples}")

    def epoch(self, trainer, row):
        self.note(f"epoch {row.epoch}")

    def end(self, trainer):
        self.note("end")


class TestCallbacks:
    def test_the_order(self):
        log = []
        Trainer(model()).fit(X, IDS, epochs=2, callbacks=[Log("a", log), Log("b", log)])
        epochs = [
            f"{name} {what}" for e in (1, 2) for what in (f"progress {e}/60", f"epoch {e}") for name in "ab"
        ]
        assert log == ["a start", "b start", *epochs, "b end", "a end"]

    @pytest.mark.parametrize(
        ("fail", "expected"),
        [
            ("start", ["a start", "b start", "a end"]),
            ("progress 1/60", ["a start", "b start", "a progress 1/60", "b progress 1/60", "b end", "a end"]),
        ],
    )
    def test_every_callback_that_began_is_ended(self, fail, expected):
        log = []
        with pytest.raises(KeyboardInterrupt):
            Trainer(model()).fit(X, IDS, epochs=1, callbacks=[Log("a", log), Log("b", log, fail)])
        assert log == expected

    def test_progress_inside_an_epoch(self):
        log = []
        Trainer(model()).fit(X, IDS, epochs=1, batch_size=1, callbacks=[Log("a", log)])
        assert log == ["a start", "a progress 1/32", "a progress 1/60", "a epoch 1", "a end"]

    def test_keep_best_puts_the_best_weights_back(self, tmp_path):
        made = model()
        at_epoch = {}

        class Spy(Callback):
            def epoch(self, trainer, row):
                at_epoch[row.epoch] = trainer.model.snapshot()["theta"]

        trainer = Trainer(made, optimizer=xpnn.SGD(2.0))
        keep = KeepBest(tmp_path / "best")
        history = trainer.fit(X, IDS, epochs=15, batch_size=4, validation=0.3, callbacks=[Spy(), keep])
        best = history.best.epoch
        assert best < 15
        np.testing.assert_array_equal(made.theta, at_epoch[best])
        np.testing.assert_array_equal(xpnn.load(tmp_path / "best").theta, at_epoch[best])


class TestSteps:
    @pytest.mark.parametrize("backend", INSTALLED)
    def test_a_step_returns_the_loss_on_the_device(self, backend):
        made = model(backend, "float32")
        be, trainer = made.backend, Trainer(made)
        expected = made.evaluate(X, IDS)["loss"]
        value = trainer.step(be.asarray(X.astype(np.float32)), be.asarray(IDS))
        assert be.owns(value)
        assert value.shape == ()
        assert value.dtype == be.dtype
        assert float(value) == pytest.approx(expected, rel=1e-5)
        assert trainer.steps == 1

    @pytest.mark.parametrize("backend", INSTALLED)
    def test_fit_is_made_of_steps(self, backend):
        fitted = run(start=model(backend), optimizer=xpnn.Adam(0.01))
        made = model(backend)
        be, trainer = made.backend, Trainer(made, optimizer=xpnn.Adam(0.01))
        for epoch in (1, 2, 3):
            order = xpnn.data.epoch_order(0, epoch, 60)
            for b in range(0, 60, 16):
                trainer.step(be.asarray(X[order[b : b + 16]]), be.asarray(IDS[order[b : b + 16]]))
        assert made.snapshot()["theta"].tobytes() == fitted.tobytes()

    def test_a_second_fit_goes_on(self):
        """Epochs, shuffles and the optimizer's state continue: 2 + 3 epochs are 5."""
        made = model()
        trainer = Trainer(made, optimizer=xpnn.Adam(0.01))
        first = trainer.fit(X, IDS, epochs=2, batch_size=16)
        assert trainer.fit(X, IDS, epochs=3, batch_size=16) is first
        whole = run(optimizer=xpnn.Adam(0.01), epochs=5)
        assert made.theta.tobytes() == whole.tobytes()
        assert first["epoch"] == [1, 2, 3, 4, 5]

    def test_model_fit_starts_a_fresh_optimizer_from_the_present_weights(self):
        made = model()
        made.fit(X, IDS, optimizer="adam", epochs=2, batch_size=16, verbose=0)
        again = model()
        again.restore(made.snapshot())
        for m in (made, again):
            m.fit(X, IDS, optimizer="adam", epochs=1, batch_size=16, verbose=0)
        assert made.theta.tobytes() == again.theta.tobytes()

    def test_the_schedule_spans_the_run(self):
        rates = []

        class Rates(Callback):
            def epoch(self, trainer, row):
                rates.append(float(trainer.state["lr"]))

        trainer = Trainer(model(), optimizer=xpnn.SGD(0.2), schedule="cosine")
        trainer.fit(X, IDS, epochs=4, batch_size=20, callbacks=[Rates()])
        steps = np.array([2, 5, 8, 11])
        np.testing.assert_allclose(rates, 0.2 * (1 + np.cos(np.pi * steps / 12)) / 2, rtol=1e-12)

    @pytest.mark.parametrize("schedule", ["cosine", InverseTime(0.5), Warmup(4), OneCycle()])
    def test_a_further_fit_begins_the_schedule_anew(self, schedule):
        """Whatever the fits before it were; epochs and the optimizer's state go on."""
        rates = []

        class Rates(Callback):
            def step(self, run):
                rates.append(run.lr)

        trainer = Trainer(model(), optimizer=xpnn.Adam(0.2), schedule=schedule)
        trainer.fit(X, IDS, epochs=2, batch_size=20, callbacks=[Rates()])
        first, rates[:] = list(rates), []
        trainer.step(*(trainer.model.backend.asarray(a) for a in (X.astype(np.float32), IDS)))
        trainer.fit(X, IDS, epochs=2, batch_size=20, callbacks=[Rates()])
        assert rates == first
        assert len(set(first)) > 2
        rates.clear()
        trainer.fit(X, IDS, epochs=4, batch_size=20, callbacks=[Rates()])
        assert rates == [0.2 * trainer.schedule(step, 12) for step in range(12)]
        assert trainer.history["epoch"] == list(range(1, 9))
        assert int(trainer.state["t"]) == 25

    def test_a_further_fit_that_is_resumed_goes_on_in_its_schedule(self, tmp_path):
        def run(resume=None, path=None):
            trainer = Trainer(model(), optimizer=xpnn.Adam(0.1), schedule="cosine")
            if resume is None:
                trainer.fit(X, IDS, epochs=1, batch_size=20)

            class Save(Callback):
                def epoch(self, run, row):
                    if path is not None and row.epoch == 2:
                        run.save_state(path)

            epochs = 3 if resume is None else 4
            trainer.fit(X, IDS, epochs=epochs, batch_size=20, callbacks=[Save()], resume=resume)
            return trainer.model.theta.tobytes(), trainer.history["lr"]

        path = tmp_path / "state.safetensors"
        assert run(path=path) == run(resume=path)

    def test_verbose_prints_to_stderr_only(self, capsys):
        model().fit(X, IDS, epochs=2, validation=0.2)
        out, err = capsys.readouterr()
        assert out == ""
        assert len([line for line in err.splitlines() if line.strip()[:1] in ("1", "2")]) == 2
        model().fit(X, IDS, epochs=2, verbose=0)
        assert capsys.readouterr() == ("", "")

    def test_the_data_is_not_written_to(self):
        x, y = X.astype(np.float32), IDS.copy()
        x.flags.writeable = y.flags.writeable = False
        made = model(dtype="float32")
        made.fit(x, y, epochs=2, validation=0.2, sample_weight=np.broadcast_to(1.0, 60), verbose=0)
        np.testing.assert_array_equal(y, IDS)


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "focal"])
def test_ids_of_a_step_are_one_whole_number_for_each_sample(be, loss):
    """Values out of range: tests/training/test_ids_out_of_range.py."""
    model = xpnn.Model([xpnn.Dense(3)], (2,), backend=be.name, dtype="float64", seed=0)
    trainer, x = xpnn.Trainer(model, loss, xpnn.SGD(0.1)), be.asarray(np.ones((4, 2)))
    with pytest.raises(DataError, match="a class id is a whole number"):
        trainer.step(x, be.asarray(np.zeros(4)))
    with pytest.raises(ShapeError):
        trainer.step(x, be.asarray(np.zeros((4, 1), int)))
    assert np.isfinite(float(trainer.step(x, be.asarray(np.array([0, 2, 1, 1])))))


@pytest.mark.parametrize("last", [xpnn.Reshape((3,)), xpnn.Flatten(), xpnn.Dropout(0.5)], ids=str)
def test_probabilities_stay_probabilities_behind_layers_that_only_move_them(last):
    with pytest.raises(UsageError, match="wants logits"):
        xpnn.Trainer(xpnn.Model([xpnn.Dense(3), xpnn.Softmax(), last], (2,), seed=0))

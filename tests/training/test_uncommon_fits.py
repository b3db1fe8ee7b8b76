"""What is checked before a fit begins, and what is counted while it goes: each bound from both sides."""

import dataclasses
import math
from typing import ClassVar

import numpy as np
import pytest

import xpnn
from xpnn.errors import CheckpointError, DataError, UsageError
from xpnn.stored_array import StoredArray
from xpnn.training import early_stopping, history, ids, json_lines, plateau, source, threads, trainer
from xpnn.training.class_weight import times, weights_of
from xpnn.training.history import History, Row, Tally

ROW = Row(1, 0.5, 0.25, 0.75, 0.1, 1.5, True, 0.625, {"f1": 0.5}, {"accuracy[0]": 0.25})


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_a_count_is_a_whole_number_from_1(value):
    assert trainer.check_count("epochs", value) == value
    assert type(trainer.check_count("epochs", value)) is int


@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None, np.float32(2)])
def test_what_is_no_count(value):
    with pytest.raises(UsageError, match=r"epochs=.*wanted a whole number of at least 1"):
        trainer.check_count("epochs", value)


X = np.zeros((10, 2))


@pytest.mark.parametrize("value", [None, 0, 0.1, 5, np.float32(0.1), np.int64(3), (X, X), [X, X]])
def test_what_validation_may_be(value):
    trainer.check_validation(value)
    assert trainer.is_plain(value)


@pytest.mark.parametrize(("value", "message"), [
    ((X,), "validation holds 1 arrays"), ((X, X, X), "validation holds 3 arrays"), (True, "validation is a bool"),
    ("0.1", "validation is a str"), ({}, "validation is a dict"), (X, "validation is a ndarray"),
])  # fmt: skip
def test_what_validation_may_not_be(value, message):
    assert trainer.is_plain(value)
    with pytest.raises(UsageError, match=message):
        trainer.check_validation(value)


def test_batches_are_not_plain():
    assert not trainer.is_plain(iter([(X, X)]))
    assert not trainer.is_plain(xpnn.data.Batches(X, X))


def test_what_is_held_out():
    y = np.arange(10) % 2
    for nothing in (None, 0, (X, y), [X, y]):
        train, valid = trainer.hold_out(y, nothing, 1)
        assert train.tolist() == list(range(10))
        assert valid is None
    train, valid = trainer.hold_out(y, 4, 1)
    assert sorted([*train, *valid]) == list(range(10))
    assert np.bincount(y[valid]).tolist() == [2, 2]
    assert trainer.hold_out((y, X), np.int64(4), 1)[1].tolist() == valid.tolist()
    assert trainer.hold_out(y, 4, 2)[1].tolist() != valid.tolist()


def test_a_metric_is_one_number():
    assert trainer.as_number("f1", np.float64(0.5)) == 0.5
    with pytest.raises(UsageError, match=r"the metric 'f1' is an array \(2,\)"):
        trainer.as_number("f1", np.zeros(2))


class TestClassWeights:
    COUNTS = np.array([6.0, 0.0, 2.0])

    def test_balanced(self):
        """N / (classes that occur x samples of the class)."""
        assert weights_of("balanced", self.COUNTS).tolist() == [8 / (2 * 6), 1.0, 8 / (2 * 2)]
        assert weights_of("balanced", np.zeros(2)).tolist() == [1.0, 1.0]

    @pytest.mark.parametrize(
        "given", [{0: 2, 2: 0.5}, {0: 2, 1: 1.0, 2: 0.5}, [2, 1, 0.5], np.array([2, 1, 0.5])]
    )
    def test_given(self, given):
        assert weights_of(given, self.COUNTS).tolist() == [2.0, 1.0, 0.5]

    @pytest.mark.parametrize(("given", "message"), [
        ("even", "class_weight='even'"), ({0: 1}, "no weight for class 2"), ({0: 1, 2: 1, 3: 1}, "a weight for 3"),
        ({0: 1, 2: 1, -1: 1}, "a weight for -1"), ([1, 2], r"of shape \(2,\) for 3 classes"), ([1, -1, 1],
            r"\[1\] is -1"),
        ([1, 1, math.inf], r"\[2\] is inf"), ([math.nan, 1, 1], r"\[0\] is nan"), ([0, 0, 0],
            "every class_weight is 0"),
    ])  # fmt: skip
    def test_refused(self, given, message):
        with pytest.raises((UsageError, DataError), match=message):
            weights_of(given, self.COUNTS)
        assert weights_of([0, 0, 1], self.COUNTS).tolist() == [0, 0, 1]

    def test_times_the_weights_of_samples(self):
        each, weight = np.arange(1.0, 7).reshape(2, 3), np.array([2.0, 10.0])
        assert times(each, weight).tolist() == [[2, 4, 6], [40, 50, 60]]
        assert times(each, each).tolist() == (each * each).tolist()
        wrong = np.ones(3)
        assert times(each, wrong) is wrong


class TestHistory:
    def test_the_columns_of_a_row(self):
        assert ROW.to_dict() == {
            "epoch": 1, "train_loss": 0.5, "valid_loss": 0.25, "valid_accuracy": 0.75, "lr": 0.1, "seconds": 1.5,
            "best": True, "train_accuracy": 0.625, "train_accuracy[0]": 0.25, "valid_f1": 0.5,
        }  # fmt: skip

    def test_a_column_by_either_name(self):
        made = History([ROW, dataclasses.replace(ROW, epoch=2, metrics={})])
        for ours, theirs in history.KERAS.items():
            assert made[ours] == made[theirs]
        assert (made["loss"], made["accuracy"]) == ([0.5, 0.5], [0.625, 0.625])
        assert (made["val_loss"], made["val_accuracy"]) == ([0.25, 0.25], [0.75, 0.75])
        assert made["valid_f1"] == [0.5, None]
        assert (len(made), list(made)[1].epoch) == (2, 2)
        with pytest.raises(UsageError, match="no column 'valid_f2'"):
            made["valid_f2"]
        assert History()["anything"] == []

    @pytest.mark.parametrize(("worse", "better"), [
        ({"valid_accuracy": 0.7}, {"valid_accuracy": 0.8}), ({"valid_loss": 0.3}, {"valid_loss": 0.2}),
        ({"valid_accuracy": math.nan}, {"valid_accuracy": 0.1}), ({"valid_loss": math.nan}, {"valid_loss": 9.0}),
        ({"valid_loss": None, "train_loss": 0.6}, {"valid_loss": None, "train_loss": 0.5}),
        ({"valid_accuracy": None, "valid_loss": 0.3}, {"valid_accuracy": None, "valid_loss": 0.2}),
        ({"valid_loss": 0.1, "valid_accuracy": 0.5}, {"valid_loss": 0.9, "valid_accuracy": 0.6}),
    ])  # fmt: skip
    def test_which_epoch_is_the_best(self, worse, better):
        one, two = (dataclasses.replace(ROW, **settings) for settings in (worse, better))
        assert History([one, two]).best is two
        assert History([two, one]).best is two
        assert History([two, dataclasses.replace(two)]).best is two
        assert History().best is None

    @pytest.mark.parametrize(("value", "shown"), [
        (True, "*"), (False, ""), (None, ""), (0.123456, "0.1235"), (12, "12"), ("a", "a"),
    ])  # fmt: skip
    def test_what_a_cell_shows(self, value, shown):
        assert history.text(value) == shown

    def test_hits_are_counted_for_each_output(self):
        one, two = Tally(), Tally()
        one.add(np.array([3, 4]), 10)
        one.add(np.array([1]), 6)
        assert one.shares == [0.5]
        two.add(np.array([[3, 4, 0, 0], [1, 4, 0, 0]]), 10)
        assert two.shares[0] == 0.5
        assert math.isnan(two.shares[1])


def test_settings_of_callbacks_at_their_bounds():
    for settings in ({"patience": 1}, {"min_delta": 0.0}, {"monitor": "train_loss"}):
        assert early_stopping.EarlyStopping(**settings)
    for settings in ({"patience": 0}, {"patience": True}, {"patience": 1.0}, {"min_delta": -0.1},
        {"min_delta": math.nan},
                     {"monitor": "loss"}):  # fmt: skip
        with pytest.raises(UsageError, match=f"EarlyStopping.{next(iter(settings))}"):
            early_stopping.EarlyStopping(**settings)
    for settings in ({"factor": 0.999}, {"patience": 0}, {"threshold": 0}, {"threshold": 1, "relative": False},
                     {"cooldown": 0}, {"min_lr": 0}):  # fmt: skip
        assert plateau.ReduceOnPlateau(**settings)
    for settings in ({"factor": 0}, {"factor": 1}, {"patience": -1}, {"threshold": -1}, {"threshold": 1},
        {"cooldown": -1},
                     {"min_lr": -1}, {"min_lr": math.inf}, {"monitor": "loss"}):  # fmt: skip
        with pytest.raises(UsageError, match=f"ReduceOnPlateau.{next(iter(settings))}"):
            plateau.ReduceOnPlateau(**settings)


class TestLines:
    SCHEMA: ClassVar = {"a": int, "b": float}

    def read(self, folder, text, optional=frozenset()):
        (folder / "l").write_text(text)
        return json_lines.read_lines(folder / "l", self.SCHEMA, optional)

    def test_lines_come_back_and_what_is_cut_off_is_left_out(self, tmp_path):
        entries = [{"a": 1, "b": 0.5}, {"a": 2, "b": 1.5}]
        text = "".join(map(json_lines.line_of, entries))
        assert self.read(tmp_path, text) == (entries, False)
        assert self.read(tmp_path, text[:-1]) == (entries[:1], True)
        assert self.read(tmp_path, '{"a": 1, "b": 0.5}\n') == (entries[:1], False)
        assert self.read(tmp_path, '{"a": 1}\n', {"b"}) == ([{"a": 1}], False)

    @pytest.mark.parametrize(("text", "why"), [
        ("[1]\n", "line 1: it is no JSON object"), ('{"a": 1}\n', "line 1: wanted a, b"),
        ('{"a": 1, "b": 0.5, "c": 1}\n', "wanted a, b"), ('{"a": "x", "b": 0.5}\n', "line 1"), ("{\n", "line 1"),
        ('{"a": 1, "b": 0.5, "crc32": "00000000"}\n', "its checksum does not match"),
    ])  # fmt: skip
    def test_a_damaged_line_is_named(self, tmp_path, text, why):
        with pytest.raises(CheckpointError, match="is damaged") as caught:
            self.read(tmp_path, text)
        assert why in caught.value.why


def test_an_average_needs_an_optimizer_that_keeps_one():
    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0)
    with pytest.raises(UsageError, match="SGD keeps no average of the weights"):
        model.fit(X, np.arange(10) % 2, epochs=1, optimizer="sgd", callbacks=[xpnn.training.UseAverage()])


def test_the_state_of_a_fit_is_that_of_a_fit_under_way(tmp_path):
    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0)
    made = xpnn.training.Trainer(model, "softmax_cross_entropy", "sgd")
    with pytest.raises(UsageError, match=r"Trainer\.save_state outside a fit"):
        made.save_state(tmp_path / "s")


def test_ids_of_one_of_several_inputs_are_replaced():
    assert ids.put((1, 2, 3), 1, 9) == (1, 9, 3)
    assert ids.put((1, 2), 0, 9) == (9, 2)
    assert ids.put(1, 0, 9) == 9


def test_batches_are_joined_part_by_part():
    one, two = np.ones((2, 3)), np.zeros((1, 3))
    assert source.joined([one]).tolist() == one.tolist()
    assert source.joined([one, two]).shape == (3, 3)
    found = source.joined([(one, one[:, 0]), (two, two[:, 0])])
    assert [part.shape for part in found] == [(3, 3), (3,)]
    assert [part.shape for part in source.joined([(one, two)])] == [(2, 3), (1, 3)]


def test_what_threads_are_tried_with_has_the_shape_of_the_samples():
    class Stored:
        shape, dtype, chunks = (9, 4, 5, 3), np.dtype("u1"), (4, 4, 5, 3)
        __module__ = "h5py.fake"

    found = threads.first_rows(StoredArray(Stored()), 2)
    assert (found.shape, found.dtype, found.any()) == ((2, 4, 5, 3), np.uint8, False)
    assert threads.first_rows(np.arange(6).reshape(3, 2), 2).tolist() == [[0, 1], [2, 3]]

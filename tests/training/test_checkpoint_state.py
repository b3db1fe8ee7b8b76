"""What a file of weights or of a run is checked for, part by part: its table, its description, and whose run it is."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

import xpnn
from xpnn.config import to_config
from xpnn.errors import CheckpointError, UsageError
from xpnn.layers import Dense, Flatten, ReLU, Sequential
from xpnn.schedules import ConstantRate, Cosine
from xpnn.stored_array import StoredArray
from xpnn.training import Callback, EarlyStopping, KeepBest, Row, Trainer, identity, state
from xpnn.training.checkpoint import digest, join, read_about, read_net, seal, unseal
from xpnn.training.safetensors_reader import (
    MAX_HEADER,
    check_entry,
    check_table,
    read_header,
    read_json,
    read_tensors,
)

JSON = {
    "40 digits": ("1" * 40, int("1" * 40)),
    "41 digits": ("1" * 41, "holds a number of 41 digits"),
    "a sign and 39 digits": ("-" + "1" * 39, -int("1" * 39)),
    "a fraction of 40 digits": ("0." + "1" * 38, float("0." + "1" * 38)),
    "a fraction of 41 digits": ("0." + "1" * 39, "holds the number 0.1111"),
    "beyond a float": ("1e400", "holds the number 1e400"),
    "NaN": ("NaN", "holds NaN"),
    "infinity": ("-Infinity", "holds -Infinity"),
    "a key twice": ('{"a": {"b": 1, "b": 1}}', "names a key twice"),
    "equal keys of two": ('[{"b": 1}, {"b": 2}]', [{"b": 1}, {"b": 2}]),
    "bytes": (b'{"\xc3\xa9": 1.5}', {"\xe9": 1.5}),
    "another encoding": ("{}".encode("utf-16"), "is not JSON"),
    "no end": ("[1", "is not JSON"),
    "too deep": ("[" * 100_000 + "]" * 100_000, ""),
}


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_read_and_json_that_is_not(name):
    text, wanted = JSON[name]
    if not isinstance(wanted, str):
        assert read_json(text, "header") == wanted
        return
    with pytest.raises(CheckpointError, match=f"the header .*{wanted}" if wanted else "header"):
        read_json(text, "header")


def headed(length, rest, size=None):
    data = length.to_bytes(8, "little") + rest
    return read_header(io.BytesIO(data), len(data) if size is None else size)


def test_a_header_of_every_length():
    assert headed(2, b"{}") == ({}, 10)
    assert headed(2, b"{}more") == ({}, 10)
    full = b'{"a": 1}'.ljust(MAX_HEADER)
    assert headed(MAX_HEADER, full) == ({"a": 1}, MAX_HEADER + 8)
    with pytest.raises(CheckpointError, match="no safetensors file of a model, or it is cut short") as caught:
        headed(MAX_HEADER + 1, full + b" ")
    assert (
        caught.value.why
        == "its header declares 1,048,577 bytes, 1,048,577 are there, at most 1,048,576 are read"
    )
    with pytest.raises(CheckpointError, match="cut short"):
        headed(3, b"{}")
    with pytest.raises(CheckpointError, match="7 bytes are no model file"):
        headed(0, b"", 7)
    with pytest.raises(CheckpointError, match="is not JSON"):
        headed(0, b"")
    with pytest.raises(CheckpointError, match="the header is not a JSON object"):
        headed(2, b"[]")


ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]}
ENTRIES = {
    "as it should be": ({}, (8, 32)),
    "of doubles": ({"dtype": "F64", "data_offsets": [0, 48]}, (0, 48)),
    "far away": ({"data_offsets": [2**63 - 1, 2**63 + 23]}, (2**63 - 1, 2**63 + 23)),
    "too far away": ({"data_offsets": [2**63, 2**63 + 24]}, "has offsets that do not fit its shape"),
    "before the file": ({"data_offsets": [-1, 23]}, "has offsets that do not fit its shape"),
    "one byte less": ({"data_offsets": [8, 31]}, "has offsets that do not fit its shape"),
    "backwards": ({"data_offsets": [32, 8]}, "has offsets that do not fit its shape"),
    "one offset": ({"data_offsets": [8]}, "has no offsets"),
    "three offsets": ({"data_offsets": [8, 32, 40]}, "has no offsets"),
    "offsets of fractions": ({"data_offsets": [8.0, 32]}, "has no offsets"),
    "a second offset that is no number": ({"data_offsets": [8, "32"]}, "has no offsets"),
    "offsets by name": ({"data_offsets": {"8": 32}}, "has no offsets"),
    "halves": ({"dtype": "F16"}, "has an unknown dtype"),
    "a number for a dtype": ({"dtype": 32}, "has an unknown dtype"),
    "another shape": ({"shape": [3, 2]}, r"has shape \[3, 2\], the architecture wants \[2, 3\]"),
    "a shape of fractions": ({"shape": [2.0, 3]}, "has shape"),
    "an entry more": ({"more": 1}, "has no dtype, shape and offsets"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_of_the_table(name):
    change, wanted = ENTRIES[name]
    if isinstance(wanted, tuple):
        assert check_entry("0.W", [2, 3], ENTRY | change) == wanted
        return
    with pytest.raises(CheckpointError, match=f"parameter 0.W {wanted}"):
        check_entry("0.W", [2, 3], ENTRY | change)


@pytest.mark.parametrize("entry", [None, [], {}, {"dtype": "F32", "shape": [2, 3]}])
def test_an_entry_without_its_three_keys_is_refused(entry):
    with pytest.raises(CheckpointError, match="has no dtype, shape and offsets"):
        check_entry("0.W", [2, 3], entry)


def table(**spans):
    return {name: {"dtype": "F32", "shape": [2], "data_offsets": list(span)} for name, span in spans.items()}


def test_a_table_fills_the_file():
    shapes = {"a": (2,), "b": (2,)}
    check_table(shapes, table(a=(0, 8), b=(8, 16)), 16)
    check_table(shapes, table(a=(8, 16), b=(0, 8)), 16)
    check_table({}, {}, 0)
    for spans, size in (
        ({"a": (0, 8), "b": (8, 16)}, 17),
        ({"a": (0, 8), "b": (8, 16)}, 15),
        ({"a": (0, 8), "b": (9, 17)}, 17),
        ({"a": (0, 8), "b": (7, 15)}, 15),
        ({"a": (1, 9), "b": (9, 17)}, 17),
        ({"a": (0, 8), "b": (0, 8)}, 8),
    ):
        with pytest.raises(CheckpointError, match="do not fill the file") as caught:
            check_table(shapes, table(**spans), size)
        assert caught.value.why == f"they take 16 bytes, {size} are there"
    with pytest.raises(CheckpointError, match="do not fill the file"):
        check_table({}, {}, 1)


def test_names_that_the_network_does_not_have():
    shapes, seven = {"a": (2,)}, {f"p{i}": (2,) for i in range(7)}
    with pytest.raises(CheckpointError, match=r"^parameters are missing: p0, p1, p2, p3, p4\n"):
        check_table(shapes | seven, table(a=(0, 8)), 8)
    with pytest.raises(CheckpointError, match=r"^parameters are unknown: p0, p1, p2, p3, p4\n"):
        check_table(shapes, table(a=(0, 8), **dict.fromkeys(seven, (0, 8))), 8)


def test_arrays_of_the_bytes_behind_the_table():
    data = np.arange(4, dtype="<f4").tobytes()
    found = read_tensors(data, table(b=(8, 16), a=(0, 8)))
    assert {name: (a.dtype.str, a.tolist()) for name, a in found.items()} == {
        "b": ("<f4", [2.0, 3.0]), "a": ("<f4", [0.0, 1.0]),
    }  # fmt: skip
    with pytest.raises(CheckpointError, match="grew shorter"):
        read_tensors(data[:-1], table(b=(8, 16)))


def test_a_checksum_is_of_all_that_is_kept():
    tensors = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones(2, np.float32)}
    text = '{"format": 1}'
    whole = digest(text, tensors)
    others = [
        (text + " ", tensors),
        (text, {"a": tensors["a"]}),
        (text, tensors | {"a": tensors["a"].T}),
        (text, tensors | {"a": tensors["a"].reshape(3, 2)}),
        (text, tensors | {"b": np.ones(1, np.float64)}),
        (text, tensors | {"b": np.array([1, 2], np.float32)}),
        (text, {"a": tensors["a"], "c": tensors["b"]}),
    ]
    assert len({whole, *(digest(*other) for other in others)}) == len(others) + 1
    assert digest(text, dict(reversed(tensors.items()))) == whole
    assert digest(text, tensors | {"a": np.asfortranarray(tensors["a"])}) == whole
    sealed = seal(text, whole)
    assert json.loads(sealed) == {"format": 1, "sha256": whole}
    assert unseal(sealed) == (text, whole)


ABOUT = {
    "format": 1,
    "xpnn": "0.1.0",
    "net": {},
    "input_shape": [2],
    "dtype": "float32",
    "seed": 0,
    "loss": to_config(xpnn.losses.Poisson()),
}


def test_a_description_of_a_model():
    found = read_about(json.dumps(ABOUT))
    assert found == {**ABOUT, "loss": xpnn.losses.Poisson(), "preparation": None}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        *(({name: None}, f"has no {type(value).__name__} called '{name}'") for name, value in ABOUT.items()),
        ({"seed": True}, "has no int called 'seed'"),
        ({"format": 2, "xpnn": "9" * 30}, "has format 2, this version reads format 1"),
        ({"dtype": "float16"}, "an unknown dtype or a seed below 0"),
        ({"seed": -1}, "an unknown dtype or a seed below 0"),
        ({"loss": to_config(ReLU())}, "loss"),
        ({"preparation": to_config(ReLU())}, "preparation"),
    ],
    ids=str,
)
def test_a_description_of_no_model(change, words):
    with pytest.raises(CheckpointError, match=words) as caught:
        read_about(json.dumps(ABOUT | change))
    if change.get("format"):
        assert caught.value.fix == f"use xpnn {'9' * 20}, which wrote it"


SHAPES = {
    "one axis": ([3], True),
    "an open one": ([None], True),
    "the largest": ([2**40], True),
    "one more": ([2**40 + 1], False),
    "the largest of two": ([2, 2**39], True),
    "more of two": ([2, 2**39 + 1], False),
    "open ones beside a large one": ([None, 2**40], False),
    "nothing": ([0], False),
    "below nothing": ([-1], False),
    "a fraction": ([3.0], False),
    "yes": ([True], False),
    "32 axes": ([1] * 32, True),
    "33 axes": ([1] * 33, False),
    "several": ([[3], [4, 5]], False),
    "a word": ("3", False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_the_samples_of_a_file(name):
    shape, fits = SHAPES[name]
    about = {"net": to_config(Sequential((Flatten(),))), "input_shape": shape}
    if fits:
        assert read_net(about)[1] == tuple(shape)
        return
    with pytest.raises(CheckpointError, match=r"input_shape|do not fit each other"):
        read_net(about)


def test_weights_that_are_too_large_for_the_dtype():
    layout = xpnn.Model([Dense(2)], (1,), seed=0).layout
    tensors = {"0.W": np.array([[1e300, 2.0]]), "0.b": np.array([3.0, 4.0])}
    assert join(layout, tensors, "float64")["theta"].tolist() == [1e300, 2, 3, 4]
    with pytest.raises(CheckpointError, match=r"parameter 0.W holds NaN or infinity \(as float32\)"):
        join(layout, tensors, "float32")
    for bad in (math.nan, math.inf):
        with pytest.raises(CheckpointError, match=r"parameter 0\.b"):
            join(layout, {"0.W": np.ones((1, 2)), "0.b": np.array([0.0, bad])}, "float64")


# Whose run it is

SAME = {"batches": 4, "net": {"type": "Sequential", "layers": [{"type": "Dense", "units": 3}]}}
RUN = {"same": SAME, "epochs": 3, "steps": 13, "first": 8, "total": 20}
COUNTERS = {
    "in its first epoch": ({}, (3, 1, 1), ""),
    "a whole epoch of losses": ({}, (3, 1, 4), ""),
    "too many losses": ({}, (3, 1, 5), "the counters of the run do not fit"),
    "losses below 0": ({}, (3, 1, -1), "the counters of the run do not fit"),
    "at its end": ({}, (3, 3, 0), ""),
    "too many rows": ({}, (4, 4, 0), "the counters of the run do not fit"),
    "no step": ({"steps": 8}, (3, 0, 0), ""),
    "steps below the first": ({"steps": 7}, (3, 0, 0), "the counters of the run do not fit"),
    "a first below 0": ({"first": -1}, (3, 1, 1), "the counters of the run do not fit"),
    "the last epoch of all": ({}, (2, 1, 1), ""),
    "an epoch too few": ({}, (1, 1, 1), "is in epoch 2 already, epochs=1"),
    "an epoch that is done": ({}, (1, 1, 0), ""),
    "epochs that are done": ({}, (1, 2, 0), "is in epoch 2 already, epochs=1"),
}


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_of_a_run_fit_each_other(name):
    change, counts, words = COUNTERS[name]
    given = (dict(SAME), ConstantRate(), Path("a"), RUN | change, *counts)
    if not words:
        identity.check_same(*given)
        return
    with pytest.raises(CheckpointError if "counters" in words else UsageError, match=words):
        identity.check_same(*given)


def test_a_schedule_is_compared_at_every_step_that_was_made():
    """Five steps since step 8, of a fit of 12 that is to have 16 now."""
    asked = []

    def schedule(step, total):
        asked.append((step, total))
        return 1.0

    identity.check_same(dict(SAME), schedule, Path("a"), RUN, 4, 1, 1)
    assert asked == [(step, total) for step in range(5) for total in (12, 16)]
    asked.clear()
    identity.check_same(dict(SAME), schedule, Path("a"), RUN | {"total": 10}, 2, 1, 1)
    assert asked == [(0, 2), (0, 1), (1, 2), (1, 2), (2, 3), (2, 3), (3, 4), (3, 4), (4, 5), (4, 5)]
    asked.clear()
    identity.check_same(dict(SAME), schedule, Path("a"), RUN, 3, 1, 1)
    assert asked == []
    last = lambda step, total: total if step == 4 else 1.0  # noqa: E731
    with pytest.raises(UsageError, match="was to have 3 epochs, epochs=4 now"):
        identity.check_same(dict(SAME), last, Path("a"), RUN, 4, 1, 1)
    with pytest.raises(UsageError, match="was to have 3 epochs, epochs=2 now") as caught:
        identity.check_same(dict(SAME), Cosine(), Path("a"), RUN, 2, 1, 1)
    assert caught.value.fix == "epochs=3, or a schedule that does not depend on the total"
    identity.check_same(dict(SAME), Cosine(), Path("a"), RUN | {"steps": 8}, 4, 0, 0)


DIFFERENCES = {
    "none": ({"a": [1, {"b": 2.5}]}, {"a": [1, {"b": 2.5}]}, None),
    "a number": ({"a": 1, "b": 2}, {"a": 1, "b": 3}, ("b", 2, 3)),
    "the first of two": ({"a": 1, "b": 2}, {"b": 3, "a": 0}, ("a", 1, 0)),
    "a key less": ({"a": 1, "b": 2}, {"a": 1}, ("b", 2, None)),
    "a key more": ({"a": 1}, {"a": 1, "b": 2}, ("b", None, 2)),
    "inside": ({"n": {"l": [1, {"u": 2}]}}, {"n": {"l": [1, {"u": 3}]}}, ("n.l[1].u", 2, 3)),
    "lists of two lengths": ({"l": [1]}, {"l": [1, 2]}, ("l", [1], [1, 2])),
    "two types": (
        {"n": {"type": "A", "x": 1}}, {"n": {"type": "B", "x": 1}}, ("n", {"type": "A", "x": 1}, {"type": "B", "x": 1}),
    ),
    "kinds of numbers": ({"a": 1}, {"a": 1.0}, ("a", 1, 1.0)),
    "yes and 1": ({"a": True}, {"a": 1}, ("a", True, 1)),
    "a table and a list": ({"a": {}}, {"a": []}, ("a", {}, [])),
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENCES)
def test_the_first_difference_of_two_runs(name):
    then, now, wanted = DIFFERENCES[name]
    assert identity.first_difference(then, now) == wanted


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"type": "D" * 50, "units": 3}, "D" * 40),
        ({"units": 3}, "{'units': 3}"),
        ([{"type": "Dense"}] * 3, "3 of them"),
        ([1, 2], "[1, 2]"),
        ([], "[]"),
        (list(range(100)), str(list(range(100)))[:60]),
        ("a" * 64, "aaaaaaaaaaaa..."),
        ("a" * 63, repr("a" * 63)[:60]),
        (0.5, "0.5"),
        (None, "None"),
        (["a"], "['a']"),
        ({"type": 3}, "3"),
    ],
)
def test_values_of_a_run_in_a_message(value, shown):
    assert identity.short(value) == shown


class Stored:
    """Like an array of h5py's."""

    chunks, dtype = (2, 3), np.dtype("f8")
    __module__ = "h5py.fake"

    def __init__(self, a, chunks=(2, 3)):
        self.a, self.shape, self.chunks = a, a.shape, chunks

    def __len__(self):
        return len(self.a)

    def __getitem__(self, rows):
        found = self.a[rows]
        assert found.nbytes <= max(identity.PIECE, self.a[:1].nbytes), (
            "no more than a piece, or a row, at a time"
        )
        return found


def changed(a, at):
    a = a.copy()
    a.reshape(-1)[at] += 1
    return a


def test_every_number_of_the_data_counts(monkeypatch):
    monkeypatch.setattr(identity, "PIECE", 32)
    trainer = Trainer(xpnn.Model([Dense(1)], (3,), seed=0), "mse")
    x, y = np.arange(27.0).reshape(9, 3), np.arange(9.0)

    def mark(*data):
        return identity.fingerprint(trainer, data)

    others = [
        (x, y),
        (y, x),
        *((changed(x, at), y) for at in range(27)),
        (x, changed(y, 8)),
        (x.reshape(3, 9), y),
        (x.astype("f4"), y),
        (x, None, y),
        ((x, y),),
        *((StoredArray(Stored(changed(x, at))), y) for at in range(27)),
        (StoredArray(Stored(x)), y),
        (StoredArray(Stored(x, (3, 3))), y),
    ]
    assert len({mark(*other) for other in others}) == len(others)
    assert mark(x.copy(), y, None) == mark(np.asfortranarray(x), y)
    assert mark(StoredArray(Stored(x)), y) == mark(StoredArray(Stored(x.copy())), y)


def test_what_identifies_a_run():
    model = xpnn.Model([Dense(2)], (3,), seed=7, dtype="float64")
    trainer = Trainer(model, "mean_squared_error", xpnn.SGD(0.1), schedule="cosine")
    x, y, seen = np.arange(30.0).reshape(10, 3), np.ones((10, 2)), []
    trainer.fit(
        x, y, epochs=1, batch_size=4, validation=2, callbacks=[lambda run, row: seen.append(run.identity)]
    )
    assert seen == [
        {
            "net": to_config(Sequential((Dense(2),))),
            "input_shape": [3],
            "dtype": "float64",
            "seed": 7,
            "loss": to_config(xpnn.losses.MeanSquaredError()),
            "optimizer": to_config(xpnn.SGD(0.1)),
            "schedule": to_config(Cosine()),
            "augment": None,
            "batch_size": 4,
            "batches": 2,
            "validation": 2,
            "data": identity.fingerprint(trainer, (x, y, None)),
        }
    ]

    def miss(prediction, target):
        return (prediction - target) ** 2

    own = identity.loss_identity(xpnn.losses.get_loss(miss))
    assert (own["type"], own["f"]) == ("FunctionLoss", xpnn.losses.get_loss(miss).name)


# What a state holds of history and callbacks


def test_a_row_of_the_history_as_numbers_and_back():
    row = Row(
        3, 0.5, None, 0.25, 0.1, 1.5, True, None, {"f1": 0.75, "accuracy[0]": 0.5}, {"accuracy[0]": 0.125}
    )
    columns = [*xpnn.training.history.COLUMNS, "train_accuracy[0]", "valid_f1", "valid_accuracy[0]"]
    numbers = [state.number_of(row.to_dict().get(name)) for name in columns]
    assert numbers == [3, 0.5, -math.inf, 0.25, 0.1, 1.5, 1, -math.inf, 0.125, 0.75, 0.5]
    found = state.row_of(columns, numbers)
    assert found == row
    assert (type(found.epoch), type(found.best)) == (int, bool)
    assert state.row_of(columns, [*numbers[:6], 0.0, *numbers[7:]]).best is False


def test_whole_numbers_are_written_as_doubles():
    for a, dtype in (
        (np.arange(3), "f8"),
        (np.array([True]), "f8"),
        (np.ones(2, "f4"), "f4"),
        (np.ones(2), "f8"),
    ):
        assert state.plain(a).dtype == dtype
        assert state.plain(a).tolist() == a.tolist()


class Counting(Callback):
    def __init__(self, n=0):
        self.state = {"n": n}


OWN = {"theta": np.zeros(3), "phi": np.zeros(0)}
KEPT = {"callbacks.1.theta": np.arange(3.0), "callbacks.1.phi": np.zeros(0)}


def test_callbacks_find_what_they_kept_by_their_class():
    first, second, best, new = Counting(), Counting(), KeepBest(), EarlyStopping()
    saved = [
        {"type": "Counting", "state": {"n": 1}, "vectors": False},
        {"type": "KeepBest", "state": {}, "vectors": True},
        {"type": "Counting", "state": {"n": 2}},
        {"type": "Gone", "state": {"n": 2}},
    ]
    found = state.pair_up([best, first, new, second], saved, KEPT, OWN)
    assert [one[0] for one in found] == [best, first, second]
    assert [one[1] for one in found] == [{}, {"n": 1}, {"n": 2}]
    assert [one[2] is None for one in found] == [False, True, True]
    assert found[0][2]["theta"].tolist() == [0, 1, 2]
    assert state.pair_up([first], [], {}, OWN) == []


@pytest.mark.parametrize(
    ("entry", "tensors", "words"),
    [
        ({"state": {}, "vectors": True}, {}, "the weights kept by KeepBest do not fit the model"),
        (
            {"state": {}, "vectors": True},
            {"callbacks.0.theta": np.zeros(3), "callbacks.0.phi": np.zeros(1)},
            "the weights kept by KeepBest do not fit",
        ),
        ({"state": None, "vectors": False}, {}, "the state of KeepBest is not that of this version"),
        ({"state": {"n": 1}, "vectors": False}, {}, "the state of KeepBest is not that of this version"),
    ],
)
def test_what_a_callback_cannot_have_kept(entry, tensors, words):
    with pytest.raises(CheckpointError, match=words):
        state.pair_up([KeepBest()], [{"type": "KeepBest", **entry}], tensors, OWN)


def test_a_state_that_json_cannot_hold():
    assert state.entry(Counting(3)) == {"type": "Counting", "state": {"n": 3}, "vectors": False}
    best = KeepBest()
    best.vectors = OWN
    assert state.entry(best) == {"type": "KeepBest", "state": {}, "vectors": True}
    for n in (math.nan, np.zeros(2), {1, 2}):
        with pytest.raises(UsageError, match="what the callback Counting remembers cannot be saved"):
            state.entry(Counting(n))


def test_deprecated_attributes_of_a_trainer_are_empty_outside_a_fit():
    trainer = Trainer(xpnn.Model([Dense(1)], (3,), seed=0), "mse")
    with pytest.warns(DeprecationWarning, match="belongs to one fit"):
        found = [getattr(trainer, name) for name in ("epochs", "began", "seconds", "callbacks", "losses")]
    assert found == [0, 0.0, 0.0, (), ()]
    with pytest.warns(DeprecationWarning, match=r"trainer.batch belongs to one fit: run.batch"):
        assert trainer.batch() == ()
    with pytest.warns(DeprecationWarning, match=r"trainer.sync belongs"):
        assert trainer.sync() is None

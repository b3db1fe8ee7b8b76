"""Which ids, targets and weights a step takes, entry by entry, and which of them belong to a model and its loss."""

import math

import numpy as np
import pytest

import xpnn
from xpnn import losses
from xpnn.backends import get_backend
from xpnn.errors import DataError, UsageError
from xpnn.training import ids
from xpnn.training.class_weight import weigh
from xpnn.training.ids import Amounts, Ids, Rows, SequenceLabels, Shares, Signs, Weights

YES, NO = True, False
ALLOWED = {
    "ids": (Ids("x", 0, 3), [-1, 0, 2, 3], [NO, YES, YES, NO]),
    "ids as floats": (Ids("x", 0, 3), [-1.0, 0.0, 1.5, 2.0, 3.0, math.nan], [NO, YES, NO, YES, NO, NO]),
    "one that is ignored": (Ids("y", 0, 3, -100), [-100, -1, 0, 3], [YES, NO, YES, NO]),
    "labels of a sequence": (SequenceLabels("y", 0, 3, blank=1), [[-2, -1, 0, 1, 2, 3]], [[NO, YES, YES, NO, YES, NO]]),
    "a column of lengths": (
        SequenceLabels("y", 0, 3, frames=2),
        [[0, 0, 1], [1, -1, 2], [2, 3, 1], [3, 2, -2]],
        [[NO, NO, YES], [YES, YES, YES], [YES, NO, YES], [NO, YES, NO]],
    ),
    "shares": (Shares("y", 0), [-0.1, 0.0, 0.5, 1.0, 1.1, math.nan], [NO, YES, YES, YES, NO, NO]),
    "yes and no": (Shares("y", 0), [True, False], [YES, YES]),
    "rows": (
        Rows("y", 0, 2),
        [[0.25, 0.75], [0.0, 1.0], [-0.5, 1.5], [0.5, 0.502], [0.5, 0.5005], [0.5, 0.498], [math.nan, 1.0]],
        [[YES, YES], [YES, YES], [NO, YES], [NO, NO], [YES, YES], [NO, NO], [NO, NO]],
    ),
    "weights": (Weights("weight", 0), [-0.1, 0.0, 2.5, math.inf, math.nan], [NO, YES, YES, NO, NO]),
    "weights of yes and no": (Weights("weight", 0), [True, False], [YES, YES]),
    "signs": (Signs("y", 0), [-1.0, 0.0, 1.0, 2.0, -2.0], [YES, NO, YES, NO, NO]),
    "amounts": (Amounts("y", 0), [-0.1, 0.0, 7.5, math.nan], [NO, YES, YES, NO]),
    "amounts of yes and no": (Amounts("y", 0), [True, False], [YES, YES]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ALLOWED)
def test_which_entries_are_allowed(name, dtype):
    one, given, wanted = ALLOWED[name]
    a = np.array(given)
    a = a.astype(dtype) if a.dtype.kind == "f" else a
    be = get_backend("numpy", None, dtype)
    with np.errstate(invalid="ignore"):
        found = one.allowed(be, a)
    assert found.tolist() == wanted
    assert found.dtype == bool


@pytest.mark.parametrize(
    ("one", "given", "sure"),
    [
        (Ids("x", 0, 3), np.array([0, 2]), True),
        (Ids("x", 0, 3), np.array([0, 3]), False),
        (Ids("x", 0, 3), np.array([-1, 0]), False),
        (Ids("x", 0, 3), np.array([], np.int64), False),
        (Ids("x", 0, 3), np.array([0, 2], np.int32), False),
        (Ids("x", 0, 3), np.array([0.0, 2.0]), False),
        (Ids("x", 0, 3), [0, 2], False),
        (SequenceLabels("y", 0, 3), np.array([0, 2]), False),
        (Amounts("y", 0, 3), np.array([0, 2]), False),
    ],
)
def test_the_quick_check_is_for_numpy_ids_alone(one, given, sure):
    assert one.surely_allowed(given) is sure


def test_which_array_of_a_batch_is_checked():
    id_of_sample, rows, several = np.zeros(4), np.zeros((4, 3)), (np.ones(4), np.zeros((4, 2)))
    assert Ids("y", 0, 3).of({"y": id_of_sample}) is id_of_sample
    assert Ids("y", 0, 3).of({"y": rows}) is None
    assert Ids("y", 0, 3, axes=2).of({"y": rows}) is rows
    assert Ids("x", 1, 3).of({"x": several}) is several[1]
    assert Ids("x", 1, 3).of({"x": list(several)}) is several[1]
    assert Rows("y", 0, 3, axes=2).of({"y": rows}) is rows
    assert Rows("y", 0, 4, axes=2).of({"y": rows}) is None
    assert Rows("y", 0, 3, axes=2).of({"y": id_of_sample}) is None
    for one in (SequenceLabels("y", 1), Shares("y", 1), Signs("y", 1), Amounts("y", 1)):
        assert one.of({"y": several}) is several[1]
    assert ids.with_weights((1, 2), None) == (1, 2)
    assert ids.with_weights((1, 2), id_of_sample) == (1, 2, Weights("weight", 0))


WORDS = {
    Ids("x", 0, 3): "3 ids to embed are numbered 0 to 2",
    Ids("y", 0, 5): "5 classes are numbered 0 to 4",
    SequenceLabels("y", 0, 4, blank=2): "labels are 0 to 3 but not the blank, 2, or -1 as padding",
    SequenceLabels("y", 0, 4, frames=6): (
        "labels are 0 to 3 but not the blank, 0, or -1 as padding, the first column is from 1 to 6 frames"
    ),
}


@pytest.mark.parametrize("one", WORDS)
def test_the_range_is_said(one):
    assert one.why == WORDS[one]


def model_of(layers, shape):
    return xpnn.Model(layers, shape, seed=0)


EMBEDDING = [xpnn.Embedding(7, 2), xpnn.Flatten()]
OF_A_MODEL = {
    "classes": (lambda: model_of([xpnn.Dense(3)], (2,)), losses.SoftmaxCrossEntropy(),
                (Ids("y", 0, 3, None, 1), Rows("y", 0, 3, None, 2))),
    "classes of positions": (lambda: model_of([xpnn.Dense(3)], (4, 2)), losses.SoftmaxCrossEntropy(ignore_index=-1),
                             (Ids("y", 0, 3, -1, 2), Rows("y", 0, 3, None, 3))),
    "ids to embed": (lambda: model_of([*EMBEDDING, xpnn.Dense(1)], (5,)), losses.MeanSquaredError(),
                     (Ids("x", 0, 7),)),
    "yes or no": (lambda: model_of([xpnn.Dense(1)], (2,)), losses.BinaryCrossEntropy(), (Shares("y", 0, 0, None, 1),)),
    "a side": (lambda: model_of([xpnn.Dense(1)], (2,)), losses.Hinge(), (Signs("y", 0, 0, None, 1),)),
    "counts": (lambda: model_of([xpnn.Dense(1)], (2,)), losses.Poisson(), (Amounts("y", 0, 0, None, 1),)),
    "a distribution": (lambda: model_of([xpnn.Dense(2), xpnn.LogSoftmax()], (2,)), losses.KLDivergence(),
                       (Amounts("y", 0, 0, None, 1),)),
    "a number": (lambda: model_of([xpnn.Dense(1)], (2,)), losses.MeanSquaredError(), ()),
    "labels": (lambda: model_of([xpnn.Dense(4)], (6, 3)), losses.CTC(blank=2),
               (SequenceLabels("y", 0, 4, blank=2, frames=0),)),
    "labels behind lengths": (lambda: model_of([xpnn.Dense(4)], (6, 3)), losses.CTC(input_lengths=True),
                              (SequenceLabels("y", 0, 4, blank=0, frames=6),)),
    "labels of any length": (lambda: model_of([xpnn.Dense(4)], (None, 3)), losses.CTC(input_lengths=True),
                             (SequenceLabels("y", 0, 4, blank=0, frames=2**31),)),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_A_MODEL)
def test_checks_that_a_model_and_its_loss_require(name):
    make, loss, wanted = OF_A_MODEL[name]
    assert ids.ids_of(make(), loss) == wanted


def test_several_inputs_and_outputs_are_numbered():
    net = xpnn.Graph(
        ("a", "b"),
        {
            "class": (xpnn.Dense(3), "a"),
            "embedded": (xpnn.Embedding(5, 2), "b"),
            "flat": (xpnn.Flatten(), "embedded"),
            "side": (xpnn.Dense(1), "flat"),
        },
        ("class", "side"),
    )
    model = xpnn.Model(net, ((2,), (4,)), seed=0)
    loss = losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(), losses.BinaryCrossEntropy()))
    assert ids.ids_of(model, loss) == (
        Ids("x", 1, 5), Ids("y", 0, 3, None, 1), Rows("y", 0, 3, None, 2), Shares("y", 1),
    )  # fmt: skip


def test_the_first_bad_entry_is_named_with_its_place():
    be, about = get_backend("numpy"), (Ids("x", 1, 5), Ids("y", 0, 3))
    x, y = (np.ones((2, 2)), np.array([[0, 4], [1, 2]])), np.array([0, 2])
    assert ids.first_bad(be, about, x, y) is None
    assert ids.first_bad(be, about, x, np.eye(3)[y]) is None
    error = ids.first_bad(be, about, (x[0], x[1] + 1), y, when=" in step 3")
    assert isinstance(error, DataError)
    assert (error.what, error.why, error.fix) == (
        "x[1][0, 1] is 5 in step 3",
        "5 ids to embed are numbered 0 to 4; 1 of 4 are not",
        "number them from 0, or give the network more of them",
    )
    error = ids.first_bad(be, about, x, np.array([3, -1]))
    assert (error.what, error.why) == ("y[0] is 3", "3 classes are numbered 0 to 2; 2 of 2 are not")
    error = ids.first_bad(be, about, x, y, np.array([1.0, -2.0]))
    assert (error.what, error.why) == (
        "weight[1] is -2.0",
        "weights are finite and at least 0; 1 of 2 are not",
    )


def test_a_guarded_step_replaces_what_is_out_of_range_and_is_not_ok():
    be, seen = get_backend("numpy"), []
    step = ids.guarded(lambda *given: seen.append(given) or "done", be, (Ids("x", 1, 5), Ids("y", 0, 3)))
    x = (np.ones((2, 1)), np.array([[1, 2], [5, 4]]))
    for y, weight, ok in (([0, 2], None, True), ([0, 3], None, False), ([0, 2], [1.0, math.nan], False)):
        given = (x[0], x[1] if not ok else np.minimum(x[1], 4))
        weights = None if weight is None else np.array(weight)
        assert step("theta", "phi", {"t": 1, "ok": np.array(True)}, given, np.array(y), weights) == "done"
        theta, phi, state, new_x, new_y, new_weight = seen.pop()
        assert (theta, phi, state["t"], bool(state["ok"])) == ("theta", "phi", 1, ok)
        assert new_x[0] is x[0]
        assert new_x[1].tolist() == ([[1, 2], [4, 4]] if ok else [[1, 2], [0, 4]])
        assert new_y.tolist() == [0, 2 if y[1] == 2 else 0]
        assert new_weight is None if weight is None else new_weight.tolist() == [1.0, 0.0]
    done = step("theta", "phi", {"ok": np.array(False)}, (x[0], np.minimum(x[1], 4)), np.array([0, 2]))
    assert done == "done"
    assert not seen.pop()[2]["ok"]


Y = np.array([0, 0, 0, 1, 2, 2])
SHARES = np.array([0.0, 1.0, 0.5, 1.0])
WEIGHED = {
    "nothing": (None, losses.SoftmaxCrossEntropy(), Y, range(6), (3,), None),
    "balanced": ("balanced", losses.SoftmaxCrossEntropy(), Y, range(6), (3,), [2 / 3, 2 / 3, 2 / 3, 2, 1, 1]),
    "balanced by those that train": (
        "balanced", losses.SoftmaxCrossEntropy(), Y, [0, 1, 3], (3,), [0.75, 0.75, 0.75, 1.5, 1, 1],
    ),
    "a number for each": ([1, 2, 5], losses.SoftmaxCrossEntropy(), Y, range(6), (3,), [1, 1, 1, 2, 5, 5]),
    "by id": ({0: 3, 1: 2, 2: 5}, losses.SoftmaxCrossEntropy(), Y, range(6), (3,), [3, 3, 3, 2, 5, 5]),
    "rows": ([1, 2, 5], losses.SoftmaxCrossEntropy(), np.array([[0.5, 0.5, 0], [0, 0, 1]]), range(2), (3,), [1.5, 5]),
    "balanced rows": (
        "balanced", losses.SoftmaxCrossEntropy(), np.array([[1.0, 0], [1, 0], [0, 1]]), [0, 2], (2,), [1, 1, 1],
    ),
    "ignored": ([3, 2, 5], losses.SoftmaxCrossEntropy(ignore_index=0), Y, range(6), (3,), [1, 1, 1, 2, 5, 5]),
    "balanced beside ignored ones": (
        "balanced", losses.SoftmaxCrossEntropy(ignore_index=0), Y, range(6), (3,), [1, 1, 1, 1.5, 0.75, 0.75],
    ),
    "positions": (
        [1, 2], losses.SoftmaxCrossEntropy(), np.array([[0, 1], [1, 0]]), range(2), (2, 2), [[1, 2], [2, 1]],
    ),
    "yes or no": ([1, 3], losses.BinaryCrossEntropy(), SHARES, range(4), (), [1, 3, 2, 3]),
    "yes or no for positions": (
        [1, 3], losses.BinaryCrossEntropy(), SHARES.reshape(2, 2, 1), range(2), (2, 1), [[1, 3], [2, 3]],
    ),
    "one class alone": ("balanced", losses.SoftmaxCrossEntropy(), Y[:3], range(3), (3,), [1, 1, 1]),
    "a column": ([1, 3], losses.BinaryCrossEntropy(), SHARES[:, None], range(4), (1,), [1, 3, 2, 3]),
    "balanced yes or no": (
        "balanced", losses.BinaryCrossEntropy(), SHARES[:, None], [0, 1, 3], (1,), [1.5, 0.75, 1.125, 0.75],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHED)
def test_each_sample_weighs_as_much_as_its_class(name):
    class_weight, loss, y, train, outputs, wanted = WEIGHED[name]
    found = weigh(class_weight, loss, y, train, outputs, None)
    if wanted is None:
        assert found is None
        return
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    weight = np.arange(1.0, len(y) + 1)
    twice = weigh(class_weight, loss, y, train, outputs, weight.tolist())
    np.testing.assert_allclose(
        twice, np.array(wanted) * weight.reshape(-1, *(1,) * (np.ndim(wanted) - 1)), rtol=1e-12
    )


def test_given_weights_stay_where_no_class_has_one():
    weight = [1.0, 2.0]
    assert weigh(None, losses.MeanSquaredError(), np.zeros((2, 1)), range(2), (1,), weight) is weight


@pytest.mark.parametrize(
    ("loss", "y", "outputs"),
    [
        (losses.MeanSquaredError(), np.zeros((4, 1)), (1,)),
        (losses.BinaryCrossEntropy(), np.zeros((4, 2)), (2,)),
        (losses.BinaryCrossEntropy(), (np.zeros((4, 1)),), (1,)),
        (losses.SoftmaxCrossEntropy(), (np.zeros(4, int), np.zeros(4, int)), (2,)),
    ],
)
def test_weights_of_classes_where_there_are_none(loss, y, outputs):
    with pytest.raises(UsageError, match=f"class_weight with {type(loss).__name__}"):
        weigh([1, 2], loss, y, range(4), outputs, None)

"""Reports of a step, of gradients, of backends and of rates as they are printed, and the numbers they are made of."""

import dataclasses
import math
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn import diagnostics, layers
from xpnn.backends import get_backend
from xpnn.diagnostics.flops import flops, weights
from xpnn.diagnostics.table import number, shortened, table
from xpnn.diagnostics.trace import Trace, Visit, contains_layers
from xpnn.errors import DivergedError
from xpnn.html import html_table

compare, explain, find_lr, gradcheck = (
    import_module(f"xpnn.diagnostics.{name}") for name in ("compare", "explain", "find_lr", "gradcheck")
)
Gap, LayerGap, BackendGap = compare.Gap, compare.LayerGap, compare.BackendGap


# Tables


def test_a_table():
    rows = [("0.W", "12", "a"), ("a long name", "3", ""), ("b", "", "cd")]
    assert table(("name", "size", "of"), rows, "<><", (8,)) == (
        "name      size  of\n"
        "0.W         12  a\n"
        "a lo…ame     3\n"
        "b               cd"
    )  # fmt: skip
    wide = "x" * 100
    assert [len(line) for line in table(("a", "b"), [(wide, wide)], "<<", (10,)).splitlines()] == [
        13,
        10 + 2 + 80,
    ]


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"), ("abcdefg", 6, "abc…fg"), ("abcdefgh", 7, "abc…fgh"), ("abc", 1, "…"),
        ("abc", 2, "a…"), ("a\nb", 9, "a\\nb"),
    ],
)  # fmt: skip
def test_a_text_is_cut_in_its_middle(text, limit, shown):
    assert shortened(text, limit) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0"), (12345.0, "1.23e+04"), (-0.0001234, "-1.2e-04"), (-1.2345e-5, "-1.2e-05"),
     (1e-100, "1e-100"), (1.234e-100, "1.2e-100"), (math.inf, "inf"),
     (123456789.0, "1.23e+08"), (-123456789.0, "-1.2e+08")],
)  # fmt: skip
def test_a_number_takes_eight_characters(value, shown):
    assert number(value) == shown


# A step


@pytest.fixture
def tiny():
    """Its numbers are worked by hand in tests/model/test_explain.py."""
    model = xpnn.Model([xpnn.Dense(2), xpnn.ReLU(), xpnn.Dense(1)], (2,), dtype="float64")
    model.load_parameters({"0.W": [[1.0, -1], [1, -2]], "0.b": [0.0, 0], "2.W": [[2.0], [1]], "2.b": [1.0]})
    return model


X, Y = np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([[6.0], [7.0]])
STEP = """\
2 samples: loss 2.5 (MeanSquaredError), |gradient| 13

path  layer   output   mean   std  min  max
0     Dense*  (2,)    -0.25  3.11   -5    3
1     ReLU    (2,)     1.25   1.3    0    3
2     Dense   (1,)        6     1    5    7
* pre-activations

path  layer   zeros  dead units  |dy|  |dx|
0     Dense   0.0 %      0 of 2  4.47     -
1     ReLU   50.0 %      1 of 2     5  4.47
2     Dense   0.0 %      0 of 1  2.24     5

"""
UPDATED = """\
parameter  shape    |w|  |dw|  |dw|/|w|  |update|/|w|
0.W        (2, 2)  2.65  12.8      4.84         0.484
0.b        (2,)       0     2         -             -
2.W        (2, 1)  2.24     1     0.447        0.0447
2.b        (1,)       1     1         1           0.1"""


def test_a_step_in_full(tiny):
    given = {"loss": "mean_squared_error"}
    assert str(tiny.explain(X, Y, optimizer=xpnn.SGD(0.1), **given)) == STEP + UPDATED
    cut = UPDATED.index("  |update|")
    assert str(tiny.explain(X, Y, **given)) == STEP + "\n".join(line[:cut] for line in UPDATED.splitlines())


def test_a_step_without_parameters_or_activations(tiny):
    found = tiny.explain(X, Y, loss="mean_squared_error")
    bare = dataclasses.replace(
        found, layers=(dataclasses.replace(found.layers[1], parameters=(), dy_norm=None),)
    )
    assert str(bare).splitlines()[2:] == [
        "path  layer  output  mean  std  min  max",
        "1     ReLU   (2,)    1.25  1.3    0    3",
        "",
        "path  layer   zeros  dead units  |dy|  |dx|",
        "1     ReLU   50.0 %      1 of 2     -  4.47",
    ]


def test_a_unit_of_samples_without_axes():
    """Of numbers alone, one unit; of several outputs, all units together and the shape of the first."""
    relu = xpnn.ReLU()
    one = explain.report(Visit("a", relu, (np.array([0.0, 0.0]),), {}), False, {})
    assert (one.units, one.dead, one.zeros, one.role, one.shape) == (1, 1, 1.0, "activation", (2,))
    two = (np.array([[0.0, 1.0, 0.0], [0.0, 2.0, 5.0]]), np.array([[0.0], [0.0]]))
    found = explain.report(Visit("a", xpnn.Dense(3), two, {}, dy=two, dx=()), True, {})
    assert (found.units, found.dead, found.role, found.shape) == (4, 2, "pre-activation", (2, 3))
    assert (found.mean, found.max, found.min, found.zeros) == (1.0, 5.0, 0.0, 5 / 8)
    assert found.dy_norm == pytest.approx(math.sqrt(30))
    assert found.dx_norm is None
    assert explain.report(Visit("a", xpnn.Dense(3), two, {}), False, {}).role == ""
    whole = explain.parameter_report(
        Visit("", xpnn.Dense(3), two, {"W": np.array([3.0, 4.0])}), "W", {"W": 0.5}
    )
    assert whole == explain.ParameterReport("W", (2,), 5.0, None, 0.5)


def test_descriptions_that_contain_layers():
    dense = xpnn.Dense(2)
    for value, wanted in (
        (dense, False), ((dense,), True), ((1, (2, (dense,))), True), ((1, 2), False), ([dense], False),
        (xpnn.Dense, False), (xpnn.Residual(dense), True), (xpnn.Recompute(xpnn.Sequential((dense,))), True),
        (3, False),
    ):  # fmt: skip
        assert contains_layers(value) is wanted


# Gradients


def cells(rows):
    return [(row.path, row.layer, row.array, row.directions, row.ok, row.note) for row in rows]


def test_every_array_of_a_network_is_checked():
    inner = xpnn.Residual(xpnn.Sequential([xpnn.Dense(2), xpnn.Tanh()]))
    found = xpnn.gradcheck([xpnn.Dense(2), xpnn.Step(), inner], (3,), loss="mean_squared_error")
    assert cells(found) == [
        ("0", "Dense", "x", 12, True, ""),
        ("0", "Dense", "W", 6, True, ""),
        ("0", "Dense", "b", 2, True, ""),
        ("1", "Step", "x", 0, True, "not differentiable, by design"),
        ("2", "Residual", "x", 8, True, ""),
        ("2", "Residual", "0.0.W", 4, True, ""),
        ("2", "Residual", "0.0.b", 2, True, ""),
        ("2.0.0", "Dense", "x", 8, True, ""),
        ("2.0.0", "Dense", "W", 4, True, ""),
        ("2.0.0", "Dense", "b", 2, True, ""),
        ("2.0.1", "Tanh", "x", 8, True, ""),
        ("loss", "MeanSquaredError", "prediction", 8, True, ""),
    ]
    assert all(row.error < 1e-9 for row in found)


def test_ids_and_open_lengths_are_checked_at_eight():
    found = xpnn.gradcheck([xpnn.Embedding(5, 2, padding_idx=1), xpnn.LSTM(2)], (None,), batch=3)
    assert cells(found) == [
        ("0", "Embedding", "W", 10, True, ""),
        ("1", "LSTM", "x", 3 * 8 * 2, True, ""),
        ("1", "LSTM", "W", 16, True, ""),
        ("1", "LSTM", "U", 16, True, ""),
        ("1", "LSTM", "b", 8, True, ""),
    ]
    several = xpnn.gradcheck([xpnn.LSTM(2, masked=True)], ((3, 2), (3,)), batch=2)
    assert [row[2] for row in cells(several)] == ["x0", "W", "U", "b"]


def test_gradients_in_a_table():
    row = gradcheck.GradientCheck("0", "Dense", "W", 1.26e-11, 12, True)
    wrong = gradcheck.GradientCheck("1.0", "ReLU", "x", 0.5, 8, False)
    skipped = gradcheck.GradientCheck("2", "Step", "x", 0.0, 0, True, "by design")
    rows = gradcheck.GradientChecks([row, wrong, skipped])
    assert str(rows) == (
        "path  layer  array    error  directions\n"
        "0     Dense  W      1.3e-11          12  ok\n"
        "1.0   ReLU   x      5.0e-01           8  WRONG\n"
        "2     Step   x      0.0e+00           0  ok: by design"
    )
    assert (rows.ok, gradcheck.GradientChecks([row, skipped]).ok) == (False, True)
    shown = [
        ("0", "Dense", "W", "1.3e-11", "12", "ok"),
        ("1.0", "ReLU", "x", "5.0e-01", "8", "WRONG"),
        ("2", "Step", "x", "0.0e+00", "0", "ok: by design"),
    ]
    assert rows._repr_html_() == html_table(("path", "layer", "array", "error", "directions", ""), shown)


def test_an_error_is_relative_to_the_larger_side():
    a, rng = np.array([1.0, -2.0]), np.random.default_rng(0)
    square = lambda x: float((x * x).sum())  # noqa: E731
    for factor, error in ((1.0, 0.0), (2.0, 0.5), (0.5, 0.5), (-1.0, 2.0), (0.0, 1.0), (1 + 1e-6, 1e-6)):
        found, directions, note = gradcheck.compare(square, a, factor * 2 * a, rng)
        assert found == pytest.approx(error, rel=1e-4, abs=1e-9)
        assert (directions, note) == (2, "")


def test_inputs_keep_a_distance_from_zero():
    x = np.array([-2.0, -1e-3, -5e-4, -0.0, 0.0, 5e-4, 1e-3, 2.0])
    assert gradcheck.away_from_zero(x).tolist() == [-2.0, -1e-3, -1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 2.0]


def test_random_inputs_fit_the_layer():
    rng = np.random.default_rng(0)
    plain = gradcheck.random_inputs(xpnn.Dense(2), (50, 3), 4, rng)
    assert plain["x"].shape == (4, 50, 3)
    assert abs(plain["x"].mean()) < 0.2
    assert 0.8 < plain["x"].std() < 1.2
    ids = gradcheck.random_inputs(xpnn.Embedding(5, 2, padding_idx=1), (100,), 4, rng)["x"]
    assert (ids.shape, set(ids.reshape(-1).tolist())) == ((4, 100), {0, 2, 3, 4})
    whole = xpnn.Sequential((xpnn.Embedding(3, 2, padding_idx=0), xpnn.Flatten()))
    assert list(gradcheck.paddings(whole, (5,))) == [0]
    assert set(gradcheck.random_inputs(whole, (100,), 4, rng)["x"].reshape(-1).tolist()) == {1, 2}
    both = gradcheck.random_inputs(xpnn.LSTM(2, masked=True), ((30, 2), (30,)), 4, rng)
    assert {name: a.shape for name, a in both.items()} == {"x0": (4, 30, 2), "x1": (4, 30)}
    assert set(both["x1"].reshape(-1).tolist()) == {0.0, 1.0}


def test_layers_and_their_places():
    graph = xpnn.Graph("x", {"a": (xpnn.Dense(2), "x"), "b": (xpnn.Sequential((xpnn.Tanh(),)), "a")}, "b")
    assert [(path, type(layer).__name__, shape) for path, layer, shape in gradcheck.flatten(graph, (3,))] == [
        ("", "Graph", (3,)), ("a", "Dense", (3,)), ("b.0", "Tanh", (2,)),
    ]  # fmt: skip
    inside = xpnn.Sequential((xpnn.Flatten(), graph))
    assert [path for path, _, _ in gradcheck.flatten(inside, (3,))] == ["0", "1", "1.a", "1.b.0"]


# Backends

ONE = BackendGap(
    "strict",
    (
        LayerGap("0", "Dense", Gap("y", 0.5, 0.25), Gap("W", 1e-9, 2.5e-7)),
        LayerGap("1", "ReLU", Gap("y", 0.0, 0.0), None),
        LayerGap("loss", "Focal", Gap("value", 1.0, 2.0), Gap("dout", 3.0, 4.0)),
    ),
    "0 Dense, forward (y)",
)


def test_backends_side_by_side():
    two = BackendGap("torch", ONE.layers[1:2], None)
    found = compare.Comparison("numpy", "float32", 3.5e-4, (ONE, two), {"jax": "it is not installed"})
    assert str(found) == (
        "strict beside numpy: first beyond the tolerance at 0 Dense, forward (y)\n"
        "path  layer  forward  relative  backward  relative  of\n"
        "0     Dense      0.5      0.25     1e-09   2.5e-07  W\n"
        "1     ReLU         0         0         -         -\n"
        "loss  Focal        1         2         3         4  dout\n"
        "\n"
        "torch beside numpy: within the tolerance\n"
        "path  layer  forward  relative  backward  relative  of\n"
        "1     ReLU         0         0         -         -\n"
        "\n"
        "float32; relative to the largest entry; tolerance 0.00035\n"
        "jax: not compared, it is not installed"
    )
    assert (found.ok, ONE.ok, two.ok) == (False, False, True)
    assert compare.Comparison("numpy", "float32", 1.0, (two,), {}).ok


def seen(path, y, turn, dx=(), **gradients):
    arrays = {name: np.array(a) for name, a in gradients.items()}
    return Visit(path, xpnn.Dense(2), (np.array(y),), {}, (), (), tuple(map(np.array, dx)), arrays, turn)


def step_of(*visits, loss=2.0, dout=(1.0,)):
    return Trace(loss, (np.array(dout),), np.zeros(2), visits)


WANTED = step_of(
    seen("0", [2.0], 1, W=[4.0], b=[8.0]), seen("1", [4.0], 0, [[2.0]], W=[1.0]), seen("2", [1.0], None)
)


@pytest.mark.parametrize(
    ("got", "first"),
    [
        (WANTED, None),
        (step_of(seen("0", [2.0], 1, W=[4.4], b=[8.0]), *WANTED.visits[1:]), None),  # at the tolerance
        (step_of(seen("0", [2.0], 1, W=[4.5], b=[8.0]), *WANTED.visits[1:]), "0 Dense, backward (W)"),
        (step_of(seen("0", [2.0], 1, W=[4.5], b=[10.0]), *WANTED.visits[1:]), "0 Dense, backward (b)"),
        (step_of(seen("0", [2.0], 1, W=[9.0], b=[8.0]), seen("1", [4.0], 0, [[3.0]], W=[1.0]), WANTED.visits[2]),
         "1 Dense, backward (dx)"),
        (step_of(*WANTED.visits, loss=3.0, dout=(9.0,)), "loss MeanSquaredError, forward (value)"),
        (step_of(*WANTED.visits, dout=(9.0,)), "loss MeanSquaredError, backward (dout)"),
        (step_of(seen("0", [9.0], 1, W=[9.0], b=[8.0]), *WANTED.visits[1:], loss=9.0), "0 Dense, forward (y)"),
        (step_of(*WANTED.visits[:2], seen("2", [9.0], None), loss=9.0), "2 Dense, forward (y)"),
        (step_of(*WANTED.visits[:2], seen("2", [math.nan], None)), "2 Dense, forward (y)"),
    ],
)  # fmt: skip
def test_the_first_difference_on_the_way_there_and_back(got, first):
    found = compare.beside("strict", got, WANTED, "MeanSquaredError", 0.1 + 1e-12)
    assert (found.backend, found.first) == ("strict", first)
    assert [(row.path, row.layer) for row in found.layers] == [
        ("0", "Dense"), ("1", "Dense"), ("2", "Dense"), ("loss", "MeanSquaredError"),
    ]  # fmt: skip
    assert [None if row.backward is None else row.forward.array for row in found.layers] == [
        "y",
        "y",
        None,
        "value",
    ]


# Rates


def test_a_sweep_in_words():
    sweep = diagnostics.RateSweep((1e-3, 0.01234, 0.1), (2.0, 1.0, 9.0), (2.0, 1.5, 4.0), 0.01234, True)
    assert str(sweep) == "suggestion: 0.0123; 3 rates, 0.001 to 0.1, ended by a loss that rose"
    calm = dataclasses.replace(sweep, suggestion=None, diverged=False)
    assert str(calm) == "suggestion: no rate at which the loss falls; 3 rates, 0.001 to 0.1"
    empty = diagnostics.RateSweep((), (), (), None, False)
    assert str(empty) == "suggestion: no rate at which the loss falls; 0 rates, none"
    head = ("learning rate", "loss", "smoothed")
    cells = [["0.001", "2", "2"], ["0.0123", "1", "1.5"], ["0.1", "9", "4"]]
    assert sweep._repr_html_() == html_table(head, cells, note=str(sweep))
    many = [float(k) for k in range(29)]
    long = diagnostics.RateSweep(tuple(many), tuple(many), tuple(many), 1.0, False)
    assert long._repr_html_() == html_table(head, [[f"{k}"] * 3 for k in range(0, 29, 2)], note=str(long))


def test_losses_are_smoothed_by_a_normal_curve():
    values = np.array([1.0, 5.0, 2.0, 8.0])
    wanted = []
    for i in range(4):
        weight = [math.exp(-((i - k) ** 2) / (2 * 1.5**2)) for k in range(4)]
        wanted.append(sum(w * v for w, v in zip(weight, values, strict=True)) / sum(weight))
    np.testing.assert_allclose(find_lr.smooth(values, 1.5), wanted, rtol=1e-12)


def scripted(monkeypatch, values):
    """A trainer whose steps return these losses, and the rates that it was given."""
    rates = []

    class Scripted:
        def __init__(self, model, loss, optimizer):
            self.model, self.loss, left = model, xpnn.losses.MeanSquaredError(), iter(values)
            self.step = lambda x, y: rates.append(self.rate) or np.float64(next(left))

    monkeypatch.setattr(find_lr, "Trainer", Scripted)
    return rates


ENDS = {
    "to the highest rate": ([9.0, 5, 4, 3, 2, 1], 5, False),
    "to four times the lowest": ([9.0, 1, 1, 1, 1, 16, 1], 6, False),
    "beyond four times the lowest": ([9.0, 1, 1, 1, 1, 17, 1], 5, True),
    "of the last five": ([9.0, 1, 1, 1, 1, 1, 16, 1], 7, False),
    "beyond it of the last five": ([9.0, 1, 1, 1, 1, 1, 17, 1], 6, True),
    "below 0": ([9.0, -2, 3.0, 11], 3, False),
    "from below 0": ([9.0, -2, 16.5, 11], 2, True),
    "no number": ([9.0, 3, 2, math.nan, 1], 2, True),
    "infinity at once": ([9.0, math.inf, 1], 0, True),
}


@pytest.mark.parametrize("name", ENDS)
def test_where_a_sweep_ends(monkeypatch, name):
    values, listed, diverged = ENDS[name]
    given = scripted(monkeypatch, values)
    steps = len(values) - 1
    model = xpnn.Model([xpnn.Dense(1)], (1,), seed=0, dtype="float64")
    found = find_lr.find_lr(
        model, np.ones((4, 1)), np.ones((4, 1)), low=1.0, high=2.0 ** (steps - 1), steps=steps
    )
    rates = [2.0**k for k in range(steps)]
    assert (found.losses, found.diverged) == (tuple(values[1 : listed + 1]), diverged)
    assert found.rates == pytest.approx(rates[:listed])
    taken = listed + math.isnan(values[-2]) + math.isinf(values[1])
    assert given == pytest.approx([1.0, *[rates[min(k + 1, steps - 1)] for k in range(taken)]])
    wanted = find_lr.smooth(np.array(found.losses), 0.02 * steps) if listed else []
    assert found.smoothed == pytest.approx(wanted)


def test_a_first_loss_that_is_no_number(monkeypatch):
    scripted(monkeypatch, [math.inf])
    with pytest.raises(DivergedError, match="loss is inf before the first step"):
        find_lr.find_lr(xpnn.Model([xpnn.Dense(1)], (1,), seed=0), np.ones((4, 1)), np.ones((4, 1)))


@pytest.mark.parametrize(
    ("curve", "place"),
    [
        ([3.0, 2.0], 0),
        ([2.0, 3.0], None),
        ([2.0, 2.0], None),
        ([5.0, 4, 1, 0, 3], 1),
        ([5.0, 5, 4, 1], 3),
        ([], None),
    ],
)
def test_where_a_curve_is_steepest(curve, place):
    assert find_lr.steepest(np.array(curve)) == place


# Operations


@pytest.mark.parametrize(
    ("layer", "shape", "wanted"),
    [
        (layers.SeparableConv2D(5, 3), (6, 6, 2), 2 * 9 * 2 * 16 + 2 * 2 * 5 * 16),
        (layers.PositionalEncoding(), (5, 4), 20),
        (layers.Multiply(), ((4,), (4,), (4,)), 8),
        (layers.Add(), ((3, 2), (3, 2)), 6),
        (layers.GlobalMaxPool(), (4, 5, 2), 40),
        (layers.AdaptiveAvgPool((2, 2)), (4, 6, 3), 72),
        (layers.MaxPool1D(3), (9, 2), 3 * 6),
        (layers.Concatenate(), ((4,), (3,)), 0),
        (layers.Reshape((2, 3)), (6,), 0),
        (layers.ZeroPad2D(1), (3, 3, 1), 0),
        (layers.UpSampling2D(2), (3, 3, 1), 0),
        (layers.SpatialDropout(0.5), (3, 3, 1), 0),
        (layers.AlphaDropout(0.5), (3,), 0),
        (layers.GaussianNoise(0.5), (3,), 0),
        (layers.SimpleRNN(3), (4, 2), 2 * (2 * 3 + 3 * 3) * 4),
        (layers.GRU(3), (4, 2), 2 * 3 * (2 * 3 + 3 * 3) * 4),
        (layers.Parallel((layers.ReLU(), layers.Tanh()), "multiply"), (4,), 8 + 4),
        (layers.Parallel((layers.ReLU(), layers.Tanh()), "concatenate"), (4,), 8),
        (layers.Parallel((layers.ReLU(), layers.Tanh()), "average"), (4,), 8 + 8),
        (layers.MultiHeadAttention(2, 3, cross=True), ((5, 4), (7, 2)), 2 * (5 * 4 * 12 + 7 * 2 * 12 + 35 * 12)),
    ],
    ids=str,
)  # fmt: skip
def test_operations_of_layers(layer, shape, wanted):
    assert flops(layer, shape) == wanted


def test_entries_of_matrices_alone():
    assert weights(xpnn.Dense(3), (4,)) == 12
    assert weights(xpnn.LSTM(2), (5, 3)) == 4 * 2 * (3 + 2)
    assert weights(xpnn.BatchNorm(), (4,)) == 0


def test_a_summary_in_full():
    net = [
        xpnn.Standardize(0, 1),
        xpnn.Residual(xpnn.Sequential((xpnn.Dense(4), xpnn.Tanh()))),
        xpnn.Dense(3),
    ]
    found = xpnn.Model(net, (4,), seed=3).summary()
    assert str(found) == (
        "path   layer                       output  parameters  bytes  FLOPs\n"
        "       input                       (4,)\n"
        "0      Standardize(mean=0, std=1)  (4,)             8     32      4\n"
        "1      Residual                    (4,)\n"
        "1.0.0  Dense(units=4)              (4,)            20     80     32\n"
        "1.0.1  Tanh()                      (4,)                           4\n"
        "2      Dense(units=3)              (3,)            15     60     24\n"
        "35 parameters + 8 fixed, 172 bytes, 68 FLOPs per sample\n"
        "float32 on numpy/cpu, seed 3"
    )
    note = "35 parameters + 8 fixed, 172 bytes, 68 FLOPs per sample\nfloat32 on numpy/cpu, seed 3"
    assert (found.note, found.rows[2]) == (note, ("1", "Residual", "(4,)", "", "", ""))
    assert found._repr_html_() == html_table(
        ("path", "layer", "output", "parameters", "bytes", "FLOPs"), found.rows, note=note
    )
    open_one = [xpnn.Conv1D(2, 3, padding="same"), xpnn.GlobalMaxPool()]
    assert str(xpnn.Model(open_one, (None, 4), seed=3).summary()) == (
        "path  layer                                  output     parameters  bytes  FLOPs\n"
        "      input                                  (None, 4)\n"
        "0     Conv1D(filters=2, …3, padding='same')  (None, 2)          26    104\n"
        "1     GlobalMaxPool()                        (2,)\n"
        "26 parameters, 104 bytes, FLOPs by length\n"
        "float32 on numpy/cpu, seed 3"
    )


def test_a_function_of_one_array():
    """`contracted` keeps the others, and sums over several outputs."""
    be, seen_by = get_backend("numpy", None, "float64"), []

    def forward(values):
        seen_by.append(values)
        return None, (values["x"] * 2, values["W"]), None

    c = (np.array([1.0, 10.0]), np.array([100.0, 0.0]))
    arrays = {"x": np.array([1.0, 2.0]), "W": np.array([3.0, 4.0])}
    f = gradcheck.contracted(forward, arrays, "x", c, be)
    assert f(np.array([5.0, 6.0])) == 10 + 120 + 300
    assert seen_by[0]["W"] is arrays["W"]
    assert arrays["x"].tolist() == [1, 2]
    g = gradcheck.value_of(
        be, lambda values: (values["a"] * values["b"], None), {"a": np.ones(2), "b": np.full(2, 3.0)}, "a"
    )
    assert g(np.array([2.0, 4.0])) == 18


def test_backends_that_work_here(monkeypatch):
    def get(name, device, dtype):
        if name == "b":
            raise xpnn.errors.BackendError("b is not installed", fix="pip")
        return SimpleNamespace(name=name)

    monkeypatch.setattr(compare, "get_backend", get)
    assert compare.available(["a", "b", "c"], "float32") == (["a", "c"], {"b": "b is not installed"})

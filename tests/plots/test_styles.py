"""How pictures are drawn: colours, sizes, markers, order, limits and words of everything on their axes."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn import plots
from xpnn.diagnostics.find_lr import RateSweep
from xpnn.errors import UsageError
from xpnn.model import Model
from xpnn.training import History, Row

pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle

ROWS = History([
    Row(1, 2.0, 1.5, 0.5, 0.1, 1.0, True), Row(2, 1.0, 0.5, 0.75, 0.05, 1.0, True),
    Row(3, 0.5, 0.75, 0.625, 0.02, 1.0, False),
])  # fmt: skip


def style(line):
    """Colour, line, marker and its size."""
    marker = line.get_marker()
    return (
        to_hex(line.get_color()),
        line.get_linestyle(),
        marker,
        line.get_markersize() if marker != "None" else None,
    )


BLACK, ORANGE = "#000000", to_hex("tab:orange")
STYLES = {
    "training": (BLACK, "-", "o", 4),
    "validation": (ORANGE, "--", "s", 4),
    "at the end of the epoch": (BLACK, "-", "^", 4),
    "best epoch, 2": (BLACK, ":", "None", None),
    "loss after the step": (to_hex("0.65"), "None", ".", 6),
    "smoothed": (BLACK, "-", "None", None),
    "suggestion 0.01": (ORANGE, "--", "None", None),
}


def test_curves_differ_in_more_than_their_hue():
    sweep = RateSweep((1e-3, 1e-2, 1e-1), (2.0, 1.0, 9.0), (2.0, 1.0, 4.0), 0.01, False)
    figures = plots.training_curves(ROWS), plots.loss_curve(ROWS), plots.lr_finder(sweep, title="a $run$")
    panels = [axes for figure in figures for axes in figure.axes]
    for axes in panels:
        for line in axes.lines:
            if not line.get_label().startswith("_"):
                assert style(line) == STYLES[line.get_label()]
        assert axes.xaxis.get_gridlines()[0].get_alpha() == 0.3
        assert not axes.get_legend().get_frame_on()
    for axes in panels[:4]:
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
    assert [line.get_zorder() for line in panels[0].lines] == [2, 2, 0]
    assert [axes.lines[-1].get_linestyle() for axes in panels[:3]] == [":"] * 3
    assert [len(axes.get_legend().get_texts()) for axes in panels] == [3, 1, 1, 2, 3]
    assert panels[3].get_xlabel() == "epoch"
    assert (panels[4].get_xlabel(), panels[4].get_ylabel()) == ("learning rate", "mean loss of a batch")
    assert panels[4].get_title() == r"a \$run\$"
    assert panels[3].get_ylim()[0] == 0


def test_a_sweep_that_never_falls_keeps_its_axis():
    rising = RateSweep((1e-3, 1e-2), (1.0, 2.0), (1.0, 2.0), None, False)
    (axes,) = plots.lr_finder(rising).axes
    assert axes.get_ylim() == pytest.approx((1 - 0.05, 2 + 0.05))
    assert [line.get_label() for line in axes.lines] == ["loss after the step", "smoothed"]
    slow = RateSweep((1e-3, 1e-2), (1.0, 0.5), (1.0, 0.75), None, False)
    assert plots.lr_finder(slow).axes[0].get_ylim() == pytest.approx((0.5 - 0.025, 1.1))


def test_regions_lie_under_lines_and_lines_under_points(monkeypatch):
    points = np.array([[-2.4, 0.0], [-1.5, 1], [-0.5, 0], [0.5, 1], [2.4, 0]])
    monkeypatch.setattr(Model, "predict", lambda model, x: np.clip(np.floor(x[:, 0] + 2.5), 0, 4).astype(int))
    model = xpnn.Model([xpnn.Dense(5)], (2,), seed=0)
    figure = plots.decision_boundary(model, points, [0, 1, 2, 3, 0], classes=["a", "b", "c$", "d", "e"])
    (axes,) = figure.axes
    filled, *lines = [
        one for one in axes.collections if not one.get_label() or one.get_label().startswith("_")
    ]
    assert (filled.get_zorder(), filled.get_alpha()) == (0, 0.35)
    assert filled.hatches == ["", "....", "////", "\\\\\\\\", "xxxx"]
    assert [to_hex(colour) for colour in filled.get_facecolor()] == [
        to_hex(colour) for colour in plots_shades(5)
    ]
    assert len(lines) == 5
    for k, line in enumerate(lines):
        assert (line.get_zorder(), line.get_linewidth()[0], to_hex(line.get_edgecolor()[0])) == (
            1,
            0.7,
            BLACK,
        )
        assert line.levels.tolist() == [0.5]
        across = np.concatenate([path.vertices[:, 0] for path in line.get_paths()])
        assert {round(float(x) + 2.5) for x in across} == {max(k, 1), min(k + 1, 4)}
    clouds = {one.get_label(): one for one in axes.collections}
    for k, name in enumerate(["a", "b", r"c\$", "d", "e"]):
        cloud = clouds[name]
        assert (cloud.get_zorder(), cloud.get_sizes()[0], cloud.get_linewidths()[0]) == (2, 16, 0.4)
        mark = MarkerStyle("os^Dv*PX"[k])
        wanted = mark.get_path().transformed(mark.get_transform()).vertices
        np.testing.assert_array_equal(cloud.get_paths()[0].vertices, wanted)
        if len(cloud.get_offsets()):
            assert to_hex(cloud.get_edgecolors()[0]) == BLACK
            assert to_hex(cloud.get_facecolors()[0]) == to_hex(plots_shades(5)[k])
    ring = clouds["wrong"]
    assert (ring.get_zorder(), ring.get_sizes()[0], len(ring.get_facecolors())) == (3, 50, 0)
    assert ring.get_offsets().tolist() == [[2.4, 0.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "a",
        "b",
        r"c\$",
        "d",
        "e",
        "wrong",
    ]
    assert not figure.legends[0].get_frame_on()
    assert figure.get_size_inches().tolist() == pytest.approx([6.4, 5.2])


def plots_shades(n):
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.95, n))


def test_a_plane_of_one_class_has_no_lines(monkeypatch):
    monkeypatch.setattr(Model, "predict", lambda model, x: np.zeros(len(x), int))
    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0)
    model_of_a_table = SimpleNamespace(features=("height", "weight"))
    model.preparation = model_of_a_table
    (axes,) = plots.decision_boundary(model, np.eye(2), [0, 1]).axes
    assert not [
        one for one in axes.collections if len(one.get_linewidths()) and one.get_linewidths()[0] == 0.7
    ]
    assert [one.get_label() for one in axes.collections][1:] == ["class 0", "class 1", "wrong"]
    assert axes.collections[0].hatches == [None]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("height, scaled", "weight, scaled")


def test_a_film_of_the_plane(monkeypatch):
    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0)
    asked, kept = [], model.snapshot()
    frames = [(k, {"theta": kept["theta"] + k, "phi": kept["phi"]}) for k in (0, 5)]
    monkeypatch.setattr(
        Model, "predict", lambda model, x: asked.append(len(x)) or (x[:, 0] > 0.25).astype(int)
    )
    x, y = np.array([[0.0, 0], [1, 1], [0, 1], [1, 0]]), np.array([0, 1, 1, 3])
    figure = plots.animate_boundary(model, frames, x, y, title="film")
    (axes,) = figure.axes
    assert asked == [160 * 160, 4] * 2
    assert axes.get_title() == "film\nepoch 5: 50.0 % of the points right"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [f"class {k}" for k in range(4)]
    assert not figure.legends[0].get_frame_on()
    assert (axes.get_xlim(), axes.get_ylim()) == (pytest.approx((-0.08, 1.08)), pytest.approx((-0.08, 1.08)))
    assert figure.get_size_inches().tolist() == pytest.approx([5.6, 4.6])
    np.testing.assert_array_equal(model.snapshot()["theta"], kept["theta"])
    few = plots.animate_boundary(xpnn.Model([xpnn.Dense(3)], (2,), seed=0), frames_of(3), x, y % 2)
    assert len(few.legends[0].get_texts()) == 3


def frames_of(units):
    return [(1, xpnn.Model([xpnn.Dense(units)], (2,), seed=0).snapshot())]


def test_paths_of_descent_on_a_curve_and_on_a_contour_map():
    walk = np.array([[-2.0], [1.0], [0.5]])
    figure = plots.animate_descent(lambda x: x * x, walk, (-3.0, 2.0), title="bowl")
    (axes,) = figure.axes
    curve, line, head = axes.lines
    assert (len(curve.get_xdata()), curve.get_xdata()[[0, -1]].tolist(), to_hex(curve.get_color())) == (
        300,
        [-3, 2],
        "#999999",
    )
    np.testing.assert_array_equal(curve.get_ydata(), curve.get_xdata() ** 2)
    assert np.stack(line.get_data(), 1).tolist() == [[-2, 4], [1, 1], [0.5, 0.25]]
    assert np.stack(head.get_data(), 1).tolist() == [[0.5, 0.25]]
    assert axes.get_title() == "bowl, step 2: f = +0.2500"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xlim()) == ("x", "f(x)", (-3, 2))
    assert (line.get_linewidth(), style(line)) == (1.8, (to_hex("orange"), "-", "o", 4))
    assert (style(head), to_hex(head.get_markeredgecolor())) == ((to_hex("orange"), "None", "o", 11), BLACK)
    figure = plots.animate_descent(lambda x, y: x - 2 * y, np.array([[0.5, 1.0], [-1, 0]]), (-1.0, 1.0))
    axes, bar = figure.axes
    image = axes.images[0]
    assert (image.get_array().shape, image.get_extent(), image.get_cmap().N) == (
        (300, 300),
        [-1, 1, -1, 1],
        12,
    )
    assert [float(image.get_array()[i, j]) for i, j in ((0, 0), (0, -1), (-1, 0))] == [1.0, 3.0, -3.0]
    assert image.origin == "lower"
    assert (axes.get_xlim(), axes.get_ylim(), axes.get_aspect()) == ((-1, 1), (-1, 1), "auto")
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("x", "y", "f(x, y)")
    line, head = axes.lines
    assert np.stack(line.get_data(), 1).tolist() == [[0.5, 1], [-1, 0]]
    assert (line.get_marker(), axes.get_title()) == ("None", "gradient descent, step 1: f = -1.0000")
    assert figure.get_size_inches().tolist() == pytest.approx([5.6, 4.4])


def test_histograms_of_many_layers():
    values = [
        np.array([0.0, 1.0, 1.0, 2.0]),
        np.array([np.nan, np.inf, 3.0]),
        np.array([5.0]),
        np.array([7.0, 0.0]),
    ]
    visits = [
        SimpleNamespace(path=f"{k}", layer=xpnn.ReLU(), y=(a,), gradients={}) for k, a in enumerate(values)
    ]
    figure = plots.activation_histograms(SimpleNamespace(visits=visits))
    assert [axes.get_title() for axes in figure.axes] == [
        "0 ReLU  25 % zero", "1 ReLU  2 not finite", "2 ReLU", "3 ReLU  50 % zero", "", "",
    ]  # fmt: skip
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2
    assert figure.get_size_inches().tolist() == pytest.approx([8.4, 0.6 + 2 * 1.9])
    axes = figure.axes[0]
    (shape,) = axes.patches
    assert (to_hex(shape.get_facecolor()), to_hex(shape.get_edgecolor())) == (to_hex("0.75"), BLACK)
    assert len(np.unique(shape.get_xy()[:, 0])) == 51
    assert (axes.get_yscale(), axes.title.get_fontsize(), axes.get_ylim()[0]) == ("log", 9, 0.5)
    assert {label.get_fontsize() for label in axes.get_xticklabels()} == {7}
    assert len(axes.get_xticks()) <= 7
    none = plots.gradient_histograms(SimpleNamespace(visits=visits[:1]))
    assert (len(none.axes), none.get_supylabel(), none.get_supxlabel()) == (
        3,
        "number of entries (logarithmic)",
        "gradient",
    )


def test_images_are_grey_unless_they_have_three_channels():
    colours = plots.digit_grid(np.zeros((2, 4, 5, 3)), [0, 1], [0, 1]).axes[0].images[0]
    assert colours.get_array().shape == (4, 5, 3)
    grey = plots.digit_grid(np.zeros((2, 4, 5, 1)), [0, 1], [0, 1]).axes[0]
    assert (grey.images[0].get_array().shape, grey.images[0].get_cmap().name) == ((4, 5), "gray_r")
    assert grey.title.get_fontsize() == 9
    short = plots.worst_mistakes(np.zeros((1, 2, 2)), [0], [[0.125, 0.875]], classes=["four", "five"])
    assert short.axes[0].get_title() == "four \N{RIGHTWARDS ARROW} five, 87.5 %"
    many = plots.worst_mistakes(
        np.zeros((6, 2, 2)), np.zeros(6, int), np.tile([0.25, 0.75], (6, 1)), title="run"
    )
    assert (
        many.get_suptitle()
        == "run\n6 of 6 wrong, the 6 surest: true \N{RIGHTWARDS ARROW} taken for, probability"
    )
    assert many.get_size_inches().tolist() == pytest.approx([7.4, 0.7 + 1.85 * 2])
    assert [axes.get_title() for axes in many.axes[5:7]] == ["0 \N{RIGHTWARDS ARROW} 1, 75.0 %", ""]
    assert not any(axes.axison for axes in many.axes)


@pytest.mark.parametrize(
    ("W", "shape", "wanted"),
    [
        (np.arange(12.0).reshape(4, 3), (2, 2, 1), [[[0, 3], [6, 9]], [[1, 4], [7, 10]], [[2, 5], [8, 11]]]),
        (np.arange(8.0).reshape(4, 2), (1, 2, 2), [[[1, 5]], [[2, 6]]]),
        (np.arange(8.0).reshape(2, 1, 2, 2), (9, 9, 2), [[[1], [5]], [[2], [6]]]),
        (np.ones((4, 3)), (4,), None),
        (np.ones((5, 3)), (2, 2, 1), None),
        (np.ones((3, 4, 2)), (9, 4), None),
    ],
)
def test_weights_over_images(W, shape, wanted):
    from importlib import import_module

    found = import_module("xpnn.plots.weights").as_images(W, shape)
    assert (found if found is None else found.tolist()) == wanted


def test_first_weights_in_grey():
    model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(9)], (2, 3, 1), seed=0)
    model.load_parameters({**model.parameters(), "1.W": np.zeros((6, 9))})
    figure = plots.first_weights(model)
    shown = [axes for axes in figure.axes if axes.images and axes.get_title()]
    assert [axes.get_title() for axes in shown] == [f"unit {k}" for k in range(9)]
    assert {
        (axes.images[0].get_cmap().name, axes.images[0].get_clim(), axes.title.get_fontsize())
        for axes in shown
    } == {("gray", (-1, 1), 7)}
    assert not any(axes.axison for axes in figure.axes[:16])
    assert figure.axes[-1].get_ylabel() == "weight"
    assert figure.axes[-1].get_position(original=True).bounds == pytest.approx((0.88, 0.1, 0.02, 0.7))
    first, last, below = (figure.axes[k].get_position(original=True) for k in (0, 7, 8))
    height = (0.72 - 0.02) / 2.3  # two rows, and three tenths of one between them
    assert (first.x0, first.y1, last.x1, below.y0) == pytest.approx((0.02, 0.72, 0.85, 0.02))
    assert (first.height, first.y0 - below.y1) == pytest.approx((height, 0.3 * height))
    flat = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    flat.load_parameters({"0.W": np.zeros((3, 2)), "0.b": np.zeros(2)})
    image = plots.first_weights(flat).axes[0].images[0]
    assert (image.get_clim(), image.get_cmap().name, image.get_interpolation()) == (
        (-1, 1),
        "gray",
        "nearest",
    )
    assert image.axes.get_aspect() == "auto"
    with pytest.raises(UsageError, match="the model has no matrix"):
        plots.first_weights(xpnn.Model([xpnn.BatchNorm()], (3,), seed=0))


def test_a_large_matrix_of_mistakes():
    figure = plots.confusion_matrix(np.arange(31 * 31).reshape(31, 31), [f"{k}" for k in range(31)])
    axes, bar = figure.axes
    assert figure.get_size_inches().tolist() == pytest.approx([15.2, 14.0])
    assert ([*axes.lines[0].get_xdata()], bar.get_ylabel()) == ([-0.5, 30.5], "mistakes")
    assert axes.images[0].get_cmap().name == "Greys"
    small = plots.confusion_matrix(np.eye(3, dtype=int), ["abc", "abcd", "e"]).axes[0]
    assert {label.get_horizontalalignment() for label in small.get_xticklabels()} == {"right"}
    assert [(p.get_xy(), p.get_width(), p.get_height(), p.get_hatch()) for p in small.patches] == [
        ((k - 0.5, k - 0.5), 1, 1, "////") for k in range(3)
    ]
    few = plots.confusion_matrix(np.array([[5, 1], [2, 9]]), "ab").axes[1]
    assert all(float(tick).is_integer() for tick in few.get_yticks())
    short = plots.confusion_matrix(np.eye(2, dtype=int), ["abc", "e"]).axes[0]
    assert {label.get_rotation() for label in short.get_xticklabels()} == {0.0}


def test_what_a_notebook_shows():
    with Image.open(io.BytesIO(plots.loss_curve(ROWS)._repr_png_())) as image:
        assert (image.format, image.size) == ("PNG", (576, 360))


def test_names_of_pictures_alone_are_listed():
    assert dir(plots) == plots.__all__
    with pytest.raises(AttributeError, match="lr_findr"):
        _ = plots.lr_findr

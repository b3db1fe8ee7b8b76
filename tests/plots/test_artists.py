"""What pictures are made of, read from their axes: numbers, names, limits and styles."""

import numpy as np
import pytest

import xpnn
from xpnn import plots
from xpnn.diagnostics import trace
from xpnn.diagnostics.find_lr import RateSweep
from xpnn.errors import ShapeError
from xpnn.training import History, Row

pytest.importorskip("matplotlib")


def rows(scored=True):
    return History([
        Row(1, 2.0, 1.5 if scored else None, 0.5 if scored else None, 0.1, 1.0, True),
        Row(2, 1.0, 0.5 if scored else None, 0.75 if scored else None, 0.05, 1.0, True),
        Row(3, 0.5, 0.75 if scored else None, 0.625 if scored else None, 0.025, 1.0, False),
    ])  # fmt: skip


def lines(axes):
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


class TestCurves:
    def test_losses_accuracies_and_rates(self):
        loss, accuracy, rate = plots.training_curves(rows(), title="a run").axes
        assert lines(loss)["training"] == ([1, 2, 3], [2.0, 1.0, 0.5])
        assert lines(loss)["validation"] == ([1, 2, 3], [1.5, 0.5, 0.75])
        assert lines(accuracy)["validation"] == ([1, 2, 3], [50, 75, 62.5])
        assert lines(rate)["at the end of the epoch"] == ([1, 2, 3], [0.1, 0.05, 0.025])
        assert [axes.get_ylabel() for axes in (loss, accuracy, rate)] == [
            "loss",
            "accuracy in %",
            "learning rate",
        ]
        assert (loss.get_title(), accuracy.get_title(), rate.get_xlabel(), loss.get_xlabel()) == (
            "a run",
            "",
            "epoch",
            "",
        )
        assert lines(loss)["best epoch, 2"][0] == [2, 2]
        assert all(2 in line.get_xdata() for line in (accuracy.lines[-1], rate.lines[-1]))
        assert (loss.get_ylim()[0], rate.get_ylim()[0]) == (0, 0)
        assert accuracy.get_ylim()[0] > 0
        assert loss.figure.get_size_inches().tolist() == pytest.approx([6.4, 7.8])

    def test_without_validation(self):
        figure = plots.training_curves(rows(scored=False))
        assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "learning rate"]
        assert "validation" not in lines(figure.axes[0])
        (axes,) = plots.loss_curve(rows(scored=False)).axes
        assert lines(axes).keys() == {"training"}
        assert plots.training_curves(History()).axes[0].lines

    def test_rates_that_were_tried(self):
        sweep = RateSweep((1e-3, 1e-2, 1e-1), (2.0, 1.0, 9.0), (2.0, 1.0, 4.0), 0.01, False)
        (axes,) = plots.lr_finder(sweep).axes
        found = lines(axes)
        assert found["loss after the step"][1] == [2.0, 1.0, 9.0]
        assert found["smoothed"][1] == [2.0, 1.0, 4.0]
        assert found["suggestion 0.01"][0] == [0.01, 0.01]
        assert axes.get_xscale() == "log"
        assert axes.get_ylim() == pytest.approx((1.0 - 0.1, 2.0 + 0.4))


class TestConfusion:
    def test_counts_names_and_shades(self):
        counts = np.array([[5, 1, 0], [11, 7, 20], [0, 0, 9]])
        figure = plots.confusion_matrix(counts, ["cat", "dog", "mouse"], title="mistakes")
        axes = figure.axes[0]
        image = axes.images[0]
        assert image.get_array().tolist() == [[0, 1, 0], [11, 0, 20], [0, 0, 0]]
        assert image.get_clim() == (0, 20)
        cells = {text.get_position(): text for text in axes.texts}
        assert {place: text.get_text() for place, text in cells.items()} == {
            (0, 0): "5", (1, 0): "1", (0, 1): "11", (1, 1): "7", (2, 1): "20", (2, 2): "9",
        }  # fmt: skip
        assert [cells[place].get_color() for place in ((2, 1), (0, 1), (1, 1))] == ["white", "black", "black"]
        assert [cells[place].get_weight() for place in ((0, 0), (1, 0))] == ["bold", "normal"]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "mouse"]
        assert {label.get_rotation() for label in axes.get_xticklabels()} == {45.0}
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == (
            "taken for",
            "true class",
            "mistakes",
        )
        assert len(axes.patches) == 3
        assert figure.get_size_inches().tolist() == pytest.approx([5.7, 4.5])

    @pytest.mark.parametrize(
        ("n", "every", "size"), [(12, 1, 8), (13, 1, 6), (30, 1, 6), (31, 2, None), (61, 3, None)]
    )
    def test_many_classes(self, n, every, size):
        axes = plots.confusion_matrix(np.eye(n, dtype=int), [str(i) for i in range(n)]).axes[0]
        assert [label.get_text() for label in axes.get_xticklabels()] == [str(i) for i in range(0, n, every)]
        assert {label.get_rotation() for label in axes.get_xticklabels()} == {0.0}
        assert len(axes.texts) == len(axes.patches) == (n if size else 0)
        assert {text.get_fontsize() for text in axes.texts} == ({size} if size else set())
        assert len(axes.lines) == (0 if size else 1)

    def test_no_mistakes_are_not_shaded(self):
        assert plots.confusion_matrix(np.eye(2, dtype=int), "ab").axes[0].images[0].get_clim() == (0, 1)

    def test_counts_of_other_classes(self):
        with pytest.raises(ShapeError, match=r"counts of shape \(2, 2\) for 3 classes"):
            plots.confusion_matrix(np.eye(2), "abc")


class TestImages:
    def test_mistakes_come_surest_first(self):
        images, true = np.arange(24 * 4.0).reshape(24, 2, 2), np.zeros(24, int)
        shares = np.stack([np.full(24, 0.25), np.linspace(0.3, 0.75, 24)], axis=1)
        true[5] = 1
        figure = plots.worst_mistakes(images, true, shares, classes=["cat", "dog"], title="a run")
        shown = [axes for axes in figure.axes if axes.images]
        assert len(shown) == 20
        assert len(figure.axes) == 20
        assert shown[0].get_title() == "cat \N{RIGHTWARDS ARROW} dog, 75.0 %"
        np.testing.assert_array_equal(shown[0].images[0].get_array(), images[23])
        np.testing.assert_array_equal(shown[19].images[0].get_array(), images[3])
        assert figure.get_suptitle().startswith("a run\n23 of 24 wrong, the 20 surest: true")
        assert figure.get_size_inches().tolist() == pytest.approx([7.4, 0.7 + 1.85 * 4])
        long = plots.worst_mistakes(images[:1], [0], [[0.1, 0.9]], classes=["five5", "four"])
        assert long.axes[0].get_title() == "five5 \N{RIGHTWARDS ARROW}\nfour, 90.0 %"
        none = plots.worst_mistakes(images[:2], [1, 1], [[0.1, 0.9]] * 2)
        assert none.get_suptitle() == "0 of 2 wrong"
        assert not any(axes.images for axes in none.axes)

    def test_errors_in_a_grid_are_framed(self):
        figure = plots.digit_grid(np.zeros((6, 2, 2, 1)), [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7])
        assert [axes.get_title() for axes in figure.axes[4:6]] == ["true 5, pred 5", "true 6, pred 7"]
        assert [axes.axison for axes in figure.axes] == [*[False] * 5, True, *[False] * 4]
        assert {spine.get_linewidth() for spine in figure.axes[5].spines.values()} == {2}
        assert [axes.title.get_weight() for axes in figure.axes[4:6]] == ["normal", "bold"]
        assert figure.get_size_inches().tolist() == pytest.approx([7, 3.2])


class TestWeights:
    def test_units_over_images_by_their_norms(self):
        model = xpnn.Model([xpnn.Flatten(), xpnn.Dense(70)], (2, 3, 1), seed=0)
        W = np.outer(np.ones(6), np.arange(70.0) - 10)
        model.load_parameters({**model.parameters(), "1.W": W})
        figure = plots.first_weights(model, title="a run")
        shown = [axes for axes in figure.axes if axes.get_title().startswith("unit")]
        assert [axes.get_title() for axes in shown[:3]] == ["unit 69", "unit 68", "unit 67"]
        assert len(shown) == 64
        assert shown[0].images[0].get_array().shape == (2, 3)
        assert shown[5].images[0].get_clim() == (-59, 59)
        assert figure.get_suptitle() == "a run\n1.W, 64 of 70 units, largest norm first"

    @pytest.mark.parametrize(("rows", "ticks"), [(12, True), (13, False)])
    def test_another_matrix(self, rows, ticks):
        model = xpnn.Model([xpnn.Dense(3)], (rows,), seed=0)
        W = np.arange(rows * 3.0).reshape(rows, 3)
        model.load_parameters({**model.parameters(), "0.W": W})
        axes = plots.first_weights(model).axes[0]
        np.testing.assert_array_equal(axes.images[0].get_array(), W)
        assert axes.images[0].get_clim() == (-W.max(), W.max())
        assert (len(axes.get_yticks()) == rows) == ticks
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("unit", "input", "\n0.W")


def test_histograms_say_how_many_are_zero():
    model = xpnn.Model([xpnn.Dense(4), xpnn.ReLU(), xpnn.Dense(2)], (3,), seed=0)
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    found = trace(model, x, np.arange(50) % 2)
    figure = plots.activation_histograms(found, title="a run")
    titles = [axes.get_title() for axes in figure.axes[:3]]
    for title, visit, name in zip(titles, found.visits, ("0 Dense", "1 ReLU", "2 Dense"), strict=True):
        zeros = 100 * np.mean(np.asarray(visit.y[0]) == 0)
        assert title == (f"{name}  {zeros:.0f} % zero" if zeros else name)
    assert "zero" in titles[1]
    assert figure.get_supylabel() == "number of outputs (logarithmic)"
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("a run", "output")
    assert all(axes.get_ylim()[0] == 0.5 for axes in figure.axes[:3])
    assert [axes.get_title().split("  ")[0] for axes in plots.gradient_histograms(found).axes[:4]] == [
        "0.W", "0.b", "2.W", "2.b",
    ]  # fmt: skip


def test_a_boundary_between_points():
    model = xpnn.Model([xpnn.Dense(2)], (2,), seed=0)
    model.restore({"theta": np.array([-1.0, 1, 0, 0, 0, 0]), "phi": np.zeros(0)})
    x = np.array([[-1.0, 0], [1, 0], [-0.5, 1], [0.5, 1]])
    axes = plots.decision_boundary(model, x, [0, 1, 1, 1], title="halves").axes[0]
    wrong = next(one for one in axes.collections if one.get_label() == "wrong")
    assert wrong.get_offsets().tolist() == [[-0.5, 1.0]]
    assert wrong.get_sizes().tolist() == [50]
    points = {one.get_label(): one for one in axes.collections if str(one.get_label()).startswith("class")}
    assert points["class 1"].get_offsets().tolist() == x[1:].tolist()
    assert points["class 0"].get_sizes().tolist() == [16]
    assert {float(one.get_linewidths()[0]) for one in points.values()} == {0.4}
    borders = [
        one for one in axes.collections if len(one.get_linewidths()) and one.get_linewidths()[0] == 0.7
    ]
    assert len(borders) == 2
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("x[0]", "x[1]", "halves")
    assert np.ptp(borders[0].get_paths()[0].vertices[:, 0]) < 0.02
    assert axes.get_xlim() == pytest.approx((-1.16, 1.16))

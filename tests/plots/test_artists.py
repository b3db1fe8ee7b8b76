"""What pictures are made of, read from their axes: numbers, names, limits and styles."""

import numpy as np
import pytest

from xpnn import plots
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

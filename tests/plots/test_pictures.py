"""Pictures of a run: what is drawn is what was given, and every axis says what it shows."""

import io
import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn import diagnostics, plots
from xpnn.errors import ShapeError, UsageError
from xpnn.plots.style import FRAMES_PER_SECOND, HATCHES, MARKERS, PAUSE, animate, new_figure
from xpnn.training import Film, History, Row, load_film

ROWS = [
    Row(1, 0.9, 0.8, 0.5, 0.001, 1.0, True),
    Row(2, 0.5, 0.6, 0.75, 0.01, 1.0, True),
    Row(3, 0.4, 0.7, 0.625, 0.005, 1.0, False),
]
X, Y = np.random.default_rng(0).uniform(-1, 1, (40, 2)), np.arange(40) % 2
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 6, 5, 1), dtype=np.uint8)


def words(path):
    """The text of an SVG, in one string."""
    return " ".join(
        "".join(node.itertext()) for node in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    )


def drawn_bars(axes):
    """The heights of a filled step histogram, from its outline."""
    (patch,) = axes.patches
    corners = patch.get_xy()[1 : 2 * 50 + 1 : 2]
    return corners[:, 1]


@pytest.fixture
def plane():
    return xpnn.Model([xpnn.Dense(6), xpnn.Tanh(), xpnn.Dense(2)], (2,), seed=0)


@pytest.fixture
def step():
    """A traced step of a small net over images."""
    layers = [xpnn.Rescale(1 / 255), xpnn.Flatten(), xpnn.Dense(9), xpnn.ReLU(), xpnn.Dense(3)]
    model = xpnn.Model(layers, (6, 5, 1), seed=0)
    return model, diagnostics.trace(model, IMAGES, np.arange(30) % 3)


class TestCurves:
    def test_lines_are_the_history(self, tmp_path):
        figure = plots.training_curves(History(ROWS), tmp_path / "a.png", "spiral, mlp")
        loss, accuracy, rate = figure.axes
        (train, valid, best), (share, _), (lr, _) = loss.lines, accuracy.lines, rate.lines
        for line, column in ((train, [0.9, 0.5, 0.4]), (valid, [0.8, 0.6, 0.7]), (lr, [0.001, 0.01, 0.005])):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), column)
        np.testing.assert_array_equal(share.get_ydata(), [50, 75, 62.5])
        assert set(best.get_xdata()) == {2}
        assert train.get_linestyle() != valid.get_linestyle()
        assert train.get_marker() != valid.get_marker()

    def test_without_validation_there_are_two_panels(self, tmp_path):
        rows = [Row(k, 1 / k, None, None, 0.1, 1.0, True) for k in (1, 2)]
        figure = plots.training_curves(History(rows), tmp_path / "a.svg")
        assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "learning rate"]

    def test_labels(self, tmp_path):
        plots.training_curves(History(ROWS), tmp_path / "a.svg", "spiral, mlp, test accuracy 99.0 %")
        on_picture = words(tmp_path / "a.svg")
        for word in (
            "spiral, mlp, test accuracy 99.0 %", "loss", "accuracy in %", "learning rate", "epoch",
            "training", "validation", "best epoch, 2",
        ):  # fmt: skip
            assert word in on_picture


class TestConfusion:
    COUNTS = np.array([[9, 0, 2], [1, 7, 0], [0, 0, 5]])
    CLASSES = ("cat", "dog", "ankle boot")

    def test_cells_are_the_counts(self, tmp_path):
        figure = plots.confusion_matrix(self.COUNTS, self.CLASSES, tmp_path / "a.png")
        axes = figure.axes[0]
        written = {tuple(map(int, text.get_position()[::-1])): int(text.get_text()) for text in axes.texts}
        assert written == {(i, j): c for (i, j), c in np.ndenumerate(self.COUNTS) if c}
        shaded = axes.images[0].get_array()
        np.testing.assert_array_equal(shaded, self.COUNTS - np.diag(np.diag(self.COUNTS)))
        assert [patch.get_xy() for patch in axes.patches] == [(k - 0.5, k - 0.5) for k in range(3)]
        assert all(patch.get_hatch() for patch in axes.patches)

    def test_labels(self, tmp_path):
        plots.confusion_matrix(self.COUNTS, self.CLASSES, tmp_path / "a.svg", "pets")
        for word in (*self.CLASSES, "true class", "taken for", "mistakes", "pets"):
            assert word in words(tmp_path / "a.svg")

    def test_many_classes_have_no_room_for_counts(self, tmp_path):
        figure = plots.confusion_matrix(np.ones((40, 40), int), list(map(str, range(40))), tmp_path / "a.png")
        assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == list(
            map(str, range(0, 40, 2))
        )
        assert not figure.axes[0].patches
        assert not figure.axes[0].texts

    def test_counts_of_another_shape(self, tmp_path):
        with pytest.raises(ShapeError, match=r"counts of shape \(3, 3\) for 2 classes"):
            plots.confusion_matrix(self.COUNTS, ("a", "b"), tmp_path / "a.png")


class TestWorstMistakes:
    P = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.01, 0.99]])

    def test_the_surest_comes_first(self, tmp_path):
        figure = plots.worst_mistakes(
            IMAGES[:4], [0, 0, 0, 0], self.P, tmp_path / "a.svg", ("no", "yes"), "x"
        )
        shown = [axes for axes in figure.axes if axes.images]
        for axes, i in zip(shown, (3, 1, 2), strict=True):
            np.testing.assert_array_equal(axes.images[0].get_array(), IMAGES[i, :, :, 0])
        on_picture = words(tmp_path / "a.svg")
        assert "no \N{RIGHTWARDS ARROW} yes, 99.0 %" in on_picture
        assert "3 of 4 wrong, the 3 surest" in on_picture

    def test_at_most_twenty_mistakes_are_shown(self, tmp_path):
        p = np.tile([0.2, 0.8], (30, 1))
        figure = plots.worst_mistakes(IMAGES, np.zeros(30, int), p, tmp_path / "a.png")
        assert sum(bool(axes.images) for axes in figure.axes) == 20

    def test_no_mistake_is_a_picture_too(self, tmp_path):
        plots.worst_mistakes(IMAGES[:4], [0, 1, 1, 1], self.P, tmp_path / "a.svg")
        assert "0 of 4 wrong" in words(tmp_path / "a.svg")

    def test_points_are_no_images(self, tmp_path):
        with pytest.raises(ShapeError, match=r"images of shape \(40, 2\)"):
            plots.worst_mistakes(X, Y, np.eye(2)[Y], tmp_path / "a.png")


class TestFirstWeights:
    def test_units_of_images(self, tmp_path, step):
        model, _ = step
        figure = plots.first_weights(model, tmp_path / "a.svg", "digits")
        W = model.parameters()["2.W"].reshape(6, 5, 9)
        order = np.argsort(-np.linalg.norm(W.reshape(30, 9), axis=0))
        shown = [axes.images[0] for axes in figure.axes if axes.images]
        for image, unit in zip(shown, order, strict=True):
            np.testing.assert_allclose(image.get_array(), W[:, :, unit], rtol=1e-6)
            assert image.get_clim()[0] == -image.get_clim()[1]  # 0 is the grey in the middle
        for word in (f"unit {order[0]}", "weight", "2.W, 9 of 9 units", "digits"):
            assert word in words(tmp_path / "a.svg")

    def test_kernels_are_means_over_channels(self, tmp_path):
        model = xpnn.Model([xpnn.Conv2D(70, (2, 3))], (5, 5, 3), seed=0)
        figure = plots.first_weights(model, tmp_path / "a.png")
        W = np.asarray(model.parameters()["0.W"], dtype=float).mean(axis=2)
        shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
        assert len(shown) == 64
        np.testing.assert_allclose(
            shown[0], W[..., np.argmax(np.linalg.norm(W.reshape(6, 70), axis=0))], rtol=1e-6
        )

    def test_a_matrix_of_points(self, tmp_path, plane):
        figure = plots.first_weights(plane, tmp_path / "a.svg")
        np.testing.assert_allclose(figure.axes[0].images[0].get_array(), plane.parameters()["0.W"])
        assert {"unit", "input", "weight", "0.W"} <= set(words(tmp_path / "a.svg").split())

    def test_a_model_without_a_matrix_has_no_first_weights(self, tmp_path):
        with pytest.raises(UsageError, match="no matrix of weights"):
            plots.first_weights(xpnn.Model([xpnn.PReLU()], (3,)), tmp_path / "a.png")


class TestHistograms:
    def test_counts_are_those_of_the_outputs(self, tmp_path, step):
        _, trace = step
        figure = plots.activation_histograms(trace, tmp_path / "a.svg", "digits")
        assert len(trace.visits) == 5
        for axes, visit in zip(figure.axes, trace.visits, strict=False):
            np.testing.assert_array_equal(drawn_bars(axes), np.histogram(visit.y[0].astype(float), 50)[0])
            assert axes.get_yscale() == "log"
        zeros = np.mean(trace.visits[3].y[0] == 0)
        on_picture = words(tmp_path / "a.svg")
        for word in ("2 Dense", f"3 ReLU  {100 * zeros:.0f} % zero", "output", "number of outputs", "digits"):
            assert word in on_picture

    def test_gradients_of_every_parameter(self, tmp_path, step):
        model, trace = step
        figure = plots.gradient_histograms(trace, tmp_path / "a.svg")
        named = [axes for axes in figure.axes if axes.patches]
        assert [axes.get_title().split()[0] for axes in named] == list(model.layout.named)
        np.testing.assert_array_equal(
            drawn_bars(named[0]), np.histogram(trace.visits[2].gradients["W"].astype(float), 50)[0]
        )
        assert "number of entries" in words(tmp_path / "a.svg")

    def test_what_is_not_finite_is_counted(self, tmp_path, step):
        _, trace = step
        trace.visits[4].y[0][0, :2] = np.nan, np.inf
        plots.activation_histograms(trace, tmp_path / "a.svg")
        assert "4 Dense  2 not finite" in words(tmp_path / "a.svg")


class TestBoundary:
    def test_points_and_rings(self, tmp_path, plane):
        figure = plots.decision_boundary(plane, X, Y, tmp_path / "a.svg", "plane", ("red", "blue"))
        clouds = {c.get_label(): c.get_offsets() for c in figure.axes[0].collections}
        np.testing.assert_array_equal(clouds["red"], X[Y == 0])
        np.testing.assert_array_equal(clouds["blue"], X[Y == 1])
        np.testing.assert_array_equal(clouds["wrong"], X[plane.predict(X) != Y])
        for word in ("plane", "x[0]", "x[1]", "red", "blue", "wrong"):
            assert word in words(tmp_path / "a.svg")

    def test_more_than_three_classes_are_hatched_too(self, tmp_path):
        model = xpnn.Model([xpnn.Dense(5)], (2,), seed=0)
        figure = plots.decision_boundary(model, X, np.arange(40) % 5, tmp_path / "a.png")
        assert figure.axes[0].collections[0].hatches == list(HATCHES[:5])
        assert len(set(MARKERS)) == len(set(HATCHES)) == 8

    def test_the_numbers_of_the_axes_do_not_touch(self, tmp_path, plane):
        """Those of the film, whose pictures are small, for points as wide apart as the spiral's."""
        x = 0.9 * X / np.abs(X).max(axis=0)
        film = [(0, plane.snapshot())]
        for figure in (
            plots.decision_boundary(plane, x, Y, tmp_path / "a.png"),
            plots.animate_boundary(plane, film, x, Y, tmp_path / "a.gif"),
        ):
            (axes, *_) = figure.axes
            boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
            low, high = axes.get_window_extent().x0, axes.get_window_extent().x1
            inside = [box for box in boxes if low <= (box.x0 + box.x1) / 2 <= high]
            assert len(inside) > 3
            assert all(a.x1 + 5 < b.x0 for a, b in itertools.pairwise(inside))


class TestFilm:
    def test_frames_are_the_weights_of_the_epochs(self, plane):
        film = Film()
        before = plane.snapshot()["theta"]
        plane.fit(X, Y, epochs=3, verbose=0, callbacks=[film])
        assert [epoch for epoch, _ in film.frames] == [0, 1, 2, 3]
        np.testing.assert_array_equal(film.frames[0][1]["theta"], before)
        np.testing.assert_array_equal(film.frames[-1][1]["theta"], plane.snapshot()["theta"])
        plane.fit(X, Y, epochs=2, verbose=0, callbacks=[film])  # another run, another film
        assert [epoch for epoch, _ in film.frames] == [0, 1, 2]

    def test_a_long_run_leaves_epochs_out(self, plane):
        film = Film(frames=3)
        plane.fit(X, Y, epochs=7, verbose=0, callbacks=[film])
        assert [epoch for epoch, _ in film.frames] == [0, 3, 6]

    def test_a_second_fit_adds_frames(self, plane):
        film, trainer = Film(), xpnn.Trainer(plane)
        trainer.fit(X, Y, epochs=1, callbacks=[film])
        trainer.fit(X, Y, epochs=1, callbacks=[film])
        assert [epoch for epoch, _ in film.frames] == [0, 1, 2]

    def test_saved_and_read(self, tmp_path, plane):
        film = Film(tmp_path / "film")
        plane.fit(X, Y, epochs=2, verbose=0, callbacks=[film])
        read = load_film(tmp_path / "film")
        assert [epoch for epoch, _ in read] == [0, 1, 2]
        for (_, kept), (_, got) in zip(film.frames, read, strict=True):
            np.testing.assert_array_equal(got["theta"], kept["theta"])
        assert load_film(tmp_path / "none") == []

    def test_animation(self, tmp_path, plane):
        film = Film()
        plane.fit(X, Y, epochs=3, optimizer=xpnn.Adam(0.1), verbose=0, callbacks=[film])
        kept = plane.snapshot()["theta"]
        figure = plots.animate_boundary(plane, film.frames, X, Y, tmp_path / "a.gif", "plane")
        share = np.mean(plane.predict(X) == Y)
        assert figure.axes[0].get_title() == f"plane\nepoch 3: {100 * share:.1f} % of the points right"
        np.testing.assert_array_equal(plane.snapshot()["theta"], kept)
        with Image.open(tmp_path / "a.gif") as image:
            shown = []
            for k in range(image.n_frames):
                image.seek(k)
                shown.append(np.asarray(image.convert("L"), dtype=float))
        assert len(shown) == 4
        assert np.abs(shown[0] - shown[-1]).max() > 30

    def test_bad_input(self, tmp_path, plane):
        with pytest.raises(UsageError, match="a film of no frames"):
            plots.animate_boundary(plane, [], X, Y, tmp_path / "a.gif")
        with pytest.raises(UsageError, match=r"Film\(frames=0\)"):
            Film(frames=0)


class TestFiles:
    def test_equal_pictures_are_equal_files(self, tmp_path):
        for name in ("a.svg", "b.svg", "a.png", "b.png"):
            plots.training_curves(History(ROWS), tmp_path / name)
        for kind in ("svg", "png"):
            assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()

    def test_a_png_of_the_documented_size(self, tmp_path):
        plots.training_curves(History(ROWS), tmp_path / "a.png")
        with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
            assert (image.format, image.size) == ("PNG", (768, 936))

    @pytest.mark.parametrize("name", ["a.doc", "a"])
    def test_an_unknown_kind_of_picture_is_refused(self, tmp_path, name):
        with pytest.raises(UsageError, match=f"cannot draw .*{name}"):
            plots.loss_curve(History(ROWS), tmp_path / name)


class TestFilms:
    def test_without_a_file_the_last_step_is_shown(self):
        shown = []
        animate(None, None, 5, shown.append)
        assert shown == [4]

    def test_each_step_once_and_the_last_for_a_second(self, tmp_path):
        shown = []
        with new_figure(tmp_path / "a.gif", (2, 2), save=False) as figure:
            animate(figure, tmp_path / "a.gif", 3, lambda k: (shown.append(k), figure.suptitle(f"{k}")))
        assert shown == [0, 1, 2, *[2] * PAUSE]
        with Image.open(tmp_path / "a.gif") as image:
            lengths = []
            for k in range(image.n_frames):
                image.seek(k)
                lengths.append(image.info["duration"])
        assert (
            lengths[:-1] == [1000 // FRAMES_PER_SECOND // 10 * 10] * 2
        )  # GIF counts in hundredths of a second
        assert lengths[-1] >= 1000

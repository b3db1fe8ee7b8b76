"""Pictures: each is there, of a sane size, and shows what it should."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn import plots
from xpnn.diagnostics.find_lr import RateSweep
from xpnn.errors import BackendError, FileError, ShapeError
from xpnn.plots.style import shades
from xpnn.training import History, Row


def grey(path):
    """Lightness from 0 to 255, (height, width): as a grey printer prints it."""
    with Image.open(path) as image:
        assert 300 < image.width < 1200
        assert 150 < image.height < 1000
        return np.asarray(image.convert("L"), dtype=float)


def frames(path):
    with Image.open(path) as image:
        for k in range(image.n_frames):
            image.seek(k)
            yield np.asarray(image.convert("L"), dtype=float), image.info["duration"]


@pytest.fixture
def halves():
    """A model that separates left from right, and points that it gets right."""
    model = xpnn.Model([xpnn.Dense(2)], (2,))
    model.restore({"theta": np.array([-1.0, 1, 0, 0, 0, 0]), "phi": np.zeros(0)})
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    return model, x, (x[:, 0] > 0).astype(int)


class TestDecisionBoundary:
    def test_halves_differ_in_lightness(self, tmp_path, halves):
        plots.decision_boundary(*halves, tmp_path / "new" / "halves.png", "halves")
        picture = grey(tmp_path / "new" / "halves.png")
        height, width = picture.shape
        inside = picture[height // 4 : 3 * height // 4]
        left, right = inside[:, width // 5 : width // 3], inside[:, width // 2 : 2 * width // 3]
        assert np.median(right) - np.median(left) > 20

    def test_line_lies_where_the_model_changes_its_mind(self, tmp_path, halves):
        """Shifting the bias shifts the boundary, and nothing else, to the right."""
        model, x, y = halves
        plots.decision_boundary(model, x, y, tmp_path / "a.png")
        model.restore({"theta": np.array([-1.0, 1, 0, 0, 0, -1.0]), "phi": np.zeros(0)})
        plots.decision_boundary(model, x, y, tmp_path / "b.png")
        changed = np.argwhere(grey(tmp_path / "a.png") != grey(tmp_path / "b.png"))[:, 1]
        width = grey(tmp_path / "a.png").shape[1]
        assert changed.min() / width > 0.4
        assert changed.max() / width < 0.75

    def test_model_that_says_the_same_everywhere_has_no_boundary(self, tmp_path, halves):
        model, x, y = halves
        model.restore({"theta": np.array([0.0, 0, 0, 0, 1, 0]), "phi": np.zeros(0)})
        plots.decision_boundary(model, x, y, tmp_path / "a.png")
        plots.decision_boundary(model, x, np.zeros_like(y), tmp_path / "b.png")
        assert grey(tmp_path / "a.png").std() > 1

    def test_the_grid_covers_the_points_and_a_margin(self, tmp_path, halves, monkeypatch):
        """x[0] along the first axis, x[1] along the second, 8 % of their range on either side."""
        asked, predict = [], xpnn.Model.predict
        monkeypatch.setattr(xpnn.Model, "predict", lambda model, x: asked.append(x) or predict(model, x))
        x = np.array([[-1.0, 100.0], [1.0, 300.0], [0.5, 200.0]])
        figure = plots.decision_boundary(halves[0], x, np.array([0, 1, 1]), tmp_path / "a.png")
        grid = asked[0].reshape(300, 300, 2)
        np.testing.assert_allclose(grid[0, [0, -1], 0], [-1.16, 1.16])
        np.testing.assert_allclose(grid[[0, -1], 0, 1], [84, 316])
        assert (grid[:, :, 0] == grid[0, :, 0]).all()
        (axes,) = figure.axes
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("x[0]", "x[1]")
        regions = axes.collections[0].get_paths()
        np.testing.assert_allclose(regions[0].vertices.min(axis=0), [-1.16, 84])
        np.testing.assert_allclose(regions[1].vertices.max(axis=0), [1.16, 316])

    def test_three_classes_have_three_lightnesses(self):
        red, green, blue = shades(3)[:, :3].T
        lightness = 0.3 * red + 0.59 * green + 0.11 * blue
        assert (np.diff(lightness) > 0.2).all()

    def test_points_of_three_dimensions_are_refused(self, tmp_path, halves):
        with pytest.raises(ShapeError, match=r"points of shape \(4, 3\)"):
            plots.decision_boundary(halves[0], np.zeros((4, 3)), np.zeros(4, int), tmp_path / "a.png")


def history(valid):
    return History([Row(k, 1 / k, valid and valid / k, valid and 0.5, 0.1, 1.0, True) for k in range(1, 6)])


class TestLossCurve:
    def test_validation_adds_a_line(self, tmp_path):
        plots.loss_curve(history(None), tmp_path / "a.png", "loss")
        plots.loss_curve(history(0.5), tmp_path / "b.png", "loss")
        without, both = grey(tmp_path / "a.png"), grey(tmp_path / "b.png")
        assert (without < 128).mean() > 0.01  # the curve, the axes and their labels
        assert ((both < 200) & (without > 250)).sum() > 500

    def test_history_of_nothing_is_an_empty_plot(self, tmp_path):
        plots.loss_curve(History(), tmp_path / "a.png")
        assert grey(tmp_path / "a.png").std() > 1


class TestDigitGrid:
    IMAGES = np.random.default_rng(0).integers(0, 256, (7, 28, 28, 1), dtype=np.uint8)
    TRUE = np.arange(7)

    def test_two_rows_for_seven(self, tmp_path):
        plots.digit_grid(self.IMAGES[:5], self.TRUE[:5], self.TRUE[:5], tmp_path / "five.png")
        plots.digit_grid(self.IMAGES, self.TRUE, self.TRUE, tmp_path / "seven.png")
        five, seven = grey(tmp_path / "five.png"), grey(tmp_path / "seven.png")
        assert seven.shape[0] == pytest.approx(2 * five.shape[0], abs=2)
        assert five.std() > 20

    def test_a_miss_is_framed(self, tmp_path):
        blank = np.zeros((5, 28, 28), np.uint8)
        plots.digit_grid(blank, self.TRUE[:5], self.TRUE[:5], tmp_path / "right.png")
        plots.digit_grid(blank, self.TRUE[:5], [0, 1, 9, 3, 4], tmp_path / "wrong.png")
        right, wrong = grey(tmp_path / "right.png"), grey(tmp_path / "wrong.png")
        _, columns = np.nonzero((wrong < 100) & (right > 200))
        assert columns.min() / wrong.shape[1] > 0.35
        assert columns.max() / wrong.shape[1] < 0.65
        assert len(columns) > 4 * 100  # four sides


class TestAnimation:
    def test_curve(self, tmp_path):
        walk = -2 * 0.8 ** np.arange(6)[:, None]
        plots.animate_descent(lambda x: x**2, walk, (-2.2, 2.2), tmp_path / "a.gif", "bowl")
        shown = list(frames(tmp_path / "a.gif"))
        assert len(shown) == 6
        assert all(np.abs(a - b).max() > 50 for (a, _), (b, _) in itertools.pairwise(shown))
        assert shown[-1][1] > 5 * shown[0][1]  # it rests on the last picture

    def test_the_ball_goes_in_front(self, tmp_path):
        plots.animate_descent(lambda x: x**2, [[-2.0], [-1.0], [0.0]], (-2.2, 2.2), tmp_path / "a.gif")
        fronts = []
        with Image.open(tmp_path / "a.gif") as image:
            for k in range(3):
                image.seek(k)
                red, _, blue = np.moveaxis(np.asarray(image.convert("RGB"), dtype=int), -1, 0)
                columns = np.nonzero(red - blue > 100)[1]
                fronts.append(columns.max())
                assert (
                    columns > fronts[-1] - 8
                ).sum() > 60  # the ball is there, not only the thin line behind it
        assert (np.diff(fronts) > 50).all()

    def test_map_uses_the_whole_scale_of_greys(self, tmp_path):
        walk = np.outer(0.5 ** np.arange(3), [1.0, -1.0])
        plots.animate_descent(lambda x, y: x**2 + y**2, walk, (-1, 1), tmp_path / "a.gif")
        shown = list(frames(tmp_path / "a.gif"))
        assert len(shown) == 3
        height, width = shown[0][0].shape
        inside = shown[0][0][height // 5 : 4 * height // 5, width // 5 : width // 2]
        assert inside.min() < 10
        _, counts = np.unique(inside, return_counts=True)
        assert (counts > inside.size / 100).sum() >= 6  # bands, not just their soft edges

    def test_three_variables_cannot_be_drawn(self, tmp_path):
        with pytest.raises(ShapeError, match=r"points of shape \(2, 3\)"):
            plots.animate_descent(np.sum, np.zeros((2, 3)), (0, 1), tmp_path / "a.gif")


class TestEdges:
    def test_folder_that_cannot_be_made(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(FileError, match=r"cannot write .*a\.png"):
            plots.loss_curve(history(None), tmp_path / "file" / "a.png")

    def test_without_matplotlib(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(BackendError, match=r"pip install 'xpnn\[plot\]'"):
            plots.loss_curve(history(None), tmp_path / "a.png")

    def test_matplotlib_is_imported_only_to_draw(self):
        code = "import sys, xpnn.plots; sys.exit('matplotlib' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestSettingsOfTheWorkingFolder:
    """matplotlib reads matplotlibrc there; what it says must start no program and keep nobody waiting."""

    def test_a_users_matplotlibrc_runs_no_latex(self, tmp_path):
        (tmp_path / "matplotlibrc").write_text("text.usetex: True\nbackend: module://evil\nfont.size: 40\n")
        (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
        done = subprocess.run([sys.executable, "-c", CURVES], cwd=tmp_path, env=with_latex(tmp_path), text=True,
                              capture_output=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "started").exists()
        plots.training_curves(history(None), tmp_path / "b.png")
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
    def test_a_pipe(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        os.mkfifo("matplotlibrc")
        with pytest.raises(FileError, match="matplotlibrc"):
            plots.training_curves(history(None), tmp_path / "a.png")


CURVES = (
    "from test_plots import history; from xpnn import plots; plots.training_curves(history(None), 'a.png')"
)


def with_latex(folder):
    """An environment in which a program called latex leaves a trace."""
    (folder / "bin").mkdir()
    for name in ("latex", "dvipng", "kpsewhich"):
        program = folder / "bin" / name
        program.write_text(f"#!/bin/sh\ntouch {folder}/started\nexit 1\n")
        program.chmod(0o755)
    here = os.pathsep.join([os.path.dirname(__file__), *sys.path])
    return os.environ | {"PATH": f"{folder}/bin{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": here}


SIZES = {
    "loss curve": (lambda path: plots.loss_curve(history(0.5), path), (6.4, 4)),
    "training curves": (lambda path: plots.training_curves(history(0.5), path), (6.4, 7.8)),
    "rates": (lambda path: plots.lr_finder(RateSweep((0.1, 1.0), (2.0, 1.0), (2.0, 1.0), 0.1, False), path), (6.4, 4)),
    "few classes": (lambda path: plots.confusion_matrix(np.eye(3, dtype=int), "abc", path), (5.7, 4.5)),
    "ten classes": (lambda path: plots.confusion_matrix(np.eye(10, dtype=int), "abcdefghij", path), (8.0, 6.8)),
    "six digits": (lambda path: plots.digit_grid(np.zeros((6, 4, 4)), np.zeros(6), np.zeros(6), path), (7, 3.2)),
    "six mistakes": (
        lambda path: plots.worst_mistakes(np.zeros((6, 4, 4)), np.ones(6, int), np.tile([0.9, 0.1], (6, 1)), path),
        (7.4, 4.4),
    ),
    "a matrix": (lambda path: plots.first_weights(xpnn.Model([xpnn.Dense(2)], (4,)), path), (7, 3.0)),
    "a wide matrix": (lambda path: plots.first_weights(xpnn.Model([xpnn.Dense(2)], (40,)), path), (7, 7.6)),
    "nine units": (lambda path: plots.first_weights(pixels(9), path), (7, 2.5)),
}  # fmt: skip


def pixels(units):
    return xpnn.Model([xpnn.Flatten(), xpnn.Dense(units)], (3, 3, 1))


@pytest.mark.parametrize("name", SIZES)
def test_pictures_grow_with_what_they_show(tmp_path, monkeypatch, name):
    """In inches; nothing is painted."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *args, **kwargs: None)
    draw, size = SIZES[name]
    assert draw(tmp_path / "a.png").get_size_inches().tolist() == pytest.approx(size)

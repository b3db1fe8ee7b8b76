"""Does the gradient check catch the mistakes people make, and say where? And what it cannot see, who does?"""

import sys
import warnings

import bug_museum as museum
import numpy as np
import pytest

import xpnn
from xpnn.layers import Ctx
from xpnn.losses import BinaryCrossEntropy, MeanSquaredError, SoftmaxCrossEntropy

P = np.array([[0.1, 0.5, 0.2, 0.2], [0.3, 0.4, 0.2, 0.1], [0.2, 0.3, 0.4, 0.1]])
LABELS = np.array([1, 0, 2])
MEAN = 0.9378035722533454
BOTH_SIDES = 1.629856
"""What the write-up's code printed for the mean."""

BE = xpnn.get_backend(dtype="float64")


def flagged(rows):
    return [(row.path, row.layer, row.array) for row in rows if not row.ok]


class TestLayers:
    """Each stands between two sound layers: it is named, and its neighbours are not."""

    @pytest.mark.parametrize("exhibit", museum.LAYERS, ids=lambda e: e.name)
    def test_wrong_layer_is_named(self, exhibit):
        net = [xpnn.Dense(3), exhibit.wrong, xpnn.Dense(2)]
        assert flagged(xpnn.gradcheck(net, (4,), loss="softmax_cross_entropy")) == [
            ("1", exhibit.name, array) for array in exhibit.arrays
        ]

    @pytest.mark.parametrize("exhibit", museum.LAYERS, ids=lambda e: e.name)
    def test_wrong_layer_is_found_inside_a_chain(self, exhibit):
        net = [xpnn.Dense(3), xpnn.Sequential((xpnn.Tanh(), exhibit.wrong)), xpnn.Dense(2)]
        assert flagged(xpnn.gradcheck(net, (4,))) == [
            ("1.1", exhibit.name, array) for array in exhibit.arrays
        ]

    @pytest.mark.parametrize("exhibit", museum.LAYERS, ids=lambda e: e.name)
    def test_right_twin_passes(self, exhibit):
        assert flagged(xpnn.gradcheck([xpnn.Dense(3), exhibit.right, xpnn.Dense(2)], (4,))) == []

    def test_the_note_says_what_is_odd_about_a_shape(self):
        rows = xpnn.gradcheck(museum.BiasRow(3), (4,))
        assert [row.note for row in rows if not row.ok] == ["gradient has shape (1, 3), wanted (3,)"]


class TestLosses:
    @pytest.mark.parametrize("exhibit", museum.LOSSES, ids=lambda e: e.name)
    def test_wrong_loss_is_named(self, exhibit):
        rows = xpnn.gradcheck([xpnn.Dense(5), xpnn.Tanh(), xpnn.Dense(3)], (4,), loss=exhibit.wrong)
        assert flagged(rows) == [("loss", exhibit.name, "prediction")]

    @pytest.mark.parametrize("exhibit", museum.LOSSES, ids=lambda e: e.name)
    def test_right_twin_passes(self, exhibit):
        rows = xpnn.gradcheck([xpnn.Dense(5), xpnn.Tanh(), xpnn.Dense(3)], (4,), loss=exhibit.right)
        assert flagged(rows) == []

    @pytest.mark.parametrize("seed", range(5))
    def test_softmax_counted_twice_nearly_points_the_right_way(self, seed):
        """Hence a net that learns, only slowly: for four samples, 3 to 6 % of the gradient's length is left."""
        rng = np.random.default_rng(seed)
        z, ids = 0.3 * rng.standard_normal((4, 4)), rng.integers(0, 4, 4)
        (_, wrong), (_, right) = (
            f(BE, z, ids) for f in (museum.SoftmaxCountedTwice(), SoftmaxCrossEntropy())
        )
        length, full = np.linalg.norm(wrong), np.linalg.norm(right)
        assert (wrong * right).sum() / (length * full) > 0.96
        assert 0.03 < length / full < 0.06

    def test_half_the_columns_is_one_and_a_half_times_too_long_for_three(self):
        p, t = np.random.default_rng(0).standard_normal((2, 4, 3))
        (_, wrong), (_, right) = museum.HalfTheColumns()(BE, p, t), MeanSquaredError()(BE, p, t)
        np.testing.assert_allclose(wrong, 1.5 * right, rtol=1e-12)


class TestValues:
    """A value may be wrong and its gradient that value's true derivative. Then only known numbers help."""

    def test_gradient_check_cannot_see_a_consistent_mistake(self):
        assert flagged(xpnn.gradcheck(xpnn.Dense(3), (4,), loss=museum.BothSides())) == []

    @pytest.mark.parametrize("wrong", [museum.BothSides(), museum.BothSidesHalfDone()], ids=repr)
    def test_the_worked_example_can(self, wrong):
        assert float(wrong(BE, np.log(P), LABELS)[0]) == pytest.approx(BOTH_SIDES, abs=5e-7)
        assert float(SoftmaxCrossEntropy()(BE, np.log(P), LABELS)[0]) == pytest.approx(MEAN, rel=1e-12)


class TestOverflow:
    """Right at every logit that a small test would try."""

    FAR = np.array([[-1000.0, 0.0, 1000.0]])

    def forward(self, layer, x):
        return layer.forward(Ctx(BE), {}, x)[0]

    @pytest.mark.parametrize("wrong", [museum.Overflows(), museum.OverflowsUpwards()], ids=repr)
    def test_gradient_check_near_0_sees_nothing(self, wrong):
        assert flagged(xpnn.gradcheck(wrong, (4,))) == []

    def test_overflow_warns(self):
        with pytest.warns(RuntimeWarning, match="overflow encountered in exp"):
            self.forward(museum.Overflows(), self.FAR)

    def test_overflow_loses_small_values(self):
        """e^-100 fits into float32; 1 / (1 + e^100) does not get there."""
        be, x = xpnn.get_backend(dtype="float32"), np.full((1, 1), -100, np.float32)
        with be.device_context():
            (lost, _), (kept, _) = (f.forward(Ctx(be), {}, x) for f in (museum.Overflows(), xpnn.Sigmoid()))
        assert lost == 0
        assert kept == pytest.approx(np.exp(-100.0), rel=0.02)  # few bits are left to a number this small

    def test_overflow_upwards_is_nan(self):
        with BE.device_context():
            y = self.forward(museum.OverflowsUpwards(), self.FAR)
        assert np.isnan(y).tolist() == [[False, False, True]]

    def test_ours_is_exact_and_silent(self):
        with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
            warnings.simplefilter("error")
            assert self.forward(xpnn.Sigmoid(), self.FAR).tolist() == [[0.0, 0.5, 1.0]]

    def test_logarithm_of_a_sigmoid_is_infinite(self):
        z, t = np.array([[40.0]]), np.array([[0.0]])
        with BE.device_context():
            assert float(museum.LogOfTheSigmoid()(BE, z, t)[0]) == np.inf
            assert float(BinaryCrossEntropy()(BE, z, t)[0]) == pytest.approx(40, rel=1e-12)


def test_every_exhibit_is_shown():
    """A class written into the museum and left out of the lists would never be checked."""
    shown = {type(e.wrong) for e in museum.LAYERS + museum.LOSSES}
    shown |= {museum.BothSides, museum.Overflows, museum.OverflowsUpwards, museum.LogOfTheSigmoid}
    here = sys.modules["bug_museum"]
    made = {c for c in vars(here).values() if isinstance(c, type) and c.__module__ == "bug_museum"}
    assert made - {museum.Exhibit} == shown

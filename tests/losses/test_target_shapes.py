"""Losses never broadcast: a target of another shape is refused by each, also where NumPy would stretch it."""

import numpy as np
import pytest
from harness import open_backend

from xpnn import losses
from xpnn.errors import ShapeError

BE = open_backend("numpy", "float64")
NAMES = {
    losses.BinaryCrossEntropy: "binary cross-entropy",
    losses.CosineEmbedding: "cosine embedding",
    losses.Dice: "Dice",
    losses.Hinge: "hinge",
    losses.Huber: "Huber",
    losses.KLDivergence: "KL divergence",
    losses.LogCosh: "log-cosh",
    losses.MeanAbsoluteError: "mean absolute error",
    losses.MeanSquaredError: "mean squared error",
    losses.Poisson: "Poisson",
    losses.SmoothL1: "smooth L1",
    losses.SquaredHinge: "squared hinge",
    losses.SoftmaxCrossEntropy: "SoftmaxCrossEntropy",
}


@pytest.mark.parametrize("kind", NAMES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "cut", [np.s_[:1], np.s_[..., :1], np.s_[0]], ids=["one sample", "one output", "no samples"]
)
def test_a_target_of_another_shape(kind, cut):
    prediction = np.full((4, 5, 3) if kind is losses.Dice else (4, 3), 0.5)
    target = np.full_like(prediction, 0.25 if kind is losses.KLDivergence else 1.0)
    with pytest.raises(ShapeError) as caught:
        kind()(BE, prediction, target[cut])
    assert caught.value.what.startswith(NAMES[kind])
    assert f"{prediction.shape}" in caught.value.what
    assert f"{target[cut].shape}" in caught.value.what
    if "differ in shape" in caught.value.what:
        assert caught.value.why == "a loss never broadcasts"
        assert caught.value.fix == "reshape the target, for example y[:, None]"
    value, slopes = kind()(BE, prediction, target)
    assert value.shape == ()
    assert slopes.shape == prediction.shape


def test_targets_of_ctc_that_are_drawn_fit_even_if_all_labels_are_equal():
    """For 7 frames 4 labels, with a blank between equal ones; no blank is a label, half of the rows are shorter."""
    ids = losses.CTC(blank=1).random_target(np.random.default_rng(0), (5, 7, 4))
    assert ids.shape == (5, 4)
    assert set(np.unique(ids)) == {-1, 0, 2, 3}
    assert ((ids == -1) == [[row % 2 == 0 and place == 3 for place in range(4)] for row in range(5)]).all()

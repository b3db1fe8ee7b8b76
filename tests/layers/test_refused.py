"""What layers, losses and initializers refuse, by the words of the error: shapes and settings that mean nothing."""

import numpy as np
import pytest

import xpnn
from xpnn import losses
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.initializers import Dirac, Identity, Sinusoidal, Sparse, VarianceScaling
from xpnn.layers.attention_mask import Rows
from xpnn.layers.constants import Offset
from xpnn.schedules import MultiStep

RNG = np.random.default_rng(0)
SHAPES = [
    (xpnn.MultiHeadAttention(2, size=3, rotary="half"), (4, 6), "turns pairs of features, and its heads have 3"),
    (xpnn.MultiHeadAttention(2), (4, 5), "has 2 heads, which do not divide 5 features"),
    (xpnn.MultiHeadAttention(2, cross=True), (4, 6), "takes x and memory"),
    (xpnn.MultiHeadAttention(2, masked=True), ((4, 6), (3,)), "wants a mask for 4 steps, or for 4 times and 4 steps"),
    (xpnn.MultiHeadAttention(1, attention_mask=("10", "11")), (3, 2),
     "has an attention_mask for 2 times and 2 steps"),
    (xpnn.Concatenate(), ((2, 3), (4, 3)), "concatenates shapes that agree but for the last axis"),
    (xpnn.Subtract(), ((3,), (3,), (3,)), "subtracts one input from another"),
    (xpnn.Offset(axes=(3,)), (4, 5), "wants an axis 3"),
    (xpnn.Offset(axes=(-3,)), (4, 5), "wants an axis -3"),
    (xpnn.Offset(axes=(1, -2)), (4, 5), "names an axis twice: (1, -2)"),
    (xpnn.InstanceNorm(), (1, 1, 3), "takes the variance of one value, which is always 0"),
    (xpnn.InstanceNorm(), (0, 2, 3), "has no values to normalize"),
    (xpnn.AdaptiveAvgPool((2, 2)), (4, 3), "has sizes for 2 axes of positions"),
    (xpnn.SpatialDropout(0.5), (3,), "wants positions and channels"),
    (xpnn.LSTM(2, initial_state=True), (4, 3), "wants a sequence (time, features) and 2 first states (2,)"),
    (xpnn.GRU(2, masked=True), ((4, 3), (3,)), "wants a sequence (time, features) and a mask (time,)"),
    (xpnn.GRU(2), (0, 3), "wants a sequence (time, features), each at least 1"),
    (xpnn.RotaryPositions(heads=2), (4, 6), "turns pairs of 3 features in each of 2 heads"),
    (xpnn.RotaryPositions(heads=4), (4, 6), "turns pairs of 1 features in each of 4 heads"),
    (xpnn.RotaryPositions(size=8), (4, 6), "turns pairs of 8 features in each of 1 heads"),
    (xpnn.layers.SelectOutput(2), ((3,), (3,)), "wants more than 2 arrays, to take number 2"),
    (xpnn.layers.SelectOutput(0), (3,), "wants more than 0 arrays, to take number 0"),
    (xpnn.RandomErase(), (4, 3), "wants images (height, width, channels)"),
]  # fmt: skip
SHAPES += [
    (layer, shape, words)
    for layer, shapes, words in (
        (xpnn.Dense(2), ((), (3, 0)), "wants at least one feature on the last axis"),
        (xpnn.LayerNorm(), ((), (3, 0)), "wants at least one feature on the last axis"),
        (xpnn.Hardmax(), ((), (3, 0)), "wants at least one feature on the last axis"),
        (xpnn.GLU(), ((), (3,)), "wants an even number of features on the last axis"),
        (xpnn.BatchNorm(), ((), (0,)), ""),
        (xpnn.GroupNorm(2), ((4, 3),), "cannot make 2 equal groups"),
        (xpnn.PReLU(), ((),), "wants a last axis with a slope for each feature"),
        (xpnn.Permute((2, 1)), ((3,), (3, 4, 5)), "orders 2 axes"),
        (xpnn.layers.Slice(2, 2), ((4,),), "takes nothing of the 4 on axis 1"),
        (xpnn.layers.Split(2), ((3,),), "cuts an axis into 2 equal parts"),
        (xpnn.layers.Split((1, 2)), ((4,),), "cuts an axis into (1, 2), 3 together"),
        (xpnn.layers.MaskedMean(), ((3,), ((4, 3),), ((4, 3), (3,)), ((), ())),
         "wants a sequence (time, ...) and its mask (time,)"),
        (xpnn.Add(), (((3,), (3, 1)),), ""),
    )
    for shape in shapes
]  # fmt: skip
SETTINGS = [
    (lambda: xpnn.Bidirectional(xpnn.GRU(2, reverse=True)), "it reads both ways"),
    (lambda: xpnn.Bidirectional(xpnn.Dense(2)), "wanted a layer that walks along a sequence"),
    (lambda: xpnn.Clip(1.0, 0.5), "Clip(low=1.0, high=0.5)"),
    (lambda: xpnn.layers.Slice(step=0), "wanted a whole number other than 0"),
    (lambda: xpnn.layers.Slice(axis=0), "axis 0 is that of the samples"),
    (lambda: xpnn.layers.Split(0), "wanted whole numbers of at least 1"),
    (lambda: xpnn.layers.Split((2, 0)), "wanted whole numbers of at least 1"),
    (lambda: xpnn.layers.Split(()), "wanted whole numbers of at least 1"),
    (lambda: xpnn.layers.Split(2, axis=0), "axis 0 is that of the samples"),
    (lambda: xpnn.Permute((1, 3)), "Permute"),
    (lambda: xpnn.Permute((1, 1)), "Permute"),
    (
        lambda: xpnn.MultiHeadAttention(1, attention_mask=np.array([1, 0])),
        "of shape (2,): wanted (time, steps)",
    ),
    (
        lambda: xpnn.MultiHeadAttention(1, attention_mask=np.array([[1, 2]])),
        "wanted (time, steps) of 0 and 1",
    ),
    *(
        (
            lambda rows=rows: xpnn.MultiHeadAttention(1, attention_mask=rows),
            "wanted rows of one length, of 0 and 1",
        )
        for rows in ((), ("",), ("10", "1"), ("12",))
    ),
    (lambda: xpnn.MultiHeadAttention(4, kv_heads=3), "kv_heads"),
    (lambda: Rows(("10", "11"))(RNG, (2, 3)), "Rows of 2 times and 2 steps"),
    (
        lambda: xpnn.ConvTranspose2D(2, 3, stride=2, padding="same", output_padding=1),
        "gives rows = H * stride already",
    ),
    (lambda: xpnn.ConvTranspose2D(2, 3, stride=2, output_padding=2), "wanted less than the stride, 2"),
    (lambda: xpnn.RandomErase(sides=(0.4, 0.1)), "the smaller first"),
    (lambda: xpnn.RandomErase(sides=(-0.1, 0.1)), "wanted two shares"),
    (lambda: xpnn.RandomErase(sides=(0.1, 1.1)), "wanted two shares"),
    (lambda: xpnn.Parallel([]), "Parallel of no layers gives nothing"),
    (
        lambda: xpnn.Parallel([xpnn.Embedding(3, 2), xpnn.Dense(2)]),
        "some layers take ids, others real numbers",
    ),
    (lambda: xpnn.Sequential([xpnn.Dense(2), xpnn.Embedding(3, 2)]), "entry 1 of Sequential takes ids"),
    (lambda: Offset(axes=(0,)), "axis 0 is that of the samples"),
    (lambda: losses.MultiOutputLoss([]), "wanted one plain loss for each output"),
    (lambda: losses.MultiOutputLoss([losses.MeanSquaredError()], reduction="sum"), "one reduction"),
    (lambda: VarianceScaling()(RNG, (3,)), "weights of shape (3,) have no fan"),
    (lambda: xpnn.Dense(2, init="he"), "unknown initializer 'he'"),
    (lambda: VarianceScaling()(RNG, (0, 3)), "cannot scale the variance of weights of shape (0, 3)"),
    (lambda: Sinusoidal()(RNG, (3,)), "Sinusoidal needs a shape (time, features), got (3,)"),
    (lambda: Identity()(RNG, (3, 2, 2)), "Identity needs a matrix, got shape (3, 2, 2)"),
    (lambda: Dirac()(RNG, (3, 2)), "Dirac needs a kernel, got shape (3, 2)"),
    (lambda: Dirac(groups=2)(RNG, (3, 2, 3)), "3 output channels do not fall into 2 equal groups"),
    (lambda: Sparse()(RNG, (3,)), "Sparse needs a matrix, got shape (3,)"),
    (lambda: MultiStep((3, 3)), "wanted rising numbers, all steps or all shares"),
    (lambda: MultiStep((3, 0.5)), "wanted rising numbers, all steps or all shares"),
    (lambda: losses.CTC(blank=3).check(np.array([[1]]), (4, 3)), "CTC(blank=3): there are 3 classes, 0 to 2"),
]
TARGETS = [
    ([[1, 3]], "labels are 0 to 2 but not the blank, 0"),
    ([[1, 0]], "labels are 0 to 2 but not the blank, 0"),
    ([[1.5, 1]], "labels are 0 to 2 but not the blank, 0"),
    ([[-1, 1]], "-1 pads the end of a row alone"),
    ([[1, 2, 1, 2, 1]], "it needs a frame for each label, and one more between two equal ones"),
    ([[1, 1, 2, 2, -1]], "it needs a frame for each label, and one more between two equal ones"),
]


@pytest.mark.parametrize(("layer", "shape", "words"), SHAPES, ids=lambda part: repr(part)[:40])
def test_a_shape_that_does_not_fit(layer, shape, words):
    with pytest.raises(ShapeError) as caught:
        layer.plan(shape)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("make", "words"), SETTINGS, ids=lambda part: part[:40] if isinstance(part, str) else ""
)
def test_a_setting_that_means_nothing(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize(("target", "words"), TARGETS)
def test_a_sequence_of_labels_that_no_frames_can_spell(target, words):
    with pytest.raises(DataError) as caught:
        losses.CTC().check(np.array([[1, 2, *[-1] * (len(target[0]) - 2)], *target]), (4, 3))
    assert "CTC: target 1" in str(caught.value)
    assert words in str(caught.value)
    assert (
        losses.CTC().check(np.array([[1, 1, 2, -1]]), (4, 3)).dtype == np.int64
    )  # as many frames as it needs


def test_the_frames_of_a_row_stand_in_its_first_column():
    loss = losses.CTC(input_lengths=True)
    for frames in (0, 5):
        with pytest.raises(DataError, match="its number of frames, is 1 to 4"):
            loss.check(np.array([[frames, 1]]), (4, 3))
    for frames in (1, 4):
        assert loss.check(np.array([[frames, 1]]), (4, 3))[0, 0] == frames


def test_the_targets_of_several_outputs_are_of_one_length():
    loss = losses.MultiOutputLoss([losses.MeanSquaredError(), losses.MeanSquaredError()])
    with pytest.raises(DataError, match=r"y has \[2, 3\] samples: wanted one number for all outputs"):
        loss.check((np.ones((2, 1)), np.ones((3, 1))), ((1,), (1,)))
    with pytest.raises(DataError, match=r"y\[1\]: "):
        loss.check((np.ones((2, 1)), np.full((2, 1), np.nan)), ((1,), (1,)))


def test_two_metrics_of_one_name():
    model = xpnn.Model([xpnn.Dense(3)], (2,))
    with pytest.raises(UsageError, match="two metrics are called 'top_k'"):
        model.evaluate(
            np.ones((2, 2)), np.array([0, 1]), metrics=[xpnn.metrics.TopK(1), xpnn.metrics.TopK(2)]
        )


def test_a_mask_as_an_array_and_as_words():
    wanted = xpnn.MultiHeadAttention(1, attention_mask=("10", "11"))
    for given in (np.tri(2), np.tri(2, dtype=bool), [[1, 0], [1, 1]], ["10", "11"]):
        assert xpnn.MultiHeadAttention(1, attention_mask=given).attention_mask == wanted.attention_mask


@pytest.mark.parametrize(("loss", "bad", "words"), [
    (losses.Poisson(), -1.0, "targets are counts"),
    (losses.Hinge(), 0.0, "targets are -1 or 1"),
    (losses.SquaredHinge(), 0.5, "targets are -1 or 1"),
])  # fmt: skip
def test_a_target_out_of_its_range(loss, bad, words):
    loss.check(np.ones((2, 2)), (2,))
    with pytest.raises(DataError) as caught:
        loss.check(np.array([[1, 1], [1, bad]]), (2,))
    assert f"target (1, 1) is {bad}" in str(caught.value)
    assert words in caught.value.why

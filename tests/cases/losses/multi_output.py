"""A loss for each of several outputs. Checked by tests/losses/test_multi_output.py: its gradient is a tuple."""

from cases.row import LossCase
from xpnn import losses

SEVERAL_OUTPUTS = [
    LossCase(  # of different kinds
        losses.MultiOutputLoss((losses.SoftmaxCrossEntropy(), losses.MeanSquaredError())),
        ((4, 3), (4, 2)),
        "ids real",
    ),
    LossCase(  # unequal shares, and sample weights
        losses.MultiOutputLoss((losses.MeanSquaredError(), losses.SoftmaxCrossEntropy(0.1)), (1.0, 0.5)),
        ((4, 1), (4, 3)),
        "real ids",
        True,
    ),
    LossCase(  # a share of 0
        losses.MultiOutputLoss((losses.Huber(), losses.Huber(), losses.Hinge()), (0.0, 2.0, 0.1)),
        ((3, 2), (3, 2), (3, 1)),
        "real real signs",
    ),
]

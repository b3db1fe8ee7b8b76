"""Weight decay is for matrices: biases, gains and slopes are left out in every layer.

They are vectors, but for those of Scale and Offset, which have any shape.
"""

import pytest
from cases import LAYERS

import xpnn
from xpnn.parameters import Layout


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_vectors_are_left_out_of_weight_decay(case):
    specs, _ = case.layer.plan(case.shape)
    gains = isinstance(case.layer, xpnn.Scale | xpnn.Offset)
    for path, spec in Layout(specs).named.items():
        if spec.trainable:
            assert spec.decay == (len(spec.shape) > 1 and not gains), path

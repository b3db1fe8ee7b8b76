"""Weight decay is for matrices: biases, gains and slopes, which are vectors, are left out in every layer."""

import pytest
from cases import LAYERS

from xpnn.parameters import Layout


@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_vectors_are_left_out_of_weight_decay(case):
    specs, _ = case.layer.plan(case.shape)
    for path, spec in Layout(specs).named.items():
        if spec.trainable:
            assert spec.decay == (len(spec.shape) > 1), path

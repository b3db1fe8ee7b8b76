"""Recurrent layers: what they refuse, where their parameters begin, and that they learn across time."""

import numpy as np
import pytest

import xpnn
from xpnn import GRU, LSTM, Bidirectional, Dense, SimpleRNN
from xpnn.errors import ShapeError, UsageError

KINDS = (SimpleRNN, LSTM, GRU)
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@each
@pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0), (2, 3, 4)], ids=str)
def test_what_is_no_sequence_is_refused_with_the_path(kind, shape):
    with pytest.raises(ShapeError, match="wants a sequence") as caught:
        xpnn.Sequential((xpnn.Tanh(), xpnn.Sequential((kind(3),)))).plan(shape)
    assert caught.value.path == "1.0"
    with pytest.raises(ShapeError) as caught:
        xpnn.Sequential((Bidirectional(kind(3)),)).plan(shape)
    assert caught.value.path == "0.0"


@each
@pytest.mark.parametrize("units", [0, -1, 2.5, True, None])
def test_settings_that_mean_nothing_are_refused(kind, units):
    with pytest.raises(UsageError):
        kind(units)
    with pytest.raises(UsageError):
        kind(3, sequences=2)


@pytest.mark.parametrize("layer", [Dense(3), LSTM, None, Bidirectional(GRU(2)), xpnn.Sequential((GRU(2),))])
def test_only_walking_layers_go_both_ways(layer):
    with pytest.raises(UsageError):
        Bidirectional(layer)


def test_parameters_begin_as_documented():
    model = xpnn.Model([Bidirectional(LSTM(3))], (4, 2), dtype="float64", seed=1)
    p = model.parameters()
    assert set(p) == {f"0.{i}.{name}" for i in (0, 1) for name in "WUb"}
    assert p["0.0.b"].tolist() == [0] * 3 + [1] * 3 + [0] * 6
    np.testing.assert_allclose(p["0.1.U"] @ p["0.1.U"].T, np.eye(3), atol=1e-12)
    decays = sum(place.decay * (place.stop - place.start) for place in model.layout.params)
    assert decays == 2 * (2 * 12 + 3 * 12)


@each
def test_the_first_sample_of_a_sequence_is_remembered(kind):
    """Its sign is the class; what follows is noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, 6, 1)) * np.array([1, 0.3, 0.3, 0.3, 0.3, 0.3])[:, None]
    y = (x[:, 0, 0] > 0).astype(int)
    model = xpnn.Model([kind(12), Dense(2)], (6, 1), seed=0)
    model.fit(x, y, optimizer=xpnn.Adam(1e-2), epochs=15, batch_size=32, verbose=0)
    assert model.evaluate(x, y)["accuracy"] > 0.95

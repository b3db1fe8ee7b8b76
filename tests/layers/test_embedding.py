"""The padding of an embedding: a row that begins at 0 and stays so, whatever it is used for."""

import numpy as np
import pytest
from harness import context, open_backend

import xpnn
from xpnn import Embedding
from xpnn.errors import UsageError
from xpnn.initializers import ones

IDS = np.array([[1, 0, 3], [0, 0, 2]])


def test_the_row_of_the_padding_gets_no_gradient_and_the_others_theirs(any_be):
    be, layer = any_be, Embedding(4, 2, padding_idx=0)
    W, dy = np.arange(8.0).reshape(4, 2), np.arange(12.0).reshape(2, 3, 2)
    p = {"W": be.asarray(W, be.dtype)}
    y, cache = layer.forward(context(be), p, be.asarray(IDS))
    dx, grads = layer.backward(context(be), p, cache, be.asarray(dy, be.dtype))
    assert dx is None
    assert np.array_equal(be.to_numpy(y), W[IDS])  # also where the row is not 0, as in PyTorch
    wanted = [[0, 0], dy[0, 0].tolist(), dy[1, 2].tolist(), dy[0, 2].tolist()]
    assert be.to_numpy(grads["W"]).tolist() == wanted


def test_the_row_begins_at_0_and_the_others_as_ever():
    plain, padded = (
        xpnn.Model([layer], (3,), seed=1, dtype="float64").parameters()["0.W"]
        for layer in (Embedding(4, 2), Embedding(4, 2, padding_idx=2))
    )
    assert not padded[2].any()
    assert np.array_equal(np.delete(padded, 2, 0), np.delete(plain, 2, 0))
    model = xpnn.Model([Embedding(3, 2, ones, padding_idx=1)], (3,))
    assert model.parameters()["0.W"].tolist() == [[1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("optimizer", [xpnn.Adam(0.1), xpnn.SGD(0.5, momentum=0.9), xpnn.AdamW(0.1)])
def test_training_leaves_it_at_0(optimizer):
    model = xpnn.Model([Embedding(4, 2, padding_idx=0), xpnn.Flatten(), xpnn.Dense(2)], (3,), seed=0)
    before = model.parameters()["0.W"].copy()
    model.fit(IDS, [0, 1], optimizer=optimizer, epochs=5, verbose=0)
    after = model.parameters()["0.W"]
    assert not after[0].any()
    assert (after[1:] != before[1:]).all()


@pytest.mark.parametrize("padding", [-1, 4, 1.0, True])
def test_a_padding_that_is_no_id_is_refused(padding):
    with pytest.raises(UsageError, match=f"padding_idx={padding}"):
        Embedding(4, 2, padding_idx=padding)


def test_a_mask_is_made_of_the_same_id():
    """Nothing is implied: the layers that are to skip padding take the mask beside."""
    net = xpnn.Graph(
        "ids",
        {
            "real": (xpnn.PaddingMask(3), "ids"),
            "x": (Embedding(4, 2, padding_idx=3), "ids"),
            "y": (xpnn.LSTM(2, masked=True), ("x", "real")),
        },
        "y",
    )
    model = xpnn.Model(net, (None,), dtype="float64", seed=0)
    short, long = model.forward([[1, 2]]), model.forward([[1, 2, 3, 3]])
    assert np.array_equal(short, long)


def test_a_gradient_at_the_padding_would_be_seen():
    """The row of the padding in place of another: the check above is not blind."""
    be, layer = open_backend("numpy", "float64"), Embedding(4, 2, padding_idx=1)
    _, cache = layer.forward(context(be), {"W": np.ones((4, 2))}, IDS)
    grads = layer.backward(context(be), {"W": np.ones((4, 2))}, cache, np.ones((2, 3, 2)))[1]
    assert grads["W"][0].any()
    assert not grads["W"][1].any()

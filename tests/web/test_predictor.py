"""Requests as text, answers as data: what the page's server asks the model, without the server."""

import json

import numpy as np
import pytest

import xpnn
from xpnn.errors import DataError

pytest.importorskip("starlette")

from xpnn.web.predictor import MOST, Predictor, listed


def two_inputs():
    return xpnn.Model(xpnn.Graph(("a", "b"), {"c": (xpnn.Add(), ("a", "b"))}, "c"), ((3,), (3,)), seed=0)


def two_outputs():
    nodes = {"a": (xpnn.Dense(2), "x"), "b": (xpnn.Dense(1), "x")}
    return xpnn.Model(xpnn.Graph("x", nodes, ("a", "b")), (3,), seed=0)


def one():
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)


def asked(model, body):
    return Predictor(model).answer(body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(("make", "body", "words"), [
    (one, b"[1, 2]", "the body is no JSON object"),
    (one, b"{", "JSON"),
    (one, b'{"inputs": [[NaN, 0, 0]]}', "the body is no JSON"),
    (one, {}, "an empty body"),
    (one, {"input": []}, "a body with the keys 'input'"),
    (one, {"inputs": [[1, 2, 3]], "more": 1}, "a body with the keys 'inputs', 'more'"),
    (one, {"inputs": 3}, "inputs: wanted a list of 1 to"),
    (one, {"inputs": []}, "inputs: wanted a list of 1 to"),
    (one, {"inputs": [[0, 0, 0]] * (MOST + 1)}, f"inputs: wanted a list of 1 to {MOST:,} samples"),
    (one, {"inputs": [[1, 2, 3], [1, 2]]}, "inputs: the samples are not of one shape"),
    (one, {"inputs": [["a", "b", "c"]]}, "inputs: wanted finite numbers alone"),
    (one, {"inputs": [[True, False, True]]}, "inputs: wanted finite numbers alone"),
    (one, b'{"inputs": [[1e999, 0, 0]]}', "inputs: wanted finite numbers alone"),
    (one, {"rows": [{"a": 1}]}, "rows for a model that was not trained on a table"),
    (two_inputs, {"inputs": [[[1, 2, 3]]]}, "the model has 2 inputs"),
    (two_inputs, {"inputs": {"a": 1}}, "the model has 2 inputs"),
    (two_inputs, {"inputs": [[[1, 2, 3]], [["x", 2, 3]]]}, "inputs[1]: wanted finite numbers alone"),
])  # fmt: skip
def test_a_request_that_means_nothing(make, body, words):
    with pytest.raises(DataError) as caught:
        asked(make(), body)
    assert words in str(caught.value)


def test_as_many_samples_as_may_be():
    assert len(asked(one(), {"inputs": [[0, 0, 0]] * MOST})["outputs"]) == MOST


def test_several_outputs():
    model, x = two_outputs(), [[1, 2.5, 3], [0, 1, -1]]
    found = asked(model, {"inputs": x})
    for given, wanted in zip(found["outputs"], model.forward(np.array(x, np.float32)), strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    "rows", [{}, [], [1], [{}], [{"a": 1}] * (MOST + 1)], ids=["object", "none", "number", "empty", "many"]
)
def test_requests_that_are_no_rows(rows):
    _, _, preparation = xpnn.data.prepare_table(
        [{"a": i, "label": "yn"[i % 2]} for i in range(40)], label="label"
    )
    model = xpnn.Model([xpnn.Dense(2)], preparation.input_shape, seed=0, preparation=preparation)
    with pytest.raises(DataError, match="rows: wanted a list of 1 to"):
        asked(model, {"rows": rows})
    assert len(asked(model, {"rows": [{"a": 3}] * 2})["predictions"]) == 2


def test_numbers_that_json_does_not_know():
    assert listed((np.array([1.0, np.nan]), [np.inf, 2], 3, np.array([1, 2]))) == [
        [1.0, None],
        [None, 2],
        3,
        [1, 2],
    ]

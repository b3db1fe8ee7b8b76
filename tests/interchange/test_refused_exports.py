"""What the writers of other formats refuse, and by which words."""

import numpy as np
import pytest
from onnx_optimizers import optimizer_of

import xpnn
from xpnn.errors import CheckpointError, ShapeError, UsageError
from xpnn.interchange import save_html, save_onnx, save_python
from xpnn.interchange.keras import open_keras
from xpnn.interchange.report import check_fit

pytest.importorskip("onnx")
D = xpnn.Dense


def graph():
    return xpnn.Model(
        xpnn.Graph("x", {"a": (D(2), "x"), "b": (D(2), "x"), "c": (xpnn.Add(), ("a", "b"))}, "c"), (3,)
    )


def two_inputs():
    return xpnn.Model(xpnn.Graph(("x", "y"), {"a": (xpnn.Add(), ("x", "y"))}, "a"), ((3,), (3,)))


def two_outputs():
    return xpnn.Model(xpnn.Graph("x", {"a": (D(2), "x"), "b": (D(2), "x")}, ("a", "b")), (3,))


EXPORTS = {
    "a graph without its preprocessing": (
        lambda path: save_onnx(graph(), path, preprocessing=False), "of a network that is no chain of layers",
    ),
    "in Python too": (lambda path: save_python(graph(), path, preprocessing=False), "no chain of layers"),
    "a page with its channels first": (
        lambda path: save_html(xpnn.Model([D(2)], (3,)), path, channels="first"), "channels='first' for a page",
    ),
    "a page of two inputs": (lambda path: save_html(two_inputs(), path), "networks of one input of numbers and one"),
    "a page of two outputs": (lambda path: save_html(two_outputs(), path), "networks of one input of numbers and one"),
    "a page of ids": (
        lambda path: save_html(xpnn.Model([xpnn.Embedding(3, 2)], (4,)), path), "networks of one input of numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("write", "words"), EXPORTS.values(), ids=EXPORTS)
def test_what_is_not_written(write, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        write(tmp_path / "m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("got", "words"), [
    ((3, 2), "its transpose has that shape"),
    ((6,), "it has as many numbers, 6: another layout, or another layer"),
    ((2, 4), "the two networks differ there"),
])  # fmt: skip
def test_a_tensor_of_another_shape(got, words):
    check_fit("0 Dense W", "w", np.zeros((2, 3)), (2, 3))
    with pytest.raises(ShapeError) as caught:
        check_fit("0 Dense W", "w", np.zeros(got), (2, 3))
    assert caught.value.detail == f"0 Dense W wants (2, 3), w gives {got}"
    assert caught.value.why == words


@pytest.mark.parametrize(("kind", "step", "settings", "words"), [
    ("Adam", 1, {"norm_coefficient_post": 0.1}, "norm_coefficient_post"),
    ("Momentum", 1, {"alpha": 0.9, "beta": 0.5, "mode": "nesterov"}, "nesterov with a beta other than 1"),
    ("Adadelta", 0, {}, "'Adadelta' is none of ONNX's optimizers"),
])  # fmt: skip
def test_a_step_that_no_optimizer_here_takes(kind, step, settings, words):
    with pytest.raises(UsageError, match=words):
        optimizer_of(kind, 0.1, step, settings)


def test_the_settings_that_a_step_has_where_they_are_left_out():
    """Those of the standard: alpha, beta and epsilon of Adam, decay_factor and epsilon of Adagrad."""
    assert optimizer_of("Adam", 0.1, 0, {}) == xpnn.Adam(0.1, 0.9, 0.999, 1e-6)
    assert optimizer_of("Adam", 0.1, 2, {}) == xpnn.Adam(0.1, 0.9, 0.999, 1e-6 / np.sqrt(1 - 0.999**2))
    assert optimizer_of("Adagrad", 0.1, 0, {}) == xpnn.AdaGrad(0.1, 0.0, eps=1e-6)
    assert optimizer_of("Momentum", 0.1, 0, {"alpha": 0.9}) == xpnn.SGD(0.1, 0.9)
    assert optimizer_of("Momentum", 0.1, 1, {"alpha": 0.9, "mode": "nesterov"}) == xpnn.SGD(0.1, 0.9, True)


@pytest.mark.oracle
def test_no_file_of_keras(tmp_path):
    pytest.importorskip("keras")
    (tmp_path / "m.keras").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="is no model that Keras can read"):
        open_keras(tmp_path / "m.keras")

"""Shared by the tests of interchange: cases' models with lively parameters; ONNX files read here and by onnxruntime."""

import numpy as np
import pytest
from cases import LAYERS
from harness import draw

import xpnn
from xpnn.errors import CheckpointError
from xpnn.interchange import load_onnx
from xpnn.parameters import leaves

TOLERANCE = 1e-6
"""Of float32: the largest difference over the largest value, or over 1."""


def model_of(case, dtype="float32"):
    """A model of the case's layer, with parameters off their initial values, of that dtype, and samples in float64."""
    model = xpnn.Model([case.layer], case.shape, seed=0, dtype=dtype)
    x, p, _ = draw(case)
    model.load_parameters({f"0.{path}": a for path, a in leaves(p)})
    return model, x


def fed(program, x, n):
    """{name of an input: its first n samples in the dtype that the program takes}."""
    arrays = x if isinstance(x, tuple) else (x,)
    return {name: a[:n].astype(dtype) for (name, dtype, _), a in zip(program.inputs, arrays, strict=True)}


def session(data):
    """An onnxruntime session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def difference(got, wanted):
    """The largest, relative to the largest value where that is above 1; infinite for another shape, dtype or NaN."""
    worst = 0.0
    for a, b in zip(as_tuple(got), as_tuple(wanted), strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return np.inf
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.abs(np.subtract(a, b, out=np.zeros_like(b), where=~same))
        if not np.isfinite(apart).all():  # max() would pass over a NaN
            return np.inf
        largest = np.max(np.abs(b), initial=1.0, where=np.isfinite(b))
        worst = max(worst, float(np.max(apart) / largest))
    return worst


def as_tuple(value):
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def first_case(layer):
    """The first row of that class."""
    return next(case for case in LAYERS if type(case.layer) is layer)


def loaded(proto, folder, **settings):
    """The model that load_onnx reads from that graph, or those bytes, in a file of the folder."""
    path = folder / "m.onnx"
    path.write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return load_onnx(path, **settings)


def laid(a, shape):
    """a (N, C, ...) as samples of that shape, channels last where that is what it takes."""
    return a if tuple(a.shape[1:]) == tuple(shape) else np.ascontiguousarray(np.moveaxis(a, 1, -1))


def samples(proto, n=3):
    """Normal numbers, or ids below 7, in the shape of the graph's first input."""
    from onnx import TensorProto

    entry = proto.graph.input[0].type.tensor_type
    shape = (n, *(d.dim_value for d in entry.shape.dim[1:]))
    rng = np.random.default_rng(0)
    ids = entry.elem_type == TensorProto.INT64
    return rng.integers(0, 7, shape) if ids else rng.standard_normal(shape).astype(np.float32)


def compare(proto, folder):
    """The difference between the model and onnxruntime."""
    model, x = loaded(proto, folder), samples(proto)
    wanted = session(proto.SerializeToString()).run(None, {"x": x})[0]
    got = model.forward(laid(x, model.input_shape))
    return difference(got, laid(wanted, got.shape[1:]))


def assert_refused(proto, message, folder):
    """Reading the graph raises CheckpointError with that message, a regular expression."""
    with pytest.raises(CheckpointError, match=message):
        loaded(proto, folder)

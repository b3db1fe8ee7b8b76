"""What the tests of interchange share: a case's model with lively parameters, and ONNX files run by onnxruntime."""

import numpy as np
from cases import LAYERS
from harness import draw

import xpnn
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
    """The largest, relative to the largest value where that is above 1; infinite for another shape or dtype."""
    worst = 0.0
    for a, b in zip(as_tuple(got), as_tuple(wanted), strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return np.inf
        worst = max(worst, float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b)))))
    return worst


def as_tuple(value):
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def first_case(layer):
    """The first row of that class."""
    return next(case for case in LAYERS if type(case.layer) is layer)

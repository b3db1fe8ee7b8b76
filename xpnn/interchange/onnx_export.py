"""A trained model as an ONNX file.

Source: the ONNX standard, https://onnx.ai/onnx/, of which the `onnx` package is the reference.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.durable import write_durably
from xpnn.errors import BackendError, UsageError
from xpnn.interchange.onnx_metadata import metadata
from xpnn.interchange.program import Node, Program
from xpnn.interchange.sequence_rows import Body
from xpnn.interchange.trace import names_of, program_of
from xpnn.layers.lengths import ASSUMED, Length
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

OPSETS = range(18, 24)
LARGEST = 2**31 - 2**20
"""Bytes of a file: what a protobuf message may hold, with room for the nodes."""


def onnx_package() -> Any:
    """The `onnx` package. Raises BackendError without it."""
    try:
        import onnx
    except ImportError as error:
        raise BackendError("the package onnx is not installed", fix="pip install 'xpnn[onnx]'") from error
    return onnx


def save_onnx(
    model: "Model",
    path: str | Path,
    *,
    opset: int = 20,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
    classes: Sequence[str] = (),
) -> Program:
    """Write `model` to an ONNX file that needs nothing beside it; gives the program that was written.

    The number of samples is free. Layers that act in training only are left out, and a BatchNorm behind a linear layer
    is folded into it. Weights and results are float32, whatever the model's dtype; ids are int64.
    opset: the version of the standard's operations, 18 to 23. channels: "last" takes and gives images as (N, H, W, C),
    "first" as (N, C, H, W). probabilities: None gives what `model.predict_proba` does, and the network's own outputs
    where the loss has no probabilities; False gives its own outputs always. preprocessing: with True the layers that
    scale the data are in the file, and images go in as uint8 where such a layer comes first; with False they are left
    out, and what they give goes in. classes: names of the classes, kept as JSON in the metadata "classes"; those of
    `model.preparation` unless given, which is kept beside them. A model of a table takes its numbers as they are in the
    table, and 1 or 0 for words; the metadata "inputs" says which is which.
    Raises UsageError for a setting or a layer that ONNX cannot express, BackendError without the package `onnx`, and
    FileError for a path that cannot be written.
    """
    program = program_of(
        model, opset=check_opset(opset), channels=channels,
        probabilities=probabilities, preprocessing=preprocessing,
    )  # fmt: skip
    names, meanings = names_of(model, classes), program.meanings
    about = metadata(model, names, preprocessing=preprocessing, meanings=meanings)
    write_durably(user_path(path), serialized(program, about))
    return program


def check_opset(opset: int) -> int:
    """One of those that are tested. Raises UsageError."""
    if opset not in OPSETS:
        raise UsageError(
            f"opset={opset!r}: wanted a version of ONNX's operations from {OPSETS[0]} to {OPSETS[-1]}"
        )
    return opset


def serialized(program: Program, about: dict[str, str] | None = None) -> bytes:
    """The bytes of the file, looked through by ONNX's own checker with shape inference."""
    onnx = onnx_package()
    size = sum(a.nbytes for a in program.constants.values())
    if size > LARGEST:
        raise UsageError(
            f"a model of {size:,} bytes does not fit into one ONNX file",
            why="its format, protobuf, ends at 2 GB",
            fix="model.save keeps models of any size",
        )
    model = model_of(onnx, program, about or {})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def model_of(onnx: Any, program: Program, about: dict[str, str]) -> Any:
    """The program as ONNX's message."""
    from xpnn import __version__

    helper = onnx.helper
    samples = ["N"]
    several = sum(isinstance(n, Length) for _, _, shape in program.inputs for n in shape) > 1

    def dims(name: str, shape: Any) -> list[int | str | None]:
        """The sizes; one that is open has a name, and where it is computed from another it has none."""
        words = [f"{name}_{i}" if several else "T" if n == ASSUMED else None for i, n in enumerate(shape)]
        return [word if isinstance(n, Length) else n for word, n in zip(words, shape, strict=True)]

    def described(name: str, dtype: str, shape: Any) -> Any:
        """The type of an input or output."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return helper.make_tensor_value_info(name, kind, samples + dims(name, shape))

    graph = helper.make_graph(
        [node_of(onnx, node) for node in program.nodes],
        "xpnn",
        [described(*one) for one in program.inputs],
        [described(name, "float32", shape) for name, shape in program.outputs],
        [onnx.numpy_helper.from_array(a, name) for name, a in program.constants.items()],
    )
    opsets = [helper.make_opsetid("", program.opset)]
    model = helper.make_model(
        graph, opset_imports=opsets, producer_name="xpnn", producer_version=__version__,
        ir_version=helper.find_min_ir_version_for(opsets),
    )  # fmt: skip
    if about:
        helper.set_model_props(model, about)
    return model


def node_of(onnx: Any, node: Node) -> Any:
    """One node; the body of a Scan becomes a graph of its own."""
    helper = onnx.helper
    attributes = dict(node.attributes)
    body = attributes.get("body")
    if isinstance(body, Body):
        inside = [helper.make_empty_tensor_value_info(name) for name in (*body.inputs, *body.outputs)]
        attributes["body"] = helper.make_graph(
            [node_of(onnx, one) for one in body.nodes],
            "step", inside[: len(body.inputs)], inside[len(body.inputs) :],
        )  # fmt: skip
    return helper.make_node(node.kind, node.inputs, node.outputs, **attributes)

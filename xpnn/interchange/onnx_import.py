"""A network in an ONNX file as a model here: its constants computed, its layouts resolved, its layers trained on.

Source: the ONNX standard, https://onnx.ai/onnx/operators/.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import CheckpointError, UsageError, XpnnError, first_line
from xpnn.interchange import (
    onnx_attention,
    onnx_blocks,
    onnx_compare,
    onnx_composed,
    onnx_constants,
    onnx_images,
    onnx_norms,
    onnx_patterns,
    onnx_pointwise,
    onnx_resize,
    onnx_rotary,
    onnx_scan,
    onnx_sequences,
    onnx_shapes,
    onnx_tensors,
    onnx_training,
    onnx_unbatched,
)
from xpnn.interchange.onnx_export import onnx_package
from xpnn.interchange.onnx_file import array_of, opset_of, read_model
from xpnn.interchange.onnx_finish import finished
from xpnn.interchange.onnx_metadata import remember
from xpnn.interchange.onnx_values import Builder, Layout, Refusal, Value
from xpnn.layers import Layer, Standardize
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

RULES = {
    kind: rule
    for module in (
        onnx_pointwise,
        onnx_compare,
        onnx_composed,
        onnx_attention,
        onnx_blocks,
        onnx_images,
        onnx_norms,
        onnx_resize,
        onnx_rotary,
        onnx_scan,
        onnx_shapes,
        onnx_sequences,
        onnx_tensors,
        onnx_training,
    )
    for kind, rule in module.RULES.items()
}
"""The rule for each operation that becomes a layer."""
SAMPLES = 10007
"""How many samples there are while a file with a free number of them is read: a prime, so that it is found again."""
LENGTHS = range(211, 217)
"""What an open size counts as while a file is read, once for each: what depends on it shows, and on remainders too."""
INPUT_TYPES = {"float32", "float64", "float16", "bfloat16", "uint8", "int32", "int64"}


def load_onnx(
    path: str | Path,
    *,
    batched: bool = True,
    classes: Sequence[str] = (),
    mean: float | Sequence[float] | None = None,
    std: float | Sequence[float] | None = None,
    **settings: Any,
) -> "Model":
    """The network in an ONNX file as a model that predicts what the file says, and trains on.

    Images that a convolution or the like sees become channels last: the model takes and gives (N, H, W, C) where the
    file has (N, C, H, W). Constants are computed, Transposes vanish in the layouts. A loss at the end of the graph
    becomes the model's, and the network ends in the scores before it. batched=False: the first axis of the file's
    arrays is not that of the samples; each of its inputs is one sample, and the model takes any number of them.
    classes: their names, for a network of pictures; those in the file otherwise, with the preparation of the model
    that `save_onnx` wrote. mean, std: the network wants pixels as (x / 255 - mean) / std, numbers or one for each
    channel; a layer in front does that, and the model takes bytes.
    settings: of `xpnn.Model`, such as backend="torch"; dtype is float64 where the file's weights are, else float32. A
    warning says what is not as one might expect. The file is trusted with nothing: its sizes are bounded, nothing in
    it is run, and weights kept elsewhere are read only from files beside it.
    Raises CheckpointError, naming the node, its operation and the reason, for what layers here cannot do, and for
    damaged or hostile files; FileError; BackendError without the package `onnx`.
    """
    path = user_path(path)
    try:
        proto = read_model(path)
        model = built(proto, path.parent, settings, batched=batched, scale=pixel_scale(mean, std))
        remember(model, proto, classes)
        return model
    except CheckpointError as error:
        what = error.what if error.what.startswith(str(path)) else f"{path}: {error.what}"
        raise CheckpointError(what[:500], why=error.why[:500], fix=error.fix) from error


def pixel_scale(mean: Any, std: Any) -> Layer | None:
    """The layer that brings bytes to (x / 255 - mean) / std; None where neither is given. Raises UsageError."""
    if mean is None and std is None:
        return None
    each = np.broadcast_arrays(
        *(np.asarray(v, np.float64) for v in (0.0 if mean is None else mean, 1.0 if std is None else std))
    )
    if not np.all(each[1] > 0):
        raise UsageError(f"std={std}: wanted numbers above 0")
    shift, scale = (tuple((255 * a).tolist()) if a.ndim else float(255 * a) for a in each)
    return Standardize(shift, scale)


def built(
    proto: Any, folder: Path, settings: dict[str, Any], *, batched: bool = True, scale: Layer | None = None
) -> "Model":
    """The model of a checked ModelProto."""
    names = [str(entry.name) for entry in proto.graph.output]
    if not batched or not has_open_sizes(proto.graph):
        return finished(read(proto, folder, batched=batched), names, settings, scale)
    first, *others = [read(proto, folder, length=n) for n in LENGTHS]
    return finished(first, names, settings, scale, others)


def has_open_sizes(graph: Any) -> bool:
    """Whether an input has other open sizes than that of the samples."""
    constants = {tensor.name for tensor in graph.initializer}
    return any(
        d.dim_value <= 0
        for entry in graph.input
        if entry.name not in constants
        for d in list(entry.type.tensor_type.shape.dim)[1:]
    )


def read(proto: Any, folder: Path, *, batched: bool = True, length: int = 0) -> Builder:
    """The nodes of a checked ModelProto as layers. length: what the first open size of an input counts as."""
    b = Builder(opset_of(proto), folder, batched=batched)
    graph = proto.graph
    lengths: dict[str, int] = {}
    for tensor in graph.initializer:
        b.constants[str(tensor.name)] = as_numbers(array_of(tensor, folder))
    b.uses = dict(Counter(name for node in graph.node for name in node.input))
    for node in graph.node:
        for name in set(node.input):
            b.users.setdefault(name, []).append(str(node.op_type))
    for entry in graph.output:
        b.uses[entry.name] = b.uses.get(entry.name, 0) + 1
        b.users.setdefault(entry.name, []).append("output")
    for entry in graph.input:
        if entry.name not in b.constants:
            add_input(b, entry, lengths, length)
    left = onnx_constants.BUDGET
    for i, node in enumerate(graph.node):
        left -= convert(b, i, node)
        if left < 0:
            raise CheckpointError("its constants are computed to more numbers than any network has")
    return b


def as_numbers(a: Any) -> Any:
    """Half precisions as float32."""
    return a.astype(np.float32) if str(a.dtype) in ("float16", "bfloat16") else a


def add_input(b: Builder, entry: Any, lengths: dict[str, int], length: int) -> None:
    """A value with the samples on its first axis. Raises CheckpointError for other inputs.

    lengths: {the name of an open size: what it counts as}, so that equal names are equal sizes.
    """
    kind, name = entry.type.tensor_type, str(entry.name)[:60]
    dims = [int(d.dim_value) for d in kind.shape.dim]
    opened = {i for i, n in enumerate(dims) if i and n <= 0 and length}
    for i in opened:
        word = str(kind.shape.dim[i].dim_param) or f"{name} {i}"
        dims[i] = lengths.setdefault(word, length + 2 * len(LENGTHS) * len(lengths))
    if not b.batched:
        dims = [SAMPLES, *dims]
    if not entry.type.HasField("tensor_type") or not kind.HasField("shape") or not dims:
        raise CheckpointError(f"input {name!r} is no array with a shape")
    dtype = type_of(kind.elem_type)
    if dtype not in INPUT_TYPES:
        raise CheckpointError(
            f"input {name!r} holds {dtype}", why=f"known are {', '.join(sorted(INPUT_TYPES))}"
        )
    samples = dims[0] or SAMPLES
    if any(n <= 0 for n in dims[1:]):
        raise CheckpointError(
            f"input {name!r} has the shape {['N', *(n or '?' for n in dims[1:])]}",
            why="the operations of a file are read for samples of one shape",
            fix="fix the sizes when exporting, all but that of the samples",
        )
    if math.prod(dims[1:]) > 2**40 or len(dims) > 8:
        raise CheckpointError(f"input {name!r} claims samples of the shape {str(dims[1:])[:80]}")
    value = Value(b.name(name), (samples, *dims[1:]), Layout())
    b.inputs.append(value)
    b.opened[value.name] = opened
    b.same(str(entry.name), value)


def type_of(number: int) -> str:
    """The name of a type by its number in ONNX; "unknown" for a number that ONNX does not define."""
    try:
        return str(np.dtype(onnx_package().helper.tensor_dtype_to_np_dtype(number)))
    except (KeyError, ValueError, TypeError):
        return "unknown"


def convert(b: Builder, i: int, node: Any) -> int:
    """One node: a constant, or a layer. Gives the size of the constant. Raises CheckpointError."""
    kind = str(node.op_type)
    word = re.sub(r"\W", "?", kind)[:40]  # it will be printed
    where = f"node {i} {(str(node.name) or str(next(iter(node.output), '')))[:60]!r} {word}"
    try:
        if node.domain not in ("", "ai.onnx"):
            raise Refusal(f"an operation of {node.domain[:40]!r}, not of ONNX's standard")
        a = attributes(b, node)
        inputs, outputs = [str(name) for name in node.input], [str(name) for name in node.output]
        made = constant(b, kind, inputs, a)
        if made is not None:
            b.constants[outputs[0]] = made
            return int(made.size)
        b.label = str(node.name) or outputs[0]
        if not b.batched:
            kind, inputs, a = onnx_unbatched.with_samples(b, kind, inputs, a)
        if onnx_patterns.applied(b, kind, inputs, outputs, a | {"kind": kind}):
            return 0
        if kind not in RULES:
            raise Refusal("no layer here does that")
        RULES[kind](b, inputs, outputs, a | {"kind": kind})
    except Refusal as refusal:
        raise CheckpointError(
            f"{where}: {refusal}", fix="only networks made of xpnn's layers can be read"
        ) from refusal
    except XpnnError as error:
        raise CheckpointError(f"{where}: {error.what}", why=error.why) from error
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        ArithmeticError,
        AttributeError,
        MemoryError,
    ) as error:
        raise CheckpointError(
            f"{where} is damaged", why=f"{type(error).__name__}: {first_line(error)}"
        ) from error
    return 0


def attributes(b: Builder, node: Any) -> dict[str, Any]:
    """Numbers, words, and arrays; graphs inside of nodes are refused, but for that of a Scan."""
    onnx = onnx_package()
    found: dict[str, Any] = {}
    for entry in node.attribute:
        if entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
            if node.op_type != "Scan" or entry.type != onnx.AttributeProto.GRAPH:
                raise Refusal("it has a graph inside")
            found[str(entry.name)] = entry.g
            continue
        value = onnx.helper.get_attribute_value(entry)
        if isinstance(value, onnx.TensorProto):
            value = as_numbers(array_of(value, b.folder))
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, float):
            value = float(str(np.float32(value)))  # 1e-05, not 9.999999747378752e-06: the file has float32
        elif isinstance(value, list | tuple) or (hasattr(value, "__iter__") and not isinstance(value, str)):
            value = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
        found[str(entry.name)] = value
    return found


def constant(b: Builder, kind: str, inputs: list[str], a: dict[str, Any]) -> Any:
    """The array that the node gives, where that depends on no sample; else None."""
    if kind == "Constant":
        word = next(
            (key for key in ("value", "value_float", "value_floats", "value_int", "value_ints") if key in a),
            "",
        )
        if not word:
            raise Refusal("a constant that is no array of numbers")
        return np.asarray(a[word], {"f": np.float32, "i": np.int64}.get(word[6:7]))
    known = onnx_patterns.shape_of(b, inputs[0]) if kind in ("Shape", "Size") else None
    if known is not None:
        shape = np.array(known[0 if b.batched else 1 :], np.int64)
        return shape[slice(a.get("start"), a.get("end"))] if kind == "Shape" else np.prod(shape)
    if not inputs or not all(name in b.constants or not name for name in inputs):
        return None
    if kind not in onnx_constants.RULES:
        raise Refusal("its inputs are all constants, and it is not computed here")
    return onnx_constants.RULES[kind]([b.constants[name] if name else None for name in inputs], a)

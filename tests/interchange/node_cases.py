"""ONNX's own test cases of single nodes, run on models that `load_onnx` makes of them."""

import collections
import dataclasses
import functools
import importlib
import itertools
import pkgutil

import numpy as np
from onnx import ModelProto, helper, numpy_helper
from onnx_optimizers import optimizer_step

from xpnn import get_backend
from xpnn.errors import UsageError, XpnnError
from xpnn.interchange import load_onnx, onnx_import
from xpnn.interchange.onnx_finish import outputs_of
from xpnn.layers.base import Ctx

NETWORK = """Gemm MatMul Conv ConvTranspose DeformConv CausalConvWithState MaxPool AveragePool LpPool GlobalAveragePool
GlobalMaxPool GlobalLpPool MaxUnpool BatchNormalization LayerNormalization GroupNormalization InstanceNormalization
RMSNormalization MeanVarianceNormalization LpNormalization LRN Relu LeakyRelu PRelu Elu Celu Selu Gelu HardSigmoid
HardSwish Hardmax Mish Sigmoid Softplus Softsign Swish SwiGLU Tanh ThresholdedRelu Shrink Clip Softmax LogSoftmax
Dropout LSTM GRU RNN Attention FlexAttention LinearAttention RotaryEmbedding NegativeLogLikelihoodLoss
SoftmaxCrossEntropyLoss Adam Adagrad Momentum Concat Add Mul Sub Sum Mean Max Min Flatten Reshape Transpose Squeeze
Unsqueeze Identity Pad Resize Upsample Gather DepthToSpace SpaceToDepth GridSample AffineGrid ReduceMean Slice
Split""".split()  # noqa: SIM905
"""The operators of neural networks, and those that carry values from one to the next: 669 cases in onnx 1.22."""
FED = {"Concat", "Add", "Mul", "Sub", "Sum", "Mean", "Max", "Min", "SwiGLU"}
"""Those whose inputs all depend on the samples."""
OPTIONAL = {"LayerNormalization": 1, "Dropout": 1, "MaxPool": 1, "CausalConvWithState": 1}
"""Operators with outputs that a network rarely takes, and how many are always there."""
LOSSES = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
OPTIMIZERS = {"Adam": 4, "Adagrad": 3, "Momentum": 3}
"""How many arrays there are for each parameter, itself and its gradient among them."""


@functools.cache
def node_cases():
    """One node each, of the operators above, with inputs and outputs; functions expanded to nodes left out."""
    import onnx.backend.test.case.node as cases

    np.random.seed(0)
    for module in sorted(m.name for m in pkgutil.iter_modules(cases.__path__)):
        importlib.import_module(f"{cases.__name__}.{module}")
    single = [c for c in cases._NodeTestCases if "_expanded" not in c.name and len(c.model.graph.node) == 1]
    return [c for c in single if c.model.graph.node[0].op_type in NETWORK]


def run(case, folder):
    """("read", "in part", "refused" or "wrong", why)."""
    node = case.model.graph.node[0]
    wanted = [np.asarray(a) for a in case.data_sets[0][1]]
    given = case.data_sets[0][0]
    arrays = [np.asarray(a) if isinstance(a, np.ndarray | np.generic) else None for a in given]
    named = dict(zip((name for name in node.input if name), arrays, strict=False))
    if any(a is None for a in named.values()) or not named:
        return "refused", "inputs that are no arrays"
    rtol, atol = max(case.rtol, 1e-5), max(case.atol, 1e-6)
    if node.op_type in OPTIMIZERS:
        return optimized(node, list(named.values()), wanted, rtol, atol)
    found = "refused", ""
    every = list(zip((name for name in node.output if name), wanted, strict=True))
    for kept, batched in itertools.product((every, kept_outputs(node, every)), (True, False)):
        proto, fed = as_network(case, named, batched, [name for name, _ in kept])
        (folder / "m.onnx").write_bytes(proto.SerializeToString())
        targets = [a for _, a in kept]
        try:
            model, orders = with_layouts(folder / "m.onnx", batched)
            answers = answered(model, node, [named[name] for name in fed], batched, orders[0])
        except XpnnError as error:
            found = found[0], found[1] or f"{error.what} {error.why}"
            continue
        ends = (
            [(), *orders[1]] if node.op_type in LOSSES else orders[1]
        )  # the loss is a number, or one for each sample
        state, why = compared(answers, targets, batched, ends, rtol, atol)
        whole = len(kept) == len(wanted) and not any(a.dtype.kind in "iu" for a in targets)
        return (
            (state, why) if state == "wrong" or whole else ("in part", "numbers as float32, or first output")
        )
    return found


def kept_outputs(node, every):
    """(name, value) of the outputs that a network takes."""
    first = OPTIONAL.get(node.op_type, len(every))
    states = (
        node.output[:2] if node.op_type in ("LSTM", "GRU", "RNN") else [name for name, _ in every[:first]]
    )
    return [(name, a) for name, a in every if name in states]


def as_network(case, named, batched, outputs):
    """The case with its parameters as constants: a ModelProto, and the names of the arrays that are samples."""
    node = case.model.graph.node[0]
    kind, names = node.op_type, list(named)
    fed = names if kind in FED else names[1:2] if kind == "Gather" else names[: 1 + (kind in LOSSES)]
    if kind == "Attention":
        fed = names[:3]
    fed = fed + [name for name in names if name in ("past_state", "past_key", "past_value")]
    proto = ModelProto()
    proto.CopyFrom(case.model)
    del proto.graph.input[:]
    left = [entry for entry in proto.graph.output if entry.name in outputs]
    del proto.graph.output[:]
    proto.graph.output.extend(left)
    inner = proto.graph.node[0]
    for i, name in enumerate(inner.output):
        if name not in outputs:
            inner.output[i] = ""
    for name, a in named.items():
        if name in fed:
            dtype = helper.np_dtype_to_tensor_dtype(a.dtype)
            proto.graph.input.append(helper.make_tensor_value_info(name, dtype, a.shape))
        else:
            proto.graph.initializer.append(numpy_helper.from_array(a, name))
    return proto, fed


def with_layouts(path, batched=True):
    """The model, and which of the file's axes each axis of its inputs and outputs is."""
    kept = []

    def finished(b, names, *rest):
        model = real(b, names, *rest)
        kept.append([[x.layout.order for x in values] for values in (b.inputs, outputs_of(b, names))])
        return model

    real, onnx_import.finished = onnx_import.finished, finished
    try:
        return load_onnx(path, batched=batched), *kept
    finally:
        onnx_import.finished = real


def answered(model, node, arrays, batched, orders):
    """What the model gives for the samples: a list of outputs."""
    labels = arrays.pop() if node.op_type in LOSSES else None
    training = any(entry.name == "training_mode" and entry.i for entry in node.attribute)
    moved = [a if batched else a[None] for a in arrays]
    given = tuple(np.ascontiguousarray(a.transpose(order)) for a, order in zip(moved, orders, strict=True))
    if labels is not None:
        reduction = next((e.s.decode() for e in node.attribute if e.name == "reduction"), "mean")
        return with_loss(model, given[0], labels, reduction)
    if training:
        return trained(model, given[0])
    y = model.forward(given if model.net.multi_input else given[0])
    return list(y) if isinstance(y, tuple) else [y]


def with_loss(model, x, labels, reduction):
    """The loss, and the network's own output where the file has it."""
    be, y = model.backend, model.outputs(x)
    loss = dataclasses.replace(model.loss, reduction=reduction)
    value, _ = loss(be, y, be.asarray(labels.astype(np.int64)))
    return [be.to_numpy(value), be.to_numpy(y)]


def trained(model, x):
    """The output while training, and the running statistics behind the step."""
    be = model.backend
    cx = Ctx(be, train=True, key=(0,), tick=be.scalar(0, be.xp.int64))
    p = model.layout.split(be, model.theta, model.phi)
    y, cache = model.net.forward(cx, p, be.asarray(model.inputs(x)))
    (new,) = model.net.update_stats(cx, p, cache)
    return [be.to_numpy(a) for a in (y, new["mean"], new["var"])]


def compared(found, wanted, batched, orders, rtol, atol):
    """Whether the answers are the file's outputs, their axes brought to its order."""
    if len(found) < len(wanted):
        return "wrong", f"{len(found)} outputs for {len(wanted)}"
    for a, b, order in itertools.zip_longest(found[: len(wanted)], wanted, orders[: len(wanted)]):
        if order and a.ndim == len(order):
            a = a.transpose(np.argsort(order))
        a = a if batched else a[0]
        if a.shape != b.shape or not np.allclose(a, b, rtol=rtol, atol=atol):
            return "wrong", f"{a.shape} for {b.shape}"
    return "read", ""


def optimized(node, arrays, wanted, rtol, atol):
    """A step of the optimizer, parameter by parameter."""
    rate, step, *rest = arrays
    settings = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    settings = {k: v.decode() if isinstance(v, bytes) else v for k, v in settings.items()}
    n = len(rest) // OPTIMIZERS[node.op_type]
    found = []
    for i in range(n):
        theta, grad, *slots = rest[i::n]
        be = get_backend("numpy", dtype=str(theta.dtype))
        try:
            found.append(
                optimizer_step(be, node.op_type, float(rate), int(step), theta, grad, slots, settings)
            )
        except UsageError as error:
            return "refused", str(error)
    flat = [one[k] for k in range(len(found[0])) for one in found]
    good = all(np.allclose(a, b, rtol=rtol, atol=atol) for a, b in zip(flat, wanted, strict=True))
    return ("read", "") if good else ("wrong", f"{flat} for {wanted}")


def table(cases, folder):
    """{state: names of cases}, and {(operator, why): names} of those that are not read."""
    states, reasons = collections.defaultdict(list), collections.defaultdict(list)
    for case in cases:
        state, why = run(case, folder)
        states[state].append(case.name)
        if state != "read":
            reasons[case.model.graph.node[0].op_type, state, why].append(case.name)
    return states, reasons

"""The activations beyond the first few against PyTorch: values and gradients, and PyTorch's own sample inputs."""

import numpy as np
import pytest
from comparison import assert_equals_torch, error, run_layer
from tolerances import label

from xpnn import layers

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
modules = pytest.importorskip("torch.testing._internal.common_modules")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def prelu(x, p):
    """PyTorch's features are the second axis, ours the last."""
    return F.prelu(x.movedim(-1, 1), p["slope"]).movedim(1, -1)


def hard_sigmoid(x, p=None):
    """PyTorch's own slope is 1/6 rounded to float32."""
    return F.relu6(x + 3) / 6


def celu(alpha):
    """PyTorch's own 1 / alpha is rounded to float32."""
    return lambda x, p=None: torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0) / alpha))


# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (layers.GELU(), (5,), lambda x, p: F.gelu(x)),
    (layers.GELU(True), (2, 5), lambda x, p: F.gelu(x, approximate="tanh")),
    (layers.SiLU(), (5,), lambda x, p: F.silu(x)),
    (layers.Mish(), (5,), lambda x, p: x * torch.tanh(F.softplus(x, threshold=700))),
    (layers.SELU(), (5,), lambda x, p: F.selu(x)),
    (layers.CELU(), (5,), lambda x, p: F.celu(x)),
    (layers.CELU(0.3), (2, 5), celu(0.3)),
    (layers.HardSigmoid(), (50,), hard_sigmoid),
    (layers.HardSwish(), (50,), lambda x, p: F.hardswish(x)),
    (layers.HardTanh(), (50,), lambda x, p: F.hardtanh(x)),
    (layers.Softsign(), (5,), lambda x, p: F.softsign(x)),
    (layers.LogSoftmax(), (5,), lambda x, p: F.log_softmax(x, -1)),
    (layers.LogSoftmax(), (3, 5), lambda x, p: F.log_softmax(x, -1)),
    (layers.LogSigmoid(), (5,), lambda x, p: F.logsigmoid(x)),
    (layers.PReLU(), (5,), prelu),
    (layers.PReLU(), (2, 3, 5), prelu),
    (layers.PReLU(shared=True), (3, 5), prelu),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=label)
def test_activation_equals_torch(layer, shape, oracle, scale):
    rng = np.random.default_rng(0)
    assert_equals_torch(layer, scale * rng.standard_normal((6, *shape)), oracle, rng, TOLERANCE)


EDGES = [
    (layers.HardSigmoid(), hard_sigmoid),
    (layers.HardTanh(), F.hardtanh),
    (layers.SELU(), F.selu),
    (layers.CELU(0.7), celu(0.7)),
    (layers.Softsign(), F.softsign),
]


@pytest.mark.parametrize(("layer", "oracle"), EDGES, ids=label)
def test_the_derivative_at_a_kink_is_pytorchs(layer, oracle):
    """Where there is no slope, PyTorch's choice of one."""
    x = np.array([[-3.0, -1.0, -0.0, 0.0, 1.0, 3.0]])
    tx = torch.from_numpy(x).requires_grad_()
    oracle(tx).sum().backward()
    y, dx, _ = run_layer(layer, x, np.ones_like(x))
    assert error(y, oracle(tx).detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE


OPS, MODULES = 67, 38
"""How many of torch 2.13.0's samples have a counterpart."""
CLASSES = {
    "gelu": lambda approximate="none": layers.GELU(approximate == "tanh"),
    "silu": lambda: layers.SiLU(),
    "mish": lambda: layers.Mish(),
    "selu": lambda: layers.SELU(),
    "celu": lambda alpha=1.0: layers.CELU(alpha),
    "hardsigmoid": lambda: layers.HardSigmoid(),
    "hardswish": lambda: layers.HardSwish(),
    "hardtanh": lambda min_val=-1, max_val=1: layers.HardTanh() if (min_val, max_val) == (-1, 1) else LIMITS,
    "softsign": lambda: layers.Softsign(),
    "logsigmoid": lambda: layers.LogSigmoid(),
    "log_softmax": lambda dim=-1, dtype=None: dim,
}
SINGLE = {"hardsigmoid": 1e-7, "celu": 1e-7}
"""PyTorch itself computes with 1/6 and 1 / alpha rounded to float32 there: the tests above hold us to 1e-12."""
LIMITS = "HardTanh has no other limits"
EMPTY = "a softmax needs at least one class"
AXIS = "PReLU's features lie on the last axis: there is none, or no sample"


def settings_of(module, name):
    wanted = {"gelu": ["approximate"], "celu": ["alpha"], "hardtanh": ["min_val", "max_val"]}
    return {
        k: getattr(module, k) for k in [*wanted.get(name, []), *(["dim"] if hasattr(module, "dim") else [])]
    }


def op_samples():
    """(name, function of x and the other tensors, x, others, settings)."""
    for info in ops.op_db:
        name = info.name.removeprefix("nn.functional.")
        if name in {*CLASSES, "prelu"} and not info.variant_test_name:
            torch.manual_seed(0)
            for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
                kwargs = {k: v for k, v in sample.kwargs.items() if k != "inplace"}
                if name == "log_softmax":
                    kwargs |= dict(zip(("dim", "dtype"), sample.args, strict=False))
                    yield name, lambda x, op=info.op, k=kwargs: op(x, **k), sample.input, (), kwargs
                elif name == "prelu":
                    weight = kwargs.get("weight", sample.args[0] if sample.args else None)
                    yield name, info.op, sample.input, (weight,), {}
                else:
                    kwargs |= dict(zip(("min_val", "max_val"), sample.args, strict=False))
                    yield name, lambda x, op=info.op, k=kwargs: op(x, **k), sample.input, (), kwargs


def module_samples():
    for info in modules.module_db:
        name = info.name.removeprefix("nn.").lower().replace("logsoftmax", "log_softmax")
        if name in {*CLASSES, "prelu"}:
            given = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            torch.manual_seed(0)
            for sample in info.module_inputs_func(info, **given):
                made = sample.constructor_input
                module = info.module_cls(*made.args, **made.kwargs).double()
                (x,) = (*sample.forward_input.args, *sample.forward_input.kwargs.values())
                if name == "prelu":
                    yield name, F.prelu, x, (module.weight,), {}
                else:
                    yield name, module, x, (), settings_of(module, name)


def translated(name, x, others, settings):
    """(layer, PyTorch's axes to ours), or the reason why there is none."""
    if name == "prelu":
        if others[0].numel() == 1:
            return layers.PReLU(shared=True), lambda a: a.reshape(1) if a.ndim == 0 else a
        return (layers.PReLU(), lambda a: a.movedim(1, -1)) if x.ndim > 1 else AXIS
    if name == "log_softmax":
        dim = settings.get("dim", -1)
        dim = -1 if dim is None else dim
        if x.ndim == 0:
            return layers.LogSoftmax(), lambda a: a.reshape(1)
        return (layers.LogSoftmax(), lambda a: a.movedim(dim, -1)) if x.shape[dim] else EMPTY
    layer = CLASSES[name](**settings)
    return layer if isinstance(layer, str) else (layer, lambda a: a.reshape(1) if a.ndim == 0 else a)


def check(run, x, others, layer, into, tolerance):
    x = x.detach().clone().requires_grad_()
    others = [a.detach().clone().requires_grad_() for a in others]
    wanted = into(run(x, *others))
    dy = np.random.default_rng(0).standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    p = {"slope": others[0].detach().numpy().reshape(-1)} if others else None
    y, dx, grads = run_layer(layer, into(x).detach().numpy(), dy, p)
    assert error(y, wanted.detach()) <= tolerance
    assert error(dx, into(x.grad)) <= tolerance
    if others:
        assert error(grads["slope"], others[0].grad.reshape(-1)) <= tolerance


@pytest.mark.parametrize(
    ("samples", "floor", "absent"), [(op_samples, OPS, set()), (module_samples, MODULES, {"hardsigmoid"})]
)
def test_corpus_equals_torch(samples, floor, absent):
    ran, names = 0, set()
    for name, run, x, others, settings in samples():
        case = translated(name, x, others, settings)
        if isinstance(case, str):
            print(f"  {name:15} {tuple(x.shape)!s:15} {case}")
            continue
        check(run, x, others, *case, SINGLE.get(name, TOLERANCE))
        ran, names = ran + 1, names | {name}
    print(f"{ran} samples ran")
    assert names == {*CLASSES, "prelu"} - absent
    assert ran >= floor

"""PyTorch's own sample inputs (torch.testing._internal), run through our layers and losses in float64.

Each sample is translated into a `Case`, or into the reason why it has no counterpart here. The number of those that
ran is held, so that a broken translation cannot pass for a success.
"""

import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from comparison import error, run_layer, run_loss

import xpnn
from xpnn import layers, losses
from xpnn.errors import XpnnError

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
modules = pytest.importorskip("torch.testing._internal.common_modules")
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""
OP_CASES, MODULE_CASES, REFUSALS = 110, 150, 13
"""How many of torch 2.13.0's samples have a counterpart."""

# Why the others have none
ELEMENT_WEIGHTS = "weights are per sample or per class, not per element"
SHARPNESS = "Softplus has no beta, and no threshold beyond which it is x"
EMPTY = "a softmax needs at least one class"
WHOLE = "Flatten keeps the axis of samples"
MASK = "another library draws another mask"
INFERRED = "Reshape names every length"


@dataclass
class Case:
    """One of ours, and how a sample reaches it."""

    ours: Any
    into: Callable[[Any], Any] = lambda a: a.reshape(1) if a.ndim == 0 else a  # PyTorch's axes to ours
    target: Any = None
    share: float = 1.0  # PyTorch's value divided by ours
    params: Any = None
    train: bool = True


def elementwise(layer):
    return lambda x, *settings, inplace=False, **named: Case(layer(*settings, *named.values()))


def softplus(x, beta=1, threshold=20):
    return SHARPNESS if beta != 1 or (x > threshold).any() else Case(layers.Softplus())


def softmax(x, dim=-1, dtype=None):
    if x.ndim == 0:
        return Case(layers.Softmax())
    return Case(layers.Softmax(), lambda a: a.movedim(dim, -1)) if x.shape[dim] else EMPTY


def linear(x, weight, bias=None):
    return Case(layers.Dense(len(weight)), params={"W": weight, "b": bias})


def flatten(x, start_dim=0, end_dim=-1):
    return Case(layers.Flatten()) if start_dim == 1 and x.ndim > 1 else WHOLE


def reshape(x, shape):
    return INFERRED if -1 in shape else Case(layers.Reshape(shape), lambda a: a[None])


def dropout(x, p=0.5, training=True):
    return MASK if training and 0 < p < 1 else Case(layers.Dropout(p), train=training)


def real_valued(loss):
    def translate(x, target, weight=None, reduction="mean", pos_weight=None):
        if weight is not None or pos_weight is not None:
            return ELEMENT_WEIGHTS
        return Case(loss(reduction=reduction), target=target)

    return translate


def cross_entropy(x, target, weight=None, reduction="mean", ignore_index=-100, label_smoothing=0.0):
    """Images (N, C, d...) are N d... rows of C logits."""

    def rows(a):
        return a[None] if a.ndim == 1 else a.movedim(1, -1).reshape(-1, a.shape[1])

    loss = losses.SoftmaxCrossEntropy(
        label_smoothing,
        None if weight is None else tuple(weight.tolist()),
        ignore_index=ignore_index,
        reduction=reduction,
    )
    if not target.is_floating_point():
        return Case(loss, rows, target.reshape(-1))
    # PyTorch's mean divides soft rows by N, ids by their class weights; ours divides all forms alike.
    target = rows(target)
    k = torch.ones(target.shape[1]).double() if weight is None else weight
    return Case(loss, rows, target, float((target @ k).sum() / len(target)) if reduction == "mean" else 1.0)


OPS = {
    "nn.functional.linear": linear,
    "nn.functional.relu": elementwise(layers.ReLU),
    "nn.functional.leaky_relu": elementwise(layers.LeakyReLU),
    "nn.functional.elu": elementwise(layers.ELU),
    "nn.functional.softplus": softplus,
    "sigmoid": elementwise(layers.Sigmoid),
    "tanh": elementwise(layers.Tanh),
    "softmax": softmax,
    "flatten": flatten,
    "reshape": reshape,
    "nn.functional.dropout": dropout,
    "nn.functional.cross_entropy": cross_entropy,
    "nn.functional.binary_cross_entropy_with_logits": real_valued(losses.BinaryCrossEntropy),
    "nn.functional.mse_loss": real_valued(losses.MeanSquaredError),
    "nn.functional.l1_loss": real_valued(losses.MeanAbsoluteError),
}

# (translation, the settings it needs, by the names of the module's attributes)
MODULES = {
    "nn.Linear": (linear, "weight bias"),
    "nn.ReLU": (elementwise(layers.ReLU), ""),
    "nn.LeakyReLU": (elementwise(layers.LeakyReLU), "negative_slope"),
    "nn.ELU": (elementwise(layers.ELU), "alpha"),
    "nn.Softplus": (softplus, "beta threshold"),
    "nn.Sigmoid": (elementwise(layers.Sigmoid), ""),
    "nn.Tanh": (elementwise(layers.Tanh), ""),
    "nn.Softmax": (softmax, "dim"),
    "nn.CrossEntropyLoss": (cross_entropy, "weight reduction ignore_index label_smoothing"),
    "nn.BCEWithLogitsLoss": (real_valued(losses.BinaryCrossEntropy), "weight reduction pos_weight"),
    "nn.MSELoss": (real_valued(losses.MeanSquaredError), "reduction"),
    "nn.L1Loss": (real_valued(losses.MeanAbsoluteError), "reduction"),
}


def adapt(name, args, kwargs):
    """Inside what ours is defined for: distributions as soft targets, weights of at least 0, softplus itself."""
    args, kwargs = [a.detach() if name.endswith("cross_entropy") else a for a in args], dict(kwargs)
    if name == "nn.functional.softplus":
        return args, {"beta": 1, "threshold": 700}
    if name == "nn.functional.cross_entropy":
        if args[0].is_floating_point():
            args[0] = args[0] / args[0].sum(1, keepdim=True)
        if "weight" in kwargs:
            kwargs["weight"] = kwargs["weight"].detach().abs()
    return args, kwargs


@functools.cache
def op_cases():
    """(name, PyTorch's function of x, x, Case or reason) of every sample."""
    cases = []
    for info in ops.op_db:
        if info.name in OPS and not info.variant_test_name:
            torch.manual_seed(0)
            for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
                args, kwargs = adapt(info.name, sample.args, sample.kwargs)

                def run(x, op=info.op, args=args, kwargs=kwargs):
                    return op(x, *args, **kwargs)

                cases.append((info.name, run, sample.input, OPS[info.name](sample.input, *args, **kwargs)))
    return cases


@functools.cache
def module_cases():
    """The same for modules, built as PyTorch's own tests build them."""
    cases = []
    for info in modules.module_db:
        if info.name in MODULES:
            translate, names = MODULES[info.name]
            settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            torch.manual_seed(0)
            for given in info.module_inputs_func(info, **settings):
                module = info.module_cls(
                    *given.constructor_input.args, **given.constructor_input.kwargs
                ).double()
                x, *rest = *given.forward_input.args, *given.forward_input.kwargs.values()
                rest = [a.detach() for a in rest]

                def run(x, module=module, rest=rest):
                    return module(x, *rest)

                if info.name == "nn.CrossEntropyLoss" and module.weight is not None:
                    module.weight.abs_()
                needed = {n: getattr(module, n) for n in names.split()}
                cases.append((info.name, run, x, translate(x, *rest, **needed)))
    return cases


def host(a):
    return None if a is None else a.detach().numpy()


def check(run, x, case):
    """Values, and input and parameter gradients for a random cotangent."""
    x = x.detach().clone().requires_grad_()
    wanted = run(x)
    inside = host(case.into(x))
    if isinstance(case.ours, losses.Loss):
        wanted.sum().backward()
        target = host(case.target if case.target.ndim else case.target.reshape(1))
        value, dx = run_loss(case.ours, inside, target)
        if bool(wanted.isnan().any()):  # nothing counts: PyTorch's mean is 0 / 0, ours 0
            assert not (target != case.ours.ignore_index).any()
            assert (float(value), np.abs(dx).max()) == (0.0, 0.0)
            return
        assert error(value * case.share, host(wanted).reshape(value.shape)) <= TOLERANCE
        assert error(dx * case.share, host(case.into(x.grad))) <= TOLERANCE
        return
    wanted = case.into(wanted)
    dy = np.random.default_rng(0).standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    p = None
    if case.params is not None:
        W, b = case.params.values()
        p = {"W": host(W).T, "b": np.zeros(len(W)) if b is None else host(b)}
    y, dx, grads = run_layer(case.ours, inside, dy, p, train=case.train)
    assert error(y, host(wanted)) <= TOLERANCE
    assert error(dx, host(case.into(x.grad))) <= TOLERANCE
    if case.params is not None:
        assert error(grads["W"].T, host(W.grad)) <= TOLERANCE
        assert b is None or error(grads["b"], host(b.grad)) <= TOLERANCE


def counted(cases):
    """How many cases there are of each name, and how many fall out for each reason."""
    ran = Counter(name for name, _, _, case in cases if isinstance(case, Case))
    return ran, Counter((name, case) for name, _, _, case in cases if not isinstance(case, Case))


@pytest.mark.parametrize("name", OPS)
def test_op_samples_equal_torch(name):
    for n, run, x, case in op_cases():
        if n == name and isinstance(case, Case):
            check(run, x, case)


@pytest.mark.parametrize("name", MODULES)
def test_module_samples_equal_torch(name):
    for n, run, x, case in module_cases():
        if n == name and isinstance(case, Case):
            check(run, x, case)


@pytest.mark.parametrize(
    ("cases", "names", "floor"), [(op_cases, OPS, OP_CASES), (module_cases, MODULES, MODULE_CASES)]
)
def test_the_corpus_is_all_there(cases, names, floor):
    ran, fell_out = counted(cases())
    print(f"{sum(ran.values())} samples ran, {sum(fell_out.values())} have no counterpart:")
    for (name, reason), count in fell_out.items():
        print(f"  {name:50} {count:3}  {reason}")
    assert set(ran) == set(names)
    assert sum(ran.values()) >= floor


# What PyTorch refuses


def reshaped(x, shape):
    layers.Reshape(shape).plan(tuple(x.shape))


def absolute(x, target, reduction="mean"):
    run_loss(losses.MeanAbsoluteError(reduction=reduction), host(x), host(target))


def classified(x, target, weight=None, label_smoothing=0.0):
    loss = losses.SoftmaxCrossEntropy(
        label_smoothing, None if weight is None else tuple(weight.abs().tolist())
    )
    target = loss.check(host(target), tuple(x.shape[1:]))
    xpnn.Model([layers.Dense(2)], (x.shape[1],)).fit(host(x), target, verbose=0, epochs=1)


REFUSED = {"reshape": reshaped, "nn.functional.l1_loss": absolute, "nn.CrossEntropyLoss": classified}
NOT_OURS = {
    "Expected floating point type for target": "integer rows are read as one-hot rows, and checked as such",
    "expected target dtype to be Long or Byte": "whole numbers held as floats are taken as ids, others refused",
    "ignore_index is not supported": "rows have no ids, so none is ignored",
    "Expected target size": "losses over images are for later layers",
}


def wrong_inputs():
    for info in ops.op_db:
        if info.name in REFUSED and info.error_inputs_func:
            for wrong in info.error_inputs("cpu"):
                given = wrong.sample_input
                yield info.name, wrong.error_regex, (given.input, *given.args), given.kwargs
    for info in modules.module_db:
        if info.name in REFUSED:
            settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": False, "training": True}
            for wrong in info.module_error_inputs_func(info, **settings):
                given = wrong.module_error_input
                yield info.name, wrong.error_regex, given.forward_input.args, given.constructor_input.kwargs


def test_what_torch_refuses_is_refused():
    count = 0
    for name, message, args, kwargs in wrong_inputs():
        if any(message.startswith(start) for start in NOT_OURS):
            continue
        with pytest.raises(XpnnError):
            REFUSED[name](*args, **kwargs)
        count += 1
    print(f"{count} of PyTorch's error inputs refused")
    assert count >= REFUSALS

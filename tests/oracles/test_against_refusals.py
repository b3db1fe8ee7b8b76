"""What PyTorch's own corpus says must be refused (torch.testing._internal), said to our layers and losses.

test_against_corpus.py holds those of the first layers. Each wrong input is translated into a call of ours that must
raise; `NOT_OURS` says why the rest have no counterpart.
"""

import numpy as np
import pytest
from comparison import run_loss

import xpnn
from xpnn import layers, losses
from xpnn.errors import XpnnError

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
modules = pytest.importorskip("torch.testing._internal.common_modules")
pytestmark = pytest.mark.oracle

REFUSALS = 76
"""How many of torch 2.13.0's wrong inputs have a counterpart."""

NOT_OURS = {
    "should be the same": "all arrays of a model have one dtype",
    "weight should have at least": "a kernel's shape follows from the settings",
    "Expected 3-dimensional input for 3-dimensional weight": "a kernel's shape follows from the settings",
    "divisor must be not zero": "a mean divides by its own count",
    "Expected weight to be of same shape": "a gain's shape follows from the input",
    "Expected normalized_shape": "the last axis is normalised, always",
    "Given normalized_shape": "the last axis is normalised, always",
    "Not allow zero-dim input": "samples may be single numbers: PReLU of those has one slope",
    "Mismatch of parameter numbers": "a slope's shape follows from the input",
    "prelu: Expected `weight`": "a slope's shape follows from the input",
    "min_val cannot be greater": "HardTanh has no bounds to set",
    "'weight' must be 2-D": "an embedding's shape follows from its settings",
    "var is of incorrect size": "mean and variance are halves of one array",
    "The size of tensor a": "mean and variance are halves of one array",
    "expected scalar type": "weights of classes are plain numbers",
    "Expected tensor for argument": "whole numbers held as floats are taken as ids",
    "num_layers must be": "a stack of layers is a Sequential",
    "RNN input dtype": "inputs take the model's dtype where they enter",
    "bias should be of type bool": "there is always a bias",
    "batch_first should be": "samples come first, always",
    "input_size": "the number of features follows from the input",
}


def shape_of(x, spatial):
    """Of one sample, channels last; PyTorch's inputs may come without the axis of the samples."""
    sizes = tuple(x.shape)[1:] if x.ndim > spatial + 1 else tuple(x.shape)
    return (*sizes[1:], sizes[0]) if len(sizes) > 1 else sizes


def plain(value):
    """A setting of one number as the number."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def conv(cls, spatial):
    def translate(x, weight, bias=None, **settings):
        window = tuple(weight.shape[2:]) if spatial == 2 else weight.shape[2]
        settings = {k: plain(v) for k, v in settings.items()}
        cls(weight.shape[0], window, **settings).plan(shape_of(x, spatial))

    return translate


def pool(cls, spatial):
    def translate(x, kernel_size, stride=None, padding=0, dilation=1, return_indices=False):
        if dilation != 1:
            return "padding may be wider than half of a pool"
        cls(kernel_size, stride, padding).plan(shape_of(x, spatial))
        return None

    return translate


def gelu(x, approximate):
    layers.GELU(approximate)


def group_norm(x, groups):
    layers.GroupNorm(groups).plan(shape_of(x, x.ndim - 2))


def elementwise(loss):
    def translate(x, target, **settings):
        run_loss(loss(**settings), x.numpy(), target.numpy())

    return translate


def gaussian(mean, target, var, reduction="mean"):
    losses.GaussianNLL(reduction=reduction)


def triplet(anchor, positive, negative, **settings):
    losses.Triplet(**settings)
    return "anchor, positive and negative are rows of one array"


OPS = {
    "conv1d": conv(layers.Conv1D, 1),
    "conv2d": conv(layers.Conv2D, 2),
    "max_pool1d": pool(layers.MaxPool1D, 1),
    "max_pool2d": pool(layers.MaxPool2D, 2),
    "avg_pool1d": pool(layers.AvgPool1D, 1),
    "avg_pool2d": pool(layers.AvgPool2D, 2),
    "group_norm": group_norm,
    "rms_norm": None,
    "prelu": None,
    "hardtanh": None,
    "gelu": gelu,
    "embedding": None,
    "triplet_margin_loss": triplet,
    "gaussian_nll_loss": gaussian,
    "huber_loss": elementwise(losses.Huber),
    "poisson_nll_loss": elementwise(losses.Poisson),
}


def recurrent(cls):
    return lambda given, forward, n_in, units, *layers: cls(units)


def embedding(given, forward, num_embeddings, embedding_dim):
    model = xpnn.Model([layers.Embedding(num_embeddings, embedding_dim)], tuple(forward[0].shape[1:]))
    model.predict(forward[0].numpy())


MODULES = {
    "nn.BatchNorm1d": lambda given, forward, n, eps: layers.BatchNorm(eps=eps),
    "nn.BatchNorm2d": lambda given, forward, n, eps: layers.BatchNorm(eps=eps),
    "nn.GroupNorm": lambda given, forward, groups, n: layers.GroupNorm(groups).plan((n,)),
    "nn.HuberLoss": lambda given, forward, delta: losses.Huber(delta),
    "nn.NLLLoss": None,
    "nn.Embedding": embedding,
    "nn.RNN": recurrent(layers.SimpleRNN),
    "nn.LSTM": recurrent(layers.LSTM),
    "nn.GRU": recurrent(layers.GRU),
    "nn.MaxPool2d": lambda given, forward, size, padding=0: layers.MaxPool2D(size, padding=padding).plan(
        shape_of(forward[0], 2)
    ),
}


def wrong_ops():
    for info in ops.op_db:
        name = info.name.removeprefix("nn.functional.")
        if name in OPS and info.error_inputs_func and not info.variant_test_name:
            for wrong in info.error_inputs("cpu"):
                given = wrong.sample_input
                yield name, wrong.error_regex, OPS[name], (given.input, *given.args), given.kwargs


def wrong_modules():
    for info in modules.module_db:
        if info.name in MODULES:
            settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": False, "training": True}
            for wrong in info.module_error_inputs_func(info, **settings):
                given, forward = wrong.module_error_input.constructor_input, wrong.module_error_input
                inputs = forward.forward_input.args if forward.forward_input else ()
                yield (
                    info.name,
                    wrong.error_regex,
                    MODULES[info.name],
                    (given, inputs, *given.args),
                    given.kwargs,
                )


def test_what_torch_refuses_is_refused():
    count, left = 0, []
    for name, message, translate, args, kwargs in [*wrong_ops(), *wrong_modules()]:
        reason = next((why for start, why in NOT_OURS.items() if message.startswith(start)), None)
        if reason is None:
            with np.errstate(all="ignore"):
                try:
                    reason = translate(*args, **kwargs)
                except XpnnError:
                    count += 1
                    continue
            assert reason, f"{name} took what torch refuses: {message}, {args[1:]}, {kwargs}"
        left.append(f"  {name:20} {message[:50]:50}  {reason}")
    print(f"{count} of PyTorch's wrong inputs are refused; no counterpart:", *left, sep="\n")
    assert count >= REFUSALS

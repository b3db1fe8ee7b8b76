"""Convolutions and poolings against PyTorch and its own sample inputs.

Its images are (N, C, H, W), its kernels (filters, c_in / groups, kh, kw).
"""

import functools
from collections import Counter

import numpy as np
import pytest
from comparison import error, parameters, run_layer
from tolerances import label

from xpnn import layers
from xpnn.parameters import leaves

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
F = torch.nn.functional
pytestmark = [
    pytest.mark.against("PyTorch"),
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel"),
]

TOLERANCE = 1e-12
"""Norm-relative, float64."""


def first(a):
    """Channels last to channels first."""
    return a.movedim(-1, 1)


def last(a):
    return a.movedim(1, -1)


def kernel(W):
    """(kh, kw, c_in / groups, filters) to PyTorch's order."""
    return W.movedim((-1, -2), (0, 1))


def conv2d(x, p, layer):
    """PyTorch pads by numbers that are equal on both sides; other padding is written out before."""
    padding = layer.padding
    if not isinstance(padding, str | int):
        x = F.pad(x, (0, 0, *padding[1], *padding[0]))
        padding = 0
    settings = layer.stride, padding, layer.dilation, layer.groups
    return last(F.conv2d(first(x), kernel(p["W"]), p["b"], *settings))


def conv_transpose2d(x, p, layer):
    """PyTorch's weights are (c_in, filters / groups, kh, kw); what it cannot crop is cropped after."""
    padding = layer.padding if isinstance(layer.padding, int) else 0
    settings = layer.stride, padding, layer.output_padding, layer.groups, layer.dilation
    y = last(F.conv_transpose2d(first(x), kernel(p["W"]), p["b"], *settings))
    if isinstance(layer.padding, tuple):
        (top, bottom), (left, right) = layer.padding
        return y[:, top : y.shape[1] - bottom, left : y.shape[2] - right]
    if layer.padding == "same":  # of an odd number of rows too many, the one more goes below
        rows, columns = (n * s for n, s in zip(x.shape[1:3], layer.stride, strict=True))
        y = F.pad(y, (0, 0, 0, max(columns - y.shape[2], 0), 0, max(rows - y.shape[1], 0)))
        top, left = (y.shape[1] - rows) // 2, (y.shape[2] - columns) // 2
        return y[:, top : top + rows, left : left + columns]
    return y


def max_pool2d(x, p, layer):
    return last(F.max_pool2d(first(x), layer.pool, layer.stride, layer.padding))


def padded_max_pool2d(x, p, layer):
    """With pads that PyTorch's own does not have."""
    (top, bottom), (left, right) = layer.padding
    x = F.pad(first(x), (left, right, top, bottom), value=-np.inf)
    return last(F.max_pool2d(x, layer.pool, layer.stride))


def avg_pool2d(x, p, layer):
    return last(F.avg_pool2d(first(x), layer.pool, layer.stride, layer.padding, count_include_pad=False))


def conv1d(x, p, layer):
    padding = layer.padding
    if isinstance(padding, tuple):
        x, padding = F.pad(x, (0, 0, *padding)), 0
    W = p["W"].movedim((-1, -2), (0, 1))
    return last(F.conv1d(first(x), W, p["b"], layer.stride, padding, layer.dilation, layer.groups))


def pool1d(pool):
    return lambda x, p, layer: last(pool(first(x), layer.pool, layer.stride, layer.padding))


# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (layers.Conv2D(4, 3), (7, 6, 2), conv2d),
    (layers.Conv2D(5, (2, 3), padding="same"), (6, 5, 3), conv2d),
    (layers.Conv2D(4, (4, 2), padding="same", dilation=(1, 3)), (7, 8, 2), conv2d),
    (layers.Conv2D(3, 3, stride=2, padding=1), (7, 8, 2), conv2d),
    (layers.Conv2D(3, (3, 2), (3, 2), padding=((2, 0), (1, 3))), (8, 6, 1), conv2d),
    (layers.Conv2D(4, 3, dilation=(2, 1)), (9, 6, 2), conv2d),
    (layers.Conv2D(6, 3, padding=2, groups=3, stride=(1, 2)), (5, 6, 6), conv2d),
    (layers.Conv2D(8, 3, padding="same", groups=4), (5, 6, 4), conv2d),
    (layers.Conv2D(4, 5, padding=2, groups=4), (6, 7, 4), conv2d),
    (layers.Conv2D(7, 1), (3, 4, 5), conv2d),
    (layers.Conv2D(2, (5, 4)), (5, 4, 3), conv2d),
    (layers.Conv2D(16, 3, padding=1), (28, 28, 16), conv2d),
    (layers.ConvTranspose2D(4, 3), (5, 4, 2), conv_transpose2d),
    (layers.ConvTranspose2D(3, (4, 2), (3, 2), 1, output_padding=(2, 0)), (3, 4, 2), conv_transpose2d),
    (layers.ConvTranspose2D(3, (2, 3), 2, ((1, 0), (0, 2)), (2, 1)), (3, 4, 2), conv_transpose2d),
    (layers.ConvTranspose2D(6, 3, (1, 2), 2, (3, 1), 3, (0, 1)), (3, 4, 6), conv_transpose2d),
    (layers.ConvTranspose2D(8, 3, padding=1, groups=4), (5, 6, 4), conv_transpose2d),
    (layers.ConvTranspose2D(2, (3, 4), (2, 2), "same"), (3, 4, 5), conv_transpose2d),
    (layers.ConvTranspose2D(16, 3, padding=1), (14, 14, 16), conv_transpose2d),
    (layers.MaxPool2D(padding=0), (6, 7, 3), max_pool2d),
    (layers.MaxPool2D((3, 2), (1, 2), padding=1), (6, 5, 2), max_pool2d),
    (layers.MaxPool2D(3, 2, ((2, 0), (1, 1))), (6, 5, 2), padded_max_pool2d),
    (layers.Conv1D(4, 3, padding="same", dilation=2), (9, 2), conv1d),
    (layers.Conv1D(4, 3, 2, 2, groups=2), (8, 4), conv1d),
    (layers.Conv1D(3, 2, padding=(3, 0)), (5, 2), conv1d),
    (layers.MaxPool1D(3, 2, 1), (8, 2), pool1d(F.max_pool1d)),
    (layers.MaxPool1D(2, None, 0), (7, 2), pool1d(F.max_pool1d)),
    (layers.AvgPool1D(3, 2, 1), (8, 2), pool1d(functools.partial(F.avg_pool1d, count_include_pad=False))),
    (layers.GlobalAveragePool(), (3, 4, 2), lambda x, p, _: x.mean((1, 2))),
    (layers.GlobalMaxPool(), (3, 4, 2), lambda x, p, _: x.amax((1, 2))),
    (layers.ZeroPad2D(((2, 0), (1, 3))), (3, 4, 2), lambda x, p, _: F.pad(x, (0, 0, 1, 3, 2, 0))),
    (
        layers.UpSampling2D((2, 3)),
        (3, 4, 2),
        lambda x, p, _: last(F.interpolate(first(x), scale_factor=(2, 3))),
    ),
    (layers.AvgPool2D(padding=0), (6, 7, 3), avg_pool2d),
    (layers.AvgPool2D((3, 2), (1, 2), padding=1), (6, 5, 2), avg_pool2d),
]


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=label)
def test_layer_equals_torch(layer, shape, oracle, scale):
    rng = np.random.default_rng(0)
    x, p = scale * rng.standard_normal((6, *shape)), parameters(layer, shape, rng)
    tx = torch.from_numpy(x).requires_grad_()
    tp = {path: torch.from_numpy(a).requires_grad_() for path, a in leaves(p)}
    wanted = oracle(tx, tp, layer)
    dy = rng.standard_normal(tuple(wanted.shape))
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run_layer(layer, x, dy, p)
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE
    for path, grad in grads.items():
        assert error(grad, tp[path].grad) <= TOLERANCE, path


# PyTorch's own samples

SAMPLES = 221
"""How many have a counterpart."""
MORE = "output_padding stays below the stride"
EMPTY, INDICES = "no samples at all", "the places are not given"
DIVISOR = "the divisor is the number"


def whole(size):
    """PyTorch's sizes: a number, one number in a tuple, or two."""
    size = tuple(size) if isinstance(size, tuple | list) else (size, size)
    return size if len(size) == 2 else size * 2


def pads(padding):
    return padding if isinstance(padding, str) else tuple((n, n) for n in whole(padding))


def sampled_conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if 0 in x.shape:
        return EMPTY
    return layers.Conv2D(
        len(weight), tuple(weight.shape[2:]), whole(stride), pads(padding), whole(dilation), groups
    )


def sampled_conv_transpose2d(
    x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    if any(more >= s for more, s in zip(whole(output_padding), whole(stride), strict=True)):
        return MORE
    sizes = tuple(weight.shape[2:]), whole(stride), pads(padding), whole(dilation)
    return layers.ConvTranspose2D(groups * weight.shape[1], *sizes, groups, whole(output_padding))


def sampled_max_pool2d(
    x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    if 0 in x.shape or return_indices:
        return EMPTY if 0 in x.shape else INDICES
    sizes = whole(kernel_size), whole(stride) if stride else None, pads(padding), whole(dilation)
    return layers.MaxPool2D(*sizes, ceil_mode)


def sampled_avg_pool2d(
    x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    if 0 in x.shape or divisor_override:
        return EMPTY if 0 in x.shape else DIVISOR
    sizes = whole(kernel_size), whole(stride) if stride else None, pads(padding), 1
    return layers.AvgPool2D(*sizes, ceil_mode, count_include_pad)


SAMPLED = {
    "nn.functional.conv2d": sampled_conv2d,
    "nn.functional.conv_transpose2d": sampled_conv_transpose2d,
    "nn.functional.max_pool2d": sampled_max_pool2d,
    "nn.functional.avg_pool2d": sampled_avg_pool2d,
}


def run_sample(info, sample):
    """True when it ran; otherwise the reason why it has no counterpart."""
    layer = SAMPLED[info.name](sample.input, *sample.args, **sample.kwargs)
    if isinstance(layer, str):
        return layer
    batch = (lambda a: a[None]) if sample.input.ndim == 3 else (lambda a: a)
    x = sample.input.detach().clone().requires_grad_()
    weights = [a.detach().clone().requires_grad_() for a in sample.args if isinstance(a, torch.Tensor)]
    settings = [a for a in sample.args if not isinstance(a, torch.Tensor)]
    wanted = info.op(x, *weights, *settings, **sample.kwargs)
    dy = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(wanted.shape)))
    wanted.backward(dy)
    p = {}
    if weights:
        b = weights[1] if len(weights) > 1 else torch.zeros(layer.filters).double()
        p = {"W": weights[0].detach().permute(2, 3, 1, 0).numpy(), "b": b.detach().numpy()}
    inside = [last(batch(a.detach())).numpy() for a in (x, dy)]
    layer.plan(inside[0].shape[1:])
    y, dx, grads = run_layer(layer, *inside, p)
    assert error(y, last(batch(wanted.detach()))) <= TOLERANCE
    assert error(dx, last(batch(x.grad))) <= TOLERANCE
    if weights:
        assert error(grads["W"], weights[0].grad.permute(2, 3, 1, 0)) <= TOLERANCE
    if len(weights) > 1:
        assert error(grads["b"], weights[1].grad) <= TOLERANCE
    return True


def test_the_corpus_equals_torch():
    found = Counter()
    for info in ops.op_db:
        if info.name in SAMPLED:
            torch.manual_seed(0)
            for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
                found[info.name, run_sample(info, sample)] += 1
    for (name, reason), count in found.items():
        print(f"  {name:30} {count:3}  {'ran' if reason is True else reason}")
    assert {name for name, reason in found if reason is True} == set(SAMPLED)
    assert sum(count for (_, reason), count in found.items() if reason is True) >= SAMPLES

"""Augmentation against PyTorch's affine_grid and grid_sample: what is drawn is ours, what is done with it is theirs."""

import numpy as np
import pytest
from comparison import error, run_layer
from tolerances import label

from xpnn import layers
from xpnn.backends import get_backend

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""
N = 6


def draws(count, path=()):
    """What the layer at `path` inside the one of `run_layer` draws, in [-1, 1)."""
    be = get_backend("numpy", None, "float64")
    u = be.uniform((0, 0, *path), be.scalar(3, be.xp.int64), (N, count))
    return torch.from_numpy(2 * u - 1)


def matrix(*rows):
    """(N, 3, 3) from numbers and vectors, in columns and rows (x, y) from the centre, in pixels."""
    full = [[torch.as_tensor(a, dtype=torch.float64).expand(N) for a in row] for row in (*rows, (0, 0, 1))]
    return torch.stack([torch.stack(row, -1) for row in full], -2)


def shift(share, size, path=()):
    s, t = (share * draws(2, path)).unbind(1)
    return matrix((1, 0, -size[1] * t), (0, 1, -size[0] * s))


def rotation(degrees, size, path=()):
    """As seen, x to the right and y downwards: what is read lies t to the right of where it is put."""
    t = np.pi / 180 * degrees * draws(2, path)[:, 0]
    return matrix((t.cos(), -t.sin(), 0), (t.sin(), t.cos(), 0))


def zoom(share, size, path=()):
    z = 1 + share * draws(2, path)[:, 0]
    return matrix((1 / z, 0, 0), (0, 1 / z, 0))


def shear(degrees, size, path=()):
    t = np.pi / 180 * degrees * draws(2, path)[:, 0]
    return matrix((1, t.tan(), 0), (0, 1, 0))


def chain(*parts):
    """Each at its place inside a Warp."""

    def product(_, size):
        total = torch.eye(3, dtype=torch.float64)
        for i, (f, setting) in enumerate(parts):
            total = total @ f(setting, size, (i,))
        return total

    return product


ROWS = [
    (layers.RandomShift(0.3), shift, 0.3),
    (layers.RandomRotation(180.0), rotation, 180.0),
    (layers.RandomZoom(0.6), zoom, 0.6),
    (layers.RandomShear(50.0), shear, 50.0),
    (
        layers.Warp((layers.RandomRotation(60.0), layers.RandomShift(0.2), layers.RandomZoom(0.3))),
        chain((rotation, 60.0), (shift, 0.2), (zoom, 0.3)),
        None,
    ),
]


def theirs(x, pixels, size):
    """grid_sample counts from -1 to 1 between the centres of the outermost pixels (align_corners)."""
    half = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2, 1.0], dtype=torch.float64)
    theta = (pixels * half[None, None, :] / half[None, :, None])[:, :2]
    grid = F.affine_grid(theta, (N, x.shape[-1], *size), align_corners=True)
    y = F.grid_sample(x.permute(0, 3, 1, 2), grid, "bilinear", "zeros", align_corners=True)
    return y.permute(0, 2, 3, 1)


@pytest.mark.parametrize("size", [(7, 9), (4, 2), (28, 28)])
@pytest.mark.parametrize(("layer", "motion", "setting"), ROWS, ids=label)
def test_affine_layers_equal_torch(layer, motion, setting, size):
    """Values and gradients."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, N, *size, 2))
    tx = torch.from_numpy(x).requires_grad_()
    wanted = theirs(tx, motion(setting, size), size)
    wanted.backward(torch.from_numpy(dy))
    p = ({},) * len(getattr(layer, "layers", ())) or {}
    y, dx, _ = run_layer(layer, x, dy, p)
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE


def test_elastic_equals_torch():
    """The field by its definition, every weight written out; read by grid_sample."""
    layer, size = layers.RandomElastic(1.5, 2.5), (9, 6)
    be = get_backend("numpy", None, "float64")
    grids = [torch.arange(-1, np.ceil((side - 1) / 2.5) + 2, dtype=torch.float64) * 2.5 for side in size]
    z = be.uniform((0, 0), be.scalar(3, be.xp.int64), (2, N, len(grids[0]), len(grids[1])))
    z = torch.from_numpy(np.sqrt(3) * (2 * z - 1))
    q = torch.stack(torch.meshgrid(*(torch.arange(s, dtype=torch.float64) for s in size), indexing="ij"), -1)
    k = torch.stack(torch.meshgrid(*grids, indexing="ij"), -1)
    w = torch.exp(-((q[:, :, None, None] - k) ** 2).sum(-1) / (2 * 2.5**2))
    w = w / w.square().sum((2, 3), keepdim=True).sqrt()
    d = 1.5 * torch.einsum("ijkl,cnkl->nijc", w, z)
    places = (q + d).flip(-1) / torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2]) - 1
    x = np.random.default_rng(0).standard_normal((N, *size, 1))
    wanted = F.grid_sample(torch.from_numpy(x).permute(0, 3, 1, 2), places, align_corners=True)
    assert error(run_layer(layer, x), wanted.permute(0, 2, 3, 1)) <= TOLERANCE


def test_grid_sample_corpus():
    """PyTorch's own samples of bilinear reading with zeros outside, given as coordinates."""
    ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    (info,) = [info for info in ops.op_db if info.name == "nn.functional.grid_sample"]
    be, ran = get_backend("numpy", None, "float64"), 0
    for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
        settings = sample.kwargs
        (grid,) = sample.args
        if (settings["mode"], settings["padding_mode"]) != ("bilinear", "zeros") or sample.input.ndim != 4:
            continue
        x = sample.input.detach().clone().requires_grad_()
        wanted = info.op(x, grid, **settings)
        dy = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(wanted.shape)))
        wanted.backward(dy)
        sides = [(grid[..., i].detach() + 1) / 2 for i in (1, 0)]
        corners = settings["align_corners"]
        v, u = (s * (n - 1) if corners else s * n - 0.5 for s, n in zip(sides, x.shape[2:], strict=True))
        y = be.bilinear(x.detach().permute(0, 2, 3, 1).numpy(), v.numpy(), u.numpy())
        dx = be.bilinear_grad(dy.permute(0, 2, 3, 1).numpy(), v.numpy(), u.numpy(), y_shape(x))
        assert error(y, wanted.detach().permute(0, 2, 3, 1)) <= TOLERANCE
        assert error(dx, x.grad.permute(0, 2, 3, 1)) <= TOLERANCE
        ran += 1
    print(f"{ran} samples ran")
    assert ran >= 2


def y_shape(x):
    n, channels, height, width = x.shape
    return (n, height, width, channels)

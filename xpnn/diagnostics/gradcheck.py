"""Is every backward pass the derivative of its forward pass? Asked of each layer alone, so that the wrong one is named.

The derivative along a direction d is (f(a + h d) - f(a - h d)) / 2h, in float64 with h = 1e-5. A layer's
output is first
contracted with a random cotangent c, so f = <c, forward(a)>, and the analytic side is <backward(c), d>. Each entry of a
small array is a direction of its own; a large one gets a sample of entries and random directions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.backends import get_backend
from xpnn.backends.base import Backend
from xpnn.errors import XpnnError
from xpnn.layers.base import Ctx, Layer
from xpnn.layers.sequential import Sequential
from xpnn.losses import Loss, get_loss
from xpnn.parameters import Layout, leaves, tree_map
from xpnn.random import host_rng

H = 1e-5
TOLERANCE = 1e-7
ENTRIES = 100
"""Arrays up to this size are checked entry by entry, larger ones along this many directions."""

Host = np.ndarray[Any, Any]


@dataclass(frozen=True)
class GradientCheck:
    """One array's gradient: where it is, how far off, along how many directions."""

    path: str  # of the layer, or "loss"
    layer: str
    array: str  # "x" or the parameter's name
    error: float  # |numeric - analytic| / max(|numeric|, |analytic|), vectors over the directions
    directions: int
    ok: bool
    note: str = ""


def gradcheck(
    net: Layer | Sequence[Layer],
    input_shape: tuple[int, ...],
    *,
    loss: str | Loss | None = None,
    backend: str = "numpy",
    batch: int = 4,
    seed: int = 0,
) -> list[GradientCheck]:
    """Check every layer's input and parameter gradients, and the loss's, on random data.

    Inputs are drawn from N(0, 1) and kept 1e-3 away from 0, where ReLU and its kin have no derivative. A layer that
    is not differentiable gets a row that says so. Raises nothing for a wrong gradient: read `ok`.
    """
    be = get_backend(backend, None, "float64")
    chain = (
        net if isinstance(net, Sequential) else Sequential((net,) if isinstance(net, Layer) else tuple(net))
    )
    rng = host_rng(seed, "gradcheck")
    rows = []
    with be.scope():
        for path, layer, shape in flatten(chain, tuple(input_shape)):
            cx = Ctx(be, train=True, key=(seed, *map(int, path.split("."))), tick=be.scalar(0, be.xp.int64))
            rows += check_layer(cx, path, layer, shape, drawn(layer, (batch, *shape), rng), rng)
        if loss is not None:
            out = away_from_zero(rng.standard_normal((batch, *chain.plan(tuple(input_shape))[1])))
            rows.append(check_loss(be, get_loss(loss), out, rng))
    return rows


def flatten(
    net: Layer, shape: tuple[int, ...], prefix: str = ""
) -> Iterator[tuple[str, Layer, tuple[int, ...]]]:
    """(path, layer, its input shape) of every layer but chains: what is in a container counts too."""
    for i, (layer, given) in enumerate(net.inner(shape)):
        if not isinstance(layer, Sequential):
            yield f"{prefix}{i}", layer, given
        yield from flatten(layer, given, f"{prefix}{i}.")


def check_layer(
    cx: Ctx, path: str, layer: Layer, shape: tuple[int, ...], x: Host, rng: Any
) -> list[GradientCheck]:
    """One row for x and one for each trainable parameter."""
    be, name = cx.be, type(layer).__name__
    if not layer.differentiable:
        return [GradientCheck(path, name, "x", 0.0, 0, True, "not differentiable, by design")]
    layout = Layout(layer.plan(shape)[0])
    p = tree_map(lambda key, spec: spec.init(host_rng(0, "gradcheck", path, key), spec.shape), layout.specs)
    arrays = {"x": x} | {
        key: a + 0.1 * rng.standard_normal(a.shape) for key, a in leaves(p) if layout.named[key].trainable
    }

    def forward(values: dict[str, Host]) -> tuple[Any, Any, Any]:
        tree = tree_map(lambda key, fixed: be.asarray(np.asarray(values.get(key, fixed))), p)
        return tree, *layer.forward(cx, tree, be.asarray(values["x"]))

    tree, y, cache = forward(arrays)
    c = rng.standard_normal(tuple(y.shape))
    try:
        dx, grads = layer.backward(cx, tree, cache, be.asarray(c))
        analytic = {"x": dx} | dict(leaves(grads))
    except XpnnError as error:
        return [GradientCheck(path, name, "x", float("inf"), 0, False, error.what)]
    rows = []
    for key, a in arrays.items():
        if key == "x" and layer.takes == "int":
            continue  # ids have no derivative
        given = None if analytic.get(key) is None else be.to_numpy(analytic[key])
        scalar = contracted(forward, arrays, key, c, be)
        off, count, note = compare(scalar, a, given, rng)
        rows.append(GradientCheck(path, name, key, off, count, off <= TOLERANCE, note))
    return rows


def drawn(layer: Layer, shape: tuple[int, ...], rng: Any) -> Host:
    """Ids for a layer that takes ids, else numbers from N(0, 1)."""
    if layer.takes == "int":
        ids: Host = rng.integers(0, layer.vocabulary(), shape)
        return ids
    return away_from_zero(rng.standard_normal(shape))


def contracted(
    forward: Callable[..., Any], arrays: dict[str, Host], key: str, c: Host, be: Backend
) -> Callable[[Host], float]:
    """a -> <c, forward(... a in place of arrays[key] ...)>."""
    return lambda a: float(np.sum(c * be.to_numpy(forward(arrays | {key: a})[1])))


def check_loss(be: Backend, loss: Loss, x: Host, rng: Any) -> GradientCheck:
    """The gradient of the loss, or of the sum of its values, with respect to the prediction."""
    y = be.asarray(loss.random_target(rng, x.shape))
    _, given = loss(be, be.asarray(x), y)

    def total(a: Host) -> float:
        return float(be.xp.sum(loss(be, be.asarray(a), y)[0]))

    error, count, note = compare(total, x, be.to_numpy(given), rng)
    return GradientCheck("loss", type(loss).__name__, "prediction", error, count, error <= TOLERANCE, note)


def compare(f: Callable[[Host], float], a: Host, given: Host | None, rng: Any) -> tuple[float, int, str]:
    """(relative error, directions, note) of the gradient `given` of f at a."""
    if given is None or given.shape != a.shape:
        got = "none" if given is None else str(given.shape)
        return float("inf"), 0, f"gradient has shape {got}, wanted {a.shape}"
    directions = list(choose_directions(a.shape, rng))
    numeric = np.asarray([(f(a + H * d) - f(a - H * d)) / (2 * H) for d in directions])
    analytic = np.asarray([float(np.sum(given * d)) for d in directions])
    scale = max(np.linalg.norm(numeric), np.linalg.norm(analytic))
    if not np.isfinite(scale):
        return float("inf"), len(directions), "not finite"
    return (float(np.linalg.norm(numeric - analytic) / scale) if scale > 0 else 0.0), len(directions), ""


def choose_directions(shape: tuple[int, ...], rng: Any) -> Iterator[Host]:
    """Every unit vector of a small space; for a large one half as many unit vectors, and as many random directions."""
    size = int(np.prod(shape))
    small = size <= ENTRIES
    for i in range(size) if small else rng.choice(size, ENTRIES // 2, replace=False):
        unit = np.zeros(size)
        unit[i] = 1.0
        yield unit.reshape(shape)
    for _ in range(0 if small else ENTRIES // 2):
        yield rng.standard_normal(shape) / np.sqrt(size)


def away_from_zero(x: Host) -> Host:
    """Moves values closer than 1e-3 to 0 out to it: no kink lies within reach of h."""
    moved: Host = np.where(np.abs(x) < 1e-3, np.where(x < 0, -1e-3, 1e-3), x)
    return moved

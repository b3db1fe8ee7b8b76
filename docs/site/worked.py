"""What the cells of the derivations use: numbers small enough for paper, what comes out, and pictures."""

import itertools
import math

import numpy as np

import xpnn
from xpnn.layers import Ctx
from xpnn.layers.base import for_each, is_multiple
from xpnn.losses import get_loss
from xpnn.optimizers import LBFGS
from xpnn.parameters import Layout
from xpnn.plots.style import new_figure
from xpnn.trees import leaves, tree_map

be = xpnn.get_backend("numpy", dtype="float64")
cx = Ctx(be, train=True, key=(0, "layer"), tick=be.scalar(0, be.xp.int64))
"""The context of a training step."""
NUMBERS = (1.0, -1.0, 2.0, -2.0, 3.0, 0.5)
UNSEEN = ("int", "mask")
"""Inputs of these kinds have no gradient."""


class Shown(dict):
    """Arrays by name, printed below each other; of more than two axes those of length 1 are left out."""

    def __repr__(self):
        width = max(map(len, self))
        lines = []
        for name, value in self.items():
            shown = np.squeeze(value) if np.ndim(value) > 2 else np.asarray(value)
            text = np.array2string(shown, precision=4, suppress_small=True, floatmode="maxprec")
            lines.append(f"{name:<{width}}  {text}".replace("\n", "\n" + " " * (width + 2)))
        return "\n".join(lines)


def show(**arrays):
    """The arrays, flattened where one is a tuple or a tree; None is left out."""
    return Shown((name, value) for name, value in flat(arrays) if value is not None)


def flat(tree, prefix=""):
    """(name, array) of every array in tuples and dicts."""
    for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        path = f"{prefix}{name}"
        if isinstance(value, dict | tuple):
            yield from flat(value, f"{path}.")
        else:
            yield path, value


def small(shape, start=0):
    """Whole numbers of that shape, from a short list that begins again."""
    size = math.prod(shape)
    return np.array(list(itertools.islice(itertools.cycle(NUMBERS), start, start + size))).reshape(shape)


def counting(like):
    """1, 2, 3, ... in the shape of an array, or of each array of a tuple."""
    if isinstance(like, tuple):
        return tuple(map(counting, like))
    return np.arange(1.0, like.size + 1).reshape(like.shape)


def example(layer, shape):
    """x of one sample of that shape (three where one is refused), and parameters: the constant ones as they begin."""
    several = is_multiple(shape)
    shapes = shape if several else (shape,)
    kinds = for_each(layer.input_kind, len(shapes))
    rows = 3 if layer.min_batch_size(shape) > 1 else 1
    x = tuple(
        one_input(kind, (rows, *one), layer, i)
        for i, (kind, one) in enumerate(zip(kinds, shapes, strict=True))
    )
    specs = Layout(layer.plan(shape)[0]).specs
    return x if several else x[0], tree_map(parameter, specs)


def one_input(kind, shape, layer, place):
    """The input at that place: ids from 0, a mask that leaves out the last step, or numbers."""
    if kind == "int":
        words = for_each(layer.vocab_size, place + 1)[place]
        return (np.arange(math.prod(shape)).reshape(shape) + 1) % (words or 3)
    if kind == "mask":
        mask = np.ones(shape)
        mask[..., -1] = 0
        return mask
    return small(shape, place)


def parameter(path, spec):
    """Its first values where all are equal, small numbers otherwise."""
    first = spec.initialize(np.random.default_rng(0))
    return first.astype(float) if np.ptp(first) == 0 else small(spec.shape, sum(map(ord, path)))


def check(layer, shape, **settings):
    """The rows of the gradient check. A wrong gradient does not build."""
    checks = xpnn.gradcheck(layer, shape, **settings)
    assert checks.ok, str(checks)
    return checks


def check_loss(loss, prediction):
    """The gradient check of a loss behind a Dense that gives predictions of that shape."""
    shape = np.shape(prediction)
    return check(xpnn.Dense(shape[-1]), (*shape[1:-1], 3), loss=loss)


def curve(layer):
    """An activation and its slope over x from -4 to 4."""
    x = np.linspace(-4, 4, 801)[:, None]
    y, cache = layer.forward(cx, example(layer, (1,))[1], x)
    with new_figure(None, (5, 2.8)) as figure:
        axes = figure.add_subplot(xlabel="x")
        axes.plot(x, y, color="black", label="y")
        if layer.differentiable:
            slope, _ = layer.backward(cx, example(layer, (1,))[1], cache, np.ones_like(x))
            axes.plot(x, slope, "--", color="tab:orange", label="dy/dx")
        axes.legend(frameon=False)
    return figure


def jacobian(layer, shape):
    """How each number of the output (a row) depends on each of the input (a column), by `backward` alone.

    Of a layer whose input has no gradient, such as ids: on each number of its first parameter.
    """
    x, p = example(layer, shape)
    y, cache = layer.forward(cx, p, x)
    outputs = y if isinstance(y, tuple) else (y,)
    rows = []
    for which, output in enumerate(outputs):
        for place in range(output.size):
            dy = [np.zeros_like(one, dtype=float) for one in outputs]
            dy[which].reshape(-1)[place] = 1
            dx, grads = layer.backward(cx, p, cache, tuple(dy) if isinstance(y, tuple) else dy[0])
            parts = [part for part in (dx if isinstance(dx, tuple) else (dx,)) if part is not None]
            parts = parts or [next(array for _, array in leaves(grads))]
            rows.append(np.concatenate([np.ravel(part) for part in parts]))
    matrix = np.array(rows)
    limit = np.abs(matrix).max() or 1
    with new_figure(None, (5, 3)) as figure:
        axes = figure.add_subplot(xlabel="number of the input", ylabel="number of the output")
        image = axes.imshow(
            matrix, cmap="RdBu", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
        )
        figure.colorbar(image, ax=axes)
    return figure


def digits(layer):
    """Six training steps of an augmentation, seen by one digit."""
    x = xpnn.data.mnist()[0][:1] / 255.0
    with new_figure(None, (6, 1.2)) as figure:
        for step in range(6):
            context = Ctx(be, True, (0, "layer"), be.scalar(step, be.xp.int64))
            axes = figure.add_subplot(1, 6, step + 1)
            axes.imshow(
                layer.forward(context, example(layer, (28, 28, 1))[1], x)[0][0, :, :, 0], cmap="gray_r"
            )
            axes.axis("off")
    return figure


def loss_curve(loss, prediction, target):
    """The loss and its slope as the first number of the prediction goes from -4 to 4 about where it is."""
    loss, z = get_loss(loss), np.array(prediction, dtype=float)
    moves = np.linspace(-4, 4, 201)
    values, slopes = [], []
    for move in moves:
        moved = z.copy()
        moved.reshape(-1)[0] += move
        value, gradient = loss(be, moved, np.asarray(target))
        values.append(float(value))
        slopes.append(float(np.ravel(gradient)[0]))
    with new_figure(None, (5, 2.8)) as figure:
        axes = figure.add_subplot(xlabel="the first number of the prediction")
        axes.plot(z.reshape(-1)[0] + moves, values, color="black", label="loss")
        axes.plot(z.reshape(-1)[0] + moves, slopes, "--", color="tab:orange", label="its slope")
        axes.legend(frameon=False)
    return figure


def valley(theta):
    """f = (a^2 + 10 b^2) / 2 and its gradient (a, 10 b)."""
    scale = np.array([1.0, 10.0])
    return 0.5 * np.sum(scale * theta * theta), scale * theta


def path(optimizer, steps):
    """[(theta, state)] from (2, 1) down the valley, theta being the weights of a Dense: paths and shapes are known."""
    model = xpnn.Model([xpnn.Dense(1, bias=False)], (2,), dtype="float64")
    optimizer, theta = optimizer.bind(model.layout.params), np.array([2.0, 1.0])
    if isinstance(optimizer, LBFGS):
        return [
            (type(optimizer)(max_iterations=n).minimize(be, valley, theta)[0] if n else theta, {})
            for n in range(steps + 1)
        ]
    state = optimizer.init(be, theta)
    places = [(theta.copy(), state)]
    for _ in range(steps):
        theta, state = optimizer.update(be, theta, valley(theta)[1], state)
        places.append((theta.copy(), {name: np.array(value) for name, value in state.items()}))
    return places


def descend(optimizer, steps=3):
    """theta, and what the optimizer carries along, after each of a few steps from (2, 1)."""
    hidden = {"t", "lr", "decay", "rates"}
    rows = Shown()
    for number, (theta, state) in enumerate(path(optimizer, steps)):
        rows[f"{number}: theta"] = theta
        rows.update(
            {f"{number}: {name}": value for name, value in state.items() if number and name not in hidden}
        )
    return rows


def way(optimizer, steps=40):
    """Its way down the valley, beside that of plain gradient descent at a rate of 0.1."""
    a, b = np.meshgrid(np.linspace(-2.5, 2.5, 101), np.linspace(-1.5, 1.5, 61))
    with new_figure(None, (5, 3)) as figure:
        axes = figure.add_subplot(xlabel="a", ylabel="b", xlim=(-2.5, 2.5), ylim=(-1.5, 1.5))
        axes.contour(a, b, 0.5 * (a * a + 10 * b * b), levels=12, colors="lightgray", linewidths=0.8)
        plain = np.array([theta for theta, _ in path(xpnn.SGD(0.1), steps)])
        own = np.array([theta for theta, _ in path(optimizer, steps)])
        axes.plot(*plain.T, ":", color="tab:blue", label="SGD(0.1)")
        axes.plot(*own.T, ".-", color="black", markersize=4, label=type(optimizer).__name__)
        axes.legend(frameon=False)
    return figure

"""Gradient descent, watched
=========================

A ball that always takes a step straight downhill.

One rule, theta <- theta - a gradient, on a parabola, on a sine and on a landscape of two variables with several
valleys. The optimizer is the one that trains networks.
"""

from pathlib import Path

import numpy as np

import xpnn
from xpnn import plots

OUT = Path("out")


def descend(gradient, start, a, steps):
    """All points of the walk, (steps + 1, variables)."""
    be, sgd = xpnn.get_backend(dtype="float64"), xpnn.SGD(lr=a)
    theta = be.asarray(np.array(start, dtype=float))
    state, walk = sgd.init(be, theta), [theta.copy()]
    for _ in range(steps):
        theta, state = sgd.update(be, theta, gradient(*theta), state)
        walk.append(theta.copy())
    return np.array(walk)


# %%
# The parabola x^2: each step multiplies x by 1 - 2a, and so it does for every variable of x^2 + y^2
walk = descend(lambda x: np.array([2 * x]), [-2.0], a=0.1, steps=20)
plots.animate_descent(lambda x: x**2, walk, (-2.2, 2.2), OUT / "s3_parabola.gif", "x²")
print(f"x^2:        {walk[0, 0]} -> {walk[-1, 0]:.6f} in 20 steps, by formula {-2 * 0.8**20:.6f}")
np.testing.assert_allclose(walk[:, 0], -2 * (1 - 2 * 0.1) ** np.arange(21), rtol=1e-12)

bowl = descend(lambda x, y: np.array([2 * x, 2 * y]), [3.0, -4.0], a=0.1, steps=20)
print(f"x^2 + y^2:  (3, -4) -> ({bowl[-1, 0]:.6f}, {bowl[-1, 1]:.6f})")
np.testing.assert_allclose(bowl, np.outer((1 - 2 * 0.1) ** np.arange(21), [3, -4]), rtol=1e-12)

# %%
# sin x: the valley it ends in is the one it started above
walk = descend(lambda x: np.array([np.cos(x)]), [1.8], a=0.3, steps=30)
plots.animate_descent(np.sin, walk, (-2, 7), OUT / "s3_sine.gif", "sin(x)")
print(f"sin x:      1.8 -> {walk[-1, 0]:.6f}, the bottom is at 3 pi / 2 = {1.5 * np.pi:.6f}")
np.testing.assert_allclose(walk[-1, 0], 1.5 * np.pi, atol=1e-3)


# %%
# sin(u) cos(v): hills and valleys
def surface(x, y):
    return np.sin(x**2 / 2 - y**2 / 4 + 3) * np.cos(2 * x + 1 - np.exp(y))


def slope(x, y):
    u, v = x**2 / 2 - y**2 / 4 + 3, 2 * x + 1 - np.exp(y)
    by_u, by_v = np.cos(u) * np.cos(v), -np.sin(u) * np.sin(v)
    return np.array([by_u * x + 2 * by_v, -by_u * y / 2 - by_v * np.exp(y)])


print(f"surface:    f(1, 1) = {surface(1, 1):.9f}, gradient {slope(1, 1).round(9)}")
print(f"            f(0, 0) = {surface(0, 0):.9f}, gradient {slope(0, 0).round(9)}: flat, no way to go")
at_one, at_zero = (np.array([surface(u, u), *slope(u, u)]) for u in (1, 0))
np.testing.assert_allclose(at_one, np.array([-0.103929995, -0.894782382, 0.395707077]), atol=5e-10)
np.testing.assert_allclose(at_zero, np.array([0.141120008, 0, 0]), atol=5e-10)

walk = descend(slope, [1, 1], a=0.05, steps=60)
plots.animate_descent(surface, walk, (-2.5, 2.5), OUT / "s3_surface.gif", "sin(u) cos(v)")
print(f"            (1, 1) -> ({walk[-1, 0]:.4f}, {walk[-1, 1]:.4f}), f = {surface(*walk[-1]):.6f}")
assert surface(*walk[-1]) < -0.999

"""JAX: one jitted step, whose state is given away."""

import functools

import jax
import jax.numpy as jnp

from benchmarks.libraries import Run
from benchmarks.nets import Cell, Net, batch_of, weights


def apply(net: Net, params, x):
    """The network's logits."""
    given = iter(params)
    for kind, size in net.layers:
        if kind == "dense":
            W, b = next(given)
            x = x @ W + b
        elif kind == "conv":
            W, b = next(given)
            x = (
                jax.lax.conv_general_dilated(
                    x, W, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
                )
                + b
            )
        elif kind in ("lstm", "gru"):
            x = (last_state if kind == "lstm" else last_of_gru)(*next(given), x)
        elif kind == "pool":
            x = jax.lax.reduce_window(
                x, -jnp.inf, jax.lax.max, (1, size, size, 1), (1, size, size, 1), "VALID"
            )
        else:
            x = jax.nn.relu(x) if kind == "relu" else x.reshape(x.shape[0], -1)
    return x


def last_state(W, U, b, x):
    def step(state, a):
        h, c = state
        i, f, g, o = jnp.split(a + h @ U, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), None

    start = jnp.zeros((x.shape[0], U.shape[0]), x.dtype)
    return jax.lax.scan(step, (start, start), jnp.swapaxes(x @ W + b, 0, 1))[0][0]


def last_of_gru(W, U, b, c, x):
    def step(h, a):
        u = h @ U
        (r, z, n), (ur, uz, un) = jnp.split(a, 3, axis=-1), jnp.split(u, 3, axis=-1)
        r, z = jax.nn.sigmoid(r + ur), jax.nn.sigmoid(z + uz)
        n = jnp.tanh(n + r * (un + c))
        return (1 - z) * n + z * h, None

    start = jnp.zeros((x.shape[0], U.shape[0]), x.dtype)
    return jax.lax.scan(step, start, jnp.swapaxes(x @ W + b, 0, 1))[0]


def loss_of(net: Net, params, x, y):
    logits = apply(net, params, x)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def adam(net: Net, state, x, y):
    params, m, v, t = state
    loss, grads = jax.value_and_grad(functools.partial(loss_of, net))(params, x, y)
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    rate, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), params, m, v)
    return loss, (params, m, v, t)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=1)
def sgd(net: Net, state, x, y):
    loss, grads = jax.value_and_grad(functools.partial(loss_of, net))(state[0], x, y)
    return loss, (jax.tree.map(lambda p, g: p - 0.01 * g, state[0], grads),)


def train(cell: Cell) -> Run:
    params = jax.tree.map(jnp.asarray, weights(cell.net))
    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    state = (params, zeros(params), zeros(params), jnp.float32(0)) if cell.optimizer == "adam" else (params,)
    step = {"adam": adam, "sgd": sgd}[cell.optimizer]
    x, y = map(jnp.asarray, batch_of(cell))

    def run(steps: int) -> float:
        nonlocal state
        for _ in range(steps):
            loss, state = step(cell.net, state, x, y)
        jax.block_until_ready(state)
        return float(loss)

    return run


def infer(cell: Cell) -> Run:
    params, (x, _) = jax.tree.map(jnp.asarray, weights(cell.net)), map(jnp.asarray, batch_of(cell))
    forward = jax.jit(functools.partial(apply, cell.net))

    def run(steps: int) -> None:
        for _ in range(steps):
            forward(params, x).block_until_ready()

    return run

"""One training step of the same multilayer perceptron, in each library's own idiom.

Every contender is a function (sizes, batch) -> run, where run(steps) trains that many steps with Adam at 1e-3 on the
same float32 batch, waits for the result, and returns nothing. Each lives in a process of its own.
"""

import itertools
import os
from collections.abc import Callable

import numpy as np

Run = Callable[[int], None]


def batch_of(sizes: list[int], batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((batch, sizes[0]), dtype=np.float32), rng.integers(0, sizes[-1], batch)


def xpnn_fast(sizes: list[int], batch: int) -> Run:
    """With numba's loops."""
    import xpnn

    xpnn.keep_memory()
    layers: list[xpnn.Layer] = []
    for units in sizes[1:]:
        layers += [xpnn.Dense(units), xpnn.ReLU()]
    model = xpnn.Model(layers[:-1], (sizes[0],), seed=0)
    trainer = xpnn.Trainer(model, "softmax_cross_entropy", xpnn.Adam(1e-3))
    x, y = batch_of(sizes, batch)

    def run(steps: int) -> None:
        for _ in range(steps):
            trainer.step(x, y)

    return run


def xpnn_numpy(sizes: list[int], batch: int) -> Run:
    """NumPy alone."""
    os.environ["XPNN_FAST"] = "0"
    return xpnn_fast(sizes, batch)


def torch_net(sizes: list[int]):
    from torch import nn

    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def torch_eager(sizes: list[int], batch: int, **adam: bool) -> Run:
    import torch

    net = torch_net(sizes)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, **adam)
    x, y = map(torch.from_numpy, batch_of(sizes, batch))

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()

    return run


def torch_fused(sizes: list[int], batch: int) -> Run:
    """PyTorch eager with its one-kernel Adam, which it does not use unless asked."""
    return torch_eager(sizes, batch, fused=True)


def jax_jit(sizes: list[int], batch: int) -> Run:
    import functools

    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    shapes = list(itertools.pairwise(sizes))
    params = [
        (rng.standard_normal(s, np.float32) * (2 / s[0]) ** 0.5, np.zeros(s[1], np.float32)) for s in shapes
    ]
    x, y = map(jnp.asarray, batch_of(sizes, batch))

    def loss(params, x, y):
        for W, b in params[:-1]:
            x = jax.nn.relu(x @ W + b)
        logits = x @ params[-1][0] + params[-1][1]
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1))

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state, x, y):
        params, m, v, t = state
        grads, t = jax.grad(loss)(params, x, y), t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        rate, root = 1e-3 / (1 - 0.9**t), jnp.sqrt(1 - 0.999**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + 1e-8), params, m, v)
        return params, m, v, t

    def fresh():
        return jax.tree.map(jnp.zeros_like, params)

    state = [jax.tree.map(jnp.asarray, params), fresh(), fresh(), jnp.float32(0)]

    def run(steps: int) -> None:
        for _ in range(steps):
            state[:] = step(tuple(state), x, y)
        jax.block_until_ready(state)

    return run


def sklearn_mlp(sizes: list[int], batch: int) -> Run:
    """`partial_fit` on many batches at once, so that its checks of the data weigh little."""
    from sklearn.neural_network import MLPClassifier

    net = MLPClassifier(tuple(sizes[1:-1]), batch_size=batch, alpha=0.0, random_state=0)
    many = max(1, 4096 // batch)
    x, y = batch_of(sizes, batch * many)
    classes = np.arange(sizes[-1])

    def run(steps: int) -> None:
        for _ in range(max(1, steps // many)):
            net.partial_fit(x, y, classes=classes)

    run.steps_of = lambda steps: max(1, steps // many) * many  # type: ignore[attr-defined]
    return run


CONTENDERS = {
    "xpnn": xpnn_numpy,
    "xpnn-fast": xpnn_fast,
    "torch": torch_eager,
    "torch-fused": torch_fused,
    "jax": jax_jit,
    "sklearn": sklearn_mlp,
}

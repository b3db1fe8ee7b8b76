"""JAX: the whole step under jax.jit, its state given away, the products' precision pinned."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.gpu.contenders import RATE
from benchmarks.gpu.nets import Cell
from benchmarks.gpu.site import Refused

PINNED = {"fp32": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
"""JAX's own choice for float32 on a recent GPU is TF32."""
BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def convolve(x: Any, W: Any) -> Any:
    """Padded, stride 1; rows, columns, channels."""
    return lax.conv_general_dilated(x, W, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pool(x: Any) -> Any:
    """The maximum of 2x2."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def loss_of(params: Any, x: Any, ids: Any, dtype: Any) -> Any:
    """The mean cross-entropy of a batch; products of values of `dtype`."""
    x = x.astype(dtype)
    for number, (W, b) in enumerate(params):
        W, b = W.astype(dtype), b.astype(dtype)
        if W.ndim == 4:
            x = pool(jax.nn.relu(convolve(x, W) + b))
            continue
        x = x.reshape(x.shape[0], -1) @ W + b
        if number < len(params) - 1:
            x = jax.nn.relu(x)
    logs = jax.nn.log_softmax(x.astype(jnp.float32))
    return -jnp.mean(jnp.take_along_axis(logs, ids[:, None], axis=1))


class Jitted:
    """jax.jit(step, donate_argnums=0)."""

    def __init__(self, cell: Cell, rehearsal: bool) -> None:
        if not rehearsal and jax.default_backend() != "gpu":
            raise Refused("JAX sees no GPU here")
        jax.config.update("jax_default_matmul_precision", PINNED[cell.precision])
        dtype = jnp.bfloat16 if cell.precision == "bf16" else jnp.float32
        params = jax.tree.map(jnp.array, cell.network.parameters())
        m, v = (jax.tree.map(jnp.zeros_like, params) for _ in range(2))
        self.state = (params, m, v, jnp.float32(0), jnp.int32(0))
        x, y, order = cell.network.data(cell.samples)
        self.data = (jnp.asarray(x), jnp.asarray(y, jnp.int32), jnp.asarray(order, jnp.int32))
        batch, samples = cell.batch, cell.samples

        @functools.partial(jax.jit, donate_argnums=0)
        def step(state: Any, data: Any) -> Any:
            params, m, v, t, cursor = state
            rows = lax.dynamic_slice(data[2], (cursor,), (batch,))
            x = data[0][rows].astype(jnp.float32) * (1 / 255)
            loss, grads = jax.value_and_grad(loss_of)(params, x, data[1][rows], dtype)
            t = t + 1
            m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
            v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
            rate, root = RATE / (1 - BETA1**t), jnp.sqrt(1 - BETA2**t)
            params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPS), params, m, v)
            return (params, m, v, t, (cursor + batch) % samples), loss

        self.step, self.done, self.last = step, 0, None

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.state, self.last = self.step(self.state, self.data)
        self.done += n

    def wait(self) -> None:
        jax.block_until_ready(self.state)

    def loss(self) -> float:
        return float(self.last)

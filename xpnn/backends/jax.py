"""JAX arrays; the whole training step runs under jax.jit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.base import Backend, missing
from xpnn.errors import BackendError, first_line
from xpnn.kernels import Array


class JaxBackend(Backend):
    """jax.numpy, which follows the standard itself."""

    name = "jax"
    devices = ("cpu", "cuda")

    def load(self) -> Any:
        """Import JAX only here."""
        try:
            import jax
        except ImportError as error:
            raise missing("jax", "JAX", error) from error
        self.jax = jax
        return jax.numpy

    def open_device(self, device: str) -> Any:
        """A jax.Device; an absent GPU is an error, never the CPU."""
        kind, _, index = device.partition(":")
        try:
            return self.jax.local_devices(backend=kind)[int(index or 0)]
        except (RuntimeError, IndexError) as error:
            raise BackendError(
                f"JAX has no device {device!r}", why=first_line(error), fix="device='cpu'"
            ) from error

    def version(self) -> str:
        """The version of JAX."""
        return str(self.jax.__version__)

    def owns(self, a: Any) -> bool:
        """Is it a jax.Array on the same device, or a tracer inside jit?"""
        if not isinstance(a, self.jax.Array):
            return False
        return isinstance(a, self.jax.core.Tracer) or a.devices() == {self.device}

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """A copy: JAX may otherwise share memory that its owner goes on to change."""
        return self.xp.array(a, device=self.device, copy=True)

    def device_context(self) -> Any:
        """64-bit types are off by default in JAX; labels, counters and the random hash need int64."""
        return self.jax.enable_x64(True)

    def compile(
        self,
        step: Callable[..., Any],
        donated: tuple[int, ...] = (),
        resident: tuple[int, ...] = (),
        static: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """XLA compiles the step, once per shape."""
        compiled: Callable[..., Any] = self.jax.jit(step, static_argnums=static)
        return compiled

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = erfc(-x / sqrt 2) / 2, by jax.scipy.special's erfc."""
        return 0.5 * self.jax.scipy.special.erfc(-math.sqrt(0.5) * x)

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """Only one of the branches runs, by lax.cond."""
        new: dict[str, Array] = self.jax.lax.cond(ok, then, lambda same: same, tree)
        return new

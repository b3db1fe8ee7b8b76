"""JAX arrays; the whole training step runs under jax.jit."""

import functools
import math
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from xpnn.backends.base import Backend, missing
from xpnn.errors import BackendError, UsageError, did_you_mean, first_line
from xpnn.kernels import Array
from xpnn.trees import flatten, rebuild


class JaxBackend(Backend):
    """jax.numpy, which follows the standard itself."""

    name = "jax"

    def load(self) -> Any:
        try:
            import jax
        except ImportError as error:
            raise missing("jax", "JAX", error) from error
        self.jax = jax
        self._own: WeakValueDictionary[int, Any] = WeakValueDictionary()  # results that steps alone have seen
        return jax.numpy

    def check_device(self, device: str) -> None:
        """Nothing yet: `open_device` asks the library, once it is loaded."""

    def open_device(self, device: str) -> Any:
        """A jax.Device: cpu, gpu, cuda, rocm, tpu, METAL or another platform of JAX's; an absent one is an error."""
        kind, colon, index = device.partition(":")
        if colon and not index.isdecimal():
            raise UsageError(
                f"backend 'jax' has no device {device!r}", fix=did_you_mean(kind, self.devices_here())
            )
        try:
            found = self.jax.local_devices(backend=kind)[int(index or 0)]
            with self.device_context():
                for dtype in (self.dtype_name, "int64"):
                    self.xp.zeros((1,), dtype=dtype, device=found).block_until_ready()
        except (RuntimeError, IndexError, TypeError) as error:
            raise BackendError(
                f"JAX has no device {device!r} with {self.dtype_name} and int64",
                why=first_line(error),
                fix="device='cpu'",
            ) from error
        return found

    def devices_here(self) -> tuple[str, ...]:
        """The platforms of the devices that JAX takes by default, and `cpu`."""
        return tuple(dict.fromkeys(["cpu", *(device.platform for device in self.jax.devices())]))

    def version(self) -> str:
        return str(self.jax.__version__)

    def owns(self, a: Any) -> bool:
        """Is it a jax.Array on the same device, or a tracer inside jit?"""
        if not isinstance(a, self.jax.Array):
            return False
        return isinstance(a, self.jax.core.Tracer) or a.devices() == {self.device}

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """Moved without compiling anything, from a copy: JAX may share memory that its owner goes on to change."""
        return self.jax.device_put(np.array(a), self.device)

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
        """XLA compiles the step, once per shape, and uses the memory of donated arguments for its results."""
        compiled: Callable[..., Any] = self.jax.jit(step, static_argnums=static, donate_argnums=donated)
        if not donated:
            return compiled

        @functools.wraps(compiled)
        def run(*args: Any) -> Any:
            seen: set[int] = set()
            given = [self._donatable(a, seen) if i in donated else a for i, a in enumerate(args)]
            results = compiled(*given)
            for i in range(1, len(donated) + 1):
                for a in flatten(results[i]).values():
                    self._own[id(a)] = a
            return results

        return run

    def lend(self, a: Array) -> Array:
        """Donation deletes an array, so a copy of this one will be donated."""
        self._own.pop(id(a), None)
        return a

    def _donatable(self, tree: Any, seen: set[int]) -> Any:
        """The tree, with copies of arrays that others than steps may hold, or that are in it twice."""

        def one(_: Any, a: Any) -> Any:
            if not isinstance(a, self.jax.Array):
                return a
            if self._own.get(id(a)) is not a or id(a) in seen:
                return self.xp.array(a, copy=True)
            seen.add(id(a))
            return a

        return rebuild(tree, one)

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = erfc(-x / sqrt 2) / 2, by jax.scipy.special's erfc."""
        return 0.5 * self.jax.scipy.special.erfc(-math.sqrt(0.5) * x)

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """Only one of the branches runs, by lax.cond."""
        new: dict[str, Array] = self.jax.lax.cond(ok, then, lambda same: same, tree)
        return new

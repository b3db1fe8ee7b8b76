"""The data plane inside a program that all processes of JAX run: collective operations along the axis of the ranks."""

from typing import Any

from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator
from xpnn.kernels import Array

AXIS = "ranks"


class AxisShare(Share):
    """A share whose first row each rank finds out as it runs, for the program is the same for all of them."""

    @property
    def first(self) -> Any:
        """rank x rows, a 0-d int64 array."""
        import jax

        return jax.lax.axis_index(AXIS).astype("int64") * self.rows


class Psum:
    """Put before a backend's class: its sums over all ranks are jax.lax.psum.

    Outside of a compiled program, as between the steps of L-BFGS, they go by way of the host.
    """

    group: Communicator
    share: Share | None
    jax: Any

    def all_reduce(self, a: Array) -> Array:
        """The sum over all processes, by jax.lax.psum."""
        inside = isinstance(a, self.jax.core.Tracer)
        return self.jax.lax.psum(a, AXIS) if inside else self.group.reduce(self, a)  # type: ignore[arg-type]

    def all_rows(self, a: Array) -> Array:
        """The rows of all processes, by jax.lax.all_gather."""
        return self.jax.lax.all_gather(a, AXIS, tiled=True)

    def own_rows(self, a: Array) -> Array:
        """From a place that the program finds out."""
        assert self.share is not None
        return self.jax.lax.dynamic_slice_in_dim(a, self.share.first, self.share.rows)

    def once(self, a: Array) -> Array:
        """Multiplied by whether this is rank 0."""
        return a * (self.jax.lax.axis_index(AXIS) == 0)

    def add_compressed(self, a: Array) -> Array:
        """As `compression.add_compressed`, by all_to_all and all_gather of bfloat16."""
        jnp, lax, size = self.jax.numpy, self.jax.lax, self.group.size
        padded = jnp.pad(a.astype(jnp.float32), (0, -a.size % size)).astype(jnp.bfloat16)
        parts = lax.all_to_all(padded.reshape(size, -1), AXIS, 0, 0)
        total = parts.astype(jnp.float32).sum(axis=0).astype(jnp.bfloat16)
        whole = lax.all_gather(total, AXIS, tiled=True)[: a.size]
        return whole.astype(a.dtype)

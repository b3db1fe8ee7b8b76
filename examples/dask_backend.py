"""A backend from outside the package
==================================

dask.array, whose arrays are computed only when they are asked for.

A backend says how its library is imported, which arrays are its own, and how they come from NumPy and go back; what a
layer needs beyond the Array API standard is inherited.
"""

import importlib.metadata

import numpy as np

import xpnn
from xpnn.backends import Backend, register_backend


@register_backend
class DaskBackend(Backend):
    """dask.array through array-api-compat, in one chunk per array."""

    name = "dask"

    def load(self):
        import array_api_compat.dask.array as xp

        return xp

    def version(self):
        return importlib.metadata.version("dask")

    def owns(self, a):
        return type(a).__module__.startswith("dask.array")

    def from_host(self, a):
        return self.xp.asarray(a)

    def to_numpy(self, a):
        return np.asarray(a.compute(scheduler="synchronous") if self.owns(a) else a)


def train(backend):
    """The mean loss of each of five epochs."""
    model = xpnn.Model(
        [xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(3)], (2,), backend=backend, dtype="float64", seed=0
    )
    x, y = xpnn.data.spiral(samples=50)
    return model.fit(x, y, optimizer=xpnn.Adam(0.02), epochs=5, verbose=0)["train_loss"]


if __name__ == "__main__":
    losses, wanted = np.asarray(train("dask")), np.asarray(train("numpy"))
    print("dask  ", *(f"{loss:.6f}" for loss in losses))
    print("numpy ", *(f"{loss:.6f}" for loss in wanted))
    difference = np.max(np.abs(losses / wanted - 1))
    print(f"largest relative difference of a loss: {difference:.1e}, wanted below 1e-12")
    assert difference < 1e-12

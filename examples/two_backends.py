"""One network, several array libraries
====================================

The backend is a flag, and the numbers agree.

Weights and the order of the samples come from one seed and are drawn once, on the host, so every backend starts from
the same bits. The same lines then run on NumPy, CuPy, PyTorch, JAX and array-api-strict, whichever is here.
"""

import numpy as np

import xpnn
from xpnn.backends import BACKENDS
from xpnn.errors import BackendError

x, y = xpnn.data.spiral(samples=100)


def train(backend):
    """The initial parameters, and the mean loss of each of ten epochs."""
    model = xpnn.Model(
        [xpnn.Dense(32), xpnn.ReLU(), xpnn.Dropout(0.1), xpnn.Dense(3)],
        input_shape=(2,),
        backend=backend,
        dtype="float64",
        seed=0,
    )
    start = model.snapshot()["theta"]
    return start, model.fit(x, y, optimizer=xpnn.Adam(0.02), epochs=10, verbose=0)["train_loss"]


# %%
# NumPy is always there, and the measure of the others
start, losses = train("numpy")
print("numpy  ", *(f"{loss:.6f}" for loss in losses[::3]))

# %%
# The same on every other library that is installed
differences = {}
for name in sorted(set(BACKENDS) - {"numpy"}):
    try:
        other_start, other_losses = train(name)
    except BackendError as error:
        print(f"{name:7} skipped: {error.what}")
        continue
    print(f"{name:7}", *(f"{loss:.6f}" for loss in other_losses[::3]))
    assert (other_start == start).all(), f"{name} starts from other weights"
    differences[name] = np.max(np.abs(np.divide(other_losses, losses) - 1))

# %%
# How far apart?
assert differences, "no second library is installed: pip install array-api-strict"
worst = max(differences, key=lambda name: differences[name])
print(f"largest relative difference of a loss: {differences[worst]:.1e} ({worst}), wanted below 1e-12")
assert differences[worst] < 1e-12

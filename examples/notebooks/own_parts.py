# %% [markdown]
# # A loss, a metric and a callback of your own
#
# Functions are enough. `python ci/notebooks.py` made this notebook of the script beside it.

# %%
import numpy as np

import xpnn
from xpnn import plots

rng = np.random.default_rng(0)
x = rng.uniform(-3, 3, (400, 1))
price = np.sin(x) + 0.1 * rng.standard_normal((400, 1))
model = xpnn.Model([xpnn.Dense(24), xpnn.Tanh(), xpnn.Dense(24), xpnn.Tanh(), xpnn.Dense(1)], (1,), seed=0)
model

# %% [markdown]
# A loss returns its value and its slope, number by number. Is the slope right?


# %%
def log_cosh(prediction, target):
    """log cosh(z - y), whose slope is tanh(z - y)."""
    gap = prediction - target
    return np.log(np.cosh(gap)), np.tanh(gap)


checks = xpnn.gradcheck([xpnn.Dense(1)], (4,), loss=log_cosh)
assert checks.ok
checks


# %% [markdown]
# A metric sees targets and predictions; a callback is called after each epoch.


# %%
def worst(y, predicted):
    return float(np.max(np.abs(y - predicted)))


seen: list[int] = []
history = model.fit(
    x,
    price,
    loss=log_cosh,
    optimizer=xpnn.Adam(0.02),
    epochs=40,
    validation=0.2,
    metrics=[worst],
    callbacks=[lambda run, row: seen.append(row.epoch)],
    verbose=0,
)
assert len(seen) == 40
assert history["loss"][-1] < 0.02
plots.training_curves(history)

# %%
model.explain(x[:64], price[:64], optimizer="adam")

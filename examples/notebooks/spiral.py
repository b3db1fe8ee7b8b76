# %% [markdown]
# # Three spiral arms in a notebook
#
# The smallest problem that no straight line solves, seen from the inside. `python ci/notebooks.py` made this notebook
# of the script beside it.

# %%
import xpnn
from xpnn import plots

x, y = xpnn.data.spiral(samples=200, seed=0)
x_test, y_test = xpnn.data.spiral(samples=200, seed=1)
model = xpnn.Model([xpnn.Dense(32), xpnn.ReLU(), xpnn.Dense(32), xpnn.ReLU(), xpnn.Dense(3)], (2,), seed=0)
model.summary()

# %% [markdown]
# Which learning rate? A sweep leaves the model as it was.

# %%
sweep = xpnn.find_lr(model, x, y, optimizer="adam", steps=60)
plots.lr_finder(sweep)

# %% [markdown]
# The decisions before training, and after.

# %%
plots.decision_boundary(model, x, y)

# %%
history = model.fit(
    x, y, epochs=60, batch_size=64, optimizer=xpnn.Adam(0.01), validation=(x_test, y_test), verbose=0
)
assert history["valid_accuracy"][-1] > 0.95
plots.training_curves(history)

# %%
plots.decision_boundary(model, x, y)

# %% [markdown]
# The same step on another array library: how far apart the two are, layer by layer.

# %%
xpnn.compare_backends(model, x[:64], y[:64], backends=["strict"])

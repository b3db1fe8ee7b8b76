# %% [markdown]
# # Handwritten digits in a notebook
#
# Everything here shows itself: the model, the run, one step explained. `python ci/notebooks.py` made this notebook of
# the script beside it.

# %%
import numpy as np

import xpnn
from xpnn import plots

x, y, x_test, y_test = xpnn.data.mnist()
x, y = x[:4000], y[:4000]
layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(64), xpnn.ReLU(), xpnn.Dense(10)]
model = xpnn.Model(layers, input_shape=(28, 28, 1), seed=0)
model

# %% [markdown]
# Is every backward pass the derivative of its forward pass? Each row compares one with differences.

# %%
xpnn.gradcheck([xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(3)], (4,), loss="softmax_cross_entropy")

# %% [markdown]
# Train. While it runs there is a bar below the table.

# %%
history = model.fit(x, y, epochs=4, validation=0.1, metrics=["f1", xpnn.metrics.TopK(3)])

# %%
plots.training_curves(history)

# %%
scores = model.evaluate(x_test, y_test, metrics=["f1", xpnn.metrics.ConfusionMatrix()])
assert scores["accuracy"] > 0.88
plots.confusion_matrix(scores["confusion_matrix"], list("0123456789"))

# %%
plots.worst_mistakes(x_test, y_test, model.predict_proba(x_test))

# %% [markdown]
# One step laid open: outputs, dead units, the norm of every gradient, and how far Adam would move each parameter.

# %%
model.explain(x[:64], y[:64], optimizer="adam")

# %% [markdown]
# A layer of your own needs a `forward` and a `backward`. What backward needs, forward keeps.


# %%
class Swish:
    """y = x s(x) with s(x) = 1 / (1 + e^-x); dy/dx = s + x s (1 - s)."""

    def forward(self, x):
        self.x, self.s = x, 1 / (1 + np.exp(-x))
        return x * self.s

    def backward(self, dy):
        return dy * (self.s + self.x * self.s * (1 - self.s))


checks = xpnn.gradcheck([xpnn.Dense(5), Swish(), xpnn.Dense(3)], (4,))
assert checks.ok
checks

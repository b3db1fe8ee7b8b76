"""Handwritten digits by plain gradient descent
============================================

784 pixels, 128 hidden neurons, 10 answers, 101,770 parameters.

The README behind this one trains exactly such a net with cross-entropy and no further tricks, and judges it on the
data it was trained on. Here it is judged on the 10,000 test images; a tenth of the training set is set aside, so that
the plot of the losses shows whether the net learns or merely remembers.
"""

from pathlib import Path

import numpy as np

import xpnn
from xpnn import plots

OUT = Path("out")

# %%
# The network
x, y, x_test, y_test = xpnn.data.mnist()
model = xpnn.Model(
    [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(128), xpnn.ReLU(), xpnn.Dense(10)],
    input_shape=(28, 28, 1),
    seed=0,
)
print(model.summary())
assert model.theta.shape == (784 * 128 + 128 + 128 * 10 + 10,) == (101_770,)

# %%
# Gradient descent on batches of 64
history = model.fit(x, y, optimizer=xpnn.SGD(0.1), epochs=8, batch_size=64, validation=0.1, verbose=0)
print("training loss  ", *(f"{loss:.3f}" for loss in history["train_loss"]))
print("validation loss", *(f"{loss:.3f}" for loss in history["valid_loss"]))
plots.loss_curve(history, OUT / "s3_loss.png", "784-128-10, gradient descent")

# %%
# The test images, used once
accuracy = model.evaluate(x_test, y_test)["accuracy"]
print(f"test accuracy   {accuracy:.2%}, wanted above 97.00%")
assert accuracy > 0.97

# %%
# Ten of them, drawn at random
pick = np.random.default_rng(0).choice(len(x_test), 10, replace=False)
guess = model.predict(x_test[pick])
print("ten digits      true", *y_test[pick], " pred", *guess)
plots.digit_grid(x_test[pick], y_test[pick], guess, OUT / "s3_digits.png")

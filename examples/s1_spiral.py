"""Three spiral arms
=================

Two coordinates, one hidden layer: the smallest problem that no straight line solves.

Dense, ReLU, Dense and a softmax turn a point into three probabilities; cross-entropy says how wrong they are. Many
first lessons end at that forward pass. Here the backward pass follows, and the loss falls.
"""

import math
from pathlib import Path

import xpnn
from xpnn import plots
from xpnn.training import Film

OUT = Path("out")

# %%
# The data, and as many fresh points to judge by
x, y = xpnn.data.spiral(samples=300, seed=0)
x_test, y_test = xpnn.data.spiral(samples=300, seed=1)

# %%
# A last layer of small weights knows nothing: every class gets about a third, the loss is about ln 3
small = xpnn.initializers.Normal(0.01)
model = xpnn.Model([xpnn.Dense(64), xpnn.ReLU(), xpnn.Dense(3, small)], input_shape=(2,), seed=0)
before = model.evaluate(x_test, y_test)
print(model.summary())
print(f"untrained: loss {before['loss']:.4f} (ln 3 = {math.log(3):.4f}), accuracy {before['accuracy']:.2%}")
assert abs(before["loss"] - math.log(3)) < 0.01

# %%
# Train, and keep the weights along the way
film = Film(frames=30)
model.fit(
    x, y, optimizer=xpnn.Adam(0.02), schedule="cosine", epochs=60, batch_size=64, verbose=0, callbacks=[film]
)
after = model.evaluate(x_test, y_test)
print(f"trained:   loss {after['loss']:.4f}, accuracy {after['accuracy']:.2%} on points it has not seen")
assert after["accuracy"] > 0.98

# %%
# What it believes about every point of the plane
title = f"spiral, {after['accuracy']:.1%} of new points right"
plots.decision_boundary(model, x_test, y_test, OUT / "s1_spiral.png", title)
print(f"picture:   {OUT / 's1_spiral.png'}")

# %%
# How it came to believe it, and one step laid bare: how large every gradient is, and which units are dead
plots.animate_boundary(model, film.frames, x_test, y_test, OUT / "s1_spiral.gif", "spiral, 2-64-3")
print(model.explain(x[::15], y[::15], optimizer="adam"))

"""One neuron, then one layer
==========================

The first pages of every book on neural networks from scratch.

A neuron weighs its inputs, adds a bias and hands the sum on. A layer is several neurons that see the same inputs:
one matrix product for all of them, and for a whole batch of samples at once.
"""

import numpy as np

import xpnn


def layer(neurons, biases, *activation):
    """A Dense layer with given weights: one row of `neurons` per neuron, as the books write them."""
    W = np.array(neurons).T  # xpnn keeps (inputs, neurons), so that y = x W + b
    model = xpnn.Model([xpnn.Dense(W.shape[1]), *activation], input_shape=(W.shape[0],), dtype="float64")
    model.load_parameters({"0.W": W, "0.b": biases})
    return model


# %%
# One neuron: 1*3 + 2*4 + 3*5 + 3
y = layer([[3, 4, 5]], [3]).forward([[1, 2, 3]])
print("one neuron      ", y)
assert y == 29

# %%
# A layer of three neurons on one sample of four features
neurons = [[0.2, 0.8, -0.5, 1.0], [0.5, -0.91, 0.26, -0.5], [-0.26, -0.27, 0.17, 0.87]]
biases = [2, 3, 0.5]
batch = [[1, 2, 3, 2.5], [2, 5, -1, 2], [-1.5, 2.7, 3.3, -0.8]]
y = layer(neurons, biases).forward(batch[:1])
print("one layer       ", y)
np.testing.assert_allclose(y, [[4.8, 1.21, 2.385]], rtol=1e-12)

# %%
# Activations: ReLU has nothing to cut here; softmax turns the sums into probabilities
relu, p = (layer(neurons, biases, f).forward(batch[:1]) for f in (xpnn.ReLU(), xpnn.Softmax()))
print("  after ReLU    ", relu)
print("  after softmax ", p.round(8))
np.testing.assert_allclose(relu, y)
np.testing.assert_allclose(p, [[0.89528266, 0.02470831, 0.08000903]], atol=5e-9)

# %%
# A batch: (samples, features) in, (samples, neurons) out; the same weights serve every row
y = layer(neurons, biases).forward(batch)
print("a batch of three", *y, sep="\n  ")
np.testing.assert_allclose(y, [[4.8, 1.21, 2.385], [8.9, -1.81, 0.2], [1.41, 1.051, 0.026]], rtol=1e-12)

"""Shall we go to the theme park?
==============================

A perceptron decides, and ends up reading digits.

Three yes-or-no questions (good weather? friends coming? cheap tickets?) make three inputs of 0 or 1. The neuron
fires when their weighted sum passes a threshold. Weights say what matters, the bias how easily it is persuaded.
"""

import itertools

import numpy as np

import xpnn


def decide(weights, bias, threshold=0.0):
    """The perceptron's answer, 0 or 1, to every combination of answers to its questions."""
    model = xpnn.Model([xpnn.Dense(1), xpnn.Step(threshold)], input_shape=(len(weights),))
    model.load_parameters({"0.W": np.array(weights)[:, None], "0.b": [bias]})
    questions = np.array(list(itertools.product([0, 1], repeat=len(weights))))
    return questions, model.forward(questions)[:, 0].astype(int)


# %%
# A majority vote: the average of three answers, against a threshold of one half
questions, majority = decide([1 / 3, 1 / 3, 1 / 3], bias=0, threshold=0.5)
print("majority of three   ", *majority)
assert (majority == (questions.sum(axis=1) >= 2)).all()

# %%
# Weights: weather alone decides, whatever the other two say
_, weather = decide([0.6, 0.2, 0.2], bias=0, threshold=0.5)
print("weather matters most", *weather)
assert (weather == questions[:, 0]).all()

# %%
# A bias: someone who loves theme parks needs one good reason only
_, eager = decide([0.6, 0.4, 0.4], bias=0.2, threshold=0.5)
print("eager               ", *eager)
assert (eager == questions.any(axis=1)).all()

# %%
# Two inputs: AND and OR differ in nothing but the bias
pairs, both = decide([1, 1], bias=-1.5)
_, either = decide([1, 1], bias=-0.5)
print("AND", *both, "  OR", *either)
assert (both == pairs.all(axis=1)).all()
assert (either == pairs.any(axis=1)).all()

# %%
# A step has no slope to follow; a sigmoid, its soft version, has: layers of sigmoids learn ten outputs from pixels
x, y, x_test, y_test = xpnn.data.mnist()
reader = xpnn.Model(
    [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(30), xpnn.Sigmoid(), xpnn.Dense(10), xpnn.Sigmoid()],
    input_shape=(28, 28, 1),
    seed=0,
)
wanted = np.eye(10)[
    y
]  # the output of the right digit 1, the other nine 0; the loss is their squared distance
reader.fit(x, wanted, loss="mean_squared_error", optimizer=xpnn.SGD(5.0), epochs=4, batch_size=32, verbose=0)
accuracy = (reader.forward(x_test).argmax(axis=1) == y_test).mean()
print(f"sigmoid digit reader: {accuracy:.2%} of the test images, wanted above 92.00%")
assert accuracy > 0.92

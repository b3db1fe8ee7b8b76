"""Which pixels belong to a digit
==============================

In frames full of noise: a small U-Net, trained on a label for every pixel.

Digits of MNIST lie anywhere in frames of 40 x 40, under noise that is as strong as the ink. The network gives two
numbers for each pixel, and the loss takes their labels (N, 40, 40) as they are. Its measure is the overlap of the
pixels found with those of the digits, intersection / union.
"""

import numpy as np

import xpnn
from xpnn import AvgPool2D, Concatenate, Conv2D, Dense, Graph, ReLU, UpSampling2D
from xpnn.losses import SoftmaxCrossEntropy

SIDE = 40


def frames(digits, n, seed):
    """n frames (SIDE, SIDE, 1), and which pixels have ink."""
    rng = np.random.default_rng(seed)
    ink = np.zeros((n, SIDE, SIDE), np.float32)
    for frame, digit in zip(ink, rng.permutation(len(digits))[:n], strict=True):
        row, column = rng.integers(0, SIDE - 27, 2)
        frame[row : row + 28, column : column + 28] = digits[digit, ..., 0] / 255
    noise = 0.5 * rng.standard_normal(ink.shape, dtype=np.float32)
    return (ink + noise)[..., None], (ink > 0.5).astype(np.int64)


def overlap(found, mask):
    return (found & mask).sum() / (found | mask).sum()


def block(filters):
    return [Conv2D(filters, 3, padding="same"), ReLU(), Conv2D(filters, 3, padding="same"), ReLU()]


def u_net():
    """Down to a quarter of the side and up again; what is seen on the way down is laid beside what comes up."""
    return Graph(
        inputs="image",
        nodes={
            "whole": (xpnn.Sequential(block(8)), "image"),
            "half": (xpnn.Sequential([AvgPool2D(2), *block(16)]), "whole"),
            "quarter": (xpnn.Sequential([AvgPool2D(2), *block(32), UpSampling2D(2)]), "half"),
            "at_half": (Concatenate(), ("half", "quarter")),
            "up": (xpnn.Sequential([*block(16), UpSampling2D(2)]), "at_half"),
            "at_whole": (Concatenate(), ("whole", "up")),
            "pixels": (xpnn.Sequential([*block(8), Dense(2)]), "at_whole"),
        },
        outputs="pixels",
    )


digits, _, test_digits, _ = xpnn.data.mnist()
x, y = frames(digits, 1500, seed=0)
x_test, y_test = frames(test_digits, 300, seed=1)

model = xpnn.Model(u_net(), (SIDE, SIDE, 1), seed=0)
loss = SoftmaxCrossEntropy(class_weight=(1.0, 3.0))  # there are far fewer pixels of ink
model.fit(x, y, loss=loss, optimizer=xpnn.Adam(3e-3), epochs=3, batch_size=25, verbose=0)

answers = model.evaluate(x_test, y_test)
of_noise = max(overlap(x_test[..., 0] > limit, y_test == 1) for limit in np.linspace(0.2, 1.2, 11))
of_network = overlap(model.predict(x_test) == 1, y_test == 1)
print(f"pixels right: {answers['accuracy']:.2%} of {y_test.size:,}")
print(f"overlap with the digits: {of_network:.2f}, of the best threshold {of_noise:.2f}, wanted above 0.65")
assert of_network > 0.65

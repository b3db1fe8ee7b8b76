"""Keras on JAX, through `train_on_batch`, `predict_on_batch` and `fit`."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import jax.numpy as jnp
import keras

from benchmarks.libraries import Run
from benchmarks.nets import RATES, Cell, batch_of, weights

OPTIMIZERS = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
WORDS = {
    "dense": keras.layers.Dense,
    "conv": lambda filters: keras.layers.Conv2D(filters, 3),
    "lstm": keras.layers.LSTM,  # a GRU's gates have another order
    "relu": lambda _: keras.layers.ReLU(),
    "pool": keras.layers.MaxPooling2D,
    "flatten": lambda _: keras.layers.Flatten(),
}


def build(cell: Cell):
    """The compiled model with the benchmark's weights."""
    net = cell.net
    layers = [WORDS[kind](size) for kind, size in net.layers]
    model = keras.Sequential([keras.Input(net.shape), *layers])
    trained = [layer for layer in layers if layer.weights]
    for layer, arrays in zip(trained, weights(net), strict=True):
        layer.set_weights(arrays)
    finish(model, OPTIMIZERS[cell.optimizer](RATES[cell.optimizer]))
    return model


def finish(model, optimizer, **more) -> None:
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), **more)


def train(cell: Cell) -> Run:
    model = build(cell)
    x, y = map(jnp.asarray, batch_of(cell))

    def run(steps: int) -> float:
        model.reset_metrics()  # what it returns is a mean since then
        for _ in range(steps):
            loss = model.train_on_batch(x, y)
        return float(loss)

    return run


def infer(cell: Cell) -> Run:
    model = build(cell)
    x = jnp.asarray(batch_of(cell)[0])

    def run(steps: int) -> None:
        for _ in range(steps):
            model.predict_on_batch(x)

    return run


def epoch(cell: Cell) -> Run:
    import xpnn

    drop, dense = keras.layers.Dropout, keras.layers.Dense
    widths = [units for kind, units in cell.net.layers if kind == "dense"]
    hidden = [layer for units in widths[:-1] for layer in (dense(units, activation="relu"), drop(0.2))]
    model = keras.Sequential([keras.Input((784,)), drop(0.2), *hidden, dense(widths[-1])])
    finish(model, keras.optimizers.AdamW(3e-3, weight_decay=0.01), metrics=["accuracy"])
    x, y, _, _ = xpnn.data.mnist()
    x = x.reshape(-1, 784).astype("float32") / 255
    held = (x[-5000:], y[-5000:])

    def run(epochs: int) -> float:
        fitted = model.fit(x[:-5000], y[:-5000], cell.batch, epochs, validation_data=held, verbose=0)
        return fitted.history["loss"][-1]

    return run

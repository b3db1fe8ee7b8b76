"""xpnn on NumPy, with numba's loops or without."""

import xpnn
from benchmarks.libraries import Run
from benchmarks.nets import Cell, Net, batch_of, weights
from xpnn.models.mlp import mlp
from xpnn.recipes import RECIPES
from xpnn.training import Threads


def build(net: Net) -> xpnn.Model:
    """The model with the benchmark's weights."""
    xpnn.keep_memory()
    words = {
        "dense": xpnn.Dense,
        "conv": lambda filters: xpnn.Conv2D(filters, 3),
        "lstm": xpnn.LSTM,
        "gru": xpnn.GRU,
        "relu": lambda _: xpnn.ReLU(),
        "pool": xpnn.MaxPool2D,
        "flatten": lambda _: xpnn.Flatten(),
    }
    model = xpnn.Model([words[kind](size) for kind, size in net.layers], net.shape, seed=0)
    trained = [i for i, (kind, _) in enumerate(net.layers) if kind in ("dense", "conv", "lstm", "gru")]
    named = {}
    for i, arrays in zip(trained, weights(net), strict=True):
        names = "Wb" if len(arrays) == 2 else "WUbc"[: len(arrays)]
        named |= {f"{i}.{name}": a for name, a in zip(names, arrays, strict=True)}
    model.load_parameters(named)
    return model


def train(cell: Cell) -> Run:
    model = build(cell.net)
    optimizer = {"sgd": xpnn.SGD(0.01), "adam": xpnn.Adam(0.001)}[cell.optimizer]
    trainer = xpnn.Trainer(model, "softmax_cross_entropy", optimizer)
    x, y = batch_of(cell)

    def run(steps: int) -> float:
        for _ in range(steps):
            loss = trainer.step(x, y)
        return float(loss)

    return run


def infer(cell: Cell) -> Run:
    model = build(cell.net)
    x, _ = batch_of(cell)

    def run(steps: int) -> None:
        for _ in range(steps):
            model.forward(x)

    return run


def epoch(cell: Cell, adapt: bool = False) -> Run:
    """Epochs of `xpnn train`: its model, its optimizer, its threads, its held-out samples, on the bytes of MNIST."""
    xpnn.keep_memory()
    recipe, (x, y, _, _) = RECIPES["mnist"], xpnn.data.mnist()
    drops = {"dropout": recipe.dropout, "input_dropout": recipe.input_dropout}
    layers = mlp(x.shape[1:], 10, hidden=recipe.hidden, pixels=True, **drops)
    trainer = xpnn.Trainer(xpnn.Model(layers, x.shape[1:], seed=0), optimizer=recipe.make_optimizer())

    def run(epochs: int) -> float:
        settings = {"batch_size": cell.batch, "validation": recipe.validation}
        history = trainer.fit(x, y, epochs=epochs, callbacks=[Threads(adapt=True)] * adapt, **settings)
        return history.rows[-1].train_loss

    return run

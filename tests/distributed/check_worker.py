"""A process of several: `check_worker.py FOLDER NAME ...` runs those of the checks; rank 0 prints a line for each."""

import itertools
import json
import sys
from pathlib import Path

import numpy as np

import xpnn
from xpnn.distributed import connect
from xpnn.training import Checkpoint, Trainer
from xpnn.training.run import Callback

X = np.random.default_rng(0).standard_normal((50, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
LAYERS = [xpnn.Dense(6), xpnn.BatchNorm(), xpnn.Tanh(), xpnn.Dropout(0.2), xpnn.Dense(3)]


def model(seed=0):
    return xpnn.Model(LAYERS, (5,), dtype="float64", seed=seed)


def fit(group, optimizer=None, seed=0, x=X, **given):
    trainer = Trainer(model(seed), None, optimizer or xpnn.SGD(0.05), communicator=group)
    trainer.fit(x, Y, **{"epochs": 3, "batch_size": 16} | given)
    return trainer


class Planted(Callback):
    """One bit of one weight of one rank, after step 5."""

    def step(self, run):
        if run.steps == 5 and run.rank == 1:
            theta = run.model.snapshot()["theta"]
            start = run.model.layout.slots["4.W"][1]
            theta[start + 2] = np.nextafter(theta[start + 2], 9)
            run.model.restore({"theta": theta, "phi": run.model.snapshot()["phi"]})


class StopAt(Callback):
    def __init__(self, step):
        self.at = step

    def step(self, run):
        if run.steps == self.at:
            run.stopped = "test"


def refused(f):
    try:
        f()
    except xpnn.errors.XpnnError as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was refused"


def planted(group, folder):
    return refused(lambda: fit(group, callbacks=[Planted()]))


def seeds(group, folder):
    return refused(lambda: fit(group, seed=group.rank))


def data(group, folder):
    return refused(lambda: fit(group, x=X + (group.rank == 2)))


def beginning(group, folder):
    """Weights that differ at first are those of rank 0."""
    net = model()
    vectors = net.snapshot()
    net.restore({name: a + group.rank for name, a in vectors.items()})
    trainer = Trainer(net, communicator=group)
    return bool((trainer.model.snapshot()["theta"] == vectors["theta"]).all())


def state(group, folder, optimizer=None):
    """A run to step 6, inside its second epoch, saved by rank 0."""
    path = Path(folder) / f"{optimizer is None}.safetensors"
    fit(group, optimizer, callbacks=[StopAt(6), Checkpoint(path, epochs=9)])
    return "saved"


def resumed(group, folder, optimizer=None):
    """Train the rest; return how far the weights are from those of a run by one process that was never stopped."""
    path = Path(folder) / f"{optimizer is None}.safetensors"
    there = fit(group, optimizer, resume=path).model.snapshot()
    whole = fit(None, optimizer).model.snapshot()
    return max(float(abs(there[name] - whole[name]).max()) for name in there)


def alone_to_all(group, folder):
    if group.rank == 0:
        state(None, folder)
    group.any(False)
    return resumed(group, folder)


def all_to_alone(group, folder):
    state(group, folder)
    return resumed(None, folder) if group.rank == 0 else None


def accumulated(group, folder):
    return state(group, folder, xpnn.Accumulate(xpnn.SGD(0.05), 4))


def accumulated_on(group, folder):
    return resumed(group, folder, xpnn.Accumulate(xpnn.SGD(0.05), 4))


def steps(group, folder):
    """Trainer.step takes the whole batch on each rank."""
    ours, alone = (Trainer(model(), None, xpnn.SGD(0.05), communicator=one) for one in (group, None))
    found = [
        abs(float(t) - float(a))
        for t, a in ((ours.step(X[i::5], Y[i::5]), alone.step(X[i::5], Y[i::5])) for i in range(5))
    ]
    return max(found)


def compressed(group, folder):
    """-> the largest difference of a step's gradient from the exact one, relative to the largest element."""
    group.compression = "bf16"
    trainers = [Trainer(model(), None, xpnn.SGD(1.0), communicator=one) for one in (group, None)]
    before = trainers[0].model.snapshot()["theta"]
    for trainer in trainers:
        trainer.step(X, Y)
    there, exact = ((before - t.model.snapshot()["theta"]) for t in trainers)
    fit(group)  # the ranks stay equal to the bit
    return float(abs(there - exact).max() / abs(exact).max())


def local_norm(group, folder):
    """-> running means and variances after a step with a learning rate of 0, less the mean of the ranks' own."""
    group.batch_norm = "local"
    trainer = Trainer(xpnn.Model([xpnn.BatchNorm(), xpnn.Dense(3)], (5,), dtype="float64", seed=0), None,
                      xpnn.SGD(1e-30), communicator=group)  # fmt: skip
    trainer.step(X, Y)
    edges = [rank * len(X) // group.size for rank in range(group.size + 1)]
    parts = [X[a:b] for a, b in itertools.pairwise(edges)]
    mean = sum(0.1 * p.mean(0) * len(p) for p in parts) / len(X)
    var = 0.9 + sum(0.1 * p.var(0, ddof=1) * len(p) for p in parts) / len(X)
    return float(abs(trainer.model.snapshot()["phi"] - np.concatenate([mean, var])).max())


def control(group, folder):
    """Every method of the control plane."""
    found = [
        group.any(group.rank == 1),
        group.any(False),
        group.each(group.rank * 2.5),
        group.text(f"from {group.rank} ä", 1),
        group.first_text("" if group.rank == 0 else f"rank {group.rank}"),
        group.first_text(""),
        group.rows(10),
    ]
    a = np.arange(3.0) + group.rank
    group.add(a)
    return [*found, a.tolist(), group.collect(np.array([group.rank], np.uint16)).tolist(),
            group.exchange(np.arange(group.size)[:, None] + 10 * group.rank).tolist()]  # fmt: skip


def control_of(size):
    """What `control` is to find on rank 0."""
    ranks = range(size)
    sums = [size * i + sum(ranks) for i in range(3)]
    return [True, False, [2.5 * rank for rank in ranks], "from 1 ä", "rank 1", "", [0, 10 // size], sums,
            [[rank] for rank in ranks], [[10 * rank] for rank in ranks]]  # fmt: skip


def versions(group, folder):
    """The last rank has another xpnn."""
    started = sys.modules[connect.__module__]
    started.__version__ = "0.0.9" if group.rank == group.size - 1 else xpnn.__version__
    return refused(lambda: started.check_versions(group))


if __name__ == "__main__":
    group = connect()
    folder, names = Path(sys.argv[1]), sys.argv[2:]
    for name in names:
        (folder / str(group.rank)).write_text(name)
        group.compression, group.batch_norm = "", "global"
        found = globals()[name](group, folder)
        if group.rank == 0:
            print(json.dumps([name, found]), flush=True)

"""Model files grown by a grammar: structures that no random change of bytes would find, and what opening them costs.

    python tests/hostile_models.py --files 2000 --seed 1        drawn at random
    python tests/hostile_models.py --minutes 10                 guided by the lines of xpnn that they reach (atheris)

Each is loaded, planned, and predicts one sample; its seconds and its largest memory are measured. A file that brings
about anything but an error of xpnn or a model that works is a fault. `--docs` writes the figures into docs/security.md.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import crafted_files
import marked_sections
import numpy as np

import xpnn
from xpnn.config import from_config, to_config
from xpnn.errors import XpnnError
from xpnn.parameters import Layout

SIZES = (1, 2, 3, 7, 28, 1000, 10**6, 10**7, 2**31, 10**12)
"""Of units, windows, paddings: half of what is drawn is small."""
DEEPEST = 40
FEW = 20_000
"""Parameters up to which a file is given its arrays, so that it opens."""


class Random:
    """Where the grammar gets its choices from."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def index(self, n):
        return self.rng.randrange(n)


class Bytes:
    """The same, out of the bytes that a fuzzer proposes."""

    def __init__(self, provider):
        self.provider = provider

    def index(self, n):
        return self.provider.ConsumeIntInRange(0, n - 1)


def pick(source, options):
    return options[source.index(len(options))]


def size(source):
    return 1 + source.index(4) if source.index(2) else pick(source, SIZES)


PLAIN = [
    to_config(layer)
    for layer in (
        xpnn.Dense(2), xpnn.ReLU(), xpnn.Softmax(), xpnn.Flatten(), xpnn.Reshape((2, 2)), xpnn.Dropout(0.5),
        xpnn.Conv2D(2, 3), xpnn.Conv1D(2, 3), xpnn.MaxPool2D(2), xpnn.AvgPool2D(2), xpnn.ZeroPad2D(1),
        xpnn.UpSampling2D(2), xpnn.BatchNorm(), xpnn.LayerNorm(), xpnn.SimpleRNN(2), xpnn.GRU(2), xpnn.LSTM(2),
        xpnn.Embedding(5, 2), xpnn.PositionalEncoding(), xpnn.Rescale(0.5), xpnn.PReLU(), xpnn.Maxout(2, 2),
        xpnn.MultiHeadAttention(2), xpnn.ConvTranspose2D(2, 2), xpnn.GLU(),
    )
]  # fmt: skip


KINDS = ("plain", "plain", "plain", "chain", "residual", "recompute", "parallel", "graph", "same", "twice")
WRAPPERS = ("Residual", "Recompute", "Sequential", "Parallel", "Graph")
MERGES = ("average", "add", "concatenate", "multiply")


def layer(source, depth):
    """One layer, plain or with others inside."""
    kind = pick(source, KINDS)
    if kind == "plain" or depth <= 0:
        return changed(source, pick(source, PLAIN))
    if kind == "chain":
        return {
            "type": "Sequential",
            "layers": [layer(source, depth - 1) for _ in range(1 + source.index(4))],
        }
    if kind in ("residual", "recompute"):
        return {"type": kind.capitalize(), "layer": layer(source, depth - 1)}
    if kind == "same":  # the same structure, over and over
        inner, wrapper = (
            pick(source, PLAIN),
            pick(source, WRAPPERS),
        )
        for _ in range(1 + source.index(depth)):
            inner = wrapped(wrapper, inner, pick(source, MERGES), source.index(2))
        return inner
    if kind == "parallel":
        layers = [layer(source, depth - 1) for _ in range(1 + source.index(3))]
        return {
            "type": "Parallel",
            "layers": layers,
            "merge": pick(source, MERGES),
        }
    if kind == "twice":
        return wrapped("Graph", layer(source, depth - 1), "", 1)
    return graph(source, depth)


def wrapped(kind, inner, merge, shared):
    if kind == "Sequential":
        return {"type": kind, "layers": [inner]}
    if kind == "Parallel":
        return {"type": kind, "layers": [inner, PLAIN[1]] if shared else [inner], "merge": merge}
    if kind == "Graph":
        nodes = [["a", inner, "x"]] + [["b", {"type": "Shared", "node": "a"}, "a"]] * shared
        return {"type": kind, "inputs": "x", "nodes": nodes, "outputs": nodes[-1][0]}
    return {"type": kind, "layer": inner}


def graph(source, depth):
    names, nodes = ["x"], []
    for i in range(1 + source.index(30 if source.index(8) else 2000)):
        name, how = f"n{i}", source.index(4)
        if how == 0 and nodes:
            nodes.append([name, {"type": "Shared", "node": pick(source, names[1:])}, pick(source, names)])
        elif how == 1:
            kind = pick(source, ("Add", "Multiply", "Concatenate"))
            nodes.append([name, {"type": kind}, [names[-1], pick(source, names)]])
        else:
            inner = layer(source, depth - 2) if i < 8 else pick(source, PLAIN)
            nodes.append([name, inner, names[-1]])
        names.append(name)
    return {"type": "Graph", "inputs": "x", "nodes": nodes, "outputs": names[-1]}


def changed(source, plain):
    """With its whole numbers drawn anew, now and then."""
    return {
        key: size(source) if type(value) is int and source.index(3) == 0
        else [size(source) for _ in value] if isinstance(value, list) and value and source.index(4) == 0
        else value
        for key, value in plain.items()
    }  # fmt: skip


SHAPES = ([4], [28, 28, 1], [6, 2], [1], [5], [2**20], [1000, 1000, 3], [2**40])
TEMPLATE = None


def description(source):
    """What a model file says about its network."""
    global TEMPLATE
    if TEMPLATE is None:
        with tempfile.TemporaryDirectory() as folder:
            xpnn.Model([xpnn.Dense(2)], (2,), seed=0).save(Path(folder) / "m")
            TEMPLATE = crafted_files.read(Path(folder) / "m")[0]
    layers = [layer(source, 1 + source.index(DEEPEST)) for _ in range(1 + source.index(5))]
    return {**TEMPLATE, "net": {"type": "Sequential", "layers": layers}, "input_shape": pick(source, SHAPES)}


def file_of(about):
    """The bytes; with arrays of zeros where the network can be planned and has few parameters."""
    from xpnn.layers.budget import limited

    tensors = {}
    try:
        plan = from_config(about["net"]).plan
        layout = Layout(limited(10**4, 10**4, plan, tuple(about["input_shape"]))[0])
        if sum(layout.size.values()) <= FEW:
            tensors = {name: np.zeros(spec.shape, "<f4") for name, spec in layout.named.items()}
    except Exception:  # the loader is to say what is wrong with it
        tensors = {}
    return crafted_files.forge(about, tensors)


class Account:
    """The worst that was met."""

    def __init__(self):
        self.files = self.opened = self.refused = 0
        self.faults = []
        self.worst = {"seconds": 0.0, "bytes": 0, "seconds per KB": 0.0, "bytes per byte": 0.0}

    def look_at(self, data):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.safetensors"
            path.write_bytes(data)
            tracemalloc.start()
            began = time.process_time()
            try:
                model = xpnn.load(path)
                if not isinstance(model.input_shape[0], tuple) and math.prod(model.input_shape) <= 10**7:
                    model.predict(np.zeros((1, *model.input_shape), np.float32))
                self.opened += 1
            except XpnnError:
                self.refused += 1
            except (Exception, RecursionError, MemoryError) as error:
                self.faults.append(f"{type(error).__name__}: {str(error)[:200]}")
            seconds, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self.note(seconds, peak, len(data))

    def note(self, seconds, peak, size):
        """One more file of that size, and what it cost."""
        self.files += 1
        found = (seconds, peak, seconds / max(size, 1) * 1024, peak / max(size, 1))
        for name, value in zip(self.worst, found, strict=True):
            self.worst[name] = max(self.worst[name], value)

    def summary(self):
        return {
            "files": self.files, "opened": self.opened, "refused": self.refused, "faults": len(self.faults),
            "examples": self.faults[:5], **{name: float(f"{value:.3g}") for name, value in self.worst.items()},
        }  # fmt: skip


def drawn(files, seed):
    """The account of files drawn at random."""
    account = Account()
    for i in range(files):
        account.look_at(file_of(description(Random(f"{seed} {i}"))))
    return account


GUIDED = """if True:
    import atheris, json, sys
    with atheris.instrument_imports(include=["xpnn"]):
        import xpnn, hostile_models
    account = hostile_models.Account()

    def one(data):
        provider = atheris.FuzzedDataProvider(data)
        account.look_at(hostile_models.file_of(hostile_models.description(hostile_models.Bytes(provider))))
        with open(sys.argv[-1], "w") as file:
            json.dump(account.summary(), file)

    atheris.Setup(sys.argv[:-1], one)
    atheris.Fuzz()
"""


def guided(seconds, seed=1):
    """The summary of files that a fuzzer proposes: it keeps those that reach new lines of xpnn, and changes them."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        # what a file takes is measured one by one; the process keeps what the allocator does not give back
        flags = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=400", "-rss_limit_mb=8192"]
        command = [sys.executable, "-W", "ignore", "-c", GUIDED, *flags, report]
        here = Path(__file__).parent
        path = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the fuzzer ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(report.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    found = {}
    if options.files:
        found[f"drawn, seed {options.seed}"] = drawn(options.files, options.seed).summary()
    if options.minutes:
        found[f"guided, {options.minutes:g} minutes"] = guided(round(60 * options.minutes), options.seed)
    print(json.dumps(found), flush=True)
    if options.docs:
        write_down(found)
    if any(summary["faults"] for summary in found.values()):
        raise SystemExit("a file brought about something else than an error of xpnn")


def write_down(found, mark="figures: tests/hostile_models.py --docs"):
    """Put the figures into docs/security.md."""
    head = [
        "",
        "files",
        "opened",
        "faults",
        "worst s",
        "worst MB",
        "s per KB of file",
        "bytes per byte of file",
    ]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, one in found.items():
        cells = [name, f"{one['files']:,}", f"{one['opened']:,}", one["faults"], f"{one['seconds']:.2f}"]
        cells += [
            f"{one['bytes'] / 1e6:.0f}",
            f"{one['seconds per KB']:.3f}",
            f"{one['bytes per byte']:,.0f}",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    path = Path(__file__).parents[1] / "docs" / "security.md"
    marked_sections.put(path, mark, "\n".join(lines))


if __name__ == "__main__":
    main()

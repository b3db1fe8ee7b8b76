"""Measures every layer in every direction and prints the table of docs/interchange.md: see `ci/interchange`."""

import collections
import os
import pathlib
import tempfile
import warnings

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
from cases import LAYERS
from onnx_runs import difference, fed, model_of, session
from test_page import predicted, running_node
from test_standalone import compiled, imported, run_c
from test_torch_modules import outcome as as_module
from weight_pairs import keras_pairs, samples, torch_pairs

import xpnn
from xpnn.errors import CheckpointError
from xpnn.interchange import load_keras, load_onnx, load_torch
from xpnn.interchange.c_export import header
from xpnn.interchange.javascript import script
from xpnn.interchange.onnx_export import serialized
from xpnn.interchange.python_export import source
from xpnn.interchange.trace import program_of

DIRECTIONS = ("ONNX out", "ONNX in", "PyTorch", "module", "Keras", "Python", "C", "JavaScript")
HEAD = """# Models in and out, layer by layer

The largest difference of outputs, over the largest output or over 1, in float32, of all rows of the layer in
`tests/cases/`. Written by `ci/interchange`; the tests hold every number to 1e-6.

- ONNX out: onnxruntime on the exported file. ONNX in: the exported file read back.
- PyTorch, Keras: their layer with random weights, loaded by `load_torch` or `load_keras`. module: the torch.nn module
  that `to_torch(model, as_module=True)` makes.
- Python, C, JavaScript: the exported file, run by NumPy, a C99 compiler and node.

"-": the layer has no weights, or the library has no such layer. "refused": an error names the layer or node and says
why; with "in part" some rows are. A page takes one input and gives one output.

"""


def direction_values(case, folder):
    """{direction: difference, or None where it is refused} of one row."""
    model, x = model_of(case)
    program = program_of(model, probabilities=False)
    feed = fed(program, x, case.batch)
    given = tuple(feed.values())
    wanted = model.forward(given if model.net.multi_input else given[0])
    data = serialized(program)
    found = {"ONNX out": difference(session(data).run(None, feed), wanted)}
    (folder / "m.onnx").write_bytes(data)
    (folder / "m.py").write_text(source(program, "m", (), False)[0])
    (folder / "m.h").write_text(header(program, "m", []))
    found["Python"] = difference(imported(folder / "m.py").predict(*given), wanted)
    found["C"] = difference(run_c(compiled(folder / "m.h"), feed, wanted), wanted)
    if len(given) == 1 and len(program.outputs) == 1:
        with running_node() as node:
            got = predicted(node, script(program), given[0], folder)
        found["JavaScript"] = difference(got.reshape(wanted.shape), wanted)
    module = as_module(case)
    found["module"] = None if isinstance(module, str) else module
    try:
        again = load_onnx(folder / "m.onnx")
        if not again.net.multi_input and len(given) > 1:  # one of the inputs does nothing
            return found
        got = again.forward(given if again.net.multi_input else given[0])
        found["ONNX in"] = difference(got, wanted)
    except CheckpointError:
        found["ONNX in"] = None
    return found


def from_torch():
    """{layer: difference} for weights of PyTorch's."""
    import torch

    torch.manual_seed(0)
    found = {}
    for name, (module, layer, shape, first, take) in torch_pairs().items():
        with torch.no_grad():
            for p in [*module.parameters(), *module.buffers()]:
                if p.dtype.is_floating_point:
                    p.uniform_(0.1, 1)
        model = xpnn.Model([layer], shape, seed=0)
        load_torch(model, module.state_dict())
        x = samples(shape, name == "Embedding")
        with torch.no_grad():
            there = module.eval()(torch.from_numpy(np.moveaxis(x, -1, 1).copy() if first else x))
        y = take(there).numpy()
        found[name] = difference(
            model.forward(x), np.ascontiguousarray(np.moveaxis(y, 1, -1)) if first else y
        )
    return found


def from_keras():
    """{layer: difference} for weights of Keras's."""
    from keras.ops import convert_to_numpy

    rng = np.random.default_rng(0)
    found = {}
    for name, (there, layer, shape) in keras_pairs().items():
        there.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in there.get_weights()])
        model = xpnn.Model([layer], shape, seed=0)
        load_keras(model, there)
        x = samples(shape, name == "Embedding")
        found[name] = difference(
            model.forward(x), convert_to_numpy(there(x.astype(np.int32) if x.dtype == int else x))
        )
    return found


def rows():
    """{layer: {direction: text}}"""
    values = collections.defaultdict(lambda: collections.defaultdict(list))
    with tempfile.TemporaryDirectory() as folder:
        for i, case in enumerate(LAYERS):
            place = pathlib.Path(folder) / str(i)  # a library that is loaded keeps its name
            place.mkdir()
            for direction, value in direction_values(case, place).items():
                values[type(case.layer).__name__][direction].append(value)
    for direction, found in (("PyTorch", from_torch()), ("Keras", from_keras())):
        for name, value in found.items():
            values[name.partition(" ")[0]][direction].append(value)
    return {name: {d: written(found[d]) for d in DIRECTIONS} for name, found in sorted(values.items())}


def written(found):
    """The largest as 1.2e-07."""
    real = [value for value in found if value is not None]
    if not found:
        return "-"
    if not real:
        return "refused"
    return f"{max(real):.1e}" + (", in part" if len(real) < len(found) else "")


def main():
    warnings.simplefilter("ignore")
    print(HEAD, end="")
    print("| layer | " + " | ".join(DIRECTIONS) + " |\n|" + " --- |" * (len(DIRECTIONS) + 1))
    for name, row in rows().items():
        print(f"| {name} | " + " | ".join(row[d] for d in DIRECTIONS) + " |")


if __name__ == "__main__":
    main()

"""Model files made by hand. Each carries a right checksum, so that the checks behind it are what must refuse it."""

import copy
import json
import struct

import numpy as np

import xpnn
from xpnn.training.checkpoint import digest, seal

NET = [xpnn.Flatten(), xpnn.Rescale(0.5), xpnn.Dense(3), xpnn.ReLU(), xpnn.Sequential([xpnn.Dense(2)])]


def model(**settings):
    return xpnn.Model(NET, (2, 2, 1), seed=7, **settings)


def pack(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def unpack(data):
    """The header and what follows it."""
    stop = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:stop]), data[stop:]


def read(path):
    """The description and the tensors of a good file."""
    header, data = unpack(path.read_bytes())
    about = json.loads(header.pop("__metadata__")["xpnn"])
    del about["sha256"]
    tensors = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:stop], "<f4").reshape(entry["shape"])
    return about, tensors


def table(tensors):
    entries, start = {}, 0
    for name, tensor in tensors.items():
        stop = start + tensor.nbytes
        kind = {"float32": "F32", "float64": "F64", "float16": "F16", "int32": "I32"}[str(tensor.dtype)]
        entries[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, stop]}
        start = stop
    return entries


def forge(about, tensors, edit=None):
    """A file of them. `edit(header)` may then do to the header what it likes."""
    text = about if isinstance(about, str) else json.dumps(about)
    if text.endswith("}"):
        text = seal(text, digest(text, tensors))
    header = {"__metadata__": {"xpnn": text}, **table(tensors)}
    if edit is not None:
        edit(header)
    return pack(header, b"".join(tensor.tobytes() for tensor in tensors.values()))


def changed(tree, path, value):
    """A copy of nested lists and dicts with the item at `path` replaced."""
    new = copy.deepcopy(tree)
    spot = new
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] = value
    return new


def paths(tree, path=()):
    """Every place in nested lists and dicts."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, branch in items:
        yield (*path, key)
        yield from paths(branch, (*path, key))


def mutated(rng, data):
    """`data` with one to three changes: a byte set, bytes dropped, put in, copied, or a mark of JSON."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data))
        match rng.randrange(5):
            case 0:
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randint(1, 9)]
            case 2:
                data[at:at] = rng.randbytes(rng.randint(1, 9))
            case 3:
                other = rng.randrange(len(data))
                data[at : at + 8] = data[other : other + 8]
            case 4:
                data[at : at + 1] = rng.choice([b"0", b"9", b"-", b'"', b"{", b"]", b",", b" ", b"e", b"."])
    return bytes(data)


NASTY = [
    None,
    True,
    0,
    -1,
    1,
    7,
    2**31,
    2**63,
    10**30,
    0.5,
    -1.5,
    1e308,
    "",
    "x",
    "Dense",
    "float64",
    [],
    {},
    [0],
]
NASTY += [
    {"type": "Dense"},
    {"type": "Softmax"},
    {"type": "Sequential", "layers": []},
    [[[]]],
    "\0",
    "é" * 50,
]
"""Most of what does not belong into a description."""

"""Model files that are damaged, foreign or hostile: refused in words, fast, in little memory, with nothing run."""

import io
import json
import os
import pickle
import random
import re
import struct
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from crafted_files import NASTY, changed, forge, model, mutated, pack, paths, read, unpack

import xpnn
from xpnn.errors import CheckpointError
from xpnn.training.safetensors_reader import read_tensors

MIB = 1 << 20


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "m.safetensors"
    model().save(path)
    found = xpnn.load(path)
    found.predict(np.zeros((1, *found.input_shape)))  # whatever is imported on first use is imported now
    return path.read_bytes()


@pytest.fixture(scope="module")
def parts(good, tmp_path_factory):
    path = tmp_path_factory.mktemp("parts") / "m"
    path.write_bytes(good)
    return read(path)


@pytest.fixture(autouse=True)
def _nothing_is_imported(good):
    before = set(sys.modules)
    yield
    assert set(sys.modules) == before


class Canary:
    """Unpickling it leaves a mark."""

    def __reduce__(self):
        return (exec, ("import sys; sys.modules['hacked'] = sys",))


def opened(path):
    """The model, or the CheckpointError; anything else is a failure."""
    try:
        found = xpnn.load(path)
    except CheckpointError as error:
        found = error
    if isinstance(found, CheckpointError):
        assert str(path) in found.what
        assert len(str(found)) < 3000
    return found


def refuse(path, data, fragment=""):
    path.write_bytes(data)
    start = time.process_time()
    error = opened(path)
    assert time.process_time() - start < 1  # a bomb would take minutes
    assert isinstance(error, CheckpointError), "it was opened"
    assert fragment in str(error)
    tracemalloc.start()
    opened(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= len(data) + 64 * MIB


def zipped(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def torch_like():
    """What `torch.save` writes: a zip archive with a pickle in it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary()))
    return file.getvalue()


def lying_npy():
    """128 bytes that ask for 32 GiB."""
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


FOREIGN = {
    "nothing": (b"", "0 bytes are no model file"),
    "seven bytes": (bytes(7), "7 bytes are no model file"),
    "eight zeroes": (bytes(8), "is not JSON"),
    "text": (b"Not a model, but a line of English.\n", "no safetensors file"),
    "pickle": (pickle.dumps(Canary()), "no safetensors file"),
    "pickle of protocol 0": (pickle.dumps(Canary(), protocol=0), "no safetensors file"),
    "torch archive": (torch_like(), "no safetensors file"),
    "npz": (zipped(W=np.zeros(3)), "no safetensors file"),
    "npy of 32 GiB": (lying_npy(), "no safetensors file"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "no safetensors file"),
    "ONNX": (b"\x08\x07\x12\x07pytorch" + bytes(100), "no safetensors file"),
    "header of 2^63 bytes": (struct.pack("<Q", 1 << 63) + b"{}", "declares 9,223,372,036,854,775,808 bytes"),
    "header of 2^64 - 1 bytes": (b"\xff" * 8 + b"{}", "2 are there"),
    "header one byte too long": (struct.pack("<Q", 3) + b"{}", "declares 3 bytes, 2 are there"),
    "header above the cap": (pack(b" " * (MIB + 1)), "at most 1,048,576 are read"),
    "header of zeroes": (pack(bytes(100)), "is not JSON"),
    "header of bad UTF-8": (pack(b'{"\xff\xfe": 1}'), "is not JSON"),
    "header in UTF-16": (pack("{}".encode("utf-16")), ""),
    "header is a list": (pack([]), "not a JSON object"),
    "header is a number": (pack(b"1"), "not a JSON object"),
    "header is cut": (pack(b'{"a": '), "is not JSON"),
    "header is two objects": (pack(b"{}{}"), "is not JSON"),
    "header is empty": (pack({}), "not written by xpnn"),
    "100,000 open brackets": (pack(b"[" * 100_000), "is not JSON"),
    "lists, 100,000 deep": (pack(b"[" * 100_000 + b"]" * 100_000), "is not JSON"),
    "objects, 100,000 deep": (pack(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "is not JSON"),
    "an integer of 900,000 digits": (pack(b'{"a":' + b"9" * 900_000 + b"}"), "is not JSON"),
    "a million empty lists": (pack(b"[" + b"[]," * 340_000 + b"[]]"), "not a JSON object"),
    "a million empty objects": (pack(b'{"a":[' + b"{}," * 340_000 + b"{}]}"), "not written by xpnn"),
    "a key twice": (pack(b'{"a": 1, "a": 2}'), "names a key twice"),
    "NaN in JSON": (pack(b'{"a": NaN}'), "holds NaN"),
    "infinity in JSON": (pack(b'{"a": -Infinity}'), "holds -Infinity"),
    "metadata is a list": (pack({"__metadata__": []}), "not written by xpnn"),
    "metadata holds an object": (pack({"__metadata__": {"xpnn": {}}}), "not written by xpnn"),
    "of safetensors itself": (safetensors.numpy.save({"W": np.zeros(3)}), "not written by xpnn"),
    "of another tool": (safetensors.numpy.save({"W": np.zeros(3)}, {"format": "pt"}), "not written by xpnn"),
}


@pytest.mark.parametrize(("data", "fragment"), FOREIGN.values(), ids=FOREIGN)
def test_foreign_files(tmp_path, good, data, fragment):
    refuse(tmp_path / "m", data, fragment)
    assert "hacked" not in sys.modules


def entry(name="2.b", **items):
    """An edit of one parameter's entry in the header."""
    return lambda header: header[name].update(items)


def edit_swap(header):
    header["2.b"], header["2.W"] = header["2.W"], header["2.b"]


def checksum(pattern, new):
    """An edit of the description after it was sealed."""

    def edit(header):
        header["__metadata__"]["xpnn"] = re.sub(pattern, new, header["__metadata__"]["xpnn"])

    return edit


TABLES = {
    "negative offsets": (entry(data_offsets=[-12, 0]), "offsets that do not fit"),
    "offsets backwards": (entry(data_offsets=[60, 48]), "offsets that do not fit"),
    "huge offsets": (entry(data_offsets=[2**62, 2**62 + 12]), "do not fill the file"),
    "offsets of 2^64": (entry(data_offsets=[2**64, 2**64 + 12]), "offsets that do not fit"),
    "offsets of 4,000 digits": (entry(data_offsets=[10**4000, 10**4000 + 12]), "number of 4,001 digits"),
    "offsets past the end": (entry(data_offsets=[92, 104]), "do not fill the file"),
    "overlapping offsets": (entry(data_offsets=[36, 48]), "do not fill the file"),
    "two parameters, one place": (entry("4.0.b", data_offsets=[40, 48]), "do not fill the file"),
    "offsets are fractions": (entry(data_offsets=[48.0, 60.0]), "has no offsets"),
    "offsets are booleans": (entry(data_offsets=[False, True]), "has no offsets"),
    "offsets are words": (entry(data_offsets=["48", "60"]), "has no offsets"),
    "one offset": (entry(data_offsets=[48]), "has no offsets"),
    "offsets are null": (entry(data_offsets=None), "has no offsets"),
    "shape of 2^62": (entry(shape=[2**62]), "has shape [4611686018427387904], the architecture wants [3]"),
    "shape times dtype wraps to 12": (entry(shape=[2**62 + 3]), "the architecture wants [3]"),
    "shape of 10,000 axes": (entry(shape=[1] * 10_000), "the architecture wants [3]"),
    "negative shape": (entry(shape=[-3]), "has shape [-3]"),
    "shape of fractions": (entry(shape=[3.0]), "has shape [3.0]"),
    "shape is a word": (entry(shape="3"), "has shape 3"),
    "shape is null": (entry(shape=None), "has shape None"),
    "transposed": (entry("2.W", shape=[3, 4]), "has shape [3, 4], the architecture wants [4, 3]"),
    "flattened": (entry("2.W", shape=[12]), "has shape [12]"),
    "F64 of the same length": (entry(dtype="F64"), "offsets that do not fit"),
    "I32 of the same length": (entry(dtype="I32"), "unknown dtype"),
    "BF16": (entry(dtype="BF16"), "unknown dtype"),
    "dtype of NumPy": (entry(dtype="<f4"), "unknown dtype"),
    "dtype is a list": (entry(dtype=["F32"]), "unknown dtype"),
    "dtype is null": (entry(dtype=None), "unknown dtype"),
    "an entry too many": (entry(loader="os.system"), "no dtype, shape and offsets"),
    "an entry of null": (lambda h: h.update({"2.b": None}), "no dtype, shape and offsets"),
    "an entry of text": (lambda h: h.update({"2.b": "F32"}), "no dtype, shape and offsets"),
    "no offsets": (lambda h: h["2.b"].pop("data_offsets"), "no dtype, shape and offsets"),
    "a parameter missing": (lambda h: h.pop("2.b"), "parameters are missing: 2.b"),
    "all parameters missing": (lambda h: [h.pop(k) for k in list(h)[1:]], "missing: 2.W, 2.b, 4.0.W, 4.0.b"),
    "a parameter unknown": (lambda h: h.update({"9.W": h["2.b"]}), "parameters are unknown: 9.W"),
    "a parameter renamed": (lambda h: h.update({"2.B": h.pop("2.b")}), "parameters are missing: 2.b"),
    "10,000 names": (lambda h: h.update(dict.fromkeys(map(str, range(10_000)), 0)), "parameters are unknown"),
    "a name of 100,000 letters": (lambda h: h.update({"x" * 100_000: h["2.b"]}), "parameters are unknown"),
    "two parameters swapped": (edit_swap, "the architecture wants"),
    "no checksum": (checksum(', "sha256".*', "}"), "checksum"),
    "an empty checksum": (checksum('[0-9a-f]{64}"', '"'), "checksum"),
    "checksum is null": (checksum('"[0-9a-f]{64}"', "null"), "checksum"),
    "another checksum": (checksum("[0-9a-f]{64}", "0" * 64), "checksum"),
    "a checksum of another text": (checksum('"seed": 7', '"seed": 8'), "checksum"),
}


@pytest.mark.parametrize(("edit", "fragment"), TABLES.values(), ids=TABLES)
def test_tables_that_lie(tmp_path, parts, edit, fragment):
    refuse(tmp_path / "m", forge(*parts, edit), fragment)


def test_bytes_before_between_or_after_the_arrays(tmp_path, good, parts):
    header, data = unpack(good)
    refuse(tmp_path / "m", pack(header, data + b"\0"), "92 bytes, 93 are there")
    refuse(tmp_path / "m", pack(header, data[:-1]), "92 bytes, 91 are there")
    refuse(tmp_path / "m", pack(header, b""), "92 bytes, 0 are there")
    for later in header.values():
        if "data_offsets" in later:
            later["data_offsets"] = [n + 4 for n in later["data_offsets"]]
    refuse(tmp_path / "m", pack(header, bytes(4) + data), "do not fill the file")
    entry(data_offsets=[56, 68])(header)
    entry("4.0.W", data_offsets=[68, 92])(header)
    entry("4.0.b", data_offsets=[92, 100])(header)
    refuse(tmp_path / "m", pack(header, bytes(8) + data), "do not fill the file")


NET = ("net", "layers")
SETTINGS = {
    "format 2": (("format",), 2, "has format 2, this version reads format 1"),
    "format 0": (("format",), 0, "has format 0"),
    "format is true": (("format",), True, "no int called 'format'"),
    "format is a word": (("format",), "1", "no int called 'format'"),
    "version is a number": (("xpnn",), 1, "no str called 'xpnn'"),
    "seed below 0": (("seed",), -1, "seed below 0"),
    "seed is a fraction": (("seed",), 1.5, "no int called 'seed'"),
    "seed is true": (("seed",), True, "no int called 'seed'"),
    "dtype float16": (("dtype",), "float16", "unknown dtype"),
    "dtype object": (("dtype",), "object", "unknown dtype"),
    "input_shape is null": (("input_shape",), None, "no list called 'input_shape'"),
    "input_shape of words": (("input_shape",), ["2", "2", "1"], "holds input_shape"),
    "input_shape with 0": (("input_shape",), [2, 0, 1], "holds input_shape"),
    "input_shape below 0": (("input_shape",), [-2, -2, 1], "holds input_shape"),
    "input_shape of booleans": (("input_shape",), [2, 2, True], "holds input_shape"),
    "input_shape of 2^50": (("input_shape",), [2**50], "holds input_shape"),
    "input_shape of 2^80": (("input_shape",), [2**40, 2**40], "too large"),
    "input_shape of 4,000 digits": (("input_shape",), [10**4000], "number of 4,001 digits"),
    "input_shape of 10,000 axes": (("input_shape",), [1] * 10_000, "holds input_shape"),
    "another input_shape": (("input_shape",), [2, 3, 1], "wants [6, 3]"),
    "net is null": (("net",), None, "no dict called 'net'"),
    "net is a list": (("net",), [], "no dict called 'net'"),
    "net is a layer": (("net",), {"type": "ReLU"}, "is a ReLU, not a Sequential"),
    "net is an optimizer": (("net",), {"type": "SGD"}, "is a SGD, not a Sequential"),
    "no layers": (("net",), {"type": "Sequential"}, "refuses its settings"),
    "layers is a word": (NET, "Dense", "entry 0 of Sequential is not a layer"),
    "layers is a number": (NET, 5, "wanted a list of layers"),
    "a layer is null": ((*NET, 0), None, "entry 0 of Sequential is not a layer"),
    "a layer is a loss": ((*NET, 0), {"type": "MeanSquaredError"}, "entry 0 of Sequential is not a layer"),
    "a layer has no type": ((*NET, 0), {}, "net.layers[0] is None"),
    "unknown layer": ((*NET, 0), {"type": "Flaten"}, "did you mean 'Flatten'?"),
    "a name of 100,000 letters": ((*NET, 0), {"type": "x" * 100_000}, "does not know"),
    "the abstract layer": ((*NET, 0), {"type": "Layer"}, "does not know"),
    "a type that is a list": ((*NET, 0, "type"), ["Flatten"], "does not know"),
    "a type that is a path": ((*NET, 0, "type"), "os.system", "does not know"),
    "a type that is a method": ((*NET, 0, "type"), "__reduce__", "does not know"),
    "a type in parentheses": ((*NET, 0, "type"), "__import__('os').abort()", "does not know"),
    "an extra setting": ((*NET, 0), {"type": "Flatten", "order": "F"}, "Flatten has no setting 'order'"),
    "a setting with dunders": ((*NET, 0), {"type": "Flatten", "__reduce__": "x"}, "no setting '__reduce__'"),
    "a setting of 100,000 letters": ((*NET, 0), {"type": "Flatten", "x" * 100_000: 1}, "has no setting"),
    "a setting missing": ((*NET, 2), {"type": "Dense"}, "net.layers[2]: Dense refuses its settings"),
    "units is a word": ((*NET, 2, "units"), "x", "Dense(units='x'): wanted a whole number"),
    "units is 10^12": ((*NET, 2, "units"), 10**12, "the layers of the saved network give over"),
    "units is 10^4000": ((*NET, 2, "units"), 10**4000, "number of 4,001 digits"),
    "units below 0": ((*NET, 2, "units"), -3, "at least 1"),
    "units is true": ((*NET, 4, "layers", 0, "units"), True, "wanted a whole number"),
    "units is a fraction": ((*NET, 2, "units"), 3.0, "wanted a whole number"),
    "units is null": ((*NET, 2, "units"), None, "wanted a whole number"),
    "units is a layer": ((*NET, 2, "units"), {"type": "ReLU"}, "wanted a whole number"),
    "scale is a word": ((*NET, 1, "scale"), "0.5", "wanted a finite number"),
    "scale is 10^4000": ((*NET, 1, "scale"), 10**4000, "number of 4,001 digits"),
    "init is a word": ((*NET, 2, "init"), "os.system", "unknown initializer"),
    "init is a layer": ((*NET, 2, "init"), {"type": "ReLU"}, "wanted an Initializer"),
    "init has an unknown fan": ((*NET, 2, "init", "fan"), "middle", "fan='middle'): unknown fan"),
    "init has a list for a fan": ((*NET, 2, "init", "fan"), ["in"], "wanted 'in' or 'out'"),
    "Constant of words": ((*NET, 2, "bias_init", "value"), ["a", "b"], "wanted a finite number"),
    "Reshape to 10^12": ((*NET, 0), {"type": "Reshape", "shape": [10**12]}, "do not fit each other"),
    "Reshape below 0": (
        (*NET, 0),
        {"type": "Reshape", "shape": [-2, -2]},
        "wanted whole numbers of at least 1",
    ),
    "Standardize by 0": ((*NET, 0), {"type": "Standardize", "mean": 0, "std": 0}, "std must be above 0"),
    "Dropout of 2": ((*NET, 0), {"type": "Dropout", "rate": 2}, "from 0 to 1"),
    "loss is a layer": (("loss",), {"type": "ReLU"}, "the saved loss is a ReLU"),
    "loss is unknown": (("loss",), {"type": "CrossEntropy"}, "loss is 'CrossEntropy'"),
    "loss has no type": (("loss",), {}, "loss is None"),
    "class_weight below 0": (("loss", "class_weight"), [-1, 2], "at least 0"),
}


@pytest.mark.parametrize(("path", "value", "fragment"), SETTINGS.values(), ids=SETTINGS)
def test_descriptions_that_lie(tmp_path, parts, path, value, fragment):
    about, tensors = parts
    refuse(tmp_path / "m", forge(changed(about, path, value), tensors), fragment)


@pytest.mark.parametrize("literal", ["1e400", "-1e400", "NaN", "Infinity"])
def test_numbers_that_json_does_not_have(tmp_path, parts, literal):
    about, tensors = parts
    text = json.dumps(about).replace('"scale": 0.5', f'"scale": {literal}')
    assert literal in text
    refuse(tmp_path / "m", forge(text, tensors), "")


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "5", '"x"', '{"format": 1, "format": 1}', "[" * 5000]
)
def test_text_that_is_no_description(tmp_path, parts, text):
    refuse(tmp_path / "m", forge(text, parts[1]))


@pytest.mark.parametrize("depth", [100, 500, 1000, 2500, 5000])
def test_nested_networks(tmp_path, parts, depth):
    """A thousand levels open; a bomb is refused."""
    about, tensors = parts
    inner = json.dumps(about["net"])
    net = '{"type": "Sequential", "layers": [' * depth + inner + "]}" * depth
    text = json.dumps({**about, "net": "NET"}).replace('"NET"', net)
    prefix = "0." * depth
    data = forge(text, {prefix + name: tensor for name, tensor in tensors.items()})
    if depth <= 1000:
        (tmp_path / "m").write_bytes(data)
        np.testing.assert_array_equal(xpnn.load(tmp_path / "m").theta, model().theta)
    else:
        refuse(tmp_path / "m", data)


def test_a_network_of_60_000_layers_that_do_not_fit(tmp_path, parts):
    about, tensors = parts
    wide = changed(
        about, ("net", "layers"), [{"type": "ReLU"}] * 40_000 + [{"type": "Reshape", "shape": [7]}]
    )
    refuse(tmp_path / "m", forge(wide, tensors), "cannot make (7,)")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["2.W", "4.0.b"])
def test_weights_that_are_no_numbers(tmp_path, parts, name, value):
    about, tensors = parts
    bad = tensors | {name: np.full_like(tensors[name], value)}
    refuse(tmp_path / "m", forge(about, bad), f"parameter {name} holds NaN or infinity")


def test_a_sparse_file_of_64_gib_is_not_read(tmp_path, good):
    path = tmp_path / "m"
    for start in (b"", good):
        path.write_bytes(start)
        with open(path, "ab") as file:
            file.truncate(64 << 30)
        began = time.process_time()
        assert isinstance(opened(path), CheckpointError)
        assert time.process_time() - began < 1


def test_cut_at_every_byte(tmp_path, good):
    path = tmp_path / "m"
    path.write_bytes(good)
    for stop in reversed(range(len(good))):
        os.truncate(path, stop)
        assert isinstance(opened(path), CheckpointError), stop


def test_a_flipped_bit_in_any_byte_is_found(tmp_path, good):
    """In the header, where every bit is tried in some byte, and in the arrays."""
    path = tmp_path / "m"
    path.write_bytes(good)
    with open(path, "r+b", buffering=0) as file:
        for at, byte in enumerate(good):
            for bit in (at % 8, (at + 3) % 8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), at)
                assert isinstance(opened(path), CheckpointError), (at, bit)
            os.pwrite(file.fileno(), bytes([byte]), at)
    assert path.read_bytes() == good


def test_a_thousand_flipped_bits_of_a_larger_file(tmp_path):
    path, rng = tmp_path / "m", random.Random(0)
    xpnn.Model([xpnn.Dense(50), xpnn.Dense(50)], (50,), seed=0).save(path)
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    with open(path, "r+b", buffering=0) as file:
        for _ in range(1000):
            at = rng.randrange(start, len(data))
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << rng.randrange(8)]), at)
            error = opened(path)
            assert isinstance(error, CheckpointError)
            assert "checksum" in error.what
            os.pwrite(file.fileno(), data[at : at + 1], at)


def test_a_thousand_mutated_files(tmp_path, good):
    """Refused, or the very same model: a header may gain a blank and mean the same."""
    path, rng, same = tmp_path / "m", random.Random(1), model()
    for _ in range(1000):
        path.write_bytes(mutated(rng, good))
        found = opened(path)
        if not isinstance(found, CheckpointError):
            assert found.net == same.net
            assert found.theta.tobytes() == same.theta.tobytes()


def test_a_thousand_mutated_descriptions(tmp_path, parts):
    """With a right checksum. What opens must be a model that works and can be saved again."""
    about, tensors = parts
    places, path, rng, works = list(paths(about)), tmp_path / "m", random.Random(2), 0
    for _ in range(1000):
        path.write_bytes(forge(changed(about, rng.choice(places), rng.choice(NASTY)), tensors))
        found = opened(path)
        if not isinstance(found, CheckpointError):
            assert found.predict_proba(np.zeros((2, 2, 2, 1))).shape == (2, 2)
            found.save(path)
            assert xpnn.load(path).net == found.net
            works += 1
    assert 50 < works < 500  # both ends are reached


def test_what_opens_here_opens_with_safetensors_too(tmp_path, good):
    """Its own checks of the table are the second opinion on ours."""
    path, rng = tmp_path / "m", random.Random(3)
    header, data = unpack(good)
    offsets = [("2.W", 0), ("2.b", 48), ("4.0.W", 60), ("4.0.b", 84)]
    for _ in range(300):
        edited = json.loads(json.dumps(header))
        for name, start in rng.sample(offsets, rng.randint(0, 2)):
            edited[name]["data_offsets"] = [
                start + rng.choice([0, -4, 4, 12]),
                start + rng.choice([8, 12, 24, 48]),
            ]
        path.write_bytes(pack(edited, data))
        if not isinstance(opened(path), CheckpointError):
            safetensors.numpy.load(path.read_bytes())


def test_memory_for_a_large_file_is_its_size(tmp_path):
    """Damaged in its last byte, so that the whole file has to be read."""
    path = tmp_path / "m"
    xpnn.Model([xpnn.Dense(2000)], (4000,), seed=0).save(path)
    data = path.read_bytes()
    refuse(path, data[:-1] + bytes([data[-1] ^ 1]), "checksum")


def test_a_file_that_shrinks_while_it_is_read():
    """Its length was right when the header was checked."""
    header = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    assert read_tensors(bytes(8), header)["a"].tolist() == [0, 0]
    with pytest.raises(CheckpointError, match="grew shorter"):
        read_tensors(bytes(7), header)

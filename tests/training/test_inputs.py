"""Whatever holds real numbers can be trained on: same result as a plain float copy, and nothing is written to."""

import functools
import hashlib

import numpy as np
import pytest
from installed_backends import INSTALLED

import xpnn

BASE = (np.arange(24 * 6).reshape(24, 6) * 37 % 101).astype(np.float64)
IDS = np.arange(24) % 3


class Tagged(np.ndarray):
    """A subclass with arithmetic of its own, which must not get into the step."""

    def __add__(self, other):
        raise AssertionError("the subclass was used")

    __mul__ = __matmul__ = __sub__ = __add__


class OnlyDlpack:
    """As little as the protocol asks for."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **kwargs):
        return self.array.__dlpack__(**kwargs)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class OnlyArray:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array if dtype is None else self.array.astype(dtype)


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def strided(a):
    wide = np.full((a.shape[0] * 2, a.shape[1] * 3), np.nan)
    wide[::2, 1::3] = a
    return wide[::2, 1::3]


def memory_mapped(a, folder, mode):
    path = folder / "x.npy"
    np.save(path, a)
    return np.load(path, mmap_mode=mode)


def masked(a):
    return np.ma.masked_invalid(a)  # nothing is masked


FORMS = {
    **{name: (lambda a, d, name=name: (a % 2 if name == "bool" else a).astype(name)) for name in (
        "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32",
        "longdouble", ">f4", ">f8", ">i2", ">u4", "<f8",
    )},
    "read-only": lambda a, d: read_only(a),
    "read-only float32": lambda a, d: read_only(a.astype(np.float32)),
    "strided": lambda a, d: strided(a),
    "strided float32": lambda a, d: strided(a).astype(np.float32)[:, ::-1][:, ::-1],
    "Fortran": lambda a, d: np.asfortranarray(a),
    "Fortran float32": lambda a, d: np.asfortranarray(a, dtype=np.float32),
    "Fortran uint8": lambda a, d: np.asfortranarray(a, dtype=np.uint8),
    "reversed": lambda a, d: a[::-1, ::-1].copy()[::-1, ::-1],
    "reversed float32": lambda a, d: a[::-1, ::-1].astype(np.float32)[::-1, ::-1],
    "unaligned": lambda a, d: np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "broadcast": lambda a, d: np.broadcast_to(a[:1], a.shape),
    "broadcast float32": lambda a, d: np.broadcast_to(a[:1].astype(np.float32), a.shape),
    "memory-mapped r": lambda a, d: memory_mapped(a, d, "r"),
    "memory-mapped c": lambda a, d: memory_mapped(a, d, "c"),
    "memory-mapped uint8": lambda a, d: memory_mapped(a.astype(np.uint8), d, "r"),
    "memory-mapped >f4": lambda a, d: memory_mapped(a.astype(">f4"), d, "r"),
    "subclass": lambda a, d: a.astype(np.float32).view(Tagged),
    "masked, nothing": lambda a, d: masked(a),
    "list": lambda a, d: a.tolist(),
    "tuple": lambda a, d: tuple(map(tuple, a.astype(int).tolist())),
    "list of arrays": lambda a, d: list(a),
    "DLPack": lambda a, d: OnlyDlpack(a.astype(np.float32)),
    "__array__": lambda a, d: OnlyArray(a),
}  # fmt: skip
FOREIGN = {
    "torch": lambda torch, a: torch.asarray(a),
    "torch float16": lambda torch, a: torch.asarray(a).to(torch.float16),
    "torch uint8": lambda torch, a: torch.asarray(a).to(torch.uint8),
    "torch on the tape": lambda torch, a: torch.asarray(a).requires_grad_(),
    "torch transposed": lambda torch, a: torch.asarray(a.T.copy()).T,
    "jax": lambda jax, a: jax.numpy.asarray(a.astype(np.float32)),
    "jax uint8": lambda jax, a: jax.numpy.asarray(a.astype(np.uint8)),
    "array_api_strict": lambda strict, a: strict.asarray(a),
    "array_api_strict int32": lambda strict, a: strict.asarray(a.astype(np.int32)),
}


SLOW = (
    "uint8 float16 >f8 >i4 read-only strided Fortran reversed broadcast memory-mapped+r list DLPack one-hot"
)


def pairs(forms):
    """All backends with all forms; jax, which compiles anew for each, with some."""
    slow = {word.replace("+", " ") for word in SLOW.split()}
    return [(be, form) for be in INSTALLED for form in forms if be != "jax" or form in slow]


def plain(x):
    """The contiguous copy it must agree with."""
    x = getattr(x, "array", x)
    if hasattr(x, "detach"):
        x = x.detach().numpy()
    return np.array(np.asarray(x), dtype=np.float64, order="C")


def fingerprint(x):
    return hashlib.sha256(plain(x).tobytes()).hexdigest()


def everything(backend, x, y):
    """All that a model does with samples."""
    layers = [xpnn.Rescale(1 / 100), xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(3)]
    model = xpnn.Model(layers, (6,), backend=backend, seed=0)
    model.fit(x, y, epochs=1, batch_size=8, validation=(x, y), verbose=0)
    scores = model.evaluate(x, y)
    results = [model.snapshot()["theta"], model.predict(x), model.predict_proba(x), model.forward(x)]
    for result in results:
        assert type(result) is np.ndarray
    assert type(scores["loss"]) is type(scores["accuracy"]) is float
    return [*results, np.array(list(scores.values()))]


@functools.cache
def expected_of(backend, data):
    return everything(backend, np.frombuffer(data).reshape(BASE.shape), IDS)


def compare(backend, x):
    before = fingerprint(x)
    found, expected = everything(backend, x, IDS), expected_of(backend, plain(x).tobytes())
    assert fingerprint(x) == before
    for a, b in zip(found, expected, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(("backend", "form"), pairs(FORMS))
def test_forms_of_numpy_arrays(tmp_path, backend, form):
    x = FORMS[form](BASE, tmp_path)
    if isinstance(x, np.ndarray) and form not in ("memory-mapped c", "strided"):
        x.flags.writeable = False
    compare(backend, x)


@pytest.mark.parametrize("form", FOREIGN)
@pytest.mark.parametrize("backend", INSTALLED)
def test_arrays_of_other_libraries(backend, form):
    library = pytest.importorskip(form.split()[0])
    compare(backend, FOREIGN[form](library, BASE))


LABELS = {
    **{name: (lambda y, name=name: y.astype(name)) for name in (
        "uint8", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64", ">i4", ">f8",
    )},
    "read-only": read_only,
    "reversed": lambda y: y[::-1].copy()[::-1],
    "list": lambda y: y.tolist(),
    "one-hot": lambda y: np.eye(3)[y],
    "one-hot bytes": lambda y: np.eye(3, dtype=np.uint8)[y],
    "one-hot bool": lambda y: np.eye(3, dtype=bool)[y],
    "one-hot Fortran": lambda y: np.asfortranarray(np.eye(3, dtype=np.float16)[y]),
    "DLPack": OnlyDlpack,
}  # fmt: skip


@pytest.mark.parametrize(("backend", "form"), pairs(LABELS))
def test_forms_of_labels(backend, form):
    y = LABELS[form](IDS)
    before = fingerprint(y)
    found, expected = everything(backend, BASE, y), expected_of(backend, BASE.tobytes())
    assert fingerprint(y) == before
    for a, b in zip(found, expected, strict=True):
        if "one-hot" in form:  # the same formula, spelt out: not the same roundings
            np.testing.assert_allclose(a, b, rtol=1.3e-6, atol=1e-5)
        else:
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("backend", INSTALLED)
def test_bytes_stay_bytes_until_a_layer_converts_them(backend):
    """A dataset in float32 would take four times the memory."""
    model = xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(3)], (2, 3), backend=backend)
    be = model.backend
    for dtype, kept in (("uint8", "uint8"), ("bool", "bool"), ("int8", "float32"), ("float64", "float32")):
        x = model.inputs(np.ones((4, 2, 3), dtype))
        assert be.owns(x)
        assert str(be.to_numpy(x).dtype) == kept
    bare = xpnn.Model([xpnn.Flatten(), xpnn.Dense(3)], (2, 3), backend=backend, seed=0)
    x = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    np.testing.assert_array_equal(bare.forward(x), bare.forward(x.astype(np.float32)))


@pytest.mark.parametrize("backend", INSTALLED)
@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4", ">i8"])
def test_a_backend_takes_either_byte_order(backend, dtype):
    be = xpnn.get_backend(backend)
    found = be.to_numpy(be.asarray(BASE.astype(dtype)))
    np.testing.assert_array_equal(found, BASE)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")


def test_numpy_bytes_are_not_even_copied():
    model = xpnn.Model([xpnn.Rescale(1 / 255), xpnn.Dense(3)], (6,))
    for x in (BASE.astype(np.uint8), BASE.astype(np.float32), read_only(BASE.astype(np.float32))):
        assert np.shares_memory(model.inputs(x), x)


@pytest.mark.parametrize("backend", INSTALLED)
def test_results_are_the_callers_own(backend):
    """Writing into one does not change the model, the next result, or the input."""
    model = xpnn.Model([xpnn.ReLU()], (6,), backend=backend)
    x = np.abs(BASE).astype(np.float32)
    before = fingerprint(x)
    result = model.forward(x)
    if result.flags.writeable:
        result[:] = -1
    assert fingerprint(x) == before
    identity = xpnn.Model([], (6,), backend=backend)
    np.testing.assert_array_equal(identity.forward(x), x)


@pytest.mark.parametrize("backend", INSTALLED)
def test_float64_models_keep_every_digit(backend):
    model = xpnn.Model([xpnn.Dense(2)], (6,), backend=backend, dtype="float64", seed=0)
    x = BASE + 1e-12
    w, b = (model.backend.to_numpy(p) for p in model.parameters().values())
    np.testing.assert_allclose(model.forward(x), x @ w + b, rtol=1e-14)
    assert model.forward(x.astype(np.float32)).dtype == np.float64

"""An imaginary device over NumPy: it counts what is done on it, refuses what a GPU would, records and replays.

Its arrays are opaque: what is done with them goes through the namespace or an operator, so nothing escapes the count.
Recording works as on CUDA: operations are written down with the buffers that they read and write, nothing that was
there before changes meanwhile, and a replay carries them out again on the same buffers. Before each replay all memory
that came up while recording is overwritten with rubbish, as other work could have done.
"""

import contextlib
import functools
import operator
from collections import Counter

import array_api_compat.numpy
import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.cuda.capture import Captured
from xpnn.backends.cuda.namespace import Recordable


class HostCopyError(AssertionError):
    """An array was brought to the host, or a host value to the device, where a GPU would have to stop."""


class ScopeError(AssertionError):
    """An array was made or used outside the backend's scope, where a GPU would take another device."""


class Device:
    """What is counted, and what is being recorded."""

    def __init__(self, scoped=False):
        self.scoped, self.depth = scoped, 0
        self.calls, self.temporaries, self.host = Counter(), 0, Counter()
        self.tape, self.scratch = None, []
        self.fail_at, self.fault, self.spared = None, RuntimeError, ()

    def call(self, name, f, args, kwargs):
        """f on NumPy's arrays; written down where a recording is under way."""
        self.check(name)
        self.fail(name)
        if self.tape is not None and asks_host(name, args):
            raise HostCopyError(f"{name} while recording")
        args, kwargs = plain(args), plain(kwargs)
        given = [a for a in walk((args, kwargs)) if isinstance(a, np.ndarray)]
        result = f(*args, **kwargs)
        fresh = [a for a in walk(result) if isinstance(a, np.ndarray | np.generic)]
        held = [np.asarray(a) for a in fresh]
        new = [a for a in held if not any(np.may_share_memory(a, b) for b in given)]
        if new or not held:
            self.calls[name] += 1
        self.temporaries += len(new)
        if self.tape is not None and new:
            self.scratch += new

            def again():
                for target, a in zip(held, [a for a in walk(f(*args, **kwargs)) if is_data(a)], strict=True):
                    target[...] = a

            self.tape.append(again)
        return wrap(self, result, iter(held))

    def fail(self, name):
        """Raises `fault` at the operation that `fail_at` counts down to; those that are `spared` do not count."""
        if self.fail_at is not None and name not in self.spared:
            self.fail_at -= 1
            if self.fail_at < 0:
                self.fail_at = None
                raise self.fault(f"the device failed in {name}")

    def check(self, name):
        if self.scoped and not self.depth:
            raise ScopeError(f"{name} outside scope()")

    def fetch(self, name, a):
        """To the host."""
        self.host[name] += 1
        if self.tape is not None:
            raise HostCopyError(f"{name} while recording")
        return a

    def write(self, target, source):
        """In place: while recording, written down alone."""
        self.fail("copy")
        self.calls["copy"] += 1
        self.act(lambda: np.copyto(target, source))

    def act(self, write):
        if self.tape is None:
            write()
        else:
            self.tape.append(write)


def asks_host(name, args):
    """What CuPy 14 does by way of the host, or refuses to record: read in its sources and in array-api-compat's.

    It sends the addresses of more than eight arrays that are joined, counts the NaN that compat's `sign` puts back, and
    leaves products of matrices to cuBLAS, which is recorded through a handle of our own alone.
    """
    joins = name in ("concat", "stack") and len(args[0]) > 8
    return joins or name == "sign" or (name == "matmul" and max(a.ndim for a in args) > 1)


def is_data(a):
    return isinstance(a, np.ndarray | np.generic)


def walk(tree):
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, tuple | list):
        for branch in tree:
            yield from walk(branch)
    else:
        yield tree


def plain(tree):
    """NumPy's arrays in place of the device's; `device=` is dropped."""
    if isinstance(tree, dict):
        return {key: plain(branch) for key, branch in tree.items() if key != "device"}
    if isinstance(tree, tuple | list):
        return type(tree)(plain(branch) for branch in tree)
    return tree.a if isinstance(tree, DeviceArray) else tree


def wrap(device, result, held):
    if isinstance(result, tuple | list):
        return tuple(wrap(device, a, held) for a in result)
    return DeviceArray(next(held), device) if is_data(result) else result


class DeviceArray:
    """An array nobody can look into."""

    __slots__ = ("__weakref__", "a", "device")
    __array_ufunc__ = None

    def __init__(self, a, device):
        self.a, self.device = a, device

    shape = property(lambda self: self.a.shape)
    ndim = property(lambda self: self.a.ndim)
    dtype = property(lambda self: self.a.dtype)
    size = property(lambda self: self.a.size)
    T = property(lambda self: DeviceArray(self.a.T, self.device))

    def __getitem__(self, key):
        return self.device.call("getitem", operator.getitem, (self, key), {})

    def __array__(self, *args, **kwargs):
        return self.device.fetch("__array__", self.a)


def _operator(name):
    f = getattr(operator, name)
    return lambda *args: args[0].device.call(name.strip("_"), f, args, {})


def _reflected(name):
    f = getattr(operator, name)
    return lambda self, other: self.device.call(name.strip("_"), f, (other, self), {})


def _fetched(name, kind):
    return lambda self: self.device.fetch(name, kind(self.a))


for name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
):
    setattr(DeviceArray, f"__{name}__", _operator(f"__{name}__"))
    setattr(DeviceArray, f"__r{name}__", _reflected(f"__{name}__"))
for name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
    setattr(DeviceArray, f"__{name}__", _operator(f"__{name}__"))
for kind in (bool, int, float):
    setattr(DeviceArray, f"__{kind.__name__}__", _fetched(kind.__name__, kind))
DeviceArray.__hash__ = None


class Namespace:
    """array_api_compat.numpy for the device's arrays."""

    def __init__(self, device):
        self._device = device

    @functools.cache  # noqa: B019
    def __getattr__(self, name):
        f = getattr(array_api_compat.numpy, name)
        if isinstance(f, type) or not callable(f) or name in ("isdtype", "finfo", "iinfo", "result_type"):
            return f
        return lambda *args, **kwargs: self._device.call(name, f, args, kwargs)

    def asarray(self, a, dtype=None, device=None, copy=None):
        """From the host, one copy; a host value inside a recording would be read once and never again."""
        self._device.check("asarray")
        if isinstance(a, DeviceArray):
            return self._device.call("asarray", np.array, (a, dtype), {})
        return DeviceArray(np.array(self._device.fetch("asarray", a), dtype), self._device)

    def __hash__(self):
        return id(self)


class Library:
    """What the device's library has beside the namespace."""

    def __init__(self, device):
        self.device = device

    def sign(self, x):
        return self.device.call("own sign", np.sign, (x,), {})


class DeviceBackend(Backend):
    """The backend of an imaginary device; `capture=True` records and replays steps."""

    name = "device"

    def __init__(self, dtype="float32", capture=False, scoped=False):
        self.board, self.capture = Device(scoped), capture
        super().__init__("cpu", dtype)

    def load(self):
        return Recordable(Namespace(self.board), Library(self.board))

    def version(self):
        return "1"

    def owns(self, a):
        return isinstance(a, DeviceArray)

    def to_numpy(self, a):
        return np.array(self.board.fetch("to_numpy", a.a)) if self.owns(a) else np.asarray(a)

    @contextlib.contextmanager
    def device_context(self):
        self.board.depth += 1
        try:
            with np.errstate(all="ignore"):
                yield
        finally:
            self.board.depth -= 1

    def scalar(self, value, dtype=None):
        return self.xp.full((), value, dtype=dtype or self.dtype)

    def matmul(self, a, b, out=None):
        return self.board.call("own matmul", operator.matmul, (a, b), {})

    def compile(self, step, donated=(), resident=(), static=()):
        return Captured(step, TapeRecorder(self.board), donated, resident) if self.capture else step


class WritingBackend(DeviceBackend):
    """One whose kernels write: gradients into their places, updates into what they were given, unless forbidden."""

    condition = None

    def buffer(self, size):
        return self.xp.empty(size, dtype=self.dtype)

    def matmul(self, a, b, out=None):
        y = super().matmul(a, b)
        if out is None:
            return y
        self.board.write(out.a, y.a)
        return out

    def concat_flat(self, out, parts, places):
        for part, place in zip(parts, places, strict=True):
            if part is not place:
                self.board.write(place.a, part.a)
        return out

    def elementwise(self, rule, given, vectors, loop=None):
        new = rule(*given, *vectors)
        for old, one in zip(vectors, new, strict=True):
            self.board.write(old.a, self.xp.where(self.condition, one, old).a)
        return vectors

    def cond(self, ok, then, tree):
        self.condition = ok
        new = then(tree)
        return {k: new[k] if new[k] is a else self.xp.where(ok, new[k], a) for k, a in tree.items()}


def rubbish(a):
    a[...] = True if a.dtype == bool else np.nan if a.dtype.kind == "f" else 77


class TapeRecorder:
    """Recording on the imaginary device."""

    def __init__(self, board):
        self.board, self.log, self.fail = board, [], None

    def note(self, what):
        """Into the log, unless it is what has to fail."""
        if self.fail == what:
            raise RuntimeError(f"{what} failed")
        self.log.append(what)

    def is_array(self, a):
        return isinstance(a, DeviceArray)

    def place(self, a):
        return a.a.__array_interface__["data"][0], a.a.strides

    def overlap(self, a, b):
        return np.may_share_memory(a.a, b.a)

    def whole(self, a):
        return a.a.flags.c_contiguous and a.a.flags.writeable

    def like(self, a):
        if self.fail == "like":
            raise RuntimeError("like failed")
        new = np.empty(a.shape, a.dtype)
        rubbish(new)
        if self.board.tape is not None:
            self.board.scratch.append(new)
        return DeviceArray(new, self.board)

    def copy(self, target, source):
        self.board.write(target.a, source.a)

    def room(self):
        self.note("room")
        return TapeRoom(self)

    def follow(self):
        self.note("follow")


class TapeRoom:
    """The memory and the tape of one recording."""

    def __init__(self, recorder):
        self.recorder, self.board = recorder, recorder.board

    def __enter__(self):
        self.recorder.note("enter")

    def __exit__(self, *error):
        self.recorder.note("exit")

    def begin(self):
        self.recorder.note("begin")
        self.board.tape, self.board.scratch = [], []

    def end(self):
        tape, scratch = self.board.tape, self.board.scratch
        self.board.tape, self.board.scratch = None, []
        self.recorder.note("end")

        def launch():
            self.recorder.note("launch")
            for a in scratch:
                rubbish(a)
            for operation in tape:
                operation()

        launch.length = len(tape)
        return launch

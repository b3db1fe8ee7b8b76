"""cuBLASLt as its header describes it, over the host's memory: columns, leading dimensions, steps, epilogues."""

import ctypes
from types import SimpleNamespace

import numpy as np

from xpnn.backends.cuda import cublaslt
from xpnn.backends.cuda.cublaslt import CublasLt

TYPES = {0: np.float32, 1: np.float64, 14: np.uint16}
MAY = {(0, 0): (68, 77), (1, 1): (70,), (14, 0): (68,)}
"""{(operands, result): ways to compute it}."""


class Placed(np.ndarray):
    """An array that says where it lies, as CuPy's do."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])


def placed(a):
    return np.asarray(a).view(Placed)


def empty(shape, dtype=np.float32):
    """NaN, at an address that 512 divides, as CuPy's pool gives it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 512, np.uint8)
    start = -memory.__array_interface__["data"][0] % 512
    out = memory[start : start + size].view(dtype).reshape(shape).view(Placed)
    out[...] = np.nan if out.dtype.kind == "f" else 0
    return out


def copied(a, dtype=None):
    out = empty(np.shape(a), dtype or np.asarray(a).dtype)
    out[...] = a
    return out


class FakeStream:
    ptr, capturing = 5, False

    def is_capturing(self):
        return self.capturing


def narrow(x):
    """float32 to the bits of bf16, rounded by way of whole numbers: another road than the kernel's."""
    bits = np.ascontiguousarray(x).view(np.uint32).astype(np.uint64)
    below = bits & 0xFFFF
    upper = bits >> 16
    up = (below > 0x8000) | ((below == 0x8000) & (upper % 2 == 1))
    return copied((upper + up).astype(np.uint16))


def widen(a):
    """bf16 to float32; other numbers as they are."""
    return (a.astype(np.uint32) << 16).view(np.float32) if a.dtype == np.uint16 else a


def fake_cupy():
    """As much of CuPy as Products takes."""
    stream = FakeStream()
    buffers = []

    def alloc(size):
        buffers.append(empty(size, np.uint8))
        return buffers[-1].data

    return SimpleNamespace(
        empty=empty,
        empty_like=lambda a: empty(a.shape, a.dtype),
        full_like=lambda a, value: copied(np.full(a.shape, value, a.dtype)),
        ascontiguousarray=copied,
        broadcast_to=lambda a, shape: placed(np.broadcast_to(a, shape)),
        isnan=np.isnan,
        ElementwiseKernel=lambda *_: narrow,
        cuda=SimpleNamespace(get_current_stream=lambda: stream, alloc=alloc),
        stream=stream,
        buffers=buffers,
    )


class FakeLt(CublasLt):
    """The calls, on descriptions kept here. refuse: epilogues without an algorithm; drops_nan: ReLU as fmax."""

    def __init__(self, refuse=(), drops_nan=False, workspace=0):
        self.things, self.count, self.refuse, self.drops_nan = {}, 0, refuse, drops_nan
        self.workspace, self.log, self.failing, self.aligned, self.vectors = workspace, [], {}, [], []
        self.library = SimpleNamespace(cublasLtGetStatusName=lambda code: f"STATUS_{code}".encode())

    def ask(self, name, *args):
        assert len(args) == len(cublaslt.SIGNATURES[name])
        self.log.append(name)
        if name in self.failing:
            return self.failing[name]
        if name.endswith("SetAttribute"):
            owner, attribute, value, size = args
            assert size == ctypes.sizeof(value._obj)
            self.things[owner.value][attribute] = value._obj.value
            return 0
        if name.endswith("Destroy"):
            del self.things[args[0].value]
            return 0
        if name.endswith("Create"):
            made, *about = args
            made._obj.value = self.count = self.count + 1
            self.things[made._obj.value] = {"about": about}
            return 0
        return self.choose(*args) if name == "MatmulAlgoGetHeuristic" else self.multiply(*args)

    def choose(self, handle, work, a, b, c, d, wanted, many, found, count):
        assert many == 1
        assert self.things[wanted.value][1] == 32 << 20
        about = self.things[work.value]
        if about[7] in self.refuse:
            return 15
        assert (8 in about) == (about[7] != 1)
        found._obj.algo[0] = len(self.aligned)
        self.vectors.append(min(about.get(8, 256) & -about.get(8, 256), 256))
        self.aligned.append([self.things[wanted.value][i] for i in (5, 6, 7, 8)])
        found._obj.workspace, found._obj.state, count._obj.value = self.workspace, 0, 1
        return 0

    def matrices(self, address, layout):
        """The memory of a layout, by columns: (batch, columns, lead) and how many rows count."""
        about = self.things[layout.value]
        dtype, rows, cols, lead = about["about"]
        kind, batch, step = np.dtype(TYPES[dtype]), about.get(5, 1), about.get(6, 0)
        assert lead >= rows
        last = (batch - 1) * step + (cols - 1) * lead + rows
        memory = np.frombuffer((ctypes.c_byte * (last * kind.itemsize)).from_address(address), kind)
        strides = [s * kind.itemsize for s in (step, 1, lead)]
        return np.lib.stride_tricks.as_strided(memory, (batch, rows, cols), strides)

    def multiply(
        self, handle, work, one, a, la, b, lb, nothing, c, lc, d, ld, algorithm, workspace, size, stream
    ):
        about = self.things[work.value]
        compute, scale = about["about"]
        assert (one._obj.value, nothing._obj.value) == (1, 0)
        inner, outer = self.things[la.value]["about"][0], self.things[ld.value]["about"][0]
        assert compute in MAY[inner, outer]
        assert scale == outer
        assert (c, lc) == (d, ld)
        assert size == self.workspace
        assert (workspace is None) == (size == 0)
        assert stream == FakeStream.ptr
        for address, least in zip((a, b, c, d), self.aligned[algorithm.algo[0]], strict=True):
            assert address % least == 0
        assert about.get(8, 256) % self.vectors[algorithm.algo[0]] == 0
        first, second = widen(self.matrices(a, la)), widen(self.matrices(b, lb))
        first = first.swapaxes(1, 2) if about.get(3, 0) else first
        second = second.swapaxes(1, 2) if about.get(4, 0) else second
        with np.errstate(all="ignore"):
            y = first @ second
            if about[7] & 256:
                assert about[8] % 16 == 0
                kind = TYPES[outer]
                sums = (ctypes.c_byte * (first.shape[1] * kind().itemsize)).from_address(about[8])
                np.frombuffer(sums, kind)[:] = first.sum(axis=(0, 2))
            if about[7] & 4:
                kind = TYPES[outer]
                (rows,) = y.shape[1:2]
                assert about[8] % 16 == 0
                bias = np.frombuffer((ctypes.c_byte * (rows * kind().itemsize)).from_address(about[8]), kind)
                y = y + bias[:, None]
            if about[7] & 2:
                y = np.fmax(y, 0) if self.drops_nan else np.maximum(y, 0)
        self.matrices(d, ld)[...] = y
        return 0

"""cuBLASLt as its header describes it, over the host's memory: columns, leading dimensions, steps, epilogues."""

import ctypes
from types import SimpleNamespace

import numpy as np

from xpnn.backends.cuda import cublaslt
from xpnn.backends.cuda import matmul as by_cublas
from xpnn.backends.cuda.cublaslt import PLAIN, CublasLt
from xpnn.backends.cuda.products import Products

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
    """NaN or rubbish, at an address that 512 divides, as CuPy's pool gives it."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(size + 512, np.uint8)
    start = -memory.__array_interface__["data"][0] % 512
    out = memory[start : start + size].view(dtype).reshape(shape).view(Placed)
    out[...] = np.nan if out.dtype.kind == "f" else 0xA5
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


class FakeCore:
    """How CuPy's own products are computed: one setting for the whole process."""

    _routines_linalg = SimpleNamespace(COMPUTE_TYPE_FP32=4)

    def __init__(self):
        self.kind = 1

    def get_compute_type(self, dtype):
        assert dtype == np.float32
        return self.kind

    def set_compute_type(self, dtype, kind):
        assert dtype == np.float32
        self.kind = kind


def fake_cupy():
    """As much of CuPy as our products take."""
    stream = FakeStream()
    buffers, cast = [], []

    def elementwise(inputs, outputs, body, name):
        f = {"xpnn_to_bf16": narrow, "xpnn_from_bf16": lambda a: placed(widen(a))}[name]

        def call(a):
            assert [f"{a.dtype} x"] == [inputs]
            cast.append((name, a.shape))
            return f(a)

        return call

    def alloc(size):
        buffers.append(empty(size, np.uint8))
        return buffers[-1].data

    return SimpleNamespace(
        empty=empty,
        zeros_like=lambda a: copied(np.zeros(a.shape, a.dtype)),
        empty_like=lambda a: empty(a.shape, a.dtype),
        full_like=lambda a, value: copied(np.full(a.shape, value, a.dtype)),
        ascontiguousarray=copied,
        broadcast_to=lambda a, shape: placed(np.broadcast_to(a, shape)),
        isnan=np.isnan,
        ElementwiseKernel=elementwise,
        cast=cast,
        cuda=SimpleNamespace(get_current_stream=lambda: stream, alloc=alloc),
        _core=FakeCore(),
        stream=stream,
        buffers=buffers,
    )


class Lying(Products):
    """Of arrays that do not say where they lie."""

    def __call__(self, a, b, out=None, epilogue=PLAIN, vector=None, relu_mask=None):
        a, b, home, vector = (None if m is None else placed(m) for m in (a, b, out, vector))
        y = super().__call__(a, b, home, epilogue, vector, relu_mask)
        return y if y is None else np.asarray(y) if out is None else out


class CublasKernels:
    """The kernels that multiply by cuBLASLt, to be inherited before the class of another backend."""

    operand = by_cublas.operand
    matmul = by_cublas.matmul
    affine = by_cublas.affine
    affine_relu = by_cublas.affine_relu
    affine_relu_with_mask = by_cublas.affine_relu_with_mask
    affine_grads = by_cublas.affine_grads


class FakeLt(CublasLt):
    """The calls, on descriptions kept here. refuse: epilogues without an algorithm; drops_nan: ReLU as fmax."""

    def __init__(self, refuse=(), drops_nan=False, workspace=0, masks_0=False, bits="little"):
        self.masks_0, self.bits = masks_0, [bits, "little"]
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
        assert (8 in about) == (about[7] not in (1, 136))
        assert (11 in about) == (12 in about) == (about[7] in (134, 136))
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

    def relu_mask(self, about, batch, rows, columns):
        """The bits of a result, column by column."""
        lead = about[12]
        assert batch == 1
        assert lead % 128 == about[11] % 16 == 0
        assert lead >= rows
        memory = (ctypes.c_uint8 * (columns * lead // 8)).from_address(about[11])
        return np.frombuffer(memory, np.uint8).reshape(columns, lead // 8)

    def multiply(
        self, handle, work, one, a, la, b, lb, nothing, c, lc, d, ld, algorithm, workspace, size, stream
    ):
        about = self.things[work.value]
        compute, scale = about["about"]
        assert (one._obj.value, nothing._obj.value) in ((1, 0), (0, 1))
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
            y = first @ second if one._obj.value else self.matrices(d, ld).copy()
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
            if about[7] in (134, 136):
                relu_mask = self.relu_mask(about, *y.shape)
            if about[7] == 134:
                above = y >= 0 if self.masks_0 else y > 0
                relu_mask[:, : -(-y.shape[1] // 8)] = np.packbits(above[0].T, axis=1, bitorder=self.bits[0])
            if about[7] == 136:
                above = np.unpackbits(relu_mask, axis=1, count=y.shape[1], bitorder=self.bits[1]).T
                y = np.where(above[None], y, 0)
            elif about[7] & 2:
                y = np.fmax(y, 0) if self.drops_nan else np.maximum(y, 0)
        self.matrices(d, ld)[...] = y
        return 0

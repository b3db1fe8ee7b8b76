"""The CUDA kernels' own text on the CPU: no GPU, the same source, compiled by g++ against `emulation.h`.

Each launch runs twice, the threads in order and backwards, on copies of its arrays that lie between guard zones of
bytes that no array holds; both runs must write the same bytes, and none beyond an array.
"""

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from xpnn.backends.cuda.fused import FusedKernels
from xpnn.backends.cuda.fused.source import KERNELS, text

HERE, GUARD = Path(__file__).parent, 256
COMMAND = [
    "g++",
    "-std=c++17",
    "-O1",
    "-shared",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fsanitize=undefined",
    "-fno-sanitize-recover=undefined",
    f"-I{HERE}",
]
"""With checks for what a GPU refuses or leaves open, such as an address that is not aligned: it ends the process."""
FAULTS = {1: "a thread left its warp before a shuffle", 2: "threads wait for one another for ever"}
ONE_AT_A_TIME = threading.Lock()
"""There is one thread index for all."""

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="g++ is not installed, which runs CUDA kernels"
)


def compiled(source, names):
    """Kernels as a shared library, kept in a folder of this user under the hash of what it was made of."""
    wrappers = "".join(f"EMULATE({name})\n" for name in names)
    source = f'#include "emulation.h"\nnamespace {{\n{source}}}\n{wrappers}'
    parts = "|".join((source, (HERE / "emulation.h").read_text(), *COMMAND))
    folder = Path(tempfile.gettempdir()) / f"xpnn-emulation-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{hashlib.sha256(parts.encode()).hexdigest()[:32]}.so"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            Path(own, "kernels.cpp").write_text(source)
            subprocess.run([*COMMAND, "-o", f"{own}/k.so", f"{own}/kernels.cpp"], check=True)
            Path(own, "k.so").replace(target)
    return ctypes.CDLL(str(target))


@functools.cache
def library(file, dtype, defines=()):
    """The kernels of one of the package's files."""
    return compiled(
        text(file, dtype, defines), [name for name, kernel in KERNELS.items() if kernel.file == file]
    )


class Guarded:
    """A copy of an array between guard zones, at an address of the same alignment.

    The zones of each array are full of a word of its own: NaN as a float of any size, negative as a whole number.
    """

    def __init__(self, a, number):
        self.source = a
        words = np.full((a.nbytes + 2 * GUARD) // 4 + 8, 0xFFF80001 + number, np.uint32)
        self.zone = words.view(np.uint8)
        self.start = GUARD + (a.ctypes.data - self.zone.ctypes.data - GUARD) % 16
        self.before = self.zone.copy()
        self.address = self.zone.ctypes.data + self.start
        self.inside = self.zone[self.start : self.start + a.nbytes]
        self.inside[:] = a.reshape(-1).view(np.uint8)

    def is_within(self):
        end = self.start + self.source.nbytes
        return all(
            np.array_equal(self.zone[part], self.before[part]) for part in (np.s_[: self.start], np.s_[end:])
        )

    def give_back(self):
        old = self.source.reshape(-1).view(np.uint8)
        if not np.array_equal(old, self.inside):
            old[:] = self.inside


def run(library, name, grid, block, args):
    """Both runs of a launch; the arrays are those of the first."""
    shape = (ctypes.c_int * 4)(*(*grid, 1)[:2], *(*block, 1)[:2])
    kinds = {int: ctypes.c_int64, float: ctypes.c_double}
    args = [np.asarray(a) if isinstance(a, np.generic) else a for a in args]
    arrays = {id(a): a for a in args if isinstance(a, np.ndarray)}
    assert all(a.flags.c_contiguous for a in arrays.values()), f"{name}: an array with gaps"
    runs = []
    for backwards in (0, 1):
        copies = {key: Guarded(a, number) for number, (key, a) in enumerate(arrays.items())}
        values = [
            ctypes.c_void_p(copies[id(a)].address) if id(a) in copies else kinds[type(a)](a) for a in args
        ]
        pointers = (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values))
        with ONE_AT_A_TIME:
            fault = getattr(library, f"emulate_{name}")(shape, backwards, pointers)
        assert not fault, f"{name}: {FAULTS[fault]}"
        assert all(copy.is_within() for copy in copies.values()), f"{name} wrote beyond an array"
        runs.append(copies)
    for key, copy in runs[0].items():
        same = np.array_equal(copy.inside, runs[1][key].inside)
        assert same, f"{name}: what it wrote depends on the order of its threads"
        copy.give_back()


class EmulatedBackend(FusedKernels):
    """NumPy's arrays and everything else; CUDA's kernels, whose launches it counts."""

    name = "emulated"
    processors = 1

    def load(self):
        import array_api_compat.numpy as xp

        self.launched = Counter()
        return xp

    def owns(self, a):
        return type(a) is np.ndarray

    def device_context(self):
        return np.errstate(all="ignore")

    def empty(self, shape, dtype):
        """Full of bytes that no kernel writes: NaN, -1."""
        out = np.empty(shape, dtype)
        out.reshape(-1).view(np.uint8)[:] = 0xFF
        return out

    def launch(self, name, grid, args, **defines):
        self.launched[name] += 1
        kernel = KERNELS[name]
        run(library(kernel.file, self.dtype_name, tuple(defines.items())), name, grid, kernel.block, args)


@functools.cache
def emulated(dtype):
    return EmulatedBackend("cpu", dtype)

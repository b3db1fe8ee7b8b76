"""How the CuPy backend launches kernels, with a stand-in for CuPy: what is compiled, when, and with which blocks."""

import types

from xpnn.backends.cuda.fused.source import KERNELS
from xpnn.backends.cupy import CupyBackend


def backend():
    """A CuPy backend that came to be without CuPy; `seen` lists what it compiled and what it launched."""
    seen = []

    class RawModule:
        def __init__(self, code, options):
            self.code = code
            seen.append(("compile", options, code.splitlines()[0]))

        def get_function(self, name):
            assert f" {name}(" in self.code
            return lambda *launch: seen.append((name, *launch))

    be = object.__new__(CupyBackend)
    be.dtype_name, be.cupy = "float32", types.SimpleNamespace(RawModule=RawModule)
    be.device = types.SimpleNamespace(attributes={"MultiProcessorCount": 132})
    return be, seen


def test_a_file_is_compiled_once_for_all_its_kernels():
    be, seen = backend()
    be.launch("relu", (3,), (1, 2))
    be.launch("mask", (4,), ())
    be.launch("relu", (5,), ())
    assert seen == [
        ("compile", ("-std=c++17",), "typedef float real;"),
        ("relu", (3,), (256,), (1, 2)),
        ("mask", (4,), (256,), ()),
        ("relu", (5,), (256,), ()),
    ]


def test_macros_make_another_program():
    be, seen = backend()
    for size in (3, 5, 3):
        be.launch("conv1", (2, 1), (), KH=size, KW=2)
    assert [row for row in seen if row[0] == "compile"] == [
        ("compile", ("-std=c++17",), f"#define KH {size}") for size in (3, 5)
    ]
    assert seen[-1] == ("conv1", (2, 1), (32, 8), ())


def test_the_grid_is_bounded_by_the_gpu():
    be, seen = backend()
    for n in (1, 256, 257, 10**9):
        be.launch_over("relu", n)
    assert [grid for name, grid, *_ in seen if name == "relu"] == [(1,), (1,), (2,), (8 * 132,)]


def test_every_kernel_of_the_table_is_in_its_file():
    be, _ = backend()
    for name, kernel in KERNELS.items():
        be.launch(name, (1,), (), **({"KH": 3, "KW": 3} if kernel.file == "conv1" else {}))

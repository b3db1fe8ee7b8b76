"""What the C libraries of NumPy's process are asked for: by stand-ins that note it."""

import ctypes
import runpy
import types

import numpy as np
import pytest

from xpnn.backends.cpu import allocator, axpy, blas, predictions, spinning, updates
from xpnn.backends.cuda import driver

RNG = np.random.default_rng(11)


class Library:
    """A shared library whose functions note their calls and return what is given."""

    def __init__(self, **results):
        self.calls = []
        for name, result in results.items():
            setattr(self, name, self.function(name, result))

    def function(self, name, result):
        def call(*args):
            self.calls.append((name, *args))
            if isinstance(result, Exception):
                raise result
            return result() if callable(result) else result

        return call


# Freed memory is kept


@pytest.mark.parametrize(("results", "kept"), [((1, 1), True), ((0, 1), False), ((1, 0), False)])
@pytest.mark.parametrize("linux", [True, False])
def test_memory_is_kept_up_to_a_gibibyte(monkeypatch, results, kept, linux):
    """mallopt's numbers are those of malloc.h: 0 says that it refuses. Large pages are asked for where it does not."""
    answers, advised = iter(results), []
    library = Library(mallopt=lambda: next(answers))
    monkeypatch.setattr(ctypes, "CDLL", {None: library}.__getitem__)
    monkeypatch.setattr(allocator, "mmap", types.SimpleNamespace(MADV_HUGEPAGE=14) if linux else None)
    monkeypatch.setattr(allocator, "_ask_for_large_pages", advised.append)
    assert allocator.keep_memory() is kept
    assert library.calls == [("mallopt", -3, 1 << 30), ("mallopt", -1, 1 << 30)][: 1 + results[0]]
    assert advised == [14] * (kept and linux)


LARGE = 1 << 21


@pytest.mark.parametrize(
    ("start", "first", "size"),
    [
        (2 * LARGE, 2 * LARGE, 1 << 28),
        (LARGE + 1, 2 * LARGE, (1 << 28) - LARGE),
        (2 * LARGE - 16, 2 * LARGE, (1 << 28) - LARGE),
    ],
)
def test_whole_large_pages_of_the_heaps_end_are_advised(monkeypatch, start, first, size):
    library = Library()
    for name, result in (("malloc", start), ("madvise", 0), ("free", None)):
        noted = library.function(name, result)
        setattr(library, name, noted)
    monkeypatch.setattr(ctypes, "CDLL", {None: library}.__getitem__)
    allocator._ask_for_large_pages.__wrapped__(14)
    assert library.calls == [("malloc", 1 << 28), ("madvise", first, size, 14), ("free", start)]
    address, count = ctypes.c_void_p, ctypes.c_size_t
    assert (library.malloc.restype, library.malloc.argtypes) == (address, (count,))
    assert (library.free.argtypes, library.madvise.argtypes) == ((address,), (address, count, ctypes.c_int))


def test_where_no_memory_can_be_reserved_nothing_is_advised(monkeypatch):
    library = Library(malloc=None, madvise=0, free=None)
    monkeypatch.setattr(ctypes, "CDLL", {None: library}.__getitem__)
    allocator._ask_for_large_pages.__wrapped__(14)
    assert library.calls == [("malloc", 1 << 28)]


@pytest.mark.parametrize("error", [OSError("none"), TypeError("None")])
def test_without_glibc_memory_is_not_kept(monkeypatch, error):
    def refuse(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    assert allocator.keep_memory() is False
    monkeypatch.setattr(ctypes, "CDLL", lambda name: types.SimpleNamespace())
    assert allocator.keep_memory() is False


# OpenBLAS's threads


def threads(*names):
    return [types.SimpleNamespace(name=name) for name in names]


def openblas_of(monkeypatch, parallel=1, **more):
    """spin_briefly() on a stand-in, in a process of one thread; its calls, with the variable's value at each."""
    library, seen = Library(blas_thread_shutdown_=None, **more), []

    def noted(name, result=None):
        def call():
            seen.append((name, spinning.os.environ.get(spinning.VARIABLE)))
            if isinstance(result, Exception):
                raise result
            return result

        return call

    library.blas_thread_shutdown_ = noted("end threads")
    functions = {"get_parallel": [noted("kind", parallel)], "read_env": [noted("read", more.get("fault"))]}
    monkeypatch.setattr(spinning, "numpy_library", lambda: library)
    monkeypatch.setattr(spinning, "openblas", lambda name: functions[name])
    monkeypatch.setattr(spinning.threading, "enumerate", lambda: threads("MainThread", "xpnn-work_0"))
    monkeypatch.delenv(spinning.VARIABLE, raising=False)
    monkeypatch.setattr(spinning, "_restart_threads", spinning._restart_threads.__wrapped__)
    return library, functions, seen


RESTARTED = [("kind", None), ("read", "20"), ("end threads", None)]


def test_the_threads_are_restarted_with_a_shorter_timeout(monkeypatch):
    _, _, seen = openblas_of(monkeypatch)
    spinning.spin_briefly()
    assert seen == RESTARTED
    assert spinning.VARIABLE not in spinning.os.environ


def test_beside_other_threads_or_a_timeout_of_the_users_nothing_is_done(monkeypatch):
    _, _, seen = openblas_of(monkeypatch)
    monkeypatch.setattr(spinning.threading, "enumerate", lambda: threads("MainThread", "Thread-1"))
    spinning.spin_briefly()
    monkeypatch.setattr(spinning.threading, "enumerate", lambda: threads("MainThread"))
    monkeypatch.setenv(spinning.VARIABLE, "24")
    spinning.spin_briefly()
    assert seen == []


@pytest.mark.parametrize(
    "lacks", ["get_parallel", "read_env", "the end of threads", "threads of its own", "POSIX"]
)
def test_another_library_is_left_alone(monkeypatch, lacks):
    library, functions, seen = openblas_of(monkeypatch, parallel=2 if lacks == "threads of its own" else 1)
    if lacks in functions:
        functions[lacks] = None
    elif lacks == "the end of threads":
        del library.blas_thread_shutdown_
    elif lacks == "POSIX":
        monkeypatch.setattr(spinning.os, "name", "nt")
    spinning.spin_briefly()
    assert ("end threads", None) not in seen
    assert "read" not in dict(seen)


def test_the_variable_is_gone_where_the_library_fails(monkeypatch):
    _, _, seen = openblas_of(monkeypatch, fault=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        spinning.spin_briefly()
    assert spinning.VARIABLE not in spinning.os.environ
    assert seen == RESTARTED[:2]


# Which BLAS it is


def test_functions_are_found_under_the_names_of_numpys_wheels_and_of_others(monkeypatch):
    for name in ("scipy_openblas_f64_", "scipy_openblas_f", "openblas_f64_", "openblas_f"):
        library = types.SimpleNamespace(**{name: name, name.replace("_f", "_g"): "g"})
        monkeypatch.setattr(blas, "numpy_library", lambda library=library: library)
        assert blas.openblas("f", "g") == [name, "g"]
        assert blas.openblas("f", "missing") is None


def built_with(monkeypatch, name="scipy-openblas", version="0.3.30"):
    about = {"Build Dependencies": {"blas": {"name": name, "version": version}}}
    monkeypatch.setattr(np, "show_config", lambda mode: about)


def test_openblas_says_its_kernel_and_threads(monkeypatch):
    built_with(monkeypatch)
    asked = []

    class Function:
        def __init__(self, result):
            self.result = result

        def __call__(self):
            assert (self.argtypes, self.restype) == (
                [],
                ctypes.c_char_p if self.result == b"Zen" else ctypes.c_int,
            )
            return self.result

    def functions(*names):
        asked.append(names)
        return [Function(b"Zen"), Function(6)]

    monkeypatch.setattr(blas, "openblas", functions)
    assert blas.blas() == blas.Blas("OpenBLAS", "0.3.30", "Zen", 6)
    assert asked == [("get_corename", "get_num_threads")]


@pytest.mark.parametrize(
    ("about", "wanted"),
    [
        ({"Build Dependencies": {"blas": {"name": "mkl", "version": "2024"}}}, ("mkl", "2024")),
        ({"Build Dependencies": {}}, ("unknown", "")),
        ({}, ("unknown", "")),
        (None, ("unknown", "")),
    ],
)
def test_of_another_library_the_name_alone_is_known(monkeypatch, about, wanted):
    monkeypatch.setattr(np, "show_config", lambda mode: about)
    monkeypatch.setattr(blas, "openblas", lambda *names: None)
    assert blas.blas() == blas.Blas(*wanted, None, None)
    assert blas.thread_setter() is None
    monkeypatch.setattr(predictions, "thread_setter", lambda: None)
    read, use = predictions.setter.__wrapped__()
    assert (read(), use(5)) == (1, None)


@pytest.mark.parametrize(
    ("threads", "cores", "environment", "lines"),
    [
        (2, 2, {}, []),
        (1, 1, {"OPENBLAS_NUM_THREADS": "1"}, []),
        (1, 4, {}, ["BLAS uses 1 thread of 4 cores"]),
        (1, 2, {"OMP_NUM_THREADS": "1"}, ["BLAS uses 1 thread of 2 cores: OMP_NUM_THREADS=1"]),
        (
            1,
            2,
            {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            ["BLAS uses 1 thread of 2 cores: OPENBLAS_NUM_THREADS=1"],
        ),
        (None, 2, {"OPENBLAS_NUM_THREADS": "1"}, []),
        (1, 2, {"OPENBLAS_NUM_THREADS": "2"}, ["BLAS uses 1 thread of 2 cores"]),
        (
            2,
            2,
            {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_L2_SIZE": ""},
            [
                "OPENBLAS_CORETYPE=Prescott overrules what OpenBLAS finds out by itself: "
                "a kernel for an older processor can halve its speed; unset it"
            ],
        ),
    ],
)
def test_what_slows_products_down_is_said(monkeypatch, threads, cores, environment, lines):
    for name in (*blas.HOLDS, "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(blas, "usable_cores", lambda: cores)
    assert blas.warnings(blas.Blas("OpenBLAS", "0.3", "Zen", threads)) == lines


# y <- y + a x


def vector(n=5, dtype=np.float32):
    return RNG.standard_normal(n).astype(dtype)


def read_only(a):
    a.flags.writeable = False
    return a


FITTING = {
    "alike": (vector(), vector(), True),
    "double precision": (vector(dtype=np.float64), vector(dtype=np.float64), True),
    "x is read-only": (read_only(vector()), vector(), True),
    "y is read-only": (vector(), read_only(vector()), False),
    "other dtypes": (vector(), vector(dtype=np.float64), False),
    "whole numbers": (np.arange(5), np.arange(5), False),
    "half precision": (vector(dtype=np.float16), vector(dtype=np.float16), False),
    "other sizes": (vector(4), vector(5), False),
    "x has gaps": (vector(10)[::2], vector(), False),
    "y has gaps": (vector(), vector(10)[::2], False),
    "bytes of another order": (vector().astype(">f4"), vector().astype(">f4"), False),
    "x is not aligned": (np.zeros(21, np.uint8)[1:].view(np.float32), vector(), False),
    "y is not aligned": (vector(), np.zeros(21, np.uint8)[1:].view(np.float32), False),
}


@pytest.mark.parametrize("name", FITTING)
def test_which_vectors_blas_may_be_shown(name):
    x, y, fits = FITTING[name]
    assert axpy.fits(x, y) is fits


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_multiple_is_added_once_to_all_of_a_vector(dtype):
    add = axpy.axpy.__wrapped__(np.dtype(dtype))
    if add is None:
        pytest.skip("this BLAS has no 64-bit sizes in its names")
    room = np.arange(9, dtype=dtype)
    x, y = RNG.standard_normal(5).astype(dtype), room[2:7]
    wanted = y - np.dtype(dtype).type(0.25) * x
    assert add(-0.25, x, y) is None
    np.testing.assert_allclose(y, wanted, rtol=4 * np.finfo(dtype).eps)
    assert room[[0, 1, 7, 8]].tolist() == [0, 1, 7, 8]


@pytest.mark.parametrize(
    ("dtype", "letter", "number"), [("float32", "s", ctypes.c_float), ("float64", "d", ctypes.c_double)]
)
@pytest.mark.parametrize("prefix", ["scipy_cblas", "cblas"])
def test_blas_is_shown_sizes_addresses_and_steps(monkeypatch, dtype, letter, number, prefix):
    calls = []

    def f(*args):
        calls.append(args)

    monkeypatch.setattr(
        axpy, "numpy_library", lambda: types.SimpleNamespace(**{f"{prefix}_{letter}axpy64_": f})
    )
    add, x, y = axpy.axpy.__wrapped__(np.dtype(dtype)), np.ones(3, dtype), np.ones(3, dtype)
    add(-0.5, x, y)
    assert calls == [(3, -0.5, x.ctypes.data, 1, y.ctypes.data, 1)]
    pointer_and_step = ctypes.c_void_p, ctypes.c_int64
    assert f.argtypes == (ctypes.c_int64, number, *pointer_and_step, *pointer_and_step)
    assert f.restype is None


def test_without_such_a_function_numpy_descends(monkeypatch):
    monkeypatch.setattr(axpy, "numpy_library", lambda: types.SimpleNamespace(cblas_daxpy=None))
    assert axpy.axpy.__wrapped__(np.dtype("float64")) is None
    theta, grad = np.ones(3), np.arange(3.0)
    monkeypatch.setattr(updates, "axpy", lambda dtype: None)
    assert updates.descend_by_blas(theta, grad, 0.5) is False
    assert theta.tolist() == [1, 1, 1]
    monkeypatch.setattr(updates, "axpy", lambda dtype: lambda a, x, y: np.add(y, a * x, out=y))
    assert updates.descend_by_blas(theta, grad[:2], 0.5) is False
    assert updates.descend_by_blas(theta, grad, 0.5) is True
    assert theta.tolist() == [1, 0.5, 0]


# The NVIDIA driver


class Driver:
    """The driver's library: a status, and the number of its version."""

    def __init__(self, status, version):
        self.status, self.version = status, version

    def cuDriverGetVersion(self, found):  # noqa: N802, the driver's own name
        found._obj.value = self.version
        return self.status


@pytest.mark.parametrize(
    ("status", "version", "wanted"),
    [
        (0, 13000, (13, 0)),
        (0, 12040, (12, 4)),
        (0, 12081, (12, 8)),
        (1, 13000, None),
        (0, 0, None),
        (0, 10, (0, 1)),
    ],
)
@pytest.mark.parametrize("name", ["libcuda.so.1", "nvcuda.dll"])
def test_the_newest_cuda_of_a_driver(monkeypatch, status, version, wanted, name):
    def load(asked):
        if asked != name:
            raise OSError(asked)
        return Driver(status, version)

    monkeypatch.setattr(driver.ctypes, "CDLL", load)
    assert driver.driver_version() == wanted


def test_the_next_library_is_asked_if_one_gives_no_version(monkeypatch):
    found = {"libcuda.so.1": Driver(1, 13000), "nvcuda.dll": Driver(0, 12020)}
    monkeypatch.setattr(driver.ctypes, "CDLL", found.__getitem__)
    assert driver.driver_version() == (12, 2)


@pytest.mark.parametrize(
    ("version", "extra"),
    [(None, "cuda13"), ((11, 8), "cuda12"), ((12, 9), "cuda12"), ((13, 0), "cuda13"), ((14, 0), "cuda13")],
)
def test_the_extra_that_fits_a_driver(version, extra):
    assert driver.fitting_extra(version) == extra


@pytest.mark.parametrize(("version", "printed"), [(13000, "cuda13\n"), (12040, "cuda12\n"), (0, "")])
def test_as_a_program_it_prints_the_extra_for_the_driver(monkeypatch, capsys, version, printed):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Driver(0, version))
    runpy.run_path(driver.__file__, run_name="__main__")
    assert capsys.readouterr().out == printed


def test_every_distribution_of_cupy_is_found(monkeypatch):
    installed = {
        "cupy-cuda12x": "14.0",
        "cupy-cuda13x": "14.1",
        "cupy": "13.0",
        "cupy-cuda11x": "12.0",
        "cupy-wheel": "0",
    }

    def version(name):
        if name not in installed:
            raise driver.importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(driver.importlib.metadata, "version", version)
    assert driver.installed_cupy() == installed
    for name in ("cupy-cuda12x", "cupy"):
        del installed[name]
        assert driver.installed_cupy() == installed

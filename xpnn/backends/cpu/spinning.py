"""OpenBLAS's threads wait for the next product by spinning: for how long, before they sleep.

By itself it is 2^26 cycles, about 20 ms, in which they take a core from whatever is computed between two products:
numba's loops on a second thread (`workers.py`), or another process.
"""

import functools
import os
import threading

from xpnn.backends.cpu.blas import numpy_library, openblas
from xpnn.backends.cpu.workers import NAME

CYCLES = 20
"""They sleep after 2^20 cycles, about 0.4 ms: longer than the pauses between the products of a small step."""
VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
PTHREADS = 1
"""`openblas_get_parallel()` of an OpenBLAS with threads of its own; those of OpenMP wait by other rules."""


def spin_briefly() -> None:
    """OpenBLAS's threads sleep after 2^20 cycles without a product, from now on and in the whole process.

    Nothing is done where OPENBLAS_THREAD_TIMEOUT is set, where NumPy has another library, or as long as there are
    other Python threads: one of them could be inside a product. Our own helpers are in none between two steps.
    """
    others = [one for one in threading.enumerate() if not one.name.startswith(NAME)]
    if VARIABLE not in os.environ and len(others) == 1:
        _restart_threads()


@functools.cache
def _restart_threads() -> None:
    """The timeout is read when threads start: they are ended here, and the next product starts them, as in a fork."""
    library, parallel, read_env = numpy_library(), openblas("get_parallel"), openblas("read_env")
    end_threads = getattr(library, "blas_thread_shutdown_", None)
    if os.name != "posix" or not (parallel and read_env and end_threads) or parallel[0]() != PTHREADS:
        return
    os.environ[VARIABLE] = str(CYCLES)
    try:
        read_env[0]()
    finally:
        del os.environ[VARIABLE]
    end_threads()

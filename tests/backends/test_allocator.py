"""Freed memory stays with the process, in large pages, once that is asked for, and only then."""

import mmap
import platform
import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = """
import resource, sys
import numpy as np
import xpnn

if "keep" in sys.argv:
    assert xpnn.keep_memory()

def work():
    for _ in range(20):
        a = [np.ones(2**20, np.float32) for _ in range(8)]  # 4 MiB each: from the system, unless kept
        del a

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
LARGE = """
import sys
import numpy as np
import xpnn

if "keep" in sys.argv:
    assert xpnn.keep_memory()
    assert xpnn.keep_memory()
several = [np.ones(2**18, np.float32) for _ in range(4)]  # 1 MiB: from 4 on NumPy itself asks for large pages
place, inside = several[-1].ctypes.data, False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0]:
        start, stop = (int(end, 16) for end in line.split()[0].split("-"))
        inside = start <= place < stop
    elif inside and line.startswith("VmFlags:"):
        print("hg" in line.split())
"""


def printed(script, *args):
    run = [sys.executable, "-c", script, *args]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip()


def faults(*args):
    return int(printed(FAULTS, *args))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_kept_memory_is_not_faulted_in_again():
    """20 rounds of 8 arrays of 1,024 pages; importing xpnn alone changes nothing."""
    assert faults() > 1000
    assert faults("keep") < 100


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc"
    or not hasattr(mmap, "MADV_HUGEPAGE")
    or not Path("/sys/kernel/mm/transparent_hugepage").is_dir(),
    reason="no glibc, or a system without large pages",
)
def test_small_arrays_are_in_large_pages_where_memory_is_kept():
    """What the system was advised of for the memory of an array that came afterwards."""
    assert printed(LARGE) == "False"
    assert printed(LARGE, "keep") == "True"

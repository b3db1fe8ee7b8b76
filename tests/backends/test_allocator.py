"""Freed memory stays with the process once that is asked for, and only then."""

import platform
import subprocess
import sys

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


def faults(*args):
    run = [sys.executable, "-c", FAULTS, *args]
    return int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="no glibc")
def test_kept_memory_is_not_faulted_in_again():
    """20 rounds of 8 arrays of 1,024 pages; importing xpnn alone changes nothing."""
    assert faults() > 1000
    assert faults("keep") < 100

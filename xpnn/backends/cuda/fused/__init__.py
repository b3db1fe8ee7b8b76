"""Kernels written in CUDA C++, for arrays on an NVIDIA GPU: each an override of a reference kernel of `xpnn.kernels`.

The sources lie beside this file, one idea to a file, and are compiled by NVRTC when a kernel is first launched. A
backend inherits `FusedKernels` and says how one is launched.
"""

from xpnn.backends.cuda.fused.pointwise import PointwiseKernels
from xpnn.backends.cuda.fused.rows import RowKernels
from xpnn.backends.cuda.fused.update import UpdateKernels
from xpnn.backends.cuda.fused.windows import FusedWindows

__all__ = ["FusedKernels"]


class FusedKernels(UpdateKernels, FusedWindows, PointwiseKernels, RowKernels):
    """The tables of these kernels, one before the other."""

"""NCCL by CuPy, for the sums of arrays on GPUs; MPI for everything else. Written by the manual, and not yet run."""

from typing import Any

from xpnn.backends.base import Backend
from xpnn.distributed.mpi import MPICommunicator
from xpnn.errors import BackendError, first_line
from xpnn.kernels import Array

TYPES = {"float32": "NCCL_FLOAT32", "float64": "NCCL_FLOAT64", "int64": "NCCL_INT64"}


class NCCLCommunicator(MPICommunicator):
    """One GPU for each process: number `rank` of its host. Rank 0 makes NCCL's id, MPI hands it to the others.

    Arrays of CuPy are summed where they are, on the current stream; others as MPICommunicator does.
    Raises BackendError without CuPy's NCCL. Source: NCCL's user guide, "Creating a Communicator".
    """

    engine = "nccl"

    def __init__(self) -> None:
        super().__init__()
        try:
            import cupy
            from cupy.cuda import nccl
        except ImportError as error:
            raise BackendError(
                "NCCL needs CuPy with NCCL", why=first_line(error), fix="pip install 'xpnn[nccl]'"
            ) from error
        local = self.comm.Split_type(self.mpi.COMM_TYPE_SHARED)
        cupy.cuda.Device(local.Get_rank() % cupy.cuda.runtime.getDeviceCount()).use()
        self.cupy: Any = cupy
        self.nccl: Any = nccl
        unique = self.comm.bcast(nccl.get_unique_id() if self.rank == 0 else None)
        self.device_group = nccl.NcclCommunicator(self.size, unique, self.rank)

    def reduce(self, be: Backend, a: Array) -> Array:
        if be.name != "cupy" or str(a.dtype) not in TYPES:
            return super().reduce(be, a)
        a = self.cupy.ascontiguousarray(a)
        kind = getattr(self.nccl, TYPES[str(a.dtype)])
        stream = self.cupy.cuda.get_current_stream().ptr
        self.device_group.allReduce(a.data.ptr, a.data.ptr, a.size, kind, self.nccl.NCCL_SUM, stream)
        return a

    def abort(self, code: int) -> None:
        """NCCL's communicator first: a kernel that waits for the others would hold up the end of this process."""
        self.device_group.abort()
        super().abort(code)

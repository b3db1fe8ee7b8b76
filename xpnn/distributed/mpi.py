"""MPI by mpi4py: `mpiexec -n 4 ...`, or srun with pmi."""

from typing import Any

import numpy as np

from xpnn.distributed.communicator import Communicator, Host
from xpnn.distributed.rendezvous import flush_and_discard, import_mpi, timeout, wait_for_all
from xpnn.errors import BackendError, first_line


class MPICommunicator(Communicator):
    """All processes of MPI_COMM_WORLD, by a communicator of its own. Raises BackendError without mpi4py or a library.

    Sums are made in place in the arrays' own memory. What MPI does with an error, it does: it ends the processes. So it
    is where one of them does not come within that many seconds.
    """

    engine = "mpi"

    def __init__(self, seconds: float | None = None) -> None:
        seconds = timeout() if seconds is None else seconds
        try:
            self.mpi: Any = import_mpi(seconds)
        except (ImportError, RuntimeError) as error:
            missing = isinstance(error, ModuleNotFoundError)
            raise BackendError(
                "MPI needs mpi4py, which is not installed" if missing else "mpi4py finds no MPI library",
                why="" if missing else first_line(error),
                fix="pip install 'xpnn[mpi]', or mpi4py built for the cluster's own MPI",
            ) from error
        wait_for_all(self.mpi, seconds)
        self.comm = self.mpi.COMM_WORLD.Dup()
        self.rank, self.size = self.comm.Get_rank(), self.comm.Get_size()

    def add(self, a: Host) -> None:
        """MPI_Allreduce, in place."""
        self.comm.Allreduce(self.mpi.IN_PLACE, a)

    def broadcast(self, a: Host, root: int = 0) -> None:
        self.comm.Bcast(a, root)

    def exchange(self, a: Host) -> Host:
        out = np.empty_like(a)
        self.comm.Alltoall(a, out)
        return out

    def collect(self, a: Host) -> Host:
        out = np.empty((self.size, *a.shape), a.dtype)
        self.comm.Allgather(a, out)
        return out

    def abort(self, code: int) -> None:
        """MPI_Abort."""
        flush_and_discard()
        self.mpi.COMM_WORLD.Abort(code)

"""JAX's own processes: `jax.distributed`, and sums by `jax.lax.psum` inside the compiled step."""

import contextlib
import copy
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from xpnn.backends.base import Backend, missing
from xpnn.backends.share import Share
from xpnn.distributed.communicator import Communicator, Host
from xpnn.distributed.jax_backend import AXIS
from xpnn.errors import BackendError, UsageError, first_line
from xpnn.kernels import Array

ADDRESS, COUNT, NUMBER = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
"""Environment variables that say where process 0 listens, how many there are, and which this one is."""
HEARTBEAT = 10
"""Seconds after which a process that is no longer heard of ends the others."""


class JaxCommunicator(Communicator):
    """The processes of `jax.distributed`, one device of each: gloo between CPUs, NCCL between GPUs.

    Where the script has not called `jax.distributed.initialize` itself, it is called here: by the three environment
    variables, by what JAX finds out under Slurm and Open MPI, or by mpi4py under another mpiexec. All processes run one
    program, so every one of them takes as many rows of a batch. Raises BackendError without JAX, where the processes do
    not find each other, and where JAX has been used before.
    """

    engine = "jax"
    equal_rows = True

    def __init__(self) -> None:
        try:
            import jax
        except ImportError as error:
            raise missing("jax", "JAX", error) from error
        self.jax: Any = jax
        if not jax.distributed.is_initialized():
            try:
                jax.distributed.initialize(**settings(os.environ), heartbeat_timeout_seconds=HEARTBEAT)
            except (RuntimeError, ValueError) as error:
                raise BackendError(
                    "the processes of JAX do not find each other",
                    why=first_line(error),
                    fix=f"{ADDRESS}=HOST:PORT, {COUNT} and {NUMBER} in the environment of each process, or a launcher "
                    "that JAX knows; and connect() before anything else uses JAX",
                ) from error
        self.rank, self.size = jax.process_index(), jax.process_count()
        self._gather = self._everywhere(lambda a: jax.lax.all_gather(a, AXIS), jax.default_backend(), ())
        with silent():
            self.collect(np.zeros(1))

    def add(self, a: Host) -> None:
        """Every rank adds up all of them, in one order."""
        a[...] = self.collect(a.reshape(-1)).sum(axis=0, dtype=a.dtype).reshape(a.shape)

    def broadcast(self, a: Host, root: int = 0) -> None:
        """All to all, of which that of the root is kept."""
        a[...] = self.collect(a.reshape(-1))[root].reshape(a.shape)

    def exchange(self, a: Host) -> Host:
        """All to all, of which the rows for this rank are kept."""
        return np.ascontiguousarray(self.collect(a)[:, self.rank])

    def collect(self, a: Host) -> Host:
        own = self.jax.device_put(
            np.ascontiguousarray(a).reshape(-1).view(np.uint8), self.jax.local_devices()[0]
        )
        found = np.asarray(self._gather(own))
        return found.view(a.dtype).reshape(self.size, *a.shape)

    def compile(self, be: Backend, f: Callable[..., Any], **positions: Any) -> Callable[..., Any]:
        """A step of JAX's arrays as one program of all processes, in which psum adds up over them."""
        if be.name != "jax":
            return super().compile(be, f, **positions)
        return self._everywhere(f, be.device_name.partition(":")[0], positions.get("static", ()))

    def inside(self, be: Backend) -> Backend:
        """Without a device: a program of all processes is on all their devices."""
        if be.name != "jax":
            return be
        new = copy.copy(be)
        new.device = None
        return new

    def abort(self, code: int) -> None:
        """MPI_Abort, where MPI is there; else this process alone: the others miss it in the next sum."""
        sys.stdout.flush()
        sys.stderr.flush()
        if "mpi4py.MPI" in sys.modules:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)
        os._exit(code)

    def _everywhere(self, f: Callable[..., Any], kind: str, static: tuple[int, ...]) -> Callable[..., Any]:
        """f, compiled for all processes at once. It takes and gives arrays of this process's device.

        JAX treats them as replicated, as their shapes are: each process sees its own in f, which of the others
        gets only what collective operations bring.
        """
        jax = self.jax
        every, spec = jax.devices(kind), jax.sharding.PartitionSpec()
        first = [next(d for d in every if d.process_index == rank) for rank in range(self.size)]
        mesh = jax.sharding.Mesh(np.array(first), (AXIS,))
        replicated = jax.sharding.NamedSharding(mesh, spec)

        def mapped(*given: Any) -> Any:
            arrays = tuple(a for i, a in enumerate(given) if i not in static)

            def body(*arrays: Any) -> Any:
                left = iter(arrays)
                return f(*(a if i in static else next(left) for i, a in enumerate(given)))

            return jax.shard_map(body, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(*arrays)

        compiled = jax.jit(mapped, static_argnums=static)

        def joined(a: Array) -> Array:
            return jax.make_array_from_single_device_arrays(a.shape, replicated, [a])

        def call(*given: Any) -> Any:
            given = tuple(
                one_for_all(a) if i in static else jax.tree.map(joined, a) for i, a in enumerate(given)
            )
            return jax.tree.map(lambda a: a.addressable_data(0), compiled(*given))

        return call


def one_for_all(a: Any) -> Any:
    """A static argument that is the same on every rank: the program itself finds out the first row of its share."""
    return a._replace(first=0) if isinstance(a, Share) else a


def settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """What `jax.distributed.initialize` is given: nothing where it finds out by itself."""
    if ADDRESS in environment and COUNT in environment:
        found = [environment.get(name, "") for name in (COUNT, NUMBER)]
        if not all(value.isdecimal() for value in found):
            raise UsageError(
                f"{COUNT}={found[0]!r}, {NUMBER}={found[1]!r}",
                why="wanted how many processes there are, and the number of this one, from 0",
            )
        numbers = {"num_processes": int(found[0]), "process_id": int(found[1])}
        return {
            "coordinator_address": environment[ADDRESS],
            "cluster_detection_method": "deactivate",
        } | numbers
    if "PMI_SIZE" in environment:
        return by_mpi()
    return {}


def by_mpi() -> dict[str, Any]:
    """A free port of rank 0's host, which MPI hands to the others. Raises BackendError without mpi4py."""
    from xpnn.distributed.mpi import MPICommunicator

    group = MPICommunicator()
    address = ""
    if group.rank == 0:
        with socket.socket() as listener:
            listener.bind(("", 0))
            address = f"{socket.gethostname()}:{listener.getsockname()[1]}"
    local = group.comm.Split_type(group.mpi.COMM_TYPE_SHARED).Get_rank()
    numbers = {"num_processes": group.size, "process_id": group.rank, "local_device_ids": local}
    return {"coordinator_address": group.text(address)} | numbers


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Nothing of what gloo prints on stdout when it connects."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)

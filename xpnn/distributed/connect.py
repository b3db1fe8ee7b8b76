"""Which processes this one trains with: found out from what a launcher says in the environment."""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnn import __version__
from xpnn.distributed.communicator import Communicator
from xpnn.distributed.compression import COMPRESSIONS
from xpnn.errors import BackendError, UsageError, did_you_mean

ENGINES = ("auto", "mpi", "nccl", "torch", "jax", "none")
BATCH_NORMS = ("global", "local")
MPI_SIZES = {
    "PMI_SIZE": "mpiexec",
    "OMPI_COMM_WORLD_SIZE": "Open MPI's mpiexec",
    "MV2_COMM_WORLD_SIZE": "MVAPICH2's mpiexec",
    "FLUX_JOB_SIZE": "flux run",
    "JSM_NAMESPACE_SIZE": "jsrun",
    "SLURM_STEP_NUM_TASKS": "srun",
    "SLURM_NTASKS": "Slurm",
}
"""How many processes a launcher of MPI says that there are, and which launcher it is."""
OTHER_SIZES = {"WORLD_SIZE": "torchrun", "JAX_NUM_PROCESSES": "JAX's launcher"}
"""The same of launchers whose processes MPI does not find."""
CLUSTERS = "mpi4py built for the MPI library of this cluster (pip install --no-binary=mpi4py mpi4py)"
LAUNCHES = {
    "mpiexec": "the mpiexec of the MPI library that mpi4py uses: for the wheels, that of `pip install mpich`",
    "Open MPI's mpiexec": "mpi4py built for Open MPI (pip install --no-binary=mpi4py mpi4py), or the mpiexec of the "
    "`mpich` wheel",
    "MVAPICH2's mpiexec": CLUSTERS,
    "flux run": CLUSTERS,
    "jsrun": CLUSTERS,
    "torchrun": "the engine torch, or mpiexec in its place",
    "JAX's launcher": "the engine jax, or mpiexec in its place",
    "srun": "srun --mpi=pmi2 (or --mpi=pmix for Open MPI)",
    "Slurm": "srun --mpi=pmi2 xpnn train ..., or --distributed none to train in one process",
}
"""What to start the processes with, where those of that launcher do not find each other."""


def connect(
    engine: str = "auto",
    *,
    batch_norm: str = "global",
    compression: str = "",
    environment: Mapping[str, str] = os.environ,
) -> Communicator:
    """The processes that were started together with this one, to be given to `Trainer` or `fit` as `communicator=`.

    engine: "mpi" (mpi4py), "nccl" (MPI, and NCCL for the sums of CuPy's arrays; written, not yet run), "torch"
    (torch.distributed, under torchrun), "jax" (jax.distributed, for models of the jax backend), "none", or "auto": what
    the environment shows that this process was started by.
    batch_norm, compression: see `Communicator`. Raises BackendError for an engine that is not installed, and where the
    processes run different versions of xpnn or NumPy; UsageError where they were given different engines, and where a
    launcher says that there are more processes and the engine finds one, for then each would train by itself.
    Under MPI a process that does not come within XPNN_RENDEZVOUS_TIMEOUT (120) ends all, with exit code 3 and an error
    that names it: MPI can wait, and cannot stop waiting.
    """
    found = open_group(engine, batch_norm, compression, environment)
    check_versions(found)
    if found.size > 1:
        sys.excepthook = ending_all(found, sys.excepthook)
    return found


def open_group(
    engine: str, batch_norm: str, compression: str, environment: Mapping[str, str]
) -> Communicator:
    """`connect` up to the first message."""
    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", fix=did_you_mean(engine, ENGINES))
    if batch_norm not in BATCH_NORMS:
        raise UsageError(f"batch_norm={batch_norm!r}", fix=did_you_mean(batch_norm, BATCH_NORMS))
    if compression and compression not in COMPRESSIONS:
        raise UsageError(f"compression={compression!r}", fix=did_you_mean(compression, COMPRESSIONS))
    engine = started_by(environment) if engine == "auto" else engine
    check_one_engine(engine, environment)
    found = opened(engine)
    refuse_singleton(found, environment)
    found.batch_norm, found.compression = batch_norm, compression
    return found


def check_one_engine(engine: str, environment: Mapping[str, str]) -> None:
    """Raise UsageError, on every rank, where the processes of one mpiexec were given different engines.

    Those that are to train alone take part in this message too: the others would wait for them forever.
    """
    if number(environment, "PMI_SIZE") < 2:
        return
    from xpnn.distributed.mpi import MPICommunicator

    try:
        group = MPICommunicator()
    except BackendError:  # without mpi4py nobody waits; an engine that needs it says so itself
        return
    chosen = [ENGINES[int(one)] for one in group.each(ENGINES.index(engine))]
    other = next((rank for rank, one in enumerate(chosen) if one != chosen[0]), None)
    if other is not None:
        error = UsageError(
            f"rank {other} was started with the engine {chosen[other]!r}, rank 0 with {chosen[0]!r}",
            why="processes of one mpiexec train together, by one engine, or each by itself",
            fix="the same --distributed for all of them",
        )
        error.agreed = True
        raise error
    if engine == "none":
        group.mpi.Finalize()  # from here on each ends when it has done its own work


def check_versions(group: Communicator) -> None:
    """Raise BackendError where a rank runs another version of xpnn or NumPy: its steps may be other steps."""
    if group.size > 1:
        versions = {"xpnn": __version__, "NumPy": np.__version__}
        digests = [hashlib.sha256(version.encode()).digest() for version in versions.values()]
        group.check_same(
            [f"the version of {name}" for name in versions], digests, "one environment for all hosts"
        )


def ending_all(group: Communicator, before: Callable[..., Any]) -> Callable[..., Any]:
    """What Python does with an uncaught error; then all processes end: the others would wait for this one."""

    def hook(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        before(kind, error, trace)
        group.abort(130 if kind is KeyboardInterrupt else getattr(error, "exit_code", 1))

    return hook


def started_by(environment: Mapping[str, str]) -> str:
    """The engine for the launcher whose marks are in the environment."""
    if "TORCHELASTIC_RUN_ID" in environment and number(environment, "WORLD_SIZE") > 1:
        return "torch"
    if "JAX_COORDINATOR_ADDRESS" in environment and number(environment, "JAX_NUM_PROCESSES") > 1:
        return "jax"
    return "mpi" if any(number(environment, name) > 1 for name in MPI_SIZES) else "none"


def opened(engine: str) -> Communicator:
    """The communicator of that engine."""
    if engine == "mpi":
        from xpnn.distributed.mpi import MPICommunicator

        return MPICommunicator()
    if engine == "nccl":
        from xpnn.distributed.nccl import NCCLCommunicator

        return NCCLCommunicator()
    if engine == "torch":
        from xpnn.distributed.torch_group import TorchCommunicator

        return TorchCommunicator()
    if engine == "jax":
        from xpnn.distributed.jax_group import JaxCommunicator

        return JaxCommunicator()
    return Communicator()


def refuse_singleton(found: Communicator, environment: Mapping[str, str]) -> None:
    """Raise UsageError where the engine sees one process and the environment says that there are more."""
    if found.size > 1 or found.engine not in ("mpi", "nccl", "jax"):
        return
    others = () if found.engine == "jax" else ("JAX_NUM_PROCESSES",)
    names = (*MPI_SIZES, *(("WORLD_SIZE",) if "TORCHELASTIC_RUN_ID" in environment else ()), *others)
    for name in names:
        launcher = (MPI_SIZES | OTHER_SIZES)[name]
        n = number(environment, name)
        if n > 1:
            raise UsageError(
                f"{launcher} started {n} processes, and {found.engine.upper()} sees one",
                why=f"{name}={n}, but this process finds no other: each would train by itself, to the same files",
                fix=LAUNCHES[launcher],
            )


def number(environment: Mapping[str, str], name: str) -> int:
    """A whole number of the environment; 0 where there is none."""
    value = environment.get(name, "")
    return int(value) if value.isdecimal() else 0

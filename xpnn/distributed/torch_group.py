"""torch.distributed: `torchrun --nproc-per-node 4 ...`. gloo between processors, nccl between GPUs."""

import atexit
import os
import sys
from typing import Any

import numpy as np

from xpnn.backends.base import Backend, missing
from xpnn.distributed.communicator import Communicator, Host
from xpnn.errors import BackendError, first_line
from xpnn.kernels import Array


class TorchCommunicator(Communicator):
    """The processes that torchrun started. Raises BackendError without PyTorch, or where they do not find each other.

    Tensors of the torch backend are summed where they are, other arrays on the host by gloo.
    """

    engine = "torch"

    def __init__(self) -> None:
        try:
            import torch
            import torch.distributed as dist
        except ImportError as error:
            raise missing("torch", "PyTorch", error) from error
        self.torch: Any = torch
        self.dist: Any = dist
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        try:
            dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
        except (ValueError, RuntimeError) as error:
            raise BackendError(
                "the processes of PyTorch do not find each other",
                why=first_line(error),
                fix="torchrun --nproc-per-node 4 -m xpnn train ...",
            ) from error
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        atexit.register(self._leave)

    def add(self, a: Host) -> None:
        """all_reduce on the array's own memory; unsigned integers of 64 bits as signed ones, which wrap too."""
        self.dist.all_reduce(self._tensor(a))

    def broadcast(self, a: Host, root: int = 0) -> None:
        self.dist.broadcast(self._tensor(a), root)

    def exchange(self, a: Host) -> Host:
        """Everything to everyone, of which the rows for this rank are kept: gloo has no all-to-all."""
        return np.ascontiguousarray(self.collect(a)[:, self.rank])

    def collect(self, a: Host) -> Host:
        own = self.torch.from_numpy(np.ascontiguousarray(a).reshape(-1).view(np.uint8))
        parts = [self.torch.empty_like(own) for _ in range(self.size)]
        self.dist.all_gather(parts, own)
        return np.stack([part.numpy() for part in parts]).view(a.dtype).reshape(self.size, *a.shape)

    def reduce(self, be: Backend, a: Array) -> Array:
        """In place for tensors."""
        if be.name != "torch":
            return super().reduce(be, a)
        a = a if a.is_contiguous() else a.contiguous()
        self.dist.all_reduce(a)
        return a

    def abort(self, code: int) -> None:
        """End this process; torchrun ends the others."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _leave(self) -> None:
        """End gloo's threads before the interpreter ends: a C++ thread that is left running would abort the process."""
        if self.dist.is_initialized():
            self.dist.destroy_process_group()

    def _tensor(self, a: Host) -> Any:
        return self.torch.from_numpy(a.view(np.int64) if a.dtype == np.uint64 else a)

"""What a run asks of the processes that share it. Every method that communicates is called by all of them."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from xpnn.backends.base import Backend
from xpnn.errors import BackendError
from xpnn.kernels import Array

Host = np.ndarray[Any, Any]
TEXT = 4096
"""Bytes of the longest text that is sent."""


class Communicator:
    """One process alone, and the base of those that are several: an engine gives rank, size, add, broadcast, abort.

    rank: the number of this process, from 0; size: how many there are. batch_norm: "global" normalises by the
    statistics of the whole batch, "local" each rank's rows by their own, and averages the running statistics by rows.
    compression: "bf16" sends gradients in 16 bits, "" as they are.
    """

    engine: ClassVar[str] = "none"
    equal_rows: ClassVar[bool] = False
    """Whether a batch that cannot be divided into equal shares is computed by every rank."""
    rank: int = 0
    size: int = 1
    batch_norm: str = "global"
    compression: str = ""

    def add(self, a: Host) -> None:
        """a <- the sum of all ranks' a, the same bits on every rank. a: contiguous, of one shape everywhere."""

    def broadcast(self, a: Host, root: int = 0) -> None:
        """a <- the root's a. a: contiguous, of one shape everywhere."""

    def exchange(self, a: Host) -> Host:
        """Row r of `a` (size, n) goes to rank r -> (size, n): row r came from rank r."""
        return a

    def collect(self, a: Host) -> Host:
        """(n,) -> (size, n): every rank's a."""
        return a[None]

    def all_rows(self, a: Host, n: int) -> Host:
        """Rows that the ranks have computed of n samples, each its own `rows(n)`, as those of all samples."""
        most = -(-n // self.size)
        padded = np.zeros((most, *a.shape[1:]), a.dtype)
        padded[: len(a)] = a
        parts = (
            self.collect(padded.reshape(-1).view(np.uint8)).view(a.dtype).reshape(self.size, *padded.shape)
        )
        edges = [rank * n // self.size for rank in range(self.size + 1)]
        return np.concatenate([parts[r, : edges[r + 1] - edges[r]] for r in range(self.size)])

    def compile(self, be: Backend, f: Callable[..., Any], **positions: Any) -> Callable[..., Any]:
        """`Backend.compile`, but where sums over processes cannot be recorded: there they go by the host."""
        return f if self.size > 1 and be.name in ("cupy", "torch") else be.compile(f, **positions)

    def inside(self, be: Backend) -> Backend:
        """The backend as a step that was compiled for all processes uses it."""
        return be

    def abort(self, code: int) -> None:
        """End every process of the run at once, with that exit code."""

    def reduce(self, be: Backend, a: Array) -> Array:
        """The sum of all ranks' arrays of this backend, by way of the host; it may take a's memory."""
        host = np.asarray(be.to_numpy(a))
        host = host if host.flags.carray else np.array(host, order="C")
        self.add(host)
        return be.from_host(host)

    def any(self, flag: bool) -> bool:
        """Whether the flag is true on any rank."""
        total = np.array([float(flag)])
        self.add(total)
        return bool(total[0])

    def each(self, number: float) -> list[float]:
        """The numbers of all ranks, in their order."""
        numbers = np.zeros(self.size)
        numbers[self.rank] = number
        self.add(numbers)
        return list(map(float, numbers))

    def text(self, text: str, root: int = 0) -> str:
        """The root's text; at most 4,096 bytes."""
        data, raw = np.zeros(TEXT, np.uint8), np.frombuffer(text.encode()[:TEXT], np.uint8)
        data[: raw.size] = raw
        self.broadcast(data, root)
        return bytes(data).rstrip(b"\0").decode(errors="replace")

    def first_text(self, text: str) -> str:
        """The text of the first rank that has one; "" where none has."""
        if not self.any(bool(text)):
            return ""
        have = self.each(float(bool(text)))
        return self.text(text, next(rank for rank, has in enumerate(have) if has))

    def check_same(self, names: Sequence[str], digests: Sequence[bytes], fix: str) -> None:
        """Raise BackendError where the 8 bytes of some name are not rank 0's on every rank; all ranks raise it."""
        mine = np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
        table = np.zeros((self.size, mine.size), np.uint64)
        table[self.rank] = mine
        self.add(table)
        wrong = table != table[0]
        if wrong.any():
            ranks = [str(rank) for rank in np.flatnonzero(wrong.any(axis=1))]
            name = names[int(np.flatnonzero(wrong.any(axis=0))[0])]
            who = f"rank {ranks[0]} differs" if len(ranks) == 1 else f"ranks {', '.join(ranks)} differ"
            error = BackendError(f"{who} from rank 0 in {name}", why="all ranks must hold the same", fix=fix)
            error.agreed = True
            raise error

    def rows(self, n: int) -> tuple[int, int]:
        """Which of n samples are this rank's: from the first number up to, not including, the second."""
        return self.rank * n // self.size, (self.rank + 1) * n // self.size

"""Data that stays on the host, batch after batch on its way to the device: the next is sent while one is used."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from xpnn.kernels import Array


class Lane(Protocol):
    """Room for one batch, on the host and on the device."""

    def send(self, batch: Any) -> None:
        """Start the transfer, once the last batch here has arrived and been used."""

    def receive(self) -> Array:
        """The batch, for work that is queued from now on."""

    def release(self) -> None:
        """All work on it is queued."""


def overlapped(batches: Iterable[Any], lanes: Sequence[Lane]) -> Iterator[Array]:
    """Every batch in turn. It may be used until the next is asked for; then its lane is refilled."""
    free, underway = deque(lanes), deque[Lane]()
    for batch in batches:
        lane = free.popleft()
        lane.send(batch)
        underway.append(lane)
        if not free:
            yield from _use(underway, free)
    while underway:
        yield from _use(underway, free)


def _use(underway: deque[Lane], free: deque[Lane]) -> Iterator[Array]:
    lane = underway.popleft()
    yield lane.receive()
    lane.release()
    free.append(lane)


class CudaLane:
    """Pinned memory, an array on the GPU as large, and two events: arrived, and used."""

    def __init__(self, cupy: Any, pinned: Any, stream: Any) -> None:
        self.cupy, self.empty_pinned, self.stream = cupy, pinned, stream
        self.arrived, self.used = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self.host: Any = None

    def send(self, batch: Any) -> None:
        """The first batch is the largest."""
        if self.host is None:
            self.host = self.empty_pinned(batch.shape, batch.dtype)
            self.device = self.cupy.empty(batch.shape, batch.dtype)
            self.release()  # that memory may have been in use on the current stream
        self.n = len(batch)
        self.arrived.synchronize()
        self.host[: self.n] = batch
        self.stream.wait_event(self.used)
        self.device[: self.n].set(self.host[: self.n], stream=self.stream)
        self.arrived.record(self.stream)

    def receive(self) -> Array:
        """The current stream waits, the host does not."""
        self.cupy.cuda.get_current_stream().wait_event(self.arrived)
        return self.device[: self.n]

    def release(self) -> None:
        """In the order of the current stream."""
        self.used.record(self.cupy.cuda.get_current_stream())

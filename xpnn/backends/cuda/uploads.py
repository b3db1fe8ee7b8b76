"""Batches from the host to the device, one after the other: the next is sent while one is used."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from xpnn.kernels import Array


class Lane(Protocol):
    """Memory for one batch, on the host and on the device."""

    def send(self, batch: Any) -> None:
        """Start the transfer as soon as the last batch in this memory has arrived and been used."""

    def receive(self) -> Array:
        """The batch on the device, for work that is queued from now on."""

    def release(self) -> None:
        """Mark that all work on the batch has been queued."""


def overlapped(batches: Iterable[Any], lanes: Sequence[Lane]) -> Iterator[Array]:
    """Every batch in turn, valid until the next one is requested; then its lane is refilled."""
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
    """Pinned memory, an array of the same size on the GPU, and two events: the batch has arrived, and has been used."""

    def __init__(self, cupy: Any, pinned: Any, stream: Any) -> None:
        self.cupy, self.empty_pinned, self.stream = cupy, pinned, stream
        self.arrived, self.used = (cupy.cuda.Event(disable_timing=True) for _ in range(2))
        self.host: Any = None

    def send(self, batch: Any) -> None:
        """Allocates for the first batch, which is the largest."""
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
        """The current stream waits for the batch, the host does not."""
        self.cupy.cuda.get_current_stream().wait_event(self.arrived)
        return self.device[: self.n]

    def release(self) -> None:
        """Recorded on the current stream."""
        self.used.record(self.cupy.cuda.get_current_stream())

"""One recorded step: its buffers, how it is recorded, how it is replayed. Independent of the device.

What a graph of CUDA operations reads and writes is fixed when it is recorded. So of the arguments of a step

    donated ones     live in buffers that every replay writes and gives back: handed in again they cost nothing
    resident ones    stay where they are; whatever lies there is read
    others           are copied into the graph's own buffers before each replay

and what comes out is a donated one's buffer, an argument just as it came, or a copy: a loss that a caller keeps for a
thousand steps would be overwritten in any ring of fewer places. Output i + 1 takes the place of donated argument
i.
"""

import contextlib
import gc
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from xpnn.kernels import Array
from xpnn.trees import Path, flatten, rebuild

Arrays: TypeAlias = dict[Path, Array]

_recording = threading.RLock()
"""Only one recording runs at a time: it switches off the garbage collector, which the whole process shares."""


class Room(Protocol):
    """The stream and the memory of one graph: inside `with room:` everything happens there."""

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...

    def begin(self) -> None:
        """Start to record operations in place of running them."""

    def end(self) -> Callable[[], None]:
        """A function that runs what was recorded since `begin` on the current stream."""
        ...


class Recorder(Protocol):
    """What a device offers for recording."""

    def is_array(self, a: Any) -> bool:
        """Whether `a` is an array of the device."""
        ...

    def place(self, a: Array) -> Hashable:
        """The array's address and strides."""
        ...

    def overlap(self, a: Array, b: Array) -> bool:
        """Whether the arrays may share memory."""
        ...

    def whole(self, a: Array) -> bool:
        """Whether the array has no gaps and may be written to."""
        ...

    def like(self, a: Array) -> Array:
        """A new array of its shape and dtype."""
        ...

    def copy(self, target: Array, source: Array) -> None:
        """Copy an array on the device, in the order of the current stream."""

    def room(self) -> Room:
        """The stream and the memory for a new graph."""
        ...

    def follow(self) -> None:
        """Wait for the last replay if it ran on another stream."""


@dataclass(frozen=True, eq=False)
class InBuffer:
    """An output that is the new value of a donated argument, in that argument's buffer."""

    a: Array


@dataclass(frozen=True, eq=False)
class Argument:
    """An output that is one of the arguments, unchanged."""

    path: Path


@dataclass(frozen=True, eq=False)
class Made:
    """An output that lies in the graph's own memory."""

    a: Array


class Graph:
    """A recorded step. `buffers`: where its donated arguments live; inputs: arguments that it copies; both by path."""

    def __init__(
        self, recorder: Recorder, step: Callable[..., Any], args: Any, buffers: Arrays, inputs: Arrays
    ) -> None:
        self.recorder, self.buffers, self.room = recorder, buffers, recorder.room()
        with self.room:
            self.inputs = {path: clone(recorder, a) for path, a in inputs.items()}
            fixed = buffers | self.inputs

            def trial(path: Path, leaf: Any) -> Any:
                return clone(recorder, leaf) if path in buffers else fixed.get(path, leaf)

            # Compiles kernels, chooses algorithms and fills the memory pool, none of which is allowed during recording.
            step(*rebuild(args, trial))
            given = rebuild(args, lambda path, leaf: fixed.get(path, leaf))
            self.out, self.launch = self._record(step, given)

    def replay(self, leaves: dict[Path, Any]) -> Any:
        """Run the step with these arguments. Memory is allocated before anything but its buffers changes."""
        recorder, made = self.recorder, list[tuple[Array, Array]]()
        recorder.follow()
        out = self._hand_out(self.out, leaves, made)
        for path, buffer in self.inputs.items():
            recorder.copy(buffer, leaves[path])
        self._move(
            [(buffer, leaves[path]) for path, buffer in self.buffers.items() if leaves[path] is not buffer]
        )
        self.launch()
        for copy, a in made:
            recorder.copy(copy, a)
        return out

    def _hand_out(self, out: Any, leaves: dict[Path, Any], made: list[tuple[Array, Array]]) -> Any:
        """The outputs. Pairs (copy, original) of those that lie in the graph's memory are appended to `made`."""
        kind = out.__class__
        if kind is InBuffer:
            return out.a
        if kind is Made:
            made.append((self.recorder.like(out.a), out.a))
            return made[-1][0]
        if kind is dict:
            return {key: self._hand_out(branch, leaves, made) for key, branch in out.items()}
        if kind in (tuple, list):
            return kind([self._hand_out(branch, leaves, made) for branch in out])
        return leaves[out.path] if kind is Argument else out

    def _record(self, step: Callable[..., Any], args: Any) -> tuple[Any, Callable[[], None]]:
        with without_garbage_collection():
            self.room.begin()
            try:
                out = self._write_back(step(*args), args)
            except BaseException:
                with contextlib.suppress(Exception):  # the first error is the one to report
                    self.room.end()
                raise
            return out, self.room.end()

    def _write_back(self, out: Any, args: Any) -> Any:
        """Record the copies of new values to their buffers. Returns the outputs as `_hand_out` takes them."""
        is_array, moves = self.recorder.is_array, []
        came = {id(a): path for path, a in flatten(args).items() if is_array(a) and path not in self.buffers}

        def place(path: Path, leaf: Any) -> Any:
            if not is_array(leaf) or id(leaf) in came:
                return Argument(came[id(leaf)]) if is_array(leaf) else leaf
            buffer = self.buffers.get((path[0] - 1, *path[1:])) if path and isinstance(path[0], int) else None
            if buffer is None or (buffer.shape, buffer.dtype) != (leaf.shape, leaf.dtype):
                return Made(clone(self.recorder, leaf) if self._in_buffer(leaf) else leaf)
            if leaf is not buffer:
                moves.append((buffer, leaf))
            return InBuffer(buffer)

        placed = rebuild(out, place)
        self._move(moves)
        return placed

    def _move(self, moves: list[tuple[Array, Array]]) -> None:
        """Copy each array to its buffer. Arrays that lie in a buffer are copied aside first."""
        sources = [clone(self.recorder, a) if self._in_buffer(a) else a for _, a in moves]
        for (buffer, _), a in zip(moves, sources, strict=True):
            self.recorder.copy(buffer, a)

    def _in_buffer(self, a: Array) -> bool:
        return any(self.recorder.overlap(a, buffer) for buffer in self.buffers.values())


def clone(recorder: Recorder, a: Array) -> Array:
    """A new array with the same numbers."""
    copy = recorder.like(a)
    recorder.copy(copy, a)
    return copy


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Without garbage collection: a destructor that frees device memory would invalidate the recording."""
    with _recording:
        enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if enabled:
                gc.enable()

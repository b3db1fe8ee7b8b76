"""What `TorchBackend.compile` makes of a function where that is asked for: by torch.compile's compiler.

A function of arrays is traced, as JAX traces it, to a graph of PyTorch's operations, and Inductor compiles the graph:
on the CPU to C++, on a GPU to kernels in a CUDA graph (never run on a GPU so far). Compiled steps round differently, so
it has to be asked for: a clock that decided by itself would give two equal runs different last digits. Compiling takes
5 to 16 seconds for each set of shapes on two busy cores, so the variable names the seconds that calls with those
shapes take before it begins.
"""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from xpnn.backends import inductor_graph
from xpnn.backends.torch_pieces import PIECES, TRACED
from xpnn.errors import UsageError, first_line
from xpnn.trees import Path, flatten, rebuild

VARIABLE = "XPNN_COMPILE_AFTER"
"""The environment variable: seconds of calls before the compiler is asked, 0 for the first call; unset or "never"."""
MOST = 8
"""Sets of shapes that are compiled of one function; further ones run as they are."""


def patience() -> float:
    """Seconds of calls before the compiler is asked. Raises UsageError for a value that is no number of seconds."""
    text = os.environ.get(VARIABLE) or "never"
    try:
        seconds = float("inf") if text == "never" else float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UsageError(
            f"{VARIABLE}={text!r}: wanted seconds",
            fix=f"{VARIABLE}=0 compiles at once; unset, nothing is compiled",
        )
    return seconds


class CompiledOnRequest:
    """f, a pure function of arrays in nested tuples and dicts; compiled for shapes that have taken so much time.

    donated: numbers of arguments that may be written to, see `Backend.compile`. On the CPU compiled calls do so, except
    to what others may hold, of which they make copies. clock() is in seconds. Where tracing or compiling fails, a
    RuntimeWarning says why, and f goes on as it is.
    """

    def __init__(
        self,
        be: Any,
        f: Callable[..., Any],
        clock: Callable[[], float] = time.perf_counter,
        donated: tuple[int, ...] = (),
    ) -> None:
        self.be, self.f, self.clock, self.donated, self.patience = be, f, clock, donated, patience()
        self.spent: dict[Any, float] = {}
        self.compiled: dict[Any, Callable[..., Any]] = {}
        self.failed = False

    def __call__(self, *args: Any) -> Any:
        """What f(*args) returns."""
        if self.patience == float("inf"):
            return self.f(*args)
        leaves = flatten(args)
        key = frozenset((path, *described(leaf)) for path, leaf in leaves.items())
        if key not in self.compiled and self._worth_it(key):
            try:
                with warnings.catch_warnings(action="ignore"):  # of PyTorch about its own parts
                    self.compiled[key] = self._compile(args)
            except Exception as error:  # whatever a compiler may raise
                self.failed = True
                warnings.warn(
                    f"PyTorch's steps go on uncompiled: {reason(error)}", RuntimeWarning, stacklevel=3
                )
        if key in self.compiled:
            return self.compiled[key](leaves)
        began = self.clock()
        result = self.f(*args)
        self.spent[key] = self.spent.get(key, 0.0) + self.clock() - began
        return result

    def _worth_it(self, key: Any) -> bool:
        return not self.failed and len(self.compiled) < MOST and self.spent.get(key, 0.0) >= self.patience

    def _compile(self, args: tuple[Any, ...]) -> Callable[..., Any]:
        """f for arguments like these, as a function of their leaves by path."""
        import torch
        from torch.fx.experimental.proxy_tensor import make_fx

        inputs = {path: leaf for path, leaf in flatten(args).items() if isinstance(leaf, torch.Tensor)}
        paths = tuple(inputs)
        template: Any = None
        places: tuple[Path, ...] = ()

        def of_tensors(*tensors: Any) -> list[Any]:
            nonlocal template, places
            given = dict(zip(paths, tensors, strict=True))
            result = self.f(*rebuild(args, lambda path, leaf: given.get(path, leaf)))
            outputs = {path: leaf for path, leaf in flatten(result).items() if isinstance(leaf, torch.Tensor)}
            places = tuple(outputs)
            template = rebuild(result, lambda path, leaf: None if path in outputs else leaf)
            return list(outputs.values())

        on_cpu, on_gpu = self.be.device.type == "cpu", self.be.device.type == "cuda"
        examples = apart(inputs.values())
        token, pieces = TRACED.set(True), PIECES.set({} if on_cpu else None)
        try:
            graph = make_fx(of_tensors)(*examples)
        finally:
            TRACED.reset(token)
            PIECES.reset(pieces)
        memory = WrittenMemory(self.be, {})
        if on_cpu:
            inductor_graph.numbers_first(graph)
            pairs = {paths.index(old): places.index(new) for old, new in self._renewed(paths, places)}
            sizes = inductor_graph.write_in_place(graph, pairs)
            memory = WrittenMemory(self.be, {paths[i]: (places[pairs[i]], sizes[i]) for i in sizes})
            places = tuple(place for j, place in enumerate(places) if j not in {pairs[i] for i in sizes})
            examples = apart(memory.inputs(dict(zip(paths, examples, strict=True))))
        run = torch._inductor.compile(graph, examples, {"triton.cudagraphs": True} if on_gpu else None)

        def compiled(leaves: dict[Path, Any]) -> Any:
            if on_gpu:
                torch.compiler.cudagraph_mark_step_begin()
            results = run(*memory.inputs({path: leaves[path] for path in paths}))
            if on_gpu:  # the next replay writes over them
                results = [a.clone() for a in results]
            found = dict(zip(places, results[: len(places)], strict=True)) | memory.results()
            return rebuild(template, lambda path, leaf: found.get(path, leaf))

        return compiled

    def _renewed(self, paths: tuple[Path, ...], places: tuple[Path, ...]) -> Iterator[tuple[Path, Path]]:
        """The paths of donated leaves, each with that of the result which takes its place."""
        for path in paths:
            if path[0] in self.donated:
                place = (self.donated.index(int(path[0])) + 1, *path[1:])
                if place in places:
                    yield path, place


class WrittenMemory:
    """The memory that a compiled function writes to: tensors that nothing else has seen, and views of their pieces.

    written: by the path of a leaf, that of the result in the same memory, and the sizes of the pieces.
    """

    def __init__(self, be: Any, written: dict[Path, tuple[Path, tuple[int, ...]]]) -> None:
        self.be, self.written = be, written
        self.arrays: dict[Path, Any] = {}
        self.pieces: dict[Path, tuple[Any, ...]] = {}

    def inputs(self, leaves: dict[Path, Any]) -> list[Any]:
        """What the function takes: leaves, or their pieces; copies of what others may hold or what comes twice."""
        if not self.written:
            return list(leaves.values())
        found: list[Any] = []
        seen: set[int] = set()
        for path, a in leaves.items():
            if path not in self.written:
                found.append(a)
                continue
            if self.be.own.get(address(a)) is not a or id(a) in seen:
                a = a.clone()
                self.be.own[address(a)] = a
            seen.add(id(a))
            if self.arrays.get(path) is not a:
                self.arrays[path], self.pieces[path] = a, a.split(self.written[path][1])
            found += self.pieces[path]
        return found

    def results(self) -> dict[Path, Any]:
        """The tensors written to by the last call, at the paths of the results."""
        return {place: self.arrays[path] for path, (place, _) in self.written.items()}


def apart(tensors: Iterable[Any]) -> list[Any]:
    """The tensors, with copies of those whose memory an earlier one has: a trace would take them for one."""
    found: list[Any] = []
    seen: set[int] = set()
    for a in tensors:
        found.append(a.clone() if a.numel() and address(a) in seen else a)
        seen.add(address(a))
    return found


def address(a: Any) -> int:
    """Where a tensor's memory begins; the same for all views of it."""
    return int(a.untyped_storage().data_ptr())


def described(leaf: Any) -> tuple[Any, ...]:
    """What of an argument is compiled in: of a tensor its kind, of everything else its value."""
    if hasattr(leaf, "stride"):
        steps = zip(leaf.shape, leaf.stride(), strict=True)
        strides = [step for size, step in steps if size > 1] if leaf.numel() else []
        return leaf.shape, leaf.dtype, tuple(strides)
    return type(leaf), leaf or None  # an empty branch is a leaf, too, and has no hash


def reason(error: Exception) -> str:
    """Why it cannot be compiled, with what helps where that is known."""
    if "InvalidCxxCompiler" in type(error).__name__ + str(error):
        return f"no C++ compiler works here; install g++ or clang, or name one in CXX, or unset {VARIABLE}"
    return f"{type(error).__name__}: {first_line(error)}"

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
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from xpnn.backends.base import Backend
from xpnn.errors import UsageError, first_line
from xpnn.trees import Path, flatten, rebuild

VARIABLE = "XPNN_COMPILE_AFTER"
"""The environment variable: seconds of calls before the compiler is asked, 0 for the first call; unset or "never"."""
MOST = 8
"""Sets of shapes that are compiled of one function; further ones run as they are."""

TRACED: ContextVar[bool] = ContextVar("TRACED", default=False)
"""Whether a function is being traced: no array has a value then that may decide."""


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

    clock() is in seconds. Where tracing or compiling fails, a RuntimeWarning says why, and f goes on as it is.
    """

    def __init__(
        self, be: Backend, f: Callable[..., Any], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.be, self.f, self.clock, self.patience = be, f, clock, patience()
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

        token = TRACED.set(True)
        try:
            graph = make_fx(of_tensors)(*inputs.values())
        finally:
            TRACED.reset(token)
        on_gpu = self.be.device.type == "cuda"
        options = {"triton.cudagraphs": True} if on_gpu else None
        run = torch._inductor.compile(graph, list(inputs.values()), options)

        def compiled(leaves: dict[Any, Any]) -> Any:
            if on_gpu:
                torch.compiler.cudagraph_mark_step_begin()
            results = run(*[leaves[path] for path in paths])
            if on_gpu:  # the next replay writes over them
                results = [a.clone() for a in results]
            found = dict(zip(places, results, strict=True))
            return rebuild(template, lambda path, leaf: found.get(path, leaf))

        return compiled


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

"""PyTorch tensors, on the CPU or an accelerator. Its autograd is never used."""

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from xpnn.backends import torch_pieces
from xpnn.backends.base import Backend, missing
from xpnn.backends.inductor import CompiledOnRequest, address
from xpnn.backends.torch_devices import kinds_here, open_torch_device
from xpnn.kernels import Array


class TorchBackend(Backend):
    """PyTorch through array-api-compat."""

    name = "torch"

    def load(self) -> Any:
        try:
            import array_api_compat.torch as xp
            import torch
        except ImportError as error:
            raise missing("torch", "PyTorch", error) from error
        self.torch = torch
        self.own: WeakValueDictionary[int, Any] = WeakValueDictionary()
        """By where its memory begins: an array that compiled steps alone have seen, and may write to."""
        return xp

    def check_device(self, device: str) -> None:
        """Nothing yet: `open_device` asks the library, once it is loaded."""

    def open_device(self, device: str) -> Any:
        """A torch.device; an accelerator that is not usable is an error, never the CPU."""
        return open_torch_device(self.torch, device, self.dtype_name)

    def devices_here(self) -> tuple[str, ...]:
        """`cpu`, and the accelerators that can be used."""
        return kinds_here(self.torch)

    def version(self) -> str:
        """The version of torch: its Array API namespace has none."""
        return str(self.torch.__version__)

    def owns(self, a: Any) -> bool:
        """Is it a tensor on the same device, outside autograd?"""
        return (
            isinstance(a, self.xp.Tensor)
            and not a.requires_grad
            and (a.device.type == self.device.type and self.device.index in (None, a.device.index))
        )

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """torch refuses negative strides and wide unsigned integers, and warns about read-only memory."""
        if a.dtype.kind == "u" and a.dtype.itemsize > 1:
            a = a.astype(np.int64)
        if not a.flags.writeable or not a.flags.c_contiguous:
            a = np.array(a, order="C")
        return self.xp.asarray(a, device=self.device)

    def to_numpy(self, a: Array) -> np.ndarray[Any, Any]:
        """A tensor on the host shares its memory."""
        return np.asarray(a.cpu())

    def device_context(self) -> Any:
        """No gradient tape: the backward passes are ours."""
        return self.xp.no_grad()

    def compile(
        self,
        step: Callable[..., Any],
        donated: tuple[int, ...] = (),
        resident: tuple[int, ...] = (),
        static: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Inductor compiles the step, once for each set of shapes, where XPNN_COMPILE_AFTER asks for it."""
        return CompiledOnRequest(self, step, donated=donated)

    def lend(self, a: Array) -> Array:
        """Compiled steps write to what is theirs alone: `a` and what it is a view of will be copied before the next."""
        self.own.pop(address(a), None)
        return a

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = erfc(-x / sqrt 2) / 2: torch.special's ndtr loses the tail in float32."""
        return 0.5 * self.torch.special.erfc(-math.sqrt(0.5) * x)

    def cond(self, ok: Array, then: Callable[..., Any], tree: dict[str, Array]) -> dict[str, Array]:
        """On the CPU one branch runs; on a GPU reading `ok` would wait for the device, and a trace cannot read it."""
        if self.device.type != "cpu" or torch_pieces.TRACED.get():
            return torch_pieces.cond(self, ok, then, tree)
        new: dict[str, Array] = then(tree) if ok else tree
        return new

    concat_flat = torch_pieces.concat_flat
    elementwise = torch_pieces.elementwise
    all_finite = torch_pieces.all_finite

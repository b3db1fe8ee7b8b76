"""array-api-strict: the standard and not one function more. It keeps the other backends honest."""

from typing import Any

import numpy as np

from xpnn.backends.base import Backend, missing
from xpnn.kernels import Array


class StrictBackend(Backend):
    """array-api-strict; its invented devices `device1` and `device2` catch hidden copies to the host."""

    name = "strict"
    devices = ("cpu", "device1", "device2")

    def load(self) -> Any:
        try:
            import array_api_strict as xp
        except ImportError as error:
            raise missing("strict", "array-api-strict", error) from error
        return xp

    def open_device(self, device: str) -> Any:
        """The library's Device; `cpu` is called CPU_DEVICE there."""
        return self.xp.Device("CPU_DEVICE" if device == "cpu" else device)

    def owns(self, a: Any) -> bool:
        return (
            hasattr(a, "__array_namespace__")
            and type(a).__module__.startswith("array_api_strict")
            and (a.device == self.device)
        )

    def to_numpy(self, a: Array) -> np.ndarray[Any, Any]:
        return np.asarray(self.xp.asarray(a, device=self.xp.Device("CPU_DEVICE")))

    def device_context(self) -> Any:
        """As for NumPy, which does its arithmetic: what is not finite is reported by the training step."""
        return np.errstate(all="ignore")

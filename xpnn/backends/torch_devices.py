"""Which devices PyTorch has here: the CPU, and every kind of accelerator whose module says that it is available.

Tried on CPUs alone; mps (Apple), xpu (Intel) and cuda, which is also ROCm's name, are opened by the same lines.
"""

from typing import Any

from xpnn.errors import BackendError, UsageError, did_you_mean, first_line

KINDS = ("cuda", "mps", "xpu", "hpu", "mtia")
"""Names of accelerators in PyTorch, beside the one that this build was made for."""


def module_of(torch: Any, kind: str) -> Any:
    """PyTorch's module for a kind of device, such as torch.cuda; None where this build has none."""
    try:
        return torch.get_device_module(kind)
    except (RuntimeError, AttributeError):
        return None


def is_available(torch: Any, kind: str) -> bool:
    """Whether this machine has a device of that kind that PyTorch can use."""
    module = module_of(torch, kind)
    ask = getattr(module, "is_available", None) or getattr(
        getattr(torch.backends, kind, None), "is_available", None
    )
    return bool(ask and ask())


def kinds_here(torch: Any) -> tuple[str, ...]:
    """`cpu` and the accelerators that can be used, including one that another package brings (PrivateUse1)."""
    own = torch.accelerator.current_accelerator() if hasattr(torch, "accelerator") else None
    names = dict.fromkeys([*KINDS, *([own.type] if own else [])])
    return ("cpu", *(kind for kind in names if is_available(torch, kind)))


def open_torch_device(torch: Any, device: str, dtype: str) -> Any:
    """The torch.device of that name, with memory for numbers of that dtype.

    Raises UsageError for a word that is no device, or a dtype that the device lacks; BackendError for a device that is
    not here, also by its number.
    """
    kind = device.partition(":")[0]
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UsageError(
            f"backend 'torch' has no device {device!r}",
            why=first_line(error),
            fix=did_you_mean(kind, kinds_here(torch)),
        ) from error
    if kind == "cpu":
        if found.index:
            raise UsageError(f"backend 'torch' has no device {device!r}", fix="device='cpu'")
        return found
    if kind not in kinds_here(torch):
        raise BackendError(
            f"PyTorch sees no {kind.upper()} device",
            why=f"torch.{kind}.is_available() is False",
            fix="device='cpu'",
        )
    count = getattr(module_of(torch, kind), "device_count", lambda: 1)()
    if (found.index or 0) >= count:
        raise BackendError(
            f"PyTorch has no device {device!r}",
            why=f"it sees {count} of this kind, numbered from 0",
            fix=f"device='{kind}:{count - 1}'",
        )
    for name, why in (
        (dtype, "the weights have this dtype"),
        ("int64", "labels and step counts have this dtype"),
    ):
        try:
            torch.zeros((1,), dtype=getattr(torch, name), device=found)
        except (TypeError, RuntimeError) as error:
            fix = "dtype='float32'" if name == "float64" else "device='cpu'"
            raise UsageError(
                f"device {device!r} has no {name}", why=f"{why}; {first_line(error)}", fix=fix
            ) from error
    return found

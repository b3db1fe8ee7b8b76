"""The modules that PyTorch lacks or words otherwise, for networks that `to_torch` builds. Imports PyTorch."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


def inputs_of(xs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of a module: given one by one, or as the tuple that a module before it gave."""
    return xs[0] if len(xs) == 1 and isinstance(xs[0], tuple) else xs


class Chain(nn.Sequential):  # type: ignore[misc]
    """One module after the other, the first of which takes several inputs."""

    def forward(self, *xs: Any) -> Any:
        """Give all inputs to the first module."""
        first, *others = self
        y = first(*xs)
        for module in others:
            y = module(y)
        return y


class Ordered(nn.Module):  # type: ignore[misc]
    """Features in the order that they have in xpnn, where images are flattened with their channels last."""

    def __init__(self, order: Any) -> None:
        super().__init__()
        self.register_buffer("order", torch.as_tensor(order), persistent=False)

    def forward(self, x: Any) -> Any:
        """(N, features)."""
        return x[:, self.order]


class Moved(nn.Module):  # type: ignore[misc]
    """The channels from one axis to another: (N, C, ...) and (N, ..., C)."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.source, self.target = source, target

    def forward(self, x: Any) -> Any:
        """The same numbers in another order of the axes."""
        return torch.movedim(x, self.source, self.target)


class Scaled(nn.Module):  # type: ignore[misc]
    """scale x + offset, both numbers or one for each feature of the last axis."""

    def __init__(self, scale: Any, offset: Any) -> None:
        super().__init__()
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.float64), persistent=False)
        self.register_buffer("offset", torch.as_tensor(offset, dtype=torch.float64), persistent=False)

    def forward(self, x: Any) -> Any:
        """In the weights' dtype, whatever x is of."""
        return x.to(self.scale.dtype) * self.scale + self.offset


class Positions(nn.Module):  # type: ignore[misc]
    """x + P."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.P = nn.Parameter(torch.zeros(*shape))

    def forward(self, x: Any) -> Any:
        """Sequences of the length of P."""
        return x + self.P


class SelfAttention(nn.MultiheadAttention):  # type: ignore[misc]
    """x attends to itself; causal: to what is before alone."""

    def __init__(self, width: int, heads: int, dropout: float, causal: bool, bias: bool) -> None:
        super().__init__(width, heads, dropout, bias, batch_first=True)
        self.causal = causal

    def forward(self, x: Any) -> Any:
        """(N, steps, width)."""
        steps = x.shape[1]
        later = torch.ones(steps, steps, dtype=torch.bool, device=x.device).triu(1) if self.causal else None
        return super().forward(x, x, x, attn_mask=later, need_weights=False)[0]


class Residual(nn.Module):  # type: ignore[misc]
    """x + f(x)."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.add_module("0", inner)

    def forward(self, x: Any) -> Any:
        """f is the one module inside."""
        return x + self._modules["0"](x)


class Merged(nn.Module):  # type: ignore[misc]
    """Several values as one: side by side on an axis, or added, subtracted, multiplied, averaged."""

    def __init__(self, how: str, axis: int) -> None:
        super().__init__()
        self.how, self.axis = how, axis

    def forward(self, *xs: Any) -> Any:
        """Shapes must be equal, but for that axis, and axes of 1, which are repeated."""
        xs = inputs_of(xs)
        if self.how == "concatenate":
            return torch.cat(xs, dim=self.axis)
        if self.how == "subtract":
            return xs[0] - xs[1]
        total = xs[0]
        for x in xs[1:]:
            total = total * x if self.how == "multiply" else total + x
        return total / len(xs) if self.how == "average" else total


class Parallel(nn.Module):  # type: ignore[misc]
    """All modules see the same input; their results are merged."""

    def __init__(self, inner: Sequence[Any], merged: Merged) -> None:
        super().__init__()
        for i, one in enumerate(inner):
            self.add_module(str(i), one)
        self.count, self.merged = len(inner), merged

    def forward(self, x: Any) -> Any:
        """Apply the parts in their order."""
        return self.merged(*(self._modules[str(i)](x) for i in range(self.count)))


class Graph(nn.Module):  # type: ignore[misc]
    """Modules by name, each with the names of what it takes, in the order they run."""

    def __init__(self, inputs: Sequence[str], nodes: Sequence[Any], outputs: Any) -> None:
        super().__init__()
        self.inputs, self.outputs = tuple(inputs), outputs
        self.order = tuple((name, owner, tuple(given)) for name, owner, given, _ in nodes)
        for name, owner, _, module in nodes:
            if name == owner:
                self.add_module(name, module)

    def forward(self, *xs: Any) -> Any:
        """One result, or a tuple of them."""
        values = dict(zip(self.inputs, xs, strict=True))
        for name, owner, given in self.order:
            values[name] = self._modules[owner](*(values[one] for one in given))
        if isinstance(self.outputs, str):
            return values[self.outputs]
        return tuple(values[name] for name in self.outputs)


class Selected(nn.Module):  # type: ignore[misc]
    """One of several values."""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, *xs: Any) -> Any:
        """Counted from 0."""
        return inputs_of(xs)[self.index]


class Each(nn.Module):  # type: ignore[misc]
    """A module of its own for each of several values."""

    def __init__(self, modules: Sequence[Any]) -> None:
        super().__init__()
        for i, one in enumerate(modules):
            self.add_module(str(i), one)

    def forward(self, *xs: Any) -> Any:
        """A tuple of as many."""
        return tuple(self._modules[str(i)](x) for i, x in enumerate(inputs_of(xs)))


class Cropped(nn.Module):  # type: ignore[misc]
    """Positions left out before and behind."""

    def __init__(self, before: Sequence[int], behind: Sequence[int]) -> None:
        super().__init__()
        self.ends = tuple(zip(before, behind, strict=True))

    def forward(self, x: Any) -> Any:
        """(N, C, ...)."""
        for axis, (first, last) in enumerate(self.ends, 2):
            x = x.narrow(axis, first, x.shape[axis] - first - last)
        return x


class Largest(nn.Module):  # type: ignore[misc]
    """The largest value of each channel."""

    def forward(self, x: Any) -> Any:
        """(N, C, ...) to (N, C)."""
        return x.flatten(2).amax(2)


class Mean(nn.Module):  # type: ignore[misc]
    """The mean of each channel."""

    def forward(self, x: Any) -> Any:
        """(N, C, ...) to (N, C)."""
        return x.flatten(2).mean(2)


class Real(nn.Module):  # type: ignore[misc]
    """1 where the id is not that of padding, else 0."""

    def __init__(self, pad: int) -> None:
        super().__init__()
        self.pad = pad
        self.register_buffer("real", torch.ones(()), persistent=False)

    def forward(self, ids: Any) -> Any:
        """Of the shape of the ids, in the dtype of the module."""
        return (ids != self.pad).to(self.real.dtype)

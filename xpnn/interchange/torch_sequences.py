"""Recurrent layers and attention with what PyTorch's modules of them have no setting for. Imports PyTorch."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from xpnn.interchange.torch_parts import inputs_of


class Recurrent(nn.Module):  # type: ignore[misc]
    """A recurrent module of PyTorch's, with masks, states in and out, or read backwards, as the layer here.

    Inputs: x, the first states where they are given, the mask where there is one. Under a mask the real steps of each
    sample are put in front and packed, wherever the padding was; at padding the output is that of the step before it.
    """

    def __init__(self, inner: Any, layer: Any) -> None:
        super().__init__()
        self.inner, self.reverse, self.sequences = inner, layer.reverse, layer.sequences
        self.masked, self.given, self.return_state = layer.masked, layer.initial_state, layer.return_state
        self.states, self.directions = layer.states, 2 if inner.bidirectional else 1

    def forward(self, *inputs: Any) -> Any:
        """y, or (y, the last states of each direction)."""
        x, *more = inputs_of(inputs)
        mask = more.pop() if self.masked else None
        begin = self.begin(x, more)
        if self.reverse:
            x = x.flip(1)
            mask = None if mask is None else mask.flip(1)
        cells = begin if self.states > 1 else begin[0]
        y, last = self.inner(x, cells) if mask is None else self.packed(x, cells, begin, mask > 0)
        last = last if isinstance(last, tuple) else (last,)
        if not self.sequences:
            y = torch.cat(tuple(last[0]), dim=-1)
        elif self.reverse:
            y = y.flip(1)
        return (y, *(one[d] for d in range(self.directions) for one in last)) if self.return_state else y

    def begin(self, x: Any, given: list[Any]) -> tuple[Any, ...]:
        """The states before the first step, (directions, N, units) each."""
        k = self.states
        if given:
            return tuple(torch.stack(given[i::k]) for i in range(k))
        zeros: Any = x.new_zeros(self.directions, x.shape[0], self.inner.hidden_size)
        return tuple(zeros for _ in range(k))

    def packed(self, x: Any, cells: Any, begin: tuple[Any, ...], real: Any) -> tuple[Any, tuple[Any, ...]]:
        """(y at every step, the last states), of the steps that are real."""
        order = (~real).to(torch.uint8).argsort(dim=1, stable=True)
        count = real.sum(1)
        x = x.gather(1, order[:, :, None].expand_as(x))
        front = pack_padded_sequence(x, count.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        y, last = self.inner(front, cells)
        last = last if isinstance(last, tuple) else (last,)
        none = (count == 0)[None, :, None]
        last = tuple(torch.where(none, first, one) for first, one in zip(begin, last, strict=True))
        y = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0]
        so_far = real.cumsum(1)
        forward, *backward = y.chunk(self.directions, -1)
        found = [spread(forward, so_far - 1, so_far > 0, begin[0][0])]
        if backward:
            at = so_far - real.to(so_far.dtype)
            found.append(spread(backward[0], at, at < count[:, None], begin[0][1]))
        return torch.cat(found, -1), last


def spread(y: Any, place: Any, known: Any, first: Any) -> Any:
    """y (N, steps, units) at those places (N, steps); the first state (N, units) where no step came before."""
    index = place.clamp(0, y.shape[1] - 1)[:, :, None].expand(-1, -1, y.shape[2])
    return torch.where(known[:, :, None], y.gather(1, index), first[:, None])


class Attention(nn.Module):  # type: ignore[misc]
    """softmax(q k^T / sqrt(size)) v in heads of any size, shared, rotated, of another sequence, or under a mask.

    Inputs: x, the memory where there is one, the mask where there is one, 1 for keys that count. A query that may see
    nothing gives 0, where nn.MultiheadAttention gives NaN. Its parameters have their names in nn.MultiheadAttention.
    """

    def __init__(self, layer: Any, tensors: dict[str, Any], widths: tuple[int, ...], mask: Any) -> None:
        super().__init__()
        for name, a in tensors.items():
            if not name.startswith("out_proj."):
                self.register_parameter(name, nn.Parameter(a.clone()))
        features, width = tensors["out_proj.weight"].shape
        self.out_proj = nn.Linear(width, features, "out_proj.bias" in tensors)
        self.heads, self.shared, self.widths = layer.heads, layer.shared_heads, widths
        self.cross, self.masked, self.causal = layer.cross, layer.masked, layer.causal
        self.rotary, self.base, self.dropout = layer.rotary, layer.rotary_base, layer.dropout
        self.register_buffer("seen", mask, persistent=False)

    def forward(self, *inputs: Any) -> Any:
        """(N, time, features)."""
        inputs = inputs_of(inputs)
        x, memory = inputs[0], inputs[1 if self.cross else 0]
        q, k, v = self.projected(x, memory)
        if self.rotary:
            q, k = (rotated(a, self.rotary, self.base) for a in (q, k))
        repeats = self.heads // self.shared
        k, v = (a.repeat_interleave(repeats, dim=1) for a in (k, v))
        z = q @ k.mT / q.shape[-1] ** 0.5
        seen = self.visible(z, inputs[-1] if self.masked else None)
        a = torch.softmax(z.masked_fill(~seen, torch.finfo(z.dtype).min), dim=-1).masked_fill(~seen, 0.0)
        a = nn.functional.dropout(a, self.dropout, self.training)
        return self.out_proj((a @ v).transpose(1, 2).flatten(2))

    def projected(self, x: Any, memory: Any) -> list[Any]:
        """q, k and v, (N, heads, time, size)."""
        if hasattr(self, "in_proj_weight"):
            weights = self.in_proj_weight.split(self.widths)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = self.in_proj_bias.split(self.widths) if hasattr(self, "in_proj_bias") else (None,) * 3
        counts = (self.heads, self.shared, self.shared)
        return [
            nn.functional.linear(a, W, b).unflatten(-1, (n, -1)).transpose(1, 2)
            for a, W, b, n in zip((x, memory, memory), weights, biases, counts, strict=True)
        ]

    def visible(self, z: Any, mask: Any) -> Any:
        """Which keys each query sees, as booleans that broadcast against the scores."""
        seen = torch.ones(z.shape[-2:], dtype=torch.bool, device=z.device)
        if self.causal:
            seen = seen.tril()
        if self.seen is not None:
            seen = seen & (self.seen > 0)
        if mask is not None:
            seen = seen & (mask > 0)[:, None, None if mask.ndim == 2 else slice(None)]
        return seen


def rotated(x: Any, layout: str, base: float) -> Any:
    """Pairs of features of x (N, heads, time, size), turned by t base^(-2 i / size)."""
    time, size = x.shape[-2:]
    place = torch.arange(time, dtype=torch.float64, device=x.device)[:, None]
    angle = place * base ** (-torch.arange(size // 2, dtype=torch.float64, device=x.device) * 2 / size)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    if layout == "half":
        a, b = x.chunk(2, -1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)
    a, b = x[..., ::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)

"""PyTorch: eager, with torch.compile, and as a CUDA graph captured by hand. Adam is its fused one."""

import contextlib
import itertools
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from benchmarks.gpu.contenders import RATE
from benchmarks.gpu.nets import Cell, Net

WARM = 3
"""Steps before a capture."""


def pin(precision: str) -> None:
    """TF32 on the matrix units, or not; bf16 is autocast's."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


class Flat(nn.Module):
    """Values in the order rows, columns, channels, as the others flatten them; free where channels are last."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def network(net: Net) -> nn.Sequential:
    """The layers, with the common parameters."""
    parts: list[nn.Module] = []
    for W, b in net.parameters():
        weight = torch.from_numpy(W.transpose(3, 2, 0, 1).copy() if W.ndim == 4 else W.T.copy())
        layer: nn.Module = (
            nn.Conv2d(W.shape[2], W.shape[3], 3, padding=1) if W.ndim == 4 else nn.Linear(*W.shape)
        )
        layer.load_state_dict({"weight": weight, "bias": torch.from_numpy(b)})
        parts.append(layer)
    found: list[nn.Module] = []
    for layer, after in itertools.pairwise([*parts, None]):
        found.append(layer)
        if isinstance(layer, nn.Conv2d):
            found += [nn.ReLU(), nn.MaxPool2d(2)]
            found += [] if isinstance(after, nn.Conv2d) else [Flat()]
        elif after is not None:
            found.append(nn.ReLU())
    return nn.Sequential(*found)


class Eager:
    """A Python line for each operation."""

    adam: ClassVar[dict[str, bool]] = {"fused": True}

    def __init__(self, cell: Cell, rehearsal: bool) -> None:
        pin(cell.precision)
        self.cell, self.rehearsal = cell, rehearsal
        self.device = "cpu" if rehearsal else "cuda"
        self.net = network(cell.network).to(self.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE, **self.adam)
        x, y, order = (torch.from_numpy(a).to(self.device) for a in cell.network.data(cell.samples))
        self.x, self.y, self.order = x, y, order
        self.done, self.last = 0, torch.zeros(())
        self.prepare()

    def prepare(self) -> None:
        """What is done once."""

    def autocast(self) -> Any:
        """Products in bf16, where that is asked for. Its cache of weights would not survive a capture."""
        if self.cell.precision != "bf16":
            return contextlib.nullcontext()
        return torch.autocast(self.device, torch.bfloat16, cache_enabled=False)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        x = self.x.index_select(0, rows).float() * (1 / 255)
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2)
        with self.autocast():
            z = self.net(x)
        return functional.cross_entropy(z.float(), self.y.index_select(0, rows))

    def rows(self) -> torch.Tensor:
        """Of the next batch."""
        start = self.done * self.cell.batch % self.cell.samples
        return self.order[start : start + self.cell.batch]

    def update(self, rows: torch.Tensor) -> torch.Tensor:
        """One step."""
        self.optimizer.zero_grad()
        loss = self.forward(rows)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.last = self.update(self.rows())
            self.done += 1

    def wait(self) -> None:
        if not self.rehearsal:
            torch.cuda.synchronize()

    def loss(self) -> float:
        return float(self.last)


class Compiled(Eager):
    """torch.compile(mode="reduce-overhead") of the batch and the loss, which compiles the way back too."""

    def prepare(self) -> None:
        # More shapes than this limit would quietly run eagerly.
        torch._dynamo.config.recompile_limit = 64
        for a in (self.x, self.y):  # else its graphs copy the whole data for each step
            torch._dynamo.mark_static_address(a)
        how = {"backend": "aot_eager"} if self.rehearsal else {"mode": "reduce-overhead"}
        self.compiled = torch.compile(super().forward, dynamic=False, fullgraph=True, **how)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return self.compiled(rows)


class Graphed(Eager):
    """A whole step captured by torch.cuda.graph, batch and update included. A rehearsal calls it instead."""

    adam: ClassVar[dict[str, bool]] = {"fused": True, "capturable": True}

    def prepare(self) -> None:
        self.cursor = torch.zeros((), dtype=torch.int64, device=self.device)
        self.offsets = torch.arange(self.cell.batch, device=self.device)
        if self.rehearsal:
            self.optimizer = torch.optim.Adam(self.net.parameters(), lr=RATE)
            self.replay = self.whole
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM):
                self.whole()
        torch.cuda.current_stream().wait_stream(stream)
        self.done = WARM
        self.optimizer.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.whole()
        self.replay = self.graph.replay

    def whole(self) -> None:
        """A step that only the device knows the number of."""
        self.last = self.update(self.order.index_select(0, self.cursor + self.offsets))
        self.cursor.add_(self.cell.batch).remainder_(self.cell.samples)

    def steps(self, n: int) -> None:
        for _ in range(n):
            self.replay()
        self.done += n

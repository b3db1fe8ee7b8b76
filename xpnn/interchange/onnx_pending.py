"""What stands between operations that are one layer while a file is read: marks; scores of attention, and results."""

from dataclasses import dataclass
from typing import Any

from xpnn.interchange.onnx_values import Builder, Host, Value


def mark_of(b: Builder, name: str, word: str) -> tuple[Any, ...] | None:
    """What the result stands for, if it is such a step."""
    found = b.marks.get(name)
    return found[1:] if found is not None and found[0] == word else None


def passed_on(b: Builder, name: str, out: str) -> bool:
    """Give what stands for a value another name, too; False where nothing does."""
    if name in b.values or (name not in b.marks and name not in b.pending):
        return False
    if name in b.marks:
        b.marks[out] = b.marks[name]
    if name in b.pending:
        maker = b.makers[name]
        b.pending[out] = b.pending[name]
        b.makers[out] = Alias(b, out, maker.first if isinstance(maker, Alias) else name)
    return True


@dataclass(frozen=True)
class Alias:
    """Makes the value called `first`, and calls it `name`, too."""

    b: Builder
    name: str
    first: str

    def __call__(self) -> None:
        """Once it is needed."""
        self.b.same(self.name, self.b.value(self.first))


@dataclass(frozen=True)
class Scores:
    """scale q k^T. names: of the masks; seen: which keys each query sees for all samples; real: which count.

    shared: how many heads of keys there are, where several heads of queries share one, and 0 where none do; then
    apart says whether the queries of each head lie by themselves, or in a row with those of its neighbours. zeroed:
    whether a query that may see no key gets 0.
    """

    q: Value
    k: Value
    scale: float = 1.0
    names: tuple[str, ...] = ()
    seen: Host | None = None
    real: Value | None = None
    softmax: bool = False
    shared: int = 0
    apart: bool = True
    zeroed: bool = False


@dataclass
class Pending:
    """Attention whose layer is not made yet. turned: (samples, time, heads, features); joined: heads side by side."""

    scores: Scores
    v: Value
    turned: bool = False
    joined: bool = False
    apart: bool = True

    @property
    def heads(self) -> int:
        """1 for arrays without an axis of heads."""
        return self.scores.q.shape[1] if self.v.rank == 4 else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, time, and the features of all heads."""
        n, time = self.scores.q.shape[0], self.scores.q.shape[-2]
        return n, time, self.heads * self.v.shape[-1]

    @property
    def shape_there(self) -> tuple[int, ...]:
        """The shape of the array that this one stands for."""
        n, time, width = self.shape
        heads = (n, time, self.heads, width // self.heads)
        if self.joined:
            return self.shape
        return heads if self.turned else tuple(heads[i] for i in (0, 2, 1, 3))

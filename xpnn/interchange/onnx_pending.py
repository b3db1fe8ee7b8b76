"""What stands between the operations of attention while a file is read: scores, weights, and results to come."""

from dataclasses import dataclass

from xpnn.interchange.onnx_values import Host, Value


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

"""LSTM and GRU over whole sequences, one way or both: their steps write by time, as the products behind them read."""

from typing import Any

from xpnn.fusion.rounding import RoundedOnce
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer, Tree
from xpnn.layers.bidirectional import Bidirectional
from xpnn.layers.dense import flat_rows
from xpnn.layers.gru import GRU
from xpnn.layers.lstm import LSTM
from xpnn.layers.recurrent import by_time, parts


class WholeSequence(RoundedOnce):
    """The steps of a pass are one kernel, where the backend gains by that; elsewhere as `RoundedOnce`.

    Only without a mask and without states from or for elsewhere.
    """

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """An LSTM or GRU that takes a sequence alone."""
        layer: Any = layers[0] if layers else None
        plain = type(layer) in (LSTM, GRU) and not (layer.multi_input or layer.return_state)
        return int(plain)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Keeps x, the parameters and the arrays of the pass, in the order in which the steps are walked."""
        be, layer = cx.be, self.layers[0]
        if not be.whole_passes:
            return super().forward(cx, p, x)
        own, seen = p[0], self._walked(cx, by_time(cx, x))
        a = be.affine(seen, own["W"], own["b"]) if layer.bias else be.matmul(seen, own["W"])
        kept: tuple[Array, ...]
        if type(layer) is LSTM:
            kept = be.lstm_pass(a, own["U"])
        else:
            kept = be.gru_pass(a, own["U"], own["c"] if layer.bias else None)
        h = kept[0]
        y = by_time(cx, self._walked(cx, h[1:, :, :])) if layer.sequences else h[-1, :, :]
        return y, (seen, own, kept)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """The steps, then dW = x^T da, dU = h_{t-1}^T du, db = sum of da (dc = sum of dn r), dx = da W^T."""
        be, layer = cx.be, self.layers[0]
        if not be.whole_passes:
            return super().backward(cx, cache, dy, need_dx, out, may_overwrite)
        seen, own, (h, *kept) = cache
        dy = self._walked(cx, by_time(cx, dy)) if layer.sequences else dy
        before = h[:-1, :, :]
        if type(layer) is LSTM:
            da = du = be.lstm_pass_grad(dy, own["U"], *kept)
        else:
            da, du = be.gru_pass_grad(dy, own["U"], h, *kept)
        rows, drows = flat_rows(be, da), flat_rows(be, du)
        if du is da:
            dW, dU = be.transposed_products(seen, before, rows)
        else:
            dW = be.matmul(flat_rows(be, seen).T, rows)
            dU = be.matmul(flat_rows(be, before).T, drows)
        grads = {"W": dW, "U": dU}
        if layer.bias:
            grads["b"] = be.column_sums(rows)
        if "c" in own:
            grads["c"] = be.column_sums(parts(drows, 3)[2])
        dx = by_time(cx, self._walked(cx, be.matmul(da, own["W"].T))) if need_dx else None
        return dx, (grads,)

    def _walked(self, cx: Ctx, a: Array) -> Array:
        """What belongs to the steps by time, in the order in which they are walked; and back."""
        return cx.be.xp.flip(a, axis=0) if self.layers[0].reverse else a


class BothDirections(RoundedOnce):
    """A `Bidirectional` whose directions are each a `WholeSequence`."""

    def __init__(self, layers: tuple[Any, ...], start: int = 0) -> None:
        super().__init__(layers, start)
        self.directions = [WholeSequence((layer,)) for layer in layers[0].directions]

    @staticmethod
    def match(layers: tuple[Layer, ...]) -> int:
        """A Bidirectional of what `WholeSequence` matches."""
        layer: Any = layers[0] if layers else None
        return int(type(layer) is Bidirectional and WholeSequence.match((layer.layer,)) == 1)

    def forward(self, cx: Ctx, p: tuple[Tree, ...], x: Array) -> tuple[Array, tuple[Any, ...]]:
        """Both, side by side."""
        if not cx.be.whole_passes:
            return super().forward(cx, p, x)
        each = [rule.forward(cx, (own,), x) for rule, own in zip(self.directions, p[0], strict=True)]
        return cx.be.xp.concat([y for y, _ in each], axis=-1), tuple(kept for _, kept in each)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """Half of dy each."""
        if not cx.be.whole_passes:
            return super().backward(cx, cache, dy, need_dx, out, may_overwrite)
        units = self.layers[0].layer.units
        halves = dy[..., :units], dy[..., units:]
        (dx, (grads,)), (back, (more,)) = (
            rule.backward(cx, kept, half, need_dx, None, False)
            for rule, kept, half in zip(self.directions, cache, halves, strict=True)
        )
        return (None if dx is None or back is None else dx + back), ((grads, more),)

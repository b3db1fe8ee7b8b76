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
        """Keeps the parameters and the arrays of the pass, in the order in which the steps are walked."""
        be, layer = cx.be, self.layers[0]
        if not be.whole_passes:
            return super().forward(cx, p, x)
        own, seen = p[0], self._walked(cx, by_time(cx, x))
        kept: tuple[Array, ...]
        if type(layer) is LSTM:
            kept = be.lstm_pass(seen, own["W"], own["U"], own["b"] if layer.bias else None)
            h = kept[0][:, :, -layer.units :]
        else:
            a = be.affine(seen, own["W"], own["b"]) if layer.bias else be.matmul(seen, own["W"])
            kept = seen, *be.gru_pass(a, own["U"], own["c"] if layer.bias else None)
            h = kept[1]
        y = by_time(cx, self._walked(cx, h[1:, :, :])) if layer.sequences else h[-1, :, :]
        return y, (own, kept)

    def backward(
        self, cx: Ctx, cache: tuple[Any, ...], dy: Array, need_dx: bool, out: Tree, may_overwrite: bool
    ) -> tuple[Array | None, tuple[Tree, ...]]:
        """The steps, then dW = x^T da, dU = h_{t-1}^T du, db = sum of da (dc = sum of dn r), dx = da W^T."""
        be, layer = cx.be, self.layers[0]
        if not be.whole_passes:
            return super().backward(cx, cache, dy, need_dx, out, may_overwrite)
        own, kept = cache
        dy = self._walked(cx, by_time(cx, dy)) if layer.sequences else dy
        if type(layer) is LSTM:
            da, grads = lstm_grads(cx, own, kept, dy)
        else:
            da, grads = gru_grads(cx, own, kept, dy)
        dx = by_time(cx, self._walked(cx, be.matmul(da, own["W"].T))) if need_dx else None
        return dx, (grads,)

    def _walked(self, cx: Ctx, a: Array) -> Array:
        """What belongs to the steps by time, in the order in which they are walked; and back."""
        return cx.be.xp.flip(a, axis=0) if self.layers[0].reverse else a


def lstm_grads(cx: Ctx, own: Tree, kept: tuple[Array, ...], dy: Array) -> tuple[Array, Tree]:
    """da, and those of all parameters as one product: d[W; b; U] = [x_t, 1, h_{t-1}]^T da."""
    be, (rows, *states) = cx.be, kept
    da = be.lstm_pass_grad(dy, own["U"], *states)
    d = be.matmul(flat_rows(be, rows[:-1, :, :]).T, flat_rows(be, da))
    n_in, first = own["W"].shape[0], d.shape[0] - own["U"].shape[0]
    grads = {"W": d[:n_in, :], "U": d[first:, :]}
    return da, grads if "b" not in own else {**grads, "b": d[n_in, :]}


def gru_grads(cx: Ctx, own: Tree, kept: tuple[Array, ...], dy: Array) -> tuple[Array, Tree]:
    """da, and dW = x^T da, dU = h_{t-1}^T du, db = sum of da, dc = sum of du's last part."""
    be, (seen, h, *states) = cx.be, kept
    da, du = be.gru_pass_grad(dy, own["U"], h, *states)
    rows, drows = flat_rows(be, da), flat_rows(be, du)
    grads = {
        "W": be.matmul(flat_rows(be, seen).T, rows),
        "U": be.matmul(flat_rows(be, h[:-1, :, :]).T, drows),
    }
    sums = {"b": be.column_sums(rows), "c": be.column_sums(parts(drows, 3)[2])} if "b" in own else {}
    return da, {**grads, **sums}


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

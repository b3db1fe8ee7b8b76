"""The gated recurrent unit."""

from dataclasses import dataclass

from xpnn.initializers import zeros
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Shape, Spec, Tree
from xpnn.layers.dense import flat_rows
from xpnn.layers.recurrent import Recurrent, States, parts


@dataclass(frozen=True)
class GRU(Recurrent):
    """h_t = (1 - z) n + z h_{t-1}, where r, z are gates and n the candidate, with the reset r after its product.

    r, z = sigmoid of the first two parts of x_t W + h_{t-1} U + b; n = tanh(x_t W_n + b_n + r (h_{t-1} U_n + c)).
    Shapes: W (n_in, 3 units), U (units, 3 units), b (3 units,), in the order r, z, n, and c (units,), as PyTorch's.
    For the settings see `xpnn.layers.recurrent`.
    Backward, t from the last step to the first: dh_t += dy_t; dn = dh_t (1 - z) (1 - n^2);
    dz = dh_t (h_{t-1} - n) z (1 - z); dr = dn (h_{t-1} U_n + c) r (1 - r); da_t = (dr, dz, dn), du_t = (dr, dz, dn r);
    dh_{t-1} = dh_t z + du_t U^T; dc = sum of dn r.
    Source: Cho et al., EMNLP 2014; reset after the product: Appleyard, Kocisky, Blunsom (2016).
    """

    gates = 3

    def plan(self, shape: Shape) -> tuple[Tree, Shape]:
        specs, out = super().plan(shape)
        more = {"c": Spec((self.units,), zeros, decay=False)} if self.bias else {}
        return specs | more, out

    def step(self, cx: Ctx, p: Tree, a: Array, states: States) -> tuple[States, tuple[Array, ...]]:
        (h,) = states
        new, *kept = cx.be.gru_step(a, cx.be.matmul(h, p["U"]), h, p["c"] if self.bias else None)
        return (new,), (h, *kept)

    def step_grad(
        self, cx: Ctx, p: Tree, d: States, kept: tuple[Array, ...]
    ) -> tuple[Array, Array | None, States]:
        da, du, past = cx.be.gru_step_grad(*d, *kept)
        return da, du, (past + cx.be.matmul(du, p["U"].T),)

    def _gradients(
        self, cx: Ctx, x: Array, p: Tree, before: list[Array], da: list[Array], du: list[Array]
    ) -> tuple[Array | None, Tree]:
        """And dc = sum of dn r, the last part of du."""
        dx, grads = super()._gradients(cx, x, p, before, da, du)
        if not self.bias:
            return dx, grads
        last = parts(cx.be.xp.stack(du), 3)[2]
        return dx, grads | {"c": cx.be.column_sums(flat_rows(cx.be, last))}

"""The plain recurrent layer."""

from dataclasses import dataclass

from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Tree
from xpnn.layers.recurrent import Recurrent, States


@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """h_t = tanh(x_t W + h_{t-1} U + b).

    Shapes: W (n_in, units), U (units, units), b (units,). For the settings see `xpnn.layers.recurrent`.
    Backward, t from the last step to the first: dh_t += dy_t; da_t = dh_t (1 - h_t^2); dh_{t-1} = da_t U^T.
    Source: Elman, "Finding structure in time", Cognitive Science 14 (1990); Werbos, Proc. IEEE 78 (1990).
    """

    def step(self, cx: Ctx, p: Tree, a: Array, states: States) -> tuple[States, tuple[Array, ...]]:
        (before,) = states
        h = cx.be.xp.tanh(a + cx.be.matmul(before, p["U"]))
        return (h,), (before, h)

    def step_grad(
        self, cx: Ctx, p: Tree, d: States, kept: tuple[Array, ...]
    ) -> tuple[Array, Array | None, States]:
        (dh,), (_, h) = d, kept
        da = dh * (1 - h * h)
        return da, None, (cx.be.matmul(da, p["U"].T),)

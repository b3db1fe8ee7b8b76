"""Long short-term memory."""

from dataclasses import dataclass

from xpnn.initializers.forget_bias import ForgetBias
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Tree
from xpnn.layers.recurrent import Recurrent, States


@dataclass(frozen=True)
class LSTM(Recurrent):
    """h_t = o tanh(c_t), c_t = f c_{t-1} + i g: a cell state c beside h, and gates that say what goes into it and out.

    a_t = x_t W + h_{t-1} U + b; i, f, o = sigmoid of their quarters of a_t, g = tanh of its.
    Shapes: W (n_in, 4 units), U (units, 4 units), b (4 units,), gates in the order i, f, g, o, as PyTorch's. The forget
    gate's bias begins at 1. Its states are h and c. For the settings see `xpnn.layers.recurrent`.
    Backward, t from the last step to the first: dh_t += dy_t; do = dh_t tanh(c_t);
    dc_t += dh_t o (1 - tanh(c_t)^2); di = dc_t g; df = dc_t c_{t-1}; dg = dc_t i; dc_{t-1} = dc_t f; each gate's slope
    gives da_t; dh_{t-1} = da_t U^T.
    Source: Hochreiter, Schmidhuber, Neural Computation 9 (1997); forget gate: Gers, Schmidhuber, Cummins (2000);
    its bias: Jozefowicz, Zaremba, Sutskever, ICML 2015.
    """

    gates = 4
    states = 2
    gate_bias = ForgetBias()

    def step(self, cx: Ctx, p: Tree, a: Array, states: States) -> tuple[States, tuple[Array, ...]]:
        h, c = states
        new_h, new_c, gates, squashed = cx.be.lstm_step(a, cx.be.matmul(h, p["U"]), c)
        return (new_h, new_c), (h, c, gates, squashed)

    def step_grad(
        self, cx: Ctx, p: Tree, d: States, kept: tuple[Array, ...]
    ) -> tuple[Array, Array | None, States]:
        da, dc = cx.be.lstm_step_grad(*d, *kept[1:])
        return da, None, (cx.be.matmul(da, p["U"].T), dc)

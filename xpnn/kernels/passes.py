"""LSTM and GRU along a whole sequence, from states of 0: the steps of `xpnn.kernels.gates`, and what they keep by time.

A pass back is given dy (T, N, units) of all outputs, or (N, units) of the last one.
"""

from xpnn.kernels.base import Array, Backend


def lstm_pass(
    be: Backend, x: Array, W: Array, U: Array, b: Array | None
) -> tuple[Array, Array, Array, Array]:
    """[x_t, 1, h_{t-1}] and c_{t-1} (T + 1, N, ...), then the gates and tanh(c_t) (T, N, ...), as `lstm_step`.

    x (T, N, n_in), W (n_in, 4 units), U (units, 4 units), b (4 units,): a step's sums are [x_t, 1, h_{t-1}] [W; b; U],
    without b without the 1. The first h and c are 0; beside the last h, x is 0.
    """
    h = c = be.zeros((x.shape[1], U.shape[0]))
    a = be.matmul(x, W) if b is None else be.affine(x, W, b)
    hs, cs, kept = [h], [c], list[list[Array]]()
    for t in range(x.shape[0]):
        h, c, *own = be.lstm_step(a[t, :, :], be.matmul(h, U), c)
        hs, cs, kept = [*hs, h], [*cs, c], [*kept, own]
    seen = be.xp.concat([x, be.xp.zeros_like(x[:1, :, :])])
    one = [] if b is None else [be.xp.ones_like(seen[:, :, :1])]
    rows = be.xp.concat([seen, *one, be.xp.stack(hs)], axis=-1)
    return rows, be.xp.stack(cs), *map(be.xp.stack, zip(*kept, strict=True))


def lstm_pass_grad(be: Backend, dy: Array, U: Array, c: Array, gates: Array, squashed: Array) -> Array:
    """The gradient of the sums of all steps (T, N, 4 units)."""
    dh, dc = be.xp.zeros_like(c[0, :, :]), be.xp.zeros_like(c[0, :, :])
    found: list[Array] = []
    for t in reversed(range(gates.shape[0])):
        da, dc = be.lstm_step_grad(dh + sent(dy, t, found), dc, c[t, :, :], gates[t, :, :], squashed[t, :, :])
        dh = be.matmul(da, U.T)
        found.append(da)
    return be.xp.stack(found[::-1])


def gru_pass(be: Backend, a: Array, U: Array, c: Array | None) -> tuple[Array, Array, Array]:
    """h (T + 1, N, units), of which the first is 0, the gates r, z, n side by side, and u_n + c, as `gru_step`.

    a (T, N, 3 units): what the inputs add to the sums; U (units, 3 units).
    """
    h = be.zeros((a.shape[1], U.shape[0]))
    hs, gates, inner = [h], list[Array](), list[Array]()
    for t in range(a.shape[0]):
        h, r, z, n, one = be.gru_step(a[t, :, :], be.matmul(h, U), h, c)
        hs, gates, inner = [*hs, h], [*gates, be.xp.concat([r, z, n], axis=-1)], [*inner, one]
    return be.xp.stack(hs), be.xp.stack(gates), be.xp.stack(inner)


def gru_pass_grad(
    be: Backend, dy: Array, U: Array, h: Array, gates: Array, inner: Array
) -> tuple[Array, Array]:
    """The gradients of what the inputs and of what h adds to the sums of all steps (T, N, 3 units)."""
    dh, k, das, dus = be.xp.zeros_like(h[0, :, :]), h.shape[2], list[Array](), list[Array]()
    for t in reversed(range(gates.shape[0])):
        r, z, n = (gates[t, :, i * k : (i + 1) * k] for i in range(3))
        da, du, past = be.gru_step_grad(dh + sent(dy, t, das), h[t, :, :], r, z, n, inner[t, :, :])
        dh = past + be.matmul(du, U.T)
        das.append(da)
        dus.append(du)
    return be.xp.stack(das[::-1]), be.xp.stack(dus[::-1])


def sent(dy: Array, t: int, done: list[Array]) -> Array | int:
    """What dy adds to the gradient of the output of step t, the first of the way back while nothing is done."""
    return dy[t, :, :] if dy.ndim == 3 else 0 if done else dy

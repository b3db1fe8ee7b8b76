"""The pointwise half of a recurrent step: everything but its matrix products."""

from xpnn.kernels.base import Array, Backend


def lstm_step(be: Backend, a: Array, u: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """h, new c, the gates (i, f, g, o) and tanh(new c), from the two parts of a step's sums and the old c.

    a, u (N, 4 units), c (N, units). i, f, o = sigmoid and g = tanh of their quarters of a + u;
    c <- f c + i g; h = o tanh(c).
    """
    xp, n = be.xp, c.shape[1]
    z = a + u
    i, f = be.sigmoid(z[:, :n]), be.sigmoid(z[:, n : 2 * n])
    g, o = xp.tanh(z[:, 2 * n : 3 * n]), be.sigmoid(z[:, 3 * n :])
    new = f * c + i * g
    squashed = xp.tanh(new)
    return o * squashed, new, xp.concat([i, f, g, o], axis=1), squashed


def lstm_step_grad(
    be: Backend, dh: Array, dc: Array, c: Array, gates: Array, squashed: Array
) -> tuple[Array, Array]:
    """The gradients of a + u and of the old c, from those of h and of the new c.

    dc += dh o (1 - tanh(c)^2); di = dc g; df = dc c; dg = dc i; do = dh tanh(c), each times its gate's slope; the
    old c's is dc f.
    """
    n = c.shape[1]
    i, f, g, o = (gates[:, k * n : (k + 1) * n] for k in range(4))
    dc = dc + dh * o * (1 - squashed * squashed)
    parts = [
        dc * g * i * (1 - i),
        dc * c * f * (1 - f),
        dc * i * (1 - g * g),
        dh * squashed * o * (1 - o),
    ]
    return be.xp.concat(parts, axis=1), dc * f

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


def gru_step(be: Backend, a: Array, u: Array, h: Array, c: Array | None) -> tuple[Array, ...]:
    """New h, the gates r and z, the candidate n, and u_n + c, from the two parts of a step's sums and the old h.

    a, u (N, 3 units) in the order r, z, n, h (N, units), c (units,) or None for 0. r, z = sigmoid of their parts of
    a + u; n = tanh(a_n + r (u_n + c)); h <- (1 - z) n + z h.
    """
    k = h.shape[1]
    r, z = be.sigmoid(a[:, :k] + u[:, :k]), be.sigmoid(a[:, k : 2 * k] + u[:, k : 2 * k])
    inner = u[:, 2 * k :] if c is None else u[:, 2 * k :] + c
    n = be.xp.tanh(a[:, 2 * k :] + r * inner)
    return (1 - z) * n + z * h, r, z, n, inner


def gru_step_grad(
    be: Backend, dh: Array, h: Array, r: Array, z: Array, n: Array, inner: Array
) -> tuple[Array, Array, Array]:
    """The gradients of a and of u, and the part of the old h's that does not go through u, from that of the new h.

    dn = dh (1 - z) (1 - n^2); dz = dh (h - n) z (1 - z); dr = dn inner r (1 - r); da = (dr, dz, dn),
    du = (dr, dz, dn r); dh z.
    """
    dn = dh * (1 - z) * (1 - n * n)
    dr, dz = dn * inner * r * (1 - r), dh * (h - n) * z * (1 - z)
    xp = be.xp
    return xp.concat([dr, dz, dn], axis=-1), xp.concat([dr, dz, dn * r], axis=-1), dh * z

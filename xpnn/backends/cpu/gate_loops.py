"""The pointwise half of a step of LSTM or GRU, compiled by numba for float32: exponentials fill the vector registers.

NumPy's are as good, but each is a pass over memory; a compiler leaves calls to the C library's one by one.
"""

from typing import Any

import numpy as np

from xpnn.backends.cpu.loops import Array, compiled

F = np.float32
LOG2E, LN2_HIGH, LN2_LOW = F(1.44269504), F(0.693359375), F(-2.12194440e-4)
"""1 / log 2, and log 2 in two parts, the first of so few digits that its products with exponents are exact."""
E2, E3, E4, E5, E6, E7 = map(
    F, (0.50000001201, 0.16666665459, 0.041665795894, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
)
T3, T5, T7, T9, T11 = map(
    F, (-0.333332819422, 0.133314422036, -0.0537397155531, 0.0206390887954, -5.70498872745e-3)
)
"""(e^r - 1 - r) / r^2 and (tanh x - x) / x as polynomials: S. Moshier, Cephes library (1989), expf and tanhf."""


@compiled
def exponential(x: Any) -> Any:
    """e^x = 2^k e^r, |r| <= log(2) / 2, to 2 units in the last place; x is held to [-87, 88]. NaN stays NaN."""
    x = F(-87.0) if x < F(-87.0) else x
    x = F(88.0) if x > F(88.0) else x
    k = np.floor(x * LOG2E + F(0.5))
    r = x - k * LN2_HIGH - k * LN2_LOW
    p = ((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2
    power = np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + F(1.0)) * power


@compiled
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return F(1.0) / (F(1.0) + exponential(-x))


@compiled
def tanh(x: Any) -> Any:
    """Below 0.625 a polynomial, for 1 - 2 / (e^2x + 1) cancels there. Both are computed: a branch would cost more."""
    size = abs(x)
    far = F(1.0) - F(2.0) / (exponential(F(2.0) * size) + F(1.0))
    low = F(0.625) if size > F(0.625) else size
    z = low * low
    near = low + low * z * ((((T11 * z + T9) * z + T7) * z + T5) * z + T3)
    chosen = F(size < F(0.625))
    return np.copysign(chosen * near + (F(1.0) - chosen) * far, x)


@compiled
def sigmoids(x: Array) -> None:
    """x <- sigmoid(x)."""
    for k in range(x.size):
        x[k] = sigmoid(x[k])


@compiled
def tanhs(x: Array) -> None:
    """x <- tanh(x)."""
    for k in range(x.size):
        x[k] = tanh(x[k])


@compiled
def lstm_step(gates: Array, c: Array, h: Array, new: Array, squashed: Array) -> None:
    """h, new and squashed, as the reference kernel of this name; gates, which are the sums a + u before, in place.

    h is written to the last units of its rows. Loops over slices: of an index that might be negative the compiler
    makes no vectors.
    """
    n = c.shape[1]
    first = h.shape[1] - n
    for row in range(c.shape[0]):
        z, v, s, old, out = gates[row], new[row], squashed[row], c[row], h[row][first:]
        i, f, g, o = z[:n], z[n : 2 * n], z[2 * n : 3 * n], z[3 * n :]
        sigmoids(z[: 2 * n])
        tanhs(g)
        sigmoids(o)
        for k in range(n):
            v[k] = f[k] * old[k] + i[k] * g[k]
            s[k] = v[k]
        tanhs(s)
        for k in range(n):
            out[k] = o[k] * s[k]


@compiled
def gru_step(a: Array, u: Array, h: Array, c: Array, new: Array, gates: Array, inner: Array) -> None:
    """new, gates (r, z, n side by side) and inner from the rest, as the reference kernel of this name."""
    k = h.shape[1]
    for row in range(h.shape[0]):
        both, s, old, out = gates[row], inner[row], h[row], new[row]
        for i in range(2 * k):
            both[i] = a[row, i] + u[row, i]
        sigmoids(both[: 2 * k])
        r, z, n, an, un = both[:k], both[k : 2 * k], both[2 * k :], a[row, 2 * k :], u[row, 2 * k :]
        for i in range(k):
            s[i] = un[i] + c[i]
            n[i] = an[i] + r[i] * s[i]
        tanhs(n)
        for i in range(k):
            out[i] = (F(1.0) - z[i]) * n[i] + z[i] * old[i]


@compiled
def gru_step_grad(dh: Array, h: Array, gates: Array, inner: Array, da: Array, du: Array, past: Array) -> None:
    """da, du and past from the rest, as the reference kernel of this name."""
    k = h.shape[1]
    one = h.dtype.type(1)
    for row in range(h.shape[0]):
        r, z, n, s = gates[row, :k], gates[row, k : 2 * k], gates[row, 2 * k :], inner[row]
        dr, dz, dn, un = da[row, :k], da[row, k : 2 * k], da[row, 2 * k :], du[row, 2 * k :]
        for i in range(k):
            d = dh[row, i]
            slope = d * (one - z[i]) * (one - n[i] * n[i])
            dr[i] = slope * s[i] * r[i] * (one - r[i])
            dz[i] = d * (h[row, i] - n[i]) * z[i] * (one - z[i])
            dn[i] = slope
            un[i] = slope * r[i]
            past[row, i] = d * z[i]
        du[row, : 2 * k] = da[row, : 2 * k]

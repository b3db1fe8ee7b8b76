"""LARS, LAMB, Muon and Adafactor written out with NumPy, one parameter and one step at a time, from the papers."""

import numpy as np


def lars(o, t, w, g, s, bias):
    """Algorithm 1 of the paper."""
    beta, rate = (0.0 if bias else o.weight_decay), o.lr
    if not bias:
        rate *= o.trust * np.linalg.norm(w) / (np.linalg.norm(g) + beta * np.linalg.norm(w))
    s["v"] = o.momentum * s.get("v", 0) + rate * (g + beta * w)
    return w - s["v"]


def lamb(o, t, w, g, s, bias):
    """Algorithm 2 of the paper."""
    s["m"] = o.beta1 * s.get("m", 0) + (1 - o.beta1) * g
    s["v"] = o.beta2 * s.get("v", 0) + (1 - o.beta2) * g**2
    r = s["m"] / (1 - o.beta1**t) / (np.sqrt(s["v"] / (1 - o.beta2**t)) + o.eps)
    if bias:
        return w - o.lr * r
    u = r + o.weight_decay * w
    return w - o.lr * np.linalg.norm(w) * u / np.linalg.norm(u)


def muon(o, t, w, g, s, bias):
    """The polynomial at the singular values themselves; AdamW for the rest."""
    if bias:
        a = o.others
        s["m"] = a.beta1 * s.get("m", 0) + (1 - a.beta1) * g
        s["v"] = a.beta2 * s.get("v", 0) + (1 - a.beta2) * g**2
        return w - a.lr * s["m"] / (1 - a.beta1**t) / (np.sqrt(s["v"] / (1 - a.beta2**t)) + a.eps)
    s["B"] = o.momentum * s.get("B", 0) + (1 - o.momentum) * g
    D = (1 - o.momentum) * g + o.momentum * s["B"] if o.nesterov else s["B"]
    U, sigma, Vt = np.linalg.svd(D.reshape(-1, D.shape[-1]), full_matrices=False)
    sigma = sigma / np.sqrt(np.sum(sigma**2))
    a, b, c = o.coefficients
    for _ in range(o.steps):
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    rows, columns = len(U), Vt.shape[1]
    step = np.sqrt(max(1, columns / rows)) * ((U * sigma) @ Vt).reshape(w.shape)
    return w - o.lr * o.weight_decay * w - o.lr * step


def adafactor(o, t, w, g, s, bias):
    """PyTorch's algorithm box, matrix by matrix."""
    b, rms = t**-o.decay_rate, lambda x: np.sqrt(np.mean(x**2))
    eps1 = np.finfo(np.float64).eps if o.eps1 is None else o.eps1
    if g.ndim == 1:
        s["V"] = (1 - b) * s.get("V", 0) + b * g**2
        V = s["V"]
    else:
        s["R"] = (1 - b) * s.get("R", 0) + b * np.einsum("...ij,...ij->...i", g, g) / g.shape[-1]
        s["C"] = (1 - b) * s.get("C", 0) + b * np.einsum("...ij,...ij->...j", g, g) / g.shape[-2]
        V = np.einsum("...i,...j->...ij", s["R"], s["C"])
        V = V / np.maximum(s["R"].mean(-1), eps1)[..., None, None]
    u = g / np.maximum(np.sqrt(V), eps1)
    alpha = max(o.eps2, rms(w)) * min(o.lr, 1 / np.sqrt(t))
    decay = 0.0 if bias else o.lr * o.weight_decay
    return w - decay * w - alpha * u / max(1, rms(u) / o.threshold)


def run(rule, optimizer, start, grads):
    """{path: parameter} after the steps; a path that ends in "b" is a bias."""
    now, state = dict(start), {path: {} for path in start}
    for t, step in enumerate(grads, 1):
        now = {k: rule(optimizer, t, w, step[k], state[k], k.endswith("b")) for k, w in now.items()}
    return now

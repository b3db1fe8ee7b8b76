"""ONNX's recurrent operations in NumPy, as `operations` has the others."""

from typing import Any

import numpy as np

from xpnn.interchange.operations import sigmoid


def directions(
    step: Any, x: Any, W: Any, R: Any, B: Any, first: Any, hidden_size: Any, direction: Any
) -> Any:
    """All states (time, directions, N, units), and the last h and c (directions, N, units) of a step."""
    every, hs, cs = [], [], []
    for i in range(len(W)):
        steps = range(len(x))[::-1] if direction == "reverse" or i == 1 else range(len(x))
        b = B[i][: len(B[i]) // 2], B[i][len(B[i]) // 2 :]
        h = first[0][i] if first else np.zeros((x.shape[1], hidden_size), x.dtype)
        c = first[1][i] if len(first) > 1 else np.zeros_like(h)
        states = [None] * len(x)
        for t in steps:
            h, c = step(x[t] @ W[i].T + b[0], h @ R[i].T + b[1], h, c)
            states[t] = h
        every.append(states)
        hs.append(h)
        cs.append(c)
    return np.moveaxis(np.array(every), 0, 1), np.array(hs), np.array(cs)


def lstm(x: Any, W: Any, R: Any, B: Any, *first: Any, hidden_size: Any, direction: Any) -> Any:
    """Gates in ONNX's order i, o, f, c."""

    def step(a: Any, u: Any, h: Any, c: Any) -> Any:
        """Compute one step of the recurrence."""
        i, o, f, g = np.split(a + u, 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c

    return directions(step, x, W, R, B, first, hidden_size, direction)


def gru(
    x: Any, W: Any, R: Any, B: Any, *first: Any, hidden_size: Any, direction: Any, linear_before_reset: Any
) -> Any:
    """Gates in ONNX's order z, r, h."""

    def step(a: Any, u: Any, h: Any, c: Any) -> Any:
        """Compute one step of the recurrence."""
        (az, ar, an), (uz, ur, un) = np.split(a, 3, -1), np.split(u, 3, -1)
        z, n = sigmoid(az + uz), np.tanh(an + sigmoid(ar + ur) * un)
        return (1 - z) * n + z * h, c

    return directions(step, x, W, R, B, first, hidden_size, direction)[:2]


def rnn(x: Any, W: Any, R: Any, B: Any, *first: Any, hidden_size: Any, direction: Any) -> Any:
    """tanh(x W + h R + b)."""
    return directions(lambda a, u, h, c: (np.tanh(a + u), c), x, W, R, B, first, hidden_size, direction)[:2]


def scan(step: Any, states: Any, inputs: Any, reverse: Any) -> Any:
    """The states after the last step, and what each step gave beside them."""
    times = range(len(inputs[0]))
    given = [None] * len(inputs[0])
    for t in times[::-1] if reverse else times:
        *states, given[t] = step(*states, *(a[t] for a in inputs))
    return (*states, np.array(given))

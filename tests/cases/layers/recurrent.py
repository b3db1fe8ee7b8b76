"""SimpleRNN, LSTM and GRU, in both directions, and with masks."""

import numpy as np

import xpnn
from cases.planting import Planted, called_with
from cases.row import Case
from xpnn.initializers import Normal

STATES = {xpnn.SimpleRNN: ((3, 2), (2,)), xpnn.LSTM: ((3, 2), (2,), (2,)), xpnn.GRU: ((3, 2), (2,))}
"""The shapes of a sequence and of two units' states before it."""
ROWS = [
    row
    for kind in (xpnn.SimpleRNN, xpnn.LSTM, xpnn.GRU)
    for row in (
        Case(kind(3), (3, 2)),  # the last state
        Case(kind(2, sequences=True), (2, 5), batch=1),  # every state
        Case(kind(4, False, Normal(0.5), Normal(0.5)), (1, 1), batch=2),  # one step of one feature
        Case(kind(2, True, bias=False), (3, 2), batch=2),  # products alone
        Case(kind(2, reverse=True), (3, 2)),  # the state after the first step
        Case(
            kind(2, True, masked=True, reverse=True), ((3, 2), (3,)), blank=True
        ),  # every state, from the end
        Case(kind(2, True, return_state=True), (3, 2)),  # several outputs
        Case(kind(2, initial_state=True), STATES[kind]),  # several inputs
        Case(
            kind(2, True, masked=True, reverse=True, initial_state=True, return_state=True),
            (*STATES[kind], (3,)),
            blank=True,
        ),  # everything at once
    )
]
ROWS += [
    Case(xpnn.SelectOutput(1), ((2,), (3, 2), ())),  # of three
    Case(xpnn.Sequential((xpnn.LSTM(2, return_state=True), xpnn.SelectOutput(2))), (3, 2)),  # the cell alone
    Case(xpnn.Bidirectional(xpnn.SimpleRNN(3)), (3, 2)),  # both last states
    Case(xpnn.Bidirectional(xpnn.GRU(2, bias=False)), (2, 2)),
    Case(
        xpnn.Bidirectional(xpnn.LSTM(2, True, masked=True, initial_state=True, return_state=True)),
        ((3, 2), *[(2,)] * 4, (3,)),
        blank=True,
    ),  # two states in and out for each direction
    Case(
        xpnn.Bidirectional(xpnn.LSTM(2, initial_state=True, return_state=True)),
        ((3, 2), *[(2,)] * 4),
        batch=2,
    ),  # without a mask
    Case(xpnn.Bidirectional(xpnn.LSTM(2)), (1, 2), batch=1),  # one step, the same both ways
    Case(xpnn.Bidirectional(xpnn.GRU(1, sequences=True)), (3, 2), batch=2),  # every state
    Case(
        xpnn.Sequential(
            (xpnn.Embedding(4, 2), xpnn.GRU(3, True), xpnn.Residual(xpnn.LSTM(3, True)), xpnn.SimpleRNN(2))
        ),
        (2,),
    ),  # a whole net
    Case(xpnn.PaddingMask(), (4,)),  # the mask itself
    Case(xpnn.PaddingMask(2), (2, 3), batch=1),  # of another id
    Case(xpnn.SimpleRNN(2, masked=True), ((3, 2), (3,)), blank=True),  # a sample without any step
    Case(xpnn.LSTM(2, True, masked=True), ((3, 2), (3,)), blank=True),  # every state
    Case(xpnn.GRU(2, True, masked=True), ((3, 1), (3,))),
    Case(xpnn.GRU(3, masked=True), ((2, 2), (2,)), batch=1),
    Case(xpnn.Bidirectional(xpnn.LSTM(2, masked=True)), ((3, 2), (3,)), blank=True),  # both ways
    Case(xpnn.Bidirectional(xpnn.SimpleRNN(1, True, masked=True)), ((3, 2), (3,)), batch=2),
]


def states_from(f):
    """f(x, states, p, dy) -> dx, grads."""
    return lambda layer, cx, p, cache, dy, right: f(cache[0], cache[1], p, dy)


def rnn(x, states, p, dy, slope):
    """SimpleRNN's backward pass with another slope."""
    dh, grads, dxs = 0 * states[0][0], {k: 0 * a for k, a in p.items()}, []
    for t in reversed(range(x.shape[1])):
        before, after = states[t]
        da = (dh + dy[:, t]) * slope(after)
        for key, g in (("W", x[:, t].T @ da), ("U", before.T @ da), ("b", da.sum(0))):
            grads[key] = grads[key] + g
        dh = da @ p["U"].T
        dxs.insert(0, da @ p["W"].T)
    return np.stack(dxs, 1), grads


def step_changed(f):
    """What was kept of every step, put through f."""
    return called_with(lambda layer, p, c, dy: (p, (c[0], tuple(f(*step) for step in c[1]), *c[2:]), dy))


def gates_changed(f):
    """As `step_changed`, of the LSTM, with its four gates apart."""

    def changed(h, c, gates, s):
        h, c, *apart, s = f(h, c, *np.split(gates, 4, axis=-1), s)
        return h, c, np.concatenate(apart, axis=-1), s

    return step_changed(changed)


def through_time(gates):
    """Mistakes in walking back that every recurrent layer could make."""

    def transposed_gates(U):
        return np.concatenate([u.T for u in np.split(U, gates, 1)], 1)

    return {
        "steps in the wrong order": called_with(lambda layer, p, c, dy: (p, c, np.flip(dy, 1))),
        "only the last step's dy": called_with(
            lambda layer, p, c, dy: (p, c, dy * (np.arange(3) == 2)[:, None])
        ),
        "nothing flows back in time": called_with(lambda layer, p, c, dy: ({**p, "U": 0 * p["U"]}, c, dy)),
        "U not transposed": called_with(
            lambda layer, p, c, dy: ({**p, "U": transposed_gates(p["U"])}, c, dy)
        ),
        "gates of U in another order": called_with(
            lambda layer, p, c, dy: ({**p, "U": np.roll(p["U"], 1, 1)}, c, dy)
        ),
        "inputs of another sample": called_with(lambda layer, p, c, dy: (p, (np.flip(c[0], 0), *c[1:]), dy)),
        "read backwards, walked back forwards": called_with(
            lambda layer, p, c, dy: (p, (c[0], c[1][::-1], c[2]), dy)
        ),
        "the last state's gradient forgotten": called_with(
            lambda layer, p, c, dy: (p, c, (dy[0], None, *dy[2:]))
        ),
        "the last state's gradient in every step": called_with(
            lambda layer, p, c, dy: (p, c, (dy[0] + dy[1][:, None, :], None, *dy[2:]))
        ),
        "the first state's gradient forgotten": inputs_changed(lambda dx, dh, *more: (dx, 0 * dh, *more)),
    }


STATE_FAULTS = (
    "the last state's gradient forgotten",
    "the last state's gradient in every step",
    "the first state's gradient forgotten",
)


def elsewhere_of(kind, *more):
    """The rows on which faults of settings are seen: of the other direction, and of states in and out."""
    states = Case(kind(2, True, initial_state=True, return_state=True), STATES[kind], batch=4)
    reverse = Case(kind(2, True, reverse=True), (3, 2), batch=4)
    return {"read backwards, walked back forwards": reverse} | dict.fromkeys((*STATE_FAULTS, *more), states)


def inputs_changed(f):
    """The gradients of the inputs, put through f."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return f(*dx), grads

    return backward


def halves_changed(f):
    """The two halves of dy changed before they are used."""

    def backward(layer, cx, p, cache, dy, right):
        n = dy.shape[-1] // 2
        return right(layer, cx, p, cache, np.concatenate(f(dy[..., :n], dy[..., n:]), axis=-1))

    return backward


PLANTED = {
    xpnn.SimpleRNN: Planted(
        Case(xpnn.SimpleRNN(2, True), (3, 2), batch=4),
        through_time(1)
        | {
            "slope forgotten": states_from(lambda x, c, p, dy: rnn(x, c, p, dy, lambda h: 1)),
            "1 - h for 1 - h^2": states_from(lambda x, c, p, dy: rnn(x, c, p, dy, lambda h: 1 - h)),
            "the state after for the state before": step_changed(lambda before, after: (after, after)),
        },
        elsewhere_of(xpnn.SimpleRNN),
    ),
    xpnn.LSTM: Planted(
        Case(xpnn.LSTM(2, True), (3, 2), batch=4),
        through_time(4)
        | {
            "cell state forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, 0 * c, i, f, g, o, s)),
            "i and f exchanged": gates_changed(lambda h, c, i, f, g, o, s: (h, c, f, i, g, o, s)),
            "i and g exchanged": gates_changed(lambda h, c, i, f, g, o, s: (h, c, g, f, i, o, s)),
            "tanh of the cell forgotten": gates_changed(
                lambda h, c, i, f, g, o, s: (h, c, i, f, g, o, np.arctanh(s))
            ),
            "output gate forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, c, i, f, g, 0 * o + 1, s)),
            "forget gate forgotten": gates_changed(lambda h, c, i, f, g, o, s: (h, c, i, 0 * f + 1, g, o, s)),
            "dc of the last step forgotten": called_with(lambda layer, p, c, dy: (p, c, (*dy[:2], None))),
            "dh0 and dc0 exchanged": inputs_changed(lambda dx, dh, dc: (dx, dc, dh)),
        },
        elsewhere_of(xpnn.LSTM, "dc of the last step forgotten", "dh0 and dc0 exchanged"),
    ),
    xpnn.GRU: Planted(
        Case(xpnn.GRU(2, True), (3, 2), batch=4),
        through_time(3)
        | {
            "z for 1 - z": step_changed(lambda h, r, z, n, u: (h, r, 1 - z, n, u)),
            "r and z exchanged": step_changed(lambda h, r, z, n, u: (h, z, r, n, u)),
            "reset before the product": step_changed(lambda h, r, z, n, u: (h, r, z, n, u * r)),
            "reset forgotten": step_changed(lambda h, r, z, n, u: (h, 0 * r + 1, z, n, u)),
            "candidate squashed twice": step_changed(lambda h, r, z, n, u: (h, r, z, np.tanh(n), u)),
            "the state before forgotten": step_changed(lambda h, r, z, n, u: (0 * h, r, z, n, u)),
        },
        elsewhere_of(xpnn.GRU),
    ),
    xpnn.Bidirectional: Planted(
        Case(xpnn.Bidirectional(xpnn.GRU(2, True)), (3, 2), batch=4),
        {
            "not turned back": halves_changed(lambda dy, reverse: (dy, np.flip(reverse, 1))),
            "halves exchanged": halves_changed(lambda dy, reverse: (reverse, dy)),
            "reverse forgotten": halves_changed(lambda dy, reverse: (dy, 0 * reverse)),
            "forward forgotten": halves_changed(lambda dy, reverse: (0 * dy, reverse)),
            "caches exchanged": called_with(lambda layer, p, c, dy: (p, c[::-1], dy)),
            "states of the directions exchanged": called_with(
                lambda layer, p, c, dy: (p, c, (dy[0], *dy[3:], *dy[1:3]))
            ),
            "parameters exchanged": called_with(
                lambda layer, p, c, dy: (p, tuple((*a[:-2], *b[-2:]) for a, b in (c, c[::-1])), dy)
            ),
        },
        {
            "states of the directions exchanged": Case(
                xpnn.Bidirectional(xpnn.LSTM(2, return_state=True)), (3, 2), batch=4
            )
        },
    ),
    xpnn.SelectOutput: Planted(
        Case(xpnn.SelectOutput(0), ((3, 2),), batch=4),
        {
            "to the first": lambda layer, cx, p, c, dy, right: (right(layer, cx, p, c, dy)[0][::-1], {}),
            "to all": lambda layer, cx, p, c, dy, right: ((np.reshape(dy, (4, 3, 2)), dy), {}),
            "to nobody": lambda layer, cx, p, c, dy, right: ((None, None), {}),
        },
        dict.fromkeys(
            ("to the first", "to all", "to nobody"), Case(xpnn.SelectOutput(1), ((3, 2), (2, 3)), batch=4)
        ),
    ),
}
